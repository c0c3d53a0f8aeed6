//! The status in Prometheus' text format, version 0.0.4.

use std::fmt::Write;

use super::counting;
use super::page::seconds;
use super::report::{OfChild, Report};
use super::table::{BUCKETS, WAIT_BUCKETS};
use crate::_apache::counts::{CODE, SESSION_EVENTS};

/// A label's value.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// `{name="value"}`
fn labels(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{name}=\"{}\"", label(value)));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
}

/// The text so far.
#[derive(Default)]
struct Text(String);

impl Text {
    /// A metric; each row is what follows its name, and the value.
    fn metric(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        rows: impl IntoIterator<Item = (String, String)>,
    ) {
        let _ = writeln!(
            self.0,
            "# HELP mod_python_{name} {help}\n# TYPE mod_python_{name} {kind}"
        );
        for (rest, value) in rows {
            let _ = writeln!(self.0, "mod_python_{name}{rest} {value}");
        }
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.metric(name, "counter", help, [(String::new(), value.to_string())]);
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.metric(name, "gauge", help, [(String::new(), value.to_string())]);
    }

    fn histogram(&mut self, name: &str, help: &str, ends: &[u64], counts: &[u64], micros: u64) {
        let mut sum = 0;
        let mut rows = Vec::new();
        for (index, count) in counts.iter().enumerate() {
            sum += count;
            let end = ends.get(index).map_or("+Inf".into(), |end| seconds(*end));
            let rest = format!("_bucket{}", labels(&[("le", &end)]));
            rows.push((rest, sum.to_string()));
        }
        rows.push(("_sum".into(), seconds(micros)));
        rows.push(("_count".into(), sum.to_string()));
        self.metric(name, "histogram", help, rows);
    }

    fn of_children(
        &mut self,
        name: &str,
        help: &str,
        report: &Report,
        value: impl Fn(&OfChild) -> Option<String>,
    ) {
        let rows = report
            .children
            .iter()
            .filter_map(|child| Some((labels(&[("pid", &child.pid.to_string())]), value(child)?)));
        self.metric(name, "gauge", help, rows);
    }
}

/// All of it.
pub fn page(report: &Report) -> String {
    let sums = &report.sums;
    let mut text = Text::default();
    text.gauge(
        "status_enabled",
        "1 with PythonStatus On, in whose absence nothing is counted.",
        u64::from(counting::is_on()),
    );
    text.counter(
        "requests_total",
        "Requests whose content Python made.",
        sums.requests,
    );
    text.counter(
        "exceptions_total",
        "Calls that ended with an exception.",
        sums.errors,
    );
    text.counter(
        "timeouts_total",
        "Calls over PythonRequestTimeout.",
        sums.timeouts,
    );
    text.metric(
        "calls_total",
        "counter",
        "Calls by phase.",
        sums.phases()
            .map(|(name, calls)| (labels(&[("phase", &name)]), calls.to_string())),
    );
    handlers(&mut text, report);
    text.histogram(
        "handler_seconds",
        "Times of content handlers.",
        &BUCKETS,
        &sums.buckets,
        sums.micros,
    );
    text.histogram(
        "gil_wait_seconds",
        "Waits of phases for the GIL.",
        &WAIT_BUCKETS,
        &sums.gil_buckets,
        sums.gil_micros,
    );
    let sessions = sums.sessions_in_use().flat_map(|(kind, events)| {
        SESSION_EVENTS
            .iter()
            .zip(events)
            .map(move |(event, number)| {
                (
                    labels(&[("type", kind), ("event", event)]),
                    number.to_string(),
                )
            })
    });
    text.metric(
        "sessions_total",
        "counter",
        "What happened to sessions.",
        sessions,
    );
    text.histogram(
        "session_wait_seconds",
        "Waits for a session that another request had.",
        &WAIT_BUCKETS,
        &sums.lock_buckets,
        sums.lock_micros,
    );
    text.counter(
        "session_wait_timeouts_total",
        "Waits for a session that were given up.",
        sums.lock_timeouts,
    );
    let code = CODE.iter().zip(&sums.code);
    text.metric(
        "code_loads_total",
        "counter",
        "Modules and pages loaded.",
        code.map(|(event, number)| (labels(&[("event", event)]), number.to_string())),
    );
    text.counter(
        "reloads_total",
        "Modules and pages loaded again.",
        sums.reloads(),
    );
    text.gauge(
        "running",
        "Requests in Python now.",
        report.running.len() as u64 + report.unlisted,
    );
    text.gauge(
        "children",
        "Children that count.",
        report.children.len() as u64,
    );
    children(&mut text, report);
    text.0
}

fn handlers(text: &mut Text, report: &Report) {
    let mut rows = |name: &str, help: &str, value: &dyn Fn(&super::report::OfHandler) -> String| {
        let rows = report.handlers.iter().map(|(name, row)| {
            let (phase, handler) = match name {
                Some((phase, handler)) => (phase.as_str(), handler.as_str()),
                None => ("", ""),
            };
            (
                labels(&[("phase", phase), ("handler", handler)]),
                value(row),
            )
        });
        text.metric(name, "counter", help, rows);
    };
    rows(
        "handler_calls_total",
        "Calls by phase and handler; with empty labels those of handlers there was no room for.",
        &|row| row.calls.to_string(),
    );
    rows(
        "handler_exceptions_total",
        "Exceptions by phase and handler.",
        &|row| row.errors.to_string(),
    );
    rows(
        "handler_time_seconds_total",
        "Time by phase and handler.",
        &|row| seconds(row.micros),
    );
}

fn children(text: &mut Text, report: &Report) {
    text.of_children("resident_bytes", "Resident memory.", report, |child| {
        child.memory.map(|bytes| bytes.to_string())
    });
    text.of_children("interpreters", "Interpreters.", report, |child| {
        Some(child.interpreter_count().to_string())
    });
    text.of_children(
        "gil_longest_wait_seconds",
        "The longest wait for the GIL.",
        report,
        |child| Some(seconds(child.gil_longest)),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_a_label() {
        assert_eq!(
            labels(&[("a", "x\"y\\z\n"), ("b", "")]),
            "{a=\"x\\\"y\\\\z\\n\",b=\"\"}"
        );
    }

    #[test]
    fn a_histogram_adds_up() {
        let mut text = Text::default();
        text.histogram("x", "X.", &[10, 100], &[1, 0, 2], 5);
        let expected = "# HELP mod_python_x X.\n# TYPE mod_python_x histogram\n\
                        mod_python_x_bucket{le=\"0.000010\"} 1\nmod_python_x_bucket{le=\"0.000100\"} 1\n\
                        mod_python_x_bucket{le=\"+Inf\"} 3\nmod_python_x_sum 0.000005\nmod_python_x_count 3\n";
        assert_eq!(text.0, expected);
    }
}
