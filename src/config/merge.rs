//! How the records of nested scopes combine. (directives.md 1.3)

use std::ffi::c_void;
use std::ptr::null_mut;

use super::overlay::Overlay;
use super::{phase, DirConfig, ServerConfig, Settings};
use crate::ffi;
use crate::httpd::guard::guard;
use crate::httpd::Pool;

impl<'p> Settings<'p> {
    fn merge(base: &Self, new: &Self) -> Self {
        Self {
            python_path: new.python_path.or(base.python_path),
            interpreter: new.interpreter.or(base.interpreter),
            auto_reload: new.auto_reload.or(base.auto_reload),
            debug: new.debug.or(base.debug),
            enable_pdb: new.enable_pdb.or(base.enable_pdb),
            interp_per_directory: new.interp_per_directory.or(base.interp_per_directory),
            interp_per_directive: new.interp_per_directive.or(base.interp_per_directive),
            optimize: new.optimize.or(base.optimize),
            request_timeout: new.request_timeout.or(base.request_timeout),
        }
    }
}

impl<'p> DirConfig<'p> {
    /// `base` with `new` over it. Handler lists replace each other whole, one by one.
    pub fn merge(pool: &'p Pool, base: &Self, new: &Self) -> Self {
        let (scope, is_location) = match new.scope {
            Some(_) => (new.scope, new.is_location),
            None => (base.scope, base.is_location),
        };
        let mut handlers = base.handlers;
        for (slot, list) in handlers.iter_mut().zip(new.handlers) {
            *slot = list.or(*slot);
        }
        Self {
            settings: Settings::merge(&base.settings, &new.settings),
            options: Overlay::merge(pool, base.options, new.options),
            handlers,
            suffixed: Overlay::merge(pool, base.suffixed, new.suffixed),
            filters: Overlay::merge(pool, base.filters, new.filters),
            authn_provider: new.authn_provider.or(base.authn_provider),
            scope,
            is_location,
            is_blank: false,
        }
    }
}

impl<'p> ServerConfig<'p> {
    /// What a virtual host inherits from the main server. PythonImport entries and what
    /// tells how Python is used stay each server's own.
    pub fn merge(pool: &'p Pool, base: &Self, new: &Self) -> Self {
        Self {
            settings: Settings::merge(&base.settings, &new.settings),
            options: Overlay::merge(pool, base.options, new.options),
            connection: new.connection.or(base.connection),
            imports: new.imports,
            python_home: base.python_home.or(new.python_home),
            session_cache: base.session_cache,
            interp_per_server: base.interp_per_server.or(new.interp_per_server),
            wedge_action: base.wedge_action.or(new.wedge_action),
            status: base.status.or(new.status),
            max_memory: base.max_memory.or(new.max_memory),
            max_requests: base.max_requests.or(new.max_requests),
            interpreters: new.interpreters,
            runs_python: new.runs_python,
        }
    }
}

/// httpd combines two directory scopes, at start and at requests.
///
/// # Safety
/// Called by httpd, with its pool and records of this module.
pub unsafe extern "C" fn merge_dir_config(
    pool: *mut ffi::apr_pool_t,
    base: *mut c_void,
    new: *mut c_void,
) -> *mut c_void {
    let merged = guard("merge_dir_config", null_mut(), || {
        // SAFETY: both came from our create or merge functions and live at least as long as `pool`;
        // null is what creating one left after a panic.
        let (pool, base, new) = unsafe {
            (
                Pool::from_raw(pool),
                (base as *const DirConfig<'_>).as_ref(),
                (new as *const DirConfig<'_>).as_ref(),
            )
        };
        let (Some(base), Some(new)) = (base, new) else {
            return null_mut();
        };
        if base.is_blank {
            // Nothing configured outside: the inner record is the answer as it is.
            return std::ptr::from_ref(new) as *mut c_void;
        }
        std::ptr::from_mut(pool.alloc(DirConfig::merge(pool, base, new))) as *mut c_void
    });
    if merged.is_null() {
        // Lost to a panic, now or when one of the two was made.
        phase::use_all();
        return std::ptr::from_ref(const { &DirConfig::LOST }) as *mut c_void;
    }
    merged
}

/// httpd combines the main server's record with a virtual host's.
///
/// # Safety
/// Called by httpd, with its pool and records of this module.
pub unsafe extern "C" fn merge_server_config(
    pool: *mut ffi::apr_pool_t,
    base: *mut c_void,
    new: *mut c_void,
) -> *mut c_void {
    guard("merge_server_config", null_mut(), || {
        // SAFETY: as above.
        let (pool, base, new) = unsafe {
            (
                Pool::from_raw(pool),
                (base as *const ServerConfig<'_>).as_ref(),
                (new as *const ServerConfig<'_>).as_ref(),
            )
        };
        let (Some(base), Some(new)) = (base, new) else {
            return null_mut();
        };
        std::ptr::from_mut(pool.alloc(ServerConfig::merge(pool, base, new))) as *mut c_void
    })
}
