"""PythonStatus under load, while children are killed and the server restarts: no sum is ever wrong.

Only with MOD_PYTHON_SOAK=1, that is in `make soak`.
"""

import json
import os
import random
import signal
import threading
import time

import pytest

from pyhttpd import Site, client

HANDLER = """
    from mod_python import Session, apache

    def handler(req):
        session = Session.Session(req)
        session["n"] = session.get("n", 0) + 1
        session.save()
        req.write("kept")
        return apache.OK
"""
SITE = Site(
    conf="""
        PythonStatus On
        <Directory @root@/htdocs/kept>
            SetHandler mod_python
            PythonHandler kept
            PythonOption mod_python.session.session_type FileSession
            PythonOption mod_python.session.database_directory @root@/tmp
        </Directory>
        <Location /python-status>
            SetHandler python-status
        </Location>
    """,
    files={"kept/kept.py": HANDLER},
    children=4,
    threads=8,
)


class Load(threading.Thread):
    """Requests one after the other, until told to stop; how many were answered in full, and not."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port = port
        self.done = self.lost = 0
        self.stops = threading.Event()

    def run(self):
        while not self.stops.is_set():
            try:
                answer = client.get(self.port, "/kept/x")
                is_whole = answer.status == 200 and not answer.broken
            except OSError:
                is_whole = False
            if is_whole:
                self.done += 1
            else:
                self.lost += 1


def flat(status):
    """Every sum of a status by name."""
    names = ("requests", "errors", "seconds", "gil_waits", "gil_wait_seconds", "session_waits")
    sums = {name: status[name] for name in names}
    sums.update(((row["phase"], row["handler"]), row["calls"]) for row in status["handlers"])
    for group in ("sessions", "code"):
        rows = status[group] if group == "sessions" else {"": status[group]}
        for kind, events in rows.items():
            sums.update(((group, kind, event), number) for event, number in events.items())
    return sums


def test_sums_while_children_are_killed(make_server, request):
    if not os.environ.get("MOD_PYTHON_SOAK"):
        pytest.skip("in make soak only")
    with make_server(SITE) as server:
        loads = [Load(server.port) for _ in range(6)]
        for load in loads:
            load.start()
        last, kills, restarts, looks = {}, 0, 0, 0
        end = time.monotonic() + min(float(request.config.getoption("--soak")), 60)
        try:
            while time.monotonic() < end:
                time.sleep(0.05)
                children = sorted(server.children())
                if children and random.random() < 0.2:
                    os.kill(random.choice(children), signal.SIGKILL)
                    kills += 1
                if random.random() < 0.01:
                    os.kill(server.process.pid, signal.SIGUSR1)
                    restarts += 1
                answered = sum(load.done for load in loads)
                which = random.choice(["?json", "?json&stacks"])
                try:
                    status = json.loads(client.get(server.port, "/python-status" + which).text)
                except (OSError, ValueError):
                    continue  # by the child that was killed
                looks += 1
                assert status["requests"] >= answered
                sums = flat(status)
                fallen = {name for name, value in last.items() if sums.get(name, 0) < value}
                assert not fallen
                last = sums
        finally:
            for load in loads:
                load.stops.set()
            for load in loads:
                load.join()
        # The last one that was killed may have taken a connection along.
        while not (text := client.get(server.port, "/python-status?json").text):
            pass
        status = json.loads(text)
        done, lost = sum(load.done for load in loads), sum(load.lost for load in loads)
        print(f"{done} answered, {lost} lost, {kills} kills, {restarts} restarts, {looks} looks")
        # One that was lost may have been counted before its answer was sent.
        assert done <= status["requests"] <= done + lost
        assert (status["running"], status["running_unlisted"]) == ([], 0)
