//! Origins: from which pages a browser may open a stream.
//!
//! A browser lets any page open a WebSocket to any address, and says which page it was. Programs send
//! no `Origin`, and nothing is asked of them.

use std::str::FromStr;

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::{Authority, Scheme, Uri};

use crate::problem::ApiError;

/// How many origins may be named: they are looked through one by one.
const ORIGINS_MAX: usize = 100;

/// The origins that are taken beside the server's own.
#[derive(Debug, Clone, Default)]
pub struct AllowedOrigins(Vec<Origin>);

/// The scheme, host and port of a page, as a browser writes them (RFC 6454).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    scheme: Scheme,
    authority: Authority,
}

/// A text that is no list of origins.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOrigin {
    /// One of them is none.
    #[error("`{0}` is no origin, as `https://jobs.example.org`")]
    Form(String),
    /// More than the limit.
    #[error("there are more than `{ORIGINS_MAX}` origins")]
    TooMany,
}

impl AllowedOrigins {
    /// These origins, each as `https://jobs.example.org` or `http://localhost:3000`.
    ///
    /// # Errors
    /// When one of them is no origin, or there are too many.
    pub fn new(origins: &[String]) -> Result<Self, InvalidOrigin> {
        if origins.len() > ORIGINS_MAX {
            return Err(InvalidOrigin::TooMany);
        }
        let parse = |text: &String| text.parse().map_err(|_| InvalidOrigin::Form(text.clone()));
        Ok(Self(origins.iter().map(parse).collect::<Result<_, _>>()?))
    }

    /// Whether the page that the request comes from may open a stream: it is the server's own, or one of
    /// these. A request of no page may.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let Some(sent) = headers.get(ORIGIN) else {
            return Ok(());
        };
        let refused = ApiError::Forbidden("page of this origin may not open a stream");
        let origin = sent.to_str().ok().and_then(|text| text.parse().ok());
        let Some(origin): Option<Origin> = origin else {
            return Err(refused);
        };
        // A browser leaves out the scheme's own port in both headers.
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let is_own = |host: &str| origin.authority.as_str().eq_ignore_ascii_case(host);
        if host.is_some_and(is_own) || self.0.contains(&origin) {
            Ok(())
        } else {
            Err(refused)
        }
    }
}

impl FromStr for Origin {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        // The parser of addresses puts a path behind each; an origin has none.
        let is_bare = text.matches('/').count() == 2;
        let parts = text.parse::<Uri>().map_err(|_| ())?.into_parts();
        let scheme = parts
            .scheme
            .filter(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
        let authority = parts
            .authority
            .filter(|authority| !authority.as_str().contains('@'));
        match (scheme, authority) {
            (Some(scheme), Some(authority)) if is_bare => Ok(Self { scheme, authority }),
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_taken(allowed: &[&str], host: &str, origin: Option<&str>) -> bool {
        let allowed: Vec<_> = allowed.iter().map(|origin| (*origin).to_owned()).collect();
        let allowed = AllowedOrigins::new(&allowed).expect("origins");
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().expect("ASCII"));
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().expect("ASCII"));
        }
        allowed.check(&headers).is_ok()
    }

    #[test]
    fn a_page_of_the_server_itself_and_a_program_may_open_a_stream() {
        for origin in [
            None,
            Some("http://jobs.test:8080"),
            Some("https://JOBS.test:8080"),
        ] {
            assert!(is_taken(&[], "jobs.test:8080", origin), "{origin:?}");
        }
    }

    #[test]
    fn another_page_may_only_where_it_is_named_exactly() {
        let allowed = ["https://board.test", "http://localhost:3000"];
        for origin in [
            "https://board.test",
            "https://BOARD.test",
            "http://localhost:3000",
        ] {
            assert!(is_taken(&allowed, "jobs.test", Some(origin)), "{origin}");
        }
        for origin in [
            "null",
            "",
            "http://board.test",
            "https://board.test:444",
            "https://board.test.evil.test",
            "https://jobs.test.evil.test",
            "https://jobs.test@evil.test",
            "https://board.test/",
            "jobs.test",
            "file://jobs.test",
        ] {
            assert!(!is_taken(&allowed, "jobs.test", Some(origin)), "{origin}");
        }
    }

    #[test]
    fn a_list_has_nothing_but_origins() {
        for bad in ["*", "board.test", "https://board.test/x", "https://a@b", ""] {
            assert!(AllowedOrigins::new(&[bad.to_owned()]).is_err(), "{bad}");
        }
        let many = vec!["https://board.test".to_owned(); ORIGINS_MAX + 1];
        assert_eq!(
            AllowedOrigins::new(&many).err(),
            Some(InvalidOrigin::TooMany)
        );
    }
}
