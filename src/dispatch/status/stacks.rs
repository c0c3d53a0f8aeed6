//! How a child that shows the page gets the Python stacks of all children.
//!
//! Each child has a thread that waits for the wish in the shared memory. A signal would end a child that is
//! not ready for it; this wakes nobody in vain, and works from one child to another as within one.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::time::{Duration, Instant};

use super::table::{self, Child, STACKS_ROOM};
use crate::dispatch::monitor;
use crate::httpd::log;
use crate::interpreter::alarm;

/// How long Python gets to tell its stacks before faulthandler does.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a child gets for its answer.
const LIMIT: Duration = Duration::from_secs(4);

/// What a child said.
pub struct OfChild {
    pub pid: u64,
    /// `None` where it did not answer in time.
    pub lines: Option<Vec<String>>,
}

impl OfChild {
    /// The frames of a thread, innermost first; `None` where it runs no Python code.
    pub fn of_thread(&self, thread: u64) -> Option<Vec<String>> {
        let head = format!("Thread {thread:#018x}");
        let lines = self.lines.as_ref()?;
        let at = lines.iter().position(|line| line.starts_with(&head))?;
        let frames = lines[at + 1..]
            .iter()
            .take_while(|line| line.starts_with(' '));
        Some(frames.map(|line| line.trim().to_string()).collect())
    }
}

/// futex(2) on a word that processes share: waits while it is `value`, or wakes all that wait.
fn wait(word: &AtomicU32, value: u32, time: Option<Duration>) {
    let time = time.map(|time| libc::timespec {
        tv_sec: time.as_secs() as libc::time_t,
        tv_nsec: time.subsec_nanos() as _,
    });
    let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: an aligned word that stays mapped; the kernel reads the time.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            value,
            time,
        )
    };
}

fn wake(word: &AtomicU32) {
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}

/// Has a child answer from now on.
pub fn listen(child: &'static Child) {
    match alarm::spawn("mod_python tell", false, move || tell(child)) {
        Ok(()) => child.listens.store(1, Ordering::Release),
        Err(error) => log::main_server(
            log::Level::Crit,
            &format!("MP0705: a thread could not be started: {error}"),
        ),
    }
}

fn tell(child: &'static Child) {
    let mut looker = Looker::default();
    loop {
        let told = child.told.load(Ordering::Acquire);
        let asked = child.asked.load(Ordering::Acquire);
        if asked == told {
            wait(&child.asked, asked, None);
            continue;
        }
        child.stacks.set(&fitting(looker.lines()));
        child.told.store(asked, Ordering::Release);
        wake(&child.told);
    }
}

/// The lines as one text, which says so where it is not all of them.
fn fitting(lines: Vec<String>) -> Vec<u8> {
    const REST: &str = "(there was no room for more)";
    let room = STACKS_ROOM - REST.len();
    let mut text = String::new();
    for line in lines {
        if text.len() + line.len() + 1 > room {
            text.push_str(REST);
            break;
        }
        text.push_str(&line);
        text.push('\n');
    }
    text.into_bytes()
}

/// The thread that waits for the GIL.
#[derive(Default)]
struct Looker {
    wishes: Option<Sender<()>>,
    answers: Option<Receiver<Vec<String>>>,
    /// It still waits for the GIL.
    is_waiting: bool,
}

impl Looker {
    /// The Python stacks of this child; never waits long for the GIL.
    fn lines(&mut self) -> Vec<String> {
        self.try_lines().unwrap_or_else(monitor::raw_lines)
    }

    fn try_lines(&mut self) -> Option<Vec<String>> {
        if self.answers.is_none() {
            let (wishes, received) = channel::<()>();
            let (answer, answers) = channel();
            alarm::spawn("mod_python look", false, move || {
                while received.recv().is_ok() && answer.send(monitor::stack_lines()).is_ok() {}
            })
            .ok()?;
            self.wishes = Some(wishes);
            self.answers = Some(answers);
        }
        if self.is_waiting {
            // An old answer is no answer; another wish can be made once it came.
            self.answers.as_ref()?.recv_timeout(PATIENCE).ok()?;
        }
        self.wishes.as_ref()?.send(()).ok()?;
        self.is_waiting = true;
        let lines = self.answers.as_ref()?.recv_timeout(PATIENCE).ok()?;
        self.is_waiting = false;
        Some(lines)
    }
}

/// The stacks of all children; without PythonStatus those of this one.
pub fn all() -> Vec<OfChild> {
    let listening = table::children()
        .iter()
        .filter(|child| child.is_alive() && child.listens.load(Ordering::Acquire) != 0);
    let asked: Vec<(&Child, u64, u32)> = listening
        .map(|child| {
            let pid = child.pid.load(Ordering::Acquire);
            let number = child.asked.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
            wake(&child.asked);
            (child, pid, number)
        })
        .collect();
    if asked.is_empty() {
        return vec![OfChild {
            pid: u64::from(std::process::id()),
            lines: Some(Looker::default().lines()),
        }];
    }
    let deadline = Instant::now() + LIMIT;
    asked
        .into_iter()
        .map(|(child, pid, number)| OfChild {
            pid,
            // Another child may have got the record meanwhile.
            lines: answer_of(child, number, deadline)
                .filter(|_| child.pid.load(Ordering::Acquire) == pid),
        })
        .collect()
}

fn answer_of(child: &Child, number: u32, deadline: Instant) -> Option<Vec<String>> {
    loop {
        let told = child.told.load(Ordering::Acquire);
        // Numbers go round.
        if told.wrapping_sub(number) < u32::MAX / 2 {
            let text = child.stacks.get();
            return Some(text.lines().map(str::to_string).collect());
        }
        let left = deadline.checked_duration_since(Instant::now())?;
        if left.is_zero() || !child.is_alive() {
            return None;
        }
        wait(
            &child.told,
            told,
            Some(left.min(Duration::from_millis(200))),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_cut_says_so() {
        let line = "x".repeat(99);
        assert_eq!(fitting(vec![line.clone(); 2]).len(), 200);
        let text = fitting(vec![line; 1000]);
        assert!(text.len() <= STACKS_ROOM && text.ends_with(b"x\n(there was no room for more)"));
    }

    #[test]
    fn frames_belong_to_their_thread() {
        let lines = [
            "Thread 0x0000000000000010, GET /a (most recent call first):",
            "  File \"a.py\", line 1 in f",
            "  File \"a.py\", line 2 in g",
            "Thread 0x0000000000000011 (most recent call first):",
            "  File \"b.py\", line 3 in h",
        ];
        let child = OfChild {
            pid: 1,
            lines: Some(lines.iter().map(ToString::to_string).collect()),
        };
        let frames = child.of_thread(16).unwrap();
        assert_eq!(
            frames,
            ["File \"a.py\", line 1 in f", "File \"a.py\", line 2 in g"]
        );
        assert_eq!(child.of_thread(17).unwrap().len(), 1);
        assert!(child.of_thread(18).is_none());
    }
}
