//! The guard of outbound calls: whoever may enqueue a job must not reach, through this program, what
//! only this machine or its network reaches.
//!
//! It judges addresses, never names: those of a name at the moment of connecting, by the resolver that
//! the client connects through (so an answer that changes between look and call gains nothing), and those
//! written into the URL itself, which no resolver sees. The URL parser has made octal, hexadecimal and
//! decimal forms into plain addresses before.
//!
//! What may be reached is public unicast, by the IANA registries of special-purpose addresses; everything
//! else is refused unless the settings allow its network.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// What of IPv4 is not public unicast (RFC 6890 and its updates).
const IPV4_CLOSED: [&str; 15] = [
    "0.0.0.0/8",       // this network; Linux takes 0.0.0.0 for itself
    "10.0.0.0/8",      // private
    "100.64.0.0/10",   // shared, behind a carrier's translation
    "127.0.0.0/8",     // loopback
    "169.254.0.0/16",  // link-local, with the metadata services of clouds
    "172.16.0.0/12",   // private
    "192.0.0.0/24",    // protocol assignments
    "192.0.2.0/24",    // documentation
    "192.88.99.0/24",  // 6to4 relays
    "192.168.0.0/16",  // private
    "198.18.0.0/15",   // benchmarks
    "198.51.100.0/24", // documentation
    "203.0.113.0/24",  // documentation
    "224.0.0.0/4",     // multicast
    "240.0.0.0/4",     // reserved, broadcast
];

/// The one part of IPv6 that is public unicast. Outside lie loopback, IPv4 in its mapped, compatible and
/// translated forms, unique-local, link-local, site-local and multicast.
const IPV6_OPEN: &str = "2000::/3";

/// What within it is not.
const IPV6_CLOSED: [&str; 5] = [
    "2001::/23",     // protocol assignments, with Teredo's IPv4 within
    "2001:db8::/32", // documentation
    "2002::/16",     // 6to4: IPv4 within
    "3fff::/20",     // documentation
    "3ffe::/16",     // the former 6bone
];

/// An address that must not be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("address `{0}` must not be called")]
pub(super) struct Forbidden(pub(super) IpAddr);

/// A URL that must not be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ForbiddenUrl {
    #[error("scheme `{0}` is neither `http` nor `https`")]
    Scheme(String),
    #[error("url has no host")]
    NoHost,
    #[error(transparent)]
    Address(#[from] Forbidden),
}

/// What may be called.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    allowed: Arc<[IpNet]>,
    ipv4_closed: Arc<[IpNet]>,
    ipv6_open: IpNet,
    ipv6_closed: Arc<[IpNet]>,
}

impl Guard {
    /// Public addresses, and those of `allowed`.
    pub(super) fn new(allowed: &[IpNet]) -> Self {
        Self {
            allowed: allowed.into(),
            ipv4_closed: IPV4_CLOSED.iter().copied().map(network).collect(),
            ipv6_open: network(IPV6_OPEN),
            ipv6_closed: IPV6_CLOSED.iter().copied().map(network).collect(),
        }
    }

    /// Whether `address` may be called.
    pub(super) fn check(&self, address: IpAddr) -> Result<(), Forbidden> {
        // A network that is allowed is so in the mapped form of its addresses too: the same hosts.
        let plain = address.to_canonical();
        let is_allowed = self.allowed.iter().any(|network| network.contains(&plain));
        if is_allowed || self.is_public(address) {
            Ok(())
        } else {
            Err(Forbidden(address))
        }
    }

    /// Whether `url` may be called, as far as can be said before its name is resolved.
    pub(super) fn check_url(&self, url: &Url) -> Result<(), ForbiddenUrl> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ForbiddenUrl::Scheme(url.scheme().to_owned()));
        }
        let host = url.host_str().ok_or(ForbiddenUrl::NoHost)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse() {
            Ok(address) => Ok(self.check(address)?),
            // A name: the resolver sees it.
            Err(_) => Ok(()),
        }
    }

    fn is_public(&self, address: IpAddr) -> bool {
        let is_in = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&address));
        match address {
            IpAddr::V4(_) => !is_in(&self.ipv4_closed),
            IpAddr::V6(_) => self.ipv6_open.contains(&address) && !is_in(&self.ipv6_closed),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let (mut open, mut closed) = (Vec::<SocketAddr>::new(), None);
            for address in found {
                match guard.check(address.ip()) {
                    Ok(()) => open.push(address),
                    Err(forbidden) => closed = Some(forbidden),
                }
            }
            match closed {
                // A name with one such address is not to be trusted with its others.
                Some(forbidden) => Err(forbidden.into()),
                None => Ok(Box::new(open.into_iter()) as Addrs),
            }
        })
    }
}

fn network(text: &str) -> IpNet {
    text.parse().expect("a network of our own tables")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str) -> Result<(), ForbiddenUrl> {
        let url = Url::parse(url).expect("a URL");
        Guard::new(&[]).check_url(&url)
    }

    #[test]
    fn what_only_this_machine_and_its_network_reach_is_refused_in_every_spelling() {
        for host in [
            // Loopback, and what Linux takes for it, in plain, short, octal, hex and decimal forms.
            "127.0.0.1",
            "127.255.255.254",
            "127.1",
            "0177.0.0.1",
            "0x7f.0.0.1",
            "0x7f000001",
            "2130706433",
            "017700000001",
            "127.0.0.1.",
            "%31%32%37.0.0.1",
            "１２７.0.0.1",
            "0.0.0.0",
            "0",
            // Private, shared, link-local, multicast, reserved, broadcast.
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "169.254.169.254",
            "2852039166",
            "192.0.0.8",
            "198.18.0.1",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            // IPv6: unspecified, loopback, and IPv4 within.
            "[::]",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::ffff:8.8.8.8]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b:1::1]",
            "[2001::1]",
            "[2002:7f00:1::]",
            // Unique-local, link-local, site-local, multicast, documentation, discard.
            "[fc00::1]",
            "[fd12:3456::1]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[2001:db8::1]",
            "[3fff::1]",
            "[100::1]",
        ] {
            let refused = check(&format!("http://{host}:8080/path"));
            assert!(
                matches!(refused, Err(ForbiddenUrl::Address(_))),
                "{host}: {refused:?}"
            );
        }
    }

    #[test]
    fn what_everybody_reaches_is_allowed() {
        for host in [
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "[2606:4700::1111]",
            "[2a00:1450:4001::1]",
        ] {
            assert_eq!(check(&format!("https://{host}/")), Ok(()), "{host}");
        }
    }

    #[test]
    fn only_web_schemes_are_called() {
        for url in [
            "file:///etc/passwd",
            "ftp://8.8.8.8/",
            "gopher://8.8.8.8/",
            "data:,x",
            "unix:/run/x",
        ] {
            assert!(matches!(check(url), Err(ForbiddenUrl::Scheme(_))), "{url}");
        }
    }

    #[test]
    fn a_network_that_is_allowed_is_so_alone_and_in_its_mapped_form_too() {
        let guard = Guard::new(&[network("127.0.0.0/8"), network("fd00::/8")]);
        let check = |address: &str| guard.check(address.parse().expect("an address"));
        for open in ["127.0.0.1", "::ffff:127.0.0.1", "fd00::1", "8.8.8.8"] {
            assert_eq!(check(open), Ok(()), "{open}");
        }
        for closed in ["10.0.0.1", "::1", "fe80::1"] {
            assert!(check(closed).is_err(), "{closed}");
        }
    }

    #[tokio::test]
    async fn a_name_is_judged_by_the_addresses_it_has() {
        let resolve = |guard: Guard| guard.resolve("localhost".parse().expect("a name"));
        let refused = resolve(Guard::new(&[])).await.map(|_| ());
        let refused = refused.expect_err("this machine");
        assert!(refused.downcast_ref::<Forbidden>().is_some(), "{refused}");
        let allowed = Guard::new(&[network("127.0.0.0/8"), network("::1/128")]);
        assert!(resolve(allowed).await.is_ok_and(|found| found.count() > 0));
    }
}
