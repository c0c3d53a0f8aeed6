//! What the table says now, for all children and for each, as plain values.

use std::sync::atomic::{AtomicU64, Ordering};

use super::table::{self, Child, Counters, BUCKETS, KINDS};
use crate::config::phase::Phase;

/// Sums of counters.
#[derive(Default, Clone)]
pub struct Sums {
    pub requests: u64,
    pub errors: u64,
    pub timeouts: u64,
    pub gil_waits: u64,
    pub gil_micros: u64,
    pub micros: u64,
    pub calls: Vec<u64>,
    pub buckets: Vec<u64>,
}

impl Sums {
    fn new() -> Self {
        Self {
            calls: vec![0; KINDS],
            buckets: vec![0; BUCKETS.len() + 1],
            ..Self::default()
        }
    }

    fn add(&mut self, counters: &Counters) {
        let mut values = counters.all().map(load);
        let fields = [
            &mut self.requests,
            &mut self.errors,
            &mut self.timeouts,
            &mut self.gil_waits,
            &mut self.gil_micros,
            &mut self.micros,
        ];
        let sums = fields
            .into_iter()
            .chain(&mut self.calls)
            .chain(&mut self.buckets);
        for sum in sums {
            *sum += values.next().unwrap_or(0);
        }
    }

    /// Calls of content handlers.
    pub fn handled(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// What a row of calls is called.
pub fn kind(index: usize) -> String {
    if index == KINDS - 1 {
        return "other".into();
    }
    Phase::ALL[index].directive().to_string_lossy().into_owned()
}

/// One request, running or slow.
pub struct Shown {
    pub pid: u64,
    pub request: String,
    pub handler: String,
    pub began: u64,
    pub micros: u64,
}

/// One child.
pub struct OfChild {
    pub pid: u64,
    pub started: u64,
    /// In bytes; `None` where /proc does not tell.
    pub memory: Option<u64>,
    pub interpreters: u64,
    pub gil_longest: u64,
    pub sums: Sums,
}

/// All of it.
pub struct Report {
    pub children: Vec<OfChild>,
    /// With those that have ended.
    pub sums: Sums,
    pub reloads: u64,
    /// Name, calls and microseconds; the busiest first. Of the children that run.
    pub handlers: Vec<(String, u64, u64)>,
    /// The longest first.
    pub running: Vec<Shown>,
    pub slowest: Vec<Shown>,
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Resident memory of a process, in bytes.
fn memory(pid: u64) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    // SAFETY: a plain question.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages.checked_mul(u64::try_from(page).ok()?)
}

/// Reads the table.
pub fn read() -> Report {
    let mut report = Report {
        children: Vec::new(),
        sums: Sums::new(),
        reloads: 0,
        handlers: Vec::new(),
        running: Vec::new(),
        slowest: Vec::new(),
    };
    if let Some(ended) = table::ended() {
        report.sums.add(&ended.counters);
        report.reloads += load(&ended.reloads);
    }
    for child in table::children() {
        let pid = load(&child.pid);
        if pid == 0 {
            continue;
        }
        report.sums.add(&child.counters);
        report.reloads += load(&child.reloads);
        if child.is_alive() {
            report.add(child, pid);
        }
    }
    report.handlers.sort_by_key(|row| std::cmp::Reverse(row.1));
    report
        .running
        .sort_by_key(|row| std::cmp::Reverse(row.micros));
    report
        .slowest
        .sort_by_key(|row| std::cmp::Reverse(row.micros));
    report.slowest.truncate(20);
    report
}

impl Report {
    fn add(&mut self, child: &Child, pid: u64) {
        let mut sums = Sums::new();
        sums.add(&child.counters);
        self.children.push(OfChild {
            pid,
            started: load(&child.started),
            memory: memory(pid),
            interpreters: load(&child.interpreters),
            gil_longest: load(&child.gil_longest),
            sums,
        });
        for row in child.handlers.iter().filter(|row| load(&row.calls) > 0) {
            let name = row.name.get();
            let (calls, micros) = (load(&row.calls), load(&row.micros));
            match self.handlers.iter_mut().find(|known| known.0 == name) {
                Some(known) => {
                    known.1 += calls;
                    known.2 += micros;
                }
                None => self.handlers.push((name, calls, micros)),
            }
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = now.map_or(0, |now| u64::try_from(now.as_micros()).unwrap_or(u64::MAX));
        for entry in &child.running {
            let began = entry.began.load(Ordering::Acquire);
            if began > 0 {
                self.running.push(Shown {
                    pid,
                    request: entry.request.get(),
                    handler: entry.handler.get(),
                    began,
                    micros: now.saturating_sub(began),
                });
            }
        }
        for entry in child.slowest.iter().filter(|entry| load(&entry.micros) > 0) {
            self.slowest.push(Shown {
                pid,
                request: entry.request.get(),
                handler: entry.handler.get(),
                began: load(&entry.began),
                micros: load(&entry.micros),
            });
        }
    }
}
