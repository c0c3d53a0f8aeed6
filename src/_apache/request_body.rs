//! The request's body: what `req.read`, `readline` and `discard_request_body` do. (objects.md 3.1.3)

use std::mem::MaybeUninit;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::bytes_room::{self, Room};
use super::errors;
use super::request_config::RequestState;
use crate::httpd::request_body::{BodyBrigade, Until};
use crate::httpd::Error;

/// Memory for a body of unknown length, to begin with; and what `readline` asks for at a time.
const CHUNK: usize = 16 * 1024;
/// Memory for a body of announced length, to begin with: the announcement is only the client's word.
const TRUSTED: usize = 1024 * 1024;

/// What reads say after one that ran out of memory.
const LOST: &str = "a part of the request's body was lost: there was no memory for it";

/// Where the body of a request is kept between calls.
#[derive(Default)]
pub enum Slot {
    /// Nobody has asked for it.
    #[default]
    Untouched,
    Idle(Box<Body>),
    /// A call is under way; only an input filter that this very call runs can meet it so.
    Busy,
}

/// What was read of a request's body and is not yet the program's.
pub struct Body {
    buffer: Vec<u8>,
    /// Where the unread part of `buffer` begins.
    start: usize,
    brigade: Option<BodyBrigade>,
    stage: Stage,
}

enum Stage {
    Open,
    AtEnd,
    /// It broke off: what was read can be had, then every read fails the same way.
    Failed(Error),
}

/// The body, out of its slot for the length of one call.
struct Taken<'a, 'py> {
    state: &'a RequestState,
    py: Python<'py>,
    body: Option<Box<Body>>,
}

impl Drop for Taken<'_, '_> {
    fn drop(&mut self) {
        if let Some(body) = self.body.take() {
            self.state.body.replace(self.py, Slot::Idle(body));
        }
    }
}

impl std::ops::Deref for Taken<'_, '_> {
    type Target = Body;

    fn deref(&self) -> &Body {
        self.body.as_ref().expect("BUG: taken out once")
    }
}

impl std::ops::DerefMut for Taken<'_, '_> {
    fn deref_mut(&mut self) -> &mut Body {
        self.body.as_mut().expect("BUG: taken out once")
    }
}

impl<'a, 'py> Taken<'a, 'py> {
    /// Takes the body, which the first call prepares.
    fn take(state: &'a RequestState, py: Python<'py>) -> PyResult<Self> {
        // First the gate: another thread's call has put the body back when it opens.
        state.with(py, |_| ())?;
        let body = match state.body.replace(py, Slot::Busy) {
            Slot::Idle(body) => body,
            Slot::Busy => {
                return Err(PyRuntimeError::new_err(
                    "the request's body is being read: an input filter cannot read it too",
                ))
            }
            Slot::Untouched => {
                let stage = match state.with(py, |r| r.setup_body())? {
                    Ok(true) => Stage::Open,
                    Ok(false) => Stage::AtEnd,
                    Err(error) => Stage::Failed(error),
                };
                Box::new(Body {
                    buffer: Vec::new(),
                    start: 0,
                    brigade: None,
                    stage,
                })
            }
        };
        Ok(Self {
            state,
            py,
            body: Some(body),
        })
    }

    /// Reads into `room`, without the GIL; returns how much came, and what came beyond it.
    fn fill(&mut self, room: &mut [MaybeUninit<u8>], until: Until) -> PyResult<(usize, Vec<u8>)> {
        let mut brigade = self.brigade;
        let result = self
            .state
            .detached(self.py, |r| r.fetch_body(&mut brigade, room, until))?;
        self.brigade = brigade;
        match result.end {
            Ok(false) => {}
            Ok(true) => self.stage = Stage::AtEnd,
            Err(error) => self.stage = Stage::Failed(error),
        }
        Ok((result.filled, result.surplus))
    }

    /// The error of a body that broke off.
    fn failure(&self) -> Option<PyErr> {
        match &self.stage {
            Stage::Failed(error) => Some(errors::to_py(self.py, error.clone())),
            Stage::Open | Stage::AtEnd => None,
        }
    }

    /// Makes room for more. Without memory the part that was read is lost, and every later read says so.
    fn grow(&mut self, room: &mut Room<'py>, capacity: usize) -> PyResult<()> {
        room.resize(capacity)
            .inspect_err(|_| self.stage = Stage::Failed(Error::Client(LOST)))
    }

    fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open)
    }

    /// The first bytes of the buffer as an object of their own.
    fn split_off(&mut self, length: usize) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = bytes_room::copy(self.py, &self.unread()[..length])?;
        self.start += length;
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        }
        Ok(bytes)
    }
}

impl Body {
    fn unread(&self) -> &[u8] {
        &self.buffer[self.start..]
    }
}

/// `req.read`
pub fn read<'py>(
    state: &RequestState,
    py: Python<'py>,
    len: isize,
) -> PyResult<Bound<'py, PyBytes>> {
    if len == 0 {
        state.with(py, |_| ())?;
        return Ok(PyBytes::new(py, b""));
    }
    let wanted = usize::try_from(len).unwrap_or(usize::MAX);
    let mut body = Taken::take(state, py)?;
    let kept = body.unread().len();
    if kept >= wanted {
        return body.split_off(wanted);
    }
    if !body.is_open() {
        return match body.failure() {
            Some(error) => Err(error),
            None => body.split_off(kept),
        };
    }
    let announced = state.with(py, |r| r.announced_body())?;
    let expected = announced.unwrap_or(CHUNK).min(TRUSTED);
    let mut room = Room::new(py, kept.saturating_add(expected.max(1)).min(wanted))?;
    room.write(0, body.unread());
    let mut filled = kept;
    loop {
        let (got, surplus) = body.fill(&mut room.memory()[filled..], Until::Full)?;
        filled += got;
        if !surplus.is_empty() {
            let fits = surplus.len().min(wanted - filled);
            body.grow(&mut room, filled + fits)?;
            room.write(filled, &surplus[..fits]);
            filled += fits;
            body.buffer.extend_from_slice(&surplus[fits..]);
        }
        if let Some(error) = body.failure() {
            // Nothing is lost: who wants the part that came can still ask for that many bytes.
            // SAFETY: filled above.
            let came = unsafe { room.filled(kept, filled) };
            let at = body.start + kept;
            body.buffer.splice(at..at, came.iter().copied());
            return Err(error);
        }
        if filled == wanted || !body.is_open() {
            break;
        }
        let mut larger = room.capacity.saturating_mul(2).max(CHUNK);
        let total = announced.map_or(0, |announced| announced.saturating_add(kept));
        if total > room.capacity {
            larger = larger.min(total);
        }
        body.grow(&mut room, larger.min(wanted))?;
    }
    let end_of_kept = body.start + kept;
    body.buffer.drain(..end_of_kept);
    body.start = 0;
    room.finish(filled)
}

/// `req.readline`
pub fn readline<'py>(
    state: &RequestState,
    py: Python<'py>,
    len: isize,
) -> PyResult<Bound<'py, PyBytes>> {
    let limit = usize::try_from(len).unwrap_or(usize::MAX);
    if limit == 0 {
        state.with(py, |_| ())?;
        return Ok(PyBytes::new(py, b""));
    }
    let mut body = Taken::take(state, py)?;
    let mut searched = 0;
    loop {
        let unread = body.unread();
        let end = match memchr::memchr(b'\n', &unread[searched..]) {
            Some(at) => Some(searched + at + 1),
            None if unread.len() >= limit => Some(limit),
            None => None,
        };
        searched = unread.len();
        if let Some(end) = end {
            return body.split_off(end.min(limit));
        }
        if !body.is_open() {
            return match body.failure() {
                Some(error) => Err(error),
                None => body.split_off(searched),
            };
        }
        let start = std::mem::take(&mut body.start);
        let mut buffer = std::mem::take(&mut body.buffer);
        buffer.drain(..start);
        if buffer.try_reserve(CHUNK).is_err() {
            body.buffer = buffer;
            return Err(pyo3::exceptions::PyMemoryError::new_err(()));
        }
        let result = body.fill(buffer.spare_capacity_mut(), Until::Some);
        let (got, surplus) = match result {
            Ok(came) => came,
            Err(error) => {
                body.buffer = buffer;
                return Err(error);
            }
        };
        // SAFETY: that much of the spare capacity was filled.
        unsafe { buffer.set_len(buffer.len() + got) };
        buffer.extend_from_slice(&surplus);
        body.buffer = buffer;
    }
}

/// `req.discard_request_body`
pub fn discard(state: &RequestState, py: Python<'_>) -> PyResult<i32> {
    let mut body = Taken::take(state, py)?;
    let status = state.detached(py, |r| r.discard_request_body())?;
    body.buffer = Vec::new();
    body.start = 0;
    body.stage = Stage::AtEnd;
    Ok(status)
}
