"""A handler that keeps a core busy: how much two cores give over one, nothing pinned."""

import time
from typing import Callable

from load import Reading, run_wrk, server_of, write_requests
from peers import Bench
from verify import leave_out, sample
from workloads import Workload

from httpd import BenchError

# (children, threads a child, connections): one core, then both.
ONE = {"prefork": (1, 1, 1), "event": (1, 25, 8)}
TWO = {"prefork": (2, 1, 2), "event": (2, 25, 8)}


def calibrate(milliseconds: float) -> int:
    """How many turns of the loop in pages.SPIN take that long here, in this Python."""
    count = 10000
    best = None
    for _ in range(7):
        began = time.perf_counter()
        x = 1
        for i in range(count):
            x = (x * 31 + i) % 1000003
        taken = time.perf_counter() - began
        best = taken if best is None else min(best, taken)
    return max(1, int(count * milliseconds / 1000 / best))


def shape(mpm: str, children: int, threads: int) -> dict[str, int]:
    """The MPM's directives for so many children."""
    found = {"StartServers": children, "ServerLimit": children}
    found["MaxRequestWorkers"] = children * threads
    if mpm == "prefork":
        found.update({"MinSpareServers": 1, "MaxSpareServers": children})
    else:
        found["ThreadsPerChild"] = threads
        found.update({"MinSpareThreads": 1, "MaxSpareThreads": children * threads})
    return found


def measure(
    bench: Bench,
    work: Workload,
    mpm: str,
    rounds: int,
    seconds: float,
    progress: Callable[[str], None],
    failures: list[str],
) -> dict[str, dict[int, list[Reading]]]:
    """Readings by peer and number of children: {peer: {1: [...], 2: [...]}}."""
    readings: dict[str, dict[int, list[Reading]]] = {}
    answers = {}
    servers = {}
    try:
        for peer in bench.present(work):
            for setting in (ONE, TWO):
                children, threads, connections = setting[mpm]
                server = servers[peer.name, children] = server_of(
                    peer,
                    work,
                    mpm,
                    "cpu%d" % children,
                    None,
                    shape=shape(mpm, children, threads),
                )
                try:
                    server.start()
                    answers[peer.name] = sample(peer, work, server.port)
                    files = write_requests(peer, work, server.port, server.root)
                    run_wrk(server, files, connections, 1, None)  # warm-up
                    readings.setdefault(peer.name, {})[children] = []
                except (BenchError, OSError) as error:
                    failures.append(
                        "%s (%s): %s: %s" % (work.name, mpm, peer.name, server.explain(error))
                    )
        leave_out(work, answers, readings, failures)
        for number in range(rounds):
            for (name, children), server in servers.items():
                if children not in readings.get(name, {}):
                    continue
                connections = (ONE if children == 1 else TWO)[mpm][2]
                reading = run_wrk(server, [server.root + "/request0"], connections, seconds, None)
                readings[name][children].append(reading)
                progress(
                    "%s, %s, round %d of %d: %s with %d children %.0f requests/s"
                    % (work.name, mpm, number + 1, rounds, name, children, reading.rate)
                )
    finally:
        for server in servers.values():
            server.stop()
    return readings
