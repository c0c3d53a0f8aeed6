//! PythonHome: which installation or virtual environment Python is started from.

use std::ffi::{CStr, CString, OsStr};
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::{minor_version, PYTHON_EXECUTABLE, PYTHON_VERSION};

/// What CPython is told about itself.
pub struct Program {
    /// Program name, from which CPython finds `pyvenv.cfg` or its prefix.
    pub executable: Option<CString>,
    /// The prefix, as PYTHONHOME gives it.
    pub home: Option<CString>,
    /// PythonHome names a virtual environment, which CPython does not look for under PYTHONHOME.
    pub is_venv: bool,
}

/// A PythonHome that cannot be used: directory and reason.
#[derive(thiserror::Error, Debug, Clone)]
#[error("PythonHome {directory}: {reason}")]
pub struct HomeError {
    directory: String,
    reason: String,
}

/// Checks a PythonHome directory before CPython does, whose own answer to a wrong one is to abort.
///
/// # Errors
/// The directory and why it cannot be the home of the Python this module is linked with.
pub fn resolve(home: &CStr) -> Result<Program, HomeError> {
    let directory = Path::new(OsStr::from_bytes(home.to_bytes()));
    let refuse = |reason: String| HomeError {
        directory: directory.display().to_string(),
        reason,
    };
    match std::fs::metadata(directory) {
        Ok(facts) if facts.is_dir() => {}
        Ok(_) => return Err(refuse("is not a directory".into())),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(refuse("does not exist".into()))
        }
        Err(error) => return Err(refuse(unreadable("it", &error))),
    }
    let config = match std::fs::read_to_string(directory.join("pyvenv.cfg")) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(refuse(unreadable("its pyvenv.cfg", &error))),
    };
    if let Some(text) = config {
        check_venv(&text).map_err(refuse)?;
        let executable = ["python3", "python"]
            .into_iter()
            .map(|name| directory.join("bin").join(name))
            .find(|path| path.exists())
            .ok_or_else(|| {
                refuse("has no bin/python3; make the virtual environment anew".into())
            })?;
        return Ok(Program {
            executable: Some(c_path(executable)),
            home: None,
            is_venv: true,
        });
    }
    let library = format!("python{}", minor_version(PYTHON_VERSION));
    let landmarks = ["lib", "lib64"].map(|lib| directory.join(lib).join(&library).join("os.py"));
    if !landmarks.iter().any(|landmark| landmark.is_file()) {
        return Err(refuse(format!(
            "is neither a virtual environment (no pyvenv.cfg) nor an installation of Python {} (no lib/{library}/os.py)",
            minor_version(PYTHON_VERSION)
        )));
    }
    Ok(Program {
        executable: Some(c_path(PathBuf::from(PYTHON_EXECUTABLE))),
        home: Some(home.to_owned()),
        is_venv: false,
    })
}

fn unreadable(what: &str, error: &std::io::Error) -> String {
    format!("{what} cannot be read by httpd's children: {error}")
}

/// Whether a `pyvenv.cfg` was written by the Python this module is linked with.
fn check_venv(config: &str) -> Result<(), String> {
    let value = |wanted: &[&str]| {
        config.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            wanted
                .contains(&key.trim())
                .then(|| value.trim().to_string())
        })
    };
    let ours = minor_version(PYTHON_VERSION);
    if let Some(version) = value(&["version", "version_info"]) {
        if minor_version(&version) != ours {
            return Err(format!(
                "is a virtual environment of Python {version}, but this module is linked with Python {PYTHON_VERSION}; make the environment with {PYTHON_EXECUTABLE}, or build mod_python for the other Python"
            ));
        }
    }
    let Some(base) = value(&["home"]) else {
        return Err("pyvenv.cfg names no `home`; make the virtual environment anew".into());
    };
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let base_dir = Path::new(&base);
    if !base_dir.is_dir() {
        return Err(format!(
            "was made by a Python in {base}, which does not exist or which httpd's children cannot read"
        ));
    }
    let ours_dir = real(Path::new(PYTHON_EXECUTABLE));
    // A base named through a symbolic link to the same interpreter is the same Python.
    let same = ours_dir.parent().is_some_and(|dir| dir == real(base_dir))
        || [format!("python{ours}"), "python3".into()]
            .iter()
            .any(|name| real(&base_dir.join(name)) == ours_dir);
    if !same {
        return Err(format!(
            "was made by the Python in {base}, but this module is linked with {PYTHON_EXECUTABLE}; make the environment with the latter"
        ));
    }
    Ok(())
}

fn c_path(path: PathBuf) -> CString {
    CString::new(path.into_os_string().into_vec()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home_error(home: &CStr) -> String {
        resolve(home)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn names_directory_and_reason() {
        assert_eq!(
            home_error(c"/nonexistent/env"),
            "PythonHome /nonexistent/env: does not exist"
        );
        let message = home_error(c"/tmp");
        assert!(
            message.starts_with("PythonHome /tmp: is neither a virtual environment"),
            "{message}"
        );
    }

    #[test]
    fn another_pythons_environment_is_refused() {
        let message = check_venv("home = /usr/bin\nversion = 2.7.18\n").unwrap_err();
        assert!(
            message.contains("virtual environment of Python 2.7.18"),
            "{message}"
        );
        let dir = Path::new(PYTHON_EXECUTABLE)
            .parent()
            .unwrap()
            .display()
            .to_string();
        assert_eq!(
            check_venv(&format!("home = {dir}\nversion = {PYTHON_VERSION}\n")),
            Ok(())
        );
    }
}
