//! The time of day, in microseconds since the epoch. (apr_time.h)

use crate::ffi;

/// What a second has of them.
pub const SECOND: i64 = 1_000_000;

/// Jumps where somebody sets the clock.
pub fn now() -> i64 {
    // SAFETY: reads the clock.
    unsafe { ffi::apr_time_now() }
}
