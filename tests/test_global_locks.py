"""_apache._global_lock and friends: among processes and threads, and when a holder is killed."""

import contextlib
import os
import signal
import threading
import time

import pytest

from pyhttpd import Connection, Response, Site, client

LOCKS = """
    import os, time
    import _apache
    from mod_python import apache

    TRACE = "@root@/trace"

    def note(*words):
        # One write to a file opened for appending: lines of several processes stay whole.
        with open(TRACE, "ab", 0) as file:
            file.write((" ".join(map(str, words)) + "\\n").encode())

    def handler(req):
        return globals()[req.path_info.strip("/")](req)

    def noted(word):
        with open(TRACE) as file:
            return file.read().count(word)

    def hold(req):
        key, seconds, others = req.args.split("&")
        note("comes", key, os.getpid())
        _apache._global_lock(req.server, key)
        note("enter", key, os.getpid())
        # Not before so many have come in all.
        while noted("comes") < int(others):
            time.sleep(0.01)
        time.sleep(float(seconds))
        note("leave", key, os.getpid())
        _apache._global_unlock(req.server, key)
        req.write(str(os.getpid()))
        return apache.OK

    KEYS = ["text", "caf\\xe9", b"bytes", 5, 2**70, ("a", 1), None, 1.5, set, "\\udcff"]

    def keep(req):
        "Takes the lock of each key that is free, and waits until it may give them back."
        taken = [key for key in KEYS if _apache._global_trylock(req.server, key)]
        note("kept", "-", os.getpid())
        while not os.path.exists(TRACE + ".release"):
            time.sleep(0.01)
        for key in taken:
            _apache._global_unlock(req.server, key)
        req.write("%d of %d" % (len(taken), len(KEYS)))
        return apache.OK

    def free(req):
        "Which of the keys are free."
        found = []
        for key in KEYS:
            if _apache._global_trylock(req.server, key):
                found.append(repr(key))
                _apache._global_unlock(req.server, key)
        req.write("%d %s" % (os.getpid(), " ".join(found)))
        return apache.OK

    def recursive(req):
        _apache._global_lock(req.server, "twice")
        req.write("%s " % _apache._global_trylock(req.server, "twice"))
        _apache._global_unlock(req.server, "twice")
        req.write("%s" % _apache._global_trylock(req.server, "twice"))
        _apache._global_unlock(req.server, "twice")
        return apache.OK

    def indexes(req):
        count = 0
        while True:
            try:
                _apache._global_lock(req.server, "ignored", count)
            except ValueError as error:
                req.write("%d %s\\n" % (count, error))
                break
            _apache._global_unlock(req.server, None, count)
            count += 1
        for index in (-2, -(2**40), 2**40):
            try:
                _apache._global_lock(req.server, "ignored", index)
            except (ValueError, OverflowError) as error:
                req.write("%s\\n" % error)
        for number in range(200):
            # No key is without a lock, however few there are.
            _apache._global_lock(req.server, "key %d" % number)
            _apache._global_unlock(req.server, "key %d" % number)
        return apache.OK
"""


def site(options="", children=5):
    return Site(
        conf=f"""
            {options}
            <Directory @root@/htdocs/locks>
                SetHandler mod_python
                PythonHandler locks
            </Directory>
        """,
        files={"locks/locks.py": LOCKS, "locks/x": ""},
        children=children,
        threads=5,
    )


SITE = site()


@pytest.fixture
def trace(server):
    """The lines that holders of locks have written: lists of words."""
    path = server.root / "trace"
    path.write_text("")
    path.chmod(0o666)
    release = server.root / "trace.release"
    release.unlink(missing_ok=True)

    def lines(count, *kinds):
        deadline = time.monotonic() + 60
        while True:
            rows = [line.split() for line in path.read_text().splitlines()]
            found = [row for row in rows if row[0] in kinds]
            if len(found) >= count:
                return found
            assert time.monotonic() < deadline, rows
            time.sleep(0.01)

    yield lines
    release.write_text("")


@pytest.fixture
def asked(server):
    """`asked(path)`: a request in a thread of its own, whose answer comes into a list."""
    threads = []

    def ask(path):
        answers = []
        thread = threading.Thread(target=lambda: answers.append(get(server, path)))
        thread.start()
        threads.append(thread)
        return answers

    yield ask
    for thread in threads:
        thread.join(60)


def get(server, path):
    """The answer; one of a child that is killed may not even take the request."""
    try:
        return client.get(server.port, path)
    except ConnectionError:
        return Response(broken="no answer")


def first(answers):
    deadline = time.monotonic() + 60
    while not answers:
        assert time.monotonic() < deadline, "no answer"
        time.sleep(0.01)
    return answers[0]


def test_holders_take_turns(trace, asked, mpm):
    """Five holders of a tenth of a second take half of one at least."""
    begin = time.monotonic()
    answers = [asked("/locks/x/hold?key&0.1&5") for _ in range(5)]
    found = trace(10, "enter", "leave")
    assert time.monotonic() - begin >= 0.5
    for enter, leave in zip(found[::2], found[1::2]):
        assert (enter[0], leave[0]) == ("enter", "leave")
        assert enter[1:] == leave[1:]
    if mpm == "prefork":
        # All waited at once, each in its own process.
        assert len({words[2] for words in found}) == 5
    assert {first(answer).status for answer in answers} == {200}


def test_a_killed_holder_lets_go(server, trace, asked, log, mpm):
    log.deaths_expected = True
    log.allow("AH00051|AH00052|AH00545")  # the parent on a child that was killed
    killed = asked("/locks/x/hold?key&600&0")
    pid = int(trace(1, "enter")[0][2])
    waiting = [asked("/locks/x/hold?key&0&0") for _ in range(3)]
    trace(4, "comes")
    assert not any(waiting)
    os.kill(pid, signal.SIGKILL)
    # Those who waited in another process go on; a thread of the killed one is asked for again.
    deadline = time.monotonic() + 60
    for answers in waiting:
        answer = first(answers)
        if mpm == "prefork":
            assert answer.status == 200
        while answer.status != 200:
            assert time.monotonic() < deadline, answer
            answer = get(server, "/locks/x/hold?key&0&0")
    assert first(killed).status == 0


def test_every_child_means_the_same_lock(server, trace, asked):
    """Also for keys whose hash in Python differs from process to process."""
    kept = asked("/locks/x/keep")
    holder = trace(1, "kept")[0][2]
    with contextlib.ExitStack() as connections:
        pid = holder
        # Each stays with its child, which has room for some only.
        for _ in range(200):
            connection = connections.enter_context(Connection(server.port))
            pid, _, free = connection.request("/locks/x/free").text.partition(" ")
            assert free == "", f"{free} are free in {pid}, though {holder} has them"
            if pid != holder:
                break
        assert pid != holder, "no other child answered"
    (server.root / "trace.release").write_text("")
    # Some keys may share a lock; but more than one lock was taken.
    taken, of = first(kept).text.split(" of ")
    assert 1 < int(taken) <= int(of) == 10


def test_not_recursive(get):
    assert get("/locks/x/recursive").text == "False True"


@pytest.mark.parametrize(("wanted", "count"), [("0", 2), ("4", 4), ("100000", 5)])
def test_numbers_of_locks(make_server, watch, mpm, wanted, count):
    """From 2 up to as many as there can be clients."""
    if mpm != "event":
        pytest.skip("the number of locks is computed alike under every MPM")
    option = f"PythonOption mod_python.mutex_locks {wanted}"
    with make_server(site(option, children=1)) as server:
        log = watch(server)
        log.allow("is out of range for number of global mutex locks")
        lines = client.get(server.port, "/locks/x/indexes").text.splitlines()
        told = "Lock index is out of range for number of global mutex locks"
        assert lines == [f"{count} {told}", *[told] * 3]
        assert f"Creating {count} session mutexes" in server.said()


def test_mutex_directory(make_server, watch, mpm):
    """Where the mutexes are in memory a directory for them is not used, and the log says so."""
    if mpm != "event":
        pytest.skip("the mutexes are the same under every MPM")
    with make_server(site("PythonOption mod_python.mutex_directory @root@/nowhere")) as server:
        watch(server)
        said = server.said()
        assert client.get(server.port, "/locks/x/recursive").text == "False True"
        assert not list(server.root.rglob("mpmtx*"))
    assert f"mutex_directory {server.root}/nowhere is not used: the mutexes are in memory" in said
    assert "using mutex_directory" not in said
