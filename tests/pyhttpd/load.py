"""A steady load of small requests from several threads while a test does something else."""

import contextlib
import re
import ssl
import threading
from typing import Callable, Optional

from pyhttpd.client import Connection, Response
from pyhttpd.error_log import ErrorLog


class Load:
    """Keep-alive clients in threads, each sending one request after another until stopped.

    A failed request is one without a complete answer, or whose answer `accept` refuses.  An idle
    keep-alive connection that the server closes is no failure: a client that finds the connection
    closed before any byte of an answer came sends the request again on a new one, as every HTTP
    client does; those are counted in `reconnects`.
    """

    def __init__(
        self,
        port: int,
        path: str,
        accept: Callable[[Response], bool],
        clients: int = 6,
        per_connection: int = 20,
        tls: Optional[ssl.SSLContext] = None,
    ):
        self.port = port
        self.path = path
        self.accept = accept
        self.per_connection = per_connection
        self.tls = tls
        self.answers = 0
        self.reconnects = 0
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._client) for _ in range(clients)]

    def failures_of(self, log: ErrorLog) -> list[str]:
        """The failures, without the connections that httpd's event MPM has forgotten.

        Where a child ends in good order and its other connections are over before a thread has come
        to the one that it accepted last, the process ends with that. Nobody has read from it then,
        which is what the log says with `LogLevel core:trace5`.
        """
        read = {line.client for line in log.lines() if "Request received" in line.message}
        return [
            failure
            for failure in self.failures
            if not (found := re.match(r"request 0 from port (\d+): 0 no answer", failure))
            or f"127.0.0.1:{found[1]}" in read
        ]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _client(self):
        while not self._stop.is_set():
            try:
                self._one_connection()
            except OSError as error:
                self._count(f"{type(error).__name__}: {error}")

    def _one_connection(self):
        with contextlib.closing(Connection(self.port, tls=self.tls)) as connection:
            for number in range(self.per_connection):
                if self._stop.is_set():
                    return
                try:
                    answer = connection.request(self.path)
                except (BrokenPipeError, ConnectionResetError):
                    answer = Response(broken="no answer")
                if answer.broken == "no answer" and number > 0:
                    with self._lock:
                        self.reconnects += 1
                    return
                if answer.broken or not self.accept(answer):
                    self._count(
                        f"request {number} from port {connection.local_port}: {answer.status} "
                        f"{answer.broken} {answer.text}"
                    )
                    return
                with self._lock:
                    self.answers += 1
                if not connection.open:
                    return

    def _count(self, failure):
        with self._lock:
            self.failures.append(failure)
