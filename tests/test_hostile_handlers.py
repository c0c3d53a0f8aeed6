"""Handlers that do what handlers must not: the child lives where CPython can, else it dies alone.

What spoils an interpreter for good has one of its own here.
"""

import os
import re
import time

import pytest

from pyhttpd import Connection, Site

HANDLER = r"""
    import atexit, builtins, gc, os, signal, sys, threading, time
    from mod_python import apache

    kept = []

    def recursion(req):
        def down(n):
            return down(n + 1) + 1
        down(0)

    def recursion_in_c(req):
        deep = []
        for _ in range(10**5):
            deep = [deep]
        try:
            repr(deep)
        finally:
            # Freed bit by bit, as Python itself would.
            while deep:
                deep = deep[0]

    def no_limit(req):
        sys.setrecursionlimit(10**9)
        class Deep:
            def __repr__(self):
                return repr(self)
        repr(Deep())

    def os_exit(req):
        os._exit(3)

    def sys_exit(req):
        sys.exit("the handler wants to exit")

    def exit_in_thread(req):
        thread = threading.Thread(target=sys.exit)
        thread.start()
        thread.join()
        req.write("alive")

    def late_thread(req):
        def late():
            while not over.is_set():
                over.wait(1)
            seen = set()
            # The request ends some time after its cleanups; then each of these raises.
            while seen != {"RuntimeError"}:
                seen = set()
                for name in ("write", "log_error", "uri", "sendfile", "method", "args"):
                    try:
                        value = getattr(req, name)
                        seen.add(str(value("x") if callable(value) else value))
                    except Exception as error:
                        seen.add(type(error).__name__)
            # Whole as soon as it is there.
            with open("@root@/tmp/late.new", "w") as file:
                file.write(" ".join(seen))
            os.replace("@root@/tmp/late.new", "@root@/tmp/late")
        over = threading.Event()
        req.register_cleanup(lambda _: over.set())
        threading.Thread(target=late).start()
        req.write("alive")

    class Bad:
        def __init__(self, req=None):
            self.req = req
            self.circle = self
        def __del__(self):
            gc.collect()
            raise ValueError("in __del__")

    def bad_del(req):
        for _ in range(10):
            Bad(req)
        gc.collect()
        kept.append(Bad(req))
        kept.clear()
        req.write("alive")

    def collects(req):
        class Collector:
            def __str__(self):
                gc.collect()
                return "x"
            def __del__(self):
                gc.collect()
        gc.set_threshold(1)
        try:
            for _ in range(20):
                req.headers_out["X"] = str(Collector())
                req.notes["a"] = str(Collector())
                req.write(str(Collector()))
                req.register_cleanup(lambda _, c=Collector(): str(c))
                gc.collect()
        finally:
            gc.set_threshold(700, 10, 10)

    def handles_signals(req):
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGINT):
            try:
                signal.signal(number, lambda *_: None)
            except ValueError:
                # Only the main thread may, which serves requests under prefork.
                pass
        req.write("alive")

    def sigsegv(req):
        os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(10)

    def sigabrt(req):
        os.abort()

    def forks(req):
        pid = os.fork()
        if pid:
            req.write("parent %d" % os.waitpid(pid, 0)[1])
        else:
            req.write("")
        return apache.OK

    def forks_and_fails(req):
        pid = os.fork()
        if not pid:
            raise ValueError("in the forked process")
        req.write("parent %d" % os.waitpid(pid, 0)[1])

    def forks_in_thread(req):
        def work():
            pid = os.fork()
            if not pid:
                return
            result.append(os.waitpid(pid, 0)[1])
        result = []
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        req.write("parent %r" % result)

    def forks_well(req):
        import multiprocessing, subprocess
        context = multiprocessing.get_context("fork")
        process = context.Process(target=len, args=("x",))
        process.start()
        process.join()
        out = subprocess.run(["echo", "x"], stdout=subprocess.PIPE, check=True).stdout
        # The exit status is CPython's affair: not 0 where the thread is one that it did not start.
        req.write("%s %r" % (process.exitcode is None, out))

    def exec_fails(req):
        os.execv("/nonexistent", ["x"])

    def closes(req):
        os.closerange(3, 4096)
        req.write("closed")

    def memory(req):
        b"x" * 2**46

    def huge_read(req):
        req.read(2**46)
        req.write("alive")

    lock = threading.Lock()

    def deadlock(req):
        req.server.log_error("deadlock now", apache.APLOG_NOTICE)
        lock.acquire()
        lock.acquire()

    def keeps(req):
        kept.append((req, req.write, req.headers_in, req.connection, iter(req.headers_in)))
        for old in kept[:-1]:
            for part in old:
                try:
                    part("x") if callable(part) else repr(part)
                    list(part)
                except (RuntimeError, TypeError):
                    pass
        req.write("alive")

    def no_builtins(req):
        for name in list(vars(builtins)):
            if name not in ("__build_class__", "__import__"):
                delattr(builtins, name)

    def other_builtins(req):
        for name in ("len", "isinstance", "str", "getattr", "open", "Exception", "print"):
            setattr(builtins, name, None)

    def no_modules(req):
        sys.modules.clear()

    def deletes_builtins(req):
        globals().pop("__builtins__", None)

    def no_streams(req):
        sys.stdout = sys.stderr = None
        print("nowhere")
        raise ValueError("without streams")

    def broken_streams(req):
        class Broken:
            def write(self, text):
                raise ValueError("no write")
            flush = write
        sys.stdout = sys.stderr = Broken()
        Bad()
        gc.collect()
        raise ValueError("with broken streams")

    def broken_apache(req):
        import mod_python
        for name in list(sys.modules):
            if name.startswith("mod_python") or name == "traceback":
                sys.modules[name] = None
        raise ValueError("without modules")

    def broken_error(req):
        class Broken(Exception):
            def __str__(self):
                raise KeyError("str")
            __repr__ = __str__
            @property
            def args(self):
                raise KeyError("args")
        raise Broken()

    def traces(req):
        def trace(*_):
            raise ValueError("trace")
        sys.settrace(trace)
        sys.setprofile(trace)

    def interrupts(req):
        raise KeyboardInterrupt

    def generator_exit(req):
        raise GeneratorExit

    def stays(req):
        def forever():
            while True:
                time.sleep(0.01)
        threading.Thread(target=forever, daemon=True).start()
        threading.Thread(target=forever, daemon=False).start()
        atexit.register(sys.stderr.write, "atexit")
        req.write("alive")

    def pid(req):
        req.write(str(os.getpid()))

    def switches(req):
        sys.setswitchinterval(1e-9)
        req.write("alive")

    def async_exception(req):
        import ctypes
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(threading.get_ident()), ctypes.py_object(KeyError)
        )
        # It comes somewhere after this.

    def null(req):
        import ctypes
        ctypes.string_at(0)

    def changes_classes(req):
        for target in (type(req), type(req.headers_in), type(req.connection), apache.table):
            for name in ("write", "get", "__init__", "x"):
                try:
                    setattr(target, name, None)
                    req.write("changed ")
                except TypeError:
                    pass
                try:
                    delattr(target, name)
                    req.write("deleted ")
                except (TypeError, AttributeError):
                    pass
        req.write("alive")

    def chdir(req):
        os.chdir("/")
        os.umask(0o22)
        req.write("alive")

    def handler(req):
        return globals()[req.path_info[1:]](req) or apache.OK
"""
# Spoil their interpreter for those that come after.
SPOILERS = (
    "no_builtins other_builtins no_modules deletes_builtins no_streams broken_streams "
    "broken_apache traces"
).split()
SITE = Site(
    conf="""
        # A child that was killed may take long to be replaced.
        KeepAliveTimeout 60
        <Directory @root@/htdocs/h>
            SetHandler mod_python
            PythonHandler evil
            PythonInterpreter main_interpreter
        </Directory>
        <Location /h/x/recursion_in_c>
            PythonInterpreter another
        </Location>
    """
    + "".join(
        f"<Location /h/x/{name}>\nPythonInterpreter {name}\n</Location>\n" for name in SPOILERS
    ),
    files={"h/evil.py": HANDLER, "h/x": ""},
    children=2,
    # Where all are busy for a moment, httpd closes the connections that clients keep.
    threads=16,
)


@pytest.fixture(autouse=True)
def only_ours(mod_python, mpm):
    if mod_python.name == "original":
        pytest.skip("the original crashes")
    if mpm == "worker" and not os.environ.get("MOD_PYTHON_SOAK"):
        pytest.skip("as under event; runs in a soak")


def ask(server, name):
    with Connection(server.port, timeout=60) as connection:
        return connection.request("/h/x/" + name)


def works(server):
    answer = ask(server, "pid")
    return answer.status == 200 and answer.text.isdigit()


# name -> the answer's status and text, and what the log says. The child lives.
LIVES = {
    "recursion": (500, "", "RecursionError: maximum recursion depth exceeded"),
    # "maximum recursion depth exceeded"; from Python 3.14 on "Stack overflow".
    "recursion_in_c": (500, "", "RecursionError: "),
    "sys_exit": (500, "", "SystemExit: the handler wants to exit"),
    "exit_in_thread": (200, "alive", None),
    "bad_del": (200, "alive", "ValueError: in __del__"),
    "collects": (200, "x" * 20, None),
    "exec_fails": (500, "", "FileNotFoundError"),
    "memory": (500, "", "MemoryError"),
    "huge_read": (200, "alive", None),
    "keeps": (200, "alive", None),
    "no_builtins": (500, "", "NameError: name 'delattr' is not defined"),
    "other_builtins": (200, "", None),
    # Whatever imports something next fails, CPython's own code too; the time decides when.
    "no_modules": ((200, 500), "", None),
    "deletes_builtins": (200, "", None),
    "no_streams": (500, "", "ValueError: without streams"),
    "broken_streams": (500, "", "ValueError: with broken streams"),
    "broken_apache": (500, "", "ValueError: without modules"),
    "broken_error": (500, "", "Broken"),
    "traces": (500, "", "ValueError: trace"),
    "interrupts": (500, "", "KeyboardInterrupt"),
    "generator_exit": (500, "", "GeneratorExit"),
    "switches": (200, "alive", None),
    "async_exception": (500, "", "KeyError"),
    "changes_classes": (200, "alive", None),
}


@pytest.mark.parametrize("name", LIVES)
def test_lives(server, log, name):
    status, text, message = LIVES[name]
    log.allow("^error: ", "^stderr: ")
    # Twice: what is left behind must not hurt the next one either.
    for _ in range(2):
        answer = ask(server, name)
        assert answer.status in (status if isinstance(status, tuple) else (status,)), answer
        assert answer.status == 500 or answer.text == text
    if message:
        log.wait_for(re.escape(message))
    assert works(server)


def test_threads_that_outlive_the_request(server, log):
    log.allow("^stderr: ", "^error: ")
    assert ask(server, "late_thread").text == "alive"
    late = server.root / "tmp/late"
    deadline = time.monotonic() + 60
    while not late.exists():
        assert time.monotonic() < deadline, "the thread has died"
        time.sleep(0.01)
    assert late.read_text() == "RuntimeError"
    assert works(server)


# With further interpreters CPython gets stuck in fork (3.11) or refuses it (3.12), so these have a
# server without. The forked process ends by itself, the child serves on.
FORKS = {
    "forks": (200, "parent 256", "MP0111: a process that a handler forked came back"),
    "forks_and_fails": (200, "parent 256", "ValueError: in the forked process"),
    "forks_in_thread": (200, "parent [0]", None),
    "forks_well": (200, "False b'x\\n'", None),
}
FORK_SITE = Site(
    conf="""
        <Directory @root@/htdocs/h>
            SetHandler mod_python
            PythonHandler evil
            PythonInterpreter main_interpreter
        </Directory>
    """,
    files=SITE.files,
    threads=4,
)


def test_forks(make_server, watch):
    server = make_server(FORK_SITE)
    with server:
        log = watch(server)
        log.allow("^error: ", "^stderr: ")
        for name, (status, text, message) in FORKS.items():
            for _ in range(2):
                answer = ask(server, name)
                assert (answer.status, answer.text) == (status, text), name
                assert works(server)
            if message:
                log.expect(re.escape(message))
        for _ in range(20):
            assert works(server)


# name -> why, in the log. The child dies, and it alone.
DIES = {
    "no_limit": "AH0005[12]: child pid {} exit signal Segmentation fault",
    "null": "AH0005[12]: child pid {} exit signal Segmentation fault",
    "sigsegv": "AH0005[12]: child pid {} exit signal Segmentation fault",
    "sigabrt": "AH0005[12]: child pid {} exit signal Abort",
    "os_exit": r"crit: MP0110: os._exit\(3\) ends this child .* in os_exit",
}


@pytest.mark.parametrize("name", DIES)
def test_dies_alone(server, log, python_version, name):
    if name == "no_limit" and python_version >= (3, 12):
        pytest.skip("Python has a limit of its own for C's stack")
    log.deaths_expected = True
    log.allow("AH0005[12]", "MP0110")
    held = {}
    connections = []
    try:
        # A connection to each of two children, which stays with it.
        while len(held) < 2:
            assert len(connections) < 300, "one child takes every connection"
            connections.append(Connection(server.port))
            held.setdefault(connections[-1].request("/h/x/pid").text, connections[-1])
        (victim, doomed), (other, spared) = held.items()
        assert doomed.request("/h/x/" + name).broken == "no answer"
        # Nobody else noticed.
        assert spared.request("/h/x/pid").text == other
    finally:
        for connection in connections:
            connection.close()
    log.wait_for(DIES[name].format(victim))
    assert works(server)


@pytest.mark.parametrize("name", ["stays", "handles_signals", "chdir", "deadlock"])
def test_the_server_still_ends(make_server, name):
    # Threads of its own that never end, atexit functions, signal handlers in the main thread, which
    # serves requests under prefork, and a request that waits for itself.
    if name in ("deadlock", "handles_signals") and not os.environ.get("MOD_PYTHON_SOAK"):
        pytest.skip("httpd's ten seconds; runs in a soak")
    server = make_server(SITE)
    with server:
        if name == "deadlock":
            with Connection(server.port) as connection:
                connection.send(b"GET /h/x/deadlock HTTP/1.0\r\n\r\n")
                server.log.wait_for("deadlock now")
        else:
            assert ask(server, name).text == "alive"
        for _ in range(5):
            assert works(server)
        process = server.process
        server.stop()
        # Where the child does not end, httpd kills it after ten seconds.
        assert process.returncode == 0
    lines = [str(line) for line in server.log.lines()]
    disasters = [line for line in lines if "exit signal" in line or "Fatal" in line]
    assert not disasters, disasters


def test_closed_descriptors(make_server):
    # A child without its sockets is of no use: it may go, the others serve on.
    server = make_server(SITE)
    with server:
        answer = ask(server, "closes")
        assert answer.broken or answer.status == 500
        for _ in range(20):
            assert works(server)
        server.log.wait_for("(error closing socket|AH02179|Bad file descriptor|Write failed)")
