"""Checks that all peers answer a workload with the same bytes, before anything is timed."""

from dataclasses import replace

from client import Connection, Response
from peers import Peer
from workloads import Workload

from httpd import BenchError


def request_of(peer: Peer, work: Workload) -> bytes:
    """The workload's request as this peer gets it."""
    return replace(work.request, path=peer.path(work)).raw()


def session_requests(peer: Peer, work: Workload, connection: Connection) -> list[bytes]:
    """The requests to turn through: one, or one with each of the session cookies just made."""
    if not work.sessions or peer.name == "c":
        return [request_of(peer, work)]
    found = []
    for _ in range(work.sessions):
        answer = check(peer, work, connection.ask(request_of(peer, work)))
        cookie = answer.get("Set-Cookie").partition(";")[0]
        if not cookie:
            raise BenchError("%s made no session cookie" % peer.name)
        request = replace(
            work.request, path=peer.path(work), headers=(*work.request.headers, ("Cookie", cookie))
        )
        found.append(request.raw())
    return found


def check(peer: Peer, work: Workload, answer: Response) -> Response:
    """The answer, when its status is 200 and its body the expected one; else raises BenchError."""
    if answer.status != 200:
        raise BenchError(
            "%s answered status %d instead of 200" % (peer.name, answer.status)
        )
    if work.body is not None and answer.body != work.body:
        raise BenchError(
            "%s answered a wrong body (%d bytes, expected %d): %r"
            % (peer.name, len(answer.body), len(work.body), answer.body[:80])
        )
    return answer


def sample(peer: Peer, work: Workload, port: int) -> Response:
    """One settled answer of a running server (of a known session where there are sessions)."""
    with Connection(port) as connection:
        raws = session_requests(peer, replace(work, sessions=min(work.sessions, 1)), connection)
        check(peer, work, connection.ask(raws[0]))
        return check(peer, work, connection.ask(raws[0]))


def compare(work: Workload, answers: dict[str, Response]) -> list[str]:
    """What differs between the peers: bodies and essential headers, against the first peer."""
    found = []
    names = list(answers)
    for name in names[1:]:
        first, other = answers[names[0]], answers[name]
        if other.body != first.body:
            found.append(
                "%s: the bodies of %s and %s differ (%r, %r)"
                % (work.name, names[0], name, first.body[:60], other.body[:60])
            )
        if other.essence() != first.essence():
            only_first = [h for h in first.essence() if h not in other.essence()]
            only_other = [h for h in other.essence() if h not in first.essence()]
            found.append(
                "%s: the headers of %s and %s differ: %s against %s"
                % (work.name, names[0], name, only_first, only_other)
            )
    return found
