//! The configuration as httpd read it. (util_cfgtree.h)

use std::ffi::CStr;

use crate::ffi;

/// A directive of the main configuration, which lives as long as the child.
#[derive(Clone, Copy)]
pub struct Node(*const ffi::ap_directive_t);

/// The first directive; `None` where httpd keeps no tree.
pub fn root() -> Option<Node> {
    // SAFETY: httpd sets the pointer once per configuration.
    Node::new(unsafe { ffi::ap_conftree })
}

impl Node {
    fn new(raw: *const ffi::ap_directive_t) -> Option<Self> {
        if raw.is_null() {
            None
        } else {
            Some(Self(raw))
        }
    }

    /// The directive's name; a section's begins with `<`.
    pub fn name(&self) -> Option<&CStr> {
        // SAFETY: nodes and their strings live in the configuration pool.
        unsafe { super::text::from_ptr((*self.0).directive) }
    }

    /// Its arguments as written.
    pub fn args(&self) -> Option<&CStr> {
        // SAFETY: as above.
        unsafe { super::text::from_ptr((*self.0).args) }
    }

    /// The next directive of the same section.
    pub fn next(&self) -> Option<Node> {
        // SAFETY: as above.
        Self::new(unsafe { (*self.0).next })
    }

    /// The first directive inside this section.
    pub fn first_child(&self) -> Option<Node> {
        // SAFETY: as above.
        Self::new(unsafe { (*self.0).first_child })
    }
}
