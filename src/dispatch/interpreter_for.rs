//! Which CPython interpreter a computed name stands for. (README, "Interpreters")

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};

use crate::config::interp_name::{Name, MAIN};
use crate::config::{InterpPerServer, ServerConfig};
use crate::httpd::server::Raw;
use crate::httpd::Server;
use crate::interpreter::{self, registry, Interpreter};

thread_local! {
    /// The last server looked up on this thread, by address: the configuration lives as long as the
    /// child, so an address stays one ServerName.
    static LAST: Cell<(*const Raw, Option<&'static Interpreter>)> =
        const { Cell::new((std::ptr::null(), None)) };
}

/// The interpreter of a name, made if need be.
///
/// # Errors
/// Why there is none, as a sentence for the log.
#[inline]
pub fn interpreter_for(name: &Name<'_>) -> Result<&'static Interpreter, String> {
    match name {
        Name::Server(server) => {
            let (address, known) = LAST.get();
            if let Some(known) = known.filter(|_| address == server.as_ptr().cast_const()) {
                return Ok(known);
            }
            let found = get(name.as_cstr())?;
            LAST.set((server.as_ptr(), Some(found)));
            Ok(found)
        }
        Name::Explicit(name) => get(name),
        Name::Main => get(MAIN),
    }
}

fn get(name: &CStr) -> Result<&'static Interpreter, String> {
    if let Some(failure) = interpreter::failure() {
        return Err(failure.to_string());
    }
    registry::get(name).map_err(|error| error.to_string())
}

/// The ServerNames that stand for the main interpreter in this configuration.
pub fn main_names(main: &Server) -> Vec<CString> {
    fn config(server: &Server) -> Option<&ServerConfig<'_>> {
        ServerConfig::of(server)
    }
    let servers = || std::iter::successors(Some(main), |server| server.next());
    let names = |servers: &mut dyn Iterator<Item = &Server>| -> BTreeSet<CString> {
        servers
            .filter_map(|server| server.server_hostname().map(CStr::to_owned))
            .collect()
    };
    let all = names(&mut servers());
    let policy = config(main)
        .and_then(|config| config.interp_per_server)
        .unwrap_or_default();
    match policy {
        InterpPerServer::Off => all.into_iter().collect(),
        InterpPerServer::On => Vec::new(),
        InterpPerServer::Auto => {
            let uses = |server: &Server| config(server).is_some_and(|config| config.is_used);
            // Directives outside the virtual hosts count for all of them; with none at all, .htaccess
            // files may stand in any.
            let used = if uses(main) || !servers().any(uses) {
                all
            } else {
                names(&mut servers().filter(|server| uses(server)))
            };
            if used.len() <= 1 {
                used.into_iter().collect()
            } else {
                Vec::new()
            }
        }
    }
}
