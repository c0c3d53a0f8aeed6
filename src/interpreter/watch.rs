//! Calls that may not last for ever: what each thread is calling, until when, and the exception that ends it.
//!
//! All of this happens under the GIL, which makes the handshake simple: an exception is set for the
//! innermost call of a thread, while that call is on the thread's list; before a call leaves the list, an
//! exception that was set and not raised yet is taken back. No Python code of ours runs between the
//! handler's last instruction and that moment, so the exception meets the handler or nobody.
//!
//! It is set only where the code that it will meet can stand it. CPython raises it at the next call or jump of
//! the innermost frame, and some code, Python's import system above all, would be left there with a lock that
//! nobody releases. Such frames are waited for. (interpreter/delicate.rs) Python 3.13 and later look for the
//! exception before they let go of the GIL, not after: there it may come a call later, and hit such a frame all
//! the same. That does no harm but where the frame's function would have released something. (interpreter/release.rs)

use std::cell::Cell;
use std::ffi::{c_int, c_ulong};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::alarm::{self, NEVER};
use super::{delicate, thread, GilCell, Interpreter};

extern "C" {
    fn PyThread_get_thread_ident() -> c_ulong;
}

/// How long a call may last, in milliseconds.
#[derive(Clone, Copy)]
pub struct Limit {
    pub time: u64,
    /// How long it has to end once the exception was raised in it, before that is raised again.
    pub grace: u64,
}

/// What the layer above knows of a call. Asked under the GIL, from another thread than the call's.
pub trait Subject {
    /// Logs about the call; runs no Python code.
    fn log(&self, py: Python<'_>, level: c_int, message: &str);
    /// Names it in messages.
    fn title(&self, py: Python<'_>) -> String;
    /// Whether it is in an operation of httpd's that has a time limit of its own.
    fn is_in_httpd(&self, py: Python<'_>) -> bool;
    /// Whether its thread is one of those that httpd counts, with nothing else to do. Where a connection
    /// carries several requests at a time (HTTP/2), each has a thread of another kind, and the connection's own
    /// serves them all.
    fn is_alone(&self) -> bool;
}

/// When to try again where the exception must not be set now, in milliseconds.
const SHIELDED: u64 = 50;

/// What became of a call that is over its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// The exception is raised in it for the first time.
    Raised,
    /// It was raised and caught, and is raised again.
    Again,
    /// It was set a whole grace ago and could not be raised: the thread runs no Python code.
    Stuck,
    /// For a whole grace it could not be set: the thread waits for another one's import, or the like.
    Waits,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// Over its time.
    Over,
    /// Over its time, and reported as stuck.
    Stuck,
}

struct Call {
    interpreter: &'static Interpreter,
    /// The thread's state for it.
    state: *mut ffi::PyThreadState,
    /// `None` for one that must not be hit: a cleanup.
    subject: Option<*const dyn Subject>,
    limit: Limit,
    began: u64,
    /// When to look at it again.
    next: u64,
    stage: Stage,
    /// The exception is set in this thread and has not been raised yet.
    pending: bool,
    /// It was raised inside this call.
    delivered: bool,
    /// It was set because this call is over its time.
    is_told: bool,
    /// What was told was taken back for a while.
    is_postponed: bool,
}

// SAFETY: state and subject are only used under the GIL, while its call is on the list.
unsafe impl Send for Call {}

impl Call {
    /// Whether its time and the grace after it are over.
    fn is_late(&self, now: u64) -> bool {
        now.saturating_sub(self.began) >= self.limit.time.saturating_add(self.limit.grace)
    }
}

/// What one thread is calling; never freed, but another thread's when that one has ended. That of a thread of
/// Python's own is another's after the call.
pub struct Watch {
    thread: GilCell<c_ulong>,
    is_free: GilCell<bool>,
    /// The nearest moment of all calls, to be read without the GIL.
    next: AtomicU64,
    /// The innermost call's interpreter, to be read without the GIL.
    place: AtomicPtr<Interpreter>,
    /// Some call is over its time; to be read without the GIL, as the next two.
    is_over: AtomicBool,
    /// Some call is stuck.
    is_stuck: AtomicBool,
    /// What [`Subject::is_alone`] says of the outermost call.
    is_alone: AtomicBool,
    /// Outermost first.
    calls: GilCell<Vec<Call>>,
    /// The one registered before.
    link: *const Watch,
}

// SAFETY: `link` never changes and leads to what is never freed.
unsafe impl Sync for Watch {}

static ALL: AtomicPtr<Watch> = AtomicPtr::new(null_mut());
/// Calls begun since the child started.
static BEGUN: AtomicU64 = AtomicU64::new(0);
/// The shortest limit seen.
static SHORTEST: AtomicU64 = AtomicU64::new(NEVER);

thread_local! {
    static MINE: Cell<Option<&'static Watch>> = const { Cell::new(None) };
}

fn all() -> impl Iterator<Item = &'static Watch> {
    // SAFETY: null or leaked, as is what it leads to.
    let first = unsafe { ALL.load(Ordering::Acquire).as_ref() };
    // SAFETY: as above.
    std::iter::successors(first, |watch| unsafe { watch.link.as_ref() })
}

/// The nearest moment at which some call is to be looked at.
pub fn nearest() -> u64 {
    let moments = all().map(|watch| watch.next.load(Ordering::SeqCst));
    moments.min().unwrap_or(NEVER)
}

/// How many calls were begun, and the shortest limit any of them had.
pub fn activity() -> (u64, u64) {
    (
        BEGUN.load(Ordering::Relaxed),
        SHORTEST.load(Ordering::Relaxed),
    )
}

#[cold]
fn register(py: Python<'_>) -> &'static Watch {
    // SAFETY: a plain question.
    let thread = unsafe { PyThread_get_thread_ident() };
    if let Some(watch) = all().find(|watch| watch.is_free.replace(py, false)) {
        watch.thread.replace(py, thread);
        MINE.set(Some(watch));
        return watch;
    }
    let watch = Box::leak(Box::new(Watch {
        thread: GilCell::new(thread),
        is_free: GilCell::new(false),
        next: AtomicU64::new(NEVER),
        place: AtomicPtr::new(null_mut()),
        is_over: AtomicBool::new(false),
        is_stuck: AtomicBool::new(false),
        is_alone: AtomicBool::new(false),
        calls: GilCell::new(Vec::new()),
        link: ALL.load(Ordering::Acquire),
    }));
    // Under the GIL, so nobody else registers meanwhile.
    ALL.store(watch, Ordering::Release);
    MINE.set(Some(watch));
    watch
}

/// Runs `body`, which calls Python code in the interpreter this thread is in, under a time limit.
///
/// Tells also whether the exception was raised inside. A call without a limit is on the list too: it has a
/// name, and may be part of one that has a limit.
pub fn during<R>(
    py: Python<'_>,
    interpreter: &'static Interpreter,
    limit: Option<Limit>,
    subject: &dyn Subject,
    body: impl FnOnce() -> R,
) -> (R, bool) {
    let watch = MINE.get().unwrap_or_else(|| register(py));
    // SAFETY: the pointer is used only while the call is on the list, that is until this function ends.
    let subject = unsafe { std::mem::transmute::<&dyn Subject, *const dyn Subject>(subject) };
    let ended = watch.begin(py, interpreter, limit, Some(subject));
    let result = body();
    let delivered = ended.end();
    if thread::is_pythons() && !watch.is_busy(py) {
        MINE.set(None);
        watch.is_free.replace(py, true);
    }
    (result, delivered)
}

/// This thread ends: another one may have what it had.
pub(super) fn thread_over(py: Python<'_>) {
    if let Some(watch) = MINE.take() {
        watch.is_free.replace(py, true);
    }
}

/// Runs `body`, in the interpreter this thread is in, out of the exception's reach.
pub fn shielded<R>(
    py: Python<'_>,
    interpreter: &'static Interpreter,
    body: impl FnOnce() -> R,
) -> R {
    match MINE.get() {
        Some(watch) if watch.is_busy(py) => {
            let _ended = watch.begin(py, interpreter, None, None);
            body()
        }
        _ => body(),
    }
}

/// The exception is being raised in this thread; where that must not be, what the thread was about to do is done.
///
/// # Errors
/// What that raises.
pub fn note_delivered(py: Python<'_>) -> PyResult<()> {
    let Some(watch) = MINE.get() else {
        return Ok(());
    };
    let is_ours = watch.with(py, |calls| {
        let Some(top) = calls.last_mut().filter(|top| top.pending) else {
            return false;
        };
        top.pending = false;
        top.delivered = true;
        for call in calls.iter_mut().filter(|call| call.is_told) {
            call.stage = Stage::Over;
        }
        true
    });
    watch.publish(py);
    if is_ours {
        delicate::before_raised(py)
    } else {
        Ok(())
    }
}

/// Takes an exception back that is set for this thread, until a moment later: the caller has taken a lock, whose
/// release its own caller is yet to see to.
pub fn postpone(py: Python<'_>) {
    let Some(watch) = MINE.get() else { return };
    let is_set = watch.with(py, |calls| {
        let is_set = calls
            .last_mut()
            .is_some_and(|top| std::mem::take(&mut top.pending));
        if is_set {
            let soon = alarm::now().saturating_add(1);
            for call in calls.iter_mut().filter(|call| call.is_told) {
                call.stage = Stage::Over;
                call.is_postponed = true;
                call.next = soon;
            }
        }
        is_set
    });
    if is_set {
        set_exception(py, watch.thread.get(py), null_mut());
        watch.publish(py);
        alarm::wake();
    }
}

/// Sets the exception for a thread of the current interpreter; null takes it back.
fn set_exception(_py: Python<'_>, thread: c_ulong, class: *mut ffi::PyObject) {
    // SAFETY: the GIL is held; CPython takes a reference of its own.
    unsafe { ffi::PyThreadState_SetAsyncExc(thread as _, class) };
}

/// Takes a call off the list, whatever happened inside.
struct Ended<'py> {
    py: Python<'py>,
    watch: &'static Watch,
}

impl Ended<'_> {
    /// Whether the exception was raised inside.
    fn end(self) -> bool {
        let delivered = self.watch.end(self.py);
        std::mem::forget(self);
        delivered
    }
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.watch.end(self.py);
    }
}

impl Watch {
    fn with<R>(&self, py: Python<'_>, body: impl FnOnce(&mut Vec<Call>) -> R) -> R {
        // SAFETY: the bodies below run no Python code and do not come back here.
        unsafe { self.calls.with(py, body) }
    }

    fn is_busy(&self, py: Python<'_>) -> bool {
        self.with(py, |calls| !calls.is_empty())
    }

    fn begin<'py>(
        &'static self,
        py: Python<'py>,
        interpreter: &'static Interpreter,
        limit: Option<Limit>,
        subject: Option<*const dyn Subject>,
    ) -> Ended<'py> {
        let began = alarm::now();
        let next = limit.map_or(NEVER, |limit| began.saturating_add(limit.time));
        let call = Call {
            interpreter,
            // SAFETY: attached, as `py` says.
            state: unsafe { ffi::PyThreadState_Get() },
            subject,
            limit: limit.unwrap_or(Limit {
                time: NEVER,
                grace: NEVER,
            }),
            began,
            next,
            stage: Stage::Running,
            pending: false,
            delivered: false,
            is_told: false,
            is_postponed: false,
        };
        let take_back = self.with(py, |calls| {
            let mut take_back = false;
            let mut call = call;
            // What is set for the call around, in the same interpreter, would be raised in this one.
            if let Some(outer) = calls
                .last_mut()
                .filter(|outer| outer.pending && outer.interpreter.index == interpreter.index)
            {
                outer.pending = false;
                take_back = subject.is_none();
                call.pending = !take_back;
            }
            calls.push(call);
            take_back
        });
        if take_back {
            set_exception(py, self.thread.get(py), null_mut());
        }
        self.publish(py);
        if let Some(limit) = limit {
            BEGUN.fetch_add(1, Ordering::Relaxed);
            if limit.time < SHORTEST.load(Ordering::Relaxed) {
                SHORTEST.store(limit.time, Ordering::Relaxed);
            }
            alarm::at(next);
        }
        Ended { py, watch: self }
    }

    fn end(&self, py: Python<'_>) -> bool {
        let (pending, delivered, goes_on) = self.with(py, |calls| {
            let Some(call) = calls.pop() else {
                return (false, false, false);
            };
            let mut goes_on = false;
            for outer in calls.iter_mut().filter(|c| c.stage != Stage::Running) {
                // Over its time too: what was raised in the inner call was meant for it.
                outer.next = 0;
                goes_on = true;
            }
            (call.pending, call.delivered, goes_on)
        });
        if pending {
            set_exception(py, self.thread.get(py), null_mut());
        }
        self.publish(py);
        if goes_on {
            alarm::wake();
        }
        delivered
    }

    fn publish(&self, py: Python<'_>) {
        let (next, place) = self.with(py, |calls| {
            let place = calls
                .last()
                .map(|call| std::ptr::from_ref(call.interpreter));
            let is_over = calls.iter().any(|call| call.stage != Stage::Running);
            self.is_over.store(is_over, Ordering::SeqCst);
            let is_stuck = calls.iter().any(|call| call.stage == Stage::Stuck);
            self.is_stuck.store(is_stuck, Ordering::SeqCst);
            if let Some(subject) = calls.first().and_then(|call| call.subject) {
                // SAFETY: the call is on the list.
                let is_alone = unsafe { &*subject }.is_alone();
                self.is_alone.store(is_alone, Ordering::SeqCst);
            }
            (calls.iter().map(|c| c.next).min(), place)
        });
        let place = place.map_or(null_mut(), <*const Interpreter>::cast_mut);
        self.place.store(place, Ordering::SeqCst);
        self.next.store(next.unwrap_or(NEVER), Ordering::SeqCst);
    }

    /// Looks at the calls whose moment has come. This thread is in the innermost one's interpreter.
    fn act(
        &self,
        py: Python<'_>,
        now: u64,
        class: &Bound<'_, PyType>,
        report: &mut dyn FnMut(Event, &dyn Subject, u64),
    ) {
        let mut events: Vec<(Event, *const dyn Subject, u64)> = Vec::new();
        let state = self.with(py, |calls| calls.last().map(|top| top.state));
        // SAFETY: the state of a call on the list, whose thread is inside of it.
        let is_delicate = state.is_some_and(|state| unsafe { delicate::is_at_work(py, state) });
        let raise = self.with(py, |calls| {
            let Some(top) = calls.last() else {
                return false;
            };
            // SAFETY: the call is on the list.
            let in_httpd = top.subject.is_some_and(|s| unsafe { &*s }.is_in_httpd(py));
            let (is_shield, pending) = (top.subject.is_none(), top.pending);
            let mut raise = false;
            for call in calls.iter_mut().filter(|call| call.next <= now) {
                if is_shield {
                    call.next = now.saturating_add(SHIELDED);
                    continue;
                }
                let event = if is_delicate && !pending {
                    call.next = now.saturating_add(SHIELDED);
                    if call.stage == Stage::Stuck || !call.is_late(now) {
                        continue;
                    }
                    call.stage = Stage::Stuck;
                    Event::Waits
                } else {
                    call.next = now.saturating_add(call.limit.grace.max(1));
                    if pending && call.is_told {
                        if in_httpd || call.stage == Stage::Stuck {
                            continue;
                        }
                        call.stage = Stage::Stuck;
                        Event::Stuck
                    } else {
                        call.stage = Stage::Over;
                        raise = true;
                        match std::mem::replace(&mut call.is_told, true) {
                            false => Event::Raised,
                            true if std::mem::take(&mut call.is_postponed) => continue,
                            true => Event::Again,
                        }
                    }
                };
                if let Some(subject) = call.subject {
                    events.push((event, subject, now.saturating_sub(call.began)));
                }
            }
            // Set again where it was not raised yet: CPython may have taken it to a thread that this one started.
            let again = pending && !is_shield && !is_delicate && calls.iter().any(|c| c.is_told);
            let raise = raise && !pending;
            if let Some(top) = calls.last_mut().filter(|_| raise) {
                top.pending = true;
            }
            raise || again
        });
        if raise {
            set_exception(py, self.thread.get(py), class.as_ptr());
        }
        self.publish(py);
        for (event, subject, lasted) in events {
            // SAFETY: the GIL was held all the time, so the calls are still on the list.
            report(event, unsafe { &*subject }, lasted);
        }
    }
}

/// Raises the exception in the calls whose time is over, and tells what became of the others.
///
/// In each interpreter concerned `enter` is called first. `report` gets how long the call has lasted in
/// milliseconds; it runs no Python code.
pub fn act(
    class: impl for<'py> Fn(Python<'py>) -> Bound<'py, PyType>,
    enter: &mut dyn FnMut(Python<'_>),
    report: &mut dyn FnMut(Python<'_>, Event, &dyn Subject, u64),
) {
    let is_due = |watch: &&Watch| watch.next.load(Ordering::SeqCst) <= alarm::now();
    // SAFETY: null or a leaked Interpreter.
    let place = |watch: &Watch| unsafe { watch.place.load(Ordering::SeqCst).as_ref() };
    // CPython sets exceptions in the threads of the current interpreter. It also asks only threads of the
    // interpreter that one waits to enter to make room (until Python 3.13), so that a busy one is
    // entered straight away or not at all.
    let mut interpreters: Vec<&'static Interpreter> = Vec::new();
    for interpreter in all().filter(is_due).filter_map(place) {
        if !interpreters.iter().any(|i| i.index == interpreter.index) {
            interpreters.push(interpreter);
        }
    }
    for interpreter in interpreters {
        super::enter(interpreter, |py| {
            enter(py);
            let class = class(py);
            for watch in all().filter(is_due) {
                // Looked at again: only now the GIL is held.
                if place(watch).is_some_and(|i| i.index == interpreter.index) {
                    watch.act(py, alarm::now(), &class, &mut |event, subject, lasted| {
                        report(py, event, subject, lasted);
                    });
                }
            }
        });
    }
}

/// What the calls of all threads have come to; looked at without the GIL.
pub struct Overdue {
    /// Some call is over its time.
    pub is_any: bool,
    /// How many threads are stuck that have nothing else to do.
    pub stuck_alone: usize,
}

/// Looks for calls that are over their time. Where a thread is known to keep the GIL, it is one of them,
/// whichever it is.
pub fn overdue(is_gil_kept: bool) -> Overdue {
    let is = |flag: &AtomicBool| flag.load(Ordering::SeqCst);
    let stuck_alone = |watch: &&Watch| is(&watch.is_stuck) && is(&watch.is_alone);
    let mut found = Overdue {
        is_any: is_gil_kept || all().any(|watch| is(&watch.is_over)),
        stuck_alone: all().filter(stuck_alone).count(),
    };
    if is_gil_kept && !all().any(|watch| is(&watch.is_stuck)) {
        let is_busy = |watch: &Watch| !watch.place.load(Ordering::SeqCst).is_null();
        let all_alone = all().all(|watch| !is_busy(watch) || is(&watch.is_alone));
        found.stuck_alone = usize::from(all_alone);
    }
    found
}

/// What each thread is calling, by CPython's number of the thread: the innermost call that has a name.
pub fn titles(py: Python<'_>) -> Vec<(u64, String)> {
    let title = |watch: &Watch| {
        watch.with(py, |calls| {
            let subject = calls.iter().rev().find_map(|call| call.subject)?;
            // SAFETY: the call is on the list, under the GIL.
            Some((watch.thread.get(py) as u64, unsafe { &*subject }.title(py)))
        })
    };
    all().filter_map(title).collect()
}
