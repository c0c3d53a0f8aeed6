"""One hostile client, a process of its own: `python -m hostile.client PORT SEED REQUESTS`.

It prints a line of JSON after each batch: what it has sent and what came back, since the last line.
"""

import collections
import json
import re
import select
import socket
import struct
import sys
import time

from hostile import http2
from hostile.corpus import CORPUS
from hostile.generator import TARGETS, Generator

# At the start of an answer only: no page of the site under attack has a Date.
_STATUS = re.compile(rb"HTTP/1\.[01] (\d\d\d) [^\r\n]*\r\nDate: ")
_SESSION = re.compile(rb"Set-Cookie: ((?:pysid|signed|marshal)=[^;\r]*)")
_BATCH = 300
# A server that says nothing for so long is stuck; its Timeout is shorter.
_PATIENCE = 30.0


class Client:
    """Counts everything since the last `report`."""

    def __init__(self, port: int, seed: int, patience: float = _PATIENCE):
        self.port = port
        self.patience = patience
        self.generator = Generator(seed)
        self.random = self.generator.random
        self.stalled: collections.deque[socket.socket] = collections.deque()
        self.clear()

    def clear(self):
        self.requests = 0
        self.connections = 0
        self.faults = collections.Counter()
        self.statuses = collections.Counter()
        # Requests whose answer did not come although nothing was wrong with their frame.
        self.unanswered: list[str] = []
        # (status, what was sent on that connection)
        self.errors: list[tuple[int, str]] = []

    def report(self) -> str:
        text = json.dumps({key: vars(self)[key] for key in (
            "requests", "connections", "faults", "statuses", "unanswered", "errors")})  # fmt: skip
        self.clear()
        return text

    def connect(self) -> socket.socket:
        self.connections += 1
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=self.patience)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def exchange(self, data: bytes, half_close: bool = True, until=None) -> bytes:
        """All that comes back, read while it is being sent; b"" if the server resets."""
        answer = []
        view = memoryview(data)
        with self.connect() as sock:
            sock.setblocking(False)
            if not data:
                sock.shutdown(socket.SHUT_WR)
            while True:
                ready = select.select([sock], [sock] if view else [], [], self.patience)
                if not ready[0] and not ready[1]:
                    raise TimeoutError(f"nothing came for {self.patience} s after {data[:2000]!r}")
                try:
                    if ready[1]:
                        view = view[sock.send(view) :]
                        if not view and half_close:
                            sock.shutdown(socket.SHUT_WR)
                    if ready[0]:
                        piece = sock.recv(262144)
                        answer.append(piece)
                        if not piece or (until is not None and until(piece)):
                            break
                except OSError:
                    break
        return b"".join(answer)

    def judge(self, sent: bytes, answer: bytes) -> list[int]:
        statuses = [int(found) for found in _STATUS.findall(answer)]
        self.statuses.update(statuses)
        for status in statuses:
            if status >= 500:
                self.errors.append((status, repr(sent[:6000])))
        for cookie in _SESSION.findall(answer)[:2]:
            sessions = self.generator.sessions
            sessions.append(cookie)
            del sessions[:-20]
        return statuses

    # -- kinds of connections ---------------------------------------------------------------

    def pipeline(self):
        """Many requests at once; each must be answered, in whatever way."""
        count = self.random.choice((1, 5, 20, 60))
        requests = [self.generator.request(number == count - 1) for number in range(count)]
        data = b"".join(requests)
        self.requests += count
        statuses = self.judge(data, self.exchange(data, half_close=False))
        # After a request that it refuses, or a TRACE or so, httpd may close.
        if len(statuses) < count and (not statuses or statuses[-1] < 400):
            self.unanswered.append(f"{len(statuses)} of {count}: {data[:20000]!r}")
        self.faults["pipelines"] += 1

    def broken(self):
        kind, data = self.generator.broken()
        before = b"".join(self.generator.request() for _ in range(self.random.randrange(4)))
        self.requests += 1 + before.count(b"HTTP/1.1\r\n")
        self.faults[kind] += 1
        self.judge(before + data, self.exchange(before + data))

    def known(self):
        name = self.random.choice(list(CORPUS))
        data = CORPUS[name].replace(b"@path@", self.random.choice(TARGETS).encode())
        self.requests += 1
        self.faults["corpus"] += 1
        self.judge(data, self.exchange(data))

    def abort(self):
        """The same request many times, cut at one byte after the other."""
        data = self.generator.request()
        step = max(1, len(data) // 40)
        start = self.random.randrange(step)
        for end in range(start, len(data), step):
            self.requests += 1
            self.faults["aborts"] += 1
            with self.connect() as sock:
                sock.sendall(data[:end])
                if end % 3:
                    # Reset, not an orderly end.
                    linger = struct.pack("ii", 1, 0)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    def deaf(self):
        """Asks for much and goes away without having read the answers."""
        data = b"".join(self.generator.request() for _ in range(20))
        self.requests += 20
        self.faults["answers not read"] += 1
        with self.connect() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            sock.settimeout(0.2)
            try:
                sock.sendall(data)
                sock.recv(100)
            except OSError:
                pass

    def slow(self):
        data = self.generator.request(close=True)
        self.requests += 1
        self.faults["slow"] += 1
        with self.connect() as sock:
            try:
                for at in range(0, len(data), max(1, len(data) // 50)):
                    sock.sendall(data[at : at + max(1, len(data) // 50)])
                    time.sleep(0.0005)
                answer = b""
                piece = sock.recv(262144)
                while piece:
                    answer += piece
                    piece = sock.recv(262144)
                self.judge(data, answer)
            except (ConnectionResetError, BrokenPipeError):
                pass

    def stall(self):
        """Sends half a request and keeps the connection; a few at a time."""
        data = self.generator.request()
        sock = self.connect()
        sock.sendall(data[: self.random.randrange(len(data))])
        self.requests += 1
        self.faults["stalled"] += 1
        self.stalled.append(sock)
        if len(self.stalled) > 2:
            self.stalled.popleft().close()

    def many_headers(self):
        data = self.generator.ten_thousand_headers()
        self.requests += 1
        self.faults["10,000 headers"] += 1
        self.judge(data[:200], self.exchange(data))

    def http2(self):
        talk = http2.Conversation(self.generator, self.random.choice((1, 10, 40)))
        data = talk.compose()
        answers = http2.Answers()
        wanted = {2 * number + 1 for number in range(talk.streams)} - talk.reset

        def done(piece):
            answers.feed(piece)
            return answers.gone or wanted <= answers.ended

        broken = talk.is_broken
        if self.random.random() < 0.1:
            # In the middle of a frame, perhaps.
            data = data[: self.random.randrange(len(data))]
            broken = True
            talk.faults += 1
        self.exchange(data, half_close=broken, until=done)
        self.requests += talk.streams
        self.faults["http/2 connections"] += 1
        self.faults["http/2 resets and broken frames"] += talk.faults
        self.statuses.update(f"h2 {status}" for status in answers.statuses.values())
        for stream, status in answers.statuses.items():
            if status >= 500:
                self.errors.append((status, f"HTTP/2 stream {stream}"))
        missing = wanted - answers.ended
        # mod_http2 drops a connection that resets too many streams.
        if missing and not talk.faults and not answers.gone:
            self.unanswered.append(f"HTTP/2 streams {sorted(missing)}")

    KINDS = (
        (pipeline, 40), (broken, 60), (known, 30), (abort, 6), (deaf, 2), (slow, 2), (stall, 2),
        (http2, 12), (many_headers, 0.1),
    )  # fmt: skip

    def run(self, count: int):
        """Send at least `count` requests; a report is printed after each batch."""
        kinds, weights = zip(*self.KINDS)
        sent = 0
        while sent < count:
            while self.requests < min(_BATCH, count - sent):
                self.random.choices(kinds, weights)[0](self)
            sent += self.requests
            print(self.report(), flush=True)
        while self.stalled:
            self.stalled.pop().close()


if __name__ == "__main__":
    Client(int(sys.argv[1]), int(sys.argv[2])).run(int(sys.argv[3]))
