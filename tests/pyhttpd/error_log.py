"""Reads a test server's error log and tells expected lines from unexpected ones."""

import dataclasses
import pathlib
import re
import time
from collections.abc import Iterable
from typing import Callable, Optional

FORMAT = '"[%-m:%-l] [%-P] [%-a] [%-E] %M"'
_LINE = re.compile(
    r"\[(?P<module>[\w-]+):(?P<level>\w+)\] \[(?P<pid>\d+|-)\] \[(?P<client>[^]]*)\] "
    r"\[(?P<error>.*?)\] (?P<message>.*)",
    re.S,
)
# httpd's own format, in use until the configuration with ours was read (at every restart).
_EARLY_LINE = re.compile(
    r"\[[^]]*\] \[(?P<module>[\w-]*):(?P<level>\w+)\] \[pid (?P<pid>\d+)[^]]*\] (?P<message>.*)",
    re.S,
)
LEVELS = ("emerg", "alert", "crit", "error", "warn", "notice", "info", "debug")
# AH00050 to AH00052: a child died; the others are what a crash or a panic leaves behind.
DISASTER = re.compile(r"exit signal|AH0005[012]|panicked at|Fatal Python error|double free|MP0001")
# Nobody's fault: a connection that ends while its child does; a look at the children while the one
# there is has not yet started all its threads.
_NOISE = re.compile(
    r"AH03092: process_lingering_close: apr_pollset_add failure"
    r"|AH(00161|00286|00287|00484|10159): server (reached|is within)"
)


@dataclasses.dataclass(frozen=True)
class LogLine:
    """One line; `level` is "stderr" for text written past httpd's log functions."""

    module: str
    level: str
    pid: Optional[int]
    client: str
    message: str

    @staticmethod
    def parse(text: str) -> "LogLine":
        early = _EARLY_LINE.fullmatch(text)
        if early:
            return LogLine(early[1] or "-", early[2], int(early[3]), "-", early[4])
        found = _LINE.fullmatch(text)
        if not found:
            return LogLine("-", "stderr", None, "-", text)
        pid = found["pid"]
        return LogLine(
            found["module"],
            found["level"],
            int(pid) if pid != "-" else None,
            found["client"],
            found["message"],
        )

    def is_at_least(self, level: str) -> bool:
        """True for lines of `level` or graver; what came over stderr counts as an error."""
        mine = "error" if self.level == "stderr" else self.level
        return mine in LEVELS and LEVELS.index(mine) <= LEVELS.index(level)

    def is_trouble(self) -> bool:
        if _NOISE.search(self.message):
            return False
        return self.is_at_least("error") or bool(DISASTER.search(self.message))

    def __str__(self):
        return f"{self.level}: {self.message}"


def _parsed(text):
    return [LogLine.parse(line) for line in text.split("\n") if line]


class ErrorLog:
    """The error log of one server; a mark is a byte offset into it."""

    def __init__(self, path: pathlib.Path):
        self.path = path

    def mark(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def text(self, since: int = 0) -> str:
        try:
            with self.path.open("rb") as log:
                log.seek(since)
                return log.read().decode("utf-8", "backslashreplace")
        except FileNotFoundError:
            return ""

    def lines(self, since: int = 0) -> list[LogLine]:
        text = self.text(since)
        # A line that crosses a page of the file can be read while half of it is written. But what
        # comes over stderr may have no end.
        deadline = time.monotonic() + 1
        while text and not text.endswith("\n") and time.monotonic() < deadline:
            time.sleep(0.01)
            text = self.text(since)
        return _parsed(text)

    def wait_for(
        self, pattern: str, since: int = 0, timeout: float = 60.0, count: int = 1
    ) -> LogLine:
        """The `count`th line matching the regular expression; AssertionError if none comes."""
        deadline = time.monotonic() + timeout
        while True:
            lines = _parsed(self.text(since))
            found = [line for line in lines if re.search(pattern, str(line))]
            if len(found) >= count:
                return found[count - 1]
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"no error-log line matches {pattern!r}; it says:\n{self.text(since)}"
                )
            time.sleep(0.02)


def unexpected(
    lines: Iterable[LogLine],
    expected: Iterable[str],
    trouble: Callable[[LogLine], bool] = LogLine.is_trouble,
) -> list[LogLine]:
    """Those troublesome lines that none of the expected regular expressions matches."""
    patterns = [re.compile(pattern) for pattern in expected]
    return [
        line
        for line in lines
        if trouble(line) and not any(pattern.search(str(line)) for pattern in patterns)
    ]
