"""Interpreters: which name an event has, which CPython interpreter it stands for, and isolation."""

import json

import pytest

from pyhttpd import Connection, Site, client

pytestmark = pytest.mark.every_python

# Says where it runs: `sys` tells the interpreters of one child apart.
WHERE = """
    import json, os, sys, threading
    from mod_python import apache

    def where(req):
        return {"req": req.interpreter, "apache": apache.interpreter, "pid": os.getpid(),
                "interpreter": id(sys), "thread": threading.get_ident(), "phase": req.phase}

    def handler(req):
        req.content_type = "application/json"
        req.write(json.dumps(where(req)))
        return apache.OK
"""


def section(name, directives, directory="@root@/htdocs"):
    return (
        f"<Directory {directory}/{name}>\n  SetHandler mod_python\n  PythonHandler where\n"
        f"  {directives}\n</Directory>\n"
    )


NAMED = "".join(
    section(name, f"PythonInterpreter {interpreter}")
    for name, interpreter in (
        ("main", "main_interpreter"),
        ("a", "a"),
        ("also-a", "a"),
        ("b", "b"),
    )
) + section("server", "")
FILES = {
    f"{name}/where.py": WHERE for name in ("main", "a", "also-a", "b", "server", "per", "per/sub")
}
FILTERED = """
<Directory @root@/htdocs/outer>
    PythonInterpPerDirective On
    PythonOutputFilter cleaned CLEANED
    SetOutputFilter CLEANED
    SetHandler mod_python
</Directory>
<Directory @root@/htdocs/outer/inner>
    PythonHandler where
</Directory>
"""
CLEANED = """
    from mod_python import apache

    ran = []

    def outputfilter(filter):
        headers = filter.req.headers_out
        if "X-Interpreter" not in headers:
            headers["X-Interpreter"] = apache.interpreter
            headers["X-Ran"] = " ".join(ran)
            filter.req.register_cleanup(lambda data: ran.append(apache.interpreter))
        data = filter.read()
        while data:
            filter.write(data)
            data = filter.read()
        if data is None:
            filter.close()
"""
SITE = Site(
    conf=NAMED
    + section("per", "PythonInterpPerDirectory On")
    + section("directive", "PythonInterpPerDirective On")
    + FILTERED,
    files={
        **FILES,
        "directive/where.py": WHERE,
        "directive/sub/x": "",
        "outer/cleaned.py": CLEANED,
        "outer/inner/where.py": WHERE,
    },
)


def ask(connection, path, host="localhost"):
    """What one child tells: others have interpreters of their own."""
    answer = connection.request(path, host=host)
    assert answer.status == 200, answer.text
    return json.loads(answer.text)


def test_names_are_told(server, connect):
    connection = connect()
    for path, name in (
        ("/main/", "main_interpreter"),
        ("/a/", "a"),
        ("/also-a/", "a"),
        ("/b/", "b"),
        ("/server/", "localhost"),
        ("/per/x", f"{server.htdocs}/per/"),
        ("/per/sub/x", f"{server.htdocs}/per/sub/"),
        ("/directive/sub/x", f"{server.htdocs}/directive/"),
    ):
        found = ask(connection, path)
        assert (found["req"], found["apache"]) == (name, name)


def test_named_interpreters_are_isolated(connect):
    connection = connect()
    # In both orders: a thread that served a named interpreter first must not take its thread state
    # for the main interpreter's.
    found = [
        ask(connection, path) for path in ("/a/", "/main/", "/b/", "/also-a/", "/main/", "/server/")
    ]
    a, main, b, also_a, main_again, of_server = (one["interpreter"] for one in found)
    assert len({a, main, b}) == 3
    assert also_a == a
    assert main_again == main
    # The one server there is: its name stands for the main interpreter.
    assert of_server == main


def test_a_thread_may_serve_a_named_interpreter_first(make_server, watch):
    # PythonImport makes the interpreter on another thread, so the worker meets it without having
    # met the main one. CPython binds a thread to its first thread state: it must be the main one's.
    with make_server(Site(conf=NAMED + "PythonImport json a\n", files=FILES, threads=1)) as server:
        watch(server).allow("AH00484")
        # New connections: httpd may close those it has kept where all threads, this one, are busy.
        # Only under prefork another child may answer.
        found = []
        while not found or len({one["pid"] for one in found}) > 1:
            found = []
            for path in ("/a/", "/main/", "/a/"):
                with Connection(server.port) as connection:
                    found.append(ask(connection, path))
        a, main, again = (one["interpreter"] for one in found)
        assert a != main
        assert again == a


def vhost(name, inside="", port="@port@"):
    return (
        f"<VirtualHost *:{port}>\n  ServerName {name}\n  DocumentRoot @root@/htdocs\n"
        f"{inside}</VirtualHost>\n"
    )


HANDLERS = section("server", "")
PER_SERVER = {
    # (configuration, ServerNames of the main interpreter, other names, what the start-up line says)
    "no virtual hosts": (HANDLERS, {"localhost"}, set(), "localhost"),
    "one of two": (
        vhost("a.test", HANDLERS) + vhost("b.test"),
        {"a.test"},
        set(),
        "main_interpreter, a.test; with an interpreter of their own: none",
    ),
    "two of two": (
        vhost("a.test", HANDLERS) + vhost("b.test", HANDLERS),
        set(),
        {"a.test", "b.test"},
        "main_interpreter; with an interpreter of their own: a.test, b.test",
    ),
    # What concerns the process or only prepares is no reason for another interpreter.
    "options outside": (
        "PythonOption x y\nPythonDebug Off\nPythonOptimize Off\n"
        + vhost("a.test", HANDLERS)
        + vhost("b.test"),
        {"a.test"},
        set(),
        "main_interpreter, a.test; with",
    ),
    "directives outside, one virtual host": (
        HANDLERS + vhost("a.test"),
        {"a.test"},
        set(),
        "main_interpreter, a.test; with",
    ),
    "directives outside, two virtual hosts": (
        HANDLERS + vhost("a.test") + vhost("b.test"),
        set(),
        {"a.test", "b.test"},
        "with an interpreter of their own: a.test, b.test",
    ),
    "directives outside, main server reached": (
        HANDLERS + vhost("a.test", port="1"),
        set(),
        {"localhost"},
        "with an interpreter of their own: a.test, localhost",
    ),
    "same name twice": (
        vhost("a.test", HANDLERS) + vhost("a.test", HANDLERS),
        {"a.test"},
        set(),
        "main_interpreter, a.test; with",
    ),
    "On": (
        "PythonInterpPerServer On\n" + vhost("a.test", HANDLERS),
        set(),
        {"a.test"},
        "On; the main interpreter serves main_interpreter; with",
    ),
    "Off": (
        "PythonInterpPerServer Off\n" + vhost("a.test", HANDLERS) + vhost("b.test", HANDLERS),
        {"a.test", "b.test"},
        set(),
        "Off; the main interpreter serves main_interpreter, a.test, b.test",
    ),
    "explicit names": (
        vhost("a.test", HANDLERS + section("a", "PythonInterpreter mine")),
        {"a.test"},
        set(),
        "main_interpreter, a.test; with an interpreter of their own: mine",
    ),
}


@pytest.mark.parametrize("which", PER_SERVER)
def test_interpreters_per_server(which, make_server, watch):
    conf, of_main, own, said = PER_SERVER[which]
    files = {
        **FILES,
        "main/.htaccess": "PythonInterpreter main_interpreter\nSetHandler mod_python\n"
        "PythonHandler where\n",
    }
    with make_server(Site(conf=conf, files=files)) as server:
        watch(server)
        server.log.wait_for("mod_python: PythonInterpPerServer .*" + said)
        with Connection(server.port) as connection:
            main = ask(connection, "/main/", "a.test")["interpreter"]
            seen = {main}
            for name in sorted(of_main | own):
                found = ask(connection, "/server/", name)
                assert (found["req"], found["apache"]) == (name, name)
                if name in of_main:
                    assert found["interpreter"] == main
                else:
                    assert found["interpreter"] not in seen
                    seen.add(found["interpreter"])


def test_htaccess_of_another_host_is_apart(make_server, watch):
    # The configuration has Python for a.test only; b.test brings its own in an .htaccess file.
    files = {
        **FILES,
        "b/.htaccess": "SetHandler mod_python\nPythonHandler where\n",
    }
    conf = vhost("a.test", HANDLERS) + vhost("b.test")
    with make_server(Site(conf=conf, files=files)) as server:
        watch(server)
        with Connection(server.port) as connection:
            a, b = ask(connection, "/server/", "a.test"), ask(connection, "/b/", "b.test")
        assert (a["req"], b["req"]) == ("a.test", "b.test")
        assert a["interpreter"] != b["interpreter"]


def test_only_one_value_for_the_process(make_server):
    for conf, said in (
        ("PythonInterpPerServer Maybe\n", "Auto, On or Off"),
        (vhost("a.test", "PythonInterpPerServer On\n"), "concerns the whole process"),
    ):
        checked = make_server(Site(conf=conf)).configtest()
        assert checked.returncode != 0
        assert said in checked.stdout


LOCAL = """
    import os
    import threading
    from mod_python import apache

    local = threading.local()

    def early(req):
        local.phases = getattr(local, "phases", 0) + 1
        req.early = (threading.get_ident(), local.phases)
        return apache.OK

    def handler(req):
        # The same thread, and what it noted in an earlier phase of this request.
        assert req.early == (threading.get_ident(), local.phases)
        req.write("%d:%d %d %d" % (
            os.getpid(), threading.get_ident(), local.phases, threading.active_count()))
        return apache.OK
"""


def test_threads_keep_their_state(make_server, watch):
    """threading.local survives from phase to phase and request to request, in each interpreter."""
    names = ("main_interpreter", "one", "two")
    conf = "".join(
        f"<Location /{name}>\nSetHandler mod_python\nPythonHandler local_handler\n"
        "PythonFixupHandler local_handler::early\n"
        f"PythonInterpreter {name}\n</Location>\n"
        for name in names
    )
    conf += "PythonPath \"['@root@/htdocs'] + sys.path\"\n"
    site = Site(conf=conf, files={"local_handler.py": LOCAL}, threads=3)
    with make_server(site) as server:
        watch(server)
        seen = {}
        for _ in range(8):
            for name in names:
                answer = client.get(server.port, f"/{name}")
                assert answer.status == 200, answer.text
                thread, phases, known = answer.text.split()
                seen.setdefault((name, thread), []).append(int(phases))
                # No thread is counted twice.
                assert int(known) <= 4
        # Each thread counts on, in each interpreter for itself.
        for counts in seen.values():
            assert counts == list(range(1, len(counts) + 1))
        assert max(len(counts) for counts in seen.values()) > 1


def test_a_cleanup_runs_in_the_interpreter_that_registered_it(server, connect):
    """Also where a filter has another interpreter than the handler."""
    connection = connect()
    for ran in ("", f"{server.htdocs}/outer/"):
        answer = connection.request("/outer/inner/")
        assert json.loads(answer.text)["apache"] == f"{server.htdocs}/outer/inner/"
        assert answer.headers["X-Interpreter"] == f"{server.htdocs}/outer/"
        assert answer.headers["X-Ran"] == ran
