"""System calls of one request: strace on `httpd -X`. What callgrind cannot see, and as free of noise."""

import os
import re
import shutil
import subprocess
import time
from collections import Counter
from typing import Optional

from client import Connection
from peers import Peer
from verify import check, session_requests
from workloads import Workload

from httpd import BenchError, plain_user

WARM_UP = 30
REQUESTS = 3


def available() -> Optional[str]:
    """None when strace can be used, else what is missing."""
    return None if shutil.which("strace") else "strace not found"


def measure(peer: Peer, work: Workload) -> dict[str, int]:
    """The system calls of one request of the main thread, by name: the least of a few requests.

    Raises BenchError when the server does not start, answers wrongly, or cannot be traced.
    """
    server = peer.server(work, "prefork", "strace", one_process=True)
    trace = os.path.join(server.root, "trace")
    server.start()
    try:
        with Connection(server.port) as connection:
            raws = session_requests(peer, work, connection)
            for i in range(WARM_UP):
                check(peer, work, connection.ask(raws[i % len(raws)]))
            tracer = attach(server.pid, trace)
            try:
                for _ in range(REQUESTS + 2):
                    check(peer, work, connection.ask(raws[0]))
            finally:
                tracer.terminate()
                tracer.wait()
    except (BenchError, OSError) as error:
        raise BenchError(server.explain(error)) from error
    finally:
        server.stop(hard=True)
    return read(trace)


def attach(pid: int, trace: str) -> subprocess.Popen:
    """Starts strace on a process and returns when it listens."""
    tracer = subprocess.Popen(
        ["strace", "-p", str(pid), "-o", trace],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        user=plain_user(),
    )
    assert tracer.stderr is not None
    line = tracer.stderr.readline()
    if "attached" not in line:
        tracer.wait()
        raise BenchError("strace: " + line.strip())
    time.sleep(0.01)
    return tracer


def read(trace: str) -> dict[str, int]:
    """Splits a trace at the reads that begin a request; the request with fewest calls counts."""
    requests: list[Counter] = []
    with open(trace, errors="replace") as lines:
        for line in lines:
            if re.match(r'read\(\d+, "(GET|POST) /', line):
                requests.append(Counter())
            name = re.match(r"(\w+)\(", line)
            if requests and name:
                requests[-1][name.group(1)] += 1
    whole = requests[1:-1]  # the first may be cut short, the last ends with the trace
    if not whole:
        raise BenchError("strace saw no whole request")
    return dict(min(whole, key=lambda calls: sum(calls.values())))
