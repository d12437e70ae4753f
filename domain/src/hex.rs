//! Bytes that are written as hexadecimal digits, two a byte, in lower case.

/// A text that is not the hexadecimal form of so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be `{0}` hexadecimal bytes")]
pub struct InvalidHex(pub(crate) usize);

/// A SHA-256.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256(pub [u8; 32]);

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signature(pub [u8; 64]);

/// Writes `bytes` into `digits`, which has room for two a byte. Every commit has several of them, and
/// formatting one byte after the other cost a fiftieth of the program's work.
pub(crate) fn written<'a>(bytes: &[u8], digits: &'a mut [u8]) -> &'a str {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(digits.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 0xf)];
    }
    std::str::from_utf8(digits).expect("digits are ASCII")
}

/// Gives a tuple of bytes its text and its JSON.
macro_rules! hexadecimal {
    ($type:ident, $bytes:literal) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut digits = [0; 2 * $bytes];
                f.write_str($crate::hex::written(&self.0, &mut digits))
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::hex::InvalidHex;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let digits = text.as_bytes();
                if digits.len() != 2 * $bytes {
                    return Err($crate::hex::InvalidHex($bytes));
                }
                let mut bytes = [0; $bytes];
                for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
                    let digit = |c: u8| {
                        char::from(c)
                            .to_digit(16)
                            .ok_or($crate::hex::InvalidHex($bytes))
                    };
                    *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
                }
                Ok(Self(bytes))
            }
        }

        impl TryFrom<String> for $type {
            type Error = $crate::hex::InvalidHex;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(bytes: $type) -> Self {
                bytes.to_string()
            }
        }
    };
}

pub(crate) use hexadecimal;

hexadecimal!(Sha256, 32);
hexadecimal!(Signature, 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_nothing_else_is() {
        let hash = Sha256([0xa7; 32]);
        assert_eq!(hash.to_string().parse(), Ok(hash));
        for bad in [
            "",
            "a7",
            &"g7".repeat(32),
            &"a7".repeat(33),
            &"ä".repeat(32),
        ] {
            assert_eq!(bad.parse::<Sha256>(), Err(InvalidHex(32)), "{bad}");
        }
    }
}
