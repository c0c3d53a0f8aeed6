//! `SetHandler python-status` and the section of mod_status.

use super::stacks;
use super::{counting, html, json, prometheus, report};
use crate::httpd::{Request, Status};

/// Answers a request for the page. `?json`, `?prometheus` and `?stacks` choose.
pub fn answer(r: &Request) -> Status {
    let query = r.args().map_or(&b""[..], |args| args.to_bytes());
    // Prometheus can only ask for `prometheus=`.
    let wants = |name: &[u8]| {
        let mut parts = query.split(|byte| *byte == b'&');
        parts.any(|part| part.split(|byte| *byte == b'=').next() == Some(name))
    };
    let wants_stacks = wants(b"stacks") && !wants(b"prometheus");
    // What runs is read afterwards, so that it has not gone on from there.
    let stacks = wants_stacks.then(stacks::all);
    let report = report::read();
    let (kind, text) = if wants(b"prometheus") {
        (
            c"text/plain; version=0.0.4; charset=utf-8",
            prometheus::page(&report),
        )
    } else if wants(b"json") {
        (c"application/json", json::page(&report, stacks.as_deref()))
    } else {
        (
            c"text/html; charset=utf-8",
            html::page(&report, stacks.as_deref()),
        )
    };
    r.set_content_type(kind.into());
    r.headers_out().set(c"Cache-Control", c"no-store");
    if r.header_only() == 0 && r.write(text.as_bytes()).is_err() {
        return Status::DONE;
    }
    Status::OK
}

/// The section of mod_status: HTML, or lines for machines.
pub fn section(r: &Request, is_short: bool) -> Status {
    if !counting::is_on() {
        return Status::DECLINED;
    }
    let report = report::read();
    let text = if is_short {
        lines(&report)
    } else {
        format!("<hr />\n<h2>mod_python</h2>\n{}", html::summary(&report))
    };
    // A client that is gone is mod_status's business.
    let _ = r.write(text.as_bytes());
    Status::OK
}

/// `Name: value` for `?auto`.
fn lines(report: &report::Report) -> String {
    let sums = &report.sums;
    let sessions = |name: &str| -> u64 {
        let at = crate::_apache::counts::SESSION_EVENTS
            .iter()
            .position(|known| *known == name);
        let events = sums.sessions.iter().filter_map(|events| events.get(at?));
        events.sum()
    };
    let memory: u64 = report
        .children
        .iter()
        .filter_map(|child| child.memory)
        .sum();
    let rows = [
        ("Requests", sums.requests.to_string()),
        ("Errors", sums.errors.to_string()),
        ("Timeouts", sums.timeouts.to_string()),
        ("Seconds", seconds(sums.micros)),
        ("GilWaits", sums.gil_buckets.iter().sum::<u64>().to_string()),
        ("GilWaitSeconds", seconds(sums.gil_micros)),
        (
            "Running",
            (report.running.len() as u64 + report.unlisted).to_string(),
        ),
        ("Children", report.children.len().to_string()),
        ("ResidentBytes", memory.to_string()),
        ("Reloads", sums.reloads().to_string()),
        ("SessionsCreated", sessions("created").to_string()),
        ("SessionsLoaded", sessions("loaded").to_string()),
        ("SessionsSaved", sessions("saved").to_string()),
        ("SessionsFailed", sessions("failed").to_string()),
    ];
    rows.iter()
        .map(|(name, value)| format!("Python{name}: {value}\n"))
        .collect()
}

/// Microseconds as seconds.
pub fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

#[cfg(test)]
mod tests {
    #[test]
    fn seconds_have_six_places() {
        assert_eq!(super::seconds(1_500_000), "1.500000");
        assert_eq!(super::seconds(7), "0.000007");
    }
}
