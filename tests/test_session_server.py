"""The life of sessions of all types in a server: kept, expired, cleaned up, broken, taken over."""

import json
import pathlib
import pickle
import shutil
import sqlite3
import tempfile
import threading

import pytest

from pyhttpd import Connection, ModPython, Site
from pyhttpd.install import InstallError

TYPES = ("File", "Dbm", "Memory")
KEPT = ("File", "Dbm")  # by more than the process

HANDLER = """
    import json
    import os

    from mod_python import Session, apache

    # Else one session in a thousand cleans up without being told to.
    Session.CLEANUP_CHANCE = 1 << 60

    def handler(req):
        s = Session.Session(req)
        how = req.path_info.strip("/")
        if how:
            globals()[how](req, s)
        else:
            s["n"] = s.get("n", 0) + 1
            s.save()
        answer = dict(new=s.is_new(), sid=s.id(), data=dict(s), timeout=s.timeout())
        req.write(json.dumps(answer))
        return apache.OK

    def unsaved(req, s):
        s["n"] = "not saved"

    def expire(req, s):
        s.set_timeout(-1)
        s.save()

    def invalidate(req, s):
        s.invalidate()
        s["n"] = "after the end"
        s.save()

    def cleanup(req, s):
        s.save()
        s.cleanup()

    def look(req, s):
        pass

    def stored(req, s):
        s["sids"] = sorted(type(s).sdict)
"""

SITE = Site(
    conf="\n".join(
        f"""
        <Directory @root@/htdocs/{name}>
            SetHandler mod_python
            PythonHandler sess
            PythonPath "sys.path+['@root@/htdocs']"
            PythonOption mod_python.session.session_type {kind}Session
            PythonOption mod_python.session.database_directory @root@/{directory}
            PythonOption mod_python.session.application_path /
            PythonOption mod_python.file_session.enable_fast_cleanup 0
            PythonOption mod_python.file_session.cleanup_grace_period 0
            PythonOption mod_python.file_session.cleanup_time_limit 0
        </Directory>
        """
        for name, kind, directory in (
            *((kind, kind, "sessions") for kind in TYPES),
            *((f"closed{kind}", kind, "closed") for kind in KEPT),
            *((f"json{kind}", kind, "json") for kind in KEPT),
        )
    )
    + """
        <DirectoryMatch /json>
            PythonOption mod_python.session.serializer json
        </DirectoryMatch>
    """,
    files={
        "sess.py": HANDLER,
        **{f"{name}/x": "" for name in (*TYPES, "closedFile", "closedDbm", "jsonFile", "jsonDbm")},
    },
)


@pytest.fixture(autouse=True)
def only_turns_depend_on_the_mpm(request, mpm):
    if mpm != "event" and request.function is not test_turns:
        pytest.skip("sessions are kept alike under every MPM")


@pytest.fixture(scope="module", autouse=True)
def root(_module_server):
    root = _module_server.root
    for name, mode in (("sessions", 0o777), ("json", 0o777), ("closed", 0o755)):
        (root / name).mkdir()
        (root / name).chmod(mode)
    return root


@pytest.fixture
def visit(server):
    """A visitor's requests, over one connection and so in one process: `visit(path)` -> answer."""
    with Visitor(server) as visitor:
        yield visitor


class Visitor(Connection):
    """Sends back the cookie it was given; `last` is the last answer, `sid` the cookie's value."""

    def __init__(self, server, sid=None):
        super().__init__(server.port)
        self.sid = sid

    def __call__(self, path):
        headers = [("Cookie", f"pysid={self.sid}")] if self.sid else []
        self.last = self.request(path, headers=headers)
        for value in self.last.headers.get_all("Set-Cookie"):
            self.sid = value.partition(";")[0].partition("=")[2]
        assert self.last.status == 200
        return json.loads(self.last.text)


def sids(root, kind, directory="sessions"):
    """The ids in the storage."""
    if kind == "File":
        return sorted(path.name for path in (root / directory / "mp_sess").glob("??/*"))
    with sqlite3.connect(root / directory / "mp_sess.dbm.sqlite3") as db:
        return sorted(key.decode() for (key,) in db.execute("SELECT key FROM Dict"))


@pytest.mark.parametrize("kind", TYPES)
def test_life(visit, kind):
    first = visit(f"/{kind}/x")
    assert (first["new"], first["sid"], first["data"], first["timeout"]) == (
        *(True, visit.sid, {"n": 1}, 1800),
    )
    for number in (2, 3):
        again = visit(f"/{kind}/x")
        assert (again["new"], again["sid"], again["data"]) == (False, first["sid"], {"n": number})
        assert "Set-Cookie" not in visit.last.headers
    visit(f"/{kind}/x/unsaved")
    assert visit(f"/{kind}/x/look")["data"] == {"n": 3}


@pytest.mark.parametrize("kind", TYPES)
def test_expired(visit, kind):
    old = visit(f"/{kind}/x")["sid"]
    visit(f"/{kind}/x/expire")
    new = visit(f"/{kind}/x")
    assert (new["new"], new["data"]) == (True, {"n": 1})
    assert visit.sid == new["sid"] != old


@pytest.mark.parametrize("kind", TYPES)
def test_invalidated(visit, kind):
    old = visit(f"/{kind}/x")["sid"]
    visit(f"/{kind}/x/invalidate")
    assert visit.last.headers["Set-Cookie"] == (
        f"pysid={old}; path=/; expires=Thu, 01-Jan-1970 00:00:00 GMT"
    )
    visit.sid = old  # a browser that keeps it nevertheless
    new = visit(f"/{kind}/x")
    assert (new["new"], new["data"]) == (True, {"n": 1})
    assert new["sid"] != old


@pytest.mark.parametrize("kind", KEPT)
def test_cleanup(server, log, get, root, kind):
    over, alive = [], []
    with Visitor(server) as visit:
        for number in range(6):
            visit.sid = None
            (over, alive)[number % 2].append(visit(f"/{kind}/x")["sid"])
            if number % 2 == 0:
                visit(f"/{kind}/x/expire")
    assert {*over, *alive} <= {*sids(root, kind)}
    # `get` returns when the cleanups of its request are over.
    alive.append(json.loads(get(f"/{kind}/x/cleanup").text)["sid"])
    assert not {*over} & {*sids(root, kind)}
    assert {*alive} <= {*sids(root, kind)}
    assert any(f"{kind}Session: registered" in line for line in log.messages("notice"))


def test_cleanup_in_memory(visit):
    over = visit("/Memory/x/expire")["sid"]
    visit.sid = None
    alive = visit("/Memory/x")["sid"]
    assert {over, alive} <= {*visit("/Memory/x/stored")["data"]["sids"]}
    visit("/Memory/x/cleanup")
    stored = visit("/Memory/x/stored")["data"]["sids"]
    assert alive in stored and over not in stored


@pytest.mark.parametrize("kind", TYPES)
def test_turns(server, visit, mpm, kind):
    """Parallel requests of one browser wait for each other."""
    if kind == "Memory" and mpm == "prefork":
        pytest.skip("sessions in memory are those of one process")
    sid = visit(f"/{kind}/x")["sid"]
    wrong = []

    def work():
        with Visitor(server, sid) as other:
            for _ in range(20):
                if other(f"/{kind}/x")["new"]:
                    wrong.append(other.last)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    # The first connection may have waited too long for its next request.
    with Visitor(server, sid) as last:
        assert last(f"/{kind}/x/look")["data"] == {"n": 81}


def put(root, kind, sid, content, directory="sessions"):
    """Makes content what is stored of a session."""
    if kind == "File":
        (root / directory / "mp_sess" / sid[:2] / sid).write_bytes(content)
    else:
        with sqlite3.connect(root / directory / "mp_sess.dbm.sqlite3") as db:
            db.execute("UPDATE Dict SET value = ? WHERE key = ?", (content, sid.encode()))


@pytest.mark.parametrize("kind", KEPT)
@pytest.mark.parametrize("content", [b"", b"not a session", pickle.dumps({"n": 1})])
def test_broken(visit, log, root, kind, content):
    """A clear error that names the session, and the visitor gets a new one."""
    old = visit(f"/{kind}/x")["sid"]
    put(root, kind, old, content)
    log.expect(f"Error while loading a session : .*{old}")
    new = visit(f"/{kind}/x")
    assert (new["new"], new["data"]) == (True, {"n": 1})
    assert new["sid"] != old


@pytest.mark.parametrize("kind", KEPT)
def test_json(visit, root, log, kind):
    """What JSON wrote is JSON; a pickle is not even looked at."""
    sid = visit(f"/json{kind}/x")["sid"]
    assert visit(f"/json{kind}/x")["data"] == {"n": 2}
    put(root, kind, sid, b"cos\nmkdir\n(S'" + bytes(root / "tmp/evil") + b"'\ntR.", "json")
    log.expect("Error while loading a session : .*not a JSON session")
    assert visit(f"/json{kind}/x")["new"]
    assert not (root / "tmp/evil").exists()


def test_read_only_directory(get, log, root):
    log.expect(f"Error while saving a session : .*PermissionError: .*{root}/closed/mp_sess")
    answer = get("/closedFile/x")
    assert (answer.status, json.loads(answer.text)["new"]) == (200, True)


def test_read_only_directory_of_a_database(get, log, root):
    log.expect("PythonHandler sess: ", f"{root}/closed/mp_sess.dbm")
    assert get("/closedDbm/x").status == 500


def test_sessions_of_the_original(make_server, watch):
    """What mod_python 3.5 saved is there after the change to ours."""
    try:
        original = ModPython.original()
    except InstallError as error:
        pytest.skip(str(error))
    shared = pathlib.Path(tempfile.mkdtemp(prefix="sessions-"))
    shared.chmod(0o777)
    site = Site(conf=SITE.conf.replace("@root@/sessions", str(shared)), files=SITE.files)
    try:
        made = {}
        with make_server(site, mod_python=original) as server, Visitor(server) as visit:
            for kind in KEPT:
                for count in range(1, 4):
                    visit.sid = None
                    for _ in range(count):
                        made[kind, visit(f"/{kind}/x")["sid"]] = count
        assert len(made) == 6
        with make_server(site) as server:
            watch(server)
            for (kind, sid), count in made.items():
                with Visitor(server, sid) as visit:
                    answer = visit(f"/{kind}/x")
                assert (answer["new"], answer["data"]) == (False, {"n": count + 1})
    finally:
        shutil.rmtree(shared)
