//! `_apache._log_write` and friends: lines of sys.stderr, sys.stdout and logging in httpd's error log.
//!
//! Such text goes to the log of the request, or connection, that the thread runs Python for, so with its
//! virtual host, level and id; on other threads to the server's. Only whole lines are logged, so that
//! those of several threads do not mix; what has no end yet waits with its request, or with its thread.

use std::cell::RefCell;

use pyo3::prelude::*;

use super::log_message;
use super::request_config::{ConnState, RequestState, CONNECTION, REQUEST};
use crate::httpd::log;
use crate::interpreter::thread::{self, detach};

/// How many streams there are: standard output and error output.
const STREAMS: usize = 2;
/// A line is ended where nobody does, in bytes.
const LONGEST: usize = 64 << 10;
/// httpd has room for 8192 bytes in a line of its log, time and names included.
const ROOM: usize = 7000;

/// Lines without an end, and the levels they will have.
#[derive(Default)]
pub struct Unended([(i32, Vec<u8>); STREAMS]);

impl Unended {
    /// Adds text to a stream; the lines that are complete now.
    fn add(&mut self, stream: usize, level: i32, text: &[u8]) -> Vec<u8> {
        let (old_level, old) = &mut self.0[stream];
        *old_level = level;
        old.extend_from_slice(text);
        let complete = match memchr::memrchr(b'\n', old) {
            Some(end) => end + 1,
            None if old.len() > LONGEST => old.len(),
            None => 0,
        };
        let rest = old.split_off(complete);
        std::mem::replace(old, rest)
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|(_, text)| text.is_empty())
    }
}

/// That of a thread which runs Python for no request.
struct OfThread(Unended);

impl Drop for OfThread {
    fn drop(&mut self) {
        for (level, text) in &self.0 .0 {
            each(text, |line| log::server(None, *level, line));
        }
    }
}

thread_local! {
    static OF_THREAD: RefCell<OfThread> = RefCell::new(OfThread(Unended::default()));
}

/// Calls `log` for each line of a text, cut into pieces that httpd has room for.
fn each(text: &[u8], mut log: impl FnMut(&[u8])) {
    for line in text.split(|byte| *byte == b'\n') {
        let mut rest = line.trim_ascii_end();
        while !rest.is_empty() {
            let mut room = ROOM;
            let end = rest.iter().position(|byte| {
                // httpd writes `\xhh` for what is not printable, and `\\` for a backslash.
                let size = match byte {
                    b'\\' | b'"' => 2,
                    b' '..=b'~' => 1,
                    _ => 4,
                };
                match room.checked_sub(size) {
                    Some(left) => room = left,
                    None => return true,
                }
                false
            });
            let (piece, others) = rest.split_at(end.unwrap_or(rest.len()));
            log(piece);
            rest = others;
        }
    }
}

/// The request or connection that this thread runs Python for.
enum Owner<'a> {
    Request(&'a RequestState),
    Conn(&'a ConnState),
    Nobody,
}

/// Lends the owner; it lives while the thread is where it entered Python.
fn with_owner<R>(body: impl FnOnce(Owner<'_>) -> R) -> R {
    let subject = thread::subject();
    // SAFETY: the address of a state that whoever entered Python with it holds until that returns,
    // which is after this.
    let owner = unsafe {
        match subject.kind {
            REQUEST => Owner::Request(&*subject.address.cast()),
            CONNECTION => Owner::Conn(&*subject.address.cast()),
            _ => Owner::Nobody,
        }
    };
    body(owner)
}

/// Logs lines without the GIL, for the owner; for the server where that cannot be used now.
fn log_for(py: Python<'_>, owner: &Owner<'_>, level: i32, text: &[u8]) {
    if text.is_empty() {
        return;
    }
    let done = match owner {
        Owner::Request(state) => {
            state.detached(py, |r| each(text, |line| log::request(r, level, line)))
        }
        Owner::Conn(state) => state.detached(py, |c| each(text, |line| log::conn(c, level, line))),
        Owner::Nobody => Err(pyo3::exceptions::PyRuntimeError::new_err("")),
    };
    if done.is_err() {
        detach(py, || each(text, |line| log::server(None, level, line)));
    }
}

/// _log_write(stream, level, text)
///
/// Logs the complete lines of what was written to a stream, 0 or 1, with one of apache.APLOG_*.
#[pyfunction]
#[pyo3(signature = (stream, level, text, /))]
pub fn _log_write(
    py: Python<'_>,
    stream: usize,
    level: i32,
    text: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let Some(text) = log_message(text)? else {
        return Ok(());
    };
    let stream = stream.min(STREAMS - 1);
    with_owner(|owner| {
        let complete = match &owner {
            // SAFETY: adding runs no Python.
            Owner::Request(state) => unsafe {
                state.unended.with(py, |unended| {
                    let lines = unended
                        .get_or_insert_with(Box::default)
                        .add(stream, level, &text);
                    if unended.as_ref().is_some_and(|unended| unended.is_empty()) {
                        *unended = None;
                    }
                    lines
                })
            },
            _ => OF_THREAD.with_borrow_mut(|unended| unended.0.add(stream, level, &text)),
        };
        log_for(py, &owner, level, &complete);
    });
    Ok(())
}

/// _log_flush(stream)
///
/// Logs what has no end yet of a stream's line.
#[pyfunction]
#[pyo3(signature = (stream, /))]
pub fn _log_flush(py: Python<'_>, stream: usize) {
    with_owner(|owner| flush(py, &owner, stream.min(STREAMS - 1)));
}

fn flush(py: Python<'_>, owner: &Owner<'_>, stream: usize) {
    let take = |unended: &mut Unended| std::mem::take(&mut unended.0[stream]);
    let (level, text) = match owner {
        // SAFETY: taking runs no Python.
        Owner::Request(state) => unsafe {
            state
                .unended
                .with(py, |unended| unended.as_deref_mut().map(take))
                .unwrap_or_default()
        },
        _ => OF_THREAD.with_borrow_mut(|unended| take(&mut unended.0)),
    };
    log_for(py, owner, level, &text);
}

/// _log_lines(level, text)
///
/// Logs each line of a text.
#[pyfunction]
#[pyo3(signature = (level, text, /))]
pub fn _log_lines(py: Python<'_>, level: i32, text: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Some(text) = log_message(text)? {
        with_owner(|owner| log_for(py, &owner, level, &text));
    }
    Ok(())
}

/// A request is over: nothing that was written stays behind.
pub fn end_of_request(py: Python<'_>, state: &RequestState) {
    for stream in 0..STREAMS {
        flush(py, &Owner::Request(state), stream);
    }
    drop(state.unended.take(py));
}

/// A connection handler returned.
pub fn end_of_connection(py: Python<'_>) {
    with_owner(|owner| {
        for stream in 0..STREAMS {
            flush(py, &owner, stream);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole() {
        let mut unended = Unended::default();
        assert_eq!(unended.add(0, 3, b"a"), b"");
        assert_eq!(unended.add(1, 3, b"other\n"), b"other\n");
        assert_eq!(unended.add(0, 3, b"b\nc\nd"), b"ab\nc\n");
        assert!(!unended.is_empty());
        assert_eq!(unended.add(0, 3, b"\n"), b"d\n");
        assert!(unended.is_empty());
        assert_eq!(unended.add(0, 3, &[b'x'; LONGEST]), b"");
        assert_eq!(unended.add(0, 3, b"x").len(), LONGEST + 1);
    }

    #[test]
    fn long_lines_are_cut_and_blank_ones_left_out() {
        let pieces = |text: &[u8]| {
            let mut found = Vec::new();
            each(text, |piece| found.push(piece.to_vec()));
            found
        };
        assert_eq!(pieces(b"\n\na \r\n  b\n"), [b"a".to_vec(), b"  b".to_vec()]);
        let long = vec![b'x'; 3 * ROOM + 5];
        assert_eq!(
            pieces(&long).iter().map(Vec::len).collect::<Vec<_>>(),
            [ROOM, ROOM, ROOM, 5]
        );
        assert_eq!(pieces(&long).concat(), long);
        let escaped = vec![0xff; ROOM];
        assert_eq!(pieces(&escaped).len(), 4);
        assert_eq!(pieces(&escaped).concat(), escaped);
    }
}
