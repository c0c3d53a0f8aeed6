//! The name of the interpreter that serves an event. (directives.md 1.9)

use std::borrow::Cow;
use std::ffi::{CStr, CString};

use super::{DirConfig, Settings};
use crate::httpd::{path, Request, Server};

/// The main interpreter's name.
pub const MAIN: &CStr = c"main_interpreter";

/// Where a name came from, which decides whether it means isolation.
pub enum Name<'a> {
    /// PythonInterpreter, PythonInterpPerDirectory or PythonInterpPerDirective said so.
    Explicit(Cow<'a, CStr>),
    /// The virtual host's ServerName.
    Server(&'a Server),
    /// Nothing named one.
    Main,
}

impl Name<'_> {
    /// The name itself.
    pub fn as_cstr(&self) -> &CStr {
        match self {
            Self::Explicit(name) => name,
            Self::Server(server) => server.server_hostname().unwrap_or(MAIN),
            Self::Main => MAIN,
        }
    }
}

/// For a request; `directory` is the first handler's, or the filter's.
#[inline]
pub fn for_request<'a>(
    config: &DirConfig<'a>,
    r: &'a Request,
    directory: impl FnOnce() -> Option<&'a CStr>,
) -> Name<'a> {
    name(&config.settings, Some(r), r.server(), directory)
}

/// For a connection.
pub fn for_connection<'a>(settings: &Settings<'a>, server: &'a Server) -> Name<'a> {
    name(settings, None, server, || None)
}

#[inline]
fn name<'a>(
    settings: &Settings<'a>,
    r: Option<&'a Request>,
    server: &'a Server,
    directory: impl FnOnce() -> Option<&'a CStr>,
) -> Name<'a> {
    if let Some(name) = settings.interpreter {
        return Name::Explicit(Cow::Borrowed(name));
    }
    if settings.interp_per_directory == Some(true) {
        return match r.and_then(Request::filename) {
            Some(filename) => Name::Explicit(Cow::Owned(directory_of(filename))),
            None => Name::Main,
        };
    }
    if settings.interp_per_directive == Some(true) {
        return match directory() {
            Some(directory) if !directory.is_empty() => Name::Explicit(Cow::Borrowed(directory)),
            _ => Name::Main,
        };
    }
    Name::Server(server)
}

/// The file's directory with a trailing slash; the file's own name where it is a directory.
fn directory_of(filename: &CStr) -> CString {
    let bytes = filename.to_bytes();
    let mut directory = if bytes.last() == Some(&b'/') {
        bytes.to_vec()
    } else if path::is_directory(filename) {
        let mut directory = bytes.to_vec();
        directory.push(b'/');
        directory
    } else {
        memchr::memrchr(b'/', bytes).map_or_else(Vec::new, |slash| bytes[..=slash].to_vec())
    };
    if directory.is_empty() {
        directory.extend_from_slice(b"./");
    }
    CString::new(directory).unwrap_or_default()
}
