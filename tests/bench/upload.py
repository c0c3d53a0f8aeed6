"""Bytes a second of a large multipart upload, and how far the child's memory grows meanwhile."""

import threading
import time
from dataclasses import dataclass, replace
from typing import Callable

import pages
from client import Connection, Response
from load import client_core, cores
from memory import rollup
from peers import ONE_CHILD, Bench, Peer
from verify import check, leave_out
from workloads import Request, Workload

from httpd import BenchError, Server


@dataclass
class Reading:
    """One upload: bytes a second, and by how many bytes resident memory grew meanwhile."""

    rate: float
    growth: int


class Watch(threading.Thread):
    """Samples a process's resident memory until told to stop."""

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self.pid = pid
        self.before = self.peak = rollup(pid)["Rss"]
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.02):
            try:
                self.peak = max(self.peak, rollup(self.pid)["Rss"])
            except OSError:
                return

    def growth(self) -> int:
        """Ends the watch and returns the growth in bytes."""
        self.ended.set()
        self.join()
        return max(0, self.peak - self.before) * 1024


def sized(work: Workload, size: int) -> Workload:
    """The upload row for a file of `size` bytes."""
    return replace(
        work,
        request=pages.upload(Request, size),
        body=pages.upload_answer(size),
        c=tuple(line.replace("upload.txt", "upload-large.txt") for line in work.c),
    )


def measure(
    bench: Bench,
    work: Workload,
    mpm: str,
    rounds: int,
    size: int,
    progress: Callable[[str], None],
    failures: list[str],
) -> dict[str, list[Reading]]:
    """Uploads a file of `size` bytes `rounds` times to each peer in turn, one upload at a time."""
    large = sized(work, size)
    pages.write(bench.data + "/upload-large.txt", pages.upload_answer(size))
    raw = large.request.raw()
    servers: dict[str, Server] = {}
    answers: dict[str, Response] = {}
    readings: dict[str, list[Reading]] = {}
    try:
        for peer in bench.present(work):
            server = servers[peer.name] = peer.server(
                large, mpm, "upload", core=cores()[0], shape=ONE_CHILD[mpm]
            )
            try:
                server.start()
                with Connection(server.port) as connection:
                    answers[peer.name] = check(peer, large, connection.ask(raw))
                readings[peer.name] = []
            except (BenchError, OSError) as error:
                failures.append(
                    "%s (%s): %s: %s" % (work.name, mpm, peer.name, server.explain(error))
                )
        leave_out(work, answers, readings, failures)
        for number in range(rounds):
            for name in list(readings):
                reading = once(bench.peers[name], large, servers[name], raw)
                readings[name].append(reading)
                progress(
                    "%s, %s, round %d of %d: %s %.0f MB/s"
                    % (work.name, mpm, number + 1, rounds, name, reading.rate / 1e6)
                )
    finally:
        for server in servers.values():
            server.stop()
    return readings


def once(peer: Peer, work: Workload, server, raw: bytes) -> Reading:
    """One upload on a new connection."""
    watch = Watch(server.children()[0])
    watch.start()
    try:
        with client_core(), Connection(server.port) as connection:
            began = time.monotonic()
            check(peer, work, connection.ask(raw))
            seconds = time.monotonic() - began
    finally:
        growth = watch.growth()
    return Reading(len(raw) / seconds, growth)
