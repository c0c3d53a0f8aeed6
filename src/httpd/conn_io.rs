//! Raw bytes on a connection, for connection handlers. (util_filter.h)

use std::ptr::NonNull;

use super::brigade::{Brigade, First};
use super::{Conn, Error};
use crate::ffi;

/// The text of a failed read, which programs compare.
pub const READ_FAILED: &str = "Connection read error";

/// What a read brought.
pub enum Read {
    Data(Vec<u8>),
    /// An end of stream inside the connection.
    Eos,
}

/// A brigade for the bytes, to be used again: APR gives its memory back with the connection only.
pub struct ConnBrigade(NonNull<ffi::apr_bucket_brigade>);

// SAFETY: only used together with the connection in whose pool it lies.
unsafe impl Send for ConnBrigade {}

impl Conn {
    /// An empty brigade for [`Self::read`] and its siblings, which leave it empty.
    pub fn make_brigade(&self) -> ConnBrigade {
        let raw = Brigade::create(self.pool(), self).as_ptr();
        ConnBrigade(NonNull::new(raw).expect("BUG: httpd's pools abort without memory"))
    }

    /// Waits for at least one byte and takes what is there, at most `limit` bytes.
    ///
    /// # Errors
    /// [`Error::Client`] at the connection's end, on a timeout or a failure.
    pub fn read(&self, brigade: &ConnBrigade, limit: usize) -> Result<Read, Error> {
        self.fetch(brigade, ffi::AP_MODE_READBYTES, limit as i64)
    }

    /// Waits for a line and takes it with its newline; a very long one comes in parts.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_line(&self, brigade: &ConnBrigade) -> Result<Read, Error> {
        self.fetch(brigade, ffi::AP_MODE_GETLINE, 0)
    }

    fn fetch(
        &self,
        brigade: &ConnBrigade,
        mode: ffi::ap_input_mode_t,
        length: i64,
    ) -> Result<Read, Error> {
        let brigade = brigade.lend();
        // SAFETY: live; a blocking read by the connection's own thread.
        let status = unsafe {
            ffi::ap_get_brigade(
                (*self.as_ptr()).input_filters,
                brigade.as_ptr(),
                mode,
                ffi::APR_BLOCK_READ,
                length,
            )
        };
        let read = if status == 0 { take_all(brigade) } else { None };
        brigade.clear();
        read.ok_or(Error::Client(READ_FAILED))
    }

    /// Sends bytes at once; whether they arrive is not known.
    pub fn write(&self, brigade: &ConnBrigade, bytes: &[u8]) {
        let brigade = brigade.lend();
        brigade.write(bytes);
        brigade.append_flush();
        // SAFETY: live; the filters take the buckets.
        unsafe {
            ffi::ap_pass_brigade((*self.as_ptr()).output_filters, brigade.as_ptr());
        }
        brigade.clear();
    }

    /// Whether it carries requests of another connection (HTTP/2 streams).
    pub fn is_secondary(&self) -> bool {
        /// The first httpd (2.4.17) whose conn_rec has `master`.
        const HAS_MASTER: i32 = 52;
        // SAFETY: live, and the field is there.
        unsafe { ffi::running_mmn_minor() >= HAS_MASTER && !(*self.as_ptr()).master.is_null() }
    }
}

impl ConnBrigade {
    fn lend(&self) -> &Brigade {
        // SAFETY: made in a connection's pool, with which it is used.
        unsafe { Brigade::from_raw(self.0.as_ptr()) }
    }
}

/// What a successful read has brought; None where that is nothing, or cannot be had.
fn take_all(brigade: &Brigade) -> Option<Read> {
    let mut data = Vec::new();
    loop {
        match brigade.first() {
            First::Data => {
                brigade.take_data(&mut data, usize::MAX, None).ok()?;
            }
            First::Eos if data.is_empty() => return Some(Read::Eos),
            First::Nothing if data.is_empty() => return None,
            First::Nothing | First::Eos => return Some(Read::Data(data)),
            First::Flush | First::Metadata => brigade.drop_first(),
        }
    }
}
