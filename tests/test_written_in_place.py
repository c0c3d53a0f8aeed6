"""Programs that are written over slowly, under load: nobody is ever served half of one."""

import concurrent.futures
import contextlib
import functools
import os
import time

import pytest
from test_recycle import wait_for

from pyhttpd import Site, client
from pyhttpd.load import Load
from pyhttpd.site import MTIME

pytestmark = pytest.mark.mpms("event")

# Each line is written by itself. Most of what there is in between is a program, or a page, too; and
# while it is executed, which takes a while, others ask for it.
PROGRAM = """\
import time
first = "%(v)s"
%(entry)s
def parts():
    yield first
    yield last
    yield "%(v)s"
time.sleep(0.05)
last = "%(v)s"
"""
SCRIPT = 'print("Content-Type: text/plain\\n")\n' + PROGRAM + 'print(" ".join(parts()))\n'
ENTRIES = {
    "handled.py": 'def handler(req): req.write(" ".join(parts())); return 0',
    "published.py": 'def index(req): return " ".join(parts())',
    "application.py": """\
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join(parts()).encode()]""",
    "cached.txt": 'def show(): return " ".join(parts())',
    "script.py": "",
}
URLS = {
    "/handled": "handled.py",
    "/published": "published.py",
    "/application": "application.py",
    "/cached": "cached.txt",
    "/script.py": "script.py",
    "/page.psp": "page.psp",
    "/main.psp": "part.inc",
}
CONF = """
    PythonPath "sys.path + ['@root@/htdocs']"
    <FilesMatch "^(published|.*\\.psp)">
        SetHandler mod_python
        PythonHandler mod_python.publisher
    </FilesMatch>
    <Files *.psp>
        PythonHandler mod_python.psp
    </Files>
    <Files script.py>
        SetHandler mod_python
        PythonHandler mod_python.cgihandler
    </Files>
    <Location /handled>
        SetHandler mod_python
        PythonHandler handled
    </Location>
    <Location /application>
        SetHandler mod_python
        PythonHandler mod_python.wsgi
        PythonOption mod_python.wsgi.application application
    </Location>
    <Location /cached>
        SetHandler mod_python
        PythonHandler caching
    </Location>
"""
CACHING = """
    import os
    from mod_python import apache, cache

    modules = cache.ModuleCache()
    path = os.path.join(os.path.dirname(__file__), "cached.txt")

    def handler(req):
        try:
            req.write(modules[path].show())
        except FileNotFoundError:
            return apache.HTTP_NOT_FOUND
        return apache.OK
"""


def text_of(name, version):
    if name in ENTRIES:
        program = SCRIPT if name == "script.py" else PROGRAM
        return program % {"v": version, "entry": ENTRIES[name]}
    return "%(v)s \n%(v)s \n%(v)s\n" % {"v": version}


def in_place(path):
    return path.open("w")


def deleted_first(path):
    path.unlink()
    return path.open("x")


def write_all(htdocs, version, begin):
    """Writes all files a line at a time; returns the longest time that one was left alone."""
    parts, last, longest = {}, {}, 0
    for name in URLS.values():
        # From before the beginning to after the next write: no file was left alone longer.
        last[name] = time.monotonic()
        parts[name] = begin(htdocs / name), text_of(name, version).splitlines(True)
    while any(lines for _, lines in parts.values()):
        time.sleep(0.02)
        for name, (file, lines) in parts.items():
            if lines:
                before = time.monotonic()
                file.write(lines.pop(0))
                file.flush()
                longest, last[name] = max(longest, time.monotonic() - last[name]), before
    for file, _ in parts.values():
        file.close()
    return longest


def under_load(server, version, begin):
    """Writes all files while they are asked for; returns the longest pause and what was seen."""
    seen = {url: set() for url in URLS}

    def accept(texts, answer):
        texts.add(" ".join(answer.text.split()) if answer.status == 200 else answer.status)
        return True

    def arrived(version):
        text = " ".join(["v%d" % version] * 3)
        return all(text in texts for texts in seen.values())

    with contextlib.ExitStack() as loads:
        for url, texts in seen.items():
            load = Load(server.port, url, functools.partial(accept, texts), clients=2)
            loads.enter_context(load)
        with contextlib.suppress(AssertionError):
            wait_for(lambda: arrived(version - 1))
            pause = write_all(server.htdocs, "v%d" % version, begin)
            wait_for(lambda: arrived(version))
    assert arrived(version), seen
    return pause, seen


@pytest.fixture
def readable():
    """New files can be read by the server whatever the umask was."""
    old = os.umask(0o022)
    yield
    os.umask(old)


def test_nobody_is_served_half_a_program(make_server, watch, readable, mpm):
    if mpm == "prefork":
        pytest.skip("a child that has no version of before serves what there is")
    files = {name: text_of(name, "v0") for name in URLS.values()}
    files["main.psp"] = '<%@ include file="part.inc" %>'
    files["caching.py"] = CACHING
    with make_server(Site(conf=CONF, files=files, threads=16)) as server:
        log = watch(server)
        # A file that is not there is not found, unless what was made of it before will do.
        log.allow("No such file or directory", "PythonHandler mod_python.psp")
        for number, begin in ((1, in_place), (2, deleted_first)):
            pause, seen = under_load(server, number, begin)
            if pause > 0.4:
                pytest.skip("this machine is too busy to write without long pauses")
            whole = {" ".join(["v%d" % version] * 3) for version in (number - 1, number)}
            if begin is deleted_first:
                whole |= {404, 500}
            halves = {url: texts - whole for url, texts in seen.items()}
            assert not any(halves.values()), halves


def test_every_other_change_counts_at_once(make_server, watch, readable):
    without_file = {"/published": 404, "/cached": 404, "/page.psp": 404, "/main.psp": 500}
    files = {name: text_of(name, "v0") for name in URLS.values()}
    files["main.psp"] = '<%@ include file="part.inc" %>'
    files["caching.py"] = CACHING
    with make_server(Site(conf=CONF, files=files)) as server:
        log = watch(server)
        paths = [server.htdocs / URLS[url] for url in without_file]

        def put(text, mtime, in_place=False):
            for path in paths:
                target = path if in_place else path.with_name("aside")
                target.write_text(text(path))
                os.utime(target, (mtime, mtime))
                target.replace(path)

        def seen():
            answers = [client.get(server.port, url) for url in without_file]
            return [
                " ".join(answer.text.split()) if answer.status == 200 else answer.status
                for answer in answers
            ]

        def of(version, more=""):
            return lambda path: text_of(path.name, version) + more

        def whole(version):
            return [" ".join([version] * 3)] * len(paths)

        assert seen() == whole("v0")
        put(of("v1"), MTIME + 10)
        assert seen() == whole("v1")
        # An older one is another one.
        put(of("v2"), MTIME - 10)
        assert seen() == whole("v2")
        # The same time, another size.
        put(of("v3", "\n"), MTIME - 10, in_place=True)
        assert seen() == whole("v3")
        log.expect("PythonHandler caching", "PythonHandler mod_python.psp")
        log.expect("PythonHandler mod_python.publisher")
        put(lambda path: "<% if: %>(", MTIME, in_place=True)
        # At every request, until it is repaired.
        assert seen() == seen() == [500] * len(paths)
        put(of("v4"), MTIME + 20)
        assert seen() == whole("v4")
        for path in paths:
            path.unlink()
        assert seen() == list(without_file.values())
        put(of("v5"), MTIME + 30)
        assert seen() == whole("v5")


def test_nobody_waits_while_a_changed_page_is_executed(make_server, watch, readable):
    waits = (
        "import os, time\n"
        "open('@root@/tmp/begun', 'w').close()\n"
        "while not os.path.exists('@root@/tmp/go'):\n"
        "    time.sleep(0.01)\n"
    )
    files = {"published.py": text_of("published.py", "v0")}
    with make_server(Site(conf=CONF, files=files, threads=8)) as server:
        watch(server)

        def ask():
            return client.get(server.port, "/published").text

        assert ask() == "v0 v0 v0"
        path, aside = server.htdocs / "published.py", server.htdocs / "aside"
        aside.write_text(server.substitute(waits) + text_of("published.py", "v1"))
        os.utime(aside, (MTIME + 10, MTIME + 10))
        aside.replace(path)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            first = pool.submit(ask)
            try:
                wait_for((server.root / "tmp/begun").exists)
                assert ask() == "v0 v0 v0"
            finally:
                (server.root / "tmp/go").touch()
            assert first.result() == "v1 v1 v1"
        assert ask() == "v1 v1 v1"
