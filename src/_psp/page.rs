//! What the parser makes of a page: the program, where each part of it came from, and the errors.

use std::fmt;
use std::path::{Path, PathBuf};

/// The text of one file, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub path: PathBuf,
    pub text: String,
}

/// A spot in a page's file, in the words an editor uses: lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub path: PathBuf,
    pub line: usize,
    pub column: usize,
    /// The whole line, without its end.
    pub text: String,
}

impl Place {
    /// The place of the byte `at` in `source`.
    pub fn at(source: &Source, at: usize) -> Place {
        let before = &source.text[..at];
        let start = line_start(before);
        let line = &source.text[start..];
        let end = line.find(['\n', '\r']).unwrap_or(line.len());
        Place {
            path: source.path.clone(),
            line: 1 + count_lines(before),
            column: 1 + before[start..].chars().count(),
            text: line[..end].to_owned(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}", self.path.display(), self.line)
    }
}

/// Where the last line of `text` begins. A lone CR ends a line too, as it does for Python.
fn line_start(text: &str) -> usize {
    text.rfind(['\n', '\r']).map_or(0, |at| at + 1)
}

/// How many line ends `text` has; CRLF is one.
fn count_lines(text: &str) -> usize {
    let bytes = text.as_bytes();
    bytes
        .iter()
        .enumerate()
        .filter(|&(at, &byte)| byte == b'\n' || byte == b'\r' && bytes.get(at + 1) != Some(&b'\n'))
        .count()
}

/// From this spot of the program on, lines are those of `files[file]` from `line` on.
///
/// Lines count from 1 and columns from 0, in bytes, as in Python's `co_positions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    pub program_line: usize,
    pub program_column: usize,
    pub file: usize,
    pub line: usize,
}

/// One `<% %>` or `<%= %>`: where its code starts in the program, and where in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    pub program_line: usize,
    pub program_column: usize,
    pub line: usize,
    /// In bytes from 0, as the program's.
    pub column: usize,
    /// The tag's first line, cut to a readable length.
    pub excerpt: String,
}

/// A translated page.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    pub program: String,
    /// The page itself, then every included file in the order of first use.
    pub files: Vec<PathBuf>,
    /// In program order; one alone says that each line of the program is the same line of the page.
    pub segments: Vec<Segment>,
    pub tags: Vec<Tag>,
    /// Where and why the program ends before the page does.
    pub cut: Option<(Place, String)>,
}

/// Why a page has no program. `E` is what the loader fails with.
#[derive(Debug, thiserror::Error)]
pub enum Error<E> {
    /// A file cannot be had: the page itself (no place) or one that a page includes.
    #[error("{}: cannot be loaded", path.display())]
    Load {
        path: PathBuf,
        included_at: Option<Box<Place>>,
        source: E,
    },
    /// The page is wrong, whatever Python may say.
    #[error("{place}: {message}")]
    Syntax { place: Box<Place>, message: String },
}

impl<E> Error<E> {
    pub fn syntax(place: Place, message: impl Into<String>) -> Self {
        Error::Syntax {
            place: Box::new(place),
            message: message.into(),
        }
    }
}

/// `a -> b -> c`, for messages.
pub fn chain<'a>(paths: impl Iterator<Item = &'a Path>) -> String {
    let names: Vec<_> = paths.map(|path| path.display().to_string()).collect();
    names.join(" -> ")
}
