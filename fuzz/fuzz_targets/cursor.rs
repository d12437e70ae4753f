//! Any text as a cursor: what is read is written the same way again.

#![no_main]

use ledgerline_fuzz::cursor::Cursor;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(cursor) = Cursor::decode(text) {
        let again = Cursor::decode(&cursor.encode());
        assert_eq!(again, Ok(cursor));
    }
});
