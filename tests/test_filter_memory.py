"""100 MB through Python filters: the child's memory stays where it was."""

import hashlib
import pathlib
import re

import pytest

from pyhttpd import Site
from pyhttpd.client import Connection, compose

MB = 1024 * 1024
# In KiB: of what is on its way at one time. Whoever collected the body would grow by 80 MB.
LIMIT = 16 * 1024
BLOCK = bytes(range(256)) * 256  # 64 KiB
SWAPPED = BLOCK.swapcase()

SITE = Site(
    conf="""
        <Directory @root@/htdocs>
            SetHandler mod_python
            PythonHandler bodies
            PythonOutputFilter filters::pieces PIECES
            PythonOutputFilter filters::whole WHOLE
            PythonInputFilter filters::pieces IN_PIECES
            PythonInputFilter filters::whole IN_WHOLE
        </Directory>
        <Directory @root@/htdocs/pieces>
            SetOutputFilter PIECES
            SetInputFilter IN_PIECES
        </Directory>
        <Directory @root@/htdocs/whole>
            SetOutputFilter WHOLE
            SetInputFilter IN_WHOLE
        </Directory>
        <Directory @root@/htdocs/static>
            SetHandler none
            SetOutputFilter PIECES
        </Directory>
        <Directory @root@/htdocs/staticwhole>
            SetHandler none
            SetOutputFilter WHOLE
        </Directory>
    """,
    files={
        "bodies.py": """
            import hashlib
            from mod_python import apache
            block = bytes(range(256)) * 256
            def handler(req):
                if req.method == "POST":
                    # What is read goes out again through the output filter only as its sum.
                    total, length = hashlib.sha1(), 0
                    data = req.read(65536)
                    while data:
                        length += len(data)
                        total.update(data)
                        data = req.read(65536)
                    req.write("%d %s" % (length, total.hexdigest()))
                else:
                    for _ in range(int(req.args or 0) * 16):
                        req.write(block, 0)
                return apache.OK
        """,
        "filters.py": """
            def pieces(filter):
                data = filter.read(65536)
                while data:
                    filter.write(data.swapcase())
                    data = filter.read(65536)
                if data is None:
                    filter.close()
            def whole(filter):
                data = filter.read()
                while data:
                    filter.write(data.swapcase())
                    data = filter.read()
                if data is None:
                    filter.close()
        """,
        "pieces/x": "",
        "whole/x": "",
    },
)


def peak(pid):
    """The most memory the process ever had in use, in KiB."""
    text = pathlib.Path("/proc/%d/status" % pid).read_text(encoding="utf-8")
    return int(re.search(r"VmHWM:\s+(\d+) kB", text).group(1))


def download(server, path, block, megabytes):
    """GETs so much of that block, checking it on the way without keeping it."""
    with Connection(server.port) as connection:
        connection.send(compose(path, version="HTTP/1.0", headers=[("Connection", "close")]))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            one = connection.read_some(1)
            assert one, head
            head += one
        assert head.split()[1] == b"200", head
        for _ in range(megabytes * 16):
            assert connection.read_some(len(block)) == block
        assert connection.read_some(1) == b""


def upload(server, path, megabytes):
    """POSTs so much; returns the answer's text."""
    with Connection(server.port) as connection:
        size = str(megabytes * MB)
        connection.send(compose(path, "POST", [("Content-Length", size), ("Connection", "close")]))
        for _ in range(megabytes * 16):
            connection.send(BLOCK)
        answer = connection.read_response("POST")
        connection.read_to_eof()
        assert answer.status == 200
        return answer.text


def growth(server, transfer):
    """By how much the child's peak rises, in KiB, from 20 MB to 100 MB."""
    transfer(20)
    before = max(map(peak, server.children()))
    transfer(100)
    return max(map(peak, server.children())) - before


@pytest.fixture
def server(make_server, watch):
    """A server of the test's own: a peak stays."""
    with make_server(SITE) as server:
        watch(server)
        yield server


@pytest.mark.parametrize("how", ("pieces", "whole"))
def test_output_filter_of_what_a_handler_writes(server, how):
    def transfer(megabytes):
        download(server, "/%s/x?%d" % (how, megabytes), SWAPPED, megabytes)

    assert growth(server, transfer) < LIMIT


@pytest.mark.parametrize("where", ("static", "staticwhole"))
def test_output_filter_of_a_file(server, where):
    for megabytes in (20, 100):
        path = server.htdocs / where / ("%d.bin" % megabytes)
        path.parent.mkdir(exist_ok=True)
        path.parent.chmod(0o755)
        with path.open("wb") as file:
            for _ in range(megabytes * 16):
                file.write(BLOCK)
        path.chmod(0o644)

    def transfer(megabytes):
        download(server, "/%s/%d.bin" % (where, megabytes), SWAPPED, megabytes)

    assert growth(server, transfer) < LIMIT


@pytest.mark.parametrize("how", ("pieces", "whole"))
def test_input_filter_of_a_request_body(server, how):
    def transfer(megabytes):
        total = hashlib.sha1()
        for _ in range(megabytes * 16):
            total.update(SWAPPED)
        # The output filter swaps the answer too.
        expected = ("%d %s" % (megabytes * MB, total.hexdigest())).swapcase()
        assert upload(server, "/%s/x" % how, megabytes) == expected

    assert growth(server, transfer) < LIMIT
