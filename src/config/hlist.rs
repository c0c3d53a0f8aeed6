//! Handler lists: `module::object ... | .ext ...`, and the directory remembered with each handler.

use std::ffi::CStr;
use std::sync::atomic::{AtomicU32, Ordering};

use super::phase::Phase;
use crate::httpd::path::{self, Regex};
use crate::httpd::{Pool, Request};

/// One handler of a list.
#[derive(Clone, Copy)]
pub struct Entry<'p> {
    /// As written: `module` or `module::object`.
    pub handler: &'p CStr,
    pub directory: Directory<'p>,
    pub is_location: bool,
    /// From PythonHandlerModule: a missing object is no error.
    pub silent: bool,
    /// A number that no other entry of this configuration has; 0 where the entry is not kept for the
    /// life of the child (.htaccess) or its directory depends on the request.
    pub id: u32,
}

static NEXT_ID: AtomicU32 = AtomicU32::new(1);

/// Numbers start again with each reading of the configuration.
pub fn reset_ids() {
    NEXT_ID.store(1, Ordering::Relaxed);
}

/// A number for an entry of the main configuration.
pub fn new_id(directory: &Directory<'_>) -> u32 {
    match directory {
        Directory::Glob(_) | Directory::Match(..) => 0,
        Directory::None | Directory::Path(_) => NEXT_ID.fetch_add(1, Ordering::Relaxed),
    }
}

/// Where the directive stood. (directives.md 1.2)
#[derive(Clone, Copy)]
pub enum Directory<'p> {
    None,
    /// A directory with a trailing slash, or the text of a Location.
    Path(&'p CStr),
    /// `<Directory /a/*>`: resolved against each request's file name.
    Glob(&'p CStr),
    /// `<DirectoryMatch re>`: likewise.
    Match(&'p CStr, Regex),
}

impl<'p> Directory<'p> {
    /// The directory for a request: patterns become the shortest directory of the file that matches.
    #[inline]
    pub fn resolve<'r>(&self, r: &'r Request) -> Option<&'r CStr>
    where
        'p: 'r,
    {
        let shortest = |matches: &dyn Fn(&CStr) -> bool| shortest(r.pool(), r.filename(), matches);
        match *self {
            Self::None => None,
            Self::Path(path) => Some(path),
            Self::Glob(pattern) => {
                Some(shortest(&|dir| path::fnmatch(pattern, dir)).unwrap_or(pattern))
            }
            Self::Match(text, regex) => Some(shortest(&|dir| regex.is_match(dir)).unwrap_or(text)),
        }
    }

    /// The text as configured.
    pub fn as_text(&self) -> Option<&'p CStr> {
        match *self {
            Self::None => None,
            Self::Path(text) | Self::Glob(text) | Self::Match(text, _) => Some(text),
        }
    }
}

/// The shortest directory above `filename` that matches with or without its slash; ends with one.
fn shortest<'r>(
    pool: &'r Pool,
    filename: Option<&CStr>,
    matches: &dyn Fn(&CStr) -> bool,
) -> Option<&'r CStr> {
    let filename = filename?.to_bytes();
    for end in memchr::memchr_iter(b'/', filename) {
        let with_slash = pool.cstr(&filename[..=end]);
        if matches(with_slash) || (end > 0 && matches(pool.cstr(&filename[..end]))) {
            return Some(with_slash);
        }
    }
    // The file may be a directory itself, named without its slash.
    let whole = pool.cstr(filename);
    if matches(whole) {
        let mut dir = filename.to_vec();
        dir.push(b'/');
        return Some(pool.cstr(&dir));
    }
    None
}

/// Handlers for one phase that only count for one suffix.
#[derive(Clone, Copy)]
pub struct Suffixed<'p> {
    pub phase: Phase,
    pub suffix: &'p CStr,
    pub entries: &'p [Entry<'p>],
}

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
        words(self.left)
    }

    /// The suffixes the list counts for; none where it counts for every file.
    pub fn suffixes(&self) -> impl Iterator<Item = &'a [u8]> {
        words(self.right)
    }
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
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
/// `None` without a file name; `Some("")` where the base name has no dot.
#[inline]
pub fn suffix(filename: Option<&CStr>) -> Option<&[u8]> {
    let filename = filename?.to_bytes();
    let base = memchr::memrchr(b'/', filename).map_or(filename, |slash| &filename[slash + 1..]);
    Some(memchr::memchr(b'.', base).map_or(&base[base.len()..], |dot| &base[dot..]))
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
        assert_eq!(suffix(None), None);
    }
}
