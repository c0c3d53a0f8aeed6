"""Every method and attribute with hostile values, from the wrong thread, too late: no child dies.

MOD_PYTHON_HOSTILE_SECONDS (default 8) says for how long; a seed that killed a child is in the
failure's text, and MOD_PYTHON_HOSTILE_SEED starts with it. Each soak begins with another one.
"""

import os
import random
import threading
import time

import pytest

from pyhttpd import Connection, Site
from pyhttpd.error_log import DISASTER

pytestmark = pytest.mark.mpms("event", "prefork")

SECONDS = float(os.environ.get("MOD_PYTHON_HOSTILE_SECONDS", "8"))
_DEFAULT = random.randrange(1, 10**9) if os.environ.get("MOD_PYTHON_SOAK") else 1
SEED = int(os.environ.get("MOD_PYTHON_HOSTILE_SEED", "0")) or _DEFAULT

HANDLER = r"""
    import gc, random, sys, threading, types
    import _apache
    from mod_python import apache

    class Text(str):
        pass

    class Number(int):
        pass

    class BadIndex:
        def __index__(self):
            raise KeyError("index")
        __int__ = __bool__ = __len__ = __str__ = __repr__ = __hash__ = __iter__ = __index__
        def __eq__(self, other):
            raise KeyError("eq")
        __lt__ = __eq__

    class Deleter:
        # Changes what it is used on, in the middle of the operation.
        def __init__(self, table):
            self.table = table
        def __str__(self):
            self.table.clear()
            return "deleted"
        def __eq__(self, other):
            self.table.clear()
            return True
        def keys(self):
            self.table.clear()
            return ["a", "b"]
        def __getitem__(self, key):
            self.table.add("x", "y")
            if isinstance(key, int) and key > 5:
                raise IndexError(key)
            return "z"
        __hash__ = object.__hash__

    class Lying(dict):
        def keys(self):
            return [1, None, "a", self]

    recursive = []
    recursive.append(recursive)
    recursive_dict = {}
    recursive_dict["x"] = recursive_dict

    def values(req, chance):
        table = apache.table({"a": "1"})
        return [
            None, True, False, 0, 1, -1, 5, 255, 256, 500, 2**31 - 1, 2**31, -2**31, 2**32,
            2**63 - 1, 2**63, -2**63, 2**200, 1.5, -0.0, float("nan"), float("inf"), 1e300, 3j,
            "", "x", "x" * 70000, "a\0b", "\0", "\udce9", "\udcff\ud800", "\u20ac", "caf\u00e9",
            "%s%n%d", "../..", "/", "//", "/etc/passwd", "@root@/htdocs", "@root@/htdocs/hostile",
            "a: b\r\nc: d", "\r\n\r\n", "PythonHandler", "PythonLogHandler", "hostile::touched",
            b"", b"x", b"\xff\0", b"y" * 70000, bytearray(b"x"), memoryview(b"abc"),
            memoryview(bytearray(100))[::2], [], (), {}, set(), recursive, recursive_dict, ["a", 1],
            ("a", "b"), {"a": 1}, {1: 2}, [("a", "b"), ("a",)], [[1, 2]], object(), object, type,
            len, lambda *a: 1 / 0, print, Text("t"), Number(3), BadIndex(), Deleter(table),
            Deleter(req.headers_out), Lying(a=1), ValueError("x"), ValueError, sys, gc,
            iter(["a", "b"]), (i for i in range(3)), req, req.connection, req.server, req.notes,
            req.headers_in, table, req.finfo, apache.SERVER_RETURN, NotImplemented, Ellipsis,
            slice(0, 3), range(5), types.SimpleNamespace(a=1), threading.current_thread(),
        ]

    # What blocks, ends, or hands the work to others: no part of this test.
    SKIPPED = {
        "_global_lock", "_global_trylock", "_global_unlock", "internal_redirect",
        "_process_lock", "_process_unlock",
        "__class__", "__dict__", "__reduce__", "__reduce_ex__", "__subclasshook__",
        "__init_subclass__", "__new__", "__getstate__", "__doc__", "__module__", "__dir__",
    }
    CONNECTION_SKIPPED = {"read", "readline", "write", "keepalive"}

    alive = {}
    dead = []

    def targets(req, table):
        found = [
            ("req", req), ("connection", req.connection), ("server", req.server),
            ("main", apache.main_server), ("headers_in", req.headers_in),
            ("headers_out", req.headers_out), ("notes", req.notes), ("env", req.subprocess_env),
            ("options", req.get_options()), ("finfo", req.finfo), ("hlist", req.hlist),
            ("table", table), ("iterator", iter(table)), ("items", req.headers_in.iteritems()),
            ("_apache", _apache), ("table type", apache.table),
        ]
        for other in list(alive.values()):
            found.append(("other req", other))
        found.extend(("dead", thing) for thing in dead[:2])
        return found

    OPERATORS = (
        repr, str, bool, len, list, hash, iter, next, abs, sorted, dict, vars, dir, bytes,
        lambda x: x == x, lambda x: x < x, lambda x: x + x, lambda x: x["a"], lambda x: x[0],
        lambda x: "a" in x, lambda x: x(), lambda x: [i for i in x], lambda x: x[-1],
    )

    def once(chance, req, table, given):
        name, thing = chance.choice(targets(req, table))
        kind = chance.random()
        if kind < 0.1:
            chance.choice(OPERATORS)(thing)
            return
        names = dir(thing)
        if chance.random() < 0.9:
            names = [name for name in names if not name.startswith("__")] or names
        attribute = chance.choice(names)
        if attribute in SKIPPED:
            return
        if attribute in CONNECTION_SKIPPED and "conn" in str(type(thing)):
            return
        if kind < 0.25:
            setattr(thing, attribute, chance.choice(given)) if thing is not _apache else None
        elif kind < 0.28:
            delattr(thing, attribute) if thing is not _apache else None
        elif kind < 0.4:
            getattr(thing, attribute)
        else:
            function = getattr(thing, attribute)
            count = chance.choice((0, 1, 1, 1, 2, 2, 3))
            arguments = [chance.choice(given) for _ in range(count)]
            if attribute in ("add_handler",) and arguments[:1] == ["PythonHandler"]:
                return
            if callable(function):
                function(*arguments)

    def touched(*arguments):
        return apache.OK

    def run(seed, req, count):
        chance = random.Random(seed)
        table = apache.table({"a": "1", "b": "2"})
        given = values(req, chance)
        for _ in range(count):
            try:
                once(chance, req, table, given)
            except BaseException as error:
                if isinstance(error, MemoryError):
                    raise

    def handler(req):
        seed = int(req.args)
        chance = random.Random(seed)
        alive[seed] = req
        try:
            if chance.random() < 0.2:
                # A thread of the program's own works on the request meanwhile.
                thread = threading.Thread(target=run, args=(seed + 1, req, 40))
                thread.start()
                run(seed, req, 150)
                thread.join(5)
            else:
                run(seed, req, 200)
        finally:
            del alive[seed]
        dead.append(chance.choice([req, req.connection, iter(req.notes), req.hlist, req.write,
                                   req.headers_in, req.read, req.server]))
        del dead[:-10]
        if chance.random() < 0.05:
            gc.collect()
        return apache.OK

    def outputfilter(filter):
        chance = random.Random(id(filter))
        given = values(filter.req, chance)
        for _ in range(20):
            try:
                attribute = chance.choice(dir(filter))
                if attribute in SKIPPED:
                    continue
                if chance.random() < 0.3:
                    setattr(filter, attribute, chance.choice(given))
                else:
                    count = chance.choice((0, 1, 2))
                    getattr(filter, attribute)(*[chance.choice(given) for _ in range(count)])
            except BaseException:
                pass
        filter.pass_on()
"""

SITE = Site(
    conf="""
        Timeout 1
        KeepAliveTimeout 1
        <Directory @root@/htdocs/hostile>
            SetHandler mod_python
            PythonHandler hostile
            PythonOption some option
            PythonOutputFilter hostile HOSTILE
            <Files filtered>
                SetOutputFilter HOSTILE
            </Files>
        </Directory>
    """,
    files={"hostile/hostile.py": HANDLER, "hostile/filtered": "", "hostile/plain": ""},
    threads=8,
    log_level="error",
)


@pytest.fixture(autouse=True)
def only_ours(mod_python):
    if mod_python.name == "original":
        pytest.skip("the original crashes")


def attack(server, seeds, deadline, recent):
    while time.monotonic() < deadline:
        seed = next(seeds)
        recent.append(seed)
        del recent[:-5]
        name = "filtered" if seed % 7 == 0 else "plain"
        body = b"some body\n" * (seed % 50) if seed % 3 == 0 else None
        try:
            with Connection(server.port, timeout=20) as connection:
                connection.request(
                    f"/hostile/{name}?{seed}", "POST" if body else "GET", body=body,
                    headers=[("Connection", "close")],
                )  # fmt: skip
        except OSError:
            # Whatever the handler did to its own answer; only the child's health counts.
            pass


def test_no_child_dies(make_server):
    server = make_server(SITE)
    server.start()
    chance = random.Random(SEED)
    lock = threading.Lock()

    def seeds():
        yield SEED
        while True:
            yield chance.randrange(10**9)

    source = seeds()

    class Locked:
        def __next__(self):
            with lock:
                return next(source)

    deadline = time.monotonic() + SECONDS
    recent = [[] for _ in range(4)]
    threads = [
        threading.Thread(target=attack, args=(server, Locked(), deadline, mine)) for mine in recent
    ]
    for thread in threads:
        thread.start()
    lost = set()
    while any(thread.is_alive() for thread in threads):
        lost |= server.lost_children()
        if lost:
            break
        time.sleep(0.05)
    seen = [list(mine) for mine in recent]
    for thread in threads:
        thread.join()
    disasters = [str(line) for line in server.log.lines() if DISASTER.search(line.message)]
    assert not lost and not disasters, f"seeds {seen}: {sorted(lost)} {disasters}"
    # It still works.
    with Connection(server.port) as connection:
        assert connection.request("/up.txt").text == "up\n"
