//! `apr_pool_t`: memory that dies at once, and what is to be done when it does. (apr_pools.h)

use std::ffi::{c_void, CStr};
use std::os::raw::c_char;
use std::ptr::NonNull;

use parking_lot::Mutex;

use super::opaque::opaque;
use super::CText;
use crate::ffi;

/// What a cleanup answers; APR ignores it.
pub type CleanupStatus = ffi::apr_status_t;

opaque! {
    /// A pool of httpd's, lent for a callback.
    Pool(ffi::apr_pool_t)
}

impl Pool {
    /// Puts a plain value into the pool; it is forgotten, not dropped, with it.
    #[expect(clippy::mut_from_ref, reason = "each call lends a new piece of memory")]
    pub fn alloc<T: Copy>(&self, value: T) -> &mut T {
        let room = self.palloc(std::mem::size_of::<T>().max(1)) as *mut T;
        debug_assert!(room.is_aligned());
        // SAFETY: `palloc` returned room for a T, aligned as malloc's (APR_ALIGN_DEFAULT is 8).
        unsafe {
            room.write(value);
            &mut *room
        }
    }

    /// Puts a value without destructor into the pool and gives its address.
    pub fn place<T>(&self, value: T) -> *mut T {
        const { assert!(!std::mem::needs_drop::<T>(), "the pool drops nothing") };
        let room = self.palloc(std::mem::size_of::<T>().max(1)) as *mut T;
        // SAFETY: as in `alloc`.
        unsafe { room.write(value) };
        room
    }

    /// Puts plain values into the pool, as [`Self::alloc`].
    pub fn alloc_slice<T: Copy>(&self, values: &[T]) -> &[T] {
        if values.is_empty() {
            return &[];
        }
        let room = self.palloc(std::mem::size_of_val(values).max(1)) as *mut T;
        debug_assert!(room.is_aligned());
        // SAFETY: room for all of them, and the source is elsewhere.
        unsafe {
            std::ptr::copy_nonoverlapping(values.as_ptr(), room, values.len());
            std::slice::from_raw_parts(room, values.len())
        }
    }

    /// Puts a value into the pool's care; it is dropped when the pool is cleared.
    pub fn own<T>(&self, value: T) -> &T {
        extern "C" fn drop_box<T>(data: *mut c_void) -> ffi::apr_status_t {
            super::guard::guard("pool cleanup", (), || {
                // SAFETY: `data` came from Box::into_raw below, and APR calls a cleanup once.
                drop(unsafe { Box::from_raw(data as *mut T) });
            });
            0
        }
        let raw = Box::into_raw(Box::new(value));
        // SAFETY: the cleanup gets the box just made.
        unsafe {
            self.on_clear(raw as *mut c_void, drop_box::<T>);
            &*raw
        }
    }

    /// Puts a counted reference into the pool; whoever registers a cleanup gives it back.
    pub fn alloc_arc<T>(&self, value: std::sync::Arc<T>) -> &std::sync::Arc<T> {
        let room = self.palloc(std::mem::size_of::<std::sync::Arc<T>>()) as *mut std::sync::Arc<T>;
        // SAFETY: room for one pointer, aligned.
        unsafe {
            room.write(value);
            &*room
        }
    }

    /// Registers `cleanup(data)` for the moment the pool is cleared or destroyed.
    ///
    /// # Safety
    /// `data` is valid for `cleanup` until then.
    pub unsafe fn on_clear(
        &self,
        data: *mut c_void,
        cleanup: extern "C" fn(*mut c_void) -> ffi::apr_status_t,
    ) {
        // SAFETY: a live pool; the data is the caller's promise.
        unsafe {
            ffi::apr_pool_cleanup_register(
                self.as_ptr(),
                data,
                Some(cleanup),
                Some(ffi::apr_pool_cleanup_null),
            )
        }
    }

    /// As [`Self::on_clear`], but for the moment before the pools below this one go. Only then all of a
    /// request is alive: after an internal fast redirect (mod_dir) parts of it are in a sub-request's.
    ///
    /// # Safety
    /// As there.
    pub unsafe fn before_clear(
        &self,
        data: *mut c_void,
        cleanup: extern "C" fn(*mut c_void) -> ffi::apr_status_t,
    ) {
        // SAFETY: as above.
        unsafe { ffi::apr_pool_pre_cleanup_register(self.as_ptr(), data, Some(cleanup)) }
    }

    /// Takes a registration of [`Self::on_clear`] or [`Self::before_clear`] back, if it is still there.
    #[expect(
        clippy::not_unsafe_ptr_arg_deref,
        reason = "the address is compared, not followed"
    )]
    pub fn forget(
        &self,
        data: *mut c_void,
        cleanup: extern "C" fn(*mut c_void) -> ffi::apr_status_t,
    ) {
        // SAFETY: a live pool; APR looks for the two addresses in its lists.
        unsafe { ffi::apr_pool_cleanup_kill(self.as_ptr(), data, Some(cleanup)) }
    }

    /// Copies bytes as a NUL-terminated C string into the pool; for C it ends at the first NUL.
    pub fn strdup(&self, text: &[u8]) -> *mut c_char {
        // SAFETY: APR copies `len` bytes and adds the NUL.
        unsafe { ffi::apr_pstrmemdup(self.as_ptr(), text.as_ptr() as *const c_char, text.len()) }
    }

    /// `apr_pstrdup`: a copy in the pool.
    #[inline]
    pub fn strdup_text(&self, text: CText<'_>) -> *mut c_char {
        // SAFETY: a C string, which APR copies.
        unsafe { ffi::apr_pstrdup(self.as_ptr(), text.as_ptr()) }
    }

    /// [`Self::strdup`], lent for the pool's life.
    pub fn cstr(&self, text: &[u8]) -> &CStr {
        // SAFETY: strdup returns a NUL-terminated string that lives as long as the pool.
        unsafe { CStr::from_ptr(self.strdup(text)) }
    }

    fn palloc(&self, size: usize) -> *mut c_void {
        // SAFETY: a live pool. httpd's pools abort on exhausted memory, so the result is not null.
        unsafe { ffi::apr_palloc(self.as_ptr(), size) }
    }
}

/// A pool of our own, with an allocator of its own, so that any thread may drop it.
pub struct OwnedPool(NonNull<ffi::apr_pool_t>);

// SAFETY: an unmanaged pool shares nothing with other pools; whoever holds it is alone with it.
unsafe impl Send for OwnedPool {}

/// Empty pools for the next who needs one: making a pool costs more than most of what is done with it.
static SPARE: Mutex<Vec<OwnedPool>> = Mutex::new(Vec::new());
/// As many empty pools are kept at most; each is the 8 KiB that APR takes for a pool.
const SPARES: usize = 16;

impl OwnedPool {
    /// An empty pool, or `None` when memory is exhausted.
    pub fn new() -> Option<Self> {
        let spare = SPARE.lock().pop();
        spare.or_else(Self::make)
    }

    fn make() -> Option<Self> {
        let mut raw = std::ptr::null_mut();
        // SAFETY: plain creation; no parent, no abort function, its own allocator, which gives back to
        // the system what a pool that is cleared had beyond its first piece.
        unsafe {
            ffi::apr_pool_create_unmanaged_ex(&mut raw, None, std::ptr::null_mut());
            let pool = NonNull::new(raw)?;
            ffi::apr_allocator_max_free_set(ffi::apr_pool_allocator_get(raw), 1);
            Some(Self(pool))
        }
    }
}

impl std::ops::Deref for OwnedPool {
    type Target = Pool;

    fn deref(&self) -> &Pool {
        // SAFETY: alive until drop.
        unsafe { Pool::from_raw(self.0.as_ptr()) }
    }
}

impl Drop for OwnedPool {
    fn drop(&mut self) {
        // SAFETY: made in `make`; either kept, empty, or destroyed once.
        unsafe {
            let mut spare = SPARE.lock();
            if spare.len() < SPARES {
                ffi::apr_pool_clear(self.0.as_ptr());
                spare.push(Self(self.0));
            } else {
                drop(spare);
                ffi::apr_pool_destroy(self.0.as_ptr());
            }
        }
    }
}
