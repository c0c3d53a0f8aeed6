//! The memory all children share: a record for each, written by its owner under the GIL, read by anybody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::OnceLock;

use crate::httpd::shared::{self, Shared};

/// Upper ends of the histogram's buckets, in microseconds; one more bucket has what is slower.
pub const BUCKETS: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];
/// The phases, and one row for filters, includes and access control's functions.
pub const KINDS: usize = crate::config::phase::Phase::COUNT + 1;
pub const HANDLERS: usize = 32;
pub const SLOWEST: usize = 8;
pub const THREADS: usize = 128;
const WORDS: usize = 24;

/// A text of at most 191 bytes; one that is read while it is written may be a mixture.
#[repr(C)]
pub struct Text([AtomicU64; WORDS]);

impl Text {
    pub fn set(&self, text: &[u8]) {
        let mut bytes = [0u8; WORDS * 8];
        let length = text.len().min(bytes.len() - 1);
        bytes[..length].copy_from_slice(&text[..length]);
        for (word, bytes) in self.0.iter().zip(bytes.chunks_exact(8)) {
            let value = u64::from_ne_bytes(bytes.try_into().unwrap_or_default());
            word.store(value, Ordering::Relaxed);
        }
    }

    pub fn get(&self) -> String {
        let bytes: Vec<u8> = self
            .0
            .iter()
            .flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes())
            .take_while(|byte| *byte != 0)
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub fn is(&self, text: &[u8]) -> bool {
        let length = text.len().min(WORDS * 8 - 1);
        self.0.iter().enumerate().all(|(index, word)| {
            let mut bytes = [0u8; 8];
            let start = (index * 8).min(length);
            let end = (start + 8).min(length);
            bytes[..end - start].copy_from_slice(&text[start..end]);
            word.load(Ordering::Relaxed) == u64::from_ne_bytes(bytes)
        })
    }
}

/// Calls of one handler.
#[repr(C)]
pub struct Handler {
    /// 0 where the row is free.
    pub calls: AtomicU64,
    pub micros: AtomicU64,
    pub name: Text,
}

/// One request.
#[repr(C)]
pub struct Entry {
    /// When it began, in microseconds since the epoch; 0 where the row is free.
    pub began: AtomicU64,
    /// How long it took.
    pub micros: AtomicU64,
    /// `GET /x`
    pub request: Text,
    /// `PythonHandler module::function`
    pub handler: Text,
}

/// What adds up over children, and over those that have ended.
#[repr(C)]
pub struct Counters {
    /// Requests whose content Python made.
    pub requests: AtomicU64,
    pub calls: [AtomicU64; KINDS],
    /// Calls that ended with an exception other than SERVER_RETURN.
    pub errors: AtomicU64,
    /// Those of them that were over PythonRequestTimeout.
    pub timeouts: AtomicU64,
    pub gil_waits: AtomicU64,
    pub gil_micros: AtomicU64,
    /// Times of the content handlers.
    pub buckets: [AtomicU64; BUCKETS.len() + 1],
    pub micros: AtomicU64,
}

impl Counters {
    /// All of them, in a fixed order.
    pub fn all(&self) -> impl Iterator<Item = &AtomicU64> {
        [
            &self.requests,
            &self.errors,
            &self.timeouts,
            &self.gil_waits,
            &self.gil_micros,
            &self.micros,
        ]
        .into_iter()
        .chain(&self.calls)
        .chain(&self.buckets)
    }
}

/// What one child tells.
#[repr(C)]
pub struct Child {
    /// 0 where the record was never used.
    pub pid: AtomicU64,
    /// Seconds since the epoch.
    pub started: AtomicU64,
    pub counters: Counters,
    /// The longest wait for the GIL, in microseconds.
    pub gil_longest: AtomicU64,
    pub interpreters: AtomicU64,
    /// How often modules were loaded again.
    pub reloads: AtomicU64,
    pub handlers: [Handler; HANDLERS],
    pub slowest: [Entry; SLOWEST],
    pub running: [Entry; THREADS],
}

// SAFETY: atomics all through.
unsafe impl Shared for Child {}

impl Child {
    /// Whether its process runs.
    pub fn is_alive(&self) -> bool {
        let Ok(pid) = libc::pid_t::try_from(self.pid.load(Ordering::Relaxed)) else {
            return false;
        };
        // SAFETY: asks only. A process of another user is one too.
        pid > 0
            && (unsafe { libc::kill(pid, 0) } == 0
                || std::io::Error::last_os_error().raw_os_error() == Some(libc::EPERM))
    }

    /// Takes a record over: its counters go to `ended`, and everything else is forgotten.
    fn begin_anew(&self, ended: &Self) {
        for (old, sum) in self.counters.all().zip(ended.counters.all()) {
            sum.fetch_add(old.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        }
        ended
            .reloads
            .fetch_add(self.reloads.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        for one in [&self.gil_longest, &self.interpreters] {
            one.store(0, Ordering::Relaxed);
        }
        for handler in &self.handlers {
            handler.calls.store(0, Ordering::Relaxed);
            handler.micros.store(0, Ordering::Relaxed);
        }
        for entry in self.slowest.iter().chain(&self.running) {
            entry.began.store(0, Ordering::Relaxed);
            entry.micros.store(0, Ordering::Relaxed);
        }
    }
}

/// The first record is for what children counted that have ended.
static TABLE: OnceLock<&'static [Child]> = OnceLock::new();

/// Makes the table for so many children at once. It stays as it is over restarts, at which httpd does not
/// take another ServerLimit either.
///
/// # Errors
/// The system's refusal.
pub fn create(children: usize) -> std::io::Result<()> {
    if TABLE.get().is_none() {
        // A child that has just ended may still be there when its successor comes.
        let table = shared::zeroed(children * 2 + 2)?;
        let _ = TABLE.set(table);
    }
    Ok(())
}

/// The children's records; empty without a table.
pub fn children() -> &'static [Child] {
    TABLE.get().map_or(&[], |table| &table[1..])
}

/// What ended children counted.
pub fn ended() -> Option<&'static Child> {
    TABLE.get().and_then(|table| table.first())
}

/// Takes a record for this process.
pub fn claim() -> Option<&'static Child> {
    let ended = ended()?;
    let pid = u64::from(std::process::id());
    for child in children() {
        let old = child.pid.load(Ordering::Acquire);
        if old != pid && child.is_alive() {
            continue;
        }
        let taken = child
            .pid
            .compare_exchange(old, pid, Ordering::AcqRel, Ordering::Relaxed);
        if taken.is_ok() {
            child.begin_anew(ended);
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            child
                .started
                .store(now.map_or(0, |now| now.as_secs()), Ordering::Relaxed);
            return Some(child);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_and_compared() {
        let text = &shared::zeroed::<Child>(1).unwrap()[0].handlers[0].name;
        assert_eq!(text.get(), "");
        for sample in ["", "x", "12345678", "GET /a/b?c"] {
            text.set(sample.as_bytes());
            assert_eq!(text.get(), sample);
            assert!(text.is(sample.as_bytes()));
            assert!(!text.is(b"other"));
        }
        let long = "y".repeat(500);
        text.set(long.as_bytes());
        assert_eq!(text.get(), "y".repeat(191));
        assert!(text.is(long.as_bytes()));
    }
}
