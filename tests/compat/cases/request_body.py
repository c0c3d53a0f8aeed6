"""Reading and writing bodies: objects.md 3.1.3, 3.1.4 and 3.1.5."""

from compat.case import case, get, post, raw

case(
    "write-values",
    "objects.md 3.1.4: what write takes, and how it is counted",
    r"""
    def handler(req):
        for value in ("caf\u00e9 \u20ac", b"\xff\x00bytes", "nul\0inside", "", b""):
            result = req.write(value, 0)
            req.write(" %r %d\n" % (result, req._bytes_queued), 0)
        for value in (5, None, ["a"], "\udce9", 2.5, ("a", "b")):
            try:
                req.write(value)
            except Exception as error:
                req.write("%s: %s\n" % (type(error).__name__, error), 0)
        return apache.OK
    """,
    get(find="^caf\u00e9 \u20ac None 9\n"),
)

case(
    "write-flushes",
    "objects.md 3.1.4: each write is flushed by default",
    """
    def handler(req):
        for word in ("one", "two", "three"):
            req.write(word)
        return apache.OK
    """,
    get(body="onetwothree"),
    chunks=True,
)

case(
    "write-unflushed",
    "objects.md 3.1.4: a false flush argument leaves buffering to httpd",
    """
    def handler(req):
        req.write("one", 0)
        req.write("two", False)
        if req.args:
            req.flush()
        req.write("three", 0)
        return apache.OK
    """,
    get(body="onetwothree", expect={"Content-Length": "11"}),
    get("/?flush", body="onetwothree", expect={"Content-Length": None}),
    chunks=True,
)

case(
    "write-empty",
    "objects.md 3.1.4: empty data sends nothing, not even headers",
    """
    def handler(req):
        req.write("")
        req.write(b"")
        req.headers_out["X-Late"] = "still in time"
        return apache.OK
    """,
    get(body="", expect={"X-Late": "still in time"}),
)

case(
    "write-large",
    "objects.md 3.1.4: a megabyte in one write and in many",
    """
    def handler(req):
        if req.args:
            for _ in range(1024):
                req.write("x" * 1024, 0)
        else:
            req.write("x" * 1048576)
        req.headers_out["X"] = "y"
        return apache.OK
    """,
    get(body="x" * 1048576),
    get("/?many", body="x" * 1048576),
)

case(
    "write-counts",
    "objects.md 3.1.1: bytes_sent and sent_bodyct in the log phase",
    """
    def handler(req):
        req.write("12345")
        return apache.OK

    def loghandler(req):
        req.log_error("sent %s %s %s" % (req.bytes_sent, req.sent_bodyct, req._bytes_queued),
                      apache.APLOG_NOTICE)
        return apache.OK
    """,
    get(body="12345"),
    conf="SetHandler mod_python\nPythonHandler @mod@\nPythonLogHandler @mod@",
    log="notice",
)

case(
    "write-chunked-off",
    "objects.md 3.1.1: chunked 0 before the headers go out",
    """
    def handler(req):
        req.headers_out["Connection"] = "close"
        req.chunked = 0
        req.write("body")
        return apache.OK
    """,
    get(body="body"),
)

_READ = """
def handler(req):
    req.content_type = "text/plain"
    eval("show_" + req.args)(req)
    return apache.OK

def show_read(req):
    req.write("%r %r" % (req.read(), req.read()))

def show_read_n(req):
    req.write(" ".join(repr(req.read(size)) for size in (0, 3, 2, 100, 1)))

def show_read_minus(req):
    req.write("%r" % req.read(-5))

def show_readline(req):
    lines = []
    while True:
        line = req.readline()
        lines.append(line)
        if not line:
            break
    req.write("%r" % lines)

def show_readline_n(req):
    req.write("%r" % [req.readline(3) for _ in range(6)])

def show_readlines(req):
    req.write("%r" % req.readlines())

def show_nothing(req):
    req.write("not read")
"""

case(
    "read-body",
    "objects.md 3.1.3: read, readline, readlines",
    _READ,
    post(b"hello\nworld", "/?read", body=r"b'hello\nworld' b''"),
    post(b"hello\nworld", "/?read_n", body=r"b'' b'hel' b'lo' b'\nworld' b''"),
    post(b"hello", "/?read_minus", body="b'hello'"),
    post(b"one\ntwo\n\nthree", "/?readline", body=r"[b'one\n', b'two\n', b'\n', b'three', b'']"),
    post(b"one\ntwo\n", "/?readline_n", body=r"[b'one', b'\n', b'two', b'\n', b'', b'']"),
    post(b"one\ntwo\n\nthree", "/?readlines", body=r"[b'one\n', b'two\n', b'\n', b'three']"),
    post(b"hello", "/?nothing", body="not read"),
    post(b"", "/?read", body="b'' b''"),
    post(b"", "/?readlines", body="[]"),
    get("/?read", body="b'' b''"),
    get("/?readline", body="[b'']"),
)

case(
    "read-large",
    "objects.md 3.1.3: bodies larger than any buffer",
    """
    import hashlib

    def handler(req):
        if req.args == "all":
            data = req.read()
        elif req.args == "pieces":
            data = b"".join(iter(lambda: req.read(1000), b""))
        elif req.args == "lines":
            data = b"".join(req.readlines())
        else:
            data = b"".join(iter(req.readline, b""))
        req.write("%d %s" % (len(data), hashlib.sha1(data).hexdigest()))
        return apache.OK
    """,
    *[
        post(
            b"".join(b"%d %s\n" % (n, b"x" * (n % 300)) for n in range(5000)),
            f"/?{how}",
            find="^7",
        )
        for how in ("all", "pieces", "lines", "line")
    ],
)

case(
    "read-unread-body",
    "objects.md 3.1.3: httpd discards what the handler did not read",
    """
    def handler(req):
        req.read(2)
        req.write("x")
        return apache.OK
    """,
    post(b"y" * 100000, body="x"),
    get(body="x"),
)

case(
    "read-expect-100",
    "objects.md 3.1.1: Expect: 100-continue is answered at the first read",
    """
    def handler(req):
        expecting = req.expecting_100
        if req.args != "unread":
            req.write("%d %r" % (expecting, req.read()))
        return apache.OK
    """,
    post(b"body", headers=[("Expect", "100-continue")], body="1 b'body'"),
)

case(
    "sendfile",
    "objects.md 3.1.5: whole file, offset with length, result and errors",
    """
    import os

    def handler(req):
        path = req.filename
        if req.args == "all":
            result = req.sendfile(path)
        elif req.args == "part":
            result = req.sendfile(path, 2, 4)
        elif req.args == "len":
            result = req.sendfile(path, 0, 3)
        elif req.args == "missing":
            try:
                result = req.sendfile(path + ".missing")
            except OSError as error:
                result = "%s %s" % (type(error).__name__, error)
        elif req.args == "unreadable":
            try:
                result = req.sendfile("/etc/shadow")
            except OSError as error:
                result = "%s %s" % (type(error).__name__, error)
        req.write(" %r %r" % (result, req._bytes_queued))
        return apache.OK
    """,
    get("/file.bin?all", body="0123456789 10 10"),
    get("/file.bin?part", body="2345 4 4"),
    get("/file.bin?len", body="012 3 3"),
    get("/file.bin?missing", body=" 'OSError Could not stat file for reading' 0"),
    get("/file.bin?unreadable", body=" 'OSError Could not open file for reading' 0"),
    files={"file.bin": b"0123456789"},
)

# -- repaired ------------------------------------------------------------------------------------

case(
    "read-mixed",
    "gotchas B2: readline followed by read keeps every byte",
    """
    def handler(req):
        first = req.readline(100)
        rest = req.read()
        lines = rest.split(b"\\n")
        expected = [b"%d" % number for number in range(20000)] + [b""]
        req.write("%d %d %s" % (len(first), len(rest), lines == expected))
        return apache.OK
    """,
    post(
        b"first\n" + b"".join(b"%d\n" % number for number in range(20000)),
        body="6 108890 True",
    ),
)

case(
    "readlines-hint",
    "gotchas B8: the hint ends the list, it does not cut lines",
    """
    def handler(req):
        req.write("%r" % req.readlines(6))
        return apache.OK
    """,
    post(b"one\nlonger line\nthird\n", body=r"[b'one\n', b'longer line\n']"),
)

case(
    "sendfile-offset-only",
    "gotchas B11: offset without length means the rest of the file",
    """
    def handler(req):
        sent = req.sendfile(req.filename, 4)
        req.write(" %d" % sent)
        return apache.OK
    """,
    get("/file.bin", body="456789 6"),
    files={"file.bin": b"0123456789"},
)

case(
    "sendfile-directory",
    "gotchas B11: a directory cannot be sent",
    """
    def handler(req):
        try:
            req.sendfile("@dir@")
        except OSError:
            req.write("OSError")
        return apache.OK
    """,
    get(body="OSError"),
)

case(
    "read-chunked",
    "gotchas C41: chunked request bodies are accepted",
    """
    def handler(req):
        req.write("%r" % req.read())
        return apache.OK
    """,
    post([b"one ", b"two ", b"three"], body="b'one two three'"),
)

case(
    "read-numbers",
    "objects.md 3.1.1, gotchas C41: remaining and read_length; the policy is to accept chunks",
    """
    def numbers(req):
        return (req.remaining, req.read_length, req.read_body == apache.REQUEST_CHUNKED_DECHUNK)

    def handler(req):
        first = numbers(req)
        req.read(2)
        second = numbers(req)
        req.read()
        req.write("%r %r %r" % (first, second, numbers(req)))
        return apache.OK
    """,
    post(b"hello", body="(0, 0, False) (5, 2, True) (0, 5, True)"),
)

case(
    "write-buffers",
    "objects.md 3.1.4: bytearray and memoryview are written like bytes",
    """
    def handler(req):
        req.write(bytearray(b"one "))
        req.write(memoryview(b"two"))
        return apache.OK
    """,
    get(body="one two"),
)

case(
    "read-vanished-client",
    "objects.md 3.1.3: a body cut short is an OSError",
    """
    def handler(req):
        try:
            req.read()
        except OSError as error:
            req.log_error("read said %s" % type(error).__name__, apache.APLOG_NOTICE)
        return apache.OK
    """,
    raw(
        b"POST @url@/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nfour",
        half_close=True,
    ),
    log="notice",
)

case(
    "read-broken-body",
    "objects.md 3.1.3: a body cut short is an OSError; here the handler lets it pass",
    """
    def handler(req):
        return len(req.read())
    """,
    raw(
        b"POST @url@/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nfour",
        half_close=True,
        status=400,
    ),
    ours_log=["Traceback", "line ", "OSError: Client read error"],
)

case(
    "sendfile-empty",
    "objects.md 3.1.5: nothing of a file, and a file with nothing in it",
    """
    def handler(req):
        if req.args:
            req.sendfile("@dir@/empty.txt")
        else:
            req.sendfile("@dir@/full.txt", 0, 0)
        return apache.OK
    """,
    get(expect={"Content-Length": "0"}),
    get("/?empty", expect={"Content-Length": "0"}),
    files={"empty.txt": "", "full.txt": "12345"},
)

case(
    "read-limit-request-body",
    "objects.md 3.1.3: a body longer than LimitRequestBody allows",
    """
    def handler(req):
        req.write(req.readline() if req.args else req.read())
        return apache.OK
    """,
    post(b"0123456789", body="0123456789"),
    post(b"0123456789", "/?line", body="0123456789"),
    post(b"01234567890", status=413, new_connection=True),
    post(b"01234567890", "/?line", status=413, new_connection=True),
    conf="SetHandler mod_python\nPythonHandler @mod@\nLimitRequestBody 10",
)
