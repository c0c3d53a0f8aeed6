//! `_apache.config_tree()`: the main configuration as nested lists. (apache_module.md 4.2)

use pyo3::prelude::*;
use pyo3::types::PyList;

use super::text;
use crate::httpd::conftree::{self, Node};

/// The directives as (name, arguments); a section's contents follow it as a list.
pub fn config_tree(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    list(py, conftree::root())
}

fn list<'py>(py: Python<'py>, mut node: Option<Node>) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    while let Some(current) = node {
        let name = text::from_c_opt(py, current.name())?;
        let args = text::from_c_opt(py, current.args())?;
        list.append((name, args))?;
        if let Some(child) = current.first_child() {
            list.append(self::list(py, Some(child))?)?;
        }
        node = current.next();
    }
    Ok(list)
}
