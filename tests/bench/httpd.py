"""Private httpd servers: found through apxs, each in a directory of its own, stopped by pid."""

import glob
import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from typing import Optional

RUNNING: list["Server"] = []
MODULES = ("unixd", "authz_core", "mime")  # loaded where they are not built in


class BenchError(Exception):
    """Something the benchmark cannot go on with; the text is for the person who ran it."""


def output_of(command: Sequence[str]) -> str:
    """What a command prints on its standard output; a failing command is left to say so itself."""
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout


class Httpd:
    """The installed httpd: its binary, its modules, and how to build more of them."""

    def __init__(self, apxs: str):
        if not shutil.which(apxs):
            raise BenchError(
                "%s not found: install httpd's development files (Debian: apache2-dev)" % apxs
            )
        self.apxs = apxs
        self.binary = os.path.join(self.query("SBINDIR"), self.query("PROGNAME"))
        self.libexec = self.query("LIBEXECDIR")
        self.builtin = set(output_of([self.binary, "-l"]).split())

    def query(self, name: str) -> str:
        """The value that apxs -q gives for `name`."""
        return output_of([self.apxs, "-q", name]).strip()

    def module(self, name: str) -> str:
        """The path of an installed module, there or not."""
        return os.path.join(self.libexec, "mod_%s.so" % name)

    def load(self, names: Sequence[str]) -> list[str]:
        """LoadModule lines for those of `names` that are not built in."""
        return [
            'LoadModule %s_module "%s"' % (name, self.module(name))
            for name in names
            if "mod_%s.c" % name not in self.builtin and os.path.exists(self.module(name))
        ]

    def build(self, source: str, directory: str) -> str:
        """Builds a C module in `directory` with apxs and returns the path of the shared object."""
        os.makedirs(directory, exist_ok=True)
        copy = shutil.copy(source, directory)
        done = subprocess.run(
            [self.apxs, "-c", os.path.basename(copy)],
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        built = glob.glob(os.path.join(directory, ".libs", os.path.basename(copy)[:-2] + ".so"))
        if done.returncode or not built:
            raise BenchError("%s did not build:\n%s" % (os.path.basename(source), done.stdout))
        return built[0]


def plain_user() -> Optional[str]:
    """The user servers run as when root runs the benchmark: httpd's own where there is one."""
    if os.getuid() != 0:
        return None
    for name in ("www-data", "apache", "httpd", "www", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise BenchError("no unprivileged user found to run httpd as")


def own(path: str) -> None:
    """Gives a directory to the user that servers run as."""
    os.makedirs(path, exist_ok=True)
    user = plain_user()
    if user:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A server process in a session of its own, so that it can be stopped with its children."""

    def __init__(self, command: Sequence[str], root: str, env: dict[str, str], core: Optional[int]):
        self.root = root
        self.port = 0
        self.command = list(command)
        if core is not None and shutil.which("taskset"):
            self.command = ["taskset", "-c", str(core), *self.command]
        self.env = dict(os.environ, LC_ALL="C", **env)
        self.process: Optional[subprocess.Popen] = None

    def spawn(self) -> None:
        """Starts the process without waiting for an answer."""
        more = {}
        user = plain_user()
        if user:
            group = grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
            more = {"user": user, "group": group, "extra_groups": []}
        with open(os.path.join(self.root, "output.log"), "ab") as output:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.root,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **more,
            )
        RUNNING.append(self)

    @property
    def pid(self) -> int:
        """The pid of the process that was started (taskset replaces itself by the server)."""
        assert self.process is not None
        return self.process.pid

    def wait_ready(self, seconds: float = 60) -> None:
        """Returns when the port accepts connections.

        Raises BenchError with the end of the server's log when it stops or does not answer in time.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process is None or self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.002)
        raise BenchError("server did not start:\n" + self.log_tail())

    def log_tail(self, lines: int = 8) -> str:
        """The last lines of the error log and of what the server printed."""
        found: list[str] = []
        for name in ("error.log", "output.log"):
            path = os.path.join(self.root, name)
            if os.path.exists(path):
                with open(path, errors="replace") as log:
                    found += log.read().splitlines()[-lines:]
        return "\n".join(found)

    def explain(self, error: Exception) -> str:
        """An error's text with the last error of the server's log, where there is one."""
        try:
            with open(os.path.join(self.root, "error.log"), errors="replace") as log:
                found = [line for line in log if ":error]" in line or ":crit]" in line]
        except OSError:
            found = []
        tail = found[-1].rpartition("] ")[2].strip()[-300:] if found else ""
        return "%s (its log: %s)" % (error, tail) if tail else str(error)

    def start(self) -> None:
        """Starts the process and waits for its port; one that fails to answer is stopped.

        Raises BenchError with the end of the log.
        """
        self.spawn()
        try:
            self.wait_ready()
        except BenchError:
            self.stop(hard=True)
            raise

    def children(self) -> list[int]:
        """The pids of the children that are alive."""
        found = []
        for path in glob.glob("/proc/[0-9]*/stat"):
            try:
                with open(path) as stat:
                    fields = stat.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == self.pid:
                found.append(int(path.split("/")[2]))
        return sorted(found)

    def cpu_seconds(self) -> float:
        """The processor time that the process and its living children have used so far."""
        ticks = 0
        for pid in [self.pid, *self.children()]:
            try:
                with open("/proc/%d/stat" % pid) as stat:
                    fields = stat.read().rpartition(")")[2].split()
            except OSError:
                continue
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self, hard: bool = False) -> None:
        """Stops the process and its children; `hard` skips the polite signal."""
        if self in RUNNING:
            RUNNING.remove(self)
        if self.process is None:
            return
        if not hard and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


def stop_all() -> None:
    """Stops whatever this run still has running."""
    for each in list(RUNNING):
        each.stop(hard=True)


class Server(Process):
    """One httpd with a configuration made of a fixed frame and the peer's own lines."""

    def __init__(
        self,
        httpd: Httpd,
        root: str,
        mpm: str,
        shape: dict[str, int],
        lines: Sequence[str],
        env: Optional[dict[str, str]] = None,
        core: Optional[int] = None,
        prefix: Sequence[str] = (),
        one_process: bool = False,
    ):
        own(root)
        self.config = os.path.join(root, "httpd.conf")
        command = [*list(prefix), httpd.binary, "-f", self.config]
        command += ["-X"] if one_process else ["-DFOREGROUND"]
        super().__init__(command, root, env or {}, core)
        self.port = free_port()
        frame = [
            'ServerRoot "%s"' % root,
            'DefaultRuntimeDir "%s"' % root,
            'PidFile "%s/httpd.pid"' % root,
            'ErrorLog "%s/error.log"' % root,
            "LogLevel warn",
            "ServerName localhost",
            "Listen 127.0.0.1:%d" % self.port,
        ]
        frame += httpd.load(["mpm_" + mpm]) + httpd.load(MODULES)
        frame += ['TypesConfig "%s/mime.types"' % root, "AddType text/plain .txt"]
        frame += ["AddType application/octet-stream .bin", "Timeout 120", "KeepAlive On"]
        frame += ["MaxKeepAliveRequests 0", "KeepAliveTimeout 60"]
        frame += ["%s %d" % pair for pair in shape.items()]
        with open(os.path.join(root, "mime.types"), "w") as types:
            types.write("text/html html\n")
        with open(self.config, "w") as out:
            out.write("\n".join(frame + list(lines)) + "\n")

    def deaths(self) -> int:
        """How many children ended by a signal, after the error log."""
        path = os.path.join(self.root, "error.log")
        if not os.path.exists(path):
            return 0
        with open(path, errors="replace") as log:
            return sum("exit signal" in line for line in log)
