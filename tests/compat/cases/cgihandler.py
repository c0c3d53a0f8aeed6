"""mod_python.cgihandler: library.md 5.6, apache_module.md 4.4."""

from compat.case import case, get, post

_CONF = "SetHandler mod_python\nPythonHandler mod_python.cgihandler\nPythonInterpreter @id@"


def _cgi(id, about, script, *requests, files=None, **options):
    return case(
        id,
        about,
        None,
        *requests,
        files={"script.py": script, **(files or {})},
        conf=_CONF,
        **options,
    )


_SHOW = """
import os, sys
print("Content-Type: text/plain")
print("X-Own: value")
print()
for name in sorted(os.environ):
    if name.startswith(("HTTP_", "QUERY", "REQUEST", "SCRIPT", "PATH_INFO", "GATEWAY", "SERVER_P")):
        print(name, repr(os.environ[name]))
print(__name__, sys.argv, os.getcwd() == os.path.dirname(__file__))
"""

_cgi(
    "cgi-environment",
    "library.md 5.6: what a script sees",
    _SHOW,
    get(
        "/script.py/more/path?a=b",
        headers=[("X-Header", "x")],
        find="GATEWAY_INTERFACE 'Python-CGI/1.1'\nHTTP_HOST .*\nPATH_INFO '/more/path'\n.*"
        "SCRIPT_NAME '/cgi-environment/script.py'\n.*\nscript \\[\\] True\n$",
        expect={"Content-Type": "text/plain", "X-Own": "value"},
    ),
    get("/script", find="SCRIPT_NAME '/cgi-environment/script'\n"),
    get("/script.py", auth=("user", "pass"), find="HTTP_AUTHORIZATION 'Basic "),
)

_cgi(
    "cgi-output",
    "apache_module.md 4.4: the headers of a script",
    r"""
    import sys
    sys.stdout.write("Status: 404 Not here\r\nX-Twice: 1\r\nX-Twice: 2\r\nContent-")
    sys.stdout.write("Type: text/x\r\n\r")
    sys.stdout.write("\nbody caf\u00e9")
    """,
    get(
        "/script.py",
        status=404,
        body="body caf\u00e9",
        expect={"X-Twice": ["1", "2"], "Content-Type": "text/x"},
    ),
)

_cgi(
    "cgi-nothing",
    "apache_module.md 4.4: a script without output",
    "silent = True\n",
    get("/script.py", body=""),
)

_cgi(
    "cgi-names",
    "library.md 5.6: what is no script",
    "print('Content-Type: text/plain\\n\\nran')\n",
    get("/script.cgi", find="ran"),
    get("/other.cgi", status=404),
    get("/nowhere.py", status=404),
    get("/", status=404),
    get("/script.py", find="ran"),
    files={"other.cgi": "print('Content-Type: text/plain\\n\\nran')\n"},
)

_cgi(
    "cgi-modules",
    "library.md 5.6: modules imported by a script are forgotten",
    """
    import cgi_modules_helper
    cgi_modules_helper.count += 1
    print("Content-Type: text/plain\\n")
    print(cgi_modules_helper.count)
    """,
    get("/script.py", body="1\n"),
    get("/script.py", body="1\n"),
    files={"cgi_modules_helper.py": "count = 0\n"},
)

_cgi(
    "cgi-exception",
    "library.md 5.6: an exception is a server error",
    "raise ValueError('on purpose')\n",
    get("/script.py", status=500),
    log="error",
)

_cgi(
    "cgi-bad-header",
    "apache_module.md 4.4: a header line without colon",
    "print('no colon here\\n\\nbody')\n",
    get("/script.py", status=500),
    log="error",
    replace=[("ValueError: .*", "ValueError")],
)

_cgi(
    "cgi-streams",
    "gotchas C8: the streams are right in every request",
    "print('Content-Type: text/plain\\n\\nbody')\n",
    *[get("/script.py", body="body\n") for _ in range(4)],
)

# -- repaired ------------------------------------------------------------------------------------

_cgi(
    "cgi-post",
    "gotchas C8: the body is on standard input",
    """
    import sys
    print("Content-Type: text/plain\\n")
    print(repr(sys.stdin.buffer.read(3)), repr(sys.stdin.readline()), repr(sys.stdin.read()))
    """,
    post(b"abcd\r\ne\xff", "/script.py", body="b'abc' 'd\\r\\n' 'e\\udcff'\n"),
)

_cgi(
    "cgi-exit",
    "gotchas C8: sys.exit ends the script",
    "import sys\nprint('Content-Type: text/plain\\n\\nbefore')\nsys.exit()\nprint('after')\n",
    get("/script.py", body="before\n"),
)

_cgi(
    "cgi-location",
    "a Location without Status is a redirection",
    "print('Location: http://example.org/\\n')\n",
    get("/script.py", status=302, expect={"Location": "http://example.org/"}),
)

_cgi(
    "cgi-cut-headers",
    "headers without the empty line after them",
    "print('Content-Type: text/plain')\n",
    get("/script.py", status=500),
    ours_log=("ended before the empty line", "Traceback", "cgihandler.py"),
)
