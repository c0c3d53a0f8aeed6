"""`python -m memcheck`: sends rounds of requests to httpd under valgrind, and judges its report."""

import argparse
import collections
import shutil
import sys
import time

from hostile.client import Client

from memcheck import report
from memcheck.site import SITE, broken_requests, planted_request, sound_requests
from pyhttpd import ModPython, Server
from pyhttpd.install import REPOSITORY

SUPPRESSIONS = REPOSITORY / "tests/memcheck/valgrind.supp"


def valgrind(output) -> list[str]:
    program = shutil.which("valgrind")
    if program is None:
        sys.exit("valgrind not found")
    return [
        program,
        "--tool=memcheck",
        "--vgdb=no",
        "--child-silent-after-fork=yes",
        "--keep-debuginfo=yes",
        # A stack that is cut off may hide that it goes through the module.
        "--num-callers=200",
        "--track-origins=yes",
        "--leak-check=full",
        "--show-leak-kinds=definite",
        "--gen-suppressions=all",
        f"--suppressions={SUPPRESSIONS}",
        "--xml=yes",
        f"--xml-file={output}",
    ]


def play(server, rounds: int) -> collections.Counter:
    """Send the rounds; returns how often each status came back."""
    statuses = collections.Counter()
    client = Client(server.port, 1)
    requests = [*sound_requests(), *broken_requests(), planted_request("leak")]
    for number in range(rounds):
        began = time.monotonic()
        for request in requests:
            answer = client.exchange(request)
            statuses[answer[9:12].decode("latin-1") if answer[:5] == b"HTTP/" else "none"] += 1
        spent = time.monotonic() - began
        print(f"round {number + 1}: {len(requests)} requests in {spent:.0f} s", flush=True)
    client.exchange(planted_request("read"))
    return statuses


def main() -> int:
    parser = argparse.ArgumentParser(prog="memcheck", description=__doc__)
    parser.add_argument("--rounds", type=int, default=4, help="leaks grow in each (default 4)")
    parser.add_argument("--keep", action="store_true", help="keep the server root")
    options = parser.parse_args()

    server = Server(SITE, ModPython.ours(), "prefork", keep=options.keep)
    output = server.root / "logs/valgrind.xml"
    try:
        server.start(("-X",), valgrind(output))
        statuses = play(server, options.rounds)
        ended = server.process.poll()
        server.stop(timeout=300)
        print(f"statuses {dict(sorted(statuses.items()))}")
        if ended is not None:
            print(f"httpd ended with {ended} during the requests:\n{server.said()}")
            return 1
        findings = report.read(output)
    finally:
        server.close()

    planted = {finding.kind for finding in findings if finding.is_planted}
    leaks = [f for f in findings if f.is_planted and report.MODULE in f.objects and f.is_leak]
    if "InvalidRead" not in planted or sum(f.blocks for f in leaks) < options.rounds:
        print(f"the faults on purpose were not found, only {sorted(planted)}")
        return 1
    faults = [finding for finding in findings if report.is_ours(finding, options.rounds)]
    others = [f for f in findings if f not in faults and not f.is_planted]
    print(f"{len(faults)} faults, {len(others)} others: "
          f"{dict(collections.Counter(f.kind for f in others))}")  # fmt: skip
    for finding in faults:
        print(f"\n{finding}")
    if options.keep:
        for finding in others:
            print(f"\nother: {finding}")
        print(f"kept: {server.root}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
