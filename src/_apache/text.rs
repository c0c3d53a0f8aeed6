//! Text between httpd, which has bytes, and Python, which has str.
//!
//! Out: UTF-8 with surrogateescape, which loses nothing and fails only without memory. In: str the same way, bytes as
//! they are; subclasses of both are welcome.

use std::borrow::Cow;
use std::ffi::{CStr, CString};

use pyo3::exceptions::{PyMemoryError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::httpd::CText;

/// Decodes bytes of httpd's.
///
/// # Errors
/// MemoryError.
#[inline]
pub fn decode<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    // SAFETY: a new str, or null with an exception set.
    unsafe {
        Bound::from_owned_ptr_or_err(py, decode_raw(py, bytes))
            .map(|text| text.cast_into_unchecked())
    }
}

/// As [`decode`], for C: a new reference, or null with MemoryError set.
#[inline]
pub fn decode_raw(_py: Python<'_>, bytes: &[u8]) -> *mut ffi::PyObject {
    // Nearly all text is ASCII, which needs no decoder. CPython shares the shortest strings itself.
    if bytes.len() < 2 || !bytes.is_ascii() {
        return decode_any(bytes);
    }
    // SAFETY: a new str of that many ASCII characters, which nobody has seen yet.
    unsafe {
        let raw = ffi::PyUnicode_New(bytes.len() as ffi::Py_ssize_t, 127);
        if !raw.is_null() {
            let data = ffi::PyUnicode_1BYTE_DATA(raw);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), data, bytes.len());
        }
        raw
    }
}

fn decode_any(bytes: &[u8]) -> *mut ffi::PyObject {
    // SAFETY: CPython reads `len` bytes; the error handler's name is a C string. Decoding with
    // surrogateescape fails only without memory.
    unsafe {
        ffi::PyUnicode_DecodeUTF8(
            bytes.as_ptr().cast(),
            bytes.len() as ffi::Py_ssize_t,
            c"surrogateescape".as_ptr(),
        )
    }
}

/// [`decode`] for C strings.
///
/// # Errors
/// MemoryError.
#[inline]
pub fn from_c<'py>(py: Python<'py>, text: &CStr) -> PyResult<Bound<'py, PyString>> {
    decode(py, text.to_bytes())
}

/// [`decode`] for C strings that may be null.
///
/// # Errors
/// MemoryError.
#[inline]
pub fn from_c_opt<'py>(
    py: Python<'py>,
    text: Option<&CStr>,
) -> PyResult<Option<Bound<'py, PyString>>> {
    text.map(|text| from_c(py, text)).transpose()
}

/// Latin-1, for what browsers and the original send that way (user, password).
///
/// # Errors
/// MemoryError.
pub fn from_latin1<'py>(py: Python<'py>, text: &CStr) -> PyResult<Bound<'py, PyString>> {
    let bytes = text.to_bytes();
    // SAFETY: CPython reads `len` bytes; latin-1 decoding fails only without memory.
    unsafe {
        let raw = ffi::PyUnicode_DecodeLatin1(
            bytes.as_ptr().cast(),
            bytes.len() as ffi::Py_ssize_t,
            std::ptr::null(),
        );
        Bound::from_owned_ptr_or_err(py, raw).map(|text| text.cast_into_unchecked())
    }
}

/// The bytes of a str or bytes, borrowed where they can be.
///
/// # Errors
/// TypeError for anything else, UnicodeEncodeError for lone surrogates that no decoding made.
#[inline]
pub fn encode<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<Cow<'a, [u8]>> {
    if let Ok(text) = value.cast::<PyString>() {
        return encode_str(text);
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Cow::Borrowed(bytes.as_bytes()));
    }
    Err(PyTypeError::new_err(format!(
        "expected str or bytes, not {}",
        type_name(value)
    )))
}

#[inline]
fn encode_str<'a>(text: &'a Bound<'_, PyString>) -> PyResult<Cow<'a, [u8]>> {
    let mut length = 0;
    // SAFETY: the str keeps its UTF-8 form as long as it lives, which `text` makes sure of.
    unsafe {
        let raw = ffi::PyUnicode_AsUTF8AndSize(text.as_ptr(), &mut length);
        if !raw.is_null() {
            return Ok(Cow::Borrowed(std::slice::from_raw_parts(
                raw.cast(),
                length as usize,
            )));
        }
        ffi::PyErr_Clear();
        let raw = ffi::PyUnicode_AsEncodedString(
            text.as_ptr(),
            c"utf-8".as_ptr(),
            c"surrogateescape".as_ptr(),
        );
        let bytes = Bound::from_owned_ptr_or_err(text.py(), raw)?;
        Ok(Cow::Owned(
            bytes.cast_into_unchecked::<PyBytes>().as_bytes().to_vec(),
        ))
    }
}

/// The C string of a Python object, lent by the object where it can be.
pub enum Text<'a> {
    Lent(CText<'a>),
    Own(CString),
}

impl Text<'_> {
    /// The string for C; where the object has a NUL inside, C sees what is before it.
    #[inline(always)]
    pub fn as_c(&self) -> CText<'_> {
        match self {
            Self::Lent(text) => *text,
            Self::Own(text) => text.as_c_str().into(),
        }
    }
}

/// The C string inside an ASCII str, which lives as long as the object.
///
/// # Safety
/// `object` is a live object; the result is not used after it.
#[cfg(not(Py_3_14))]
#[inline(always)]
pub unsafe fn ascii<'a>(object: *mut ffi::PyObject) -> Option<CText<'a>> {
    // SAFETY: CPython ends the memory of an ASCII str with a NUL.
    unsafe {
        (ffi::PyUnicode_Check(object) != 0 && ffi::PyUnicode_IS_COMPACT_ASCII(object) != 0)
            .then(|| CText::from_raw(ffi::PyUnicode_1BYTE_DATA(object).cast()))
    }
}

/// Left to the slow road, as this Python does not tell what a str is made of.
///
/// # Safety
/// As above.
#[cfg(Py_3_14)]
#[inline(always)]
pub unsafe fn ascii<'a>(_object: *mut ffi::PyObject) -> Option<CText<'a>> {
    None
}

/// Texts of so many characters may be more than there is memory for.
pub const LARGE: ffi::Py_ssize_t = 1 << 16;

/// Whether a str or bytes is so large that [`room_for`] is to be asked.
///
/// # Safety
/// `object` is a live object.
#[inline(always)]
pub unsafe fn is_large(object: *mut ffi::PyObject) -> bool {
    // SAFETY: looks at the object's own fields (caller).
    unsafe {
        if ffi::PyUnicode_Check(object) != 0 {
            ffi::PyUnicode_GET_LENGTH(object) >= LARGE
        } else {
            ffi::PyBytes_Check(object) != 0 && ffi::PyBytes_Size(object) >= LARGE
        }
    }
}

/// Raises MemoryError where there is no memory for a copy of these texts: a pool would end the child.
///
/// # Errors
/// As it says.
#[inline]
pub fn room_for(texts: [&Bound<'_, PyAny>; 2]) -> PyResult<()> {
    // SAFETY: live objects.
    match texts.iter().any(|text| unsafe { is_large(text.as_ptr()) }) {
        true => try_room_for(texts),
        false => Ok(()),
    }
}

#[cold]
fn try_room_for(texts: [&Bound<'_, PyAny>; 2]) -> PyResult<()> {
    let mut size = 0;
    for text in texts {
        size += text.len().unwrap_or(0);
    }
    // A character can take four bytes, and a pool takes whole pages.
    let size = size.saturating_mul(4).saturating_add(LARGE as usize);
    Vec::<u8>::new()
        .try_reserve_exact(size)
        .map_err(|_| PyMemoryError::new_err(()))
}

/// The C string of a table's key or value: cut at the first NUL, as in the original.
///
/// # Errors
/// As [`encode`].
#[inline(always)]
pub fn to_text<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<Text<'a>> {
    // SAFETY: the object outlives what it lends.
    match unsafe { ascii(value.as_ptr()) } {
        Some(text) => Ok(Text::Lent(text)),
        None => to_other_text(value),
    }
}

fn to_other_text<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<Text<'a>> {
    // SAFETY: likewise the UTF-8 form of a str, and the memory of a bytes.
    unsafe {
        let object = value.as_ptr();
        if ffi::PyUnicode_Check(object) != 0 {
            let raw = ffi::PyUnicode_AsUTF8AndSize(object, std::ptr::null_mut());
            if !raw.is_null() {
                return Ok(Text::Lent(CText::from_raw(raw)));
            }
            ffi::PyErr_Clear();
        } else if ffi::PyBytes_Check(object) != 0 {
            return Ok(Text::Lent(CText::from_raw(ffi::PyBytes_AsString(object))));
        }
    }
    to_c(value).map(Text::Own)
}

/// As [`to_text`], for who keeps the string.
///
/// # Errors
/// As [`encode`].
pub fn to_c(value: &Bound<'_, PyAny>) -> PyResult<CString> {
    let bytes = encode(value)?;
    let end = memchr::memchr(0, &bytes).unwrap_or(bytes.len());
    Ok(CString::new(&bytes[..end]).unwrap_or_default())
}

/// The C string of a method's argument, which must be str or bytes without NUL.
///
/// # Errors
/// As [`encode`], and ValueError for NUL.
pub fn to_c_arg(value: &Bound<'_, PyAny>) -> PyResult<CString> {
    let bytes = encode(value)?;
    CString::new(bytes.as_ref()).map_err(|_| PyValueError::new_err("embedded null character"))
}

/// The bytes of a str in latin-1, or of a bytes; for user and password.
///
/// # Errors
/// TypeError for other types; characters beyond latin-1 go in as UTF-8.
pub fn encode_latin1(value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(text) = value.cast::<PyString>() {
        if let Ok(text) = text.to_str() {
            let latin1: Option<Vec<u8>> = text
                .chars()
                .map(|c| u8::try_from(u32::from(c)).ok())
                .collect();
            if let Some(latin1) = latin1 {
                return Ok(latin1);
            }
        }
    }
    encode(value).map(Cow::into_owned)
}

/// The name of an object's type, for messages.
pub fn type_name(value: &Bound<'_, PyAny>) -> String {
    value.get_type().name().map_or_else(
        |_| "object".into(),
        |name| name.to_string_lossy().into_owned(),
    )
}
