"""Memory of one child after 1,000 requests, and the time from exec to the first answer."""

import re
import statistics
import time
from dataclasses import dataclass

from client import Connection
from load import cores
from peers import ONE_CHILD, Peer
from verify import check, request_of
from workloads import Workload

from httpd import BenchError

REQUESTS = 1000
PER_CONNECTION = 10  # so that the threads of the event MPM all get their share


@dataclass
class Footprint:
    """KiB of one child, and milliseconds to the first answer."""

    rss: int
    pss: int
    private: int  # private dirty: what one more child costs
    start: float


def rollup(pid: int) -> dict[str, int]:
    """The sums of a process's memory maps, in KiB."""
    found = {}
    with open("/proc/%d/smaps_rollup" % pid) as maps:
        for line in maps:
            match = re.match(r"(\w+):\s+(\d+) kB", line)
            if match:
                found[match.group(1)] = int(match.group(2))
    return found


def first_answer(peer: Peer, work: Workload, mpm: str) -> float:
    """Milliseconds from exec of httpd to the end of the first answer."""
    server = peer.server(work, mpm, "start", shape=ONE_CHILD[mpm], core=cores()[0])
    raw = request_of(peer, work)
    began = time.monotonic()
    server.spawn()
    try:
        while True:
            try:
                with Connection(server.port) as connection:
                    check(peer, work, connection.ask(raw))
                    return (time.monotonic() - began) * 1000
            except OSError:
                if time.monotonic() - began > 60 or server.process.poll() is not None:
                    raise BenchError("server did not start:\n" + server.log_tail()) from None
                time.sleep(0.0005)
    finally:
        server.stop()


def measure(peer: Peer, work: Workload, mpm: str, starts: int = 5) -> Footprint:
    """Measures one peer under one MPM with a single child."""
    start = statistics.median(first_answer(peer, work, mpm) for _ in range(starts))
    server = peer.server(work, mpm, "memory", shape=ONE_CHILD[mpm])
    server.start()
    try:
        raw = request_of(peer, work)
        for _ in range(REQUESTS // PER_CONNECTION):
            with Connection(server.port) as connection:
                for _ in range(PER_CONNECTION):
                    check(peer, work, connection.ask(raw))
        children = server.children()
        if len(children) != 1:
            raise BenchError("%s: %d children instead of one" % (peer.name, len(children)))
        found = rollup(children[0])
    except (BenchError, OSError) as error:
        raise BenchError(server.explain(error)) from error
    finally:
        server.stop()
    return Footprint(found["Rss"], found["Pss"], found["Private_Dirty"], start)
