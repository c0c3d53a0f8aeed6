//! The monitor of a child: a thread that looks after calls that last too long, and writes stacks on request.
//!
//! It never waits for the GIL. What needs it is done by a second thread, made when it is needed for the
//! first time; where that one gets no answer from Python, somebody is stuck in C code with the GIL, and
//! stacks come from faulthandler.

use std::sync::mpsc::{channel, Receiver, RecvTimeoutError, Sender};
use std::sync::{Once, OnceLock};
use std::time::Duration;

use pyo3::prelude::*;

use super::status::counting;
use crate::_apache::request_timeout;
use crate::config::calls_are_watched;
use crate::httpd::{log, mpm, recycle};
use crate::interpreter::alarm::{self, NEVER};
use crate::interpreter::watch::{self, Event, Subject};
use crate::interpreter::{self, registry, stacks};

/// How long we wait for the GIL before somebody is said to sit on it.
const GIL_PATIENCE: Duration = Duration::from_secs(1);

/// What to do about a handler that does not react.
#[derive(Clone, Copy)]
pub struct Plan {
    /// PythonWedgeAction recycle, and how many milliseconds other requests get to end.
    pub recycle_within: Option<u64>,
}

/// What the thread that takes the GIL is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Task {
    /// See to the calls that are over their time.
    Watch,
    /// Write all stacks to the log.
    Stacks,
}

/// What it says about a task.
struct Done {
    /// A handler is stuck, though not with the GIL.
    is_stuck: bool,
}

static PLAN: OnceLock<Plan> = OnceLock::new();
static STARTED: Once = Once::new();

/// Readies the monitor of a new child.
///
/// Where httpd's children have one thread, a second one makes the C library lock and every request pay
/// for it. There the monitor starts when it is needed, and until then faulthandler alone writes stacks,
/// of the main interpreter, straight to the error log.
pub fn prepare(plan: Plan) {
    // A child is set up once.
    let _ = PLAN.set(plan);
    if mpm::is_threaded() || calls_are_watched() {
        need();
    } else if let Some(main) = registry::main() {
        interpreter::enter(main, |py| complain(stacks::write_to_stderr_on_request(py)));
    }
}

/// Starts the monitor of this child, once.
pub fn need() {
    STARTED.call_once(|| {
        let Some(plan) = PLAN.get().copied() else {
            return;
        };
        if let Some(main) = registry::main() {
            interpreter::enter(main, |py| complain(stacks::prepare(py)));
        }
        let started =
            alarm::open().and_then(|()| alarm::spawn("mod_python watch", true, move || run(plan)));
        if let Err(error) = started {
            let message = format!(
                "MP0705: the monitor thread could not be started, so there are no PythonRequestTimeout and no stack dumps: {error}"
            );
            log::main_server(log::Level::Crit, &message);
        }
    });
}

fn complain(prepared: PyResult<()>) {
    if let Err(error) = prepared {
        let message = format!("MP0704: faulthandler cannot be used, so stacks of a wedged child cannot be shown: {error}");
        log::main_server(log::Level::Warning, &message);
    }
}

fn run(plan: Plan) {
    let mut helper = Helper::default();
    let mut seen = 0;
    loop {
        alarm::sleep(until(&mut seen, &helper), || {
            watch::nearest().min(recycle_moment())
        });
        if alarm::take_stacks_wanted() {
            helper.ask(Task::Stacks, plan);
        }
        if watch::nearest() <= alarm::now() {
            helper.ask(Task::Watch, plan);
        }
        if recycle_moment() <= alarm::now() {
            helper.hear(plan);
            let overdue = watch::overdue(helper.is_waiting);
            recycle::look(alarm::now(), overdue.is_any, overdue.stuck_alone);
        }
    }
}

/// When to look around again.
///
/// Where calls come and go, sleeping for the shortest of their limits finds each in time, so that a call
/// need not wake us; after such a sleep without any call we sleep until one does.
fn until(seen: &mut u64, helper: &Helper) -> u64 {
    let (begun, shortest) = watch::activity();
    let nearest = watch::nearest().min(recycle_moment());
    if helper.is_waiting {
        // Python was asked already and does not answer.
        return alarm::now().saturating_add(250).min(recycle_moment());
    }
    if nearest != NEVER || begun == *seen {
        *seen = begun;
        return nearest;
    }
    *seen = begun;
    alarm::now().saturating_add(shortest)
}

fn recycle_moment() -> u64 {
    recycle::next_look()
}

/// The thread that takes the GIL, as the monitor sees it.
#[derive(Default)]
struct Helper {
    tasks: Option<Sender<(Task, u64)>>,
    answers: Option<Receiver<(u64, Done)>>,
    /// Number of the last task.
    number: u64,
    /// It has not answered the last one yet.
    is_waiting: bool,
}

impl Helper {
    /// Has a task done, or does what can be done without the GIL.
    fn ask(&mut self, task: Task, plan: Plan) {
        if self.is_waiting && !self.take_answer(plan, Duration::ZERO) {
            // Still no GIL, which was reported then.
            if task == Task::Stacks {
                write_raw();
            }
            return;
        }
        if self.tasks.is_none() && !self.start() {
            return;
        }
        self.number += 1;
        let sent = self
            .tasks
            .as_ref()
            .is_some_and(|tasks| tasks.send((task, self.number)).is_ok());
        if !sent {
            return;
        }
        self.is_waiting = true;
        if self.take_answer(plan, GIL_PATIENCE) {
            return;
        }
        if task == Task::Watch {
            log::main_server(
                log::Level::Err,
                "MP0703: some handler is stuck in C code that does not give the GIL away: no Python code runs in this child",
            );
        }
        write_raw();
        if task == Task::Watch {
            act(plan);
        }
    }

    /// Notices an answer that came late.
    fn hear(&mut self, plan: Plan) {
        if self.is_waiting {
            self.take_answer(plan, Duration::ZERO);
        }
    }

    /// Whether the last task was answered.
    fn take_answer(&mut self, plan: Plan, patience: Duration) -> bool {
        let Some(answers) = &self.answers else {
            return true;
        };
        match answers.recv_timeout(patience) {
            Ok((number, done)) => {
                if done.is_stuck {
                    act(plan);
                }
                self.is_waiting = number != self.number;
                !self.is_waiting
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => {
                // It panicked; another one is made next time.
                self.tasks = None;
                self.answers = None;
                self.is_waiting = false;
                true
            }
        }
    }

    fn start(&mut self) -> bool {
        let (tasks, received) = channel::<(Task, u64)>();
        let (answer, answers) = channel();
        let started = alarm::spawn("mod_python help", false, move || {
            for (task, number) in received {
                let done = match task {
                    Task::Watch => watch_calls(),
                    Task::Stacks => {
                        write_stacks(
                            "MP0706: the stacks of this child were asked for",
                            log::Level::Notice,
                        );
                        Done { is_stuck: false }
                    }
                };
                if answer.send((number, done)).is_err() {
                    return;
                }
            }
        });
        if let Err(error) = started {
            let message = format!("MP0705: a thread could not be started: {error}");
            log::main_server(log::Level::Crit, &message);
            return false;
        }
        self.tasks = Some(tasks);
        self.answers = Some(answers);
        true
    }
}

/// A handler is stuck: PythonWedgeAction.
fn act(plan: Plan) {
    if let Some(within) = plan.recycle_within {
        let deadline = alarm::now().saturating_add(within);
        recycle::begin(
            "a handler is stuck (PythonWedgeAction recycle)",
            Some(deadline),
        );
    }
}

/// Raises exceptions where they are due.
fn watch_calls() -> Done {
    let mut is_stuck = false;
    let mut shows_stacks = false;
    let mut lines = Vec::new();
    watch::act(
        request_timeout::class,
        &mut |py| lines = describe(py),
        &mut |py: Python<'_>, event: Event, subject: &dyn Subject, lasted: u64| {
            let title = subject.title(py);
            let seconds = lasted as f64 / 1000.0;
            let message = match event {
                Event::Raised => {
                    shows_stacks = true;
                    format!("MP0701: {title}: over PythonRequestTimeout after {seconds:.1} s; RequestTimeout is raised in it")
                }
                Event::Again => format!(
                    "MP0701: {title}: goes on after RequestTimeout, {seconds:.1} s now; it is raised again"
                ),
                Event::Stuck => {
                    is_stuck = true;
                    shows_stacks = true;
                    format!("MP0703: {title}: is stuck in C code for {seconds:.1} s: RequestTimeout could not be raised in it")
                }
                Event::Waits => {
                    is_stuck = true;
                    shows_stacks = true;
                    format!("MP0703: {title}: waits where it must not be interrupted, in an import for example, for {seconds:.1} s: RequestTimeout could not be raised in it")
                }
            };
            subject.log(py, log::Level::Err as i32, &message);
        },
    );
    if shows_stacks {
        write(&lines, log::Level::Notice);
    }
    Done { is_stuck }
}

/// Every Python stack of this child with what the thread serves, as lines.
pub fn stack_lines() -> Vec<String> {
    let Some(main) = registry::main() else {
        return Vec::new();
    };
    interpreter::enter(main, describe)
}

fn describe(py: Python<'_>) -> Vec<String> {
    let titles = watch::titles(py);
    let stacks = match stacks::all(py) {
        Ok(stacks) => stacks,
        Err(error) => return vec![format!("no stacks: {error}")],
    };
    let mut lines = Vec::new();
    for stack in stacks {
        let served = titles.iter().find(|(thread, _)| *thread == stack.thread);
        let served = served.map_or(String::new(), |(_, title)| format!(", {title}"));
        lines.push(format!(
            "Thread {:#018x}{served} (most recent call first):",
            stack.thread
        ));
        lines.extend(stack.frames.into_iter().map(|frame| format!("  {frame}")));
    }
    if lines.is_empty() {
        lines.push("no thread runs Python code".into());
    }
    lines
}

fn write_stacks(head: &str, level: log::Level) {
    let lines = stack_lines();
    log::main_server(level, head);
    write(&lines, level);
}

fn write(lines: &[String], level: log::Level) {
    for line in lines {
        log::main_server(level, &format!("MP0702: {line}"));
    }
}

fn write_raw() {
    log::main_server(
        log::Level::Notice,
        "MP0706: the stacks of this child, by faulthandler: Python gives no answer",
    );
    write(&raw_lines(), log::Level::Notice);
}

/// What faulthandler says of all stacks, as lines, for when Python gives no answer.
pub fn raw_lines() -> Vec<String> {
    stacks::raw().lines().map(entitled).collect()
}

/// faulthandler's line about a thread, with what that serves where it is known.
fn entitled(line: &str) -> String {
    let number = line.split_once("hread 0x").and_then(|(_, rest)| {
        let end = rest.find(' ')?;
        u64::from_str_radix(&rest[..end], 16).ok()
    });
    match (number.and_then(counting::title_of), line.find(" (most")) {
        (Some(title), Some(at)) => format!("{}, {title}{}", &line[..at], &line[at..]),
        _ => line.to_string(),
    }
}
