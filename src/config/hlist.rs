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
