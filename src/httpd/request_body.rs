//! A request's body: what comes through the input filters. (http_protocol.h, util_filter.h)

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use super::{Error, Request};
use crate::ffi;

/// The text of a failed read.
pub const READ_FAILED: &str = "Client read error (Timeout?)";

/// How often in a row the filters may answer a blocking read with nothing at all.
///
/// Each such answer can stand for input that a filter swallowed, so some are fine; a filter that never
/// reads would keep the thread busy for ever.
const PATIENCE: u32 = 100_000;

/// The brigade that the body comes in, made once for a request and kept in its pool.
#[derive(Clone, Copy)]
pub struct BodyBrigade(NonNull<ffi::apr_bucket_brigade>);

// SAFETY: only used together with the request whose pool it lies in.
unsafe impl Send for BodyBrigade {}

/// How far a read goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// The room is full.
    Full,
    /// Something has come.
    Some,
}

/// What came of a read.
pub struct BodyRead {
    /// How much of the room is filled, also when the read failed.
    pub filled: usize,
    /// More than there was room for: filters may answer with more than they were asked for.
    pub surplus: Vec<u8>,
    /// Whether the body ended, or why it broke off.
    pub end: Result<bool, Error>,
}

impl Request {
    /// Prepares reading the body, chunked or not; false where there is none.
    ///
    /// # Errors
    /// [`Error::Http`] when httpd refuses the request's framing or length.
    pub fn setup_body(&self) -> Result<bool, Error> {
        // SAFETY: live.
        unsafe {
            let status =
                ffi::ap_setup_client_block(self.as_ptr(), ffi::REQUEST_CHUNKED_DECHUNK as c_int);
            if status != 0 {
                return Err(Error::Http(status));
            }
            Ok(ffi::ap_should_client_block(self.as_ptr()) != 0)
        }
    }

    /// How much of the body is still to come, where the client announced its length.
    pub fn announced_body(&self) -> Option<usize> {
        if self.read_chunked() != 0 {
            return None;
        }
        usize::try_from(self.remaining() - self.read_length()).ok()
    }

    /// Waits for body bytes and puts them into `room`.
    ///
    /// The errors of the result are [`Error::Client`] for a failed read, and [`Error::Http`] where httpd
    /// refuses the body: it is malformed, or grows past `LimitRequestBody`.
    pub fn fetch_body(
        &self,
        brigade: &mut Option<BodyBrigade>,
        room: &mut [MaybeUninit<u8>],
        until: Until,
    ) -> BodyRead {
        let brigade = *brigade.get_or_insert_with(|| self.make_brigade());
        let mut read = BodyRead {
            filled: 0,
            surplus: Vec::new(),
            end: Ok(false),
        };
        let mut patience = PATIENCE;
        while read.filled < room.len() {
            read.end = self.read_brigade(brigade, room, &mut read.filled, &mut read.surplus);
            if !matches!(read.end, Ok(false)) || (until == Until::Some && read.filled > 0) {
                break;
            }
            if read.filled > 0 {
                patience = PATIENCE;
                continue;
            }
            patience -= 1;
            if patience == 0 {
                read.end = Err(Error::Client(READ_FAILED));
                break;
            }
        }
        read
    }

    /// `ap_discard_request_body`: a status, 0 when all went well.
    pub fn discard_request_body(&self) -> c_int {
        // SAFETY: live.
        unsafe { ffi::ap_discard_request_body(self.as_ptr()) }
    }

    fn make_brigade(&self) -> BodyBrigade {
        // SAFETY: a live request; its brigades go with its pool.
        let raw = unsafe {
            let r = self.as_ptr();
            ffi::apr_brigade_create((*r).pool, (*(*r).connection).bucket_alloc)
        };
        BodyBrigade(NonNull::new(raw).expect("BUG: httpd's pools abort without memory"))
    }

    /// Asks the input filters once; true at the end of the body.
    fn read_brigade(
        &self,
        brigade: BodyBrigade,
        room: &mut [MaybeUninit<u8>],
        filled: &mut usize,
        surplus: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        let r = self.as_ptr();
        let brigade = brigade.0.as_ptr();
        // SAFETY: a live request and its own brigade, empty here and at each return.
        unsafe {
            if (*r).read_chunked == 0 && (*r).remaining == 0 {
                return Ok(true);
            }
            let status = ffi::ap_get_brigade(
                (*r).input_filters,
                brigade,
                ffi::AP_MODE_READBYTES,
                ffi::APR_BLOCK_READ,
                (room.len() - *filled) as ffi::apr_off_t,
            );
            let result = if status == 0 {
                take(brigade, room, filled, surplus)
            } else {
                Err(status)
            };
            ffi::apr_brigade_cleanup(brigade.cast());
            match result {
                Ok((bytes, end)) => {
                    (*r).read_length += bytes as ffi::apr_off_t;
                    if end {
                        // As ap_get_client_block: nothing more will come.
                        (*r).remaining = 0;
                        (*r).read_chunked = 0;
                    }
                    Ok(end)
                }
                // httpd has answered the client already, with this status.
                Err(ffi::MP_AP_FILTER_ERROR) if self.eos_sent() != 0 => {
                    Err(Error::Http((*r).status))
                }
                Err(ffi::MP_AP_FILTER_ERROR) => Err(Error::Client(READ_FAILED)),
                Err(status) => {
                    // What the client still sends cannot be told from a next request.
                    (*(*r).connection).keepalive = ffi::AP_CONN_CLOSE;
                    let too_large = ffi::HTTP_REQUEST_ENTITY_TOO_LARGE as c_int;
                    let other = ffi::HTTP_BAD_REQUEST as c_int;
                    Err(
                        if ffi::ap_map_http_request_error(status, other) == too_large {
                            Error::Http(too_large)
                        } else {
                            Error::Client(READ_FAILED)
                        },
                    )
                }
            }
        }
    }
}

/// Empties a brigade: first into the room, then into the surplus. Returns the bytes and whether the
/// body ends.
///
/// # Safety
/// `brigade` is live.
unsafe fn take(
    brigade: *mut ffi::apr_bucket_brigade,
    room: &mut [MaybeUninit<u8>],
    filled: &mut usize,
    surplus: &mut Vec<u8>,
) -> Result<(usize, bool), ffi::apr_status_t> {
    let mut bytes = 0;
    // SAFETY: live (caller). A bucket's data stays valid until the bucket is deleted, which comes after
    // the copy; where reading splits the bucket, the rest follows it in the ring.
    unsafe {
        while !ffi::brigade_is_empty(brigade) {
            let bucket = ffi::brigade_first(brigade);
            if ffi::bucket_is_eos(bucket) {
                return Ok((bytes, true));
            }
            if !ffi::bucket_is_metadata(bucket) {
                let mut data = std::ptr::null();
                let mut length = 0;
                let status = ffi::bucket_read(bucket, &mut data, &mut length, ffi::APR_BLOCK_READ);
                if status != 0 {
                    return Err(status);
                }
                let fits = length.min(room.len() - *filled);
                let target = room[*filled..].as_mut_ptr().cast::<u8>();
                std::ptr::copy_nonoverlapping(data.cast::<u8>(), target, fits);
                *filled += fits;
                if fits < length {
                    surplus.extend_from_slice(std::slice::from_raw_parts(
                        data.cast::<u8>().add(fits),
                        length - fits,
                    ));
                }
                bytes += length;
            }
            ffi::bucket_delete(bucket);
        }
    }
    Ok((bytes, false))
}
