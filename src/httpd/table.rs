//! `apr_table_t`: ordered, multi-valued, with keys that ignore case. (apr_tables.h)

use std::ffi::{c_char, CStr};
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::opaque::opaque;
use super::Pool;
use crate::ffi;

opaque! {
    /// A table of httpd's or our own.
    Table(ffi::apr_table_t)
}

/// The C struct, for those who keep a table's address with its pool.
pub type Raw = ffi::apr_table_t;

/// One entry; a value can be null in tables that other modules filled.
pub struct Entry<'a> {
    pub key: &'a CStr,
    pub value: Option<&'a CStr>,
}

/// A C string that nobody has measured yet: most of those compared are never read further.
#[derive(Clone, Copy)]
pub struct Chars<'a>(NonNull<c_char>, PhantomData<&'a CStr>);

impl<'a> Chars<'a> {
    /// Whether it is this text.
    #[inline]
    pub fn is(self, text: &CStr) -> bool {
        // SAFETY: two C strings.
        unsafe { libc::strcmp(self.0.as_ptr(), text.as_ptr()) == 0 }
    }

    /// The string with its length.
    #[inline]
    pub fn as_c_str(self) -> &'a CStr {
        // SAFETY: a C string that lives for 'a.
        unsafe { CStr::from_ptr(self.0.as_ptr()) }
    }
}

impl<'a> From<&'a CStr> for Chars<'a> {
    #[inline]
    fn from(text: &'a CStr) -> Self {
        // SAFETY: a reference is not null.
        Self(
            unsafe { NonNull::new_unchecked(text.as_ptr() as *mut c_char) },
            PhantomData,
        )
    }
}

impl Table {
    /// A new table in a pool.
    pub fn make(pool: &Pool, room: i32) -> &Table {
        // SAFETY: lives as long as the pool.
        unsafe { Self::from_raw(ffi::apr_table_make(pool.as_ptr(), room)) }
    }

    /// The number of entries, duplicates counted.
    #[inline]
    pub fn len(&self) -> usize {
        self.raw_entries().len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries in order.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = Entry<'_>> + ExactSizeIterator {
        self.raw_entries().iter().map(|entry| Entry {
            // SAFETY: keys are C strings in the table's pool.
            key: unsafe { CStr::from_ptr(entry.key) },
            value: if entry.val.is_null() {
                None
            } else {
                // SAFETY: likewise the value.
                Some(unsafe { CStr::from_ptr(entry.val) })
            },
        })
    }

    /// Keys and values of the entries in order, without those that have no value.
    #[inline]
    pub fn pairs(&self) -> impl Iterator<Item = (Chars<'_>, Chars<'_>)> {
        let chars = |raw: *mut c_char| NonNull::new(raw).map(|raw| Chars(raw, PhantomData));
        self.raw_entries()
            .iter()
            .filter_map(move |entry| Some((chars(entry.key)?, chars(entry.val)?)))
    }

    /// The entry at a position.
    pub fn nth(&self, index: usize) -> Option<Entry<'_>> {
        self.entries().nth(index)
    }

    /// The first value of a key.
    #[inline]
    pub fn get(&self, key: &CStr) -> Option<&CStr> {
        // SAFETY: a live table; the value lives in its pool.
        unsafe {
            let value = ffi::apr_table_get(self.as_ptr(), key.as_ptr());
            if value.is_null() {
                None
            } else {
                Some(CStr::from_ptr(value))
            }
        }
    }

    /// The entries of a key, in order.
    pub fn entries_of<'a>(&'a self, key: &'a CStr) -> impl Iterator<Item = Entry<'a>> {
        self.entries()
            .filter(move |entry| entry.key.to_bytes().eq_ignore_ascii_case(key.to_bytes()))
    }

    /// Removes the last entry only, whatever others its key has.
    pub fn pop(&self) {
        // SAFETY: a live table. APR's index by the keys' first letters would still point at the removed
        // entry, so the table is filled anew with the entries before it.
        unsafe {
            let array = ffi::apr_table_elts(self.as_ptr());
            let count = (*array).nelts as usize;
            if count == 0 {
                return;
            }
            let entries =
                std::slice::from_raw_parts((*array).elts as *const ffi::apr_table_entry_t, count);
            let kept: Vec<_> = entries[..count - 1]
                .iter()
                .map(|entry| (entry.key, entry.val))
                .collect();
            ffi::apr_table_clear(self.as_ptr());
            for (key, value) in kept {
                ffi::apr_table_addn(self.as_ptr(), key, value);
            }
        }
    }

    /// Replaces all entries of a key by one.
    pub fn set(&self, key: &CStr, value: &CStr) {
        // SAFETY: APR copies both into the table's pool.
        unsafe { ffi::apr_table_set(self.as_ptr(), key.as_ptr(), value.as_ptr()) }
    }

    /// Appends an entry.
    pub fn add(&self, key: &CStr, value: &CStr) {
        // SAFETY: APR copies both.
        unsafe { ffi::apr_table_add(self.as_ptr(), key.as_ptr(), value.as_ptr()) }
    }

    /// Removes all entries of a key.
    pub fn unset(&self, key: &CStr) {
        // SAFETY: a live table.
        unsafe { ffi::apr_table_unset(self.as_ptr(), key.as_ptr()) }
    }

    /// Removes everything.
    pub fn clear(&self) {
        // SAFETY: a live table.
        unsafe { ffi::apr_table_clear(self.as_ptr()) }
    }

    fn raw_entries(&self) -> &[ffi::apr_table_entry_t] {
        // SAFETY: the entries array is the first part of a table; valid until the table changes, and
        // every caller of this module holds the reference only that long.
        unsafe {
            let array = ffi::apr_table_elts(self.as_ptr());
            let count = (*array).nelts as usize;
            if count == 0 {
                &[]
            } else {
                std::slice::from_raw_parts((*array).elts as *const ffi::apr_table_entry_t, count)
            }
        }
    }
}
