//! httpd's and APR's function-like macros, retyped once; `macros_tests.rs` compares each with C's own answer.

use super::*;
use std::os::raw::{c_char, c_int, c_void};

/// `ap_get_module_config`, which httpd also has as a function: the macro spares the call.
///
/// # Safety
/// `vector` is a configuration vector of the running httpd, `module` a registered module.
#[inline(always)]
pub unsafe fn get_module_config(
    vector: *const ap_conf_vector_t,
    module: *const module,
) -> *mut c_void {
    // SAFETY: the vector has an entry for each registered module's index (caller).
    unsafe { *(vector as *const *mut c_void).offset((*module).module_index as isize) }
}

/// `ap_set_module_config`.
///
/// # Safety
/// As [`get_module_config`].
#[inline(always)]
pub unsafe fn set_module_config(
    vector: *mut ap_conf_vector_t,
    module: *const module,
    value: *mut c_void,
) {
    // SAFETY: as above (caller).
    unsafe { *(vector as *mut *mut c_void).offset((*module).module_index as isize) = value }
}

/// `APR_BRIGADE_SENTINEL`: the address that ends a brigade's ring.
///
/// # Safety
/// `brigade` is a live brigade.
#[inline(always)]
pub unsafe fn brigade_sentinel(brigade: *mut apr_bucket_brigade) -> *mut apr_bucket {
    let offset = std::mem::offset_of!(apr_bucket_brigade, list) as isize
        - std::mem::offset_of!(apr_bucket, link) as isize;
    // SAFETY: pointer arithmetic as in APR_RING_SENTINEL; the result is only compared or linked.
    unsafe { (brigade as *mut u8).offset(offset) as *mut apr_bucket }
}

/// `APR_BRIGADE_FIRST`.
///
/// # Safety
/// `brigade` is a live brigade.
#[inline(always)]
pub unsafe fn brigade_first(brigade: *mut apr_bucket_brigade) -> *mut apr_bucket {
    // SAFETY: live (caller).
    unsafe { (*brigade).list.next }
}

/// `APR_BRIGADE_EMPTY`.
///
/// # Safety
/// `brigade` is a live brigade.
#[inline(always)]
pub unsafe fn brigade_is_empty(brigade: *mut apr_bucket_brigade) -> bool {
    // SAFETY: live (caller).
    unsafe { brigade_first(brigade) == brigade_sentinel(brigade) }
}

/// `APR_BUCKET_NEXT`.
///
/// # Safety
/// `bucket` is a live bucket in a ring.
#[inline(always)]
pub unsafe fn bucket_next(bucket: *mut apr_bucket) -> *mut apr_bucket {
    // SAFETY: live (caller).
    unsafe { (*bucket).link.next }
}

/// `APR_BRIGADE_INSERT_TAIL`.
///
/// # Safety
/// Both live; the bucket is in no ring.
#[inline]
pub unsafe fn brigade_insert_tail(brigade: *mut apr_bucket_brigade, bucket: *mut apr_bucket) {
    // SAFETY: APR_RING_INSERT_TAIL, on a live ring (caller).
    unsafe {
        let sentinel = brigade_sentinel(brigade);
        let last = (*brigade).list.prev;
        (*bucket).link.next = sentinel;
        (*bucket).link.prev = last;
        if last == sentinel {
            (*brigade).list.next = bucket;
        } else {
            (*last).link.next = bucket;
        }
        (*brigade).list.prev = bucket;
    }
}

/// `APR_BUCKET_REMOVE`.
///
/// # Safety
/// `bucket` is in the ring of a live brigade.
#[inline]
pub unsafe fn bucket_remove(bucket: *mut apr_bucket) {
    // SAFETY: APR_RING_REMOVE. The sentinel is a pseudo-bucket whose `link` overlays `list`.
    unsafe {
        let (next, prev) = ((*bucket).link.next, (*bucket).link.prev);
        (*prev).link.next = next;
        (*next).link.prev = prev;
    }
}

/// `apr_bucket_delete`: remove and destroy.
///
/// # Safety
/// As [`bucket_remove`]; the bucket is not used afterwards.
#[inline]
pub unsafe fn bucket_delete(bucket: *mut apr_bucket) {
    // SAFETY: in a ring, and in none afterwards (caller).
    unsafe {
        bucket_remove(bucket);
        bucket_destroy(bucket);
    }
}

/// `apr_bucket_destroy`, for a bucket in no ring.
///
/// # Safety
/// The bucket is live, in no ring, and not used afterwards.
#[inline]
pub unsafe fn bucket_destroy(bucket: *mut apr_bucket) {
    // SAFETY: `destroy` and `free` are set on every bucket (APR).
    unsafe {
        if let Some(destroy) = (*(*bucket).type_).destroy {
            destroy((*bucket).data);
        }
        if let Some(free) = (*bucket).free {
            free(bucket as *mut c_void);
        }
    }
}

/// `apr_bucket_copy`.
///
/// # Safety
/// `bucket` is live.
#[inline]
pub unsafe fn bucket_copy(bucket: *mut apr_bucket, copy: *mut *mut apr_bucket) -> apr_status_t {
    // SAFETY: `copy` is set on every bucket type (APR).
    unsafe {
        match (*(*bucket).type_).copy {
            Some(function) => function(bucket, copy),
            None => APR_ENOTIMPL_STATUS,
        }
    }
}

/// `apr_bucket_read`.
///
/// # Safety
/// `bucket` is live; the data is valid until the bucket is deleted or read again.
#[inline]
pub unsafe fn bucket_read(
    bucket: *mut apr_bucket,
    data: *mut *const c_char,
    length: *mut apr_size_t,
    block: apr_read_type_e,
) -> apr_status_t {
    // SAFETY: `read` is set on every bucket type (APR).
    unsafe {
        match (*(*bucket).type_).read {
            Some(read) => read(bucket, data, length, block),
            None => APR_ENOTIMPL_STATUS,
        }
    }
}

pub(super) const APR_ENOTIMPL_STATUS: apr_status_t = 70023;

/// `apr_bucket_split`.
///
/// # Safety
/// `bucket` is live.
#[inline]
pub unsafe fn bucket_split(bucket: *mut apr_bucket, point: apr_size_t) -> apr_status_t {
    // SAFETY: `split` is set on every bucket type (APR).
    unsafe {
        match (*(*bucket).type_).split {
            Some(split) => split(bucket, point),
            None => APR_ENOTIMPL_STATUS,
        }
    }
}

/// `APR_BUCKET_IS_EOS`.
///
/// # Safety
/// `bucket` is live.
#[inline(always)]
pub unsafe fn bucket_is_eos(bucket: *const apr_bucket) -> bool {
    // SAFETY: live (caller); only the static's address is taken.
    unsafe { (*bucket).type_ == std::ptr::addr_of!(apr_bucket_type_eos) }
}

/// `APR_BUCKET_IS_FLUSH`.
///
/// # Safety
/// `bucket` is live.
#[inline(always)]
pub unsafe fn bucket_is_flush(bucket: *const apr_bucket) -> bool {
    // SAFETY: as above.
    unsafe { (*bucket).type_ == std::ptr::addr_of!(apr_bucket_type_flush) }
}

/// `APR_BUCKET_IS_METADATA`.
///
/// # Safety
/// `bucket` is live.
#[inline(always)]
pub unsafe fn bucket_is_metadata(bucket: *const apr_bucket) -> bool {
    // SAFETY: live (caller).
    unsafe { (*(*bucket).type_).is_metadata != APR_BUCKET_DATA }
}

/// `ap_is_initial_req`: neither a sub-request nor a redirect.
///
/// # Safety
/// `r` is live.
#[inline(always)]
pub unsafe fn is_initial_req(r: *const request_rec) -> bool {
    // SAFETY: live (caller).
    unsafe { (*r).main.is_null() && (*r).prev.is_null() }
}

extern "C" {
    /// httpd's core, whose record says which httpd is running.
    static core_module: module;
    /// Our own record, which `mod_python.rs` defines; here so that lower layers can name it.
    static mut python_module: module;
}

/// The address of our module record.
#[inline(always)]
pub fn module_record() -> *mut module {
    std::ptr::addr_of_mut!(python_module)
}

/// The minor module magic number of the running httpd, which may be older than the headers were: fields
/// at the end of its structs are there only from a certain number on. (ap_mmn.h)
#[inline]
pub fn running_mmn_minor() -> c_int {
    // SAFETY: httpd's own record, written once by its compiler.
    unsafe { core_module.minor_version }
}
