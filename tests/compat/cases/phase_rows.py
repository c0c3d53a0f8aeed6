"""The rows of phases.md that the other files leave out: sections 2.2, 2.5 and 2.7 to 2.12."""

from compat.case import case, get, post, raw, transcript

# -- 2.5 -----------------------------------------------------------------------------------------

case(
    "add-handler-directory",
    "phases.md 2.5: an added handler gets only the directory that is given",
    """
    def fixuphandler(req):
        req.add_handler("PythonHandler", __name__ + "::none")
        req.add_handler("PythonHandler", __name__ + "::given", "@dir@/sub")
        return apache.OK

    def none(req):
        req.write("%r " % req.hlist.directory)
        return apache.OK

    def given(req):
        req.write("%r" % req.hlist.directory)
        return apache.OK
    """,
    get(body="None '@root@/htdocs/add-handler-directory/sub/'"),
    conf="SetHandler mod_python\nPythonFixupHandler @mod@",
)

case(
    "add-handler-without-handler-name",
    "phases.md 2.5: the content phase still needs req.handler",
    """
    def fixuphandler(req):
        req.add_handler("PythonHandler", __name__ + "::added")
        if req.args:
            req.handler = "mod_python"
        return apache.OK

    def added(req):
        req.write("added")
        return apache.OK
    """,
    get("/page.txt", body="static\n"),
    get("/page.txt?x", body="added"),
    conf="PythonFixupHandler @mod@",
    files={"page.txt": "static\n"},
)

case(
    "add-handler-refused",
    "phases.md 2.5: unknown phases and empty handlers",
    """
    def handler(req):
        for arguments in (("PythonNothingHandler", "x"), ("", "x"),
                          ("PythonCleanupHandler", "x"), ("PythonConnectionHandler", "x")):
            try:
                result = req.add_handler(*arguments)
            except Exception as error:
                result = "%s: %s" % (type(error).__name__, error)
            req.write("%r %s\\n" % (arguments, result))
        return apache.OK
    """,
    get(),
)

case(
    "add-handler-in-order",
    "phases.md 2.5: configured entries come before added ones",
    """
    def fixuphandler(req):
        req.add_handler("PythonHandler", __name__ + "::second")
        req.add_handler("PythonHandler", __name__ + "::third")
        return apache.OK

    def handler(req):
        req.write("first ")
        return apache.OK

    def second(req):
        req.write("second ")
        return apache.OK

    def third(req):
        req.write("third")
        return apache.OK
    """,
    get(body="first second third"),
    conf="SetHandler mod_python\nPythonHandler @mod@\nPythonFixupHandler @mod@",
)

# -- 2.7 -----------------------------------------------------------------------------------------

case(
    "filter-input-error",
    "phases.md 2.7.3: an exception in an input filter reaches the reader as a failed read",
    """
    def inputfilter(filter):
        raise LookupError("in the input filter")

    def handler(req):
        try:
            data = req.read()
        except Exception as error:
            data = type(error).__name__
        req.write("read %s" % data)
        return apache.OK
    """,
    get(body="read b''"),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonInputFilter @mod@ CASE_FAILING_INPUT
        SetInputFilter CASE_FAILING_INPUT
    """,
    log="error",
)

case(
    "filter-input-dynamic",
    "phases.md 2.7.6: an input filter registered and added by the request",
    """
    kept = []

    def fixuphandler(req):
        req.register_input_filter("MINE", __name__ + "::inputfilter")
        req.add_input_filter("MINE")
        return apache.OK

    def inputfilter(filter):
        data = filter.read()
        while data:
            kept.append(data.upper())
            filter.write(kept[-1])
            data = filter.read()
        if data is None:
            filter.close()

    def handler(req):
        req.write(req.read())
        return apache.OK
    """,
    post(b"small", body="SMALL"),
    conf="SetHandler mod_python\nPythonHandler @mod@\nPythonFixupHandler @mod@",
)

case(
    "filter-input-dynamic-name",
    "gotchas D: names of filters registered on the request are found in any case",
    """
    def fixuphandler(req):
        req.register_input_filter("MINE", __name__ + "::inputfilter")
        req.add_input_filter("mine")
        return apache.OK

    def inputfilter(filter):
        data = filter.read()
        while data:
            filter.write(data.upper())
            data = filter.read()
        if data is None:
            filter.close()

    def handler(req):
        req.write(req.read())
        return apache.OK
    """,
    post(b"small", body="SMALL"),
    conf="SetHandler mod_python\nPythonHandler @mod@\nPythonFixupHandler @mod@",
)

_FAILS = ["^error: PythonHandler case_filter_server_return"]

for _name, _raise, _answer, _log in (
    ("ok", "apache.OK", get(body=""), []),
    ("status", "apache.HTTP_FORBIDDEN", get(status=403), _FAILS),
    ("two", "apache.OK, 404", get(status=404, body=""), []),
    ("text", "'x'", get(status=500), [*_FAILS, "must be a tuple or an int"]),
):
    case(
        f"filter-server-return-{_name}",
        "phases.md 2.7.5: SERVER_RETURN in an output filter",
        f"""
        def outputfilter(filter):
            data = filter.read()
            raise apache.SERVER_RETURN({_raise})

        def handler(req):
            req.write("content")
            return apache.OK
        """,
        _answer,
        conf=f"""
            SetHandler mod_python
            PythonHandler @mod@
            PythonOutputFilter @mod@ CASE_RETURN_{_name}
            SetOutputFilter CASE_RETURN_{_name}
        """,
        ours_log=_log,
    )

# -- 2.8 -----------------------------------------------------------------------------------------

_CONNECTIONS = """
class Talker:
    def __init__(self, conn):
        self.conn = conn

    def talk(self, conn):
        line = conn.readline()
        conn.write("%s %s" % (self.conn is conn, line.decode()))
        return apache.OK

def talk(conn):
    conn.write("talked " + conn.readline().decode())
    return RESULT

def never(conn):
    conn.write("never")
    return apache.OK
"""

for _name, _entries, _result, _body in (
    ("first-only", "@mod@::talk @mod@::never", "apache.OK", "talked a\n"),
    ("status", "@mod@::talk", "apache.HTTP_FORBIDDEN", "talked a\n"),
    ("done", "@mod@::talk", "apache.DONE", "talked a\n"),
    ("class", "@mod@::Talker.talk", "apache.OK", "True a\n"),
):
    case(
        f"connection-handler-{_name}",
        "phases.md 2.8: only the first handler runs; anything but DECLINED ends; the class rule",
        _CONNECTIONS.replace("RESULT", _result),
        raw(b"a\nb\n", status=0, body=_body, broken="no status line"),
        server=f"PythonPath \"sys.path + ['@dir@']\"\nPythonConnectionHandler {_entries}",
    )

# -- 2.9 -----------------------------------------------------------------------------------------

case(
    "cleanup-handler-list",
    "phases.md 2.9: PythonCleanupHandler runs in list order and goes on after OK",
    """
    def handler(req):
        req.write("x")
        return apache.OK

    def one(req):
        req.log_error("one")
        return apache.OK

    def two(req):
        req.log_error("two")
        return apache.DECLINED

    def three(req):
        req.log_error("three")
        return apache.OK
    """,
    get(body="x"),
    conf="SetHandler mod_python\nPythonHandler @mod@\n"
    "PythonCleanupHandler @mod@::one @mod@::two @mod@::three",
    log="error",
)

case(
    "cleanup-subrequest",
    "phases.md 2.9: it also runs for sub-requests that had a request object",
    """
    def fixuphandler(req):
        return apache.OK

    def cleanuphandler(req):
        req.log_error("cleanup of %s %s" % (req.main is not None, req.uri))
        return apache.OK
    """,
    get("/page.shtml", body="[inner\n]\n"),
    conf="""
        Options +Includes
        AddType text/html .shtml
        AddOutputFilter INCLUDES .shtml
        PythonFixupHandler @mod@
        PythonCleanupHandler @mod@
    """,
    files={"page.shtml": '[<!--#include virtual="inner.txt" -->]\n', "inner.txt": "inner\n"},
    log="error",
)

# -- 2.10 ----------------------------------------------------------------------------------------

_SSI = """
    Options +Includes
    AddType text/html .shtml
    AddOutputFilter INCLUDES .shtml
"""

for _name, _page, _body in (
    ("entities", '[<!--#python eval="&quot;a&quot; + str(1 &lt; 2)" -->]', "[aTrue]"),
    ("no-variables", "[<!--#python eval=\"'$DOCUMENT_NAME'\" -->]", "[$DOCUMENT_NAME]"),
    ("false-if", '[<!--#if expr="false" --><!--#python eval="1" --><!--#endif -->]', "[]"),
    ("true-if", '[<!--#if expr="true" --><!--#python eval="1" --><!--#endif -->]', "[1]"),
    ("crlf", '[<!--#python exec="a = 1\r\nb = 2\r\nfilter.write(str(a + b))   " -->]', "[3]"),
    ("bytes", "[<!--#python exec=\"filter.write(b'by' + b'tes')\" -->]", "[bytes]"),
    (
        "filter",
        '[<!--#python exec="f = filter" --><!--#python eval="f is filter" -->'
        '<!--#python exec="out = repr((filter.name, filter.handler, filter.dir, filter.closed))'
        '.encode(); filter.write(out)" -->]',
        "[False('includes', None, None, 0)]",
    ),
    (
        "globals",
        '[<!--#python exec="def twice(x): return x * 2" --><!--#python eval="twice(\'a\')" -->'
        '<!--#python eval="__file__[-10:]" -->]',
        "[aapage.shtml]",
    ),
    ("order", 'a<!--#python eval="1" -->b<!--#python eval="2" -->c', "a1b2c"),
):
    case(
        f"ssi-row-{_name}",
        "phases.md 2.10: what a tag sees and does",
        None,
        get("/page.shtml", body=_body + "\n"),
        conf=_SSI,
        files={"page.shtml": (_page + "\n").encode()},
    )

# -- 2.11 ----------------------------------------------------------------------------------------

_AUTH = """
def authenhandler(req):
    req.log_error("authen %s" % (req.main is not None))
    req.user = "me"
    req.ap_auth_type = "Own"
    return apache.OK

def authzhandler(req):
    req.log_error("authz %s %s" % (req.user, req.main is not None))
    return apache.OK

def fails(req):
    return apache.HTTP_UNAUTHORIZED

def password(req):
    return apache.OK if req.get_basic_auth_pw() == "secret" else apache.HTTP_UNAUTHORIZED

def handler(req):
    req.write("%s %s" % (req.user, req.ap_auth_type))
    return apache.OK
"""
_HANDLERS = """
    SetHandler mod_python
    PythonHandler @mod@
    PythonAuthenHandler @mod@
    PythonAuthzHandler @mod@
    AuthType Mine
    AuthName here
"""

case(
    "auth-type-set",
    "phases.md 2.11: the handler may set ap_auth_type",
    _AUTH,
    get(body="me Own"),
    conf=_HANDLERS + "Require valid-user",
    log="error",
)

case(
    "auth-all-denied",
    "phases.md 2.11: Require all denied answers before either handler",
    _AUTH,
    get(status=403),
    conf=_HANDLERS + "Require all denied",
    log="error",
    log_ignore=["AH01630"],
    ours_log=["AH01630"],
)

case(
    "auth-no-require",
    "phases.md 2.11: without any Require neither handler runs",
    _AUTH,
    get(body="None None"),
    conf=_HANDLERS,
    log="error",
)

case(
    "auth-subrequest",
    "phases.md 2.11: both hooks run again for sub-requests",
    _AUTH,
    get("/", body="index\n"),
    conf=_HANDLERS.replace("SetHandler mod_python", "") + "Require valid-user\n"
    "DirectoryIndex index.txt",
    files={"index.txt": "index\n"},
    log="error",
)

case(
    "auth-basic-password",
    "phases.md 2.11: get_basic_auth_pw sets user and ap_auth_type; a 401 is challenged",
    _AUTH,
    get(auth=("somebody", "secret"), body="somebody Basic"),
    get(auth=("somebody", "wrong"), status=401, expect={"WWW-Authenticate": 'Basic realm="here"'}),
    get(status=401, expect={"WWW-Authenticate": 'Basic realm="here"'}),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonAuthenHandler @mod@::password
        AuthType Basic
        AuthName here
        Require valid-user
    """,
    site={"python_first": True},
)

# -- 2.12 ----------------------------------------------------------------------------------------

transcript(
    "process-environment",
    "phases.md 2.12: the environment inside Python",
    """
    >>> import sys
    >>> sys.argv
    ['mod_python']
    >>> sorted(name for name in vars(sys.modules["__main__"]) if not name.startswith("__"))
    []
    >>> sys.flags.no_user_site, sys.flags.optimize, sys.flags.dont_write_bytecode
    (1, 0, 0)
    >>> sys.stderr.fileno(), sys.stdout.fileno()
    (2, 1)
    >>> sys.executable[-7:]
    'python3'
    >>> len(sys.path) == len(set(sys.path))
    True
    """,
)
