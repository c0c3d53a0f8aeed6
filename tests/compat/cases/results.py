"""Stacked handlers, return values and SERVER_RETURN: phases.md 2.4."""

from compat.case import case, get, head

_STACK = """
def one(req):
    req.write("one ")
    return apache.OK

def two(req):
    req.write("two ")
    return apache.OK

def declines(req):
    req.headers_out["X-Declined"] = "yes"
    return apache.DECLINED

def done(req):
    req.write("done ")
    return apache.DONE

def forbidden(req):
    return apache.HTTP_FORBIDDEN
"""

for _name, _list, _answer in (
    ("ok", "@mod@::one @mod@::two", get(body="one two ")),
    ("done", "@mod@::one @mod@::done @mod@::two", get(body="one done ")),
    ("status", "@mod@::forbidden @mod@::two", get(status=403)),
    (
        "declined",
        "@mod@::declines @mod@::two",
        get("/page.txt", body="static\n", expect={"X-Declined": "yes"}),
    ),
):
    case(
        f"stack-{_name}",
        "phases.md 2.4.1: the content list goes on after OK only",
        _STACK,
        _answer,
        conf=f"SetHandler mod_python\nPythonHandler {_list}",
        files={"page.txt": "static\n"},
    )

case(
    "stack-two-directives",
    "directives.md 1.2: the directive repeated in one section concatenates",
    _STACK,
    get(body="two one "),
    conf="SetHandler mod_python\nPythonHandler @mod@::two\nPythonHandler @mod@::one",
)

case(
    "stack-error-stops",
    "phases.md 2.6: an exception ends the list",
    _STACK
    + """
def fails(req):
    raise ValueError("no")
""",
    get(status=500),
    conf="SetHandler mod_python\nPythonHandler @mod@::fails @mod@::one",
    log="error",
)

case(
    "stack-hlist-next",
    "phases.md 2.4.1: a handler may skip the following entry",
    _STACK
    + """
def skips(req):
    req.write("skips ")
    req.hlist.next()
    return apache.OK
""",
    get(body="skips two "),
    conf="SetHandler mod_python\nPythonHandler @mod@::skips @mod@::one @mod@::two",
)

case(
    "stack-add-handler",
    "phases.md 2.4.1: a handler added for the running phase is reached by the same loop",
    _STACK
    + """
def adds(req):
    req.write("adds ")
    req.add_handler("PythonHandler", __name__ + "::two")
    return apache.OK
""",
    get(body="adds one two "),
    conf="SetHandler mod_python\nPythonHandler @mod@::adds @mod@::one",
)

_RETURNS = """
import enum

class Number(int):
    pass

class Enum(enum.IntEnum):
    OK = 0

VALUES = {values}

def handler(req):
    if req.args in VALUES:
        return VALUES[req.args]
    raise KeyError(req.args)
"""

case(
    "result-wrong-types",
    "phases.md 2.4.2: anything but exactly int is an assertion error",
    _RETURNS.format(
        values="{'none': None, 'true': True, 'str': '0', 'float': 0.0, 'sub': Number(0), "
        "'enum': Enum.OK, 'list': [], 'bytes': b''}"
    ),
    *[
        get(f"/?{name}", status=500)
        for name in ("none", "true", "str", "float", "sub", "enum", "list", "bytes")
    ],
    log="error",
)

case(
    "result-statuses",
    "phases.md 2.4.2: statuses known to httpd",
    _RETURNS.format(
        values="{str(n): n for n in (200, 204, 301, 304, 400, 401, 403, 404, 405, 410, 422, "
        "500, 501, 502, 503, 507)}"
    ),
    *[
        get(f"/?{status}", status=status)
        for status in (400, 401, 403, 404, 405, 410, 422, 500, 501, 502, 503, 507)
    ],
)

case(
    "result-200-204-304",
    "phases.md 2.4.2: returning a success status makes httpd produce its own page",
    _RETURNS.format(values="{'200': 200, '204': 204, '304': 304}"),
    get("/?200", status=200, find="<html>"),
    get("/?204", status=204),
    get("/?304", status=304),
)

case(
    "result-invalid",
    "phases.md 2.4.2: httpd refuses unknown result codes",
    _RETURNS.format(values="{'-5': -5, '7': 7, '1000': 1000}"),
    get("/?-5", status=500),
    get("/?7", status=500),
    get("/?1000", status=500),
    log="error",
)

case(
    "result-redirect",
    "phases.md 2.4.2: 302 with a Location header",
    """
    def handler(req):
        req.headers_out["Location"] = "http://example.org/there"
        return apache.HTTP_MOVED_TEMPORARILY
    """,
    get(status=302, expect={"Location": "http://example.org/there"}),
)

case(
    "result-ok-with-status",
    "phases.md 2.4.2: OK with req.status 404 and an own body",
    """
    def handler(req):
        req.status = 404
        req.write("own page")
        return apache.OK
    """,
    get(status=404, body="own page"),
)

case(
    "result-404-discards",
    "phases.md 2.4.2: returning 404 discards output that was not flushed",
    """
    def handler(req):
        req.write("never seen", 0)
        return apache.HTTP_NOT_FOUND
    """,
    get(status=404, find="not found on this server"),
)

case(
    "result-404-after-flush",
    "phases.md 2.4.2: what was flushed stays sent, with its status",
    """
    def handler(req):
        req.write("seen")
        return apache.HTTP_NOT_FOUND
    """,
    get(status=200, find="^seen"),
)

case(
    "result-declined-without-file",
    "phases.md 2.4.2: DECLINED leads to httpd's default handler",
    """
    def handler(req):
        return apache.DECLINED
    """,
    get("/nothing", status=404),
    log="error",
)

_SERVER_RETURN = """
def raises(*args):
    def handler(req):
        raise apache.SERVER_RETURN(*args)
    return handler

ok = raises(apache.OK)
status = raises(404)
two = raises(apache.OK, 202)
two_none = raises(403, None)
two_error = raises(apache.HTTP_FORBIDDEN, 500)
three = raises(apache.OK, 404, 500)
nothing = raises()
text = raises("404")
as_tuple = raises((apache.OK, 404))
boolean = raises(True)
done = raises(apache.DONE)
instance_none = raises(None)

def by_class(req):
    raise apache.SERVER_RETURN

def deep(req):
    def inner():
        status(req)
    try:
        inner()
    finally:
        req.headers_out["X-Finally"] = "ran"

class Mine(apache.SERVER_RETURN):
    pass

def subclass(req):
    raise Mine(404)

def last(req):
    req.write("last")
    return apache.OK
"""

for _name, _answer in (
    ("ok", get(body="last")),
    ("status", get(status=404)),
    ("two", get(status=202, body="last")),
    ("two_none", get(status=403)),
    ("two_error", get(status=403)),
    ("three", get(body="last")),
    ("deep", get(status=404)),
    ("subclass", get(status=404)),
    ("done", get(body="")),
):
    case(
        f"server-return-{_name.replace('_', '-')}",
        "phases.md 2.4.4: raising SERVER_RETURN is returning",
        _SERVER_RETURN,
        _answer,
        conf=f"SetHandler mod_python\nPythonHandler @mod@::{_name} @mod@::last",
    )

for _name in ("nothing", "by_class"):
    case(
        f"server-return-{_name.replace('_', '-')}",
        "phases.md 2.4.4: without argument SERVER_RETURN is an IndexError",
        _SERVER_RETURN,
        get(status=500),
        conf=f"SetHandler mod_python\nPythonHandler @mod@::{_name} @mod@::last",
        log="error",
        log_ignore=[r"_apache.SERVER_RETURN$", r"During handling", r"    raise apache.SERVER_"],
    )

for _name in ("text", "as_tuple", "boolean", "instance_none"):
    case(
        f"server-return-{_name.replace('_', '-')}",
        "phases.md 2.4.4: SERVER_RETURN without a usable int is an error",
        _SERVER_RETURN,
        get(status=500),
        conf=f"SetHandler mod_python\nPythonHandler @mod@::{_name} @mod@::last",
        log="error",
    )

case(
    "server-return-at-import",
    "phases.md 2.4.4: raised during import it is an ordinary error",
    """
    raise apache.SERVER_RETURN(404)
    """,
    get(status=500),
    log="error",
)

case(
    "head-request",
    "objects.md 3.1.4: bodies written for HEAD are discarded",
    """
    def handler(req):
        req.content_type = "text/plain"
        req.set_content_length(5)
        req.write("hello")
        return apache.OK
    """,
    head(status=200, body=b"", expect={"Content-Length": "5"}),
    get(status=200, body="hello"),
)
