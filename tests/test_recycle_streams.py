"""Children that are replaced lose no request of encrypted connections, and none of HTTP/2's."""

import os
import threading
import time

import pytest

from pyhttpd import Connection, Site, client, tls
from pyhttpd.http2 import Http2Connection
from pyhttpd.install import Httpd
from pyhttpd.load import Load
from pyhttpd.server import free_port

SOAK = bool(os.environ.get("MOD_PYTHON_SOAK"))
BIG = 300_000
HANDLERS = (
    """
    import os
    import time
    from mod_python import apache

    def handler(req):
        return globals()[req.uri.rpartition("/")[2]](req)

    def hello(req):
        time.sleep(0.01)
        req.write("hello")
        return apache.OK

    def big(req):
        req.write("x" * %d)
        return apache.OK

    def waits(req):
        os.mkdir("@root@/tmp/waits")
        while not os.path.exists("@root@/tmp/go"):
            time.sleep(0.01)
        req.write("hello")
        return apache.OK

    def blocks(req):
        # No exception reaches it until somebody writes.
        os.close(os.open("@root@/tmp/fifo", os.O_RDONLY))
        return apache.OK

"""
    % BIG
)
CONF = """
    Protocols h2c h2 http/1.1
    PythonPath "sys.path + ['@root@/htdocs']"
    <Location /py>
        SetHandler mod_python
        PythonHandler handlers
    </Location>
    <Location /short>
        SetHandler mod_python
        PythonHandler handlers
        # Long enough for a request to come to its handler, which then waits for ever.
        PythonRequestTimeout 1 0.1
    </Location>
"""


def site(*lines, modules=(), **options):
    conf = "\n".join([*lines, CONF])
    modules = ["http2", *modules]
    return Site(conf=conf, files={"handlers.py": HANDLERS}, modules=modules, **options)


@pytest.fixture(scope="module", autouse=True)
def has_modules():
    modules = Httpd.find().modules
    if not all((modules / f"mod_{name}.so").exists() for name in ("http2", "ssl")):
        pytest.skip("httpd has no mod_http2 or no mod_ssl")


class Streams:
    """Clients that send six requests at a time on each connection, over and over.

    A request is lost that was not answered, and of which the server did not say either that it was
    not begun; where it closes a connection on which it owes nothing, all are sent anew.
    """

    def __init__(self, port, context, clients=4):
        self.port, self.context = port, context
        self.answers = 0
        self.failures = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self):
        while not self._stop.is_set():
            try:
                self._connection()
            except OSError as error:
                self.failures.append(repr(error))

    def _connection(self):
        with Http2Connection(self.port, self.context) as connection:
            for turn in range(4):
                sent = connection.send(*["/py/hello"] * 6)
                connection.read()
                was_idle = turn > 0 and not any(answer.status for answer in sent)
                for answer in sent:
                    if answer.is_complete and (answer.status, answer.text) == (200, "hello"):
                        self.answers += 1
                    elif not answer.is_unprocessed and not (was_idle and not connection.is_open):
                        self.failures.append(f"turn {turn}: {answer}")
                if connection.goaway is not None or not connection.is_open:
                    return


@pytest.mark.mpms("event")
def test_max_requests_loses_no_stream(make_server, watch):
    port = free_port()
    lines = "PythonMaxRequests 100", tls.virtual_host(port)
    server = make_server(site(*lines, modules=tls.MODULES, children=2, threads=8))
    tls.make_certificate(server.root)
    with server:
        log = watch(server)
        log.deaths_expected = True
        with Streams(port, tls.context(server.root, ["h2"])) as streams:
            log.wait_for("MP0710: .*PythonMaxRequests", count=30 if SOAK else 3)
        assert streams.failures == []
        assert streams.answers >= 100


@pytest.mark.mpms("prefork")
def test_max_requests_loses_no_encrypted_request(make_server, watch):
    port = free_port()
    lines = "PythonMaxRequests 20", tls.virtual_host(port)
    server = make_server(site(*lines, modules=tls.MODULES))
    tls.make_certificate(server.root)
    with server:
        log = watch(server)
        log.deaths_expected = True
        context = tls.context(server.root)
        with Load(port, "/py/hello", lambda answer: answer.text == "hello", tls=context) as load:
            log.wait_for("MP0710: .*PythonMaxRequests", count=30 if SOAK else 3)
        assert load.failures == []


class Wedge:
    """A server of one child that has a stuck handler, and is on its way out."""

    def __init__(self, server, log):
        self.server, self.log = server, log
        self.fifo = server.root / "tmp/fifo"
        os.mkfifo(self.fifo)
        self.fifo.chmod(0o666)

    def wait(self):
        """Until the child is to end, and would have ended if nobody else were at work."""
        self.log.wait_for("MP0710: .* a handler is stuck")
        time.sleep(0.8)

    def release(self):
        os.close(os.open(self.fifo, os.O_WRONLY | os.O_NONBLOCK))

    def let_go(self):
        (self.server.root / "tmp/go").touch()


def beside_it(server, wedge):
    """Another request of the same connection is not done."""
    with Http2Connection(server.port) as connection:
        waits, stuck = connection.send("/py/waits", "/short/blocks")
        wedge.wait()
        wedge.let_go()
        connection.read(lambda: waits.is_complete)
        assert (waits.status, waits.text) == (200, "hello"), waits
        wedge.release()
        connection.read()
        assert stuck.is_complete


def after_it(server, wedge):
    """The handler comes free, and another one is at work still."""
    with Connection(server.port) as stuck, Connection(server.port) as other:
        other.send(client.compose("/py/waits"))
        wait_for((server.root / "tmp/waits").exists)
        stuck.send(client.compose("/short/blocks"))
        wedge.log.wait_for("MP0710: .* a handler is stuck")
        wedge.release()
        assert stuck.read_response().broken == ""
        wedge.wait()
        wedge.let_go()
        assert other.read_response().text == "hello"


def without_room(server, wedge):
    """An answer is there that the client has no room for yet."""
    with Http2Connection(server.port, window=1000) as connection, Connection(server.port) as stuck:
        (big,) = connection.send("/py/big")
        connection.read(lambda: len(big.body) == 1000)
        stuck.send(client.compose("/short/blocks"))
        wedge.wait()
        connection.make_room(BIG)
        connection.read()
        assert (big.is_complete, len(big.body)) == (True, BIG)
        wedge.release()
        assert stuck.read_response().broken == ""


@pytest.mark.mpms("event")
@pytest.mark.parametrize("others", (beside_it, after_it, without_room))
def test_a_wedged_child_waits_for_the_others(make_server, watch, others):
    lines = "PythonWedgeAction recycle 500", "ServerLimit 1"
    with make_server(site(*lines, threads=4)) as server:
        log = watch(server)
        log.deaths_expected = True
        log.expect("MP0701", "MP0703: GET /short/blocks, PythonHandler handlers: is stuck")
        log.allow("RequestTimeout", "Traceback", 'File "')
        # The time is not to be over while the handler is imported.
        assert client.get(server.port, "/py/hello").text == "hello"
        others(server, Wedge(server, log))
        assert not any("MP0712" in line for line in log.messages())


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.02)
