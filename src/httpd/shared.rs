//! Memory that the parent process and all its children share.

/// A type that may lie in shared memory: any bytes are a value of it, all of its fields are atomics, and
/// nothing is to be done when it goes.
///
/// # Safety
/// As above.
pub unsafe trait Shared: Sync + 'static {}

/// So many records of zeros, for the life of the process and of those it forks.
///
/// # Errors
/// mmap(2)'s.
pub fn zeroed<T: Shared>(count: usize) -> std::io::Result<&'static [T]> {
    let size = count
        .checked_mul(std::mem::size_of::<T>())
        .ok_or_else(|| std::io::Error::from_raw_os_error(libc::ENOMEM))?;
    // SAFETY: a new mapping of our own, aligned to pages and never unmapped; zeros are values (Shared).
    unsafe {
        let start = libc::mmap(
            std::ptr::null_mut(),
            size.max(1),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if start == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        Ok(std::slice::from_raw_parts(start.cast::<T>(), count))
    }
}
