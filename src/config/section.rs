//! The section a directive stands in, and the directory that follows from it. (directives.md 1.2)

use std::ffi::{CStr, CString};

use super::argument::words;
use super::hlist::Directory;
use crate::ffi;
use crate::httpd::path::{self, Regex};
use crate::httpd::Pool;

/// What a handler remembers of its place.
#[derive(Clone, Copy)]
pub struct Place<'p> {
    pub directory: Directory<'p>,
    pub is_location: bool,
}

/// Looks at the sections around the directive being read, `<Files>` and `<If>` passed over.
///
/// # Errors
/// A pattern that does not compile, as a sentence naming it.
///
/// # Safety
/// `cmd` is what httpd gave a directive function; `pool` is its pool.
pub unsafe fn place<'p>(cmd: *const ffi::cmd_parms, pool: &'p Pool) -> Result<Place<'p>, String> {
    // SAFETY: httpd's directive tree is alive while the configuration is read (caller).
    unsafe {
        let mut directive = (*cmd).directive;
        while !directive.is_null() {
            let parent = (*directive).parent;
            if parent.is_null() {
                break;
            }
            let name = CStr::from_ptr((*parent).directive)
                .to_bytes()
                .to_ascii_lowercase();
            let args = CStr::from_ptr((*parent).args);
            match name.as_slice() {
                b"<location" | b"<locationmatch" => {
                    let (_, text) = argument(args);
                    let text = pool.cstr(text.as_bytes());
                    return Ok(Place {
                        directory: Directory::Path(text),
                        is_location: true,
                    });
                }
                b"<directory" | b"<directorymatch" => {
                    let (is_regex, text) = argument(args);
                    let is_regex = is_regex || name == b"<directorymatch";
                    return Ok(Place {
                        directory: directory(pool, is_regex, &text)?,
                        is_location: false,
                    });
                }
                _ => directive = parent,
            }
        }
        Ok(Place {
            directory: htaccess(cmd, pool),
            is_location: false,
        })
    }
}

/// The section's first argument without its `>` and quotes, and whether `~` made it a pattern.
fn argument(args: &CStr) -> (bool, CString) {
    let mut text = args.to_bytes();
    if let [rest @ .., b'>'] = text {
        text = rest;
    }
    let mut words = words(text);
    let first = words.next().unwrap_or_default();
    let (is_regex, word) = if first == b"~" {
        (true, words.next().unwrap_or_default())
    } else {
        (false, first)
    };
    (is_regex, CString::new(word).unwrap_or_default())
}

fn directory<'p>(pool: &'p Pool, is_regex: bool, text: &CStr) -> Result<Directory<'p>, String> {
    let stored = pool.cstr(text.to_bytes());
    if is_regex {
        let regex = Regex::compile(pool, stored).ok_or_else(|| {
            format!("the pattern {text:?} of the enclosing section does not compile")
        })?;
        return Ok(Directory::Match(stored, regex));
    }
    if path::is_glob(text) {
        return Ok(Directory::Glob(stored));
    }
    Ok(Directory::Path(
        pool.cstr(path::directory(pool, None, text).as_bytes()),
    ))
}

/// The directory of the .htaccess file being read; nothing in the main configuration.
///
/// # Safety
/// As [`place`].
unsafe fn htaccess<'p>(cmd: *const ffi::cmd_parms, pool: &'p Pool) -> Directory<'p> {
    // SAFETY: httpd reads .htaccess files with one pool for both (its own test, NOT_IN_HTACCESS).
    unsafe {
        if (*cmd).pool != (*cmd).temp_pool || (*cmd).directive.is_null() {
            return Directory::None;
        }
        let file = CStr::from_ptr((*(*cmd).directive).filename).to_bytes();
        match memchr::memrchr(b'/', file) {
            Some(slash) => Directory::Path(pool.cstr(&file[..=slash])),
            None => Directory::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_arguments_lose_bracket_and_quotes() {
        assert_eq!(argument(c"/srv/www>"), (false, c"/srv/www".to_owned()));
        assert_eq!(argument(c"\"/srv/a b\">"), (false, c"/srv/a b".to_owned()));
        assert_eq!(argument(c"~ \"^/x\\d\">"), (true, c"^/x\\d".to_owned()));
    }
}
