"""The handler that runs CGI scripts written in Python (``mod_python.cgihandler``).

A script runs like a program of its own: with the environment and the standard streams of CGI, in
its directory, and with the modules that earlier scripts imported forgotten. Scripts run one at a
time in a child, whatever their interpreters, because the working directory belongs to the process.
"""

import importlib.machinery
import importlib.util
import os
import sys
import sysconfig
import threading

import _apache

from mod_python import _cgi, _sources, apache

_codes = {}
_STDLIB = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib"))


def handler(req):
    """Runs the script that the request names. 404 if there is none."""
    path = _script(req)
    if path is None:
        return apache.HTTP_NOT_FOUND
    _apache._process_lock()
    try:
        _run_alone(path, req)
    finally:
        _apache._process_unlock()
    return apache.OK


def _run_alone(path, req):
    directory = os.getcwd()
    old_path = sys.path[:]
    imports = _Imports()
    saved = _cgi.setup_cgi(req)
    stdin, stdout = sys.stdin, sys.stdout
    output = stdout._stream()
    try:
        sys.meta_path.insert(0, imports)
        os.chdir(os.path.dirname(path))
        if os.path.dirname(path) not in sys.path:
            sys.path.insert(0, os.path.dirname(path))
        _run(path, req)
        if sys.stdout is not stdout:
            # The script put something of its own around it.
            sys.stdout.flush()
        output.finish()
    finally:
        sys.stdin, sys.stdout = stdin, stdout
        _cgi.restore_nocgi(*saved)
        sys.path[:] = old_path
        if imports in sys.meta_path:
            sys.meta_path.remove(imports)
        imports.forget()
        os.chdir(directory)


def _script(req):
    """The path of the script, None if there is none the request may run."""
    name = req.subprocess_env.get("SCRIPT_FILENAME") or req.filename
    if not name:
        return None
    directory, base = os.path.split(name)
    stem = os.path.splitext(base)[0]
    if not stem or "." in stem:
        return None
    path = os.path.join(directory, stem + ".py")
    return path if os.path.isfile(path) else None


def _run(path, req):
    name = os.path.basename(path)[:-3]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        exec(_code(path), module.__dict__)
    except SystemExit as end:
        if end.code not in (None, 0):
            req.log_error("MP0622: CGI script %s: exit %s" % (path, end.code), apache.APLOG_INFO)
    finally:
        if before is None:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = before


def _code(path):
    known = _codes.get(path)
    if known is not None and known[0].look() != _sources.CHANGED:
        return known[1]
    try:
        file = open(path, "rb")
    except FileNotFoundError:
        # It was there a moment ago: somebody removes it, perhaps to write it anew.
        raise apache.SERVER_RETURN(apache.HTTP_NOT_FOUND) from None
    with file:
        sources = _sources.Sources([(path, _sources.stamp_of(os.fstat(file.fileno())))])
        text = file.read()
    if sources.replace(known and known[0]):
        known = _codes[path] = sources, compile(text, path, "exec", dont_inherit=True)
    return known[1]


class _Imports:
    """A finder that finds nothing but remembers what this thread imports for the first time."""

    def __init__(self):
        self.thread = threading.get_ident()
        self.names = []

    def find_spec(self, name, path=None, target=None):
        if threading.get_ident() == self.thread:
            self.names.append(name)

    def forget(self):
        """Drops the modules imported meanwhile, so that the next script gets fresh ones.

        Kept are modules of the standard library and packages with compiled parts: few of these can
        be loaded twice.
        """
        compiled = {name.partition(".")[0] for name in self.names if _is_compiled(name)}
        for name in self.names:
            if name.partition(".")[0] not in compiled and not _is_standard(name):
                sys.modules.pop(name, None)


def _is_compiled(name):
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    return file.endswith(tuple(importlib.machinery.EXTENSION_SUFFIXES))


def _is_standard(name):
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if not file:
        return getattr(module, "__path__", None) is None
    return file.startswith(_STDLIB) and not {"site-packages", "dist-packages"} & {
        *file.split(os.sep)
    }
