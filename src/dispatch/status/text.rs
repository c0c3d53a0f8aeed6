//! Text in memory that several processes share.

use std::sync::atomic::{AtomicU64, Ordering};

/// A text of at most `WORDS * 8 - 1` bytes; one that is read while it is written may be a mixture.
#[repr(C)]
pub struct Text<const WORDS: usize>([AtomicU64; WORDS]);

impl<const WORDS: usize> Text<WORDS> {
    /// The longest text.
    pub const ROOM: usize = WORDS * 8 - 1;

    /// Keeps as much of the text as there is room for.
    pub fn set(&self, text: &[u8]) {
        let text = &text[..text.len().min(Self::ROOM)];
        // One word more than the text fills holds the 0 that ends it.
        for (index, word) in self.0.iter().enumerate().take(text.len() / 8 + 1) {
            word.store(word_of(text, index), Ordering::Relaxed);
        }
    }

    /// Keeps the end of a text that is too long, which tells more of a path than its beginning.
    pub fn set_end(&self, text: &[u8]) {
        match text.len().checked_sub(Self::ROOM) {
            None | Some(0) => self.set(text),
            Some(more) => self.set(&[b"...", &text[more + 3..]].concat()),
        }
    }

    pub fn get(&self) -> String {
        let bytes: Vec<u8> = self
            .0
            .iter()
            .flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes())
            .take_while(|byte| *byte != 0)
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether it is what [`Self::set`] makes of a text.
    pub fn is(&self, text: &[u8]) -> bool {
        let text = &text[..text.len().min(Self::ROOM)];
        self.0
            .iter()
            .enumerate()
            .take(text.len() / 8 + 1)
            .all(|(index, word)| word.load(Ordering::Relaxed) == word_of(text, index))
    }
}

/// Eight bytes of a text, with zeros behind its end.
fn word_of(text: &[u8], index: usize) -> u64 {
    let mut bytes = [0u8; 8];
    let part = &text[(index * 8).min(text.len())..];
    let part = &part[..part.len().min(8)];
    bytes[..part.len()].copy_from_slice(part);
    u64::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_and_compared() {
        let text = Text::<24>(std::array::from_fn(|_| AtomicU64::new(0)));
        assert_eq!(text.get(), "");
        for sample in ["GET /a/b?c", "12345678", "x", "", "1234567"] {
            text.set(sample.as_bytes());
            assert_eq!(text.get(), sample);
            assert!(text.is(sample.as_bytes()));
            assert!(!text.is(b"other"));
        }
        let long = "y".repeat(500);
        text.set(long.as_bytes());
        assert_eq!(text.get(), "y".repeat(191));
        assert!(text.is(long.as_bytes()));
        assert!(!text.is(&[b'y'; 190]));
        text.set_end(&[&[b'/'; 500], &b"page.py"[..]].concat());
        assert_eq!(text.get(), format!("...{}page.py", "/".repeat(181)));
        text.set_end(b"/short");
        assert_eq!(text.get(), "/short");
    }
}
