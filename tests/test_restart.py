"""Starting and restarting: -t, -X, hard and graceful restarts, alone and under load."""

import dataclasses
import os
import re
import subprocess
import threading

import pytest

from pyhttpd import Connection, Httpd, Site, client
from pyhttpd.install import REPOSITORY
from pyhttpd.load import Load

COUNTER = """
    import os
    from mod_python import apache

    count = 0

    def handler(req):
        global count
        count += 1
        req.content_type = "text/plain"
        req.write("%d %d" % (os.getpid(), count))
        return apache.OK
"""
CONF = """
    <Directory @root@/htdocs/counter>
        SetHandler mod_python
        PythonHandler counter
    </Directory>
    <Directory @root@/htdocs/slow>
        SetHandler mod_python
        PythonHandler slow
    </Directory>
"""
SLOW = """
    import time
    from mod_python import apache

    def handler(req):
        req.write("begun ")
        deadline = time.time() + 60
        import os
        while not os.path.exists("@root@/tmp/go") and time.time() < deadline:
            time.sleep(0.01)
        req.write("ended")
        return apache.OK
"""
SITE = Site(conf=CONF, files={"counter/counter.py": COUNTER, "slow/slow.py": SLOW})


def pid_and_count(server):
    answer = client.get(server.port, "/counter/")
    assert answer.status == 200, answer.text
    return [int(part) for part in answer.text.split()]


def test_configtest(make_server):
    server = make_server(SITE)
    done = server.configtest()
    assert (done.returncode, done.stdout.strip()) == (0, "Syntax OK")


def test_configtest_does_not_start_python(make_server):
    # A package that cannot be imported is found by a start, not by -t.
    server = make_server(Site(conf=CONF, env={"PYTHONPATH": "/nonexistent"}))
    assert server.configtest().returncode == 0


def test_server_tokens(server, get):
    tokens = get("/up.txt").headers["Server"]
    assert re.search(r" mod_python/\d+\.\S+ Python/3\.\d+\.\d+", tokens), tokens


def test_one_process(make_server, watch):
    # httpd -X serves from the very process that was started, and does not detach.
    server = make_server(SITE)
    server.start(options=["-X"])
    log = watch(server)
    assert pid_and_count(server) == [server.process.pid, 1]
    assert pid_and_count(server) == [server.process.pid, 2]
    assert log.messages("error") == []
    server.stop()


def test_ends_cleanly(make_server):
    with make_server(SITE) as server:
        pid_and_count(server)
        mark = server.log.mark()
        process = server.process
        server.stop()
        assert process.returncode == 0
        assert server.troubles(mark) == []


def test_hard_restart(make_server, watch):
    with make_server(SITE) as server:
        watch(server)
        before = pid_and_count(server)
        server.restart()
        after = pid_and_count(server)
        assert before[0] != after[0]
        assert after[1] == 1


def test_graceful_restart(make_server, watch):
    with make_server(SITE) as server:
        watch(server)
        before = pid_and_count(server)
        server.graceful()
        after = pid_and_count(server)
        assert before[0] != after[0]
        assert after[1] == 1


def test_changed_module_after_restart(make_server, watch):
    with make_server(SITE) as server:
        watch(server)
        pid_and_count(server)
        server.write("counter/counter.py", COUNTER.replace("count = 0", "count = 40"))
        server.graceful()
        assert pid_and_count(server)[1] == 41


def test_changed_configuration_after_restart(make_server, watch):
    conf = CONF + "PythonOption generation @generation@\n"
    handler = """
        from mod_python import apache

        def handler(req):
            req.write(req.get_options()["generation"])
            return apache.OK
    """
    site = Site(conf=conf, files={"counter/counter.py": handler})
    with make_server(site) as server:
        watch(server)
        plain = server.substitute
        for generation in ("first", "second", "third"):
            server.substitute = lambda text, now=generation: plain(
                text.replace("@generation@", now)
            )
            server.graceful()
            assert client.get(server.port, "/counter/").text == generation


def test_graceful_restart_lets_requests_end(make_server, watch):
    # Two children: worker has no room for a new one beside the only one, as long as that lives.
    with make_server(dataclasses.replace(SITE, children=2)) as server:
        watch(server)
        with Connection(server.port) as connection:
            connection.send(client.compose("/slow/"))
            # The answer has begun, so the handler runs.
            assert connection.read_some(15) == b"HTTP/1.1 200 OK"
            answers = []

            def rest():
                answers.append(connection.read_to_eof())

            reader = threading.Thread(target=rest)
            reader.start()
            server.graceful()
            (server.root / "tmp/go").write_text("")
            reader.join()
        assert b"begun " in answers[0]
        assert b"ended" in answers[0]


def test_repeated_starts_leave_no_lock_files(make_server):
    # A directory of this server's alone: others run meanwhile, and have some in /tmp.
    option = "PythonOption mod_python.mutex_directory @root@/locks\n"
    for _ in range(2):
        server = make_server(Site(conf=option + CONF, files=SITE.files))
        locks = server.root / "locks"
        locks.mkdir()
        locks.chmod(0o777)
        with server:
            pid_and_count(server)
        assert os.listdir(locks) == []


@pytest.fixture(scope="module")
def plain_module(tmp_path_factory):
    return Httpd.find().build(REPOSITORY / "tests/c/mod_plain.c", tmp_path_factory.mktemp("plain"))


def restart_under_load(server, path, restarts, accept):
    with Load(server.port, path, accept) as load:
        for _ in range(restarts):
            server.graceful()
    return load


# MOD_PYTHON_RESTARTS says how many; in a soak a thousand.
_DEFAULT = "1000" if os.environ.get("MOD_PYTHON_SOAK") else "50"
RESTARTS = int(os.environ.get("MOD_PYTHON_RESTARTS", _DEFAULT))


def test_many_graceful_restarts_under_load(make_server, watch, plain_module):
    """No child death and no failed request, judged beside a C module in the same httpd set-up."""
    python = make_server(
        Site(
            conf=CONF,
            files={"counter/counter.py": COUNTER},
            children=2,
            threads=16,
            log_level="notice core:trace5",
        )
    )
    c_module = make_server(
        Site(
            conf=f"LoadModule plain_module {plain_module}\n"
            "<Location /counter>\nSetHandler plain\n</Location>",
            children=2,
            threads=16,
            log_level="notice core:trace5",
        ),
        mod_python=None,
    )
    loads = {}

    def run(name, server, accept):
        loads[name] = restart_under_load(server, "/counter/", RESTARTS, accept)

    with python, c_module:
        log = watch(python)
        # Children come and go here; only their exit status, in the log, tells a death.
        log.deaths_expected = True
        threads = [
            threading.Thread(target=run, args=("python", python, lambda a: a.status == 200)),
            threading.Thread(target=run, args=("c", c_module, lambda a: a.text == "hello")),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert loads["c"].failures_of(c_module.log) == []
    assert loads["python"].failures_of(python.log) == []
    assert loads["python"].answers > RESTARTS
    print(
        f"{RESTARTS} graceful restarts: "
        + ", ".join(
            f"{name} {load.answers} answers, {load.reconnects} idle connections closed by httpd"
            for name, load in loads.items()
        )
    )


def test_apachectl_style_double_signal(make_server, watch):
    # Two graceful restarts at once: httpd merges them; nothing may be left half started.
    with make_server(SITE) as server:
        log = watch(server)
        log.deaths_expected = True
        mark = server.log.mark()
        subprocess.run(["kill", "-USR1", str(server.process.pid)], check=True)
        subprocess.run(["kill", "-USR1", str(server.process.pid)], check=True)
        server.log.wait_for("resuming normal operations", since=mark)
        assert pid_and_count(server)[1] >= 1


def test_first_requests_at_once(make_server, watch, mpm):
    """A module is executed once, however many threads ask for it first."""
    if mpm == "prefork":
        pytest.skip("one thread a child")
    slow_import = """
        import time
        time.sleep(0.3)
        from mod_python import apache

        with open("@root@/tmp/executed", "a") as mark:
            mark.write("x")
        time.sleep(0.3)

        def handler(req):
            req.write("done")
            return apache.OK
    """
    with make_server(Site(conf=CONF, files={"counter/counter.py": slow_import})) as server:
        watch(server)
        answers = []
        threads = [
            threading.Thread(
                target=lambda: answers.append(client.get(server.port, "/counter/").text)
            )
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == ["done"] * 8
        assert (server.root / "tmp/executed").read_text() == "x"
