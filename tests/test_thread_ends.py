"""A thread that ends leaves nothing behind, though it was not Python that made it."""

import time

import pytest

from pyhttpd import Httpd, Site
from pyhttpd.http2 import Http2Connection

THREADS = 4

SITE = Site(
    conf="""
        Protocols h2c http/1.1
        # The threads of mod_http2 serve a request each, and end when they had none for a second.
        H2MinWorkers 1
        H2MaxWorkerIdleSeconds 1
        PythonStatus On
        PythonPath "sys.path + ['@root@/htdocs']"
        <Location /py>
            SetHandler mod_python
            PythonHandler handlers
            PythonInterpreter other
        </Location>
    """,
    files={
        "handlers.py": """
            import ctypes
            import os
            import threading
            import time
            from mod_python import apache

            local = threading.local()
            lock = threading.Lock()
            living = 0

            class Kept:
                def __init__(self):
                    global living
                    with lock:
                        living += 1

                def __del__(self):
                    global living
                    with lock:
                        living -= 1

            def handler(req):
                return globals()[req.uri.rpartition("/")[2]](req)

            def meets(req):
                # Each on a thread of its own, as they wait for each other.
                local.kept = Kept()
                os.mkdir("@root@/tmp/%s" % req.args)
                while len(os.listdir("@root@/tmp")) < 4:
                    time.sleep(0.01)
                return count(req)

            def count(req):
                python = ctypes.pythonapi
                for name in ("PyInterpreterState_Head", "PyInterpreterState_Next",
                             "PyInterpreterState_ThreadHead", "PyThreadState_Next"):
                    getattr(python, name).restype = ctypes.c_void_p
                    getattr(python, name).argtypes = [ctypes.c_void_p]
                python.PyInterpreterState_Head.argtypes = []
                found = 0
                interpreter = python.PyInterpreterState_Head()
                while interpreter:
                    state = python.PyInterpreterState_ThreadHead(interpreter)
                    while state:
                        found += 1
                        state = python.PyThreadState_Next(state)
                    interpreter = python.PyInterpreterState_Next(interpreter)
                req.write("%d %d" % (living, found))
                return apache.OK
        """
    },
    modules=["http2"],
    threads=2,
)

pytestmark = pytest.mark.mpms("event")


@pytest.fixture(scope="module", autouse=True)
def has_http2():
    if not (Httpd.find().modules / "mod_http2.so").exists():
        pytest.skip("httpd has no mod_http2")


def numbers(answer):
    """How many objects and states of threads there are."""
    assert answer.status == 200, answer.text
    return [int(part) for part in answer.text.split()]


def test_their_states_go_with_them(server, get):
    with Http2Connection(server.port) as connection:
        answers = connection.send(*(f"/py/meets?{number}" for number in range(THREADS)))
        connection.read()
        # The first that counted did so while the others were there.
        living, states = max(map(numbers, answers))
        assert living == THREADS
        # One may stay.
        deadline = time.monotonic() + 60
        while numbers(get("/py/count"))[0] > 1:
            assert time.monotonic() < deadline, "their objects are not freed"
            time.sleep(0.1)
        # Each had one for either interpreter; httpd's own threads may have made theirs meanwhile.
        assert numbers(get("/py/count"))[1] <= states - 2 * (THREADS - 1) + 2 * 2
