"""What programs may expect of objects today: keywords, repr, dir, bytes-like data, dict, email."""

import json

import pytest

from pyhttpd import Connection, Site
from pyhttpd.server import free_port

PORT = free_port()

SITE = Site(
    conf=f"""
        PythonPath "['@root@/htdocs'] + sys.path"
        <Location /ask>
            SetHandler mod_python
            PythonHandler objects
        </Location>
        PythonOutputFilter objects DATA
        <Location /filtered.txt>
            SetOutputFilter DATA
        </Location>
        Listen 127.0.0.1:{PORT}
        <VirtualHost 127.0.0.1:{PORT}>
            PythonConnectionHandler objects
        </VirtualHost>
    """,
    files={
        "filtered.txt": "text",
        "objects.py": """
            import array, ctypes, threading, email.message, email.parser, email.policy, json
            import wsgiref.headers
            from mod_python import apache

            def handler(req):
                answer = globals()[req.args](req)
                if answer is not None:
                    req.write(json.dumps(answer))
                return apache.OK

            class Exported:
                "Memory that Python code of ours lends (__buffer__ is new in Python 3.12)."
                def __buffer__(self, flags):
                    return memoryview(b"12")

            def data():
                return (
                    "s\\u20ac", b"bytes", bytearray(b"array"), memoryview(b"view"),
                    memoryview(b"-s-l-i-c-e")[1::2], array.array("B", b"array"),
                    array.array("H", [0x4141]), ctypes.create_string_buffer(b"c", 1),
                    memoryview(b"x" * 100_000), bytearray(b"y" * 100_000), b"", bytearray(),
                )

            def write(req):
                for one in data():
                    req.write(one, 0)

            def keywords(req):
                req.headers_out.add(key="X-One", value="1")
                req.headers_out.setdefault(key="X-Two", default="2")
                req.register_cleanup(f=len, data="")
                req.log_error(message="with keywords", level=apache.APLOG_NOTICE)
                req.allow_methods(methods=["PATCH"], reset=1)
                req.set_content_length(length=2)
                req.update_mtime(dependency_mtime=5)
                req.add_handler(phase="PythonLogHandler", handler="objects::noted", dir=None)
                found = [
                    req.headers_out.get(key="x-two", default=""),
                    req.construct_url(uri="/a"),
                    req.get_remote_host(type=apache.REMOTE_NOLOOKUP, str_is_ip=1),
                    req.read(len=5).decode(), req.readline(len=5).decode(),
                    req.readlines(sizehint=5),
                    req.ssl_var_lookup(name="HTTPS"), req.server.log_error(message=None),
                    apache.stat(fname="/", wanted=apache.APR_FINFO_TYPE).filetype,
                    apache.exists_config_define(name="NONE"),
                    apache.mpm_query(code=apache.AP_MPMQ_MAX_THREADS),
                    req.connection.log_error(message=None, level=3),
                    apache.table(items={"a": "b"}).has_key(key="a"),
                ]
                assert found[:2] == ["2", req.construct_url("/a")], found
                assert found[2:6] == [("127.0.0.1", 1), "", "", []], found
                assert found[6:] == [None, None, 2, False, 10, None, 1], found
                req.write(data="o", flush=0)
                req.write(data="k")

            begun = threading.Event()

            def reading(req):
                "Two threads of the program use req while this one waits for the body."
                found = []

                def use():
                    begun.set()
                    found.append([req.uri, req.headers_in["Host"], req.connection.client_ip])
                    req.notes.add("thread", "was here")
                    list(req.notes), req.server.port, repr(req)

                threads = [threading.Thread(target=use) for _ in range(2)]
                for thread in threads:
                    thread.start()
                body = req.read().decode()
                for thread in threads:
                    thread.join()
                return [body, found, req.notes["thread"]]

            def has_begun(req):
                return begun.wait(20)

            def noted(req):
                return apache.OK

            def reprs(req):
                return [
                    repr(req), repr(req.connection), repr(req.server), repr(req.hlist),
                    repr(req.finfo), repr(req.headers_in), repr(req.headers_out),
                ]

            def dirs(req):
                req.mine = req.server.mine = 1
                return [
                    sorted({"mine", "write", "uri", "headers_in", "__iter__"} - set(dir(req))),
                    sorted({"mine", "port", "get_options"} - set(dir(req.server))),
                    sorted({"client_ip", "write", "__class__"} - set(dir(req.connection))),
                    sorted({"add", "keys", "__getitem__", "__class__"} - set(dir(req.headers_in))),
                    sorted({"size", "fname", "__iter__", "__class__"} - set(dir(req.finfo))),
                    sorted({"handler", "next", "__class__"} - set(dir(req.hlist))),
                ]

            def mappings(req):
                h = req.headers_in.copy()
                h.add("X-Twice", "b")
                message = email.message.Message()
                for name, value in h.items():
                    message[name] = value
                modern = email.message.EmailMessage(policy=email.policy.HTTP)
                for name, value in h.items():
                    modern[name] = value
                parsed = email.parser.HeaderParser().parsestr(
                    "".join("%s: %s\\r\\n" % pair for pair in h.items())
                )
                env = wsgiref.headers.Headers(h.items())
                req.headers_out.update({"X-Out": "1"})
                return [
                    dict(h), {**h}, dict(h.items()), message.items(), message.get_all("x-twice"),
                    modern.get_content_type(), parsed["HOST"], env.get_all("x-twice"),
                    dict(req.headers_out)["X-Out"],
                    apache.table(dict(h)) == {**h, "X-Twice": str(h["X-Twice"])},
                ]

            def outputfilter(filter):
                while filter.read():
                    pass
                for one in data():
                    filter.write(data=one)
                filter.flush()
                filter.write(repr(filter))
                missing = {"read", "handler", "__class__"} - set(dir(filter))
                filter.write(json.dumps(sorted(missing)))
                filter.close()

            def connectionhandler(conn):
                for one in data():
                    conn.write(data=one)
                conn.write(repr(conn))
                return apache.OK
        """,
    },
)

DATA = "s€".encode() + b"bytesarrayviewslicearrayAAc" + b"x" * 100_000 + b"y" * 100_000


@pytest.fixture(scope="module", autouse=True)
def _once(mpm, mod_python):
    if mpm != "event" or mod_python.name == "original":
        pytest.skip("ours is the same under every MPM")


def test_write_takes_whatever_exports_bytes(get):
    assert get("/ask?write").body == DATA


def test_so_do_filters(get):
    body = get("/filtered.txt").body
    assert body.startswith(DATA)
    said = body[len(DATA) :].decode()
    assert said.startswith("<mp_filter object at 0x") and said.endswith(">[]"), said
    assert " data" in said, "the filter's name is not told"


def test_so_do_connections(server):
    with Connection(PORT) as connection:
        connection.send(b"go\n")  # the kernel tells of a connection when something came
        body = connection.read_to_eof()
    assert body.startswith(DATA)
    assert b"<mp_conn object at 0x" in body[len(DATA) :]


def test_keywords(get, log):
    answer = get("/ask?keywords")
    assert (answer.status, answer.text, answer.headers["X-One"]) == (200, "ok", "1")
    assert log.wait_for("with keywords")


def test_threads_use_req_while_its_body_is_awaited(get, connect):
    connection = connect()
    connection.send(b"POST /ask?reading HTTP/1.1\r\nHost: here\r\nContent-Length: 8\r\n\r\nbo")
    assert get("/ask?has_begun").text == "true"
    connection.send(b"dy")
    # They may wait for the read to be over, but for nothing else.
    connection.send(b" end")
    body, found, notes = json.loads(connection.read_response("POST").text)
    assert body == "body end"
    assert found == [["/ask", "here", "127.0.0.1"]] * 2
    assert notes == ["was here", "was here"]


def test_reprs(get):
    request, connection, server, hlist, finfo, headers, out = json.loads(get("/ask?reprs").text)
    assert request.startswith("<mp_request object at 0x")
    assert request.endswith(": GET /ask?reprs HTTP/1.1>")
    assert connection.startswith("<mp_conn object at 0x") and ": 127.0.0.1 port " in connection
    assert server.startswith("<mp_server object at 0x") and server.endswith(": localhost>")
    assert hlist == "{'handler':'objects','directory':'/ask','is_location':True,'silent':0}"
    assert finfo.startswith("{'fname': ")
    assert headers == "{'Connection': 'close', 'Host': 'localhost'}" and out.startswith("{")


def test_dirs(get):
    """What is missing in dir() of each object."""
    assert json.loads(get("/ask?dirs").text) == [[], [], [], [], [], []]


def test_dict_and_email(get):
    headers = [("X-Twice", "a"), ("Content-Type", "text/x-mine")]
    found = json.loads(get("/ask?mappings", headers=headers).text)
    headers.append(("X-Twice", "b"))
    whole = {
        "Host": "localhost",
        "X-Twice": ["a", "b"],
        "Content-Type": "text/x-mine",
        "Connection": "close",
    }
    assert found[0] == found[1] == whole
    assert found[2] == {**whole, "X-Twice": "b"}
    assert sorted(map(tuple, found[3])) == sorted(
        [("Host", "localhost"), ("Connection", "close"), *headers]
    )
    assert found[4] == ["a", "b"]
    assert found[5:] == ["text/x-mine", "localhost", ["a", "b"], "1", True]
