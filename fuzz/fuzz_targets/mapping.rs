//! Any text as a mapping: read or refused, never a panic.

#![no_main]

use ledgerline_fuzz::import::mapping::Mapping;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|yaml: &str| {
    if let Err(error) = Mapping::from_yaml(yaml) {
        assert!(!error.to_string().is_empty());
    }
});
