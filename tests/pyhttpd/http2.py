"""HTTP/2 for tests: many requests at once on a connection, and what became of each of them."""

import dataclasses
import socket
import ssl
import struct
from typing import Optional

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    range(10)
)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
REFUSED_STREAM = 7


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame of RFC 9113."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


@dataclasses.dataclass
class Answer:
    """What came for a request; `is_unprocessed`: the server promised to have done nothing."""

    status: int = 0
    body: bytes = b""
    is_complete: bool = False
    is_unprocessed: bool = False
    reset: Optional[int] = None

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "backslashreplace")


class Http2Connection:
    """A connection to a server that speaks HTTP/2 anyway, or agrees by ALPN; a context manager."""

    def __init__(
        self,
        port: int,
        tls: Optional[ssl.SSLContext] = None,
        window: int = (1 << 31) - 1,
        timeout: float = 60.0,
    ):
        self.answers: dict[int, Answer] = {}
        self.is_open = True
        self.goaway: Optional[int] = None
        self._encoder, self._decoder = hpack.Encoder(), hpack.Decoder()
        self._scheme = b"http" if tls is None else b"https"
        self._buffer = b""
        self._next = 1
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")
            assert self.sock.selected_alpn_protocol() == "h2"
        # SETTINGS_INITIAL_WINDOW_SIZE, and as much for the connection as there can be.
        self._send(PREFACE, frame(SETTINGS, 0, 0, struct.pack(">HI", 4, window)))
        self._send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", (1 << 31) - 1 - 65535)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def _send(self, *frames: bytes) -> None:
        try:
            self.sock.sendall(b"".join(frames))
        except ConnectionError:
            # What came before is there to be read all the same.
            self.is_open = False

    def send(self, *paths: str, method: str = "GET") -> list[Answer]:
        """Begin requests, together."""
        made, frames = [], []
        for path in paths:
            fields = [
                (b":method", method.encode("ascii")),
                (b":scheme", self._scheme),
                (b":authority", b"localhost"),
                (b":path", path.encode("latin-1")),
            ]
            block = self._encoder.encode(fields)
            frames.append(frame(HEADERS, END_STREAM | END_HEADERS, self._next, block))
            made.append(self.answers.setdefault(self._next, Answer()))
            self._next += 2
        self._send(*frames)
        return made

    def make_room(self, octets: int) -> None:
        """Let the server send so much more in each request."""
        update = struct.pack(">I", octets)
        self._send(*(frame(WINDOW_UPDATE, 0, stream, update) for stream in self.answers))

    def read(self, until=None) -> None:
        """Read until `until()` is true, or nothing comes any more; by default all answers."""
        until = until or (lambda: all(self._is_over(answer) for answer in self.answers.values()))
        while not until():
            while len(self._buffer) < 9 or len(self._buffer) < 9 + self._length():
                try:
                    data = self.sock.recv(65536)
                except ConnectionError:
                    data = b""
                if not data:
                    self.is_open = False
                    return
                self._buffer += data
            self._take()

    @staticmethod
    def _is_over(answer):
        return answer.is_complete or answer.reset is not None or answer.is_unprocessed

    def _length(self):
        return int.from_bytes(self._buffer[:3], "big")

    def _take(self):
        end = 9 + self._length()
        kind, flags = self._buffer[3], self._buffer[4]
        stream = int.from_bytes(self._buffer[5:9], "big") & 0x7FFFFFFF
        payload, self._buffer = self._buffer[9:end], self._buffer[end:]
        answer = self.answers.get(stream)
        if kind == SETTINGS and not flags & ACK:
            self._send(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self._send(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self.goaway = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
            for number, other in self.answers.items():
                if number > self.goaway:
                    other.is_unprocessed = True
        elif kind == HEADERS:
            # httpd sends the fields of an answer in one frame, without padding.
            assert flags & END_HEADERS
            for name, value in self._decoder.decode(payload, raw=True):
                if name == b":status":
                    answer.status = int(value)
        elif kind == DATA:
            answer.body += payload
        elif kind == RST_STREAM and answer is not None and not answer.is_complete:
            answer.reset = int.from_bytes(payload, "big")
            answer.is_unprocessed |= answer.reset == REFUSED_STREAM
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            answer.is_complete = True
