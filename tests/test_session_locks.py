"""Session locks in a server: one visitor's requests take turns, and nothing waits for itself."""

import socket
import threading
import time

import pytest

from pyhttpd import Connection, Site, client

SITE = Site(
    conf="""
        SendBufferSize 4096
        # A client that does not read is to be borne for as long as another one takes.
        Timeout 120
        <Directory @root@/htdocs/s>
            SetHandler mod_python
            PythonHandler sess
            PythonOption mod_python.session.session_type FileSession
            PythonOption mod_python.session.database_directory @root@/sessions
            PythonOption mod_python.session.application_path /
        </Directory>
        <Directory @root@/htdocs/s/logged>
            PythonLogHandler sess::count
        </Directory>
        <Directory @root@/htdocs/guarded>
            PythonAccessHandler guard::access
            PythonOption mod_python.session.session_type FileSession
            PythonOption mod_python.session.database_directory @root@/sessions
            PythonOption mod_python.session.application_path /
        </Directory>
    """,
    files={
        "s/sess.py": """
            import time

            from mod_python import Session, apache

            def handler(req):
                return globals()[req.path_info.strip("/") or "plain"](req)

            def plain(req):
                "Counts; the session is gone when the handler returns."
                s = Session.Session(req)
                count = s["n"] = s.get("n", 0) + 1
                s.save()
                req.write("%d" % count)
                return apache.OK

            def kept(req):
                "Counts; the session lives as long as the request."
                req.session = Session.Session(req)
                count = req.session["n"] = req.session.get("n", 0) + 1
                req.session.save()
                req.write("%d" % count, 0)
                return apache.OK

            def big(req):
                req.session = Session.Session(req)
                req.session.save()
                # Less than makes httpd wait in the write, more than fits into a socket.
                req.write("x" * 60000, 0)
                req.log_error("the big handler is done", apache.APLOG_NOTICE)
                return apache.OK

            def twice(req):
                first = Session.Session(req)
                first.lock()
                first["a"] = 1
                first.save()
                second = Session.Session(req, sid=first.id())
                del first
                req.write(repr((second.is_new(), dict(second))))
                return apache.OK

            def many(req):
                "More sessions than there are locks, in one request."
                sessions = [Session.Session(req) for _ in range(20)]
                for s in sessions:
                    s["n"] = 1
                    s.save()
                req.write(" ".join(s.id() for s in sessions))
                return apache.OK

            def some(req):
                "Counts in the sessions that the query names, in that order."
                sessions = [Session.Session(req, sid=sid) for sid in req.args.split(",")]
                for s in sessions:
                    assert not s.is_new()
                    s["n"] += 1
                time.sleep(0.002)
                for s in sessions:
                    s.save()
                return apache.OK

            def value(req):
                req.write("%d" % Session.Session(req, sid=req.args)["n"])
                return apache.OK

            def redirect(req):
                req.session = Session.Session(req)
                req.session["from"] = "before"
                req.session.save()
                req.internal_redirect("/s/x/target")
                return apache.OK

            def target(req):
                s = Session.Session(req)
                req.write("%s %s" % (s.is_new(), s["from"]))
                return apache.OK

            def crosswise(req):
                "Takes two locks against the order in which another request takes them."
                s = Session.Session(req, sid=req.args.split(",")[0])
                time.sleep(0.5)
                Session.Session(req, sid=req.args.split(",")[1])
                return apache.OK

            def fails(req):
                s = Session.Session(req)
                raise RuntimeError("on purpose")

            def count(req):
                "In the log phase."
                if hasattr(req, "session"):
                    req.session["logged"] = req.session.get("logged", 0) + 1
                    req.session.save()
                return apache.OK

            def logged(req):
                req.write("%d" % Session.Session(req).get("logged", 0))
                return apache.OK
        """,
        "guarded/guard.py": """
            from mod_python import Session, apache

            def access(req):
                req.session = Session.Session(req)
                req.session["n"] = req.session.get("n", 0) + 1
                req.session.save()
                return apache.OK
        """,
        "guarded/static.txt": "static",
        "s/x": "",
        "s/logged/x": "",
    },
)


@pytest.fixture(scope="module", autouse=True)
def directory(_module_server):
    root = _module_server.root
    (root / "sessions").mkdir()
    (root / "sessions").chmod(0o777)


def cookie(answer):
    return "Cookie", answer.headers["Set-Cookie"].split(";")[0]


@pytest.fixture
def visitor(get):
    """The headers of a visitor who has a session."""
    return [cookie(get("/s/x/plain"))]


def pipelined(connect, path, headers, count):
    """The texts of the answers to `count` requests sent at once on one connection."""
    connection = connect()
    lines = "".join("%s: %s\r\n" % pair for pair in headers)
    one = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n"
    connection.send(one.encode() * count)
    return [connection.read_response().text for _ in range(count)]


@pytest.mark.parametrize("function", ["plain", "kept"])
def test_pipelined(connect, visitor, function):
    assert pipelined(connect, f"/s/x/{function}", visitor, 8) == [str(n) for n in range(2, 10)]


def test_pipelined_with_log_handler(connect, get, visitor):
    """Held beyond the handlers, until the next request of the connection wants the lock."""
    texts = pipelined(connect, "/s/logged/x/kept", visitor, 8)
    assert texts == [str(n) for n in range(2, 10)]


def test_pipelined_static(connect, visitor, get):
    """The session was opened in an earlier phase; no Python handler makes the content."""
    assert pipelined(connect, "/guarded/static.txt", visitor, 8) == ["static"] * 8
    assert get("/s/x/plain", headers=visitor).text == "10"


def test_the_log_phase_has_the_session(get, visitor):
    for _ in range(3):
        get("/s/logged/x/kept", headers=visitor)
    assert get("/s/x/logged", headers=visitor).text == "3"


@pytest.mark.parametrize("path", ["/s/x/big", "/s/logged/x/big"])
def test_a_client_that_does_not_read(server, get, visitor, log, path):
    """Where no later handler needs the session, others get it before the client has all."""
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(("127.0.0.1", server.port))
    lines = "".join("%s: %s\r\n" % pair for pair in visitor)
    slow.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n".encode())
    log.wait_for("the big handler is done")
    answers = []
    other = threading.Thread(target=lambda: answers.append(get("/s/x/plain", headers=visitor).text))
    other.start()
    if "logged" not in path:
        other.join()
        assert answers == ["2"]
    # The server did not give up on the slow client in the meantime.
    received = b""
    while data := slow.recv(1 << 16):
        received += data
    assert received.count(b"x") >= 60000
    slow.close()
    other.join()
    assert answers == ["2"]


def test_the_same_session_twice(get):
    assert get("/s/x/twice").text == "(False, {'a': 1})"


def test_redirect(get, visitor):
    assert get("/s/x/redirect", headers=visitor).text == "False before"


def test_many_sessions_in_one_request(get):
    sids = get("/s/x/many").text.split(" ")
    assert len(set(sids)) == 20
    assert get("/s/x/many").status == 200
    assert [get(f"/s/x/value?{sid}").text for sid in sids] == ["1"] * 20


def test_pairs_of_sessions(server, get):
    """Requests that open several sessions, always in the same order, wait and count right."""
    sids = sorted(get("/s/x/many").text.split(" ")[:4])
    expected = dict.fromkeys(sids, 1)
    jobs = []
    for number in range(40):
        first, second = sorted((sids[number % 4], sids[(number + 1 + number // 4 % 3) % 4]))
        jobs.append((first, second))
        for sid in (first, second):
            expected[sid] += 1
    statuses = []

    def work(mine):
        with Connection(server.port) as connection:
            for first, second in mine:
                statuses.append(connection.request(f"/s/x/some?{first},{second}").status)

    threads = [threading.Thread(target=work, args=(jobs[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 40
    assert {sid: int(get(f"/s/x/value?{sid}").text) for sid in sids} == expected


def test_turns(server, get, visitor):
    """Parallel requests of one visitor: no increment is lost."""

    def work():
        with Connection(server.port) as connection:
            for number in range(25):
                function = ("plain", "kept")[number % 2]
                assert connection.request(f"/s/x/{function}", headers=visitor).status == 200

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert get("/s/x/plain", headers=visitor).text == "102"


def test_after_a_failure(get, visitor, log):
    log.expect("RuntimeError: on purpose", "PythonHandler sess:")
    assert get("/s/x/fails", headers=visitor).status == 500
    assert get("/s/x/plain", headers=visitor).text == "2"


def test_bad_arguments(make_server, watch):
    site = Site(
        conf="""
            <Location /x>
                SetHandler mod_python
                PythonHandler locks
                PythonPath "sys.path+['@root@/htdocs']"
            </Location>
        """,
        files={
            "locks.py": """
            import _apache
            from mod_python import apache

            def attempt(f, *args):
                try:
                    return repr(f(*args))
                except Exception as error:
                    return "%s: %s" % (type(error).__name__, error)

            def handler(req):
                req.write(attempt(_apache._request_lock, req.server, "k") + "\\n")
                req.write(attempt(_apache._request_lock, req, []) + "\\n")
                held = [_apache._request_lock(req, "k") for _ in range(3)]
                held.pop()
                del held
                req.write(attempt(_apache._global_trylock, req.server, "k") + "\\n")
                req.write(attempt(_apache._global_trylock, req.server, "k") + "\\n")
                req.write(attempt(_apache._global_unlock, req.server, "k") + "\\n")
                req.write(attempt(_apache._global_unlock, req.server, "k") + "\\n")
                return apache.OK
        """
        },
    )
    with make_server(site) as server:
        watch(server)
        with Connection(server.port) as connection:
            lines = connection.request("/x").text.splitlines()
    assert lines == [
        "TypeError: 'mp_server' object is not an instance of 'mp_request'",
        "TypeError: unhashable type: 'list'",
        "True",
        "False",
        "None",
        "ValueError: Failed to release global mutex lock",
    ]


@pytest.mark.mpms("event", "prefork")  # worker has threads as event has
def test_crosswise_ends_with_an_error(get, log):
    """Whoever waits against the order gives up; nobody waits for ever."""
    sids = get("/s/x/many").text.split(" ")
    log.expect(
        "TimeoutError: another request has held a lock for 10 seconds", "PythonHandler sess:"
    )
    statuses = []

    def work(order):
        statuses.append(get("/s/x/crosswise?" + ",".join(order)).status)

    # Of all pairs at least one is crosswise; pairs that share a lock are not.
    begin = time.monotonic()
    for other in sids[1:]:
        threads = [
            threading.Thread(target=work, args=(order,))
            for order in ((sids[0], other), (other, sids[0]))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(statuses) == 2
        if sorted(statuses) == [200, 500]:
            break
        assert statuses == [200, 200]
        del statuses[:]
    assert sorted(statuses) == [200, 500]
    assert 10 <= time.monotonic() - begin


FIRST_DBM = """
    from mod_python import Session, apache

    def handler(req):
        s = Session.DbmSession(req)
        s["n"] = 1
        s.save()
        req.write("saved")
        return apache.OK
"""


def test_dbm_is_made_by_many_at_once(make_server, watch, mpm):
    """One thread opens the new file while another saves: none waits for the other for ever."""
    if mpm != "event":
        pytest.skip("needs threads, and one MPM with some will do")
    names = [f"fresh{number}" for number in range(12)]
    conf = "\n".join(
        f"""
        <Location /{name}>
            SetHandler mod_python
            PythonHandler first_dbm
            PythonPath "sys.path + ['@root@/htdocs']"
            PythonOption mod_python.dbm_session.database_filename @root@/tmp/{name}
        </Location>"""
        for name in names
    )
    with make_server(Site(conf=conf, files={"first_dbm.py": FIRST_DBM}, threads=8)) as server:
        watch(server)
        answers = []

        def ask(name, number):
            # Half of them look for a session first.
            headers = [("Cookie", f"pysid={number:032x}")] if number % 2 else []
            answers.append(client.get(server.port, f"/{name}", headers=headers))

        for name in names:
            threads = [threading.Thread(target=ask, args=(name, number)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert [answer.text for answer in answers] == ["saved"] * 8 * len(names)
        assert len(list(server.root.glob("tmp/fresh*.sqlite3"))) == len(names)
