//! The `req` of a request that is done, put aside for the interpreter's next one.
//!
//! Only where nobody can tell: no reference, weak reference or attribute is left of it. Making an object
//! with its dict and ending it would be a tenth of what a small handler costs here. Its tables stay with it.

use std::sync::Arc;

use pyo3::ffi;
use pyo3::prelude::*;

use super::instance_dict;
use super::request_config::RequestState;
use super::requestobject::RequestObject;
use crate::interpreter::{GilCell, Interpreter};

/// The request that an object belongs to; none between two requests.
pub struct Owner(GilCell<Option<Arc<RequestState>>>);

impl Owner {
    pub const fn new(state: Arc<RequestState>) -> Self {
        Self(GilCell::new(Some(state)))
    }

    /// What is known of the request; without one, that it is over.
    #[inline(always)]
    pub fn state(&self) -> &Arc<RequestState> {
        // SAFETY: under the GIL, like every use of such an object; replaced only while nobody has a
        // reference to it, so not as long as this borrow lasts.
        match unsafe { self.0.peek() } {
            Some(state) => state,
            None => RequestState::of_none(),
        }
    }

    /// Makes the object another request's, or none's; gives back whose it was.
    #[inline]
    pub fn replace(
        &self,
        py: Python<'_>,
        state: Option<Arc<RequestState>>,
    ) -> Option<Arc<RequestState>> {
        self.0.replace(py, state)
    }

    /// Whether it is no request's.
    #[inline]
    pub fn is_none(&self, py: Python<'_>) -> bool {
        // SAFETY: looking runs no Python.
        unsafe { self.0.with(py, |state| state.is_none()) }
    }
}

/// The object that was put aside, now another request's.
#[inline]
pub fn take<'py>(
    py: Python<'py>,
    interpreter: &Interpreter,
    state: &Arc<RequestState>,
) -> Option<Bound<'py, RequestObject>> {
    let spare = interpreter.spare.take(py)?.into_bound(py);
    // SAFETY: nothing but `put` fills the slot.
    let object = unsafe { spare.cast_into_unchecked::<RequestObject>() };
    // The collector shows programs every object there is, so one may have used it meanwhile.
    let req = object.get();
    if !is_unnoticed(&object) || !req.owner.is_none(py) || req.has_made_any(py) {
        return None;
    }
    req.owner.replace(py, Some(state.clone()));
    Some(object)
}

/// Puts an object aside; the caller has the only reference that counts. Drops it where it has been noticed,
/// or where there is one already.
#[inline]
pub fn put(interpreter: &Interpreter, object: Bound<'_, RequestObject>) {
    let py = object.py();
    if !is_unnoticed(&object) {
        return;
    }
    let req = object.get();
    // Dropped last: destructors may run Python.
    let _made = req.has_made_any(py).then(|| req.take_made_but_tables(py));
    let _state = req.owner.replace(py, None);
    // SAFETY: looking and moving run no Python; what is not moved is dropped outside.
    let _one_too_many = unsafe {
        interpreter.spare.with(py, |spare| match spare {
            Some(_) => Some(object),
            None => {
                *spare = Some(object.into_any().unbind());
                None
            }
        })
    };
}

/// Whether the caller's reference is the only one, and nothing was set on the object.
#[inline]
fn is_unnoticed(object: &Bound<'_, RequestObject>) -> bool {
    // SAFETY: a live object, under the GIL.
    unsafe { is_alone(object.as_ptr()) && instance_dict::is_untouched(object) }
}

/// Whether there is one reference to an object, and no weak one. That stays so, and is all there is to know,
/// because of the GIL: without one a count says less.
///
/// # Safety
/// A live object of a type that takes weak references, and the GIL is held.
#[inline]
pub unsafe fn is_alone(object: *mut ffi::PyObject) -> bool {
    // SAFETY: the type says where in the object its list of weak references is.
    unsafe {
        let offset = (*ffi::Py_TYPE(object)).tp_weaklistoffset;
        ffi::Py_REFCNT(object) == 1
            && offset > 0
            && (*object.byte_offset(offset).cast::<*mut ffi::PyObject>()).is_null()
    }
}
