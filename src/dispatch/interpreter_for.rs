//! Which CPython interpreter a computed name stands for. (docs/guides/interpreters.md)
//!
//! `main_interpreter` is the child's one main interpreter, any name that PythonInterpreter or one of the
//! PythonInterpPer directives gives is a sub-interpreter, and names that come from ServerName follow
//! PythonInterpPerServer.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::fmt;

use parking_lot::Mutex;

use super::callback;
use crate::config::interp_name::{Name, MAIN};
use crate::config::{InterpPerServer, ServerConfig};
use crate::httpd::server::Raw;
use crate::httpd::{listen, Server};
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

/// As [`interpreter_for`], for a name from the configuration.
///
/// # Errors
/// As above.
pub fn get(name: &CStr) -> Result<&'static Interpreter, String> {
    if let Some(failure) = interpreter::failure() {
        return Err(failure.to_string());
    }
    let found = registry::get(name).map_err(|error| error.to_string())?;
    if registry::is_second_name(found) {
        callback::tell_of_names(found);
    }
    Ok(found)
}

/// What the names of a configuration stand for.
pub struct Plan {
    policy: InterpPerServer,
    /// ServerNames that stand for the main interpreter.
    main: BTreeSet<CString>,
    /// Names with an interpreter of their own, as far as the configuration tells.
    own: BTreeSet<CString>,
}

/// The plan of the running configuration; made before children are forked.
static PLAN: Mutex<Option<Plan>> = Mutex::new(None);

/// Makes the plan of a configuration that was just read, and tells what it says.
pub fn plan(main: &Server) -> String {
    let plan = Plan::of(main);
    let text = plan.to_string();
    *PLAN.lock() = Some(plan);
    text
}

/// Makes the planned names stand for the main interpreter of this child.
pub fn apply_plan() {
    if let Some(plan) = PLAN.lock().as_ref() {
        for name in &plan.main {
            registry::alias_main(name);
        }
    }
}

/// All servers of a configuration.
fn servers(main: &Server) -> impl Iterator<Item = &Server> {
    std::iter::successors(Some(main), |server| server.next())
}

/// A server's own record: httpd gives a virtual host without our directives the main server's.
pub fn own_config<'a>(main: &'a Server, server: &'a Server) -> Option<&'a ServerConfig<'a>> {
    let is_shared =
        server.is_virtual() != 0 && std::ptr::eq(server.module_config(), main.module_config());
    ServerConfig::of(server).filter(|_| !is_shared)
}

impl Plan {
    fn of(main: &Server) -> Self {
        let policy = ServerConfig::of(main)
            .and_then(|config| config.interp_per_server)
            .unwrap_or_default();
        let mut own = BTreeSet::new();
        for config in servers(main).filter_map(|server| own_config(main, server)) {
            config.interpreters.for_each(&mut |name| {
                own.insert((*name).to_owned());
            });
            config.imports.for_each(&mut |import| {
                own.insert(import.interpreter.to_owned());
            });
        }
        let used = names_in_use(main);
        let main = match policy {
            InterpPerServer::Off => {
                // Those too that only .htaccess files use.
                servers(main)
                    .filter_map(|server| server.server_hostname().map(CStr::to_owned))
                    .collect()
            }
            InterpPerServer::On => BTreeSet::new(),
            InterpPerServer::Auto if used.len() == 1 => used.clone(),
            InterpPerServer::Auto => BTreeSet::new(),
        };
        own.extend(used);
        own.retain(|name| name.as_c_str() != MAIN && !main.contains(name));
        Self { policy, main, own }
    }
}

/// The ServerNames that Python may run under, as far as the configuration tells.
fn names_in_use(main: &Server) -> BTreeSet<CString> {
    let runs_python =
        |server: &&Server| own_config(main, server).is_some_and(|config| config.runs_python);
    // A main server whose every port belongs to virtual hosts gets no request.
    let is_reached =
        |server: &&Server| server.is_virtual() != 0 || listen::reaches_main_server(main);
    let name = |server: &Server| server.server_hostname().map(CStr::to_owned);
    // Directives outside the virtual hosts are for all of them; where there are none at all,
    // .htaccess files may have some, anywhere.
    if runs_python(&main) || !servers(main).any(|server| runs_python(&server)) {
        servers(main).filter(is_reached).filter_map(name).collect()
    } else {
        servers(main).filter(runs_python).filter_map(name).collect()
    }
}

/// As many names as fit into a log line that somebody reads.
const MOST_NAMES: usize = 32;

/// Names as a list, or "none".
fn list<'a>(names: impl ExactSizeIterator<Item = &'a CStr>) -> String {
    let more = names.len().saturating_sub(MOST_NAMES);
    let mut text: Vec<_> = names
        .take(MOST_NAMES)
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    if more > 0 {
        text.push(format!("{more} more"));
    }
    if text.is_empty() {
        text.push("none".into());
    }
    text.join(", ")
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = std::iter::once(MAIN)
            .chain(self.main.iter().map(CString::as_c_str))
            .collect();
        write!(
            f,
            "PythonInterpPerServer {:?}; the main interpreter serves {}; with an interpreter of their own: {}",
            self.policy,
            list(names.into_iter()),
            list(self.own.iter().map(CString::as_c_str))
        )
    }
}
