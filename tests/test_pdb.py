"""PythonEnablePdb: a request, a filter and a connection stop at pdb's prompt under httpd -X."""

import contextlib
import os
import re
import select
import threading
import time

import pytest

from pyhttpd import Site, client
from pyhttpd.server import free_port

pytestmark = pytest.mark.every_python

CONF = """
    Listen 127.0.0.1:RAW_PORT
    PythonPath "['@root@/htdocs'] + sys.path"
    PythonOutputFilter debugged DEBUGGED
    <Location /debugged>
        SetHandler mod_python
        PythonHandler debugged
        PythonEnablePdb On
    </Location>
    <Location /plain>
        SetHandler mod_python
        PythonHandler debugged
    </Location>
    <Location /filtered>
        SetHandler mod_python
        PythonHandler debugged::plain
        PythonEnablePdb On
        SetOutputFilter DEBUGGED
    </Location>
    <VirtualHost 127.0.0.1:RAW_PORT>
        PythonConnectionHandler debugged
        PythonEnablePdb On
    </VirtualHost>
"""
HANDLERS = """
    from mod_python import apache

    def handler(req):
        answer = "not asked"
        req.write("the answer is %s" % answer)
        return apache.OK

    def plain(req):
        req.write("plain")
        return apache.OK

    def outputfilter(filter):
        data = filter.read()
        while data:
            filter.write(data.upper())
            data = filter.read()
        if data is None:
            filter.close()

    def connectionhandler(conn):
        word = b"hello"
        conn.write(word)
        return apache.OK
"""


class Terminal:
    """What somebody who started httpd -X sees and types."""

    def __init__(self):
        self.master, self.slave = os.openpty()
        self.seen = ""

    def read_until(self, pattern):
        """Waits for what matches; returns all that came since the last call."""
        deadline = time.monotonic() + 120
        while not re.search(pattern, self.seen):
            ready, _, _ = select.select([self.master], [], [], 0.2)
            if ready:
                self.seen += os.read(self.master, 65536).decode("utf-8", "replace")
            assert time.monotonic() < deadline, f"no {pattern!r} in {self.seen!r}"
        seen, self.seen = self.seen, ""
        return seen

    def go_on(self, result):
        """Continues at each prompt until the result is there."""
        deadline = time.monotonic() + 120
        prompts = 0
        while not result:
            ready, _, _ = select.select([self.master], [], [], 0.05)
            if ready:
                self.seen += os.read(self.master, 65536).decode("utf-8", "replace")
            if "(Pdb) " in self.seen:
                self.seen = ""
                prompts += 1
                self.type("c")
            assert time.monotonic() < deadline, self.seen
        return prompts

    def type(self, line):
        os.write(self.master, line.encode() + b"\n")

    def close(self):
        os.close(self.master)
        os.close(self.slave)


@contextlib.contextmanager
def asking(ask):
    """Runs `ask` meanwhile; the list it gives has the result afterwards."""
    result = []
    thread = threading.Thread(target=lambda: result.append(ask()))
    thread.start()
    yield result
    thread.join()


@pytest.fixture
def site():
    raw_port = free_port()
    return Site(
        conf=CONF.replace("RAW_PORT", str(raw_port)),
        files={"debugged.py": HANDLERS},
    ), raw_port


def read_all(port):
    with client.Connection(port) as connection:
        # httpd accepts when something has come.
        connection.send(b"hello")
        return connection.read_to_eof()


def test_prompt(make_server, watch, site, mod_python, mpm):
    if mpm == "worker" or mod_python.name == "original":
        pytest.skip("as under the other MPMs")
    site, raw_port = site
    server = make_server(site)
    terminal = Terminal()
    try:
        server.start(options=["-X"], terminal=terminal.slave)
        watch(server)
        with asking(lambda: client.get(server.port, "/debugged")) as answer:
            # The program stops in the handler, its source at hand.
            assert "debugged.py" in terminal.read_until(r"\(Pdb\) ")
            terminal.type("p req.uri")
            assert "'/debugged'" in terminal.read_until(r"\(Pdb\) ")
            terminal.type("n")
            assert "req.write" in terminal.read_until(r"\(Pdb\) ")
            terminal.type("answer = 'from the prompt'")
            terminal.read_until(r"\(Pdb\) ")
            terminal.type("c")
        assert answer[0].text == "the answer is from the prompt"
        # Handlers of other sections run as ever, on the thread that was traced a moment ago.
        assert client.get(server.port, "/plain").text == "the answer is not asked"
        with asking(lambda: client.get(server.port, "/filtered")) as answer:
            # The handler, and each call of the filter.
            assert terminal.go_on(answer) >= 2
        assert answer[0].text == "PLAIN"
        with asking(lambda: read_all(raw_port)) as answer:
            assert "debugged.py" in terminal.read_until(r"\(Pdb\) ")
            terminal.type("n")
            terminal.read_until(r"\(Pdb\) ")
            terminal.type("word = b'typed'")
            terminal.read_until(r"\(Pdb\) ")
            terminal.type("c")
        assert answer[0] == b"typed"
    finally:
        server.stop()
        terminal.close()


def test_no_prompt_without_one_process(make_server, watch, site, mod_python):
    """As in the original the switch is ignored; ours says so, once."""
    if mod_python.name == "original":
        pytest.skip("the original ignores it silently")
    site, raw_port = site
    with make_server(site) as server:
        log = watch(server)
        for _ in range(3):
            assert client.get(server.port, "/debugged").text == "the answer is not asked"
        assert client.get(server.port, "/filtered").text == "PLAIN"
        assert read_all(raw_port) == b"hello"
        told = [line for line in log.messages("warn") if "PythonEnablePdb" in line]
        assert len(set(told)) == 1
        assert "httpd was not started with -X" in told[0]
        # Once for each child that met it.
        assert len(told) <= len(server.children())
