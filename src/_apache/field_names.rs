//! The names of form fields as str objects, of which forms of a site share a few.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::parse_qs::decode_replacing;
use crate::interpreter::GilCell;

/// Places for names; a name has one, which the latest one that falls there takes.
const PLACES: usize = 256;
/// Longer names are made anew each time.
const MAX_LENGTH: usize = 32;

static KNOWN: GilCell<[Option<Py<PyString>>; PLACES]> = GilCell::new([const { None }; PLACES]);

/// The str for a name, decoded like all of a form.
pub fn get<'py>(py: Python<'py>, name: &[u8]) -> PyResult<Bound<'py, PyString>> {
    if name.len() > MAX_LENGTH || !name.is_ascii() {
        return decode_replacing(py, name);
    }
    // Names of one form mostly differ in length or in the last letters.
    let place = name.iter().rev().take(3).fold(name.len(), |hash, byte| {
        hash.wrapping_mul(31) ^ *byte as usize
    }) % PLACES;
    // SAFETY: looking at a str and taking a reference run no Python.
    let known = unsafe {
        KNOWN.with(py, |known| {
            let known = known[place].as_ref()?.bind(py);
            (ascii(known) == name).then(|| known.clone())
        })
    };
    if let Some(known) = known {
        return Ok(known);
    }
    let made = decode_replacing(py, name)?;
    let kept = Some(made.clone().unbind());
    // SAFETY: the old one is dropped outside.
    drop(unsafe { KNOWN.with(py, |known| std::mem::replace(&mut known[place], kept)) });
    Ok(made)
}

/// The characters of one of our names.
fn ascii<'a>(name: &'a Bound<'_, PyString>) -> &'a [u8] {
    // SAFETY: what is kept is ASCII, and its bytes live as long as the str.
    unsafe {
        let length = ffi::PyUnicode_GET_LENGTH(name.as_ptr()) as usize;
        let data = ffi::PyUnicode_DATA(name.as_ptr()) as *const u8;
        std::slice::from_raw_parts(data, length)
    }
}
