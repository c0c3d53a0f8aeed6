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
        raise BenchError("%s answered status %d instead of 200" % (peer.name, answer.status))
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


def compare(work: Workload, answers: dict[str, Response]) -> dict[str, str]:
    """The peers whose body or essential headers differ from the first peer's, and how."""
    found = {}
    for name, other in list(answers.items())[1:]:
        against, first = next(iter(answers.items()))
        pair = (work.name, against, name)
        if other.body != first.body:
            found[name] = "%s: the bodies of %s and %s differ" % pair
            found[name] += " (%r, %r)" % (first.body[:60], other.body[:60])
        elif other.essence() != first.essence():
            found[name] = "%s: the headers of %s and %s differ" % pair
            found[name] += ": %s against %s" % (
                [h for h in first.essence() if h not in other.essence()],
                [h for h in other.essence() if h not in first.essence()],
            )
    return found


def leave_out(
    work: Workload, answers: dict[str, Response], figures: dict, failures: list[str]
) -> None:
    """Takes the peers that answer differently out of `figures` and reports them in `failures`."""
    for name, difference in compare(work, answers).items():
        failures.append(difference)
        figures.pop(name, None)
