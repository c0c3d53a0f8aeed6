"""mod_python.apache: what handlers import to talk to httpd.

    from mod_python import apache

    def handler(req):
        req.content_type = "text/plain"
        req.write("Hello World!")
        return apache.OK

Functions and classes come from the built-in module `_apache`; numbers from httpd's headers. What
only some programs reach through this one (traceback, pdb ...) is imported when it is used, but not
by a `__getattr__` of the module: where there is one CPython takes longer to find any name in it.
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
from mod_python._cgi_streams import CGIStdin, CGIStdout, NullIO
from mod_python._constants import *  # noqa: F403
from mod_python._importer import import_module, module_mtime
from mod_python._later import LaterModule

make_table = table

importlib = LaterModule("importlib")
inspect = LaterModule("inspect")
pdb = LaterModule("pdb")
traceback = LaterModule("traceback")

# Set by init(), which the module calls when it enters an interpreter for the first time.
interpreter = None
main_server = None
_first_name = None
_callback = None


def init(name, server):
    """Set this interpreter up and return its dispatcher. Called by the module."""
    global interpreter, main_server, _callback, _first_name  # noqa: PLW0603
    interpreter = _first_name = name
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


def _name():
    """The name of the running interpreter; a thread that a program made has none of its own."""
    return _apache._interpreter_name() or _first_name


def _ask_for_name():
    """Have `interpreter` looked up each time: the module enters this one under several names."""

    def __getattr__(name):
        if name == "interpreter":
            return _name()
        raise AttributeError("module '%s' has no attribute '%s'" % (__name__, name))

    names = globals()
    names["__getattr__"] = __getattr__
    names.pop("interpreter", None)


def register_cleanup(f, data=None):
    """Call f(data) when this child exits. Raises ValueError when f is not callable."""
    _apache.register_cleanup(_name(), main_server, f, data)


def escape(s, quote=True):
    """html.escape."""
    from html import escape

    return escape(s, quote)


def build_cgi_env(req):
    """Return a table with the CGI variables of a request."""
    from mod_python import _cgi

    return _cgi.build_cgi_env(req)


def setup_cgi(req):
    """Give the calling thread the CGI environment and streams of a request.

    Returns what restore_nocgi wants to have back.
    """
    from mod_python import _cgi

    return _cgi.setup_cgi(req)


def restore_nocgi(env, si, so):
    """Undo setup_cgi: env, si and so are what it returned."""
    from mod_python import _cgi

    _cgi.restore_nocgi(env, si, so)


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


__all__ = [name for name in globals() if not name.startswith("_")]
