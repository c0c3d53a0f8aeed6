"""`pip install .`: a wheel with the module for this Python, and a server that runs from it."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest

from mod_python import version
from pyhttpd import client
from pyhttpd.install import REPOSITORY
from pyhttpd.server import free_port

pytestmark = pytest.mark.mpms("event")

PYTHON = os.environ.get("PYO3_PYTHON", "/usr/bin/python3")


@pytest.fixture(scope="module")
def venv():
    """A virtual environment with the wheel in it, where every user may read it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="wheel-"))
    folder.chmod(0o755)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    options = ["--no-build-isolation", "--no-deps", "--no-index"]
    environment = {**os.environ, "PYO3_PYTHON": PYTHON}
    try:
        for command in (
            [*pip, "wheel", *options, "--wheel-dir", folder / "wheels", REPOSITORY],
            [PYTHON, "-m", "venv", folder / "venv"],
        ):
            done = subprocess.run(
                command,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout
        (wheel,) = (folder / "wheels").glob("mod_python-%s-cp3*.whl" % version.version)
        subprocess.run(
            [folder / "venv/bin/python", "-m", "pip", "install", "--quiet", "--no-index", wheel],
            check=True,
        )
        yield folder / "venv"
    finally:
        shutil.rmtree(folder)


def output(*command):
    return subprocess.check_output(list(map(str, command)), text=True, cwd="/")


def test_module_config_names_the_module_in_the_wheel(venv):
    load, home = output(venv / "bin/mod_python", "module-config").splitlines()
    module = pathlib.Path(load.split('"')[1])
    assert load.startswith("LoadModule python_module ") and module.is_file()
    assert venv in module.parents
    assert home == 'PythonHome "%s"' % venv


def test_the_wheel_knows_its_build(venv):
    script = "from mod_python import version as v; print(v.version, v.HTTPD, v.TESTHOME or None)"
    told = output(venv / "bin/python", "-c", script).split()
    assert told == [version.version, version.HTTPD, "None"]


def test_a_wsgi_application_of_the_environment_is_served(venv):
    site = venv / "site"
    site.mkdir()
    (site / "prefix.py").write_text(
        "import sys\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [sys.prefix.encode()]\n"
    )
    port = free_port()
    served = subprocess.Popen(
        [venv / "bin/mod_python", "serve", "--listen", str(port), "prefix:app"],
        cwd=site,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said = ""
        while "is served at" not in said:
            line = served.stdout.readline()
            assert line, said
            said += line
        assert client.get(port).text == str(venv)
    finally:
        served.terminate()
        served.communicate()
    assert served.returncode == 0
