"""The command itself: which files are looked at, what is mended, and the exit status."""

import contextlib
import io
import os
import re
import stat
import sys
import tokenize

from mod_python._check import configuration, pages, program, python2, report
from mod_python._check.rules import ERROR, RULES, WARNING, Finding

SKIPPED = {"__pycache__", ".git", ".hg", ".svn", ".venv", "venv", "node_modules", "target"}
ROUNDS = 20  # edits that overlap wait for the next round; no real line needs as many


class Unreadable(Exception):
    """A file cannot be looked at; the text says which and why."""


def kind_of(path):
    """Which rules a file belongs to: "python", "psp", "conf", "htaccess", or "" for none."""
    name = os.path.basename(path)
    if name.startswith(".htaccess"):
        return "htaccess"
    extension = os.path.splitext(name)[1]
    if extension in (".py", ".pyw"):
        return "python"
    if extension in (".psp", ".psp_", ".inc"):
        return "psp"
    return "conf" if extension in (".conf", ".load") or name == "httpd.conf" else ""


def files_below(target):
    """The files to look at, in a steady order. A file named by hand is always one of them."""
    if not os.path.isdir(target):
        yield target, kind_of(target) or "conf"
        return
    for folder, folders, names in os.walk(target):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        for name in sorted(names):
            kind = kind_of(name)
            if kind:
                yield os.path.join(folder, name), kind


def read(path, kind):
    """(text, encoding) of a file; a Finding instead when it is not in its encoding.

    Raises Unreadable if it cannot be read, or has no end, as a pipe.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise Unreadable("%s: not a regular file" % path)
        with open(path, "rb") as source:
            data = source.read()
    except OSError as error:
        raise Unreadable("%s: %s" % (path, error.strerror)) from error
    encoding = "utf-8"
    if kind == "python":
        try:
            encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
        except SyntaxError as error:
            return Finding("encoding", path, 1, 0, str(error), None), None
        except (LookupError, ValueError) as error:  # Python 3.14 decodes the first lines there
            return Finding("encoding", path, 1, 0, str(error), None), None
    elif kind in ("conf", "htaccess"):
        # httpd takes any bytes; so do we, and give them back as they were.
        return data.decode("utf-8", "surrogateescape"), "utf-8"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Finding("encoding", path, line, 0, "%s: %s" % (encoding, error.reason), None), None
    except (LookupError, ValueError) as error:  # a codec, but none for text; or one that gives up
        return Finding("encoding", path, 1, 0, "%s: %s" % (encoding, error), None), None
    # To Python a carriage return alone ends a line too.
    return re.sub("\r(?!\n)", "\n", text), encoding


def look(path, kind, text):
    """All findings in the text of one file, in order."""
    if kind == "psp":
        found = list(pages.findings(path, text))
    elif kind in ("conf", "htaccess"):
        found = list(configuration.findings(path, text, kind == "htaccess"))
    else:
        found = list(python2.findings(path, text))
        mended = python2.fully_mended(text)
        try:
            found += program.findings(path, mended)
        except program.NO_TREE as error:
            found += _syntax(path, error, found)
    return sorted(found, key=lambda finding: (finding.line, finding.column, finding.rule))


def _syntax(path, error, found):
    """What still does not compile once all that is known was mended."""
    line = getattr(error, "lineno", None) or 1
    if any(finding.line == line and not finding.edit for finding in found):
        return []  # the line is named already
    return [Finding("syntax", path, line, 0, getattr(error, "msg", None) or str(error), None)]


def fix(path, kind, text):
    """The text with everything mended that can be."""
    for _ in range(ROUNDS):
        better = python2.mended(text, look(path, kind, text))
        if better == text:
            break
        text = better
    return text


def write(path, text, encoding):
    """Put the new text in the file's place, with its mode, or leave the old file whole.

    Raises Unreadable if it cannot be written.
    """
    path = os.path.realpath(path)  # a symbolic link stays one
    aside = path + ".mod_python-check"
    try:
        data = text.encode(encoding, "surrogateescape" if encoding == "utf-8" else "strict")
        with open(aside, "wb") as new:
            new.write(data)
        os.chmod(aside, os.stat(path).st_mode & 0o7777)
        os.replace(aside, path)
    except (OSError, ValueError) as error:
        with contextlib.suppress(OSError):
            os.unlink(aside)
        reason = getattr(error, "strerror", None) or error
        raise Unreadable("%s: cannot be mended: %s" % (path, reason)) from error


def examine(path, kind, mend):
    """All findings of one file, which is mended first if so asked. Raises Unreadable."""
    text, encoding = read(path, kind)
    if encoding is None:
        return [text]
    if mend:
        better = fix(path, kind, text)
        if better != text:
            write(path, better, encoding)
            text = better
    return look(path, kind, text)


def run(parser, argv):
    """The command; 0 when nothing graver than a note is found, else 1."""
    parser.add_option(
        "--format", choices=sorted(report.FORMATS), default="text", help="text, json or sarif"
    )
    parser.add_option("--fix", action="store_true", help="mend what can be mended mechanically")
    options, targets = parser.parse_args(argv)
    found, files = [], 0
    for target in targets or ["."]:
        if not os.path.exists(target):
            parser.error("No such file or directory: %s" % target)
        for path, kind in files_below(target):
            files += 1
            try:
                found += examine(path, kind, options.fix)
            except Unreadable as error:
                if path == target:
                    parser.error(str(error))
                found.append(Finding("unreadable", path, 1, 0, str(error)[len(path) + 2 :], None))
    # The name of a file can be any bytes, and a terminal may know fewer letters than the text has.
    sys.stdout.reconfigure(errors="backslashreplace")
    print(report.FORMATS[options.format](found, files))
    graver = {RULES[finding.rule].severity for finding in found} & {ERROR, WARNING}
    return 1 if graver else 0
