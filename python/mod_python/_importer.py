"""Importing and reloading handler modules.

A module is imported once per interpreter and name. With autoreload its file is looked at again, at
most once a second, and a changed file is executed again for the same module object, so that whoever
holds the module sees the new contents. Nobody is served by half of them: while the file is
executed, other requests go on with the functions of before, which keep the globals that they were
defined with. Imports rely on Python's own locks, with which a lock of ours could deadlock.
(compat: apache_module.md 4.5)
"""

import importlib
import importlib.util
import os
import sys
import threading
import time
from importlib.machinery import ExtensionFileLoader, PathFinder

import _apache

from mod_python._sources import CHANGED, Sources, stamp

# Files older than this are as they were when this interpreter imported them.
_begun = time.time_ns()

# What the file of a module was like before it was executed: name -> Sources.
_sources = {}

# Where import_module found what only its `path` has: (name, path) -> name in sys.modules.
_keys_in = {}

# As a stamp: look again, whatever the file is like.
_NO_STAMP = (0, 0, 0)

# Modules that are being executed again: module -> the contents they had before.
_reloading = {}
_reloading_lock = threading.Lock()


def module_mtime(module):
    """Return when a module's source was changed: the newer of its file's times, or 0.

    Also notes in the module that this was asked now.
    """
    mtime = 0
    file = getattr(module, "__file__", None)
    if file:
        # "x.pyc" without its last letter is "x.py".
        for name in (file, file[:-1]):
            try:
                mtime = max(mtime, os.stat(name).st_mtime)
            except OSError:
                pass
    module.__mtime_check__ = time.time()
    return mtime


def import_module(module_name, autoreload=1, log=0, path=None):
    """Import a module, or import it again when its file has changed.

    module_name is a dotted name. With autoreload false a known module is returned as it is. With
    log true each import is logged. path is a list of directories: a module that sys.path does not
    lead to is looked for there, and one whose file is elsewhere is imported again. Raises what the
    import raises.
    """
    if path and module_name not in sys.modules:
        module_name = _key_in(module_name, path)
    if module_name not in sys.modules:
        return _first(module_name, log, path)
    module = _known(module_name)
    if not autoreload:
        return module
    file = getattr(module, "__file__", None)
    if file is None or (path and not file.startswith(tuple(path))):
        _note(log, module_name, path)
        return module
    if time.time() - module.__dict__.get("__mtime_check__", 0) > 1:
        _refresh(module, module_name, log, path)
    return module


def load(module_name, directory, autoreload=1, log=0):
    """Import a handler's module, or import it again when its file has changed, looking now.

    Modules are told apart by their file: ``handler.py`` of two directories are two modules. What
    stands in directory, a str or None, goes before anything of the same name elsewhere.

    Returns (module, key in sys.modules, contents, stamp): the contents are those to be used now,
    the stamp, (mtime in ns, size, inode), is of the file they were made from, or zeros where there
    is none, or where it may have been half a file. Raises what the import raises.
    """
    key = _key(module_name, directory) if directory else module_name
    if key not in sys.modules:
        module = _first(key, log)
    else:
        module = _known(key)
        if autoreload:
            _refresh(module, key, log)
    sources = _sources.get(key)
    known = sources.files[0][1] if sources is not None and sources.whole else _NO_STAMP
    return module, key, contents(module), known


def contents(module):
    """The contents of a module to be used now: the old ones while it is executed again."""
    with _reloading_lock:
        return _reloading.get(module) or module.__dict__


def _key(module_name, directory):
    """The name in sys.modules of a handler's module in a directory."""
    top, dot, rest = module_name.partition(".")
    _forget_listings()
    here = PathFinder.find_spec(top, [directory])
    if here is None or not here.has_location or isinstance(here.loader, ExtensionFileLoader):
        return module_name
    if top in sys.modules:
        file = getattr(sys.modules[top], "__file__", None)
    else:
        there = importlib.util.find_spec(top)
        file = there.origin if there is not None and there.has_location else None
    if file is not None and _is_same_file(file, here.origin):
        return module_name
    # No dots, which would make it a module in a package.
    place = directory.rstrip("/").replace("%", "%25").replace(".", "%2E")
    return "%s@%s%s%s" % (top, place, dot, rest)


def _key_in(module_name, path):
    """The name in sys.modules of a module that only the directories in `path` have.

    As mod_python 3.1 to 3.3 had it, and their documentation for modules beside a published page.
    """
    asked = module_name, tuple(path)
    key = _keys_in.get(asked)
    if key in sys.modules:
        return key
    top = module_name.partition(".")[0]
    _forget_listings()
    if not top or top in sys.modules or importlib.util.find_spec(top) is not None:
        return module_name
    for directory in [path] if isinstance(path, str) else path:
        key = _key(module_name, directory)
        if key != module_name:
            _keys_in[asked] = key
            return key
    return module_name


class _InDirectory:
    """Finds the modules that `_key` gives a name of their own.

    The name tells the directory, so that pickles made in one child can be read in another.
    """

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        name, at, place = fullname.partition("@")
        if path is not None or not at:
            return None
        directory = place.replace("%2E", ".").replace("%25", "%") + "/"
        spec = PathFinder.find_spec(name, [directory])
        if spec is None or not spec.has_location:
            return None
        return importlib.util.spec_from_file_location(
            fullname,
            spec.origin,
            submodule_search_locations=spec.submodule_search_locations,
        )


sys.meta_path.append(_InDirectory)


def _first(name, log=0, path=None):
    """Import a module that is not in sys.modules, noting what its file is like before."""
    _note(log, name, path)
    _forget_listings()
    parent = name.rpartition(".")[0]
    if parent:
        importlib.import_module(parent)
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, AttributeError, ValueError):
        # The import says what is wrong.
        spec = None
    sources = None
    now = stamp(spec.origin) if spec is not None and spec.has_location else None
    if now is not None:
        # Another thread may be importing it right now: what it saw counts.
        sources = _sources.setdefault(name, Sources([(spec.origin, now)]))
    try:
        module = importlib.import_module(name)
    except BaseException:
        _sources.pop(name, None)
        _apache._count_code("failed", spec.origin if spec is not None else name)
        raise
    if sources is not None:
        sources.look()
    if "__mtime__" not in module.__dict__:
        _apache._count_code("imported", getattr(module, "__file__", None))
    module.__mtime__ = module_mtime(module)
    return module


def causes(error):
    """Yields an exception and those that led to it, each once; none for None."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def forget_parts(error):
    """Forget the submodules of packages whose import an exception has broken off.

    Python forgets the package, but not those of its parts that were complete. The next import would
    find them, and not make them attributes of the new package, which then fails for good: asyncio
    with a NameError for one.
    """
    for cause in causes(error):
        step = cause.__traceback__
        while step is not None:
            frame = step.tb_frame
            name = frame.f_globals.get("__name__")
            if frame.f_code.co_name == "<module>" and isinstance(name, str):
                if name not in sys.modules:
                    for key in list(sys.modules):
                        if isinstance(key, str) and key.startswith(name + "."):
                            sys.modules.pop(key, None)
            step = step.tb_next


def _known(name):
    """A module in sys.modules, complete: another thread may be importing it for the first time."""
    return importlib.import_module(name)


def _refresh(module, name, log=0, path=None):
    """Execute a module's file again when it has changed."""
    file = getattr(module, "__file__", None)
    now = None if file is None else stamp(file)
    module.__mtime_check__ = time.time()
    if now is None:
        # Built in, or deleted.
        return
    known = _sources.get(name)
    if known is None and now[0] < _begun:
        # Imported by somebody else, it is as new as its file: that is older than this interpreter.
        known = _sources.setdefault(name, Sources([(file, now)]))
    if known is not None and known.look() != CHANGED:
        return
    new = Sources([(file, now)])
    with _reloading_lock:
        if module in _reloading or _sources.get(name) is not known:
            # By another thread; or by this one, and the module asks for itself.
            return
        _reloading[module] = module.__dict__
    try:
        _note(log, name, path)
        code = error = None
        try:
            code = _code(module)
        except Exception as raised:
            error = raised
        if not new.replace(known):
            return
        if error is not None:
            raise error
        if code is not None:
            _execute(module, code)
            _apache._count_code("reloaded", file)
        _sources[name] = new
        module.__mtime__ = module_mtime(module)
        if known is not None:
            _remove_racy_bytecode(module, known.files[0][1], now)
    except BaseException:
        # Look again at the next request, not in a second.
        module.__mtime_check__ = 0
        _apache._count_code("failed", file)
        raise
    finally:
        with _reloading_lock:
            del _reloading[module]
        _apache._modules_changed()


def _code(module):
    """The code of a module's file as it is now; None for one in C, of which there is but one."""
    spec = getattr(module, "__spec__", None)
    loader = getattr(spec, "loader", None)
    if hasattr(loader, "source_to_code") and hasattr(loader, "get_filename"):
        # From the source: a byte code file is trusted by seconds, and a second is long.
        file = loader.get_filename(spec.name)
        return loader.source_to_code(loader.get_data(file), file)
    return loader.get_code(spec.name) if hasattr(loader, "get_code") else None


def _execute(module, code):
    """Execute a module's code for new contents; when that fails the old ones stay."""
    old = module.__dict__
    new = dict(old)
    _apache._set_contents(module, new)
    try:
        exec(code, new)
    except BaseException:
        _apache._set_contents(module, old)
        raise


def _remove_racy_bytecode(module, old, new):
    """Remove a byte code file that later children could take for this source."""
    if old[0] // 10**9 == new[0] // 10**9 and old[1] == new[1]:
        try:  # not contextlib.suppress: contextlib would be a child's first import of half a dozen
            os.unlink(importlib.util.cache_from_source(module.__file__))
        except (OSError, NotImplementedError):
            pass


def _forget_listings():
    """Have directories listed again: they are trusted by their time, which may be coarse.

    importlib.invalidate_caches() would import a good part of the standard library for this.
    """
    for finder in list(sys.path_importer_cache.values()):
        if hasattr(finder, "invalidate_caches"):
            finder.invalidate_caches()


def _is_same_file(one, other):
    if one == other:
        return True
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _note(log, name, path):
    if not log:
        return
    text = "mod_python: (Re)importing module '%s'" % name
    if path:
        text += " with path set to '%s'" % path
    _apache.log_error(text, 5)
