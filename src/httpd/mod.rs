//! Safe Rust over httpd and APR; never heard of Python.

pub mod array;
pub mod brigade;
pub mod conftree;
pub mod conn;
pub mod conn_io;
pub mod constants;
pub mod error;
pub mod filter;
pub mod finfo;
pub mod global_mutex;
pub mod guard;
pub mod locks;
pub mod log;
pub mod mime;
pub mod mpm;
pub mod opaque;
pub mod path;
pub mod pool;
pub mod request;
pub mod request_body;
pub mod request_io;
pub mod server;
pub mod ssi;
pub mod ssl;
pub mod status;
pub mod table;

pub use conn::Conn;
pub use error::Error;
pub use finfo::Finfo;
pub use pool::Pool;
pub use request::Request;
pub use server::Server;
pub use status::Status;
pub use table::Table;
