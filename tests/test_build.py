"""What the build says when something is missing: one sentence with the package's name."""

import os
import pathlib
import stat
import subprocess

import pytest

pytestmark = pytest.mark.mpms("event")

REPOSITORY = pathlib.Path(__file__).parents[1]


def script():
    """The newest compiled build script; `make build` left one."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    found = list(target.glob("*/build/mod_python-*/build-script-build"))
    if not found:
        pytest.skip("the module was not built in this checkout")
    return max(found, key=lambda path: path.stat().st_mtime)


def pyo3_config():
    """What cargo hands from pyo3's build script to ours."""
    outputs = script().parents[1].glob("pyo3-ffi-*/output")
    lines = [line for path in outputs for line in path.read_text().splitlines()]
    found = [line.partition("PYO3_CONFIG=")[2] for line in lines if "PYO3_CONFIG=" in line]
    assert found, "pyo3's build script left no configuration"
    return found[-1]


def build(tmp_path, **changed):
    env = {"PATH": os.environ["PATH"], "OUT_DIR": str(tmp_path), "CARGO_CFG_TARGET_OS": "linux"}
    env.update({"TARGET": "x86_64-unknown-linux-gnu", "HOST": "x86_64-unknown-linux-gnu"})
    env["DEP_PYTHON_PYO3_CONFIG"] = pyo3_config()
    env.update({name: str(value) for name, value in changed.items()})
    return subprocess.run(
        [script()],
        check=False,
        cwd=REPOSITORY,
        env=env,
        capture_output=True,
        text=True,
    )


def complaint(done):
    lines = [line for line in done.stderr.splitlines() if line.startswith("mod_python cannot")]
    assert done.returncode == 1, done.stderr
    assert len(lines) == 1, done.stderr
    assert "panicked" not in done.stderr
    return lines[0]


def program(path, text):
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def python(tmp_path, header=None, shared="1", library="libpython3.11.so", without_gil="0"):
    """A Python that answers the build script's questions."""
    header = header or tmp_path / "Python.h"
    lines = ["/usr/bin/python9", "3.11.2", tmp_path, shared, without_gil, header, library]
    answer = "\n".join(map(str, lines))
    return program(tmp_path / "python9", "cat <<'END'\n%s\nEND\n" % answer)


def test_everything_is_there(tmp_path):
    done = build(tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "bindings.rs").stat().st_size > 10000


def test_no_apxs(tmp_path):
    text = complaint(build(tmp_path, PATH=tmp_path))
    assert "apxs was not found" in text and "apache2-dev" in text and "httpd-devel" in text


def test_apxs_of_an_httpd_without_headers(tmp_path):
    apxs = program(tmp_path / "apxs", "echo %s\n" % tmp_path)
    text = complaint(build(tmp_path, APXS=apxs))
    assert "%s/httpd.h" % tmp_path in text and "apache2-dev" in text


def test_no_python(tmp_path):
    text = complaint(build(tmp_path, PYO3_PYTHON=tmp_path / "none"))
    assert "none does not run" in text and "PYO3_PYTHON" in text


def test_no_python_headers(tmp_path):
    text = complaint(build(tmp_path, PYO3_PYTHON=python(tmp_path)))
    assert "Python.h does not exist" in text and "python3-dev" in text


def test_no_shared_libpython(tmp_path):
    (tmp_path / "Python.h").touch()
    text = complaint(build(tmp_path, PYO3_PYTHON=python(tmp_path, shared="0")))
    assert "no shared libpython" in text and "libpython3-dev" in text


def test_free_threaded_python(tmp_path):
    (tmp_path / "Python.h").touch()
    text = complaint(build(tmp_path, PYO3_PYTHON=python(tmp_path, without_gil="1")))
    assert "without the GIL" in text and "PYO3_PYTHON" in text


def test_libpython_without_its_development_link(tmp_path):
    (tmp_path / "Python.h").touch()
    text = complaint(build(tmp_path, PYO3_PYTHON=python(tmp_path)))
    assert "libpython3.11.so" in text and "libpython3-dev" in text


def test_no_libclang(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    # bindgen looks beside llvm-config and in the system's directories unless this names one.
    text = complaint(build(tmp_path, LIBCLANG_PATH=empty, LLVM_CONFIG_PATH=empty / "none"))
    assert "libclang" in text and "libclang-dev" in text
