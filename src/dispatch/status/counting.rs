//! What this child writes into its record; all under the GIL, so nobody else writes meanwhile.

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pyo3::prelude::*;

use super::table::{
    self, Child, Handler, Interpreter, BUCKETS, HANDLERS, INTERPRETERS, KINDS, RECENT, THREADS,
    WAIT_BUCKETS,
};
use super::{stacks, text};
use crate::_apache::{counts, errors};
use crate::config::phase::Phase;
use crate::httpd::{log, mpm, time, Conn, Request};
use crate::interpreter::{is_forked, registry, thread};

static IS_ON: AtomicBool = AtomicBool::new(false);
static MINE: AtomicPtr<Child> = AtomicPtr::new(std::ptr::null_mut());
static NEXT_THREAD: AtomicUsize = AtomicUsize::new(0);
/// Rows of threads that have ended.
static FREE_ROWS: Mutex<Vec<usize>> = Mutex::new(Vec::new());
/// How many names of interpreters the record knows.
static NAMES: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// This thread's row among the running requests.
    static ROW: Row = const { Row(Cell::new(usize::MAX)) };
    /// How many calls are in progress on this thread, one inside the other.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// When it asked for Python.
    static ASKED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// A row, or `usize::MAX` as long as the thread has none.
struct Row(Cell<usize>);

impl Row {
    fn number(&self) -> usize {
        // A thread of Python's own, which may be one of very many, gets none.
        if self.0.get() == usize::MAX && !thread::is_pythons() {
            let free = FREE_ROWS.lock().pop();
            self.0
                .set(free.unwrap_or_else(|| NEXT_THREAD.fetch_add(1, Ordering::Relaxed)));
        }
        self.0.get()
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        if self.0.get() != usize::MAX {
            FREE_ROWS.lock().push(self.0.get());
        }
    }
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
    let Some(child) = table::claim() else {
        log::main_server(
            log::Level::Warning,
            "MP0720: PythonStatus has no room for this child, which counts nothing",
        );
        return;
    };
    MINE.store(std::ptr::from_ref(child).cast_mut(), Ordering::Release);
    counts::set(&Told);
    IS_ON.store(true, Ordering::Relaxed);
    publish_interpreters(child);
    stacks::listen(child);
}

/// This child's record; none in a process that a handler forked, which is no child of httpd's.
fn mine() -> Option<&'static Child> {
    if is_forked() {
        return None;
    }
    // SAFETY: null or a record of the table, which is never unmapped.
    unsafe { MINE.load(Ordering::Acquire).as_ref() }
}

fn add(counter: &AtomicU64, value: u64) {
    // Nobody else writes: no need of the bus.
    counter.store(counter.load(Ordering::Relaxed) + value, Ordering::Relaxed);
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Microseconds since the epoch.
pub fn now() -> u64 {
    // In the table 0 is for nothing.
    u64::try_from(time::now()).map_or(1, |now| now.max(1))
}

/// Counts a time in a histogram.
fn bucket(buckets: &[AtomicU64], ends: &[u64], micros: u64) {
    add(&buckets[ends.partition_point(|end| *end < micros)], 1);
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
    let waited = micros(asked.elapsed());
    bucket(&child.counters.gil_buckets, &WAIT_BUCKETS, waited);
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
    /// Its row among the running requests, unless the call is part of another or there was none.
    row: Option<usize>,
    is_unlisted: bool,
}

/// A call begins.
pub fn begin(_py: Python<'_>, what: &What<'_>) -> Option<Counted> {
    let child = mine()?;
    let mut counted = Counted {
        child,
        began: Instant::now(),
        row: None,
        is_unlisted: false,
    };
    if DEPTH.replace(DEPTH.get() + 1) == 0 {
        counted.list(what);
    }
    Some(counted)
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
    /// Puts the request among those that run.
    fn list(&mut self, what: &What<'_>) {
        // A thread that ends has none any more.
        let row = ROW.try_with(Row::number).unwrap_or(usize::MAX);
        let Some(entry) = self.child.running[..THREADS].get(row) else {
            add(&self.child.unlisted, 1);
            self.is_unlisted = true;
            return;
        };
        entry.request.set(&line(what.of));
        entry
            .handler
            .set(&[what.directive, b" ", what.handler].concat());
        // SAFETY: asks only.
        let thread = unsafe { libc::pthread_self() };
        entry.thread.store(thread as u64, Ordering::Relaxed);
        entry.began.store(now(), Ordering::Release);
        self.row = Some(row);
    }

    /// The call has ended.
    pub fn end(self, py: Python<'_>, what: &What<'_>, error: Option<&PyErr>, is_over: bool) {
        if is_forked() {
            return;
        }
        let child = self.child;
        let took = micros(self.began.elapsed());
        let counters = &child.counters;
        let kind = what.phase.map_or(KINDS - 1, |phase| phase as usize);
        let failed = error.is_some_and(|error| !error.is_instance(py, errors::server_return(py)));
        add(&counters.calls[kind], 1);
        add(&counters.errors, u64::from(failed));
        add(&counters.timeouts, u64::from(is_over));
        if what.phase == Some(Phase::Handler) {
            bucket(&counters.buckets, &BUCKETS, took);
            add(&counters.micros, took);
            if matches!(what.of, Of::Request(r) if r.is_initial()) {
                add(&counters.requests, 1);
            }
            self.note_slow(what, took);
        }
        let row = row_of(&counters.handlers, kind, what.handler);
        add(&row.errors, u64::from(failed));
        add(&row.micros, took);
        add(&row.calls, 1);
        if let Some(row) = this_interpreter(child) {
            add(&row.calls, 1);
        }
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
        let pid = u64::from(std::process::id());
        entry.pid.store(pid, Ordering::Relaxed);
        entry
            .began
            .store(now().saturating_sub(took), Ordering::Relaxed);
        entry.micros.store(took, Ordering::Relaxed);
    }
}

impl Drop for Counted {
    /// Also after a panic.
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get().saturating_sub(1));
        if is_forked() {
            return;
        }
        if let Some(entry) = self.row.and_then(|row| self.child.running.get(row)) {
            entry.began.store(0, Ordering::Release);
        }
        if self.is_unlisted {
            let unlisted = &self.child.unlisted;
            let others = unlisted.load(Ordering::Relaxed).saturating_sub(1);
            unlisted.store(others, Ordering::Relaxed);
        }
    }
}

/// What a thread of this child serves, by CPython's number of the thread.
pub fn title_of(number: u64) -> Option<String> {
    let entry = mine()?.running.iter().find(|entry| {
        entry.began.load(Ordering::Acquire) > 0 && entry.thread.load(Ordering::Relaxed) == number
    })?;
    Some(format!("{}, {}", entry.request.get(), entry.handler.get()))
}

/// The row of a handler in a phase, taken if need be; the last one where all others are taken.
fn row_of<'a>(rows: &'a [Handler; HANDLERS], kind: usize, name: &[u8]) -> &'a Handler {
    let (rows, others) = rows.split_at(HANDLERS - 1);
    for row in rows {
        if row.calls.load(Ordering::Relaxed) == 0 {
            row.kind.store(kind as u64, Ordering::Relaxed);
            row.name.set(name);
            return row;
        }
        if row.kind.load(Ordering::Relaxed) == kind as u64 && row.name.is(name) {
            return row;
        }
    }
    &others[0]
}

/// The row of the interpreter that this thread is in, with all names written down; `None` on a thread that
/// Python made.
fn this_interpreter(child: &Child) -> Option<&Interpreter> {
    if NAMES.load(Ordering::Relaxed) != registry::count_of_names() {
        publish_interpreters(child);
    }
    let index = thread::current()?.index;
    Some(&child.interpreters[index.min(INTERPRETERS - 1)])
}

/// Writes down which interpreters there are, and what their names are.
fn publish_interpreters(child: &Child) {
    let names = registry::names();
    NAMES.store(names.len(), Ordering::Relaxed);
    for (index, row) in child.interpreters.iter().enumerate() {
        let (text, more_names, count) = names_of(index, &names);
        row.names.set(&text);
        row.more_names.store(more_names, Ordering::Relaxed);
        row.count.store(count, Ordering::Relaxed);
    }
}

/// What the row of an interpreter says: its names, one a line, how many more it has, and how many
/// interpreters it is about.
fn names_of(index: usize, names: &[(usize, &CStr)]) -> (Vec<u8>, u64, u64) {
    let is_last = index == INTERPRETERS - 1;
    let mut text = Vec::new();
    let mut more_names = 0;
    let mut numbers = Vec::new();
    for (number, name) in names {
        if *number != index && !(is_last && *number > index) {
            continue;
        }
        numbers.push(*number);
        let name = name.to_bytes();
        if is_last || text.len() + name.len() + 1 > text::Text::<64>::ROOM {
            more_names += 1;
            continue;
        }
        text.extend_from_slice(name);
        text.push(b'\n');
    }
    numbers.dedup();
    (text, more_names, numbers.len() as u64)
}

/// What Python code tells.
struct Told;

impl counts::Counts for Told {
    fn session(&self, kind: usize, event: usize, number: u64) {
        if let Some(child) = mine() {
            add(&child.counters.sessions[kind][event], number);
        }
    }

    fn lock_wait(&self, lasted: Duration, has_it: bool) {
        if let Some(child) = mine() {
            let counters = &child.counters;
            bucket(&counters.lock_buckets, &WAIT_BUCKETS, micros(lasted));
            add(&counters.lock_micros, micros(lasted));
            add(&counters.lock_timeouts, u64::from(!has_it));
        }
    }

    fn code(&self, event: usize, file: &[u8]) {
        let Some(child) = mine() else {
            return;
        };
        add(&child.counters.code[event], 1);
        if let Some(row) = this_interpreter(child) {
            add(&row.code[event], 1);
        }
        // What each new child loads once would leave no room for what changed.
        if matches!(
            counts::CODE[event],
            "imported" | "page_loaded" | "psp_compiled"
        ) {
            return;
        }
        let number = child.recents.load(Ordering::Relaxed);
        let entry = &child.recent[number as usize % RECENT];
        let pid = u64::from(std::process::id());
        entry.at.store(0, Ordering::Relaxed);
        entry.pid.store(pid, Ordering::Relaxed);
        entry.event.store(event as u64, Ordering::Relaxed);
        entry.file.set_end(file);
        entry.at.store(now(), Ordering::Release);
        child.recents.store(number + 1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_do_not_fit_are_counted() {
        let long: Vec<std::ffi::CString> = (0..6)
            .map(|_| std::ffi::CString::new("x".repeat(100)).unwrap())
            .collect();
        let mut names = vec![(0, c"main_interpreter"), (0, c"a.org")];
        names.extend(long.iter().map(|name| (1, name.as_c_str())));
        names.extend((2..INTERPRETERS + 2).map(|number| (number, c"own")));
        names.push((INTERPRETERS + 1, c"another"));
        let row = |index| names_of(index, &names);
        assert_eq!(row(0), (b"main_interpreter\na.org\n".to_vec(), 0, 1));
        assert_eq!((row(1).0.len(), row(1).1, row(1).2), (505, 1, 1));
        assert_eq!(row(2), (b"own\n".to_vec(), 0, 1));
        // Three interpreters, four names.
        assert_eq!(row(INTERPRETERS - 1), (Vec::new(), 4, 3));
        assert_eq!(names_of(3, &names[..2]), (Vec::new(), 0, 0));
    }
}
