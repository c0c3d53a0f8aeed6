//! One event -> Python -> Status: decides which handlers run in which interpreter, and runs them.

pub mod auth;
pub mod callback;
pub mod child;
pub mod cleanup;
pub mod connection;
pub mod error;
pub mod filter;
pub mod guest;
pub mod include;
pub mod interpreter_for;
mod known_item;
pub mod limits;
pub mod monitor;
pub mod request;
pub mod resolve;
pub mod status;
pub mod timeout;
