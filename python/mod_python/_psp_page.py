"""Compiled PSP pages, and how an error in one is led back to the page's own file and line.

The program a page becomes has the page's lines unless it includes files or has comments of several
lines, and hardly ever its columns.  `compile_page` therefore words a SyntaxError anew, and
`lead_back` makes a traceback as if Python had run the page itself.
"""

import bisect
import io
import re
import sys

import _apache

from mod_python import _psp
from mod_python._sources import Sources

TEXT_NAME = "__psp__"  # what code of pages without a file has for a file name

# Published globals of psp that cost an import; a page gets those it mentions, or all if it may
# look for them in ways that cannot be seen.
LAZY_NAMES = frozenset(["Session", "dbm", "escape", "marshal", "tempdir", "tempfile", "types"])
_LOOKS_AROUND = frozenset(["dir", "eval", "exec", "globals", "locals", "vars"])

# Files that PythonStatus has counted as compiled.
_counted = set()

if sys.version_info >= (3, 12):
    # Pages are string literals to Python, and "unknown escapes pass" is how PSP is documented;
    # since 3.12 each would write a warning to the error log whenever the page is compiled.
    import warnings

    warnings.filterwarnings(
        "ignore", r".*invalid escape sequence", SyntaxWarning, r".*\.psp$|__psp__$"
    )


class Page:
    """What is kept of a page: its code, and what must be known to run and to check it."""

    __slots__ = (
        "code",  # to be executed with `req` and the rest of the published globals
        "dir",  # put before the names of included files
        "files",  # (name, stamp) of the page and all it includes; stamp is None for a text
        "includes",  # the part of `files` that is not the page
        "lazy",  # the names of LAZY_NAMES it may use
        "places",  # where each spot of the program came from, see _psp.translate
        "settings",  # (encoding, escape): what holds unless the page says otherwise
        "size",  # length of the program, the measure of the caches
        "sources",  # `files` as Sources
        "text",  # the page, if it has no file
        "wants_form",
        "wants_info",
        "wants_psp",
        "wants_session",
    )

    def __init__(
        self, code, files=(), places=(), settings=(None, None), dir=None, text=None, size=0
    ):
        self.code = code
        self.files = tuple(files)
        self.includes = self.files[1:]
        self.sources = Sources([file for file in self.files if file[1] is not None])
        self.places = tuple(places)
        self.settings = settings
        self.dir = dir
        self.text = text
        self.size = size
        names = {name for part in _codes(code) for name in part.co_names}
        looks_around = bool(names & _LOOKS_AROUND)
        self.lazy = tuple(LAZY_NAMES if looks_around else LAZY_NAMES & names)
        self.wants_info = looks_around or "__mp_info__" in names
        self.wants_psp = looks_around or "psp" in names
        # By the names of the top level only, as ever: a session sets a cookie and a form eats the
        # body, so neither may come from a mere mention in some function.
        self.wants_form = "form" in code.co_names
        self.wants_session = "session" in code.co_names


def compile_page(filename, dir, settings, text=None):
    """The Page for the file, or for the text (str or bytes) if there is one.

    Raises SyntaxError with the page's own file, line and tag; OSError for a file that cannot be
    read; UnicodeDecodeError for one that is not in its encoding; LookupError for an encoding
    nobody knows.
    """
    try:
        page = _compile(filename, dir, settings, text)
    except BaseException:
        _apache._count_code("failed", filename)
        raise
    _apache._count_code("psp_recompiled" if filename in _counted else "psp_compiled", filename)
    if filename is not None and len(_counted) < 4096 and _apache._is_counting():
        _counted.add(filename)
    return page


def _compile(filename, dir, settings, text):
    encoding, escape = settings
    name = TEXT_NAME if text is not None else filename
    translation = _psp.translate(name, text, dir, encoding, escape)
    program, files, places = translation[:3]
    try:
        # Not with the future statements of this file.
        code = compile(program, name, "exec", 0, True)
    except SyntaxError as error:
        origins = Origins(translation, encoding, text)
        raise _reword(error, program, origins) from None
    except RecursionError as error:
        raise SyntaxError("nested too deeply: %s" % error, (name, 1, None, None)) from None
    return Page(code, files, places, settings, dir, text, len(program))


def _codes(code):
    """The code object and all those of functions and classes in it."""
    yield code
    for const in code.co_consts:
        if isinstance(const, type(code)):
            yield from _codes(const)


class Origins:
    """Where the spots of one program came from."""

    def __init__(self, translation, encoding, text):
        _, files, self.places, self.tags, self.cut = translation
        self.files = [name for name, _ in files]
        self._encoding = encoding
        self._text = text
        self._lines = {}

    def place(self, line, column=0):
        """(file name, line) of a spot of the program."""
        at = bisect.bisect_right(self.places, (line, column, sys.maxsize))
        if not at:
            return self.files[0], line
        first, _, file, own = self.places[at - 1]
        return self.files[file], own + line - first

    def tag(self, line, column):
        """The tag, as in _psp.translate, that the spot is in or follows; None before the first."""
        at = bisect.bisect_right(self.tags, (line, column, sys.maxsize))
        return self.tags[at - 1] if at else None

    def column(self, line, column, program_line):
        """The column, in bytes, of a spot of the program in its file; None if it has none there."""
        name, own_line = self.place(line, column)
        tag = self.tag(line, column)
        if tag is not None and tag[0] == line:
            return tag[3] + column - tag[1] if tag[2] == own_line else None
        if program_line is None:
            return None
        own = self.line(name, own_line).encode()
        return column if own[:column] == program_line.encode()[:column] else None

    def lines(self, name):
        """The lines of a file; none if it has become unreadable, as they are for show only."""
        if name not in self._lines:
            try:
                text = self._text if name == TEXT_NAME else _psp.source(name, self._encoding)
            except (OSError, UnicodeError, LookupError, SyntaxError):
                text = ""
            if isinstance(text, bytes):
                text = text.decode(self._encoding or "utf-8", "replace")
            lines = split_lines(text)
            if lines and not lines[-1].endswith("\n"):
                # As linecache does; traceback's carets rely on it.
                lines[-1] += "\n"
            self._lines[name] = lines
        return self._lines[name]

    def line(self, name, number):
        lines = self.lines(name)
        return lines[number - 1] if 0 < number <= len(lines) else ""


def split_lines(text):
    """The lines as Python counts them: LF, CRLF and CR end one, and nothing else does."""
    return io.StringIO(text.replace("\r\n", "\n").replace("\r", "\n")).readlines()


# Text whose last backslash takes the first of the quotes that should end it.
_ENDS_IN_BACKSLASH = re.compile(r'(?<!\\)(?:\\\\)*\\""",0\)')


def _reword(error, program, origins):
    """The SyntaxError as the page's author should see it."""
    line, offset = error.lineno or 1, error.offset or 0
    lines = split_lines(program)
    program_line = lines[line - 1] if line <= len(lines) else ""
    column = len(program_line[: max(offset - 1, 0)].encode())
    name, own_line = origins.place(line, column)
    message = re.sub(
        r"\bline (\d+)", lambda found: "line %d" % origins.place(int(found[1]))[1], error.msg
    )
    if origins.cut is not None:
        name, own_line, own_offset, text, reason = origins.cut
        return SyntaxError(
            "%s (so Python says: %s)" % (reason, message), (name, own_line, own_offset, text)
        )
    tag = origins.tag(line, column)
    if "triple-quoted" in message:
        # Only text of the page stands in such quotes.
        if _ENDS_IN_BACKSLASH.search(program):
            message += " (a backslash at the end of the page's text must be doubled)"
        else:
            message += " (a quote in a tag is not closed; %> ends a tag within quotes, too)"
    elif tag is not None:
        message += " (in %s)" % tag[4]
    text = origins.line(name, own_line)
    own_column = origins.column(line, column, program_line)
    if own_column is None:
        own_offset = None
    else:
        own_offset = 1 + len(text.encode()[:own_column].decode("utf-8", "replace"))
    return type(error)(message, (name, own_line, own_offset, text))


_MOST_ENTRIES = 100


def lead_back(error, page):
    """Makes the tracebacks of the exception and of those behind it show the page's own lines."""
    codes = set(_codes(page.code))
    origins = None
    waiting, seen = [error], set()
    while waiting:
        error = waiting.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        waiting += [error.__cause__, error.__context__, *getattr(error, "exceptions", ())]
        entries = []
        entry = error.__traceback__
        while entry is not None:
            entries.append(entry)
            entry = entry.tb_next
        ours = [at for at, entry in enumerate(entries) if entry.tb_frame.f_code in codes]
        if not ours:
            continue
        if origins is None:
            origins = _origins(page)
        # Of an endless recursion both ends will do; each entry made costs a compilation.
        ours = {*ours[:_MOST_ENTRIES], *ours[-_MOST_ENTRIES:]}
        following = None
        for at in range(len(entries) - 1, -1, -1):
            entry = entries[at]
            if at in ours:
                made = _entry(entry, origins, page)
                made.tb_next = following
            else:
                made = type(entry)(following, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
            following = made
        error.__traceback__ = following


def _origins(page):
    """What is known about the page's program; the tags only while its files are as they were."""
    if all(stamp is None or _psp.stamp(name) == stamp for name, stamp in page.files):
        try:
            name = page.files[0][0]
            found = _psp.translate(name, page.text, page.dir, *page.settings)
            if found[1] == list(page.files):
                return Origins(found, page.settings[0], page.text)
        except (OSError, UnicodeError, LookupError, SyntaxError):
            pass  # It changed at this very moment.
    return Origins((None, page.files, page.places, (), None), page.settings[0], page.text)


def _entry(entry, origins, page):
    """A traceback entry like the given one, but of the page's file and line."""
    import ast

    frame = entry.tb_frame
    line, end_line, column, end_column = _position(entry)
    name, own_line = origins.place(line, column or 0)
    start = end = None
    if column is not None and end_line == line:
        start = origins.column(line, column, None)
        if start is not None:
            end = start + end_column - column
    shown = _show(name, origins, page)
    # Python has no way to make a frame but to run one; this one raises at once, for it has
    # nothing to raise.  Columns of -1 tell the compiler that there are none to record.
    position = {
        "lineno": own_line,
        "end_lineno": own_line,
        "col_offset": -1 if end is None else start,
        "end_col_offset": -1 if end is None else end,
    }
    statement = ast.Raise(ast.Constant(None, **position), None, **position)
    code = compile(ast.Module([statement], []), shown, "exec", 0, True)
    changes = {"co_name": frame.f_code.co_name}
    if sys.version_info >= (3, 11):
        changes["co_qualname"] = frame.f_code.co_qualname
    code = code.replace(**changes)
    try:
        exec(code, frame.f_globals, dict(frame.f_locals))
    except TypeError as error:
        return error.__traceback__.tb_next


def _position(entry):
    """(line, end line, column, end column) of a traceback entry; columns are None if unknown."""
    code = entry.tb_frame.f_code
    if sys.version_info >= (3, 11):
        import itertools

        found = next(itertools.islice(code.co_positions(), entry.tb_lasti // 2, None), None)
        if found is not None and None not in found:
            return found
    return entry.tb_lineno, entry.tb_lineno, None, None


_shown_texts = []


def _show(name, origins, page):
    """Lets linecache, and so every traceback, find the file's lines; the name to find them by."""
    import linecache

    if name != TEXT_NAME:
        linecache.checkcache(name)
        if name not in linecache.cache:
            import os

            lines = origins.lines(name)
            if lines:
                status = os.stat(name)
                linecache.cache[name] = status.st_size, status.st_mtime, lines, name
        return name
    # Every page without a file has the same name; this tells them apart.
    import zlib

    lines = origins.lines(name)
    text = "".join(lines)
    name = "%s:%08x" % (TEXT_NAME, zlib.crc32(text.encode()))
    if name not in _shown_texts:
        _shown_texts.append(name)
        if len(_shown_texts) > 64:
            linecache.cache.pop(_shown_texts.pop(0), None)
    linecache.cache[name] = len(text), None, lines, name
    return name
