"""A small HTTP/1.1 client on one keep-alive connection, whose answers keep every header."""

import socket
from dataclasses import dataclass

# Headers that differ from run to run or name the server, not the work.
VARYING = {"date", "server", "last-modified", "etag", "accept-ranges", "keep-alive", "connection"}


@dataclass
class Response:
    """Status, headers in order, and the whole body."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def get(self, name: str) -> str:
        """The first header of that name, or an empty string."""
        for key, value in self.headers:
            if key.lower() == name.lower():
                return value
        return ""

    def essence(self) -> list[tuple[str, str]]:
        """The headers that all peers must agree on, sorted."""
        return sorted(
            (key.lower(), value) for key, value in self.headers if key.lower() not in VARYING
        )


class Connection:
    """One connection to 127.0.0.1; not for use by several threads."""

    def __init__(self, port: int, timeout: float = 120):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def close(self) -> None:
        """Closes the connection."""
        self.socket.close()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *exc) -> None:
        self.close()

    def ask(self, raw: bytes) -> Response:
        """Sends one request and reads its answer. Raises OSError when the connection breaks."""
        self.socket.sendall(raw)
        while b"\r\n\r\n" not in self.buffer:
            self.fill()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = []
        for line in lines[1:]:
            key, _, value = line.partition(":")
            headers.append((key.strip(), value.strip()))
        response = Response(int(lines[0].split()[1]), headers, b"")
        if response.get("Transfer-Encoding").lower() == "chunked":
            response.body = self.chunks()
        elif response.get("Content-Length"):
            response.body = self.take(int(response.get("Content-Length")))
        return response

    def fill(self) -> None:
        data = self.socket.recv(262144)
        if not data:
            raise ConnectionError("the server closed the connection")
        self.buffer += data

    def take(self, length: int) -> bytes:
        parts = [self.buffer[:length]]
        got = len(parts[0])
        self.buffer = self.buffer[length:]
        while got < length:
            data = self.socket.recv(min(262144, length - got))
            if not data:
                raise ConnectionError("the server closed the connection")
            parts.append(data)
            got += len(data)
        return b"".join(parts)

    def chunks(self) -> bytes:
        parts = []
        while True:
            while b"\r\n" not in self.buffer:
                self.fill()
            size, _, self.buffer = self.buffer.partition(b"\r\n")
            length = int(size.split(b";")[0], 16)
            part = self.take(length + 2)
            if not length:
                return b"".join(parts)
            parts.append(part[:-2])
