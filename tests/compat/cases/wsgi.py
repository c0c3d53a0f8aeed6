"""mod_python.wsgi: library.md 5.7."""

from compat.case import case, get, head, post

_CONF = """
    SetHandler mod_python
    PythonHandler mod_python.wsgi
    PythonOption mod_python.wsgi.application @mod@
    PythonOption mod_python.wsgi.base_uri /@id@
"""


def _wsgi(id, about, application, *requests, conf=_CONF, **options):
    return case(id, about, application, *requests, conf=conf, **options)


_HELLO = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "11"),
                              ("X-Own", "1"), ("X-Own", "2")])
    return [b"hello ", b"world"]

class Callable:
    def __call__(self, environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iter([b"called"])

other = Callable()
nothing = None
"""

_wsgi(
    "wsgi-hello",
    "library.md 5.7: headers and body",
    _HELLO,
    get("/x", body="hello world", expect={"Content-Type": "text/plain", "X-Own": ["1", "2"]}),
    head("/x", body=b""),
)

_wsgi(
    "wsgi-callable",
    "library.md 5.7: another callable of the module",
    _HELLO,
    get("/x", body="called"),
    conf=_CONF.replace("@mod@", "@mod@::other"),
)

_wsgi(
    "wsgi-missing",
    "library.md 5.7: no such callable declines",
    _HELLO,
    get("/x", status=404),
    conf=_CONF.replace("@mod@", "@mod@::absent"),
    log="warn",
)

_wsgi(
    "wsgi-none",
    "library.md 5.7: a false callable declines",
    _HELLO,
    get("/x", status=404),
    conf=_CONF.replace("@mod@", "@mod@::nothing"),
    log="warn",
)

_wsgi(
    "wsgi-wrong-base",
    "library.md 5.7: a URI that is not below the base declines",
    _HELLO,
    get("/x", status=404),
    conf=_CONF.replace("/@id@", "/elsewhere"),
    log="warn",
)

_wsgi(
    "wsgi-base-slash",
    "library.md 5.7: a base URI must not end with a slash",
    _HELLO,
    get("/x", status=500),
    conf=_CONF.replace("/@id@", "/@id@/"),
    log="error",
)

_wsgi(
    "wsgi-no-option",
    "library.md 5.7: the application must be named",
    _HELLO,
    get("/x", status=500),
    conf="SetHandler mod_python\nPythonHandler mod_python.wsgi",
    log="error",
)

_SHOW = """
def application(environ, start_response):
    lines = []
    for key in sorted(environ):
        if key.startswith(("HTTP_", "QUERY", "REQUEST_", "SCRIPT_N", "PATH_INFO", "CONTENT_L",
                           "CONTENT_TYPE", "wsgi.u", "wsgi.v", "wsgi.mult")):
            lines.append("%s %r" % (key, environ[key]))
    body = "\\n".join(lines).encode("ascii", "backslashreplace")
    start_response("200 OK", [("Content-Length", str(len(body))), ("Content-Type", "text/plain")])
    return [body]
"""

_wsgi(
    "wsgi-environ-request",
    "library.md 5.7: what the request puts into environ",
    _SHOW,
    get(
        "/more/path?a=b",
        headers=[("X-Header", "x")],
        auth=("user", "pass"),
        find="HTTP_AUTHORIZATION 'Basic .*HTTP_X_HEADER 'x'\n.*PATH_INFO '/more/path'\n"
        "QUERY_STRING 'a=b'\nREQUEST_METHOD 'GET'.*SCRIPT_NAME '/wsgi-environ-request'\n"
        ".*wsgi.url_scheme 'http'",
    ),
    post(b"body", "/x", headers=[("Content-Type", "a/b")], find="CONTENT_LENGTH '4'"),
)

_wsgi(
    "wsgi-location",
    "library.md 5.7: the Location is the base URI",
    _SHOW,
    get("//wsgi-location-place/path", find="PATH_INFO '/path'.*SCRIPT_NAME '/wsgi-location-place'"),
    sections="""
        <Location /wsgi-location-place>
            SetHandler mod_python
            PythonHandler mod_python.wsgi
            PythonPath "sys.path+['@dir@']"
            PythonOption mod_python.wsgi.application @mod@
        </Location>
    """,
)

_wsgi(
    "wsgi-location-root",
    "library.md 5.7: PATH_INFO at the base URI itself",
    _SHOW,
    get("//wsgi-location-root-place", find="PATH_INFO ''.*SCRIPT_NAME '/wsgi-location-root-place'"),
    sections="""
        <Location /wsgi-location-root-place>
            SetHandler mod_python
            PythonHandler mod_python.wsgi
            PythonPath "sys.path+['@dir@']"
            PythonOption mod_python.wsgi.application @mod@
        </Location>
    """,
)

_wsgi(
    "wsgi-input",
    "library.md 5.7: wsgi.input is the request",
    """
    def application(environ, start_response):
        body = environ["wsgi.input"]
        body = ("%s %r" % (type(body).__name__, body.read())).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    """,
    post(b"one\ntwo\nthree\n", "/x", body="mp_request b'one\\ntwo\\nthree\\n'"),
)

_wsgi(
    "wsgi-write",
    "library.md 5.7: the write callable",
    """
    def application(environ, start_response):
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"written, ")
        return [b"returned"]
    """,
    get("/x", body="written, returned"),
)

_wsgi(
    "wsgi-argument-errors",
    "library.md 5.7: what start_response refuses",
    """
    def application(environ, start_response):
        out = []
        for status, headers in (
            ("200 OK", ()), ("200 OK", [["a", "b"]]), ("200 OK", [(1, "b")]),
            ("200 OK", [("a", 1)]), ("no number", []),
        ):
            try:
                start_response(status, headers)
            except Exception as error:
                out.append("%s: %s" % (type(error).__name__, error))
        body = "\\n".join(out).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    """,
    get(
        "/x",
        body="TypeError: headers argument must be a list, not a 'tuple'\n"
        "TypeError: each header must be a tuple, not a 'list'\n"
        "TypeError: header names must be strings, not 'int'\n"
        "TypeError: header values must be strings, not 'int'\n"
        "ValueError: Invalid status line: no number",
    ),
)

_wsgi(
    "wsgi-close",
    "library.md 5.7: close() of the result is called",
    """
    import sys

    class Result:
        def __iter__(self):
            return iter([b"body"])
        def close(self):
            sys.modules[__name__].closed = True

    closed = False

    def application(environ, start_response):
        start_response("200 OK", [("Content-Length", "4")])
        if environ["QUERY_STRING"]:
            return [str(closed).encode()]
        return Result()
    """,
    get("/x", body="body"),
    get("/x?state", body="True"),
)

_wsgi(
    "wsgi-items",
    "library.md 5.7: the items of a generator are sent one by one",
    """
    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"one"
        yield b""
        yield b"two"
    """,
    get("/x", body="onetwo"),
    chunks=True,
)

# -- repaired ------------------------------------------------------------------------------------

_wsgi(
    "wsgi-status",
    "gotchas C14: the status of the application",
    """
    def application(environ, start_response):
        status = environ["QUERY_STRING"].replace("+", " ")
        start_response(status, [("Content-Type", "text/plain")])
        return [b"body"]
    """,
    get("/x?404+Not+here", status=404, body="body"),
    get("/x?302+Found", status=302),
    get("/x?304+Not+Modified", status=304, body=""),
    get("/x?204+No+Content", status=204, body=""),
    get("/x?500+Broken", status=500, body="body"),
)

_wsgi(
    "wsgi-exc-info-none",
    "gotchas C14: exc_info None",
    """
    def application(environ, start_response):
        start_response("200 OK", [("X", "1")], None)
        return [b"body"]
    """,
    get("/x", body="body", expect={"X": "1"}),
)

_wsgi(
    "wsgi-base-segment",
    "gotchas C14: the base URI ends at a segment",
    _HELLO,
    get("//wsgi-base-segment-more", status=404),
    sections="""
        <Location /wsgi-base-segment-more>
            SetHandler mod_python
            PythonHandler mod_python.wsgi
            PythonPath "sys.path+['@dir@']"
            PythonOption mod_python.wsgi.application @mod@
            PythonOption mod_python.wsgi.base_uri /@id@
        </Location>
    """,
)

_wsgi(
    "wsgi-environ",
    "gotchas C14: run_once and friends",
    """
    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        assert all(value is not None for value in environ.values())
        return [repr((environ["wsgi.run_once"], "wsgi.file_wrapper" in environ)).encode()]
    """,
    get("/x", body="(False, True)"),
)

_wsgi(
    "wsgi-no-start-response",
    "PEP 3333: start_response must be called",
    """
    def application(environ, start_response):
        return [b"body"]
    """,
    get("/x", status=500),
    ours_log=("did not call start_response", "Traceback", "wsgi.py"),
)

_wsgi(
    "wsgi-list",
    "a list is sent with its length, for no part of it has to be waited for",
    """
    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"one", b"two"]
    """,
    get("/x", body="onetwo", expect={"Content-Length": "6"}),
)

case(
    "wsgi-own-handler",
    "objects.md 3.1.2: build_wsgi_env and wsgi_start_response for programs of their own",
    """
    def application(environ, start_response):
        write = start_response("200 OK", [("Content-Type", "text/plain"), ("X-A", "1"),
                                          ("X-A", "2")])
        write(b"written ")
        return [environ["PATH_INFO"].encode(), b" ", environ["SCRIPT_NAME"].encode()]

    def handler(req):
        environ = req.build_wsgi_env()
        for item in application(environ, req.wsgi_start_response):
            req.write(item)
        return apache.OK
    """,
    get(
        "/x/y",
        body="written /wsgi-own-handler/x/y ",
        expect={"Content-Type": "text/plain", "X-A": ["1", "2"]},
    ),
)

case(
    "wsgi-own-handler-status",
    "gotchas C14: wsgi_start_response sets the status",
    """
    import sys

    def handler(req):
        start = req.wsgi_start_response
        start("500 Oops", [("X-A", "1")])
        try:
            start("200 OK", [])
        except AssertionError:
            pass
        try:
            raise ValueError("x")
        except ValueError:
            start("404 Nothing Here", [("X-B", "1")], sys.exc_info())
        req.write("body")
        try:
            raise KeyError("late")
        except KeyError:
            try:
                start("500 Late", [], sys.exc_info())
            except KeyError as error:
                req.write(" %s" % error)
        return apache.OK
    """,
    get(status=404, body="body 'late'", expect={"X-A": None, "X-B": "1"}),
)

_wsgi(
    "wsgi-path-not-ascii",
    "gotchas C14: PATH_INFO is what PEP 3333 asks for, bytes as latin-1 text",
    """
    def application(environ, start_response):
        path = environ["PATH_INFO"]
        body = "%s %s" % (ascii(path), path.encode("latin-1").decode("utf-8") == "/\\u20ac/x")
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body.encode()]
    """,
    get("/%E2%82%AC/x", body="'/\\xe2\\x82\\xac/x' True"),
)

case(
    "wsgi-places",
    "library.md 5.7: an application by rewriting, by Alias, in a Location, with errors",
    None,
    get("/w/a/b?x=1"),
    get("/w", status=301),
    post(b"data", "/w/p"),
    head("/w/h"),
    get("/rw/zz?1"),
    get("/w/err", status=500, body="custom 500"),
    get("/loc/a"),
    get("/w/a;b=c/d"),
    get("/w//double"),
    get("/w/x", auth=("u", "p")),
    conf="",
    vhost="""
        RewriteEngine On
        RewriteRule ^@url@/rw/(.*)$ @url@/w/rewritten/$1 [PT,QSA]
        <Directory @dir@/w>
            SetHandler mod_python
            PythonHandler mod_python.wsgi
            PythonPath "['@dir@']+sys.path"
            PythonOption mod_python.wsgi.application @mod@_app
            PythonOption mod_python.wsgi.base_uri @url@/w
            ErrorDocument 500 "custom 500"
        </Directory>
        <Location @url@/loc>
            SetHandler mod_python
            PythonHandler mod_python.wsgi
            PythonPath "['@dir@']+sys.path"
            PythonOption mod_python.wsgi.application @mod@_app
        </Location>
    """,
    files={
        "w/.exists": "",
        "@mod@_app.py": """
            def application(environ, start_response):
                if environ.get("PATH_INFO") == "/err":
                    raise ValueError("app")
                body = environ["wsgi.input"].read()
                names = ("SCRIPT_NAME PATH_INFO QUERY_STRING REQUEST_METHOD CONTENT_LENGTH "
                         "SERVER_NAME HTTP_HOST wsgi.url_scheme REQUEST_URI HTTP_AUTHORIZATION "
                         "REMOTE_USER").split()
                text = "%s %r" % ([(name, environ.get(name)) for name in names], body)
                start_response("200 OK", [("Content-Type", "text/plain"),
                                          ("Content-Length", str(len(text)))])
                return [text.encode()]
        """,
    },
    log="error",
)
