//! httpd's own way of access control: `AuthBasicProvider python` and `Require python`.
//!
//! `PythonAuthnProvider module` names where `check_password(req, user, password)` (true, false, or None
//! for an unknown user) and, for digest authentication, `get_realm_hash(req, user, realm)` (a hex digest
//! or None) are. `Require python module::function a b` calls `function(req, "a", "b")`: true grants,
//! false denies, None leaves it to the other lines.

use std::ffi::{c_void, CStr};

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::error::{log_request, log_traceback, report, Report};
use super::interpreter_for::interpreter_for;
use super::resolve::{resolve, split, Wanted};
use super::{callback, timeout};
use crate::_apache::request_config::RequestState;
use crate::_apache::text;
use crate::config::hlist::Entry;
use crate::config::require::Require;
use crate::config::{interp_name, DirConfig};
use crate::httpd::auth::{Authn, Authz};
use crate::httpd::Request;
use crate::interpreter;

/// A function of a provider about to be called.
struct Function<'a> {
    r: &'a Request,
    entry: &'a Entry<'a>,
    /// Used instead of the handler as configured, for another function of its module.
    handler: &'a CStr,
    default: &'a CStr,
    /// For error messages.
    what: &'a CStr,
}

impl Function<'_> {
    /// Calls it with the request and texts; `None` after an error was logged.
    fn call<R>(
        &self,
        arguments: &[&CStr],
        read: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<R>,
    ) -> Option<R> {
        let r = self.r;
        let config = DirConfig::of(r).copied().unwrap_or(DirConfig::EMPTY);
        let name = interp_name::for_request(&config, r, || self.entry.directory.resolve(r));
        let interpreter = match interpreter_for(&name) {
            Ok(interpreter) => interpreter,
            Err(reason) => {
                log_request(
                    r,
                    &format!(
                        "MP0302: {}: Can't get/create interpreter. {reason}",
                        self.what.to_string_lossy()
                    ),
                );
                return None;
            }
        };
        let settings = config.settings;
        let wanted = Wanted {
            handler: self.handler,
            default: self.default,
            directory: self
                .entry
                .directory
                .resolve(r)
                .filter(|_| !self.entry.is_location),
            python_path: settings.python_path,
            auto_reload: settings.auto_reloads(),
            log: settings.debugs(),
            silent: false,
            id: 0,
            now: r.request_time(),
            argument_name: "req",
        };
        let state = RequestState::of(r);
        interpreter::enter_for(interpreter, state.subject(), |py| {
            state.conn.gate.during(py, || {
                state.interpreter.replace(py, Some(interpreter));
                let result = RequestState::object_for_phase(state, py, interpreter).map(|object| {
                    let result = (|| {
                        let mut all = vec![object.clone().into_any()];
                        for argument in arguments {
                            all.push(text::from_c(py, argument)?.into_any());
                        }
                        let all = PyTuple::new(py, all)?;
                        let called = timeout::Called {
                            r,
                            state,
                            what: self.what,
                            handler: self.handler,
                            phase: None,
                        };
                        let (result, _) =
                            timeout::limited(py, interpreter, &called, Some(&config), || {
                                let function = resolve(py, interpreter, &wanted, object.as_any())?;
                                function.map(|function| function.call1(all)).transpose()
                            });
                        result?.map(|result| read(&result)).transpose()
                    })();
                    let result = result.unwrap_or_else(|error| {
                        if let Some(callback) = callback::get(py, interpreter) {
                            let details = Report {
                                callback: &callback,
                                phase: &self.what.to_string_lossy(),
                                handler: &self.handler.to_string_lossy(),
                                debug: false,
                                req: Some(object.as_any()),
                                filter: None,
                                srv: None,
                            };
                            report(py, &details, error);
                        }
                        None
                    });
                    state.let_go(interpreter, object);
                    result
                });
                result.unwrap_or_else(|error| {
                    log_traceback(py, r, &error);
                    None
                })
            })
        })
    }
}

/// The provider in scope of a request.
fn provider<'a>(r: &'a Request) -> Option<&'a Entry<'a>> {
    let found = DirConfig::of(r).and_then(|config| config.authn_provider);
    if found.is_none() {
        log_request(
            r,
            "MP0301: the provider python is configured, but no PythonAuthnProvider is in scope",
        );
    }
    found
}

/// `AuthBasicProvider python`
pub fn check_password(r: &Request, user: &CStr, password: &CStr) -> Authn {
    let Some(entry) = provider(r) else {
        return Authn::GeneralError;
    };
    let function = Function {
        r,
        entry,
        handler: entry.handler,
        default: c"check_password",
        what: c"PythonAuthnProvider",
    };
    let answer = function.call(&[user, password], |result| {
        if result.is_none() {
            return Ok(Authn::UserNotFound);
        }
        Ok(if result.is_truthy()? {
            Authn::Granted
        } else {
            Authn::Denied
        })
    });
    answer.unwrap_or(Authn::GeneralError)
}

/// `AuthDigestProvider python`
pub fn realm_hash(r: &Request, user: &CStr, realm: &CStr) -> (Authn, Option<Vec<u8>>) {
    let Some(entry) = provider(r) else {
        return (Authn::GeneralError, None);
    };
    let module = r.pool().cstr(split(entry.handler).0);
    let function = Function {
        r,
        entry,
        handler: module,
        default: c"get_realm_hash",
        what: c"PythonAuthnProvider",
    };
    let answer = function.call(&[user, realm], |result| {
        if result.is_none() {
            return Ok(None);
        }
        text::encode(result).map(|hash| Some(hash.into_owned()))
    });
    match answer {
        None => (Authn::GeneralError, None),
        Some(None) => (Authn::UserNotFound, None),
        Some(hash) => (Authn::UserFound, hash),
    }
}

/// `Require python ...`
///
/// # Safety
/// `line` is what `config::require::parse` made, or null.
pub unsafe fn authorize(r: &Request, line: *const c_void) -> Authz {
    // SAFETY: the caller's promise; the line lives in the configuration.
    let Some(line) = (unsafe { (line as *const Require<'_>).as_ref() }) else {
        return Authz::GeneralError;
    };
    let function = Function {
        r,
        entry: &line.entry,
        handler: line.entry.handler,
        default: c"check_authorization",
        what: c"Require python",
    };
    let answer = function.call(line.arguments, |result| {
        if result.is_none() {
            return Ok(Authz::Neutral);
        }
        Ok(if result.is_truthy()? {
            Authz::Granted
        } else {
            Authz::Denied
        })
    });
    match answer {
        // A user may make the difference: httpd asks for one, where it knows how.
        Some(Authz::Denied) if r.user().is_none() && r.auth_type().is_some() => Authz::DeniedNoUser,
        Some(answer) => answer,
        None => Authz::GeneralError,
    }
}
