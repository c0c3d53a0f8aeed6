"""HTTP around a handler: methods, conditions, ranges, URLs of every shape, odd response headers."""

import functools

from compat.case import Request as R
from compat.case import case as any_case
from compat.case import get, head, raw

# None of this depends on the MPM.
case = functools.partial(any_case, mpms=("event",))

STANDARD = "GET HEAD POST PUT DELETE OPTIONS TRACE PATCH".split()
DAV = """
    PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK VERSION-CONTROL CHECKOUT UNCHECKOUT CHECKIN
    UPDATE LABEL REPORT MKWORKSPACE MKACTIVITY BASELINE-CONTROL MERGE
""".split()
UNKNOWN = "FOO get PURGE".split()


def declined(method):
    """What httpd's own handler of files says."""
    if method in ("GET", "HEAD", "POST", "OPTIONS", "TRACE"):
        return 200
    return 501 if method in UNKNOWN else 405


case(
    "http-methods",
    "objects.md 3.1: every method handled, declined and refused",
    """
    def handler(req):
        if req.args == "declined":
            return apache.DECLINED
        if req.args == "list":
            req.allow_methods(["GET", "FOO", "BAR"], 1)
            return 405
        if req.args == "more":
            req.allow_methods(["PUT"])
            return 405
        if req.args == "none":
            req.allow_methods([])
            return 405
        if req.args == "501":
            return 501
        if req.args == "allow":
            req.headers_out["Allow"] = "X"
            return apache.OK
        req.write("%s %s %s %s %s %s" % (req.method, req.method_number, req.allowed,
                  req.allowed_methods, req.allowed_xmethods, req.header_only))
        return apache.OK
    """,
    *[R("/x.txt", method, new_connection=True) for method in STANDARD + DAV + UNKNOWN],
    *[
        R("/x.txt?declined", method, status=declined(method), new_connection=True)
        for method in STANDARD + DAV + UNKNOWN
    ],
    *[
        R(f"/x.txt?{way}", method, status=status)
        for way, status in (
            ("list", 405),
            ("more", 405),
            ("none", 405),
            ("501", 501),
            ("allow", 200),
        )
        for method in ("GET", "OPTIONS", "FOO", "HEAD")
    ],
    files={"x.txt": "static"},
    log="error",
)

CONDITIONS = (
    ("Range", "bytes=0-4"),
    ("Range", "bytes=-5"),
    ("Range", "bytes=200-300"),
    ("If-None-Match", '"tag"'),
    ("If-None-Match", "*"),
    ("If-Match", '"nope"'),
    ("If-Modified-Since", "Sun, 13 Sep 2020 12:26:40 GMT"),
    ("If-Modified-Since", "Fri, 13 Sep 2019 12:26:40 GMT"),
    ("If-Unmodified-Since", "Fri, 13 Sep 2019 12:26:40 GMT"),
)
# What the handler does -> the statuses for these conditions.
WAYS = {
    "len": "206 206 416 200 200 200 200 200 200",
    "": "206 206 416 200 200 200 200 200 200",
    # It goes out in pieces, and httpd makes ranges of a whole answer only.
    "send": "200 200 200 200 200 200 200 200 200",
    "len&etag": "206 206 416 200 200 200 200 200 200",
    "len&none": "206 206 416 200 200 200 200 200 200",
    "mtime&lm&setag&meet&len": "206 206 416 200 304 412 304 200 412",
    "etag&meet": "206 206 416 304 304 412 200 200 412",
    "meet": "206 206 416 200 304 412 200 200 412",
}

case(
    "http-conditions",
    "objects.md 3.1.2: ranges, validators, meets_conditions",
    """
    def handler(req):
        ways = (req.args or "").split("&")
        if "len" in ways:
            req.set_content_length(100)
        if "etag" in ways:
            req.headers_out["ETag"] = '"tag"'
        if "mtime" in ways:
            req.update_mtime(1600000000)
        if "lm" in ways:
            req.set_last_modified()
        if "setag" in ways:
            req.set_etag()
        if "none" in ways:
            req.headers_out["Accept-Ranges"] = "none"
        if "meet" in ways:
            result = req.meets_conditions()
            req.err_headers_out["X-Conditions"] = str(result)
            if result != apache.OK:
                return result
        if "send" in ways:
            req.headers_out["X-Sent"] = str(req.sendfile("@dir@/hundred.txt"))
            return apache.OK
        for _ in range(10):
            req.write("0123456789", 0)
        return apache.OK
    """,
    *[
        get(f"/hundred.txt?{way}", headers=[condition], status=int(status))
        for way, statuses in WAYS.items()
        for condition, status in zip(CONDITIONS, statuses.split())
    ],
    get(
        "/hundred.txt?len&etag", headers=[("Range", "bytes=0-4"), ("If-Range", '"tag"')], status=206
    ),
    get("/hundred.txt?len&etag", headers=[("Range", "bytes=0-4"), ("If-Range", '"no"')]),
    head("/hundred.txt?len"),
    head("/hundred.txt"),
    head("/hundred.txt?send"),
    files={"hundred.txt": "0123456789" * 10},
)

ECHO = """
def handler(req):
    req.write("\\n".join(repr(getattr(req, name, None)) for name in (
        "uri unparsed_uri filename path_info args the_request hostname protocol proto_num "
        "parsed_uri assbackwards extension").split()), 0)
    return apache.OK
"""

case(
    "http-urls",
    "objects.md 3.1: URLs and request lines of every shape",
    ECHO,
    *[
        get("/" + path)
        for path in r"""a%5Cb %41 a%20b+c a;p=1/b;q=2 a//b a?b?c a? a?? a%3Fb a?b%20c+d a%25b
            %7Euser a&b a:b a/./b/../c a%0Ab '"<> {}|^` x.y.z .hidden a. a/""".split()
    ],
    *[get("/" + path, status=404) for path in ("a%2Fb", "a%00b", "..%2f")],
    raw(b"GET http://localhost@url@/abs?q HTTP/1.1\r\nHost: other\r\n\r\n"),
    raw(b"GET HTTP://LOCALHOST:@port@@url@/abs HTTP/1.1\r\nHost: x\r\n\r\n"),
    raw(b"GET @url@/v6 HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"),
    raw(b"GET @url@/h HTTP/1.1\r\nHost: LocalHost:99\r\n\r\n"),
    raw(b"GET @url@/h HTTP/1.1\r\nHost: localhost.\r\n\r\n"),
    raw(b"GET @url@/h HTTP/1.0\r\n\r\n"),
    raw(b"GET @url@/h HTTP/1.0\r\nHost: zz\r\nConnection: keep-alive\r\n\r\n"),
    raw(b"GET @url@/h HTTP/1.2\r\nHost: zz\r\n\r\n"),
    raw(b"GET @url@/h HTTP/1.1\r\nHost: x\r\nX: 1\r\n folded\r\nX: 2\r\n\r\n"),
    raw(b"GET @url@/h HTTP/1.1\r\nHost: x\r\nBig: " + b"z" * 8000 + b"\r\n\r\n"),
    raw(b"\r\n\r\nGET @url@/h HTTP/1.1\r\nHost: x\r\n\r\n"),
    raw(b"GET @url@/h HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUpgrade: foo\r\n\r\n"),
)

for value in ("On", "NoDecode"):
    case(
        f"http-slashes-{value.lower()}",
        "objects.md 3.1: AllowEncodedSlashes",
        ECHO,
        *[get("/" + path) for path in "a%2Fb/c%2fd a%2F..%2Fb %2F a%252Fb".split()],
        get("/f.txt%2Fx"),
        vhost=f"AllowEncodedSlashes {value}",
        files={"f.txt": ""},
    )

case(
    "http-response-headers",
    "objects.md 3.1: status, type and headers that a program sets, and what httpd makes of them",
    """
    from mod_python import util
    def handler(req):
        out, way = req.headers_out, req.args
        if way == "written":
            req.write("x", 0)
            util.redirect(req, "/x")
        elif way == "relative":
            out["Location"] = "y"
            return apache.HTTP_MOVED_PERMANENTLY
        elif way == "nowhere":
            return 302
        elif way == "status":
            out["Location"] = "/y"
            req.status = 302
        elif way == "location":
            out["Location"] = "/y"
        elif way == "both":
            out["X"] = "a"
            req.err_headers_out["X"] = "b"
        elif way == "challenge":
            out["WWW-Authenticate"] = 'Basic realm="z"'
            return 401
        elif way == "no-cache":
            out["Expires"] = "-1"
            req.no_cache = 1
        elif way == "connection":
            out["Connection"] = "close"
        elif way == "date":
            out["Date"] = "x"
        elif way == "length":
            out["Content-Length"] = "2"
        elif way == "type":
            req.content_type = "text/x-a"
            out["Content-Type"] = "text/x-b"
        elif way == "type-out":
            out["Content-Type"] = "text/x-b"
        elif way == "type-empty":
            req.content_type = ""
        elif way == "empty":
            out["X-Empty"] = ""
        elif way == "line":
            req.status_line = "200 Fine"
        elif way == "line-404":
            req.status, req.status_line = 404, "404 Nope"
        elif way == "204":
            req.status = 204
        elif way == "304":
            req.status = 304
            out["ETag"] = '"e"'
        req.write("ok", 0)
        return apache.OK
    """,
    *[
        get(f"/?{way}", status=status, new_connection=True)
        for way, status in {
            "written": 302,
            "relative": 301,
            "nowhere": 302,
            "status": 302,
            "location": 200,
            "both": 200,
            "challenge": 401,
            "no-cache": 200,
            "connection": 200,
            "date": 200,
            "length": 200,
            "type": 200,
            "type-out": 200,
            "type-empty": 200,
            "empty": 200,
            "line": 200,
            "line-404": 404,
            "204": 204,
            "304": 304,
        }.items()
    ],
    *[get(f"/?{way}", version="HTTP/1.0") for way in ("plain", "length", "connection")],
    *[head(f"/?{way}") for way in ("plain", "length")],
)
