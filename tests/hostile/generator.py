"""Makes broken requests from a seed: bad bytes wherever a client may put bytes."""

import base64
import random
import urllib.parse

TARGETS = (
    "/handler/read", "/handler/lines", "/handler/pieces", "/handler/leave", "/handler/attributes",
    "/handler/cookies", "/pub/page", "/pub/page/f", "/pub/page/g", "/pub/page/data/key",
    "/pub/page/deep/down", "/psp/page.psp", "/form/storage", "/form/query", "/form/upload",
    "/session/file", "/session/memory", "/filter/out", "/filter/in", "/filter/static.txt",
    "/filter/late", "/wsgi/app", "/wsgi/lines", "/wsgi/leave", "/ssi/page.shtml", "/auth/x",
)  # fmt: skip
HEADERS = (
    b"Accept", b"Accept-Charset", b"Accept-Encoding", b"Accept-Language", b"Authorization",
    b"Cache-Control", b"Cookie", b"Cookie2", b"Content-Type", b"Content-Encoding", b"Content-MD5",
    b"Date", b"Forwarded", b"From", b"If-Match", b"If-Modified-Since", b"If-None-Match",
    b"If-Range", b"If-Unmodified-Since", b"Max-Forwards", b"Pragma", b"Proxy-Authorization",
    b"Range", b"Referer", b"TE", b"Trailer", b"User-Agent", b"Via", b"Warning", b"X-Forwarded-For",
    b"X-Requested-With", b"Proxy", b"X-\xe9", b"X_Y",
)  # fmt: skip
METHODS = (
    b"HEAD",
    b"PUT",
    b"DELETE",
    b"OPTIONS",
    b"PATCH",
    b"TRACE",
    b"PROPFIND",
    b"get",
    b"X" * 40,
)
_PIECES = (
    b"", b"a", b"b=c", b"=", b"&", b";", b"%", b"%0", b"%zz", b"%00", b"%0d%0a", b"%ff", b"%u20ac",
    b"%C3%A9", b"%c0%af", b"+", b"\xff", b"\xc3\xa9", b"\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
    b'"', b"\\", b"'", b"\\777", b"\\x", b"$", b"$Path", b",", b":", b"/", b"//", b"..", b"../..",
    b"?", b"<%", b"%>", b"<!--#", b"{", b"}", b"%s", b"%n", b"__class__", b"__globals__", b"_x",
    b"self", b"req", b"None", b"0", b"-1", b"9" * 30, b"1e999", b"nan", b"x" * 200, b"\xfe" * 50,
    b"name", b"filename", b"boundary=", b"multipart/form-data", b"bytes=0-", b"gzip", b"\t", b" ",
    b"\x7f", b"\x1b", b"\x01", b"pysid=", b"W/", b'"x"', b"*", b"q=0.0000", b"Basic ", b"Negotiate",
)  # fmt: skip
_TYPES = (
    b"application/x-www-form-urlencoded", b"application/x-www-form-urlencoded; charset=utf-16",
    b"application/x-www-form-urlencoded;charset=\xff", b"multipart/form-data; boundary=B",
    b'multipart/form-data; boundary="B"', b"multipart/form-data", b"text/plain", b"\xff/\xfe", b"/",
)  # fmt: skip
_CONTROLS = bytes(range(32)).replace(b"\t", b"") + b"\x7f"


class Generator:
    """Requests of one seed.  `sessions` are session cookies seen in answers, to be sent back."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.sessions: list[bytes] = []
        # Bytes that this request does without, lest httpd refuse it before any handler.
        self.spared = b""

    def junk(self, longest: int = 6, forbidden: bytes = b"") -> bytes:
        """Some bytes, without those that are forbidden where it is to stand."""
        chance = self.random
        if chance.random() < 0.15:
            text = bytes(chance.choices(range(256), k=chance.randrange(40)))
        else:
            text = b"".join(chance.choices(_PIECES, k=chance.randrange(longest + 1)))
        return text.translate(None, b"\0\r\n" + self.spared + forbidden)

    def spare(self) -> None:
        """Chooses whether the next request contains control characters."""
        self.spared = _CONTROLS if self.random.random() < 0.95 else b""

    def target(self) -> bytes:
        """A path, often with more after it, and a query."""
        chance = self.random
        path = chance.choice(TARGETS).encode()
        if chance.random() < 0.15:
            path += b"/" + self.junk(4, b" \t?#")
        if chance.random() < 0.6:
            path += b"?" + self.query()
        return path

    def query(self) -> bytes:
        chance = self.random
        if chance.random() < 0.3:
            return self.junk(12, b" \t#")
        pairs = []
        for _ in range(chance.randrange(6)):
            name = chance.choice((b"a", b"b", b"c", b"req", self.junk(3, b" \t")))
            pairs.append(name + chance.choice((b"=", b"", b"==")) + self.junk(5, b" \t"))
        return chance.choice((b"&", b"&", b";", b"&&")).join(pairs)

    def cookies(self) -> bytes:
        chance = self.random
        found = []
        for _ in range(chance.randrange(1, 5)):
            kind = chance.random()
            if kind < 0.4 and self.sessions:
                cookie = chance.choice(self.sessions)
                if chance.random() < 0.4:
                    cookie = self.mutated(cookie)
                found.append(cookie)
            elif kind < 0.6:
                sid = bytes(
                    chance.choices(b"0123456789abcdefg/.", k=chance.choice((32, 32, 1, 33)))
                )
                found.append(b"pysid=" + sid)
            else:
                name = chance.choice((b"spam", b"signed", b"marshal", self.junk(2)))
                value = base64.b64encode(self.junk(8)) if kind < 0.8 else self.junk(6)
                found.append(name + b"=" + value)
        return chance.choice((b"; ", b";", b",", b" ")).join(found).translate(None, b"\0\r\n")

    def header(self) -> bytes:
        chance = self.random
        name = chance.choice(HEADERS)
        if name == b"Cookie":
            return b"Cookie: " + self.cookies()
        if name == b"Authorization" and chance.random() < 0.7:
            return b"Authorization: Basic " + base64.b64encode(self.junk(4))[: chance.randrange(40)]
        if name == b"Range" and chance.random() < 0.7:
            ends = (b"", b"0", b"1", b"5", b"-1", b"9" * 25, b"x")
            ranges = [
                chance.choice(ends) + b"-" + chance.choice(ends)
                for _ in range(chance.choice((1, 2, 40)))
            ]
            return b"Range: bytes=" + b",".join(ranges)
        if name == b"Content-Type":
            return b"Content-Type: " + chance.choice(_TYPES)
        return name + b": " + self.junk(8)

    def mutated(self, data: bytes) -> bytes:
        """`data` with one place changed, doubled or left out."""
        if not data:
            return data
        chance = self.random
        at = chance.randrange(len(data))
        return (
            data[:at]
            + chance.choice((b"", b"\xff", b"%", data[at : at + 9], b"0"))
            + data[at + 1 :]
        )

    def form(self) -> tuple[bytes, bytes]:
        """A content type and a body that may even belong together."""
        chance = self.random
        if chance.random() < 0.5:
            return chance.choice(_TYPES[:3]), self.query() * chance.choice((1, 1, 1, 30))
        parts = []
        for _ in range(chance.randrange(5)):
            name = urllib.parse.quote_from_bytes(self.junk(2)).encode()
            disposition = b'Content-Disposition: form-data; name="' + name + b'"'
            if chance.random() < 0.4:
                disposition += b'; filename="' + self.junk(3) + b'"'
            if chance.random() < 0.3:
                disposition += b"\r\n" + self.header()
            value = self.junk(20) * chance.choice((1, 1, 1, 200))
            parts.append(b"--B\r\n" + disposition + b"\r\n\r\n" + value + b"\r\n")
        body = b"".join(parts) + b"--B--\r\n"
        if chance.random() < 0.4:
            body = self.mutated(body)
        return chance.choice(_TYPES[3:6]), body

    def request(self, close: bool = False) -> bytes:
        """A request whose end is where it says, whatever else is wrong with it."""
        self.spare()
        chance = self.random
        kind = chance.random()
        body = None
        method = b"GET"
        if kind < 0.35:
            method = b"POST"
            content_type, body = self.form()
        elif kind < 0.42:
            method = chance.choice(METHODS)
        lines = [method + b" " + self.target() + b" HTTP/1.1", b"Host: localhost"]
        for _ in range(chance.choice((0, 1, 1, 2, 3, 8))):
            lines.append(self.header())
        if close:
            lines.append(b"Connection: close")
        if body is None:
            return b"\r\n".join(lines) + b"\r\n\r\n"
        lines.append(b"Content-Type: " + content_type)
        if chance.random() < 0.4:
            lines.append(b"Transfer-Encoding: chunked")
            return b"\r\n".join(lines) + b"\r\n\r\n" + self.chunks(body)
        lines.append(b"Content-Length: %d" % len(body))
        return b"\r\n".join(lines) + b"\r\n\r\n" + body

    def chunks(self, body: bytes) -> bytes:
        chance = self.random
        out = []
        while body:
            size = chance.randrange(1, max(2, len(body) + 1))
            out.append(b"%x%s\r\n%s\r\n" % (size, b";x=y" * (size % 2), body[:size]))
            assert size <= len(body)
            body = body[size:]
        return b"".join(out) + b"0\r\n\r\n"

    def broken(self) -> tuple[str, bytes]:
        """(what is wrong, a request after which nobody knows where the next one begins)."""
        chance = self.random
        kind = chance.choice(("mutated", "mutated", "bytes", "length", "chunks", "headers"))
        if kind == "mutated":
            data = self.request()
            for _ in range(chance.randrange(1, 6)):
                data = self.mutated(data)
            return kind, data
        if kind == "bytes":
            data = bytearray(self.request())
            for _ in range(chance.randrange(1, 20)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            return kind, bytes(data)
        head = b"POST " + self.target() + b" HTTP/1.1\r\nHost: x\r\nContent-Type: "
        content_type, body = self.form()
        head += content_type + b"\r\n"
        if kind == "length":
            length = chance.choice((1 << 30, len(body) + 1, 1 << 62, 10**30, -5, len(body) // 2))
            return kind, head + b"Content-Length: %d\r\n\r\n" % length + body
        if kind == "chunks":
            data = self.chunks(body)
            for _ in range(chance.randrange(1, 4)):
                data = self.mutated(data)
            return kind, head + b"Transfer-Encoding: chunked\r\n\r\n" + data
        lines = [self.header() for _ in range(chance.choice((20, 100, 300)))]
        return kind, head + b"\r\n".join(lines) + b"\r\n\r\n"

    def ten_thousand_headers(self) -> bytes:
        lines = [b"X-%d: %s" % (number, self.junk(1)) for number in range(10000)]
        return (
            b"GET "
            + self.target()
            + b" HTTP/1.1\r\nHost: x\r\n"
            + b"\r\n".join(lines)
            + b"\r\n\r\n"
        )
