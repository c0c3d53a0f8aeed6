//! Any bytes are a header's value: taking it apart never panics, and nothing is in it that was not sent.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the parsers are compiled on their own here")]
#[path = "../../../src/forms/mod.rs"]
mod forms;

use forms::header::Value;

/// Whether the bytes of `piece` stand in `text` in this order, letters in either case.
fn comes_from(piece: &[u8], text: &[u8]) -> bool {
    let mut rest = text.iter();
    piece.iter().all(|byte| rest.any(|sent| sent.eq_ignore_ascii_case(byte)))
}

fuzz_target!(|text: &[u8]| {
    let value = Value::parse(text);
    let separators = text.iter().filter(|&&byte| byte == b';').count();
    assert!(value.parameters.len() <= separators);
    assert!(!value.first.contains(&b';') || value.first.contains(&b'"'));
    assert!(comes_from(&value.first, text));
    let mut size = value.first.len();
    for (name, parameter) in &value.parameters {
        assert!(!name.contains(&b'=') && !name.iter().any(u8::is_ascii_uppercase));
        assert!(comes_from(name, text) && comes_from(parameter, text));
        assert!(value.get(name).is_some());
        // A byte of ISO-8859-1 is two in UTF-8.
        let decoded = value.get_extended(name).expect("it is there");
        assert!(decoded.len() <= 2 * text.len());
        if let Some(plain) = name.strip_suffix(b"*") {
            if let Some(decoded) = value.get_extended(plain) {
                assert!(decoded.len() <= 2 * text.len());
            }
        }
        size += name.len() + parameter.len() + 2;
    }
    assert!(size <= text.len(), "more than was sent");
});
