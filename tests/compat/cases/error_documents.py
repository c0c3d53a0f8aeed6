"""Error documents and internal redirects, answered by Python, by pages and by each other."""

from compat.case import Request as R
from compat.case import case, get, head, post

FAIL = """
def fail(req):
    req.headers_out["X-A"] = "1"
    req.err_headers_out["X-B"] = "2"
    req.headers_out["Content-Length"] = "77"
    req.subprocess_env["SE"] = "yes"
    if req.args == "raise":
        raise ValueError("x")
    if req.args == "part":
        req.write("unflushed", 0)
    return int(req.uri.split("/")[-1])

def show(req):
    req.content_type = "text/plain"
    env = sorted(item for item in req.subprocess_env.items() if item[0].startswith("REDIRECT_"))
    before = req.prev
    req.write("%s %s %s %s %s %s\\n%s %s %s %s\\n%s\\n%s\\n%s" % (
        req.uri, req.args, req.status, req.method, req.path_info, req.remaining,
        before.uri, before.args, before.status, before.method,
        env, sorted(req.headers_in.items()), sorted(req.err_headers_out.items())), 0)
    return apache.OK

def again(req):
    return 404

def raises(req):
    raise KeyError("for %s" % req.prev.status)

def moves(req):
    req.headers_out["Location"] = "http://example.org/"
    return 302

def fixes(req):
    req.status = 200
    req.write("fixed %s" % req.prev.status)
    return apache.OK

def done(req):
    req.write("done")
    return apache.DONE
"""
STATUSES = (404, 403, 500, 401, 400, 503, 405, 501, 410)
DIRECTORIES = {
    "fail": ("fail", "\n".join(f"ErrorDocument {n} @url@/show/{n}?q=1" for n in STATUSES)),
    "show": ("show", ""),
    "a": ("fail", "ErrorDocument 404 @url@/again/x"),
    "again": ("again", ""),
    "b": ("fail", "ErrorDocument 404 @url@/raises/x"),
    "raises": ("raises", ""),
    "c": ("fail", "ErrorDocument 404 @url@/moves/x"),
    "moves": ("moves", ""),
    "d": ("fail", "\n".join(f"ErrorDocument {n} @url@/fixes/x" for n in (404, 500, 401))),
    "fixes": ("fixes", ""),
    "e": ("fail", "ErrorDocument 404 @url@/done/x"),
    "done": ("done", ""),
    "f": ("fail", 'ErrorDocument 404 "sorry, no %{REQUEST_URI}"'),
    "g": ("fail", "ErrorDocument 404 http://example.com/x"),
    "h": ("fail", "ErrorDocument 404 @url@/page.html"),
}

case(
    "error-document-python",
    "core: ErrorDocument names a Python handler, for every kind of error and request",
    FAIL,
    *[get(f"/fail/{number}", status=number) for number in STATUSES],
    get("/fail/302", status=302),
    get("/fail/404?part", status=404),
    get("/fail/404?raise", status=500),
    post(b"a=1&b=2", "/fail/404", status=404),
    head("/fail/404", status=404),
    R("/fail/404", "PUT", payload=b"xx", status=404),
    R("/fail/404", "OPTIONS", status=404),
    R("/fail/404", "FOO", status=404),
    *[get(f"/{letter}/404", status=404) for letter in "abfh"],
    get("/c/404", status=404),
    *[get(f"/d/{number}", body=f"fixed {number}") for number in (404, 500, 401)],
    get("/e/404", status=404),
    get("/g/404", status=302),
    conf="",
    sections="".join(
        f"""
        <Directory @dir@/{name}>
            SetHandler mod_python
            PythonHandler @mod@::{function}
            PythonPath "['@dir@']+sys.path"
            {documents}
        </Directory>
        """
        for name, (function, documents) in DIRECTORIES.items()
    ),
    files={"page.html": "<p>page</p>", **{f"{name}/.exists": "" for name in DIRECTORIES}},
    log="error",
)

case(
    "error-document-psp",
    "core: ErrorDocument names a page, also for errors of a page",
    None,
    get("/nofile?a=b", status=404, body="<h1>404 /error-document-psp/nofile None</h1>"),
    get("/x.psp", status=404, body="page"),
    get("/x.psp?raise", status=500),
    head("/nofile", status=404),
    conf="""
        AddHandler mod_python .psp
        PythonHandler mod_python.psp
        ErrorDocument 404 @url@/err.psp
        ErrorDocument 500 @url@/err.psp
    """,
    files={
        "err.psp": "<h1><%= req.prev.status %> <%= req.prev.uri %> <%= req.args %></h1>",
        "x.psp": "<%\nreq.status = 404\nif req.args == 'raise': raise ValueError('x')\n%>page",
    },
    ours_log=["Traceback", "line .*, in ", "ValueError: x"],
)

case(
    "internal-redirects",
    "objects.md 3.1.2: internal_redirect in all its uses",
    """
    def fixuphandler(req):
        if req.args == "fixup" and not req.prev:
            req.internal_redirect("@url@/target?from")
            return apache.DONE
        if req.args == "default":
            req.handler = "default-handler"
        elif req.args == "none":
            req.handler = None
        return apache.OK
    def handler(req):
        before = req.prev
        req.write("%s %s %s %s %s %s %s|" % (
            req.uri, req.args, req.method, req.headers_out.items(), req.notes.get("first"),
            before and (before.uri, getattr(before, "x", None)),
            sorted(req.subprocess_env.items())))
        return apache.OK
    def go(req):
        req.x = 5
        req.headers_out["X-First"] = "1"
        req.err_headers_out["X-First-Err"] = "1"
        req.notes["first"] = "1"
        req.subprocess_env["FIRST"] = "1"
        where = {"static": "@url@/s.txt", "missing": "@url@/missing.txt", "dir": "@url@/sub",
                 "absolute": "http://localhost@url@/target", "relative": "target",
                 "empty": ""}.get(req.args, "@url@/target?a=1&b=%C3%A9")
        if req.args == "status":
            req.status = 404
        elif req.args in ("write", "flush"):
            req.write("first,", req.args == "flush")
        req.internal_redirect(where)
        if req.args == "next":
            after = req.next
            req.log_error("%s %s %s %s" % (after.uri, after.prev.x, req.status, after.status))
        return apache.OK
    """,
    get("/plain.txt?fixup"),
    get("/target?default", status=404),
    get("/plain.txt?none"),
    *[get(f"/go?{way}") for way in "x write flush static next".split()],
    get("/go?status", status=404),
    *[get(f"/go?{way}", status=404) for way in ("missing",)],
    *[get(f"/go?{way}", status=400) for way in ("relative",)],
    get("/go?absolute"),
    get("/go?empty", status=403),
    get("/go?dir", status=301),
    post(b"abc", "/go?x"),
    head("/go?x"),
    R("/go?x", "PUT", payload=b"z"),
    conf="""
        PythonFixupHandler @mod@
        PythonHandler @mod@
        <FilesMatch "^(go|target)$">
            SetHandler mod_python
        </FilesMatch>
        <Files go>
            PythonHandler @mod@::go
        </Files>
    """,
    files={"s.txt": "static", "plain.txt": "plain", "sub/x": ""},
    log="error",
)

case(
    "redirect-then-write",
    "objects.md 3.1.2: writing after internal_redirect is not useful",
    """
    def handler(req):
        if req.args == "target":
            req.write("target")
            return apache.OK
        req.internal_redirect("@url@/?target")
        req.write("after")
        return apache.OK
    """,
    get("/?go", version="HTTP/1.0", body="target"),
    ours_log=["Traceback", "line ", "OSError: Write failed, the response is already complete"],
)

case(
    "redirect-next-in-cleanup",
    "phases.md 2.9: a cleanup that looks at the request redirected to, which is over by then",
    """
    def handler(req):
        return 404 if req.args == "go" else apache.OK
    def fixuphandler(req):
        if not req.prev:
            req.register_cleanup(tell, req)
        return apache.OK
    def tell(req):
        req.log_error("cleanup of %s" % req.args, apache.APLOG_NOTICE)
        req.log_error("next %s" % req.next.args, apache.APLOG_NOTICE)
    """,
    get("/x?go", status=404),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonFixupHandler @mod@
        ErrorDocument 404 @url@/x?document
    """,
    log="notice",
    ours_log=["Error calling cleanup object", "RuntimeError.*the request is over"],
    crashes_original=True,
    mpms=("event",),
)
