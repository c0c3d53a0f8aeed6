"""The life of one private httpd: its root, configuration, start, restarts, children and end."""

import atexit
import contextlib
import functools
import os
import pathlib
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Sequence
from typing import Any, ClassVar, Optional

from pyhttpd.error_log import FORMAT, ErrorLog, LogLine, unexpected
from pyhttpd.install import Httpd, ModPython
from pyhttpd.site import MODULES, Site, write_file

MPMS = ("event", "worker", "prefork")
_USERS = ("www-data", "apache", "httpd", "daemon", "nobody")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Runs between fork and exec: the tester may be killed outright, and httpd's parent process then
# gets SIGTERM (15) from the kernel through PR_SET_PDEATHSIG (1).
_LAUNCHER = (
    "import ctypes, os, sys\nctypes.CDLL(None).prctl(1, 15)\nos.execv(sys.argv[1], sys.argv[1:])\n"
)
# Of proc(5)'s flags of a process: the kernel ends it, and has not yet closed its files.
_PF_EXITING = 0x4
GRACEFUL = "Doing graceful restart"
# After it, or when a child is replaced, the worker MPM finds the slots taken by children that end
# their requests: it looks among those that MaxRequestWorkers needs, event up to ServerLimit (which
# several generations reach on a busy machine).
SCOREBOARD_FULL = "AH(00288|03490): scoreboard is full, not at MaxRequestWorkers"
# The lowest port that Linux gives to those who ask for none.
_CLIENTS_FROM = 32768
_running: "weakref.WeakSet[Server]" = weakref.WeakSet()
# Each tester has so many ports of its own, and gives none out twice as long as there are others.
_PORTS = 512
_unused: list[int] = []


class StartError(Exception):
    """httpd did not come up; the text holds what it said."""


@functools.cache
def _ports() -> tuple[range, socket.socket]:
    """Ports that no other tester on this machine uses, and what keeps them ours until we end."""
    firsts = list(range(10000, _CLIENTS_FROM - _PORTS, _PORTS))
    random.SystemRandom().shuffle(firsts)
    claim = socket.socket(socket.AF_UNIX)
    for first in firsts:
        with contextlib.suppress(OSError):
            # A name without a file, which only one process can have.
            claim.bind(f"\0mod_python-tests-port-{first}")
            return range(first, first + _PORTS), claim
    raise StartError(f"{len(firsts)} other testers run on this machine")


def free_port() -> int:
    """A port that nobody has now and no client is given: those have ports of a higher range.

    However long it takes until a server binds it, no other server of a test gets it meanwhile.
    """
    while True:
        if not _unused:
            _unused.extend(_ports()[0])
            random.SystemRandom().shuffle(_unused)
        port = _unused.pop()
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


class Server:
    """A real httpd on a free loopback port, in its own process group and server root.

    Start it from a thread that outlives it: the kernel ends the two together.
    """

    # Set by the option --sanitizer: its `prefix(root)` goes before httpd.
    sanitizer: ClassVar[Optional[Any]] = None
    # What it has reported, of all servers that are closed.
    reports: ClassVar[list[str]] = []

    def __init__(
        self,
        site: Site,
        mod_python: Optional[ModPython] = None,
        mpm: str = "event",
        keep: bool = False,
    ):
        self.httpd = Httpd.find()
        self.site = site
        self.mod_python = mod_python
        self.mpm = mpm
        self.keep = keep
        self.port = free_port()
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="httpd-"))
        self.root.chmod(0o755)
        self.htdocs = self.root / "htdocs"
        self.log = ErrorLog(self.root / "logs/error.log")
        self.process: Optional[subprocess.Popen] = None
        self._children: set[int] = set()
        self._some_ended = False
        for name in ("htdocs", "logs", "run", "python"):
            (self.root / name).mkdir()
            (self.root / name).chmod(0o755)
        # A place that handlers may write to, whoever the server's user is.
        (self.root / "tmp").mkdir()
        (self.root / "tmp").chmod(0o777)
        write_file(self.htdocs / "up.txt", "up\n")
        if mod_python is not None and mod_python.package is not None:
            self._copy_package(mod_python.package)
        site.write(self.root, self.substitute)

    def _copy_package(self, package):
        # A copy, because the server's user may not be able to read the working tree.
        target = self.root / "python/mod_python"
        shutil.copytree(
            str(package / "mod_python"),
            str(target),
            # What others make there meanwhile may be gone when it is to be copied.
            ignore=shutil.ignore_patterns("__pycache__", "*.new"),
        )
        for path in [target, *target.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        # Let the first child to import it leave its compiled files for the others.
        cache = target / "__pycache__"
        cache.mkdir()
        cache.chmod(0o777)

    # -- configuration ---------------------------------------------------------------------

    def substitute(self, text: str) -> str:
        return text.replace("@root@", str(self.root)).replace("@port@", str(self.port))

    def _module_lines(self) -> list[str]:
        names = dict.fromkeys([f"mpm_{self.mpm}", *MODULES, *self.site.modules])
        lines = [self.httpd.load_line(name) for name in names]
        if self.mod_python is not None:
            ours = f"LoadModule python_module {self.mod_python.shared_object}"
            lines.insert(1 if self.site.python_first else len(lines), ours)
        return [line for line in lines if line]

    def _mpm_lines(self) -> list[str]:
        site = self.site
        if self.mpm == "prefork":
            most = 1 if site.alone else max(4, site.children)
            return [
                f"StartServers {site.children}",
                "MinSpareServers 1",
                f"MaxSpareServers {most}",
                f"ServerLimit {most}",
                f"MaxRequestWorkers {most}",
            ]
        workers = site.children * site.threads
        return [
            f"StartServers {site.children}",
            # Room for children of the generation before while they finish after a restart.
            f"ServerLimit {site.children * 4}",
            f"ThreadLimit {site.threads}",
            f"ThreadsPerChild {site.threads}",
            f"MaxRequestWorkers {workers}",
            "MinSpareThreads 1",
            f"MaxSpareThreads {workers}",
        ]

    def configuration(self) -> str:
        mime = [
            "AddType text/html .html",
            "AddType text/plain .txt",
            "TypesConfig /dev/null",
        ]
        user = []
        if os.geteuid() == 0:
            known = {entry.pw_name: entry for entry in pwd.getpwall()}
            name = next((name for name in _USERS if name in known), None)
            if name is None:
                raise StartError(f"none of the users {', '.join(_USERS)} exists")
            user = [f"User {name}", f"Group #{known[name].pw_gid}"]
        home = []
        if self.mod_python is not None and self.mod_python.home is not None:
            home = [f"PythonHome {self.mod_python.home}"]
        lines = [
            f"ServerRoot {self.root}",
            f"DefaultRuntimeDir {self.root}/run",
            f"PidFile {self.root}/run/httpd.pid",
            *self._module_lines(),
            *self._mpm_lines(),
            *user,
            f"Listen 127.0.0.1:{self.port}",
            "ServerName localhost",
            "ServerAdmin admin@localhost",
            "Timeout 60",
            "KeepAliveTimeout 10",
            "MaxKeepAliveRequests 0",
            f"ErrorLog {self.log.path}",
            f"ErrorLogFormat {FORMAT}",
            f"LogLevel {self.site.log_level}",
            f"DocumentRoot {self.htdocs}",
            *mime,
            f"<Directory {self.root}>",
            "    AllowOverride All",
            "    Options FollowSymLinks",
            "    Require all granted",
            "</Directory>",
            *home,
            *(["MaxMemFree 1"] if self.is_sanitized() else []),
            self.substitute(self.site.conf),
        ]
        return "\n".join(lines) + "\n"

    def write_configuration(self) -> pathlib.Path:
        path = self.root / "httpd.conf"
        path.write_text(self.configuration(), encoding="utf-8")
        return path

    def write(self, name: str, content) -> pathlib.Path:
        """Write or replace a file below the document root."""
        path = self.htdocs / self.substitute(name)
        write_file(path, content, self.substitute)
        return path

    def environment(self):
        env = {"PATH": _PATH, "LANG": "C", "TZ": "UTC"}
        if self.mod_python is not None and self.mod_python.package is not None:
            env["PYTHONPATH"] = str(self.root / "python")
        env.update({key: self.substitute(value) for key, value in self.site.env.items()})
        return env

    def is_sanitized(self) -> bool:
        return (
            self.sanitizer is not None
            and self.mod_python is not None
            and self.mod_python.name == "ours"
        )

    # -- processes -------------------------------------------------------------------------

    def command(self, *options: str) -> list[str]:
        defines = [f"-D{name}" for name in self.site.defines]
        conf = self.write_configuration()
        prefix = []
        if self.is_sanitized():
            prefix = [*self.sanitizer.prefix(self.root), "PYTHONMALLOC=malloc"]
        return [
            *prefix,
            str(self.httpd.binary),
            "-d",
            str(self.root),
            "-f",
            str(conf),
            *defines,
            *options,
        ]

    def configtest(self) -> "subprocess.CompletedProcess[str]":
        """`httpd -t` on this configuration: returncode, and all it said in stdout."""
        return subprocess.run(
            self.command("-t"),
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
            text=True,
        )

    def start(
        self,
        options: Sequence[str] = ("-DFOREGROUND",),
        prefix: Sequence[str] = (),
        terminal: Optional[int] = None,
    ):
        """Start httpd and return when it answers.

        `prefix` goes before it, e.g. valgrind; `terminal` is a file descriptor that becomes its
        standard input and output.
        """
        for attempt in range(4):
            try:
                return self._start(options, prefix, terminal)
            except StartError as error:
                # Another program may have taken the port between our look and httpd's bind.
                if "AH00072" not in str(error) or attempt == 3:
                    raise
                self.port = free_port()
                self.site.write(self.root, self.substitute)
        raise AssertionError("not reached")

    def _start(self, options, prefix, terminal):
        mark = self.log.mark()
        with (self.root / "logs/start.log").open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-ISc", _LAUNCHER, *prefix, *self.command(*options)],
                env=self.environment(),
                stdin=subprocess.DEVNULL if terminal is None else terminal,
                stdout=out if terminal is None else terminal,
                stderr=out,
                start_new_session=True,
                cwd=str(self.root),
            )
        _running.add(self)
        try:
            self._wait_until_up(60.0 if not prefix else 300.0, mark)
        except BaseException:
            self.stop()
            raise
        self._children = self.children()
        return self

    def said(self, mark: int = 0) -> str:
        start = (self.root / "logs/start.log").read_text(encoding="utf-8", errors="replace")
        return (start + self.log.text(mark))[-4000:]

    def _wait_until_up(self, timeout, mark):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise StartError(f"httpd ended with {self.process.returncode}:\n{self.said(mark)}")
            if not self._has_bound():
                time.sleep(0.02)
                continue
            # Any answer will do, and an end without answer too: a test may configure handlers
            # that own every connection.  Until a child accepts, nothing comes at all.
            with contextlib.suppress(OSError), self.socket(timeout=5) as probe:
                probe.sendall(b"GET /up.txt HTTP/1.0\r\nHost: up.invalid\r\n\r\n")
                probe.shutdown(socket.SHUT_WR)
                while probe.recv(65536):
                    pass
                if self.process.poll() is None:
                    return
            time.sleep(0.02)
        raise StartError(f"httpd does not answer:\n{self.said(mark)}")

    def _has_bound(self):
        # Until then somebody else may answer at this port. The file is written when all is bound.
        try:
            return int((self.root / "run/httpd.pid").read_text()) == self.process.pid
        except (FileNotFoundError, ValueError):
            return False

    def socket(self, timeout: float = 60.0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def stop(self, timeout: float = 60.0) -> None:
        """End the server and everything it started; SIGKILL if it does not listen."""
        process = self.process
        if process is None:
            return
        self.process = None
        if process.poll() is None:
            # The event MPM's child, with or without any module, may crash when it is told to end
            # while a worker thread is still closing its connection (close_worker_sockets looks at a
            # socket whose pool is being destroyed).  Let the last connection go first.
            self._wait_until_idle(process.pid)
            process.terminate()
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                pass
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout)
        _running.discard(self)

    def _wait_until_idle(self, parent):
        # Twice in a row no thread of any child runs or wants to; a handler in a loop is left to it.
        deadline = time.monotonic() + 1
        idle = 0
        while idle < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
            threads = []
            for pid in _children_of(parent, self._children):
                with contextlib.suppress(OSError):
                    threads += pathlib.Path("/proc", str(pid), "task").iterdir()
            idle = 0 if any(_state(thread) in "RD" for thread in threads) else idle + 1

    def close(self) -> None:
        """Stop, and remove the server root unless it is to be kept."""
        self.stop()
        if self.is_sanitized() and self.root.exists():
            Server.reports += self.sanitizer.faults(self.root)
        if not self.keep:
            shutil.rmtree(str(self.root), ignore_errors=True)

    def __enter__(self) -> "Server":
        return self.start()

    def __exit__(self, *_):
        # The root stays until `close`: what the server said at its end is still to be judged.
        self.stop()

    def children(self) -> set[int]:
        """Process ids of the running children of httpd's parent process.

        A child whose connections were closed by its death is no longer among them.
        """
        return _children_of(self.process.pid, self._children)

    def lost_children(self) -> set[int]:
        """Children that were there at the last start, restart or call, and are gone now."""
        if self.process is None:
            return set()
        now = self.children()
        lost = self._children - now
        self._children = now
        self._some_ended = self._some_ended or bool(lost)
        return lost

    def _resume(self, number):
        mark = self.log.mark()
        old = self.children()
        os.kill(self.process.pid, number)
        self.log.wait_for("resuming normal operations", since=mark)
        self.wait_until_replaced(old)
        self._wait_until_up(60.0, mark)
        # Those of the old generation end when they like.
        self._children = self.children() - old

    def wait_until_replaced(self, old: set[int]) -> None:
        """Return when these children, which are to end, take no more connections.

        They do until they hear of their end; then they close what they listen to. With a request
        in hand they stay, and are not waited for.
        """
        deadline = time.monotonic() + 60
        while any(map(_listens, old & self.children())) and time.monotonic() < deadline:
            time.sleep(0.01)

    def graceful(self) -> None:
        """Graceful restart; returns when the new generation answers."""
        self.write_configuration()
        self._resume(signal.SIGUSR1)

    def restart(self) -> None:
        """Hard restart."""
        self.write_configuration()
        self._resume(signal.SIGHUP)

    def troubles(self, since: int, expected: Sequence[str] = ()) -> list[LogLine]:
        if (
            self._some_ended
            or "MaxConnectionsPerChild" in self.site.conf
            or re.search(f"{GRACEFUL}|MP0710", self.log.text())
        ):
            expected = [*expected, SCOREBOARD_FULL]
        return unexpected(self.log.lines(since), expected)


def _children_of(parent, known) -> set[int]:
    """The running children of a process, without those that are ending."""
    try:
        with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as file:
            # Not all of them, if one ends just now: those that are known are looked at anyway.
            candidates = {*file.read().split(), *map(str, known)}
    except FileNotFoundError:  # no such file in this kernel, or no such process
        candidates = {entry for entry in os.listdir("/proc") if entry.isdigit()}
    found = set()
    for pid in candidates:
        with contextlib.suppress(OSError, IndexError):
            fields = _stat(pathlib.Path("/proc", pid))
            state, flags = fields[0], int(fields[6])
            is_ending = state in "ZX" or flags & _PF_EXITING
            if int(fields[1]) == parent and not is_ending:
                found.add(int(pid))
    return found


def _stat(place):
    """The fields after the name in the `stat` of a process or thread: state, parent, ..."""
    return (place / "stat").read_text().rpartition(")")[2].split()


def _state(thread):
    try:
        return _stat(thread)[0]
    except (OSError, IndexError):
        return "X"


def _listens(pid) -> bool:
    """Whether a process has a socket that TCP clients may connect to."""
    listening = set()
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in pathlib.Path("/proc/net", name).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A":
                    listening.add(f"socket:[{fields[9]}]")
    with contextlib.suppress(OSError):
        for entry in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{entry}") in listening:
                    return True
    return False


@atexit.register
def _stop_all():
    for server in list(_running):
        server.stop(timeout=2)
