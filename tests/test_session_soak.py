"""Eight children, 32 clients, a few shared sessions: no increment is lost, killed children or not.

`MOD_PYTHON_SOAK=1` makes 50,000 increments of each kind; else there are some hundred, and only
under the prefork MPM.
"""

import collections
import os
import random
import signal
import threading
import time

import pytest

from pyhttpd import Connection, Site
from pyhttpd.server import SCOREBOARD_FULL

LONG = bool(os.environ.get("MOD_PYTHON_SOAK"))
CHILDREN, CLIENTS, SESSIONS = 8, 32, 6
ALL_BUSY = "AH00287: server is within MinSpareThreads of MaxRequestWorkers"
THREADS = 4  # of each child, under the other MPMs
# So many requests go over one connection: more clients than children are to have their turn.
REQUESTS = 10

SITE = Site(
    conf="""
        # Killed children are to be replaced at once.
        <IfModule mpm_prefork_module>
            MinSpareServers %d
        </IfModule>
        <IfModule !mpm_prefork_module>
            MinSpareThreads %d
        </IfModule>
    """
    % (CHILDREN, CHILDREN * THREADS)
    + "\n".join(
        f"""
        <Directory @root@/htdocs/{kind}>
            SetHandler mod_python
            PythonHandler count
            PythonPath "sys.path+['@root@/htdocs']"
            PythonOption mod_python.session.session_type {kind}Session
            PythonOption mod_python.session.database_directory @root@/tmp
            PythonOption mod_python.session.application_path /
        </Directory>
        """
        for kind in ("File", "Dbm")
    ),
    files={
        "count.py": """
            from mod_python import Session, apache

            def handler(req):
                s = Session.Session(req)
                if req.args == "begin":
                    s["n"] = 0
                else:
                    assert not s.is_new()
                    # Of half a save the parts would not fit together.
                    assert len(s["padding"]) == s["n"] * 37 % 7000
                if req.args == "count":
                    s["n"] += 1
                # Up to a size files are written in place, beyond it replaced.
                s["padding"] = "x" * (s["n"] * 37 % 7000)
                s.save()
                req.write("%d" % s["n"])
                return apache.OK
        """,
        "File/x": "",
        "Dbm/x": "",
    },
    children=CHILDREN,
    threads=THREADS,
)


@pytest.fixture(scope="module")
def make_server(make_server, mpm):
    if mpm != "prefork" and not LONG:
        pytest.skip("the short soak is of the prefork MPM")
    return make_server


class Soak:
    """CLIENTS threads that count in SESSIONS sessions, `total` times together."""

    def __init__(self, server, kind, total):
        self.server, self.kind, self.total = server, kind, total
        self.attempted, self.confirmed = collections.Counter(), collections.Counter()
        self.begun = self.broken = 0
        self.mutex = threading.Lock()
        self.wrong = []
        self.cookies = [self.ask("begin").headers["Set-Cookie"] for _ in range(SESSIONS)]
        self.cookies = [cookie.partition(";")[0] for cookie in self.cookies]

    def ask(self, what, cookie=""):
        with Connection(self.server.port) as connection:
            return self.send(connection, what, cookie)

    def send(self, connection, what, cookie):
        return connection.request(f"/{self.kind}/x?{what}", headers=[("Cookie", cookie)])

    def run(self):
        """Count; what is stored is then what was confirmed, or of what broke off some more."""
        threads = [threading.Thread(target=self.client, args=(n,)) for n in range(CLIENTS)]
        for thread in threads:
            thread.start()
        self.meanwhile(threads)
        for thread in threads:
            thread.join()
        assert not self.wrong
        assert sum(self.confirmed.values()) == self.total
        stored = {cookie: int(self.ask("look", cookie).text) for cookie in self.cookies}
        for cookie in self.cookies:
            assert self.confirmed[cookie] <= stored[cookie] <= self.attempted[cookie]
        assert sum(self.attempted.values()) == self.total + self.broken
        return stored

    def meanwhile(self, threads):
        """What happens while the clients are at work."""

    def client(self, seed):
        try:
            self.count(random.Random(seed))
        except Exception as error:
            self.wrong.append(error)

    def count(self, rng):
        connection = Connection(self.server.port, timeout=60)
        while True:
            with self.mutex:
                if self.begun == self.total or self.wrong:
                    break
                self.begun += 1
            cookie = rng.choice(self.cookies)
            while not self.increment(connection, cookie):
                # The child died before, in or after its work: once more, by another one.
                connection.close()
                connection = Connection(self.server.port, timeout=60)
            if rng.randrange(REQUESTS) == 0:
                connection.close()
                connection = Connection(self.server.port, timeout=60)
        connection.close()

    def increment(self, connection, cookie):
        """Whether the server confirmed it."""
        with self.mutex:
            self.attempted[cookie] += 1
        try:
            answer = self.send(connection, "count", cookie)
        except ConnectionError:
            answer = None
        with self.mutex:
            if answer is None or answer.broken:
                self.broken += 1
                return False
            assert answer.status == 200, answer
            self.confirmed[cookie] += 1
            return True


class KillingSoak(Soak):
    """Kills `kills` children while the clients are at work, each when all are there."""

    def __init__(self, server, kind, total, kills):
        super().__init__(server, kind, total)
        self.kills = kills

    def meanwhile(self, threads):
        rng = random.Random(1)
        for number in range(self.kills):
            # Spread over the whole work.
            while self.begun < self.total * (number + 1) / (self.kills + 1):
                assert any(thread.is_alive() for thread in threads), self.wrong
                time.sleep(0.002)
            victim = rng.choice(sorted(self.server.children()))
            os.kill(victim, signal.SIGKILL)
            # Until it has come to know of it, it may still accept a connection, and take it along.
            while victim in self.server.children():
                time.sleep(0.002)


def report(kind, soak, begin, text=""):
    print(
        f"{kind}Session: {soak.total} increments by {CLIENTS} clients, {CHILDREN} children, in "
        f"{time.monotonic() - begin:.1f} s{text}: none lost"
    )


@pytest.mark.parametrize("kind", ["File", "Dbm"])
def test_soak(server, log, mpm, kind):
    log.allow(ALL_BUSY)
    begin = time.monotonic()
    soak = Soak(server, kind, 50000 if LONG else 250)
    stored = soak.run()
    # The event MPM closes connections that only wait when it has no threads left for others.
    assert soak.broken == 0 or mpm == "event"
    assert stored == soak.confirmed
    report(kind, soak, begin)


@pytest.mark.parametrize("kind", ["File", "Dbm"])
def test_soak_with_killed_children(server, log, kind):
    log.deaths_expected = True
    log.allow(ALL_BUSY, SCOREBOARD_FULL)
    kills = 100 if LONG else 3
    begin = time.monotonic()
    soak = KillingSoak(server, kind, 50000 if LONG else 250, kills)
    stored = soak.run()
    assert soak.broken or not LONG
    surplus = sum(stored.values()) - soak.total
    assert 0 <= surplus <= soak.broken
    text = f", {kills} children killed, {soak.broken} answers broken off, {surplus} of them saved"
    report(kind, soak, begin, text)
