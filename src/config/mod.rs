//! Directives in, plain structs out; no Python here.
//!
//! All records live in the pool httpd read them into and consist of plain values and references into
//! that pool, so nothing is dropped and a merge copies pointers.

pub mod argument;
pub mod cmd;
pub mod directives;
pub mod hlist;
pub mod interp_name;
pub mod limits;
pub mod merge;
pub mod overlay;
pub mod phase;
pub mod require;
pub mod section;

use std::ffi::{c_char, c_void, CStr};
use std::sync::atomic::{AtomicU8, Ordering};

use hlist::{Entry, Suffixed};
use overlay::Overlay;
use phase::Phase;

use crate::ffi;
use crate::httpd::guard::guard;
use crate::httpd::socache::Choice;
use crate::httpd::{Pool, Request, Server};

pub use merge::{merge_dir_config, merge_server_config};

/// `PythonOption key value`; an empty value means "unset here".
#[derive(Clone, Copy)]
pub struct PythonOption<'p> {
    pub key: &'p CStr,
    pub value: &'p CStr,
}

/// `PythonInputFilter`/`PythonOutputFilter handler name`.
#[derive(Clone, Copy)]
pub struct Filter<'p> {
    /// Lower-cased, as httpd registers it.
    pub name: &'p CStr,
    pub handler: &'p CStr,
    pub directory: hlist::Directory<'p>,
    pub is_location: bool,
    pub is_input: bool,
}

/// `PythonImport module[::function] interpreter`.
#[derive(Clone, Copy)]
pub struct Import<'p> {
    pub module: &'p CStr,
    pub interpreter: &'p CStr,
}

/// `PythonRequestTimeout seconds [grace]`.
#[derive(Clone, Copy)]
pub struct RequestTimeout<'p> {
    /// As written, for `get_config()`.
    pub text: &'p CStr,
    /// 0 for none.
    pub milliseconds: u64,
    /// Milliseconds a handler has to end after the exception.
    pub grace: u64,
}

/// `PythonWedgeAction`: what is done about a handler that is stuck.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WedgeAction {
    Log,
    /// The child ends within so many milliseconds.
    Recycle(u64),
}

/// Why calls of Python are looked after: nobody pays for what the configuration does not ask for.
static CALLS_ARE_WATCHED: AtomicU8 = AtomicU8::new(0);

/// A PythonRequestTimeout is somewhere in the configuration.
pub const TIMEOUTS: u8 = 1;
/// PythonStatus is On.
pub const STATUS: u8 = 2;
/// There are PythonMaxRequests or PythonMaxMemory.
pub const LIMITS: u8 = 4;

/// Whether some part of the configuration asks for calls of Python to be looked after.
#[inline(always)]
pub fn calls_are_watched() -> bool {
    CALLS_ARE_WATCHED.load(Ordering::Relaxed) != 0
}

/// Whether a PythonRequestTimeout was read.
#[inline]
pub fn has_timeouts() -> bool {
    CALLS_ARE_WATCHED.load(Ordering::Relaxed) & TIMEOUTS != 0
}

/// A directive asks for it.
pub fn set_calls_are_watched(why: u8) {
    CALLS_ARE_WATCHED.fetch_or(why, Ordering::Relaxed);
}

/// The configuration is about to be read.
pub fn reset_calls_are_watched() {
    CALLS_ARE_WATCHED.store(0, Ordering::Relaxed);
}

/// The directives with one value that `get_config()` shows; unset is `None`.
#[derive(Clone, Copy, Default)]
pub struct Settings<'p> {
    pub python_path: Option<&'p CStr>,
    pub interpreter: Option<&'p CStr>,
    pub auto_reload: Option<bool>,
    pub debug: Option<bool>,
    pub enable_pdb: Option<bool>,
    pub interp_per_directory: Option<bool>,
    pub interp_per_directive: Option<bool>,
    pub optimize: Option<bool>,
    pub request_timeout: Option<&'p RequestTimeout<'p>>,
}

impl<'p> Settings<'p> {
    /// The rows of `get_config()`: directive and value, flags as `"1"` and `"0"`.
    pub fn rows(&self) -> impl Iterator<Item = (&'static CStr, &'p CStr)> {
        let flag = |value: Option<bool>| value.map(|on| if on { c"1" } else { c"0" });
        [
            (c"PythonPath", self.python_path),
            (c"PythonInterpreter", self.interpreter),
            (c"PythonAutoReload", flag(self.auto_reload)),
            (c"PythonDebug", flag(self.debug)),
            (c"PythonEnablePdb", flag(self.enable_pdb)),
            (c"PythonInterpPerDirectory", flag(self.interp_per_directory)),
            (c"PythonInterpPerDirective", flag(self.interp_per_directive)),
            (c"PythonOptimize", flag(self.optimize)),
            (
                c"PythonRequestTimeout",
                self.request_timeout.map(|timeout| timeout.text),
            ),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)))
    }

    /// PythonAutoReload; on unless switched off.
    #[inline]
    pub fn auto_reloads(&self) -> bool {
        self.auto_reload != Some(false)
    }

    /// PythonDebug.
    #[inline]
    pub fn debugs(&self) -> bool {
        self.debug == Some(true)
    }
}

/// What counts in one directory scope: a `<Directory>`, `<Location>`, .htaccess ... or a merge of them.
#[derive(Clone, Copy)]
pub struct DirConfig<'p> {
    pub settings: Settings<'p>,
    pub options: Overlay<'p, PythonOption<'p>>,
    /// Thin pointers: httpd makes and merges such records at requests.
    pub handlers: [Option<&'p &'p [Entry<'p>]>; Phase::COUNT],
    pub suffixed: Overlay<'p, Suffixed<'p>>,
    pub filters: Overlay<'p, Filter<'p>>,
    pub authn_provider: Option<&'p Entry<'p>>,
    /// httpd's name of the scope; `None` at server level.
    pub scope: Option<&'p CStr>,
    /// The scope is a Location with handlers, so URIs are not mapped to files. (directives.md 1.15)
    pub is_location: bool,
    /// No directive was read into the record.
    pub is_blank: bool,
}

const LOST_ENTRIES: &[Entry<'static>] = &[Entry {
    handler: c"configuration_lost_by_MP0001",
    directory: hlist::Directory::None,
    is_location: false,
    silent: false,
    id: 0,
}];

/// How names that come from ServerName are mapped to interpreters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum InterpPerServer {
    #[default]
    Auto,
    On,
    Off,
}

/// What counts for one server, outside all sections.
#[derive(Clone, Copy)]
pub struct ServerConfig<'p> {
    pub settings: Settings<'p>,
    pub options: Overlay<'p, PythonOption<'p>>,
    pub connection: Option<&'p [Entry<'p>]>,
    pub imports: Overlay<'p, Import<'p>>,
    pub python_home: Option<&'p CStr>,
    pub session_cache: Option<Choice<'p>>,
    pub interp_per_server: Option<InterpPerServer>,
    /// PythonWedgeAction.
    pub wedge_action: Option<WedgeAction>,
    /// PythonStatus.
    pub status: Option<bool>,
    /// PythonMaxMemory, in bytes.
    pub max_memory: Option<u64>,
    /// PythonMaxRequests.
    pub max_requests: Option<u64>,
    /// Names that PythonInterpreter gives anywhere in this server's configuration.
    pub interpreters: Overlay<'p, &'p CStr>,
    /// Whether a directive that runs Python code stands in this server's configuration, sections
    /// included.
    pub runs_python: bool,
}

impl<'p> DirConfig<'p> {
    /// Nothing configured.
    pub const EMPTY: Self = Self::new(None);

    const fn new(scope: Option<&'p CStr>) -> Self {
        Self {
            settings: Settings {
                python_path: None,
                interpreter: None,
                auto_reload: None,
                debug: None,
                enable_pdb: None,
                interp_per_directory: None,
                interp_per_directive: None,
                optimize: None,
                request_timeout: None,
            },
            options: Overlay::Empty,
            handlers: [None; Phase::COUNT],
            suffixed: Overlay::Empty,
            filters: Overlay::Empty,
            authn_provider: None,
            scope,
            is_location: false,
            is_blank: true,
        }
    }

    /// What stands in for a record that was lost to a panic: every phase fails, so that a lost access
    /// handler opens nothing. No such module exists, and the name says in the log why.
    pub const LOST: DirConfig<'static> = {
        let mut lost = DirConfig::new(None);
        let mut phase = 0;
        while phase < Phase::COUNT {
            lost.handlers[phase] = Some(&LOST_ENTRIES);
            phase += 1;
        }
        lost.is_blank = false;
        lost
    };

    /// The configuration in force for a request; `None` where no Python directive is.
    #[inline]
    pub fn of(r: &Request) -> Option<&DirConfig<'_>> {
        // SAFETY: the slot holds what `create_dir_config` or `merge_dir_config` made, or null; it
        // lives as long as the request at least.
        unsafe { (r.dir_config() as *const DirConfig<'_>).as_ref() }
    }

    /// The handler list of a phase for a request's file, and whether its suffix chose it.
    #[inline]
    pub fn handlers(&self, phase: Phase, r: &Request) -> Option<(&'p [Entry<'p>], bool)> {
        if !self.suffixed.is_empty() {
            if let Some(suffix) = argument::suffix(r.filename()) {
                let found = self
                    .suffixed
                    .find(&mut |row| row.phase == phase && row.suffix.to_bytes() == suffix);
                if let Some(row) = found {
                    return Some((row.entries, true));
                }
            }
        }
        self.handlers[phase as usize].map(|entries| (*entries, false))
    }

    /// Whether no list of a phase can match, whatever the file.
    #[inline(always)]
    pub fn has_none(&self, phase: Phase) -> bool {
        self.handlers[phase as usize].is_none() && self.suffixed.is_empty()
    }

    /// The filter registered under a name in this scope.
    pub fn filter(&self, name: &CStr, is_input: bool) -> Option<&'p Filter<'p>> {
        self.filters.find(&mut |row| {
            row.is_input == is_input && row.name.to_bytes().eq_ignore_ascii_case(name.to_bytes())
        })
    }

    /// The value of a PythonOption; `None` where it is unset or set to nothing.
    pub fn option(&self, key: &CStr) -> Option<&'p CStr> {
        option(&self.options, key)
    }
}

/// Looks up a PythonOption, ignoring case.
fn option<'p>(options: &Overlay<'p, PythonOption<'p>>, key: &CStr) -> Option<&'p CStr> {
    options
        .find(&mut |row| row.key.to_bytes().eq_ignore_ascii_case(key.to_bytes()))
        .map(|row| row.value)
        .filter(|value| !value.is_empty())
}

impl<'p> ServerConfig<'p> {
    const fn new() -> Self {
        Self {
            settings: DirConfig::new(None).settings,
            options: Overlay::Empty,
            connection: None,
            imports: Overlay::Empty,
            python_home: None,
            session_cache: None,
            interp_per_server: None,
            wedge_action: None,
            status: None,
            max_memory: None,
            max_requests: None,
            interpreters: Overlay::Empty,
            runs_python: false,
        }
    }

    /// A server's record.
    #[inline]
    pub fn of(s: &Server) -> Option<&ServerConfig<'_>> {
        // SAFETY: the slot holds what `create_server_config` or `merge_server_config` made.
        unsafe { (s.module_config() as *const ServerConfig<'_>).as_ref() }
    }

    /// The value of a PythonOption at server level.
    pub fn option(&self, key: &CStr) -> Option<&'p CStr> {
        option(&self.options, key)
    }
}

/// httpd makes a record for a scope in which one of our directives stands.
///
/// # Safety
/// Called by httpd, with its pool and records of this module.
pub unsafe extern "C" fn create_dir_config(
    pool: *mut ffi::apr_pool_t,
    dir: *mut c_char,
) -> *mut c_void {
    guard("create_dir_config", std::ptr::null_mut(), || {
        // SAFETY: httpd's configuration pool, and null or a C string.
        let (pool, dir) = unsafe {
            (
                Pool::from_raw(pool),
                if dir.is_null() {
                    None
                } else {
                    Some(CStr::from_ptr(dir))
                },
            )
        };
        let scope = dir.map(|dir| pool.cstr(dir.to_bytes()));
        std::ptr::from_mut(pool.alloc(DirConfig::new(scope))) as *mut c_void
    })
}

/// httpd makes a record for each server.
///
/// # Safety
/// Called by httpd, with its pool and records of this module.
pub unsafe extern "C" fn create_server_config(
    pool: *mut ffi::apr_pool_t,
    _server: *mut ffi::server_rec,
) -> *mut c_void {
    guard("create_server_config", std::ptr::null_mut(), || {
        // SAFETY: httpd's configuration pool.
        let pool = unsafe { Pool::from_raw(pool) };
        std::ptr::from_mut(pool.alloc(ServerConfig::new())) as *mut c_void
    })
}
