"""PythonStatus: what children count, as a page, JSON, Prometheus' text and in mod_status."""

import contextlib
import json
import os
import re
import signal
import threading
import time

import pytest

from pyhttpd import Site, client


@pytest.fixture(autouse=True)
def once(mpm):
    if mpm == "worker":
        pytest.skip("does not depend on the MPM, but for the number of threads")


HANDLERS = """
    import os
    import time
    from mod_python import apache

    def fine(req):
        return apache.OK

    def failing(req):
        raise ValueError("on purpose")

    def returning(req):
        raise apache.SERVER_RETURN(apache.HTTP_NOT_FOUND)

    def waits(req):
        end = time.monotonic() + 120
        while not os.path.exists("@root@/tmp/go") and time.monotonic() < end:
            time.sleep(0.01)
        return apache.OK

    def endless(req):
        while True:
            pass
"""
CHOOSE = """
    import handlers

    def handler(req):
        return getattr(handlers, req.uri.split("/")[2])(req)

    def fixuphandler(req):
        return 0
"""
CONF = """
    PythonStatus On
    PythonPath "sys.path + ['@root@/htdocs']"
    ExtendedStatus On
    <Location /py>
        SetHandler mod_python
        PythonHandler choose
        PythonFixupHandler choose
    </Location>
    <Location /limited>
        SetHandler mod_python
        PythonHandler choose
        PythonRequestTimeout 0.2
    </Location>
    <Location /python-status>
        SetHandler python-status
    </Location>
    <Location /server-status>
        SetHandler server-status
    </Location>
"""
FILES = {"handlers.py": HANDLERS, "choose.py": CHOOSE}
SITE = Site(conf=CONF, files=FILES, children=2)


def status(get):
    answer = get("/python-status?json")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    return json.loads(answer.text)


def wait_until(holds):
    """What holds at last, such as that a new child is in the table."""
    deadline = time.monotonic() + 60
    while not (what := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return what


def with_stacks(get, server):
    """The status, once every child has told its stacks in the few seconds that it has for them."""

    def told():
        answer = json.loads(get("/python-status?json&stacks").text)
        pids = {row["pid"] for row in answer["stacks"] if row["lines"] is not None}
        return pids == server.children() and answer

    return wait_until(told)


def handlers_that_run(get):
    return [row["handler"] for row in status(get)["running"]]


def get_or_nothing(port, path):
    with contextlib.suppress(OSError):
        client.get(port, path)


def grown(before, after, name):
    return after[name] - before[name]


def test_counts(get, log):
    log.expect("ValueError: on purpose", "Traceback", 'File "', "MP0701", "RequestTimeout")
    log.allow("MP0703: some handler is stuck in C code")  # where it gets no time for a second
    before = status(get)
    for _ in range(5):
        assert get("/py/fine").status == 200
    assert get("/py/failing").status == 500
    assert get("/py/returning").status == 404
    assert get("/limited/endless").status == 504
    after = status(get)
    assert after["enabled"] is True
    assert grown(before, after, "requests") == 8
    assert grown(before, after, "errors") == 2
    assert grown(before, after, "timeouts") == 1
    assert grown(before, after, "seconds") >= 0.2
    assert grown(before, after, "gil_waits") >= 8
    calls = [state["phases"].get("PythonFixupHandler", 0) for state in (before, after)]
    assert calls[1] - calls[0] == 7
    counts = [sum(row["count"] for row in state["histogram"]) for state in (before, after)]
    assert counts[1] - counts[0] == 8
    rows = {(row["phase"], row["handler"]): row for row in after["handlers"]}
    assert set(rows) == {("PythonHandler", "choose"), ("PythonFixupHandler", "choose")}
    row = rows["PythonHandler", "choose"]
    assert (row["calls"], row["errors"]) == (after["requests"], after["errors"])
    assert row["seconds"] >= 0.2
    waits = [sum(row["count"] for row in state["gil_histogram"]) for state in (before, after)]
    assert waits == [before["gil_waits"], after["gil_waits"]]
    slowest = [row["seconds"] for row in after["slowest"]]
    assert slowest == sorted(slowest, reverse=True)
    # Unless this machine made all of them take that long.
    slow = [(row["request"], row["handler"]) for row in after["slowest"]]
    assert ("GET /limited/endless", "choose") in slow or slowest[-1] >= 0.2


def test_running_request_of_whatever_child(get, server):
    thread = threading.Thread(target=lambda: get("/py/waits/%3Cb%3E?secret=1"))
    thread.start()
    try:
        wait_until(lambda: handlers_that_run(get) == ["PythonHandler choose"])
        (row,) = status(get)["running"]
        assert row["request"] == "GET /py/waits/<b>"
        assert row["handler"] == "PythonHandler choose"
        assert row["pid"] in server.children()
        page = get("/python-status").text
        assert "GET /py/waits/&lt;b&gt;" in page
        assert "secret" not in page
        assert "stack" not in row
        # Under prefork it is always another child that answers.
        answer = with_stacks(get, server)
        (row,) = answer["running"]
        assert any("handlers.py" in frame and "in waits" in frame for frame in row["stack"])
        assert "in choose" not in row["stack"][0] and "in handler" in row["stack"][-1]
        (lines,) = (one["lines"] for one in answer["stacks"] if one["pid"] == row["pid"])
        assert "GET /py/waits/<b>, PythonHandler choose" in lines[0]
        shown = "GET /py/waits/&lt;b&gt;, PythonHandler choose"
        wait_until(lambda: shown in get("/python-status?stacks").text)
        page = get("/python-status?stacks").text
        assert "secret" not in page
        wait_until(lambda: "in waits" in get("/python-status?stacks").text)
    finally:
        (server.root / "tmp/go").touch()
        thread.join()
    assert status(get)["running"] == []


def test_children(get, server):
    get("/py/fine")

    def all_of_them():
        children = status(get)["children"]
        return {child["pid"] for child in children} == server.children() and children

    children = wait_until(all_of_them)
    assert all(child["memory_bytes"] > 1 << 20 for child in children)
    assert sum(child["requests"] for child in children) <= status(get)["requests"]


def test_stacks_of_idle_children(get, server):
    get("/py/fine")
    idle = ["no thread runs Python code"]
    wait_until(lambda: all(row["lines"] == idle for row in with_stacks(get, server)["stacks"]))
    wait_until(lambda: idle[0] in get("/python-status?stacks").text)


def prometheus(text):
    """The metrics by name, as Prometheus' own parser reads them; each name and row occurs once."""
    from prometheus_client.parser import text_string_to_metric_families

    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(set(names)) == len(names)
    for family in families:
        assert family.type != "unknown" and family.documentation
        rows = [(row.name, *sorted(row.labels.items())) for row in family.samples]
        assert len(set(rows)) == len(rows)
    return {family.name: family for family in families}


def test_prometheus(get, server):
    get("/py/fine")
    assert prometheus(get("/python-status?prometheus=").text)
    answer = get("/python-status?prometheus")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = prometheus(answer.text)
    assert families["mod_python_requests"].samples[0].value >= 1
    calls = {row.labels["phase"]: row.value for row in families["mod_python_calls"].samples}
    assert calls["PythonHandler"] >= 1
    for name in ("handler", "gil_wait", "session_wait"):
        family = families["mod_python_%s_seconds" % name]
        assert family.type == "histogram"
        rows = {row.name[len(family.name) :]: row for row in family.samples}
        assert (rows["_bucket"].labels, rows["_bucket"].value) == (
            {"le": "+Inf"},
            rows["_count"].value,
        )

    def all_children():
        families = prometheus(get("/python-status?prometheus").text)
        rows = families["mod_python_resident_bytes"].samples
        return {int(row.labels["pid"]) for row in rows} == server.children()

    wait_until(all_children)


def test_section_of_mod_status(get):
    get("/py/fine")
    page = get("/server-status").text
    assert "<h2>mod_python</h2>" in page
    assert re.search(r"<dt>\d+ requests with content from Python", page)
    lines = get("/server-status?auto").text
    assert re.search(r"(?m)^PythonRequests: [1-9]\d*$", lines)
    found = re.findall(r"(?m)^Python(\w+): (\d+(?:\.\d{6})?)$", lines)
    assert len(found) == 14 == lines.count("\nPython")


def test_only_to_be_read(fetch):
    assert fetch("/python-status", "HEAD").status == 200
    assert fetch("/python-status", "POST", body=b"x").status in (404, 405)


def test_counters_outlive_children(make_server, watch):
    with make_server(SITE) as server:
        log = watch(server)
        log.deaths_expected = True

        def get(path):
            return client.get(server.port, path)

        for _ in range(4):
            get("/py/fine")
        server.graceful()
        get("/py/fine")
        now = status(get)
        assert now["requests"] == 5
        wait_until(lambda: {child["pid"] for child in status(get)["children"]} >= server.children())
        assert sum(row["calls"] for row in now["handlers"]) == 10
        assert len(now["slowest"]) == 5
        # A child that is killed in the middle of a request.
        thread = threading.Thread(target=lambda: get_or_nothing(server.port, "/py/waits"))
        thread.start()
        wait_until(lambda: handlers_that_run(get) == ["PythonHandler choose"])
        victim = status(get)["running"][0]["pid"]
        os.kill(victim, signal.SIGKILL)
        thread.join()
        log.allow("exit signal Killed")
        wait_until(lambda: {row["pid"] for row in status(get)["children"]} == server.children())
        now = status(get)
        assert now["running"] == []
        assert victim not in {row["pid"] for row in now["children"]}
        # That request was not finished, and nothing that was is forgotten.
        assert now["requests"] == 5
        get("/py/fine")
        now = status(get)
        assert now["requests"] == 6
        assert sum(row["calls"] for row in now["handlers"]) == 13


def test_off(make_server, mpm):
    if mpm != "event":
        pytest.skip("the same under every MPM")
    conf = CONF.replace("PythonStatus On", "")
    with make_server(Site(conf=conf, files=FILES)) as server:
        assert client.get(server.port, "/py/fine").status == 200
        assert "PythonStatus is Off" in client.get(server.port, "/python-status").text
        page = json.loads(client.get(server.port, "/python-status?json").text)
        assert (page["enabled"], page["requests"], page["children"]) == (False, 0, [])
        assert "mod_python</h2>" not in client.get(server.port, "/server-status").text


def test_stack_of_a_handler_that_sits_on_the_gil(make_server, watch, mpm):
    if mpm != "event":
        pytest.skip("the same under every MPM")
    files = {
        "choose.py": """
            import ctypes
            import os
            from mod_python import apache

            def handler(req):
                gate = os.open("@root@/tmp/gate", os.O_RDWR)
                ctypes.PyDLL(None).read(gate, ctypes.create_string_buffer(1), 1)
                os.close(gate)
                return apache.OK

            def fixuphandler(req):
                return apache.OK
        """
    }
    with make_server(Site(conf=CONF, files=files)) as server:
        watch(server)
        gate = server.root / "tmp/gate"
        os.mkfifo(gate)
        gate.chmod(0o666)

        def get(path):
            return client.get(server.port, path)

        thread = threading.Thread(target=lambda: get("/py/stuck"))
        thread.start()
        wait_until(lambda: handlers_that_run(get) == ["PythonHandler choose"])

        def in_handler():
            # It is said to run before it has come to its gate.
            answer = with_stacks(get, server)
            return "in handler" in str(answer["stacks"]) and answer

        try:
            answer = wait_until(in_handler)
        finally:
            gate.write_bytes(b"x")
            thread.join()
        (row,) = answer["running"]
        assert any("in handler" in frame for frame in row["stack"])
        (lines,) = (one["lines"] for one in answer["stacks"])
        assert any("GET /py/stuck, PythonHandler choose (most" in line for line in lines)
        # The thread that waited for the GIL has it, and the next answer is new.
        idle = ["no thread runs Python code"]
        wait_until(lambda: with_stacks(get, server)["stacks"][0]["lines"] == idle)
