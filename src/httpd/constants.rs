//! httpd's and APR's numbers that `_apache` shows to Python.

use crate::ffi;

macro_rules! rows {
    ($($name:ident),* $(,)?) => { &[
        $( (stringify!($name), ffi::$name as i64), )*
        // Macros, which reach Rust under other names.
        ("MODULE_MAGIC_NUMBER_MAJOR", ffi::MP_MODULE_MAGIC_NUMBER_MAJOR as i64),
        ("MODULE_MAGIC_NUMBER_MINOR", ffi::MP_MODULE_MAGIC_NUMBER_MINOR as i64),
    ] };
}

/// Name and value, as httpd's headers have them.
pub const ALL: &[(&str, i64)] = rows![
    AP_CONN_UNKNOWN,
    AP_CONN_CLOSE,
    AP_CONN_KEEPALIVE,
    APR_NOFILE,
    APR_REG,
    APR_DIR,
    APR_CHR,
    APR_BLK,
    APR_PIPE,
    APR_LNK,
    APR_SOCK,
    APR_UNKFILE,
];
