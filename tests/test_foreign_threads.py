"""A thread of another request in the middle of this one: httpd gets its objects back afterwards."""

import threading
import time

import pytest

from pyhttpd import Connection, Site

HANDLER = """
    import ctypes
    import threading
    from mod_python import apache

    def states():
        # How many thread states this interpreter has.
        api = ctypes.pythonapi
        for function in (api.PyInterpreterState_Get, api.PyInterpreterState_ThreadHead,
                         api.PyThreadState_Next):
            function.restype = ctypes.c_void_p
        api.PyInterpreterState_ThreadHead.argtypes = [ctypes.c_void_p]
        api.PyThreadState_Next.argtypes = [ctypes.c_void_p]
        count, state = 0, api.PyInterpreterState_ThreadHead(api.PyInterpreterState_Get())
        while state:
            count, state = count + 1, api.PyThreadState_Next(state)
        return count

    def short_lived(req):
        # Threads of ours that come back to Python through httpd, and end.
        def work():
            req.write("x" * 20000)
        counts = []
        for _ in range(3):
            for _ in range(10):
                thread = threading.Thread(target=work)
                thread.start()
                thread.join()
            counts.append(states())
        shared["counts"] = counts
        return apache.OK

    shared = {}
    in_filter = threading.Event()
    go_on = threading.Event()

    def handler(req):
        if req.args == "short-lived":
            return short_lived(req)
        if req.args == "counts":
            req.write(repr(shared.pop("counts")))
            return apache.OK
        if req.args == "owner":
            req.content_type = "text/plain"
            req.write("begun ", 0)
            shared["req"] = req
            # Another request's thread flushes us, and is now in our output filter.
            assert in_filter.wait(60)
            return apache.OK
        if req.args == "stranger":
            shared.pop("req").flush()
            req.write("flushed")
            return apache.OK
        if req.args == "ready":
            req.write(str("req" in shared))
        elif req.args == "filtering":
            req.write(str(in_filter.is_set()))
        elif req.args == "release":
            go_on.set()
        return apache.OK

    def outputfilter(filter):
        text = filter.read()
        while text:
            filter.write(text)
            text = filter.read()
        if filter.req.args != "short-lived" and not in_filter.is_set():
            in_filter.set()
            assert go_on.wait(60)
            filter.write(b"from the filter of " + filter.req.args.encode())
        if text is None:
            filter.close()
"""

SITE = Site(
    conf="""
        <Directory @root@/htdocs/foreign>
            SetHandler mod_python
            PythonHandler foreign
            PythonOutputFilter foreign FOREIGN
            # With a limit each call of Python is watched.
            PythonRequestTimeout 600
            <Files owner>
                SetOutputFilter FOREIGN
            </Files>
        </Directory>
    """,
    files={"foreign/foreign.py": HANDLER, "foreign/owner": "", "foreign/other": ""},
    threads=8,
)


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


def test_a_request_does_not_end_under_a_stranger(server, connect, mpm):
    if mpm == "prefork":
        pytest.skip("needs two requests in one child")
    answers = {}

    def get(name, path):
        answers[name] = connect().request(path).text

    def ask(question):
        with connect() as connection:
            return connection.request(f"/foreign/other?{question}").text == "True"

    threads = [threading.Thread(target=get, args=("owner", "/foreign/owner?owner"))]
    threads[0].start()
    wait_until(lambda: ask("ready"))
    threads.append(threading.Thread(target=get, args=("stranger", "/foreign/other?stranger")))
    threads[1].start()
    wait_until(lambda: ask("filtering"))
    # The owner's handler returns now. Its request must outlast the stranger's stay in the filter.
    for _ in range(20):
        assert not ask("nothing")
    assert threads[0].is_alive()
    connect().request("/foreign/other?release")
    for thread in threads:
        thread.join(60)
    assert answers == {"owner": "begun from the filter of owner", "stranger": "flushed"}


def test_threads_of_python_leave_no_state_behind(make_server, watch):
    # A server where no other request is about to end.
    with make_server(SITE) as server:
        watch(server)
        with Connection(server.port) as connection:  # to one child
            assert connection.request("/foreign/owner?short-lived").status == 200
            counts = eval(connection.request("/foreign/other?counts").text)
    assert len(counts) == 3
    assert len(set(counts)) == 1, counts
