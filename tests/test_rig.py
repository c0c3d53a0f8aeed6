"""The rig itself: it must notice what it promises to notice, on a server without mod_python."""

import contextlib
import os
import shutil
import signal
import sys
import time

import pytest

from pyhttpd import Connection, ModPython, Server, Site, client
from pyhttpd.error_log import ErrorLog, LogLine, unexpected
from pyhttpd.load import Load
from pyhttpd.server import StartError

SITE = Site(
    conf="""
        RedirectMatch ^/rig/moved$ /rig/a.txt
        Header add X-Twice one
        Header add X-Twice two
        <Directory @root@/htdocs/rig/denied>
            Require all denied
        </Directory>
    """,
    files={"rig/a.txt": "hello\n", "rig/denied/a.txt": "no\n"},
    modules=["headers"],
)


@pytest.fixture(scope="module")
def mod_python():
    return None


def test_get_and_multi_valued_headers(get):
    answer = get("/rig/a.txt")
    assert (answer.status, answer.body) == (200, b"hello\n")
    assert answer.headers.get_all("x-twice") == ["one", "two"]


def test_keep_alive_and_pipelining(connect):
    connection = connect()
    one = client.compose("/rig/a.txt")
    connection.send(one + client.compose("/rig/moved") + one)
    statuses = [connection.read_response().status for _ in range(3)]
    assert statuses == [200, 302, 200]
    assert connection.open


def test_exact_bytes_and_half_close(connect):
    connection = connect()
    connection.send(b"GET /rig/a.txt HTTP/1.1\r\nHost: \xe9\r\n\r\n")
    connection.shutdown_write()
    assert connection.read_response().status == 400
    assert connection.read_to_eof() == b""
    assert not connection.open


def test_a_cut_answer_is_told(connect):
    connection = connect()
    connection._buffer = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour"
    connection.shutdown_write()
    answer = connection.read_response()
    assert (answer.status, answer.body, answer.broken) == (200, b"four", "cut in the body")


def test_expected_error_lines_pass(get, log):
    log.expect(r"error: AH01630: client denied by server configuration")
    assert get("/rig/denied/a.txt").status == 403


def test_unexpected_lines_are_told(server, get, log):
    assert get("/rig/denied/a.txt").status == 403
    assert [line.message[:7] for line in server.troubles(log.start)] == ["AH01630"]
    assert server.troubles(log.start, ["client denied"]) == []
    log.expect("client denied")


def test_what_counts_as_trouble():
    def troubles(*texts):
        return [str(line) for line in unexpected(map(LogLine.parse, texts), [])]

    assert troubles("[mpm_event:notice] [1] [-] [-] AH00489: resuming normal operations") == []
    assert troubles("[core:notice] [1] [-] [-] AH00052: child pid 2 exit signal Segmentation")
    assert troubles("[-:error] [1] [127.0.0.1:1] [-] PythonHandler x: Traceback")
    assert troubles("Traceback (most recent call last):")


def test_a_dead_child_is_noticed(make_server):
    with make_server(Site()) as server:
        assert server.lost_children() == set()
        victim = min(server.children())
        os.kill(victim, signal.SIGKILL)
        while victim in server.children():
            time.sleep(0.01)
        assert server.lost_children() == {victim}


def test_a_child_is_dead_when_its_connection_is(make_server):
    files = {
        "dies/dies.py": """
            import os

            def handler(req):
                os._exit(1) if req.args == "exit" else os.kill(os.getpid(), 9)
        """
    }
    conf = "<Directory @root@/htdocs/dies>\nSetHandler mod_python\nPythonHandler dies\n</Directory>"
    with make_server(Site(conf=conf, files=files), mod_python=ModPython.ours()) as server:
        for how in ("exit", "kill"):
            # Answered once there is a child again.
            assert client.get(server.port, "/up.txt").status == 200
            server.lost_children()
            assert client.get(server.port, "/dies/x?" + how).broken
            assert len(server.lost_children()) == 1


def test_a_wrong_configuration_is_told(make_server):
    server = make_server(Site(conf="NoSuchDirective on"))
    assert "NoSuchDirective" in server.configtest().stdout
    with pytest.raises(StartError, match="Invalid command 'NoSuchDirective'"):
        server.start()


def test_the_port_of_another_is_left_to_it(make_server):
    with make_server(Site(files={"which.txt": "first"})) as first:
        second = make_server(Site(files={"which.txt": "second"}))
        second.port = first.port
        # The other one answers long before this one finds the port taken.
        second.start(prefix=["/bin/sh", "-c", 'sleep 0.5; exec "$@"', "sh"])
        assert client.get(second.port, "/which.txt").text == "second"
        assert client.get(first.port, "/which.txt").text == "first"


def test_restarts(make_server):
    with make_server(Site(files={"a.txt": "a"})) as server:
        first = server.children()
        server.graceful()
        assert client.get(server.port, "/a.txt").status == 200
        server.restart()
        assert client.get(server.port, "/a.txt").status == 200
        assert not first & server.children()


def test_a_full_scoreboard_is_no_trouble_while_children_end():
    server = Server(Site(), mpm="worker")
    full = "[mpm_worker:error] [1] [-] [-] AH00288: scoreboard is full, not at MaxRequestWorkers\n"
    server.log.path.write_text(full, encoding="ascii")
    assert [str(line) for line in server.troubles(0)] == [
        "error: AH00288: scoreboard is full, not at MaxRequestWorkers"
    ]
    graceful = (
        "[mpm_worker:notice] [1] [-] [-] AH00297: SIGUSR1 received.  Doing graceful restart\n"
    )
    replaced = "[python:notice] [1] [-] [-] MP0710: this child ends after 20 requests\n"
    for reason in (graceful, replaced):
        server.log.path.write_text(reason + full, encoding="ascii")
        assert server.troubles(len(reason)) == []
    server.close()


def test_a_connection_that_nobody_has_read_is_no_failure(tmp_path):
    load = Load(0, "/", lambda answer: True)
    _, read, cut = load.failures = [
        "request 0 from port 5: 0 no answer ",
        "request 0 from port 6: 0 no answer ",
        "request 0 from port 7: 200 cut in the body ",
    ]
    log = ErrorLog(tmp_path / "log")
    log.path.write_text("[core:trace5] [1] [127.0.0.1:6] [-] Request received from client: GET /\n")
    assert load.failures_of(log) == [read, cut]


def test_stop_leaves_nothing(make_server):
    server = make_server(Site())
    server.start()
    pids = {server.process.pid, *server.children()}
    server.stop()
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


def test_the_server_dies_with_its_tester():
    # A second tester starts a server and is killed outright; the kernel must end the server.
    reader, writer = os.pipe()
    tester = os.fork()
    if tester == 0:
        try:
            server = Server(Site())
            server.start()
            os.write(writer, f"{server.process.pid} {server.root}".encode())
            time.sleep(600)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(1)
    os.close(writer)
    told = os.read(reader, 4096).decode()
    assert told, "the other tester started no server"
    pid, root = told.split(" ", 1)
    os.kill(tester, signal.SIGKILL)
    os.waitpid(tester, 0)
    deadline = time.monotonic() + 60
    # It may be gone at any moment.
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        while True:
            with open(f"/proc/{pid}/stat") as stat:
                if stat.read().rpartition(")")[2].split()[0] == "Z":
                    break  # ended; whoever adopted it has not asked for its status yet
            assert time.monotonic() < deadline, "httpd survived its tester"
            time.sleep(0.05)
    shutil.rmtree(root, ignore_errors=True)


def test_connection_reset_is_a_broken_answer(server):
    with Connection(server.port) as connection:
        connection.send(b"\r\n\r\n\r\n")
        connection.shutdown_write()
        assert connection.read_response().broken == "no answer"
