//! The grammar of `Cookie` headers, as mod_python has always read them. (library.md 5.2.1)
//!
//! It is that of `mod_python.Cookie`, whose regular expression says it in one line and is the reference:
//! `([^;= ,][^;= ]*|,(?= *(?:[;=]|\Z))) *=? *("[^"\\]*(?:\\.[^"\\]*)*"|[^;]*)\s*;?`, found anywhere.

/// The names and values in a header, in order; names that begin with `$` are left out.
pub fn pairs(header: &[u8]) -> Pairs<'_> {
    Pairs { header, at: 0 }
}

/// See [`pairs`].
pub struct Pairs<'a> {
    header: &'a [u8],
    at: usize,
}

/// What ends a name.
fn ends_name(byte: u8) -> bool {
    matches!(byte, b';' | b'=' | b' ')
}

/// ASCII that Python's `\s` matches in text.
fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | 0x1c..=0x1f | b' ')
}

/// How long the quoted string is with which `text` begins; 0 if it has no end.
fn quoted(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' if matches!(text.get(at + 1), None | Some(b'\n')) => return 0,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    0
}

impl<'a> Pairs<'a> {
    /// How many bytes from `at` on satisfy the test.
    #[inline]
    fn run(&self, at: usize, test: impl Fn(u8) -> bool) -> usize {
        self.header[at..]
            .iter()
            .position(|byte| !test(*byte))
            .unwrap_or(self.header.len() - at)
    }

    /// The next name as a range; `None` at the end.
    #[inline]
    fn name(&self) -> Option<(usize, usize)> {
        let mut at = self.at;
        while at < self.header.len() {
            let start = at + self.run(at, |byte| matches!(byte, b' ' | b','));
            let length = self.run(start, |byte| !ends_name(byte));
            if length > 0 {
                return Some((start, start + length));
            }
            // Nothing but blanks and commas: the last comma is a name.
            if let Some(comma) = self.header[at..start].iter().rposition(|b| *b == b',') {
                return Some((at + comma, at + comma + 1));
            }
            at = start + 1;
        }
        None
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (start, end) = self.name()?;
            let mut at = end + self.run(end, |byte| byte == b' ');
            if self.header.get(at) == Some(&b'=') {
                at += 1;
                at += self.run(at, |byte| byte == b' ');
            }
            let mut length = match self.header.get(at) {
                Some(b'"') => quoted(&self.header[at..]),
                _ => 0,
            };
            let mut rest = at + length;
            if length > 0 {
                rest += self.run(rest, is_space);
            } else {
                length = self.run(at, |byte| byte != b';');
                rest = at + length;
            }
            self.at = rest + usize::from(self.header.get(rest) == Some(&b';'));
            let name = &self.header[start..end];
            if name[0] != b'$' {
                return Some((name, &self.header[at..at + length]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::pairs;

    fn found(header: &str) -> Vec<(&str, &str)> {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        pairs(header.as_bytes())
            .map(|(name, value)| (text(name), text(value)))
            .collect()
    }

    #[test]
    fn what_browsers_send() {
        assert_eq!(found(""), []);
        assert_eq!(found("a=b"), [("a", "b")]);
        assert_eq!(found("a=b; c=d; e="), [("a", "b"), ("c", "d"), ("e", "")]);
        assert_eq!(found("$Version=1; a=b; $Path=/"), [("a", "b")]);
    }

    #[test]
    fn what_nobody_should_send() {
        assert_eq!(found("=v"), [("v", "")]);
        assert_eq!(found("a=b c=d"), [("a", "b c=d")]);
        assert_eq!(found("a b=c"), [("a", "b=c")]);
        assert_eq!(found("  a  =  b  ;,c"), [("a", "b  "), ("c", "")]);
        assert_eq!(found("a==b;;c;"), [("a", "=b"), ("c", "")]);
        assert_eq!(found(", ,;x"), [(",", ""), ("x", "")]);
        assert_eq!(found(", ;x"), [(",", ""), ("x", "")]);
        assert_eq!(found(" ; ; ="), []);
    }

    #[test]
    fn quotes() {
        assert_eq!(
            found(r#"a="x;y\"z"; b=2"#),
            [("a", r#""x;y\"z""#), ("b", "2")]
        );
        assert_eq!(found("a=\"1\"\t b=2"), [("a", "\"1\""), ("b", "2")]);
        assert_eq!(found("a=\"x"), [("a", "\"x")]);
        assert_eq!(found("a=\"x\\"), [("a", "\"x\\")]);
        assert_eq!(found("a=\"x\\\n;b\""), [("a", "\"x\\\n"), ("b\"", "")]);
    }
}
