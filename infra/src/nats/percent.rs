//! Percent-encoding, as addresses and CloudEvents headers have it.

use std::borrow::Cow;
use std::fmt::Write as _;

/// What stands for itself in a header of a CloudEvent: printable ASCII but space, `"` and `%`
/// (HTTP binding of CloudEvents 1.0, section 3.1.3.2).
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'"' && byte != b'%'
}

/// Encodes whatever is not plain.
pub(super) fn encode(text: &str) -> Cow<'_, str> {
    if text.bytes().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if is_plain(byte) {
            encoded.push(char::from(byte));
        } else if write!(encoded, "%{byte:02X}").is_err() {
            // Writing to a string cannot fail.
            break;
        }
    }
    Cow::Owned(encoded)
}

/// Decodes what [`encode`] wrote, and whatever else is valid; none where that is no text.
pub(super) fn decode(encoded: &str) -> Option<Cow<'_, str>> {
    if !encoded.contains('%') {
        return Some(Cow::Borrowed(encoded));
    }
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            bytes.push((high * 16 + low) as u8);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_encoded_is_decoded_again() {
        for text in ["plain", "Müller, Jürgen", "100 %", "a\"b", "", "日本"] {
            let encoded = encode(text);
            assert!(
                encoded.bytes().all(|byte| is_plain(byte) || byte == b'%'),
                "{encoded}"
            );
            assert_eq!(decode(&encoded).as_deref(), Some(text));
        }
        assert_eq!(encode("Müller 1"), "M%C3%BCller%201");
        for bad in ["%", "%4", "%zz", "%FF"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
