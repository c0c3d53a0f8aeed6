"""Importing and reloading handler modules.

A module is imported once per interpreter and name; with autoreload, its file is looked at again at most
once a second, and a changed file is executed anew in the same module object, so that whoever holds the
module sees the new contents. Imports rely on Python's own locks, with which a lock of ours could deadlock.
(compat: apache_module.md 4.5)
"""

import importlib
import importlib.util
import os
import sys
import threading
import time
import zlib

import _apache

# Modules being executed again right now; other threads go on with the old contents.
_reloading = set()
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

    module_name is a dotted name. With autoreload false a known module is returned as it is. With log
    true each import is logged. path, a list of prefixes, makes a module whose file is under none of them
    be imported again; it does not extend the search. Raises what the import raises.
    """
    module = sys.modules.get(module_name)
    if module is None:
        _note(log, module_name, path)
        return _first(module_name)
    if getattr(getattr(module, "__spec__", None), "_initializing", False):
        # Another thread executes it for the first time: Python's import waits for that.
        return importlib.import_module(module_name)
    if not autoreload:
        return module
    file = getattr(module, "__file__", None)
    if file is None or (path and not file.startswith(tuple(path))):
        _note(log, module_name, path)
        return importlib.import_module(module_name)
    return refresh(module, module_name, log, path)


def refresh(module, name, log=0, path=None):
    """Execute a module's file again when it has changed; return the module."""
    checked = module.__dict__.get("__mtime_check__", 0)
    if time.time() - checked <= 1:
        return module
    mtime = module_mtime(module)
    known = module.__dict__.get("__mtime__")
    if known is None:
        # Imported by a plain import, or by another thread a moment ago: changes count from now on.
        module.__mtime__ = mtime
        return module
    if not mtime or mtime == known:
        return module
    with _reloading_lock:
        if module in _reloading:
            return module
        _reloading.add(module)
    try:
        _note(log, name, path)
        _reload(module, mtime)
    finally:
        _reloading.discard(module)
    return module


def import_from(module_name, directory, autoreload=1, log=0):
    """Import a handler's module, preferring the file in the handler's directory.

    Modules are told apart by their file: ``handler.py`` of two directories are two modules. The second
    one has a key of its own in sys.modules. Returns (module, key).
    """
    if not directory or "." in module_name:
        return import_module(module_name, autoreload, log), module_name
    known = sys.modules.get(module_name)
    file = os.path.join(directory, module_name + ".py")
    if (
        known is None
        or _same_file(known, file)
        or not os.path.isfile(file)
        # A handler called like a module of Python's: the original takes Python's.
        or _is_standard(known)
    ):
        return import_module(module_name, autoreload, log), module_name
    key = "%s@%08x" % (module_name, zlib.crc32(file.encode("utf-8", "surrogateescape")))
    _ByFile.files[key] = file
    return import_module(key, autoreload, log), key


class _ByFile:
    """Finds the modules that are told apart by their file."""

    files = {}

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        file = cls.files.get(fullname)
        if file is None:
            return None
        return importlib.util.spec_from_file_location(fullname, file)


sys.meta_path.append(_ByFile)


def _first(name):
    """Import a module for the first time, and note the time of its file."""
    started = time.time()
    module = importlib.import_module(name)
    if "__mtime__" not in module.__dict__:
        mtime = module_mtime(module)
        # A file written while it was executed is executed again at the next look.
        module.__mtime__ = mtime if mtime < started else -1
    return module


def _reload(module, mtime):
    """Execute the file in the module's namespace; when that fails the old contents stay."""
    spec = module.__spec__
    loader = getattr(spec, "loader", None)
    if loader is None or not hasattr(loader, "exec_module"):
        module.__mtime__ = mtime
        return
    importlib.invalidate_caches()
    saved = dict(module.__dict__)
    try:
        if hasattr(loader, "get_source"):
            # From the source: a byte code file is trusted by seconds, and a second is long.
            source = loader.get_source(spec.name)
        else:
            source = None
        if source is not None and hasattr(loader, "source_to_code"):
            code = loader.source_to_code(source.encode("utf-8"), module.__file__)
            exec(code, module.__dict__)
        else:
            loader.exec_module(module)
    except BaseException:
        for name in [name for name in module.__dict__ if name not in saved]:
            del module.__dict__[name]
        module.__dict__.update(saved)
        # Look again at the next request, not in a second.
        module.__mtime_check__ = 0
        raise
    module.__mtime__ = mtime


def _same_file(module, file):
    known = getattr(module, "__file__", None)
    if known is None:
        return False
    if known == file:
        return True
    try:
        return os.path.samefile(known, file)
    except OSError:
        return False


def _is_standard(module):
    file = getattr(module, "__file__", None) or ""
    return file.startswith(os.path.dirname(os.__file__) + os.sep) and "-packages" not in file


def _note(log, name, path):
    if not log:
        return
    text = "mod_python: (Re)importing module '%s'" % name
    if path:
        text += " with path set to '%s'" % path
    _apache.log_error(text, 5)
