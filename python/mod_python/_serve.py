"""`mod_python serve TARGET`: a private httpd in the foreground, readable logs, a clean end."""

import optparse
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from mod_python import _httpd, _site

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Runs between fork and exec. On Linux httpd is told to stop (SIGTERM, 15) by PR_SET_PDEATHSIG (1)
# even when the command is killed outright; elsewhere that alone can leave httpd behind.
LAUNCHER = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 15)
os.execv(sys.argv[1], sys.argv[1:])
"""
COLOURS = {"emerg": 31, "alert": 31, "crit": 31, "error": 31, "warn": 33, "notice": 36}
TARGETS = """TARGET is a directory of handlers, publisher and PSP pages; a Python file with a
handler; a WSGI application written module:application; or a file with a site's part of httpd.conf,
which may use the variables SITE (the file's directory), STATE (a directory httpd's children may
write to) and PORT."""


def options_from(argv):
    parser = optparse.OptionParser(
        prog="mod_python", usage="%prog serve [options] TARGET", description=TARGETS
    )
    add = parser.add_option
    add("--listen", default="127.0.0.1:8080", help="address:port or port [default: %default]")
    add("--mpm", help="event, worker or prefork [default: the first there is]")
    add("--processes", type="int", help="number of child processes")
    add("--threads", type="int", help="threads of a child process (event, worker)")
    add("--reload", action="store_true", help="restart gracefully when a file of TARGET changes")
    add("--debug", action="store_true", help="PythonDebug On: tracebacks in the browser")
    add("--define", action="append", default=[], metavar="NAME=VALUE", help="a Define; repeatable")
    add("--module", help="the mod_python.so to load [default: the one built or installed]")
    add("--httpd", default="", help="the httpd to run [default: the one built for]")
    add("--user", help="who the children run as when started by root")
    options, targets = parser.parse_args(argv)
    if len(targets) != 1:
        parser.error("Must specify one TARGET")
    host, _, port = options.listen.rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 65536:
        parser.error("--listen takes address:port or a port, not %s" % options.listen)
    options.host, options.port = host or "127.0.0.1", int(port)
    options.listen = "%s:%d" % (options.host, options.port)
    options.define = [item.partition("=")[::2] for item in options.define]
    for number in ("processes", "threads"):
        if getattr(options, number) is not None and getattr(options, number) < 1:
            parser.error("--%s must be at least 1" % number)
    return options, targets[0]


def check_port_is_free(host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
        except OSError as error:
            raise _httpd.NotUsable(
                "cannot listen on %s:%d: %s; choose another port with --listen"
                % (host, port, error.strerror)
            ) from error


class Server:
    """A running httpd and its output; `stop` is a signal handler that asks for the end."""

    stopping = False

    def __init__(self):
        self.woken, self.wakes = os.pipe()

    def start(self, httpd, conf, environment):
        self.coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, httpd.binary, "-f", conf, "-DFOREGROUND"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # Ctrl-C comes to us only, and we end httpd in order
        )
        self.pending = b""
        self.selector = selectors.DefaultSelector()
        os.set_blocking(self.process.stdout.fileno(), False)
        self.selector.register(self.process.stdout, selectors.EVENT_READ)
        self.selector.register(self.woken, selectors.EVENT_READ)
        self.has_output = True

    def stop(self, signum, frame):
        if not self.stopping:
            self.stopping = True
            # After a signal Python goes on waiting; this ends the wait.
            os.write(self.wakes, b"!")

    def show(self, line):
        kind = line[1:].partition("]")[0] if line.startswith("[") else ""
        if kind == "access":
            line = line[len("[access] ") :]
        colour = COLOURS.get(kind.rpartition(":")[2])
        if kind == "access" and line[:1] in "45":
            colour = 33
        if self.coloured and colour:
            line = "\033[%dm%s\033[0m" % (colour, line)
        print(line, flush=True)

    def pump(self, seconds):
        """Show what httpd says for at most `seconds`; returns at once when it or we are to end."""
        for key, _ in self.selector.select(seconds):
            if key.fileobj == self.woken:
                os.read(self.woken, 1)
                continue
            data = self.process.stdout.read()
            if data:
                *lines, self.pending = (self.pending + data).split(b"\n")
                for line in lines:
                    self.show(line.decode("utf-8", "backslashreplace"))
            elif data == b"":
                self.selector.unregister(self.process.stdout)
                self.has_output = False
        if not self.has_output and self.process.poll() is None:
            time.sleep(min(seconds, 0.1))  # it closed its output and is about to end

    def end(self):
        """SIGTERM, then SIGKILL to whatever of it is left after ten seconds."""
        if self.process.poll() is None:
            self.process.terminate()
            deadline = time.monotonic() + 10
            while self.process.poll() is None and time.monotonic() < deadline:
                self.pump(0.1)
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # none is left
        self.process.wait()
        self.pump(0)
        if self.pending:
            self.show(self.pending.decode("utf-8", "backslashreplace"))
        return self.process.returncode


def answers(root, host, port):
    """Whether httpd accepts connections there and has not stumbled over anything else."""
    # It writes this file once all its ports are open and all modules are content.
    if not os.path.exists(os.path.join(root, "httpd.pid")):
        return False
    try:
        socket.create_connection((host.strip("[]"), port), timeout=1).close()
    except OSError:
        return False
    return True


def newest(folder):
    """The newest modification below a folder, and how many files there are."""
    times = []
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _site.NOT_COPIED]
        for name in files:
            try:
                times.append(os.stat(os.path.join(here, name)).st_mtime_ns)
            except FileNotFoundError:
                pass  # removed between listing and looking, which the count will show
    return max(times, default=0), len(times)


def run(server, options, site):
    """Watch over the server until it is told to stop or ends; returns the exit status."""
    url = "http://%s:%d/" % (options.host, options.port)
    announced, state = False, newest(site.folder) if options.reload else None
    while not server.stopping and server.process.poll() is None:
        server.pump(0.1 if not announced else 1)
        if not announced and answers(options.root, options.host, options.port):
            announced = True
            print("%s is served at %s (Ctrl-C stops it)" % (site.what, url), flush=True)
        if options.folder != site.folder:
            _site.mirror(site.folder, options.folder)
        if options.reload and announced:
            now = newest(site.folder)
            if now != state:
                state = now
                print("files changed: restarting gracefully", flush=True)
                server.process.send_signal(signal.SIGUSR1)
    asked = server.stopping
    status = server.end()
    if asked:
        print("stopped", flush=True)
        return 0
    print("httpd ended by itself with status %d" % status, file=sys.stderr)
    return status or 1


def prepare(options, site):
    """Everything httpd needs before it starts: user, readable copies, server root, environment."""
    httpd = _httpd.Httpd(options.httpd)
    options.module = _httpd.module_path(options.module)
    if not os.path.exists(options.module):
        raise _httpd.NotUsable("%s does not exist: run `make build`" % options.module)
    check_port_is_free(options.host, options.port)
    user = None
    if os.geteuid() == 0:
        user = _httpd.unprivileged_user(options.user)
    environment = dict(os.environ)
    options.folder, package = site.folder, _site.package_parent()
    if user and not _httpd.may_read(user, site.folder):
        options.folder = os.path.join(options.root, "site")
        _site.mirror(site.folder, options.folder)
        print(
            "%s cannot read %s: serving a copy, kept up to date with it"
            % (user.pw_name, site.folder),
            flush=True,
        )
    if user and _site.in_virtual_environment() and not _httpd.may_read(user, sys.prefix):
        raise _httpd.NotUsable(
            "%s, as whom httpd's children would run, cannot read the virtual environment %s; "
            "name somebody else with --user" % (user.pw_name, sys.prefix)
        )
    if _site.needs_pythonpath():
        if user and not _httpd.may_read(user, package):
            copy = os.path.join(options.root, "python")
            _site.mirror(os.path.join(package, "mod_python"), os.path.join(copy, "mod_python"))
            package = copy
        paths = [package, environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    conf = _site.write_server_root(httpd, site, options, user)
    return httpd, conf, environment


def main(argv):
    """Run the command; returns the exit status."""
    options, target = options_from(argv)
    os.umask(0o022)  # httpd's children, perhaps another user's, read what is written here
    options.root = tempfile.mkdtemp(prefix="mod_python-")
    server = Server()
    for signum in STOP_SIGNALS:
        signal.signal(signum, server.stop)
    try:
        site = _site.Site(target)
        server.start(*prepare(options, site))
        return run(server, options, site)
    except _httpd.NotUsable as error:
        print("mod_python serve: %s" % error, file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(options.root, ignore_errors=True)
