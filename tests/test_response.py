"""Response bodies: req.write, flush and sendfile, and what comes after the end."""

import pathlib
from urllib.parse import quote

import pytest

from pyhttpd import Site

HANDLERS = """
    import os
    from mod_python import apache

    def call(req):
        # The query is Python: what it returns goes to the log, what it writes to the client.
        from urllib.parse import unquote
        try:
            result = eval(unquote(req.args), {"req": req, "apache": apache, "os": os})
        except Exception as e:
            result = "%s: %s" % (type(e).__name__, e)
        req.log_error("result %r, %d queued" % (result, req._bytes_queued), apache.APLOG_NOTICE)
        return apache.OK

    def many(req):
        path = req.document_root() + "/files/small.txt"
        for number in range(3000):
            req.sendfile(path)
        req.write("%d descriptors" % len(os.listdir("/proc/self/fd")))
        return apache.OK

    def redirect(req):
        req.internal_redirect("/up.txt" if req.args == "static" else "/response/inner.inner")
        said = []
        for call in (
            lambda: req.write("more"),
            lambda: req.write("more", 0),
            lambda: req.sendfile(req.document_root() + "/up.txt"),
            lambda: req.write(""),
            lambda: req.flush(),
        ):
            try:
                call()
                said.append("nothing")
            except OSError as e:
                said.append(str(e))
        req.log_error("said %s" % said, apache.APLOG_NOTICE)
        if req.args == "raise":
            raise ValueError("too late")
        return 404 if req.args == "404" else apache.OK

    def inner(req):
        req.write("inner")
        return apache.OK

    def gone(req):
        try:
            for count in range(10000):
                req.write(b"x" * 65536, req.args == "flush")
        except OSError as e:
            req.log_error("gone: %s" % e, apache.APLOG_NOTICE)
            raise
        return apache.OK
"""

SITE = Site(
    conf="""
        <Directory @root@/htdocs/response>
            SetHandler mod_python
            PythonHandler response::call | .call
            PythonHandler response::many | .many
            PythonHandler response::redirect | .redirect
            PythonHandler response::inner | .inner
            PythonHandler response::gone | .gone
        </Directory>
        <Directory @root@/htdocs/response/sendfile>
            EnableSendfile On
        </Directory>
        <Directory @root@/htdocs/response/mmap>
            EnableSendfile Off
            EnableMMAP On
        </Directory>
        <Directory @root@/htdocs/response/neither>
            EnableSendfile Off
            EnableMMAP Off
        </Directory>
        <Directory @root@/htdocs/response/filtered>
            SetOutputFilter INCLUDES
            Options +Includes
        </Directory>
    """,
    files={
        "response/response.py": HANDLERS,
        "response/sendfile/x": "",
        "response/mmap/x": "",
        "response/neither/x": "",
        "response/filtered/x": "",
        "files/small.txt": "0123456789",
        "files/empty": "",
        "files/é.txt": "name",
    },
)


def call(get, source, path="/response/x.call"):
    return get(f"{path}?{quote(source)}")


FILE = "req.document_root() + '/files/small.txt'"


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ("", b"0123456789"),
        (", 3", b"3456789"),
        (", 3, 4", b"3456"),
        (", 3, 100", b"3456789"),
        (", 3, 0", b""),
        (", 3, -1", b"3456789"),
        (", 9", b"9"),
        (", 10", b""),
        (", 11", b""),
        (", 2**62", b""),
        (", 0, 2**62", b"0123456789"),
        (", 1, 2**63 - 1", b"123456789"),
        (", len=2", b"01"),
        (", offset=8", b"89"),
    ],
)
@pytest.mark.parametrize("policy", ["sendfile", "mmap", "neither"])
def test_sendfile(get, log, arguments, expected, policy):
    answer = call(get, f"req.sendfile({FILE}{arguments})", f"/response/{policy}/x.call")
    assert (answer.status, answer.body) == (200, expected)
    log.wait_for(f"result {len(expected)}, {len(expected)} queued")


def test_sendfile_of_an_empty_file(get, log):
    assert call(get, "req.sendfile(req.document_root() + '/files/empty')").body == b""
    log.wait_for("result 0, 0 queued")


def test_sendfile_between_writes(get):
    source = f"[req.write('<', 0), req.sendfile({FILE}), req.write('|'), req.sendfile({FILE}, 5)]"
    assert call(get, source).text == "<0123456789|56789"


def test_sendfile_through_a_filter(get):
    answer = call(get, f"req.sendfile({FILE})", "/response/filtered/x.call")
    assert answer.text == "0123456789"


def test_sendfile_for_head(fetch, log):
    answer = fetch("/response/x.call?" + quote(f"req.sendfile({FILE})"), "HEAD")
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize(
    "argument",
    [
        "req.document_root() + '/files/é.txt'",
        "(req.document_root() + '/files/é.txt').encode()",
        "__import__('pathlib').Path(req.document_root(), 'files', 'é.txt')",
    ],
)
def test_sendfile_names(get, argument):
    assert call(get, f"req.sendfile({argument})").body == b"name"


@pytest.mark.parametrize(
    "argument, error",
    [
        ("'/nothing'", "OSError: Could not stat file for reading"),
        ("'/etc/passwd/below'", "OSError: Could not stat file for reading"),
        ("'/dev/null'", "OSError: Could not send: not a regular file"),
        ("req.document_root()", "OSError: Could not send: not a regular file"),
        ("'/etc/shadow'", "OSError: Could not open file for reading"),
        ("'a\\0b'", "ValueError: embedded null character"),
        ("5", "TypeError: argument 1 must be str, not int"),
        ("None", "TypeError: argument 1 must be str, not NoneType"),
        (f"{FILE}, -1", "ValueError: offset must not be negative"),
        (f"{FILE}, 'x'", "TypeError: .*"),
        (f"{FILE}, 2**63", "OverflowError: .*"),
    ],
)
def test_sendfile_refuses(get, log, argument, error):
    assert call(get, f"req.sendfile({argument})").body == b""
    log.wait_for(f"result ['\"]{error}['\"], 0 queued")


def test_sendfile_follows_links(server, get, log):
    files = server.htdocs / "files"
    (files / "link").symlink_to("small.txt")
    (files / "dangling").symlink_to("nothing")
    assert call(get, "req.sendfile(req.document_root() + '/files/link', 7)").body == b"789"
    assert call(get, "req.sendfile(req.document_root() + '/files/dangling')").body == b""
    log.wait_for("Could not stat file for reading")


def test_many_files_in_one_request(get):
    answer = get("/response/x.many")
    assert answer.body.startswith(b"0123456789" * 3000)
    assert int(answer.body[30_000:].split()[0]) < 100


def high_water_mark(pid):
    """KiB of memory that a process had at most, of its own or mapped."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


@pytest.mark.parametrize("policy", ["sendfile", "mmap", "neither"])
def test_memory_of_sendfile(server, connect, policy):
    size = 1 << 30
    path = server.htdocs / "files/sparse"
    with path.open("wb") as file:
        file.truncate(size)
        file.seek(size - 4)
        file.write(b"last")
    connection = connect()
    request = f"GET /response/{policy}/x.call?%s HTTP/1.1\r\nHost: localhost\r\n\r\n"
    # Of the child that answers: under prefork another one may just begin.
    connection.send((request % quote("req.write(str(os.getpid()))")).encode())
    child = int(connection.read_response().text)
    before = high_water_mark(child)
    source = "req.set_content_length(2**30) or req.sendfile(req.document_root() + '/files/sparse')"
    connection.send((request % quote(source)).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        more = connection.sock.recv(65536)
        assert more, head
        head += more
    assert b"Content-Length: %d" % size in head
    head, _, body = head.partition(b"\r\n\r\n")
    received, last = len(body), body[-4:]
    buffer = bytearray(1 << 20)
    while received < size:
        count = connection.sock.recv_into(buffer)
        assert count, "cut"
        received += count
        last = (last + bytes(buffer[max(0, count - 4) : count]))[-4:]
    assert (received, last) == (size, b"last")
    # httpd maps 4 MiB at a time, and the ones before may still be there.
    assert high_water_mark(child) - before < 32768
    path.unlink()


# -- after the end -------------------------------------------------------------------------------

COMPLETE = "Write failed, the response is already complete."


@pytest.mark.parametrize("kind", ["static", "inner", "404", "raise"])
def test_nothing_follows_a_complete_response(connect, log, kind):
    if kind == "raise":
        log.expect("ValueError: too late", "Traceback", "  File ")
    connection = connect()
    for _ in range(2):
        answer = connection.request(f"/response/x.redirect?{kind}")
        expected = b"up\n" if kind == "static" else b"inner"
        assert (answer.status, answer.body) == (200, expected)
    text = repr([COMPLETE, COMPLETE, COMPLETE, "nothing", "nothing"]).replace("[", r"\[")
    log.wait_for("said " + text, count=2)


@pytest.mark.parametrize("how", ["flush", "noflush"])
def test_a_client_that_goes_away(connect, log, how):
    log.expect("OSError: Write failed, client closed connection.", "Traceback", "  File ")
    connection = connect()
    connection.send(f"GET /response/x.gone?{how} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    connection.read_some(1000)
    connection.close()
    log.wait_for("gone: Write failed, client closed connection.")


# -- write ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data, expected",
    [
        ("'é€😀'", "é€😀".encode()),
        ("b'\\0\\xff'", b"\0\xff"),
        ("'a\\0b'", b"a\0b"),
        ("bytearray(b'abc')", b"abc"),
        ("memoryview(b'abcdef')[::2]", b"ace"),
        ("memoryview(bytearray(b'abc'))", b"abc"),
        ("__import__('array').array('B', [65, 66])", b"AB"),
        ("__import__('array').array('H', [0x4241])", b"AB"),
        ("memoryview(__import__('array').array('I', [1, 2]))", b"\1\0\0\0\2\0\0\0"),
        ("type('S', (str,), {})('sub')", b"sub"),
        ("type('B', (bytes,), {})(b'sub')", b"sub"),
        ("b'x' * 1000000", b"x" * 1000000),
        ("bytearray(b'y' * 1000000)", b"y" * 1000000),
        ("''", b""),
    ],
)
def test_write(get, log, data, expected):
    assert call(get, f"req.write({data})").body == expected
    log.wait_for(f"result None, {len(expected)} queued")
    assert call(get, f"req.write(data={data}, flush=0)").body == expected


@pytest.mark.parametrize(
    "data, error",
    [
        ("5", "TypeError: a bytes-like object is required, not 'int'"),
        ("None", "TypeError: a bytes-like object is required, not 'NoneType'"),
        ("['x']", "TypeError: a bytes-like object is required, not 'list'"),
        ("'\\ud800'", "UnicodeEncodeError: .*surrogates not allowed"),
    ],
)
def test_write_refuses(get, log, data, error):
    assert call(get, f"req.write({data})").body == b""
    log.wait_for(f"result ['\"]{error}['\"], 0 queued")
