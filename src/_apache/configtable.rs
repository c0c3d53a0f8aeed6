//! What `get_config()` and `get_options()` return: configuration copied into tables for Python.

use std::collections::HashMap;
use std::sync::Arc;

use pyo3::prelude::*;

use super::request_config::RequestState;
use super::tableobject::TableObject;
use crate::config::overlay::Overlay;
use crate::config::{DirConfig, PythonOption, ServerConfig, Settings};
use crate::httpd::{Server, Table};
use crate::interpreter::GilCell;

fn fill_settings(table: &Table, settings: &Settings<'_>) {
    for (name, value) in settings.rows() {
        table.set(name, value);
    }
}

fn fill_options(table: &Table, options: &Overlay<'_, PythonOption<'_>>, keep_empty: bool) {
    options.for_each(&mut |row| {
        if row.value.is_empty() && !keep_empty {
            table.unset(row.key);
        } else {
            table.set(row.key, row.value);
        }
    });
}

/// `req.get_config()`
pub fn settings<'py>(
    py: Python<'py>,
    state: &Arc<RequestState>,
) -> PyResult<Bound<'py, TableObject>> {
    make(py, state, |table, config| {
        fill_settings(table, &config.settings)
    })
}

/// `req.get_options()`, without options that are set to nothing.
pub fn options<'py>(
    py: Python<'py>,
    state: &Arc<RequestState>,
) -> PyResult<Bound<'py, TableObject>> {
    make(py, state, |table, config| {
        fill_options(table, &config.options, false)
    })
}

fn make<'py>(
    py: Python<'py>,
    state: &Arc<RequestState>,
    fill: impl FnOnce(&Table, &DirConfig<'_>),
) -> PyResult<Bound<'py, TableObject>> {
    let own = TableObject::own()?;
    state.with(py, |r| {
        own.with(py, |table| {
            if let Some(config) = DirConfig::of(r) {
                fill(table, config);
            }
        })
    })??;
    Bound::new(py, own)
}

/// Which of a server's tables.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Settings,
    Options,
}

/// Tables of servers, which all code of the child shares and may write to.
static SERVER_TABLES: GilCell<Option<ServerTables>> = GilCell::new(None);

/// By the server's address, which is the same as long as the child lives.
type ServerTables = HashMap<(usize, Kind), Py<TableObject>>;

/// `server.get_config()`, `server.get_options()`
pub fn of_server(py: Python<'_>, server: &Server, kind: Kind) -> PyResult<Py<TableObject>> {
    let key = (server.as_ptr() as usize, kind);
    // SAFETY: taking a reference runs no Python.
    let known = unsafe {
        SERVER_TABLES.with(py, |tables| {
            tables
                .get_or_insert_default()
                .get(&key)
                .map(|table| table.clone_ref(py))
        })
    };
    if let Some(table) = known {
        return Ok(table);
    }
    let own = TableObject::own()?;
    own.with(py, |table| {
        if let Some(config) = ServerConfig::of(server) {
            match kind {
                Kind::Settings => fill_settings(table, &config.settings),
                Kind::Options => fill_options(table, &config.options, true),
            }
        }
    })?;
    let table = Py::new(py, own)?;
    // SAFETY: the key is new: nothing is dropped.
    unsafe {
        SERVER_TABLES.with(py, |tables| {
            tables
                .get_or_insert_default()
                .insert(key, table.clone_ref(py));
        });
    }
    Ok(table)
}
