"""mod_python.cache without httpd: freshness, eviction, threads, and a small web server."""

import gc
import http.server
import os
import subprocess
import sys
import threading

import pytest

from mod_python import cache

pytestmark = pytest.mark.mpms("event")


class Doubling(cache.Cache):
    """Records its calls; the value of a name is the name twice."""

    def __init__(self, max_size=0):
        cache.Cache.__init__(self, max_size)
        self.calls = []

    def check(self, key, name, entry):
        self.calls.append(("check", key, name))

    def build(self, key, name, opened, entry):
        self.calls.append(("build", key, name, opened))
        return name * 2

    def commit(self):
        self.calls.append("commit")


def test_build_on_demand():
    c = Doubling()
    assert c["a"] == "aa"
    assert c.calls == [("check", "a", "a"), ("build", "a", "a", None), "commit"]
    del c.calls[:]
    assert c["a"] == "aa"
    assert c.calls == [("check", "a", "a")]


def test_a_plain_cache_is_a_dict_that_cannot_build():
    c = cache.Cache()
    c["x"] = 5
    assert (c["x"], len(c), "x" in c) == (5, 1, True)
    del c["x"]
    for _ in range(2):
        with pytest.raises(NotImplementedError):
            c["x"]
    with pytest.raises(KeyError):
        del c["x"]
    with pytest.raises(TypeError):
        iter(c)
    c["x"] = 6
    c.clear()
    assert len(c) == 0
    assert (c.mru(), c.lru()) == (None, None)


def test_opened_resource_means_stale():
    class Stale(Doubling):
        def check(self, key, name, entry):
            return "opened"

    c = Stale()
    c["a"], c["a"]
    assert c.calls == [("build", "a", "a", "opened"), "commit"] * 2
    c["a"] = "zz"
    assert c["a"] == "aa"


def test_build_sees_the_old_value():
    class Counting(cache.Cache):
        def check(self, key, name, entry):
            return "opened"

        def build(self, key, name, opened, entry):
            return 1 if entry._value is cache.NOT_INITIALIZED else entry._value + 1

    c = Counting()
    assert [c["a"], c["a"], c["b"], c["a"]] == [1, 2, 1, 3]


def test_keys():
    class Folding(Doubling):
        def key(self, name):
            return name.lower()

    c = Folding()
    assert (c["AB"], c["ab"], len(c)) == ("ABAB", "ABAB", 1)
    assert "Ab" in c
    del c["aB"]
    assert len(c) == 0


def test_least_recently_used_goes_first():
    c = Doubling(3)
    assert (c.mru(), c.lru()) == (None, None)
    for name in "abcd":
        c[name]
    assert (c.mru(), c.lru(), len(c)) == ("d", "b", 3)
    c["b"]
    c["e"] = "set"
    assert (c.mru(), c.lru()) == ("e", "d")
    assert [name in c for name in "abcde"] == [False, True, False, True, True]


def test_failed_builds_leave_nothing():
    class Failing(cache.Cache):
        def build(self, key, name, opened, entry):
            raise ValueError(name)

    c = Failing()
    for name in "aab":
        with pytest.raises(ValueError, match=name):
            c[name]
    assert len(c) == 0


def test_a_value_survives_a_failed_rebuild():
    class Sometimes(Doubling):
        fail = False

        def check(self, key, name, entry):
            if self.fail:
                raise OSError("gone")

    c = Sometimes()
    assert c["a"] == "aa"
    c.fail = True
    with pytest.raises(OSError, match="gone"):
        c["a"]
    c.fail = False
    assert c["a"] == "aa"
    assert c.calls.count("commit") == 1


def test_a_build_that_needs_itself_ends():
    class Snake(cache.Cache):
        def build(self, key, name, opened, entry):
            return self[name]

    with pytest.raises(RecursionError):
        Snake()["a"]


def test_one_thread_builds_and_the_others_wait():
    started, go = threading.Event(), threading.Event()

    class Slow(Doubling):
        def build(self, key, name, opened, entry):
            if name == "slow":
                started.set()
                assert go.wait(30)
            return Doubling.build(self, key, name, opened, entry)

    c = Slow()
    found = []
    threads = [threading.Thread(target=lambda: found.append(c["slow"])) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert started.wait(30)
    assert c["quick"] == "quickquick"  # nobody waits for another entry
    assert found == []
    go.set()
    for thread in threads:
        thread.join(30)
    assert found == ["slowslow"] * 8
    assert [call[1] for call in c.calls if call[0] == "build"] == ["quick", "slow"]


def test_weak():
    class Thing:
        def __init__(self, name):
            self.name = name

    class Things(cache.WeakCache):
        built = 0

        def build(self, key, name, opened, entry):
            self.built += 1
            return Thing(name)

    c = Things()
    thing = c["a"]
    assert (c["a"] is thing, c.built) == (True, 1)
    del thing
    gc.collect()
    assert (c["a"].name, c.built) == ("a", 2)
    with pytest.raises(TypeError):
        c["x"] = 5


def test_files(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"one\r\n")
    c = cache.FileCache()
    assert c[str(path)] == b"one\r\n"
    mtime = path.stat().st_mtime
    path.write_bytes(b"two\r\n")
    os.utime(path, (mtime, mtime))
    assert c[str(path)] == b"one\r\n"
    os.utime(path, (mtime - 5, mtime - 5))  # older is different too
    assert c[str(path)] == b"two\r\n"
    assert cache.FileCache(mode="r")[str(path)] == "two\n"
    path.unlink()
    with pytest.raises(FileNotFoundError):
        c[str(path)]
    with pytest.raises(FileNotFoundError):
        c[str(tmp_path / "never")]
    assert len(c) == 1


def test_modules(tmp_path):
    path = tmp_path / "my-page.py"
    path.write_bytes(b"# -*- coding: latin-1 -*-\nx = '\xe9'\ny = (__name__, __file__)\n")
    c = cache.ModuleCache()
    module = c[str(path)]
    assert module.x == "é"
    assert module.y == (module.__name__, str(path))
    assert module.__name__.endswith("_my_page_py")
    assert module.__name__ not in sys.modules
    assert c[str(path)] is module
    path.write_text("1/0\n")
    os.utime(path, (5, 5))
    with pytest.raises(ZeroDivisionError) as error:
        c[str(path)]
    assert str(error.traceback[-1].path) == str(path)
    path.write_text("x = 3\n")
    os.utime(path, (6, 6))
    assert c[str(path)].x == 3


def test_a_failed_rebuild_is_tried_again(tmp_path):
    path = tmp_path / "page.py"
    path.write_text("x = 1\n")
    c = cache.ModuleCache()
    assert c[str(path)].x == 1
    path.write_text("1/0\n")
    os.utime(path, (5, 5))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            c[str(path)]


def test_functions():
    calls = []

    def function(*args, **kw):
        calls.append((args, kw))
        return len(calls)

    f = cache.FunctionCache(function)
    assert [f(1), f(1), f(2, x=3), f(x=3), f(x=3, y=4), f(y=4, x=3)] == [1, 1, 2, 3, 4, 4]
    with pytest.raises(TypeError):
        f([1])
    small = cache.FunctionCache(function, max_size=1)
    assert [small(1), small(2), small(1)] == [5, 6, 7]


# --- HTTP


@pytest.fixture
def web():
    """A web server: set `.headers`, `.body`, `.status`; `.requests` are the headers it got."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            web.requests.append(dict(self.headers))
            wanted = self.headers["If-None-Match"] or self.headers["If-Modified-Since"]
            known = wanted and wanted in (web.headers.get("ETag"), web.headers.get("Last-Modified"))
            self.send_response_only(304 if known else web.status)
            for field, value in web.headers.items():
                self.send_header(field, value)
            self.end_headers()
            if not known:
                self.wfile.write(web.body)

        def log_message(self, *args):
            pass

    web = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    web.headers, web.body, web.status, web.requests = {}, b"x = 1", 200, []
    web.url = "http://127.0.0.1:%d/page.py" % web.server_port
    thread = threading.Thread(target=web.serve_forever, args=(0.02,))
    thread.start()
    yield web
    web.shutdown()
    thread.join()
    web.server_close()


def test_http(web):
    c = cache.HTTPCache()
    web.headers = {"X-A": "b"}
    got = c[web.url]
    assert isinstance(got, cache.HTTPEntity)
    assert (got.entity, got.metadata["X-A"], str(got)) == (b"x = 1", "b", "x = 1")
    web.body = b"x = 2"
    assert c[web.url].entity == b"x = 2"  # nothing said it would stay


@pytest.mark.parametrize(
    "headers",
    [
        {"Cache-Control": "public, Max-Age=1000"},
        {"Expires": "Fri, 01 Jan 2100 00:00:00 GMT"},
        {"Date": "Fri, 01 Jan 1999 00:00:00 GMT", "Expires": "Fri, 01 Jan 1999 01:00:00 GMT"},
    ],
)
def test_http_fresh(web, headers):
    web.headers = headers
    c = cache.HTTPCache()
    first = c[web.url]
    assert c[web.url] is first
    assert len(web.requests) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Cache-Control": "max-age=0"},
        {"Cache-Control": "no-cache, max-age=1000"},
        {"Expires": "0"},
        {"Expires": "Fri, 01 Jan 1999 00:00:00 GMT"},
        {"Cache-Control": "max-age=0", "Expires": "Fri, 01 Jan 2100 00:00:00 GMT"},
    ],
)
def test_http_stale(web, headers):
    web.headers = headers
    c = cache.HTTPCache()
    c[web.url], c[web.url]
    assert len(web.requests) == 2


@pytest.mark.parametrize(
    "field, condition, value",
    [
        ("ETag", "If-None-Match", '"v1"'),
        ("Last-Modified", "If-Modified-Since", "Fri, 01 Jan 1999 00:00:00 GMT"),
    ],
)
def test_http_revalidation(web, field, condition, value):
    web.headers = {field: value}
    c = cache.HTTPCache()
    first = c[web.url]
    assert c[web.url] is first
    assert [r.get(condition) for r in web.requests] == [None, value]
    web.headers, web.body = {field: value + "x"}, b"new"
    assert c[web.url].entity == b"new"


def test_http_errors(web):
    c = cache.HTTPCache()
    web.status = 404
    with pytest.raises(OSError, match="404"):
        c[web.url]
    assert len(c) == 0
    for url in ("file:///etc/passwd", "ftp://x/", "page.py"):
        with pytest.raises(ValueError, match="http and https"):
            c[url]


def test_http_modules(web):
    c = cache.HttpModuleCache()
    web.headers = {"ETag": '"1"'}
    module = c[web.url]
    assert (module.x, module.__file__) == (1, web.url)
    assert c[web.url] is module


def test_import_is_light():
    code = (
        "import sys; sys.path[:0] = %r; before = set(sys.modules)\n"
        "import mod_python.cache; print(*set(sys.modules) - before)" % sys.path
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(out.stdout.split())
    assert "mod_python.cache" in loaded
    assert not loaded & {"urllib.request", "email", "http.client", "tempfile", "_apache"}
