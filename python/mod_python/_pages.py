"""The pages of the publisher: files executed into modules of their own, reloaded on change."""

import re
import threading
from types import FunctionType, ModuleType

import _apache

from mod_python import _arguments, _guards, apache

_pages = {}
_locks = {}
_locks_lock = threading.Lock()


class Page:
    """A loaded page.

    path -- its file; module -- what it made of itself; names -- the module's namespace; functions
    -- what the publisher found out about its functions, kept as long as the page is.
    """

    __slots__ = ("functions", "local_names", "module", "names", "path", "stamp")

    def __init__(self, path, stamp, module):
        self.path = path
        self.stamp = stamp
        self.module = module
        self.names = module.__dict__
        self.functions = {}
        self.local_names = None

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
        _pages.pop(path, None)
        return None
    with _lock_of(path):
        page = _pages.get(path)
        if page is not None and page.stamp == stamp:
            return page
        if _apache._debug(req):
            what = "loading" if page is None else "reloading"
            req.log_error("Publisher %s page %s" % (what, path), apache.APLOG_NOTICE)
        page = Page(path, stamp, _load(path))
        _pages[path] = page
        return page


def source_of(path):
    """The text of a Python file in the encoding it declares."""
    import tokenize

    with tokenize.open(path) as file:
        return file.read()


def _load(path):
    module = ModuleType(re.sub(r"\W+", "_", path))
    module.__file__ = path
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    exec(code, module.__dict__)
    return module


def _lock_of(path):
    with _locks_lock:
        return _locks.setdefault(path, threading.Lock())


def _local_names(path):
    import symtable

    table = symtable.symtable(source_of(path), path, "exec")
    return {
        symbol.get_name()
        for symbol in table.get_symbols()
        if symbol.is_assigned() and not symbol.is_imported()
    }
