//! The status for people.

use std::fmt::Write;

use super::counting;
use super::report::{self, Report, Shown};
use super::stacks;
use super::table::{BUCKETS, WAIT_BUCKETS};
use crate::_apache::counts::{CODE, SESSION_EVENTS};

const HEAD: &str = "<!DOCTYPE html>
<html><head><meta charset=\"utf-8\"><title>mod_python status</title>
<style>
body { font-family: sans-serif; margin: 1em 2em; }
table { border-collapse: collapse; margin: 0.3em 0; }
th, td { border: 1px solid #bbb; padding: 0.15em 0.6em; text-align: left; vertical-align: top; }
th { background: #eee; font-weight: normal; }
h3 { margin: 1em 0 0.2em; }
</style></head><body>
<h1>mod_python status</h1>
";
const LINKS: &str = "<p><a href=\"?stacks\">stacks</a> <a href=\"?json\">JSON</a> \
                     <a href=\"?prometheus\">Prometheus</a></p>\n";

fn milliseconds(micros: u64) -> String {
    format!("{}.{:03}", micros / 1000, micros % 1000)
}

fn average(micros: u64, count: u64) -> u64 {
    micros.checked_div(count).unwrap_or(0)
}

fn mib(bytes: Option<u64>) -> String {
    bytes.map_or("?".into(), |bytes| {
        format!("{:.1}", bytes as f64 / f64::from(1 << 20))
    })
}

/// How long ago a moment was, in microseconds since the epoch.
fn ago(micros: u64) -> String {
    let seconds = counting::now().saturating_sub(micros) / 1_000_000;
    match seconds {
        0..=119 => format!("{seconds} s ago"),
        120..=7199 => format!("{} min ago", seconds / 60),
        7200..=172_799 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86400),
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A table under a heading; cells are escaped here. Nothing without rows.
fn table(title: &str, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let cells = |tag: &str, texts: &[String]| {
        let cells = texts
            .iter()
            .map(|text| format!("<{tag}>{}</{tag}>", escape(text)));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let rows: String = rows.into_iter().map(|row| cells("td", &row)).collect();
    if rows.is_empty() {
        return String::new();
    }
    let head: Vec<String> = head.iter().map(ToString::to_string).collect();
    format!(
        "<h3>{}</h3>\n<table border=\"1\">\n{}{rows}</table>\n",
        escape(title),
        cells("th", &head)
    )
}

fn requests(title: &str, rows: &[Shown]) -> String {
    let row = |one: &Shown| {
        vec![
            one.pid.to_string(),
            ago(one.began),
            milliseconds(one.micros),
            one.request.clone(),
            one.handler.clone(),
        ]
    };
    let head = ["child", "began", "ms", "request", "handler"];
    table(title, &head, rows.iter().map(row))
}

/// `2 imported, 1 reloaded`
fn in_words(names: &[&str], numbers: &[u64]) -> String {
    let words: Vec<String> = names
        .iter()
        .zip(numbers)
        .filter(|(_, number)| **number > 0)
        .map(|(name, number)| format!("{number} {}", name.replace('_', " ")))
        .collect();
    words.join(", ")
}

/// What the page begins with, and what mod_status shows.
pub fn summary(report: &Report) -> String {
    let sums = &report.sums;
    let gil_waits: u64 = sums.gil_buckets.iter().sum();
    let mut text = format!(
        "<dl>\n<dt>{} requests with content from Python, {} exceptions, {} over their time</dt>\n",
        sums.requests, sums.errors, sums.timeouts
    );
    let _ = writeln!(
        text,
        "<dt>{} ms a content handler, {} ms a wait for the GIL, on average; modules and pages loaded again {} times</dt>\n</dl>",
        milliseconds(average(sums.micros, sums.buckets.iter().sum())),
        milliseconds(average(sums.gil_micros, gil_waits)),
        sums.reloads()
    );
    let row = |child: &report::OfChild| {
        vec![
            child.pid.to_string(),
            ago(child.started * 1_000_000),
            child.requests.to_string(),
            mib(child.memory),
            child.interpreter_count().to_string(),
            milliseconds(child.gil_longest),
        ]
    };
    text.push_str(&table(
        "Children",
        &[
            "child",
            "started",
            "requests",
            "MiB",
            "interpreters",
            "longest wait for the GIL, ms",
        ],
        report.children.iter().map(row),
    ));
    text.push_str(&requests("Running", &report.running));
    if report.unlisted > 0 {
        let _ = writeln!(
            text,
            "<p>{} more run, on threads that the list has no room for.</p>",
            report.unlisted
        );
    }
    text
}

fn handlers(report: &Report) -> String {
    let row = |(name, row): &(report::HandlerName, report::OfHandler)| {
        let (phase, handler) = match name {
            Some((phase, handler)) => (phase.as_str(), handler.as_str()),
            None => ("", "others, for which there was no room"),
        };
        vec![
            phase.to_string(),
            handler.to_string(),
            row.calls.to_string(),
            row.errors.to_string(),
            milliseconds(average(row.micros, row.calls)),
        ]
    };
    let head = ["phase", "handler", "calls", "exceptions", "ms on average"];
    table("Handlers", &head, report.handlers.iter().map(row))
}

fn histogram(title: &str, what: &str, ends: &[u64], counts: &[u64]) -> String {
    let rows = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    let row = |(index, count): (usize, &u64)| {
        let end = ends.get(index);
        vec![
            end.map_or("more".into(), |end| milliseconds(*end)),
            count.to_string(),
        ]
    };
    table(title, &["up to ms", what], rows.map(row))
}

fn interpreters(report: &Report) -> String {
    let rows = report.children.iter().flat_map(|child| {
        child.interpreters.iter().map(|row| {
            let which = match (row.index, row.count) {
                (0, _) => "the main interpreter".to_string(),
                (_, 1) => "its own".to_string(),
                (_, count) => format!("{count} more"),
            };
            let mut names = row.names.join(", ");
            if row.more_names > 0 && !names.is_empty() {
                let _ = write!(names, " and {} more", row.more_names);
            }
            vec![
                child.pid.to_string(),
                which,
                names,
                row.calls.to_string(),
                in_words(&CODE, &row.code),
            ]
        })
    });
    let head = ["child", "interpreter", "names", "calls", "code"];
    table("Interpreters", &head, rows)
}

fn sessions(report: &Report) -> String {
    let sums = &report.sums;
    let rows = sums.sessions_in_use().map(|(kind, events)| {
        let numbers = events.iter().map(u64::to_string);
        std::iter::once(kind.to_string()).chain(numbers).collect()
    });
    let mut head = vec!["type"];
    head.extend(SESSION_EVENTS);
    let mut text = table("Sessions", &head, rows);
    let waits: u64 = sums.lock_buckets.iter().sum();
    if waits > 0 {
        let _ = writeln!(
            text,
            "<p>{waits} times a request waited for a session that another one had, {} ms on average; {} gave up.</p>",
            milliseconds(average(sums.lock_micros, waits)),
            sums.lock_timeouts
        );
    }
    text
}

fn code(report: &Report) -> String {
    let events = CODE.iter().zip(&report.sums.code);
    let events = events.filter(|(_, number)| **number > 0);
    let mut text = table(
        "Modules and pages",
        &["what", "times"],
        events.map(|(event, number)| vec![event.replace('_', " "), number.to_string()]),
    );
    let rows = report.recent.iter().map(|row| {
        vec![
            row.pid.to_string(),
            ago(row.at),
            row.event.replace('_', " "),
            row.file.clone(),
        ]
    });
    let head = ["child", "when", "what", "file"];
    text.push_str(&table("Loaded again, or failed to load", &head, rows));
    text
}

fn all_stacks(children: &[stacks::OfChild]) -> String {
    let mut text = String::new();
    for child in children {
        let lines = match &child.lines {
            Some(lines) => lines.join("\n"),
            None => "it did not answer in time".into(),
        };
        let _ = write!(
            text,
            "<h3>Stacks of child {}</h3>\n<pre>\n{}\n</pre>\n",
            child.pid,
            escape(&lines)
        );
    }
    text
}

/// All of it.
pub fn page(report: &Report, stacks: Option<&[stacks::OfChild]>) -> String {
    let mut text = String::from(HEAD);
    if counting::is_on() {
        text.push_str(&summary(report));
    } else {
        text.push_str("<p>Nothing is counted: PythonStatus is Off.</p>\n");
    }
    if let Some(children) = stacks {
        text.push_str(&all_stacks(children));
    }
    if counting::is_on() {
        let sums = &report.sums;
        text.push_str(&handlers(report));
        text.push_str(&sessions(report));
        text.push_str(&code(report));
        text.push_str(&requests("Slowest", &report.slowest));
        let phases = sums.phases();
        text.push_str(&table(
            "Phases",
            &["phase", "calls"],
            phases.map(|(name, calls)| vec![name, calls.to_string()]),
        ));
        text.push_str(&interpreters(report));
        text.push_str(&histogram(
            "Times of content handlers",
            "requests",
            &BUCKETS,
            &sums.buckets,
        ));
        text.push_str(&histogram(
            "Waits for the GIL",
            "phases",
            &WAIT_BUCKETS,
            &sums.gil_buckets,
        ));
    }
    if stacks.is_none() {
        text.push_str(LINKS);
    }
    text.push_str("</body></html>\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_a_cell() {
        assert_eq!(
            escape("<a href=\"x\">&"),
            "&lt;a href=&quot;x&quot;&gt;&amp;"
        );
        let made = table("T", &["<"], [vec!["<b>".to_string()]]);
        assert!(made.contains("<th>&lt;</th>") && made.contains("<td>&lt;b&gt;</td>"));
        assert_eq!(table("T", &["x"], []), "");
    }

    #[test]
    fn words_leave_out_what_did_not_happen() {
        assert_eq!(in_words(&["a", "b_c", "d"], &[1, 2, 0]), "1 a, 2 b c");
        assert_eq!(average(10, 0), 0);
    }
}
