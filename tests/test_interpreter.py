"""Which Python runs inside httpd: PYTHONPATH, PythonHome, PATH, the package's version."""

import re
import shutil
import sys
from urllib.parse import quote

import pytest

from pyhttpd import Site, client

HANDLER = """
    import sys
    from urllib.parse import unquote
    from mod_python import apache

    def handler(req):
        req.content_type = "text/plain"
        req.write(str(eval(unquote(req.args))))
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
    answer = client.get(server.port, "/show/?" + quote(expression))
    assert answer.status == 200, answer.text
    return answer.text


@pytest.fixture
def only_ours(mod_python):
    if mod_python.name == "original":
        pytest.skip("about ours only")


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
    for name in ("python", "python3", f"python3.{sys.version_info[1]}"):
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
def test_virtual_environment(make_server, watch):
    server = make_server(Site(conf=CONF + "PythonHome @root@/venv\n", files=FILES))
    with make_server(SITE) as plain:
        executable = show(plain, "sys.base_prefix + '/bin/python3'")
        version = show(plain, "'%d.%d' % sys.version_info[:2]")
        full = show(plain, "'%d.%d.%d' % sys.version_info[:3]")
    make_venv(server.root / "venv", executable, version, full)
    site_packages = server.root / f"venv/lib/python{version}/site-packages"
    (site_packages / "only_in_venv.py").write_text("answer = 42\n")
    with server:
        watch(server)
        assert show(server, "__import__('only_in_venv').answer") == "42"
        assert show(server, "sys.prefix") == str(server.root / "venv")
        assert show(server, "sys.base_prefix + '/bin/python3'") == executable


def make_venv(path, executable, version, full):
    """What `python -m venv` writes, as far as CPython looks at it."""
    (path / f"lib/python{version}/site-packages").mkdir(parents=True)
    (path / "bin").mkdir()
    (path / "bin/python3").symlink_to(executable)
    (path / "bin/python").symlink_to("python3")
    home = executable.rsplit("/", 1)[0]
    (path / "pyvenv.cfg").write_text(
        f"home = {home}\ninclude-system-site-packages = false\nversion = {full}\n"
    )


def start_and_fail(server):
    """A server whose Python cannot start: its static files are served, Python is a 500."""
    server.start()
    answer = client.get(server.port, "/show/?1")
    assert answer.status in (500, 503), (answer.status, answer.text)
    assert client.get(server.port, "/up.txt").status == 200
    return server.log.text()


@pytest.mark.usefixtures("only_ours")
@pytest.mark.parametrize("problem", ["missing", "empty", "other-version"])
def test_wrong_home(problem, make_server):
    # A clear error that names directory and reason; never CPython's own abort.
    server = make_server(Site(conf=CONF + "PythonHome @root@/home\n", files=FILES))
    home = server.root / "home"
    if problem != "missing":
        home.mkdir()
    if problem == "other-version":
        make_venv(home, "/usr/bin/python3", "3.1", "3.1.4")
    checked = server.configtest()
    if checked.returncode:
        said = checked.stdout
    else:
        said = start_and_fail(server)
        assert server.lost_children() == set()
    assert str(home) in said
    assert "Fatal Python error" not in said
    assert "exit signal" not in said
    reason = {
        "missing": r"not exist|no such|not a directory",
        "empty": "python",
        "other-version": r"3\.1",
    }[problem]
    assert re.search(reason, said, re.I), said


@pytest.mark.usefixtures("only_ours")
def test_missing_package(make_server):
    server = make_server(SITE)
    shutil.rmtree(str(server.root / "python/mod_python"))
    said = start_and_fail(server)
    assert "mod_python" in said
    assert "exit signal" not in said
    assert "panic" not in said


@pytest.mark.usefixtures("only_ours")
def test_package_of_another_version(make_server):
    server = make_server(SITE)
    package = server.root / "python/mod_python"
    text = (package / "version.py").read_text()
    (package / "version.py").write_text(text + "\nversion = '0.0.1'\n")
    (package / "__init__.py").write_text(
        (package / "__init__.py").read_text() + "\nmp_version = '0.0.1'\n"
    )
    server.start()
    answer = client.get(server.port, "/show/?1")
    said = server.log.text()
    assert "mod_python version mismatch, expected '" in said
    assert "found '0.0.1'" in said
    assert str(package) in said
    assert "exit signal" not in said
    assert answer.status in (200, 500)


def test_threads_keep_their_state(make_server, watch):
    """threading.local survives from one request of a connection to the next on one thread."""
    handler = """
        import threading
        from mod_python import apache

        local = threading.local()

        def fixuphandler(req):
            local.value = getattr(local, "value", 0) + 1
            req.thread = threading.get_ident()
            return apache.OK

        def handler(req):
            assert req.thread == threading.get_ident()
            req.write("%d" % local.value)
            return apache.OK
    """
    conf = """
        <Directory @root@/htdocs/local>
            SetHandler mod_python
            PythonHandler local_handler
            PythonFixupHandler local_handler
        </Directory>
    """
    site = Site(conf=conf, files={"local/local_handler.py": handler}, threads=4)
    with make_server(site) as server:
        watch(server)
        answers = [client.get(server.port, "/local/").text for _ in range(12)]
        if server.mod_python.name == "ours":
            # Twelve requests on few threads: some thread must have counted on.
            assert max(int(text) for text in answers) > 1
