//! Any bytes are a Cookie header: the parser never panics, and what it finds stands in the header in order.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the parser is compiled on its own here")]
#[path = "../../../src/cookies.rs"]
mod cookies;

fuzz_target!(|header: &[u8]| {
    let mut last = header.as_ptr() as usize;
    let end = last + header.len();
    for (name, value) in cookies::pairs(header) {
        assert!(!name.is_empty() && !name.starts_with(b"$"));
        for text in [name, value] {
            let at = text.as_ptr() as usize;
            assert!(text.is_empty() || (last <= at && at + text.len() <= end), "out of order");
            last = last.max(at);
        }
    }
});
