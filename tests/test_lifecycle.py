"""The life of a server: graceful-stop, replaced children, log rotation, a full disk."""

import json
import os
import pathlib
import signal
import socket
import time

import pytest
from test_recycle import alive, wait_for

from pyhttpd import Connection, Httpd, Site, client
from pyhttpd.load import Load
from pyhttpd.server import StartError

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
SOAK = bool(os.environ.get("MOD_PYTHON_SOAK"))
HANDLERS = """
    import os
    import sys
    import time
    from mod_python import apache

    def handler(req):
        return globals()[req.uri.rpartition("/")[2]](req)

    def hangs(req):
        req.write("begun")
        req.flush()
        time.sleep(600)
        return apache.OK

    def loops(req):
        req.write("begun")
        req.flush()
        while True:
            pass

    def pid(req):
        req.write(str(os.getpid()))
        return apache.OK

    def logs(req):
        sys.stderr.write("by stderr %s\\n" % req.args)
        sys.__stderr__.write("past us %s\\n" % req.args)
        sys.__stderr__.flush()
        apache.log_error("by apache %s" % req.args, apache.APLOG_ERR)
        req.log_error("by req %s" % req.args)
        return apache.OK
"""
CONF = """
    <Location /py>
        SetHandler mod_python
        PythonHandler handlers
        PythonPath "sys.path + ['@root@/htdocs']"
    </Location>
"""


def site(*lines, **options):
    return Site(
        conf="\n".join([*lines, CONF]), files={"handlers.py": HANDLERS, "py": ""}, **options
    )


@pytest.fixture
def only_event(mpm):
    if mpm != "event":
        pytest.skip("the MPM does not matter")


@pytest.fixture(scope="module")
def mod_plain(tmp_path_factory):
    return Httpd.find().build(REPOSITORY / "tests/c/mod_plain.c", tmp_path_factory.mktemp("plain"))


def begun(server, path):
    """A connection with a request in its handler; under a time limit the first may be too late."""
    deadline = time.monotonic() + 60
    while True:
        connection = Connection(server.port)
        connection.send(client.compose(path))
        line = connection.read_some(15)
        if line == b"HTTP/1.1 200 OK":
            return connection
        connection.close()
        assert b" 504 " in line and time.monotonic() < deadline, line


def graceful_stop(server, path):
    """The seconds until a server has ended that was asked to while a handler hangs."""
    with server:
        with begun(server, path):
            children = server.children()
            os.kill(server.process.pid, signal.SIGWINCH)
            began = time.monotonic()
            # httpd sends SIGTERM, and SIGKILL after some seconds to those that do not listen.
            assert server.process.wait(120) == 0
            took = time.monotonic() - began
        # Under prefork httpd sends SIGTERM to the last ones and does not wait for their end.
        wait_for(lambda: not any(alive(pid) for pid in children), 60)
        with pytest.raises(OSError):
            server.socket()
    return took


def test_graceful_stop_ends_though_a_handler_hangs(make_server, mpm):
    """What `apachectl graceful-stop` does; a handler may hang longer than httpd is told to wait."""
    if mpm != "prefork" and not SOAK:
        pytest.skip("httpd takes ten seconds more before it kills a child with threads")
    graceful_stop(make_server(site("GracefulShutdownTimeout 1")), "/py/hangs")


def test_graceful_stop_takes_no_longer_than_for_a_c_module(make_server, mod_plain, mpm):
    """Nor does a handler in a loop take longer, whatever it does with the GIL."""
    if not SOAK:
        pytest.skip("takes a minute")
    lines = (
        "GracefulShutdownTimeout 1",
        f"LoadModule plain_module {mod_plain}",
        "<Location /plain>\nSetHandler plain-hangs\n</Location>",
    )
    paths = ["/plain", "/py/hangs", "/py/loops"]
    took = {path: graceful_stop(make_server(site(*lines)), path) for path in paths}
    print(f"\ngraceful-stop under {mpm}:", {path: round(took[path], 1) for path in paths})
    # On a busy machine; httpd's own steps are of four seconds.
    assert all(took[path] < took["/plain"] + 3 for path in paths), took


def test_graceful_stop_with_a_time_limit(make_server, watch, mpm):
    """A handler over its time ends, and with it the wait for it."""
    if mpm != "event" and not SOAK:
        pytest.skip("the MPM does not matter")
    limits = ("GracefulShutdownTimeout 60", "PythonRequestTimeout 0.3 1")
    server = make_server(site(*limits))
    log = watch(server)
    log.allow("MP0701", "MP0703", "RequestTimeout", "Traceback", 'File "')
    log.deaths_expected = True
    assert graceful_stop(server, "/py/loops") < 50


def test_max_connections_per_child_loses_none(make_server, watch):
    limits = site(
        "MaxConnectionsPerChild 20", children=2, threads=4, log_level="notice core:trace5"
    )
    with make_server(limits) as server:
        log = watch(server)
        log.deaths_expected = True
        seen = set()

        def accept(answer):
            seen.add(answer.text)
            return answer.status == 200 and answer.text.isdigit()

        with Load(server.port, "/py/pid", accept, clients=4, per_connection=3) as load:
            # Under prefork four may serve at once: the fifth takes the place of one that has ended.
            wait_for(lambda: (len(seen) > 4 and load.answers >= 40) or load.failures, 120)
        assert load.failures_of(server.log) == []


def test_log_rotation(make_server, only_event):
    """The log is renamed and httpd restarted gracefully, as logrotate does it."""
    with make_server(site()) as server:
        old = server.log.path.with_suffix(".1")

        def ask(word):
            assert client.get(server.port, f"/py/logs?{word}").status == 200, server.said()
            return [f"by stderr {word}", f"past us {word}", f"by apache {word}", f"by req {word}"]

        before = ask("before")
        server.log.path.rename(old)
        # The same file still, for everybody, until the restart.
        renamed = ask("renamed")
        assert not server.log.path.exists()
        server.graceful()
        after = ask("after")
        server.log.wait_for(after[-1])
        first, second = old.read_text(), server.log.path.read_text()
        assert [text for text in before + renamed if text not in first] == []
        assert [text for text in after if text not in second] == []
        assert "after" not in first


def test_log_to_a_program(make_server, only_event):
    program = Httpd.find().binary.parent.parent / "bin/rotatelogs"
    if not program.exists():
        pytest.skip("there is no rotatelogs")
    target = f'ErrorLog "|{program} @root@/logs/piped.log 86400"'
    with make_server(site(target)) as server:
        path = server.root / "logs/piped.log"

        def said():
            return "".join(part.read_text() for part in path.parent.glob("piped.log*"))

        for word in ("one", "two"):
            assert client.get(server.port, f"/py/logs?{word}").status == 200, server.said()
            wanted = [f"{what} {word}" for what in ("by stderr", "past us", "by apache", "by req")]
            wait_for(lambda wanted=wanted: all(text in said() for text in wanted))
            if word == "one":
                old = server.children()
                os.kill(server.process.pid, signal.SIGUSR1)
                wait_for(lambda: said().count("resuming normal operations") == 2, 60)
                # Their program ends, and what they write after that is lost.
                server.wait_until_replaced(old)


FULL = """
    import json
    import resource
    from mod_python import Session, apache, util

    def limit(size):
        # As on a full disk: a write beyond it fails, here with EFBIG. (httpd ignores SIGXFSZ.)
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard if size is None else size, hard))

    def session(req):
        s = Session.Session(req)
        if req.args:
            s["text"] = req.args[:1] * int(req.args[1:])
            limit(None if req.args[0] == "k" else 1000)
            try:
                s.save()
            finally:
                limit(None)
        req.write(json.dumps([s.id(), s.get("text", "")]))
        return apache.OK

    def upload(req):
        limit(100000)
        try:
            form = util.FieldStorage(req)
        finally:
            limit(None)
        req.write(str(len(form["file"].file.read())))
        return apache.OK

    def handler(req):
        return globals()[req.uri.rpartition("/")[2]](req)
"""
FULL_CONF = """
    ErrorLog "|$/bin/cat >>@root@/logs/error.log"
    <Location /full>
        SetHandler mod_python
        PythonHandler full
        PythonPath "sys.path + ['@root@/htdocs']"
        PythonOption mod_python.session.session_type FileSession
        PythonOption mod_python.session.database_directory @root@/tmp
        PythonOption mod_python.session.application_path /
    </Location>
"""


def upload(port, size):
    body = (
        b"--x\r\nContent-Disposition: form-data; name=file; filename=big.bin\r\n\r\n"
        + b"b" * size
        + b"\r\n--x--\r\n"
    )
    headers = [("Content-Type", "multipart/form-data; boundary=x")]
    return client.request(port, "/full/upload", "POST", headers=headers, body=body)


def test_full_disk(make_server, watch, only_event):
    env = {"TMPDIR": "@root@/tmp"}
    full = Site(conf=FULL_CONF, files={"full.py": FULL, "full": ""}, env=env)
    with make_server(full) as server:
        log = watch(server)

        def visit(query="", sid=None):
            headers = [("Cookie", f"pysid={sid}")] if sid else []
            answer = client.get(server.port, f"/full/session?{query}", headers=headers)
            assert answer.status == 200, server.said()
            return json.loads(answer.text)

        for size in (3000, 20000):
            sid, _ = visit(f"k{size}")
            for new in (3000, 20000):
                log.expect(rf"Error while saving a session : .*{sid}(.|\n)*")
                visit(f"z{new}", sid)
                # The session of before, whole.
                assert visit("", sid) == [sid, "k" * size]
        log.wait_for(r"OSError: .*(Errno 27|File too large)", count=4)
        assert not list(server.root.glob("tmp/mp_sess/.new-*"))

        assert upload(server.port, 50000).text == "50000"
        said = (
            r"OSError: \[Errno 27\] cannot keep the upload 'big.bin': File too large: '@root@/tmp'"
        )
        log.expect(server.substitute(said), "PythonHandler full")
        assert upload(server.port, 500000).status == 500
        assert upload(server.port, 50000).text == "50000"
        log.settle()


def test_read_only_sessions(make_server, watch, only_event):
    """Nobody may write to the directory: old sessions can be read, the log says why."""
    full = Site(conf=FULL_CONF, files={"full.py": FULL, "full": ""})
    with make_server(full) as server:
        log = watch(server)

        def visit(query="", sid=None):
            headers = [("Cookie", f"pysid={sid}")] if sid else []
            answer = client.get(server.port, f"/full/session?{query}", headers=headers)
            assert answer.status == 200, server.said()
            return json.loads(answer.text)

        sid, _ = visit("k10")
        top = server.root / "tmp/mp_sess"
        owner = top.stat()
        for place in (top, top / sid[:2]):
            os.chown(place, 0, 0)
            place.chmod(0o555)
        (top / sid[:2] / sid).chmod(0o444)
        assert visit("", sid) == [sid, "k" * 10]
        log.expect(rf"Error while saving a session : .*{top}", r"Traceback|File \"")
        visit("k20")
        log.expect(rf"PermissionError: \[Errno 13\] Permission denied: '{top}")
        visit("k5000", sid)
        assert visit("", sid) == [sid, "k" * 10]
        for place in (top, top / sid[:2]):
            os.chown(place, owner.st_uid, owner.st_gid)
            place.chmod(0o750)
        (top / sid[:2] / sid).chmod(0o640)
        visit("k30", sid)
        assert visit("", sid) == [sid, "k" * 30]
        log.settle()


def test_no_place_for_uploads(make_server, watch, only_event):
    """Each way in which a directory for temporary files may be useless."""
    env = {"TMPDIR": "@root@/tmp"}
    full = Site(conf=FULL_CONF, files={"full.py": FULL, "full": ""}, env=env)
    with make_server(full) as server:
        log = watch(server)
        assert upload(server.port, 50000).text == "50000"
        place = server.root / "tmp"
        log.expect("PythonHandler full", "cannot keep the upload 'big.bin'")
        place.chmod(0o555)
        assert upload(server.port, 50000).status == 500
        log.wait_for(
            rf"PermissionError: \[Errno 13\] cannot keep the upload 'big.bin': "
            rf"Permission denied: '{place}"
        )
        place.chmod(0o777)
        place.rename(server.root / "gone")
        assert upload(server.port, 50000).status == 500
        log.wait_for(
            rf"FileNotFoundError: \[Errno 2\] cannot keep the upload 'big.bin': "
            rf"No such file or directory: '{place}"
        )
        (server.root / "gone").rename(place)
        assert upload(server.port, 50000).text == "50000"
        log.settle()


def test_port_taken(make_server, only_event):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = make_server(site(f"Listen 127.0.0.1:{port}"))
        with pytest.raises(StartError) as error:
            # Not `start`, which would take another port.
            server._start(["-DFOREGROUND"], (), None)
    said = str(error.value)
    assert f"could not bind to address 127.0.0.1:{port}" in said
    assert "Traceback" not in said
    assert "MP0" not in said
