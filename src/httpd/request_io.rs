//! The response's body, and files in it. (http_protocol.h, util_filter.h)

use std::ffi::{c_int, CStr};

use super::{Error, Finfo, Request};
use crate::ffi;

/// The text of a failed write, which programs compare.
pub const WRITE_FAILED: &str = "Write failed, client closed connection.";
/// The text of a write after the end: sent, it would be taken for the next response.
pub const COMPLETE: &str = "Write failed, the response is already complete.";
/// The text of a failed flush.
pub const FLUSH_FAILED: &str = "Flush failed, client closed connection.";

impl Request {
    /// Hands bytes to the output filters, which may keep small amounts until a flush.
    ///
    /// # Errors
    /// [`Error::Client`] when the client is gone, or the response complete (after an internal redirect).
    pub fn write(&self, data: &[u8]) -> Result<(), Error> {
        // SAFETY: borrowed for the length of the call.
        unsafe { self.write_memory(data) }
    }

    /// As [`Self::write`], for memory that somebody may write to meanwhile.
    ///
    /// # Safety
    /// The memory stays readable for the length of the call.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub unsafe fn write_memory(&self, data: *const [u8]) -> Result<(), Error> {
        self.writable()?;
        let (mut start, mut left) = (data.cast::<u8>(), data.len());
        while left > 0 {
            let length = left.min(c_int::MAX as usize);
            // SAFETY: live; httpd copies or sends the bytes before it returns.
            let sent = unsafe {
                let sent = ffi::ap_rwrite(start.cast(), length as c_int, self.as_ptr());
                start = start.add(length);
                sent
            };
            if sent < 0 {
                return Err(Error::Client(WRITE_FAILED));
            }
            left -= length;
        }
        Ok(())
    }

    /// # Errors
    /// [`Error::Client`] when the response is complete.
    pub fn writable(&self) -> Result<(), Error> {
        if self.eos_sent() != 0 {
            return Err(Error::Client(COMPLETE));
        }
        Ok(())
    }

    /// Whether the client wants no more than the head of the response, and gets it over HTTP/2.
    ///
    /// Over HTTP/1 httpd drops the rest itself. mod_http2 ends a stream with an error instead when there
    /// comes more than one brigade after the head.
    pub fn wants_head_only(&self) -> bool {
        self.header_only() != 0 && self.connection().is_secondary()
    }

    /// Sends what the output filters keep.
    ///
    /// # Errors
    /// [`Error::Client`] when the client is gone.
    pub fn flush(&self) -> Result<(), Error> {
        // SAFETY: live.
        if unsafe { ffi::ap_rflush(self.as_ptr()) } < 0 {
            return Err(Error::Client(FLUSH_FAILED));
        }
        Ok(())
    }

    /// Sends a part of a file through httpd's file buckets, as EnableSendfile and EnableMMAP allow;
    /// returns the bytes handed over. Where they are not wanted the file is looked at only.
    ///
    /// # Errors
    /// [`SendFileError`] tells which step failed.
    pub fn sendfile(
        &self,
        path: &CStr,
        offset: i64,
        length: Option<i64>,
        is_wanted: bool,
    ) -> Result<i64, SendFileError> {
        if self.eos_sent() != 0 {
            return Err(SendFileError::Complete);
        }
        let finfo =
            Finfo::stat(path, ffi::APR_FINFO_NORM as i32).map_err(|_| SendFileError::Stat)?;
        if !finfo.exists() {
            return Err(SendFileError::Stat);
        }
        if finfo.filetype != ffi::APR_REG as i32 {
            return Err(SendFileError::NotRegular);
        }
        let rest = (finfo.size - offset).max(0);
        let length = length.map_or(rest, |wanted| wanted.min(rest));
        let (may_sendfile, may_mmap) = self.file_policy();
        let mut flags = ffi::APR_READ | ffi::APR_BINARY;
        if may_sendfile {
            flags |= ffi::APR_SENDFILE_ENABLED;
        }
        let mut file = std::ptr::null_mut();
        // SAFETY: live request. The file and what is mapped of it belong to its pool, as its bucket may
        // outlive this call; the file is closed here only where no bucket refers to it any more.
        unsafe {
            let status = ffi::apr_file_open(
                &mut file,
                path.as_ptr(),
                flags as i32,
                ffi::MP_APR_OS_DEFAULT,
                self.pool().as_ptr(),
            );
            if status != 0 {
                return Err(SendFileError::Open);
            }
            if length == 0 || !is_wanted {
                ffi::apr_file_close(file);
                return Ok(length);
            }
            let r = self.as_ptr();
            let brigade = ffi::apr_brigade_create((*r).pool, (*(*r).connection).bucket_alloc);
            let bucket = ffi::apr_brigade_insert_file(brigade, file, offset, length, (*r).pool);
            if !may_mmap {
                ffi::apr_bucket_file_enable_mmap(bucket, 0);
            }
            // A reference of our own tells afterwards whether there are others.
            let mut ours = std::ptr::null_mut();
            if ffi::bucket_copy(bucket, &mut ours) != 0 {
                ours = std::ptr::null_mut();
            }
            let status = ffi::ap_pass_brigade((*r).output_filters, brigade);
            ffi::apr_brigade_destroy(brigade);
            if !ours.is_null() {
                let is_last = (*((*ours).data as *const ffi::apr_bucket_refcount)).refcount == 1;
                ffi::bucket_destroy(ours);
                let mut descriptor = -1;
                if is_last && ffi::apr_os_file_get(&mut descriptor, file) == 0 && descriptor >= 0 {
                    ffi::apr_file_close(file);
                }
            }
            if status != 0 {
                return Err(SendFileError::Send);
            }
        }
        Ok(length)
    }

    /// What the core's configuration allows with files in scope: sendfile, mmap.
    fn file_policy(&self) -> (bool, bool) {
        // SAFETY: the core module has a record for every directory.
        unsafe {
            let config = ffi::ap_get_core_module_config((*self.as_ptr()).per_dir_config)
                as *const ffi::core_dir_config;
            (
                (*config).enable_sendfile() == ffi::MP_ENABLE_SENDFILE_ON as u32,
                (*config).enable_mmap() != ffi::MP_ENABLE_MMAP_OFF as u32,
            )
        }
    }
}

/// Which step of [`Request::sendfile`] failed.
#[derive(thiserror::Error, Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendFileError {
    #[error("Could not stat file for reading")]
    Stat,
    #[error("Could not open file for reading")]
    Open,
    #[error("Could not send: not a regular file")]
    NotRegular,
    #[error("Write failed, client closed connection.")]
    Send,
    #[error("Write failed, the response is already complete.")]
    Complete,
}
