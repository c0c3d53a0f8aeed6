//! A NUL-terminated string lent to C, without its length: APR and httpd rarely ask for it.

use std::ffi::{c_char, CStr, CString};
use std::marker::PhantomData;

/// A C string that lives for `'a`. Passing it on costs nothing, where a `&CStr` would be measured first.
#[derive(Clone, Copy)]
pub struct CText<'a> {
    start: *const c_char,
    lender: PhantomData<&'a CStr>,
}

impl<'a> CText<'a> {
    /// Lends what starts at an address and ends at the first NUL.
    ///
    /// # Safety
    /// A NUL follows, and the memory up to it does not change for `'a`.
    #[inline(always)]
    pub unsafe fn from_raw(start: *const c_char) -> Self {
        debug_assert!(!start.is_null());
        Self {
            start,
            lender: PhantomData,
        }
    }

    /// The address C wants.
    #[inline(always)]
    pub fn as_ptr(self) -> *const c_char {
        self.start
    }

    /// The string with its length.
    #[inline]
    pub fn as_c_str(self) -> &'a CStr {
        // SAFETY: a C string that lives for 'a.
        unsafe { CStr::from_ptr(self.start) }
    }

    /// Whether it is this text.
    #[inline]
    pub fn is(self, text: &CStr) -> bool {
        // SAFETY: two C strings.
        unsafe { libc::strcmp(self.start, text.as_ptr()) == 0 }
    }

    /// The first byte, the same for the same letter in either case; texts that differ here differ.
    #[inline(always)]
    pub fn first_folded(self) -> u8 {
        // SAFETY: there is at least the NUL.
        unsafe { *self.start.cast::<u8>() | 0x20 }
    }

    /// Whether both are the same but for ASCII case.
    #[inline]
    pub fn eq_ignore_case(self, other: Self) -> bool {
        let (mut a, mut b) = (self.start.cast::<u8>(), other.start.cast::<u8>());
        // SAFETY: both end at a NUL, and the loop ends at the first one it meets.
        unsafe {
            loop {
                let (x, y) = (*a, *b);
                if x != y && !x.eq_ignore_ascii_case(&y) {
                    return false;
                }
                if x == 0 {
                    return true;
                }
                a = a.add(1);
                b = b.add(1);
            }
        }
    }
}

impl<'a> From<&'a CStr> for CText<'a> {
    #[inline(always)]
    fn from(text: &'a CStr) -> Self {
        Self {
            start: text.as_ptr(),
            lender: PhantomData,
        }
    }
}

impl<'a> From<&'a CString> for CText<'a> {
    #[inline(always)]
    fn from(text: &'a CString) -> Self {
        text.as_c_str().into()
    }
}

/// The string that a C pointer leads to; `None` where it is null.
///
/// # Safety
/// `raw` is null or a C string that lives for `'a`.
#[inline(always)]
pub(super) unsafe fn from_ptr<'a>(raw: *const std::ffi::c_char) -> Option<&'a CStr> {
    if raw.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    Some(unsafe { CStr::from_ptr(raw) })
}

#[cfg(test)]
mod tests {
    use super::CText;

    #[test]
    fn case_is_ascii_only_and_length_counts() {
        let same = |a: &std::ffi::CStr, b: &std::ffi::CStr| {
            let (a, b) = (CText::from(a), CText::from(b));
            let same = a.eq_ignore_case(b);
            assert!(!same || a.first_folded() == b.first_folded());
            same
        };
        assert!(same(c"", c""));
        assert!(same(c"Content-Type", c"CONTENT-type"));
        assert!(!same(c"ab", c"a b"));
        assert!(!same(c"a", c"ab"));
        assert!(!same(c"ab", c"a"));
        assert!(!same(c"a-b", c"a\rb"));
        assert!(!same(c"@", c"`"));
        assert!(!same(c"\xc9", c"\xe9"));
    }
}
