//! `_apache._form_fields`: the text fields of a form, many at a time.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple, PyType};
use pyo3::{ffi, intern};

/// _form_fields(pairs, StringField, fields) -> fields
///
/// Appends to the list `fields`, for all of `pairs` as _form makes them, what StringField(value) gives
/// with its name set.
#[pyfunction]
#[pyo3(signature = (pairs, field_class, fields, /))]
pub fn _form_fields<'py>(
    pairs: &Bound<'py, PyList>,
    field_class: &Bound<'py, PyType>,
    fields: Bound<'py, PyList>,
) -> PyResult<Bound<'py, PyList>> {
    let py = pairs.py();
    let name_slot = Slot::of(field_class, intern!(py, "name"))?;
    let value_slot = Slot::of(field_class, intern!(py, "value"))?;
    let maker = Maker::new(field_class)?;
    let mut items = pairs.iter();
    while let (Some(name), Some(value)) = (items.next(), items.next()) {
        let field = if value.is_instance_of::<PyBytes>() {
            // It keeps the bytes, which are not UTF-8.
            let field = field_class.call1((value,))?;
            field.setattr(intern!(py, "name"), name)?;
            field
        } else {
            let field = maker.make(&value)?;
            // SAFETY: the field is an instance of the class, new and in no other hands.
            unsafe {
                name_slot.fill(&field, name);
                value_slot.fill(&field, value);
            }
            field
        };
        fields.append(field)?;
    }
    Ok(fields)
}

/// Makes instances of a subclass of str as `str.__new__(class, value)` does.
struct Maker<'a, 'py> {
    class: &'a Bound<'py, PyType>,
    /// The arguments, in a tuple that serves for all calls.
    args: Bound<'py, PyTuple>,
}

impl<'a, 'py> Maker<'a, 'py> {
    fn new(class: &'a Bound<'py, PyType>) -> PyResult<Self> {
        let args = PyTuple::new(class.py(), [class.py().None()])?;
        // Nobody is to find it through the collector (gc.get_objects) while it is changed.
        // SAFETY: a tuple of ours; CPython leaves untracked ones alone.
        unsafe { ffi::PyObject_GC_UnTrack(args.as_ptr().cast()) };
        Ok(Maker { class, args })
    }

    fn make(&self, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        // SAFETY: the tuple is in no other hands. `str` is a type that has tp_new, which gets a subtype
        // (it checks that) and arguments, and does not keep these.
        unsafe {
            ffi::PyTuple_SetItem(self.args.as_ptr(), 0, value.clone().into_ptr());
            let new = (*std::ptr::addr_of!(ffi::PyUnicode_Type)).tp_new;
            let new = new.expect("BUG: str can be made");
            let class = self.class.as_type_ptr();
            let raw = new(class, self.args.as_ptr(), std::ptr::null_mut());
            Bound::from_owned_ptr_or_err(self.class.py(), raw)
        }
    }
}

/// Where the instances of a class keep an attribute that its `__slots__` names.
struct Slot {
    offset: isize,
}

impl Slot {
    /// # Errors
    /// TypeError if the attribute is no slot of the class.
    fn of(class: &Bound<'_, PyType>, name: &Bound<'_, PyString>) -> PyResult<Slot> {
        let descriptor = class.getattr(name)?;
        // SAFETY: a static type of CPython's.
        let is_member = unsafe {
            let member = std::ptr::addr_of_mut!(ffi::PyMemberDescr_Type);
            ffi::Py_TYPE(descriptor.as_ptr()) == member
        };
        if is_member {
            // SAFETY: an instance of this type has this layout; its definition lives as long as it.
            let (member, owner) = unsafe {
                let descriptor = descriptor.as_ptr() as *mut ffi::PyMemberDescrObject;
                let member = (*descriptor).d_member as *const ffi::PyMemberDef;
                (&*member, (*descriptor).d_common.d_type)
            };
            if member.type_code == ffi::Py_T_OBJECT_EX && owner == class.as_type_ptr() {
                return Ok(Slot {
                    offset: member.offset,
                });
            }
        }
        Err(PyTypeError::new_err(format!(
            "{name} is no slot of {class}"
        )))
    }

    /// Gives the attribute its first value.
    ///
    /// # Safety
    /// The object is a new instance of the class.
    #[inline]
    unsafe fn fill(&self, object: &Bound<'_, PyAny>, value: Bound<'_, PyAny>) {
        // SAFETY: there lies the null that stands for "not set" (caller); it takes over the reference.
        unsafe {
            let place = object.as_ptr().byte_offset(self.offset) as *mut *mut ffi::PyObject;
            debug_assert!((*place).is_null());
            *place = value.into_ptr();
        }
    }
}
