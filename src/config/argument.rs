//! What the texts of directives say: lists of handlers, words with quotes, seconds, sizes.
//!
//! Plain text in, plain values out: nothing of httpd's, so that it can be fuzzed on its own.

use std::ffi::CStr;

/// What a directive's raw argument says.
#[derive(Clone, Copy)]
pub struct Parsed<'a> {
    left: &'a [u8],
    right: &'a [u8],
    /// Whether there was a `|` at all.
    pub has_bar: bool,
}

impl<'a> Parsed<'a> {
    /// The handlers, in order.
    pub fn handlers(&self) -> impl Iterator<Item = &'a [u8]> + Clone {
        unquoted(self.left)
    }

    /// The suffixes the list counts for; none where it counts for every file.
    pub fn suffixes(&self) -> impl Iterator<Item = &'a [u8]> {
        unquoted(self.right)
    }
}

fn unquoted(text: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    text.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

/// Splits a raw argument; quotes mean nothing here.
pub fn parse(raw: &[u8]) -> Parsed<'_> {
    match memchr::memchr(b'|', raw) {
        Some(at) => Parsed {
            left: &raw[..at],
            right: &raw[at + 1..],
            has_bar: true,
        },
        None => Parsed {
            left: raw,
            right: &[],
            has_bar: false,
        },
    }
}

/// The suffix of a file name: all after the first dot of its last part, with the dot.
///
/// `None` without a file name; `Some("")` where the base name has no dot, or only dots behind it.
#[inline]
pub fn suffix(filename: Option<&CStr>) -> Option<&[u8]> {
    let filename = filename?.to_bytes();
    let base = memchr::memrchr(b'/', filename).map_or(filename, |slash| &filename[slash + 1..]);
    let suffix = memchr::memchr(b'.', base).map_or(&base[base.len()..], |dot| &base[dot..]);
    Some(match suffix.iter().all(|&c| c == b'.') {
        true => &suffix[suffix.len()..],
        false => suffix,
    })
}

/// The words of a line, as httpd splits directives.
pub fn words(text: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    Words(text)
}

/// Words as httpd's `ap_getword_conf` splits them: quotes group, a backslash escapes a quote.
struct Words<'a>(&'a [u8]);

impl Iterator for Words<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let text = self.0.trim_ascii_start();
        let &first = text.first()?;
        if first == b'"' || first == b'\'' {
            let mut word = Vec::new();
            let mut at = 1;
            while at < text.len() && text[at] != first {
                if text[at] == b'\\'
                    && matches!(text.get(at + 1), Some(next) if *next == first || *next == b'\\')
                {
                    at += 1;
                }
                word.push(text[at]);
                at += 1;
            }
            self.0 = text.get(at + 1..).unwrap_or_default();
            return Some(word);
        }
        let end = text
            .iter()
            .position(u8::is_ascii_whitespace)
            .unwrap_or(text.len());
        self.0 = &text[end..];
        Some(text[..end].to_vec())
    }
}

/// Seconds, with a fraction if need be, as milliseconds.
pub fn seconds(text: &CStr) -> Option<u64> {
    let seconds: f64 = text.to_str().ok()?.parse().ok()?;
    // A century is enough, and what is more may be no number at all.
    (0.0..=3.2e9)
        .contains(&seconds)
        .then(|| (seconds * 1000.0).round() as u64)
}

/// Bytes, with K, M or G if need be.
pub fn bytes(text: &CStr) -> Option<u64> {
    let text = text.to_str().ok()?;
    let (digits, unit) = match text.as_bytes().last()?.to_ascii_uppercase() {
        b'K' => (&text[..text.len() - 1], 1 << 10),
        b'M' => (&text[..text.len() - 1], 1 << 20),
        b'G' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1u64),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_handlers_and_suffixes() {
        let handlers = |raw| parse(raw).handlers().collect::<Vec<_>>();
        let suffixes = |raw| parse(raw).suffixes().collect::<Vec<_>>();
        assert_eq!(handlers(b"a b::c  | .py .html"), [&b"a"[..], b"b::c"]);
        assert_eq!(suffixes(b"a b::c  | .py .html"), [&b".py"[..], b".html"]);
        assert!(suffixes(b"foo |").is_empty());
        assert!(parse(b"foo |").has_bar);
        assert!(handlers(b" | .py").is_empty());
        assert_eq!(handlers(br#""a b""#), [&br#""a"#[..], br#"b""#]);
    }

    #[test]
    fn suffix_begins_at_the_first_dot_of_the_base_name() {
        let of = |name: &'static CStr| suffix(Some(name)).map(|s| s.to_vec());
        assert_eq!(of(c"/x/y.tar.gz"), Some(b".tar.gz".to_vec()));
        assert_eq!(of(c"/x.d/y"), Some(Vec::new()));
        assert_eq!(of(c"a.b.py"), Some(b".b.py".to_vec()));
        assert_eq!(of(c"/x/a."), Some(Vec::new()));
        assert_eq!(of(c"a.."), Some(Vec::new()));
        assert_eq!(of(c"a.y."), Some(b".y.".to_vec()));
        assert_eq!(suffix(None), None);
    }

    #[test]
    fn seconds_may_have_a_fraction() {
        assert_eq!(seconds(c"30"), Some(30_000));
        assert_eq!(seconds(c"0.25"), Some(250));
        assert_eq!(seconds(c"0"), Some(0));
        for wrong in [c"-1", c"", c"nan", c"inf", c"1s", c"1e30"] {
            assert_eq!(seconds(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes(c"0"), Some(0));
        assert_eq!(bytes(c"1500"), Some(1500));
        assert_eq!(bytes(c"2k"), Some(2048));
        assert_eq!(bytes(c"3M"), Some(3 << 20));
        assert_eq!(bytes(c"1G"), Some(1 << 30));
        for wrong in [c"", c"M", c"-1", c"1T", c"99999999999G", c"1.5M"] {
            assert_eq!(bytes(wrong), None, "{wrong:?}");
        }
    }
}
