"""The server that is watched, and the requests of one round: every entrance, whole and broken."""

import dataclasses
import itertools
from collections.abc import Iterator

import test_hostile_clients
import test_leak
from hostile.corpus import CORPUS
from hostile.generator import TARGETS

from pyhttpd import Site

# Faults on purpose, to show that they are seen: an invalid read, memory that several threads write
# to, and a block that nobody frees.
PLANTED = """
    import ctypes, threading
    from mod_python import apache

    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

    def write(block):
        for number in range(2000):
            libc.memset(block, number % 256, 9)

    def handler(req):
        if req.args == "read":
            block = libc.malloc(77)
            libc.free(block)
            ctypes.string_at(block, 9)
        elif req.args == "race":
            block = libc.malloc(77)
            threads = [threading.Thread(target=write, args=(block,)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        else:
            libc.malloc(4321)
        return apache.OK
"""


def site(mpm: str) -> Site:
    conf = """
        # What is freed goes back to malloc at once, where a later use of it is noticed.
        MaxMemFree 1
        # Counting of calls, and the table that it fills, are part of what is watched.
        PythonStatus On
        PythonRequestTimeout 600
        <Location /python-status>
            SetHandler python-status
        </Location>
        <Directory @root@/htdocs/planted>
            SetHandler mod_python
            PythonHandler planted
        </Directory>
    """
    conf += test_hostile_clients.SITE.conf + test_leak.SITE.conf
    return dataclasses.replace(
        test_hostile_clients.SITE,
        # HTTP/2 needs another kind of client.
        conf=conf.replace("Protocols h2c http/1.1\n", "\n"),
        files={
            **test_hostile_clients.SITE.files,
            **test_leak.SITE.files,
            "planted/planted.py": PLANTED,
        },
        modules=(),
        children=1,
        threads=6,
        log_level="notice",
        env={"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"},
    )


_FORM = b"a=1&b=%C3%A9&a=2&c=&d"
_PARTS = (
    b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\nvalue\r\n'
    b'--B\r\nContent-Disposition: form-data; name="f"; filename="f.txt"\r\n'
    b"Content-Type: text/plain\r\n\r\n" + b"line\r\n" * 2000 + b"\r\n--B--\r\n"
)
_COOKIES = b"Cookie: a=b; signed=x; marshal=y; pysid=" + b"0123456789abcdef" * 2 + b"\r\n"
_USER = b"Authorization: Basic dXNlcjpwYXNz\r\n"  # a name of even length, which may come in


def _request(method: bytes, path: str, headers: bytes = b"", body: bytes = b"") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    head = b"%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" % (method, path.encode())
    return head + headers + length + b"\r\n" + body


def sound_requests() -> Iterator[bytes]:
    """Each entrance as it is meant, with a query, with the two kinds of forms, in chunks."""
    for path in TARGETS:
        yield _request(b"GET", path, _COOKIES + _USER)
        yield _request(b"GET", path + "?a=1&b=%C3%A9&a=2", _USER)
        kind = b"Content-Type: application/x-www-form-urlencoded\r\n"
        yield _request(b"POST", path, kind + _USER, _FORM)
        chunked = kind + b"Transfer-Encoding: chunked\r\n" + _USER
        yield _request(b"POST", path, chunked) + b"15\r\n" + _FORM + b"\r\n0\r\n\r\n"
        kind = b"Content-Type: multipart/form-data; boundary=B\r\n"
        yield _request(b"POST", path, kind + _USER, _PARTS)
    for path in test_leak.PATHS:
        yield _request(b"GET", f"/leak/{path}")
        yield _request(b"POST", f"/leak/{path}", b"", b"line\nother line\nrest")
    for form in ("", "?json", "?prometheus"):
        yield _request(b"GET", "/python-status" + form)


def broken_requests() -> Iterator[bytes]:
    """Those that broke some server once, each at one entrance."""
    for request, path in zip(CORPUS.values(), itertools.cycle(TARGETS)):
        yield request.replace(b"@path@", path.encode())


def planted_request(fault: str) -> bytes:
    return _request(b"GET", f"/planted/x?{fault}")
