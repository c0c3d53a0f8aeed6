"""The benchmark's workloads: each a row of the tables, with its request, set-up and targets."""

from dataclasses import dataclass
from typing import Optional

import pages

# Headers of every request: what a browser-like client sends, and the same for all peers.
COMMON_HEADERS = (
    ("Host", "localhost"),
    ("User-Agent", "bench"),
    ("Accept", "*/*"),
    ("Accept-Language", "en"),
)


@dataclass(frozen=True)
class Request:
    """One HTTP request."""

    path: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def all_headers(self) -> list[tuple[str, str]]:
        """The request's headers, the common ones first, Content-Length when there is a body."""
        found = list(COMMON_HEADERS) + list(self.headers)
        if self.body:
            found.append(("Content-Length", str(len(self.body))))
        return found

    def raw(self) -> bytes:
        """The bytes sent on the connection."""
        lines = ["%s %s HTTP/1.1" % (self.method, self.path)]
        lines += ["%s: %s" % pair for pair in self.all_headers()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + self.body


@dataclass(frozen=True)
class Target:
    """A figure to reach: `figure` of ours against that of the peer `versus`.

    Figures: `overhead` and `instructions` (ratio, at most), `above-hello` (instructions, at most),
    `rate` (ratio of requests/s or bytes/s, at least), `growth` (bytes, at most), `scaling` (at
    least), and `memory` and `start` (ratio, at most).
    """

    figure: str
    limit: float
    versus: str = "original"
    mpm: Optional[str] = None


@dataclass(frozen=True)
class Workload:
    """One row: `c`, `python` and `wsgi` are the lines of the peers' <Directory> sections."""

    name: str
    title: str
    request: Request
    python: tuple[str, ...]
    c: tuple[str, ...] = ()
    wsgi: str = ""
    htaccess: bool = False
    section: str = "Directory"  # or Location, where httpd maps no file for mod_python
    body: Optional[bytes] = None
    targets: tuple[Target, ...] = ()
    batch: int = 100  # requests of one callgrind batch
    reference: str = "original"  # the peer whose overhead is the measure
    sessions: int = 0  # how many session cookies to turn through
    one_process: bool = False  # httpd -X: what one child remembers the others do not
    kind: str = "requests"  # or upload, cpu, memory
    c_is_plain: bool = False  # the C peer is httpd without any module
    heavy: bool = False  # few requests in flight suffice

    def requests(self) -> list[Request]:
        """The requests to send in turn, before cookies are added."""
        return [self.request]


def handler(name: str, *more: str) -> tuple[str, ...]:
    """The directives that run `name`, a function of bench.py unless it names its module."""
    where = name if "::" in name else "bench::" + name
    return ("SetHandler mod_python", "PythonHandler " + where, *more)


def at_most(ratio: float, versus: str = "original") -> Target:
    """Overhead of at most `ratio` of the peer's."""
    return Target("overhead", ratio, versus)


def rate(least: float, versus: str, mpm: Optional[str] = None) -> Target:
    """At least `least` times the requests (or bytes) a second of the peer."""
    return Target("rate", least, versus, mpm)


HELLO = b"hello world\n"
TEXT = ("SetHandler cref-bytes", "CrefType text/plain")
HTML = ("SetHandler cref-bytes", "CrefType text/html")


def session(kind: str, targets: tuple[Target, ...], one_process: bool = False) -> Workload:
    """A row that loads, changes and saves a session of one type."""
    return Workload(
        name="session-" + kind,
        title="session load, change, save: " + kind,
        request=Request("/session"),
        c=(*TEXT, 'CrefBody "{data}/hello.txt"'),
        python=handler(
            "sessions::session",
            "PythonOption mod_python.session.session_type %sSession" % kind.capitalize(),
            'PythonOption mod_python.session.database_directory "{scratch}"',
        ),
        body=HELLO,
        targets=targets,
        sessions=1 if one_process else 64,
        one_process=one_process,
    )


def body_row(name: str, title: str, twin: str, *more: str, **kw) -> Workload:
    """A row about moving a large body, held against C; `more` are directives of both sides."""
    kw.setdefault("request", Request("/" + name))
    return Workload(
        name=name,
        title=title,
        c=("SetHandler cref-" + twin, 'CrefFile "{htdocs}/million.bin"', *more),
        python=handler(twin.replace("-", "_"), *more),
        targets=(rate(0.95, "c"),),
        batch=30,
        heavy=True,
        **kw,
    )


WORKLOADS = (
    Workload(
        name="hello",
        title="hello, one unflushed write",
        request=Request("/hello"),
        c=("SetHandler cref-hello",),
        python=handler("hello::hello"),
        body=HELLO,
        targets=(
            at_most(1 / 6),
            rate(0.85, "c"),
            rate(1.15, "original", "event"),
            rate(1.4, "original", "prefork"),
        ),
    ),
    Workload(
        name="hello-flush",
        title="hello, default flush",
        request=Request("/hello"),
        c=("SetHandler cref-hello-flush",),
        python=handler("hello::hello_flush"),
        body=HELLO,
    ),
    Workload(
        name="hello-location",
        title="hello configured in <Location>",
        request=Request("/hello"),
        c=("SetHandler cref-hello",),
        python=handler("hello::hello", "PythonPath \"sys.path+['{htdocs}']\""),
        section="Location",
        body=HELLO,
        targets=(at_most(1 / 6),),
    ),
    Workload(
        name="htaccess",
        title="hello from .htaccess, autoreload",
        request=Request("/htaccess-{kind}/hello"),
        c=(),
        python=(),
        htaccess=True,
        body=HELLO,
        targets=(at_most(1 / 5),),
    ),
    Workload(
        name="phases",
        title="three phases: access, fixup, content",
        request=Request("/hello"),
        c=("SetHandler cref-hello", "CrefPhases On"),
        python=handler(
            "hello::hello", "PythonAccessHandler hello::phase", "PythonFixupHandler hello::phase"
        ),
        body=HELLO,
        targets=(at_most(1 / 6), rate(1.4, "original")),
    ),
    Workload(
        name="static",
        title="static file, no Python directive",
        request=Request("/hello.txt"),
        python=(),
        body=HELLO,
        c_is_plain=True,
        targets=(Target("instructions", 1.01, "c"),),
    ),
    Workload(
        name="publisher",
        title="publisher, no argument",
        request=Request("/pub/plain"),
        c=(*TEXT, 'CrefBody "{data}/hello.txt"'),
        python=("SetHandler mod_python", "PythonHandler mod_python.publisher"),
        body=HELLO,
        targets=(at_most(1 / 5), Target("above-hello", 30000)),
    ),
    Workload(
        name="publisher-arg",
        title="publisher, one argument",
        request=Request("/pub/greet?name=world"),
        c=(*TEXT, 'CrefBody "{data}/hello.txt"'),
        python=("SetHandler mod_python", "PythonHandler mod_python.publisher"),
        body=HELLO,
        targets=(at_most(1 / 5), Target("above-hello", 30000)),
    ),
    Workload(
        name="headers",
        title="5 headers read, 5 set, 4 attributes",
        request=Request("/headers?a=1", headers=(("X-Token", "0123456789abcdef"),)),
        c=("SetHandler cref-headers",),
        python=handler("headers"),
        targets=(at_most(1 / 3), rate(0.85, "c")),
    ),
    Workload(
        name="psp",
        title="PSP page, small",
        request=Request("/small.psp"),
        c=(*HTML, 'CrefBody "{data}/small.html"'),
        python=("SetHandler mod_python", "PythonHandler mod_python.psp"),
        body=pages.SMALL.html,
        targets=(at_most(1 / 3),),
    ),
    Workload(
        name="psp-50",
        title="PSP page, 50 expressions",
        request=Request("/fifty.psp"),
        c=(*HTML, 'CrefBody "{data}/fifty.html"'),
        python=("SetHandler mod_python", "PythonHandler mod_python.psp"),
        body=pages.FIFTY.html,
        targets=(at_most(1 / 2),),
    ),
    Workload(
        name="psp-500",
        title="PSP page, 2,000 lines, 500 expressions",
        request=Request("/long.psp"),
        c=(*HTML, 'CrefBody "{data}/long.html"'),
        python=("SetHandler mod_python", "PythonHandler mod_python.psp"),
        body=pages.LONG.html,
        batch=20,
    ),
    Workload(
        name="form",
        title="urlencoded form, 20 fields",
        request=Request(
            "/form",
            "POST",
            (("Content-Type", "application/x-www-form-urlencoded"),),
            pages.FORM,
        ),
        c=(*TEXT, 'CrefBody "{data}/form.txt"', "CrefReadBody On"),
        python=handler("form"),
        body=pages.FORM_ANSWER,
        targets=(at_most(1 / 5),),
    ),
    Workload(
        name="upload",
        title="multipart upload (100 MB; callgrind: 2 MiB)",
        request=pages.upload(Request, 2 << 20),
        c=(*TEXT, 'CrefBody "{data}/upload.txt"', "CrefReadBody On"),
        python=handler("upload"),
        body=pages.upload_answer(2 << 20),
        kind="upload",
        targets=(
            Target("rate", 5, "original"),
            Target("rate", 0.5, "c"),
            Target("growth", 2 << 20, "ours"),
        ),
        batch=2,
    ),
    session("memory", (at_most(1 / 3),), one_process=True),
    session("file", (at_most(1 / 3), rate(3, "original"))),
    session("dbm", (at_most(1 / 3), rate(3, "original"))),
    Workload(
        name="cookie",
        title="Cookie: parse and set 10",
        request=Request(
            "/cookie", headers=(("Cookie", "; ".join("%s=%s" % c for c in pages.COOKIES)),)
        ),
        c=(
            *TEXT,
            'CrefBody "{data}/hello.txt"',
            'CrefHeader Cache-Control "no-cache=\\"set-cookie\\""',
            *tuple('CrefHeader Set-Cookie "%s=%s; path=/"' % c for c in pages.COOKIES),
        ),
        python=handler("cookie"),
        body=HELLO,
        targets=(at_most(1 / 4),),
    ),
    Workload(
        name="wsgi-hello",
        title="WSGI hello",
        request=Request("/hello"),
        c=("SetHandler cref-hello",),
        python=(
            "SetHandler mod_python",
            "PythonHandler mod_python.wsgi",
            "PythonOption mod_python.wsgi.application benchwsgi::hello",
        ),
        wsgi="hello",
        body=HELLO,
        reference="wsgi",
        targets=(at_most(1 / 6, "wsgi"), rate(2.5, "wsgi")),
    ),
    Workload(
        name="wsgi-environ",
        title="WSGI, 10 of the environ read",
        request=Request("/environ?a=1"),
        c=(*TEXT, 'CrefBody "{data}/environ.txt"'),
        python=(
            "SetHandler mod_python",
            "PythonHandler mod_python.wsgi",
            "PythonOption mod_python.wsgi.application benchwsgi::environ",
        ),
        wsgi="environ",
        body=pages.ENVIRON_ANSWER,
        reference="wsgi",
        targets=(at_most(1 / 6, "wsgi"), rate(2.5, "wsgi")),
    ),
    body_row("write-1m", "1 MiB in one write", "write-one"),
    body_row("write-64", "1 MiB in 64 unflushed writes", "write-many"),
    body_row("sendfile", "1 MiB with sendfile", "sendfile", "EnableSendfile On"),
    body_row(
        "post",
        "POST of 64 KiB, read whole",
        "post",
        request=Request(
            "/post", "POST", (("Content-Type", "application/octet-stream"),), b"x" * 65536
        ),
    ),
    Workload(
        name="filter",
        title="1 MiB file through a Python output filter",
        request=Request("/million.bin"),
        c=("SetOutputFilter cref-copy",),
        python=("PythonOutputFilter bench::copy COPY", "SetOutputFilter COPY"),
        body=pages.MILLION,
        targets=(at_most(1 / 2),),
        batch=30,
        heavy=True,
    ),
    Workload(
        name="cpu",
        title="2 ms of pure Python on 2 cores",
        request=Request("/burn"),
        python=handler("burn"),
        wsgi="burn",
        kind="cpu",
        targets=(
            Target("scaling", 1.9, "ours", "prefork"),
            Target("rate", 1.0, "original", "event"),
        ),
    ),
    Workload(
        name="memory",
        title="private memory after 1,000 hellos; start to first answer",
        request=Request("/hello"),
        c=("SetHandler cref-hello",),
        python=handler("hello::hello"),
        wsgi="hello",
        body=HELLO,
        kind="memory",
        targets=(Target("memory", 0.5), Target("start", 0.5)),
    ),
)

BY_NAME = {each.name: each for each in WORKLOADS}
