"""mod_python.publisher: what is published, with which arguments, and what is sent."""

import pytest

from pyhttpd import Site
from pyhttpd.site import write_file

PAGE = """
import asyncio
import enum
import functools
import os
import re
from os import getcwd
from typing import List, Optional


def index(req):
    return "index"


def form(req):
    return "%s %r" % (type(req.form).__name__, req.form.list)


def through(req):
    # Somebody else looks at req.form, as legacy code does.
    return peek(req)


def peek(req):
    return repr(req.form.getfirst("name"))


def greet(req, name, greeting="hello"):
    return "%s %r" % (greeting, name)


def only(a, /, b=2, *, c=3):
    return repr((a, b, c))


def anything(req, **fields):
    return repr(sorted(fields.items()))


def upload(req, file):
    return "%s %r" % (file.filename, file.file.read())


def typed(req, n: int, x: float = 0.5, flag: bool = False, names: List[str] = (),
          numbers: "list" = None, maybe: Optional[int] = 7, later: "int" = 1,
          unknown: "Nothing" = "u", raw: bytes = b""):
    return repr((n, x, flag, names, numbers, maybe, later, unknown, raw))


async def awaited(req, name="nobody"):
    await asyncio.sleep(0)
    return "awaited " + name


async def awaited_generator(req):
    yield "one "
    await asyncio.sleep(0)
    yield b"two"


def generator(req):
    yield "<!DOCTYPE html>"
    yield ""
    yield b" bytes "
    yield 5


def endless(req):
    try:
        while True:
            yield "more"
    finally:
        req.log_error("endless was closed", 5)


def surrogates(req):
    return req.unparsed_uri


def lines(req):
    return memoryview(b"a view")


def decorate(function):
    @functools.wraps(function)
    def wrapper(*args, **kw):
        return "<" + function(*args, **kw) + ">"
    return wrapper


@decorate
def decorated(req, name="nobody"):
    return name


@functools.lru_cache(maxsize=None)
def cached():
    return "cached"


class Instance:
    attribute = "attribute"
    nested = None

    def method(self, req, name="nobody"):
        return "method for " + name

    def __call__(self, req, name="nobody"):
        return "called for " + name

    @property
    def prop(self):
        return "property"

    @staticmethod
    def static(req):
        return "static"

    @classmethod
    def klass(cls, req):
        return cls.__name__

    class Inner:
        pass


class Slots:
    __slots__ = ("slot",)

    def __init__(self):
        self.slot = "slot"


class Listing(list):
    def own(self, req):
        return "own"


class Dynamic:
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return "dynamic " + name


class Boundless:
    def __getattr__(self, name):
        return "anything"


class Colour(enum.Enum):
    RED = 1


instance = Instance()
instance.nested = Instance()
slots = Slots()
listing = Listing("ab")
dynamic = Dynamic()
boundless = Boundless()
partial = functools.partial(greet, greeting="bound")
partial_class = functools.partial(Instance)
builtin = len
method_of_builtin = [].append
alias = list[int]
pattern = re.compile("x")
count = 0


def counts(req):
    global count
    count += 1
    return ""


def replaces(req):
    global replaced
    replaced = lambda req: "second"
    return ""


def replaced(req):
    return "first"


def raises(req):
    raise ValueError("on purpose")
"""

SITE = Site(
    conf="""
        <Directory @root@/htdocs>
            SetHandler mod_python
            PythonHandler mod_python.publisher
        </Directory>
        <Directory @root@/htdocs/local>
            PythonOption mod_python.publisher.only_local 1
        </Directory>
        <Directory @root@/htdocs/unclear>
            PythonOption mod_python.publisher.only_local perhaps
        </Directory>
        <Directory @root@/htdocs/fixed>
            PythonAutoReload Off
        </Directory>
        <Directory @root@/htdocs/debug>
            PythonDebug On
        </Directory>
        <Directory @root@/htdocs/early>
            PythonFixupHandler early
        </Directory>
    """,
    files={
        "index.py": PAGE,
        "local/index.py": """
            import os
            from textwrap import dedent, indent as aliased

            def own(req):
                return "own"

            value = "value"
            assigned = dedent
            (a, b), c = (1, 2), 3
            for looped in range(3):
                pass
            try:
                from json import dumps
            except ImportError:
                dumps = None
        """,
        "unclear/index.py": "def index(req): return 'index'\n",
        "fixed/index.py": "def index(req): return 'index'\n",
        "debug/index.py": "def index(req): return 'index'\ndef nothing(req): pass\n",
        "early/early.py": """
            from mod_python import apache, util
            def fixuphandler(req):
                req.form = util.FieldStorage(req)
                return apache.OK
        """,
        "early/index.py": """
            def index(req, name):
                return "%s %r" % (name, req.form.list)
        """,
        "broken.py": "def index(req) return 'x'\n",
        "fallback.py": "def index(req): return 'fallback'\n",
        "module.py": """
            def __getattr__(name):
                if name == "lazy":
                    return "lazy value"
                raise AttributeError(name)
        """,
    },
)
FORM = ("Content-Type", "application/x-www-form-urlencoded")

ANSWERS = {
    "/": "index",
    "/form": "FieldStorage []",
    "/form?name=a&name=": "FieldStorage [Field('name', 'a'), Field('name', '')]",
    "/through?name=a": "Field('name', 'a')",
    "/through": "None",
    "/greet?name=a": "hello 'a'",
    "/greet?name=a&name=b&greeting=hi": "hi ['a', 'b']",
    "/greet?name=a&name=b&name=c": "hello ['a', 'b', 'c']",
    "/greet?name=%E9": "hello '\ufffd'",
    "/greet?name=&other=x&req=5": "hello ''",
    "/only?a=1": "('1', 2, 3)",
    "/only?a=1&b=x&c=y": "('1', 'x', 3)",
    "/anything?a=1&a=2&req=5": "[('a', ['1', '2'])]",
    "/typed?n=5": "(5, 0.5, False, (), None, 7, 1, 'u', b'')",
    "/typed?n=-5&x=1e3&flag=Yes&names=a&numbers=1&maybe=&later=8&unknown=x&raw=%C3%A9": (
        r"(-5, 1000.0, True, ['a'], ['1'], None, 8, 'x', b'\xc3\xa9')"
    ),
    "/typed?n=5&flag=0&maybe=3&names=a&names=b": (
        "(5, 0.5, False, ['a', 'b'], None, 3, 1, 'u', b'')"
    ),
    "/awaited?name=a": "awaited a",
    "/awaited_generator": "one two",
    "/generator": "<!DOCTYPE html> bytes 5",
    "/lines": "a view",
    "/decorated?name=a": "<a>",
    "/cached": "cached",
    "/instance": "called for nobody",
    "/instance?name=a": "called for a",
    "/instance/method?name=a": "method for a",
    "/instance/nested/method": "method for nobody",
    "/instance/nested/attribute": "attribute",
    "/instance/prop": "property",
    "/instance/static": "static",
    "/instance/klass": "Instance",
    "/slots/slot": "slot",
    "/listing": "['a', 'b']",
    "/listing/own": "own",
    "/dynamic/anything": "dynamic anything",
    "/partial?name=a": "bound 'a'",
    "/partial?name=a&greeting=forged": "bound 'a'",
    "/pattern": "re.compile('x')",
    "/module/lazy": "lazy value",
}


@pytest.mark.parametrize("path", ANSWERS)
def test_published(get, path):
    for _ in range(2):  # the second request finds what the first left in the caches
        answer = get(path)
        assert (answer.status, answer.text) == (200, ANSWERS[path])


FORBIDDEN = [
    *("/os", "/os/getcwd", "/getcwd", "/builtin", "/method_of_builtin", "/Instance"),
    *("/Instance/method", "/Colour", "/Colour/RED", "/partial_class", "/alias", "/instance/Inner"),
    *("/instance/__class__", "/instance/method/__func__", "/form/__globals__", "/listing/append"),
    *("/listing/own/x", "/pattern/pattern", "/instance/attribute/upper", "/count/real", "/_x"),
    *("/dynamic/anything/upper", "/decorate/x", "/asyncio", "/cached/cache_clear"),
    *("/partial/func", "/instance/nested/Inner", "/enum/Enum", "/List", "/module/__getattr__"),
]


@pytest.mark.parametrize("path", FORBIDDEN)
def test_forbidden(get, log, path):
    for _ in range(2):
        assert get(path).status == 403
    assert len([line for line in log.messages("warn") if " because " in line]) == 2


@pytest.mark.parametrize("path", ["/nowhere", "/instance/nowhere", "/slots/nowhere", "/a/b/c"])
def test_not_found(get, path):
    assert get(path).status == 404


BAD_REQUESTS = {
    "/greet": "argument 'name' of greet is missing",
    "/greet?greeting=a": "argument 'name' of greet is missing",
    "/only": "argument 'a' of only is missing",
    "/typed": "argument 'n' of typed is missing",
    "/typed?n=": "argument 'n' of typed: '' is not a whole number",
    "/typed?n=5x": "argument 'n' of typed: '5x' is not a whole number",
    "/typed?n=1&n=2": "argument 'n' of typed: given more than once",
    "/typed?n=1&x=nan": "argument 'x' of typed: 'nan' is not a number",
    "/typed?n=1&flag=maybe": "argument 'flag' of typed: 'maybe' is neither true nor false",
    "/typed?n=1&maybe=x": "argument 'maybe' of typed: 'x' is not a whole number",
    "/typed?n=" + "9" * 5000: "is not a whole number",
}


@pytest.mark.parametrize("path", BAD_REQUESTS)
def test_bad_request(get, log, path):
    assert get(path).status == 400
    assert BAD_REQUESTS[path] in log.messages("warn")[0]


def test_arguments_from_bodies(fetch):
    answer = fetch("/greet?name=a", "POST", body=b"greeting=hi&name=b", headers=[FORM])
    assert answer.text == "hi ['a', 'b']"
    body = b"--B\r\nContent-Disposition: form-data; name=file; filename=a.txt\r\n\r\nx\r\n--B--"
    header = ("Content-Type", "multipart/form-data; boundary=B")
    assert fetch("/upload", "POST", body=body, headers=[header]).text == "a.txt b'x'"
    assert fetch("/greet", "POST", body=b"{}", headers=[("Content-Type", "a/b")]).status == 501


def test_form_of_an_earlier_phase(fetch):
    answer = fetch("/early/", "POST", body=b"name=a", headers=[FORM])
    assert answer.text == "a [Field('name', 'a')]"


def test_content_types(get):
    assert get("/generator").headers["Content-Type"] == "text/html"
    assert get("/awaited_generator").headers["Content-Type"] == "text/plain"


def test_generator_is_sent_as_it_comes(get):
    answer = get("/generator")
    assert answer.chunks[:-1] == [15, 7, 1] or answer.chunks == [15, 7, 1]


def test_an_object_that_has_every_attribute(get):
    # It has an __auth__ too, which cannot be told from a real one.
    assert get("/boundless/x").status == 401


def test_head_of_an_endless_generator(fetch, log):
    assert fetch("/endless", "HEAD").status == 200
    log.wait_for("endless was closed")


def test_client_that_leaves_a_generator(connect, log):
    log.expect("Write failed|Flush failed", "Traceback")
    log.expect("publisher.py")
    connection = connect()
    connection.send(b"GET /endless HTTP/1.0\r\n\r\n")
    connection.read_some(1000)
    connection.close()
    log.wait_for("endless was closed")


def test_bytes_in_the_url(get):
    assert get("/surrogates?%C3%A9%FF").body == b"/surrogates?%C3%A9%FF"


def test_exception(get, log):
    log.expect("ValueError: on purpose", "Traceback", "publisher.py", "in raises", "_arguments.py")
    assert get("/raises").status == 500


def test_values_are_read_at_each_request(connect):
    get = connect().request  # one connection: the same child under every MPM
    assert get("/count").text == "0"
    get("/counts")
    assert get("/count").text == "1"


def test_a_name_that_is_bound_anew(connect):
    get = connect().request
    assert get("/replaced").text == "first"
    get("/replaces")
    assert get("/replaced").text == "second"


def test_only_local(get):
    for name, value in (
        ("own", "own"),
        ("value", "value"),
        ("a", "1"),
        ("c", "3"),
        ("looped", "2"),
    ):
        assert get(f"/local/{name}").text == value
    for name in ("os", "dedent", "aliased", "dumps"):
        assert get(f"/local/{name}").status == 403
    # Assigned by the page itself: published, and called.
    assert get("/local/assigned?text=+x").text == "x"


def test_unclear_option(get, log):
    log.expect("ValueError: PythonOption mod_python.publisher.only_local must be 0 or 1")
    log.expect("Traceback", "publisher.py")
    assert get("/unclear/").status == 500


def test_debug_messages(get, server, log):
    path = f"{server.root}/htdocs/debug/index.py"
    get("/debug/")
    assert any(f"Publisher loading page {path}" in line for line in log.messages("notice"))
    log.expect("mod_python.publisher: nothing to publish.")
    get("/debug/nothing")


def change(server, name, content):
    """Writes a file anew; its time of change is the same, its size is not."""
    write_file(server.root / "htdocs" / name, content)


def test_reload(get, server):
    change(server, "changing.py", "def index(req): return 'one'\n")
    assert [get("/changing").text for _ in range(2)] == ["one", "one"]
    change(server, "changing.py", "def index(req): return 'second'\n")
    assert get("/changing").text == "second"
    change(server, "changing.py", "def other(req): return 'third time'\n")
    assert get("/changing").status == 404
    (server.root / "htdocs/changing.py").unlink()
    assert get("/changing").status == 404


def test_no_reload(connect, server):
    get = connect().request
    assert get("/fixed/").text == "index"
    change(server, "fixed/index.py", "def index(req): return 'changed'\n")
    assert get("/fixed/").text == "index"


def test_a_page_that_comes_later(get, server):
    change(server, "index.py", PAGE + "\ndef later(req): return 'function of index'\n")
    assert [get("/later").text for _ in range(2)] == ["function of index"] * 2
    change(server, "later.py", "def index(req): return 'page'\n")
    assert get("/later").text == "page"
    (server.root / "htdocs/later.py").unlink()
    assert get("/later").text == "function of index"


def test_a_page_that_does_not_compile(get, log):
    log.expect("SyntaxError", "Traceback", "publisher.py", "_pages.py", "broken.py", "def index")
    log.expect(r"\^\^")
    assert get("/broken").status == 500


def test_directory_called_like_a_page(get, server):
    (server.root / "htdocs/folder.py").mkdir()
    assert get("/folder").status == 404
