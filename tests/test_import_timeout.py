"""PythonRequestTimeout and what a request imports: a module that hangs takes nobody with it."""

import concurrent.futures
import os
import threading
import time

import pytest

from pyhttpd import Site, client

pytestmark = pytest.mark.every_python
SOAK = bool(os.environ.get("MOD_PYTHON_SOAK"))


@pytest.fixture(autouse=True)
def only_event(mpm):
    if mpm != "event" and not SOAK:
        pytest.skip("does not depend on the MPM, but for the number of threads")


# Hangs until somebody makes the file.
HANGS = """
    import os
    while not os.path.exists("@root@/tmp/go-%s"):
        pass
"""
HANDLER = """
    from mod_python import apache

    def handler(req):
        req.write("imported")
        return apache.OK

    def outputfilter(fltr):
        text = fltr.read()
        while text:
            fltr.write(text)
            text = fltr.read()
        if text is None:
            fltr.write("filtered")
            fltr.close()

    def check_password(req, user, password):
        return True

    def application(environ, start_response):
        start_response("200 OK", [])
        return [b"imported"]

    class Page:
        def __init__(self, req):
            self.req = req
        def handler(self, req):
            req.write("imported")
            return apache.OK
"""
# In C until somebody opens the pipe's other end.
SLEEPS = """
    import os
    if not os.path.exists("@root@/tmp/go-slept"):
        open("@root@/tmp/go-slept", "w").close()
        open("@root@/tmp/pipe").close()
"""
PLAIN = HANDLER.replace("imported", "plain")


def dedent(*parts):
    import textwrap

    return "".join(textwrap.dedent(part) for part in parts)


def place(name, *lines, handler=None):
    own = ["SetHandler mod_python", f"PythonHandler {handler}"] if handler else []
    return "\n".join([f"<Location /{name}>", *own, *lines, "</Location>"])


LIMIT = "PythonRequestTimeout 0.1 0.2"
SITE = Site(
    conf="\n".join(
        [
            "PythonPath \"sys.path + ['@root@/htdocs']\"",
            LIMIT,
            place("plain", handler="plain"),
            place("module", handler="hanging_module"),
            place("sub", "PythonInterpreter other", handler="hanging_sub"),
            place("package", handler="package.hanging"),
            place("imports", handler="importer"),
            place("method", handler="hanging_method::Page.handler"),
            place("many", handler="hanging_many"),
            place("crowd", "PythonRequestTimeout 0.1 60", handler="hanging_crowd"),
            place("slept", handler="sleeping"),
            place("parts", handler="parts"),
            place("reloaded", handler="reloaded"),
            place(
                "wsgi",
                "PythonOption mod_python.wsgi.application hanging_wsgi",
                handler="mod_python.wsgi",
            ),
            place("filter", "SetOutputFilter HANG", handler="plain"),
            "PythonOutputFilter hanging_filter HANG",
            place(
                "auth",
                "AuthType Basic",
                "AuthName x",
                "AuthBasicProvider python",
                "PythonAuthnProvider hanging_auth",
                "Require valid-user",
                handler="plain",
            ),
            "<Directory @root@/htdocs/publish>\nSetHandler mod_python",
            "PythonHandler mod_python.publisher\n</Directory>",
            "<Directory @root@/htdocs/psp>\nSetHandler mod_python",
            "PythonHandler mod_python.psp\n</Directory>",
            "<Directory @root@/htdocs/ssi>\nOptions +Includes",
            "SetOutputFilter INCLUDES\n</Directory>",
        ]
    ),
    files={
        "plain.py": PLAIN,
        **{
            f"hanging_{name}.py": dedent(HANGS % name, HANDLER)
            for name in ("module", "sub", "method", "many", "crowd", "wsgi", "filter", "auth")
        },
        "package/__init__.py": "",
        "package/hanging.py": dedent(HANGS % "package", HANDLER),
        # As asyncio does it: that the submodule was imported makes it a name of the package.
        "parts/__init__.py": dedent(
            "from .one import *\n", HANGS % "parts", "assert one.x == 1\n", HANDLER
        ),
        "parts/one.py": "x = 1\n",
        "importer.py": dedent("import json\nimport hanging_imported\n", HANDLER),
        "hanging_imported.py": HANGS % "imports",
        "sleeping.py": dedent(SLEEPS, HANDLER),
        "reloaded.py": HANDLER,
        "publish/index.py": dedent(HANGS % "publish", "def index():\n    return 'imported'\n"),
        "psp/page.psp": dedent("<%\nimport hanging_psp\n%>imported\n"),
        "hanging_psp.py": HANGS % "psp",
        "ssi/page.html": '<!--#python exec="import hanging_ssi" -->imported\n',
        "hanging_ssi.py": HANGS % "ssi",
    },
)
OVER = r"MP0701: GET \S+, \S+ \S+: over PythonRequestTimeout after \d+\.\d s"
TRACEBACK = r"(RequestTimeout: the handler has run longer|Traceback|File \"|^error: \S+ \S+:)"


@pytest.fixture(autouse=True)
def slowness(log):
    # A busy machine may leave no time for what is to be done within the grace.
    log.allow("MP0703: GET")


def let_go(server, name):
    (server.root / f"tmp/go-{name}").touch()


def soon(ask, wanted, refusals=(504,)):
    """Asks until `wanted` is the text of the answer.

    So short a limit may be over for any request where the machine is busy: that is no failure.
    """
    deadline = time.monotonic() + 60
    while (answer := ask()).text.strip() != wanted:
        assert answer.status in refusals, (answer.status, answer.text)
        assert time.monotonic() < deadline, answer.text
    assert answer.status == 200


@pytest.mark.parametrize(
    "path",
    [
        "module",
        "sub",
        "package",
        "parts",
        "imports",
        "method",
        "wsgi",
        "publish/index",
        "psp/page.psp",
    ],
)
def test_hanging_import_ends(get, server, log, path):
    log.expect(OVER, TRACEBACK)
    name = path.partition("/")[0]
    for _ in range(2):
        answer = get("/" + path)
        assert answer.status == 504, answer.text
    log.wait_for(r'MP0702:   File "\S+", line \d+ in <module>')
    soon(lambda: get("/plain"), "plain")
    let_go(server, name)
    soon(lambda: get("/" + path), "imported")


def test_filter(get, server, log):
    log.expect(OVER, TRACEBACK)
    log.allow("goes on after RequestTimeout")  # in the handler, whose output it filters
    assert get("/filter").status == 504
    let_go(server, "filter")
    soon(lambda: get("/filter"), "plainfiltered")


def test_access_control(get, server, log):
    """httpd has one answer for a provider that fails."""
    log.expect(OVER, TRACEBACK)
    headers = [("Authorization", "Basic eDp5")]
    assert get("/auth", headers=headers).status == 500
    let_go(server, "auth")
    soon(lambda: get("/auth", headers=headers), "plain", (500, 504))


def test_include(get, server, log):
    """The page has mod_include's words in the place of the tag."""
    log.expect(OVER, TRACEBACK)
    answer = get("/ssi/page.html")
    assert "[an error occurred while processing this directive]" in answer.text
    assert answer.text.endswith("imported\n")
    let_go(server, "ssi")
    soon(lambda: get("/ssi/page.html"), "imported", (200, 504))


def test_import_that_sleeps(get, server, log):
    """The exception comes when C code returns."""
    log.expect(OVER, TRACEBACK)
    pipe = server.root / "tmp/pipe"
    os.mkfifo(pipe)
    pipe.chmod(0o666)
    deadline = time.monotonic() + 60

    def is_stuck():
        said = "MP0703: GET /slept, PythonHandler sleeping: is stuck in C code"
        return not answer.done() and any(said in str(line) for line in server.log.lines(mark))

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        while True:
            mark = server.log.mark()
            answer = pool.submit(get, "/slept")
            while not is_stuck() and not answer.done():
                time.sleep(0.01)
            if is_stuck():
                break
            # Its time was over before it came there.
            assert answer.result().status == 504
            assert time.monotonic() < deadline, "it is never stuck"
            (server.root / "tmp/go-slept").unlink(missing_ok=True)
        opened = os.open(pipe, os.O_RDWR)
        assert answer.result().status == 504
        os.close(opened)
    soon(lambda: get("/slept"), "imported")


def together(server, count, path):
    """The answers to so many requests at the same time."""
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(client.get(server.port, path)))
        for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == count
    return [(answer.status, answer.text) for answer in answers]


def all_soon(server, count, path):
    """Until so many requests at the same time are all answered in time, as in `soon`."""
    deadline = time.monotonic() + 60
    good = (200, "imported")
    while (answers := together(server, count, path)) != [good] * count:
        assert all(answer == good or answer[0] == 504 for answer in answers), answers
        assert time.monotonic() < deadline, answers


def test_others_that_wait_for_the_import(server, log, mpm):
    """Each imports when it is its turn: nobody is left behind with a lock that its owner forgot."""
    if mpm == "prefork":
        pytest.skip("one thread a child")
    log.expect(OVER, TRACEBACK)
    log.allow("MP0703: GET /many, .* waits where it must not be interrupted")
    for _ in range(10 if SOAK else 1):
        statuses = [status for status, _ in together(server, 5, "/many")]
        assert statuses == [504] * 5
    let_go(server, "many")
    all_soon(server, 6, "/many")


def test_waiting_for_an_import_is_no_crime(server, log, mpm):
    """Those who wait for it get it, however long that took."""
    if mpm == "prefork":
        pytest.skip("one thread a child")
    log.allow(OVER, TRACEBACK)
    timer = threading.Timer(0.1, let_go, (server, "crowd"))
    timer.start()
    statuses = {status for status, _ in together(server, 6, "/crowd")}
    timer.join()
    assert statuses <= {200, 504}
    all_soon(server, 6, "/crowd")


def test_hanging_reload(get, server, log):
    """The old module serves until the new one is whole."""
    log.expect(OVER, TRACEBACK)
    soon(lambda: get("/reloaded"), "imported")
    old = server.htdocs / "reloaded.py"
    new = old.with_suffix(".new")
    text = dedent(HANGS % "reloaded", HANDLER.replace("imported", "new"))
    new.write_text(server.substitute(text))
    new.chmod(0o644)
    new.replace(old)
    deadline = time.monotonic() + 120
    seen = set()
    while 504 not in seen:
        answer = get("/reloaded")
        seen.add(answer.status)
        assert answer.status == 504 or answer.text == "imported"
        assert time.monotonic() < deadline, seen
    let_go(server, "reloaded")
    while answer.text != "new":
        answer = get("/reloaded")
        assert answer.status == 504 or answer.text in ("imported", "new")
        assert time.monotonic() < deadline, answer.text
