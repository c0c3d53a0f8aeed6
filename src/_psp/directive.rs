//! What stands between `<%@` and `%>`: the file to include, and the attributes of a `page` directive.

/// How `<%= %>` writes its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Escape {
    /// As it is: the value's text may be markup. mod_python's only way, hence the default.
    #[default]
    Off,
    /// With `& < > " '` replaced by entities.
    Html,
}

impl Escape {
    /// The value of `escape="..."`, if it is one.
    pub fn parse(value: &str) -> Option<Escape> {
        match value {
            "html" => Some(Escape::Html),
            "none" => Some(Escape::Off),
            _ => None,
        }
    }
}

/// What `<%@ page ... %>` says about its own file; unset is `None`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    pub encoding: Option<String>,
    pub escape: Option<Escape>,
}

/// A `page` directive that cannot be meant as it is written: the byte it starts at, and why.
#[derive(Debug, PartialEq, Eq)]
pub struct BadDirective {
    pub at: usize,
    pub message: String,
}

/// Collects the `page` directives of one file; of an attribute given twice the last counts.
///
/// Works on bytes because the file's encoding is one of the answers: all it relies on is that the
/// encoding keeps ASCII, as every one does that the original could have been fed.
pub fn attributes(text: &[u8]) -> Result<Attributes, BadDirective> {
    let mut found = Attributes::default();
    let mut at = 0;
    while let Some(start) = find(text, at, b"<%") {
        let rest = &text[start + 2..];
        // Comments and code blocks are skipped as the parser skips them: a directive quoted in one is none.
        let (skip, end) = match rest {
            [b'-', b'-', ..] => (4, b"--%>".as_slice()),
            _ => (2, b"%>".as_slice()),
        };
        let Some(close) = find(text, start + skip, end) else {
            break;
        };
        if let [b'@', body @ ..] = &text[start + 2..close] {
            page(body, &mut found).map_err(|message| BadDirective { at: start, message })?;
        }
        at = close + end.len();
    }
    Ok(found)
}

/// Reads the body of one directive; those other than `page`, and unknown attributes, mean nothing here.
fn page(body: &[u8], found: &mut Attributes) -> Result<(), String> {
    let mut words = Words { rest: body };
    if words.next() != Some(b"page") {
        return Ok(());
    }
    while let Some(name) = words.next() {
        if name != b"encoding" && name != b"escape" {
            continue;
        }
        let name = String::from_utf8_lossy(name);
        let value = match (words.next(), words.next()) {
            (Some(b"="), Some(value)) if value != b"=" => String::from_utf8_lossy(value),
            _ => return Err(format!("{name} needs a value, as in {name}=\"...\"")),
        };
        if name == "encoding" {
            found.encoding = Some(value.into_owned());
        } else {
            let escape = Escape::parse(&value);
            found.escape = Some(escape.ok_or_else(|| {
                format!("escape=\"{value}\" is not known: it can be \"html\" or \"none\"")
            })?);
        }
    }
    Ok(())
}

/// The words of a directive: `=` is one by itself, and what is in quotes is one without them.
struct Words<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.trim_ascii_start();
        let (word, after) = match rest.first()? {
            b'=' => rest.split_at(1),
            quote @ (b'"' | b'\'') => {
                let inner = &rest[1..];
                let end = inner.iter().position(|byte| byte == quote);
                let (word, after) = inner.split_at(end.unwrap_or(inner.len()));
                (word, after.get(1..).unwrap_or_default())
            }
            _ => {
                let ends = |byte: &u8| byte.is_ascii_whitespace() || b"=\"'".contains(byte);
                rest.split_at(rest.iter().position(ends).unwrap_or(rest.len()))
            }
        };
        self.rest = after;
        Some(word)
    }
}

/// An `include` that starts `text`: the file's name, and how many bytes it takes up.
///
/// The original's blanks are kept to the letter: one or more spaces after `include`, at most one on
/// each side of the `=`, double quotes, a name without spaces. Anything else is not an include.
pub fn include(text: &str) -> Option<(&str, usize)> {
    let rest = text.strip_prefix("include ")?.trim_start_matches(' ');
    let rest = rest.strip_prefix("file")?;
    let rest = rest.strip_prefix(' ').unwrap_or(rest).strip_prefix('=')?;
    let rest = rest.strip_prefix(' ').unwrap_or(rest).strip_prefix('"')?;
    let name = &rest[..rest.find(['"', ' '])?];
    let after = rest[name.len()..].strip_prefix('"')?;
    (!name.is_empty()).then_some((name, text.len() - after.len()))
}

/// Where `needle` next starts in `text`, from `from` on.
fn find(text: &[u8], from: usize, needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(text.get(from..)?, needle).map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn include_is_strict_about_blanks() {
        for text in [
            r#"include file="a.psp" %>"#,
            r#"include   file="a.psp""#,
            r#"include file = "a.psp" x"#,
        ] {
            assert_eq!(include(text).map(|found| found.0), Some("a.psp"), "{text}");
        }
        for text in [
            r#"include file  ="a""#,
            r#"include file=  "a""#,
            "include\tfile=\"a\"",
            r#"include file="a b""#,
            r#"include file="""#,
            r#"include file='a'"#,
            r#"include file="a"#,
            r#"includefile="a""#,
            "",
        ] {
            assert_eq!(include(text), None, "{text}");
        }
    }

    #[test]
    fn an_include_name_ends_at_its_quote() {
        let text = r#"include file="a"%><a href="b">"#;
        assert_eq!(include(text), Some(("a", 16)));
    }

    #[test]
    fn page_attributes_in_any_quotes() {
        let found =
            attributes(b"x<%@ page encoding='latin-1' language=x escape = html %>y").unwrap();
        assert_eq!(found.encoding.as_deref(), Some("latin-1"));
        assert_eq!(found.escape, Some(Escape::Html));
        let last = attributes(b"<%@page escape=\"html\"%><%@page escape=\"none\"%>").unwrap();
        assert_eq!(last.escape, Some(Escape::Off));
    }

    #[test]
    fn only_directives_count() {
        for text in [
            b"page escape=\"html\"".as_slice(),
            b"<% \"<%@ page escape='html'\" %>",
            b"<%-- <%@ page escape=\"html\" %> --%>",
            b"<%@ include page escape=\"html\" %>",
            b"<%@ pages escape=\"html\" %>",
            b"<%@ page escape=\"html\"",
            b"<%@",
            b"<%",
        ] {
            assert_eq!(attributes(text), Ok(Attributes::default()));
        }
    }

    #[test]
    fn a_setting_that_would_be_lost_is_an_error() {
        assert_eq!(attributes(b"ab<%@ page escape %>").unwrap_err().at, 2);
        let error = attributes(b"<%@ page escape=\"hmtl\" %>").unwrap_err();
        assert!(error.message.contains("hmtl"), "{}", error.message);
        assert!(attributes(b"<%@ page encoding= %>").is_err());
    }
}
