"""Request phases, their order and results: phases.md 2.1, 2.4.1, 2.9, 2.11."""

from compat.case import case, get, post

_TRACE = """
def note(req, result=None):
    main = "sub " if req.main else ""
    prev = "redirected " if req.prev else ""
    req.log_error("%s%s%s" % (main, prev, req.phase), apache.APLOG_NOTICE)
    return apache.OK

def transhandler(req):
    note(req)
    return apache.DECLINED

postreadrequesthandler = headerparserhandler = inithandler = note
accesshandler = fixuphandler = loghandler = cleanuphandler = note

def typehandler(req):
    note(req)
    return apache.DECLINED

def authenhandler(req):
    note(req)
    req.user = "me"
    return apache.OK

authzhandler = note

def handler(req):
    note(req)
    if req.uri.endswith("/redirect"):
        req.internal_redirect("@url@/target.txt")
    else:
        req.write("content")
    return apache.OK
"""

_ALL_PHASES = """
    PythonPath "sys.path + ['@dir@']"
    PythonPostReadRequestHandler @mod@
    PythonTransHandler @mod@
    PythonHeaderParserHandler @mod@
    PythonInitHandler @mod@
    PythonAccessHandler @mod@
    PythonTypeHandler @mod@
    PythonFixupHandler @mod@
    PythonLogHandler @mod@
    PythonCleanupHandler @mod@
"""

case(
    "phases-order",
    "phases.md 2.1: the order of all phases of a plain request",
    _TRACE,
    get("/page.txt", body="content"),
    conf="SetHandler mod_python\nPythonHandler @mod@",
    vhost=_ALL_PHASES,
    files={"page.txt": "x"},
    site={"python_first": True},
    log="notice",
)

case(
    "phases-order-directory",
    "phases.md 2.1: a directory request has a round for mod_dir's sub-request",
    _TRACE,
    get("/", body="content"),
    conf="DirectoryIndex index.mp\nAddHandler mod_python .mp\nPythonHandler @mod@",
    vhost=_ALL_PHASES,
    files={"index.mp": "x"},
    site={"python_first": True},
    log="notice",
)

case(
    "phases-order-auth",
    "phases.md 2.1: with authentication",
    _TRACE,
    get("/page.txt", body="content"),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonAuthenHandler @mod@
        PythonAuthzHandler @mod@
        AuthType Mine
        AuthName here
        Require valid-user
    """,
    vhost=_ALL_PHASES,
    files={"page.txt": "x"},
    site={"python_first": True},
    log="notice",
)

case(
    "phases-order-redirect",
    "phases.md 2.1: an internal redirect goes through all phases again",
    _TRACE,
    get("/redirect", body="content"),
    conf="SetHandler mod_python\nPythonHandler @mod@",
    vhost=_ALL_PHASES,
    files={"target.txt": "x"},
    site={"python_first": True},
    log="notice",
)

case(
    "phases-init-note",
    "phases.md 2.1: the note that PythonInitHandler leaves",
    """
    def inithandler(req):
        req.mine = "init ran in " + req.phase
        return apache.OK

    def handler(req):
        req.write("%s; note %r" % (req.mine, req.notes.get("python_init_ran")))
        return apache.OK
    """,
    get(body="init ran in PythonInitHandler; note '1'"),
    vhost="PythonInitHandler @mod@\nPythonPath \"sys.path + ['@dir@']\"",
)

_PHASE_LIST = """
def say(word, result):
    def handler(req):
        req.said = getattr(req, "said", "") + word
        req.headers_out["X-Said"] = req.said
        req.err_headers_out["X-Said"] = req.said
        return result
    return handler

ok = say("o", apache.OK)
declined = say("d", apache.DECLINED)
forbidden = say("f", apache.HTTP_FORBIDDEN)
done = say("D", apache.DONE)

def user(req):
    req.user = "me"
    return say("u", apache.OK)(req)

def handler(req):
    req.write(getattr(req, "said", ""))
    return apache.OK
"""

for _phase in ("HeaderParser", "Access", "Fixup"):
    case(
        f"phase-{_phase.lower()}-continues",
        "phases.md 2.4.1: goes on after OK and DECLINED",
        _PHASE_LIST,
        get(body="odo"),
        conf=f"""
            SetHandler mod_python
            PythonHandler @mod@
            Python{_phase}Handler @mod@::ok @mod@::declined @mod@::ok
        """,
    )
    case(
        f"phase-{_phase.lower()}-stops",
        "phases.md 2.4.1: stops at anything else",
        _PHASE_LIST,
        get(status=403, expect={"X-Said": "of"}),
        conf=f"""
            SetHandler mod_python
            PythonHandler @mod@
            Python{_phase}Handler @mod@::ok @mod@::forbidden @mod@::ok
        """,
    )

case(
    "phase-postread-list",
    "phases.md 2.4.1: PostReadRequest goes on after OK and DECLINED",
    _PHASE_LIST,
    get(body="odo"),
    vhost="""
        PythonPath "sys.path + ['@dir@']"
        PythonPostReadRequestHandler @mod@::ok @mod@::declined @mod@::ok
    """,
)

case(
    "phase-trans-list",
    "phases.md 2.4.1: Trans goes on after DECLINED only",
    _PHASE_LIST
    + """
def translate(req):
    req.filename = "@dir@/other.txt"
    return say("t", apache.OK)(req)

def fixuphandler(req):
    req.headers_out["X-Said"] = req.said
    return apache.OK
""",
    get("/page.txt", body="other\n", expect={"X-Said": ["dt", "dt"]}),
    conf="PythonFixupHandler @mod@",
    vhost="""
        PythonPath "sys.path + ['@dir@']"
        PythonTransHandler @mod@::declined @mod@::translate @mod@::ok
    """,
    files={"page.txt": "page\n", "other.txt": "other\n"},
)

case(
    "phase-trans-forbidden",
    "phases.md 2.4.1: a status from Trans ends the request",
    _PHASE_LIST,
    get("/page.txt", status=403, expect={"X-Said": "f"}),
    conf="",
    vhost="""
        PythonPath "sys.path + ['@dir@']"
        PythonTransHandler @mod@::forbidden
    """,
    files={"page.txt": "page\n"},
)

case(
    "phase-done",
    "phases.md 2.4.2: DONE in an early phase ends the request",
    _PHASE_LIST
    + """
def writes(req):
    req.write("done early")
    return apache.DONE
""",
    get(body="done early"),
    conf="SetHandler mod_python\nPythonHandler @mod@\nPythonFixupHandler @mod@::writes @mod@::ok",
)

case(
    "phase-type",
    "phases.md 2.1: PythonTypeHandler sets type and handler where no module claims the file",
    _PHASE_LIST
    + """
def typehandler(req):
    req.content_type = "x-mine/type"
    req.handler = "mod_python"
    return apache.OK

def content(req):
    req.write("typed")
    return apache.OK
""",
    get("/page", body="typed", expect={"Content-Type": "x-mine/type"}),
    conf="PythonTypeHandler @mod@::declined @mod@\nPythonHandler @mod@::content",
    files={"page": "x"},
    site={"python_first": True},
)

case(
    "phase-type-of-mapped-file",
    "phases.md 2.1: whatever type it gives, a file stays with the handler that AddHandler names",
    """
def typehandler(req):
    if req.args == "declined":
        return apache.DECLINED
    if req.args == "type":
        req.content_type = "x-mine/type"
    if req.args == "own":
        req.handler = "default-handler"
    if req.args == "refused":
        return apache.HTTP_FORBIDDEN
    return apache.OK

def handler(req):
    req.write("%s %s %s" % (req.content_type, req.content_encoding, req.content_languages))
    return apache.OK
""",
    get("/page.mine?type", find="^x-mine/type None", expect={"Content-Type": "x-mine/type"}),
    get("/page.mine?declined", find="^None None"),
    get("/page.mine?nothing", find="^None None"),
    get("/page.mine?own", body="secret"),
    get("/page.mine?refused", status=403),
    get(
        "/page.mine.de.zipped?type",
        find="^x-mine/type x-zipped",
        expect={"Content-Language": "de", "Content-Encoding": "x-zipped"},
    ),
    get("/page.other?type", body="other", expect={"Content-Type": "x-mine/type"}),
    get("/?type", find="^x-mine/type None"),
    conf="""
        AddHandler mod_python .mine
        AddEncoding x-zipped .zipped
        AddLanguage de .de
        DirectoryIndex page.mine
        PythonTypeHandler @mod@
        PythonHandler @mod@
    """,
    files={"page.mine": "secret", "page.mine.de.zipped": "secret", "page.other": "other"},
)

_AUTH = """
        SetHandler mod_python
        PythonHandler @mod@
        AuthType Mine
        AuthName here
        Require valid-user
"""

case(
    "phase-authen-list",
    "phases.md 2.4.1: Authen goes on after DECLINED only",
    _PHASE_LIST,
    get(body="du"),
    conf=_AUTH + "PythonAuthenHandler @mod@::declined @mod@::user @mod@::ok",
)

case(
    "phase-authen-no-user",
    "phases.md 2.2: OK without req.user is a logged 500",
    _PHASE_LIST,
    get(status=500),
    conf=_AUTH + "PythonAuthenHandler @mod@::ok",
    log="error",
)

case(
    "phase-authen-declined",
    "phases.md 2.11: nobody answers for this AuthType",
    _PHASE_LIST,
    get(status=500),
    conf=_AUTH + "PythonAuthenHandler @mod@::declined",
    log="error",
)

case(
    "phase-authen-401",
    "phases.md 2.2: a 401 has a challenge only with AuthType Basic",
    """
    def authenhandler(req):
        return apache.HTTP_UNAUTHORIZED
    """,
    get(status=401, expect={"WWW-Authenticate": None}),
    conf=_AUTH + "PythonAuthenHandler @mod@",
)

case(
    "phase-authen-not-needed",
    "phases.md 2.11: without a Require that needs a user neither handler runs",
    _PHASE_LIST,
    get(body=""),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonAuthenHandler @mod@::forbidden
        PythonAuthzHandler @mod@::forbidden
        Require all granted
    """,
)

case(
    "phase-authz",
    "phases.md 2.11: Authz OK overrides Require, DECLINED leaves it to httpd",
    _PHASE_LIST,
    get("/ok/x", body="uo"),
    get("/declined/x", status=401),
    get("/forbidden/x", status=403),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        AuthType Mine
        AuthName here
        Require user somebody-else
        PythonAuthenHandler @mod@::user
    """,
    sections="""
        <Directory @dir@/ok>
            PythonAuthzHandler @mod@::ok
        </Directory>
        <Directory @dir@/declined>
            PythonAuthzHandler @mod@::declined
        </Directory>
        <Directory @dir@/forbidden>
            PythonAuthzHandler @mod@::forbidden
        </Directory>
    """,
    files={"ok/x": "", "declined/x": "", "forbidden/x": ""},
    log="error",
)

case(
    "phase-access-user",
    "phases.md 2.11: req.user set in the access phase",
    """
    def accesshandler(req):
        req.user = "early"
        return apache.OK

    def authenhandler(req):
        req.user = "late"
        return apache.OK

    def handler(req):
        req.write(req.user)
        return apache.OK
    """,
    get(),
    conf=_AUTH + "PythonAccessHandler @mod@\nPythonAuthenHandler @mod@",
)

# -- cleanups ------------------------------------------------------------------------------------

case(
    "cleanup-order",
    "phases.md 2.9: registered cleanups run last in first out, before PythonCleanupHandler",
    """
    def note(text):
        apache.log_error("cleanup %s" % (text,), apache.APLOG_NOTICE)

    def handler(req):
        assert req.register_cleanup(note, "first") is None
        req.register_cleanup(note)
        req.register_cleanup(note, ["a", "list"])
        req.write("x")
        return apache.OK

    def cleanuphandler(req):
        note("handler in %s" % req.phase)
        return apache.OK

    def second(req):
        note("second handler")
        return apache.DECLINED

    def third(req):
        note("never")
        return apache.OK
    """,
    get(body="x"),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonCleanupHandler @mod@ @mod@::second @mod@::third
    """,
    log="notice",
)

case(
    "cleanup-tuple-data",
    "phases.md 2.9: a tuple as data becomes the cleanup's arguments",
    """
    def note(*arguments):
        apache.log_error("cleanup %r" % (arguments,), apache.APLOG_NOTICE)

    def handler(req):
        req.register_cleanup(note, ("a", "tuple"))
        req.register_cleanup(note, ())
        req.register_cleanup(note, ["a", "list"])
        req.register_cleanup(note)
        return apache.OK
    """,
    get(),
    log="notice",
)

case(
    "cleanup-with-request",
    "phases.md 2.9: the request object may be used in its cleanups",
    """
    def clean(req):
        req.log_error("%s %s %s %s" % (req.mine, req.bytes_sent, req.status, req.phase),
                      apache.APLOG_NOTICE)

    def handler(req):
        req.mine = "attribute"
        req.register_cleanup(clean, req)
        req.write("12345")
        return apache.OK
    """,
    get(body="12345"),
    log="notice",
)

case(
    "cleanup-nested",
    "phases.md 2.9: a cleanup may register another, which runs next",
    """
    def note(text):
        apache.log_error("cleanup " + text, apache.APLOG_NOTICE)

    def outer(req):
        note("outer")
        req.register_cleanup(note, "inner")

    def handler(req):
        req.register_cleanup(note, "first")
        req.register_cleanup(outer, req)
        return apache.OK

    def cleanuphandler(req):
        note("handler")
        req.register_cleanup(note, "from handler")
        return apache.OK
    """,
    get(),
    conf="SetHandler mod_python\nPythonHandler @mod@\nPythonCleanupHandler @mod@",
    log="notice",
)

case(
    "cleanup-errors",
    "phases.md 2.9: an exception is two error lines, the others still run",
    """
    def fails(data):
        raise ValueError("in cleanup")

    def note(text):
        apache.log_error("cleanup " + text, apache.APLOG_NOTICE)

    def handler(req):
        req.register_cleanup(note, "after")
        req.register_cleanup(fails)
        return apache.OK

    def cleanuphandler(req):
        raise KeyError("in cleanup handler")
    """,
    get(),
    conf="SetHandler mod_python\nPythonHandler @mod@\nPythonCleanupHandler @mod@",
    log="notice",
)

case(
    "cleanup-after-error",
    "phases.md 2.9: cleanups also run after a failed handler",
    """
    def note(text):
        apache.log_error("cleanup " + text, apache.APLOG_NOTICE)

    def handler(req):
        req.register_cleanup(note, "ran")
        raise ValueError("x")
    """,
    get(status=500),
    log="notice",
)

# -- sub-requests and redirects ------------------------------------------------------------------

case(
    "redirect-internal",
    "objects.md 3.1.2: internal_redirect runs a whole request; prev and its attributes",
    """
    def handler(req):
        if req.path_info or req.uri.endswith("/target"):
            req.write("%s prev %s %s main %s" % (req.uri, req.prev.uri, req.prev.mine, req.main))
            req.prev.answer = "from the target"
            return apache.OK
        req.mine = "kept"
        result = req.internal_redirect("@url@/target?query")
        req.log_error("%r %s %s" % (result, req.answer, req.next.args), apache.APLOG_NOTICE)
        return apache.OK
    """,
    get("/start", body="/redirect-internal/target prev /redirect-internal/start kept main None"),
    log="notice",
)

case(
    "redirect-to-static",
    "objects.md 3.1.2: internal_redirect to a static file",
    """
    def handler(req):
        req.internal_redirect("@url@/static/page.txt")
        return apache.OK
    """,
    get(body="static\n", expect={"Content-Type": "text/plain"}),
    sections="<Directory @dir@/static>\nSetHandler none\n</Directory>",
    files={"static/page.txt": "static\n"},
)

case(
    "redirect-method",
    "objects.md 3.1.2: the method of a redirected POST",
    """
    def handler(req):
        if req.prev:
            req.write("%s %s" % (req.method, req.headers_in.get("Content-Length")))
        else:
            req.internal_redirect("@url@/target")
        return apache.OK
    """,
    post(b"body", "/start"),
)

case(
    "error-document-handler",
    "objects.md 3.1.1: ErrorDocument handled by Python sees the failed request in prev",
    """
    def handler(req):
        if req.prev:
            req.write("%s %s %s" % (req.prev.uri, req.prev.status, req.prev.mine))
            return apache.OK
        req.mine = "attribute"
        return apache.HTTP_NOT_FOUND
    """,
    get("/x", status=404, body="/error-document-handler/x 404 attribute"),
    conf="SetHandler mod_python\nPythonHandler @mod@\nErrorDocument 404 @url@/error",
)

case(
    "subrequest-include",
    "objects.md 3.1.1: an SSI include is a sub-request with req.main",
    """
    def handler(req):
        req.write("[%s main %s]" % (req.uri, req.main.uri))
        return apache.OK
    """,
    get(
        "/page.shtml",
        body="before [/subrequest-include/part.mp main /subrequest-include/page.shtml] after\n",
    ),
    conf="""
        Options +Includes
        AddType text/html .shtml
        AddOutputFilter INCLUDES .shtml
        AddHandler mod_python .mp
        PythonHandler @mod@
    """,
    files={
        "page.shtml": 'before <!--#include virtual="part.mp" --> after\n',
        "part.mp": "",
    },
)

case(
    "subrequest-shares-attributes",
    "objects.md 3.1: req.main is the very object of the main request's phases",
    """
    def fixuphandler(req):
        if req.main is None:
            req.mine = ["main"]
        return apache.OK

    def handler(req):
        req.main.mine.append("sub")
        req.write("%r" % req.main.mine)
        return apache.OK
    """,
    get("/page.shtml", body="['main', 'sub']\n"),
    conf="""
        Options +Includes
        AddOutputFilter INCLUDES .shtml
        AddHandler mod_python .mp
        PythonHandler @mod@
        PythonFixupHandler @mod@
    """,
    files={"page.shtml": '<!--#include virtual="part.mp" -->\n', "part.mp": ""},
)

case(
    "related-requests",
    "objects.md 3.1: prev, next and main give the very objects of the phases before",
    """
    def fixuphandler(req):
        req.itself = req
        return apache.OK

    def handler(req):
        step = req.uri.rpartition("/")[2]
        if step == "one":
            req.internal_redirect("@url@/two")
            return apache.OK
        if step == "two":
            return apache.HTTP_CONFLICT
        if step == "sub.mp":
            main = req.main
            first = main.prev.prev
            req.write("[%s %s" % (main is main.itself, main.prev is main.prev.itself))
            req.write(" %s %s" % (first is first.itself, first.uri))
            req.write(" %s %s" % (first.next is main.prev, main.prev.next is main))
            req.write(" %s %s %s]" % (req.prev, req.next, main.main))
            main.told = "by the sub-request"
        return apache.OK

    def loghandler(req):
        # Called once, for the request that came: the others are seen from it.
        last = req.next.next
        req.log_error("%s %s %s" % (req.uri, last.uri, last.told), apache.APLOG_NOTICE)
        return apache.OK
    """,
    get("/one", status=409, body="[True True True /related-requests/one True True None None None]"),
    conf="""
        Options +Includes
        AddOutputFilter INCLUDES .shtml
        ErrorDocument 409 @url@/page.shtml
        PythonFixupHandler @mod@
        PythonLogHandler @mod@
        SetHandler mod_python
        PythonHandler @mod@
        <Files *.shtml>
            SetHandler default-handler
        </Files>
    """,
    files={"page.shtml": '<!--#include virtual="sub.mp" -->', "sub.mp": ""},
    log="notice",
)

# -- repaired ------------------------------------------------------------------------------------

case(
    "init-handler-directory",
    "gotchas C15: PythonInitHandler of a directory runs in the header parser phase",
    """
    def inithandler(req):
        req.mine = req.phase
        return apache.OK

    def handler(req):
        req.write(getattr(req, "mine", "never"))
        return apache.OK
    """,
    get(body="PythonInitHandler"),
    conf="SetHandler mod_python\nPythonHandler @mod@\nPythonInitHandler @mod@",
)

case(
    "cleanup-handler-alone",
    "gotchas C16: a cleanup handler runs even if nothing else of Python did",
    """
    def cleanuphandler(req):
        req.log_error("cleaned", apache.APLOG_NOTICE)
        return apache.OK
    """,
    get("/page.txt", body="static\n"),
    conf="PythonCleanupHandler @mod@",
    files={"page.txt": "static\n"},
    log="notice",
)
