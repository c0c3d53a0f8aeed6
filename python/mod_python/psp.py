"""Python Server Pages: the handler, the `PSP` class for templates, and `psp`, a page's own helper.

A page is HTML with ``<% code %>``, ``<%= expression %>``, ``<%@ include file="..." %>`` and
``<%-- comment --%>``.  New beside mod_python 3.5: ``<%@ page encoding="..." escape="html" %>``,
where escape makes ``<%= %>`` safe for untrusted text.  Both can be set for whole directories:

    PythonOption mod_python.psp.encoding NAME       utf-8 unless set
    PythonOption mod_python.psp.escape html|none    none unless set
    PythonOption mod_python.psp.cache_database_filename PATH    keeps compiled pages on disk, too

Everything global in this module is, as ever, global in pages as well.
"""

import builtins
import os
import sys  # noqa: F401 - for pages
import threading

import _apache  # noqa: F401 - for pages

from mod_python import _psp, _psp_cache, _psp_page, _sources, apache, util
from mod_python._psp import escape as __psp_escape__  # noqa: F401 - what escaping pages call
from mod_python._psp_cache import FileCache, HitsCache, dbm_cache_get, dbm_cache_store

PY2 = False
str = builtins.str  # Every expression of a page looks for it; here it is found at once.

mem_scache = HitsCache()
mem_fcache = FileCache()

_NO_SETTINGS = (None, None)


def __getattr__(name):
    """Imports what pages have always found here, but few of them use."""
    if name not in _psp_page.LAZY_NAMES:
        raise AttributeError("module %r has no attribute %r" % (__name__, name))
    if name == "Session":
        from mod_python import Session as found
    elif name == "escape":
        from html import escape as found
    elif name == "tempdir":
        import tempfile

        found = tempfile.gettempdir()
    else:
        import importlib

        found = importlib.import_module(name)
    globals()[name] = found
    return found


def path_split(filename):
    """(directory with a trailing slash, name) of a file name."""
    directory, name = os.path.split(filename)
    return directory if directory.endswith("/") else directory + "/", name


def parse(filename, dir=None):
    """The program of the page in a file; `dir` is put before it and before what it includes."""
    return _psp.parse(filename) if dir is None else _psp.parse(filename, dir)


def parsestring(str):
    """The program of a page given as str or bytes."""
    return _psp.parsestring(str)


def precompile(filename, req=None):
    """Compiles a page and writes the result beside it, ``page.psc`` for ``page.psp``; its name.

    The compiled page is used while none of its files is newer.  `req` gives the options to compile
    with; without it they are the default ones.

    Raises SyntaxError, OSError and UnicodeDecodeError, as running the page would.
    """
    filename = os.path.abspath(filename)
    settings = _NO_SETTINGS if req is None else _settings(req.get_options())
    page = _psp_page.compile_page(filename, path_split(filename)[0], settings)
    record = _psp_cache.to_record(page)
    name = _psp_cache.precompiled_name(filename)
    # Renamed into place, so that no child ever reads half a file.
    unfinished = "%s.%d.%d" % (name, os.getpid(), threading.get_ident())
    with open(unfinished, "wb") as file:
        file.write(record)
    os.replace(unfinished, name)
    return name


def _settings(options):
    """(encoding, escape) of the pages under these options, None where unset."""
    if not options:
        return _NO_SETTINGS
    encoding = options.get("mod_python.psp.encoding")
    escape = options.get("mod_python.psp.escape")
    return (encoding or None, escape or None) if encoding or escape else _NO_SETTINGS


def _key(filename, settings):
    """What a page is kept under: a file may be compiled under several settings."""
    return filename if settings is _NO_SETTINGS else (filename, settings)


class PSP:
    """A page, from a file or a string, ready to be run as the answer to a request.

    filename   str, relative to the directory of req.filename, which is also the default
    string     the page itself, str or bytes, instead of a file
    vars       dict of globals for the page

    Raises SERVER_RETURN(404) if there is no such file, ValueError if filename and string are both
    given, SyntaxError (with the page's line) for a page that does not compile.
    """

    code = None
    dbmcache = None
    _page = None

    def __init__(self, req, filename=None, string=None, vars={}):  # noqa: B006 - published
        if filename and string:
            raise ValueError("Must specify either filename or string")
        self.req = req
        self.vars = vars
        self._settings = _settings(req.get_options())
        if string is not None and not filename:
            self.filename, self.string = None, string
            self._page = self._load_from_string()
            self.code = self._page.code
        else:
            self.string = None
            self.filename = filename = filename or req.filename
            if not filename:
                raise ValueError(
                    "PSP needs a file, but req.filename is %r, as it is inside <Location> sections"
                    " with Python handlers" % (filename,)
                )
            if not filename.startswith("/"):
                self.filename = path_split(req.filename or "")[0] + filename
            self.load_from_file()

    def _load_from_string(self):
        key = self.string, self._settings
        page = mem_scache.get(key)
        if page is None or (page.includes and page.sources.look() == _sources.CHANGED):
            last, page = page, self._compiled(None, None, page)
            if page is not last:
                page.size += len(self.string)
                mem_scache.store(key, page)
        return page

    def _compiled(self, filename, dir, last):
        """The page compiled now; the last one if somebody began to write a file of it meanwhile."""
        try:
            page = _psp_page.compile_page(filename, dir, self._settings, self.string)
        except Exception:
            if last is not None and last.sources.look() == _sources.UNFINISHED:
                return last
            raise
        return page if page.sources.replace(last and last.sources) else last

    def load_from_file(self):
        """Sets `code` to the compiled page, from a cache if none of its files has changed."""
        filename = self.filename
        stamp = _psp.stamp(filename)
        if stamp is None:
            raise apache.SERVER_RETURN(apache.HTTP_NOT_FOUND)
        page = mem_fcache.get(_key(filename, self._settings), stamp)
        if page is None or (page.includes and not _psp_cache.is_current(page)):
            page = self._load_from_disk(filename, stamp)
        self._page = page
        self.code = page.code

    def _load_from_disk(self, filename, stamp):
        """The page as kept in a dbm file or beside its source, else compiled now."""
        options = self.req.get_options()
        self.dbmcache = options.get("mod_python.psp.cache_database_filename") or options.get(
            "PSPDbmCache"
        )
        last = mem_fcache.last(_key(filename, self._settings))
        if last is not None:
            found = last.sources.look()
            if found == _sources.CURRENT and last.sources.whole:
                self._remember(filename, last.files[0][1], last)
            if found != _sources.CHANGED:
                return last
        page = None
        if self.dbmcache:
            page = self._from_dbm(filename, stamp)
        if page is None:
            page = self.cfile_get(filename, stamp)
        if page is None:
            page = self._compiled(filename, path_split(filename)[0], last)
            if page is not last:
                # Not the stamp of before: the file may have changed since.
                self.cache_store(filename, page.files[0][1], page)
        else:
            page.sources.look()
            self._remember(filename, stamp, page)
        return page

    def _remember(self, filename, mtime, page):
        # Half a page, perhaps, is to be looked at again when it is asked for again.
        mtime = mtime if page.sources.whole else None
        mem_fcache.store(_key(filename, self._settings), mtime, page)

    def cache_get(self, filename, mtime):
        """The compiled page for the file in this state, if it is in memory."""
        page = mem_fcache.get(_key(filename, self._settings), mtime)
        if page is not None and page.includes and not _psp_cache.is_current(page):
            return None
        return page

    def cache_store(self, filename, mtime, code):
        """Keeps the compiled page in memory, and in the dbm file if there is one."""
        self._remember(filename, mtime, code)
        if self.dbmcache:
            try:
                dbm_cache_store(self.req.server, self.dbmcache, filename, mtime, code)
            except Exception as error:
                self._complain(error)

    def _from_dbm(self, filename, stamp):
        try:
            page = dbm_cache_get(self.req.server, self.dbmcache, filename, stamp)
        except Exception as error:
            self._complain(error)
            return None
        if page is not None and page.settings == self._settings and _psp_cache.is_current(page):
            return page
        return None

    def _complain(self, error):
        # The page can be served without its cache; the operator should know all the same.
        self.req.log_error(
            "MP0623: mod_python.psp: cannot use the cache %s: %s: %s"
            % (self.dbmcache, type(error).__name__, error),
            apache.APLOG_WARNING,
        )

    def cfile_get(self, filename, mtime):
        """The page as `precompile` left it beside its source, unless that is newer."""
        return _psp_cache.read_precompiled(filename, self._settings)

    def run(self, vars={}, flush=0):  # noqa: B006 - published
        """Runs the page; what it writes goes to the client.

        `vars` are globals for this run.  With `flush` the output is flushed at the end.
        """
        req = self.req
        page = self._page
        if page is None or page.code is not self.code:  # set from outside
            page = _psp_page.Page(self.code, [(self.filename or _psp_page.TEXT_NAME, None)])
        scope = globals().copy()
        for name in page.lazy:
            if name not in scope:
                scope[name] = __getattr__(name)

        session = form = None
        session_is_ours = False
        if page.wants_session:
            session = getattr(req, "session", None)
            if session is None:
                from mod_python import Session

                session = req.session = Session.Session(req)
                session_is_ours = True
        try:
            if page.wants_form:
                form = getattr(req, "form", None)
                if form is None:
                    form = req.form = util.FieldStorage(req, keep_blank_values=1)
            psp = PSPInterface(req, self.filename, form) if page.wants_psp else None
            scope["req"] = req
            scope["form"] = form
            scope["psp"] = psp
            scope["session"] = session
            if page.text is not None:
                # Or a traceback the page writes itself would quote this file as the page.
                scope["__loader__"] = scope["__spec__"] = None
            if self.vars:
                scope.update(self.vars)
            if vars:
                scope.update(vars)
            scope["__file__"] = filename = req.filename
            scope["__mp_info__"] = _InstanceInfo(filename) if page.wants_info else None
            scope["__mp_path__"] = []
            try:
                exec(page.code, scope)
                if flush:
                    req.flush()
                session = getattr(req, "session", None)
                if session is not None:
                    session.save()
            except apache.SERVER_RETURN:
                raise
            except BaseException as error:
                # Without our own entry, which raising adds again.
                error.__traceback__ = error.__traceback__.tb_next
                self._lead_back(error, page)
                if psp is None or psp.error_page is None:
                    raise error
                exception = type(error), error, error.__traceback__
                psp.error_page.run({"exception": exception}, flush)
        finally:
            if session_is_ours:
                session = getattr(req, "session", None)
                if session is not None:
                    session.unlock()
                    del req.session

    def _lead_back(self, error, page):
        try:
            _psp_page.lead_back(error, page)
        except Exception as failure:
            # Then the traceback shows lines of the program; the error itself must not be lost.
            self.req.log_error(
                "MP0624: mod_python.psp: cannot show the page's own lines: %r" % failure,
                apache.APLOG_WARNING,
            )

    def __str__(self):
        """Runs the page as the whole answer, so that publishing a PSP object works."""
        self.req.content_type = "text/html"
        self.run()
        return ""

    def display_code(self):
        """Writes an HTML table of the page's program beside the page itself."""
        if self.string is not None:
            name, dir = _psp_page.TEXT_NAME, None
            source = self.string
            if isinstance(source, bytes):
                source = source.decode(self._settings[0] or "utf-8", "replace")
        else:
            name, dir = self.filename, path_split(self.filename)[0]
            source = _psp.source(name, self._settings[0])
        program = _psp.translate(name, self.string, dir, *self._settings)[0]
        out = [
            "<table>\n<tr><td><tt></tt></td><td><tt>&nbsp;PSP-produced Python Code:</tt></td>"
            "<td><tt>&nbsp;%s:</tt></td></tr>\n" % _psp.escape(name)
        ]
        programs, sources = _psp_page.split_lines(program), _psp_page.split_lines(source)
        for number in range(max(len(programs), len(sources))):
            out.append(
                "<tr><td><tt>%d.&nbsp;</tt></td><td><tt><font color=blue>%s</font></tt></td>"
                "<td><tt>&nbsp;<font color=green>%s</font></tt></td></tr>\n"
                % (number + 1, _cell(programs, number), _cell(sources, number))
            )
        out.append("</table>\n")
        self.req.write("".join(out))


def _cell(lines, number):
    """A line as HTML that keeps its blanks; empty beyond the last."""
    if number >= len(lines):
        return ""
    text = _psp.escape(lines[number].rstrip())
    return text.replace("\t", "    ").replace(" ", "&nbsp;")


class _InstanceInfo:
    """What mod_python 3.3's importer left in each module; pages still find it."""

    def __init__(self, file):
        self.label = None
        self.file = file
        self.cache = None
        self.children = {}


class PSPInterface:
    """The variable `psp` of a page."""

    def __init__(self, req, filename, form):
        self.req = req
        self.filename = filename
        self.error_page = None
        self.form = form

    def set_error_page(self, page):
        """Has `page` run if this one raises, with exception = (type, value, traceback).

        A leading slash means the document root, anything else the page's own directory.
        """
        if page.startswith("/"):
            filename = self.req.document_root() + page
        else:
            filename = path_split(self.filename or self.req.filename)[0] + page
        self.error_page = PSP(self.req, filename)

    def apply_data(self, object):
        """Calls `object` with the form's fields as arguments, and returns what it returns."""
        if self.form is None:
            self.form = getattr(self.req, "form", None)
            if self.form is None:
                self.form = self.req.form = util.FieldStorage(self.req, keep_blank_values=1)
        return util.apply_fs_data(object, self.form, req=self.req)

    def redirect(self, location, permanent=0):
        """Ends the page with a redirect to `location`."""
        util.redirect(self.req, location, permanent)


def handler(req):
    """Answers with the page in req.filename; in debug mode ``page.psp_`` shows its program."""
    req.content_type = "text/html"
    filename = req.filename
    if filename and filename[-1] == "_" and int(req.get_config().get("PythonDebug", 0)):
        PSP(req, filename[:-1]).display_code()
    else:
        page = PSP(req, filename)
        encoding = page._settings[0]
        if encoding is not None and encoding.lower() not in ("utf-8", "utf8", "utf-8-sig"):
            # What it says itself, in a <meta>, holds for its file only.
            req.content_type = "text/html; charset=utf-8"
        page.run()
    return apache.OK
