//! Any bytes are the text of a directive: reading it never panics, and what is found in it stands in it.

#![no_main]

use std::ffi::CStr;

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the parsers are compiled on their own here")]
#[path = "../../../src/config/argument.rs"]
mod argument;

fn is_part(piece: &[u8], text: &[u8]) -> bool {
    let range = text.as_ptr_range();
    range.contains(&piece.as_ptr()) && piece.as_ptr_range().end <= range.end
}

fuzz_target!(|text: &[u8]| {
    let parsed = argument::parse(text);
    for handler in parsed.handlers() {
        assert!(is_part(handler, text) && !handler.contains(&b'|'));
        assert!(!handler.iter().any(u8::is_ascii_whitespace));
    }
    for suffix in parsed.suffixes() {
        assert!(parsed.has_bar && is_part(suffix, text));
        assert!(!suffix.iter().any(u8::is_ascii_whitespace));
    }

    let mut size = 0;
    let mut count = 0;
    for word in argument::words(text) {
        assert!(!word.is_empty() || text.contains(&b'"') || text.contains(&b'\''));
        size += word.len();
        count += 1;
    }
    assert!(size <= text.len() && count <= text.len(), "more than was written");

    let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
    let line = [&text[..end], b"\0"].concat();
    let line = CStr::from_bytes_with_nul(&line).expect("it ends at its first NUL");
    if let Some(suffix) = argument::suffix(Some(line)) {
        assert!(line.to_bytes().ends_with(suffix) && !suffix.contains(&b'/'));
        assert!(suffix.is_empty() || suffix[0] == b'.');
    }
    if let Some(milliseconds) = argument::seconds(line) {
        // A century, and something.
        assert!(milliseconds <= 3_200_000_000_000);
    }
    if let Some(bytes) = argument::bytes(line) {
        let text = line.to_str().expect("digits and a letter");
        let digits = text.trim_start_matches('+').trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let number: u64 = digits.parse().expect("a number");
        assert!(bytes >= number);
    }
});
