"""The modules that work outside httpd say the same as the original's, on thousands of inputs."""

import os
import subprocess
import textwrap

import pytest

from pyhttpd import ModPython
from pyhttpd.install import InstallError

pytestmark = pytest.mark.mpms("event")

PYTHON = "/usr/bin/python3"

SCRIPTS = {
    # Headers of every shape, most of them malformed.
    "parse": r"""
        import random
        from mod_python.Cookie import Cookie

        random.seed(1)
        UNITS = ["a", "b", "cc", "=", "=", ";", "; ", " ", '"', "\\", ",", "$", "x=y", "a=b; ",
                 'q="r s"; ', "path=/", "\t", "0", "\xe9", ':', "/", "'", "a b", '"\\""']
        for _ in range(10000):
            header = "".join(random.choices(UNITS, k=random.randrange(12)))
            found = Cookie.parse(header)
            print(repr(header), [(name, found[name].name, found[name].value)
                                 for name in sorted(found)])
            some = Cookie.parse(header, names=["a", "x"])
            print(sorted(some))
    """,
    "format": r"""
        import random
        from mod_python.Cookie import Cookie

        random.seed(2)
        VALUES = ["", "a", "/", "x y", '"q"', "a=b", 5, -1, 1.5, "\xe9", "a,b"]
        NAMES = ["a", "a-b", "n1", "$x"]
        KEYS = ["version", "path", "Domain", "comment", "port", "PATH", "samesite", "expires",
                "secure", "HttpOnly", "discard"]
        TIMES = [0, 1, 1e9, 4e9, "Thu, 01-Jan-1970 00:00:00 GMT", "x", "", "Thu, 1-Jan-1970"]
        for _ in range(5000):
            attributes = {}
            for key in random.sample(KEYS, random.randrange(5)):
                lower = key.lower()
                if lower not in [other.lower() for other in attributes]:
                    attributes[key] = (
                        random.choice(TIMES) if lower == "expires"
                        else random.choice(["Lax", "strict", "None"]) if lower == "samesite"
                        else True if lower in ("secure", "httponly", "discard")
                        else random.choice(VALUES))
            try:
                cookie = Cookie(random.choice(NAMES), random.choice(VALUES), **attributes)
                print(ascii(str(cookie)), ascii(repr(cookie)))
            except Exception as error:
                print(type(error).__name__, error)
    """,
    "httpdconf": r"""
        from mod_python import httpdconf
        from mod_python.httpdconf import *

        def show(thing):
            print(str(thing))
            print(repr(thing))

        SECTIONS = ("Directory", "Files", "IfModule", "Location", "VirtualHost")
        for name in sorted(vars(httpdconf)):
            cls = vars(httpdconf)[name]
            if not (isinstance(cls, type) and issubclass(cls, httpdconf.Directive)):
                continue
            if cls is httpdconf.Directive:
                show(cls("Own", "a/b"))
                show(cls("Own", r"a\b", flipslash=0))
            else:
                # The source form doubles a backslash before it flips it.
                print(str(cls(r"some\value with blanks")))
                show(cls("some/value with blanks"))
                show(cls('"quoted"'))
        for name in SECTIONS:
            cls = vars(httpdconf)[name]
            show(cls("a", SetHandler("x"), cls("b", PythonHandler("y")), Comment("c\nd")))
            show(cls("empty"))
        show(Container(Listen("80"), Directory("/x", Options("None")), only_if="1 < 2"))
        show(Container(Listen("80"), only_if="1 > 2"))
        show(Container())
        outer = Container(Comment("one"))
        outer.append(Location("/a", SetHandler("b")))
        show(outer)
        try:
            outer.append(5)
        except TypeError as error:
            print(error)
        for text in ("", "a", "a b", " "):
            print(quote_if_space(text))
    """,
    "cache": r"""
        import os, tempfile
        from mod_python import cache

        class Doubling(cache.Cache):
            def build(self, key, name, opened, entry):
                print("build", key, name, opened)
                return name * 2

        many = Doubling()
        print(many["a"], many["a"], many["b"])
        many["c"] = "given"
        print(many["c"])
        del many["a"]
        print(many["a"])
        small = Doubling(max_size=2)
        for name in "abacadab":
            print(name, small[name])
        many.clear()
        print(many["b"])

        calls = []
        @cache.FunctionCache
        def add(a, b=1):
            calls.append((a, b))
            return a + b
        print(add(1), add(1), add(1, 2), add(1, b=2), add(2), calls)

        class Failing(cache.Cache):
            def build(self, key, name, opened, entry):
                raise ValueError("cannot build " + name)
        for _ in range(2):
            try:
                Failing()["x"]
            except ValueError as error:
                print(error)

        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "file")
            with open(path, "w") as file:
                file.write("one")
            files = cache.FileCache()
            print(files[path])
            os.utime(path, (5, 5))
            with open(path, "w") as file:
                file.write("two")
            os.utime(path, (9, 9))
            print(files[path], files[path])
            with open(path, "w") as file:
                file.write("value = 5")
            modules = cache.ModuleCache()
            module = modules[path]
            print(module.value, modules[path] is module)

            class Keyed(cache.ModuleCache):
                def key(self, name):
                    return name[0]
            print(Keyed()[path, "a request, say"].__file__ == path)
            os.remove(path)
            try:
                cache.FileCache()[path]
            except Exception as error:
                print(type(error).__name__)
    """,
}


def said(script, package=None):
    """The lines that the script prints with the mod_python of that place."""
    done = subprocess.run(
        [PYTHON, "-c", textwrap.dedent(script)],
        env=dict(os.environ, PYTHONPATH=str(package or ""), PYTHONIOENCODING="utf-8"),
        capture_output=True,
        check=False,
        text=True,
        encoding="utf-8",
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def packages():
    """None, for the original on Python's own path, and the directory of ours."""
    try:
        ModPython.original()
        ours = ModPython.ours().package
    except InstallError as error:
        pytest.skip(str(error))
    version = "import mod_python; print(mod_python.version.version)"
    assert said(version)[0].startswith("3.5") and said(version, ours)[0].startswith("4")
    return None, ours


@pytest.mark.parametrize("name", SCRIPTS)
def test_outside_httpd(packages, name):
    original, ours = (said(SCRIPTS[name], package) for package in packages)
    assert len(original) > 20
    assert ours == original
