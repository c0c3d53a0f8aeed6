//! A request's body, the response's body, and files. (http_protocol.h, util_filter.h)

use std::ffi::{c_int, c_void, CStr};

use super::{Error, Finfo, Request};
use crate::ffi;

/// The text of a failed write, which programs compare.
pub const WRITE_FAILED: &str = "Write failed, client closed connection.";
/// The text of a failed flush.
pub const FLUSH_FAILED: &str = "Flush failed, client closed connection.";
/// The text of a failed read.
pub const READ_FAILED: &str = "Client read error (Timeout?)";

impl Request {
    /// Hands bytes to the output filters, which may keep small amounts until a flush.
    ///
    /// # Errors
    /// [`Error::Client`] when the client is gone.
    pub fn write(&self, data: &[u8]) -> Result<(), Error> {
        for piece in data.chunks(c_int::MAX as usize) {
            // SAFETY: live; httpd copies or sends the bytes before it returns.
            let sent = unsafe {
                ffi::ap_rwrite(
                    piece.as_ptr() as *const c_void,
                    piece.len() as c_int,
                    self.as_ptr(),
                )
            };
            if sent < 0 {
                return Err(Error::Client(WRITE_FAILED));
            }
        }
        Ok(())
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

    /// Prepares reading the body; chunked bodies are decoded.
    ///
    /// # Errors
    /// [`Error::Http`] when the request's framing is refused.
    pub fn setup_body(&self) -> Result<bool, Error> {
        // SAFETY: live. `should_client_block` also answers `Expect: 100-continue` later.
        unsafe {
            let status =
                ffi::ap_setup_client_block(self.as_ptr(), ffi::REQUEST_CHUNKED_DECHUNK as c_int);
            if status != 0 {
                return Err(Error::Http(status));
            }
            Ok(ffi::ap_should_client_block(self.as_ptr()) != 0)
        }
    }

    /// Waits for body bytes; 0 is the end of the body.
    ///
    /// # Errors
    /// [`Error::Client`] on a failed read, [`Error::Http`] where httpd has a status for it
    /// (413 past `LimitRequestBody`).
    pub fn read_body_into(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        loop {
            let (got, end) = self.read_brigade(buffer)?;
            if got > 0 || end {
                return Ok(got);
            }
        }
    }

    /// One turn of reading: bytes got and whether the end was seen.
    fn read_brigade(&self, buffer: &mut [u8]) -> Result<(usize, bool), Error> {
        let r = self.as_ptr();
        // SAFETY: live request; the brigade is made and destroyed here.
        unsafe {
            if (*r).read_chunked == 0 && (*r).remaining == 0 {
                return Ok((0, true));
            }
            let brigade = ffi::apr_brigade_create((*r).pool, (*(*r).connection).bucket_alloc);
            let status = ffi::ap_get_brigade(
                (*r).input_filters,
                brigade,
                ffi::AP_MODE_READBYTES,
                ffi::APR_BLOCK_READ,
                buffer.len() as ffi::apr_off_t,
            );
            if status != 0 {
                ffi::apr_brigade_destroy(brigade);
                if status == ffi::MP_AP_FILTER_ERROR {
                    // A filter has answered the client already.
                    return Err(Error::Client(READ_FAILED));
                }
                (*(*r).connection).keepalive = ffi::AP_CONN_CLOSE;
                let mapped = ffi::ap_map_http_request_error(status, ffi::HTTP_BAD_REQUEST as c_int);
                if mapped == ffi::HTTP_REQUEST_ENTITY_TOO_LARGE as c_int {
                    return Err(Error::Http(mapped));
                }
                return Err(Error::Client(READ_FAILED));
            }
            let last = (*brigade).list.prev;
            let end = last != ffi::brigade_sentinel(brigade) && ffi::bucket_is_eos(last);
            let mut length = buffer.len() as ffi::apr_size_t;
            let status = ffi::apr_brigade_flatten(brigade, buffer.as_mut_ptr().cast(), &mut length);
            ffi::apr_brigade_destroy(brigade);
            if status != 0 {
                return Err(Error::Client(READ_FAILED));
            }
            (*r).read_length += length as ffi::apr_off_t;
            if end {
                // As ap_get_client_block: nothing more will come.
                (*r).remaining = 0;
                (*r).read_chunked = 0;
            }
            Ok((length as usize, end))
        }
    }

    /// `ap_discard_request_body`.
    pub fn discard_request_body(&self) -> c_int {
        // SAFETY: live.
        unsafe { ffi::ap_discard_request_body(self.as_ptr()) }
    }

    /// Sends a part of a file through httpd's file buckets; returns the bytes handed over.
    ///
    /// # Errors
    /// [`SendFileError`] tells which step failed.
    pub fn sendfile(
        &self,
        path: &CStr,
        offset: i64,
        length: Option<i64>,
    ) -> Result<i64, SendFileError> {
        let finfo =
            Finfo::stat(path, ffi::APR_FINFO_NORM as i32).map_err(|_| SendFileError::Stat)?;
        if finfo.filetype == ffi::APR_NOFILE as i32 {
            return Err(SendFileError::Stat);
        }
        if finfo.filetype != ffi::APR_REG as i32 {
            return Err(SendFileError::NotRegular);
        }
        let rest = (finfo.size - offset).max(0);
        let length = length.map_or(rest, |wanted| wanted.min(rest));
        let mut file = std::ptr::null_mut();
        // SAFETY: live request; the file belongs to its pool, as its bucket may outlive this call.
        unsafe {
            let flags = ffi::APR_READ | ffi::APR_BINARY | ffi::APR_SENDFILE_ENABLED;
            let status = ffi::apr_file_open(
                &mut file,
                path.as_ptr(),
                flags as i32,
                ffi::MP_APR_OS_DEFAULT as i32,
                self.pool().as_ptr(),
            );
            if status != 0 {
                return Err(SendFileError::Open);
            }
            if length == 0 {
                ffi::apr_file_close(file);
                return Ok(0);
            }
            let mut sent: ffi::apr_size_t = 0;
            let status = ffi::ap_send_fd(
                file,
                self.as_ptr(),
                offset,
                length as ffi::apr_size_t,
                &mut sent,
            );
            if status != 0 {
                return Err(SendFileError::Send);
            }
            Ok(length)
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
}
