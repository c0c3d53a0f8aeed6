"""Everything at once: all phases, filters, redirects, interpreters, errors, clients that leave.

64 connections ask for a random mix of it, every answer is checked, and the server is gracefully
restarted in the middle. `--soak 300` runs it for 5 minutes.
"""

import contextlib
import itertools
import json
import os
import pathlib
import random
import socket
import struct
import threading
import time
import urllib.parse

from pyhttpd import Site
from pyhttpd.client import Connection, Response, compose
from pyhttpd.server import free_port

NAMES = ("one", "two", "three", "four")
STATIC = b"".join(b"line %06d of the static file\n" % n for n in range(4000))

CONF = """
    PythonPath "sys.path + ['@root@/htdocs']"
    <Directory @root@/htdocs>
        SetHandler mod_python
    </Directory>
    <Directory @root@/htdocs/all>
        PythonInitHandler phases
        PythonHeaderParserHandler phases
        PythonAccessHandler phases
        PythonAuthenHandler phases
        PythonAuthzHandler phases
        PythonTypeHandler phases
        PythonFixupHandler phases
        PythonHandler phases
        PythonLogHandler phases
        PythonCleanupHandler phases
        AuthType Basic
        AuthName all
        Require valid-user
    </Directory>
    <Directory @root@/htdocs/mixed>
        PythonHandler mixed
    </Directory>
    <Directory @root@/htdocs/upper>
        SetHandler none
        PythonOutputFilter filters::upper UPPER
        SetOutputFilter UPPER
    </Directory>
    <Directory @root@/htdocs/swap>
        PythonHandler mixed::echo
        PythonInputFilter filters::swap SWAP
        SetInputFilter SWAP
    </Directory>
    <Directory @root@/htdocs/failing>
        PythonHandler failing
    </Directory>
    <Directory @root@/htdocs/failingfilter>
        SetHandler none
        PythonOutputFilter failing::outputfilter FAILING
        SetOutputFilter FAILING
    </Directory>
    <Directory @root@/htdocs/ssi>
        SetHandler none
        Options +Includes
        SetOutputFilter INCLUDES
        PythonFixupHandler mixed::fixuphandler
    </Directory>
    <Directory @root@/htdocs/pub>
        PythonHandler mod_python.publisher
    </Directory>
    <Directory @root@/htdocs/page>
        PythonHandler mod_python.psp
    </Directory>
    <Directory @root@/htdocs/wsgi>
        PythonHandler mod_python.wsgi
        PythonOption mod_python.wsgi.application application
    </Directory>
    <Directory @root@/htdocs/module>
        PythonHandlerModule several
    </Directory>
    <Directory @root@/htdocs/session>
        PythonHandler visits
        PythonOption mod_python.file_session.database_directory @root@/tmp
    </Directory>
""" + "\n".join(
    """
    <Directory @root@/htdocs/in-%s>
        PythonInterpreter %s
        PythonHandler isolated
    </Directory>
    """
    % (name, name)
    for name in NAMES
)

RAW = """
    Listen 127.0.0.1:RAW_PORT
    <VirtualHost 127.0.0.1:RAW_PORT>
        PythonConnectionHandler raw
    </VirtualHost>
"""

FILES = {
    "phases.py": """
        import threading
        from mod_python import apache

        pending = {}
        lock = threading.Lock()

        def note(req):
            req.seen = getattr(req, "seen", "") + req.phase[6:-7] + " "
            return apache.OK

        def inithandler(req):
            req.seen = ""
            # Works from here to the phase before the content.
            req.add_handler("PythonFixupHandler", "phases::added")
            return note(req)

        def added(req):
            req.seen += "added "
            return apache.OK

        def authenhandler(req):
            password = req.get_basic_auth_pw()
            if req.user != "user" or password != "secret":
                return apache.HTTP_UNAUTHORIZED
            return note(req)

        def typehandler(req):
            note(req)
            return apache.DECLINED

        def handler(req):
            with lock:
                pending[id(req)] = req.args
            req.register_cleanup(forget, id(req))
            req.write("%s%s %d" % (req.seen, req.args, len(pending)))
            return apache.OK

        def forget(number):
            with lock:
                del pending[number]

        headerparserhandler = accesshandler = authzhandler = fixuphandler = note
        loghandler = cleanuphandler = note
    """,
    "mixed.py": """
        import json
        from mod_python import apache, util
        kept = [None]

        def fixuphandler(req):
            req.ssi_globals = {"token": req.args or ""}
            return apache.OK

        def handler(req):
            what, _, token = req.args.partition(":")
            return globals()[what](req, token)

        def plain(req, token):
            req.write("plain " + token)
            return apache.OK

        def redirect(req, token):
            req.internal_redirect("/mixed/x?plain:" + token)
            return apache.OK

        def dynamic(req, token):
            req.register_output_filter("DYNAMIC", "filters::upper")
            req.add_output_filter("DYNAMIC")
            req.write("dynamic " + token)
            return apache.OK

        def big(req, token):
            for number in range(200):
                req.write(("%06d " % number) * 100, 0)
            return apache.OK

        def sendfile(req, token):
            req.sendfile(req.document_root() + "/upper/static.txt")
            return apache.OK

        def form(req, token):
            form = util.FieldStorage(req, keep_blank_values=1)
            req.write(json.dumps([[f.name, f.value] for f in form.list]))
            return apache.OK

        def keep(req, token):
            # What another request left behind is over, or still runs; it never ends the process.
            old, kept[0] = kept[0], req
            if old is not None:
                try:
                    old.uri, old.headers_in.get("Host"), old.connection.client_ip
                    old.notes["x"] = "y"
                except Exception as error:
                    assert type(error).__name__ != "SystemError", error
            req.write("kept " + token)
            return apache.OK

        def status(req, token):
            req.status = int(token)
            req.write("status " + token)
            return apache.OK

        def echo(req):
            req.write(req.read())
            return apache.OK
    """,
    "filters.py": """
        def upper(filter):
            data = filter.read(8192)
            while data:
                filter.write(data.upper())
                data = filter.read(8192)
            if data is None:
                filter.close()

        def swap(filter):
            data = filter.read()
            while data:
                filter.write(data.swapcase())
                data = filter.read()
            if data is None:
                filter.close()
    """,
    "failing.py": """
        from mod_python import apache

        def handler(req):
            if req.args == "raise":
                raise ValueError("on purpose")
            if req.args == "return":
                return None
            if req.args == "exit":
                raise SystemExit(3)
            if req.args == "late":
                req.write("x" * 100000)
                raise KeyError("on purpose")
            raise apache.SERVER_RETURN(apache.HTTP_CONFLICT)

        def outputfilter(filter):
            filter.read()
            raise ValueError("on purpose")
    """,
    "isolated.py": """
        from mod_python import apache
        # Of this interpreter alone: all who come must have its name.
        names = set()
        count = [0]

        def handler(req):
            names.add(req.interpreter)
            count[0] += 1
            req.write("%s %s %s" % (apache.interpreter, sorted(names), req.args))
            return apache.OK
    """,
    "several.py": """
        from mod_python import apache

        def fixuphandler(req):
            req.register_input_filter("DYNAMIC", "filters::swap")
            req.add_input_filter("DYNAMIC")
            return apache.OK

        def handler(req):
            req.write(req.read())
            return apache.OK
    """,
    "application.py": """
        def application(environ, start_response):
            data = environ["wsgi.input"].read()
            start_response("201 Created", [("X-Args", environ["QUERY_STRING"])])
            return [b"wsgi ", data]
    """,
    "raw.py": """
        from mod_python import apache

        def connectionhandler(conn):
            try:
                while True:
                    conn.write(conn.readline().swapcase())
            except OSError:
                # The end of what the client has to say.
                return apache.OK
    """,
    "visits.py": """
        from mod_python import Session, apache

        def handler(req):
            session = Session.FileSession(req)
            session["visits"] = session.get("visits", 0) + 1
            session.save()
            req.write("%s %d" % (req.args, session["visits"]))
            return apache.OK
    """,
    "pub/p.py": """
        def add(req, a, b="0"):
            return "sum %d" % (int(a) + int(b))
    """,
    "page/p.psp": "page <%= req.args %> <%\nfor n in range(3):\n%><%= n %><%\n# end\n%>",
    "ssi/page.shtml": (
        '<!--#python eval="token" --> <!--#include virtual="/mixed/x?plain:sub" --> '
        '<!--#python exec="filter.write(token[::-1])" -->'
    ),
    "upper/static.txt": STATIC,
    "failingfilter/x.txt": "never seen",
    **{
        name + "/x": "" for name in ("all", "mixed", "swap", "failing", "session", "wsgi", "module")
    },
    **{"in-%s/x" % name: "" for name in NAMES},
}


class Client:
    """One client: a random mix of requests, on connections that it keeps for a while."""

    def __init__(self, stress, number):
        self.stress = stress
        self.random = random.Random(number)
        self.number = number
        self.connection = None
        self.left = 0
        self.cookie = None
        self.visits = 0
        self.kinds = [getattr(self, name) for name in dir(type(self)) if name.startswith("ask_")]

    def run(self):
        with contextlib.suppress(Stopped):
            while True:
                kind = self.random.choice(self.kinds)
                try:
                    kind()
                except Stopped:
                    raise
                except Exception as error:
                    self.stress.failed("%s: %s %s" % (kind.__name__, type(error).__name__, error))
                    self.drop()
        self.drop()

    def drop(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def fresh(self, port=None):
        if self.stress.over.is_set():
            raise Stopped
        return Connection(port or self.stress.port)

    def ask(self, path, method="GET", **options):
        """One answer; a kept connection that the server closed before any of it is replaced."""
        while True:
            kept = self.connection is not None and self.connection.open and self.left > 0
            if not kept:
                self.drop()
                self.connection = self.fresh()
                self.left = self.random.randint(1, 20)
            self.left -= 1
            try:
                answer = self.connection.request(path, method, **options)
            except (BrokenPipeError, ConnectionResetError):
                answer = Response(broken="no answer")
            if answer.broken == "no answer" and kept:
                self.stress.reconnected()
                self.drop()
                continue
            self.stress.answered()
            return answer

    def text(self, path, *args, status=200, **options):
        answer = self.ask(path, *args, **options)
        assert not answer.broken, answer.broken
        assert answer.status == status, (path, answer.status, answer.text[:200])
        return answer.text

    def token(self):
        return "t%x" % self.random.getrandbits(60)

    # -- what is asked -------------------------------------------------------------------------

    def ask_all_phases(self):
        token = self.token()
        text = self.text("/all/x?" + token, auth=("user", "secret"))
        *seen, got, pending = text.split()
        expected = "Init HeaderParser Access Authen Authz Type Fixup added".split()
        assert (seen, got) == (expected, token), text
        assert int(pending) <= 2 * self.stress.clients, "cleanups are missing: " + pending

    def ask_refused(self):
        answer = self.ask("/all/x?a", auth=("user", "wrong"))
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="all"'

    def ask_redirect(self):
        token = self.token()
        assert self.text("/mixed/x?redirect:" + token) == "plain " + token

    def ask_dynamic_filter(self):
        token = self.token()
        assert self.text("/mixed/x?dynamic:" + token) == ("dynamic " + token).upper()

    def ask_filtered_file(self):
        answer = self.ask("/upper/static.txt")
        assert (answer.status, answer.broken) == (200, "")
        assert answer.body == STATIC.upper()

    def ask_sendfile(self):
        answer = self.ask("/mixed/x?sendfile:")
        assert (answer.status, answer.broken) == (200, "")
        assert answer.body == STATIC

    def ask_input_filter(self):
        body = (self.token() * self.random.randint(1, 4000)).encode()
        if self.random.random() < 0.5:
            body = [body[:100], body[100:5000], body[5000:]]
        answer = self.ask("/swap/x", "POST", body=body)
        whole = body if isinstance(body, bytes) else b"".join(body)
        assert (answer.status, answer.broken) == (200, "")
        assert answer.body == whole.swapcase()

    def ask_dynamic_input_filter(self):
        body = (self.token() * self.random.randint(1, 4000)).encode()
        answer = self.ask("/module/x", "POST", body=body)
        assert (answer.status, answer.broken) == (200, "")
        assert answer.body == body.swapcase()

    def ask_wsgi(self):
        token, body = self.token(), b"b" * self.random.randint(0, 20000)
        answer = self.ask("/wsgi/x?" + token, "POST", body=body)
        assert (answer.status, answer.broken) == (201, "")
        assert (answer.body, answer.headers["X-Args"]) == (b"wsgi " + body, token)

    def ask_connection_handler(self):
        self.drop()
        with contextlib.closing(self.fresh(self.stress.raw_port)) as connection:
            for _ in range(self.random.randint(1, 5)):
                line = (self.token() * self.random.randint(1, 100)).encode() + b"\n"
                connection.send(line)
                assert connection.read_some(len(line)) == line.swapcase()
        self.stress.answered()

    def ask_include(self):
        token = self.token()
        assert self.text("/ssi/page.shtml?" + token) == "%s plain sub %s" % (token, token[::-1])

    def ask_interpreter(self):
        name, token = self.random.choice(NAMES), self.token()
        expected = "%s ['%s'] %s" % (name, name, token)
        assert self.text("/in-%s/x?%s" % (name, token)) == expected

    def ask_form(self):
        pairs = [[self.token(), self.token() * n] for n in range(self.random.randint(0, 30))]
        body = urllib.parse.urlencode([tuple(pair) for pair in pairs]).encode()
        headers = [("Content-Type", "application/x-www-form-urlencoded")]
        text = self.text("/mixed/x?form:", "POST", headers=headers, body=body)
        assert json.loads(text) == [["form:", ""], *pairs], text[:200]

    def ask_publisher(self):
        a, b = self.random.randint(0, 999), self.random.randint(0, 999)
        assert self.text("/pub/p/add?a=%d&b=%d" % (a, b)) == "sum %d" % (a + b)
        self.text("/pub/p/add", status=400)
        self.text("/pub/p/nothing", status=404)

    def ask_page(self):
        token = self.token()
        assert self.text("/page/p.psp?" + token).split() == ["page", token, "012"]

    def ask_kept(self):
        token = self.token()
        assert self.text("/mixed/x?keep:" + token) == "kept " + token

    def ask_status(self):
        status = self.random.choice((200, 201, 404, 410, 503))
        assert self.text("/mixed/x?status:%d" % status, status=status) == "status %d" % status

    def ask_head(self):
        answer = self.ask("/mixed/x?big:", "HEAD")
        assert (answer.status, answer.body, answer.broken) == (200, b"", "")

    def ask_failing(self):
        how = self.random.choice(("raise", "return", "exit"))
        self.text("/failing/x?" + how, status=500)
        self.text("/failing/x?conflict", status=409)

    def ask_failing_late(self):
        # The status is out already; what is written stays, and the connection stays in step.
        answer = self.ask("/failing/x?late")
        assert answer.body[:100000] == b"x" * 100000, (answer.status, len(answer.body))

    def ask_failing_filter(self):
        answer = self.ask("/failingfilter/x.txt")
        assert b"never seen" not in answer.body
        assert answer.status == 500, (answer.status, answer.broken)

    def ask_session(self):
        token = self.token()
        headers = [("Cookie", self.cookie)] if self.cookie else []
        answer = self.ask("/session/x?" + token, headers=headers)
        assert (answer.status, answer.broken) == (200, "")
        if not self.cookie:
            self.cookie = answer.headers["Set-Cookie"].split(";")[0]
        # An answer lost in a restart may have been counted.
        got, visits = answer.text.split()
        assert got == token
        assert int(visits) > self.visits, answer.text
        self.visits = int(visits)

    # -- clients that leave --------------------------------------------------------------------

    def leave(self, data, read=0):
        # Not with a second connection: under prefork there are no children for more.
        self.drop()
        with contextlib.closing(self.fresh()) as connection:
            connection.send(data)
            connection.read_some(read)
            if self.random.random() < 0.5:
                # Leave with a reset.
                linger = struct.pack("ii", 1, 0)
                connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.stress.left()

    def ask_and_leave_in_the_answer(self):
        self.leave(compose("/mixed/x?big:"), read=self.random.choice((0, 10, 20000)))
        self.leave(compose("/upper/static.txt"), read=self.random.choice((0, 10, 20000)))

    def ask_and_leave_in_the_body(self):
        for path in ("/swap/x", "/mixed/x?form:"):
            headers = [("Content-Length", "50000")]
            if path != "/swap/x":
                headers.append(("Content-Type", "application/x-www-form-urlencoded"))
            self.leave(compose(path, "POST", headers) + b"a=b&" * self.random.randint(0, 5000))

    def ask_and_leave_in_the_header(self):
        self.leave(b"GET /mixed/x?plain:x HTTP/1.1\r\nHost: loc")


class Stopped(Exception):
    """The test is over."""


class Stress:
    """The clients and what they counted."""

    def __init__(self, port, raw_port, clients):
        self.port = port
        self.raw_port = raw_port
        self.clients = clients
        self.over = threading.Event()
        self.failures = []
        # One number at a time is taken from each; that is atomic, unlike +=.
        self._answers, self._reconnects, self._left = (itertools.count() for _ in range(3))
        self.answered = self._answers.__next__
        self.reconnected = self._reconnects.__next__
        self.left = self._left.__next__
        self._threads = [
            threading.Thread(target=Client(self, number).run) for number in range(clients)
        ]

    def failed(self, text):
        self.failures.append(text)

    def examples(self):
        """One failure of each kind of request."""
        return dict((text.split(":")[0], text[:300]) for text in self.failures).values()

    def counts(self):
        return [int(repr(count)[6:-1]) for count in (self._answers, self._reconnects, self._left)]

    def wait_for(self, count):
        """Returns when so many answers have come, or something failed."""
        deadline = time.monotonic() + 300
        while self.counts()[0] < count and not self.failures:
            assert time.monotonic() < deadline, "answers come too slowly"
            time.sleep(0.01)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self._threads:
            thread.join()


def resident(pid):
    """The process' resident memory, in KiB."""
    text = pathlib.Path("/proc/%d/statm" % pid).read_text(encoding="ascii")
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


# What is logged because we asked for it.
EXPECTED = (
    r"^error: PythonHandler failing: ",
    r"^error: failing failing::outputfilter: ",
    # Clients that leave: the end of each traceback, and the lines before it.
    r"^error: (PythonHandler mixed(::echo)?|swap filters::swap): "
    r"(OSError: (Write failed, client closed connection.|Client read error|Input filter read error)"
    r"|Traceback|  File .*(big|form|echo|swap|util.py|in handler))",
)


def test_everything_at_once(make_server, watch, request, mpm):
    seconds = request.config.getoption("--soak")
    threaded = mpm != "prefork"
    raw_port = free_port()
    conf = CONF + RAW.replace("RAW_PORT", str(raw_port))
    site = Site(conf=conf, files=FILES, children=2 if threaded else 4, threads=32)
    with make_server(site) as server:
        log = watch(server)
        log.allow(*EXPECTED)
        with Stress(server.port, raw_port, 64 if threaded else 4) as stress:
            for _ in range(2):
                time.sleep(seconds / 6)
                server.graceful()
            began = stress.counts()[0]
            time.sleep(seconds / 6)
            # Warm is what has served enough, however long that takes.
            stress.wait_for(began + (5000 if threaded else 200))
            before = {pid: resident(pid) for pid in server.children()}
            answers_before = stress.counts()[0]
            time.sleep(seconds / 2)
            stress.wait_for(answers_before + 20 * stress.clients)
            after = {pid: resident(pid) for pid in server.children()}
        answers, reconnects, left = stress.counts()
        # One of the generation before may have taken its time; a crash would be in the log.
        growth = {pid: after[pid] - before[pid] for pid in before if pid in after}
        print(
            "%d answers, %d connections replaced, %d clients left, resident KiB %s, growth %s in %d"
            % (answers, reconnects, left, sorted(after.values()), growth, answers - answers_before)
        )
        assert not stress.failures, "%d failures, such as\n%s" % (
            len(stress.failures),
            "\n".join(stress.examples()),
        )
        assert answers > answers_before
        # Bodies of all sizes fill the caches of freed memory that glibc keeps for each thread, some
        # 200 KiB a thread; with GLIBC_TUNABLES=glibc.malloc.tcache_count=0 nothing grows.
        # A child that came late, or under prefork saw little, is still warming up when first seen.
        warm = [pid for pid in growth if before[pid] > 0.9 * max(before.values())]
        if threaded or seconds >= 60:
            assert warm
            assert max(growth[pid] for pid in warm) < 8192, growth
