//! Interpreter names and the CPython interpreters they stand for.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex, RwLock};
use pyo3::ffi;
use pyo3::prelude::*;

use super::{thread, GilCell};
use crate::httpd::guard;

/// A CPython interpreter of this child under one of its names; made on first use, never destroyed.
///
/// Several names may stand for the main interpreter: each has a record of its own, which differs from
/// the others in nothing but the name.
pub struct Interpreter {
    /// The CPython interpreter's number, which indexes each thread's table of thread states.
    pub index: usize,
    pub name: CString,
    pub(super) state: *mut ffi::PyInterpreterState,
    /// What the layer above keeps with the CPython interpreter, made when it is first entered.
    pub callback: &'static GilCell<Option<Py<PyAny>>>,
    /// An object that the layer above puts aside between two uses.
    pub spare: &'static GilCell<Option<Py<PyAny>>>,
    /// Whether anybody asked for it under this name.
    is_wanted: AtomicBool,
}

// SAFETY: the state pointer is only handed to CPython, which takes it on any thread.
unsafe impl Send for Interpreter {}
// SAFETY: as above; `callback` is guarded by the GIL.
unsafe impl Sync for Interpreter {}

impl Interpreter {
    /// CPython's own handle of it.
    pub fn state(&self) -> *mut ffi::PyInterpreterState {
        self.state
    }
}

struct Registry {
    by_name: HashMap<CString, &'static Interpreter>,
    count: usize,
}

static REGISTRY: RwLock<Option<Registry>> = RwLock::new(None);
static MAIN: AtomicPtr<Interpreter> = AtomicPtr::new(std::ptr::null_mut());
/// Whether the main interpreter was asked for under more than one name.
static MAIN_HAS_NAMES: AtomicBool = AtomicBool::new(false);
/// How many names there are.
static NAMES: AtomicUsize = AtomicUsize::new(0);

/// Names whose interpreter some thread is making right now.
static MAKING: Mutex<Vec<CString>> = Mutex::new(Vec::new());
static MADE: Condvar = Condvar::new();

/// CPython could not make another interpreter.
#[derive(thiserror::Error, Debug)]
#[error("CPython could not make the interpreter {name:?}: {message}")]
pub struct MakeError {
    name: CString,
    message: String,
}

/// Takes over the interpreter that was just started by this thread, and lets go of the GIL.
///
/// # Safety
/// Called once, by the thread that initialised Python and holds the GIL.
pub(super) unsafe fn adopt_main() {
    // SAFETY: the GIL is held (caller).
    let state = unsafe { ffi::PyInterpreterState_Get() };
    let callback = Box::leak(Box::new(GilCell::new(None)));
    let main = leak(Interpreter {
        index: 0,
        name: super::c_string("main_interpreter"),
        state,
        callback,
        spare: Box::leak(Box::new(GilCell::new(None))),
        is_wanted: AtomicBool::new(false),
    });
    MAIN.store(std::ptr::from_ref(main).cast_mut(), Ordering::Release);
    *REGISTRY.write() = Some(Registry {
        by_name: HashMap::from([(main.name.clone(), main)]),
        count: 1,
    });
    NAMES.store(1, Ordering::Release);
    // SAFETY: as above.
    unsafe { thread::adopt_current(main) };
}

fn leak(interpreter: Interpreter) -> &'static Interpreter {
    Box::leak(Box::new(interpreter))
}

/// The child's main interpreter; `None` before Python was started.
pub fn main() -> Option<&'static Interpreter> {
    // SAFETY: null or a leaked Interpreter.
    unsafe { MAIN.load(Ordering::Acquire).as_ref() }
}

/// Makes a name stand for the main interpreter.
pub fn alias_main(name: &CStr) {
    if let (Some(main), Some(registry)) = (main(), REGISTRY.write().as_mut()) {
        registry.by_name.entry(name.to_owned()).or_insert_with(|| {
            leak(Interpreter {
                index: main.index,
                name: name.to_owned(),
                state: main.state,
                callback: main.callback,
                spare: main.spare,
                is_wanted: AtomicBool::new(false),
            })
        });
        NAMES.store(registry.by_name.len(), Ordering::Release);
    }
}

/// Notes that an interpreter is asked for under its name; true when that is the second of its names.
#[inline]
pub fn is_second_name(interpreter: &Interpreter) -> bool {
    !interpreter.is_wanted.load(Ordering::Relaxed) && note(interpreter)
}

#[cold]
fn note(interpreter: &Interpreter) -> bool {
    // Two threads that come with a name each: the later one sees the other's.
    let registry = REGISTRY.write();
    interpreter.is_wanted.store(true, Ordering::Relaxed);
    let is_other = |known: &&Interpreter| {
        known.index == interpreter.index && !std::ptr::eq(*known, interpreter)
    };
    let has_other = registry
        .iter()
        .flat_map(|registry| registry.by_name.values().copied())
        .filter(is_other)
        .any(|known| known.is_wanted.load(Ordering::Relaxed));
    has_other && !MAIN_HAS_NAMES.swap(true, Ordering::Release)
}

/// Whether an interpreter was asked for under more than one name.
pub fn has_several_names(interpreter: &Interpreter) -> bool {
    interpreter.index == 0 && MAIN_HAS_NAMES.load(Ordering::Acquire)
}

/// How many names stand for an interpreter; grows when [`names`] changes.
#[inline]
pub fn count_of_names() -> usize {
    NAMES.load(Ordering::Acquire)
}

/// All names with the number of the CPython interpreter that each stands for, in a fixed order; first the
/// one under which an interpreter was made.
pub fn names() -> Vec<(usize, &'static CStr)> {
    let mut names: Vec<(usize, &'static CStr)> = REGISTRY
        .read()
        .iter()
        .flat_map(|registry| registry.by_name.values())
        .map(|known| (known.index, known.name.as_c_str()))
        .collect();
    let own = main().map(|main| main.name.as_c_str());
    names.sort_by_key(|(index, name)| (*index, Some(*name) != own, *name));
    names
}

/// Every CPython interpreter once, under one of its names.
pub fn distinct() -> Vec<&'static Interpreter> {
    let mut found: Vec<&'static Interpreter> = main().into_iter().collect();
    if let Some(registry) = REGISTRY.read().as_ref() {
        for interpreter in registry.by_name.values() {
            if !found.iter().any(|known| known.index == interpreter.index) {
                found.push(interpreter);
            }
        }
    }
    found.sort_by_key(|interpreter| interpreter.index);
    found
}

/// The interpreter of a name, if it was made already.
pub fn find(name: &CStr) -> Option<&'static Interpreter> {
    REGISTRY.read().as_ref()?.by_name.get(name).copied()
}

/// The interpreter of a name, made if need be. Called without the GIL.
///
/// # Errors
/// CPython's refusal.
pub fn get(name: &CStr) -> Result<&'static Interpreter, MakeError> {
    loop {
        if let Some(found) = find(name) {
            return Ok(found);
        }
        let mut making = MAKING.lock();
        if !making.iter().any(|other| other.as_c_str() == name) {
            making.push(name.to_owned());
            break;
        }
        MADE.wait(&mut making);
    }
    let _reserved = Reserved(name);
    make(name)
}

/// A name whose interpreter this thread is making; given back also after a panic, for others wait for it.
struct Reserved<'a>(&'a CStr);

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        MAKING.lock().retain(|other| other.as_c_str() != self.0);
        MADE.notify_all();
    }
}

fn make(name: &CStr) -> Result<&'static Interpreter, MakeError> {
    let error = |message: &str| MakeError {
        name: name.to_owned(),
        message: message.into(),
    };
    // Between the first look and the reservation another thread may have finished.
    if let Some(found) = find(name) {
        return Ok(found);
    }
    let main = main().ok_or_else(|| error("Python does not run"))?;
    guard::fault("make interpreter");
    thread::enter(main, thread::Subject::NONE, |py| {
        let state = thread::new_interpreter(py).ok_or_else(|| error("Py_NewInterpreter failed"))?;
        let mut registry = REGISTRY.write();
        let registry = registry
            .as_mut()
            .ok_or_else(|| error("Python does not run"))?;
        let index = registry.count;
        registry.count += 1;
        // SAFETY: the state just made belongs to a live interpreter.
        let state_of_interpreter = unsafe { ffi::PyThreadState_GetInterpreter(state) };
        let interpreter = leak(Interpreter {
            index,
            name: name.to_owned(),
            state: state_of_interpreter,
            callback: Box::leak(Box::new(GilCell::new(None))),
            spare: Box::leak(Box::new(GilCell::new(None))),
            is_wanted: AtomicBool::new(false),
        });
        thread::keep(interpreter, state);
        registry.by_name.insert(name.to_owned(), interpreter);
        NAMES.store(registry.by_name.len(), Ordering::Release);
        Ok(interpreter)
    })
}

/// The interpreter that the running code is in; on a thread that Python made under one of its names.
pub fn current(_py: Python<'_>) -> &'static Interpreter {
    thread::current().unwrap_or_else(|| {
        // SAFETY: the GIL is held.
        let state = unsafe { ffi::PyInterpreterState_Get() };
        let found = distinct().into_iter().find(|known| known.state == state);
        // One that a program made by itself is nothing that could be entered later.
        found
            .or_else(main)
            .expect("BUG: Python runs, and has no main interpreter")
    })
}

/// Whether the running code is in CPython's main interpreter.
pub fn is_main_current(_py: Python<'_>) -> bool {
    // SAFETY: the GIL is held.
    unsafe { ffi::PyInterpreterState_Get() == ffi::PyInterpreterState_Main() }
}
