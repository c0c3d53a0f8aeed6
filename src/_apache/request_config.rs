//! Per-connection and per-request state: leases, the Python object, what handlers added on the way.

use std::cell::Cell;
use std::ffi::{c_void, CStr, CString};
use std::sync::{Arc, OnceLock, Weak};

use pyo3::prelude::*;

use super::hlistobject::{self, HList};
use super::lease::{gone, Gate};
use super::log_stream::{self, Unended};
use super::request_body;
use super::request_lock::{self, Held};
use super::requestobject::RequestObject;
use super::spare_request;
use crate::config::argument;
use crate::config::hlist::Entry;
use crate::config::interp_name::{self, Name};
use crate::config::phase::Phase;
use crate::config::DirConfig;
use crate::httpd::conn::Raw as RawConn;
use crate::httpd::conn_io::ConnBrigade;
use crate::httpd::guard::guard;
use crate::httpd::pool::CleanupStatus;
use crate::httpd::request::Raw as RawRequest;
use crate::httpd::server::Raw as RawServer;
use crate::httpd::{Conn, Request, Server};
use crate::interpreter::thread::Subject;
use crate::interpreter::{self, GilCell, Interpreter};

/// What we know of a connection; shared by everything that leases it.
pub struct ConnState {
    pub gate: Gate,
    conn: GilCell<*mut RawConn>,
    /// What a connection handler's readline took from httpd beyond its limit.
    pub read_ahead: GilCell<Vec<u8>>,
    /// What its bytes came and went in, as many as threads were at that at a time.
    pub brigades: GilCell<Vec<ConnBrigade>>,
    /// The last request that took a lock of its own.
    pub lock_owner: GilCell<Weak<RequestState>>,
    /// The emptied state of a request that is gone, for the next one. It is httpd's thread that looks, or
    /// one that may allocate from the connection's pools instead.
    spare: Cell<Option<Arc<RequestState>>>,
}

/// Kinds of what a thread entered Python for.
pub const REQUEST: u32 = 1;
pub const CONNECTION: u32 = 2;

// SAFETY: the pointer is only used under the GIL, through the gate.
unsafe impl Send for ConnState {}
// SAFETY: as above.
unsafe impl Sync for ConnState {}

impl ConnState {
    /// The state of a live connection, made on first use and ended with its pool.
    #[inline]
    pub fn of(c: &Conn) -> &Arc<ConnState> {
        let known = c.module_config() as *const Arc<ConnState>;
        // SAFETY: the slot holds null or what `make` owns in the connection's pool.
        match unsafe { known.as_ref() } {
            Some(state) => state,
            None => Self::make(c),
        }
    }

    /// What a thread is told that runs Python for the connection.
    pub fn subject(&self) -> Subject {
        Subject {
            kind: CONNECTION,
            address: std::ptr::from_ref(self).cast(),
        }
    }

    const fn new(conn: *mut RawConn) -> Self {
        Self {
            gate: Gate::new(),
            conn: GilCell::new(conn),
            read_ahead: GilCell::new(Vec::new()),
            brigades: GilCell::new(Vec::new()),
            lock_owner: GilCell::new(Weak::new()),
            spare: Cell::new(None),
        }
    }

    fn make(c: &Conn) -> &Arc<ConnState> {
        let state = Arc::new(Self::new(c.as_ptr()));
        let slot = Box::into_raw(Box::new(state));
        c.set_module_config(slot as *mut c_void);
        // SAFETY: the box is freed by the cleanup alone.
        unsafe {
            c.pool().on_clear(slot as *mut c_void, conn_over);
            &*slot
        }
    }

    /// Lends the connection, under the GIL.
    #[inline]
    pub fn with<R>(&self, py: Python<'_>, body: impl FnOnce(&Conn) -> R) -> PyResult<R> {
        self.gate_passed(py).map(body)
    }

    /// Lends the connection without the GIL; the closure touches no Python object.
    pub fn detached<R>(&self, py: Python<'_>, body: impl FnOnce(&Conn) -> R) -> PyResult<R> {
        let conn = self.gate_passed(py)?;
        Ok(self.gate.detached(py, || body(conn)))
    }

    #[inline]
    fn gate_passed(&self, py: Python<'_>) -> PyResult<&Conn> {
        if !self.conn.get(py).is_null() {
            self.gate.pass(py)?;
        }
        // Looked at again: waiting at the gate let others run.
        let conn = self.conn.get(py);
        if conn.is_null() {
            return Err(gone("connection"));
        }
        // SAFETY: the pointer is taken out, under the GIL, before the connection ends.
        Ok(unsafe { Conn::from_raw(conn) })
    }
}

/// The connection's pool goes.
extern "C" fn conn_over(data: *mut c_void) -> CleanupStatus {
    guard("connection cleanup", (), || {
        // SAFETY: `make` registered its own box; a cleanup runs once.
        let state = unsafe { *Box::from_raw(data as *mut Arc<ConnState>) };
        // It refers to the connection.
        drop(state.spare.take());
        // Nobody else leases it: no need to enter Python.
        if Arc::strong_count(&state) > 1 {
            if let Some(main) = interpreter::registry::main() {
                interpreter::enter(main, |py| {
                    state.gate.quiesce(py);
                    state.conn.replace(py, std::ptr::null_mut());
                });
            }
        }
    });
    0
}

/// What chose the handler list, as `req.extension` shows it; worked out when a program asks.
#[derive(Clone)]
pub struct Extension {
    /// The suffix of the last list that counts for one suffix only.
    suffix: Option<Box<[u8]>>,
    /// The file name in a later phase without such a list: where it has no dot, the answer is `''`.
    plain: *const std::ffi::c_char,
}

// SAFETY: the name lives in the request's pool, like all of the request's strings, and is read under the
// gate.
unsafe impl Send for Extension {}

impl Extension {
    const fn new() -> Self {
        Self {
            suffix: None,
            plain: std::ptr::null(),
        }
    }

    /// The list of a phase was chosen. Names are taken now, because programs change `req.filename`.
    #[inline]
    pub fn note(&mut self, r: &Request, by_suffix: bool) {
        if by_suffix {
            self.suffix = argument::suffix(r.filename()).map(Into::into);
            self.plain = std::ptr::null();
        } else {
            self.plain = r.filename_ptr();
        }
    }

    /// What `req.extension` is.
    pub fn get(&self) -> Option<Box<[u8]>> {
        let plain = if self.plain.is_null() {
            None
        } else {
            // SAFETY: a string of the live request.
            argument::suffix(Some(unsafe { CStr::from_ptr(self.plain) }))
        };
        match plain {
            Some([]) => Some(Box::default()),
            _ => self.suffix.clone(),
        }
    }
}

/// The running phase's handlers where no Python object shows them yet.
#[derive(Clone, Copy)]
pub struct Running {
    entries: *const Entry<'static>,
    count: usize,
    position: usize,
}

/// A handler that `req.add_handler` put into a later phase.
#[derive(Clone)]
pub struct Added {
    pub phase: Phase,
    pub entry: hlistobject::Entry,
}

/// A filter that `req.register_*_filter` made known for this request.
#[derive(Clone)]
pub struct AddedFilter {
    pub name: CString,
    pub is_input: bool,
    pub handler: CString,
    pub directory: Option<CString>,
}

/// A function to call when the request is over, in the interpreter it was registered in.
pub struct Cleanup {
    pub function: Py<PyAny>,
    pub data: Option<Py<PyAny>>,
    pub interpreter: &'static Interpreter,
}

/// What we know of a request; shared by everything that leases it.
pub struct RequestState {
    pub conn: Arc<ConnState>,
    rec: GilCell<*mut RawRequest>,
    /// Of a sub-request: the main request's, whose pool outlives this one's.
    main: *mut RawRequest,
    /// The Python object, once something besides the running handler needs it to stay.
    pub object: GilCell<Option<Py<RequestObject>>>,
    pub phase: GilCell<Option<Phase>>,
    pub extension: GilCell<Extension>,
    running: GilCell<Option<Running>>,
    pub hlist: GilCell<Option<Py<HList>>>,
    pub bytes_queued: GilCell<i64>,
    pub content_type_set: GilCell<bool>,
    /// Bytes that httpd certainly still buffers, so that adding a few cannot block.
    pub unsent: GilCell<usize>,
    /// Nothing more of the response is wanted: see [`Request::wants_head_only`].
    pub head_sent: GilCell<bool>,
    pub body: GilCell<request_body::Slot>,
    pub added: GilCell<Vec<Added>>,
    pub filters: GilCell<Vec<AddedFilter>>,
    pub cleanups: GilCell<Vec<Cleanup>>,
    /// Global locks that end with the request.
    pub locks: GilCell<Vec<Held>>,
    /// What was written to sys.stderr and sys.stdout of a line that has no end yet.
    pub unended: GilCell<Option<Box<Unended>>>,
    /// The interpreter of the last dispatch, for the cleanup phase.
    pub interpreter: GilCell<Option<&'static Interpreter>>,
    /// The virtual host, from the end of the request on; null before.
    last_server: GilCell<*mut RawServer>,
}

// SAFETY: the pointers are only used under the GIL, through the gate.
unsafe impl Send for RequestState {}
// SAFETY: as above.
unsafe impl Sync for RequestState {}

impl RequestState {
    /// The state of a request, where there is one already.
    #[inline]
    pub fn find(r: &Request) -> Option<&Arc<RequestState>> {
        // SAFETY: the slot holds null or what `make` owns in the request's pool.
        unsafe { (r.module_config() as *const Arc<RequestState>).as_ref() }
    }

    /// The state of a live request, made on first use and ended with its pool.
    #[inline]
    pub fn of(r: &Request) -> &Arc<RequestState> {
        match Self::find(r) {
            Some(state) => state,
            None => Self::make(r),
        }
    }

    /// What a thread is told that runs Python for the request.
    #[inline]
    pub fn subject(&self) -> Subject {
        Subject {
            kind: REQUEST,
            address: std::ptr::from_ref(self).cast(),
        }
    }

    #[inline(always)]
    fn new(conn: Arc<ConnState>) -> Self {
        Self {
            conn,
            rec: GilCell::new(std::ptr::null_mut()),
            main: std::ptr::null_mut(),
            object: GilCell::new(None),
            phase: GilCell::new(None),
            extension: GilCell::new(Extension::new()),
            running: GilCell::new(None),
            hlist: GilCell::new(None),
            bytes_queued: GilCell::new(0),
            content_type_set: GilCell::new(false),
            unsent: GilCell::new(0),
            head_sent: GilCell::new(false),
            body: GilCell::new(request_body::Slot::default()),
            added: GilCell::new(Vec::new()),
            filters: GilCell::new(Vec::new()),
            cleanups: GilCell::new(Vec::new()),
            locks: GilCell::new(Vec::new()),
            unended: GilCell::new(None),
            interpreter: GilCell::new(None),
            last_server: GilCell::new(std::ptr::null_mut()),
        }
    }

    /// Puts the state of a request that is gone aside for the connection's next one, without anything of it.
    fn put_aside(mut this: Arc<Self>) {
        // Neither a reference nor a weak one is left.
        let Some(state) = Arc::get_mut(&mut this) else {
            return;
        };
        // SAFETY: what is read is written anew at once. In between its other fields are dropped: that frees
        // memory and runs no Python, since `has_left` found nothing of Python's, or `end` has let go of it.
        unsafe {
            let Self { conn, .. } = std::ptr::read(state);
            std::ptr::write(state, Self::new(conn));
        }
        let conn: *const ConnState = &*this.conn;
        // SAFETY: it has a reference, as the state that moves into it does.
        unsafe { (*conn).spare.set(Some(this)) };
    }

    /// That of no request: every use of it says that the request is over.
    #[cold]
    pub fn of_none() -> &'static Arc<RequestState> {
        static NONE: OnceLock<Arc<RequestState>> = OnceLock::new();
        NONE.get_or_init(|| {
            let conn = Arc::new(ConnState::new(std::ptr::null_mut()));
            Arc::new(Self::new(conn))
        })
    }

    fn make(r: &Request) -> &Arc<RequestState> {
        let main = main_request(r);
        if let Some(main) = main {
            // Before this one: what is registered last is cleaned up first.
            Self::of(main);
        }
        let conn = ConnState::of(r.connection());
        let mut state = conn
            .spare
            .take()
            .unwrap_or_else(|| Arc::new(Self::new(conn.clone())));
        let new = Arc::get_mut(&mut state).expect("BUG: somebody has the state of no request");
        new.rec = GilCell::new(r.as_ptr());
        new.main = main.map_or(std::ptr::null_mut(), Request::as_ptr);
        let slot: &Arc<RequestState> = r.pool().alloc_arc(state);
        r.set_module_config(std::ptr::from_ref(slot) as *mut c_void);
        let data = std::ptr::from_ref(slot) as *mut c_void;
        // SAFETY: the slot lies in the pool itself and holds one reference, which the second gives back.
        unsafe {
            r.pool().before_clear(data, request_over);
            r.pool().on_clear(data, request_gone);
            if let Some(main) = main {
                // A sub-request that lasts as long as its main request is cleaned up before it.
                main.pool().before_clear(data, request_over);
            }
        }
        slot
    }

    /// Lends the request, under the GIL. The closure runs no Python code.
    #[inline]
    pub fn with<R>(&self, py: Python<'_>, body: impl FnOnce(&Request) -> R) -> PyResult<R> {
        self.gate_passed(py).map(body)
    }

    /// The request where [`Self::with`] would lend it at once; for a use before Python code runs.
    #[inline(always)]
    pub fn quick(&self, py: Python<'_>) -> Option<&Request> {
        let rec = self.rec.get(py);
        if rec.is_null() || !self.conn.gate.is_passable(py) {
            return None;
        }
        // SAFETY: as in `gate_passed`.
        Some(unsafe { Request::from_raw(rec) })
    }

    /// Lends the request without the GIL; the closure touches no Python object.
    #[inline]
    pub fn detached<R>(&self, py: Python<'_>, body: impl FnOnce(&Request) -> R) -> PyResult<R> {
        let r = self.gate_passed(py)?;
        Ok(self.conn.gate.detached(py, || body(r)))
    }

    #[inline]
    fn gate_passed(&self, py: Python<'_>) -> PyResult<&Request> {
        let rec = self.rec.get(py);
        if !rec.is_null() {
            self.conn.gate.pass(py)?;
        }
        // Looked at again: waiting at the gate let others run.
        let rec = self.rec.get(py);
        if rec.is_null() {
            return Err(gone("request"));
        }
        // SAFETY: the pointer is taken out, under the GIL, before the request ends.
        Ok(unsafe { Request::from_raw(rec) })
    }

    /// The virtual host of a request that is over; the host outlives it.
    pub fn last_server(&self, py: Python<'_>) -> Option<&Server> {
        let server = self.last_server.get(py);
        // SAFETY: a server of the running configuration, which lives as long as the child.
        (!server.is_null()).then(|| unsafe { Server::from_raw(server) })
    }

    /// The phase begins with these handlers.
    #[inline]
    pub fn run(&self, py: Python<'_>, entries: &[Entry<'_>]) {
        // Dropped last: a destructor may look at the new list.
        let _old = self.hlist.take(py);
        let running = Running {
            entries: entries.as_ptr() as *const Entry<'static>,
            count: entries.len(),
            position: 0,
        };
        self.running.replace(py, Some(running));
    }

    /// Where the loop over the running phase's handlers stands.
    #[inline]
    pub fn set_position(&self, py: Python<'_>, position: usize) {
        if let Some(mut running) = self.running.get(py) {
            running.position = position;
            self.running.replace(py, Some(running));
        }
    }

    /// The Python object of the running list, made when somebody asks.
    pub fn hlist<'py>(&self, r: &Request, py: Python<'py>) -> PyResult<Option<Bound<'py, HList>>> {
        if let Some(list) = self.hlist_made(py) {
            return Ok(Some(list));
        }
        let Some(running) = self.running.get(py) else {
            return Ok(None);
        };
        // SAFETY: the entries live in a configuration in force for this request, which is alive.
        let entries = unsafe { std::slice::from_raw_parts(running.entries, running.count) };
        let owned = entries.iter().map(|entry| own_entry(r, entry)).collect();
        let list = Bound::new(py, HList::new(owned, running.position))?;
        self.hlist.replace(py, Some(list.clone().unbind()));
        Ok(Some(list))
    }

    /// The text of the Location in which the running handler is configured; None where it is in none.
    pub fn location(&self, r: &Request, py: Python<'_>) -> Option<CString> {
        if let Some(list) = self.hlist_made(py) {
            let entry = list.get().current(py)?;
            return entry.directory.filter(|_| entry.is_location);
        }
        let running = self.running.get(py)?;
        // SAFETY: as in `hlist`.
        let entries = unsafe { std::slice::from_raw_parts(running.entries, running.count) };
        let entry = entries.get(running.position)?;
        if !entry.is_location {
            return None;
        }
        entry.directory.resolve(r).map(CStr::to_owned)
    }

    /// The running list's object where one was made.
    #[inline]
    pub fn hlist_made<'py>(&self, py: Python<'py>) -> Option<Bound<'py, HList>> {
        // SAFETY: taking a reference runs no Python.
        unsafe {
            self.hlist
                .with(py, |list| list.as_ref().map(|list| list.bind(py).clone()))
        }
    }

    /// The request's Python object, made on first use.
    #[inline]
    pub fn object<'py>(this: &Arc<Self>, py: Python<'py>) -> PyResult<Bound<'py, RequestObject>> {
        // SAFETY: taking a reference runs no Python.
        let known = unsafe {
            this.object
                .with(py, |object| object.as_ref().map(|o| o.bind(py).clone()))
        };
        match known {
            Some(object) => Ok(object),
            None => {
                let object = Bound::new(py, RequestObject::new(this.clone()))?;
                this.object.replace(py, Some(object.clone().unbind()));
                Ok(object)
            }
        }
    }

    /// The same at the begin of a phase, which [`Self::let_go`] follows.
    #[inline]
    pub fn object_for_phase<'py>(
        this: &Arc<Self>,
        py: Python<'py>,
        interpreter: &Interpreter,
    ) -> PyResult<Bound<'py, RequestObject>> {
        // SAFETY: looking runs no Python.
        let has_one = unsafe { this.object.with(py, |object| object.is_some()) };
        if !has_one {
            if let Some(object) = spare_request::take(py, interpreter, this) {
                this.object.replace(py, Some(object.clone().unbind()));
                return Ok(object);
            }
        }
        Self::object(this, py)
    }

    /// The name of the interpreter that serves the request, by the rules of the running phase.
    pub fn interpreter_name<'a>(&self, r: &'a Request) -> Name<'a> {
        let Some(config) = DirConfig::of(r) else {
            return Name::Main;
        };
        interp_name::for_request(config, r, || {
            // SAFETY: set by dispatches of this request, under the GIL, which the caller holds; the
            // entries live in a configuration in force for the request.
            let first = unsafe {
                let running = (*self.running.peek())?;
                std::slice::from_raw_parts(running.entries, running.count).first()
            };
            first.and_then(|entry| entry.directory.resolve(r))
        })
    }

    /// Handlers that were added for a phase, and not run yet.
    pub fn take_added(&self, py: Python<'_>, phase: Phase) -> Vec<hlistobject::Entry> {
        // SAFETY: cloning entries runs no Python.
        unsafe {
            self.added.with(py, |added| {
                let taken = added
                    .iter()
                    .filter(|a| a.phase == phase)
                    .map(|a| a.entry.clone())
                    .collect();
                added.retain(|a| a.phase != phase);
                taken
            })
        }
    }

    /// Whether a handler was added for a phase; asked before Python is entered.
    ///
    /// # Safety
    /// Called by httpd's thread that runs the request, while no Python code can run for it.
    pub unsafe fn has_added(&self, phase: Phase) -> bool {
        // SAFETY: additions need an open gate, which only this thread opens (caller).
        unsafe { self.added.peek() }
            .iter()
            .any(|added| added.phase == phase)
    }

    /// The filter registered on this request under a name; the latest wins.
    pub fn added_filter(&self, py: Python<'_>, name: &CStr, is_input: bool) -> Option<AddedFilter> {
        // SAFETY: cloning runs no Python.
        unsafe {
            self.filters.with(py, |filters| {
                filters
                    .iter()
                    .rev()
                    .find(|f| {
                        f.is_input == is_input
                            && f.name.to_bytes().eq_ignore_ascii_case(name.to_bytes())
                    })
                    .cloned()
            })
        }
    }
}

/// A configured entry, with its directory resolved for a request.
pub fn own_entry(r: &Request, entry: &Entry<'_>) -> hlistobject::Entry {
    hlistobject::Entry {
        handler: entry.handler.to_owned(),
        directory: entry.directory.resolve(r).map(CStr::to_owned),
        is_location: entry.is_location,
        silent: entry.silent,
    }
}

/// Runs when a request is over and something of Python's is left; set by `dispatch`, which calls in.
static RUN_CLEANUPS: std::sync::OnceLock<fn(Python<'_>, &Arc<RequestState>)> =
    std::sync::OnceLock::new();

/// Tells how the cleanups of a request are run.
pub fn set_run_cleanups(run: fn(Python<'_>, &Arc<RequestState>)) {
    // A child is set up once.
    let _ = RUN_CLEANUPS.set(run);
}

/// The request's pool is about to go: cleanups run, then the lease ends.
extern "C" fn request_over(data: *mut c_void) -> CleanupStatus {
    guard("request cleanup", (), || {
        // SAFETY: the slot `make` wrote, which is there until `request_gone`.
        let state = unsafe { &*(data as *const Arc<RequestState>) };
        // SAFETY: only ends of the request take it out, and they are all on this thread.
        if unsafe { state.rec.peek() }.is_null() {
            return;
        }
        // SAFETY: only looks whether something is there, and takes the request out; Python code that could
        // do the same would hold another reference to the state.
        unsafe {
            if Arc::strong_count(state) == 1 && !state.has_left() && !state.has_cleanup() {
                let r = Request::from_raw(*state.rec.peek());
                state.last_server.put(r.server().as_ptr());
                state.rec.put(std::ptr::null_mut());
                return;
            }
        }
        let state = state.clone();
        state.enter(|py| {
            state.conn.gate.during(py, || {
                if let Some(run) = RUN_CLEANUPS.get() {
                    run(py, &state);
                }
                log_stream::end_of_request(py, &state);
            });
            state.end(py);
            // What destructors wrote; nobody may use the request any more.
            log_stream::end_of_request(py, &state);
        });
    });
    0
}

/// The request's pool goes. The end of a sub-request whose pool went with it may have asked for the request
/// once more, and got an object that says that it is over.
extern "C" fn request_gone(data: *mut c_void) -> CleanupStatus {
    guard("request cleanup", (), || {
        // SAFETY: the slot `make` wrote; a cleanup runs once.
        let state = unsafe { std::ptr::read(data as *const Arc<RequestState>) };
        // SAFETY: null, or a request that has not gone yet.
        if let Some(main) = unsafe { Request::from_raw_opt(state.main) } {
            main.pool().forget(data, request_over);
        }
        // SAFETY: as above.
        if Arc::strong_count(&state) > 1 || unsafe { state.has_left() } {
            state.enter(|py| state.end(py));
        }
        RequestState::put_aside(state);
    });
    0
}

/// The outermost request that a sub-request is part of.
fn main_request(r: &Request) -> Option<&Request> {
    let mut main = r.main()?;
    while let Some(outer) = main.main() {
        main = outer;
    }
    Some(main)
}

/// Whether PythonCleanupHandler is configured for a request.
pub fn has_cleanup_handler(r: &Request) -> bool {
    DirConfig::of(r).is_some_and(|config| config.handlers(Phase::Cleanup, r).is_some())
}

impl RequestState {
    /// Whether something of Python's is left.
    ///
    /// # Safety
    /// Nobody else holds the state.
    unsafe fn has_left(&self) -> bool {
        // SAFETY: nobody else looks (caller).
        unsafe {
            self.object.peek().is_some()
                || self.hlist.peek().is_some()
                || !self.cleanups.peek().is_empty()
                || !self.locks.peek().is_empty()
                || self.unended.peek().is_some()
        }
    }

    /// Whether there is a cleanup handler to run.
    ///
    /// # Safety
    /// Nobody else holds the state, and the request is alive.
    unsafe fn has_cleanup(&self) -> bool {
        // SAFETY: nobody else looks, and the pointer is live (caller).
        unsafe {
            has_cleanup_handler(Request::from_raw(*self.rec.peek()))
                || self.has_added(Phase::Cleanup)
        }
    }

    /// Enters the interpreter of the last dispatch, where Python runs; called when the request ends.
    fn enter(&self, body: impl FnOnce(Python<'_>)) {
        // SAFETY: set by dispatches only, and this thread is in none.
        let interpreter = unsafe { *self.interpreter.peek() }.or_else(interpreter::registry::main);
        if let Some(interpreter) = interpreter {
            interpreter::enter_for(interpreter, self.subject(), body);
        }
    }

    /// Ends the lease: whatever is kept raises from now on, and attributes set on req are let go.
    fn end(&self, py: Python<'_>) {
        request_lock::release_all(self, py);
        self.conn.gate.quiesce(py);
        let rec = self.rec.replace(py, std::ptr::null_mut());
        // SAFETY: null the second time; else the request's pool is being cleaned up, and the record is
        // still there.
        if let Some(r) = unsafe { Request::from_raw_opt(rec) } {
            self.last_server.replace(py, r.server().as_ptr());
        }
        drop(self.hlist.take(py));
        drop(self.cleanups.take(py));
        if let Some(object) = self.object.replace(py, None) {
            RequestObject::release(object.bind(py));
        }
    }

    /// Puts the Python object aside where nothing needs it any more, so that no later step has to enter
    /// Python for it.
    #[inline]
    pub fn let_go(&self, interpreter: &Interpreter, object: Bound<'_, RequestObject>) {
        // Two references: this one and ours.
        if refcount(&object) == 2 && !RequestObject::is_needed(&object) {
            let py = object.py();
            drop(self.object.take(py).map(|object| object.into_bound(py)));
            spare_request::put(interpreter, object);
        }
    }
}

/// How many references an object has.
#[inline]
fn refcount(object: &Bound<'_, RequestObject>) -> isize {
    // SAFETY: a live object, under the GIL.
    unsafe { pyo3::ffi::Py_REFCNT(object.as_ptr()) as isize }
}
