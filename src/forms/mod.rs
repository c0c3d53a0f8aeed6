//! Form data as plain Rust: query strings, urlencoded bodies and multipart bodies, knowing neither httpd nor Python.
//!
//! The Python face is `_apache/forms.rs`. Everything here works on bytes: which characters they stand for
//! is decided where Python strings are made.

mod boundary;
pub mod header;
pub mod multipart;
pub mod urlencoded;

/// What one form may cost; a form that needs more is refused, never truncated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Number of fields, files included.
    pub fields: usize,
    /// Bytes of one field that is kept in memory.
    pub field_size: usize,
    /// Bytes of all fields that are kept in memory.
    pub form_size: usize,
    /// Bytes of the headers of one multipart part.
    pub header_size: usize,
    /// How deep a `multipart/*` part may be opened: with 0 it is an ordinary field.
    pub nesting: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            fields: 10_000,
            field_size: 8 << 20,
            form_size: 32 << 20,
            header_size: 16 << 10,
            nesting: 0,
        }
    }
}

/// Why a form was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("MP0601: the form has more than {0} fields (max_fields)")]
    TooManyFields(usize),
    #[error("MP0602: form field {name:?} has more than {limit} bytes (max_field_size)")]
    FieldTooLarge { name: String, limit: usize },
    #[error("MP0603: the form's fields need more than {0} bytes of memory (max_form_size)")]
    FormTooLarge(usize),
    #[error("MP0604: a part of the form has more than {0} bytes of headers (max_header_size)")]
    HeadersTooLarge(usize),
    #[error("MP0605: the form nests multipart bodies deeper than {0} (max_nesting)")]
    NestedTooDeep(usize),
    #[error("MP0606: a part of the form has a header line without a colon: {0:?}")]
    BadHeader(String),
    #[error("MP0607: the multipart content type has no usable boundary")]
    BadBoundary,
}

impl Error {
    /// The form is well-formed but over a limit (413); otherwise it is malformed (400).
    pub fn is_too_large(&self) -> bool {
        !matches!(self, Error::BadHeader(_) | Error::BadBoundary)
    }
}

/// The beginning of something a client sent, for a message.
fn excerpt(bytes: &[u8]) -> String {
    let end = bytes.len().min(80);
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
