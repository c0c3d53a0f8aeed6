"""The pages of the publisher: files executed into modules of their own, reloaded on change.

A page is executed by one request; the others go on with the page of before, if there is one.
"""

import os
import re
import threading
from types import FunctionType, ModuleType

import _apache

from mod_python import _arguments, _guards, apache
from mod_python._sources import CHANGED, CURRENT, Sources, stamp_of

ONLY_LOCAL = "mod_python.publisher.only_local"

_NO_STAMP = 0  # of no file

_pages = {}
_gone = {}  # pages whose file was deleted: it may be on its way back
_broken = {}  # path: stamp of a file that no page could be made of
_locks = {}
_locks_lock = threading.Lock()


class Page:
    """A loaded page.

    path -- its file; stamp -- the _file_stamp that it is good for; module -- what it made of
    itself; names -- the module's namespace; functions -- what the publisher found out about its
    functions, kept as long as the page is; source -- the file's contents in bytes where guards may
    have to be read from it, else None; sources -- the file, as Sources.
    """

    __slots__ = (
        *("functions", "local_names", "module", "names", "path", "source", "sources", "stamp"),
    )

    def __init__(self, path, stamp, module, sources=None):
        self.path = path
        self.stamp = stamp
        self.module = module
        self.names = module.__dict__
        self.functions = {}
        self.local_names = None
        self.source = None
        self.sources = sources

    def remember(self, path, obj):
        """Keeps what `path` leads to if that is an unguarded function of the page."""
        if isinstance(obj, FunctionType) and self.names.get(path) is obj:
            if not _guards.guards_of(obj):
                if len(self.functions) > 1000:
                    self.functions.clear()
                self.functions[path] = Known(obj)

    def defines(self, name):
        """Whether the page itself binds `name`, other than by an import."""
        if self.local_names is None:
            self.local_names = _local_names(self.path)
        return name in self.local_names


class Known:
    """An unguarded function and how to call it."""

    __slots__ = (
        *(
            "code",
            "defaults",
            "function",
            "names",
            "needs_nothing",
            "plan",
            "required",
            "takes_req",
        ),
    )

    def __init__(self, function):
        self.function = function
        self.code = code = function.__code__
        self.defaults = function.__defaults__
        self.plan = plan = _arguments.plan_of_function(function)
        parameters = code.co_varnames[: code.co_argcount]
        self.takes_req = "req" in parameters
        # The names that fields may fill as they are; None if there is more to it than that.
        self.names = None
        self.required = [name for name in plan.required if name != "req"]
        if plan.names is not None and not plan.positional and not plan.converters:
            self.names = plan.names - {"req"}
        self.needs_nothing = (
            self.names is not None and not self.required and parameters[:1] in ((), ("req",))
        )

    def is_current(self):
        """Whether the function is still what it was."""
        function = self.function
        return function.__code__ is self.code and function.__defaults__ is self.defaults

    def fill(self, req, pairs):
        """The keyword arguments from names and values in turn; None if that is not so easy."""
        names = self.names
        if names is None:
            return None
        filled = {"req": req} if self.takes_req else {}
        items = iter(pairs)
        for name in items:
            value = next(items)
            if name in names:
                if name in filled or value.__class__ is not str:
                    return None
                filled[name] = value
        for name in self.required:
            if name not in filled:
                return None
        return filled


def loaded(module):
    """The page that `module` was made by."""
    page = _pages.get(module.__file__)
    return page if page and page.module is module else Page(module.__file__, None, module)


def get(path, req):
    """The page in the file `path`, loaded if need be; None if there is no such file.

    With PythonAutoReload Off a loaded page is never looked at again. Raises whatever the page
    raises.
    """
    page = _pages.get(path)
    if page is not None and _apache._is_current(req, path, page.stamp):
        return page
    stamp = _apache._file_stamp(path)
    if stamp is None:
        if page is not None:
            if len(_gone) > 100:
                _gone.clear()
            _gone[path] = page
            _pages.pop(path, None)
        return None
    if page is None:
        page = _gone.get(path)
    lock = _lock_of(path)
    # With a page to go on with nobody waits for another request to make the new one.
    serve_old = page is not None and page.sources.whole and _broken.get(path) != stamp
    if not lock.acquire(blocking=not serve_old):
        return page
    try:
        return _refreshed(path, stamp, req)
    finally:
        lock.release()


def _refreshed(path, stamp, req):
    """The page for a file with this stamp; the page of before while somebody writes the file."""
    known = _pages.get(path) or _gone.get(path)
    if known is not None:
        found = known.sources.look()
        if found != CHANGED:
            if found == CURRENT and known.sources.whole:
                known.stamp = stamp
            _keep(path, known)
            return known
    try:
        with open(path, "rb") as file:
            sources = Sources([(path, stamp_of(os.fstat(file.fileno())))])
            source = file.read()
    except FileNotFoundError:
        return None
    if not sources.replace(known and known.sources):
        return known
    if _apache._debug(req):
        what = "loading" if known is None else "reloading"
        req.log_error("Publisher %s page %s" % (what, path), apache.APLOG_NOTICE)
    try:
        module = _load(path, source)
    except BaseException:
        _broken[path] = stamp
        _apache._count_code("failed", path)
        raise
    _apache._count_code("page_loaded" if known is None else "page_reloaded", path)
    _broken.pop(path, None)
    page = Page(path, stamp if sources.whole else _NO_STAMP, module, sources)
    if any(name.encode() in source for name in _guards.NAMES):
        page.source = source
    if _apache._option(req, ONLY_LOCAL) is not None:
        page.local_names = _local_names(path, source)
    _keep(path, page)
    return page


def _keep(path, page):
    _pages[path] = page
    _gone.pop(path, None)


def source_of(path):
    """The text of a Python file in the encoding it declares; of a page, as it was loaded."""
    import tokenize

    page = _pages.get(path)
    if page is None or page.source is None:
        with tokenize.open(path) as file:
            return file.read()
    import io

    encoding = tokenize.detect_encoding(io.BytesIO(page.source).readline)[0]
    return io.TextIOWrapper(io.BytesIO(page.source), encoding).read()


def _load(path, source):
    module = ModuleType(re.sub(r"\W+", "_", path))
    module.__file__ = path
    exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
    return module


def _lock_of(path):
    with _locks_lock:
        return _locks.setdefault(path, threading.Lock())


def _local_names(path, source=None):
    import symtable

    table = symtable.symtable(source or source_of(path), path, "exec")
    return {
        symbol.get_name()
        for symbol in table.get_symbols()
        if symbol.is_assigned() and not symbol.is_imported()
    }
