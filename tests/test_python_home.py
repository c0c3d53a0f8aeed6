"""Which Python runs inside httpd: PYTHONPATH, PythonHome, PATH, the package's version."""

import os
import pathlib
import re
import shutil

import pytest

from pyhttpd import Site, client
from pyhttpd.install import InstallError, ModPython

pytestmark = pytest.mark.every_python

HANDLER = """
    import sys
    from mod_python import apache

    def handler(req):
        req.content_type = "text/plain"
        req.write(str(eval(req.args.replace("+", " "))))
        return apache.OK
"""
CONF = """
    <Directory @root@/htdocs/show>
        SetHandler mod_python
        PythonHandler show
    </Directory>
"""
FILES = {"show/show.py": HANDLER}
SITE = Site(conf=CONF, files=FILES)


def show(server, expression):
    # A plus sign would be a blank.
    answer = client.get(server.port, "/show/?" + expression.replace(" ", "+"))
    assert answer.status == 200, answer.text
    return answer.text


@pytest.fixture
def only_ours(mod_python):
    if mod_python.name == "original":
        pytest.skip("about ours only")


@pytest.fixture
def readable(mod_python):
    if mod_python.home is not None:
        pytest.skip("children cannot read the Python itself, only a copy of its home")


def test_environment(server):
    assert show(server, "sys.argv") == "['mod_python']"
    assert show(server, "sys.flags.no_user_site") == "1"


def test_pythonpath_is_honoured(make_server, watch):
    path = "@root@/htdocs/first:@root@/htdocs/second"
    ours = "@root@/python:" + path
    with make_server(Site(conf=CONF, files=FILES, env={"PYTHONPATH": ours})) as server:
        watch(server)
        found = show(server, "sys.path")
        assert f"'{server.root}/htdocs/first', '{server.root}/htdocs/second'" in found


def test_another_python_first_in_path(make_server, watch, tmp_path):
    # The interpreter is the one that the module was linked with, whatever python3 PATH offers.
    fake = tmp_path / "bin"
    fake.mkdir()
    for name in ("python", "python3", *(f"python3.{minor}" for minor in range(9, 15))):
        (fake / name).write_text("#!/bin/sh\necho wrong python >&2\nexit 1\n")
        (fake / name).chmod(0o755)
    (tmp_path / "lib").mkdir()
    for directory in (tmp_path, fake):
        directory.chmod(0o755)
    with make_server(SITE) as server:
        expected = show(server, "[sys.prefix,sys.version]")
    path = f"{fake}:/usr/sbin:/usr/bin:/sbin:/bin"
    with make_server(Site(conf=CONF, files=FILES, env={"PATH": path})) as server:
        watch(server)
        assert show(server, "[sys.prefix,sys.version]") == expected


@pytest.mark.usefixtures("only_ours")
def test_the_server_names_the_python_that_runs(server):
    said = client.get(server.port, "/up.txt").headers["Server"]
    assert re.search(r"\bPython/([\d.]+)", said)[1] == show(server, "sys.version.split()[0]")


# -- PythonHome -----------------------------------------------------------------------------


def make_venv(path, executable, version, key="version"):
    """What `python -m venv` writes, as far as CPython looks at it."""
    minor = ".".join(version.split(".")[:2])
    (path / f"lib/python{minor}/site-packages").mkdir(parents=True)
    (path / "bin").mkdir()
    (path / "bin/python3").symlink_to(executable)
    (path / "bin/python").symlink_to("python3")
    home = os.path.dirname(executable)
    (path / "pyvenv.cfg").write_text(
        f"home = {home}\ninclude-system-site-packages = false\n{key} = {version}\n"
    )
    return path / f"lib/python{minor}/site-packages"


@pytest.fixture
def embedded(make_server):
    """Executable, version, prefix and platlibdir of the Python inside."""
    with make_server(SITE) as plain:
        executable = show(plain, "sys.executable")
        version = show(plain, "'%d.%d.%d' % sys.version_info[:3]")
        prefix = show(plain, "sys.base_prefix")
    return executable, version, prefix


@pytest.mark.usefixtures("only_ours", "readable")
@pytest.mark.parametrize("key", ["version", "version_info"])
@pytest.mark.parametrize("environment", ["", "PYTHONHOME"])
def test_virtual_environment(environment, key, make_server, watch, embedded):
    executable, version, prefix = embedded
    env = {"PYTHONHOME": "/nowhere"} if environment else {}
    server = make_server(Site(conf=CONF + "PythonHome @root@/venv\n", files=FILES, env=env))
    packages = make_venv(server.root / "venv", executable, version, key)
    (packages / "only_in_venv.py").write_text("answer = 42\n")
    with server:
        watch(server)
        assert show(server, "__import__('only_in_venv').answer") == "42"
        assert show(server, "sys.prefix") == str(server.root / "venv")
        assert show(server, "sys.base_prefix") == prefix
        # As `activate` does it.
        assert show(server, "__import__('os').environ.get('PYTHONHOME','')") == ""


@pytest.mark.usefixtures("only_ours")
def test_prefix(make_server, watch, embedded):
    # A whole installation elsewhere, here by links.
    _, version, prefix = embedded
    minor = ".".join(version.split(".")[:2])
    server = make_server(Site(conf=CONF + "PythonHome @root@/prefix\n", files=FILES))
    (server.root / "prefix/lib").mkdir(parents=True)
    (server.root / f"prefix/lib/python{minor}").symlink_to(f"{prefix}/lib/python{minor}")
    with server:
        watch(server)
        assert show(server, "sys.prefix") == f"{server.root}/prefix"
        assert show(server, "__import__('os').__file__").startswith(f"{server.root}/prefix/lib/")


def start_and_fail(server):
    """A server whose Python cannot start: its static files are served, Python is a 500."""
    with server:
        for _ in range(2):
            assert client.get(server.port, "/show/?1").status == 500
        assert client.get(server.port, "/up.txt").status == 200
        assert server.lost_children() == set()
    said = server.log.text()
    for bad in ("Fatal Python error", "exit signal", "panicked"):
        assert bad not in said, said
    return said


def nothing(home, embedded):
    return "does not exist"


def a_file(home, embedded):
    home.write_text("")
    return "is not a directory"


def closed(home, embedded):
    home.mkdir(mode=0o700)
    home.chmod(0o700)
    if os.geteuid() != 0:
        home.chmod(0)
    return "cannot be read.*[Pp]ermission denied"


def empty(home, embedded):
    home.mkdir()
    return "neither a virtual environment .* nor an installation of Python"


def venv_of_another_version(home, embedded):
    make_venv(home, embedded[0], "3.1.4")
    return r"virtual environment of Python 3\.1\.4, .* linked with Python " + re.escape(embedded[1])


def venv_of_another_python(home, embedded):
    # Of the same version: only where it lies tells.
    other = home.parent / "other/bin"
    other.mkdir(parents=True)
    (other / "python3").write_text("#!/bin/sh\n")
    (other / "python3").chmod(0o755)
    make_venv(home, str(other / "python3"), embedded[1])
    return f"made by the Python in {other}, .* linked with "


def venv_of_a_lost_python(home, embedded):
    make_venv(home, "/nowhere/bin/python3", embedded[1])
    return "made by a Python in /nowhere/bin, which does not exist"


def venv_without_program(home, embedded):
    make_venv(home, embedded[0], embedded[1])
    (home / "bin/python").unlink()
    (home / "bin/python3").unlink()
    return "no bin/python3"


def venv_without_home(home, embedded):
    make_venv(home, embedded[0], embedded[1])
    (home / "pyvenv.cfg").write_text(f"version = {embedded[1]}\n")
    return "names no `home`"


def closed_configuration(home, embedded):
    make_venv(home, embedded[0], embedded[1])
    (home / "pyvenv.cfg").chmod(0)
    return "pyvenv.cfg cannot be read.*[Pp]ermission denied"


def installation_of_another_version(home, embedded):
    (home / "lib/python3.1").mkdir(parents=True)
    (home / "lib/python3.1/os.py").write_text("")
    return r"no lib/python3\.\d+/os.py"


def half_an_installation(home, embedded):
    minor = ".".join(embedded[1].split(".")[:2])
    (home / f"lib/python{minor}").mkdir(parents=True)
    (home / f"lib/python{minor}/os.py").write_text("")
    return "(init_fs_encoding|encodings module)"


PROBLEMS = [
    nothing,
    a_file,
    closed,
    empty,
    venv_of_another_version,
    venv_of_another_python,
    venv_of_a_lost_python,
    venv_without_program,
    venv_without_home,
    closed_configuration,
    installation_of_another_version,
    half_an_installation,
]


@pytest.mark.usefixtures("only_ours")
@pytest.mark.parametrize("problem", PROBLEMS, ids=[problem.__name__ for problem in PROBLEMS])
def test_wrong_home(problem, make_server, embedded, mod_python):
    # A clear error that names directory and reason; never CPython's own abort.
    if mod_python.home is not None and problem in (venv_without_program, closed_configuration):
        pytest.skip("the environment's Python cannot be read")
    server = make_server(Site(conf=CONF + "PythonHome @root@/home\n", files=FILES))
    home = server.root / "home"
    reason = problem(home, embedded)
    said = start_and_fail(server)
    assert re.search(f"MP0101: .*{re.escape(str(home))}.*{reason}", said), said
    # Each request says it too.
    assert re.search(f"Can't get/create interpreter.*{re.escape(str(home))}", said), said


@pytest.mark.usefixtures("only_ours")
def test_a_relative_home_is_refused(make_server):
    checked = make_server(Site(conf="PythonHome venv\n")).configtest()
    assert checked.returncode != 0
    assert 'PythonHome "venv" must be an absolute path' in checked.stdout


@pytest.mark.usefixtures("only_ours")
def test_a_home_in_a_virtual_host_is_refused(make_server):
    conf = "<VirtualHost *:@port@>\nPythonHome /usr\n</VirtualHost>\n"
    checked = make_server(Site(conf=conf)).configtest()
    assert checked.returncode != 0
    assert "PythonHome concerns the whole process" in checked.stdout


@pytest.mark.usefixtures("only_ours", "readable")
def test_wrong_pythonhome_in_the_environment(make_server):
    said = start_and_fail(make_server(Site(conf=CONF, files=FILES, env={"PYTHONHOME": "/nowhere"})))
    assert re.search("MP0101: .*PYTHONHOME=/nowhere in httpd's environment", said), said


@pytest.mark.usefixtures("only_ours")
def test_import_entries_without_a_python(make_server):
    conf = CONF + "PythonHome @root@/home\nPythonImport json main_interpreter\n"
    said = start_and_fail(make_server(Site(conf=conf, files=FILES)))
    assert "MP0101" in said


# -- the package ----------------------------------------------------------------------------


@pytest.mark.usefixtures("only_ours")
def test_missing_package(make_server):
    # Nothing else may bring a package called mod_python, such as an installed original.
    server = make_server(SITE)
    shutil.rmtree(str(server.root / "python/mod_python"))
    (server.root / "python/mod_python.py").write_text("raise ModuleNotFoundError('not here')\n")
    said = start_and_fail(server)
    assert "make_obcallback: could not import mod_python.apache." in said
    assert 'make_obcallback: Python path being used "[' in said
    assert "MP0107" in said


@pytest.mark.usefixtures("only_ours")
def test_package_of_another_version(make_server):
    server = make_server(SITE)
    package = server.root / "python/mod_python"
    (package / "__init__.py").write_text(
        (package / "__init__.py").read_text() + "\nmp_version = '0.0.1'\n"
    )
    with server:
        # Parts of one program that do not fit: said, and tried.
        assert client.get(server.port, "/show/?1").status == 200
        said = server.log.text()
    assert re.search("WARNING: mod_python version mismatch, expected '[^']+', found '0.0.1'", said)
    assert f"WARNING: mod_python modules location '{package}" in said
    assert "exit signal" not in said


@pytest.mark.usefixtures("only_ours")
def test_the_package_of_the_original(make_server, mod_python):
    """Where Debian's libapache2-mod-python is installed and ours is not on the path."""
    try:
        original = ModPython.original()
    except InstallError as error:
        pytest.skip(str(error))
    installed = pathlib.Path("/usr/lib/python3/dist-packages/mod_python")
    if mod_python.python is not None or not installed.is_dir():
        pytest.skip(f"the package of {original.shared_object} is not on this Python's path")
    server = make_server(Site(conf=CONF, files=FILES, env={"PYTHONPATH": ""}))
    said = start_and_fail(server)
    assert "WARNING: mod_python version mismatch" in said
    assert re.search(f"MP0108: .*{installed}/apache.py", said), said
