//! W3C trace context: `traceparent` in, a child of it inwards.
//!
//! A wrong `traceparent` is treated as none, as the recommendation says; `tracestate` is not carried on.

use std::fmt;

use uuid::Uuid;

/// A place in a trace: `00-<trace id>-<span id>-<flags>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace: u128,
    span: u64,
    flags: u8,
}

/// Sampled, as the only flag of version 00 says.
const SAMPLED: u8 = 1;

impl TraceParent {
    /// The span of a request: a child of what the caller sent, else the root of a new trace.
    #[must_use]
    pub fn of_request(header: Option<&str>, fresh: Uuid) -> Self {
        let bits = fresh.as_u128();
        // The low half of a version 7 id is its random half; its variant bits keep it from being zero.
        let span = bits as u64;
        match header.and_then(Self::parse) {
            Some(parent) => Self { span, ..parent },
            None => Self {
                trace: bits,
                span,
                flags: SAMPLED,
            },
        }
    }

    /// The trace's id alone.
    #[must_use]
    pub fn trace_id(&self) -> impl fmt::Display {
        struct Hex(u128);
        impl fmt::Display for Hex {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }
        Hex(self.trace)
    }

    /// Reads version 00 and, by its first four parts, every later version.
    fn parse(header: &str) -> Option<Self> {
        let mut parts = header.split('-');
        let version = hex(parts.next()?, 2)?;
        let trace = hex(parts.next()?, 32)?;
        let span = u64::try_from(hex(parts.next()?, 16)?).ok()?;
        let flags = u8::try_from(hex(parts.next()?, 2)?).ok()?;
        let known = version == 0 && parts.next().is_none();
        let later = version != 0 && version != 0xff;
        ((known || later) && trace != 0 && span != 0).then_some(Self {
            trace,
            span,
            flags: flags & SAMPLED,
        })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{:032x}-{:016x}-{:02x}",
            self.trace, self.span, self.flags
        )
    }
}

/// Lower case only, as the recommendation says, and exactly so many digits.
fn hex(digits: &str, length: usize) -> Option<u128> {
    let lower = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
    let exact = digits.len() == length && digits.bytes().all(lower);
    exact
        .then(|| u128::from_str_radix(digits, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_00aa);

    #[test]
    fn a_request_is_a_child_of_what_the_caller_sent() {
        let sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let child = TraceParent::of_request(Some(sent), FRESH).to_string();
        assert_eq!(
            child,
            "00-4bf92f3577b34da6a3ce929d0e0e4736-80000000000000aa-01"
        );
    }

    #[test]
    fn a_wrong_parent_begins_a_new_trace() {
        let root = TraceParent::of_request(None, FRESH);
        for wrong in [
            "",
            "00",
            "00-0-0-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::of_request(Some(wrong), FRESH), root, "{wrong}");
        }
    }
}
