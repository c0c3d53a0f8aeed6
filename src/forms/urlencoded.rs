//! `application/x-www-form-urlencoded` text, in a query string or a body, to name/value pairs.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use super::{excerpt, Error, Limits};

/// Iterates over the pairs of `input` with `+` and `%xx` decoded.
///
/// `&` and `;` separate pairs, empty pieces are skipped, and the first `=` ends the name. A pair whose
/// value is empty is dropped unless `keep_blank_values`; a pair whose name is empty is kept. A `%` that
/// no two hexadecimal digits follow stands for itself.
pub fn pairs(input: &[u8], keep_blank_values: bool) -> Pairs<'_> {
    Pairs {
        rest: Some(input),
        keep_blank_values,
    }
}

/// The iterator [`pairs`] returns.
#[derive(Debug, Clone)]
pub struct Pairs<'a> {
    rest: Option<&'a [u8]>,
    keep_blank_values: bool,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Pair<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(rest) = self.rest {
            let piece = match memchr2(b'&', b';', rest) {
                Some(at) => {
                    self.rest = Some(&rest[at + 1..]);
                    &rest[..at]
                }
                None => {
                    self.rest = None;
                    rest
                }
            };
            if piece.is_empty() {
                continue;
            }
            let (name, value) = match memchr(b'=', piece) {
                Some(at) => (&piece[..at], &piece[at + 1..]),
                None => (piece, &b""[..]),
            };
            if value.is_empty() && !self.keep_blank_values {
                continue;
            }
            return Some((unescape(name), unescape(value)));
        }
        None
    }
}

/// [`pairs`] within `limits`; the form has `fields` fields already.
///
/// Decoding only ever shortens, so the size of `input` bounds what the pairs take.
pub fn limited_pairs(
    input: &[u8],
    keep_blank_values: bool,
    limits: Limits,
    fields: usize,
) -> impl Iterator<Item = Result<Pair<'_>, Error>> {
    let mut fields = fields;
    let fits = input.len() <= limits.form_size;
    let refusal = (!fits).then_some(Err(Error::FormTooLarge(limits.form_size)));
    let pairs = pairs(if fits { input } else { b"" }, keep_blank_values);
    refusal.into_iter().chain(pairs.map(move |(name, value)| {
        fields += 1;
        if fields > limits.fields {
            return Err(Error::TooManyFields(limits.fields));
        }
        if name.len().max(value.len()) > limits.field_size {
            return Err(Error::FieldTooLarge {
                name: excerpt(&name),
                limit: limits.field_size,
            });
        }
        Ok((name, value))
    }))
}

/// A decoded name and its decoded value.
pub type Pair<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// Decodes `+` and `%xx`; borrows when there is nothing to decode.
pub fn unescape(input: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr2(b'+', b'%', input) else {
        return Cow::Borrowed(input);
    };
    let mut out = Vec::with_capacity(input.len());
    out.extend_from_slice(&input[..first]);
    let mut rest = &input[first..];
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'+' => out.push(b' '),
            b'%' => match tail {
                [high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    out.push(nibble(*high) << 4 | nibble(*low));
                    rest = after;
                }
                _ => out.push(b'%'),
            },
            _ => out.push(byte),
        }
    }
    Cow::Owned(out)
}

/// The value of an ASCII hexadecimal digit.
fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(input: &str, keep: bool) -> Vec<(String, String)> {
        pairs(input.as_bytes(), keep)
            .map(|(name, value)| {
                (
                    String::from_utf8_lossy(&name).into_owned(),
                    String::from_utf8_lossy(&value).into_owned(),
                )
            })
            .collect()
    }

    fn owned(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect()
    }

    #[test]
    fn short_names_keep_their_name() {
        assert_eq!(parsed("id=42", false), owned(&[("id", "42")]));
        assert_eq!(parsed("a=1", false), owned(&[("a", "1")]));
    }

    #[test]
    fn both_separators_and_empty_pieces() {
        assert_eq!(
            parsed("a=1;b=2&&;c=3&", false),
            owned(&[("a", "1"), ("b", "2"), ("c", "3")])
        );
        assert_eq!(parsed("", true), owned(&[]));
        assert_eq!(parsed("&;&", true), owned(&[]));
    }

    #[test]
    fn blank_values_and_names() {
        assert_eq!(parsed("a&b=&=c&=", false), owned(&[("", "c")]));
        assert_eq!(
            parsed("a&b=&=c&=", true),
            owned(&[("a", ""), ("b", ""), ("", "c"), ("", "")])
        );
    }

    #[test]
    fn first_equals_sign_splits() {
        assert_eq!(parsed("a=b=c", false), owned(&[("a", "b=c")]));
    }

    #[test]
    fn limits() {
        let limits = Limits {
            fields: 2,
            field_size: 5,
            form_size: 20,
            ..Limits::default()
        };
        let parse = |input: &str, fields| {
            limited_pairs(input.as_bytes(), false, limits, fields)
                .collect::<Result<Vec<_>, _>>()
                .map(|pairs| pairs.len())
        };
        assert_eq!(parse("a=1&b=2", 0), Ok(2));
        assert_eq!(parse("a=1&b=2", 1), Err(Error::TooManyFields(2)));
        assert_eq!(parse("a=1&b=2&c=3", 0), Err(Error::TooManyFields(2)));
        assert_eq!(parse("a=%31%31%31%31%31", 0), Ok(1));
        let error = Error::FieldTooLarge {
            name: "a".into(),
            limit: 5,
        };
        assert_eq!(parse("a=123456", 0), Err(error));
        assert!(matches!(
            parse("abcdef=1", 0),
            Err(Error::FieldTooLarge { .. })
        ));
        assert_eq!(parse(&"&".repeat(21), 0), Err(Error::FormTooLarge(20)));
    }

    #[test]
    fn escapes() {
        assert_eq!(parsed("a%3D=%26+%2b", false), owned(&[("a=", "& +")]));
        assert_eq!(parsed("a=%zz%2%", false), owned(&[("a", "%zz%2%")]));
        assert_eq!(parsed("a=%%41", false), owned(&[("a", "%A")]));
        assert_eq!(unescape(b"x%00y").as_ref(), b"x\0y");
        assert_eq!(unescape(b"%E9%fF").as_ref(), b"\xe9\xff");
        assert!(matches!(unescape(b"plain"), Cow::Borrowed(_)));
    }
}
