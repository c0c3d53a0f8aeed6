//! Raw bytes on a connection, for connection handlers. (util_filter.h)

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

impl Conn {
    /// Waits for at least one byte and takes what is there, at most `limit` bytes.
    ///
    /// # Errors
    /// [`Error::Client`] at the connection's end, on a timeout or a failure.
    pub fn read(&self, limit: usize) -> Result<Read, Error> {
        self.fetch(ffi::AP_MODE_READBYTES, limit as i64)
    }

    /// Waits for a line and takes it with its newline; a very long one comes in parts.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_line(&self) -> Result<Read, Error> {
        self.fetch(ffi::AP_MODE_GETLINE, 0)
    }

    fn fetch(&self, mode: ffi::ap_input_mode_t, length: i64) -> Result<Read, Error> {
        let failed = || Error::Client(READ_FAILED);
        let brigade = Brigade::create(self.pool(), self);
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
        if status != 0 {
            brigade.clear();
            return Err(failed());
        }
        let mut data = Vec::new();
        loop {
            match brigade.first() {
                First::Data => {
                    brigade
                        .take_data(&mut data, usize::MAX, None)
                        .map_err(|_| failed())?;
                }
                First::Eos if data.is_empty() => {
                    brigade.clear();
                    return Ok(Read::Eos);
                }
                First::Nothing if data.is_empty() => return Err(failed()),
                First::Nothing | First::Eos => break,
                First::Flush | First::Metadata => brigade.drop_first(),
            }
        }
        brigade.clear();
        Ok(Read::Data(data))
    }

    /// Sends bytes at once; whether they arrive is not known.
    pub fn write(&self, bytes: &[u8]) {
        let brigade = Brigade::create(self.pool(), self);
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
