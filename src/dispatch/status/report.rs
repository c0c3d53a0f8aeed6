//! What the table says now, for all children and for each, as plain values.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::table::{self, Child, Counters, BUCKETS, HANDLERS, KINDS, WAIT_BUCKETS};
use super::{counting, process};
use crate::_apache::counts::{CODE, SESSION_EVENTS, SESSION_KINDS};
use crate::config::phase::Phase;

/// The most requests, running or slow, and files that are told.
const MOST_SLOW: usize = 20;

/// Sums of counters; lists are as those of [`Counters`].
#[derive(Clone)]
pub struct Sums {
    pub requests: u64,
    pub errors: u64,
    pub timeouts: u64,
    pub micros: u64,
    pub gil_micros: u64,
    pub lock_micros: u64,
    pub lock_timeouts: u64,
    pub calls: Vec<u64>,
    pub buckets: Vec<u64>,
    pub gil_buckets: Vec<u64>,
    pub lock_buckets: Vec<u64>,
    pub code: Vec<u64>,
    /// By kind, then by event.
    pub sessions: Vec<Vec<u64>>,
}

impl Sums {
    fn new() -> Self {
        Self {
            requests: 0,
            errors: 0,
            timeouts: 0,
            micros: 0,
            gil_micros: 0,
            lock_micros: 0,
            lock_timeouts: 0,
            calls: vec![0; KINDS],
            buckets: vec![0; BUCKETS.len() + 1],
            gil_buckets: vec![0; WAIT_BUCKETS.len() + 1],
            lock_buckets: vec![0; WAIT_BUCKETS.len() + 1],
            code: vec![0; CODE.len()],
            sessions: vec![vec![0; SESSION_EVENTS.len()]; SESSION_KINDS.len()],
        }
    }

    fn add(&mut self, counters: &Counters) {
        fn lists(sums: &mut [u64], counters: &[AtomicU64]) {
            for (sum, counter) in sums.iter_mut().zip(counters) {
                *sum += load(counter);
            }
        }
        self.requests += load(&counters.requests);
        self.errors += load(&counters.errors);
        self.timeouts += load(&counters.timeouts);
        self.micros += load(&counters.micros);
        self.gil_micros += load(&counters.gil_micros);
        self.lock_micros += load(&counters.lock_micros);
        self.lock_timeouts += load(&counters.lock_timeouts);
        lists(&mut self.calls, &counters.calls);
        lists(&mut self.buckets, &counters.buckets);
        lists(&mut self.gil_buckets, &counters.gil_buckets);
        lists(&mut self.lock_buckets, &counters.lock_buckets);
        lists(&mut self.code, &counters.code);
        for (sums, counters) in self.sessions.iter_mut().zip(&counters.sessions) {
            lists(sums, counters);
        }
    }

    /// How often modules and pages were loaded again.
    pub fn reloads(&self) -> u64 {
        let again = |name: &str| matches!(name, "reloaded" | "page_reloaded" | "psp_recompiled");
        let code = CODE.iter().zip(&self.code);
        code.filter(|(name, _)| again(name)).map(|row| row.1).sum()
    }

    /// The kinds of sessions that are in use.
    pub fn sessions_in_use(&self) -> impl Iterator<Item = (&'static str, &[u64])> {
        let rows = SESSION_KINDS.into_iter().zip(&self.sessions);
        rows.map(|(kind, events)| (kind, events.as_slice()))
            .filter(|(_, events)| events.iter().any(|number| *number > 0))
    }

    /// The phases that had calls.
    pub fn phases(&self) -> impl Iterator<Item = (String, u64)> + '_ {
        let calls = self.calls.iter().enumerate();
        calls
            .filter(|(_, calls)| **calls > 0)
            .map(|(index, calls)| (kind(index), *calls))
    }
}

/// What a row of calls is called.
fn kind(index: usize) -> String {
    match Phase::ALL.get(index) {
        Some(phase) => phase.directive().to_string_lossy().into_owned(),
        None => "other".into(),
    }
}

/// A handler in a phase.
#[derive(Default)]
pub struct OfHandler {
    pub calls: u64,
    pub errors: u64,
    pub micros: u64,
}

/// A handler's phase and name; `None` for all those without a row.
pub type HandlerName = Option<(String, String)>;

/// One request, running or slow.
pub struct Shown {
    pub pid: u64,
    pub thread: u64,
    pub request: String,
    pub handler: String,
    pub began: u64,
    pub micros: u64,
}

/// A file that was loaded again, or failed to be.
pub struct Loaded {
    pub pid: u64,
    pub at: u64,
    pub event: &'static str,
    pub file: String,
}

/// One CPython interpreter of a child.
pub struct Interpreter {
    /// 0 is the main interpreter.
    pub index: usize,
    /// How many interpreters the row is about.
    pub count: u64,
    pub names: Vec<String>,
    pub more_names: u64,
    pub calls: u64,
    pub code: Vec<u64>,
}

/// One child.
pub struct OfChild {
    pub pid: u64,
    pub started: u64,
    pub requests: u64,
    /// In bytes; `None` where /proc does not tell.
    pub memory: Option<u64>,
    pub interpreters: Vec<Interpreter>,
    pub gil_longest: u64,
}

impl OfChild {
    pub fn interpreter_count(&self) -> u64 {
        self.interpreters.iter().map(|row| row.count).sum()
    }
}

/// All of it.
pub struct Report {
    /// Those that run.
    pub children: Vec<OfChild>,
    /// With those that have ended.
    pub sums: Sums,
    /// With those that have ended; the busiest first.
    pub handlers: Vec<(HandlerName, OfHandler)>,
    /// The longest first.
    pub running: Vec<Shown>,
    /// How many more run.
    pub unlisted: u64,
    pub slowest: Vec<Shown>,
    /// The latest first.
    pub recent: Vec<Loaded>,
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Reads the table.
pub fn read() -> Report {
    let mut report = Report {
        children: Vec::new(),
        sums: Sums::new(),
        handlers: Vec::new(),
        running: Vec::new(),
        unlisted: 0,
        slowest: Vec::new(),
        recent: Vec::new(),
    };
    let mut handlers = BTreeMap::new();
    for child in table::children()
        .iter()
        .filter(|child| load(&child.pid) > 0)
    {
        report.sums.add(&child.counters);
        add_handlers(&mut handlers, &child.counters);
        report.add_past(child);
        if child.is_alive() {
            report.add_living(child);
        }
    }
    report.handlers = handlers.into_iter().collect();
    // The rest, if there is one, goes last.
    report
        .handlers
        .sort_by_key(|(name, row)| (name.is_none(), std::cmp::Reverse(row.calls)));
    let longest_first =
        |rows: &mut Vec<Shown>| rows.sort_by_key(|row| std::cmp::Reverse(row.micros));
    longest_first(&mut report.running);
    longest_first(&mut report.slowest);
    report.slowest.truncate(MOST_SLOW);
    report.recent.sort_by_key(|row| std::cmp::Reverse(row.at));
    report.recent.truncate(MOST_SLOW);
    report
}

fn add_handlers(handlers: &mut BTreeMap<HandlerName, OfHandler>, counters: &Counters) {
    for (index, row) in counters.handlers.iter().enumerate() {
        let calls = load(&row.calls);
        if calls == 0 {
            continue;
        }
        let has_name = index < HANDLERS - 1;
        let name = has_name.then(|| (kind(load(&row.kind) as usize), row.name.get()));
        let sum = handlers.entry(name).or_default();
        sum.calls += calls;
        sum.errors += load(&row.errors);
        sum.micros += load(&row.micros);
    }
}

fn shown(pid: u64, entry: &table::Entry, began: u64, micros: u64) -> Shown {
    Shown {
        pid,
        thread: load(&entry.thread),
        request: entry.request.get(),
        handler: entry.handler.get(),
        began,
        micros,
    }
}

impl Report {
    /// What outlives a child.
    fn add_past(&mut self, child: &Child) {
        for entry in child.slowest.iter().filter(|entry| load(&entry.micros) > 0) {
            let (began, micros) = (load(&entry.began), load(&entry.micros));
            self.slowest
                .push(shown(load(&entry.pid), entry, began, micros));
        }
        for entry in &child.recent {
            let at = entry.at.load(Ordering::Acquire);
            if at > 0 {
                self.recent.push(Loaded {
                    pid: load(&entry.pid),
                    at,
                    event: CODE.get(load(&entry.event) as usize).unwrap_or(&"?"),
                    file: entry.file.get(),
                });
            }
        }
    }

    fn add_living(&mut self, child: &Child) {
        let pid = load(&child.pid);
        let interpreters = child.interpreters.iter().enumerate();
        let interpreters = interpreters.filter(|(_, row)| load(&row.count) > 0);
        self.children.push(OfChild {
            pid,
            started: load(&child.started),
            requests: load(&child.counters.requests).saturating_sub(load(&child.requests_before)),
            memory: process::memory(pid),
            interpreters: interpreters
                .map(|(index, row)| Interpreter {
                    index,
                    count: load(&row.count),
                    names: row.names.get().lines().map(str::to_string).collect(),
                    more_names: load(&row.more_names),
                    calls: load(&row.calls),
                    code: row.code.iter().map(load).collect(),
                })
                .collect(),
            gil_longest: load(&child.gil_longest),
        });
        self.unlisted += load(&child.unlisted);
        let now = counting::now();
        for entry in &child.running {
            let began = entry.began.load(Ordering::Acquire);
            if began > 0 {
                let lasts = now.saturating_sub(began);
                self.running.push(shown(pid, entry, began, lasts));
            }
        }
    }
}
