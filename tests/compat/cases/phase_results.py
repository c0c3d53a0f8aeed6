"""Every phase ends in every way."""

from compat.case import case, get, post

PHASES = "PostRead Trans Init HeaderParser Access Authen Authz Type Fixup Content".split()
WAYS = "0 -1 -2 404 204 raise writedone sr2 none".split()
HANDLERS = """
def end(req, phase):
    if not req.main:
        req.err_headers_out.add("X-Ran", phase + ("!" if req.prev else ""))
    wanted, _, way = (req.args or "").partition("&")
    if wanted != phase or req.prev:
        return apache.OK
    if way == "raise":
        raise ValueError(phase)
    if way == "writedone":
        req.write(phase)
        return apache.DONE
    if way == "sr2":
        raise apache.SERVER_RETURN(apache.DONE, 404)
    if way == "none":
        return None
    if way == "read":
        req.read()
        return apache.OK
    return int(way)
def postread(req):
    return end(req, "PostRead")
def trans(req):
    result = end(req, "Trans")
    return apache.DECLINED if result == apache.OK else result
def init(req):
    return end(req, "Init")
def headerparser(req):
    return end(req, "HeaderParser")
def access(req):
    return end(req, "Access")
def authen(req):
    req.user = "u"
    return end(req, "Authen")
def authz(req):
    return end(req, "Authz")
def type(req):
    result = end(req, "Type")
    return apache.DECLINED if result == apache.OK else result
def fixup(req):
    return end(req, "Fixup")
def handler(req):
    result = end(req, "Content")
    if result == apache.OK:
        req.write("content", 0)
    return result
def log(req):
    req.log_error("%s %s" % (req.uri, req.status), apache.APLOG_NOTICE)
    return apache.OK
"""


def expected(phase, way):
    """The status of a request of which one phase ends so."""
    if phase == "Authen" and way == "-1":
        # Nobody else knows this AuthType.
        return 500
    return {"404": 404, "204": 204, "raise": 500, "sr2": 404, "none": 500}.get(way, 200)


case(
    "phase-results",
    "phases.md 2.4.2: each result in each phase",
    HANDLERS,
    *[
        get(f"/t.x?{phase}&{way}", new_connection=True, status=expected(phase, way))
        for phase in PHASES
        for way in WAYS
    ],
    *[post(b"x=1", f"/t.x?{phase}&read") for phase in ("Access", "Fixup")],
    vhost="""
        PythonPath "['@dir@']+sys.path"
        PythonPostReadRequestHandler @mod@::postread
        PythonTransHandler @mod@::trans
        PythonInitHandler @mod@::init
        PythonLogHandler @mod@::log
        PythonDebug On
    """,
    conf="""
        SetHandler mod_python
        AuthType Custom
        AuthName x
        Require user u
        PythonHeaderParserHandler @mod@::headerparser
        PythonAccessHandler @mod@::access
        PythonAuthenHandler @mod@::authen
        PythonAuthzHandler @mod@::authz
        PythonTypeHandler @mod@::type
        PythonFixupHandler @mod@::fixup
        PythonHandler @mod@
        """,
    files={"t.x": ""},
    log="notice",
    mpms=("event",),
)

TOO_LATE = ["Traceback", "line ", "OSError: Write failed, the response is already complete"]

case(
    "phase-writes-too-late",
    "objects.md 3.1.4: writing after the answer is complete",
    """
    def handler(req):
        req.write("content")
        return apache.OK
    def loghandler(req):
        req.write("log")
        return apache.OK
    """,
    get(version="HTTP/1.0", body="content"),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonLogHandler @mod@
    """,
    ours_log=TOO_LATE,
)

case(
    "phase-fails-too-late",
    "phases.md 2.6: the debug page of a phase after the answer",
    """
    def handler(req):
        req.write("content")
        return apache.OK
    def cleanuphandler(req):
        raise ValueError("late")
    """,
    get(version="HTTP/1.0", body="content"),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonCleanupHandler @mod@
        PythonDebug On
    """,
    ours_log=["Traceback", "line ", "ValueError: late"],
)
