"""sys.stderr, print and logging: in the right virtual host's log, with level and request id."""

import re
import threading
import time

import pytest

from pyhttpd import Connection, Site, client

APP = r"""
    import io
    import logging
    import os
    import subprocess
    import sys
    import threading
    from mod_python import apache
    from mod_python.logging import Handler

    log = logging.getLogger("app")
    log.setLevel(1)
    log.propagate = False
    if not log.handlers:
        log.addHandler(Handler())

    def handler(req):
        req.content_type = "text/plain"
        answer = globals()[os.path.basename(req.uri)](req)
        req.write(str(answer))
        return apache.OK

    def everything(req):
        print("by print", 1)
        sys.stderr.write("by stderr\n")
        logging.getLogger("other").warning("by lastResort")
        log.error("by logging")
        req.log_error("by req")

    def levels(req):
        for level in (50, 45, 40, 30, 25, 20, 10, 5):
            log.log(level, "level %d", level)

    def pieces(req):
        sys.stderr.write("be")
        print("print in between")
        sys.stderr.write("gin\nend")
        # Nobody ends the line.

    def flushed(req):
        print("half", end="", flush=True)
        print("other half")

    def long(req):
        sys.stderr.write("L" * 20000 + "\n")
        sys.stderr.write("\\x" + "\x01\xe9" * 3000 + "\n")

    def bytes_(req):
        sys.stdout.buffer.write(b"caf\xc3\xa9 \xff\n")
        sys.stdout.flush()

    def attributes(req):
        e = sys.stderr
        assert isinstance(e, io.TextIOBase) and e.writable() and not e.readable()
        assert (e.fileno(), e.isatty(), e.encoding, e.name) == (2, False, "utf-8", "<stderr>")
        assert sys.__stderr__.fileno() == 2 and e is not sys.__stderr__
        e.close()
        e.reconfigure(line_buffering=True)
        with e:
            pass
        assert not e.closed
        try:
            e.write(b"x")
        except TypeError as error:
            assert "must be str, not bytes" in str(error)
        else:
            raise AssertionError
        return subprocess.call(["true"], stderr=sys.stderr)

    def traceback_(req):
        try:
            raise ValueError("told")
        except ValueError:
            log.exception("it failed")

    def thread(req):
        def work():
            print("from a thread")
            sys.stderr.write("without an end")
            log.error("logged by a thread")
        worker = threading.Thread(target=work)
        worker.start()
        worker.join()

    def many(req):
        for number in range(200):
            for piece in (req.args, " ", str(number), " ", req.args * 10, "\n"):
                sys.stderr.write(piece)

    class Last:
        def __del__(self):
            print("by a destructor")

    def late(req):
        req.last = Last()
        req.register_cleanup(print, ("by a cleanup",))

    def nested(req):
        print("before")
        sys.stdout.write("half of it, ")
        req.internal_redirect("/app/everything")
        print("after")
        raise apache.SERVER_RETURN(apache.OK)

    def raising(req):
        class Broken:
            def __str__(self):
                raise ValueError("cannot be told")
        log.error("%s", Broken())

    def recursion(req):
        def again():
            sys.stderr.write("")
            again()
        try:
            again()
        except RecursionError:
            print("enough")
"""
HOST = """
    <VirtualHost *:@port@>
        ServerName {name}
        ErrorLog @root@/logs/{name}.log
        ErrorLogFormat "%l|%L|%M"
        CustomLog @root@/logs/{name}-access.log "%L %U"
        LogLevel trace1
        DocumentRoot @root@/htdocs
    </VirtualHost>
"""
SITE = Site(
    conf="""
        <Directory @root@/htdocs/app>
            SetHandler mod_python
            PythonHandler app
            PythonInterpreter main_interpreter
        </Directory>
        Alias /app @root@/htdocs/app
    """
    + """
        <VirtualHost *:@port@>
            ServerName localhost
        </VirtualHost>
    """
    + HOST.format(name="one")
    + HOST.format(name="two"),
    files={"app/app.py": APP},
)


@pytest.fixture
def run(server):
    """Runs a function of the application and returns what it logged: (level, request id, text)."""

    def run(name, host="one", query=""):
        path = server.root / ("logs/%s.log" % host)
        start = path.stat().st_size
        answer = client.get(server.port, "/app/%s?%s" % (name, query), headers=[("Host", host)])
        with path.open() as file:
            file.seek(start)
            assert answer.status == 200, file.read()
            found = [tuple(line.rstrip("\n").split("|", 2)) for line in file]
        # httpd's own lines at this level, and the module's before the function runs
        return [row for row in found if not re.search("^AH|Importing|MP0201", row[2])], answer

    return run


def request_id(server, host, uri):
    path = server.root / ("logs/%s-access.log" % host)
    rows = [line.split() for line in path.read_text().splitlines()]
    return [row[0] for row in rows if row[1] == uri][-1]


@pytest.mark.parametrize("host", ["one", "two"])
def test_host_level_and_id(server, run, host):
    rows, _ = run("everything", host)
    id = request_id(server, host, "/app/everything")
    assert len(id) > 5
    assert rows == [
        ("warn", id, "by print 1"),
        ("error", id, "by stderr"),
        ("error", id, "by lastResort"),
        ("error", id, "app: by logging"),
        ("error", id, "by req"),
    ]


def test_levels(run):
    rows, _ = run("levels")
    assert [(level, text) for level, _, text in rows] == [
        ("crit", "app: level 50"),
        ("error", "app: level 45"),
        ("error", "app: level 40"),
        ("warn", "app: level 30"),
        ("notice", "app: level 25"),
        ("info", "app: level 20"),
        ("debug", "app: level 10"),
        ("trace1", "app: level 5"),
    ]


def test_lines_are_whole(run):
    rows, _ = run("pieces")
    assert [text for _, _, text in rows] == ["print in between", "begin", "end"]
    assert len({id for _, id, _ in rows}) == 1
    rows, _ = run("flushed")
    assert [text for _, _, text in rows] == ["half", "other half"]


def test_long_lines_are_not_cut(run):
    rows, _ = run("long")
    texts = [text for _, _, text in rows]
    plain = [text for text in texts if text.startswith("L")]
    assert "".join(plain) == "L" * 20000
    others = "".join(text for text in texts if not text.startswith("L"))
    assert others == "\\\\x" + r"\x01\xc3\xa9" * 3000


def test_bytes(run):
    rows, _ = run("bytes_")
    assert [text for _, _, text in rows] == [r"caf\xc3\xa9 \\xff"]


def test_attributes(run):
    rows, answer = run("attributes")
    assert (rows, answer.text) == ([], "0")


def test_tracebacks(run):
    rows, _ = run("traceback_")
    texts = [text for _, _, text in rows]
    assert texts[0] == "app: it failed"
    assert texts[1] == "Traceback (most recent call last):"
    assert texts[-1] == "ValueError: told"
    assert {level for level, _, _ in rows} == {"error"}


def test_threads_of_a_program(run, log):
    log.expect("error: without an end", "error: app: logged by a thread")
    rows, _ = run("thread")
    assert rows == []
    log.wait_for("warn: from a thread")


def test_requests_do_not_mix(server, run):
    tags = ["%s%d" % (letter * 5, number) for letter in "ab" for number in range(3)]
    path = server.root / "logs/one.log"
    start = path.stat().st_size

    def ask(tag):
        client.get(server.port, "/app/many?" + tag, headers=[("Host", "one")])

    threads = [threading.Thread(target=ask, args=(tag,)) for tag in tags]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with path.open() as file:
        file.seek(start)
        rows = [line.rstrip("\n").split("|", 2) for line in file]
    found = {tag: [] for tag in tags}
    for _, id, text in rows:
        match = re.fullmatch(r"(\w+) (\d+) (\w+)", text)
        if match and match.group(1) in found:
            assert match.group(3) == match.group(1) * 10
            found[match.group(1)].append((id, int(match.group(2))))
    for tag in tags:
        assert [number for _, number in found[tag]] == list(range(200))
        assert len({id for id, _ in found[tag]}) == 1


def test_after_the_response(server, run):
    run("late")
    path = server.root / "logs/one.log"
    assert "|by a cleanup\n" in path.read_text()
    # At the very end nobody may use the request any more.
    deadline = time.monotonic() + 60
    while "by a destructor\n" not in path.read_text() + server.log.text(0):
        assert time.monotonic() < deadline, path.read_text()
        time.sleep(0.01)


def test_nested(server, run):
    rows, _ = run("nested")
    assert [text for _, _, text in rows] == [
        "before",
        "by print 1",
        "by stderr",
        "by lastResort",
        "app: by logging",
        "by req",
        "half of it, after",
    ]


def test_trouble_while_logging(run):
    rows, _ = run("raising")
    texts = [text for _, _, text in rows]
    assert texts[0] == "--- Logging error ---" and "ValueError: cannot be told" in texts
    rows, _ = run("recursion")
    assert [text for _, _, text in rows] == ["enough"]


def test_connections_and_the_option(make_server, watch):
    site = Site(
        conf="""
            PythonOption mod_python.logging INFO
            PythonImport early main_interpreter
            PythonPath "sys.path + ['@root@/htdocs']"
            PythonInterpreter main_interpreter
            Listen 127.0.0.1:@other@
            <VirtualHost *:@other@>
                PythonConnectionHandler talk
            </VirtualHost>
        """,
        files={
            "early.py": """
                import logging
                print("early print")
                logging.getLogger("early").warning("early logging")
            """,
            "talk.py": """
                import logging
                import sys
                from mod_python import apache

                def connectionhandler(conn):
                    logging.getLogger().debug("not told")
                    logging.warning("by %s", "logging")
                    sys.stdout.write("no end")
                    conn.write(b"done")
                    return apache.OK
            """,
        },
    )
    from pyhttpd.server import free_port

    other = free_port()
    site = Site(conf=site.conf.replace("@other@", str(other)), files=site.files)
    server = make_server(site)
    with server:
        log = watch(server)
        log.start = 0
        log.wait_for("warn: early print")
        log.wait_for("warn: early: early logging")
        with Connection(other) as connection:
            connection.send(b"hello")  # a connection without data is not accepted
            assert connection.read_to_eof() == b"done", server.log.text(0)
        log.wait_for("warn: root: by logging")
        log.wait_for("warn: no end")
        lines = [line for line in log.lines() if "by logging" in line.message]
        assert lines[0].client.startswith("127.0.0.1:")
        assert not [line for line in log.lines() if "not told" in line.message]


def test_a_wrong_option(make_server, watch):
    server = make_server(
        Site(
            conf="""
                PythonOption mod_python.logging LOUD
                <Location /x>
                    SetHandler mod_python
                    PythonHandler mod_python.testhandler
                </Location>
            """
        )
    )
    with server:
        log = watch(server)
        assert client.get(server.port, "/x").status == 200
        log.wait_for("warn: MP0206: PythonOption mod_python.logging LOUD is no level of Python's")
