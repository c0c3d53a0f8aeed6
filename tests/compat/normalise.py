"""Takes out of answers and log lines what may differ between two runs of the same case."""

import dataclasses
import re

from pyhttpd import Headers, Response

# Not ours to compare: the clock, who serves, and how long httpd keeps connections.
IGNORED_HEADERS = frozenset(["date", "server", "keep-alive"])

# Traceback frames inside the package mod_python or the import system, in a body (plain or
# HTML-escaped) ...
_FRAME = re.compile(
    r'  File (?:"|&quot;)'
    r"(?:[^\"&\n]*/(?:(?:mod_python|importlib)/\w+|imp)\.py|(?:<|&lt;)frozen importlib[^\n]*)"
    r'(?:"|&quot;), line \d+, in .*\n(?:    .*\n)*\n?'
)
# Where no frame is left, whether Python or the module raised, the title has nothing to say.
_TITLE = "Traceback (most recent call last):"
_CARETS = re.compile(r"^ +[~^]+ *\n", re.M)
_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}\b")
# ... or as a log line, whose newlines httpd wrote as \n.
_FRAME_LINE = re.compile(
    r'  File "(?:[^"]*/(?:(?:mod_python|importlib)/\w+|imp)\.py|<frozen importlib[^"]*)",'
    r" line \d+, in "
)
_LOG_CARETS = re.compile(r"\\n +[~^]+ *(?=$|\\n)")


def text(value: str, server, pairs=()) -> str:
    value = value.replace(str(server.root), "@root@")
    value = re.sub(rf"\b{server.port}\b", "@port@", value)
    value = _ADDRESS.sub("0x@", value)
    for pattern, replacement in pairs:
        value = re.sub(pattern, replacement, value)
    return value


def response(answer: Response, server, pairs=()) -> Response:
    """The answer with places, ports, addresses and mod_python's own frames taken out."""
    body = answer.body.decode("utf-8", "surrogateescape")
    body = _CARETS.sub("", _FRAME.sub("", text(body, server, pairs)))
    body = re.sub(rf"^{re.escape(_TITLE)}\n\n?", "", body, flags=re.M)
    headers = [
        (
            name,
            _allow(text(value, server, pairs)) if name == "Allow" else text(value, server, pairs),
        )
        for name, value in answer.headers
        if name.lower() not in IGNORED_HEADERS
    ]
    return dataclasses.replace(
        answer,
        body=body.encode("utf-8", "surrogateescape"),
        headers=Headers(headers),
        interim=[response(one, server, pairs) for one in answer.interim],
    )


def _allow(value):
    # httpd lists the methods in the order of a hash that is seeded at random.
    return ",".join(sorted(value.split(",")))


def log_lines(lines, server, level: str, pairs=(), ignored=()) -> list[str]:
    """`level: message` of the lines at least as grave as `level`.

    What was written to stderr counts as an error: whether a traceback goes there line by line or
    through httpd's log is no difference.
    """
    found = []
    in_frame = False
    for line in lines:
        if not line.is_at_least(level) or line.message.endswith(_TITLE):
            continue
        # A traceback in raw lines has the source of a frame in lines of its own.
        in_frame = in_frame and line.message.startswith("    ")
        if in_frame:
            continue
        if _FRAME_LINE.search(line.message):
            in_frame = True
            continue
        message = _LOG_CARETS.sub("", text(line.message, server, pairs))
        if not any(re.search(pattern, message) for pattern in ignored):
            found.append(f"{'error' if line.level == 'stderr' else line.level}: {message}")
    return found


def describe(answer: Response, chunks: bool = False) -> list[str]:
    """Lines of text that are equal exactly when two answers are to count as equal."""
    lines = [f"{answer.version} {answer.status} {answer.reason}".strip()]
    if answer.broken:
        lines.append(f"[{answer.broken}]")
    # The order of fields of different names means nothing; that of equal names does.
    for name in sorted({name.lower() for name, _ in answer.headers}):
        lines += [f"{name}: {value}" for value in answer.headers.get_all(name)]
    if chunks:
        lines.append(f"[chunks {answer.chunks}]")
    lines.append("")
    lines += [repr(line) for line in answer.body.splitlines(keepends=True)]
    for interim in answer.interim:
        lines += ["[interim]", *describe(interim)]
    return lines
