"""PythonAutoReload: changed modules are executed again, whole or not at all."""

import concurrent.futures
import os
import textwrap
import time

import pytest

from pyhttpd import Site, client
from pyhttpd.site import MTIME

pytestmark = [pytest.mark.every_python, pytest.mark.mpms("event", "prefork")]

HANDLER = """
    from mod_python import apache

    version = %r

    def handler(req):
        req.write(version)
        return apache.OK
"""


def directory(name, directives=""):
    return (
        f"<Directory @root@/htdocs/{name}>\n  SetHandler mod_python\n  PythonHandler r_{name}\n"
        f"  PythonInterpreter {name}\n  {directives}\n</Directory>\n"
    )


NAMES = (
    "plain state racy older broken failing names cookie deleted off dotted two self ext package"
).split()
SITE = Site(
    conf="".join(directory(name, "PythonAutoReload Off" if name == "off" else "") for name in NAMES)
    + """
    <Directory @root@/htdocs/dotted>
        PythonHandler r_dotted::Page.show
    </Directory>
    <Directory @root@/htdocs/two>
        PythonFixupHandler r_two::fixup
        PythonHandler r_two::handler
    </Directory>
    <Directory @root@/htdocs/package>
        PythonHandler r_package.inner
    </Directory>
    """,
    files={f"{name}/r_{name}.py": HANDLER % "one" for name in NAMES},
    threads=8,
)


class Source:
    """The source of one handler on a server; each version is newer than the one before."""

    def __init__(self, server, name, file=None):
        self.server = server
        self.url = f"/{name}/x"
        self.path = server.htdocs / name / (file or f"r_{name}.py")
        self.mtime = MTIME * 10**9
        self.connection = None

    def write(self, text, step=10**9):
        """A new version, `step` ns newer; in one step, as editors and deployments do it."""
        content = text if isinstance(text, bytes) else textwrap.dedent(text).encode("utf-8")
        aside = self.path.with_suffix(".new")
        aside.write_bytes(content)
        aside.chmod(0o644)
        self.mtime += step
        os.utime(aside, ns=(self.mtime, self.mtime))
        aside.rename(self.path)

    def get(self):
        # On one connection, that is of one child.
        if self.connection is None or not self.connection.open:
            self.connection = client.Connection(self.server.port)
        return self.connection.request(self.url)

    def wait_for(self, status=200, text=None):
        """Asks until this is the answer: changes are looked for once a second."""
        deadline = time.monotonic() + 60
        while True:
            answer = self.get()
            if answer.status == status and text in (None, answer.text):
                return answer
            assert time.monotonic() < deadline, (answer.status, answer.text, text)
            time.sleep(0.02)


@pytest.fixture
def source(server):
    made = []

    def make(name, file=None):
        made.append(Source(server, name, file))
        return made[-1]

    yield make
    for one in made:
        if one.connection is not None:
            one.connection.close()


@pytest.fixture(autouse=True)
def _only_ours(mod_python):
    if mod_python.name == "original":
        pytest.skip("the original does not reload")


def test_a_changed_module_is_executed_again(source):
    plain = source("plain")
    plain.wait_for(text="one")
    plain.write(HANDLER % "two")
    plain.wait_for(text="two")
    plain.write(HANDLER % "three")
    plain.wait_for(text="three")


def test_the_module_object_and_its_names_stay(source):
    text = """
        import sys
        from mod_python import apache

        version = %r
        module = sys.modules[__name__]
        try:
            loads += 1
        except NameError:
            loads = 1
            firsts = module

        def handler(req):
            req.write("%%s %%d %%s" %% (version, loads, firsts is sys.modules[__name__]))
            return apache.OK
    """
    state = source("state")
    state.write(text % "one" + "\n        gone = 1\n")
    state.wait_for(text="one 1 True")
    state.write(text % "two")
    state.wait_for(text="two 2 True")


def test_a_change_within_a_second_and_of_the_same_size(source, server):
    racy = source("racy")
    # Children may write byte code there.
    racy.path.parent.chmod(0o777)
    racy.wait_for(text="one")
    racy.write(HANDLER % "two", step=1000)
    racy.wait_for(text="two")
    # A new child does not take the byte code of the first version for this one's either.
    assert (racy.path.parent / "__pycache__").is_dir()
    server.restart()
    racy.connection = None
    assert racy.get().text == "two"


def test_an_older_file_is_a_change_too(source):
    older = source("older")
    older.wait_for(text="one")
    older.write(HANDLER % "two", step=-3600 * 10**9)
    older.wait_for(text="two")


def test_a_syntax_error_is_told_until_it_is_repaired(source, log):
    broken = source("broken")
    broken.wait_for(text="one")
    broken.write("def handler(req:\n")
    log.expect("PythonHandler r_broken")
    broken.wait_for(status=500)
    # At every request, not once a second with the old version in between.
    assert [broken.get().status for _ in range(5)] == [500] * 5
    broken.write(HANDLER % "two")
    broken.wait_for(text="two")


def test_a_module_that_fails_half_way_leaves_the_old_contents(source, log, mpm):
    if mpm == "prefork":
        pytest.skip("an error ends the connection, and another child saw no first version")
    # Seen by another module, and by a function that is called with the error still in the file.
    failing = source("failing")
    user = source("failing", "r_user.py")
    user.write("""
        import sys
        from mod_python import apache

        def handler(req):
            module = sys.modules["r_failing"]
            req.write("%s %s" % (module.version, hasattr(module, "more")))
            return apache.OK
    """)
    (user.path.parent / ".htaccess").write_text(
        "<Files user>\nPythonHandler r_user\n</Files>\n", encoding="ascii"
    )
    user.url = "/failing/user"
    failing.wait_for(text="one")
    assert user.get().text == "one False"
    failing.write("version = 'two'\nmore = 1\nraise ValueError('half way')\n")
    log.expect("PythonHandler r_failing")
    failing.wait_for(status=500)
    assert user.get().text == "one False"
    failing.write(HANDLER % "three")
    failing.wait_for(text="three")
    assert user.get().text == "three False"


def test_names_a_module_gives_itself(source):
    text = """
        import sys
        from mod_python import apache

        for name in ("alpha", "beta"):
            setattr(sys.modules[__name__], name, %r + name)

        def handler(req):
            req.write(alpha + beta)
            return apache.OK
    """
    names = source("names")
    names.write(text % "1")
    names.wait_for(text="1alpha1beta")
    names.write(text % "2")
    names.wait_for(text="2alpha2beta")


def test_the_encoding_of_the_source(source):
    cookie = source("cookie")
    text = "# -*- coding: latin-1 -*-\n" + textwrap.dedent(HANDLER % "\xe9%d")
    cookie.write((text % 1).encode("latin-1"))
    cookie.wait_for(text="\xe91")
    cookie.write((text % 2).encode("latin-1"))
    cookie.wait_for(text="\xe92")


def test_a_deleted_file(source):
    deleted = source("deleted")
    other = source("plain")
    deleted.wait_for(text="one")
    deleted.path.unlink()
    other.write(HANDLER % "later")
    other.wait_for(text="later")
    assert deleted.get().text == "one"
    deleted.write(HANDLER % "two")
    deleted.wait_for(text="two")


def test_switched_off(source):
    off, on = source("off"), source("plain")
    off.wait_for(text="one")
    on.connection = off.connection
    on.wait_for(status=200)
    off.write(HANDLER % "two")
    on.write(HANDLER % "two again")
    on.wait_for(text="two again")
    assert off.get().text == "one"


def test_a_method_of_a_class(source):
    text = """
        from mod_python import apache

        class Page:
            def __init__(self, req):
                self.req = req

            def show(self, req):
                req.write(%r)
                return apache.OK
    """
    dotted = source("dotted")
    dotted.write(text % "one")
    dotted.wait_for(text="one")
    dotted.write(text % "two")
    dotted.wait_for(text="two")


def test_a_module_in_a_package(source):
    init, inner = (
        source("package", "r_package/__init__.py"),
        source("package", "r_package/inner.py"),
    )
    init.path.parent.mkdir(mode=0o755)
    init.path.parent.chmod(0o755)
    init.write("")
    (init.path.parent.parent / "r_package.py").unlink()
    inner.write(HANDLER % "one")
    inner.wait_for(text="one")
    inner.write(HANDLER % "two")
    inner.wait_for(text="two")


def test_two_handlers_of_one_module_change_together(source):
    text = """
        from mod_python import apache

        version = %r
        calls = 0

        def fixup(req):
            global calls
            calls += 1
            req.calls = calls
            return apache.OK

        def handler(req):
            req.write("%%s %%d" %% (version, calls - req.calls))
            return apache.OK
    """
    two = source("two")
    two.write(text % "one")
    two.wait_for(text="one 0")
    two.write(text % "two")
    two.wait_for(text="two 0")


def test_a_module_that_imports_itself_again(source):
    text = """
        from mod_python import apache

        version = %r
        myself = apache.import_module(__name__)

        def handler(req):
            req.write("%%s %%s" %% (version, myself.version))
            return apache.OK
    """
    itself = source("self")
    itself.write(text % "one")
    itself.wait_for(text="one one")
    itself.write(text % "two")
    itself.wait_for(text="two two")


HALVES = """
    import time
    from mod_python import apache

    first = %(version)d
    table = {}
    time.sleep(0.05)
    for key in range(20):
        table[key] = %(version)d
        time.sleep(0.001)
    last = %(version)d

    def handler(req):
        seen = [first]
        # Lets go of the GIL, so that others may get ahead.
        time.sleep(0.002)
        seen += [table[19], last, %(version)d]
        req.write(" ".join(map(str, seen)))
        return apache.OK
"""
VERSIONS = 4


def test_reload_under_load_never_serves_half_a_module(make_server, watch, mpm):
    site = Site(
        conf=directory("halves"),
        files={"halves/r_halves.py": HALVES % {"version": 1}},
        threads=16,
        children=4 if mpm == "prefork" else 1,
    )
    with make_server(site) as server:
        watch(server)
        source = Source(server, "halves")
        source.mtime = time.time_ns()
        done = []

        def ask():
            seen = []
            while not done:
                answer = client.get(server.port, source.url)
                seen.append((answer.status, answer.text))
                if len(seen) > 2000:
                    break
            return seen

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            asking = [pool.submit(ask) for _ in range(8)]
            try:
                for version in range(1, VERSIONS + 1):
                    source.write(HALVES % {"version": version})
                    source.wait_for(text=" ".join([str(version)] * 4))
            finally:
                done.append(True)
            answers = [answer for one in asking for answer in one.result()]
        whole = {(200, " ".join([str(version)] * 4)) for version in range(1, VERSIONS + 1)}
        assert set(answers) <= whole


def test_the_first_import_under_load_is_waited_for(make_server, watch):
    # All requests of the start meet a module that is still being executed.
    text = """
        import os, time
        from mod_python import apache

        with open(%r, "a") as record:
            record.write("%%d " %% os.getpid())
        time.sleep(0.5)

        def handler(req):
            req.write("%%d" %% os.getpid())
            return apache.OK
    """
    server = make_server(Site(conf=directory("slow"), threads=16))
    record = server.root / "tmp/record"
    server.write("slow/r_slow.py", text % str(record))
    with server:
        watch(server)
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _: client.get(server.port, "/slow/"), range(12)))
        assert {answer.status for answer in answers} == {200}
        executed = record.read_text().split()
        assert sorted(executed) == sorted({answer.text for answer in answers})
