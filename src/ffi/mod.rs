//! httpd and APR as bindgen sees them; nothing here is safe, and only `httpd` and the C signatures name it.

#![expect(
    non_camel_case_types,
    non_upper_case_globals,
    non_snake_case,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    reason = "generated from C headers"
)]
#![allow(
    unknown_lints,
    reason = "bindgen quiets lints that the oldest Rust we build with does not know"
)]

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));

mod macros;
#[cfg(test)]
mod macros_tests;
#[cfg(test)]
pub mod outside_httpd;
pub use macros::*;
