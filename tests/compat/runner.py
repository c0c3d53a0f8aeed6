"""Runs a batch of cases on as few servers as possible and collects their answers."""

import dataclasses
import socket
import textwrap
from collections.abc import Iterable

from compat import normalise
from compat.case import Case
from pyhttpd import Connection, ModPython, Response, Server, Site
from pyhttpd.server import StartError

# The time after which a case counts as hanging; httpd's own Timeout in the rig is 10 s.
TIMEOUT = 60.0
# What httpd's parent says once it has started children, which may answer before.
_STARTED = r"AH00(094|163|292|489): "


@dataclasses.dataclass
class Outcome:
    """What one case brought under one mod_python, normalised."""

    responses: list[Response]
    log: list[str]  # lines of the level the case compares
    troubles: list[str]  # error lines, whether or not the case compares them
    crashed: bool = False
    hangs: bool = False

    def describe(self, case: Case) -> list[str]:
        lines = []
        for number, response in enumerate(self.responses, 1):
            lines += [f"== answer {number}", *normalise.describe(response, case.chunks)]
        if case.log is not None:
            lines += ["== log", *self.log]
        if self.crashed:
            lines.append("== a child of the server died")
        return lines


class Batch:
    """All given cases under one mod_python: shared servers where possible, else their own.

    `start` (from the main thread) starts the shared server; `run` does the work; `close` ends all.
    """

    def __init__(self, cases: Iterable[Case], mod_python: ModPython, mpm: str, keep=False):
        self.mod_python = mod_python
        self.mpm = mpm
        self.keep = keep
        alone = [case for case in cases if self._is_alone(case)]
        shared = [case for case in cases if not self._is_alone(case)]
        groups = [[case] for case in alone] + ([shared] if shared else [])
        self.servers = [(group, self._server(group)) for group in groups]
        self.outcomes: dict[str, Outcome] = {}

    def _is_alone(self, case):
        return case.is_alone or (case.crashes_original and self.mod_python.name == "original")

    def _server(self, cases):
        files = {}
        for case in cases:
            files.update(case.all_files())
        single = cases[0] if len(cases) == 1 else None
        conf = []
        if single is not None and single.server is not None:
            conf.append(textwrap.dedent(single.substitute(single.server)))
        hosts = [case for case in cases if case.vhost is not None]
        shared = "".join(case.directory_section() for case in cases if case.vhost is None)
        if hosts:
            # httpd's default host for the address is the first one.
            conf.append(f"<VirtualHost 127.0.0.1:@port@>\nServerName localhost\n{shared}")
            conf.append("</VirtualHost>")
        else:
            conf.append(shared)
        for case in hosts:
            text = textwrap.dedent(case.substitute(case.vhost))
            conf += [
                f"<VirtualHost 127.0.0.1:@port@>\nServerName {case.host}",
                f"{text}\n{case.directory_section()}</VirtualHost>",
            ]
        options = single.site if single is not None else {}
        site = Site(conf="\n".join(conf), files=files, **options)
        return Server(site, self.mod_python, self.mpm, keep=self.keep)

    def run(self) -> dict[str, Outcome]:
        for group, server in self.servers:
            try:
                server.start()
            except StartError as error:
                for case in group:
                    self.outcomes[case.id] = Outcome([], [], [f"start: {error}"])
                continue
            for case in group:
                self.outcomes[case.id] = outcome = run_case(case, server)
                if case is not group[-1] and (outcome.crashed or outcome.hangs):
                    # Whatever state that left behind is not for the next case.
                    server.stop(timeout=1)
                    server.start()
            server.stop(timeout=2)
        return self.outcomes

    def close(self):
        for _, server in self.servers:
            server.close()


def run_case(case: Case, server: Server) -> Outcome:
    """Send the requests of one case; returns when their log and cleanup phases are over."""
    mark = 0 if case.from_start else server.log.mark()
    server.lost_children()
    responses = []
    hangs = False
    connection = None
    try:
        for request in case.requests:
            if connection is None or not connection.open or request.new_connection:
                if connection is not None:
                    _finish(connection)
                connection = Connection(server.port, timeout=TIMEOUT)
            connection.send(
                request.compose(
                    case.host, case.url, lambda text: server.substitute(case.substitute(text))
                )
            )
            if request.half_close:
                connection.shutdown_write()
            for _ in range(request.answers):
                responses.append(connection.read_response(request.method))
        _finish(connection)
    except socket.timeout:
        responses.append(Response(broken="hangs"))
        hangs = True
    except OSError as error:
        responses.append(Response(broken=f"connection lost ({type(error).__name__})"))
    crashed = bool(server.lost_children())
    lines = server.log.lines(mark)
    ignored = [*case.log_ignore, *(() if case.from_start else (_STARTED,))]
    return Outcome(
        [normalise.response(response, server, case.replace) for response in responses],
        normalise.log_lines(lines, server, case.log or "error", case.replace, ignored),
        [str(line) for line in lines if line.is_trouble()],
        crashed,
        hangs,
    )


def _finish(connection):
    """End the connection so that all that belongs to its requests is done when we return."""
    if connection.open:
        try:
            connection.request("/up.txt", headers=[("Connection", "close")])
        except (BrokenPipeError, ConnectionResetError):
            pass
    connection.read_to_eof()
    connection.close()
