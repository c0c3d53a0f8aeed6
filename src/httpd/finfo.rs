//! `apr_finfo_t`, copied out so that it needs nobody's pool. (apr_file_info.h)

use std::ffi::{CStr, CString};

use super::Error;
use crate::ffi;

/// The bits of `valid` and `wanted`.
pub const SIZE: i32 = ffi::APR_FINFO_SIZE as i32;
pub const ATIME: i32 = ffi::APR_FINFO_ATIME as i32;
pub const MTIME: i32 = ffi::APR_FINFO_MTIME as i32;
pub const CTIME: i32 = ffi::APR_FINFO_CTIME as i32;
pub const DEV: i32 = ffi::APR_FINFO_DEV as i32;
pub const INODE: i32 = ffi::APR_FINFO_INODE as i32;
pub const NLINK: i32 = ffi::APR_FINFO_NLINK as i32;
pub const USER: i32 = ffi::APR_FINFO_USER as i32;
pub const GROUP: i32 = ffi::APR_FINFO_GROUP as i32;
pub const PROT: i32 = ffi::APR_FINFO_PROT as i32;

/// A file's attributes, as APR reported them.
#[derive(Clone)]
pub struct Finfo {
    pub valid: i32,
    pub filetype: i32,
    pub protection: i32,
    pub user: u32,
    pub group: u32,
    pub inode: u64,
    pub device: u64,
    pub nlink: i32,
    pub size: i64,
    /// Microseconds since the epoch, as APR counts.
    pub atime: i64,
    pub mtime: i64,
    pub ctime: i64,
    pub fname: Option<CString>,
    pub name: Option<CString>,
}

impl Finfo {
    /// Copies a live record.
    ///
    /// # Safety
    /// `raw` is a live record whose strings are null or live.
    pub unsafe fn copy(raw: *const ffi::apr_finfo_t) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            let text = |p: *const std::ffi::c_char| {
                if p.is_null() {
                    None
                } else {
                    Some(CStr::from_ptr(p).to_owned())
                }
            };
            let f = &*raw;
            let has_name = f.valid & ffi::APR_FINFO_NAME as i32 != 0;
            Self {
                valid: f.valid,
                filetype: f.filetype as i32,
                protection: f.protection,
                user: f.user,
                group: f.group,
                inode: f.inode as u64,
                device: f.device as u64,
                nlink: f.nlink,
                size: f.size,
                atime: f.atime,
                mtime: f.mtime,
                ctime: f.ctime,
                fname: text(f.fname),
                name: if has_name { text(f.name) } else { None },
            }
        }
    }

    /// Whether there is a file at all: its type is not `APR_NOFILE`.
    pub fn exists(&self) -> bool {
        self.filetype != ffi::APR_NOFILE as i32
    }

    /// `apr_stat`; a missing file is a record of type `APR_NOFILE`.
    ///
    /// # Errors
    /// Any other failure of `apr_stat`, with its status.
    pub fn stat(path: &CStr, wanted: i32) -> Result<Self, Error> {
        let pool = super::pool::OwnedPool::new().ok_or(Error::Memory)?;
        // SAFETY: an all-zero record is what callers of apr_stat start with; the pool outlives it.
        unsafe {
            let mut raw: ffi::apr_finfo_t = std::mem::zeroed();
            let status = ffi::apr_stat(&mut raw, path.as_ptr(), wanted, pool.as_ptr());
            if status == ffi::MP_APR_ENOENT as i32 {
                raw.filetype = ffi::APR_NOFILE;
                raw.valid = 0;
                raw.fname = std::ptr::null();
            } else if status != 0 && status != ffi::MP_APR_EINCOMPLETE as i32 {
                return Err(Error::Apr {
                    what: "apr_stat() failed",
                    status,
                });
            }
            Ok(Self::copy(&raw))
        }
    }
}
