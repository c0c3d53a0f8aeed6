//! Functions that give back what their caller holds, met before their first instruction.
//!
//! Their caller has left the block that makes sure of the call. An exception from outside that comes before
//! they have begun would keep the lock for good, or whatever it is.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

const NAMES: [&str; 2] = ["__exit__", "release"];

/// Whether a frame has not begun, and is of such a function.
pub fn is_due(frame: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = frame.py();
    let code = frame.getattr(intern!(py, "f_code"))?;
    let name: String = code.getattr(intern!(py, "co_name"))?.extract()?;
    if !NAMES.contains(&name.as_str()) {
        return Ok(false);
    }
    // CPython looks for exceptions before the first instruction, or, from 3.11 on, at the one called RESUME,
    // before which come the one for all free variables and one for each cell.
    let has_free = code.getattr(intern!(py, "co_freevars"))?.len()? > 0;
    let cells = code.getattr(intern!(py, "co_cellvars"))?.len()?;
    let begins_at = 2 * (usize::from(has_free) + cells);
    let last: isize = frame.getattr(intern!(py, "f_lasti"))?.extract()?;
    Ok(usize::try_from(last).map_or(true, |last| last <= begins_at))
}

/// To be called where the exception is being raised: if that is before such a method begins, calls it first.
///
/// Python 3.13 and later look for the exception before they let go of the GIL, not after. So it comes one
/// call later than the one at which `is_due` was asked. (Until 3.11 this does nothing: CPython makes the
/// exception's object later, and in no need of it.)
///
/// # Errors
/// What the method raises.
pub fn do_first(frame: &Bound<'_, PyAny>) -> PyResult<()> {
    /// CO_VARKEYWORDS, CO_GENERATOR, CO_COROUTINE and CO_ASYNC_GENERATOR.
    const OTHERS: u32 = 0x08 | 0x20 | 0x80 | 0x200;
    const VARARGS: u32 = 0x04;

    if !is_due(frame)? {
        return Ok(());
    }
    let py = frame.py();
    let code = frame.getattr(intern!(py, "f_code"))?;
    let flags: u32 = code.getattr(intern!(py, "co_flags"))?.extract()?;
    let keywords: usize = code.getattr(intern!(py, "co_kwonlyargcount"))?.extract()?;
    let count: usize = code.getattr(intern!(py, "co_argcount"))?.extract()?;
    if flags & OTHERS != 0 || keywords > 0 || count == 0 {
        return Ok(());
    }
    let names = code.getattr(intern!(py, "co_varnames"))?;
    let locals = frame.getattr(intern!(py, "f_locals"))?;
    let local = |index: usize| locals.get_item(names.get_item(index)?);
    let mut arguments = (0..count).map(local).collect::<PyResult<Vec<_>>>()?;
    if flags & VARARGS != 0 {
        for argument in local(count)?.try_iter()? {
            arguments.push(argument?);
        }
    }
    // A frame does not tell its function, which has what it needs besides the code.
    let name = code.getattr(intern!(py, "co_name"))?;
    for class in arguments[0].get_type().mro() {
        let methods = class.getattr(intern!(py, "__dict__"))?;
        let Ok(method) = methods.get_item(&name) else {
            continue;
        };
        let is_it = method
            .getattr(intern!(py, "__code__"))
            .is_ok_and(|its| its.is(&code));
        if is_it {
            return method.call1(PyTuple::new(py, arguments)?).map(drop);
        }
    }
    Ok(())
}
