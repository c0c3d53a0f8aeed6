"""SocacheSession under a real httpd: shared memory, Redis, memcached, and their failures."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

from pyhttpd import Httpd, Site, client
from pyhttpd.server import StartError, free_port

HANDLER = """
    import os
    from mod_python import Session, apache

    def handler(req):
        args = dict(pair.split("=") for pair in (req.args or "").split("&") if pair)
        req.content_type = "text/plain"
        s = Session.Session(req, timeout=int(args.get("timeout", 0)))
        if "set" in args:
            s["value"] = args["set"] * int(args.get("times", 1))
            try:
                s.save()
            except ValueError as error:
                req.write("ValueError: %s" % error)
                return apache.OK
        if "invalidate" in args:
            s.invalidate()
        value = s.get("value")
        if value is not None and len(value) > 100:
            value = "%d %s" % (len(value), value[0])
        req.write("%s %s %s %d" % (s.id(), s.is_new(), value, os.getpid()))
        return apache.OK
"""


def site(directive="", modules=("socache_shmcb",), serializer="pickle", **more):
    conf = f"""
        {directive}
        <Directory @root@/htdocs/app>
            SetHandler mod_python
            PythonHandler app
            PythonOption mod_python.session.session_type SocacheSession
            PythonOption mod_python.session.serializer {serializer}
        </Directory>
    """
    return Site(conf=conf, files={"app/app.py": HANDLER}, modules=modules, **more)


class Visitor:
    """A browser: it keeps the session's cookie."""

    def __init__(self, server):
        self.server = server
        self.cookie = None

    def get(self, query=""):
        headers = [("Cookie", self.cookie)] if self.cookie else []
        answer = client.get(self.server.port, "/app/?" + query, headers=headers)
        for cookie in answer.headers.get_all("Set-Cookie"):
            self.cookie = cookie.partition(";")[0]
        return answer

    def value(self, query=""):
        answer = self.get(query)
        assert answer.status == 200, answer.text
        return self.read(answer)[2]

    def read(self, answer):
        """Session id, whether it is new, value, process id."""
        sid, is_new, value, pid = re.fullmatch(
            r"([0-9a-f]{32}) (True|False) (.*) (\d+)", answer.text
        ).groups()
        return sid, is_new == "True", value, int(pid)


RAISES = r"PythonHandler app: (Traceback|  File|\w+: MP064)"


@pytest.fixture
def event_only(mpm):
    if mpm != "event":
        pytest.skip("does not depend on the MPM; runs with --mpm event")


# --- shared memory

SITE = site(children=3)


def test_children_share_a_session(server):
    visitor = Visitor(server)
    sid, is_new, value, writer = visitor.read(visitor.get("set=hello"))
    assert (is_new, value) == (True, "hello")
    readers = set()
    deadline = time.monotonic() + 60
    # Connections that stay open make another child accept.
    with contextlib.ExitStack() as held:
        while not readers - {writer}:
            assert time.monotonic() < deadline, "one child serves everything"
            held.enter_context(server.socket())
            found = visitor.read(visitor.get())
            assert found[:3] == (sid, False, "hello")
            readers.add(found[3])


def test_a_session_is_changed_and_ended(server):
    visitor = Visitor(server)
    for text in ("a", "bb", "c" * 80):
        assert visitor.value("set=" + text) == text
        assert visitor.value() == text
    cookie = visitor.cookie
    visitor.get("invalidate=1")
    visitor.cookie = cookie
    assert visitor.value() == "None"


def test_sessions_expire(event_only, server):
    visitor = Visitor(server)
    visitor.value("set=x&timeout=1")
    time.sleep(2.1)  # what expires by the clock has to be waited for
    answer = visitor.read(visitor.get())
    assert answer[1:3] == (True, "None")


def test_a_session_that_is_too_large(server):
    visitor = Visitor(server)
    visitor.value("set=before")
    assert visitor.value("set=l&times=100000") == "100000 l"
    text = visitor.get("set=x&times=300000").text
    assert re.fullmatch(
        r"ValueError: MP0641: the session has 300\d\d\d bytes, and the session cache shmcb takes "
        r"245\d\d\d at most",
        text,
    )
    assert visitor.value() == "100000 l"  # as it was


def test_sessions_survive_restarts(make_server, watch):
    server = make_server(SITE)
    with server:
        watch(server)
        visitor = Visitor(server)
        visitor.value("set=kept")
        for restart in (server.graceful, server.restart):
            restart()
            assert visitor.value() == "kept"
            assert visitor.value("set=kept") == "kept"


def check_the_largest(server):
    """What we call the largest is one that shmcb takes; it logs an error for what it refuses."""
    visitor = Visitor(server)
    refusal = visitor.get("set=x&times=900000").text
    limit = int(re.search(r"takes (\d+) at most", refusal).group(1))
    has = int(re.search(r"has (\d+) bytes", refusal).group(1))
    largest = 900_000 - (has - limit) - 4  # a pickle's numbers are shorter with less to tell
    assert largest > 100
    for _ in range(3):
        assert visitor.value("set=x&times=%d" % largest) == "%d x" % largest
        assert visitor.value() == "%d x" % largest


def test_another_size_begins_anew(event_only, make_server, watch):
    server = make_server(site("PythonSessionCache shmcb:@root@/run/cache(8192)"))
    with server:
        watch(server)
        check_the_largest(server)
        visitor = Visitor(server)
        visitor.value("set=kept")
        server.site = site("PythonSessionCache shmcb:@root@/run/cache(200000)")
        server.graceful()
        assert visitor.value() == "None"
        assert visitor.value("set=new") == "new"
        assert visitor.value() == "new"
        check_the_largest(server)


# --- without a provider


def test_without_a_provider(event_only, make_server, watch):
    server = make_server(site(modules=()))
    with server:
        log = watch(server)
        log.allow(RAISES)
        log.expect(
            "MP0640: SocacheSession has no session cache: no PythonSessionCache is configured"
        )
        log.expect("LoadModule socache_shmcb_module modules/mod_socache_shmcb.so")
        assert Visitor(server).get("set=1").status == 500


def test_none(event_only, make_server, watch):
    server = make_server(site("PythonSessionCache none"))
    with server:
        log = watch(server)
        log.allow(RAISES)
        log.expect("MP0640: SocacheSession has no session cache: PythonSessionCache none")
        assert Visitor(server).get("set=1").status == 500


@pytest.mark.parametrize(
    "directive, complaint",
    [
        (
            "PythonSessionCache redis:localhost",
            'PythonSessionCache: there is no session cache provider "redis"; "LoadModule '
            'socache_redis_module modules/mod_socache_redis.so" has to come before',
        ),
        ("PythonSessionCache shmcb:/x(12)", "PythonSessionCache: Invalid argument: size has"),
        (
            "<VirtualHost *>\nPythonSessionCache shmcb\n</VirtualHost>",
            "PythonSessionCache concerns the whole process: it cannot stand in a <VirtualHost>",
        ),
        (
            "LoadModule socache_redis_module @modules@/mod_socache_redis.so\n"
            "PythonSessionCache redis",
            "PythonSessionCache: List of server names required",
        ),
    ],
)
def test_wrong_directives(event_only, make_server, directive, complaint):
    directive = directive.replace("@modules@", str(Httpd.find().modules))
    done = make_server(site(directive)).configtest()
    assert done.returncode != 0
    assert complaint in done.stdout


def test_a_server_that_cannot_be_named(event_only, make_server):
    server = make_server(site("PythonSessionCache redis:x:99999", ("socache_redis",)))
    with pytest.raises(StartError) as error:
        server.start()
    assert "MP0205: PythonSessionCache redis" in str(error.value)


# --- Redis and memcached


class Service:
    """A program that listens on a free port of the loopback interface."""

    def __init__(self, program, options):
        self.program = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
        assert self.program, "%s is not installed (see tools/system-packages)" % program
        self.options = options
        self.directory = tempfile.TemporaryDirectory(prefix=program + "-")
        self.port = free_port()
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [self.program, *self.options(self.port)],
            cwd=self.directory.name,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
                return
            except OSError:
                assert self.process.poll() is None, "%s ended" % self.program
                assert time.monotonic() < deadline, "%s does not listen" % self.program
                time.sleep(0.02)

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(20)
            self.process = None

    def close(self):
        self.stop()
        self.directory.cleanup()

    def say(self, text, end):
        """Send a line and return what comes until `end`."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(text.encode() + b"\r\n")
            answer = b""
            while not answer.endswith(end):
                piece = connection.recv(65536)
                assert piece, answer
                answer += piece
            return answer.decode()


def redis_options(port):
    return ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]


def memcached_options(port):
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    return ["-p", str(port), "-U", "0", "-l", "127.0.0.1", "-m", "16", *user]


SERVICES = {
    "redis": ("redis-server", redis_options),
    "memcache": ("memcached", memcached_options),
}


@pytest.fixture
def services(request):
    """Makes services, and ends them."""
    with contextlib.ExitStack() as stack:

        def make(provider):
            service = Service(*SERVICES[provider])
            stack.callback(service.close)
            service.start()
            return service

        yield make


def remote_site(provider, services, **more):
    servers = ",".join("127.0.0.1:%d" % service.port for service in services)
    return site("PythonSessionCache %s:%s" % (provider, servers), ("socache_" + provider,), **more)


@pytest.mark.parametrize("provider", ["redis", "memcache"])
def test_remote(event_only, make_server, watch, services, provider):
    service = services(provider)
    server = make_server(remote_site(provider, [service], children=2, serializer="json"))
    with server:
        log = watch(server)
        visitor = Visitor(server)
        sid = visitor.read(visitor.get("set=first"))[0]
        assert visitor.value() == "first"
        assert visitor.value("set=x&times=900000") == "900000 x"
        text = visitor.get("set=x&times=1100000").text
        assert re.match(
            r"ValueError: MP0641: the session has 11\d{5} bytes, and the session cache "
            r"%s:127.0.0.1:%d takes 1000000 at most" % (provider, service.port),
            text,
        )
        assert visitor.value() == "900000 x"
        # An id that nobody knows.
        stranger = Visitor(server)
        stranger.cookie = "pysid=" + "0123456789abcdef" * 2
        assert stranger.read(stranger.get())[1] is True
        server.graceful()
        assert visitor.value() == "900000 x"
        if provider == "redis":
            assert int(service.say("TTL mod_python:" + sid, b"\r\n")[1:]) in range(1700, 1802)
        # A month is more than memcached takes as a number of seconds.
        month = Visitor(server)
        month.value("set=long&timeout=%d" % (60 * 86400))
        assert month.value() == "long"

        service.stop()
        log.expect(
            "MP0642: the session cache %s:127.0.0.1:%d cannot retrieve the session: "
            % (provider, service.port)
        )
        log.allow(RAISES, "AH[0-9]+: ")
        cookie = visitor.cookie
        for _ in range(4):
            assert visitor.get().status == 500
            assert visitor.cookie == cookie, "a new session in place of one that is not lost"
        new = Visitor(server)
        log.expect("MP0642: .* cannot store the session: ")
        assert new.get("set=1").status == 500
        ended = visitor.get("invalidate=1")
        assert ended.status == 500


@pytest.mark.skipif(not os.environ.get("MOD_PYTHON_SOAK"), reason="takes long; make soak runs it")
def test_a_service_that_comes_back(event_only, make_server, watch, services):
    service = services("redis")
    server = make_server(remote_site("redis", [service]))
    with server:
        log = watch(server)
        log.allow(RAISES, "AH[0-9]+: ")
        visitor = Visitor(server)
        visitor.value("set=1")
        service.stop()
        assert visitor.get().status == 500
        service.start()
        deadline = time.monotonic() + 60
        while (answer := visitor.get()).status != 200:
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.2)
        # Redis forgot, and now it is certain.
        assert visitor.read(answer)[1] is True


def test_a_session_has_its_server(event_only, make_server, watch, services):
    """Of two servers one goes: its sessions are errors, those of the other work."""
    pair = [services("redis"), services("redis")]
    server = make_server(remote_site("redis", pair))
    with server:
        log = watch(server)
        log.allow(RAISES, "AH[0-9]+: ")
        visitors, sids, keys = [], [], [0, 0]
        # Until each has one, which a session's id decides; of sixteen not many go the same way.
        while len(visitors) < 16 or not all(keys):
            visitors.append(Visitor(server))
            sids.append(visitors[-1].read(visitors[-1].get("set=v%d" % len(sids)))[0])
            keys = [int(service.say("DBSIZE", b"\r\n").strip()[1:]) for service in pair]
            assert len(visitors) < 1000
        assert sum(keys) >= len(sids)
        pair[0].stop()
        answers = [visitor.get() for visitor in visitors]
        there = 0
        for n, (sid, answer) in enumerate(zip(sids, answers)):
            if pair[1].say("EXISTS mod_python:" + sid, b"\r\n").strip() == ":1":
                there += 1
                assert answer.status == 200 and " v%d " % n in answer.text
            else:
                assert answer.status == 500
        assert 0 < there < len(sids)
