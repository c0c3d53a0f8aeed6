//! `SetHandler python-status` and the section of mod_status: a report as HTML, JSON, Prometheus' text or lines.

use std::fmt::Write;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::counting;
use super::report::{self, Report, Shown, Sums};
use super::table::BUCKETS;
use crate::dispatch::monitor;
use crate::httpd::{Request, Status};
use crate::interpreter::{alarm, stacks};

/// How long Python gets to tell its stacks before faulthandler does.
const PATIENCE: Duration = Duration::from_secs(1);

/// Answers a request for the page. `?json`, `?prometheus` and `?stacks` choose.
pub fn answer(r: &Request) -> Status {
    let query = r.args().map_or(&b""[..], |args| args.to_bytes());
    let wants = |name: &[u8]| query.split(|byte| *byte == b'&').any(|part| part == name);
    let lines = if wants(b"stacks") {
        Some(stack_lines())
    } else {
        None
    };
    let report = report::read();
    let (kind, text) = if wants(b"prometheus") {
        (
            "text/plain; version=0.0.4; charset=utf-8",
            prometheus(&report),
        )
    } else if wants(b"json") {
        ("application/json", json(&report, lines.as_deref()))
    } else {
        ("text/html; charset=utf-8", html(&report, lines.as_deref()))
    };
    let kind = std::ffi::CString::new(kind).unwrap_or_default();
    r.set_content_type(kind.as_c_str().into());
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
        let sums = &report.sums;
        format!(
            "PythonRequests: {}\nPythonErrors: {}\nPythonTimeouts: {}\nPythonSeconds: {}\nPythonGilWaitSeconds: {}\nPythonRunning: {}\n",
            sums.requests,
            sums.errors,
            sums.timeouts,
            seconds(sums.micros),
            seconds(sums.gil_micros),
            report.running.len()
        )
    } else {
        format!("<hr />\n<h2>mod_python</h2>\n{}", summary(&report))
    };
    // A client that is gone is mod_status's business.
    let _ = r.write(text.as_bytes());
    Status::OK
}

/// The Python stacks of this child; never waits long for the GIL.
fn stack_lines() -> Vec<String> {
    let (sender, receiver) = channel();
    let spawned = alarm::spawn("mod_python look", false, move || {
        let _ = sender.send(monitor::stack_lines());
    });
    match spawned.map(|()| receiver.recv_timeout(PATIENCE)) {
        Ok(Ok(lines)) => lines,
        _ => stacks::raw().lines().map(str::to_string).collect(),
    }
}

fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

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

// -- HTML ---------------------------------------------------------------------------------------

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

/// A table; cells are escaped here.
fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let cells = |tag: &str, texts: &[String]| {
        let cells = texts
            .iter()
            .map(|text| format!("<{tag}>{}</{tag}>", escape(text)));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let head: Vec<String> = head.iter().map(ToString::to_string).collect();
    let rows: String = rows.map(|row| cells("td", &row)).collect();
    format!(
        "<table border=\"1\">\n{}{rows}</table>\n",
        cells("th", &head)
    )
}

fn requests(rows: &[Shown]) -> String {
    let row = |one: &Shown| {
        let shown = one.request.clone();
        vec![
            one.pid.to_string(),
            milliseconds(one.micros),
            shown,
            one.handler.clone(),
        ]
    };
    table(&["child", "ms", "request", "handler"], rows.iter().map(row))
}

fn summary(report: &Report) -> String {
    let sums = &report.sums;
    let mut text = format!(
        "<dl>\n<dt>{} requests with content from Python, {} exceptions, {} over their time</dt>\n",
        sums.requests, sums.errors, sums.timeouts
    );
    let _ = writeln!(
        text,
        "<dt>{} ms a content handler, {} ms a wait for the GIL, on average; modules loaded again {} times</dt>\n</dl>",
        milliseconds(average(sums.micros, sums.handled())),
        milliseconds(average(sums.gil_micros, sums.gil_waits)),
        report.reloads
    );
    let row = |child: &report::OfChild| {
        vec![
            child.pid.to_string(),
            child.sums.requests.to_string(),
            mib(child.memory),
            child.interpreters.to_string(),
            milliseconds(child.gil_longest),
        ]
    };
    text.push_str(&table(
        &[
            "child",
            "requests",
            "MiB",
            "interpreters",
            "longest wait for the GIL, ms",
        ],
        report.children.iter().map(row),
    ));
    if !report.running.is_empty() {
        text.push_str("<h3>Running</h3>\n");
        text.push_str(&requests(&report.running));
    }
    text
}

fn html(report: &Report, stacks: Option<&[String]>) -> String {
    let mut text = String::from(
        "<!DOCTYPE html>\n<html><head><title>mod_python status</title></head><body>\n<h1>mod_python status</h1>\n",
    );
    if counting::is_on() {
        text.push_str(&summary(report));
        text.push_str("<h3>Slowest</h3>\n");
        text.push_str(&requests(&report.slowest));
        text.push_str("<h3>Handlers</h3>\n");
        let row = |(name, calls, micros): &(String, u64, u64)| {
            let average = milliseconds(average(*micros, *calls));
            vec![name.clone(), calls.to_string(), average]
        };
        let head = ["handler", "calls", "ms on average"];
        text.push_str(&table(&head, report.handlers.iter().map(row)));
        text.push_str("<h3>Phases</h3>\n");
        text.push_str(&table(
            &["phase", "calls"],
            calls(&report.sums).map(|(name, calls)| vec![name, calls.to_string()]),
        ));
        text.push_str("<h3>Times of content handlers</h3>\n");
        let row = |(index, count): (usize, &u64)| {
            let end = BUCKETS.get(index);
            vec![
                end.map_or("more".into(), |end| milliseconds(*end)),
                count.to_string(),
            ]
        };
        text.push_str(&table(
            &["up to ms", "requests"],
            report.sums.buckets.iter().enumerate().map(row),
        ));
    } else {
        text.push_str("<p>Nothing is counted: PythonStatus is Off.</p>\n");
    }
    match stacks {
        Some(lines) => {
            let _ = write!(
                text,
                "<h3>Stacks of child {}</h3>\n<pre>\n{}\n</pre>\n",
                std::process::id(),
                escape(&lines.join("\n"))
            );
        }
        None => text.push_str("<p><a href=\"?stacks\">stacks</a> <a href=\"?json\">JSON</a> <a href=\"?prometheus\">Prometheus</a></p>\n"),
    }
    text.push_str("</body></html>\n");
    text
}

/// The phases that had calls.
fn calls(sums: &Sums) -> impl Iterator<Item = (String, u64)> + '_ {
    let rows = sums
        .calls
        .iter()
        .enumerate()
        .filter(|(_, calls)| **calls > 0);
    rows.map(|(index, calls)| (report::kind(index), *calls))
}

// -- JSON ---------------------------------------------------------------------------------------

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

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

fn object(rows: &[(&str, String)]) -> String {
    let rows = rows
        .iter()
        .map(|(name, value)| format!("{}: {value}", quoted(name)));
    format!("{{{}}}", rows.collect::<Vec<_>>().join(", "))
}

fn request_objects(rows: &[Shown]) -> String {
    list(rows.iter().map(|one| {
        object(&[
            ("pid", one.pid.to_string()),
            ("request", quoted(&one.request)),
            ("handler", quoted(&one.handler)),
            ("began", seconds(one.began)),
            ("seconds", seconds(one.micros)),
        ])
    }))
}

fn json(report: &Report, stacks: Option<&[String]>) -> String {
    let sums = &report.sums;
    let children = report.children.iter().map(|child| {
        object(&[
            ("pid", child.pid.to_string()),
            ("started", child.started.to_string()),
            ("requests", child.sums.requests.to_string()),
            (
                "memory_bytes",
                child
                    .memory
                    .map_or("null".into(), |bytes| bytes.to_string()),
            ),
            ("interpreters", child.interpreters.to_string()),
            ("gil_longest_wait_seconds", seconds(child.gil_longest)),
        ])
    });
    let handlers = report.handlers.iter().map(|(name, calls, micros)| {
        object(&[
            ("handler", quoted(name)),
            ("calls", calls.to_string()),
            ("seconds", seconds(*micros)),
        ])
    });
    let phases: Vec<(String, String)> = calls(sums)
        .map(|(name, calls)| (name, calls.to_string()))
        .collect();
    let phases: Vec<(&str, String)> = phases
        .iter()
        .map(|(name, calls)| (name.as_str(), calls.clone()))
        .collect();
    let buckets = sums.buckets.iter().enumerate().map(|(index, count)| {
        let end = BUCKETS.get(index);
        object(&[
            (
                "up_to_seconds",
                end.map_or("null".into(), |end| seconds(*end)),
            ),
            ("count", count.to_string()),
        ])
    });
    let mut rows = vec![
        ("enabled", counting::is_on().to_string()),
        ("pid", std::process::id().to_string()),
        ("requests", sums.requests.to_string()),
        ("errors", sums.errors.to_string()),
        ("timeouts", sums.timeouts.to_string()),
        ("seconds", seconds(sums.micros)),
        ("gil_waits", sums.gil_waits.to_string()),
        ("gil_wait_seconds", seconds(sums.gil_micros)),
        ("reloads", report.reloads.to_string()),
        ("phases", object(&phases)),
        ("histogram", list(buckets)),
        ("handlers", list(handlers)),
        ("children", list(children)),
        ("running", request_objects(&report.running)),
        ("slowest", request_objects(&report.slowest)),
    ];
    if let Some(lines) = stacks {
        rows.push(("stacks", list(lines.iter().map(|line| quoted(line)))));
    }
    object(&rows) + "\n"
}

// -- Prometheus ---------------------------------------------------------------------------------

/// A label's value.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

fn prometheus(report: &Report) -> String {
    let sums = &report.sums;
    let mut text = String::new();
    let mut metric = |name: &str, kind: &str, help: &str, rows: Vec<(String, String)>| {
        let _ = writeln!(
            text,
            "# HELP mod_python_{name} {help}\n# TYPE mod_python_{name} {kind}"
        );
        for (labels, value) in rows {
            let _ = writeln!(text, "mod_python_{name}{labels} {value}");
        }
    };
    let one = |value: u64| vec![(String::new(), value.to_string())];
    metric(
        "requests_total",
        "counter",
        "Requests whose content Python made.",
        one(sums.requests),
    );
    metric(
        "exceptions_total",
        "counter",
        "Calls that ended with an exception.",
        one(sums.errors),
    );
    metric(
        "timeouts_total",
        "counter",
        "Calls over PythonRequestTimeout.",
        one(sums.timeouts),
    );
    metric(
        "reloads_total",
        "counter",
        "Modules loaded again.",
        one(report.reloads),
    );
    let calls = calls(sums)
        .map(|(name, calls)| (format!("{{phase=\"{}\"}}", label(&name)), calls.to_string()));
    metric("calls_total", "counter", "Calls by phase.", calls.collect());
    let handlers = report.handlers.iter().map(|(name, calls, _)| {
        (
            format!("{{handler=\"{}\"}}", label(name)),
            calls.to_string(),
        )
    });
    metric(
        "handler_calls",
        "gauge",
        "Calls by handler, in the children that run.",
        handlers.collect(),
    );
    let mut sum = 0;
    let mut buckets = Vec::new();
    for (index, count) in sums.buckets.iter().enumerate() {
        sum += count;
        let end = BUCKETS
            .get(index)
            .map_or("+Inf".into(), |end| seconds(*end));
        buckets.push((format!("_bucket{{le=\"{end}\"}}"), sum.to_string()));
    }
    buckets.push(("_sum".into(), seconds(sums.micros)));
    buckets.push(("_count".into(), sum.to_string()));
    metric(
        "handler_seconds",
        "histogram",
        "Times of content handlers.",
        buckets,
    );
    metric(
        "gil_wait_seconds_total",
        "counter",
        "Time spent waiting for the GIL.",
        vec![(String::new(), seconds(sums.gil_micros))],
    );
    metric(
        "gil_waits_total",
        "counter",
        "Entries into Python.",
        one(sums.gil_waits),
    );
    metric(
        "running",
        "gauge",
        "Requests in Python now.",
        one(report.running.len() as u64),
    );
    metric(
        "children",
        "gauge",
        "Children that count.",
        one(report.children.len() as u64),
    );
    let of_children = |value: &dyn Fn(&report::OfChild) -> Option<String>| {
        let row = |child: &report::OfChild| {
            value(child).map(|value| (format!("{{pid=\"{}\"}}", child.pid), value))
        };
        report.children.iter().filter_map(row).collect::<Vec<_>>()
    };
    let memory = of_children(&|child| child.memory.map(|bytes| bytes.to_string()));
    metric("resident_bytes", "gauge", "Resident memory.", memory);
    let interpreters = of_children(&|child| Some(child.interpreters.to_string()));
    metric("interpreters", "gauge", "Interpreters.", interpreters);
    let longest = of_children(&|child| Some(seconds(child.gil_longest)));
    metric(
        "gil_longest_wait_seconds",
        "gauge",
        "The longest wait for the GIL.",
        longest,
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_its_place() {
        assert_eq!(
            escape("<a href=\"x\">&"),
            "&lt;a href=&quot;x&quot;&gt;&amp;"
        );
        assert_eq!(quoted("a\"b\\c\n\u{e9}"), "\"a\\\"b\\\\c\\u000a\u{e9}\"");
        assert_eq!(label("a\"b\\c\n"), "a\\\"b\\\\c\\n");
        assert_eq!(seconds(1_500_000), "1.500000");
        assert_eq!(average(10, 0), 0);
    }
}
