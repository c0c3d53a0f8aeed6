//! How httpd calls a directive's function, what it hands over, and what such a function does with it.

use std::ffi::{c_char, c_void, CStr};
use std::ptr::null;
use std::sync::OnceLock;

use super::argument::Parsed;
use super::hlist::{self, Entry, Suffixed};
use super::phase::Phase;
use super::section::{place, Place};
use super::{DirConfig, ServerConfig, Settings};
use crate::ffi;
use crate::httpd::guard::guard;
use crate::httpd::Pool;

/// Registers a filter's name with httpd; given by the hooks, which own the filter functions.
pub type RegisterFilter = fn(name: &CStr, is_input: bool);

static REGISTER_FILTER: OnceLock<RegisterFilter> = OnceLock::new();

/// Tells the filter directives how to make a name known to httpd.
pub fn set_register_filter(register: RegisterFilter) {
    // The second reading of the configuration sets the same function again.
    let _ = REGISTER_FILTER.set(register);
}

/// What httpd hands to a directive function.
pub struct Cmd<'p> {
    pub raw: *mut ffi::cmd_parms,
    pub pool: &'p Pool,
    pub dir: &'p mut DirConfig<'p>,
    /// Outside any section: httpd gives no path.
    pub at_server_level: bool,
    pub is_htaccess: bool,
}

impl<'p> Cmd<'p> {
    /// # Safety
    /// The arguments httpd calls a directive function with; nobody else uses the records meanwhile.
    pub unsafe fn new(cmd: *mut ffi::cmd_parms, dir: *mut c_void) -> Self {
        // SAFETY: httpd reads its configuration in one thread, and an .htaccess file into records of
        // that one request; the server's record is changed only in the former.
        unsafe {
            let pool = Pool::from_raw((*cmd).pool);
            let is_htaccess = (*cmd).pool == (*cmd).temp_pool;
            let dir = &mut *(dir as *mut DirConfig<'_>);
            dir.is_blank = false;
            Self {
                raw: cmd,
                pool,
                dir,
                at_server_level: (*cmd).path.is_null() && !is_htaccess,
                is_htaccess,
            }
        }
    }

    /// The record of the server the directive stands in; .htaccess files are about no server.
    pub fn server(&mut self) -> &mut ServerConfig<'p> {
        assert!(
            !self.is_htaccess,
            "BUG: an .htaccess file changes a server's configuration"
        );
        // SAFETY: made by `create_server_config`; httpd reads its configuration in one thread.
        unsafe {
            let server = (*(*self.raw).server).module_config;
            &mut *(ffi::get_module_config(server, ffi::module_record()) as *mut ServerConfig<'p>)
        }
    }

    /// Python code runs in this server because of the directive.
    pub fn note_python(&mut self) {
        if !self.is_htaccess {
            self.server().runs_python = true;
        }
    }

    pub fn place(&self) -> Result<Place<'p>, String> {
        // SAFETY: `raw` is what httpd gave us, for the length of this call.
        unsafe { place(self.raw, self.pool) }
    }

    /// Sets a directive with one value in the scope and, outside sections, in the server's record too.
    pub fn set<T: Copy>(
        &mut self,
        field: for<'a> fn(&'a mut Settings<'p>) -> &'a mut Option<T>,
        value: T,
    ) -> Result<(), String> {
        *field(&mut self.dir.settings) = Some(value);
        if self.at_server_level {
            *field(&mut self.server().settings) = Some(value);
        }
        Ok(())
    }

    /// Refuses what concerns the whole child inside a `<VirtualHost>`.
    ///
    /// # Errors
    /// httpd's message.
    pub fn main_server_only(&self, directive: &str) -> Result<(), String> {
        // SAFETY: the server httpd reads the directive for.
        if unsafe { (*(*self.raw).server).is_virtual } != 0 {
            return Err(format!(
                "{directive} concerns the whole process: it cannot stand in a <VirtualHost>"
            ));
        }
        Ok(())
    }

    /// The phase in the row of the directive being read.
    pub fn phase(&self) -> Phase {
        // SAFETY: `handlers` put a phase's number there.
        let number = unsafe { (*(*self.raw).cmd).cmd_data } as usize;
        Phase::ALL[number]
    }

    /// Entries for the handlers of one directive.
    pub fn entries(&self, parsed: &Parsed<'_>, place: Place<'p>, silent: bool) -> Vec<Entry<'p>> {
        let entry = |handler: &[u8]| Entry {
            handler: self.pool.cstr(handler),
            directory: place.directory,
            is_location: place.is_location,
            silent,
            id: if self.is_htaccess {
                0
            } else {
                hlist::new_id(&place.directory)
            },
        };
        parsed.handlers().map(entry).collect()
    }

    /// Appends handlers to the list of a phase, in this scope.
    pub fn add(&mut self, phase: Phase, parsed: &Parsed<'_>, entries: &[Entry<'p>]) {
        if entries.is_empty() {
            return;
        }
        self.note_python();
        phase.note_use();
        let pool = self.pool;
        let join = |old: Option<&[Entry<'p>]>| match old {
            None => pool.alloc_slice(entries),
            Some(old) => pool.alloc_slice(&[old, entries].concat()),
        };
        if phase == Phase::Connection {
            let old = self.server().connection;
            self.server().connection = Some(join(old));
            return;
        }
        let mut counts_for_all = true;
        for suffix in parsed.suffixes() {
            counts_for_all = false;
            let old = self
                .dir
                .suffixed
                .find(&mut |row| row.phase == phase && row.suffix.to_bytes() == suffix)
                .map(|row| row.entries);
            let row = Suffixed {
                phase,
                suffix: pool.cstr(suffix),
                entries: join(old),
            };
            self.dir.suffixed.push(pool, row);
        }
        if counts_for_all {
            let slot = &mut self.dir.handlers[phase as usize];
            *slot = Some(pool.alloc(join(slot.copied())));
        }
    }

    /// What the directive does, run behind the panic boundary; an error is httpd's message.
    ///
    /// # Safety
    /// As [`Cmd::new`].
    pub unsafe fn run(
        cmd: *mut ffi::cmd_parms,
        dir: *mut c_void,
        body: impl FnOnce(&mut Cmd<'p>) -> Result<(), String>,
    ) -> *const c_char {
        let failure = c"mod_python: internal error, see the error log".as_ptr();
        // SAFETY: httpd's arguments; the server's slot holds our record or null.
        let server = unsafe {
            let server = (*(*cmd).server).module_config;
            ffi::get_module_config(server, ffi::module_record())
        };
        if dir.is_null() || server.is_null() {
            // Creating it panicked.
            return failure;
        }
        guard("configuration directive", failure, || {
            // SAFETY: the caller's promise.
            let mut cmd = unsafe { Self::new(cmd, dir) };
            match body(&mut cmd) {
                Ok(()) => null(),
                Err(message) => cmd.pool.strdup(message.as_bytes()),
            }
        })
    }
}

/// A directive's argument, empty where it is missing.
///
/// # Safety
/// A string httpd gave a directive function, or null.
pub unsafe fn arg<'a>(raw: *const c_char) -> &'a CStr {
    if raw.is_null() {
        return c"";
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(raw) }
}

/// httpd's way to call a directive's function, `fn(&mut Cmd, ...) -> Result<(), String>`.
macro_rules! entry {
    ($function:path, ($($raw:ident: $type:ty),*), $($argument:expr),*) => {{
        unsafe extern "C" fn entry(
            cmd: *mut $crate::ffi::cmd_parms,
            dir: *mut std::ffi::c_void,
            $($raw: $type),*
        ) -> *const std::ffi::c_char {
            // SAFETY: httpd calls directive functions with valid arguments.
            unsafe { $crate::config::cmd::Cmd::run(cmd, dir, |cmd| $function(cmd, $($argument),*)) }
        }
        entry
    }};
}

/// Of a function that takes one text.
macro_rules! text {
    ($function:path) => {
        $crate::config::cmd::entry!(
            $function,
            (one: *const std::ffi::c_char),
            $crate::config::cmd::arg(one)
        )
    };
}

/// Of a function that takes two texts, of which the second is empty where it is missing.
macro_rules! texts {
    ($function:path) => {
        $crate::config::cmd::entry!(
            $function,
            (one: *const std::ffi::c_char, two: *const std::ffi::c_char),
            $crate::config::cmd::arg(one),
            $crate::config::cmd::arg(two)
        )
    };
}

/// Of a function that takes On or Off as a bool.
macro_rules! switch {
    ($function:path) => {
        $crate::config::cmd::entry!($function, (on: std::ffi::c_int), on != 0)
    };
}
pub(super) use {entry, switch, text, texts};

/// Makes a filter's name known to httpd.
///
/// # Errors
/// Where the hooks have not registered yet.
pub fn register_filter(name: &CStr, is_input: bool) -> Result<(), String> {
    let register = REGISTER_FILTER
        .get()
        .ok_or("filters cannot be registered yet")?;
    register(name, is_input);
    Ok(())
}
