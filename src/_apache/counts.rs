//! What sessions and loaded code tell PythonStatus, if the child counts.

use std::sync::OnceLock;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::text;

/// The types of sessions; those derived from none of them are the last.
pub const SESSION_KINDS: [&str; 5] = [
    "FileSession",
    "DbmSession",
    "MemorySession",
    "SocacheSession",
    "other",
];
/// What happens to sessions. `unknown`: an id that was not found, or had expired; `expired`: removed by
/// the clean-up; `failed`: could not be read, written or deleted.
pub const SESSION_EVENTS: [&str; 7] = [
    "created", "loaded", "unknown", "saved", "deleted", "expired", "failed",
];
/// What happens to files with Python code: modules that the importer loads, pages of the publisher, PSP
/// pages. `failed`: could not be loaded, or loaded again.
pub const CODE: [&str; 7] = [
    "imported",
    "reloaded",
    "page_loaded",
    "page_reloaded",
    "psp_compiled",
    "psp_recompiled",
    "failed",
];

/// Who counts; everything is told under the GIL.
pub trait Counts: Sync {
    /// Positions in [`SESSION_KINDS`] and [`SESSION_EVENTS`].
    fn session(&self, kind: usize, event: usize, number: u64);
    /// A request waited for a session that another one had, or gave up waiting.
    fn lock_wait(&self, lasted: Duration, has_it: bool);
    /// A position in [`CODE`].
    fn code(&self, event: usize, file: &[u8]);
}

static COUNTS: OnceLock<&'static dyn Counts> = OnceLock::new();

/// Has a child count.
pub fn set(counts: &'static dyn Counts) {
    // A child is set up once.
    let _ = COUNTS.set(counts);
}

/// Who counts; `None` with PythonStatus Off.
pub fn get() -> Option<&'static dyn Counts> {
    COUNTS.get().copied()
}

fn position(names: &[&str], name: &str) -> PyResult<usize> {
    let found = names.iter().position(|known| *known == name);
    found.ok_or_else(|| PyValueError::new_err(format!("nobody counts {name:?}")))
}

/// Whether PythonStatus is On, in a child that has room to count.
#[pyfunction]
pub fn _is_counting() -> bool {
    get().is_some()
}

/// _count_session(kind, event, number=1)
///
/// Counts what happened to sessions of a kind. Nothing with PythonStatus Off; ValueError for an unknown name.
#[pyfunction]
#[pyo3(signature = (kind, event, number = 1, /))]
pub fn _count_session(kind: &str, event: &str, number: u64) -> PyResult<()> {
    if let Some(counts) = get() {
        let kind = position(&SESSION_KINDS, kind)?;
        counts.session(kind, position(&SESSION_EVENTS, event)?, number);
    }
    Ok(())
}

/// _count_code(event, file)
///
/// Counts what happened to a file with code, or, for None, to code from elsewhere. Nothing with PythonStatus
/// Off; ValueError for an unknown name.
#[pyfunction]
#[pyo3(signature = (event, file, /))]
pub fn _count_code(event: &str, file: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Some(counts) = get() {
        let event = position(&CODE, event)?;
        if file.is_none() {
            counts.code(event, b"");
        } else {
            counts.code(event, text::encode(file).as_deref().unwrap_or(b"?"));
        }
    }
    Ok(())
}
