//! `apr_table_t`: ordered, multi-valued, with keys that ignore case. (apr_tables.h)

use std::ffi::{c_char, CStr};

use super::opaque::opaque;
use super::{CText, Pool};
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
            // SAFETY: likewise the value, where it is not null.
            value: unsafe { super::text::from_ptr(entry.val) },
        })
    }

    /// Keys and values of the entries in order, without those that have no value.
    #[inline]
    pub fn pairs(&self) -> impl Iterator<Item = (CText<'_>, CText<'_>)> {
        self.raw_entries()
            .iter()
            .filter(|entry| !entry.key.is_null() && !entry.val.is_null())
            // SAFETY: C strings in the table's pool.
            .map(|entry| unsafe { (CText::from_raw(entry.key), CText::from_raw(entry.val)) })
    }

    /// The entry at a position.
    #[inline]
    pub fn nth(&self, index: usize) -> Option<Entry<'_>> {
        self.entries().nth(index)
    }

    /// The key at a position.
    #[inline(always)]
    pub fn nth_key(&self, index: usize) -> Option<&CStr> {
        // SAFETY: as above.
        self.raw_entries()
            .get(index)
            .map(|entry| unsafe { CStr::from_ptr(entry.key) })
    }

    /// The keys in order, duplicates included.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &CStr> {
        // SAFETY: as above.
        self.raw_entries()
            .iter()
            .map(|entry| unsafe { CStr::from_ptr(entry.key) })
    }

    /// The first value of a key.
    #[inline]
    pub fn get<'k>(&self, key: impl Into<CText<'k>>) -> Option<&CStr> {
        // SAFETY: null or a value in the table's pool.
        unsafe { super::text::from_ptr(self.first(key.into())) }
    }

    /// Whether the key has a value; one that is null counts as absent.
    #[inline]
    pub fn contains<'k>(&self, key: impl Into<CText<'k>>) -> bool {
        !self.first(key.into()).is_null()
    }

    /// `apr_table_get`; in a table the size of a request's headers a walk is cheaper than its index.
    #[inline(always)]
    fn first(&self, key: CText<'_>) -> *const c_char {
        const FEW: usize = 12;
        let entries = self.raw_entries();
        if entries.len() > FEW {
            // SAFETY: a live table.
            return unsafe { ffi::apr_table_get(self.as_ptr(), key.as_ptr()) };
        }
        let first = key.first_folded();
        for entry in entries {
            // SAFETY: keys are C strings in the table's pool.
            let this = unsafe { CText::from_raw(entry.key) };
            if this.first_folded() == first && this.eq_ignore_case(key) {
                return entry.val;
            }
        }
        std::ptr::null()
    }

    /// The values of a key, in order; null ones are `None`.
    #[inline]
    pub fn values_of<'a>(
        &'a self,
        key: impl Into<CText<'a>>,
    ) -> impl Iterator<Item = Option<&'a CStr>> {
        let key = key.into();
        self.raw_entries()
            .iter()
            // SAFETY: keys are C strings in the table's pool.
            .filter(move |entry| unsafe { CText::from_raw(entry.key) }.eq_ignore_case(key))
            // SAFETY: likewise the values.
            .map(|entry| unsafe { super::text::from_ptr(entry.val) })
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
    #[inline]
    pub fn set<'k, 'v>(&self, key: impl Into<CText<'k>>, value: impl Into<CText<'v>>) {
        // SAFETY: APR copies both into the table's pool.
        unsafe { ffi::apr_table_set(self.as_ptr(), key.into().as_ptr(), value.into().as_ptr()) }
    }

    /// Appends an entry.
    #[inline]
    pub fn add<'k, 'v>(&self, key: impl Into<CText<'k>>, value: impl Into<CText<'v>>) {
        // SAFETY: APR copies both.
        unsafe { ffi::apr_table_add(self.as_ptr(), key.into().as_ptr(), value.into().as_ptr()) }
    }

    /// Appends an entry whose value is null, as httpd's own tables have.
    pub fn add_null<'k>(&self, key: impl Into<CText<'k>>) {
        // SAFETY: APR copies the key, and keeps null as it is.
        unsafe { ffi::apr_table_add(self.as_ptr(), key.into().as_ptr(), std::ptr::null()) }
    }

    /// Removes all entries of a key.
    #[inline]
    pub fn unset<'k>(&self, key: impl Into<CText<'k>>) {
        // SAFETY: a live table.
        unsafe { ffi::apr_table_unset(self.as_ptr(), key.into().as_ptr()) }
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
