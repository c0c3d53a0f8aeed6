"""PSP pages as they run: globals, forms, sessions, errors, templates: library.md 5.4."""

from compat.case import case, get, post

_CONF = """
    SetHandler mod_python
    PythonHandler mod_python.psp
"""
_FORM = [("Content-Type", "application/x-www-form-urlencoded")]


def _fails(*patterns):
    """Options of a case in which a page fails: what our log must say.

    The original's is not compared (nothing here is as grave as crit): it names the lines of the
    program, and many an exception twice.
    """
    return {"log": "crit", "ours_log": ["PythonHandler mod_python.psp: ", *patterns]}


def _page(name, about, page, *requests, files=None, conf=_CONF, **options):
    """A case of the page `page.psp`; requests without a path are for that one."""
    case(
        f"psp-{name}",
        f"library.md 5.4: {about}",
        None,
        *requests,
        conf=conf,
        files={"page.psp": page.encode(), **(files or {})},
        **options,
    )


def _shows(name, about, page, body, **options):
    _page(name, about, page, get("/page.psp", body=body), **options)


_page(
    "answer",
    "text/html, not flushed, so that httpd knows the length",
    "<p><%= 6 * 7 %></p>\n",
    get(
        "/page.psp",
        body="<p>42</p>\n",
        expect={"Content-Type": "text/html", "Content-Length": "10"},
    ),
)
_shows("empty", "an empty page", "", "")
_shows(
    "loop",
    "a loop ended by a comment",
    "<%\nfor i in range(3):\n    # begin\n%>\n<%= i %>\n<%\n# end\n%>.",
    "\n0\n\n1\n\n2\n.",
)
_shows("if-else", "branches by closing colons", "<%\nif 0:\n%>a<%\nelse:\n%>b<%\n%>c", "bc")
_shows(
    "nested",
    "nested blocks",
    "<%\nfor i in 1, 2:\n  for j in 3, 4:\n    pass\n%><%= i * j %> <%\n%>.",
    "3 4 6 8 .",
)
_shows(
    "def",
    "a function that writes",
    "<%\ndef f(x):\n%>[<%= x %>]<%\n\n%>a<% f(1); f(2) %>b",
    "a[1][2]b",
)
_shows("escapes-kept", "backslash n, r and t stay as they are", r"a\nb\rc\td", r"a\nb\rc\td")
_shows(
    "escapes-python",
    "other Python escapes are interpreted",
    r"\x41\u0042\N{LATIN CAPITAL LETTER C}\103\\" + "\\\nx",
    "ABCC\\x",
)
_shows("escapes-unknown", "unknown ones pass", r"\d\(\%", r"\d\(\%")
_shows(
    "quotes",
    "quotes of all kinds",
    "\"a\" 'b' \"\"\"c\"\"\" '''d'''",
    "\"a\" 'b' \"\"\"c\"\"\" '''d'''",
)
_shows("utf8", "text and expressions are UTF-8", "é€<%= '\\u00e9\U0001f40d' %>", "é€é\U0001f40d")
_shows("bom", "a byte order mark is sent", "\ufeffa", "\ufeffa")
_shows("crlf", "CRLF is sent as LF", "a\r\n<% x = 1\r\n%>b\r\n<%= x %>\r\n", "a\nb\n1\n")
_shows("cr", "a lone CR is sent as LF, being one in a Python literal", "a\rb", "a\nb")
_shows(
    "values",
    "an expression of any type",
    "<%= None %> <%= 1.5 %> <%= [1, 'a'] %> <%= b'x' %>",
    "None 1.5 [1, 'a'] b'x'",
)
_shows(
    "expression-walrus",
    "any expression",
    "<%= [x for x in range(3)] %><%= (y := 2) %><%= y %>",
    "[0, 1, 2]22",
)
_shows("percent-close", "a lone closing tag is text", "50 %> 40", "50 %> 40")
_shows(
    "import",
    "imports",
    "<%\n"
    "import base64\n"
    "from os import path as p\n"
    "%><%= base64.__name__ %> <%= p.basename('/a/b') %>",
    "base64 b",
)
_shows("class", "a class", "<%\nclass A:\n    x = 7\n\n%><%= A.x %>", "7")
_shows(
    "try",
    "try and except",
    "<%\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    x = 'caught'\n\n%><%= x %>",
    "caught",
)
_shows(
    "comprehension-scope",
    "globals of the page are seen in its functions",
    "<% x = 3\ndef f(): return x\n%><%= f() %><%= [x for _ in 'ab'] %>",
    "3[3, 3]",
)
_shows(
    "replaced-req",
    "a page may put something else in the place of req",
    "<%\n"
    "class Upper:\n"
    "    def write(self, text, flush):\n"
    "        real.write(text.upper(), flush)\n"
    "real, req = req, Upper()\n"
    "%>abc<%= 'def' %>",
    "ABCDEF",
)
_shows("replaced-str", "or of str", "<% str = repr %><%= 'a' %>", "'a'")
_shows(
    "headers",
    "it sets headers before it writes",
    "<% req.content_type = 'text/plain'; req.headers_out['X-A'] = 'b' %>x",
    "x",
)
_page(
    "status",
    "and the status",
    "<% req.status = 404 %>gone",
    get("/page.psp", status=404, body="gone"),
)
_shows(
    "module-globals",
    "the globals of the module are the page's, too",
    "<%= [m.__name__ for m in (os, sys, apache, util, Session, tempfile, types, marshal, dbm)] %>"
    " <%= escape('<&>') %> <%= PSP.__name__ %> <%= parse and parsestring and 1 %> <%= tempdir %>",
    "['os', 'sys', 'mod_python.apache', 'mod_python.util', 'mod_python.Session', 'tempfile',"
    " 'types', 'marshal', 'dbm'] &lt;&amp;&gt; PSP 1 /tmp",
)
_shows(
    "module-globals-eval",
    "also when they are looked for in roundabout ways",
    "<%= eval('tempfile').__name__ %> <%= globals()['types'].__name__ %>",
    "tempfile types",
)
_shows(
    "info",
    "what the old importer left",
    "<%= __mp_path__ %> <%= sorted(vars(__mp_info__)) %> <%= __mp_info__.file == __file__ %>"
    " <%= __file__ == req.filename %> <%= __name__ %>",
    "[] ['cache', 'children', 'file', 'label'] True True mod_python.psp",
)
_shows(
    "fresh",
    "globals do not outlive the request",
    "<%= 'seen' in globals() %><% seen = 1 %>",
    "False",
)
_page(
    "form-query",
    "a mention of form parses the fields",
    "<%= sorted(form.keys()) %> <%= req.form is form %> <%= psp.form is form %>"
    " <%= len(form.getlist('colours')) %>",
    get(
        "/page.psp?colours=turquoise&others=&colours=burgundy",
        body="['colours', 'others'] True True 2",
    ),
)
_page(
    "form-none",
    "no mention, no form; the body stays",
    "<%= hasattr(req, 'fo' + 'rm') %> <%= psp.__dict__['fo' + 'rm'] %> <%= req.read() %>",
    post(b"a=b", "/page.psp", headers=_FORM, body="False None b'a=b'"),
)
_page(
    "form-in-function",
    "a mention inside of a function does not count",
    "<%\ndef f():\n    return form\n\n%><%= f() %>",
    get("/page.psp?colours=turquoise", body="None"),
)
_page(
    "form-unsupported",
    "a body that forms do not know is 501",
    "<%= form %>",
    post(b"{}", "/page.psp", headers=[("Content-Type", "application/json")], status=501),
    log="error",
)
_page(
    "apply-data",
    "apply_data calls with the fields, and with req",
    "<%\n"
    "def f(req, name, other='none'):\n"
    "    return '%s %s %s' % (req.method, len(name), other)\n"
    "\n"
    "%><%= psp.apply_data(f) %>",
    get("/page.psp?name=abcd&ignored=1", body="GET 4 none"),
)
_page(
    "session",
    "a mention of session makes one, saves it and takes it off req",
    "<%\n"
    "session['n'] = session.get('n', 0) + 1\n"
    "%><%= session['n'] %> <%= req.session is session %>",
    get("/page.psp", body="1 True", expect={"Cache-Control": 'no-cache="set-cookie"'}),
    replace=[("pysid=[0-9a-f]{32}", "pysid=SID")],
)
_page(
    "session-none",
    "no mention, no session, no cookie",
    "<%= hasattr(req, 'ses' + 'sion') %>",
    get("/page.psp", body="False", expect={"Set-Cookie": None}),
)
_page(
    "session-save",
    "whatever is on req is saved, but not unlocked when it came from elsewhere",
    "<%\n"
    "class S:\n"
    "    def save(self): req.write('saved')\n"
    "    def unlock(self): req.write('unlocked')\n"
    "setattr(req, 'ses' + 'sion', S())\n"
    "\n"
    "%>x",
    get("/page.psp", body="xsaved"),
)

# errors
_page("missing", "no such page", "", get("/nowhere.psp", status=404))
_page(
    "error",
    "an exception is a 500",
    "a<% 1 / 0 %>",
    get("/page.psp", status=500),
    **_fails("ZeroDivisionError"),
)
_page(
    "error-syntax",
    "so is a page that is no Python",
    "a<% if x %>",
    get("/page.psp", status=500),
    **_fails("SyntaxError: invalid syntax"),
)
_page(
    "error-syntax-empty",
    "an empty block is a syntax error",
    "a<%%>",
    get("/page.psp", status=500),
    **_fails("SyntaxError"),
)
_page(
    "error-syntax-blank",
    "so is a blank one",
    "a<% %>",
    get("/page.psp", status=500),
    **_fails("SyntaxError"),
)
_page(
    "error-backslash",
    "and a page that ends in a backslash",
    "a\\",
    get("/page.psp", status=500),
    **_fails("SyntaxError"),
)
_page(
    "error-escape",
    "and a broken escape",
    "a\\x4z",
    get("/page.psp", status=500),
    **_fails("SyntaxError"),
)
_page(
    "error-expression-comment",
    "and an expression that ends in a comment",
    "<%= 1 # one %>",
    get("/page.psp", status=500),
    **_fails("SyntaxError"),
)
_page(
    "error-close-doubled",
    "a closing tag on an indented line of its own doubles the indentation",
    "<%\nif 1:\n  x = 1\n  %>a",
    get("/page.psp", status=500),
    **_fails("IndentationError"),
)
_page(
    "error-open-tag",
    "a tag that is not closed and no Python",
    "a<% if x",
    get("/page.psp", status=500),
    **_fails("SyntaxError"),
)
_page(
    "error-open-comment",
    "a comment that is not closed",
    "a<%-- b",
    get("/page.psp", status=500),
    **_fails("SyntaxError"),
)
_shows("open-code", "code that is not closed but good", "a<% req.write('b', 0)\n", "ab")
_page(
    "error-latin1",
    "a page that is not UTF-8",
    "",
    get("/latin1.psp", status=500),
    files={"latin1.psp": b"\xe9"},
    **_fails("UnicodeDecodeError"),
)
_page(
    "error-include",
    "a missing include",
    'a<%@ include file="nowhere.psp" %>',
    get("/page.psp", status=500),
    **_fails("FileNotFoundError.*nowhere.psp"),
)
_page(
    "error-debug",
    "PythonDebug shows the page's own line",
    "a\nb <%= 1 / 0 %>",
    get(
        "/page.psp",
        status=500,
        find="File &quot;.*page.psp&quot;, line 2, in &lt;module&gt;.*b &lt;%= 1 / 0 %&gt;.*"
        "ZeroDivisionError",
    ),
    conf=_CONF + "    PythonDebug On\n",
    **_fails("ZeroDivisionError"),
)
_page(
    "error-debug-arguments",
    "[C5] an exception with several arguments",
    "<%\n"
    "class E(Exception):\n"
    "    def __init__(self, a, b):\n"
    "        Exception.__init__(self, a, b)\n"
    "\n"
    "raise E(1, 2)\n"
    "%>",
    get("/page.psp", status=500, find="E: \\(1, 2\\)\n"),
    conf=_CONF + "    PythonDebug On\n",
    **_fails(r"E: \(1, 2\)"),
)

# error pages
_ERROR_PAGE = (
    b"E <%= exception[0].__name__ %> <%= exception[1] %> <%= exception[2].__class__.__name__ %>"
)
_shows(
    "error-page",
    "an error page shows the exception after what was written",
    "<% psp.set_error_page('error.psp') %>a <%= 1 / 0 %> b",
    "a E ZeroDivisionError division by zero traceback",
    files={"error.psp": _ERROR_PAGE},
)
_shows(
    "error-page-root",
    "with a slash it is below the document root",
    "<% psp.set_error_page('/psp-error-page-root/sub/error.psp') %>a <%= 1 / 0 %> b",
    "a E ZeroDivisionError division by zero traceback",
    files={"sub/error.psp": _ERROR_PAGE},
)
_shows(
    "error-page-names",
    "its psp is its own, its __file__ the request's",
    "<% psp.set_error_page('error.psp'); x = 1; 1 / 0 %>",
    "error.psp page.psp None False",
    files={
        "error.psp": b"<%= os.path.basename(psp.filename) %> <%= os.path.basename(__file__) %>"
        b" <%= psp.error_page %> <%= 'x' in globals() %>"
    },
)
_shows(
    "error-page-unused",
    "without an error it does not run",
    "<% psp.set_error_page('error.psp') %>a",
    "a",
    files={"error.psp": _ERROR_PAGE},
)
_page(
    "error-page-session",
    "an error page shares the session",
    "<% psp.set_error_page('error.psp') %><%= session.is_new() %> <%= 1 / 0 %>",
    get("/page.psp", body="True True True"),
    files={"error.psp": b"<%= session is req.session %> <%= session.is_new() %>"},
    replace=[("pysid=[0-9a-f]{32}", "pysid=SID")],
)
_page(
    "error-page-fails",
    "an error page that fails is a 500",
    "<% psp.set_error_page('error.psp') %><%= 1 / 0 %>",
    get("/page.psp", status=500),
    files={"error.psp": b"<%= 'a' + 1 %>"},
    **_fails("TypeError"),
)
_page(
    "error-page-missing",
    "[C5] one that is missing is a 404, as SERVER_RETURN says",
    "<% psp.set_error_page('nowhere.psp') %>a",
    get("/page.psp", status=404),
)
_page(
    "error-page-return",
    "SERVER_RETURN is no error, so no error page for it",
    "<%\npsp.set_error_page('error.psp')\nraise apache.SERVER_RETURN(apache.HTTP_FORBIDDEN)\n%>",
    get("/page.psp", status=403),
    files={"error.psp": _ERROR_PAGE},
)

# leaving early
_page(
    "redirect",
    "[C5] redirect",
    "<% psp.redirect('http://example.org/') %>",
    get(
        "/page.psp",
        status=302,
        expect={"Location": "http://example.org/"},
        find='^<p>The document has moved <a href="http://example.org/">here</a></p>\n$',
    ),
)
_page(
    "redirect-permanent",
    "[C5] the permanent kind",
    "<% psp.redirect('http://example.org/', 1) %>",
    get("/page.psp", status=301, expect={"Location": "http://example.org/"}, find="</p>\n$"),
)
_page(
    "server-return",
    "[C5] SERVER_RETURN with a status",
    "<% raise apache.SERVER_RETURN(apache.HTTP_FORBIDDEN) %>",
    get("/page.psp", status=403),
)
_page(
    "server-return-done",
    "[C5] SERVER_RETURN after some output",
    "a<% raise apache.SERVER_RETURN(apache.DONE) %>b",
    get("/page.psp", body="a"),
)

# includes
_shows(
    "include",
    "included text and code",
    'a<%@ include file="part.psp" %>b<%= y %>',
    "a[1]b2",
    files={"part.psp": b"<% y = 2 %>[<%= 1 %>]"},
)
_shows(
    "include-part",
    "an include in a subdirectory",
    'a<%@ include file="sub/part.psp" %>b',
    "axb",
    files={"sub/part.psp": b"x"},
)
_shows(
    "include-open",
    "an included file that ends in code ends the page",
    'a<%@ include file="part.psp" %>b',
    "a",
    files={"part.psp": b"<% x = 1\n"},
)
_page(
    "include-absolute",
    "[A11] an absolute name",
    'a<%@ include file="@dir@/part.psp" %>b',
    get("/page.psp", body="axb"),
    files={"page.psp": 'a<%@ include file="@dir@/part.psp" %>b', "part.psp": "x"},
    crashes_original=True,
)
_page(
    "include-greedy",
    "a quote later on the line is not part of the name",
    'a<%@ include file="part.psp"%>"b"<%= 1 %>',
    get("/page.psp", body='ax"b"1'),
    files={"part.psp": b"x"},
)
_page(
    "include-circle",
    "a page that includes itself",
    'a<%@ include file="other.psp" %>b',
    get("/page.psp", status=500),
    files={"other.psp": b'<%@ include file="page.psp" %>'},
    crashes_original=True,
    **_fails("SyntaxError: page includes itself: .*page.psp -> .*other.psp -> .*page.psp"),
)

# the class PSP, from a handler of its own
_TEMPLATE = """
    from mod_python import psp

    def handler(req):
        req.content_type = "text/plain"
        out = []
{code}
        req.write("\\n".join(str(x) for x in out), 0)
        return apache.OK
"""


def _template(name, about, code, *requests, files=None, **options):
    lines = "\n".join(" " * 8 + line for line in code.strip("\n").split("\n"))
    case(
        f"psp-template-{name}",
        f"library.md 5.4.3: {about}",
        _TEMPLATE.format(code=lines),
        *requests,
        files=files,
        **options,
    )


_template(
    "vars",
    "variables of the constructor and of run",
    """
page = psp.PSP(req, filename="t.psp", vars={"a": 1, "b": 2})
page.run({"b": 3})
page.run()
out += [page.vars, page.string, page.dbmcache, page.code.co_name, page.req is req]
""",
    get(body="1 3\n1 2\n{'a': 1, 'b': 2}\nNone\nNone\n<module>\nTrue"),
    files={"t.psp": b"<%= a %> <%= b %>\n"},
)
_template(
    "names",
    "file names are relative to the request's file",
    """
for name in ("t.psp", "./t.psp", "sub/../t.psp"):
    page = psp.PSP(req, filename=name)
    out.append(page.filename.replace(req.filename.rsplit("/", 1)[0], "DIR"))
""",
    get("/x", body="DIR/t.psp\nDIR/./t.psp\nDIR/sub/../t.psp"),
    files={"t.psp": b"x", "sub/x": b""},
)
_template(
    "absolute",
    "or absolute",
    """
psp.PSP(req, filename=req.filename.rsplit("/", 1)[0] + "/t.psp").run()
""",
    get("/x", body="x"),
    files={"t.psp": b"x"},
)
_template(
    "both",
    "filename and string exclude each other",
    """
try:
    psp.PSP(req, filename="t.psp", string=b"x")
except ValueError as error:
    out.append(error)
""",
    get(body="Must specify either filename or string"),
    files={"t.psp": b"x"},
)
_template(
    "missing",
    "a missing file is SERVER_RETURN(404), from the constructor",
    """
try:
    psp.PSP(req, filename="nowhere.psp")
except apache.SERVER_RETURN as error:
    out.append(error.args)
""",
    get(body="(404,)"),
)
_template(
    "missing-status",
    "and if not caught a 404",
    """
psp.PSP(req, filename="nowhere.psp")
""",
    get(status=404),
)
_template(
    "string-bytes",
    "a page in bytes",
    """
page = psp.PSP(req, string=b"<%= a %>\\xc3\\xa9", vars={"a": 1})
page.run()
out += [page.filename, page.string, page.code.co_filename]
""",
    get(body="1\u00e9None\nb'<%= a %>\\xc3\\xa9'\n__psp__"),
)
_template(
    "string-str",
    "[C6] a page in str",
    """
page = psp.PSP(req, string="<%= a %>\\u00e9", vars={"a": 1})
page.run()
out += [page.string]
""",
    get(body="1\u00e9<%= a %>\u00e9"),
)
_template(
    "string-empty",
    "an empty string is an empty page",
    """
psp.PSP(req, string="").run()
out.append("nothing before this")
""",
    get(body="nothing before this"),
)
_template(
    "str",
    "str() runs the page as text/html",
    """
out.append(repr(str(psp.PSP(req, filename="t.psp"))))
""",
    get(body="x''", expect={"Content-Type": "text/html"}),
    files={"t.psp": b"x"},
)
_template(
    "flush",
    "run can flush",
    """
psp.PSP(req, filename="t.psp").run(flush=1)
psp.PSP(req, filename="t.psp").run()
psp.PSP(req, filename="t.psp").run({}, 1)
""",
    get(body="xxx"),
    files={"t.psp": b"x"},
    chunks=True,
)
_template(
    "parse",
    "parse with and without a directory",
    """
directory = req.filename.rsplit("/", 1)[0] + "/"
out += [psp.parse("t.psp", directory), psp.parse(directory + "t.psp"), psp.parsestring(b"<%= 1 %>")]
""",
    get(
        "/x",
        body='req.write("""x""",0)\n\n'
        'req.write("""x""",0)\n\n'
        'req.write("""""",0); req.write(str( 1 ),0); req.write("""""",0)\n',
    ),
    files={"t.psp": b"x"},
)
_template(
    "parsestring-str",
    "[C6] parsestring of str",
    """
out.append(psp.parsestring("\\u00e9<%= 1 %>"))
""",
    get(body='req.write("""\u00e9""",0); req.write(str( 1 ),0); req.write("""""",0)\n'),
)
_template(
    "parsestring-include",
    "[A12] an include in a string has no directory",
    """
try:
    psp.parsestring(b'a<%@ include file="t.psp" %>')
except SyntaxError as error:
    out.append(error.msg)
""",
    get(body='include of "t.psp": a page given as a string can include absolute names only'),
    files={"t.psp": b"x"},
    crashes_original=True,
)
_template(
    "parse-missing",
    "a file that is not there",
    """
try:
    psp.parse("/nowhere.psp")
except OSError as error:
    out.append((type(error).__name__, error.errno, error.filename))
""",
    get(body="('FileNotFoundError', 2, '/nowhere.psp')"),
)
_template(
    "parse-types",
    "arguments of the wrong type",
    """
from mod_python import _psp
for function, arguments in ((_psp.parse, (1,)), (_psp.parsestring, (1,)), (_psp.parse, ())):
    try:
        function(*arguments)
    except TypeError:
        out.append("TypeError")
""",
    get(body="TypeError\nTypeError\nTypeError"),
)
_template(
    "interface",
    "PSPInterface in a handler's hands",
    """
page = psp.PSPInterface(req, req.filename, None)
out += [page.req is req, page.filename == req.filename, page.form, page.error_page]
""",
    get(body="True\nTrue\nNone\nNone"),
)
_template(
    "path-split",
    "path_split",
    """
out += [psp.path_split("/a/b/c.psp")]
""",
    get(body="('/a/b/', 'c.psp')"),
)

# the source view
_DEBUG = _CONF + "    PythonDebug On\n"
for _name, _source in (
    ("plain", b"a\n"),
    ("code", b"<%\nfor i in x:\n    y = '&<>\"'\n%>a<%= i %>\n<% z %>"),
    ("blanks", b"a\tb  c   \n\n  d\t\n"),
    ("one-line", b"x"),
    ("no-lines", b""),
    ("crlf", b"a\r\nb\r\n"),
    ("utf8", "é <%= '€' %>\n".encode()),
    ("comment", b"a<%-- x\n\n\n --%>b\nc\n"),
):
    case(
        f"psp-source-{_name}",
        "library.md 5.4.5: the source view of a page, by its name and an underscore",
        None,
        get("/page.psp_", find="^<table>\n.*PSP-produced Python Code.*</table>\n$"),
        conf=_DEBUG,
        files={"page.psp": _source},
    )
case(
    "psp-source-include",
    "library.md 5.4.3: the view shows the page's own source beside the whole program",
    None,
    get("/page.psp_", find="inner"),
    conf=_DEBUG,
    files={"page.psp": b'<%@ include file="part.psp" %>\nx', "part.psp": b"inner\n\ny"},
)
case(
    "psp-source-off",
    "library.md 5.4.5: without PythonDebug the underscore is part of the name",
    None,
    get("/page.psp_", status=404),
    conf=_CONF,
    files={"page.psp": b"x"},
)
case(
    "psp-add-handler",
    "library.md 5.4.5: by extension, the directory's other files are httpd's own",
    None,
    get("/page.psp", body="2"),
    get("/page.txt", body="<%= 1 + 1 %>"),
    get("/page.psp_", find="^<table>"),
    conf="AddHandler mod_python .psp .psp_\nPythonHandler mod_python.psp\nPythonDebug On",
    files={"page.psp": b"<%= 1 + 1 %>", "page.txt": b"<%= 1 + 1 %>", "page.psp_": b""},
)
