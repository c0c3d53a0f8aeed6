"""Which Python functions a request of ours calls, and for how long: cProfile in a child."""

import os
from dataclasses import replace

from client import Connection
from peers import Peer
from verify import check, session_requests
from workloads import Workload

from httpd import BenchError

REQUESTS = 500
PATH = "/~profile/"


def measure(peer: Peer, work: Workload, rows: int = 40) -> str:
    """The functions that take most time, a request: calls, microseconds, with callees, name.

    The profiler itself takes time at every call, so read the shares and not the sums.
    Raises BenchError when the server does not start or answers wrongly.
    """
    sections = ["PythonImport pyprofile localhost"]
    for word in ("clear", "dump"):
        sections += [
            '<Location "%s%s">' % (PATH, word),
            "SetHandler mod_python",
            "PythonHandler pyprofile::" + word,
            "PythonPath sys.path",
            "</Location>",
        ]
    path = os.pathsep.join(filter(None, (peer.env.get("PYTHONPATH"), peer.bench.htdocs)))
    profiled = replace(work, name=work.name + "-profile")
    server = peer.server(profiled, "prefork", "python", one_process=True, env={"PYTHONPATH": path})
    with open(server.config, "a") as config:
        config.write("\n".join(sections) + "\n")
    server.start()
    try:
        with Connection(server.port) as connection:
            raws = session_requests(peer, work, connection)

            def go(count: int) -> None:
                for i in range(count):
                    check(peer, work, connection.ask(raws[i % len(raws)]))

            def control(word: str) -> str:
                raw = "GET %s%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (PATH, word)
                answer = connection.ask(raw.encode())
                if answer.status != 200:
                    raise BenchError("the profile answers status %d" % answer.status)
                return answer.body.decode()

            go(100)
            control("clear")
            go(REQUESTS)
            return table(control("dump"), peer.bench.root, rows)
    except (BenchError, OSError) as error:
        raise BenchError(server.explain(error)) from error
    finally:
        server.stop()


def table(dump: str, root: str, rows: int) -> str:
    """The dump's lines, the costliest first, with paths cut short."""
    found = []
    for line in dump.splitlines():
        calls, own, total, name = line.split("\t")
        found.append((float(own), int(calls), float(total), name.replace(root + "/", "")))
    found.sort(reverse=True)
    lines = ["    calls  own us  with callees us"]
    for own, calls, total, name in found[:rows]:
        figures = (calls / REQUESTS, own / REQUESTS * 1e6, total / REQUESTS * 1e6, name)
        lines.append("%9.2f %7.2f %9.2f  %s" % figures)
    return "\n".join(lines)
