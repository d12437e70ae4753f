//! Three network namespaces, each with a link to each other one and one to the test: the servers in two
//! of them can be parted, and clients still reach both sides.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::TestResult;
use crate::support::program::text;

/// From the addresses that are kept for measuring networks (RFC 2544): nobody's machine has one.
const ADDRESSES: &str = "198.18";

/// So many networks on one machine have addresses of their own.
const NETWORKS: u32 = 40;

/// How many of them one process has.
const OF_ONE_PROCESS: u32 = 2;

/// How many this process has made.
static MADE: AtomicU32 = AtomicU32::new(0);

/// Links of one network: three between servers, three to the test.
const LINKS: u32 = 6;

/// The namespaces; they and their links go with it.
pub(crate) struct Network {
    name: String,
    /// The third part of the first link's addresses.
    base: u32,
}

impl Network {
    /// Makes it; not everybody may, and not every kernel can.
    pub(crate) fn make() -> TestResult<Self> {
        let (process, made) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let network = Self {
            name: format!("ll{process}-{made}"),
            base: (process * OF_ONE_PROCESS + made) % NETWORKS * LINKS,
        };
        for member in 0..3 {
            ip(&["netns", "add", &network.space(member)])?;
            ip(&["-n", &network.space(member), "link", "set", "lo", "up"])?;
            network.link_to_test(member)?;
        }
        for (one, other) in [(0, 1), (0, 2), (1, 2)] {
            network.link_between(one, other)?;
        }
        Ok(network)
    }

    fn link_to_test(&self, member: usize) -> TestResult {
        let (outside, space) = (format!("{}c{member}", self.name), self.space(member));
        let (ours, theirs) = (self.address(3 + member, 1), self.address(3 + member, 2));
        ip(&[
            "link", "add", &outside, "type", "veth", "peer", "name", "client", "netns", &space,
        ])?;
        ip(&["addr", "add", &format!("{ours}/30"), "dev", &outside])?;
        ip(&["link", "set", &outside, "up"])?;
        let address = format!("{theirs}/30");
        ip(&["-n", &space, "addr", "add", &address, "dev", "client"])?;
        ip(&["-n", &space, "link", "set", "client", "up"])
    }

    fn link_between(&self, one: usize, other: usize) -> TestResult {
        let (from, to) = (self.space(one), self.space(other));
        let (here, there) = (format!("to{other}"), format!("to{one}"));
        ip(&[
            "-n", &from, "link", "add", &here, "type", "veth", "peer", "name", &there, "netns", &to,
        ])?;
        for (space, link, at, of) in [(&from, &here, one, other), (&to, &there, other, one)] {
            let address = format!("{}/30", self.route(at, of));
            ip(&["-n", space, "addr", "add", &address, "dev", link])?;
            ip(&["-n", space, "link", "set", link, "up"])?;
        }
        Ok(())
    }

    /// The namespace of a server.
    pub(crate) fn space(&self, member: usize) -> String {
        format!("{}n{member}", self.name)
    }

    /// Where clients reach a server.
    pub(crate) fn client(&self, member: usize) -> String {
        self.address(3 + member, 2)
    }

    /// Where the server `other` reaches the server `member`.
    pub(crate) fn route(&self, member: usize, other: usize) -> String {
        self.address(member + other - 1, if member < other { 1 } else { 2 })
    }

    /// Parts a server from the two others, or joins it to them again.
    pub(crate) fn part(&self, member: usize, parted: bool) -> TestResult {
        let to = if parted { "down" } else { "up" };
        for other in (0..3).filter(|other| *other != member) {
            let link = format!("to{other}");
            ip(&["-n", &self.space(member), "link", "set", &link, to])?;
        }
        Ok(())
    }

    fn address(&self, link: usize, end: u32) -> String {
        format!("{ADDRESSES}.{}.{end}", self.base as usize + link)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for member in 0..3 {
            // A link goes with the namespace of either end.
            ip(&["netns", "del", &self.space(member)]).ok();
        }
    }
}

fn ip(arguments: &[&str]) -> TestResult {
    let done = Command::new("ip").args(arguments).output()?;
    let said = || format!("ip {}: {}", arguments.join(" "), text(&done.stderr).trim());
    anyhow::ensure!(done.status.success(), "{}", said());
    Ok(())
}
