//! The memory all children share: a record for each, written by its owner under the GIL, read by anybody.
//!
//! When a child has ended its record goes to another one, which counts on from where its predecessor was:
//! no sum ever goes down or loses what a child counted that was killed.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::OnceLock;

use super::process;
use super::text::Text;
use crate::_apache::counts::{CODE, SESSION_EVENTS, SESSION_KINDS};
use crate::httpd::shared::{self, Shared};
use crate::httpd::time;

/// Upper ends of the buckets for content handlers, in microseconds; one more bucket has what is slower.
pub const BUCKETS: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];
/// The same for waits.
pub const WAIT_BUCKETS: [u64; 10] = [
    10, 100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000,
];
/// The phases, and one row for filters, includes and access control's functions.
pub const KINDS: usize = crate::config::phase::Phase::COUNT + 1;
/// The last row is for all handlers that found no other.
pub const HANDLERS: usize = 33;
/// The last row is for all interpreters with a higher number.
pub const INTERPRETERS: usize = 17;
pub const SLOWEST: usize = 8;
pub const RECENT: usize = 8;
pub const THREADS: usize = 128;

/// A name, a request, a path.
pub type Line = Text<24>;

/// The stacks of all threads of a child.
type Stacks = Text<8192>;
pub const STACKS_ROOM: usize = Stacks::ROOM;

/// Calls of one handler in one phase.
#[repr(C)]
pub struct Handler {
    /// 0 where the row is free.
    pub calls: AtomicU64,
    pub errors: AtomicU64,
    pub micros: AtomicU64,
    /// Number of the phase.
    pub kind: AtomicU64,
    pub name: Line,
}

/// One request.
#[repr(C)]
pub struct Entry {
    /// When it began, in microseconds since the epoch; 0 where the row is free.
    pub began: AtomicU64,
    /// How long it took.
    pub micros: AtomicU64,
    pub pid: AtomicU64,
    /// CPython's number of the thread.
    pub thread: AtomicU64,
    /// `GET /x`
    pub request: Line,
    /// `PythonHandler module::function`
    pub handler: Line,
}

/// A file that was loaded again, or failed to be loaded.
#[repr(C)]
pub struct Loaded {
    /// In microseconds since the epoch; 0 where the row is free.
    pub at: AtomicU64,
    pub pid: AtomicU64,
    /// Number of the event in [`CODE`].
    pub event: AtomicU64,
    pub file: Line,
}

/// One CPython interpreter of a child.
#[repr(C)]
pub struct Interpreter {
    /// How many interpreters the row is about: 0, 1, and more in the last row.
    pub count: AtomicU64,
    pub calls: AtomicU64,
    pub code: [AtomicU64; CODE.len()],
    /// How many of its names found no room below.
    pub more_names: AtomicU64,
    /// Its names, one a line.
    pub names: Text<64>,
}

/// What adds up over children, and over those that have ended.
#[repr(C)]
pub struct Counters {
    /// Requests whose content Python made.
    pub requests: AtomicU64,
    /// Calls that ended with an exception other than SERVER_RETURN.
    pub errors: AtomicU64,
    /// Those of them that were over PythonRequestTimeout.
    pub timeouts: AtomicU64,
    /// Microseconds of content handlers.
    pub micros: AtomicU64,
    /// Microseconds that phases waited for the GIL.
    pub gil_micros: AtomicU64,
    /// Microseconds that requests waited for a session another one had, and how many gave up.
    pub lock_micros: AtomicU64,
    pub lock_timeouts: AtomicU64,
    pub calls: [AtomicU64; KINDS],
    pub buckets: [AtomicU64; BUCKETS.len() + 1],
    pub gil_buckets: [AtomicU64; WAIT_BUCKETS.len() + 1],
    pub lock_buckets: [AtomicU64; WAIT_BUCKETS.len() + 1],
    pub code: [AtomicU64; CODE.len()],
    pub sessions: [[AtomicU64; SESSION_EVENTS.len()]; SESSION_KINDS.len()],
    pub handlers: [Handler; HANDLERS],
}

/// What one child tells.
#[repr(C)]
pub struct Child {
    /// 0 where the record was never used.
    pub pid: AtomicU64,
    /// The same number, once the record has nothing of its predecessor's any more.
    ready: AtomicU64,
    /// `process::start_of` the owner.
    start: AtomicU64,
    /// Seconds since the epoch.
    pub started: AtomicU64,
    pub counters: Counters,
    /// `counters.requests` when the owner came.
    pub requests_before: AtomicU64,
    /// The longest wait for the GIL, in microseconds.
    pub gil_longest: AtomicU64,
    /// Running requests that found no row.
    pub unlisted: AtomicU64,
    pub interpreters: [Interpreter; INTERPRETERS],
    pub running: [Entry; THREADS],
    /// Of the owner and its predecessors.
    pub slowest: [Entry; SLOWEST],
    pub recent: [Loaded; RECENT],
    /// How many there ever were.
    pub recents: AtomicU64,
    /// 1 when the owner listens for the wish to see its stacks.
    pub listens: AtomicU64,
    /// Number of the last wish, and of the last one that came true. Both wake who waits for them.
    pub asked: AtomicU32,
    pub told: AtomicU32,
    pub stacks: Stacks,
}

// SAFETY: atomics all through.
unsafe impl Shared for Child {}

impl Child {
    /// Whether the record is its owner's entirely, and the owner runs.
    pub fn is_alive(&self) -> bool {
        let pid = self.pid.load(Ordering::Acquire);
        self.ready.load(Ordering::Acquire) == pid
            && process::is_alive(pid, self.start.load(Ordering::Relaxed))
    }

    /// Whether nobody has the record.
    fn is_free(&self, pid: u64) -> bool {
        let is_ready = self.ready.load(Ordering::Acquire) == pid;
        let start = match is_ready {
            true => self.start.load(Ordering::Relaxed),
            // That of somebody before.
            false => 0,
        };
        !process::is_alive(pid, start)
    }

    /// Forgets what was about the process that had the record, and not about what it did.
    fn begin_anew(&self, pid: u64) {
        let zero = |one: &AtomicU64| one.store(0, Ordering::Relaxed);
        [&self.gil_longest, &self.unlisted, &self.listens]
            .into_iter()
            .for_each(zero);
        for row in &self.interpreters {
            [&row.count, &row.calls, &row.more_names]
                .into_iter()
                .chain(&row.code)
                .for_each(zero);
        }
        for entry in &self.running {
            zero(&entry.began);
        }
        let asked = self.asked.load(Ordering::Relaxed);
        self.told.store(asked, Ordering::Relaxed);
        let requests = self.counters.requests.load(Ordering::Relaxed);
        self.requests_before.store(requests, Ordering::Relaxed);
        let now = u64::try_from(time::now() / time::SECOND).unwrap_or(0);
        self.started.store(now, Ordering::Relaxed);
        self.start.store(process::start_of(pid), Ordering::Relaxed);
        self.ready.store(pid, Ordering::Release);
    }
}

static TABLE: OnceLock<&'static [Child]> = OnceLock::new();

/// Makes the table for so many children at once. It stays as it is over restarts, at which httpd does not
/// take another ServerLimit either.
///
/// # Errors
/// The system's refusal.
pub fn create(children: usize) -> std::io::Result<()> {
    if TABLE.get().is_none() {
        // A child that has just ended may still be there when its successor comes.
        let table = shared::zeroed(children * 2 + 1)?;
        // The parent has one thread: nobody was quicker.
        let _ = TABLE.set(table);
    }
    Ok(())
}

/// All records; none without a table.
pub fn children() -> &'static [Child] {
    TABLE.get().map_or(&[], |table| table)
}

/// Takes a record for this process.
pub fn claim() -> Option<&'static Child> {
    claim_of(children(), u64::from(std::process::id()))
}

fn claim_of(children: &[Child], pid: u64) -> Option<&Child> {
    children.iter().find(|child| {
        let old = child.pid.load(Ordering::Acquire);
        let is_taken = (old == pid || old == 0 || child.is_free(old))
            && child
                .pid
                .compare_exchange(old, pid, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok();
        if is_taken {
            child.begin_anew(pid);
        }
        is_taken
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_counts_on() {
        let table = shared::zeroed::<Child>(2).unwrap();
        let me = u64::from(std::process::id());
        let mut other = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let child = claim_of(table, u64::from(other.id())).unwrap();
        assert!(std::ptr::eq(child, &table[0]) && child.is_alive());
        child.counters.requests.store(7, Ordering::Relaxed);
        child.running[3].began.store(1, Ordering::Relaxed);
        child.slowest[0].micros.store(9, Ordering::Relaxed);
        // Its own is in use.
        assert!(std::ptr::eq(claim_of(table, 1).unwrap(), &table[1]));
        assert!(claim_of(table, me).is_none());
        other.kill().unwrap();
        other.wait().unwrap();
        assert!(!child.is_alive());
        let child = claim_of(table, me).unwrap();
        assert!(std::ptr::eq(child, &table[0]) && child.is_alive());
        assert_eq!(child.counters.requests.load(Ordering::Relaxed), 7);
        assert_eq!(child.requests_before.load(Ordering::Relaxed), 7);
        assert_eq!(child.running[3].began.load(Ordering::Relaxed), 0);
        assert_eq!(child.slowest[0].micros.load(Ordering::Relaxed), 9);
    }
}
