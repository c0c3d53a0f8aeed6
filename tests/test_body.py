"""Request bodies: req.read, readline, readlines, iteration and discard_request_body."""

import random
import re

import pytest

from pyhttpd import Site, client

SITE = Site(
    conf="""
        Timeout 60
        <VirtualHost *:@port@>
            ServerName localhost
        </VirtualHost>
        <VirtualHost *:@port@>
            ServerName impatient
            Timeout 2
        </VirtualHost>
        <Directory @root@/htdocs/body>
            SetHandler mod_python
            PythonHandler body::whole | .whole
            PythonHandler body::script | .script
            PythonHandler body::failing | .failing
            PythonHandler body::late | .late
            PythonHandler body::discard | .discard
            PythonHandler body::arguments | .arguments
            PythonHandler body::starved | .starved
        </Directory>
        <Directory @root@/htdocs/body/limit>
            LimitRequestBody 1000
        </Directory>
        <Directory @root@/htdocs/body/unlimited>
            LimitRequestBody 0
        </Directory>
        PythonInputFilter body::double DOUBLE
        PythonInputFilter body::swallow SWALLOW
        PythonInputFilter body::nested NESTED
        <Directory @root@/htdocs/body/double>
            SetInputFilter DOUBLE
        </Directory>
        <Directory @root@/htdocs/body/swallow>
            SetInputFilter SWALLOW
        </Directory>
        <Directory @root@/htdocs/body/nested>
            SetInputFilter NESTED
        </Directory>
    """,
    files={
        "body/limit/x": "",
        "body/unlimited/x": "",
        "body/double/x": "",
        "body/swallow/x": "",
        "body/nested/x": "",
        "body/body.py": """
            import hashlib, resource
            from mod_python import apache

            def whole(req):
                req.write(req.read())
                return apache.OK

            def script(req):
                # The query is a list of calls; their results go back with their lengths.
                for call in req.args.split("&"):
                    name, _, size = call.partition("=")
                    if name == "next":
                        result = next(req, b"")
                    elif name == "rest":
                        result = b"".join(req)
                    else:
                        result = getattr(req, name)(*([int(size)] if size else []))
                    if isinstance(result, list):
                        result = b"".join(result)
                    req.write(b"%d:%s" % (len(result), result))
                return apache.OK

            def failing(req):
                said = []
                for call in req.args.split("&"):
                    name, _, size = call.partition("=")
                    try:
                        result = getattr(req, name)(*([int(size)] if size else []))
                        said.append("%d bytes" % len(result))
                    except apache.SERVER_RETURN as e:
                        said.append("SERVER_RETURN%r" % (e.args,))
                    except Exception as e:
                        said.append("%s: %s" % (type(e).__name__, e))
                req.log_error("body: " + ", ".join(said), apache.APLOG_NOTICE)
                req.write(", ".join(said))
                return apache.OK

            def late(req):
                before = (req.remaining, req.read_length, req.read_chunked, req.expecting_100)
                first = req.read(1)
                during = (req.remaining, req.read_length)
                req.read()
                after = (req.remaining, req.read_length, req.read_chunked, req.expecting_100)
                req.write("%r %r %r" % (before, during, after))
                return apache.OK

            def discard(req):
                first = req.readline()
                status = req.discard_request_body()
                req.write("%r %r %r" % (first, status, req.read()))
                return apache.OK

            def arguments(req):
                said = []
                for argument in ("x", None, 1.5, b"", 2**70):
                    try:
                        getattr(req, req.args)(argument)
                    except Exception as e:
                        said.append(type(e).__name__)
                req.write(" ".join(said))
                return apache.OK

            def starved(req):
                first = req.read(1000)
                before = resource.getrlimit(resource.RLIMIT_AS)
                with open("/proc/self/statm") as file:
                    now = int(file.read().split()[0]) * resource.getpagesize()
                resource.setrlimit(resource.RLIMIT_AS, (now + 30 * 2**20, before[1]))
                try:
                    req.read()
                    said = "read"
                except MemoryError:
                    said = "MemoryError"
                finally:
                    resource.setrlimit(resource.RLIMIT_AS, before)
                for _ in range(2):
                    try:
                        said += " %d" % len(req.read())
                    except OSError as error:
                        said += ", %s" % error
                req.write(said)
                return apache.OK

            def double(filter):
                data = filter.read()
                while data:
                    # Every byte twice, so that the result does not depend on how much came.
                    filter.write(b"".join(b"%c%c" % (byte, byte) for byte in data))
                    data = filter.read()
                if data is None:
                    filter.close()

            def swallow(filter):
                data = filter.read()
                while data:
                    data = filter.read()
                if data is None:
                    filter.write(b"the end")
                    filter.close()

            def nested(filter):
                req = filter.req
                try:
                    req.read()
                except RuntimeError as e:
                    said = str(e)
                filter.read()
                filter.write(said.encode())
                filter.close()
        """,
    },
)

SIZES = [0, 1, 2, 8191, 8192, 8193, 16384, 65536, 65537, 1_000_003]


def noise(size, seed=1):
    """Bytes with lines of all lengths."""
    picker = random.Random(seed * 1_000_003 + size)
    data = bytearray(picker.randbytes(size) if size else b"")
    position = 0
    while position < size:
        position += picker.choice([1, 2, 10, 80, 200, 5000, 40000])
        if position < size:
            data[position] = 10
    return bytes(data)


def pieces(data, seed):
    """The same data in parts of all lengths, for chunked requests."""
    picker = random.Random(seed)
    parts = []
    while data:
        size = picker.choice([1, 7, 100, 8000, 8192, 30000])
        parts.append(data[:size])
        data = data[size:]
    return parts


def results(answer):
    """The results that `script` sent."""
    found, data = [], answer.body
    while data:
        size, _, data = data.partition(b":")
        found.append(data[: int(size)])
        data = data[int(size) :]
    return found


@pytest.mark.parametrize("size", SIZES)
def test_whole(fetch, size):
    data = noise(size)
    assert fetch("/body/x.whole", "POST", body=data).body == data


@pytest.mark.parametrize("size", SIZES)
def test_whole_chunked(fetch, size):
    data = noise(size)
    answer = fetch("/body/x.whole", "POST", body=pieces(data, size))
    assert (answer.status, answer.body) == (200, data)


class Reference:
    """What the calls must return, after the documentation of io.BufferedReader."""

    def __init__(self, data):
        self.data = data

    def read(self, size=-1):
        size = len(self.data) if size < 0 else size
        result, self.data = self.data[:size], self.data[size:]
        return result

    def readline(self, size=-1):
        end = self.data.find(b"\n") + 1 or len(self.data)
        return self.read(min(end, size) if size >= 0 else end)

    next = readline

    def readlines(self, hint=-1):
        result = b""
        while self.data and not (hint >= 0 and result and len(result) >= hint):
            result += self.readline()
        return result

    def rest(self):
        return self.read()


@pytest.mark.parametrize("seed", range(25))
def test_any_mix_of_calls(fetch, seed):
    picker = random.Random(seed)
    data = noise(picker.choice([0, 100, 20_000, 100_000, 300_000]), seed)
    reference = Reference(data)
    calls, expected = [], []
    for _ in range(picker.randrange(1, 40)):
        name = picker.choice(["read", "readline", "readline", "readlines", "next"])
        size = picker.choice([0, 1, 5, 100, 8192, 20_000])
        if name == "next":
            expected.append(reference.next())
            calls.append("next")
        elif picker.random() < 0.2 and name == "readline":
            expected.append(reference.readline())
            calls.append("readline")
        else:
            size = size or (1 if name == "readlines" else 0)
            expected.append(getattr(reference, name)(size))
            calls.append(f"{name}={size}")
    calls.append(picker.choice(["read", "rest", "readlines"]))
    expected.append(reference.read())
    body = data if seed % 2 else pieces(data, seed)
    answer = fetch("/body/x.script?" + "&".join(calls), "POST", body=body)
    assert results(answer) == expected
    assert b"".join(expected) == data


@pytest.mark.parametrize("size", [1, 5000, 100_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_an_input_filter_that_lengthens(fetch, size, chunked):
    data = noise(size)
    body = pieces(data, 3) if chunked else data
    longer = fetch("/body/double/x.whole", "POST", body=body).body
    assert longer == b"".join(b"%c%c" % (byte, byte) for byte in data)
    calls = "read=3&readline&read=10&readlines=500&next&read=9000&readline=4&read"
    answer = fetch(f"/body/double/x.script?{calls}", "POST", body=body)
    assert b"".join(results(answer)) == longer
    reference = Reference(longer)
    assert results(answer) == [
        getattr(reference, name)(*([int(number)] if number else []))
        for name, _, number in (call.partition("=") for call in calls.split("&"))
    ]


def test_an_input_filter_that_swallows(fetch):
    assert fetch("/body/swallow/x.whole", "POST", body=b"x" * 500_000).body == b"the end"


def test_an_input_filter_that_reads_the_body_itself(fetch):
    answer = fetch("/body/nested/x.whole", "POST", body=b"data")
    assert answer.text.startswith("the request's body is being read")


def test_counters(fetch):
    answer = fetch("/body/x.late", "POST", body=b"12345")
    # remaining is set by the first read, and 0 at the end.
    assert answer.text == "(0, 0, 0, 0) (5, 1) (0, 5, 0, 0)"


def test_discard(fetch):
    body = b"one\n" + b"x" * 100_000
    assert fetch("/body/x.discard", "POST", body=body).text == r"b'one\n' 0 b''"


def test_keep_alive_after_an_unread_and_a_partly_read_body(connect):
    connection = connect()
    body = noise(50_000)
    for path, expected in [
        ("/body/x.script?read=0", b"0:"),
        ("/body/x.script?read=5", b"5:" + body[:5]),
        ("/body/x.whole", body),
        ("/up.txt", b"up\n"),
    ]:
        method = "GET" if path == "/up.txt" else "POST"
        answer = connection.request(path, method, body=None if method == "GET" else body)
        assert (answer.status, answer.body) == (200, expected)


def test_continue(connect):
    connection = connect()
    expect = [("Expect", "100-continue"), ("Content-Length", "5")]
    connection.send(client.compose("/body/x.whole", "POST", headers=expect))
    assert connection.read_some(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.send(b"12345")
    answer = connection.read_response()
    assert (answer.status, answer.body, connection.open) == (200, b"12345", True)


def test_no_continue_where_the_body_is_not_read(connect):
    connection = connect()
    expect = [("Expect", "100-continue"), ("Content-Length", "5")]
    connection.send(client.compose("/body/x.script?read=0", "POST", headers=expect))
    answer = connection.read_response()
    assert (answer.status, answer.interim) == (200, [])


# -- failures ------------------------------------------------------------------------------------

GONE = "OSError: Client read error (Timeout?)"


@pytest.mark.parametrize("end", ["close", "shutdown"])
@pytest.mark.parametrize("framing", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
def test_a_client_that_vanishes(connect, log, end, framing):
    connection = connect()
    connection.send(
        b"POST /body/x.failing?readline&read&read=4&read=100&read&readline HTTP/1.1\r\n"
    )
    connection.send(f"{framing}\r\nHost: localhost\r\n\r\n".encode())
    data = b"line\nand more"
    connection.send(b"%x\r\n%s\r\n" % (len(data), data) if "chunked" in framing else data)
    if end == "close":
        connection.close()
    else:
        connection.shutdown_write()
    # What came in can be read, then every call fails alike.
    gone = re.escape(GONE)
    log.wait_for(f"body: 5 bytes, {gone}, 4 bytes, {gone}, {gone}, {gone}")


def test_silence(connect):
    connection = connect()
    connection.send(b"POST /body/x.failing?read HTTP/1.1\r\nHost: impatient\r\n")
    connection.send(b"Content-Length: 10\r\n\r\n12345")
    answer = connection.read_response()
    assert answer.text == GONE


@pytest.mark.parametrize("calls", ["read", "read=10", "readline", "readlines", "read=2000"])
def test_limit(fetch, calls):
    answer = fetch(f"/body/limit/x.script?{calls}", "POST", body=b"x" * 1001)
    assert answer.status == 413
    assert fetch("/body/limit/x.whole", "POST", body=b"x" * 1000).body == b"x" * 1000


def test_limit_of_a_chunked_body(fetch):
    assert fetch("/body/limit/x.whole", "POST", body=[b"x" * 500] * 3).status == 413
    assert fetch("/body/limit/x.whole", "POST", body=[b"x" * 500] * 2).status == 200


def test_the_limit_is_told_again(fetch):
    answer = fetch("/body/limit/x.failing?read&read=1&readline", "POST", body=b"x" * 1001)
    assert answer.text == ", ".join(["SERVER_RETURN(413,)"] * 3)


def test_an_announcement_is_not_believed(connect):
    connection = connect()
    head = "POST /body/unlimited/x.failing?read HTTP/1.1\r\nHost: localhost\r\n"
    head += "Content-Length: %d\r\n\r\n"
    connection.send((head % 4_000_000_000_000).encode() + b"little")
    connection.shutdown_write()
    assert connection.read_response().text == GONE


@pytest.mark.parametrize("length", ["-1", "1x", "99999999999999999999999", "0x10", "1, 2"])
def test_nonsense_lengths(connect, length):
    connection = connect()
    connection.send(b"POST /body/x.whole HTTP/1.1\r\nHost: localhost\r\n")
    connection.send(f"Content-Length: {length}\r\n\r\nx".encode())
    connection.shutdown_write()
    assert connection.read_response().status == 400


@pytest.mark.parametrize("size, status", [(b"zz", 400), (b"-1", 400), (b"f" * 17, 413)])
def test_nonsense_chunks(connect, log, size, status):
    # httpd answers these itself; what the handler writes then would be taken for the next response.
    log.expect("body::failing: OSError: Write failed, the response is already complete")
    log.expect("body::failing: (Traceback|  File)")
    connection = connect()
    connection.send(b"POST /body/x.failing?read&read&read=3 HTTP/1.1\r\nHost: localhost\r\n")
    connection.send(b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n" + size + b"\r\nxx")
    connection.shutdown_write()
    answer = connection.read_response()
    assert answer.status == status
    assert answer.body.strip().endswith(b"</html>")
    assert answer.body.count(b"<html>") == 1
    log.wait_for(rf"body: SERVER_RETURN\({status},\), SERVER_RETURN\({status},\), 3 bytes")


def test_a_huge_limit_is_no_promise(fetch):
    answer = fetch(
        f"/body/x.script?read={2**62}&read={2**62}&readline={2**62}", "POST", body=b"abc"
    )
    assert results(answer) == [b"abc", b"", b""]


@pytest.mark.parametrize("is_chunked", (False, True))
def test_without_memory_no_part_is_skipped(request, fetch, is_chunked):
    if request.config.getoption("--sanitizer"):
        pytest.skip("a sanitizer does not live in little memory")
    body = bytes(100 * 2**20)
    if is_chunked:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    headers = [("Transfer-Encoding", "chunked")] if is_chunked else []
    answer = fetch("/body/unlimited/x.starved", "POST", headers=headers, body=body)
    lost = ", a part of the request's body was lost: there was no memory for it"
    assert answer.text == "MemoryError" + 2 * lost


def test_without_body(get):
    answer = get("/body/x.script?read&read=5&readline&readlines&next")
    assert results(answer) == [b""] * 5


@pytest.mark.parametrize("method", ["read", "readline", "readlines"])
def test_arguments(get, method):
    expected = "TypeError " * 4 + "OverflowError"
    assert get(f"/body/x.arguments?{method}").text == expected
