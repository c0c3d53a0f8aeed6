"""Sessions of all types without a server: life cycle, cookies, options, cleanup, formats."""

import base64
import json
import os
import pathlib
import pickle
import re
import sqlite3
import stat
import sys
import tempfile
import time

import fake_httpd
import pytest
from fake_httpd import Request, next_request

from mod_python import Session

pytestmark = pytest.mark.mpms("event")

SID = "0123456789abcdef" * 2
TYPES = ["FileSession", "DbmSession", "MemorySession", "SocacheSession"]


@pytest.fixture
def tmp_path():
    """In memory if possible: a FileSession's 256 directories take long to remove from a disk."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as path:
        yield pathlib.Path(path)


@pytest.fixture(autouse=True)
def apache(tmp_path, monkeypatch):
    module = fake_httpd.fake_apache(tmp_path / "lock")
    monkeypatch.setattr(Session, "_apache", module)
    monkeypatch.setattr(Session, "_types", {})
    # Cleanups only where a test wants them.
    monkeypatch.setattr(Session, "CLEANUP_CHANCE", 1 << 60)
    monkeypatch.setattr(Session.MemorySession, "sdict", {})
    yield module
    assert module.held == {}, "a lock was left behind"


@pytest.fixture
def where(tmp_path):
    """Options for sessions below the test's own directory."""
    return {"mod_python__session__database_directory": str(tmp_path)}


@pytest.fixture(params=TYPES)
def kind(request):
    return getattr(Session, request.param)


@pytest.fixture
def now(monkeypatch):
    """A clock: assign to now.time."""

    class Clock:
        def __init__(self):
            self.time = time.time()

    clock = Clock()
    monkeypatch.setattr(time, "time", lambda: clock.time)
    return clock


def stored(tmp_path, sid):
    """The path of a FileSession."""
    return tmp_path / "mp_sess" / sid[:2] / sid


# --- life cycle


def test_new_save_load(kind, where):
    req = Request(**where)
    s = kind(req)
    assert re.fullmatch("[0-9a-f]{32}", s.id())
    assert (s.is_new(), s.timeout(), dict(s)) == (True, 1800, {})
    assert s.created() <= s.last_accessed() <= time.time()
    assert req.cookies == [f"pysid={s.id()}; path=/app/"]
    assert req.headers_out["Cache-Control"] == 'no-cache="set-cookie"'
    s["a"] = {"b": [1, "caf\xe9"]}
    s.save()
    sid, created = s.id(), s.created()
    del s
    again = next_request(req)
    s = kind(again)
    assert (s.id(), s.is_new(), s.created()) == (sid, False, created)
    assert s == {"a": {"b": [1, "caf\xe9"]}}
    assert again.cookies == []
    assert req.logged == again.logged == []


def test_not_saved_is_not_kept(kind, where):
    req = Request(**where)
    s = kind(req)
    s["a"] = 1
    sid = s.id()
    del s
    again = next_request(req)
    s = kind(again)
    assert s.is_new()
    assert s.id() != sid
    assert len(again.cookies) == 1
    assert again.logged == []  # an unknown id is no error


def test_delete(kind, where):
    req = Request(**where)
    s = kind(req)
    s["a"] = 1
    s.save()
    s.delete()
    assert dict(s) == {}
    s.delete()
    del s
    assert kind(next_request(req)).is_new()


def test_invalidate(kind, where):
    req = Request(**where)
    s = kind(req)
    s["a"] = 1
    s.save()
    sid = s.id()
    del s
    again = next_request(req)
    s = kind(again)
    s.invalidate()
    s["a"] = 2
    s.save()
    assert again.cookies == [f"pysid={sid}; path=/app/; expires=Thu, 01-Jan-1970 00:00:00 GMT"]
    del s
    s = kind(next_request(req))
    assert (s.is_new(), dict(s)) == (True, {})


def test_timeout(kind, where, now):
    req = Request(**where)
    s = kind(req, timeout=100)
    s.save()
    del s
    now.time += 99
    s = kind(next_request(req), timeout=7)  # counts for new sessions only
    assert (s.is_new(), s.timeout()) == (False, 100)
    s.set_timeout(50)
    s.save()
    del s
    now.time += 49
    s = kind(next_request(req))
    assert not s.is_new()  # but is not saved
    del s
    now.time += 2
    assert kind(next_request(req)).is_new()


def test_explicit_sid(kind, where):
    first = kind(Request(**where))
    first["a"] = 1
    first.save()
    sid = first.id()
    del first
    s = kind(Request(**where), sid=sid)
    assert (s.is_new(), s.id(), s["a"]) == (False, sid, 1)
    del s
    assert kind(Request(**where), sid=SID).id() != SID


@pytest.mark.parametrize(
    "bad", ["x", SID + "\n", SID.upper(), SID + "0", "../" + SID[3:], 5, SID.encode()]
)
def test_bad_sid(kind, where, bad):
    with pytest.raises(ValueError) as error:
        kind(Request(**where), sid=bad)
    assert str(error.value) == f"Invalid Session ID: sid={bad}"
    if isinstance(bad, str):
        req = Request("pysid=" + bad, **where)
        assert kind(req).is_new()
        assert req.logged == []


def test_positional_order(kind, where):
    args = (Request(**where), 0, "secret", 77, 0)
    if kind is Session.DbmSession:
        args = (args[0], None, 0, "secret", None, 77, 0)
    s = kind(*args)
    assert (s._secret, s.timeout(), s._lock, s._locked) == ("secret", 77, 0, 0)


def test_base_order():
    s = Session.BaseSession(Request(), None, "secret", 0, 77)
    assert (s._secret, s.timeout(), s._lock) == ("secret", 77, 0)


def test_unpicklable(kind, where):
    req = Request(**where)
    s = kind(req)
    s["ok"] = 1
    s.save()
    s["bad"] = lambda: 0
    if kind is Session.MemorySession:
        s.save()
        return
    if kind in (Session.DbmSession, Session.SocacheSession):
        with pytest.raises((pickle.PicklingError, AttributeError)):
            s.save()
        assert req.logged == []
    else:
        s.save()
        assert [level for level, _ in req.logged] == [3]
        assert req.logged[0][1].startswith("Error while saving a session : Traceback")
    del s
    assert kind(next_request(req)) == {"ok": 1}


# --- cookies and options


def test_secret(kind, where):
    req = Request(**where)
    s = kind(req, secret="key")
    s["a"] = 1
    s.save()
    sid = s.id()
    assert re.fullmatch(f"pysid=[0-9a-f]{{64}}{sid}; path=/app/", req.cookies[0])
    del s
    again = next_request(req)
    s = kind(again, secret="key")
    assert (s.id(), s.is_new()) == (sid, False)
    del s
    for cookie, secret in (
        (f"pysid={sid}", "key"),
        (req.cookies[0], "other"),
        (req.cookies[0], None),
    ):
        assert kind(Request(cookie, **where), secret=secret).is_new()


def test_secret_of_the_original(where):
    from mod_python import Cookie

    s = Session.MemorySession(Request(**where))
    s.save()
    sid = s.id()
    del s
    old = str(Cookie.SignedCookie("pysid", sid, "key"))
    assert not Session.MemorySession(Request(old, **where), secret="key").is_new()


@pytest.mark.parametrize(
    "options, attributes",
    [
        ({}, "path=/app/"),
        ({"mod_python__session__application_path": "/p"}, "path=/p"),
        ({"ApplicationPath": "/p"}, "path=/p"),
        ({"ApplicationPath": "/p", "mod_python__session__application_path": "/q"}, "path=/q"),
        ({"mod_python__session__application_domain": ".x.org"}, "path=/app/; domain=.x.org"),
        ({"mod_python__session__cookie_secure": "On"}, "path=/app/; secure"),
        ({"mod_python__session__cookie_httponly": "yes"}, "path=/app/; httponly"),
        ({"mod_python__session__cookie_samesite": "Lax"}, "path=/app/; samesite=Lax"),
        ({"https": True}, "path=/app/; secure"),
        ({"https": True, "mod_python__session__cookie_secure": "Off"}, "path=/app/"),
        ({"directory": None}, "path=/"),
        ({"directory": "/www/"}, "path=/"),
        ({"directory": "/elsewhere/app/"}, "path=/"),
    ],
)
def test_cookie_attributes(options, attributes):
    req = Request(**options)
    s = Session.MemorySession(req)
    assert req.cookies == [f"pysid={s.id()}; {attributes}"]


@pytest.mark.parametrize("key", ["mod_python__session__cookie_name", "session_cookie_name"])
def test_cookie_name(key):
    req = Request(**{key: "sess"})
    s = Session.MemorySession(req)
    s.save()
    assert req.cookies[0].startswith("sess=")
    del s
    again = next_request(req)
    assert not Session.MemorySession(again).is_new()


@pytest.mark.parametrize(
    "key, value",
    [
        ("mod_python__session__cookie_secure", "perhaps"),
        ("mod_python__session__cookie_samesite", "x; secure"),
        ("mod_python__session__serializer", "marshal"),
    ],
)
def test_bad_options_are_named(key, value):
    with pytest.raises(ValueError, match=key.replace("__", ".") + " " + value):
        Session.MemorySession(Request(**{key: value}))


def test_file_options(tmp_path):
    s = Session.FileSession(
        Request(
            mod_python__file_session__database_directory=str(tmp_path),
            mod_python__session__database_directory="/nowhere",
            mod_python__file_session__enable_fast_cleanup="no",
            session_verify_cleanup="0",
            session_grace_period="5",
            mod_python__file_session__cleanup_time_limit="0",
        )
    )
    assert (
        s._sessdir,
        s._fast_cleanup,
        s._verify_cleanup,
        s._grace_period,
        s._cleanup_time_limit,
    ) == (f"{tmp_path}/mp_sess", False, False, 5, 0)
    s = Session.FileSession(Request(session_directory=str(tmp_path)), fast_cleanup=0)
    assert (s._fast_cleanup, s._verify_cleanup, s._grace_period, s._cleanup_time_limit) == (
        0,
        True,
        240,
        2,
    )


@pytest.mark.parametrize(
    "options, path",
    [
        ({"mod_python__dbm_session__database_filename": "D/f", "session_dbm": "D/x"}, "D/f"),
        ({"session_dbm": "D/f", "mod_python__dbm_session__database_directory": "D"}, "D/f"),
        (
            {
                "mod_python__dbm_session__database_directory": "D/e",
                "mod_python__session__database_directory": "D",
            },
            "D/e/mp_sess.dbm",
        ),
        (
            {"mod_python__session__database_directory": "D", "session_directory": "D/e"},
            "D/mp_sess.dbm",
        ),
        ({"session_directory": "D"}, "D/mp_sess.dbm"),
    ],
)
def test_dbm_options(tmp_path, options, path):
    (tmp_path / "e").mkdir()
    s = Session.DbmSession(
        Request(**{k: v.replace("D", str(tmp_path)) for k, v in options.items()})
    )
    assert s._dbmfile == path.replace("D", str(tmp_path))


def test_dbm_argument(tmp_path):
    assert Session.DbmSession(Request(), str(tmp_path / "f"))._dbmfile == str(tmp_path / "f")


@pytest.mark.parametrize("default", ["FileSession", "DbmSession"])
def test_tempdir_of_the_module(tmp_path, monkeypatch, default):
    monkeypatch.setattr(Session, "tempdir", str(tmp_path))
    s = getattr(Session, default)(Request())
    s.save()
    assert sorted(os.listdir(tmp_path))[-1].startswith("mp_sess")


def test_constants_of_the_module_count(monkeypatch, tmp_path):
    monkeypatch.setattr(Session, "COOKIE_NAME", "x")
    monkeypatch.setattr(Session, "DFT_TIMEOUT", 5)
    monkeypatch.setattr(Session, "DFT_GRACE_PERIOD", 6)
    req = Request(session_directory=str(tmp_path))
    s = Session.FileSession(req)
    assert (req.cookies[0][:2], s.timeout(), s._grace_period) == ("x=", 5, 6)


# --- which type


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("key", ["session", "mod_python__session__session_type"])
def test_configured_type(where, name, key):
    s = Session.Session(Request(**where, **{key: name}), timeout=9, secret="s", lock=0)
    assert type(s) is getattr(Session, name)
    assert (s.timeout(), s._secret, s._lock) == (9, "s", 0)


@pytest.mark.parametrize("name", ["Foo", "BaseSession", "filesession_cleanup", "os"])
def test_unknown_type(name):
    with pytest.raises(Exception, match=f"^Unknown session type {name}$"):
        Session.Session(Request(session=name))


@pytest.mark.parametrize(
    "threaded, forked, daemons, name",
    [
        (0, 1, 50, "DbmSession"),
        (1, 1, 16, "DbmSession"),
        (1, 1, 1, "MemorySession"),
        (1, 0, 1, "MemorySession"),
    ],
)
def test_type_for_mpm(apache, monkeypatch, where, threaded, forked, daemons, name):
    from types import ModuleType

    codes = ModuleType("mod_python.apache")
    codes.AP_MPMQ_IS_THREADED, codes.AP_MPMQ_IS_FORKED, codes.AP_MPMQ_MAX_DAEMONS = 2, 3, 12
    import mod_python

    monkeypatch.setitem(sys.modules, "mod_python.apache", codes)
    monkeypatch.setattr(mod_python, "apache", codes, raising=False)
    apache.mpm_query = {2: threaded, 3: forked, 12: daemons}.get
    assert type(Session.Session(Request(**where))).__name__ == name


def test_a_type_of_ones_own():
    class Mine(Session.BaseSession):
        kept = {}  # noqa: RUF012
        locks = 0

        def init_lock(self):
            self.locks += 1

        def do_load(self):
            return self.kept.get(self._sid)

        def do_save(self, dict):
            self.kept[self._sid] = dict

        def do_delete(self):
            self.kept.pop(self._sid, None)

        def do_cleanup(self):
            self.kept.clear()

    req = Request()
    s = Mine(req)
    s["a"] = 1
    s.save()
    assert list(Mine.kept[s.id()]) == ["_data", "_created", "_accessed", "_timeout"]
    assert type(Mine.kept[s.id()]["_data"]) is dict
    assert s.locks == 1
    del s
    s = Mine(next_request(req))
    assert (s.is_new(), s["a"]) == (False, 1)
    s.cleanup()
    assert Mine.kept == {}


# --- locks


def test_locked_until_gone(apache, where, kind):
    s = kind(Request(**where))
    assert list(apache.held) == [s.id()]
    s.lock()
    s.unlock()
    assert apache.held == {}
    s.unlock()
    s.lock()
    assert list(apache.held) == [s.id()]
    del s
    assert apache.held == {}


def test_own_locking_is_told_of_the_end():
    calls = []

    class Mine(Session.BaseSession):
        def lock(self):
            calls.append("lock")
            self._locked = 1

        def unlock(self):
            calls.append("unlock")
            self._locked = 0

    s = Mine(Request())
    assert calls == ["lock"]
    del s
    assert calls == ["lock", "unlock"]


def test_without_lock(apache, where, kind):
    s = kind(Request(**where), lock=0)
    s.lock()
    assert apache.held == {}
    s.save()


def test_unlocked_after_a_failure(apache, where, kind, monkeypatch):
    def broken(self):
        raise RuntimeError("storage")

    monkeypatch.setattr(kind, "do_load", broken)
    with pytest.raises(RuntimeError):
        kind(Request(f"pysid={SID}", **where))
    import gc

    sys.last_value = sys.last_traceback = None
    gc.collect()
    assert apache.held == {}


# --- cleanup


def make(kind, where, count, **kw):
    """Sids of new sessions that were saved."""
    sids = []
    for _ in range(count):
        s = kind(Request(**where), **kw)
        s.save()
        sids.append(s.id())
    return sids


def alive(kind, where, sids):
    return [sid for sid in sids if not kind(Request(**where), sid=sid, lock=0).is_new()]


MESSAGES = {
    "FileSession": "FileSession: registered filesession cleanup.",
    "DbmSession": "DbmSession: registered database cleanup.",
    "MemorySession": "MemorySession: registered session cleanup.",
}


def test_cleanup(kind, where, now, tmp_path):
    if kind is Session.SocacheSession:
        req = Request(**where)
        kind(req).cleanup()
        assert (req.cleanups, req.logged) == ([], [])  # the provider forgets by itself
        return
    old = make(kind, where, 5, timeout=100)
    now.time += 50
    long = make(kind, where, 3, timeout=10000)
    now.time += 2500
    for sid in old if kind is Session.FileSession else ():
        os.utime(stored(tmp_path, sid), (now.time - 2500,) * 2)
    req = Request(**where)
    s = kind(req)
    s.save()
    s.cleanup()
    assert req.logged[0] == (5, MESSAGES[kind.__name__])
    # Nothing has happened yet.
    assert count(kind, tmp_path) == 9
    req.end()
    assert count(kind, tmp_path) == 4
    assert {level for level, _ in req.logged} == {5}
    now.time -= 2500
    assert alive(kind, where, [*old, *long, s.id()]) == [*long, s.id()]


def count(kind, tmp_path):
    """Sessions in the storage."""
    if kind is Session.MemorySession:
        return len(kind.sdict)
    if kind is Session.DbmSession:
        with sqlite3.connect(tmp_path / "mp_sess.dbm.sqlite3") as db:
            return db.execute("SELECT count(*) FROM Dict").fetchone()[0]
    return len(list((tmp_path / "mp_sess").glob("*/" + "?" * 32)))


@pytest.mark.parametrize("kind", [getattr(Session, name) for name in MESSAGES])
def test_cleanup_by_chance(kind, where, monkeypatch):
    monkeypatch.setattr(Session, "CLEANUP_CHANCE", 10)
    logged = []
    for _ in range(100):
        req = Request(**where)
        kind(req)
        logged += [message for _, message in req.logged]
    assert logged == [MESSAGES[kind.__name__]] * 10


def run_file_cleanup(where, **kw):
    # However long it takes.
    req = Request(**{"mod_python__file_session__cleanup_time_limit": "0", **where})
    s = Session.FileSession(req, lock=0, **kw)
    s.cleanup()
    req.end()
    return [message for _, message in req.logged[1:]]


def test_file_cleanup_fast_without_verify(where, tmp_path):
    sids = make(Session.FileSession, where, 4)
    for sid in sids[:3]:
        os.utime(stored(tmp_path, sid), (5, 5))
    (tmp_path / "mp_sess/aa/notes.txt").write_text("mine")
    os.utime(tmp_path / "mp_sess/aa/notes.txt", (5, 5))
    logged = run_file_cleanup(where, fast_cleanup=1, verify_cleanup=0)
    assert logged[0] == "FileSession cleanup: (fast=1, verify=0) ..."
    assert re.fullmatch(r"FileSession cleanup: deleted 3 of 4 in \d\.\d{4} seconds", logged[1])
    assert [stored(tmp_path, sid).exists() for sid in sids] == [False, False, False, True]
    assert (tmp_path / "mp_sess/aa/notes.txt").exists()


def test_file_cleanup_verifies(where, tmp_path, now):
    (keep,) = make(Session.FileSession, where, 1, timeout=100000)
    (old,) = make(Session.FileSession, where, 1, timeout=1)
    for sid in (keep, old):
        os.utime(stored(tmp_path, sid), (5, 5))
    now.time += 230  # within the grace period
    assert "deleted 0 of 2" in run_file_cleanup(where)[-1]
    now.time += 20
    assert "deleted 1 of 2" in run_file_cleanup(where)[-1]
    assert (stored(tmp_path, keep).exists(), stored(tmp_path, old).exists()) == (True, False)


def test_file_cleanup_looks_at_all_when_not_fast(where, tmp_path, now):
    (sid,) = make(Session.FileSession, where, 1, timeout=1)
    now.time += 500
    os.utime(stored(tmp_path, sid), (now.time, now.time))
    assert "deleted 0 of 1" in run_file_cleanup(where, fast_cleanup=1)[-1]
    assert "deleted 1 of 1" in run_file_cleanup(where, fast_cleanup=0, verify_cleanup=0)[-1]


def test_file_cleanup_of_garbage(where, tmp_path):
    Session.make_filesession_dirs(str(tmp_path / "mp_sess"))
    fresh, old = "a" * 32, "b" * 32
    for sid in (fresh, old):
        stored(tmp_path, sid).write_bytes(b"\x80junk")
    os.utime(stored(tmp_path, old), (5, 5))
    logged = run_file_cleanup(where, fast_cleanup=0)
    assert sum(line.startswith("FileSession cleanup error: ") for line in logged) == 2
    assert (stored(tmp_path, fresh).exists(), stored(tmp_path, old).exists()) == (True, False)


class Odd(dict):
    """An application's class; its module will not be found."""


def test_file_cleanup_runs_no_code_of_pickles(where, tmp_path):
    Session.make_filesession_dirs(str(tmp_path / "mp_sess"))

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "evil"),)

    state = {
        "_data": {"x": Evil(), "y": Odd(a=1), "z": {1, (2, b"3")}, "t": base64.b64encode},
        "_created": 1.0,
        "_accessed": 1.0,
        "_timeout": 5,
    }
    stored(tmp_path, SID).write_bytes(
        pickle.dumps(state, 2).replace(b"test_session_types", b"test_session_nopes")
    )
    os.utime(stored(tmp_path, SID), (5, 5))
    assert "deleted 1 of 1" in run_file_cleanup(where)[-1]
    assert not (tmp_path / "evil").exists()


def test_file_cleanup_stops_and_goes_on(where, tmp_path):
    Session.make_filesession_dirs(str(tmp_path / "mp_sess"))
    status = tmp_path / "mp_sess/fs_status.txt"
    for number in (0, 1, 255):
        path = tmp_path / f"mp_sess/{number:02x}/{number:032x}"
        path.write_bytes(b"junk")
        os.utime(path, (5, 5))
    limited = dict(
        where,
        mod_python__file_session__cleanup_time_limit="0.000000001",
        mod_python__file_session__verify_session_timeout="no",
    )
    assert run_file_cleanup(limited)[-1] == (
        "FileSession cleanup incomplete: next cleanup will start at index 1 (01)"
    )
    assert re.fullmatch(r"MPFS_3\.2 1 1 1 0\.\d{6}", status.read_text())
    run_file_cleanup(limited)
    assert status.read_text().startswith("MPFS_3.2 2 2 2 ")
    unlimited = dict(limited, mod_python__file_session__cleanup_time_limit="0")
    assert "deleted 3 of 3 in" in run_file_cleanup(unlimited)[-1]
    assert status.read_text() == "MPFS_3.2 0 0 0 0.000000"


@pytest.mark.parametrize(
    "text",
    ["", "junk", "MPFS_3.1 9 1 1 1.0", "MPFS_3.2 300 0 0 0", "MPFS_3.2 x 0 0 0", "MPFS_3.2 1 2"],
)
def test_file_cleanup_bad_status(where, tmp_path, text):
    Session.make_filesession_dirs(str(tmp_path / "mp_sess"))
    (tmp_path / "mp_sess/fs_status.txt").write_text(text)
    assert "deleted 0 of 0" in run_file_cleanup(where)[-1]


def test_file_cleanup_lock(where, tmp_path):
    Session.make_filesession_dirs(str(tmp_path / "mp_sess"))
    lock = tmp_path / "mp_sess/.mp_sess.lck"
    lock.touch()
    assert run_file_cleanup(where)[-1] == (
        "FileSession cleanup: another process is already running"
    )
    assert lock.exists()
    os.utime(lock, (5, 5))
    assert run_file_cleanup(where)[-1] == (
        "FileSession cleanup: stale lockfile found - deleting it"
    )
    assert not lock.exists()
    assert "deleted 0 of 0" in run_file_cleanup(where)[-1]
    assert not lock.exists()


def test_file_cleanup_of_what_a_kill_left(where, tmp_path):
    Session.make_filesession_dirs(str(tmp_path / "mp_sess"))
    old, new = tmp_path / "mp_sess/.new-1", tmp_path / "mp_sess/.new-2"
    old.touch()
    new.touch()
    os.utime(old, (5, 5))
    run_file_cleanup(where)
    assert (old.exists(), new.exists()) == (False, True)


def test_file_cleanup_before_any_save(where, tmp_path):
    assert run_file_cleanup(where) == ["FileSession cleanup: (fast=True, verify=True) ..."]


# --- formats

STATE = {"_data": {"a": 1, "b": "caf\xe9"}, "_created": 1.5, "_accessed": 0, "_timeout": 1800}


def put(kind, tmp_path, data):
    """Store bytes as the session SID."""
    if kind is Session.FileSession:
        Session.make_filesession_dirs(str(tmp_path / "mp_sess"))
        stored(tmp_path, SID).write_bytes(data)
    else:
        Session.DbmSession(Request(session_directory=str(tmp_path)), sid=SID)
        with sqlite3.connect(tmp_path / "mp_sess.dbm.sqlite3") as db:
            db.execute("INSERT INTO Dict (key, value) VALUES (?, ?)", (SID.encode(), data))


@pytest.fixture(params=["FileSession", "DbmSession"])
def durable(request):
    return getattr(Session, request.param)


@pytest.mark.parametrize("protocol", range(6))
def test_reads_any_pickle(durable, where, tmp_path, protocol):
    put(durable, tmp_path, pickle.dumps(dict(STATE, _accessed=time.time()), protocol))
    s = durable(Request(**where), sid=SID)
    assert (s.is_new(), dict(s), s.created()) == (False, STATE["_data"], 1.5)


# From Python 2.7: pickle.dumps({'_data': {'a': 'caf\xc3\xa9', u'b': u'\xe9', 'c': 5L}, ...}, 2)
PYTHON2 = (
    b"\x80\x02}q\x01(U\x08_timeoutq\x02M\x08\x07U\x08_createdq\x03G?\xf8\x00\x00\x00\x00"
    b"\x00\x00U\x09_accessedq\x04GB\x0f\x40\x00\x00\x00\x00\x00U\x05_dataq\x05}q\x06("
    b"U\x01aq\x07U\x05%sX\x01\x00\x00\x00bq\x08X\x02\x00\x00\x00\xc3\xa9q\x09U\x01cq\x0a"
    b"\x8a\x01\x05uu."
)


@pytest.mark.parametrize(
    "raw, text", [(b"caf\xc3\xa9", "caf\xe9"), (b"plain", "plain"), (b"caf\xe9\xff", "caf\xe9\xff")]
)
def test_reads_python2(durable, where, tmp_path, now, raw, text):
    data = PYTHON2.replace(b"U\x05%s", b"U" + bytes([len(raw)]) + raw)
    now.time = 4e9  # its _accessed is 2**32 and a bit
    put(durable, tmp_path, data)
    s = durable(Request(**where), sid=SID)
    assert (s.is_new(), dict(s)) == (False, {"a": text, "b": "\xe9", "c": 5})


def test_file_format(where, tmp_path):
    s = Session.FileSession(Request(**where))
    s["a"] = 1
    s.save()
    path = stored(tmp_path, s.id())
    data = path.read_bytes()
    assert data[:2] == b"\x80\x02"
    state = {
        "_data": {"a": 1},
        "_created": s.created(),
        "_accessed": s.last_accessed(),
        "_timeout": 1800,
    }
    # The layout is for us; the original takes what it knows.
    assert pickle.loads(data) == {"_layout": 2, **state}
    for size in (50, 5, 200, 3900, 0):
        s["a"] = "x" * size
        s.save()
        with path.open("rb") as file:
            state["_data"] = {"a": "x" * size}
            assert pickle.load(file) == {"_layout": 2, **state}
    s["a"] = "x" * 5000
    s.save()
    with path.open("rb") as file:
        state["_data"] = {"a": "x" * 5000}
        assert pickle.load(file) == state
        assert file.read() == b""
    assert not stat.S_IMODE(path.stat().st_mode) & 0o007
    directories = [p for p in (tmp_path / "mp_sess").iterdir() if p.is_dir()]
    assert sorted(p.name for p in directories) == [f"{n:02x}" for n in range(256)]
    assert {stat.S_IMODE(p.stat().st_mode) & 0o7 for p in directories} == {0}
    assert [p for p in (tmp_path / "mp_sess").iterdir() if p.is_file()] == []


def test_dbm_format(where, tmp_path):
    s = Session.DbmSession(Request(**where))
    s["a"] = 1
    s.save()
    path = tmp_path / "mp_sess.dbm.sqlite3"
    assert not stat.S_IMODE(path.stat().st_mode) & 0o007
    if sys.version_info >= (3, 13):
        import dbm

        assert dbm.whichdb(str(path)) == "dbm.sqlite3"
        # Not "r": with that Python 3.14 does not see what is in the write-ahead log alone.
        with dbm.open(str(path), "w") as db:
            data = db[s.id().encode()]
    else:
        with sqlite3.connect(path) as db:
            (data,) = db.execute(
                "SELECT value FROM Dict WHERE key = ?", (s.id().encode(),)
            ).fetchone()
    assert pickle.loads(data)["_data"] == {"a": 1}


def dbm_modules():
    from importlib import import_module

    for name in ("gnu", "ndbm", "dumb", "sqlite3"):
        try:
            yield import_module("dbm." + name)
        except ImportError:
            pass


@pytest.mark.parametrize("module", list(dbm_modules()), ids=lambda m: m.__name__)
def test_takes_over_older_databases(where, tmp_path, module):
    path = str(tmp_path / "mp_sess.dbm")
    now = time.time()
    with module.open(path, "c", 0o640) as db:
        for number in range(100):
            db[b"%032x" % number] = pickle.dumps(dict(STATE, _accessed=now - 41 * number))
        db[b"%032x" % 200] = b"garbage"
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    s = Session.DbmSession(Request(**where), sid="%032x" % 5)
    assert (s.is_new(), dict(s)) == (False, STATE["_data"])
    assert count(Session.DbmSession, tmp_path) == 44  # the others are over
    after = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert before.items() <= after.items()


def test_unreadable_older_database(apache, where, tmp_path):
    (tmp_path / "mp_sess.dbm").write_bytes(b"\x13\x57\x9a\xce not really gdbm")
    s = Session.DbmSession(Request(**where))
    s.save()
    assert apache.logged == [] or "are not taken over" in apache.logged[0][1]


@pytest.mark.parametrize("module", list(dbm_modules()), ids=lambda m: m.__name__)
def test_dbmtype(where, tmp_path, module, now):
    sids = []
    for number in range(30):
        s = Session.DbmSession(Request(**where), dbmtype=module)
        s["n"] = number
        s.save()
        sids.append(s.id())
    for number, sid in enumerate(sids):
        s = Session.DbmSession(Request(**where), sid=sid, dbmtype=module)
        assert (s.is_new(), s["n"]) == (False, number)
        s["x"] = "long" * 100
        s.save()
    s.delete()
    del s
    assert Session.DbmSession(Request(**where), sid=sid, dbmtype=module).is_new()
    with module.open(str(tmp_path / "mp_sess.dbm"), "r") as db:
        assert len(list(db.keys())) == 29
    assert not [p for p in tmp_path.iterdir() if ".new" in p.name or "sqlite3" in p.name]
    now.time += 2000
    req = Request(**where)
    Session.DbmSession(req, dbmtype=module).cleanup()
    req.end()
    with module.open(str(tmp_path / "mp_sess.dbm"), "r") as db:
        assert list(db.keys()) == []


def test_dbm_file_that_vanishes(where, tmp_path):
    (sid,) = make(Session.DbmSession, where, 1)
    for path in tmp_path.glob("mp_sess.dbm.sqlite3*"):
        path.unlink()
    assert Session.DbmSession(Request(**where), sid=sid).is_new()
    (sid,) = make(Session.DbmSession, where, 1)
    assert alive(Session.DbmSession, where, [sid]) == [sid]
    assert count(Session.DbmSession, tmp_path) == 1


@pytest.mark.parametrize("damage", [b"not a database, really not" * 1000, "in the middle"])
def test_damaged_database(apache, where, tmp_path, damage):
    path = tmp_path / "mp_sess.dbm.sqlite3"
    if isinstance(damage, bytes):
        path.write_bytes(damage)
    else:
        from mod_python._session import dbm as module

        make(Session.DbmSession, where, 200)
        module._stores.clear()
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        data = bytearray(path.read_bytes())
        data[4096:] = b"\xff" * len(data[4096:])
        path.write_bytes(data)
    sids = make(Session.DbmSession, where, 3)
    assert alive(Session.DbmSession, where, sids) == sids
    assert len(apache.logged) == 1
    assert apache.logged[0][0] == 2
    assert "is damaged" in apache.logged[0][1]
    assert (tmp_path / "mp_sess.dbm.sqlite3.damaged").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"junk",
        b"\x80\x02junk",
        pickle.dumps([]),
        pickle.dumps({}),
        b"{",
        b"{}",
        b'{"_data":1}',
        pickle.dumps(dict(STATE, _data=[])),
        pickle.dumps(dict(STATE, _timeout="x")),
        pickle.dumps(STATE)[:-5],
    ],
)
def test_malformed(durable, where, tmp_path, data):
    put(durable, tmp_path, data)
    req = Request(**where)
    s = durable(req, sid=SID)
    assert s.is_new()
    assert len(req.logged) == 1
    s.save()
    if durable is Session.DbmSession:
        req = Request(**where)
        durable(req).cleanup()
        req.end()
        assert count(durable, tmp_path) == 1


def test_json(durable, where, tmp_path):
    where["mod_python__session__serializer"] = "json"
    req = Request(**where)
    s = durable(req)
    s["a"] = {"b": [1, None, "caf\xe9", 1.5, True]}
    s.save()
    sid = s.id()
    if durable is Session.FileSession:
        assert json.loads(stored(tmp_path, sid).read_bytes())["_data"] == dict(s)
    del s
    s = durable(next_request(req))
    assert (s.is_new(), s) == (False, {"a": {"b": [1, None, "caf\xe9", 1.5, True]}})
    for bad in ({1: 2}, {"a": {2: 3}}, {"a": [{None: 1}]}, {"a": {1, 2}}, {"a": b"x"}):
        s.clear()
        s.update(bad)
        if durable is Session.FileSession:
            s.save()
            assert "TypeError" in s._req.logged.pop()[1]
        else:
            with pytest.raises(TypeError):
                s.save()
    del s
    # The other serializer reads it too.
    del where["mod_python__session__serializer"]
    assert durable(Request(**where), sid=sid) == {"a": {"b": [1, None, "caf\xe9", 1.5, True]}}
    old = make(durable, where, 1)[0]
    where["mod_python__session__serializer"] = "json"
    assert durable(Request(**where), sid=old).is_new()


def test_json_never_unpickles(durable, where, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "evil"),)

    put(durable, tmp_path, pickle.dumps(Evil()))
    where["mod_python__session__serializer"] = "json"
    assert durable(Request(**where), sid=SID).is_new()
    assert not (tmp_path / "evil").exists()


# --- the shared temporary directory


@pytest.mark.parametrize("name", ["mp_sess", "mp_sess.dbm.sqlite3", "mp_sess.dbm.sqlite3-wal"])
def test_a_trap_in_the_temporary_directory(tmp_path, monkeypatch, name):
    monkeypatch.setattr(Session, "tempdir", str(tmp_path))
    (tmp_path / "target").mkdir()
    (tmp_path / name).symlink_to(tmp_path / "target")
    kind = Session.FileSession if name == "mp_sess" else Session.DbmSession
    with pytest.raises(PermissionError, match=f"{name} belongs to another user.*PythonOption"):
        kind(Request("pysid=" + SID))


def test_file_trouble_is_logged(where, tmp_path):
    (tmp_path / "mp_sess").write_text("in the way")
    req = Request("pysid=" + SID, **where)
    s = Session.FileSession(req)
    s.save()
    s.delete()
    assert [(level, message.split(" : ")[0]) for level, message in req.logged] == [
        (3, "Error while loading a session"),
        (3, "Error while saving a session"),
        (3, "Error while deleting a session"),
    ]


def test_big_sessions(durable, where):
    req = Request(**where)
    s = durable(req)
    s["a"] = os.urandom(3_000_000)
    expected = s["a"]
    s.save()
    del s
    assert durable(next_request(req))["a"] == expected


def test_loading_touches_the_file(where, tmp_path):
    (sid,) = make(Session.FileSession, where, 1)
    os.utime(stored(tmp_path, sid), (5, 5))
    Session.FileSession(Request(**where), sid=sid)
    assert stored(tmp_path, sid).stat().st_mtime > 1e9


def test_light_until_used():
    import subprocess

    code = (
        "import sys; sys.path[:0] = %r\n"
        "from mod_python import Session\n"
        "print(*sys.modules); print(*dir(Session))\n"
        "from mod_python.Session import FileSession, DbmSession, tempdir" % sys.path
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules, names = (set(line.split()) for line in out.stdout.splitlines())
    heavy = {
        "pickle",
        "dbm",
        "sqlite3",
        "json",
        "tempfile",
        "random",
        "hashlib",
        "hmac",
        "traceback",
        "_apache",
    }
    assert not modules & heavy
    assert {*TYPES, "Session", "tempdir"} <= names


def test_plain_files_of_all_sizes(where, tmp_path):
    """Files as the original writes them are taken over, and plain when they are large."""
    for size in (0, 10, 3900, 4090, 4096, 4097, 5000, 9000):
        put(
            Session.FileSession,
            tmp_path,
            pickle.dumps(dict(STATE, _data={"a": "y" * size}, _accessed=time.time()), 2),
        )
        for more in (0, 1, 5000, 3):
            s = Session.FileSession(Request(**where), sid=SID)
            assert len(s["a"]) == size
            s["a"] = "z" * (size := more)
            s.save()
            del s
            with stored(tmp_path, SID).open("rb") as file:
                assert pickle.load(file)["_data"] == {"a": "z" * more}


def test_changed_serializer(where):
    (sid,) = make(Session.FileSession, where, 1)
    for how in ("json", "pickle", "json", "json", "pickle"):
        where["mod_python__session__serializer"] = "pickle"
        s = Session.FileSession(Request(**where), sid=sid)
        assert not s.is_new()
        where["mod_python__session__serializer"] = how
        s._options = Session._options.of(Request(**where))
        s["how"] = how
        s.save()
        del s
        where["mod_python__session__serializer"] = "pickle"
        assert Session.FileSession(Request(**where), sid=sid)["how"] == how
