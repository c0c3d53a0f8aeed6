//! mod_python: a module for Apache httpd 2.4 that embeds CPython 3.

pub mod _apache;
pub mod _psp;
pub mod config;
pub mod dispatch;
pub mod ffi;
pub mod forms;
pub mod hooks;
pub mod httpd;
pub mod interpreter;
pub mod mod_python;
