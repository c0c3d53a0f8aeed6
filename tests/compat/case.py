"""What a differential case is: handler files, configuration, requests and what must come."""

import dataclasses
import re
import textwrap
from collections.abc import Sequence
from typing import Optional, Union

from pyhttpd import Response, client

# For `replace`: the type of these errors counts, their text does not (it says more in ours).
TYPES_ONLY = [(r"\b(TypeError|AttributeError): [^\n]*", r"\1")]

CASES: dict[str, "Case"] = {}
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclasses.dataclass(frozen=True)
class Request:
    """One request and what is known about its answer.

    The declared answer keeps the case honest: it must come from the original where the two
    agree, and from ours where they differ on purpose.
    """

    path: str = "/"  # appended to the case's own URL, unless it starts with "//"
    method: str = "GET"
    headers: Sequence[tuple[str, str]] = ()
    payload: Union[bytes, Sequence[bytes], None] = None
    auth: Optional[tuple[str, str]] = None
    version: str = "HTTP/1.1"
    raw: Optional[bytes] = None  # sent as it is; everything else above is then unused
    half_close: bool = False  # end our side after sending
    new_connection: bool = False
    answers: int = 1  # how many answers to read (pipelining)
    # what must come
    status: int = 200  # 0: no status line
    body: Union[str, bytes, None] = None
    find: Optional[str] = None  # regular expression to be found in the body
    expect: dict = dataclasses.field(default_factory=dict)  # header: value, list or None (absent)
    broken: str = ""  # see pyhttpd.Response.broken

    def problems(self, response: Response) -> list[str]:
        """How the (normalised) answer deviates from the declared one."""
        found = []
        if response.status != self.status:
            found.append(f"status is {response.status}, not {self.status}")
        if response.broken != self.broken:
            found.append(f"the answer is {response.broken or 'complete'!r}, not {self.broken!r}")
        if self.body is not None:
            body = self.body.encode("utf-8") if isinstance(self.body, str) else self.body
            if response.body != body:
                found.append(f"body is {response.text!r}\n          not {body!r}")
        if self.find is not None and not re.search(self.find, response.text, re.S):
            found.append(f"{self.find!r} is not in the body {response.text!r}")
        for name, value in self.expect.items():
            wanted = [] if value is None else value if isinstance(value, list) else [value]
            got = response.headers.get_all(name)
            if got != wanted:
                found.append(f"header {name} is {got}, not {wanted}")
        return found

    def compose(self, host: str, url: str, substitute) -> bytes:
        if self.raw is not None:
            return substitute(self.raw.decode("latin-1")).encode("latin-1")
        path = self.path[1:] if self.path.startswith("//") else url + self.path
        headers = [(name, substitute(value)) for name, value in self.headers]
        return client.compose(
            substitute(path), self.method, headers, self.payload, host, self.auth, self.version
        )


def get(path="/", **options) -> Request:
    return Request(path, **options)


def head(path="/", **options) -> Request:
    return Request(path, "HEAD", **options)


def post(payload, path="/", **options) -> Request:
    """`payload`: bytes, or a list of bytes to be sent chunked."""
    return Request(path, "POST", payload=payload, **options)


def raw(data: bytes, **options) -> Request:
    return Request(raw=data, **options)


@dataclasses.dataclass(frozen=True)
class Case:
    """See `case`."""

    id: str
    about: str
    requests: Sequence[Request]
    files: dict
    conf: Optional[str]
    htaccess: Optional[str]
    sections: str
    vhost: Optional[str]
    server: Optional[str]
    site: dict
    log: Optional[str]
    log_ignore: Sequence[str]
    from_start: bool
    ours_log: Sequence[str]
    chunks: bool
    crashes_original: bool
    mpms: Sequence[str]
    replace: Sequence[tuple[str, str]]

    @property
    def module(self) -> str:
        return "case_" + self.id.replace("-", "_")

    @property
    def url(self) -> str:
        return "/" + self.id

    @property
    def host(self) -> str:
        return "localhost" if self.vhost is None else f"{self.id}.test"

    @property
    def is_alone(self) -> bool:
        """True if the case needs a server of its own."""
        return self.server is not None or bool(self.site)

    def substitute(self, text: str) -> str:
        directory = f"@root@/htdocs/{self.id}"
        for name, value in (
            ("@dir@", directory),
            ("@url@", self.url),
            ("@mod@", self.module),
            ("@id@", self.id),
        ):
            text = text.replace(name, value)
        return text

    def all_files(self) -> dict:
        """Paths below the document root and their content."""
        found = {
            f"{self.id}/{self.substitute(name)}": self.substitute(content)
            if isinstance(content, str)
            else content
            for name, content in self.files.items()
        }
        found.setdefault(f"{self.id}/.exists", "")
        if self.htaccess is not None:
            found[f"{self.id}/.htaccess"] = self.substitute(textwrap.dedent(self.htaccess))
        return found

    def directory_section(self) -> str:
        conf = self.conf
        if conf is None:
            conf = f"SetHandler mod_python\nPythonHandler {self.module}"
        conf = textwrap.indent(textwrap.dedent(conf).strip("\n"), "    ")
        section = f"<Directory @dir@>\n{conf}\n</Directory>\n{textwrap.dedent(self.sections)}\n"
        return self.substitute(section)


_IMPORTS = "from mod_python import apache\n"


def case(
    id: str,
    about: str,
    handler: Optional[str] = None,
    *requests: Request,
    conf: Optional[str] = None,
    files: Optional[dict] = None,
    htaccess: Optional[str] = None,
    sections: str = "",
    vhost: Optional[str] = None,
    server: Optional[str] = None,
    site: Optional[dict] = None,
    log: Optional[str] = None,
    log_ignore: Sequence[str] = (),
    from_start: bool = False,
    ours_log: Sequence[str] = (),
    chunks: bool = False,
    crashes_original: bool = False,
    mpms: Sequence[str] = ("event", "worker", "prefork"),
    replace: Sequence[tuple[str, str]] = (),
) -> Case:
    """Declare one case.

    id               also its URL (`/id`), its directory below the document root, its host
    about            where the behaviour is written down, and what it is
    handler          source of the module `@mod@`; begins with `from mod_python import apache`
    requests         sent in order over one connection; the first defaults to a plain GET
    conf             inside the case's <Directory>; default: SetHandler and PythonHandler @mod@
    files            name below the case's directory -> content
    sections         further sections beside that <Directory>
    vhost            text for a virtual host of its own (so the case has its own interpreter)
    server           text for the main server (so the case has a server of its own)
    site             further pyhttpd.Site arguments (a server of its own, too)
    log              also compare error-log lines of this level and graver
    log_ignore       regular expressions for lines to leave out of that comparison
    from_start       the log counts from the server's start, not from the first request
    ours_log         for a deliberate difference: regular expressions for our error lines
    chunks           also compare how the body was divided by flushes
    crashes_original the original's child dies; it gets a server of its own
    mpms             the MPMs it makes sense under
    replace          (regular expression, text) pairs applied to answers and log lines

    `@root@ @port@ @dir@ @url@ @mod@ @id@` are replaced in all texts.
    """
    assert _ID.fullmatch(id), id
    assert id not in CASES, f"two cases named {id}"
    files = dict(files or {})
    if handler is not None:
        files["@mod@.py"] = _IMPORTS + textwrap.dedent(handler)
    made = Case(
        id,
        about,
        requests or (Request(),),
        files,
        conf,
        htaccess,
        sections,
        vhost,
        server,
        site or {},
        log,
        log_ignore,
        from_start,
        ours_log,
        chunks,
        crashes_original,
        mpms,
        replace,
    )
    CASES[id] = made
    return made


_TRANSCRIPT = """\
import sys

STEPS = {steps!r}


def handler(req):
    names = {{"req": req, "apache": apache, "sys": sys, "__name__": __name__}}
    out = []
    hook = sys.displayhook
    sys.displayhook = lambda value: value is None or out.append(repr(value))
    try:
        for source in STEPS:
            out.append(">>> " + source.replace("\\n", "\\n... "))
            try:
                exec(compile(source + "\\n", "<step>", "single"), names)
            except Exception as error:
                out.append(("%s: %s" % (type(error).__name__, error)).rstrip(": "))
    finally:
        sys.displayhook = hook
    text = "\\n".join(out) + "\\n"
    req.write(text.encode("utf-8", "backslashreplace"))
    return apache.OK
"""


def transcript(
    id: str, about: str, text: str, request: Optional[Request] = None, **options
) -> Case:
    """A case in the style of an interactive Python session with `req` and `apache` at hand.

    A step's value is shown as its repr, an exception as `Type: text`; None shows nothing.
    """
    steps, lines = [], []
    for line in textwrap.dedent(text).strip("\n").split("\n"):
        if line.startswith(">>> "):
            steps.append(line[4:])
        elif line.startswith("...") and steps:
            steps[-1] += "\n" + line[4:]
        if line:
            lines.append("... " if line == "..." else line)
    request = dataclasses.replace(request or get(), body="\n".join(lines) + "\n")
    return case(id, about, _TRANSCRIPT.format(steps=steps), request, **options)
