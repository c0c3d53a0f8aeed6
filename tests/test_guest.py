"""include/mod_python.h: another C module of httpd that uses Python."""

import dataclasses
import shutil
import subprocess
import threading
import time
from urllib.parse import quote

import pytest

from pyhttpd import Connection, Site, client
from pyhttpd.install import REPOSITORY, Httpd

SITE = Site(
    conf="""
        LoadModule guest_module @root@/mod_guest.so
        <Location /guest>
            SetHandler guest-handler
        </Location>
        <Directory @root@/htdocs/both>
            SetHandler mod_python
            PythonHandler both
            PythonHeaderParserHandler both
            PythonInterpreter both
        </Directory>
    """,
    files={
        "both/both.py": """
            from mod_python import apache

            def headerparserhandler(req):
                req.notes["guest"] = req.args or "both"
                req.mine = lambda text: setattr(req, "heard", text)
                return apache.OK

            def handler(req):
                req.write("%s in %s" % (getattr(req, "heard", "nothing"), req.interpreter))
                return apache.OK
        """
    },
    threads=10,
)


@pytest.fixture(scope="module")
def guest(tmp_path_factory, mod_python):
    if mod_python.name == "original":
        pytest.skip("it needs our header")
    python = mod_python.python or "/usr/bin/python3"
    ask = "import sysconfig; print(sysconfig.get_path('include'))"
    include = subprocess.run([python, "-c", ask], stdout=subprocess.PIPE, check=True, text=True)
    return Httpd.find().build(
        REPOSITORY / "tests/c/mod_guest.c",
        tmp_path_factory.mktemp("guest"),
        f"-I{REPOSITORY / 'include'}",
        f"-I{include.stdout.strip()}",
        "-Wc,-Wall",
        "-Wc,-Werror",
    )


def make(make_server, guest, **options):
    """A server that has the guest module after mod_python, whose libpython it uses."""
    server = make_server(dataclasses.replace(SITE, **options))
    target = server.root / "mod_guest.so"
    shutil.copy(str(guest), str(target))
    target.chmod(0o755)
    return server


@pytest.fixture(scope="module")
def running(make_server, guest):
    server = make(make_server, guest)
    server.start()
    return server


@pytest.fixture
def ask(running, watch):
    watched = watch(running)

    def ask(*words):
        answer = client.get(running.port, "/guest/x?" + quote("|".join(words)))
        assert answer.status == 200
        return answer.text.splitlines()

    ask.log = watched
    return ask


def test_it_is_refused_in_the_parent(running):
    # The module tries at each of the two readings of the configuration.
    lines = {str(line) for line in running.log.lines() if "mp_acquire_interpreter" in str(line)}
    assert len(lines) == 1 and lines.pop().endswith("Python does not run")
    assert "Python in the parent" not in running.log.text()


@pytest.mark.parametrize("name", ["", "=main_interpreter", "=guest", "=with space"])
def test_acquire(ask, name):
    assert ask("acquire" + name, "1 + 1", "release") == ["acquired", "2"]


def test_names(ask):
    def names(acquire):
        return ask(acquire, "__import__('mod_python.apache').apache.interpreter", "release")[1]

    assert names("acquire=guest") == "guest"
    assert names("acquire=other") == "other"
    assert names("acquire") == names("acquire=main_interpreter") == "main_interpreter"


def test_request(ask):
    assert ask("acquire", "req.uri", "req.main", "str(type(req))", "same", "release")[1:] == [
        "/guest/x",
        "None",
        "<class 'mp_request'>",
        "1",
    ]


def test_write_through_python(ask):
    answer = ask("acquire", "req.write('written') or req.flush()", "release")
    assert answer == ["acquired", "writtenNone"]


def test_attributes_stay_with_the_request(ask):
    answer = ask(
        "acquire", "setattr(req, 'mine', 5)", "release", "acquire=guest", "req.mine", "release"
    )
    assert answer == ["acquired", "None", "acquired", "5"]


def test_server_and_connection(ask, running):
    answer = ask(
        "acquire", "server.server_hostname", "connection.local_addr[1]", "connection.hlist",
        "str(type(server)) + str(type(connection))", "release",
    )  # fmt: skip
    assert answer[1:] == [
        "localhost",
        str(running.port),
        "None",
        "<class 'mp_server'><class 'mp_conn'>",
    ]


def test_the_read_side(running, watch):
    watch(running)
    words = quote("acquire|req.read(4)|req.readline()|req.read()|release")
    answer = client.request(running.port, f"/guest/x?{words}", "POST", body=b"line one\ntwo")
    assert answer.text.splitlines()[1:] == ["b'line'", r"b' one\n'", "b'two'"]


def test_exceptions(ask):
    assert ask("acquire", "1 / 0", "req.nothing", "2", "release") == [
        "acquired",
        "division by zero",
        "'mp_request' object has no attribute 'nothing'",
        "2",
    ]


def test_nested(ask):
    where = "__import__('mod_python.apache').apache.interpreter"
    answer = ask(
        "acquire=one", where, "acquire=two", where, "req.uri", "acquire=one", where, "release",
        where, "release", where, "req.uri", "release",
    )  # fmt: skip
    expected = "acquired one acquired two /guest/x acquired one two one /guest/x"
    assert answer == expected.split()


def test_without_an_interpreter(ask):
    assert ask("objects") == ["1 1 1"]
    assert ask("acquire", "release", "objects") == ["acquired", "1 1 1"]
    assert ask("acquire", "nulls", "release") == ["acquired", "1 1 1"]


def test_release_without_acquire(ask):
    ask.log.expect("mp_release_interpreter: this thread has acquired no interpreter")
    assert ask("release", "acquire", "1", "release") == ["acquired", "1"]


def test_kept_objects(ask):
    keep = "__import__('sys').modules.setdefault('kept', [req, connection, req.headers_in])"
    assert ask("acquire", "__import__('sys').modules.pop('kept', 0)", "release")[0] == "acquired"
    ask("acquire", keep, "release")
    used = "__import__('sys').modules['kept']"
    # The connection ends some time after its answer; and under prefork another child may be asked.
    only_while = "this object can only be used while httpd is calling Python for its connection"
    answer = [only_while]
    deadline = time.monotonic() + 60
    while answer[-1] in (only_while, "'kept'"):
        assert time.monotonic() < deadline
        answer = ask(
            "acquire", f"{used}[0].uri", f"{used}[2]['Host']", f"{used}[1].client_ip", "release"
        )
    assert answer[1:] == [
        "the request is over: this object can no longer be used",
        "the request is over: this object can no longer be used",
        "the connection is over: this object can no longer be used",
    ]


def test_between_the_phases_of_a_python_request(running, watch):
    watch(running)
    assert client.get(running.port, "/both/x").text == "from C in both"
    assert client.get(running.port, "/both/x?other").text == "from C in both"


def test_many_at_once(running, watch):
    watch(running)
    failures = []

    def work(number):
        with Connection(running.port) as connection:
            for turn in range(40):
                name = f"acquire=many{(number + turn) % 3}"
                words = quote(
                    f"{name}|req.uri|acquire|req.args[:3]|release|connection.id >= 0|release"
                )
                answer = connection.request(f"/guest/{number}?{words}")
                expected = ["acquired", f"/guest/{number}", "acquired", "acq", "True"]
                if answer.text.splitlines() != expected:
                    failures.append(answer)
                if not connection.open:
                    connection.close()
                    connection.__init__(running.port)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
