//! Text made safe to stand in HTML, between tags or in a quoted attribute.

use std::borrow::Cow;

/// Replaces `& < > " '` by the entities that Python's `html.escape` writes; borrows if there are none.
pub fn html(text: &str) -> Cow<'_, str> {
    let Some(first) = text.bytes().position(|byte| entity(byte).is_some()) else {
        return Cow::Borrowed(text);
    };
    let mut safe = String::with_capacity(text.len() + text.len() / 8 + 8);
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate().skip(first) {
        if let Some(entity) = entity(byte) {
            safe.push_str(&text[copied..at]);
            safe.push_str(entity);
            copied = at + 1;
        }
    }
    safe.push_str(&text[copied..]);
    Cow::Owned(safe)
}

fn entity(byte: u8) -> Option<&'static str> {
    match byte {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'>' => Some("&gt;"),
        b'"' => Some("&quot;"),
        b'\'' => Some("&#x27;"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_five_are_replaced() {
        assert!(matches!(html("plain é"), Cow::Borrowed("plain é")));
        assert_eq!(
            html("é<a b='\"'>&amp;"),
            "é&lt;a b=&#x27;&quot;&#x27;&gt;&amp;amp;"
        );
    }
}
