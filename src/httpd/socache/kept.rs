//! Shared memory that outlives a restart: httpd is restarted when logs are rotated, and sessions stay.
//!
//! The memory and the provider's record of it live in a pool of the process. They are used again if the
//! provider's module is the same file, so that its record means the same, and the arguments are.

use std::ffi::{c_void, CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::ptr::null_mut;

use parking_lot::Mutex;

use super::{Instance, Provider};
use crate::ffi;
use crate::httpd::{Pool, Server};

struct Kept {
    arguments: CString,
    module: Stamp,
    instance: Instance,
    pool: *mut ffi::apr_pool_t,
}

// SAFETY: only the parent's one thread touches it, while it reads the configuration.
unsafe impl Send for Kept {}

static KEPT: Mutex<Option<Kept>> = Mutex::new(None);

/// The file of a module, as it was when it was loaded.
#[derive(PartialEq, Eq)]
struct Stamp([i64; 4]);

impl Stamp {
    /// `None` where nobody knows which file a provider comes from.
    fn of(provider: &Provider) -> Option<Self> {
        let address = provider.create? as *const c_void;
        // SAFETY: looks the address of a function up; the name lives as long as the module.
        let path = unsafe {
            let mut info: libc::Dl_info = std::mem::zeroed();
            if libc::dladdr(address, &mut info) == 0 || info.dli_fname.is_null() {
                return None;
            }
            CStr::from_ptr(info.dli_fname)
        };
        let path = std::ffi::OsStr::from_bytes(path.to_bytes());
        let file = std::fs::metadata(path).ok()?;
        Some(Self([
            file.dev() as i64,
            file.ino() as i64,
            file.mtime(),
            file.mtime_nsec(),
        ]))
    }
}

/// The instance of before the restart, or a new one, in memory of its own.
///
/// # Errors
/// Why the provider cannot make one.
pub fn open(provider: &Provider, arguments: &CStr, server: &Server) -> Result<Instance, String> {
    let module = Stamp::of(provider);
    let mut kept = KEPT.lock();
    if let Some(old) = kept.take() {
        if old.arguments.as_c_str() == arguments && Some(&old.module) == module.as_ref() {
            return Ok(kept.insert(old).instance);
        }
        // SAFETY: made below, and nobody in this process uses what is in it any more; children have
        // maps of their own.
        unsafe { ffi::apr_pool_destroy(old.pool) };
    }
    let mut raw = null_mut();
    // SAFETY: a child of the pool of the process, which lives.
    let status = unsafe {
        ffi::apr_pool_create_ex(&mut raw, server.process_pool().as_ptr(), None, null_mut())
    };
    crate::httpd::Error::check("no memory for the cache", status).map_err(|e| e.to_string())?;
    // SAFETY: just made; lives until this module destroys it.
    let pool = unsafe { Pool::from_raw(raw) };
    let made = super::create(provider, arguments, pool).and_then(|instance| {
        super::init(provider, instance, server, pool).map_err(|error| error.to_string())?;
        Ok(instance)
    });
    match (&made, module) {
        (Ok(instance), Some(module)) => {
            *kept = Some(Kept {
                arguments: arguments.to_owned(),
                module,
                instance: *instance,
                pool: raw,
            });
        }
        // Without a stamp it is not used again, and stays as long as the process.
        (Ok(_), None) => {}
        // SAFETY: nobody has anything from it.
        (Err(_), _) => unsafe { ffi::apr_pool_destroy(raw) },
    }
    made
}
