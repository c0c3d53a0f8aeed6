"""Broken requests at every entrance: no child dies, nothing fails that should not, memory is flat.

MOD_PYTHON_HOSTILE_REQUESTS says how many (3,000, in a soak a million), MOD_PYTHON_HOSTILE_SEED
which: always the same, but others in each soak.
What was sent and what came back is printed (`pytest -s`).
"""

import collections
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import threading

import pytest

from pyhttpd import Connection, Site
from pyhttpd.error_log import DISASTER

SOAK = bool(os.environ.get("MOD_PYTHON_SOAK"))
REQUESTS = int(os.environ.get("MOD_PYTHON_HOSTILE_REQUESTS", "1000000" if SOAK else "3000"))
SEED = int(os.environ.get("MOD_PYTHON_HOSTILE_SEED", "0")) or (
    random.randrange(1, 10**9) if SOAK else 1
)
PROCESSES = 3
# KiB that a child may grow by in the second half of a long run: the heap of each of its threads
# keeps up to 2 MiB (interpreter/heap.rs), which it takes two million requests to fill.
FLAT = 12 * 1024

# Why a 5xx may be the answer: all of them are httpd's own, before any handler.
DOCUMENTED = {
    501: "a method or a Transfer-Encoding that httpd does not know",
    505: "a version of HTTP that httpd does not speak",
}
# What the site's code raises; the answer is no 5xx, since the client has gone or sent no request.
EXCEPTIONS = {
    "OSError: Client read error (Timeout?)": "400: a body is broken or does not come",
    "OSError: Write failed, client closed connection.": "nobody is there to be answered",
    "OSError: Input filter read error": "an input filter reads such a body",
}
_EXCEPTION = re.compile(
    r"^\[python:error\].*? ((?:\w+\.)*\w*(?:Error|Exception|Exit|Warning): .*)$", re.M
)

SITE = Site(
    conf="""
        Protocols h2c http/1.1
        # Let through to the handlers what httpd would refuse by itself.
        HttpProtocolOptions Unsafe Allow0.9
        LimitRequestFields 0
        TraceEnable extended
        Timeout 5
        KeepAliveTimeout 5
        AllowEncodedSlashes On
        PythonOption mod_python.file_session.database_directory @root@/tmp
        <Directory @root@/htdocs/handler>
            SetHandler mod_python
            PythonHandler handlers
        </Directory>
        <Directory @root@/htdocs/pub>
            SetHandler mod_python
            PythonHandler mod_python.publisher
        </Directory>
        <Directory @root@/htdocs/psp>
            SetHandler mod_python
            PythonHandler mod_python.psp
        </Directory>
        <Directory @root@/htdocs/form>
            SetHandler mod_python
            PythonHandler forms
        </Directory>
        <Directory @root@/htdocs/session>
            SetHandler mod_python
            PythonHandler sessions
        </Directory>
        <Directory @root@/htdocs/filter>
            <FilesMatch "^(in|out|late)$">
                SetHandler mod_python
                PythonHandler filters
            </FilesMatch>
            PythonOutputFilter filters::shout SHOUT
            PythonInputFilter filters::swallow SWALLOW
            <FilesMatch "^(out|static)">
                SetOutputFilter SHOUT
            </FilesMatch>
            <Files in>
                SetInputFilter SWALLOW
            </Files>
        </Directory>
        <Directory @root@/htdocs/wsgi>
            SetHandler mod_python
            PythonHandler mod_python.wsgi
            PythonOption mod_python.wsgi.application application
        </Directory>
        <Directory @root@/htdocs/ssi>
            Options +Includes
            AddOutputFilter INCLUDES .shtml
        </Directory>
        <Directory @root@/htdocs/auth>
            AuthType Basic
            AuthName hostile
            Require valid-user
            PythonAuthenHandler auth
            PythonAccessHandler auth
            PythonHeaderParserHandler auth
            PythonLogHandler auth
            SetHandler mod_python
            PythonHandler auth
        </Directory>
    """,
    files={
        "handler/handlers.py": """
            from mod_python import apache, Cookie

            def read(req):
                return len(req.read())

            def lines(req):
                return sum(map(len, req.readlines()))

            def pieces(req):
                total = 0
                piece = req.read(100)
                while piece:
                    total += len(piece) + len(req.readline(10))
                    piece = req.read(100)
                return total

            def leave(req):
                return len(req.read(1))

            def attributes(req):
                total = 0
                for name in dir(req):
                    if not name.startswith("_"):
                        total += len(repr(getattr(req, name)))
                for table in (req.headers_in, req.subprocess_env, req.notes):
                    total += len(repr(table)) + sum(len(k) + len(v) for k, v in table.items())
                req.add_common_vars()
                total += len(repr(req.get_remote_host())) + len(repr(req.get_basic_auth_pw()))
                req.notes["seen"] = str(req.headers_in.get("User-Agent"))
                req.log_error(str(req.headers_in.get("Referer")), apache.APLOG_DEBUG)
                return total

            def cookies(req):
                for kind in (Cookie.Cookie, Cookie.SignedCookie, Cookie.MarshalCookie):
                    options = {} if kind is Cookie.Cookie else {"secret": "s"}
                    try:
                        found = Cookie.get_cookies(req, kind, **options)
                    except Cookie.CookieError:
                        continue
                    repr(list(found.values()))
                Cookie.add_cookie(req, Cookie.SignedCookie("signed", "a=b", "s"))
                Cookie.add_cookie(req, Cookie.MarshalCookie("marshal", {"a": [1]}, "s"))
                return len(repr(Cookie.get_cookies(req)))

            def handler(req):
                req.content_type = "text/plain"
                name = req.filename.rsplit("/", 1)[-1]
                action = globals().get(name)
                if name not in ("read", "lines", "pieces", "leave", "attributes", "cookies"):
                    return apache.HTTP_NOT_FOUND
                try:
                    req.write("%d" % action(req))
                except OSError:
                    # The body is broken, or the client has gone: reading says so.
                    return apache.HTTP_BAD_REQUEST
                return apache.OK
        """,
        "handler/empty": "",
        "pub/page.py": """
            data = {"key": "value"}

            def f(req, a="", b="", *rest):
                return "%d" % len(repr((a, b, rest)))

            def g(req, **fields):
                return "%d" % len(repr(fields))

            def index(req, a=""):
                return "%d" % len(repr(a))

            class Deep:
                def down(self, a=""):
                    return "%d" % len(repr(a))
            deep = Deep()
        """,
        "psp/page.psp": """
            <%
            total = len(repr([(field.name, field.value) for field in form.list]))
            form.getfirst("a"); form.getlist("b")
            %>
            <%= total %>
            <%
            if "a" in form:
                # begin
            %>
            a
            <%
            # end
            %>
        """,
        "form/forms.py": """
            from mod_python import apache, util

            def handler(req):
                name = req.filename.rsplit("/", 1)[-1]
                total = 0
                if name == "query":
                    for strict in (0, 1):
                        try:
                            total += len(repr(util.parse_qs(req.args or "", 1, strict)))
                            total += len(repr(util.parse_qsl(req.args or "", 0, strict)))
                        except ValueError:
                            pass
                    form = util.FieldStorage(req, strict_parsing=0)
                elif name == "upload":
                    import io
                    form = util.FieldStorage(
                        req, keep_blank_values=1, file_callback=lambda name: io.BytesIO()
                    )
                else:
                    form = util.FieldStorage(req, keep_blank_values=True)
                for field in form.list:
                    total += len(repr((field.name, field.value, field.filename, field.type)))
                for key in form.keys():
                    total += len(repr(form[key])) + len(form.getlist(key))
                    form.getfirst(key)
                req.content_type = "text/plain"
                req.write("%d" % total)
                return apache.OK
        """,
        "form/empty": "",
        "session/sessions.py": """
            import random
            from mod_python import apache, Session

            def handler(req):
                kind = Session.FileSession if "file" in req.filename else Session.MemorySession
                session = kind(req, timeout=5)
                session["x"] = req.args or ""
                if random.random() < 0.05:
                    session.save()
                elif not session.is_new():
                    session.save() if random.random() < 0.8 else session.delete()
                req.content_type = "text/plain"
                req.write("%d" % len(session.id()))
                return apache.OK
        """,
        "session/empty": "",
        "filter/filters.py": """
            from mod_python import apache

            def handler(req):
                req.content_type = "text/plain"
                if req.filename.endswith("late"):
                    req.add_output_filter("SHOUT")
                    req.add_input_filter("SWALLOW")
                try:
                    length = len(req.read())
                except OSError:
                    return apache.HTTP_BAD_REQUEST
                req.write("%d\\n" % length)
                for _ in range(20):
                    req.write("line\\n" * 10)
                return apache.OK

            def shout(filter):
                data = filter.readline()
                while data:
                    filter.write(data.upper())
                    data = filter.readline()
                if data is None:
                    filter.close()

            def swallow(filter):
                data = filter.read(100)
                while data:
                    filter.write(data[1:])
                    data = filter.read(100)
                if data is None:
                    filter.close()
        """,
        "filter/static.txt": "0123456789 abcdefghi\n" * 300,
        "wsgi/application.py": """
            def application(environ, start_response):
                path = environ["SCRIPT_NAME"] + environ["PATH_INFO"]
                body = environ["wsgi.input"]
                total = len(repr(sorted(environ)))
                try:
                    if "lines" in path:
                        for line in body:
                            total += len(line)
                    elif "leave" not in path:
                        total += len(body.read(50)) + len(body.readline()) + len(body.read())
                except OSError:
                    start_response("400 Bad Request", [("Content-Type", "text/plain")])
                    return [b"broken"]
                start_response("200 OK", [("Content-Type", "text/plain")])
                return [b"%d" % total, b"", b"end"]
        """,
        "wsgi/empty": "",
        "ssi/page.shtml": '<!--#python eval="len(filter.req.args or str())" -->'
        "<!--#python exec=\"filter.write('%d' % len(filter.req.unparsed_uri))\" -->"
        '<!--#echo var="DATE_LOCAL" --><!--#include virtual="/handler/attributes" -->',
        "auth/auth.py": """
            from mod_python import apache

            def authenhandler(req):
                password = req.get_basic_auth_pw()
                if password is None or len(req.user or "") % 2:
                    return apache.HTTP_UNAUTHORIZED
                return apache.OK

            def accesshandler(req):
                len(repr(dict(req.headers_in)))
                return apache.OK

            def headerparserhandler(req):
                req.get_options()
                return apache.OK

            def loghandler(req):
                req.log_error(req.the_request or "", apache.APLOG_DEBUG)
                return apache.OK

            def handler(req):
                req.write("%d" % len(req.user))
                return apache.OK
        """,
        "auth/empty": "",
    },
    modules=("http2",),
    children=2,
    threads=12,
    log_level="notice http2:crit",
)  # fmt: skip


@pytest.fixture(autouse=True)
def only_ours(mod_python):
    if mod_python.name == "original":
        pytest.skip("the original crashes")


def memory(pid: int) -> int:
    """RSS of a process in KiB, 0 if it has gone."""
    try:
        status = pathlib.Path("/proc", str(pid), "status").read_text()
    except OSError:
        return 0
    return int(re.search(r"VmRSS:\s+(\d+)", status + "VmRSS: 0")[1])


class Tally:
    """The sum of what the clients report."""

    def __init__(self):
        self.requests = self.connections = 0
        self.faults = collections.Counter()
        self.statuses = collections.Counter()
        self.unanswered = []
        self.errors = []
        self._lock = threading.Lock()

    def add(self, line):
        report = json.loads(line)
        with self._lock:
            self.requests += report["requests"]
            self.connections += report["connections"]
            self.faults.update(report["faults"])
            self.statuses.update(report["statuses"])
            self.unanswered.extend(report["unanswered"])
            self.errors.extend(report["errors"])

    def follow(self, process):
        for line in process.stdout:
            self.add(line)


def start_clients(port, count):
    here = pathlib.Path(__file__).resolve().parent
    return [
        subprocess.Popen(
            [sys.executable, "-m", "hostile.client", str(port), str(SEED + n), str(count)],
            cwd=str(here), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for n in range(PROCESSES)
    ]  # fmt: skip


def test_no_client_hurts(make_server, mpm):
    # Each client that stops in the middle holds one of prefork's few processes for a while.
    count = REQUESTS // (4 if mpm == "prefork" else 1)
    server = make_server(SITE)
    server.start()
    tally = Tally()
    clients = start_clients(server.port, count // PROCESSES)
    followers = [threading.Thread(target=tally.follow, args=(one,)) for one in clients]
    for follower in followers:
        follower.start()
    lost = set()
    # (requests so far, RSS of each child)
    samples = []
    for follower in followers:
        while follower.is_alive():
            follower.join(0.25)
            lost |= server.lost_children()
            samples.append((tally.requests, {pid: memory(pid) for pid in server.children()}))
            if lost:
                break
    for client in clients:
        if lost:
            client.terminate()
        said = client.stderr.read()
        assert client.wait(300) == 0 or lost, f"seed {SEED}: {said}"
    lost |= server.lost_children()
    tenths = [
        next((rss for sent, rss in samples if sent >= count * tenth / 10), samples[-1][1])
        for tenth in range(1, 11)
    ]
    warm, end = tenths[4], tenths[-1]
    print(
        f"\nseed {SEED}: {tally.requests} requests on {tally.connections} connections, faults "
        f"{dict(tally.faults)}, statuses {dict(sorted(tally.statuses.items(), key=str))}, "
        f"unanswered {len(tally.unanswered)}, children lost {len(lost)}, "
        f"RSS in KiB after each tenth {[list(rss.values()) for rss in tenths]}"
    )
    failed = [error for error in tally.errors if error[0] not in DOCUMENTED]
    log = server.log.text()
    exceptions = collections.Counter(_EXCEPTION.findall(log))
    print(f"exceptions in the log: {dict(exceptions)}")
    assert not lost and not DISASTER.search(log), f"seed {SEED}: {lost} {log[-4000:]}"
    assert not failed, f"seed {SEED}: {len(failed)} failed, e.g. {str(failed[:3])[:6000]}"
    assert set(exceptions) <= set(EXCEPTIONS), f"seed {SEED}: {exceptions}; {log[:4000]}"
    assert not tally.unanswered, (
        f"seed {SEED}: {len(tally.unanswered)}: {tally.unanswered[0][:9000]}"
    )
    assert tally.requests >= count // PROCESSES * PROCESSES
    if count >= 100_000:
        grown = {pid: rss - warm.get(pid, rss) for pid, rss in end.items()}
        assert max(grown.values()) < FLAT, f"seed {SEED}: children grew by {grown} KiB"
    # It still works.
    with Connection(server.port) as connection:
        assert connection.request("/up.txt").text == "up\n"
