"""PSP pages: their Python, and what only pages can get wrong. (Syntax: compat library.md 5.4.1)"""

import os
import re
import textwrap

from mod_python._check import program, python2
from mod_python._check.mask import mask
from mod_python._check.rules import Finding

_TAG = re.compile(r"<%--.*?--%>|<%(?P<kind>[=@]?)(?P<code>.*?)%>", re.DOTALL)
_INCLUDE = re.compile(r'\binclude\s+file\s*=\s*"(?P<name>[^"\s]+)"')
_CLIENT = re.compile(r"\bform\b|\breq\.(args|uri|unparsed_uri|path_info|headers_in|the_request)\b")
_ESCAPED = re.compile(r"\b(escape|quote|quote_plus|urlencode|int|float|len)\s*\(")


def findings(path, text):
    """What one page shows."""
    opened = False  # whether HTML stands inside a block that some code began
    for tag in _TAG.finditer(text):
        code = tag.group("code")
        if code is None:
            continue
        start = tag.start("code")
        line, column = text.count("\n", 0, start), start - (text.rfind("\n", 0, start) + 1)
        if tag.group("kind") == "@":
            found = _directive(path, code)
        elif tag.group("kind") == "=":
            found = _expression(path, code)
        else:
            found = _block(path, code, opened)
            opened = opened or mask(code).rstrip().endswith(":")
        for finding in found:
            shift = column if finding.line == 1 else 0
            edit = finding.edit
            if edit:
                edit = (edit[0] + shift, edit[1] + shift, edit[2])
            yield finding._replace(
                line=finding.line + line, column=finding.column + shift, edit=edit
            )


def _directive(path, code):
    found = _INCLUDE.search(code)
    if found:
        name = os.path.join(os.path.dirname(path), found.group("name"))
        if not os.path.exists(name):
            yield Finding(
                "psp-include-missing", path, 1, found.start("name"), found.group("name"), None
            )


def _expression(path, code):
    masked = mask(code)
    if masked.rstrip() != code.rstrip() and "#" in code[len(masked.rstrip()) :]:
        yield Finding("psp-comment-in-expression", path, 1, len(masked.rstrip()), "", None)
    found = _CLIENT.search(masked)
    if found and not _ESCAPED.search(masked):
        yield Finding("psp-unescaped", path, 1, found.start(), code.strip(), None)
    yield from _python(path, code)


def _block(path, code, opened):
    lines = code.split("\n")
    if len(lines) > 1 and lines[-1].strip():
        yield Finding("psp-end-on-code-line", path, len(lines), 0, "", None)
    first = next((line for line in lines if line.strip()), "")
    if opened and len(lines) > 1 and first.startswith(" "):
        # It goes on inside a block whose HTML the parser put one tab in.
        yield Finding("psp-mixed-indentation", path, lines.index(first) + 1, 0, "", None)
    yield from _python(path, code)


def _python(path, code):
    """The rules of programs. A piece of a page need not be a program, and is then passed by."""
    yield from python2.findings(path, code)
    whole = python2.fully_mended(code)
    if mask(whole).rstrip().endswith(":"):
        # The HTML that follows is the block's body.
        last = whole.rstrip().rpartition("\n")[2]
        whole = whole.rstrip() + "\n%s\tpass" % re.match(r"\s*", last).group()
    level = textwrap.dedent(whole)
    try:
        found = list(program.findings(path, level))
    except program.NO_TREE:
        return
    indentation = next(
        (len(a) - len(b) for a, b in zip(whole.split("\n"), level.split("\n")) if b.strip()), 0
    )
    for finding in found:
        edit = finding.edit
        if edit:
            edit = (edit[0] + indentation, edit[1] + indentation, edit[2])
        yield finding._replace(column=finding.column + indentation, edit=edit)
