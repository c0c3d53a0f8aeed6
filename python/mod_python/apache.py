"""mod_python.apache: what handlers import to talk to httpd.

    from mod_python import apache

    def handler(req):
        req.content_type = "text/plain"
        req.write("Hello World!")
        return apache.OK

Functions and classes come from the built-in module `_apache`; numbers from httpd's headers. Modules
that only some programs reach through this one (traceback, pdb ...) are imported when they are asked
for.
"""

# ruff: noqa: F401  (programs reach all of these through here)

import os
import sys
import threading
import time
import types

import _apache
from _apache import (
    SERVER_RETURN,
    RequestTimeout,
    config_tree,
    exists_config_define,
    expr,
    log_error,
    mpm_query,
    server_root,
    stat,
    table,
)

from mod_python import _processes, _streams
from mod_python._callback import CallBack, _path_cache, _path_cache_lock
from mod_python._constants import *  # noqa: F403
from mod_python._importer import import_module, module_mtime

make_table = table

# Set by init(), which the module calls when it enters an interpreter for the first time. The name,
# `interpreter`, is asked for each time: several may stand for Python's main interpreter.
main_server = None
_first_name = None
_callback = None

_LAZY_MODULES = ("traceback", "pdb", "inspect", "importlib")
_CGI_NAMES = ("NullIO", "CGIStdin", "CGIStdout", "build_cgi_env", "setup_cgi", "restore_nocgi")


def __getattr__(name):
    if name == "interpreter":
        # A thread that a program made has no name of its own.
        return _apache._interpreter_name() or _first_name
    if name in _LAZY_MODULES:
        import importlib

        value = importlib.import_module(name)
    elif name in _CGI_NAMES:
        from mod_python import _cgi

        value = getattr(_cgi, name)
    elif name == "escape":
        from html import escape as value
    else:
        raise AttributeError("module '%s' has no attribute '%s'" % (__name__, name))
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *_LAZY_MODULES, *_CGI_NAMES, "escape", "interpreter"})


def init(name, server):
    """Set this interpreter up and return its dispatcher. Called by the module."""
    global main_server, _callback, _first_name  # noqa: PLW0603
    _first_name = name
    main_server = server
    sys.argv = ["mod_python"]
    _streams.install()
    _processes.install()
    level = server.get_options().get("mod_python.logging")
    if level:
        from mod_python import logging

        try:
            logging.install(level)
        except ValueError as error:
            log_error("MP0206: %s; its handler is not installed" % error, 4)
    _callback = CallBack()
    return _callback


def register_cleanup(f, data=None):
    """Call f(data) when this child exits. Raises ValueError when f is not callable."""
    _apache.register_cleanup(__getattr__("interpreter"), main_server, f, data)


def resolve_object(module, obj_str, arg=None, silent=0):
    """Return an object of a module by its dotted name.

    Classes on the way are instantiated with arg. A missing object raises AttributeError, or is None
    when silent is true.
    """
    obj = module
    for position, name in enumerate(obj_str.split(".")):
        parent = obj
        if not hasattr(parent, name):
            if silent:
                return None
            if position == 0 and hasattr(module, "__file__"):
                text = "module '%s' contains no '%s'" % (module.__file__, name)
                raise AttributeError(text)
        obj = getattr(parent, name)
        if isinstance(parent, type):
            obj = getattr(parent(arg), name)
    return obj


__all__ = [name for name in (*globals(), "interpreter") if not name.startswith("_")]
