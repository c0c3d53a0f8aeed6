"""Errors in request handlers: phases.md 2.6."""

from compat.case import case, get, transcript

case(
    "error-log-lines",
    "phases.md 2.6: one line per traceback chunk, prefixed with phase and handler",
    """
    def deeper():
        raise ValueError("first line\\nsecond line")

    def handler(req):
        deeper()
    """,
    get(status=500),
    log="error",
)

case(
    "error-debug-page",
    "phases.md 2.6: PythonDebug sends the traceback as a page with status 500",
    """
    def handler(req):
        raise ValueError("<b>&amp; 'quotes' \\"double\\"")
    """,
    get(
        status=500,
        find='<pre>\nMod_python error: "PythonHandler case_error_debug_page"\n\n  File',
        expect={"Content-Type": "text/html"},
    ),
    conf="SetHandler mod_python\nPythonHandler @mod@\nPythonDebug On",
    log="error",
)

case(
    "error-debug-after-output",
    "phases.md 2.6: after flushed output the page is appended and the status stays",
    """
    def handler(req):
        req.content_type = "text/plain"
        req.write("begun\\n")
        raise ValueError("late")
    """,
    get(status=200, find="^begun\n\n<pre>\nMod", expect={"Content-Type": "text/plain"}),
    conf="SetHandler mod_python\nPythonHandler @mod@\nPythonDebug On",
    log="error",
)

case(
    "error-after-output",
    "phases.md 2.6: with debug off an error after flushed output keeps what was sent",
    """
    def handler(req):
        req.content_type = "text/plain"
        req.write("begun\\n")
        raise ValueError("late")
    """,
    get(status=200, find="^begun\n"),
    log="error",
)

case(
    "error-debug-import",
    "phases.md 2.6: errors of import and look-up are reported the same way",
    None,
    get(status=500, find="No module named &#x27;case_error_debug_import_nowhere&#x27;"),
    conf="SetHandler mod_python\nPythonHandler @mod@_nowhere\nPythonDebug On",
    log="error",
)

case(
    "error-syntax",
    "phases.md 2.6: a syntax error in the handler module",
    """
    def handler(req:
        return apache.OK
    """,
    get(status=500),
    conf="SetHandler mod_python\nPythonHandler @mod@\nPythonDebug On",
    log="error",
)

case(
    "error-import-retried",
    "phases.md 2.6: a module that failed to import fails at each request",
    """
    raise RuntimeError("at import")
    """,
    get(status=500),
    get(status=500),
    log="error",
)

for _name, _raise in (
    ("systemexit", "import sys; sys.exit(3)"),
    ("keyboardinterrupt", "raise KeyboardInterrupt"),
    ("generatorexit", "raise GeneratorExit('x')"),
    ("chained", "raise KeyError('inner') from ValueError('outer')"),
    ("nonascii", "raise ValueError('caf\\u00e9 \\u20ac')"),
):
    case(
        f"error-{_name}",
        "phases.md 2.6: any exception is reported, SystemExit too",
        f"""
        def handler(req):
            {_raise}
        """,
        get(status=500),
        log="error",
    )

case(
    "error-debug-other-phase",
    "phases.md 2.6: in a phase before content the page ends the request",
    """
    def fixuphandler(req):
        raise ValueError("early")

    def handler(req):
        req.write("content")
        return apache.OK
    """,
    get(status=500, find='Mod_python error: "PythonFixupHandler case_error_debug_other_phase"'),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonFixupHandler @mod@
        PythonDebug On
    """,
    log="error",
)

case(
    "error-debug-function-name",
    "phases.md 2.6: the heading carries the handler text as configured",
    """
    def fails(req):
        raise ValueError("named")
    """,
    get(status=500, find='"PythonHandler case_error_debug_function_name::fails"'),
    conf="SetHandler mod_python\nPythonHandler @mod@::fails\nPythonDebug On",
    log="error",
)

case(
    "error-document",
    "phases.md 2.6: with debug off the 500 goes through ErrorDocument",
    """
    def handler(req):
        raise ValueError("x")
    """,
    get(status=500, body="sorry"),
    conf='SetHandler mod_python\nPythonHandler @mod@\nErrorDocument 500 "sorry"',
    log="error",
)

transcript(
    "error-stdout-stderr",
    "phases.md 2.12: sys.argv and the streams",
    """
    >>> sys.argv
    ['mod_python']
    >>> print("to the server's output")
    >>> hasattr(sys, "ps1")
    False
    """,
)

case(
    "error-print",
    "phases.md 2.12: what a handler prints",
    """
    def handler(req):
        print("printed", flush=True)
        return apache.OK
    """,
    get(),
    log="warn",
)

case(
    "error-stderr-raw",
    "phases.md 2.12: sys.stderr goes to the error log as raw lines",
    """
    import sys

    def handler(req):
        print("raw line", file=sys.stderr)
        return apache.OK
    """,
    get(),
    log="error",
)

case(
    "error-server-return-empty",
    "phases.md 2.4.4: SERVER_RETURN without a result; the log tells where it was raised",
    """
    def handler(req):
        if req.args == "text":
            raise apache.SERVER_RETURN(apache.OK, "404")
        raise apache.SERVER_RETURN
    """,
    get(status=500),
    get("/?text", status=500),
    log="error",
)

case(
    "error-text-odd",
    "phases.md 2.6: an exception's text with what a log line or UTF-8 cannot hold",
    """
    def handler(req):
        raise ValueError("a\\udc80b" if req.args else "a\\0b")
    """,
    get(status=500, find="ValueError: a\0b"),
    get("/?surrogate", status=500, find=r"ValueError: a\\udc80b"),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonDebug On
    """,
    ours_log=["Traceback", "line ", r"ValueError: a b", r"ValueError: a\\x80b"],
)

case(
    "error-log-main-level",
    "apache_module.md 4.2: apache.log_error without a server goes to the main log",
    """
    def handler(req):
        apache.log_error("info", apache.APLOG_INFO)
        apache.log_error("debug", apache.APLOG_DEBUG)
        return apache.OK
    """,
    get(),
    log="debug",
    log_ignore=["^(?!info$|debug$)"],
    site={"log_level": "info"},
    mpms=("event",),
)
