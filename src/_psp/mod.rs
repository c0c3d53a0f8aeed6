//! PSP (Python Server Pages): pages in, Python programs out. Plain Rust that never heard of httpd.
//!
//! `parser` is the state machine, `directive` reads what stands in `<%@ ... %>`, `page` is what both
//! speak of (places, tags, errors), `_pspmodule` is the Python module `_psp` and alone knows pyo3.

mod _pspmodule;
mod directive;
mod escape;
mod page;
mod parser;
#[cfg(test)]
mod tests;

pub use _pspmodule::_psp;
