//! Percent-encoding, as addresses and the headers of CloudEvents in binary mode have it.

use std::borrow::Cow;

/// What is encoded; none where that is no text.
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
    fn what_is_encoded_is_decoded_and_what_is_no_text_is_not() {
        for (encoded, text) in [
            ("plain", "plain"),
            ("M%C3%BCller%201", "Müller 1"),
            ("100%20%25", "100 %"),
            ("", ""),
        ] {
            assert_eq!(decode(encoded).as_deref(), Some(text));
        }
        for bad in ["%", "%4", "%zz", "%FF"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
