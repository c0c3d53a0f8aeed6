//! `application/x-www-form-urlencoded` text, in a query string or a body, to name/value pairs.

use super::{excerpt, Error, Limits};

/// Calls `each` with the decoded name and value of each pair of `input`, until it fails.
///
/// `&` and `;` separate pairs, empty pieces are skipped, and the first `=` ends the name. A pair whose
/// value is empty is dropped unless `keep_blank_values`; a pair whose name is empty is kept. `+` is a
/// blank, and a `%` that no two hexadecimal digits follow stands for itself.
pub fn each_pair<E>(
    input: &[u8],
    keep_blank_values: bool,
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    // One pass, into a buffer for all pairs: decoding never lengthens.
    let mut buffer = vec![0; input.len()];
    let mut rest = input;
    while !rest.is_empty() {
        let mut length = 0;
        let mut equals = None;
        loop {
            let mut run = 0;
            for (place, &byte) in buffer[length..].iter_mut().zip(rest) {
                let plain = PLAIN[byte as usize];
                if plain == 0 {
                    break;
                }
                *place = plain;
                run += 1;
            }
            length += run;
            let Some((&byte, tail)) = rest[run..].split_first() else {
                rest = b"";
                break;
            };
            rest = tail;
            let decoded = match byte {
                b'&' | b';' => break,
                b'=' if equals.is_none() => {
                    equals = Some(length);
                    continue;
                }
                b'%' => match escape(tail) {
                    Some(decoded) => {
                        rest = &tail[2..];
                        decoded
                    }
                    None => byte,
                },
                _ => byte,
            };
            buffer[length] = decoded;
            length += 1;
        }
        let is_empty = length == 0 && equals.is_none();
        let (name, value) = buffer[..length].split_at(equals.unwrap_or(length));
        if !is_empty && (keep_blank_values || !value.is_empty()) {
            each(name, value)?;
        }
    }
    Ok(())
}

/// What a byte stands for by itself; 0 for those that need a closer look.
const PLAIN: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 1;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'&' | b';' | b'=' | b'%' => 0,
            b'+' => b' ',
            other => other,
        };
        byte += 1;
    }
    table
};

/// [`each_pair`] within `limits`; the form has `fields` fields already.
///
/// Decoding only ever shortens, so the size of `input` bounds what the pairs take.
pub fn each_limited_pair<E: From<Error>>(
    input: &[u8],
    keep_blank_values: bool,
    limits: Limits,
    mut fields: usize,
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    if input.len() > limits.form_size {
        return Err(Error::FormTooLarge(limits.form_size).into());
    }
    each_pair(input, keep_blank_values, |name, value| {
        fields += 1;
        if fields > limits.fields {
            return Err(Error::TooManyFields(limits.fields).into());
        }
        if name.len().max(value.len()) > limits.field_size {
            return Err(Error::FieldTooLarge {
                name: excerpt(name),
                limit: limits.field_size,
            }
            .into());
        }
        each(name, value)
    })
}

/// The byte that two hexadecimal digits at the start of `text` stand for.
#[inline]
pub fn escape(text: &[u8]) -> Option<u8> {
    let (high, low) = match text {
        [high, low, ..] => (HEX[*high as usize], HEX[*low as usize]),
        _ => return None,
    };
    (high | low < 16).then_some(high << 4 | low)
}

/// The value of a hexadecimal digit; 16 for other bytes.
const HEX: [u8; 256] = {
    let mut table = [16; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value] as usize] = value as u8;
        table[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(input: &str, keep: bool) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut found = Vec::new();
        let each = |name: &[u8], value: &[u8]| {
            found.push((text(name), text(value)));
            Ok::<(), Error>(())
        };
        each_pair(input.as_bytes(), keep, each).unwrap();
        found
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
            let mut count = 0;
            let each = |_: &[u8], _: &[u8]| {
                count += 1;
                Ok(())
            };
            each_limited_pair(input.as_bytes(), false, limits, fields, each).map(|()| count)
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
        assert_eq!(parsed("a=x%00y", false), owned(&[("a", "x\0y")]));
        assert_eq!(parsed("a=%E2%82%aC", false), owned(&[("a", "\u{20ac}")]));
        assert_eq!(
            parsed("a=%=&b=%4=", false),
            owned(&[("a", "%="), ("b", "%4=")])
        );
        assert_eq!(parsed("%=%", false), owned(&[("%", "%")]));
    }
}
