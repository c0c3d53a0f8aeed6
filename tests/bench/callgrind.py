"""Instructions per request: callgrind on `httpd -X` (prefork), steered by mod_callgrind."""

import glob
import os
import re
import shutil
import statistics
from dataclasses import dataclass
from typing import Optional

from client import Connection, Response
from peers import Peer
from verify import check, session_requests
from workloads import Workload

from httpd import BenchError

# callgrind counts "rep movsb" once a byte; glibc copies with vector loops instead when told so.
TUNABLES = (
    "glibc.cpu.x86_rep_movsb_threshold=1073741824:glibc.cpu.x86_rep_stosb_threshold=1073741824"
)
WARM_UP = 100  # requests before instrumentation: CPython specialises code within the first dozens
MARK = "batch"
BATCHES = 4  # the first is not counted: it still holds things done once


@dataclass
class Count:
    """Instructions of one request: the mean, and how far the batches lie apart (a fraction)."""

    instructions: float
    spread: float
    profile: Optional[str] = None


def available() -> Optional[str]:
    """None when callgrind can be used, else what is missing."""
    if not shutil.which("valgrind"):
        return "valgrind not found"
    return None


def measure(peer: Peer, work: Workload, keep: bool = False) -> tuple[Count, Response]:
    """Counts one workload of one peer; with `keep` the last dump's path is kept for a profile.

    Raises BenchError when the server does not start or answers wrongly.
    """
    batch = work.batch
    server = peer.server(
        work,
        "prefork",
        "callgrind",
        one_process=True,
        env={"PYTHONHASHSEED": "0", "GLIBC_TUNABLES": TUNABLES},
        extra=('LoadModule callgrind_module "%s"' % peer.bench.control,),
        prefix=(
            "valgrind",
            "--tool=callgrind",
            "--instr-atstart=no",
            "--vgdb=no",
            "--callgrind-out-file=callgrind.out",
        ),
    )
    server.start()
    try:
        with Connection(server.port, 600) as connection:
            raws = session_requests(peer, work, connection)

            answer = check(peer, work, connection.ask(raws[0]))

            def go(count: int) -> None:
                for i in range(count):
                    check(peer, work, connection.ask(raws[i % len(raws)]))

            def control(word: str) -> None:
                raw = "GET /~callgrind/%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % word
                done = connection.ask(raw.encode())
                if done.body != b"done\n":
                    raise BenchError("mod_callgrind does not answer: %r" % done)

            go(min(WARM_UP, 3 * batch))
            control("start")
            go(min(10, batch))
            control("zero")
            # A dump holds the batch and a constant: the rest of one control request and the start
            # of the next. The empty batch measures that constant.
            for mark, count in (("settle", 0), ("empty", 0)) + ((MARK, batch),) * BATCHES:
                go(count)
                control(mark)
    except (BenchError, OSError) as error:
        raise BenchError(server.explain(error)) from error
    finally:
        server.stop(hard=True)
    return read(server.root, batch, keep), answer


def read(root: str, batch: int, keep: bool) -> Count:
    """Reads the dumps of one run."""
    totals = {}
    for path in glob.glob(os.path.join(root, "callgrind.out.*")):
        with open(path, errors="replace") as dump:
            text = dump.read()
        mark = re.search(r"^desc: Trigger: Client Request: (\w+)", text, re.M)
        total = re.search(r"^totals: (\d+)", text, re.M)
        if mark and total:
            number = int(path.rpartition(".")[2])
            totals[number] = (mark.group(1), int(total.group(1)), path)
    empty = next(total for mark, total, _ in totals.values() if mark == "empty")
    batches: list[float] = []
    last = None
    for number in sorted(totals):
        mark, total, path = totals[number]
        if mark == MARK:
            batches.append((total - empty) / batch)
            last = path
    batches = batches[1:]
    mean = statistics.mean(batches)
    return Count(mean, (max(batches) - min(batches)) / mean, last if keep else None)
