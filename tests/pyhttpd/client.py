"""HTTP over a raw socket: sends exact bytes and shows everything that came back, in order."""

import base64
import dataclasses
import socket
import ssl
from collections.abc import Iterable, Sequence
from typing import Optional, Union

Pairs = Sequence[tuple[str, str]]


class Headers:
    """Header fields in the order received; look-ups ignore case."""

    def __init__(self, items: Iterable[tuple[str, str]] = ()):
        self.items: list[tuple[str, str]] = list(items)

    def get_all(self, name: str) -> list[str]:
        return [value for key, value in self.items if key.lower() == name.lower()]

    def get(self, name: str, default: Optional[str] = None) -> Optional[str]:
        """The first value of the field."""
        return next(iter(self.get_all(name)), default)

    def __getitem__(self, name: str) -> str:
        values = self.get_all(name)
        if not values:
            raise KeyError(name)
        return values[0]

    def __contains__(self, name: str) -> bool:
        return bool(self.get_all(name))

    def __iter__(self):
        return iter(self.items)

    def __len__(self):
        return len(self.items)

    def __repr__(self):
        return f"Headers({self.items!r})"


@dataclasses.dataclass
class Response:
    """One answer.  `broken` says how it was cut short; empty when it is complete."""

    version: str = ""  # "HTTP/1.1"; empty for HTTP/0.9 style and for no answer at all
    status: int = 0  # 0 when there was no status line
    reason: str = ""
    headers: Headers = dataclasses.field(default_factory=Headers)
    body: bytes = b""
    trailers: Headers = dataclasses.field(default_factory=Headers)
    interim: list["Response"] = dataclasses.field(default_factory=list)
    chunks: list[int] = dataclasses.field(default_factory=list)  # sizes, if it was chunked
    broken: str = ""

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "backslashreplace")


class _Cut(Exception):
    """The peer closed the connection in the middle of an answer."""


class Connection:
    """One connection to a server; a context manager.

    `sock` is there for tests that must do something unusual.  Time-outs are a safety net:
    socket.timeout (an OSError) is raised when the server says nothing for `timeout` seconds.
    """

    def __init__(
        self,
        port: int,
        host: str = "127.0.0.1",
        timeout: float = 60.0,
        tls: Optional[ssl.SSLContext] = None,
    ):
        self.sock = socket.create_connection((host, port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.local_port = self.sock.getsockname()[1]
        if tls is not None:
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")
        self.open = True  # False once the peer ended the connection or announced its end
        self._buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        self.open = False
        self.sock.close()

    # -- out -------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send exactly these bytes."""
        self.sock.sendall(data)

    def shutdown_write(self) -> None:
        """Half-close: the server sees the end of our data, we still read."""
        self.sock.shutdown(socket.SHUT_WR)

    # -- in --------------------------------------------------------------------------------

    def _more(self) -> bool:
        try:
            data = self.sock.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self.open = False
        self._buffer += data
        return bool(data)

    def _line(self) -> bytes:
        while b"\n" not in self._buffer:
            if not self._more():
                raise _Cut
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.rstrip(b"\r")

    def _bytes(self, count: int, into: Response) -> None:
        while len(self._buffer) < count:
            if not self._more():
                into.body += self._buffer
                self._buffer = b""
                raise _Cut
        into.body += self._buffer[:count]
        self._buffer = self._buffer[count:]

    def _fields(self, into: list[tuple[str, str]]) -> None:
        while True:
            line = self._line()
            if not line:
                return
            name, _, value = line.decode("latin-1").partition(":")
            into.append((name, value.strip()))

    def read_to_eof(self) -> bytes:
        """Everything until the server closes its side."""
        while self._more():
            pass
        data, self._buffer = self._buffer, b""
        return data

    def read_some(self, count: int) -> bytes:
        """Exactly `count` bytes, fewer if the connection ends before."""
        while len(self._buffer) < count and self._more():
            pass
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    def read_response(self, method: str = "GET") -> Response:
        """The next answer with its interim answers; never raises for a broken one."""
        interim: list[Response] = []
        while True:
            response = Response()
            try:
                self._read_one(response, method)
            except _Cut:
                response.broken = response.broken or "cut"
            if response.broken or not 100 <= response.status < 200 or response.status == 101:
                response.interim = interim
                return response
            interim.append(response)

    def _read_one(self, response: Response, method: str) -> None:
        while len(self._buffer) < 5 and self._more():
            pass
        if not self._buffer:
            response.broken = "no answer"
            return
        if not self._buffer.startswith(b"HTTP/"):
            response.body = self.read_to_eof()
            response.broken = "no status line"
            return
        response.broken = "cut in the header"
        version, _, rest = self._line().decode("latin-1").partition(" ")
        status, _, response.reason = rest.partition(" ")
        response.version = version
        response.status = int(status) if status.isdigit() else 0
        self._fields(response.headers.items)
        response.broken = "cut in the body"
        self._read_body(response, method)
        response.broken = ""
        if (response.headers.get("Connection") or "").lower() == "close":
            self.open = False

    def _read_body(self, response: Response, method: str) -> None:
        headers = response.headers
        if method == "HEAD" or response.status in (204, 304) or response.status < 200:
            return
        if "chunked" in (headers.get("Transfer-Encoding") or "").lower():
            while True:
                line = self._line()
                try:
                    size = int(line.split(b";")[0], 16)
                except ValueError:
                    response.broken = f"bad chunk {line!r}"
                    raise _Cut from None
                if size == 0:
                    self._fields(response.trailers.items)
                    return
                response.chunks.append(size)
                self._bytes(size, response)
                self._line()
        elif "Content-Length" in headers:
            self._bytes(int(headers["Content-Length"]), response)
        else:
            response.body = self.read_to_eof()

    # -- both ------------------------------------------------------------------------------

    def request(
        self,
        path: str = "/",
        method: str = "GET",
        headers: Pairs = (),
        body: Union[bytes, Sequence[bytes], None] = None,
        host: Optional[str] = "localhost",
        auth: Optional[tuple[str, str]] = None,
        version: str = "HTTP/1.1",
    ) -> Response:
        """Send one request and read its answer.

        `body` as bytes goes out with a Content-Length, as a list of bytes chunked; a header
        given in `headers` is never added a second time.  `auth` is latin-1 encoded.
        """
        self.send(compose(path, method, headers, body, host, auth, version))
        return self.read_response(method)


def compose(
    path: str = "/",
    method: str = "GET",
    headers: Pairs = (),
    body: Union[bytes, Sequence[bytes], None] = None,
    host: Optional[str] = "localhost",
    auth: Optional[tuple[str, str]] = None,
    version: str = "HTTP/1.1",
) -> bytes:
    """The bytes of one request; text is sent as latin-1."""
    given = {name.lower() for name, _ in headers}
    lines = [f"{method} {path} {version}"]
    if host is not None and "host" not in given:
        lines.append(f"Host: {host}")
    lines += [f"{name}: {value}" for name, value in headers]
    if auth is not None:
        token = base64.b64encode(":".join(auth).encode("latin-1")).decode("ascii")
        lines.append(f"Authorization: Basic {token}")
    payload = b""
    if isinstance(body, bytes):
        payload = body
        if "content-length" not in given:
            lines.append(f"Content-Length: {len(body)}")
    elif body is not None:
        payload = chunked(body)
        if "transfer-encoding" not in given:
            lines.append("Transfer-Encoding: chunked")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + payload


def chunked(parts: Iterable[bytes]) -> bytes:
    """The chunked transfer coding of these parts, with its end."""
    coded = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts if part)
    return coded + b"0\r\n\r\n"


def request(port: int, path: str = "/", method: str = "GET", **options) -> Response:
    """One request on a connection of its own, which the server is asked to close.

    Returns after the server closed it, so that its log and cleanup phases are over.
    """
    headers = [*options.pop("headers", ()), ("Connection", "close")]
    with Connection(port) as connection:
        response = connection.request(path, method, headers=headers, **options)
        connection.read_to_eof()
        return response


def get(port: int, path: str = "/", **options) -> Response:
    """`request` with method GET."""
    return request(port, path, "GET", **options)
