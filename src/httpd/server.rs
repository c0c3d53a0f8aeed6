//! `server_rec`: a virtual host's record; lives as long as the configuration. (httpd.h)

use std::ffi::{c_void, CStr};

use super::opaque::{fields, opaque};
use super::text::from_ptr;
use super::{array, Pool};
use crate::ffi;

/// The C struct, for those who keep its address in a lease.
pub type Raw = ffi::server_rec;

opaque! {
    /// A server of the running configuration.
    Server(ffi::server_rec)
}

impl Server {
    fields! {
        error_fname: text, defn_name: text, server_admin: text, server_hostname: text, path: text,
        defn_line_number: int, is_virtual: int, port: int, timeout: int, keep_alive_timeout: int,
        keep_alive_max: int, keep_alive: int, pathlen: int, limit_req_line: int,
        limit_req_fieldsize: int, limit_req_fields: int,
    }

    /// The next server in httpd's list.
    pub fn next(&self) -> Option<&Server> {
        // SAFETY: null or a server of the same configuration.
        unsafe { Self::from_raw_opt((*self.as_ptr()).next) }
    }

    /// The level of its error log, 0 to 15.
    pub fn loglevel(&self) -> i64 {
        // SAFETY: live.
        unsafe { i64::from((*self.as_ptr()).log.level) }
    }

    /// `ServerAlias` names without wildcards.
    pub fn names(&self) -> Vec<&CStr> {
        // SAFETY: an array of strings in the configuration pool.
        unsafe { array::strings((*self.as_ptr()).names) }
    }

    /// `ServerAlias` names with wildcards.
    pub fn wild_names(&self) -> Vec<&CStr> {
        // SAFETY: as above.
        unsafe { array::strings((*self.as_ptr()).wild_names) }
    }

    /// Our configuration record of this server; null where the module has none.
    #[inline]
    pub fn module_config(&self) -> *mut c_void {
        // SAFETY: a live server; our module is registered.
        unsafe { ffi::get_module_config((*self.as_ptr()).module_config, ffi::module_record()) }
    }

    /// The pool of the process, which outlives every configuration.
    pub fn process_pool(&self) -> &Pool {
        // SAFETY: the process record lives as long as the process.
        unsafe { Pool::from_raw((*(*self.as_ptr()).process).pool) }
    }

    /// The number of restarts this process knows of.
    pub fn my_generation(&self) -> i64 {
        let mut generation = 0;
        // SAFETY: the MPM writes one int.
        unsafe {
            ffi::ap_mpm_query(ffi::AP_MPMQ_GENERATION as i32, &mut generation);
        }
        i64::from(generation)
    }

    /// When the server was (re)started, in microseconds since the epoch; 0 without a scoreboard.
    pub fn restart_time(&self) -> i64 {
        // SAFETY: httpd keeps the scoreboard's image for the process' life, or none at all.
        unsafe {
            let global = ffi::ap_get_scoreboard_global();
            if global.is_null() {
                0
            } else {
                (*global).restart_time
            }
        }
    }
}

/// ServerRoot.
pub fn root() -> &'static CStr {
    // SAFETY: httpd sets it before it reads the configuration, and keeps it.
    unsafe { from_ptr(ffi::ap_server_root) }.unwrap_or_default()
}
