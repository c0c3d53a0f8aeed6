"""Requests a second and latencies: wrk with one thread, turning through the peers."""

import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Callable, Optional

from client import Connection, Response
from peers import Bench, Granian, Peer
from verify import leave_out, sample, session_requests
from workloads import Workload

from httpd import BenchError, Process

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "load.lua")
CONNECTIONS = {"event": 16, "prefork": 4}


@dataclass
class Reading:
    """One round of one peer: requests a second, ms of latency, microseconds of CPU a request."""

    rate: float
    p50: float
    p99: float
    bad_statuses: int
    socket_errors: int
    cpu: float


def available() -> Optional[str]:
    """None when wrk can be used, else what is missing."""
    return None if shutil.which("wrk") else "wrk not found"


def cores():
    """The core of httpd and the core of wrk; None where the machine has only one."""
    found = sorted(os.sched_getaffinity(0))
    return (found[0], found[1]) if len(found) > 1 else (None, None)


@contextmanager
def client_core():
    """Keeps this process, and servers it starts meanwhile, off the servers' core for a while."""
    before = os.sched_getaffinity(0)
    core = cores()[1]
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def run_wrk(
    server: Process, files: list[str], connections: int, seconds: float, core: Optional[int]
) -> Reading:
    """One run of wrk. Raises BenchError when wrk fails or nothing was answered."""
    command = ["wrk", "-t", "1", "-c", str(connections), "-d", "%ds" % max(1, round(seconds))]
    command += [
        "--timeout",
        "30s",
        "-s",
        SCRIPT,
        "http://127.0.0.1:%d/" % server.port,
        "--",
        *files,
    ]
    if core is not None and shutil.which("taskset"):
        command = ["taskset", "-c", str(core), *command]
    before = server.cpu_seconds()
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise BenchError("wrk failed: " + done.stdout[-400:])
    figures = json.loads(lines[-1])
    if not figures["requests"]:
        raise BenchError("no request was answered within %s s" % seconds)
    return Reading(
        figures["requests"] / figures["seconds"],
        figures["p50"],
        figures["p99"],
        figures["status"],
        figures["socket"],
        (server.cpu_seconds() - before) / figures["requests"] * 1e6,
    )


def write_requests(peer: Peer, work: Workload, port: int, root: str) -> list[str]:
    """Writes the requests to turn through into files for wrk and returns their names."""
    with Connection(port) as connection:
        raws = session_requests(peer, work, connection)
    files = []
    for i, raw in enumerate(raws):
        files.append(os.path.join(root, "request%d" % i))
        with open(files[-1], "wb") as out:
            out.write(raw)
    return files


def server_of(peer: Peer, work: Workload, mpm: str, tag: str, core: Optional[int], **kw) -> Process:
    """The peer's server for a workload, not yet started."""
    if peer.name == "granian":
        return Granian(peer, work, core)
    return peer.server(work, mpm, tag, core=core, **kw)


def measure(
    bench: Bench,
    work: Workload,
    mpm: str,
    rounds: int,
    seconds: float,
    progress: Callable[[str], None],
    failures: list[str],
) -> dict[str, list[Reading]]:
    """Readings by peer of one workload under one MPM; a failing peer is reported in `failures`."""
    server_core, wrk_core = cores()
    servers: dict[str, Process] = {}
    files: dict[str, list[str]] = {}
    answers: dict[str, Response] = {}
    readings: dict[str, list[Reading]] = {}
    connections = 1 if work.one_process and mpm == "prefork" else CONNECTIONS[mpm]
    if work.heavy:
        connections = min(connections, 4)
    try:
        for peer in bench.present(work):
            server = servers[peer.name] = server_of(peer, work, mpm, "load", server_core)
            try:
                server.start()
                answers[peer.name] = sample(peer, work, server.port)
                files[peer.name] = write_requests(peer, work, server.port, server.root)
                run_wrk(server, files[peer.name], connections, 1, wrk_core)  # warm-up
                readings[peer.name] = []
            except (BenchError, OSError) as error:
                failures.append(
                    "%s (%s): %s: %s" % (work.name, mpm, peer.name, server.explain(error))
                )
        leave_out(work, answers, readings, failures)
        for number in range(rounds):
            names = list(readings)
            turn = number % max(1, len(names))
            for name in names[turn:] + names[:turn]:
                try:
                    reading = run_wrk(servers[name], files[name], connections, seconds, wrk_core)
                except BenchError as error:
                    failures.append("%s (%s): %s: %s" % (work.name, mpm, name, error))
                    del readings[name]
                    continue
                readings[name].append(reading)
                progress(
                    "%s, %s, round %d of %d: %s %.0f requests/s"
                    % (work.name, mpm, number + 1, rounds, name, reading.rate)
                )
        for name, server in servers.items():
            if any(reading.bad_statuses for reading in readings.get(name, ())):
                text = "error statuses during the load"
                failures.append(
                    "%s (%s): %s: %s" % (work.name, mpm, name, server.explain(BenchError(text)))
                )
            if server.deaths():
                failures.append(
                    "%s (%s): %d children of %s died" % (work.name, mpm, server.deaths(), name)
                )
    finally:
        for server in servers.values():
            server.stop()
    return readings
