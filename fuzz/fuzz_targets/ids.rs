//! Any text as an id: what is taken prints as it was written, and has no character with a meaning in
//! a message subject.

#![no_main]

use domain::{EventPosition, StreamId, Tenant, Token};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(token) = Token::new(text) {
        assert_eq!(token.as_str(), text);
        assert!(!text.contains(['.', '*', '>', ' ', '\r', '\n', '\0']));
        assert!((1..=Token::BYTES_MAX).contains(&text.len()));
    }
    if let Ok(tenant) = Tenant::new(text) {
        assert_eq!(tenant.as_str(), text);
    }
    if let Ok(stream) = text.parse::<StreamId>() {
        assert_eq!(stream.to_string(), text);
        assert_eq!(text.matches('.').count(), 2);
    }
    if let Ok(position) = text.parse::<EventPosition>() {
        assert_eq!(position.to_string().parse(), Ok(position));
    }
});
