"""Input and output filters, connection handlers and SSI tags: phases.md 2.7, 2.8, 2.10."""

from compat.case import case, get, post, raw

# The original sends garbage unless what a filter writes stays alive (gotchas B1), so the cases
# of this file keep it, except the one that is about just that.
_KEEP = """
kept = []

def keep(data):
    kept.append(data)
    return data
"""

_STATIC = {"page.txt": "one two\nthree\n"}

_UPPER = (
    _KEEP
    + """
def outputfilter(filter):
    data = filter.read()
    while data:
        filter.write(keep(data.upper()))
        data = filter.read()
    if data is None:
        filter.close()

def inputfilter(filter):
    data = filter.read()
    while data:
        filter.write(keep(data.upper()))
        data = filter.read()
    if data is None:
        filter.close()

def handler(req):
    req.write(req.read())
    return apache.OK
"""
)

case(
    "filter-output",
    "phases.md 2.7.2: the usual output filter over a static file",
    _UPPER,
    get("/page.txt", body="ONE TWO\nTHREE\n", expect={"Content-Type": "text/plain"}),
    conf="PythonOutputFilter @mod@ CASE_UPPER\nSetOutputFilter CASE_UPPER",
    files=_STATIC,
)

case(
    "filter-output-default-name",
    "directives.md 1.11: the name defaults to the handler text",
    _UPPER,
    get("/page.txt", body="ONE TWO\nTHREE\n"),
    conf="PythonOutputFilter @mod@::outputfilter\nSetOutputFilter @mod@::outputfilter",
    files=_STATIC,
)

case(
    "filter-output-python-content",
    "phases.md 2.7.2: over a Python handler's flushed writes",
    _KEEP
    + """
def outputfilter(filter):
    data = filter.read()
    while data:
        filter.write(keep(b"<" + data + b">"))
        data = filter.read()
    if data is None:
        filter.close()

def handler(req):
    req.write("one")
    req.write("two")
    return apache.OK
""",
    get(body="<one><two>"),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonOutputFilter @mod@ CASE_MARK
        SetOutputFilter CASE_MARK
    """,
)

case(
    "filter-input",
    "phases.md 2.7.2: the usual input filter",
    _UPPER,
    post(b"hello body", body="HELLO BODY"),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonInputFilter @mod@ CASE_INPUT
        SetInputFilter CASE_INPUT
    """,
)

case(
    "filter-attributes",
    "objects.md 3.7: the filter object",
    _KEEP
    + """
seen = []

def outputfilter(filter):
    if not seen:
        seen.append([
            type(filter).__name__, filter.name, filter.is_input, filter.handler,
            filter.dir, filter.closed, filter.softspace, filter.req.uri, filter.req.phase,
            str(type(filter.req)), hasattr(filter, "non_existent"),
        ])
        for code in ("filter.nothing", "filter.nothing = 1", "filter.name = 'x'",
                     "del filter.name", "filter.closed = 1", "filter.softspace = 1"):
            try:
                exec(code)
            except Exception as error:
                seen.append("%s: %s" % (code, type(error).__name__))
            else:
                seen.append(code)
    data = filter.read()
    while data:
        data = filter.read()
    if data is None:
        for line in seen:
            filter.write(keep("%s\\n" % (line,)))
        filter.close()
        seen.append(filter.closed)
""",
    get("/page.txt", find="^.'mp_filter', 'case_attributes', 0, 'case_filter_attributes'"),
    conf="PythonOutputFilter @mod@ CASE_Attributes\nSetOutputFilter CASE_ATTRIBUTES",
    files=_STATIC,
)

case(
    "filter-read-sizes",
    "objects.md 3.7: read(n) and readline in an output filter",
    _KEEP
    + """
def outputfilter(filter):
    parts = []
    parts.append(filter.read(3))
    parts.append(filter.readline())
    parts.append(filter.read(0))
    parts.append(filter.readline(2))
    parts.append(filter.read(100))
    parts.append(filter.read(100))
    filter.write(keep(repr(parts)))
    filter.close()
""",
    get("/page.txt"),
    conf="PythonOutputFilter @mod@ CASE_SIZES\nSetOutputFilter CASE_SIZES",
    files=_STATIC,
)

case(
    "filter-pass-on",
    "objects.md 3.7: pass_on forwards everything untouched",
    """
    def outputfilter(filter):
        filter.req.headers_out["X-Passed"] = "yes"
        filter.pass_on()

    def inputfilter(filter):
        filter.pass_on()

    def handler(req):
        req.write(req.read())
        return apache.OK
    """,
    post(b"body", body="body", expect={"X-Passed": "yes"}),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonOutputFilter @mod@ CASE_PASS_OUT
        PythonInputFilter @mod@ CASE_PASS_IN
        SetOutputFilter CASE_PASS_OUT
        SetInputFilter CASE_PASS_IN
    """,
)

case(
    "filter-disable",
    "phases.md 2.7.4: after disable() data passes the filter by",
    """
    calls = []

    def outputfilter(filter):
        calls.append(1)
        if len(calls) == 1:
            filter.pass_on()
            filter.disable()
        else:
            filter.write("never")
            filter.pass_on()

    def handler(req):
        req.write("one ")
        req.write("two ")
        return apache.OK
    """,
    get(body="one two "),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonOutputFilter @mod@ CASE_DISABLE
        SetOutputFilter CASE_DISABLE
    """,
)

case(
    "filter-closed",
    "objects.md 3.7: close is idempotent; read and write refuse afterwards, flush does not",
    """
    def outputfilter(filter):
        said = []
        data = filter.read()
        while data:
            data = filter.read()
        if data is not None:
            return
        filter.write("kept ")
        filter.close()
        filter.close()
        for code in ("filter.read()", "filter.write('x')", "filter.readline()", "filter.flush()"):
            try:
                said.append("%s %r" % (code, eval(code)))
            except Exception as error:
                said.append("%s %s: %s" % (code, type(error).__name__, error))
        filter.req.log_error(" | ".join(said), apache.APLOG_NOTICE)
    """,
    get("/page.txt", body="kept "),
    conf="PythonOutputFilter @mod@ CASE_CLOSED\nSetOutputFilter CASE_CLOSED",
    files=_STATIC,
    log="notice",
)

case(
    "filter-dynamic",
    "phases.md 2.7.6: filters registered and added by the request",
    _KEEP
    + """
def upper(filter):
    data = filter.read()
    while data:
        filter.write(keep(data.upper()))
        data = filter.read()
    if data is None:
        filter.write(keep("(%s)" % filter.name))
        filter.close()

def handler(req):
    req.register_output_filter("CASE_DYNAMIC", __name__ + "::upper")
    req.add_output_filter("CASE_DYNAMIC")
    req.write("text ")
    return apache.OK
""",
    get(body="TEXT (mod_python)"),
)

case(
    "filter-dynamic-httpd",
    "phases.md 2.7.6: httpd's own filters may be added by name",
    """
    def handler(req):
        req.add_output_filter("CONTENT_LENGTH")
        req.write("text", 0)
        return apache.OK
    """,
    get(body="text", expect={"Content-Length": "4"}),
)

case(
    "filter-dynamic-unknown",
    "phases.md 2.7.6: an unknown name is logged by httpd",
    """
    def handler(req):
        req.add_output_filter("CASE_NO_SUCH_FILTER")
        req.write("text")
        return apache.OK
    """,
    get(body="text"),
    log="error",
)

case(
    "filter-not-in-scope",
    "directives.md 1.11: a filter run where no entry is in scope",
    _UPPER,
    get("/page.txt", status=500),
    conf="SetOutputFilter CASE_SCOPE",
    sections="""
        <Directory @dir@/elsewhere>
            PythonOutputFilter @mod@ CASE_SCOPE
        </Directory>
    """,
    files=_STATIC,
    ours_log=["python_filter: Could not find registered filter."],
)

case(
    "filter-class",
    "phases.md 2.7.1: the class rule applies, with the filter as argument",
    _KEEP
    + """
class Filter:
    def __init__(self, filter):
        self.filter = filter

    def run(self, filter):
        data = filter.read()
        while data:
            filter.write(keep(data.title()))
            data = filter.read()
        if data is None:
            filter.write(keep("%s" % (self.filter is filter)))
            filter.close()
""",
    get("/page.txt", body="One Two\nThree\nTrue"),
    conf="PythonOutputFilter @mod@::Filter.run CASE_CLASS\nSetOutputFilter CASE_CLASS",
    files=_STATIC,
)

case(
    "filter-large",
    "phases.md 2.7.2: a megabyte through an output filter that passes on",
    """
    def outputfilter(filter):
        filter.pass_on()

    def handler(req):
        for number in range(1024):
            req.write("%04d" % number * 256, 0)
        return apache.OK
    """,
    get(find="^0000.*1023$"),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonOutputFilter @mod@ CASE_LARGE
        SetOutputFilter CASE_LARGE
    """,
)

# -- connection handlers -------------------------------------------------------------------------

_PING = b"ping\n"

case(
    "connection-handler",
    "phases.md 2.8: the connection handler owns the connection",
    """
    def connectionhandler(conn):
        line = None
        while line != b"bye\\n":
            try:
                line = conn.readline()
            except OSError:
                break
            conn.write("you said: ")
            conn.write(line)
        return apache.OK
    """,
    raw(
        b"hello\nbye\nnever\n",
        status=0,
        body="you said: hello\nyou said: bye\n",
        broken="no status line",
    ),
    server="PythonPath \"sys.path + ['@dir@']\"\nPythonConnectionHandler @mod@",
)

case(
    "connection-handler-declined",
    "phases.md 2.8: DECLINED continues with HTTP",
    """
    def connectionhandler(conn):
        conn.notes["seen"] = "yes"
        return apache.DECLINED

    def handler(req):
        req.write(req.connection.notes.get("seen", "no"))
        return apache.OK
    """,
    get(body="yes"),
    server="PythonPath \"sys.path + ['@dir@']\"\nPythonConnectionHandler @mod@",
)

case(
    "connection-handler-attributes",
    "objects.md 3.2: hlist and the rest inside a connection handler",
    """
    def connectionhandler(conn):
        line = conn.readline()
        conn.write("%r\\n" % [conn.hlist.handler, conn.hlist.directory, conn.client_ip,
                   conn.aborted, conn.keepalive, conn.base_server.server_hostname,
                   type(conn).__name__, apache.interpreter])
        return apache.OK
    """,
    raw(
        b"hello\n",
        status=0,
        broken="no status line",
        find="case_connection_handler_attributes",
    ),
    server="ServerName main.test\nPythonPath \"sys.path + ['@dir@']\"\n"
    "PythonConnectionHandler @mod@",
)

case(
    "connection-handler-error",
    "phases.md 2.8: exceptions are logged and never shown to the peer",
    """
    def connectionhandler(conn):
        line = conn.readline()
        if line == b"none\\n":
            return None
        if line == b"raise\\n":
            raise ValueError("in connection")
        return apache.OK
    """,
    raw(b"raise\n", status=0, broken="no answer"),
    raw(b"none\n", status=0, broken="no answer"),
    server="PythonDebug On\nPythonPath \"sys.path + ['@dir@']\"\nPythonConnectionHandler @mod@",
    log="error",
)

case(
    "connection-handler-read",
    "objects.md 3.2: read(n) gives what is there, up to n",
    """
    def connectionhandler(conn):
        data = b""
        while len(data) < 10:
            piece = conn.read(4)
            assert 0 < len(piece) <= 4
            data += piece
        conn.write(data)
        return apache.OK
    """,
    raw(b"0123456789", status=0, body="0123456789", broken="no status line"),
    server="PythonPath \"sys.path + ['@dir@']\"\nPythonConnectionHandler @mod@",
)

# -- server-side includes ------------------------------------------------------------------------

_SSI = """
    Options +Includes
    AddType text/html .shtml
    AddOutputFilter INCLUDES .shtml
    PythonFixupHandler @mod@
"""

case(
    "ssi-eval",
    "phases.md 2.10: eval writes the str of its value, None nothing",
    """
    def fixuphandler(req):
        return apache.OK
    """,
    get("/page.shtml", body="[3][text][][b'x']\n"),
    conf=_SSI,
    files={
        "page.shtml": '[<!--#python eval="1 + 2" -->]'
        "[<!--#python eval=\"'text'\" -->]"
        '[<!--#python eval="None" -->]'
        "[<!--#python eval=\"b'x'\" -->]\n"
    },
)

case(
    "ssi-exec",
    "phases.md 2.10: exec writes through filter; globals are shared by the request's tags",
    """
    def fixuphandler(req):
        req.ssi_globals = {"given": "test ok"}
        return apache.OK
    """,
    get("/page.shtml", body="[test][ ok][set][includes page.shtml 0 None]\n"),
    conf=_SSI,
    files={
        "page.shtml": "[<!--#python exec=\"filter.write(given[:4]); mine = 'set'\" -->]"
        '[<!--#python exec="filter.write(given[4:])" -->]'
        '[<!--#python eval="mine" -->]'
        "[<!--#python exec=\"import os; text = '%s %s %s %s' % (filter.name, "
        'os.path.basename(__file__), filter.is_input, filter.req.phase); filter.write(text)" -->]\n'
    },
)

case(
    "ssi-noexec",
    "phases.md 2.10: IncludesNOEXEC disables the tag",
    """
    def fixuphandler(req):
        return apache.OK
    """,
    get("/page.shtml", find=r"^.\[an error occurred"),
    conf=_SSI.replace("+Includes", "+IncludesNOEXEC"),
    files={"page.shtml": '[<!--#python eval="1" -->]\n'},
    log="error",
)

# -- repaired ------------------------------------------------------------------------------------

case(
    "filter-write-copies",
    "gotchas B1: what a filter writes is copied",
    """
    def outputfilter(filter):
        data = filter.read()
        while data:
            for number in range(100):
                filter.write("%05d" % number)
            filter.write(bytes(range(65, 91)) * 400)
            data = filter.read()
        if data is None:
            filter.close()
    """,
    get(
        "/page.txt",
        body="".join("%05d" % number for number in range(100)) + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" * 400,
    ),
    conf="PythonOutputFilter @mod@ CASE_COPIES\nSetOutputFilter CASE_COPIES",
    files=_STATIC,
)

case(
    "filter-error-debug",
    "phases.md 2.7.3: an exception with PythonDebug gives the page",
    """
    def outputfilter(filter):
        raise ValueError("in filter")
    """,
    get(
        "/page.txt",
        status=500,
        find='^\n<pre>\nMod_python error: "case_error_debug case_filter_error_debug"\n.*'
        "ValueError: in filter\n\n</pre>\n$",
    ),
    conf="PythonDebug On\nPythonOutputFilter @mod@ CASE_ERROR_DEBUG\n"
    "SetOutputFilter CASE_ERROR_DEBUG",
    files=_STATIC,
    ours_log=["case_error_debug case_filter_error_debug: "],
)

case(
    "filter-missing-object",
    "phases.md 2.7.1: the default object is outputfilter",
    """
    def other(filter):
        filter.pass_on()
    """,
    get("/page.txt", status=500, find="contains no &#x27;outputfilter&#x27;"),
    conf="PythonDebug On\nPythonOutputFilter @mod@ CASE_MISSING\nSetOutputFilter CASE_MISSING",
    files=_STATIC,
    ours_log=["case_missing case_filter_missing_object: "],
)

case(
    "filter-error",
    "gotchas C25: an exception in an output filter is a 500, not an empty reply",
    """
    def outputfilter(filter):
        raise ValueError("in filter")
    """,
    get("/page.txt", status=500),
    conf="PythonOutputFilter @mod@ CASE_ERROR\nSetOutputFilter CASE_ERROR",
    files=_STATIC,
    ours_log=["case_error case_filter_error: "],
)

case(
    "filter-input-readline",
    "gotchas B5: an input filter that reads lines keeps the rest",
    """
    def inputfilter(filter):
        line = filter.readline()
        while line:
            filter.write(b"> " + line)
            line = filter.readline()
        if line is None:
            filter.close()

    def handler(req):
        req.write(req.read())
        return apache.OK
    """,
    post(b"one\ntwo\nthree\n", body="> one\n> two\n> three\n"),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonInputFilter @mod@ CASE_LINES
        SetInputFilter CASE_LINES
    """,
)

case(
    "filter-input-longer",
    "gotchas B9: read() returns all that the input filter made of the body",
    """
    def inputfilter(filter):
        data = filter.read()
        while data:
            filter.write(data * 3)
            data = filter.read()
        if data is None:
            filter.close()

    def handler(req):
        req.write(req.read())
        return apache.OK
    """,
    post(b"abc", body="abcabcabc"),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonInputFilter @mod@ CASE_LONGER
        SetInputFilter CASE_LONGER
    """,
)

case(
    "filter-add-handler",
    "gotchas A6: add_handler outside a phase crashed",
    """
    def outputfilter(filter):
        if not hasattr(filter.req, "added"):
            filter.req.added = True
            filter.req.add_handler("PythonLogHandler", __name__ + "::log")
        filter.pass_on()

    def log(req):
        req.log_error("added handler ran", apache.APLOG_NOTICE)
        return apache.OK
    """,
    get("/page.txt", body="one two\nthree\n"),
    conf="PythonOutputFilter @mod@ CASE_ADD_HANDLER\nSetOutputFilter CASE_ADD_HANDLER",
    files=_STATIC,
    crashes_original=True,
    log="notice",
)

case(
    "connection-readline-rest",
    "gotchas B4: readline(n) keeps the rest of the line",
    """
    def connectionhandler(conn):
        parts = [conn.readline(3), conn.readline(100), conn.readline()]
        conn.write("%r" % parts)
        return apache.OK
    """,
    raw(
        b"abcdef\nsecond\n",
        status=0,
        body=r"[b'abc', b'def\n', b'second\n']",
        broken="no status line",
        half_close=True,
    ),
    server="PythonPath \"sys.path + ['@dir@']\"\nPythonConnectionHandler @mod@",
)

case(
    "ssi-exception",
    "gotchas A10: an exception in a tag shows mod_include's error text and goes on",
    """
    def fixuphandler(req):
        return apache.OK
    """,
    get("/page.shtml", find=r"^before \[an error occurred.*\] after\n$"),
    conf=_SSI,
    files={"page.shtml": 'before <!--#python eval="1/0" --> after\n'},
    crashes_original=True,
    ours_log=["^error: includes .*/page.shtml: "],
)

case(
    "ssi-bad-parameters",
    "gotchas A10: wrong, missing and empty parameters",
    """
    def fixuphandler(req):
        return apache.OK
    """,
    *[
        get(f"/{name}.shtml", find=r"^before \[an error occurred.*\] after\n$")
        for name in ("empty", "wrong", "missing", "double")
    ],
    get("/good.shtml", body="before 2 after\n"),
    conf=_SSI,
    files={
        "good.shtml": 'before <!--#python eval="1 + 1" --> after\n',
        "empty.shtml": 'before <!--#python eval="" --> after\n',
        "wrong.shtml": 'before <!--#python run="1" --> after\n',
        "missing.shtml": "before <!--#python --> after\n",
        "double.shtml": 'before <!--#python eval="1" exec="2" --> after\n',
    },
    log="error",
)

case(
    "filter-empty-file",
    "phases.md 2.7.2: a filter that adds something at the end, over a file with nothing in it",
    """
    def outputfilter(filter):
        data = filter.read()
        while data:
            filter.write(data)
            data = filter.read()
        if data is None:
            filter.write("the end")
            filter.close()
    """,
    get("/full.txt", body="full, the end"),
    get("/empty.txt", body="the end", expect={"Content-Length": "7"}),
    conf="PythonOutputFilter @mod@ EMPTYFILE\nSetOutputFilter EMPTYFILE",
    files={"full.txt": "full, ", "empty.txt": ""},
)
