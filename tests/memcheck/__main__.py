"""`python -m memcheck`: sends rounds of requests to httpd under a watcher of memory, and judges."""

import argparse
import collections
import sys
import threading
import time

from hostile.client import Client

from memcheck import asan, tsan, valgrind
from memcheck.site import broken_requests, planted_request, site, sound_requests
from pyhttpd import ModPython, Server
from pyhttpd.server import MPMS

WATCHERS = {"valgrind": valgrind, "asan": asan, "tsan": tsan}
# A threaded MPM is to have work for several of its threads at any moment.
CLIENTS = 4
# Seconds that a request may take; under valgrind the first ones import a lot.
PATIENCE = 300.0


class Player(threading.Thread):
    """A client that sends, one after the other, what it gets of the requests of a round."""

    def __init__(self, port: int, requests):
        super().__init__()
        self.client = Client(port, 1, PATIENCE)
        self.requests = requests
        self.statuses = collections.Counter()
        self.error = None

    def run(self):
        try:
            for request in self.requests:
                answer = self.client.exchange(request)
                is_http = answer[:5] == b"HTTP/"
                self.statuses[answer[9:12].decode("latin-1") if is_http else "none"] += 1
        except Exception as error:  # raised again by `play`
            self.error = error


class Shared:
    """An iterator for several threads."""

    def __init__(self, items):
        self.items = iter(items)
        self.lock = threading.Lock()

    def __iter__(self):
        return self

    def __next__(self):
        with self.lock:
            return next(self.items)


def play(port: int, rounds: int, clients: int) -> collections.Counter:
    """Send the rounds; returns how often each status came back."""
    statuses = collections.Counter()
    requests = [*sound_requests(), *broken_requests(), planted_request("leak")]
    for number in range(rounds):
        began = time.monotonic()
        shared = Shared(requests)
        players = [Player(port, shared) for _ in range(clients)]
        for player in players:
            player.start()
        for player in players:
            player.join()
            statuses.update(player.statuses)
        for player in players:
            if player.error is not None:
                raise player.error
        spent = time.monotonic() - began
        print(f"round {number + 1}: {len(requests)} requests in {spent:.0f} s", flush=True)
    return statuses


def main() -> int:
    parser = argparse.ArgumentParser(prog="memcheck", description=__doc__)
    parser.add_argument("watcher", nargs="?", choices=WATCHERS, default="valgrind")
    parser.add_argument("--rounds", type=int, default=4, help="leaks grow in each (default 4)")
    parser.add_argument("--mpm", choices=MPMS, default="prefork", help="httpd's MPM (prefork)")
    parser.add_argument("--python", help="what MOD_PYTHON_SO was built for, if it is another one")
    parser.add_argument("--keep", action="store_true", help="keep the server root, tell more")
    options = parser.parse_args()
    if options.rounds < 3:
        parser.error("a leak shows from 3 rounds on")
    watcher = WATCHERS[options.watcher]

    ModPython.other_python = options.python
    clients = 1 if options.mpm == "prefork" else CLIENTS
    server = Server(site(options.mpm), ModPython.ours(), options.mpm, keep=options.keep)
    try:
        server.start(("-X",), watcher.prefix(server.root))
        ended = None
        try:
            statuses = play(server.port, options.rounds, clients)
        except ConnectionRefusedError:
            ended = server.process.wait(60)
        else:
            print(f"statuses {dict(sorted(statuses.items()))}")
            Client(server.port, 1, PATIENCE).exchange(planted_request(watcher.FAULT))
        server.stop(timeout=300)
        problems = watcher.judge(server.root, options.rounds, options.keep)
        if ended is not None:
            problems.append(f"httpd ended with {ended} during the requests:\n{server.said()}")
    finally:
        server.close()
    for problem in problems:
        print(f"\n{problem}")
    if options.keep:
        print(f"kept: {server.root}")
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
