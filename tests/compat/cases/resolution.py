"""Which object a handler entry names: phases.md 2.3, directives.md 1.2 and 1.4."""

from compat.case import case, get

case(
    "hello",
    "phases.md 2.3: the default object is named after the directive",
    """
    def handler(req):
        req.content_type = "text/plain"
        req.write("hello")
        return apache.OK
    """,
    get(body="hello", expect={"Content-Type": "text/plain"}),
)

case(
    "named-object",
    "phases.md 2.3: module::object",
    """
    def handler(req):
        raise NameError("not this one")

    def other(req):
        req.write("other")
        return apache.OK
    """,
    get(body="other"),
    conf="SetHandler mod_python\nPythonHandler @mod@::other",
)

case(
    "python-program",
    "directives.md 1.14: the handler name python-program is an alias",
    """
    def handler(req):
        req.write(req.handler)
        return apache.OK
    """,
    get(body="python-program"),
    conf="SetHandler python-program\nPythonHandler @mod@",
)

case(
    "other-handler-name",
    "phases.md 2.1: PythonHandler is not run for other handler names",
    """
    def handler(req):
        req.write("python")
        return apache.OK
    """,
    get("/page.txt", body="static\n"),
    conf="PythonHandler @mod@",
    files={"page.txt": "static\n"},
)

case(
    "addhandler",
    "directives.md 1.14: AddHandler maps by extension, other files stay static",
    """
    def handler(req):
        req.write("python")
        return apache.OK
    """,
    get("/page.mp", body="python"),
    get("/page.txt", body="static\n"),
    conf="AddHandler mod_python .mp\nPythonHandler @mod@",
    files={"page.mp": "file\n", "page.txt": "static\n"},
)

case(
    "missing-module",
    "phases.md 2.6: a module that does not exist is a logged 500",
    None,
    get(status=500),
    conf="SetHandler mod_python\nPythonHandler @mod@_nowhere",
    log="error",
)

case(
    "missing-object",
    "phases.md 2.3 rule 4: a missing object names module file and object",
    """
    def other(req):
        return apache.OK
    """,
    get(status=500),
    log="error",
    log_ignore=[r"KeyError: ", r"During handling of the above exception"],
)

case(
    "missing-object-dotted",
    "phases.md 2.3 rule 5: a missing first component gives the same text",
    """
    def other(req):
        return apache.OK
    """,
    get(status=500),
    conf="SetHandler mod_python\nPythonHandler @mod@::nothing.at.all",
    log="error",
)

case(
    "missing-attribute-dotted",
    "phases.md 2.3 rule 5: later components give Python's own AttributeError",
    """
    class Holder:
        pass

    holder = Holder()
    """,
    get(status=500),
    conf="SetHandler mod_python\nPythonHandler @mod@::holder.nothing",
    log="error",
)

case(
    "object-not-callable",
    "phases.md 2.3 rule 7: calling something else is a TypeError",
    """
    handler = None
    """,
    get(status=500),
    log="error",
)

case(
    "dotted-instance",
    "phases.md 2.3 rule 5: object.attr walks with getattr",
    """
    class Site:
        class pages:
            pass

        def index(self, req):
            req.write("index of %s" % type(self).__name__)
            return apache.OK

    site = Site()
    """,
    get(body="index of Site"),
    conf="SetHandler mod_python\nPythonHandler @mod@::site.index",
)

_CLASSES = """
count = 0

class Page:
    def __init__(self, req):
        global count
        count += 1
        self.number = count
        self.req = req

    def show(self, req):
        req.write("show %d %s" % (self.number, self.req is req))
        return apache.OK

    @classmethod
    def of_class(cls, req):
        req.write("class %s %d" % (cls.__name__, count))
        return apache.OK

    @staticmethod
    def of_none(req):
        req.write("static %d" % count)
        return apache.OK

    @property
    def computed(self):
        def inner(req):
            req.write("property %d" % self.number)
            return apache.OK
        return inner

    class Inner:
        def __init__(self, req):
            self.req = req

        def show(self, req):
            req.write("inner %s %d" % (self.req is req, count))
            return apache.OK
"""

for _name, _object, _bodies in (
    ("method", "Page.show", ("show 1 True", "show 2 True")),
    ("classmethod", "Page.of_class", ("class Page 1", "class Page 2")),
    ("staticmethod", "Page.of_none", ("static 1", "static 2")),
    ("property", "Page.computed", ("property 1", "property 2")),
    ("nested", "Page.Inner.show", ("inner True 1", "inner True 2")),
):
    case(
        f"class-{_name}",
        "phases.md 2.3 rule 5: a class on the way is instantiated with req, anew each time",
        _CLASSES,
        *[get(body=body) for body in _bodies],
        conf=f"SetHandler mod_python\nPythonHandler @mod@::{_object}",
    )

case(
    "class-itself",
    "phases.md 2.3 rule 6: a plain class is called; its instance is no int",
    _CLASSES,
    get(status=500),
    conf="SetHandler mod_python\nPythonHandler @mod@::Page",
    log="error",
)

case(
    "callable-instance",
    "phases.md 2.3: any callable will do",
    """
    class Callable:
        def __call__(self, req):
            req.write("called")
            return apache.OK

    handler = Callable()
    """,
    get(body="called"),
)

case(
    "package-module",
    "phases.md 2.3: pkg.sub::f imports pkg.sub",
    None,
    get(body="sub of case_package_module_pkg.sub"),
    conf="SetHandler mod_python\nPythonHandler @mod@_pkg.sub::f",
    files={
        "@mod@_pkg/__init__.py": "",
        "@mod@_pkg/sub.py": """
            def f(req):
                req.write("sub of " + __name__)
                return 0
        """,
    },
)

case(
    "second-colons",
    "phases.md 2.3: the text is split at the first ::",
    """
    def handler(req):
        return apache.OK
    """,
    get(status=500),
    conf="SetHandler mod_python\nPythonHandler @mod@::a::b",
    log="error",
    log_ignore=[r"KeyError: ", r"During handling of the above exception"],
)

case(
    "suffix-list",
    "directives.md 1.2: a list for the extension is used instead of the plain list",
    """
    def handler(req):
        req.write("plain %r" % req.extension)
        return apache.OK

    def py(req):
        req.write("py %r" % req.extension)
        return apache.OK
    """,
    get("/x.py", body="py '.py'"),
    get("/x.pyx", body="py '.pyx'"),
    get("/x.txt", body="plain None"),
    get("/none", body="plain ''"),
    get("/a.b.py", body="plain None"),
    get("/x.PY", body="plain None"),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonHandler @mod@::py | .py .pyx
    """,
)

case(
    "suffix-two-dots",
    "directives.md 1.2: the extension begins at the first dot of the last part",
    """
    def handler(req):
        req.write("%r" % req.extension)
        return apache.OK
    """,
    get("/x.tar.gz", body="'.tar.gz'"),
    conf="SetHandler mod_python\nPythonHandler @mod@ | .tar.gz",
)

case(
    "suffix-only",
    "directives.md 1.2: with a suffix list alone, other files are not ours",
    """
    def handler(req):
        req.write("python")
        return apache.OK
    """,
    get("/x.py", body="python"),
    get("/page.txt", body="static\n"),
    conf="SetHandler mod_python\nPythonHandler @mod@ | .py",
    files={"page.txt": "static\n"},
)

case(
    "suffix-bar-alone",
    "directives.md 1.1: a bar with nothing after it restricts nothing",
    """
    def handler(req):
        req.write("python")
        return apache.OK
    """,
    get("/x.py", body="python"),
    conf="SetHandler mod_python\nPythonHandler @mod@ |",
)

case(
    "no-handler-argument",
    "directives.md 1.1: PythonHandler without argument adds no handler",
    None,
    get("/page.txt", body="static\n"),
    conf="SetHandler mod_python\nPythonHandler",
    files={"page.txt": "static\n"},
)

case(
    "quotes-are-raw",
    "directives.md 1.2: quotes are not interpreted in handler lists",
    None,
    get(status=500),
    conf='SetHandler mod_python\nPythonHandler "@mod@_a @mod@_b"',
    log="error",
)

case(
    "file-path-handler",
    "directives.md 1.2: a file-system path is not a module",
    """
    def handler(req):
        return apache.OK
    """,
    get(status=500),
    conf="SetHandler mod_python\nPythonHandler @dir@/@mod@.py::handler",
    log="error",
)

case(
    "sys-path-insert",
    "directives.md 1.4: the entry's directory goes to sys.path once, with its slash",
    """
    import sys

    def handler(req):
        mine = req.hlist.directory
        req.write("%r %d %d" % (mine, sys.path.index(mine) < 3, sys.path.count(mine)))
        return apache.OK
    """,
    get(body="'@root@/htdocs/sys-path-insert/' 1 1"),
    get(body="'@root@/htdocs/sys-path-insert/' 1 1"),
    vhost="",
)

case(
    "sys-path-subdirectory",
    "directives.md 1.2: the directory is that of the section, not that of the file",
    """
    def handler(req):
        req.write("%s %s" % (req.hlist.directory, req.filename))
        return apache.OK
    """,
    get(
        "/sub/x",
        body="@root@/htdocs/sys-path-subdirectory/ @root@/htdocs/sys-path-subdirectory/sub/x",
    ),
    files={"sub/x": ""},
)

case(
    "python-path",
    "directives.md 1.4: PythonPath is evaluated and turns the automatic insertion off",
    None,
    get(body="in lib False"),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@_lib
        PythonPath "sys.path + ['@dir@/lib']"
    """,
    files={
        "lib/@mod@_lib.py": """
            import sys

            def handler(req):
                req.write("in lib %s" % (req.hlist.directory in sys.path))
                return 0
        """
    },
    vhost="",
)

case(
    "python-path-once",
    "directives.md 1.4: the same text is evaluated once per interpreter, another one accumulates",
    """
    import sys

    def handler(req):
        req.write("%d %d" % (sys.path.count("/one"), sys.path.count("/two")))
        return apache.OK
    """,
    get("/a/x", body="1 0"),
    get("/a/x", body="1 0"),
    get("/b/x", body="1 1"),
    get("/a/x", body="1 1"),
    conf="SetHandler mod_python\nPythonHandler @mod@",
    sections="""
        <Directory @dir@/a>
            PythonPath "sys.path + ['@dir@', '/one']"
        </Directory>
        <Directory @dir@/b>
            PythonPath "sys.path + ['/two']"
        </Directory>
    """,
    files={"a/x": "", "b/x": ""},
    vhost="",
)

case(
    "python-path-bad",
    "directives.md 1.4: a text whose evaluation raises does so at every request",
    """
    def handler(req):
        return apache.OK
    """,
    get(status=500),
    get(status=500),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonPath "no_such_name + 1"
    """,
    vhost="",
    log="error",
)

case(
    "python-path-names",
    "directives.md 1.4: sys and os are visible to the expression",
    """
    import sys

    def handler(req):
        req.write("%r" % sys.path[-1])
        return apache.OK
    """,
    get(body="'@root@/htdocs'"),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonPath "sys.path + ['@dir@', os.path.dirname('@dir@')]"
    """,
    vhost="",
)

case(
    "suffix-dots",
    "objects.md 3.1.1: req.extension of names with odd dots",
    """
    def handler(req):
        req.write("%r plain" % req.extension)
        return apache.OK
    def dot(req):
        req.write("%r ." % req.extension)
        return apache.OK
    def y(req):
        req.write("%r .y." % req.extension)
        return apache.OK
    """,
    get("/a", body="'' plain"),
    get("/a.", body="'' plain"),
    get("/a..", body="'' plain"),
    get("/.a", body="None plain"),
    get("/a.y.", body="'.y.' .y."),
    get("/a.y..", body="None plain"),
    get("/.a.", body="None plain"),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonHandler @mod@::dot | .
        PythonHandler @mod@::y | .y.
    """,
)

case(
    "same-name-in-two-directories",
    "apache_module.md 4.5: two directories with a module of one name",
    None,
    get("/one/x", body="one"),
    get("/two/x", body="two"),
    get("/one/x", body="one"),
    conf="",
    sections="".join(
        f"""
        <Directory @dir@/{name}>
            SetHandler mod_python
            PythonHandler @mod@_same
        </Directory>
        """
        for name in ("one", "two")
    ),
    files={
        f"{name}/@mod@_same.py": f"def handler(req):\n    req.write('{name}')\n    return 0\n"
        for name in ("one", "two")
    },
)
