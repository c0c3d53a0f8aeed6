"""Processes that handlers start: they hear signals, and fork is refused where CPython cannot."""

import pytest

from pyhttpd import Site, client

pytestmark = pytest.mark.every_python

HANDLER = """
    import os, signal, subprocess, time
    from mod_python import apache

    STATUS = ["grep", "SigBlk", "/proc/self/status"]

    def run(req):
        return subprocess.run(STATUS, stdout=subprocess.PIPE).stdout.decode()

    def run_without_closing(req):
        return subprocess.run(STATUS, stdout=subprocess.PIPE, close_fds=False).stdout.decode()

    def run_in_group(req):
        done = subprocess.run(STATUS, stdout=subprocess.PIPE, preexec_fn=os.setpgrp)
        return done.stdout.decode()

    def posix_spawn(req):
        reader, writer = os.pipe()
        actions = [(os.POSIX_SPAWN_DUP2, writer, 1)]
        pid = os.posix_spawnp("grep", STATUS, os.environ, file_actions=actions)
        os.close(writer)
        os.waitpid(pid, 0)
        with open(reader) as lines:
            return lines.read()

    def own(req):
        with open("/proc/thread-self/status") as lines:
            return [line for line in lines if line.startswith("SigBlk")][0]

    def terminate(req):
        process = subprocess.Popen(["sleep", "600"])
        process.terminate()
        return str(process.wait())

    def fork(req):
        reader, writer = os.pipe()
        pid = os.fork()
        if not pid:
            os.write(writer, b"x")
            time.sleep(600)
            os._exit(0)
        os.read(reader, 1)
        os.close(reader)
        os.close(writer)
        os.kill(pid, signal.SIGTERM)
        return str(os.waitpid(pid, 0)[1])

    def forkpty(req):
        return str(os.forkpty())

    def pool(req):
        import multiprocessing
        multiprocessing.get_context("fork").Pool(1)

    def handler(req):
        name = req.uri.rpartition("/")[2]
        try:
            req.write(globals()[name](req))
        except RuntimeError as error:
            req.write(str(error))
        return apache.OK
"""
SITE = Site(
    conf="""
        PythonPath "['@root@/htdocs'] + sys.path"
        <Location /main>
            SetHandler mod_python
            PythonHandler starts
        </Location>
    """,
    files={"starts.py": HANDLER},
)
SEVERAL = """
    PythonInterpPerServer On
    <Location /main>
        PythonInterpreter main_interpreter
    </Location>
    <Location /other>
        SetHandler mod_python
        PythonHandler starts
    </Location>
"""
NONE = "0" * 16


@pytest.fixture(autouse=True)
def only_ours(mod_python, mpm):
    if mod_python.name == "original":
        pytest.skip("the original leaves signals blocked")
    if mpm == "worker":
        pytest.skip("as under event")


@pytest.mark.parametrize("way", ["run", "run_without_closing", "run_in_group", "posix_spawn"])
def test_signals_are_not_blocked(get, way, mpm):
    before = get("/main/own").text
    # The threads of httpd's that run handlers block most of them.
    assert (before.split()[1] == NONE) == (mpm == "prefork")
    assert get(f"/main/{way}").text.split() == ["SigBlk:", NONE]
    assert get("/main/own").text == before


def test_terminate(get):
    assert get("/main/terminate").text == "-15"


def test_a_forked_process_ends_at_a_signal(get):
    assert get("/main/fork").text == "15"


def test_fork_beside_other_interpreters(make_server, watch, mpm):
    if mpm != "event":
        pytest.skip("does not depend on the MPM")
    with make_server(Site(conf=SITE.conf + SEVERAL, files=SITE.files)) as server:
        watch(server)

        def said(path):
            return client.get(server.port, path).text

        # Alone it can.
        assert said("/main/fork") == "15"
        for name in ("fork", "forkpty", "pool"):
            text = said(f"/other/{name}")
            assert text.startswith("MP0112: os.fork") and "PythonInterpPerServer Off" in text
        assert said("/main/fork").startswith("MP0112: ")
        assert said("/other/terminate") == "-15"
        assert said("/other/run").split() == ["SigBlk:", NONE]
