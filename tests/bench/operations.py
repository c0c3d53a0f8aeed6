"""Instructions of the single operations that handlers do all the time, ours and the original's."""

import glob
import os
import re
import statistics
from dataclasses import dataclass

from callgrind import Steered
from peers import Peer
from workloads import Request, Workload, handler

from httpd import BenchError

TURNS = 100  # turns of the loop around an operation in one request
REQUESTS = 5  # requests in one count
WARM_UP = 60  # requests before the first count: CPython specialises code within the first dozens
EMPTY_EVERY = 8  # operations between two counts of the empty loop

# (name, what is done before the loop, the operation). Those that begin with "table" have a target.
OPERATIONS = (
    ("empty loop", "", "pass"),
    ("req.uri", "", "req.uri"),
    ("req.method", "", "req.method"),
    ("req.args", "", "req.args"),
    ("req.filename", "", "req.filename"),
    ("req.status", "", "req.status"),
    ("req.status = 200", "", "req.status = 200"),
    ("req.content_type = 'text/plain'", "", "req.content_type = 'text/plain'"),
    ("req.headers_in", "", "req.headers_in"),
    ("req.subprocess_env", "", "req.subprocess_env"),
    ("req.connection", "", "req.connection"),
    ("req.server", "", "req.server"),
    ("req.get_options()", "", "req.get_options()"),
    ("req.get_config()", "", "req.get_config()"),
    ("hasattr of a missing name", "", "hasattr(req, 'missing')"),
    ("req.user_attribute = 1", "", "req.user_attribute = 1"),
    ("req.user_attribute", "req.user_attribute = 1", "req.user_attribute"),
    ("req.write(b'', 0)", "", "req.write(b'', 0)"),
    ("req.write(b'x', 0)", "", "req.write(b'x', 0)"),
    ("req.write('x', 0)", "", "req.write('x', 0)"),
    ("table t['Host']", "t = req.headers_in", "t['Host']"),
    ("table t.get('Host')", "t = req.headers_in", "t.get('Host')"),
    ("table t.get('Missing')", "t = req.headers_in", "t.get('Missing')"),
    ("table 'Host' in t", "t = req.headers_in", "'Host' in t"),
    ("table t['X-A'] = 'b'", "t = req.headers_out", "t['X-A'] = 'b'"),
    ("table t.add, del t", "t = req.headers_out", "t.add('X-A', 'b'); del t['X-A']"),
    ("table len(t)", "t = req.headers_in", "len(t)"),
    ("table t.keys()", "t = req.headers_in", "t.keys()"),
    ("table t.items()", "t = req.headers_in", "t.items()"),
    ("table for k in t", "t = req.headers_in", "for k in t: pass"),
    ("table apache.make_table()", "", "apache.make_table()"),
    ("util.parse_qsl, 3 pairs", "", "util.parse_qsl('name=value&other=thing&third=more+text')"),
    ("util.FieldStorage(req), 2 arguments", "", "util.FieldStorage(req)"),
    ("Cookie.get_cookies, 3 cookies", "", "Cookie.get_cookies(req)"),
    ("str(Cookie)", "c = Cookie.Cookie('name', 'value', path='/')", "str(c)"),
)

REQUEST = Request(
    "/operation?name=value&other=thing", headers=(("Cookie", "one=first; two=second; three=third"),)
)


@dataclass
class Figure:
    """An operation's instructions, without the loop around it."""

    name: str
    instructions: float


def source() -> str:
    """The module with one handler for each operation."""
    parts = ['"""Handlers that repeat one operation."""\n\n']
    parts.append("from mod_python import Cookie, apache, util\n\nTURNS = range(%d)\n" % TURNS)
    for i, (_, before, operation) in enumerate(OPERATIONS):
        parts.append("\n\ndef handler%d(req):\n" % i)
        if before:
            parts.append("    %s\n" % before)
        parts.append("    for _ in TURNS:\n        %s\n" % operation.replace("; ", "\n        "))
        parts.append("    return apache.OK\n")
    # One entry, so that all run on one server with one configuration.
    parts.append(
        "\n\nHANDLERS = [%s]\n" % ", ".join("handler%d" % i for i in range(len(OPERATIONS)))
    )
    parts.append("\n\ndef run(req):\n    return HANDLERS[int(req.headers_in['X-Number'])](req)\n")
    return "".join(parts)


def workload() -> Workload:
    """A workload that reaches the handlers."""
    return Workload("operations", "single operations", REQUEST, handler("operations::run"))


def measure(peer: Peer) -> list[Figure]:
    """Counts every operation on one server of the peer. An operation that fails is left out.

    The loop and the request around it are the median of several counts of the empty loop: what a
    peer does once a second falls into one of them, or into none.
    """
    work = workload()
    done = []
    with Steered(peer, work) as server:

        def ask(i: int) -> int:
            raw = REQUEST.raw().replace(b"Host:", b"X-Number: %d\r\nHost:" % i, 1)
            return server.connection.ask(raw).status

        def count(i: int, mark: str) -> None:
            for _ in range(REQUESTS):
                ask(i)
            server.control("settle%d" % i)
            for _ in range(REQUESTS):
                ask(i)
            server.control(mark)

        for _ in range(WARM_UP):
            if ask(0) != 200:
                raise BenchError("%s: not even the empty loop runs" % peer.name)
        server.control("start")
        for i, (name, _, _) in enumerate(OPERATIONS):
            if i % EMPTY_EVERY == 0:
                count(0, "empty%d" % i)
            if i and ask(i) == 200:
                count(i, "operation%d" % i)
                done.append((i, name))
            elif i:
                server.reconnect()
        count(0, "empty%d" % len(OPERATIONS))
        root = server.root
    totals = read(root, "operation")
    empty = statistics.median(read(root, "empty").values())
    return [Figure(name, (totals[i] - empty) / TURNS / REQUESTS) for i, name in done if i in totals]


def read(root: str, kind: str) -> dict[int, int]:
    """The totals of the dumps of one kind by their number."""
    found = {}
    for path in glob.glob(os.path.join(root, "callgrind.out.*")):
        with open(path, errors="replace") as dump:
            text = dump.read()
        mark = re.search(r"^desc: Trigger: Client Request: %s(\d+)" % kind, text, re.M)
        total = re.search(r"^totals: (\d+)", text, re.M)
        if mark and total:
            found[int(mark.group(1))] = int(total.group(1))
    return found
