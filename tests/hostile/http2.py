"""HTTP/2 connections of many streams, with resets, broken frames and ends in the middle."""

import struct

import hpack

from hostile.generator import Generator
from pyhttpd.http2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    PUSH,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
)

_CONTROLS = bytes(range(32)) + b"\x7f"


class Conversation:
    """What is sent on one connection, and what came of each stream."""

    def __init__(self, generator: Generator, streams: int):
        self.generator = generator
        self.chance = generator.random
        self.encoder = hpack.Encoder()
        self.streams = streams
        self.faults = 0
        self.reset: set[int] = set()
        self.is_broken = False
        # Half of them keep to the protocol, for mod_http2 soon drops the others.
        self.is_orderly = self.chance.random() < 0.5

    def compose(self) -> bytes:
        # Answers of any length come without waiting for us to make room.
        settings = struct.pack(">HI", 4, (1 << 31) - 1)
        out = [PREFACE, frame(SETTINGS, 0, 0, settings)]
        out.append(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", (1 << 31) - 1 - 65535)))
        for number in range(self.streams):
            out.extend(self._stream(2 * number + 1))
            if self.chance.random() < 0.02 and not self.is_orderly:
                out.append(self._nonsense(2 * number + 1))
                self.is_broken = True
                self.faults += 1
        return b"".join(out)

    def _stream(self, stream):
        chance = self.chance
        self.generator.spare()
        has_body = chance.random() < 0.4
        fields = [
            (b":method", b"POST" if has_body else b"GET"),
            (b":scheme", b"http"),
            (b":authority", b"localhost"),
            (b":path", self.generator.target()),
        ]
        body = b""
        if has_body:
            content_type, body = self.generator.form()
            fields.append((b"content-type", content_type))
        for _ in range(chance.randrange(4)):
            name, _, value = self.generator.header().partition(b": ")
            # httpd 2.4.71, with or without any module: a child may abort in h2_stream.c (assertion
            # "!stream->input_closed") when DATA follows headers that nghttp2 refuses.
            if name.isascii() and name not in (b"TE", b"Cookie2"):
                fields.append((name.lower(), value.strip().translate(None, _CONTROLS)))
        block = self.encoder.encode(fields, huffman=chance.random() < 0.5)
        end = 0 if has_body else END_STREAM
        cut = chance.randrange(len(block)) if chance.random() < 0.1 else len(block)
        out = [frame(HEADERS, end | (END_HEADERS if cut == len(block) else 0), stream, block[:cut])]
        if cut < len(block):
            out.append(frame(CONTINUATION, END_HEADERS, stream, block[cut:]))
        leave = 1.0 if self.is_orderly else chance.random()
        if leave < 0.15:
            self.faults += 1
            self.reset.add(stream)
            if has_body and leave < 0.1:
                out.append(frame(DATA, 0, stream, body[: len(body) // 2]))
            out.append(frame(RST_STREAM, 0, stream, struct.pack(">I", chance.randrange(16))))
        elif has_body:
            middle = chance.randrange(len(body) + 1)
            for piece, flags in ((body[:middle], 0), (body[middle:], END_STREAM)):
                pieces = [piece[at : at + 16384] for at in range(0, len(piece), 16384)] or [b""]
                for number, small in enumerate(pieces):
                    last = flags if number == len(pieces) - 1 else 0
                    out.append(frame(DATA, last, stream, small))
        return out

    def _nonsense(self, stream):
        chance = self.chance
        kind = chance.choice((DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY,
                              WINDOW_UPDATE, CONTINUATION, 77))  # fmt: skip
        payload = bytes(chance.choices(range(256), k=chance.choice((0, 4, 5, 8, 100))))
        return frame(
            kind, chance.randrange(256), chance.choice((0, stream, stream + 2, 2)), payload
        )


class Answers:
    """Reads the frames that came; `statuses` by stream, `ended` streams, `gone` after GOAWAY."""

    def __init__(self):
        self.decoder = hpack.Decoder()
        self.buffer = bytearray()
        self.statuses: dict[int, int] = {}
        self.ended: set[int] = set()
        self.gone = False

    def feed(self, data: bytes) -> None:
        self.buffer += data
        while len(self.buffer) >= 9:
            length = int.from_bytes(self.buffer[:3], "big")
            if len(self.buffer) < 9 + length:
                return
            kind, flags = self.buffer[3], self.buffer[4]
            stream = int.from_bytes(self.buffer[5:9], "big") & 0x7FFFFFFF
            payload = bytes(self.buffer[9 : 9 + length])
            del self.buffer[: 9 + length]
            if kind == HEADERS and flags & END_HEADERS:
                for name, value in self.decoder.decode(payload, raw=True):
                    if name == b":status":
                        self.statuses[stream] = int(value)
            if kind == GOAWAY:
                self.gone = True
            if kind == RST_STREAM or (kind in (DATA, HEADERS) and flags & END_STREAM):
                self.ended.add(stream)
