//! Brigades: data on its way through filters. (apr_buckets.h, util_filter.h)

use std::ffi::c_char;

use super::opaque::opaque;
use super::{Conn, Error, Pool};
use crate::ffi;

opaque! {
    /// A list of buckets, lent for a callback.
    Brigade(ffi::apr_bucket_brigade)
}

/// What stands first in a brigade.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum First {
    Nothing,
    Data,
    Flush,
    Eos,
    /// Another kind of metadata, which no Python filter can say anything about.
    Metadata,
}

impl Brigade {
    /// An empty brigade in a pool.
    pub fn create<'p>(pool: &'p Pool, c: &Conn) -> &'p Brigade {
        // SAFETY: lives as long as the pool; the allocator belongs to the connection.
        unsafe {
            Self::from_raw(ffi::apr_brigade_create(
                pool.as_ptr(),
                (*c.as_ptr()).bucket_alloc,
            ))
        }
    }

    /// What comes next.
    pub fn first(&self) -> First {
        // SAFETY: a live brigade.
        unsafe {
            if ffi::brigade_is_empty(self.as_ptr()) {
                return First::Nothing;
            }
            let bucket = ffi::brigade_first(self.as_ptr());
            if ffi::bucket_is_eos(bucket) {
                First::Eos
            } else if ffi::bucket_is_flush(bucket) {
                First::Flush
            } else if ffi::bucket_is_metadata(bucket) {
                First::Metadata
            } else {
                First::Data
            }
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.first() == First::Nothing
    }

    /// Whether an EOS bucket is in it.
    pub fn has_eos(&self) -> bool {
        // SAFETY: a live brigade, walked to its sentinel.
        unsafe {
            let sentinel = ffi::brigade_sentinel(self.as_ptr());
            let mut bucket = ffi::brigade_first(self.as_ptr());
            while bucket != sentinel {
                if ffi::bucket_is_eos(bucket) {
                    return true;
                }
                bucket = ffi::bucket_next(bucket);
            }
            false
        }
    }

    /// Whether there is data in it, or a bucket that has yet to be asked.
    pub fn has_data(&self) -> bool {
        // SAFETY: a live brigade, walked to its sentinel.
        unsafe {
            let sentinel = ffi::brigade_sentinel(self.as_ptr());
            let mut bucket = ffi::brigade_first(self.as_ptr());
            while bucket != sentinel {
                if !ffi::bucket_is_metadata(bucket) && (*bucket).length != 0 {
                    return true;
                }
                bucket = ffi::bucket_next(bucket);
            }
            false
        }
    }

    /// Drops all data and keeps the metadata.
    pub fn drop_data(&self) {
        // SAFETY: a live brigade, walked to its sentinel; the next bucket is taken before one goes.
        unsafe {
            let sentinel = ffi::brigade_sentinel(self.as_ptr());
            let mut bucket = ffi::brigade_first(self.as_ptr());
            while bucket != sentinel {
                let next = ffi::bucket_next(bucket);
                if !ffi::bucket_is_metadata(bucket) {
                    ffi::bucket_delete(bucket);
                }
                bucket = next;
            }
        }
    }

    /// Drops the first bucket.
    pub fn drop_first(&self) {
        if !self.is_empty() {
            // SAFETY: there is one.
            unsafe { ffi::bucket_delete(ffi::brigade_first(self.as_ptr())) }
        }
    }

    /// Moves the first bucket to the end of another brigade.
    pub fn move_first(&self, to: &Brigade) {
        if !self.is_empty() {
            // SAFETY: there is one, and it leaves its ring before it enters the other.
            unsafe {
                let bucket = ffi::brigade_first(self.as_ptr());
                ffi::bucket_remove(bucket);
                ffi::brigade_insert_tail(to.as_ptr(), bucket);
            }
        }
    }

    /// Moves everything to the end of another brigade.
    pub fn move_all(&self, to: &Brigade) {
        while !self.is_empty() {
            self.move_first(to);
        }
    }

    /// Appends the first bucket's data, at most `limit` bytes, and takes them out of the brigade.
    ///
    /// With `stop`, ends after that byte. Returns whether it was found.
    ///
    /// # Errors
    /// What reading the bucket (a file, a pipe) failed with.
    pub fn take_data(
        &self,
        into: &mut Vec<u8>,
        limit: usize,
        stop: Option<u8>,
    ) -> Result<bool, Error> {
        // SAFETY: the first bucket is a live data bucket; reading may change it and insert others after
        // it, and its data is copied before it is deleted.
        unsafe {
            let bucket = ffi::brigade_first(self.as_ptr());
            let mut data: *const c_char = std::ptr::null();
            let mut length: ffi::apr_size_t = 0;
            let status = ffi::bucket_read(bucket, &mut data, &mut length, ffi::APR_BLOCK_READ);
            Error::check("reading a bucket", status)?;
            let length = length as usize;
            let bytes = if length == 0 {
                &[][..]
            } else {
                std::slice::from_raw_parts(data.cast::<u8>(), length)
            };
            let mut end = length.min(limit);
            let found = stop.and_then(|stop| memchr::memchr(stop, &bytes[..end]));
            if let Some(at) = found {
                end = at + 1;
            }
            into.extend_from_slice(&bytes[..end]);
            if end < length {
                Error::check(
                    "splitting a bucket",
                    ffi::bucket_split(bucket, end as ffi::apr_size_t),
                )?;
            }
            ffi::bucket_delete(bucket);
            Ok(found.is_some())
        }
    }

    /// Makes data at the front readable in memory: at most `limit` bytes, with `stop` up to and including
    /// that byte, and never past a FLUSH or EOS bucket. Other metadata moves to another brigade.
    ///
    /// Returns the number of bytes, which [`Self::take_out`] takes.
    ///
    /// # Errors
    /// What reading or splitting a bucket (a file, a pipe) failed with.
    pub fn gather(&self, limit: usize, stop: Option<u8>, others: &Brigade) -> Result<usize, Error> {
        let mut total = 0;
        // SAFETY: a live brigade, walked to its sentinel; reading may insert buckets after the one read.
        unsafe {
            let sentinel = ffi::brigade_sentinel(self.as_ptr());
            let mut bucket = ffi::brigade_first(self.as_ptr());
            while bucket != sentinel && total < limit {
                if ffi::bucket_is_eos(bucket) || ffi::bucket_is_flush(bucket) {
                    break;
                }
                if ffi::bucket_is_metadata(bucket) {
                    let next = ffi::bucket_next(bucket);
                    ffi::bucket_remove(bucket);
                    ffi::brigade_insert_tail(others.as_ptr(), bucket);
                    bucket = next;
                    continue;
                }
                let mut data: *const c_char = std::ptr::null();
                let mut length: ffi::apr_size_t = 0;
                let status = ffi::bucket_read(bucket, &mut data, &mut length, ffi::APR_BLOCK_READ);
                Error::check("reading a bucket", status)?;
                let length = length as usize;
                if length == 0 {
                    // What is left of a pipe at its end; it would hide the EOS behind it.
                    let next = ffi::bucket_next(bucket);
                    ffi::bucket_delete(bucket);
                    bucket = next;
                    continue;
                }
                let mut end = length.min(limit - total);
                let found = match stop {
                    Some(stop) if end > 0 => {
                        memchr::memchr(stop, std::slice::from_raw_parts(data.cast::<u8>(), end))
                    }
                    _ => None,
                };
                if let Some(at) = found {
                    end = at + 1;
                }
                if end < length {
                    Error::check(
                        "splitting a bucket",
                        ffi::bucket_split(bucket, end as ffi::apr_size_t),
                    )?;
                }
                total += end;
                if found.is_some() {
                    break;
                }
                bucket = ffi::bucket_next(bucket);
            }
        }
        Ok(total)
    }

    /// Data at the front that [`Self::gather`] would find without reading on: in memory, in one bucket, and
    /// either `limit` bytes of it or all that comes before the end, a FLUSH or an EOS bucket.
    ///
    /// The slice holds until the bucket is changed; [`Self::advance`] takes it.
    pub fn in_memory(&self, limit: usize) -> Option<&[u8]> {
        // SAFETY: a live brigade; the kinds named here are read without changing anything.
        unsafe {
            if ffi::brigade_is_empty(self.as_ptr()) {
                return None;
            }
            let bucket = ffi::brigade_first(self.as_ptr());
            let kind = (*bucket).type_;
            let is_memory = kind == std::ptr::addr_of!(ffi::apr_bucket_type_mmap)
                || kind == std::ptr::addr_of!(ffi::apr_bucket_type_heap)
                || kind == std::ptr::addr_of!(ffi::apr_bucket_type_transient)
                || kind == std::ptr::addr_of!(ffi::apr_bucket_type_immortal)
                || kind == std::ptr::addr_of!(ffi::apr_bucket_type_pool);
            if !is_memory {
                return None;
            }
            if ((*bucket).length as usize) < limit {
                let next = ffi::bucket_next(bucket);
                let is_all = next == ffi::brigade_sentinel(self.as_ptr())
                    || ffi::bucket_is_eos(next)
                    || ffi::bucket_is_flush(next);
                if !is_all {
                    return None;
                }
            }
            let mut data: *const c_char = std::ptr::null();
            let mut length: ffi::apr_size_t = 0;
            let status = ffi::bucket_read(bucket, &mut data, &mut length, ffi::APR_BLOCK_READ);
            if status != 0 || length == 0 {
                return None;
            }
            let length = (length as usize).min(limit);
            Some(std::slice::from_raw_parts(data.cast::<u8>(), length))
        }
    }

    /// Takes bytes that [`Self::in_memory`] showed off the front.
    pub fn advance(&self, length: usize) {
        // SAFETY: the first bucket holds these bytes in memory. Moving its start is what splitting it and
        // deleting the first part comes to. (apr_buckets_simple.c, apr_bucket_simple_split)
        unsafe {
            let bucket = ffi::brigade_first(self.as_ptr());
            if length < (*bucket).length as usize {
                (*bucket).start += length as ffi::apr_off_t;
                (*bucket).length -= length as ffi::apr_size_t;
            } else {
                ffi::bucket_delete(bucket);
            }
        }
    }

    /// Copies out what [`Self::gather`] made readable and drops those buckets.
    pub fn take_out(&self, mut into: &mut [std::mem::MaybeUninit<u8>]) {
        // SAFETY: the first buckets hold exactly these bytes in memory (caller gathered them).
        unsafe {
            while !into.is_empty() {
                let bucket = ffi::brigade_first(self.as_ptr());
                let mut data: *const c_char = std::ptr::null();
                let mut length: ffi::apr_size_t = 0;
                let status = ffi::bucket_read(bucket, &mut data, &mut length, ffi::APR_BLOCK_READ);
                let length = length as usize;
                assert!(
                    status == 0 && length <= into.len(),
                    "BUG: the bytes were not gathered"
                );
                std::ptr::copy_nonoverlapping(data.cast::<u8>(), into.as_mut_ptr().cast(), length);
                into = &mut into[length..];
                ffi::bucket_delete(bucket);
            }
        }
    }

    /// Appends memory that stays as it is until APR calls `free` with its address, from any thread.
    ///
    /// # Safety
    /// As it says.
    pub unsafe fn append_lent(
        &self,
        memory: (*const u8, usize),
        free: unsafe extern "C" fn(*mut std::ffi::c_void),
    ) {
        // SAFETY: the caller's promise; a heap bucket with a free function does not copy.
        unsafe {
            let bucket = ffi::apr_bucket_heap_create(
                memory.0.cast(),
                memory.1 as ffi::apr_size_t,
                Some(free),
                (*self.as_ptr()).bucket_alloc,
            );
            ffi::brigade_insert_tail(self.as_ptr(), bucket);
        }
    }

    /// Appends a copy of bytes.
    pub fn write(&self, bytes: &[u8]) {
        // SAFETY: APR copies the bytes; without a flush function nothing is passed on.
        unsafe {
            ffi::apr_brigade_write(
                self.as_ptr(),
                None,
                std::ptr::null_mut(),
                bytes.as_ptr().cast(),
                bytes.len() as ffi::apr_size_t,
            );
        }
    }

    /// Appends a FLUSH bucket.
    pub fn append_flush(&self) {
        // SAFETY: a new bucket of the brigade's allocator.
        unsafe {
            let bucket = ffi::apr_bucket_flush_create((*self.as_ptr()).bucket_alloc);
            ffi::brigade_insert_tail(self.as_ptr(), bucket);
        }
    }

    /// Appends an EOS bucket.
    pub fn append_eos(&self) {
        // SAFETY: as above.
        unsafe {
            let bucket = ffi::apr_bucket_eos_create((*self.as_ptr()).bucket_alloc);
            ffi::brigade_insert_tail(self.as_ptr(), bucket);
        }
    }

    /// Appends an error bucket, which makes httpd answer with this status, or end the connection where
    /// it has answered already.
    pub fn append_error(&self, status: i32) {
        // SAFETY: as above; the bucket's data lives in the brigade's pool.
        unsafe {
            let brigade = self.as_ptr();
            let bucket = ffi::ap_bucket_error_create(
                status,
                std::ptr::null(),
                (*brigade).p,
                (*brigade).bucket_alloc,
            );
            ffi::brigade_insert_tail(brigade, bucket);
        }
    }

    /// Leaves the first `length` bytes in place and moves what follows to another brigade.
    ///
    /// # Errors
    /// What splitting a bucket failed with.
    pub fn cut(&self, length: i64, to: &Brigade) -> Result<(), Error> {
        // SAFETY: a live brigade; the buckets after the point are moved one by one.
        unsafe {
            let mut after = std::ptr::null_mut();
            let status = ffi::apr_brigade_partition(self.as_ptr(), length, &mut after);
            if status == ffi::MP_APR_EINCOMPLETE as i32 {
                return Ok(());
            }
            Error::check("splitting a brigade", status)?;
            let sentinel = ffi::brigade_sentinel(self.as_ptr());
            while after != sentinel {
                let next = ffi::bucket_next(after);
                ffi::bucket_remove(after);
                ffi::brigade_insert_tail(to.as_ptr(), after);
                after = next;
            }
        }
        Ok(())
    }

    /// Drops everything.
    pub fn clear(&self) {
        // SAFETY: a live brigade.
        unsafe {
            ffi::apr_brigade_cleanup(self.as_ptr() as *mut std::ffi::c_void);
        }
    }
}
