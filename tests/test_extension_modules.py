"""Extension modules in C that do not take several interpreters: refused clearly, or working."""

import json
import subprocess
import sysconfig

import pytest

from pyhttpd import Site, client
from pyhttpd.install import REPOSITORY
from pyhttpd.python import ask

pytestmark = pytest.mark.every_python

KINDS = {
    "single": "SINGLE_PHASE",
    "multi": "MULTI_PHASE",
    "refusing": "REFUSING",
    "first": "FIRST_ONLY",
}

HANDLER = """
    import json, sys, threading
    from mod_python import apache

    def handler(req):
        module = __import__("extension_" + req.args)
        # What C code keeps must not hold on to this interpreter, so it is a string.
        count = module.keep("kept")
        req.write(json.dumps({
            "interpreter": req.interpreter, "sys": id(sys), "count": count, "look": module.look(),
        }))
        return apache.OK

    def ensure(req):
        module = __import__("extension_" + req.args)
        req.write("%d" % sum(module.ensure() for _ in range(3)))
        return apache.OK

    def database(req):
        # sqlite3 asks PyGILState where it calls a function, and where it forgets one.
        import sqlite3
        def here():
            import sys
            return id(sys)
        for _ in range(3):
            connection = sqlite3.connect(":memory:")
            connection.create_function("here", 0, here)
            found = connection.execute("SELECT here()").fetchone()[0]
            connection.close()
            req.write("%s " % (found == id(sys)))
        return apache.OK
"""
NAMES = ("main_interpreter", "a", "b")
PATH = "PythonPath \"['@root@/htdocs'] + sys.path\"\n"
SECTIONS = PATH + "".join(
    f"<Location /{name}>\nSetHandler mod_python\nPythonHandler extended\n"
    f"PythonInterpreter {name}\n</Location>\n"
    f"<Location /{name}/ensure>\nPythonHandler extended::ensure\n</Location>\n"
    f"<Location /{name}/database>\nPythonHandler extended::database\n</Location>\n"
    for name in NAMES
)
HOSTS = PATH + "".join(
    f"<VirtualHost *:@port@>\nServerName {name}\n<Location /x>\nSetHandler mod_python\n"
    "PythonHandler extended\n</Location>\n<Location /ensure>\nSetHandler mod_python\n"
    "PythonHandler extended::ensure\n</Location>\n</VirtualHost>\n"
    for name in ("a.test", "b.test")
)


@pytest.fixture(scope="module")
def extensions(tmp_path_factory, mod_python):
    """File name and content of each kind, compiled for the Python under test."""
    if mod_python.name == "original":
        pytest.skip("about ours only")
    python = mod_python.python or "/usr/bin/python3"
    directory = tmp_path_factory.mktemp("extensions")
    include = ask(python, "sysconfig.get_paths()['include']")
    suffix = ask(python, "sysconfig.get_config_var('EXT_SUFFIX')")
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    files = {}
    for kind, macro in KINDS.items():
        name = f"extension_{kind}"
        built = directory / (name + suffix)
        done = subprocess.run(
            [
                compiler, "-shared", "-fPIC", f"-I{include}", f"-DMODULE={name}", f"-D{macro}",
                "-o", str(built), str(REPOSITORY / "tests/c/refusing.c"),
            ],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        files[name + suffix] = built.read_bytes()
    return files


@pytest.fixture
def server(make_server, watch, extensions, mpm):
    if mpm != "event":
        pytest.skip("none of it depends on the MPM")

    def start(conf):
        server = make_server(Site(conf=conf, files={"extended.py": HANDLER, **extensions}))
        server.start()
        server.watched = watch(server)
        return server

    return start


def told(server, path, host="localhost"):
    answer = client.get(server.port, path, host=host)
    assert answer.status == 200, answer.text
    return json.loads(answer.text)


def test_a_refusal_names_the_cures(server):
    server = server(SECTIONS)
    log = server.watched
    log.expect(
        "ImportError: module extension_refusing does not support loading in subinterpreters",
        "MP0106: .*'a', one of its own. Say `PythonInterpreter main_interpreter` where the handler "
        "is configured, or `PythonInterpPerServer Off` for the whole server.",
    )
    log.allow("^error: PythonHandler extended: ")
    for _ in range(2):
        assert client.get(server.port, "/a?refusing").status == 500
        # The first cure.
        assert told(server, "/main_interpreter?refusing")["look"] == "kept"


def test_a_refusal_in_the_main_interpreter(server):
    server = server(SECTIONS)
    log = server.watched
    log.expect(
        "one interpreter per process", "MP0106: .*another than the main one .* loaded it first"
    )
    log.allow("^error: PythonHandler extended: ")
    assert told(server, "/a?first")["look"] == "kept"
    assert client.get(server.port, "/main_interpreter?first").status == 500


def test_the_cure_for_a_whole_server(server):
    first = server(HOSTS)
    log = first.watched
    log.expect("MP0106: .*'a.test'")
    log.allow("^error: PythonHandler extended: ")
    assert client.get(first.port, "/x?refusing", host="a.test").status == 500
    second = server("PythonInterpPerServer Off\n" + HOSTS)
    answers = [told(second, "/x?refusing", host) for host in ("a.test", "b.test", "a.test")]
    assert [answer["count"] for answer in answers] == [1, 2, 3]
    assert len({answer["sys"] for answer in answers}) == 1
    # Extensions that use PyGILState work there too.
    assert client.get(second.port, "/ensure?single", host="b.test").text == "3"


def test_pygilstate_in_every_interpreter(server):
    """What asks PyGILState finds the interpreter it is in; of a thread that serves several, too."""
    server = server(SECTIONS)
    for name in NAMES * 4 + NAMES[::-1] * 4:
        assert client.get(server.port, f"/{name}/ensure?multi").text == "3"
        assert client.get(server.port, f"/{name}/database").text == "True True True "


@pytest.mark.parametrize("order", [NAMES, NAMES[::-1]], ids=["main first", "main last"])
def test_modules_that_do_not_refuse(order, server):
    """As CPython has it in interpreters made like the original's: loaded, sharing C's state."""
    server = server(SECTIONS)
    for kind in ("single", "multi"):
        answers = [told(server, f"/{name}?{kind}") for name in order * 3]
        assert [answer["count"] for answer in answers] == list(range(1, 10))
        assert [answer["interpreter"] for answer in answers] == list(order) * 3
        assert len({answer["sys"] for answer in answers}) == 3
