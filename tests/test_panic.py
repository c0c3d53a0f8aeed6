"""A panic in any callback is a log line and that callback's failure; the child lives on.

The panics are made on demand by a debug build (src/httpd/guard.rs, `fault`).
"""

import dataclasses
import os
import shutil
import subprocess

import pytest

from pyhttpd import Connection, ModPython, Site, client
from pyhttpd.install import REPOSITORY

CONF = """
    PythonPath "sys.path + ['@root@/htdocs/all']"
    PythonPostReadRequestHandler all_phases
    PythonTransHandler all_phases
    <Directory @root@/htdocs/all>
        Options +Includes
        AddOutputFilter INCLUDES .shtml
        AddHandler mod_python .mp
        PythonHandler all_phases
        PythonAccessHandler all_phases
        PythonTypeHandler all_phases
        PythonFixupHandler all_phases
        PythonLogHandler all_phases
        PythonCleanupHandler all_phases
        PythonHeaderParserHandler all_phases
        PythonOutputFilter all_phases PANIC_OUT
        PythonInputFilter all_phases PANIC_IN
        <Files filtered.mp>
            SetOutputFilter PANIC_OUT
            SetInputFilter PANIC_IN
        </Files>
    </Directory>
    <Directory @root@/htdocs/all/own>
        PythonInterpreter own
        SetHandler mod_python
    </Directory>
    <Directory @root@/htdocs/all/auth>
        AuthType Mine
        AuthName here
        Require valid-user
        PythonAuthenHandler all_phases
        PythonAuthzHandler all_phases
    </Directory>
"""
HANDLERS = """
    import os
    from mod_python import apache

    def ok(req):
        return apache.OK

    def declined(req):
        return apache.DECLINED

    accesshandler = fixuphandler = loghandler = cleanuphandler = headerparserhandler = ok
    postreadrequesthandler = ok
    typehandler = transhandler = declined

    def authenhandler(req):
        req.user = "me"
        return apache.OK

    authzhandler = ok

    def handler(req):
        req.read()
        req.write("pid %d" % os.getpid())
        return apache.OK

    def outputfilter(filter):
        filter.pass_on()

    inputfilter = outputfilter
"""
FILES = {
    "all/all_phases.py": HANDLERS,
    "all/page.mp": "",
    "all/filtered.mp": "",
    "all/auth/page.mp": "",
    "all/own/page.mp": "",
    "all/page.shtml": "pid <!--#python eval=\"__import__('os').getpid()\" -->",
    "all/ht/.htaccess": "PythonOption a b\n",
    "all/ht/page.mp": "",
}
SITE = Site(conf=CONF, files=FILES, env={"MOD_PYTHON_PANIC_FILE": "@root@/tmp/panic"})


@pytest.fixture(scope="module")
def mod_python(request):
    """A debug build: the module under test if it is one, else one made for the purpose."""
    if request.config.getoption("--only-original"):
        pytest.skip("about ours only")
    ours = ModPython.ours()
    if b"MOD_PYTHON_PANIC_FILE" in ours.shared_object.read_bytes():
        return ours
    cargo = os.environ.get("CARGO") or shutil.which("cargo")
    if not cargo:
        pytest.skip("cargo is needed for a debug build")
    environment = {"PYO3_PYTHON": "/usr/bin/python3", **os.environ}
    subprocess.run([cargo, "build", "--locked"], cwd=REPOSITORY, env=environment, check=True)
    target = REPOSITORY / os.environ.get("CARGO_TARGET_DIR", "target")
    return ModPython("ours", target / "debug/libmod_python.so", ours.package)


def ask_for_panic(server, place):
    """Whole from the first moment: the end of a request before may already look for it."""
    path = server.root / "tmp/panic"
    aside = path.with_name("aside")
    aside.write_text(place)
    aside.chmod(0o666)
    aside.rename(path)
    return path


def panic_line(place):
    return rf"crit: MP0001: panic in {place}: .*a test asked for this one"


@pytest.mark.parametrize(
    ("place", "callback", "path"),
    [
        ("post_read_request", None, "/all/page.mp"),
        ("translate_name", None, "/all/page.mp"),
        ("header_parser", None, "/all/page.mp"),
        ("access_checker", None, "/all/page.mp"),
        ("check_user_id", None, "/all/auth/page.mp"),
        ("auth_checker", None, "/all/auth/page.mp"),
        ("type_checker", None, "/all/page.mp"),
        ("fixups", None, "/all/page.mp"),
        ("handler", None, "/all/page.mp"),
        # inside Python, with the GIL held
        ("dispatch", "post_read_request", "/all/page.mp"),
    ],
)
def test_panic_is_a_500(place, callback, path, server, connect, log):
    first = connect()
    before = first.request(path, headers=[("Connection", "close")])
    assert before.status == 200, before.text
    # The end of the connection comes after the log phase, which could meet the panic too.
    assert first.sock.recv(1) == b""
    # One connection, so that the same child answers in every MPM.
    connection = connect()
    left = ask_for_panic(server, place)
    log.expect(panic_line(callback or place))
    answer = connection.request(path)
    assert answer.status == 500
    assert not left.exists(), f"no callback named {place}"
    if not connection.open:
        connection = connect()
    after = connection.request(path)
    assert after.status == 200
    assert after.text.startswith("pid ")


@pytest.mark.parametrize("place", ["log_transaction", "request cleanup", "connection cleanup"])
def test_panic_after_the_answer(place, server, get, log):
    assert get("/all/page.mp").status == 200
    left = ask_for_panic(server, place)
    log.expect(panic_line(place))
    assert get("/all/page.mp").status == 200
    log.wait_for(panic_line(place))
    assert not left.exists()
    assert get("/all/page.mp").status == 200


@pytest.mark.parametrize("place", ["output filter", "input filter"])
def test_panic_in_a_filter(place, server, fetch, log):
    assert fetch("/all/filtered.mp", "POST", body=b"x").status == 200
    ask_for_panic(server, place)
    log.expect(panic_line(place))
    answer = fetch("/all/filtered.mp", "POST", body=b"x")
    assert answer.status in (0, 400, 500)
    log.allow("OSError|Traceback|File |AH")
    server.log.wait_for(panic_line(place), log.start)
    assert fetch("/all/filtered.mp", "POST", body=b"x").status == 200


def test_panic_in_an_ssi_tag(server, get, log):
    assert get("/all/page.shtml").text.startswith("pid ")
    ask_for_panic(server, "SSI tag")
    log.expect(panic_line("SSI tag"))
    answer = get("/all/page.shtml")
    assert answer.status == 200
    assert "error occurred" in answer.text
    assert "error" not in get("/all/page.shtml").text


def test_panic_while_an_interpreter_is_made(server, connect, log):
    """Its name is given back: whoever comes next makes it, instead of waiting for ever."""
    connection = connect()
    left = ask_for_panic(server, "make interpreter")
    log.expect(panic_line("header_parser"))
    assert connection.request("/all/own/page.mp").status == 500
    assert not left.exists()
    if not connection.open:
        connection = connect()
    assert connection.request("/all/own/page.mp").status == 200


@pytest.mark.parametrize("place", ["create_dir_config", "merge_dir_config"])
def test_panic_while_an_htaccess_file_is_read(place, server, get, log):
    assert get("/all/ht/page.mp").status == 200
    left = ask_for_panic(server, place)
    log.expect(panic_line(place))
    log.expect("internal error, see the error log|configuration_lost_by_MP0001")
    log.allow("Traceback|  File ")
    assert get("/all/ht/page.mp").status == 500
    assert not left.exists(), f"no callback named {place}"
    assert get("/all/ht/page.mp").status == 200


def test_panic_in_a_connection_handler(make_server, watch):
    handler = """
        from mod_python import apache

        def connectionhandler(conn):
            return apache.DECLINED
    """
    site = Site(
        conf="PythonPath \"sys.path + ['@root@/htdocs']\"\nPythonConnectionHandler conn",
        files={"conn.py": handler},
        env=SITE.env,
    )
    with make_server(site) as server:
        log = watch(server)
        assert client.get(server.port, "/up.txt").status == 200
        ask_for_panic(server, "process_connection")
        log.expect(panic_line("process_connection"))
        with Connection(server.port) as connection:
            connection.send(client.compose("/up.txt"))
            assert connection.read_response().broken
        assert client.get(server.port, "/up.txt").status == 200


def test_panic_while_a_child_starts(make_server):
    # Without the handlers that concern every request of the server.
    conf = CONF.replace("PythonPostReadRequestHandler all_phases", "")
    conf = conf.replace("PythonTransHandler all_phases", "")
    server = make_server(dataclasses.replace(SITE, conf=conf))
    ask_for_panic(server, "child_init")
    server.start()
    server.log.wait_for(panic_line("child_init"))
    # Python does not run in that child; httpd does.
    assert client.get(server.port, "/up.txt").status == 200
    assert server.lost_children() == set()
    server.stop()
