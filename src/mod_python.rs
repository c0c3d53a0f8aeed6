//! The `python_module` record, and nothing else.

use std::ptr::null_mut;

use crate::config::{self, directives};
use crate::ffi;
use crate::hooks;

/// httpd changes the record while it loads the module (index, list link), hence the wrapper.
#[repr(transparent)]
pub struct Module(std::cell::UnsafeCell<ffi::module>);

// SAFETY: only httpd writes to it, and only while it is single-threaded.
unsafe impl Sync for Module {}

/// The symbol that `LoadModule python_module` looks up. Its file name makes `<IfModule mod_python.c>` match.
#[no_mangle]
#[allow(non_upper_case_globals, reason = "httpd's naming")]
pub static python_module: Module = Module(std::cell::UnsafeCell::new(ffi::module {
    version: ffi::MP_MODULE_MAGIC_NUMBER_MAJOR as _,
    minor_version: ffi::MP_MODULE_MAGIC_NUMBER_MINOR as _,
    module_index: -1,
    name: c"mod_python.c".as_ptr(),
    dynamic_load_handle: null_mut(),
    next: null_mut(),
    magic: ffi::MODULE_MAGIC_COOKIE as _,
    rewrite_args: None,
    create_dir_config: Some(config::create_dir_config),
    merge_dir_config: Some(config::merge_dir_config),
    create_server_config: Some(config::create_server_config),
    merge_server_config: Some(config::merge_server_config),
    cmds: directives::COMMANDS.as_ptr(),
    register_hooks: Some(hooks::register),
    flags: 0,
}));
