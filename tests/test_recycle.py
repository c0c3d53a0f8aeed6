"""Children that are replaced: stuck handlers, PythonMaxRequests, PythonMaxMemory; stacks."""

import json
import os
import re
import signal
import socket
import threading
import time

import pytest

from pyhttpd import Site, client
from pyhttpd.load import Load
from pyhttpd.server import free_port

HANDLERS = """
    import ctypes
    import os
    import time
    from mod_python import apache

    kept = []

    def pid(req):
        req.write(str(os.getpid()))
        return apache.OK

    def sleeps(req):
        time.sleep(60)
        return apache.OK

    def sits_on_the_gil(req):
        gate = os.open("@root@/tmp/gate", os.O_RDWR)
        ctypes.PyDLL(None).read(gate, ctypes.create_string_buffer(1), 1)
        os.close(gate)
        req.write("at last")
        return apache.OK

    def waits(req):
        req.write("begun")
        req.flush()
        os.mkdir("@root@/tmp/waits-%d-%s" % (os.getpid(), req.interpreter))
        while not os.path.exists("@root@/tmp/go"):
            time.sleep(0.01)
        req.write(" ended")
        return apache.OK

    def talks(conn):
        conn.write(b"hello ")
        os.mkdir("@root@/tmp/talks-%d" % os.getpid())
        while not os.path.exists("@root@/tmp/go-on"):
            time.sleep(0.01)
        conn.write(b"goodbye")
        return apache.OK

    def grows(req):
        kept.append(b"x" * (60 << 20))
        req.write(str(os.getpid()))
        return apache.OK
"""
CHOOSE = """
    import handlers

    def handler(req):
        return getattr(handlers, req.uri.rpartition("/")[2])(req)
"""
FILES = {"handlers.py": HANDLERS, "choose.py": CHOOSE}


def conf(*lines, place=()):
    handler = ["SetHandler mod_python", "PythonHandler choose", *place, "</Location>"]
    path = "PythonPath \"sys.path + ['@root@/htdocs']\""
    own = ["<Location /sub>", "PythonInterpreter other"]
    return "\n".join([*lines, path, "<Location /py>", *handler, *own, *handler])


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.02)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


# With PythonStatus there is a monitor thread under prefork too.
SOAK = bool(os.environ.get("MOD_PYTHON_SOAK"))
SITE = Site(conf=conf("PythonStatus On"), files=FILES)


def test_max_requests_loses_none(make_server, watch):
    with make_server(Site(conf=conf("PythonMaxRequests 20"), files=FILES, threads=4)) as server:
        log = watch(server)
        log.deaths_expected = True
        first = server.children()
        with Load(server.port, "/py/pid", lambda answer: answer.status == 200) as load:
            for count in range(1, 30 if SOAK else 3):
                log.wait_for("MP0710: .* 20 requests .*PythonMaxRequests", count=count)
            # Under prefork others may have been the ones that had so many.
            wait_for(lambda: not any(alive(pid) for pid in first))
        assert load.failures == []


def waiting(server):
    """The process ids of those that have come to `waits`."""
    return [int(path.name.split("-")[1]) for path in server.root.glob("tmp/waits-*")]


def is_online(count):
    return os.sysconf("SC_NPROCESSORS_ONLN") >= count


@pytest.mark.parametrize("kind", ["many", "buckets"])
def test_several_listeners(make_server, watch, mpm, kind):
    """More than one socket, IPv6, and sockets of which each child has only some."""
    if mpm != "event" and not SOAK:
        pytest.skip("runs in a soak; prefork ends by a signal, whatever it listens to")
    ports = [free_port(), free_port()]
    lines = [f"Listen 127.0.0.1:{ports[0]}", f"Listen {ports[1]}", "PythonMaxRequests 20"]
    if kind == "buckets":
        if not is_online(2):
            pytest.skip("httpd makes one bucket for so many cores")
        lines.append("ListenCoresBucketsRatio 1")
    with make_server(Site(conf=conf(*lines), files=FILES, threads=4, children=2)) as server:
        log = watch(server)
        log.deaths_expected = True
        if kind == "buckets":
            log.allow(r"AH02179: apr_socket_accept: \(client socket\)")  # see httpd/recycle.rs
        first = server.children()

        def accept(answer):
            return answer.status == 200

        def by_ipv6():
            with socket.create_connection(("::1", ports[1]), timeout=30) as connection:
                connection.sendall(b"GET /py/pid HTTP/1.0\r\n\r\n")
                return connection.makefile("rb").read().startswith(b"HTTP/1.1 200 ")

        loads = [
            Load(port, "/py/pid", accept, clients=2, per_connection=5)
            for port in (server.port, *ports)
        ]
        with loads[0], loads[1], loads[2]:
            wait_for(lambda: not any(alive(pid) for pid in first))
            assert not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6") or by_ipv6()
        assert [load.failures for load in loads] == [[]] * 3
        assert all(load.answers for load in loads)


def test_max_memory(make_server, watch, mpm):
    if mpm != "event":
        pytest.skip("ends as with PythonMaxRequests")
    with make_server(Site(conf=conf("PythonMaxMemory 90M"), files=FILES, threads=4)) as server:
        log = watch(server)
        log.deaths_expected = True
        assert client.get(server.port, "/py/pid").status == 200
        assert not any("MP0710" in line for line in log.messages())
        answers = [client.get(server.port, "/py/grows") for _ in range(3)]
        assert [answer.status for answer in answers] == [200] * 3
        said = str(log.wait_for("MP0710: .*PythonMaxMemory"))
        assert re.search(r"it occupies \d+\.\d MiB .*PythonMaxMemory", said), said
        wait_for(lambda: any(not alive(int(answer.text)) for answer in answers))


# Where the time is over before the handler has come to its sleep, in an import for example.
EARLY = (
    "RequestTimeout",
    "Traceback",
    'File "',
    r"^error: PythonHandler choose: ",
    r"MP070[13]: GET /\w+/sleeps, ",
)


def until_it_sleeps(server, path):
    """The answer of a handler that was stuck; one that was over its time earlier gave a 504."""
    deadline = time.monotonic() + 60
    while (answer := client.get(server.port, path)).status == 504:
        assert time.monotonic() < deadline, "it never comes to its sleep"
    return answer


def test_stuck_handler_is_replaced(make_server, watch, mpm):
    if mpm != "prefork":
        pytest.skip("see test_others_end_before_a_wedged_child_does")
    lines = ["PythonWedgeAction recycle 20"]
    limits = ["PythonRequestTimeout 0.2 0.2"]
    with make_server(Site(conf=conf(*lines, place=limits), files=FILES, threads=4)) as server:
        log = watch(server)
        log.deaths_expected = True
        log.expect("MP0701", "MP0703: GET /py/sleeps, PythonHandler choose: is stuck")
        log.allow(*EARLY)
        assert until_it_sleeps(server, "/py/sleeps").broken
        log.wait_for("MP0710: .* a handler is stuck")
        log.wait_for("MP0712: this child ends now")
        # Others take over.
        assert client.get(server.port, "/py/pid").status == 200


def test_others_end_before_a_wedged_child_does(make_server, watch, mpm):
    if mpm == "prefork":
        pytest.skip("one thread a child")
    lines = ["PythonWedgeAction recycle 20"]
    site = conf(*lines) + (
        "\n<Location /short>\nSetHandler mod_python\nPythonHandler choose\n"
        "PythonRequestTimeout 0.2 0.2\n</Location>"
    )
    with make_server(Site(conf=site, files=FILES, threads=4)) as server:
        log = watch(server)
        log.deaths_expected = True
        log.expect("MP0701", "MP0703: GET /short/sleeps, PythonHandler choose: is stuck")
        log.allow(*EARLY)
        answers, broken = [], []
        other = threading.Thread(
            target=lambda: answers.append(client.get(server.port, "/py/waits"))
        )
        stuck = threading.Thread(
            target=lambda: broken.append(until_it_sleeps(server, "/short/sleeps"))
        )
        other.start()
        wait_for(lambda: waiting(server))
        stuck.start()
        log.wait_for("MP0710: .* a handler is stuck")
        (server.root / "tmp/go").touch()
        other.join()
        stuck.join()
        assert answers[0].text == "begun ended"
        log.wait_for("MP0712: this child ends now")
        assert broken[0].broken
        # Others take over.
        assert client.get(server.port, "/py/pid").status == 200


GIL = "MP0703: some handler is stuck in C code that does not give the GIL away"


def test_gil_never_given_away(make_server, watch, mpm):
    if mpm != "event":
        pytest.skip("the same under every MPM")
    limits = ["PythonRequestTimeout 0.2"]
    with make_server(Site(conf=conf(place=limits), files=FILES)) as server:
        gate = server.root / "tmp/gate"
        os.mkfifo(gate)
        gate.chmod(0o666)
        log = watch(server)
        log.allow("MP0701", *EARLY)
        answers = []

        def ask():
            # Where the time is over before the handler comes to it, once more.
            while not any(GIL in line for line in log.messages()):
                answers.append(client.get(server.port, "/sub/sits_on_the_gil"))

        log.expect(GIL)
        thread = threading.Thread(target=ask)
        thread.start()
        try:
            log.wait_for(GIL)
            log.wait_for(r'MP0702:   File "\S+/handlers.py", line \d+ in sits_on_the_gil')
        finally:
            with gate.open("r+b", buffering=0) as opened:
                opened.write(b"x")
                thread.join()
        assert {answer.status for answer in answers} <= {200, 504}


def test_stacks_on_request(server, log, mpm):
    done = []

    def ask(path):
        done.append(client.get(server.port, path).text)

    paths = ("/py/waits", "/sub/waits")
    threads = [threading.Thread(target=ask, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    begun = server.children()
    titles = [f"MP0702: Thread .*, GET {path}, PythonHandler choose" for path in paths]
    frame = r'MP0702:   File "\S+/handlers.py", line \d+ in waits'

    # Under prefork the second request waits for httpd to make another child, and that one, until it
    # has come to it, would end at the signal.
    wait_for(lambda: len(waiting(server)) == 2)

    def shown():
        for child in set(waiting(server)):
            os.kill(child, signal.SIGUSR2)
        time.sleep(0.1)
        text = "\n".join(log.messages())
        return all(re.search(f"{title}.*\n.*{frame}", text) for title in titles)

    wait_for(shown)
    (server.root / "tmp/go").touch()
    for thread in threads:
        thread.join()
    assert done == ["begun ended"] * 2
    log.wait_for("notice: MP0706: the stacks of this child were asked for")
    assert server.children() >= begun


def test_connection_handlers_have_no_limit_but_are_shown(make_server, watch, mpm):
    if mpm != "event" and not SOAK:
        pytest.skip("the MPM does not matter")
    port = free_port()
    talk = f"""
        PythonRequestTimeout 0.1 0.1
        PythonStatus On
        PythonWedgeAction recycle
        Listen 127.0.0.1:{port}
        <VirtualHost 127.0.0.1:{port}>
            PythonConnectionHandler handlers::talks
        </VirtualHost>
        <Location /status>
            SetHandler python-status
        </Location>
    """
    with make_server(Site(conf=conf(talk), files=FILES, children=1)) as server:
        log = watch(server)
        with socket.create_connection(("127.0.0.1", port), timeout=60) as talking:
            talking.sendall(b"hi")  # the system may not accept a silent one
            wait_for(lambda: list(server.root.glob("tmp/talks-*")))
            (child,) = server.root.glob("tmp/talks-*")
            mine = talking.getsockname()[1]
            title = f"connection from 127.0.0.1:{mine}"
            if mpm != "prefork":
                status = json.loads(client.get(server.port, "/status?json").text)
                running = [r for r in status["running"] if r["request"] == title]
                assert running, status["running"]
                assert "handlers::talks" in running[0]["handler"]
            os.kill(int(child.name.partition("-")[2]), signal.SIGUSR2)
            log.wait_for(f"MP0702: Thread .*, {title}, PythonConnectionHandler handlers::talks")
            log.wait_for(r'MP0702:   File "\S+/handlers.py", line \d+ in talks')
            (server.root / "tmp/go-on").touch()
            received = b""
            while more := talking.recv(100):
                received += more
        assert received == b"hello goodbye"


def test_stacks_on_request_without_a_monitor(make_server, watch, mpm):
    if mpm != "prefork":
        pytest.skip("children with threads have a monitor")
    with make_server(Site(conf=conf(), files=FILES)) as server:
        log = watch(server)
        log.allow("^stderr: ")
        done = []
        ask = threading.Thread(target=lambda: done.append(client.get(server.port, "/py/waits")))
        ask.start()

        wait_for(lambda: waiting(server))

        def shown():
            for child in waiting(server):
                os.kill(child, signal.SIGUSR2)
            time.sleep(0.1)
            return any(
                re.search(r"handlers.py\", line \d+ in waits", line) for line in log.messages()
            )

        wait_for(shown)
        (server.root / "tmp/go").touch()
        ask.join()
        assert done[0].text == "begun ended"


@pytest.mark.parametrize(
    "line",
    [
        "PythonWedgeAction stop",
        "PythonWedgeAction log 5",
        "PythonWedgeAction recycle soon",
        "PythonMaxRequests many",
        "PythonMaxMemory 1T",
    ],
)
def test_wrong_values(make_server, line):
    done = make_server(Site(conf=line + "\n")).configtest()
    assert done.returncode != 0
    assert line.split()[0] in done.stdout


def test_not_in_a_virtual_host(make_server):
    conf = "<VirtualHost *:@port@>\nPythonMaxRequests 5\n</VirtualHost>\n"
    done = make_server(Site(conf=conf)).configtest()
    assert "PythonMaxRequests concerns the whole process" in done.stdout
