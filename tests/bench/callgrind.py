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


class Steered:
    """A peer's server under callgrind and a connection to it; a context that stops both.

    Errors inside the context are raised as BenchError with the last line of the server's log.
    """

    def __init__(self, peer: Peer, work: Workload):
        self.server = peer.server(
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
        self.root = self.server.root

    def __enter__(self) -> "Steered":
        self.server.start()
        self.connection = Connection(self.server.port, 600)
        return self

    def __exit__(self, kind, error, trace) -> None:
        self.connection.close()
        text = self.server.explain(error) if isinstance(error, (BenchError, OSError)) else ""
        self.server.stop(hard=True)
        if text:
            raise BenchError(text) from error

    def reconnect(self) -> None:
        """Opens a new connection, after an answer that ended the old one."""
        self.connection.close()
        self.connection = Connection(self.server.port, 600)

    def control(self, word: str) -> None:
        """Has mod_callgrind start, zero, or dump under the name `word`."""
        raw = "GET /~callgrind/%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % word
        done = self.connection.ask(raw.encode())
        if done.body != b"done\n":
            raise BenchError("mod_callgrind does not answer: %r" % done)


def measure(peer: Peer, work: Workload, keep: bool = False) -> tuple[Count, Response]:
    """Counts one workload of one peer; with `keep` the last dump's path is kept for a profile.

    Raises BenchError when the server does not start or answers wrongly.
    """
    batch = work.batch
    with Steered(peer, work) as server:
        raws = session_requests(peer, work, server.connection)
        answer = check(peer, work, server.connection.ask(raws[0]))

        def go(count: int) -> None:
            for i in range(count):
                check(peer, work, server.connection.ask(raws[i % len(raws)]))

        go(min(WARM_UP, 3 * batch))
        server.control("start")
        go(min(10, batch))
        server.control("zero")
        # A dump holds the batch and a constant: the rest of one control request and the start of
        # the next. The empty batch measures that constant.
        for mark, count in (("settle", 0), ("empty", 0)) + ((MARK, batch),) * BATCHES:
            go(count)
            server.control(mark)
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
