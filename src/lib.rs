//! mod_python: a module for Apache httpd 2.4 that embeds CPython 3 and runs legacy mod_python sites.
//!
//! Follow one request down the folders:
//!
//! ```text
//! httpd.conf line   config/directives.rs  -> DirConfig, in the configuration pool
//! request arrives   hooks/request.rs      -> "phase Handler, this Request"; nothing else is decided here
//! who runs, where   dispatch/request.rs   -> handlers (config/hlist.rs), interpreter (config/interp_name.rs)
//! enter Python      interpreter/thread.rs -> attach this thread, on its own thread state
//! req is built      _apache/requestobject.rs  (one per request_rec, kept in request_config.rs)
//! user code         dispatch/resolve.rs   -> handler(req) -> int
//! response          req.write -> _apache/request_io.rs -> httpd/request_io.rs -> httpd's filters
//! end               request pool dies -> dispatch/cleanup.rs -> the lease ends -> a kept req raises
//! ```
//!
//! Who may know whom, top to bottom, never upward:
//! `mod_python -> hooks -> dispatch -> _apache -> {config, interpreter} -> httpd -> ffi`.
//! `_psp` (pages) and `forms` (form data) are plain Rust beside that road; what each knows of pyo3 is one
//! file. `ffi` is named inside `httpd` and where httpd dictates a C signature.
//!
//! Parentheses such as (phases.md 2.8) name a place in the notes on mod_python 3.5 from which the behaviour
//! was taken; the notes are not part of the source, what differs from 3.5 is: `tests/compat/differences.md`.
//!
//! What the whole design leans on:
//! * one guard at the C boundary for every callback (`httpd/guard.rs`);
//! * whatever Python can keep holds a lease (`_apache/lease.rs`), never a pointer;
//! * one way into Python (`interpreter/thread.rs`), and the GIL is given up through its `detach` alone.

pub mod _apache;
pub mod _psp;
pub mod config;
pub mod cookies;
pub mod dispatch;
pub mod ffi;
pub mod forms;
pub mod hooks;
pub mod httpd;
pub mod interpreter;
pub mod mod_python;
pub mod session_file;
