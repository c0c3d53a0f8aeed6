//! SSI: `<!--#python eval="..." -->` and `exec`. (phases.md 2.10)

use std::ffi::CStr;

use pyo3::prelude::*;

use super::error::{log_request, log_traceback, report, Report};
use super::interpreter_for::interpreter_for;
use super::{callback, timeout};
use crate::_apache::filterobject::{Call, FilterObject, Kind};
use crate::_apache::request_config::RequestState;
use crate::_apache::text;
use crate::config::{interp_name, DirConfig};
use crate::httpd::brigade::Brigade;
use crate::httpd::filter::Filter;
use crate::httpd::ssi::Include;
use crate::httpd::{Request, Status};
use crate::interpreter;

/// Runs one tag; `false` where mod_include's error text belongs into the page.
pub fn run(include: &Include, f: &Filter, page: &Brigade) -> bool {
    let Some(r) = f.request() else { return false };
    let file = r
        .filename()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let complain = |message: String| {
        log_request(r, &format!("{message} tag 'python' in {file}"));
        false
    };
    if include.argc() == 0 && include.is_printing() {
        return complain("missing 'eval/exec' parameter to".into());
    }
    if !include.is_printing() {
        return true;
    }
    if include.is_noexec() {
        log_request(r, &format!("#python used but not allowed in {file}"));
        return false;
    }
    let mut code: Option<(&CStr, &CStr)> = None;
    while let Some((parameter, value)) = include.next_parameter() {
        let name = parameter.to_string_lossy();
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return complain(format!("empty value for '{name}' parameter to"));
        };
        if !matches!(parameter.to_bytes(), b"eval" | b"exec") {
            return complain(format!("unexpected '{name}' parameter to"));
        }
        if code.replace((parameter, value)).is_some() {
            return complain("multiple 'eval/exec' parameters to".into());
        }
    }
    match code {
        Some((parameter, code)) => execute(f, r, page, parameter, code, &file),
        None => complain("missing 'eval/exec' parameter to".into()),
    }
}

fn execute(
    f: &Filter,
    r: &Request,
    page: &Brigade,
    parameter: &CStr,
    code: &CStr,
    file: &str,
) -> bool {
    let config = DirConfig::of(r).copied().unwrap_or(DirConfig::EMPTY);
    let name = interp_name::for_request(&config, r, || None);
    let interpreter = match interpreter_for(&name) {
        Ok(interpreter) => interpreter,
        Err(reason) => {
            log_request(
                r,
                &format!("handle_python: Can't get/create interpreter. {reason}"),
            );
            return false;
        }
    };
    let state = RequestState::of(r);
    interpreter::enter_for(interpreter, state.subject(), |py| {
        state.conn.gate.during(py, || {
            state.interpreter.replace(py, Some(interpreter));
            let call = Call {
                kind: Kind::Include,
                filter: f,
                context: std::ptr::null(),
                input: page,
                output: page,
            };
            let filter = FilterObject::new(state.clone(), call, c"includes".to_owned(), None, None);
            match (Bound::new(py, filter), callback::get(py, interpreter)) {
                (Ok(filter), Some(callback)) => {
                    let called = timeout::Called {
                        r,
                        state,
                        what: c"includes",
                        handler: parameter,
                        phase: None,
                    };
                    let (result, _) =
                        timeout::limited(py, interpreter, &called, Some(&config), || {
                            let texts = (text::from_c(py, parameter)?, text::from_c(py, code)?);
                            callback
                                .call_method1("IncludeDispatch", (&filter, texts.0, texts.1))
                                .map(Some)
                        });
                    let done = match result {
                        Ok(_) => true,
                        Err(error) => {
                            let details = Report {
                                callback: &callback,
                                phase: "includes",
                                handler: file,
                                debug: config.settings.debugs(),
                                req: None,
                                filter: Some(filter.as_any()),
                                srv: None,
                            };
                            // A page was written, or mod_include's text is.
                            report(py, &details, error) == Status::DONE
                        }
                    };
                    filter.get().end(py);
                    done
                }
                (Err(error), _) => {
                    log_traceback(py, r, &error);
                    false
                }
                // Logged already.
                (_, None) => false,
            }
        })
    })
}
