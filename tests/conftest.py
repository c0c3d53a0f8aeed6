"""The options of the tests, the server of each test module, and who is blamed for its log."""

import importlib
import os

import pytest

from pyhttpd import ModPython, Server, client
from pyhttpd.install import InstallError
from pyhttpd.server import MPMS


def pytest_addoption(parser):
    group = parser.getgroup("httpd")
    group.addoption("--mpm", choices=MPMS, default="event", help="httpd's MPM (default: event)")
    group.addoption(
        "--only-original",
        action="store_true",
        help="run everything under the original mod_python; differential cases print its answers",
    )
    group.addoption(
        "--soak",
        type=float,
        default=12.0,
        metavar="SECONDS",
        help="how long test_stress.py runs (default: 12)",
    )
    group.addoption("--keep-roots", action="store_true", help="keep the server roots")
    group.addoption(
        "--python",
        metavar="PATH",
        help="the Python that MOD_PYTHON_SO was built for, where that is another one than usual",
    )
    group.addoption(
        "--sanitizer",
        choices=("asan", "tsan"),
        help="MOD_PYTHON_SO was built with it, as `make test-asan` and `make test-races` do",
    )


def pytest_configure(config):
    ModPython.other_python = config.getoption("--python")
    name = config.getoption("--sanitizer")
    if name is not None:
        # Only here, as these import tests.
        Server.sanitizer = importlib.import_module(f"memcheck.{name}")


def pytest_terminal_summary(terminalreporter):
    if Server.sanitizer is not None:
        terminalreporter.section(f"{len(Server.reports)} faults that the sanitizer has found")
        for report in Server.reports:
            terminalreporter.write_line(report)


def pytest_sessionfinish(session):
    if Server.reports:
        session.exitstatus = 1


def pytest_collection_modifyitems(config, items):
    mpm = config.getoption("--mpm")
    if os.environ.get("MOD_PYTHON_SOAK"):
        return
    left_out = []
    for item in items:
        marker = item.get_closest_marker("mpms")
        if marker is not None and mpm not in marker.args:
            left_out.append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def pytest_report_header(config):
    return f"httpd MPM: {config.getoption('--mpm')}"


@pytest.fixture(scope="session")
def mpm(request):
    return request.config.getoption("--mpm")


@pytest.fixture(scope="session")
def mod_python(request):
    """The mod_python under test: ours, or the original with --only-original."""
    try:
        if request.config.getoption("--only-original"):
            return ModPython.original()
        return ModPython.ours()
    except InstallError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def python_version(mod_python):
    """Such as (3, 11): of the Python that the module under test embeds."""
    return mod_python.python_version()


@pytest.fixture(scope="module")
def make_server(request, mpm, mod_python):
    """A function that makes (but does not start) a server for a Site; all end with the module."""
    made = []

    def make(site, **options):
        options.setdefault("mod_python", mod_python)
        options.setdefault("mpm", mpm)
        server = Server(site, keep=request.config.getoption("--keep-roots"), **options)
        made.append(server)
        return server

    yield make
    for server in made:
        server.close()


@pytest.fixture(scope="module")
def _module_server(request, make_server):
    server = make_server(request.module.SITE)
    server.start()
    troubles = server.troubles(0, getattr(request.module, "EXPECTED_AT_START", ()))
    assert not troubles, "unexpected at start:\n" + "\n".join(map(str, troubles))
    return server


class LogWatch:
    """The part of the error log written during one test."""

    def __init__(self, server):
        self.server = server
        self.start = server.log.mark()
        self.expected = []
        self.allowed = []
        self.deaths_expected = False

    def expect(self, *patterns):
        """Regular expressions for `level: message` lines that this test causes on purpose.

        Each must match at least one line, or the test fails.
        """
        self.expected += patterns

    def allow(self, *patterns):
        """Like `expect`, for lines that need not come."""
        self.allowed += patterns

    def lines(self):
        return self.server.log.lines(self.start)

    def messages(self, level="debug"):
        """`level: message` of the lines at least as grave as `level`."""
        return [str(line) for line in self.lines() if line.is_at_least(level)]

    def wait_for(self, pattern, count=1):
        return self.server.log.wait_for(pattern, self.start, count=count)

    def settle(self):
        """Wait for what is expected: a program that writes the log may end with httpd, before."""
        for pattern in self.expected:
            self.wait_for(pattern)

    def check(self):
        self.settle()
        lost = self.server.lost_children()
        assert self.deaths_expected or not lost, (
            f"children {sorted(lost)} died:\n{self.server.log.text(self.start)}"
        )
        troubles = self.server.troubles(self.start, self.expected + self.allowed)
        assert not troubles, "unexpected in the error log:\n" + "\n".join(map(str, troubles))


@pytest.fixture
def server(_module_server, log):
    """The running server of this test module, configured by its SITE."""
    return _module_server


@pytest.fixture
def log(_module_server):
    """What this test writes to the error log; unexpected lines and dead children fail it."""
    watch = LogWatch(_module_server)
    yield watch
    watch.check()


@pytest.fixture
def watch():
    """For tests that make their own server: `watch(server)` is its LogWatch, checked at the end."""
    watches = []

    def add(server):
        watches.append(LogWatch(server))
        return watches[-1]

    yield add
    for one in watches:
        one.check()


@pytest.fixture
def get(server):
    """`get(path, ...)`: one GET on its own connection; see pyhttpd.client.request."""
    return lambda path="/", **options: client.get(server.port, path, **options)


@pytest.fixture
def fetch(server):
    """`fetch(path, method, ...)`: one request on its own connection."""
    return lambda path="/", method="GET", **options: client.request(
        server.port, path, method, **options
    )


@pytest.fixture
def connect(server):
    """`connect()` opens a raw connection to the server; all are closed after the test."""
    opened = []

    def connect(**options):
        opened.append(client.Connection(server.port, **options))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()
