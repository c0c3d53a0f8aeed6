"""Python filters over what others serve: proxied, static, CGI, WSGI and handlers' content.

Every answer must be whole and framed rightly whatever the filter does to its length, and every
body that comes in must arrive as the filter left it.
"""

import http.server
import threading

import pytest

from pyhttpd import Site, client

TEXT = b"".join(b"%04d a line of text, then one more banana\n" % n for n in range(30000))
SMALL = TEXT[:200]
SIZES = {"small": SMALL, "big": TEXT}

# What each filter makes of a body, cut into pieces anywhere.
FILTERS = {
    "swap": bytes.swapcase,
    "longer": lambda data: data.replace(b"a", b"aaa"),
    "shorter": lambda data: data.replace(b"a", b""),
    "footer": lambda data: data + b"the end\n",
    "nothing": lambda data: b"",
    "whole": lambda data: data[::-1],
    "passing": bytes,
}

FILTER_CODE = """
    def through(change):
        def outputfilter(filter):
            data = filter.read(30000)
            while data:
                filter.write(change(data))
                data = filter.read(30000)
            if data is None:
                filter.close()
        return outputfilter

    swap = through(bytes.swapcase)
    longer = through(lambda data: data.replace(b"a", b"aaa"))
    shorter = through(lambda data: data.replace(b"a", b""))
    nothing = through(lambda data: b"")

    def footer(filter):
        data = filter.read()
        while data:
            filter.write(data)
            data = filter.read()
        if data is None:
            filter.write(b"the end\\n")
            filter.close()

    def whole(filter):
        collected = filter.req.__dict__.setdefault("collected_%s" % filter.is_input, [])
        data = filter.read()
        while data:
            collected.append(data)
            data = filter.read()
        if data is None:
            filter.write(b"".join(collected)[::-1])
            filter.close()

    def passing(filter):
        filter.pass_on()

    def undecided(filter):
        # Passes on what comes first, and has more to say at the end.
        if not hasattr(filter.req, "begun"):
            filter.req.begun = True
            filter.pass_on()
            return
        data = filter.read()
        while data:
            filter.write(data)
            data = filter.read()
        if data is None:
            filter.write(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
            filter.close()

    def raising(filter):
        raise LookupError("on purpose")

    def late(filter):
        # Fails when much has been sent.
        data = filter.read(8000)
        while data:
            filter.req.count = getattr(filter.req, "count", 0) + len(data)
            if filter.req.count > 200000:
                raise LookupError("on purpose")
            filter.write(data)
            data = filter.read(8000)
        if data is None:
            filter.close()
"""

FIXUP = """
    from mod_python import apache

    # ?out=name and ?in=name add a filter of the configuration; ?xout= and ?xin= one that is
    # registered on the request.
    def fixuphandler(req):
        for pair in (req.args or "").split("&"):
            how, _, name = pair.partition("=")
            if how == "out":
                req.add_output_filter("OUT_" + name)
            elif how == "in":
                req.add_input_filter("IN_" + name)
            elif how == "xout":
                req.register_output_filter("X_" + name, "filters::" + name, "@root@/htdocs/")
                req.add_output_filter("X_" + name)
            elif how == "xin":
                req.register_input_filter("X_" + name, "filters::" + name, "@root@/htdocs/")
                req.add_input_filter("X_" + name)
        return apache.OK
"""

CONTENT = """
    from mod_python import apache

    def handler(req):
        if req.method == "POST":
            body = req.read()
            req.write(body)
            return apache.OK
        with open("@root@/htdocs/static/%s.txt" % req.path_info[1:], "rb") as file:
            data = file.read(50000)
            while data:
                req.write(data, 0)
                data = file.read(50000)
        return apache.OK
"""

APPLICATION = """
    def application(environ, start_response):
        status, headers = "200 OK", [("Content-Type", "text/plain")]
        if environ["REQUEST_METHOD"] == "POST":
            body = environ["wsgi.input"].read()
            start_response(status, headers)
            return [body]
        file = open("@root@/htdocs/static%s.txt" % environ["PATH_INFO"], "rb")
        data = file.read()
        headers.append(("Content-Length", str(len(data))))
        start_response(status, headers)
        return [data[:1000], data[1000:]]
"""

# Without and with an announced length.
SCRIPT = """\
#!/bin/sh
if [ "$REQUEST_METHOD" = POST ]; then
    # httpd sends all of the body before it reads the answer.
    cat >"@root@/tmp/body.$$"
    printf 'Content-Type: text/plain\\n\\n'
    cat "@root@/tmp/body.$$"
    rm "@root@/tmp/body.$$"
    exit
fi
file="@root@/htdocs/static$PATH_INFO.txt"
printf 'Content-Type: text/plain\\n'
[ -z "$LENGTH" ] || printf 'Content-Length: %d\\n' $(wc -c <"$file")
printf '\\n'
exec cat "$file"
"""

CGIHANDLER = """
    import os, sys
    out = sys.stdout.buffer
    out.write(b"Content-Type: text/plain\\n\\n")
    if os.environ["REQUEST_METHOD"] == "POST":
        out.write(sys.stdin.buffer.read())
    else:
        with open("@root@/htdocs/static%s.txt" % os.environ["PATH_INFO"], "rb") as file:
            out.write(file.read())
"""

CONF = """
    PythonFixupHandler fixup
    PythonPath "['@root@/htdocs'] + sys.path"
    %s
    PythonOutputFilter filters::undecided OUT_undecided
    PythonOutputFilter filters::raising OUT_raising
    PythonOutputFilter filters::late OUT_late
    PythonInputFilter filters::raising IN_raising
    ProxyPass /proxied/ http://127.0.0.1:BACKEND/
    ScriptSock @root@/run/cgid
    ScriptAlias /cgi @root@/htdocs/script.sh
    ScriptAlias /cgilength @root@/htdocs/script.sh
    <Location /cgilength>
        SetEnv LENGTH 1
    </Location>
    <Directory @root@/htdocs/python>
        SetHandler mod_python
        PythonHandler content
        AcceptPathInfo On
    </Directory>
    <Directory @root@/htdocs/cgihandler>
        SetHandler mod_python
        PythonHandler mod_python.cgihandler
        AcceptPathInfo On
    </Directory>
    <Location /wsgi>
        SetHandler mod_python
        PythonHandler mod_python.wsgi
        PythonOption mod_python.wsgi.application application
    </Location>
""" % "".join(
    f"    PythonOutputFilter filters::{name} OUT_{name}\n"
    f"    PythonInputFilter filters::{name} IN_{name}\n"
    for name in FILTERS
)

SOURCES = {
    "static": "/static/%s.txt",
    "handler": "/python/page/%s",
    "wsgi": "/wsgi/%s",
    "cgi": "/cgi/%s",
    "cgi with a length": "/cgilength/%s",
    "cgihandler": "/cgihandler/page.py/%s",
    "proxied": "/proxied/length/%s",
    "proxied in chunks": "/proxied/chunked/%s",
    "proxied to the end": "/proxied/close/%s",
}


class Backend(http.server.BaseHTTPRequestHandler):
    """The server behind the proxy: /length/, /chunked/ and /close/ say how the answer is framed."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_message(self, *_):
        pass

    def do_GET(self):
        how, _, what = self.path[1:].partition("?")[0].partition("/")
        self.answer(how, 404 if what == "missing" else 200, SIZES.get(what, b"no such page\n"))

    do_HEAD = do_GET

    def do_POST(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while True:
                size = int(self.rfile.readline(), 16)
                body += self.rfile.read(size)
                self.rfile.readline()
                if size == 0:
                    break
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer("length", 200, body)

    def answer(self, how, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        if how == "length":
            self.send_header("Content-Length", str(len(body)))
        elif how == "cut":
            self.send_header("Content-Length", str(len(body) + 1000))
        elif how == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return
        if how != "chunked":
            self.wfile.write(body)
            self.close_connection = self.close_connection or how == "cut"
            return
        for start in range(0, len(body), 70000):
            part = body[start : start + 70000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")


@pytest.fixture(scope="module")
def backend():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend) as server:
        server.daemon_threads = True
        # httpd leaves in the middle where a filter fails.
        server.handle_error = lambda *_: None
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def _module_server(make_server, backend, mpm, mod_python):
    if mod_python.name == "original":
        pytest.skip("the original sends garbage (B1)")
    if mpm != "event":
        pytest.skip("none of it depends on the MPM")
    site = Site(
        conf=CONF.replace("BACKEND", str(backend)),
        modules=("proxy", "proxy_http", "cgid"),
        files={
            "filters.py": FILTER_CODE,
            "fixup.py": FIXUP,
            "application.py": APPLICATION,
            "content.py": CONTENT,
            "python/page": "",
            "cgihandler/page.py": CGIHANDLER,
            "script.sh": SCRIPT,
            "static/small.txt": SMALL,
            "static/big.txt": TEXT,
        },
    )
    server = make_server(site)
    (server.htdocs / "script.sh").chmod(0o755)
    return server.start()


@pytest.fixture(autouse=True)
def scripts(log):
    # A script that nobody listens to any more says so some time later, or is killed before.
    log.allow("^stderr: cat: write error")


def framed(answer, body):
    """The answer is complete, and its announced length, if any, is the body's."""
    assert (answer.status, answer.broken) == (200, "")
    assert answer.body == body
    assert answer.headers.get_all("Content-Length") in ([], [str(len(body))])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("source", SOURCES)
def test_output(source, size, server, connect):
    connection = connect()
    for name, change in FILTERS.items():
        for how in ("out", "xout"):
            if not connection.open:
                connection = connect()
            path = SOURCES[source] % size
            answer = connection.request(f"{path}?{how}={name}")
            framed(answer, change(SIZES[size]))


@pytest.mark.parametrize("source", SOURCES)
def test_head(source, connect):
    """No body, and no other length than GET's; the connection goes on."""
    for name, change in FILTERS.items():
        connection = connect()
        path = SOURCES[source] % "small"
        answer = connection.request(f"{path}?out={name}", "HEAD")
        assert (answer.status, answer.broken) == (200, "")
        length = str(len(change(SMALL)))
        assert answer.headers.get_all("Content-Length") in ([], [length]), name
        if connection.open:
            framed(connection.request(f"/static/small.txt?out={name}"), change(SMALL))
        connection.close()


@pytest.mark.parametrize("how", ("length", "chunked", "close"))
def test_error_answer_of_the_proxied_server(how, get):
    answer = get(f"/proxied/{how}/missing?out=longer")
    assert (answer.status, answer.broken) == (404, "")
    assert answer.body == FILTERS["longer"](b"no such page\n")


@pytest.mark.parametrize("path", ("/static/missing", "/cgihandler/missing.py"))
def test_error_page_of_httpd(path, get):
    answer = get(f"{path}?out=swap")
    assert (answer.status, answer.broken) == (404, "")
    # httpd's own page, not filtered or filtered as a whole.
    assert answer.body.lower().endswith(b"</html>\n")
    assert answer.headers.get_all("Content-Length") in ([], [str(len(answer.body))])


def test_the_proxied_server_fails(get, log):
    answer = get("/proxied/cut/small?out=longer")
    assert not (answer.status == 200 and answer.broken == ""), answer
    log.allow("AH0", "filters::longer", "out_longer")


@pytest.mark.parametrize("source", SOURCES)
def test_a_filter_that_fails(source, get, log):
    log.expect("LookupError: on purpose")
    # What the handler hears of it.
    log.allow(
        "out_raising filters::raising",
        "out_late filters::late",
        "AH0",
        "^error: PythonHandler",
    )
    answer = get(f"{SOURCES[source] % 'small'}?out=raising")
    assert (answer.status, answer.broken) == (500, "")
    assert b"banana" not in answer.body
    # Too late for another status: the client sees that the answer is not whole.
    answer = get(f"{SOURCES[source] % 'big'}?out=late")
    assert answer.status == 500 or answer.broken, (answer.status, len(answer.body))


def test_ranges_and_conditions(connect):
    """206 and 304 are about what the filter made."""
    connection = connect()
    answer = connection.request("/static/small.txt?out=longer", headers=[("Range", "bytes=0-20")])
    assert (answer.status, answer.broken) == (206, "")
    assert answer.body == FILTERS["longer"](SMALL)[:21]
    tag = answer.headers["ETag"]
    for name in ("longer", "footer"):
        answer = connection.request(
            f"/static/small.txt?out={name}", headers=[("If-None-Match", tag)]
        )
        assert (answer.status, answer.body) == (304, b"")
    framed(connection.request("/static/small.txt?out=footer"), FILTERS["footer"](SMALL))


def test_more_than_was_announced(connect):
    """What exceeds a length that is out already is never taken for the next answer."""
    connection = connect()
    answer = connection.request("/proxied/length/big?out=undecided")
    assert (answer.status, answer.broken) == (200, "")
    assert answer.body == TEXT
    # The connection ends there, whatever else was asked on it.
    connection.send(client.compose("/static/small.txt"))
    assert connection.read_to_eof() == b"HTTP/1.1 200 OK\r\n\r\n"


def test_several_filters(connect):
    connection = connect()
    for source in ("static", "cgi", "proxied", "proxied in chunks"):
        path = SOURCES[source] % "big"
        framed(
            connection.request(f"{path}?out=longer&xout=swap&out=footer"),
            FILTERS["footer"](FILTERS["swap"](FILTERS["longer"](TEXT))),
        )


# Who answers a POST with the body it got.
READERS = {
    "handler": "/python/page/echo",
    "wsgi": "/wsgi/echo",
    "cgi": "/cgi/echo",
    "cgihandler": "/cgihandler/page.py/echo",
    "proxied": "/proxied/echo",
}


@pytest.mark.parametrize("framing", ("length", "chunked"))
@pytest.mark.parametrize("reader", READERS)
def test_input(reader, framing, connect):
    connection = connect()
    for size, body in SIZES.items():
        for name, change in FILTERS.items():
            if not connection.open:
                connection = connect()
            how = "in" if size == "small" else "xin"
            sent = body
            if framing == "chunked":
                sent = [body[start : start + 60000] for start in range(0, len(body), 60000)]
            answer = connection.request(f"{READERS[reader]}?{how}={name}", "POST", body=sent)
            framed(answer, change(body))


def test_both_ways(connect):
    connection = connect()
    for reader in READERS.values():
        if not connection.open:
            connection = connect()
        answer = connection.request(f"{reader}?in=longer&xout=swap", "POST", body=TEXT)
        framed(answer, FILTERS["swap"](FILTERS["longer"](TEXT)))


@pytest.mark.parametrize("reader", READERS)
def test_an_input_filter_that_fails(reader, fetch, log):
    log.expect("LookupError: on purpose")
    # A newer sh says that nobody reads what it prints.
    log.allow("in_raising", "AH0", "^error: ", "OSError", "script.sh: .*I/O error")
    answer = fetch(f"{READERS[reader]}?in=raising", "POST", body=SMALL)
    assert answer.status >= 400 or answer.broken, answer
    assert b"banana" not in answer.body
