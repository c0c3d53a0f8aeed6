//! What this child writes into its record; all under the GIL, so nobody else writes meanwhile.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use pyo3::prelude::*;

use super::table::{self, Child, BUCKETS, KINDS, THREADS};
use crate::_apache::{errors, importing};
use crate::config::phase::Phase;
use crate::httpd::{log, mpm, Conn, Request};
use crate::interpreter::registry;

static IS_ON: AtomicBool = AtomicBool::new(false);
static MINE: AtomicPtr<Child> = AtomicPtr::new(std::ptr::null_mut());
static NEXT_THREAD: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// This thread's row among the running requests.
    static ROW: Cell<usize> = const { Cell::new(usize::MAX) };
    /// When it asked for Python.
    static ASKED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Whether this child counts.
pub fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// Makes the shared table; called before there are children.
///
/// # Errors
/// The system's refusal.
pub fn prepare() -> std::io::Result<()> {
    table::create(mpm::most_children())
}

/// Begins to count in a child.
pub fn start() {
    match table::claim() {
        Some(child) => {
            MINE.store(std::ptr::from_ref(child).cast_mut(), Ordering::Release);
            IS_ON.store(true, Ordering::Relaxed);
        }
        None => log::main_server(
            log::Level::Warning,
            "MP0720: PythonStatus has no room for this child, which counts nothing",
        ),
    }
}

/// This child's record.
pub fn mine() -> Option<&'static Child> {
    // SAFETY: null or a record of the table, which is never unmapped.
    unsafe { MINE.load(Ordering::Acquire).as_ref() }
}

fn add(counter: &AtomicU64, value: u64) {
    // Nobody else writes: no need of the bus.
    counter.store(counter.load(Ordering::Relaxed) + value, Ordering::Relaxed);
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Python is asked for, by this thread.
#[cold]
pub fn ask() {
    if is_on() {
        ASKED.set(Some(Instant::now()));
    }
}

/// Python was entered after that.
#[cold]
pub fn entered(_py: Python<'_>) {
    let (Some(asked), Some(child)) = (ASKED.take(), mine()) else {
        return;
    };
    let waited = micros(asked);
    add(&child.counters.gil_waits, 1);
    add(&child.counters.gil_micros, waited);
    if waited > child.gil_longest.load(Ordering::Relaxed) {
        child.gil_longest.store(waited, Ordering::Relaxed);
    }
}

/// What Python code is called for.
#[derive(Clone, Copy)]
pub enum Of<'a> {
    Request(&'a Request),
    Connection(&'a Conn),
}

/// What is called.
pub struct What<'a> {
    pub of: Of<'a>,
    /// `None` for filters and the like.
    pub phase: Option<Phase>,
    pub directive: &'a [u8],
    pub handler: &'a [u8],
}

/// A call in progress.
pub struct Counted {
    child: &'static Child,
    began: Instant,
    /// Its row among the running requests, unless the call is part of another.
    row: Option<usize>,
}

/// A call begins.
pub fn begin(_py: Python<'_>, what: &What<'_>) -> Option<Counted> {
    let child = mine()?;
    let mut row = ROW.get();
    if row == usize::MAX {
        row = NEXT_THREAD.fetch_add(1, Ordering::Relaxed);
        ROW.set(row);
    }
    let entry = child.running[..THREADS]
        .get(row)
        .filter(|entry| entry.began.load(Ordering::Relaxed) == 0);
    if let Some(entry) = entry {
        entry.request.set(&line(what.of));
        entry
            .handler
            .set(&[what.directive, b" ", what.handler].concat());
        entry.began.store(now(), Ordering::Release);
    }
    Some(Counted {
        child,
        began: Instant::now(),
        row: entry.map(|_| row),
    })
}

/// Microseconds since the epoch.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(1, |now| u64::try_from(now.as_micros()).unwrap_or(u64::MAX))
}

/// `connection from 127.0.0.1:80`
pub fn connection_line(c: &Conn) -> String {
    let (address, port) = c.client_addr();
    format!("connection from {address}:{port}")
}

/// `GET /path`, without the query, which may hold secrets.
fn line(of: Of<'_>) -> Vec<u8> {
    let r = match of {
        Of::Request(r) => r,
        Of::Connection(c) => return connection_line(c).into_bytes(),
    };
    let text = |text: Option<&std::ffi::CStr>| text.unwrap_or_default().to_bytes().to_vec();
    [text(r.method()), text(r.uri())].join(&b' ')
}

impl Counted {
    /// There was nothing to call.
    pub fn forget(self) {
        if let Some(entry) = self.row.and_then(|row| self.child.running.get(row)) {
            entry.began.store(0, Ordering::Release);
        }
    }

    /// The call has ended.
    pub fn end(self, py: Python<'_>, what: &What<'_>, error: Option<&PyErr>, is_over: bool) {
        let child = self.child;
        let took = micros(self.began);
        let counters = &child.counters;
        let kind = what.phase.map_or(KINDS - 1, |phase| phase as usize);
        add(&counters.calls[kind], 1);
        if let Some(error) = error {
            if !error.is_instance(py, errors::server_return(py)) {
                add(&counters.errors, 1);
            }
        }
        if is_over {
            add(&counters.timeouts, 1);
        }
        if what.phase == Some(Phase::Handler) {
            let bucket = BUCKETS.partition_point(|end| *end < took);
            add(&counters.buckets[bucket], 1);
            add(&counters.micros, took);
            if matches!(what.of, Of::Request(r) if r.is_initial()) {
                add(&counters.requests, 1);
            }
            self.note_slow(what, took);
        }
        let row = child
            .handlers
            .iter()
            .find(|row| row.calls.load(Ordering::Relaxed) == 0 || row.name.is(what.handler));
        if let Some(row) = row {
            if row.calls.load(Ordering::Relaxed) == 0 {
                row.name.set(what.handler);
            }
            add(&row.calls, 1);
            add(&row.micros, took);
        }
        child
            .interpreters
            .store(registry::distinct().len() as u64, Ordering::Relaxed);
        child.reloads.store(importing::reloads(), Ordering::Relaxed);
        self.forget();
    }

    fn note_slow(&self, what: &What<'_>, took: u64) {
        let fastest = self
            .child
            .slowest
            .iter()
            .min_by_key(|entry| entry.micros.load(Ordering::Relaxed));
        let Some(entry) = fastest.filter(|entry| entry.micros.load(Ordering::Relaxed) < took)
        else {
            return;
        };
        entry.request.set(&line(what.of));
        entry.handler.set(what.handler);
        entry
            .began
            .store(now().saturating_sub(took), Ordering::Relaxed);
        entry.micros.store(took, Ordering::Relaxed);
    }
}
