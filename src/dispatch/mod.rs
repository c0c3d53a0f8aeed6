//! One event -> Python -> Status: decides which handlers run in which interpreter, and runs them.

pub mod callback;
pub mod child;
pub mod cleanup;
pub mod error;
pub mod interpreter_for;
pub mod request;
pub mod resolve;
