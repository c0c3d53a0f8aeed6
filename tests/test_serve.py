"""`mod_python serve`: what it serves, how it ends, and what it says when it cannot."""

import contextlib
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types

import pytest

from mod_python import _serve
from pyhttpd import client
from pyhttpd.install import REPOSITORY, ModPython
from pyhttpd.server import free_port

PYTHON = os.environ.get("PYO3_PYTHON", "/usr/bin/python3")
PACKAGE = REPOSITORY / "python"
SECONDS = 120  # a safety net, never what a test waits for


@pytest.fixture(autouse=True)
def _module():
    ModPython.ours()


class Serve:
    """The command, running: what it said so far, and its end."""

    def __init__(self, *arguments, mpm, tmp, user=None, cwd=None, port=None, package=PACKAGE):
        self.port = port or free_port()
        self.process = subprocess.Popen(
            [
                *(PYTHON, "-m", "mod_python", "serve", "--mpm", mpm),
                *("--listen", "127.0.0.1:%d" % self.port, *map(str, arguments)),
            ],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(package), "TMPDIR": str(tmp)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            **({"user": user, "group": pwd.getpwnam(user).pw_gid} if user else {}),
        )
        os.set_blocking(self.process.stdout.fileno(), False)
        self.said = ""

    def wait_for(self, text):
        """Return when the command has said this."""
        deadline = time.monotonic() + SECONDS
        while text not in self.said:
            more = self.process.stdout.read()
            if more:
                self.said += more.decode()
            elif more == b"" and self.process.wait(SECONDS) is not None:
                raise AssertionError("it ended, and said:\n" + self.said)
            else:
                assert time.monotonic() < deadline, "%r was not said in:\n%s" % (text, self.said)
                time.sleep(0.02)
        return self

    def up(self):
        return self.wait_for("is served at http://127.0.0.1:%d/ " % self.port)

    def get(self, path="/"):
        return client.get(self.port, path)

    @property
    def httpd(self):
        """The process id of httpd's parent process."""
        mine = str(self.process.pid)
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if (entry / "stat").read_text().rpartition(")")[2].split()[1] == mine:
                        return int(entry.name)
        raise AssertionError("no httpd below %s" % mine)

    def group(self):
        """Process ids of all that httpd started, itself among them."""
        listed = subprocess.run(
            ["ps", "-e", "-o", "pid=,pgid=,stat="], stdout=subprocess.PIPE, text=True, check=True
        )
        rows = [line.split() for line in listed.stdout.splitlines()]
        return {int(pid) for pid, group, state in rows if group == self._group and state[0] != "Z"}

    def remember_group(self):
        self._group = str(self.httpd)
        assert len(self.group()) > 1

    def wait_until_group_is_gone(self):
        deadline = time.monotonic() + SECONDS
        while self.group():
            assert time.monotonic() < deadline, "still there: %s" % self.group()
            time.sleep(0.02)

    def end(self, signum=signal.SIGINT):
        """Signal the command, and return its exit status."""
        self.process.send_signal(signum)
        deadline = time.monotonic() + SECONDS
        while self.process.poll() is None:
            self.said += (self.process.stdout.read() or b"").decode()
            assert time.monotonic() < deadline, self.said
            time.sleep(0.02)
        self.said += (self.process.stdout.read() or b"").decode()
        return self.process.returncode


@pytest.fixture
def tmp():
    """Where server roots are made, by any user."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="roots-"))
    path.chmod(0o1777)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def serve(mpm, tmp):
    running = []

    def serve(*arguments, **options):
        running.append(Serve(*arguments, mpm=mpm, tmp=tmp, **options))
        return running[-1]

    yield serve
    for one in running:
        if one.process.poll() is None:
            one.end()
        one.process.stdout.close()
    if not any(one.process.returncode == -signal.SIGKILL for one in running):
        assert not list(tmp.iterdir()), "server roots were left behind"


@pytest.fixture
def folder():
    """A directory that every user may read."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="served-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


HANDLER = "def handler(req):\n    req.write('hello from %s')\n    return 0\n"


def test_directory(serve, folder):
    (folder / "index.html").write_text("<p>start</p>")
    (folder / "calls.py").write_text(
        "def index():\n    return 'index'\ndef add(a, b):\n    return a + b\n"
    )
    (folder / "page.psp").write_text("<%= 6 * 7 %>")
    (folder / "own.py").write_text(HANDLER % "own")
    (folder / "broken.py").write_text("def index(:\n")
    served = serve(folder).up()
    assert served.get("/").text == "<p>start</p>"
    assert served.get("/calls.py").text == "index"
    assert served.get("/calls.py/add?a=x&b=y").text == "xy"
    assert served.get("/page.psp").text == "42"
    assert served.get("/own.py").text == "hello from own"
    assert served.get("/broken.py").status == 500
    served.wait_for("SyntaxError")
    assert served.get("/nothing").status == 404
    assert served.end() == 0


def test_handler_file(serve, folder):
    (folder / "one.py").write_text(HANDLER % "one")
    served = serve(folder / "one.py").up()
    assert served.get("/any/where").text == "hello from one"
    assert served.get("/one.py").text == "hello from one"


def test_wsgi_application(serve, folder):
    (folder / "site_wsgi.py").write_text(
        "def app(environ, start_response):\n"
        "    start_response('201 Created', [('X-Name', environ['SCRIPT_NAME'])])\n"
        "    return [environ['PATH_INFO'].encode()]\n"
    )
    served = serve("site_wsgi:app", cwd=folder).up()
    answer = served.get("/a/b")
    assert (answer.status, answer.text, answer.headers["X-Name"]) == (201, "/a/b", "")


@pytest.mark.parametrize(
    "source, status, sentence",
    [
        ("import missing_library", 500, "No module named 'missing_library'"),
        ("def app(:", 500, "SyntaxError: "),
        ("other = 1", 404, "application ('broken_wsgi::app') not found"),
    ],
)
def test_wsgi_application_that_does_not_load(serve, folder, mpm, source, status, sentence):
    if mpm != "event":
        pytest.skip("what is said is the same for every MPM")
    (folder / "broken_wsgi.py").write_text(source + "\n")
    served = serve("broken_wsgi:app", cwd=folder).up()
    assert served.get().status == status
    served.wait_for("%d GET /" % status)
    told = [line for line in served.said.splitlines() if line.startswith(("[error]", "[warn]"))]
    assert any("broken_wsgi" in line for line in told), served.said
    assert any(sentence in line for line in told), served.said


def test_configuration(serve, folder):
    (folder / "conf.py").write_text(
        "def handler(req):\n"
        "    with open(req.get_options()['out'], 'w') as out:\n        out.write('x')\n"
        "    req.write(req.get_options()['name'])\n    return 0\n"
    )
    (folder / "site.conf").write_text(
        'Alias / "${SITE}/"\n<Directory "${SITE}">\nSetHandler mod_python\nPythonHandler conf\n'
        'PythonOption out "${STATE}/written"\nPythonOption name "${WHO} ${PORT}"\n'
        "Require all granted\n</Directory>\n"
    )
    served = serve("--define", "WHO=me", folder / "site.conf").up()
    assert served.get("/").text == "me %d" % served.port


def test_examples_through_make(mpm):
    """`make run` itself, as far as it can go without building again."""
    said = subprocess.run(
        ["make", "-n", "run", "PORT=9999"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    assert "serve --listen 127.0.0.1:9999" in said
    assert "CONNECTION_PORT=$((9999 + 1)) --define BACKEND_PORT=$((9999 + 2))" in said


def test_a_signal_ends_the_wait_for_output(tmp_path):
    program = tmp_path / "httpd"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)

    def too_late(*_):
        raise AssertionError("it goes on waiting")

    server = _serve.Server()
    server.start(types.SimpleNamespace(binary=str(program)), "none", dict(os.environ))
    before = {
        number: signal.signal(number, handler)
        for number, handler in ((signal.SIGUSR2, server.stop), (signal.SIGALRM, too_late))
    }
    try:
        signal.alarm(60)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR2)).start()
        server.pump(600)
        assert server.stopping
    finally:
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)
        server.end()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything(serve, folder, signum):
    served = serve(folder).up()
    served.remember_group()
    root = re.search(r"-f (\S+)/httpd\.conf", served.wait_for("AH00094").said).group(1)
    assert os.path.isdir(root)
    assert served.end(signum) == 0
    assert served.said.endswith("stopped\n")
    assert not served.group()
    assert not os.path.exists(root)


def test_a_signal_that_comes_early_ends_everything(serve, folder):
    served = serve(folder)
    served.wait_for("AH")
    assert served.end() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_killed_outright_no_httpd_stays(serve, folder):
    served = serve(folder).up()
    served.remember_group()
    served.process.kill()
    served.process.wait()
    served.wait_until_group_is_gone()


def test_httpd_ending_by_itself_is_told(serve, folder):
    served = serve(folder).up()
    os.kill(served.httpd, signal.SIGTERM)
    assert served.process.wait(SECONDS) == 1
    with pytest.raises(AssertionError):
        served.wait_for("never said")
    assert "httpd ended by itself with status 0" in served.said


def test_few_processes_keep_little_in_reserve(serve, folder, mpm):
    """More would make httpd say that its scoreboard is full, once a second."""
    served = serve("--processes", 2, folder).up()
    words = pathlib.Path("/proc/%d/cmdline" % served.httpd).read_bytes().split(b"\0")
    conf = pathlib.Path(words[words.index(b"-f") + 1].decode()).read_text()
    reserve = dict(re.findall(r"^ +(M\w+Spare\w+) (\d+)$", conf, re.M))
    assert reserve == {
        "MinSpareServers": "1",
        "MaxSpareServers": "2",
        "MinSpareThreads": "1",
        "MaxSpareThreads": "50",
    }


def test_ipv6(serve, folder):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        pytest.skip("no IPv6: %s" % error)
    (folder / "one.py").write_text(HANDLER % "one")
    served = serve("--listen", "[::1]:%d" % (port := free_port()), folder / "one.py")
    served.wait_for("is served at http://[::1]:%d/ " % port)
    with socket.create_connection(("::1", port)) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert connection.makefile("rb").read().endswith(b"hello from one")


def test_port_in_use(serve, folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        served = serve(folder, port=taken.getsockname()[1])
        assert served.process.wait(SECONDS) == 1
        with pytest.raises(AssertionError):
            served.wait_for("never said")
        assert "Address already in use; choose another port with --listen" in served.said


def test_another_port_in_use(serve, folder):
    """A port that the site's own configuration names: nothing is announced that will not last."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (folder / "site.conf").write_text("Listen 127.0.0.1:%d\n" % port)
        served = serve(folder / "site.conf")
        assert served.process.wait(SECONDS) == 1
        with pytest.raises(AssertionError):
            served.wait_for("never said")
    assert "could not bind to address 127.0.0.1:%d" % port in served.said
    assert "is served at" not in served.said


@pytest.mark.parametrize(
    "target, sentence",
    [
        ("/nowhere", "/nowhere is no directory, no Python file, no configuration and no module"),
        ("nowhere:app", "there is no module nowhere in %s, nor where " % os.getcwd()),
        ("--module=/nowhere.so .", "/nowhere.so does not exist: run `make build`"),
        ("--httpd=/nowhere/httpd .", "/nowhere/httpd does not run: "),
    ],
)
def test_what_cannot_be_served(serve, target, sentence):
    served = serve(*target.split())
    assert served.process.wait(SECONDS) == 1
    with pytest.raises(AssertionError):
        served.wait_for("never said")
    assert "mod_python serve: " + sentence in served.said


def test_a_wrong_configuration_shows_httpds_own_words(serve, folder):
    (folder / "site.conf").write_text("PythonDebug Maybe\n")
    served = serve(folder / "site.conf")
    assert served.process.wait(SECONDS) == 1
    with pytest.raises(AssertionError):
        served.wait_for("never said")
    assert "PythonDebug must be On or Off" in served.said


def test_debug_shows_tracebacks(serve, folder):
    (folder / "bad.py").write_text("def handler(req):\n    1 / 0\n")
    served = serve("--debug", folder / "bad.py").up()
    assert "ZeroDivisionError" in served.get("/").text
    served.wait_for("ZeroDivisionError")


def test_access_log_line(serve, folder):
    (folder / "a.txt").write_text("12345")
    served = serve(folder).up()
    served.get("/a.txt?x=%0a")
    served.wait_for("200 GET /a.txt?x=%0a 5 bytes")


def test_reload(serve, folder):
    (folder / "user.py").write_text(
        "import helper\ndef handler(req):\n    req.write(helper.WORD)\n    return 0\n"
    )
    (folder / "helper.py").write_text("WORD = 'before'\n")
    served = serve("--reload", folder / "user.py").up()
    assert served.get().text == "before"
    (folder / "helper.py").write_text("WORD = 'and afterwards'\n")
    served.wait_for("restarting gracefully")
    deadline = time.monotonic() + SECONDS
    while served.get().text != "and afterwards":
        assert time.monotonic() < deadline
        time.sleep(0.05)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@needs_root
def test_root_serves_a_copy_of_what_the_children_cannot_read(serve, tmp_path):
    assert not tmp_path.stat().st_mode & 0o007  # pytest's own directories are closed
    (tmp_path / "secret.txt").write_text("first")
    served = serve(tmp_path).up()
    served.wait_for("cannot read %s: serving a copy" % tmp_path)
    assert served.get("/secret.txt").text == "first"
    (tmp_path / "secret.txt").write_text("and then the second")
    (tmp_path / "new.txt").write_text("new")
    deadline = time.monotonic() + SECONDS
    while served.get("/new.txt").status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    while served.get("/secret.txt").text != "and then the second":
        assert time.monotonic() < deadline
        time.sleep(0.05)


@needs_root
def test_without_root(serve, folder):
    """The command as a user without rights, with copies of package and module they can read."""
    if ModPython.ours().home is not None:
        pytest.skip("nobody cannot read the Python itself, only a copy of its home")
    aside = shutil.ignore_patterns("__pycache__", "*.new")  # which other suites make there
    shutil.copytree(REPOSITORY / "python", folder / "python", ignore=aside)
    shutil.copy(ModPython.ours().shared_object, folder / "mod_python.so")
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
    (folder / "site").mkdir()
    (folder / "site/one.py").write_text(HANDLER % "nobody")
    served = serve(
        *("--module", folder / "mod_python.so", folder / "site/one.py"),
        user="nobody",
        package=folder / "python",
    )
    assert served.up().get("/").text == "hello from nobody"
    served.remember_group()
    assert served.end() == 0
    assert not served.group()
