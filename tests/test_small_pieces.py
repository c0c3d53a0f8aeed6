"""Many small pieces, on one connection or through one filter: none keeps memory for itself."""

import pytest

from pyhttpd import Site, client

# What the child occupies is the same under every MPM.
pytestmark = pytest.mark.mpms("event")

MEMORY = """
    def occupied():
        with open("/proc/self/statm") as memory:
            return int(memory.read().split()[1]) * 4
"""
# In KiB. Some memory may be touched for the first time; 16 bytes for each piece are beyond it.
LIMIT = 1024

ECHO = Site(
    conf="PythonPath \"sys.path + ['@root@/htdocs']\"\nPythonConnectionHandler echo",
    files={
        "echo.py": MEMORY
        + """
    from mod_python import apache

    def connectionhandler(conn):
        line = conn.readline()
        while line != b"end\\n":
            conn.write(b"%d\\n" % occupied() if line == b"occupied\\n" else line)
            line = conn.readline()
        return apache.OK
"""
    },
)


def test_a_talk_of_many_lines(make_server, watch):
    with make_server(ECHO) as server:
        watch(server)
        with client.Connection(server.port) as connection:
            answers = connection.sock.makefile("rb")

            def talk(lines):
                for _ in range(lines // 100):
                    connection.send(b"x\n" * 100)
                    assert [answers.readline() for _ in range(100)] == [b"x\n"] * 100
                connection.send(b"occupied\n")
                return int(answers.readline())

            before = talk(2000)
            assert talk(20_000) - before < LIMIT
            connection.send(b"end\n")


STREAM = Site(
    conf="""
        <Directory @root@/htdocs>
            SetHandler mod_python
            PythonHandler stream
            PythonOutputFilter stream PIECES
            SetOutputFilter PIECES
        </Directory>
    """,
    files={
        "stream.py": MEMORY
        + """
    from mod_python import apache

    def handler(req):
        for _ in range(2000):
            req.write("x")
        before = occupied()
        for _ in range(100_000):
            req.write("x")
        req.write(" %d" % (occupied() - before))
        return apache.OK

    def outputfilter(filter):
        data = filter.read()
        while data:
            filter.write(data)
            data = filter.read()
        if data is None:
            filter.close()
"""
    },
)


def test_a_filter_of_many_pieces(make_server, watch):
    with make_server(STREAM) as server:
        watch(server)
        pieces, grown = client.get(server.port, "/x").text.split()
        assert pieces == "x" * 102_000
        assert int(grown) < LIMIT
