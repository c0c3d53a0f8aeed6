"""Uploads are written to files as they come: the memory of a child does not grow with them."""

import hashlib
import pathlib
import re

import pytest

from pyhttpd import Connection, Site
from pyhttpd.client import compose

MB = 1 << 20
# In KiB. Whoever kept what comes would grow by 55 MB; a thread's heap and the like take some.
LIMIT = 16 * 1024
BLOCK = bytes(range(256)) * 4096
HEAD = b'--B\r\nContent-Disposition: form-data; name="file"; filename="large.bin"\r\n\r\n'
TAIL = b'\r\n--B\r\nContent-Disposition: form-data; name="text"\r\n\r\nafter\r\n--B--\r\n'

SITE = Site(
    conf="""
        <Directory @root@/htdocs/upload>
            SetHandler mod_python
            PythonHandler upload
        </Directory>
    """,
    files={
        "upload/upload.py": """
            import hashlib
            from mod_python import apache, util

            def handler(req):
                form = util.FieldStorage(req)
                digest = hashlib.sha256()
                for block in iter(lambda: form["file"].file.read(1 << 20), b""):
                    digest.update(block)
                req.write("%s %s" % (digest.hexdigest(), form["text"]))
                return apache.OK
        """,
        "upload/x": "",
    },
)


@pytest.fixture(scope="module")
def make_server(make_server, mpm):
    if mpm != "event":
        pytest.skip("forms know nothing of the MPM")
    return make_server


def peak(pid):
    """The most memory the process ever had in use, in KiB."""
    text = pathlib.Path("/proc/%d/status" % pid).read_text(encoding="utf-8")
    return int(re.search(r"VmHWM:\s+(\d+) kB", text).group(1))


def upload(server, megabytes, chunked):
    headers = [("Content-Type", "multipart/form-data; boundary=B")]
    size = len(HEAD) + megabytes * MB + len(TAIL)
    headers.append(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(size)))
    digest = hashlib.sha256()
    with Connection(server.port) as connection:

        def send(data):
            connection.send(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)

        connection.send(compose("/upload/x", "POST", headers))
        send(HEAD)
        for _ in range(megabytes):
            send(BLOCK)
            digest.update(BLOCK)
        send(TAIL)
        if chunked:
            connection.send(b"0\r\n\r\n")
        answer = connection.read_response("POST")
    assert (answer.status, answer.text) == (200, digest.hexdigest() + " after")


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_upload(server, chunked):
    upload(server, 5, chunked)
    before = max(map(peak, server.children()))
    upload(server, 60, chunked)
    assert max(map(peak, server.children())) - before < LIMIT
