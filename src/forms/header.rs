//! The value of a `Content-Type` or `Content-Disposition` header, with its parameters.

/// A header value such as `form-data; name="a"`, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Value {
    /// What stands before the first `;`, in lower case.
    pub first: Vec<u8>,
    /// The parameters in order; names in lower case, values unquoted.
    pub parameters: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Value {
    /// Takes `text` apart.
    ///
    /// A `;` inside a quoted string does not separate. Of the backslash escapes only `\"` is one: browsers
    /// send a Windows path with its backslashes as they are.
    pub fn parse(text: &[u8]) -> Value {
        let mut pieces = split_unquoted(text).into_iter();
        let first = pieces.next().unwrap_or_default().trim_ascii();
        let mut parameters = Vec::new();
        for piece in pieces {
            let piece = piece.trim_ascii();
            let Some(at) = memchr::memchr(b'=', piece) else {
                continue;
            };
            parameters.push((
                piece[..at].trim_ascii().to_ascii_lowercase(),
                unquote(piece[at + 1..].trim_ascii()),
            ));
        }
        Value {
            first: first.to_ascii_lowercase(),
            parameters,
        }
    }

    /// The parameter called `name`; of several the last.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.parameters
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_slice())
    }

    /// The parameter `name`, or its extended form `name*=charset'language'text` (RFC 5987) in UTF-8.
    pub fn get_extended(&self, name: &[u8]) -> Option<Vec<u8>> {
        if let Some(plain) = self.get(name) {
            return Some(plain.to_vec());
        }
        let extended = self.get(&[name, b"*"].concat())?;
        let mut parts = extended.splitn(3, |&byte| byte == b'\'');
        let charset = parts.next()?.to_ascii_lowercase();
        let text = parts.nth(1)?;
        let text = percent_decoded(text);
        match charset.as_slice() {
            b"iso-8859-1" => Some(
                text.iter()
                    .map(|&byte| byte as char)
                    .collect::<String>()
                    .into(),
            ),
            _ => Some(text),
        }
    }
}

/// Splits at each `;` outside quoted strings.
fn split_unquoted(text: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, &byte) in text.iter().enumerate() {
        match byte {
            b'"' if !escaped => quoted = !quoted,
            b';' if !quoted => {
                pieces.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        escaped = quoted && byte == b'\\';
    }
    if quoted {
        // A quote that never closes cannot protect the semicolons after it.
        let mut rest = text[start..].split(|&byte| byte == b';');
        pieces.extend(&mut rest);
    } else {
        pieces.push(&text[start..]);
    }
    pieces
}

/// Takes surrounding double quotes off, and the backslash of each `\"` inside them.
fn unquote(value: &[u8]) -> Vec<u8> {
    let Some(inner) = value
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
    else {
        return value.to_vec();
    };
    let mut out = Vec::with_capacity(inner.len());
    for (at, &byte) in inner.iter().enumerate() {
        if byte == b'\\' && inner.get(at + 1) == Some(&b'"') {
            continue;
        }
        out.push(byte);
    }
    out
}

/// Decodes `%xx`.
fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        match super::urlencoded::escape(tail).filter(|_| byte == b'%') {
            Some(decoded) => {
                out.push(decoded);
                rest = &tail[2..];
            }
            None => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(text: &str, name: &str) -> Option<String> {
        Value::parse(text.as_bytes())
            .get_extended(name.as_bytes())
            .map(|value| String::from_utf8(value).unwrap())
    }

    #[test]
    fn first_item_is_lower_case() {
        let value = Value::parse(b" Form-Data; Name=\"A\"");
        assert_eq!(value.first, b"form-data");
        assert_eq!(value.get(b"name"), Some(&b"A"[..]));
    }

    #[test]
    fn quoted_semicolons_do_not_separate() {
        assert_eq!(get("x; name=\"a;b\"; y=z", "name").unwrap(), "a;b");
        assert_eq!(get("x; name=\"a;b\"; y=z", "y").unwrap(), "z");
    }

    #[test]
    fn an_open_quote_is_an_ordinary_character() {
        assert_eq!(get("x; name=\"a;b=c", "name").unwrap(), "\"a");
        assert_eq!(get("x; name=\"a;b=c", "b").unwrap(), "c");
    }

    #[test]
    fn backslashes() {
        assert_eq!(
            get(r#"x; filename="C:\dir\\a\"b.txt""#, "filename").unwrap(),
            r#"C:\dir\\a"b.txt"#
        );
    }

    #[test]
    fn extended_parameters() {
        assert_eq!(
            get("x; filename*=UTF-8''%e2%82%ac+rates", "filename").unwrap(),
            "€+rates"
        );
        assert_eq!(
            get("x; filename*=iso-8859-1'en'%A3", "filename").unwrap(),
            "£"
        );
        assert_eq!(get("x; filename*=broken", "filename"), None);
        assert_eq!(
            get("x; filename*=utf-8''b; filename=a", "filename").unwrap(),
            "a"
        );
    }

    #[test]
    fn parameters_without_a_value_are_skipped() {
        assert_eq!(
            Value::parse(b"x; y; z=").parameters,
            [(b"z".to_vec(), vec![])]
        );
        assert_eq!(Value::parse(b"").first, b"");
    }
}
