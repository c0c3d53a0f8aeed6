//! What the C library's allocator learns before Python starts.

/// The largest block that requests take again and again: a body, a page, a bucket.
const LARGE: usize = 1 << 20;

/// Has glibc keep memory for blocks of up to [`LARGE`] bytes.
///
/// Until it has learned better it gives each block from 128 KiB upwards back to the kernel, and the end of
/// its heap as soon as so much is free: a request that handles 1 MiB pays for 256 page faults, each time.
/// It learns from the first such block that is freed (mallopt(3), M_MMAP_THRESHOLD); to set the limits
/// with mallopt would end the learning.
pub fn teach() {
    #[cfg(target_env = "gnu")]
    // SAFETY: a block is taken and given back; null is nothing to free.
    unsafe {
        libc::free(std::hint::black_box(libc::malloc(LARGE)));
    }
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    /// Whether glibc has mapped a block of its own from the kernel: a bit of the size before it.
    fn is_mapped(block: *mut libc::c_void) -> bool {
        // SAFETY: glibc keeps a block's size there as long as it lives.
        unsafe { block.cast::<usize>().sub(1).read() & 2 != 0 }
    }

    #[test]
    fn large_blocks_come_from_the_heap() {
        super::teach();
        // SAFETY: blocks that are freed again, and never used.
        unsafe {
            let large = libc::malloc(super::LARGE);
            let huge = libc::malloc(64 << 20);
            assert!(!large.is_null() && !huge.is_null());
            assert!(!is_mapped(large));
            assert!(is_mapped(huge));
            libc::free(large);
            libc::free(huge);
        }
    }
}
