"""Processes that count in shared sessions, some killed in the middle: nothing may be lost."""

import collections
import os
import pathlib
import random
import signal
import sys
import tempfile
import time

import fake_httpd
import pytest
from fake_httpd import Request

from mod_python import Session

SESSIONS, PROCESSES = 4, 6


def dbm_modules():
    from importlib import import_module

    for name in ("gnu", "ndbm", "dumb"):
        try:
            yield import_module("dbm." + name)
        except ImportError:
            pass


# dbm.dumb keeps two files, which cannot be replaced at once.
ATOMIC = [m for m in dbm_modules() if m.__name__ != "dbm.dumb"]


@pytest.fixture
def directory():
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as path:
        yield pathlib.Path(path)


def opener(kind, directory, **kw):
    def open_session(sid=0):
        return kind(Request(session_directory=str(directory)), sid=sid, **kw)

    return open_session


def count_forever(open_session, sids, confirm):
    rng = random.Random(os.getpid())
    while True:
        sid = rng.choice(sids)
        s = open_session(sid)
        assert not s.is_new()
        s["n"] += 1
        s["padding"] = "x" * rng.randrange(3000)
        s.save()
        del s
        os.write(confirm, sid.encode() + b"\n")


def start(open_session, sids, pipe):
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        count_forever(open_session, sids, pipe[1])
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def soak(open_session, kills):
    """Let PROCESSES count, kill one after the other, and compare what they said with what is."""
    sids = []
    for _ in range(SESSIONS):
        s = open_session()
        s["n"] = 0
        s.save()
        sids.append(s.id())
        del s
    pipe = os.pipe()
    os.set_blocking(pipe[0], False)
    confirmed = collections.Counter()
    said = b""
    running = [start(open_session, sids, pipe) for _ in range(PROCESSES)]
    rng = random.Random(1)
    failed = []
    try:
        for number in range(kills + PROCESSES):
            target = sum(confirmed.values()) + rng.randrange(1, 40)
            deadline = time.monotonic() + 60
            while sum(confirmed.values()) < target:
                try:
                    said += os.read(pipe[0], 1 << 20)
                except BlockingIOError:
                    assert time.monotonic() < deadline, "nobody counts any more"
                    time.sleep(0.0002)
                *lines, said = said.split(b"\n")
                confirmed.update(line.decode() for line in lines)
                if not running:
                    break
            victim = running.pop(0)
            os.kill(victim, signal.SIGKILL)
            failed.append(os.waitpid(victim, 0)[1] != signal.SIGKILL)
            if number < kills:
                running.append(start(open_session, sids, pipe))
            elif not running:
                break
    finally:
        for pid in running:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    try:
        while True:
            said += os.read(pipe[0], 1 << 20)
    except BlockingIOError:
        pass
    confirmed.update(line.decode() for line in said.split(b"\n") if line)
    os.close(pipe[0])
    os.close(pipe[1])
    assert not any(failed), "a process failed by itself"
    unconfirmed = 0
    for sid in sids:
        s = open_session(sid)
        assert not s.is_new()
        assert s["n"] >= confirmed[sid], "an increment was lost"
        unconfirmed += s["n"] - confirmed[sid]
        del s
    # Each victim may have saved once more than it said.
    assert unconfirmed <= kills + PROCESSES


@pytest.mark.parametrize("name", ["FileSession", "DbmSession"])
@pytest.mark.parametrize("serializer", ["pickle", "json"])
def test_kill(directory, monkeypatch, name, serializer):
    monkeypatch.setattr(Session, "_apache", fake_httpd.fake_apache(directory / "lock"))

    def open_session(sid=0):
        return getattr(Session, name)(
            Request(session_directory=str(directory), mod_python__session__serializer=serializer),
            sid=sid,
        )

    soak(open_session, kills=60)


@pytest.mark.parametrize("module", ATOMIC, ids=lambda m: m.__name__)
def test_kill_with_dbmtype(directory, monkeypatch, module):
    monkeypatch.setattr(Session, "_apache", fake_httpd.fake_apache(directory / "lock"))
    soak(opener(Session.DbmSession, directory, dbmtype=module), kills=40)
