//! The status as JSON; docs/guides/operations.md says what is in it.

use std::fmt::Write;

use super::counting;
use super::page::seconds;
use super::report::{self, Report, Shown};
use super::stacks;
use super::table::{BUCKETS, WAIT_BUCKETS};
use crate::_apache::counts::{CODE, SESSION_EVENTS};

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            control if (control as u32) < 0x20 => {
                let _ = write!(quoted, "\\u{:04x}", control as u32);
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

fn list(items: impl IntoIterator<Item = String>) -> String {
    let items: Vec<String> = items.into_iter().collect();
    format!("[{}]", items.join(", "))
}

fn object<N: AsRef<str>>(rows: impl IntoIterator<Item = (N, String)>) -> String {
    let rows: Vec<String> = rows
        .into_iter()
        .map(|(name, value)| format!("{}: {value}", quoted(name.as_ref())))
        .collect();
    format!("{{{}}}", rows.join(", "))
}

fn or_null(value: Option<String>) -> String {
    value.unwrap_or_else(|| "null".into())
}

fn strings(texts: &[String]) -> String {
    list(texts.iter().map(|text| quoted(text)))
}

fn numbers(names: &[&'static str], values: &[u64]) -> String {
    object(names.iter().zip(values.iter().map(u64::to_string)))
}

fn histogram(ends: &[u64], counts: &[u64]) -> String {
    list(counts.iter().enumerate().map(|(index, count)| {
        let end = ends.get(index).map(|end| seconds(*end));
        object([
            ("up_to_seconds", or_null(end)),
            ("count", count.to_string()),
        ])
    }))
}

fn interpreter(row: &report::Interpreter) -> String {
    object([
        ("is_main", (row.index == 0).to_string()),
        ("count", row.count.to_string()),
        ("names", strings(&row.names)),
        ("more_names", row.more_names.to_string()),
        ("calls", row.calls.to_string()),
        ("code", numbers(&CODE, &row.code)),
    ])
}

fn child(child: &report::OfChild) -> String {
    object([
        ("pid", child.pid.to_string()),
        ("started", child.started.to_string()),
        ("requests", child.requests.to_string()),
        (
            "memory_bytes",
            or_null(child.memory.map(|bytes| bytes.to_string())),
        ),
        (
            "interpreters",
            list(child.interpreters.iter().map(interpreter)),
        ),
        ("gil_longest_wait_seconds", seconds(child.gil_longest)),
    ])
}

fn handler((name, row): &(report::HandlerName, report::OfHandler)) -> String {
    let (phase, handler) = match name {
        Some((phase, handler)) => (Some(quoted(phase)), Some(quoted(handler))),
        None => (None, None),
    };
    object([
        ("phase", or_null(phase)),
        ("handler", or_null(handler)),
        ("calls", row.calls.to_string()),
        ("errors", row.errors.to_string()),
        ("seconds", seconds(row.micros)),
    ])
}

fn request(one: &Shown) -> Vec<(&'static str, String)> {
    vec![
        ("pid", one.pid.to_string()),
        ("request", quoted(&one.request)),
        ("handler", quoted(&one.handler)),
        ("began", seconds(one.began)),
        ("seconds", seconds(one.micros)),
    ]
}

fn running(one: &Shown, stacks: Option<&[stacks::OfChild]>) -> String {
    let mut rows = request(one);
    if let Some(children) = stacks {
        let child = children.iter().find(|child| child.pid == one.pid);
        let stack = child.and_then(|child| child.of_thread(one.thread));
        rows.push(("stack", or_null(stack.map(|lines| strings(&lines)))));
    }
    object(rows)
}

fn loaded(row: &report::Loaded) -> String {
    object([
        ("pid", row.pid.to_string()),
        ("at", seconds(row.at)),
        ("event", quoted(row.event)),
        ("file", quoted(&row.file)),
    ])
}

/// All of it.
pub fn page(report: &Report, stacks: Option<&[stacks::OfChild]>) -> String {
    let sums = &report.sums;
    let phases = sums.phases().map(|(name, calls)| (name, calls.to_string()));
    let sessions = sums
        .sessions_in_use()
        .map(|(kind, events)| (kind, numbers(&SESSION_EVENTS, events)));
    let gil_waits: u64 = sums.gil_buckets.iter().sum();
    let lock_waits: u64 = sums.lock_buckets.iter().sum();
    let mut rows = vec![
        ("enabled", counting::is_on().to_string()),
        ("version", quoted(env!("CARGO_PKG_VERSION"))),
        ("pid", std::process::id().to_string()),
        ("requests", sums.requests.to_string()),
        ("errors", sums.errors.to_string()),
        ("timeouts", sums.timeouts.to_string()),
        ("seconds", seconds(sums.micros)),
        ("histogram", histogram(&BUCKETS, &sums.buckets)),
        ("phases", object(phases)),
        ("handlers", list(report.handlers.iter().map(handler))),
        ("gil_waits", gil_waits.to_string()),
        ("gil_wait_seconds", seconds(sums.gil_micros)),
        ("gil_histogram", histogram(&WAIT_BUCKETS, &sums.gil_buckets)),
        ("sessions", object(sessions)),
        ("session_waits", lock_waits.to_string()),
        ("session_wait_seconds", seconds(sums.lock_micros)),
        ("session_wait_timeouts", sums.lock_timeouts.to_string()),
        (
            "session_histogram",
            histogram(&WAIT_BUCKETS, &sums.lock_buckets),
        ),
        ("code", numbers(&CODE, &sums.code)),
        ("reloads", sums.reloads().to_string()),
        ("recent", list(report.recent.iter().map(loaded))),
        ("children", list(report.children.iter().map(child))),
        (
            "running",
            list(report.running.iter().map(|one| running(one, stacks))),
        ),
        ("running_unlisted", report.unlisted.to_string()),
        (
            "slowest",
            list(report.slowest.iter().map(|one| object(request(one)))),
        ),
    ];
    if let Some(children) = stacks {
        let child = |child: &stacks::OfChild| {
            let lines = child.lines.as_ref().map(|lines| strings(lines));
            object([("pid", child.pid.to_string()), ("lines", or_null(lines))])
        };
        rows.push(("stacks", list(children.iter().map(child))));
    }
    object(rows) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_a_string() {
        assert_eq!(quoted("a\"b\\c\n\u{e9}"), "\"a\\\"b\\\\c\\u000a\u{e9}\"");
        assert_eq!(object([("\"", list([]))]), "{\"\\\"\": []}");
    }
}
