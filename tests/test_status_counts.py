"""PythonStatus: sessions, loaded code, interpreters, and what happens where rows run out."""

import json
import os
import pathlib
import re
import threading
import time

import pytest

from pyhttpd import Site, client
from pyhttpd.site import MTIME


@pytest.fixture(autouse=True)
def once(mpm):
    if mpm != "event":
        pytest.skip("does not depend on the MPM")


HANDLERS = """
    import os
    import threading
    from mod_python import apache, Session

    # Else one session in a thousand cleans up without being told to.
    Session.CLEANUP_CHANCE = 1 << 60

    go = threading.Event()
    arrived = threading.Event()

    def handler(req):
        return globals()[req.uri.split("/")[2]](req)

    def session(req, **how):
        kind = getattr(Session, req.args)
        if issubclass(kind, Session.DbmSession):
            return kind(req, dbm="@root@/tmp/sessions", **how)
        return kind(req, **how)

    def touch(req):
        made = session(req)
        made["n"] = made.get("n", 0) + 1
        made.save()
        req.write("%d %s" % (made["n"], made.id()))
        return apache.OK

    def end(req):
        made = session(req)
        made.invalidate()
        made.save()
        return apache.OK

    def clean(req):
        from mod_python._session import dbm, file, memory

        made = session(req, timeout=-1000)
        made.save()
        made.unlock()
        data = dict(sessdir=made._sessdir, req=req, timeout=0, grace_period=-2000, fast_cleanup=0,
                    verify_cleanup=1, cleanup_time_limit=0) if req.args == "FileSession" else None
        if data:
            file.filesession_cleanup(data)
        elif req.args == "DbmSession":
            dbm.dbm_cleanup([made._dbmfile, None, req.server])
        else:
            memory.mem_cleanup(made.sdict)
        return apache.OK

    def fail(req):
        made = session(req)
        made["x"] = lambda: 0
        try:
            made.save()
        except Exception:
            pass
        return apache.OK

    class OwnSession(Session.BaseSession):
        def do_load(self):
            return None

        def do_save(self, dict):
            pass

        do_delete = do_cleanup = lambda self: None

    class DerivedSession(Session.MemorySession):
        pass

    Session.OwnSession, Session.DerivedSession = OwnSession, DerivedSession

    def hold(req):
        made = session(req)
        arrived.wait(20)
        arrived.clear()
        go.wait(0.05)
        return apache.OK

    def join(req):
        arrived.set()
        session(req)
        return apache.OK

    def fork(req):
        forked = os.fork()
        if forked:
            os.waitpid(forked, 0)
        else:
            touch(req)
        return apache.OK

    def park(req):
        go.wait(120)
        return apache.OK

    def release(req):
        go.set()
        return apache.OK

    def many(name):
        def handler(req):
            return apache.OK
        return handler

    for number in range(40):
        globals()["many%d" % number] = many(number)
"""
MANY = "\n".join(
    f"<Location /many/{number}/>\nPythonHandler counted::many{number}\n</Location>"
    for number in range(40)
)
CONF = f"""
    PythonStatus On
    PythonPath "sys.path + ['@root@/htdocs']"
    <LocationMatch ^/(py|many|own|first)/>
        SetHandler mod_python
        PythonOption mod_python.session.database_directory @root@/tmp
    </LocationMatch>
    <Location /py/>
        PythonHandler counted
    </Location>
    <Location /first/>
        PythonHandler first
    </Location>
    {MANY}
    <Location /own/>
        PythonInterpreter "<own>"
        PythonHandler plain
    </Location>
    <Directory @root@/htdocs/pages>
        AddHandler mod_python .py .psp
        PythonHandler mod_python.publisher | .py
        PythonHandler mod_python.psp | .psp
    </Directory>
    <Location /python-status>
        SetHandler python-status
    </Location>
"""
FINE = "from mod_python import apache\ndef handler(req):\n    return apache.OK\n"
SITE = Site(
    conf=CONF,
    files={
        "counted.py": HANDLERS,
        "plain.py": FINE,
        "first.py": FINE,
        "pages/page.py": "def index():\n    return 'page'\n",
        "pages/page.psp": "<%= 1 %>",
    },
    threads=140,
)


@pytest.fixture
def status(get):
    return lambda: json.loads(get("/python-status?json").text)


def write(server, name, text, age):
    """A new version of a file in one step, older than any that comes later."""
    path = server.htdocs / name
    aside = path.with_suffix(".new")
    aside.write_text(text)
    aside.chmod(0o644)
    os.utime(aside, (MTIME + age, MTIME + age))
    aside.rename(path)


def grown(before, after):
    return {name: after[name] - before.get(name, 0) for name in after if after[name]}


def cookie(answer):
    return [("Cookie", "pysid=" + answer.text.split()[1])]


@pytest.mark.parametrize("kind", ["FileSession", "DbmSession", "MemorySession"])
def test_sessions(get, fetch, status, log, kind):
    log.allow("FileSession cleanup")
    before = status()["sessions"].get(kind, {})
    first = get("/py/touch?" + kind)
    assert fetch("/py/touch?" + kind, headers=cookie(first)).text.startswith("2 ")
    fetch("/py/end?" + kind, headers=cookie(first))
    fetch("/py/touch?" + kind, headers=cookie(first))  # a new one, as that is gone
    get("/py/clean?" + kind)
    assert grown(before, status()["sessions"][kind]) == {
        "created": 3,
        "loaded": 2,
        "unknown": 1,
        "saved": 4,
        "deleted": 1,
        "expired": 1 if kind != "FileSession" else 2,  # by its age, whatever it is
    }


def test_sessions_that_fail(get, status, log):
    log.expect("Error while saving a session", "Traceback|File|pickle|lambda")
    before = status()["sessions"]
    get("/py/fail?FileSession")  # logs
    get("/py/fail?DbmSession")  # raises
    after = status()["sessions"]
    for kind in ("FileSession", "DbmSession"):
        assert grown(before.get(kind, {}), after[kind])["failed"] == 1
        assert after[kind]["saved"] == before.get(kind, {}).get("saved", 0)


def test_sessions_of_programs_own_types(get, status):
    before = status()["sessions"]
    get("/py/touch?OwnSession")
    get("/py/touch?DerivedSession")
    after = status()["sessions"]
    for kind in ("other", "MemorySession"):
        assert grown(before.get(kind, {}), after[kind])["saved"] == 1
    assert set(after) <= {"FileSession", "DbmSession", "MemorySession", "SocacheSession", "other"}


def test_forked_processes_do_not_count(get, status, log):
    log.expect("MP0111")
    before = status()
    get("/py/fork?MemorySession")
    after = status()
    assert after["requests"] - before["requests"] == 1
    assert after["sessions"] == before["sessions"]
    assert (after["running"], after["running_unlisted"]) == ([], 0)


def test_waits_for_a_session(get, fetch, status):
    headers = cookie(get("/py/touch?MemorySession"))
    before = status()
    deadline = time.monotonic() + 60
    # That the second request comes to the lock while the first one has it cannot be forced.
    while status()["session_waits"] == before["session_waits"]:
        assert time.monotonic() < deadline
        threads = [
            threading.Thread(target=fetch, args=(path,), kwargs={"headers": headers})
            for path in ("/py/hold?MemorySession", "/py/join?MemorySession")
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    after = status()
    counts = [sum(row["count"] for row in one["session_histogram"]) for one in (before, after)]
    assert counts == [before["session_waits"], after["session_waits"]]
    assert after["session_wait_seconds"] > before["session_wait_seconds"]
    assert after["session_wait_timeouts"] == 0
    assert "times a request waited for a session" in get("/python-status").text


def test_modules(get, server, status, log):
    get("/first/")
    before = status()
    assert before["code"]["imported"] >= 1
    path = str(server.htdocs / "first.py")

    def until(event):
        deadline = time.monotonic() + 60
        while status()["code"][event] == before["code"][event]:
            assert time.monotonic() < deadline
            get("/first/")
            time.sleep(0.02)

    write(server, "first.py", FINE + "\n", 1)
    until("reloaded")
    after = status()
    assert grown(before["code"], after["code"])["reloaded"] == 1
    assert after["reloads"] == before["reloads"] + 1
    newest = after["recent"][0]
    assert (newest["event"], newest["file"]) == ("reloaded", path)
    assert newest["pid"] in server.children() and newest["at"] > 1e9
    log.expect("SyntaxError|ZeroDivisionError")
    log.allow("Traceback|File|1 / 0|Error|first")
    write(server, "first.py", FINE + "1 / 0\n", 2)
    until("failed")
    assert status()["recent"][0]["event"] == "failed"
    assert path in get("/python-status").text
    write(server, "first.py", FINE, 3)
    deadline = time.monotonic() + 60
    while get("/first/").status != 200:
        assert time.monotonic() < deadline


def test_pages(get, server, status):
    before = status()
    for _ in range(2):
        assert get("/pages/page.py").text == "page"
        assert get("/pages/page.psp").text.strip() == "1"
    now = grown(before["code"], status()["code"])
    assert (now["page_loaded"], now["psp_compiled"]) == (1, 1)
    write(server, "pages/page.py", "def index():\n    return 'other'\n", 1)
    write(server, "pages/page.psp", "<%= 2 %>", 1)
    deadline = time.monotonic() + 60
    while get("/pages/page.py").text != "other" or get("/pages/page.psp").text.strip() != "2":
        assert time.monotonic() < deadline
    after = status()
    assert [after["code"][name] for name in ("page_reloaded", "psp_recompiled")] == [1, 1]
    assert {(row["event"], row["file"]) for row in after["recent"]} >= {
        ("page_reloaded", str(server.htdocs / "pages/page.py")),
        ("psp_recompiled", str(server.htdocs / "pages/page.psp")),
    }


def test_documented(get):
    """Every key, and none besides, is in the table of the guide."""
    guide = (pathlib.Path(__file__).parent.parent / "docs/guides/operations.md").read_text()
    table = guide.partition("### The status as JSON")[2].partition("###")[0]
    rows = dict(re.findall(r"(?m)^\| `(\w+)` \| (.*) \|$", table))
    get("/py/touch?MemorySession")
    answer = json.loads(get("/python-status?json&stacks").text)
    assert list(rows) == list(answer)
    (child,) = answer["children"]
    inner = {
        "histogram": answer["histogram"][0],
        "handlers": answer["handlers"][0],
        "sessions": answer["sessions"]["MemorySession"],
        "code": answer["code"],
        "children": child,
        "slowest": answer["slowest"][0],
        "stacks": answer["stacks"][0],
    }
    for name, keys in inner.items():
        text = rows["running" if name == "slowest" else name]
        assert [key for key in keys if f"`{key}`" not in text] == [], name
    last = table.rpartition("|")[2]
    assert [key for key in child["interpreters"][0] if f"`{key}`" not in last] == []


def test_interpreters(get, status):
    get("/py/touch?MemorySession")
    get("/own/")
    (child,) = status()["children"]
    main, own = child["interpreters"]
    assert main["is_main"] and main["names"][0] == "main_interpreter" and len(main["names"]) > 1
    assert (own["is_main"], own["count"], own["names"]) == (False, 1, ["<own>"])
    assert own["calls"] == 1
    assert own["code"]["imported"] == 1
    assert main["code"]["imported"] >= 1
    page = get("/python-status").text
    assert "<td>&lt;own&gt;</td>" in page


def test_more_handlers_than_rows(get, status):
    before = status()
    for number in range(40):
        assert get(f"/many/{number}/").status == 200
    after = status()
    assert after["requests"] - before["requests"] == 40
    rows = after["handlers"]
    assert sum(row["calls"] for row in rows) == sum(after["phases"].values())
    others = rows[-1]
    assert (others["phase"], others["handler"]) == (None, None)
    assert others["calls"] >= 8
    assert len(rows) == 33
    assert "others, for which there was no room" in get("/python-status").text
    line = 'mod_python_handler_calls_total{phase="",handler=""} %d\n' % others["calls"]
    assert line in get("/python-status?prometheus").text


def test_more_threads_than_rows(server, get, status):
    def park():
        client.get(server.port, "/py/park")

    threads = [threading.Thread(target=park) for _ in range(135)]
    for thread in threads:
        thread.start()
    try:
        deadline = time.monotonic() + 60
        while True:
            now = status()
            if len(now["running"]) + now["running_unlisted"] == 135:
                break
            assert time.monotonic() < deadline, now["running_unlisted"]
        assert now["running_unlisted"] >= 135 - 128
        assert "more run, on threads that the list has no room for" in get("/python-status").text
        assert "\nmod_python_running 135\n" in get("/python-status?prometheus").text
    finally:
        get("/py/release")
        for thread in threads:
            thread.join()
    now = status()
    assert (now["running"], now["running_unlisted"]) == ([], 0)
