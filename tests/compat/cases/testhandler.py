"""mod_python.testhandler: library.md 5.8."""

from compat.case import case, get, post

_CONF = "SetHandler mod_python\nPythonHandler mod_python.testhandler\nPythonOption o v\n"
# What belongs to who serves; where the lines are broken; the encoding, which only ours tells.
_OTHERWISE = [
    (r"Apache/[^<]*", "(server)"),
    (r"(REMOTE_PORT</code></td><td><code>)\d+", r"\1@"),
    (r"\n?(<table|<h3|</pre>|<tr>)", r"\n\1"),
    (r"; charset=utf-8", ""),
]

case(
    "testhandler-page",
    "library.md 5.8: the page, and its type",
    None,
    get(
        "/x?a=b",
        headers=[("X-Header", "value")],
        find="<title>mod_python test page</title>.*<h3>General information</h3>.*"
        "<code>Apache threaded MPM</code>.*<code>mod_python.psp available</code></td><td>"
        "<code>Yes</code>.*<h3>Request input headers</h3>.*X-Header</code></td><td><code>value<.*"
        "<h3>Request options</h3>.*<code>o</code></td><td><code>v</code>.*"
        "<h3>Server configuration tree</h3>.*@root@/htdocs",
        expect={"Content-Type": "text/html"},
    ),
    server="",
    conf=_CONF,
    replace=_OTHERWISE,
    mpms=["event"],
)

case(
    "testhandler-log",
    "library.md 5.8: the last lines of the error log, as text",
    None,
    get("/?view_log=1", find="resuming normal operations", expect={"Content-Type": "text/plain"}),
    conf=_CONF,
    server="",  # of its own: only the last lines are shown, the start is to be among them
    mpms=["event"],
    replace=[(r"(?s).*?(resuming normal operations).*", r"\1")],
)

case(
    "testhandler-body",
    "library.md 5.8 and 5.1.1: a body is read as a form",
    None,
    post(b"{}", headers=[("Content-Type", "application/json")], status=501),
    conf=_CONF,
)
