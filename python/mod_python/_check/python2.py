"""Python 2 in the text of a program, with the edits that turn its lines into Python 3.

The text is looked at line by line, since no Python 3 can parse it. Edits stay within their line, so
that the mended text has the same line numbers and can be parsed.
"""

import re

from mod_python._check.mask import mask
from mod_python._check.rules import Finding

_STATEMENT = r"(?P<start>^\s*|[:;]\s*)"

_PRINT = re.compile(_STATEMENT + r"print\b(?!\s*[(=.,])(?P<rest>[^;]*)")
_PRINT_TUPLE = re.compile(_STATEMENT + r"print\s*\([^()]*\)\s*(?P<after>[,%])")
_EXCEPT = re.compile(r"^\s*except\s+(?P<what>[\w.]+|\([^()]*\))\s*,\s*(?P<name>\w+)\s*:")
_RAISE = re.compile(_STATEMENT + r"raise\s+(?P<what>[\w.]+)\s*,\s*(?P<value>[^;]+)")
_EXEC = re.compile(_STATEMENT + r"exec\b(?!\s*\()\s*(?P<code>[^;]+)")
_NOT_EQUAL = re.compile(r"<>")
_OCTAL = re.compile(r"(?<![\w.])0(?P<digits>[0-7]+)(?P<long>[lL]?)\b(?!\.)")
_LONG = re.compile(r"(?<![\w.])(?P<digits>0[xX][0-9a-fA-F]+|[1-9]\d*|0)[lL]\b")
_UR = re.compile(r"(?<!\w)[uU][rR](?=['\"])")
_BACKTICKS = re.compile(r"`(?P<what>[^`]*)`")
_TUPLE_PARAMETER = re.compile(r"\b(def\s+\w+\s*\(([^()]*,)?\s*\(|lambda\s*\()")


def _brackets_close(text):
    return all(text.count(left) == text.count(right) for left, right in ("()", "[]", "{}"))


def _print_edit(code, line, found):
    """`print ...` as a call; None where the statement goes on in the next line."""
    start, end = found.start("rest"), found.end("rest")
    rest = line[start:end].rstrip()
    end = start + len(rest)
    if not _brackets_close(code[start:end]) or rest.endswith("\\"):
        return None
    begin = found.end("start")
    rest = rest.strip()
    stream = re.match(r">>\s*(?P<stream>[^,]+?)\s*(,\s*|$)(?P<what>.*)$", rest)
    arguments = []
    if stream:
        rest = stream.group("what")
    if rest.endswith(","):
        rest = rest[:-1]
        arguments.append('end=" "')
    if stream:
        arguments.append("file=" + stream.group("stream"))
    return begin, end, "print(%s)" % ", ".join(([rest] if rest else []) + arguments)


def _whole(found, text):
    return found.start(), found.end(), text


def _edits_of_line(code, line):
    """(rule, column, edit) for each piece of Python 2 in a line; `code` is the masked line."""
    found = _PRINT.search(code)
    if found:
        yield "python2-print", found.end("start"), _print_edit(code, line, found)
    else:
        found = _PRINT_TUPLE.search(code)
        if found:
            yield "python2-print", found.end("start"), None
    found = _EXCEPT.search(code)
    if found:
        what, name = line[found.start("what") : found.end("what")], found.group("name")
        edit = (found.start("what"), found.end("name"), "%s as %s" % (what, name))
        yield "python2-except", found.start("what"), edit
    found = _RAISE.search(code)
    if found:
        yield "python2-raise", found.start("what"), _raise_edit(code, line, found)
    found = _EXEC.search(code)
    if found:
        edit = None
        piece = line[found.start("code") : found.end("code")].rstrip()
        if _brackets_close(piece) and " in " not in piece:
            end = found.start("code") + len(piece)
            edit = (found.end("start"), end, "exec(%s)" % piece)
        yield "python2-exec", found.end("start"), edit
    for found in _NOT_EQUAL.finditer(code):
        yield "python2-not-equal", found.start(), _whole(found, "!=")
    for found in _OCTAL.finditer(code):
        digits = found.group("digits")
        if digits.strip("0") or found.group("long"):
            yield "python2-octal", found.start(), _whole(found, "0o" + digits)
    for found in _LONG.finditer(code):
        yield "python2-long", found.start(), _whole(found, found.group("digits"))
    for found in _UR.finditer(code):
        # A raw string with Unicode escapes has no equal in Python 3.
        edit = None if re.search(r"\\[uU]", line) else _whole(found, "r")
        yield "python2-ur-string", found.start(), edit
    for found in _BACKTICKS.finditer(code):
        what = line[found.start("what") : found.end("what")]
        yield "python2-backticks", found.start(), _whole(found, "repr(%s)" % what)
    found = _TUPLE_PARAMETER.search(code)
    if found:
        yield "python2-tuple-parameter", found.start(), None


def _raise_edit(code, line, found):
    """`raise Error, value` as a call; None with a traceback or where it goes on below."""
    value = code[found.start("value") : found.end("value")].rstrip()
    depth = 0
    for sign in value:
        depth += (sign in "([{") - (sign in ")]}")
        if sign == "," and depth == 0:
            return None
    if depth or value.endswith("\\"):
        return None
    end = found.start("value") + len(value)
    written = line[found.start("value") : end]
    return found.start("what"), end, "%s(%s)" % (found.group("what"), written)


def findings(path, text):
    """The Python 2 syntax in the text, in order."""
    lines = text.split("\n")
    for number, code in enumerate(mask(text).split("\n"), 1):
        for rule, column, edit in _edits_of_line(code, lines[number - 1]):
            yield Finding(rule, path, number, column, "", edit)


def mended(text, found):
    """The text after the edits of these findings; where two overlap, the later one waits."""
    lines = text.split("\n")
    by_line = {}
    for finding in found:
        if finding.edit:
            by_line.setdefault(finding.line, []).append(finding.edit)
    for number, edits in by_line.items():
        line, limit = lines[number - 1], len(lines[number - 1]) + 1
        for start, end, new in sorted(set(edits), reverse=True):
            if end <= limit:
                line = line[:start] + new + line[end:]
                limit = start
        lines[number - 1] = line
    return "\n".join(lines)


def fully_mended(text):
    """The text after as many rounds of edits as there is something to mend."""
    for _ in range(20):
        better = mended(text, findings("", text))
        if better == text:
            break
        text = better
    return text
