"""PythonStatus: what children count, as a page, JSON, Prometheus' text and in mod_status."""

import json
import re
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
        end = time.monotonic() + 30
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


def grown(before, after, name):
    return after[name] - before[name]


def test_counts(get, log):
    log.expect("ValueError: on purpose", "Traceback", 'File "', "MP0701", "RequestTimeout")
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
    assert [row["handler"] for row in after["handlers"]] == ["choose"]
    slowest = after["slowest"][0]
    assert (slowest["request"], slowest["handler"]) == ("GET /limited/endless", "choose")


def test_running_request_of_whatever_child(get, server):
    thread = threading.Thread(target=lambda: get("/py/waits/%3Cb%3E?secret=1"))
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not status(get)["running"]:
            assert time.monotonic() < deadline
        (row,) = status(get)["running"]
        assert row["request"] == "GET /py/waits/<b>"
        assert row["handler"] == "PythonHandler choose"
        assert row["pid"] in server.children()
        page = get("/python-status").text
        assert "GET /py/waits/&lt;b&gt;" in page
        assert "secret" not in page
    finally:
        (server.root / "tmp/go").touch()
        thread.join()
    assert status(get)["running"] == []


def test_children(get, server):
    get("/py/fine")
    children = status(get)["children"]
    assert {child["pid"] for child in children} == server.children()
    assert all(child["memory_bytes"] > 1 << 20 for child in children)
    assert sum(child["requests"] for child in children) <= status(get)["requests"]


def test_stacks(get):
    stacks = json.loads(get("/python-status?json&stacks").text)["stacks"]
    assert stacks == ["no thread runs Python code"]
    assert "no thread runs Python code" in get("/python-status?stacks").text


def test_prometheus(get):
    get("/py/fine")
    answer = get("/python-status?prometheus")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    samples = {}
    for line in answer.text.splitlines():
        if not line.startswith("#"):
            found = re.fullmatch(r'(mod_python_\w+(?:\{\w+="[^"]*"\})?) (\d+(?:\.\d+)?)', line)
            assert found, line
            samples[found[1]] = float(found[2])
    assert samples["mod_python_requests_total"] >= 1
    assert samples['mod_python_calls_total{phase="PythonHandler"}'] >= 1
    last = samples['mod_python_handler_seconds_bucket{le="+Inf"}']
    assert last == samples["mod_python_handler_seconds_count"]
    assert "# TYPE mod_python_handler_seconds histogram" in answer.text


def test_section_of_mod_status(get):
    get("/py/fine")
    page = get("/server-status").text
    assert "<h2>mod_python</h2>" in page
    assert re.search(r"<dt>\d+ requests with content from Python", page)
    lines = get("/server-status?auto").text
    assert re.search(r"(?m)^PythonRequests: [1-9]\d*$", lines)


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
        assert {child["pid"] for child in now["children"]} >= server.children()


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
