//! The Python stack of every thread: under the GIL from the frames, and without it by faulthandler.

use std::ffi::c_int;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsRawFd, FromRawFd};

use parking_lot::Mutex;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{alarm, registry, Interpreter};

/// The deepest part of a stack that is shown, as faulthandler does it.
const MOST_FRAMES: usize = 100;

/// One thread's frames, innermost first, as `File "/srv/x.py", line 3 in handler`.
pub struct Stack {
    /// CPython's number of the thread (`threading.get_ident()`).
    pub thread: u64,
    pub frames: Vec<String>,
}

/// The stacks of all threads of all interpreters that run Python code.
///
/// # Errors
/// What `sys._current_frames` raises: MemoryError.
pub fn all(_py: Python<'_>) -> PyResult<Vec<Stack>> {
    let mut stacks = Vec::new();
    // Python 3.14 tells of the current interpreter's threads only. The GIL is one for all, and held.
    for interpreter in registry::distinct() {
        super::enter(interpreter, |py| add_current(py, &mut stacks))?;
    }
    stacks.sort_by_key(|stack| stack.thread);
    Ok(stacks)
}

/// Adds the stacks the current interpreter tells of.
fn add_current(py: Python<'_>, stacks: &mut Vec<Stack>) -> PyResult<()> {
    let sys = py.import("sys")?;
    let frames = sys.getattr("_current_frames")?.call0()?;
    for (thread, frame) in frames.cast_into::<PyDict>()?.iter() {
        let thread = thread.extract()?;
        if stacks.iter().all(|stack| stack.thread != thread) {
            stacks.push(Stack {
                thread,
                frames: frames_of(frame),
            });
        }
    }
    Ok(())
}

/// The lines of one stack. Attributes of frames and code objects are plain members: no Python code runs.
fn frames_of(innermost: Bound<'_, PyAny>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut next = Some(innermost);
    while let Some(frame) = next.filter(|frame| !frame.is_none()) {
        if lines.len() == MOST_FRAMES {
            lines.push("...".into());
            break;
        }
        lines.push(describe(&frame).unwrap_or_else(|_| "?".into()));
        next = frame.getattr("f_back").ok();
    }
    lines
}

fn describe(frame: &Bound<'_, PyAny>) -> PyResult<String> {
    let code = frame.getattr("f_code")?;
    let text = |name: &str| -> PyResult<String> {
        Ok(code.getattr(name)?.str()?.to_string_lossy().into_owned())
    };
    let line = frame.getattr("f_lineno")?;
    let line = line.extract::<u32>().map_or("?".into(), |n| n.to_string());
    Ok(format!(
        "File \"{}\", line {line} in {}",
        text("co_filename")?,
        text("co_name")?
    ))
}

/// The file faulthandler writes to.
static FILE: Mutex<Option<std::fs::File>> = Mutex::new(None);

/// The signal that makes faulthandler write, sent to a thread of ours alone.
fn signal() -> c_int {
    libc::SIGRTMAX() - 5
}

/// Readies faulthandler for [`raw`]; called once in each child, in the main interpreter.
///
/// # Errors
/// Of the system, or of faulthandler.register().
pub fn prepare(py: Python<'_>) -> PyResult<()> {
    // SAFETY: a name; the descriptor is new and nobody else's.
    let file = unsafe {
        let descriptor = libc::memfd_create(c"python stacks".as_ptr(), libc::MFD_CLOEXEC);
        if descriptor < 0 {
            return Err(std::io::Error::last_os_error().into());
        }
        std::fs::File::from_raw_fd(descriptor)
    };
    let keywords = PyDict::new(py);
    keywords.set_item("file", file.as_raw_fd())?;
    keywords.set_item("all_threads", true)?;
    py.import("faulthandler")?
        .call_method("register", (signal(),), Some(&keywords))?;
    *FILE.lock() = Some(file);
    Ok(())
}

/// Has faulthandler write the stacks to standard error at SIGUSR2, without any help of ours.
///
/// # Errors
/// faulthandler.register()'s.
pub fn write_to_stderr_on_request(py: Python<'_>) -> PyResult<()> {
    let keywords = PyDict::new(py);
    keywords.set_item("file", libc::STDERR_FILENO)?;
    keywords.set_item("all_threads", true)?;
    py.import("faulthandler")?
        .call_method("register", (libc::SIGUSR2,), Some(&keywords))?;
    Ok(())
}

/// What faulthandler writes about each interpreter, without the GIL: for when somebody sits on it.
///
/// faulthandler shows the threads of the interpreter that a thread first belonged to, so each
/// interpreter is looked at from a thread of its own, which has never been in another.
pub fn raw() -> String {
    let mut text = String::new();
    for interpreter in registry::distinct() {
        match raw_of(interpreter) {
            Ok(stacks) => {
                text.push_str(&format!(
                    "Interpreter {}:\n{stacks}",
                    interpreter.name.to_string_lossy()
                ));
            }
            Err(error) => text.push_str(&format!(
                "Interpreter {}: {error}\n",
                interpreter.name.to_string_lossy()
            )),
        }
    }
    text
}

fn raw_of(interpreter: &'static Interpreter) -> std::io::Result<String> {
    let mut file = FILE.lock();
    let Some(file) = file.as_mut() else {
        return Err(std::io::Error::other("faulthandler is not ready"));
    };
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    let (sender, receiver) = std::sync::mpsc::channel();
    alarm::spawn("mod_python look", false, move || {
        // Left behind: it cannot be cleared without the GIL, and this is rare.
        // SAFETY: needs no GIL; the state is never attached. The signal is blocked until here, and is
        // handled before pthread_kill returns.
        unsafe {
            ffi::PyThreadState_New(interpreter.state());
            let mut mask: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&mut mask);
            libc::sigaddset(&mut mask, signal());
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &mask, std::ptr::null_mut());
            libc::pthread_kill(libc::pthread_self(), signal());
        }
        // Nobody may be waiting any more.
        let _ = sender.send(());
    })?;
    // What is there by then is better than nothing.
    let _ = receiver.recv_timeout(std::time::Duration::from_secs(5));
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
