"""What is special about requests that come over HTTP/2."""

import pytest

from pyhttpd import Site
from pyhttpd.http2 import Http2Connection
from pyhttpd.install import Httpd

pytestmark = pytest.mark.mpms("event")

SITE = Site(
    conf="""
        Protocols h2c http/1.1
        <Directory @root@/htdocs/py>
            SetHandler mod_python
            PythonHandler handlers
            PythonHandler mod_python.psp | .psp
            PythonHandler mod_python.publisher | .pub
        </Directory>
    """,
    files={
        "py/handlers.py": """
            from mod_python import apache

            def handler(req):
                return globals()[req.uri.rpartition("/")[2]](req)

            def flushed(req):
                for number in range(20):
                    req.write("line %d" % number)
                req.write("unflushed", 0)
                req.flush()
                req.flush()
                return apache.OK

            def long(req):
                for number in range(20):
                    req.write("x" * 5000, 0)
                return apache.OK

            def file(req):
                req.write("file: ")
                req.headers_out["X-Late"] = "lost"
                path = "@root@/htdocs/file.txt"
                sent = req.sendfile(path), req.sendfile(path, 1), req.sendfile(path)
                assert sent == (4, 3, 4), sent
                assert req._bytes_queued == 17, req._bytes_queued
                return apache.OK

            def nothing(req):
                return apache.OK

            def missing(req):
                return apache.HTTP_NOT_FOUND

            def redirects(req):
                req.internal_redirect("/py/flushed")
                return apache.OK

            def too_late(req):
                req.internal_redirect("/py/flushed")
                try:
                    req.write("late")
                except OSError as error:
                    assert "complete" in str(error), error
                return apache.OK
        """,
        "file.txt": "four",
        "py/page.psp": "<%\nfor _ in range(300):\n    req.write('row ' * 100, 0)\n%>",
        "py/streamed.pub": "",
        "py/streamed.py": "def index(req):\n    for number in range(20): yield 'part'\n",
    },
    modules=("http2",),
)
STATUS = {
    "/py/flushed": 200,
    "/py/long": 200,
    "/py/file": 200,
    "/py/nothing": 200,
    "/py/missing": 404,
    "/py/redirects": 200,
    "/py/too_late": 200,
    "/py/page.psp": 200,
    "/py/streamed.pub": 200,
}


@pytest.fixture(scope="module", autouse=True)
def has_http2():
    if not (Httpd.find().modules / "mod_http2.so").exists():
        pytest.skip("httpd has no mod_http2")


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_answers(server, log, method):
    # mod_http2 breaks the answer to a HEAD off that goes on after its head; not always.
    for _ in range(5):
        with Http2Connection(server.port) as connection:
            answers = connection.send(*STATUS, method=method)
            connection.read()
        assert {path: answer.status for path, answer in zip(STATUS, answers)} == STATUS
        broken = [path for path, answer in zip(STATUS, answers) if not answer.is_complete]
        assert not broken
        bodies = {path: len(answer.body) for path, answer in zip(STATUS, answers)}
        if method == "HEAD":
            assert not any(bodies.values()), bodies
        else:
            assert (bodies["/py/long"], bodies["/py/file"]) == (100_000, 17)
