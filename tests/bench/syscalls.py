"""System calls of one request: strace on `httpd -X`. What callgrind cannot see, without noise."""

import os
import re
import shutil
from collections import Counter
from typing import Optional

from client import Connection
from peers import Peer
from verify import check, session_requests
from workloads import Workload

from httpd import BenchError

WARM_UP = 30
REQUESTS = 3


def available() -> Optional[str]:
    """None when strace can be used, else what is missing."""
    return None if shutil.which("strace") else "strace not found"


def measure(peer: Peer, work: Workload) -> dict[str, int]:
    """The system calls of one request of the main thread, by name: the least of a few requests.

    Raises BenchError when the server does not start, answers wrongly or cannot be traced.
    """
    server = peer.server(
        work, "prefork", "strace", one_process=True, prefix=("strace", "-o", "trace")
    )
    server.start()
    try:
        with Connection(server.port) as connection:
            raws = session_requests(peer, work, connection)
            for i in range(WARM_UP):
                check(peer, work, connection.ask(raws[i % len(raws)]))
            for _ in range(REQUESTS + 1):
                check(peer, work, connection.ask(raws[0]))
    except (BenchError, OSError) as error:
        raise BenchError(server.explain(error)) from error
    finally:
        server.stop(hard=True)
    return read(os.path.join(server.root, "trace"))


def read(trace: str) -> dict[str, int]:
    """Splits a trace at the reads that begin a request; the request with fewest calls counts."""
    requests: list[Counter] = []
    with open(trace, errors="replace") as lines:
        for line in lines:
            if re.match(r'read\(\d+, "(GET|POST) /', line):
                requests.append(Counter())
            name = re.match(r"(\w+)\(", line)
            # Whether httpd has to wait for the next request is the client's doing.
            if requests and name and name.group(1) != "poll" and "EAGAIN" not in line:
                requests[-1][name.group(1)] += 1
    whole = requests[-REQUESTS - 1 : -1]  # the last ends with the trace
    if len(whole) < REQUESTS:
        raise BenchError("strace saw only %d whole requests" % len(whole))
    return dict(min(whole, key=lambda calls: sum(calls.values())))
