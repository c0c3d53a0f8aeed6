"""mod_python.publisher: library.md 5.5."""

from compat.case import Request, case, get, head, post

_CONF = "SetHandler mod_python\nPythonHandler mod_python.publisher"

_PAGE = """
import enum
import os
from os import getcwd


def index(req):
    return "index page"


def hello(req, name="nobody"):
    return "hello %s" % name


def no_req():
    return "no req"


def need(req, name, other):
    return "%s %s" % (name, other)


def many(req, **fields):
    return repr(sorted(fields))


def html(req):
    return "<html><body>caf\\u00e9</body></HTML >  \\n"


def typed(req):
    req.content_type = "text/x-own"
    return "own </html>"


def writes(req):
    req.write("written")


def nothing(req):
    return None


def empty(req):
    return ""


def other(req):
    return hello


def gone(req):
    req.status = 404
    return "gone"


def uses_form(req):
    return "%s %r" % (type(req.form).__name__, req.form.getfirst("name"))


def raises(req):
    from mod_python import apache
    raise apache.SERVER_RETURN(apache.HTTP_CONFLICT)


class Plain:
    attribute = 5

    def method(self, req):
        return "method"

    def _private(self):
        return "private"

    def __call__(self, req, name="nobody"):
        return "called for %s" % name


class Colour(enum.Enum):
    RED = 1


instance = Plain()
instance.text = "a text"
number = 42
text = "some text"
items = [1, 2]
mapping = {"a": 1}
data = b"some bytes"
_hidden = "hidden"


def generator(req):
    yield "one "
    yield "two"
"""

_FILES = {
    "index.py": _PAGE,
    "page.py": "def index(req): return 'page index'\ndef hello(req): return 'page hello'\n",
    "dotted.name.py": "def index(req): return 'dotted index'\n",
    "deep/index.py": "def index(req): return 'deep index'\ndef below(req): return 'deep below'\n",
    "state.py": "import itertools\n_c = itertools.count()\ndef index(req): return str(next(_c))\n",
    "where.py": "def index(req): return '%s %s' % (__name__, __file__)\n",
    "plain.html": "<p>a file</p>\n",
}


def _text(path, body, **options):
    return get(path, body=body, expect={"Content-Type": "text/plain"}, **options)


def _publisher(id, about, *requests, files=None, conf=_CONF, **options):
    return case(id, about, None, *requests, files=files or _FILES, conf=conf, **options)


_publisher(
    "publisher-urls",
    "library.md 5.5.1: from the URL to the page and the object",
    _text("/", "index page"),
    _text("/hello", "hello nobody"),
    _text("/hello/", "hello nobody"),
    _text("/index", "index page"),
    _text("/index.py", "index page"),
    _text("/index/hello", "hello nobody"),
    _text("/index.py/hello", "hello nobody"),
    _text("/page", "page index"),
    _text("/page/", "page index"),
    _text("/page.py", "page index"),
    _text("/page/hello", "page hello"),
    _text("/page.py/hello", "page hello"),
    _text("/dotted.name", "dotted index"),
    _text("/dotted.name.py", "dotted index"),
    _text("/deep/", "deep index"),
    _text("/deep/below", "deep below"),
    get("/deep", status=301),
    get("/page.txt", status=404),
    get("/nowhere", status=404),
    get("/page/nowhere", status=404),
    get("/nowhere.py", status=404),
    _text("/instance/method", "method"),
    _text("/instance.method", "method"),
)

_publisher(
    "publisher-objects",
    "library.md 5.5.2: what is traversed and published",
    _text("/number", "42"),
    _text("/text", "some text"),
    _text("/items", "[1, 2]"),
    _text("/mapping", "{'a': 1}"),
    _text("/instance", "called for nobody"),
    _text("/instance?name=somebody", "called for somebody"),
    _text("/instance/attribute", "5"),
    _text("/instance/text", "a text"),
    get("/instance/nowhere", status=404),
    get("/instance/_private", status=403),
    get("/_hidden", status=403),
    get("/__name__", status=403),
    get("/Plain", status=403),
    get("/Plain/method", status=403),
    get("/os", status=403),
    get("/os/getcwd", status=403),
    get("/getcwd", status=403),
    get("/hello/__globals__", status=403),
    get("/hello/func_name", status=403),
    get("/instance/method/im_func", status=403),
    get("/index/os", status=403),
)

_publisher(
    "publisher-results",
    "library.md 5.5.4: what happens with results",
    _text("/no_req", "no req"),
    get("/html", find="^<html><body>caf\u00e9<", expect={"Content-Type": "text/html"}),
    get("/typed", body="own </html>", expect={"Content-Type": "text/x-own"}),
    get("/writes", body="written"),
    get("/nothing", body=""),
    get("/empty", body=""),
    _text("/other?name=somebody", "hello somebody"),
    get("/gone", status=404, body="gone"),
    get("/raises", status=409),
    _text("/uses_form?name=somebody", "FieldStorage Field('name', 'somebody')"),
    _text("/uses_form", "FieldStorage None"),
    head("/hello", body=b"", expect={"Content-Type": "text/plain"}),
)

_publisher(
    "publisher-arguments",
    "library.md 5.5.4: form fields become arguments",
    _text("/hello?name=somebody", "hello somebody"),
    _text("/hello?name=somebody&unknown=more", "hello somebody"),
    _text("/hello?name=", "hello "),
    _text("/hello?name=one&name=two", "hello ['one', 'two']"),
    _text("/need?name=first&other=second", "first second"),
    _text("/many?longer=first&other=second", "['longer', 'other']"),
)

_publisher(
    "publisher-methods",
    "library.md 5.5.1: GET, POST and HEAD only",
    Request("/hello", "PUT", payload=b"x", status=405),
    Request("/hello", "DELETE", status=405),
    Request("/hello", "OPTIONS", status=405),
    post(b"", "/hello", headers=[("Content-Type", "a/b")], status=501),
    post(b"", "/hello", headers=[("Content-Type", "application/x-www-form-urlencoded")]),
)

_publisher(
    "publisher-page",
    "library.md 5.5.1: a page keeps its state; its name is made of its path",
    _text("/state", "0"),
    _text("/state", "1"),
    get("/where", find=r"^\w+_publisher_page_where_py \S+/publisher-page/where\.py$"),
    replace=[(r"_tmp_httpd_\w+_htdocs", "_tmp_httpd_htdocs")],
)

_publisher(
    "publisher-refusal-log",
    "library.md 5.5.2: refusals are logged as warnings",
    get("/_hidden", status=403),
    get("/os", status=403),
    get("/hello/func", status=403),
    log="warn",
)

_publisher(
    "publisher-debug-log",
    "library.md 5.5.1 and 5.5.4: what PythonDebug adds",
    get("/page", body="page index"),
    get("/nothing", body=""),
    conf=_CONF + "\nPythonDebug On",
    log="notice",
    ours_log=(),
)

_publisher(
    "publisher-suffix",
    "library.md 5.5.1: a suffix of the handler may be left out or given",
    _text("/page.html", "page index"),
    _text("/page.html/hello", "page hello"),
    _text("/hello.html", "hello nobody"),
    conf="SetHandler mod_python\nPythonHandler mod_python.publisher | .html",
)

_publisher(
    "publisher-addhandler",
    "library.md 5.5.1: a suffix of AddHandler may be left out or given",
    _text("/page.own", "page index"),
    _text("/page.py", "page index"),
    get("/plain.html", body="<p>a file</p>\n"),
    conf="AddHandler mod_python .py .own\nPythonHandler mod_python.publisher",
)

_GUARDED = """
__auth_realm__ = "Members"


def __auth__(req, user, passwd):
    return user == "eggs" and passwd == "spam"


def __access__(req, user):
    return user == "eggs"


def index(req):
    return "members"
"""

_publisher(
    "publisher-auth-challenge",
    "library.md 5.5.3: guards of a page without credentials",
    get(status=401, expect={"WWW-Authenticate": 'Basic realm="Members"'}),
    get("/index", status=401, expect={"WWW-Authenticate": 'Basic realm="Members"'}),
    files={"index.py": _GUARDED},
)

_publisher(
    "publisher-access-challenge",
    "library.md 5.5.3: __access__ alone is asked with user None",
    get(status=403),
    get("/open", body="open"),
    files={
        "index.py": """
            def index(req):
                def __access__(req, user):
                    return user == "eggs"
                return "members"

            def open(req):
                def __access__(req, user):
                    return user is None
                return "open"
        """
    },
)

# -- repaired ------------------------------------------------------------------------------------

_publisher(
    "publisher-auth-password",
    "gotchas C10: credentials are decoded and judged",
    get(auth=("eggs", "spam"), body="members"),
    get(auth=("eggs", "wrong"), status=401),
    get(headers=[("Authorization", "Basic !")], status=400),
    files={"index.py": _GUARDED},
)

_publisher(
    "publisher-auth-dict",
    "gotchas C10: __auth__ as a dict",
    get(auth=("eggs", "spam"), body="members"),
    get(auth=("eggs", "wrong"), status=401),
    get(auth=("nobody", "spam"), status=401),
    files={
        "index.py": """
            __auth__ = {"eggs": "spam"}
            __access__ = ["eggs"]

            def index(req):
                return "members"
        """
    },
)

_publisher(
    "publisher-auth-position",
    "gotchas C10: nested guards are found by name",
    get(auth=("eggs", "spam"), body="members"),
    get(auth=("eggs", "wrong"), status=401),
    files={
        "index.py": """
            def index(req):
                answer = "members"
                def helper():
                    return True
                def __auth__(req, user, passwd):
                    return passwd == "spam"
                __auth_realm__ = "Members"
                return answer
        """
    },
)

_publisher(
    "publisher-builtin-inside",
    "gotchas C26: built-in types have no inside",
    get("/number/real", status=403),
    get("/instance/attribute/real", status=403),
)

_publisher(
    "publisher-metaclass",
    "gotchas C26: classes with a metaclass are classes",
    get("/Colour", status=403),
    get("/Colour/RED", status=403),
)

_publisher("publisher-bytes", "gotchas C27: bytes", _text("/data", "some bytes"))

_publisher(
    "publisher-generator", "a generator is sent item by item", _text("/generator", "one two")
)

_publisher(
    "publisher-missing-argument",
    "gotchas G: arguments missing",
    get("/need?name=first", status=400),
)

_publisher(
    "publisher-post-argument",
    "gotchas C3: fields of a urlencoded body become arguments",
    post(
        b"name=somebody",
        "/hello",
        headers=[("Content-Type", "application/x-www-form-urlencoded")],
        body="hello somebody",
    ),
)
