"""`python -m memcheck`: sends rounds of requests to httpd under a watcher of memory, and judges."""

import argparse
import collections
import sys
import time

from hostile.client import Client

from memcheck import asan, valgrind
from memcheck.site import SITE, broken_requests, planted_request, sound_requests
from pyhttpd import ModPython, Server

WATCHERS = {"valgrind": valgrind, "asan": asan}


def play(client, rounds: int) -> collections.Counter:
    """Send the rounds; returns how often each status came back."""
    statuses = collections.Counter()
    requests = [*sound_requests(), *broken_requests(), planted_request("leak")]
    for number in range(rounds):
        began = time.monotonic()
        for request in requests:
            answer = client.exchange(request)
            statuses[answer[9:12].decode("latin-1") if answer[:5] == b"HTTP/" else "none"] += 1
        spent = time.monotonic() - began
        print(f"round {number + 1}: {len(requests)} requests in {spent:.0f} s", flush=True)
    return statuses


def main() -> int:
    parser = argparse.ArgumentParser(prog="memcheck", description=__doc__)
    parser.add_argument("watcher", nargs="?", choices=WATCHERS, default="valgrind")
    parser.add_argument("--rounds", type=int, default=4, help="leaks grow in each (default 4)")
    parser.add_argument("--keep", action="store_true", help="keep the server root, tell more")
    options = parser.parse_args()
    if options.rounds < 3:
        parser.error("a leak shows from 3 rounds on")
    watcher = WATCHERS[options.watcher]

    server = Server(SITE, ModPython.ours(), "prefork", keep=options.keep)
    try:
        server.start(("-X",), watcher.prefix(server.root))
        client = Client(server.port, 1)
        ended = None
        try:
            statuses = play(client, options.rounds)
        except ConnectionRefusedError:
            ended = server.process.wait(60)
        else:
            print(f"statuses {dict(sorted(statuses.items()))}")
            client.exchange(planted_request("read"))
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
