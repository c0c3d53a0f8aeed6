"""mod_python.wsgi: PEP 3333, and what wsgiref.validate thinks of us."""

import hashlib

import pytest

from pyhttpd import Site

SITE = Site(
    conf="""
        <Directory @root@/htdocs/app>
            SetHandler mod_python
            PythonHandler mod_python.wsgi
            PythonPath "sys.path+['@root@/htdocs/app']"
            PythonOption mod_python.wsgi.application apps
            PythonOption mod_python.wsgi.base_uri /app
        </Directory>
        <Location /mounted/here>
            SetHandler mod_python
            PythonHandler mod_python.wsgi
            PythonPath "sys.path+['@root@/htdocs/app']"
            PythonOption mod_python.wsgi.application apps::mounted
        </Location>
        <Location /caf\u00e9>
            SetHandler mod_python
            PythonHandler mod_python.wsgi
            PythonPath "sys.path+['@root@/htdocs/app']"
            PythonOption mod_python.wsgi.application apps::mounted
        </Location>
    """,
    files={
        "app/apps.py": r"""
            import hashlib, io, os, sys, tempfile, time
            from wsgiref.validate import validator

            class closing:
                # An iterable that tells when it is closed.
                def __init__(self, items, environ):
                    self.items, self.environ = items, environ
                def __iter__(self):
                    return iter(self.items)
                def close(self):
                    # Not wsgi.errors: what was printed there last stays in its buffer.
                    self.environ["test.req"].log_error("closed", 5)

            def application(environ, start_response):
                name = environ["PATH_INFO"].split("/")[1]
                environ["test.req"] = environ["wsgi.input"]
                app = globals()[name]
                if environ["QUERY_STRING"].startswith("raw"):
                    return app(environ, start_response)
                environ["REQUEST_URI"]
                return validator(app)(environ, start_response)

            TEXT = [("Content-Type", "text/plain")]

            def hello(environ, start_response):
                start_response("200 OK", TEXT)
                return [b"hello"]

            def status(environ, start_response):
                line = environ["PATH_INFO"].split("/")[2]
                headers = [] if line[:3] in ("204", "304") else TEXT
                start_response(line, headers + [("X-Header", "caf\xe9")])
                return [b"" if line[:3] in ("204", "304") else b"body"]

            def headers(environ, start_response):
                start_response("200 OK", TEXT + [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"),
                                                 ("X-Tab", "a\tb"), ("Content-Language", "en")])
                return [b""]

            def variables(environ, start_response):
                environ.pop("test.req")
                start_response("200 OK", TEXT)
                for key, value in environ.items():
                    assert type(key) is str, key
                    if not key.startswith(("wsgi.", "test.", "mod_python.")):
                        assert type(value) is str, (key, value)
                wanted = environ["HTTP_X_WANTED"].split(",")
                return [repr([environ.get(name) for name in wanted]).encode("ascii",
                                                                           "backslashreplace")]

            def mounted(environ, start_response):
                start_response("200 OK", TEXT)
                return [repr((environ["SCRIPT_NAME"], environ["PATH_INFO"])).encode()]

            def echo(environ, start_response):
                body = environ["wsgi.input"]
                how = environ["PATH_INFO"].split("/")[2]
                result = {
                    "read": lambda: body.read(int(environ.get("CONTENT_LENGTH") or 100)),
                    "all": lambda: environ["test.req"].read(),
                    "lines": lambda: b"|".join(body.readlines()),
                    "iterate": lambda: b"|".join(body),
                    "readline": lambda: body.readline() + b"|" + body.readline(3),
                }[how]()
                start_response("200 OK", TEXT)
                return [result]

            def generator(environ, start_response):
                start_response("200 OK", TEXT)
                return closing(generate(), environ)

            def generate():
                yield b"one"
                yield b""
                yield b"two"

            def late(environ, start_response):
                # start_response may be called by the iterator.
                start_response("200 OK", TEXT)
                yield b"late"

            def write(environ, start_response):
                put = start_response("200 OK", TEXT)
                put(b"written ")
                put(b"twice ")
                return [b"returned"]

            def fails_early(environ, start_response):
                try:
                    start_response("200 OK", TEXT)
                    raise ValueError("on purpose")
                except ValueError:
                    start_response("500 Sorry", [("Content-Type", "text/x")], sys.exc_info())
                    return [b"replaced"]

            def fails_late(environ, start_response):
                def items():
                    yield b"sent "
                    try:
                        raise ValueError("on purpose")
                    except ValueError:
                        start_response("500 Sorry", TEXT, sys.exc_info())
                start_response("200 OK", TEXT)
                return closing(items(), environ)

            def raises(environ, start_response):
                def items():
                    raise ValueError("in the iterator")
                    yield b""
                start_response("200 OK", TEXT)
                return closing(items(), environ)

            def twice(environ, start_response):
                start_response("200 OK", TEXT)
                start_response("200 OK", TEXT)
                return []

            def too_short(environ, start_response):
                start_response("200 OK", TEXT + [("Content-Length", "10")])
                return [b"short"]

            def too_short_in_pieces(environ, start_response):
                start_response("200 OK", TEXT + [("Content-Length", "10")])
                yield b"short"

            def endless(environ, start_response):
                start_response("200 OK", TEXT)
                return closing(iter(lambda: b"x" * 10000, None), environ)

            def too_long(environ, start_response):
                start_response("200 OK", TEXT + [("Content-Length", "4")])
                return closing([b"long", b"er", b"never"], environ)

            def runs_on(environ, start_response):
                start_response("200 OK", TEXT + [("Content-Length", "4")])
                yield b"done"
                yield b""
                environ["wsgi.errors"].write("came to its end")

            def too_much_written(environ, start_response):
                put = start_response("200 OK", TEXT + [("Content-Length", "4")])
                put(b"longer")
                return []

            def no_start(environ, start_response):
                return [b"body"]

            def no_start_and_nothing(environ, start_response):
                return []

            def text_item(environ, start_response):
                start_response("200 OK", TEXT)
                return ["caf\xe9"]

            def wrong_item(environ, start_response):
                start_response("200 OK", TEXT)
                return [5]

            def bad_status(environ, start_response):
                found = []
                for status in ("20 OK", "1000 X", "099 X", "100 Continue", "abc OK", "",
                               "200 a\r\nb: c", "200 \u20ac", "2000 OK", 200, b"200 OK", None,
                               "200"):
                    try:
                        start_response(status, [])
                        found.append("fine")
                    except (ValueError, TypeError) as error:
                        found.append(type(error).__name__)
                    except AssertionError:
                        found.append("fine")
                start_response("200 OK", TEXT, (None, None, None))
                return [repr(found).encode()]

            def bad_headers(environ, start_response):
                found = []
                for header in (("a b", "c"), ("", "c"), ("a", "b\nc"), ("a", "b\0"), ("a\r", "b"),
                               ("a", "\u20ac"), ("\xe9", "b"), ("Connection", "close"),
                               ("transfer-Encoding", "chunked"), ("Content-Length", "x"),
                               ("Content-Length", "-1"), ("a", None), ("a",), ("a", "b", "c")):
                    try:
                        start_response("200 OK", [header])
                        found.append("fine")
                    except (ValueError, TypeError) as error:
                        found.append(type(error).__name__)
                start_response("200 OK", TEXT)
                return [repr(found).encode()]

            def file(environ, start_response):
                path = environ["test.req"].document_root() + "/large"
                handle = open(path, "rb")
                query = environ["QUERY_STRING"]
                headers = TEXT[:]
                if "offset" in query:
                    handle.seek(1000)
                if "length" in query:
                    headers.append(("Content-Length", "5000"))
                start_response("200 OK", headers)
                if "object" in query:
                    handle = io.BytesIO(handle.read())
                wrapper = environ["wsgi.file_wrapper"](handle, 1000)
                if "iterate" in query:
                    return closing(wrapper, environ)
                environ["test.req"].register_cleanup(closed_file, [environ["test.req"], handle])
                return wrapper

            def closed_file(data):
                data[0].log_error("file closed: %s" % data[1].closed, 5)

            def large(environ, start_response):
                start_response("200 OK", TEXT)
                return [b"x" * 3000000]

            def empty(environ, start_response):
                start_response("200 OK", TEXT)
                return []

            def errors(environ, start_response):
                environ["wsgi.errors"].write("to the log\n")
                environ["wsgi.errors"].writelines(["more ", "lines\n"])
                environ["wsgi.errors"].flush()
                start_response("200 OK", TEXT)
                return [b"x"]
        """,
        "large": b"".join(b"%06d\n" % number for number in range(100000)),
    },
)
LARGE = SITE.files["large"]
INSIDE = ("Traceback", "wsgi.py", "apps.py", "validate.py")


def test_hello(get, fetch):
    answer = get("/app/hello")
    assert (answer.status, answer.body) == (200, b"hello")
    assert answer.headers.get_all("Content-Type") == ["text/plain"]
    answer = fetch("/app/hello?raw", "HEAD")
    assert (answer.body, answer.headers["Content-Length"]) == (b"", "5")


@pytest.mark.parametrize(
    "line, reason, body",
    [
        ("404 Nowhere to be found", "Nowhere to be found", b"body"),
        ("201 Created", "Created", b"body"),
        ("299 Own code", "Own code", b"body"),
        ("418 I'm a teapot", "I'm a teapot", b"body"),
        ("503 x", "x", b"body"),
        ("304 Not Modified", "Not Modified", b""),
        ("204 No Content", "No Content", b""),
    ],
)
def test_status(get, line, reason, body):
    answer = get("/app/status/" + line.replace(" ", "%20"))
    assert (answer.status, answer.reason, answer.body) == (int(line[:3]), reason, body)
    assert answer.headers["X-Header"].encode("latin-1") == b"caf\xe9"
    assert not answer.broken


def test_bodiless_answers_on_one_connection(connect):
    connection = connect()
    for line in ("304%20Not%20Modified", "204%20No%20Content", "200%20OK"):
        answer = connection.request(f"/app/status/{line}")
        assert answer.status == int(line[:3]) and not answer.broken


def test_headers(get):
    headers = get("/app/headers?raw").headers
    assert headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert headers["X-Tab"] == "a\tb"
    assert headers["Content-Language"] == "en"


def ask(get, path, *names, **options):
    wanted = ("X-Wanted", ",".join(names))
    answer = get(path, headers=[wanted, *options.pop("headers", ())], **options)
    assert answer.status == 200, answer.text
    return eval(answer.text)


def test_environ(get):
    assert ask(
        get, "/app/variables/a%20b/%C3%A9?q=%C3%A9", "REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO",
        "QUERY_STRING", "SERVER_PROTOCOL", "wsgi.url_scheme", "wsgi.version",
        "wsgi.run_once", "HTTP_X_A", "HTTP_X_LATIN", "CONTENT_TYPE",
        headers=[("X-A", "1"), ("X-A", "2"), ("X-Latin", "\u00e9")],
    ) == [
        "GET", "/app", "/variables/a b/\u00c3\u00a9", "q=%C3%A9", "HTTP/1.1",
        "http", (1, 0), False, "1, 2", "\u00e9", None,
    ]  # fmt: skip


def test_environ_of_threads(get, mpm):
    found = ask(get, "/app/variables", "wsgi.multithread", "wsgi.multiprocess")
    assert found == [mpm != "prefork", True]


def test_authorization(get):
    assert ask(get, "/app/variables", "HTTP_AUTHORIZATION", auth=("a", "b")) == ["Basic YTpi"]


def test_location_is_script_name(get):
    assert get("/mounted/here/below/it").text == "('/mounted/here', '/below/it')"
    assert get("/mounted/here/").text == "('/mounted/here', '/')"
    assert get("/mounted/here").text == "('/mounted/here', '')"
    assert get("/caf%C3%A9/x").text == "('/caf\u00c3\u00a9', '/x')"


@pytest.mark.parametrize(
    "how, expected",
    [
        ("read", b"one\ntwo\nthree"),
        ("all", b"one\ntwo\nthree"),
        ("lines", b"one\n|two\n|three"),
        ("iterate", b"one\n|two\n|three"),
        ("readline", b"one\n|two"),
    ],
)
def test_input(fetch, how, expected):
    answer = fetch(f"/app/echo/{how}", "POST", body=b"one\ntwo\nthree")
    assert answer.body == expected
    if how != "read":
        answer = fetch(f"/app/echo/{how}", "POST", body=[b"one\ntw", b"o\nthree"])
        assert answer.body == expected


def test_generator_is_sent_as_it_comes(get, log):
    answer = get("/app/generator?raw")
    assert (answer.body, answer.chunks[:2]) == (b"onetwo", [3, 3])
    log.wait_for("closed")
    assert get("/app/generator").body == b"onetwo"
    assert get("/app/late?raw").body == b"late"


def test_write(get):
    answer = get("/app/write?raw")
    assert answer.body == b"written twice returned"
    assert answer.chunks[:2] == [8, 6]


def test_error_before_the_headers(get):
    answer = get("/app/fails_early")
    assert (answer.status, answer.reason, answer.body) == (500, "Sorry", b"replaced")
    assert answer.headers.get_all("Content-Type") == ["text/x"]


def test_error_after_the_headers(get, log):
    log.expect("ValueError: on purpose", *INSIDE[:3])
    answer = get("/app/fails_late?raw")
    assert answer.body.startswith(b"sent ")
    log.wait_for("closed")


def test_error_in_the_iterator(get, log):
    log.expect("ValueError: in the iterator", *INSIDE[:3])
    assert get("/app/raises?raw").status == 500
    log.wait_for("closed")


def test_start_response_twice(get, log):
    log.expect("AssertionError: start_response.. was called before", *INSIDE[:3])
    assert get("/app/twice?raw").status == 500


def test_body_shorter_than_announced(connect, log):
    log.expect("MP0631: the WSGI application sent 5 bytes less than its Content-Length")
    for path in ("/app/too_short_in_pieces?raw", "/app/too_short?raw"):
        connection = connect()
        answer = connection.request(path)
        # In pieces the headers were on their way when it turned out.
        assert bool(answer.broken) == ("pieces" in path) and answer.body == b"short"
        assert connection.read_to_eof() == b""


def test_body_longer_than_announced(connect, log):
    connection = connect()
    answer = connection.request("/app/too_long?raw")
    assert (answer.body, answer.broken) == (b"long", "")
    log.wait_for("closed")
    # The connection can be used on.
    assert connection.request("/app/hello").body == b"hello"
    log.expect("AssertionError: more was written", *INSIDE[:3])
    answer = connection.request("/app/too_much_written?raw")
    assert answer.body == b"long"


def test_an_iterable_of_the_announced_length_comes_to_its_end(get, log):
    """Frameworks and middleware do their last work there, such as Starlette's background tasks."""
    log.expect("came to its end$")
    assert get("/app/runs_on?raw").body == b"done"


@pytest.mark.parametrize("name", ["no_start", "no_start_and_nothing"])
def test_start_response_is_needed(get, log, name):
    log.expect("MP0630: the WSGI application did not call start_response", "Traceback", "wsgi.py")
    assert get(f"/app/{name}?raw").status == 500


def test_items_that_are_no_bytes(get, log):
    assert get("/app/text_item?raw").text == "caf\u00e9"
    log.expect("TypeError: a WSGI body consists of bytes, not int", "Traceback", "wsgi.py")
    assert get("/app/wrong_item?raw").status == 500


def test_statuses_that_are_refused(get):
    value, kind = ["ValueError"], ["TypeError"]
    assert get("/app/bad_status?raw").text == repr([*value * 9, *kind * 3, "fine"])


def test_headers_that_are_refused(get):
    found = eval(get("/app/bad_headers?raw").text)
    assert found == ["ValueError"] * 11 + ["TypeError"] + ["ValueError"] * 2


FILES = {
    "raw": LARGE,
    "raw-offset": LARGE[1000:],
    "raw-length": LARGE[:5000],
    "raw-offset-length": LARGE[1000:6000],
    "raw-object": LARGE,
    "raw-object-offset-length": LARGE[1000:6000],
    "raw-iterate": LARGE,
    "raw-iterate-length": LARGE[:5000],
    "validated": LARGE,
}


@pytest.mark.parametrize("query", FILES)
def test_file_wrapper(get, log, query):
    answer = get(f"/app/file?{query}")
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(FILES[query]).digest()
    assert not answer.broken
    log.wait_for("closed" if "iterate" in query else "file closed: True")
    if query in ("raw", "raw-offset"):
        assert answer.headers["Content-Length"] == str(len(FILES[query]))


def test_large_and_empty_bodies(get):
    answer = get("/app/large")
    assert len(answer.body) == 3000000
    assert get("/app/large?raw").headers["Content-Length"] == "3000000"
    assert get("/app/empty?raw").headers["Content-Length"] == "0"


def test_errors(get, log):
    log.expect("to the log", "more lines")
    get("/app/errors")


def test_client_that_leaves(connect, log):
    log.expect("Write failed|Flush failed|failed", "Traceback")
    log.expect("wsgi.py")
    connection = connect()
    connection.send(b"GET /app/endless?raw HTTP/1.0\r\n\r\n")
    connection.read_some(10)
    connection.close()
    log.wait_for("closed")
