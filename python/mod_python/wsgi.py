"""The handler that runs a WSGI application, PEP 3333 (``mod_python.wsgi``).

``PythonOption mod_python.wsgi.application module[::callable]`` names the application, by default
the module's ``application``; ``mod_python.wsgi.base_uri`` what SCRIPT_NAME is.
"""

import os
import stat
import sys

import _apache

from mod_python import apache

_APPLICATION = "mod_python.wsgi.application"
_BASE_URI = "mod_python.wsgi.base_uri"

# How long an application is used before its file is looked at again, in seconds.
_RELOAD_INTERVAL = 1

# name of the application -> (callable, when it was looked up)
_applications = {}


def handler(req):
    """Answers with what the application returns; DECLINED if there is none for this URI.

    KeyError if the option that names the application is not set.
    """
    name = _apache._option(req, _APPLICATION)
    if name is None:
        raise KeyError(_APPLICATION)
    environ = build_environ(req)
    if environ is None:
        return apache.DECLINED
    application = _application(req, name)
    if not application:
        req.log_error(
            "WSGI handler: mod_python.wsgi.application (%r) not found, declining." % name,
            apache.APLOG_WARNING,
        )
        return apache.DECLINED
    response = _apache.WsgiResponse(req)
    result = application(environ, response.start_response)
    if type(result) is list:
        response.send(result)
    else:
        try:
            if not isinstance(result, FileWrapper) or not _send_file(req, response, result):
                response.send(result)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()
    response.finish()
    return apache.OK


def _application(req, name):
    known = _applications.get(name)
    now = req.request_time
    if known is not None and now - known[1] <= _RELOAD_INTERVAL:
        return known[0]
    module_name, _, path = name.partition("::")
    config = req.get_config()
    found = apache.import_module(
        module_name,
        autoreload=config.get("PythonAutoReload", "1") != "0",
        log=config.get("PythonDebug") == "1",
    )
    for attribute in (path or "application").split("."):
        found = getattr(found, attribute, None)
    _applications[name] = (found, now)
    return found


def build_environ(req):
    """The environ of PEP 3333; None, after a warning, if the URI is not below the base URI.

    Raises ValueError if the base URI ends with a slash.
    """
    base = _apache._option(req, _BASE_URI)
    if base is None:
        base = _location(req)
    elif base.endswith("/"):
        raise ValueError("PythonOption %r (%r) must not end with '/'" % (_BASE_URI, base))
    environ = _apache._wsgi_environ(req, base, _template or _make_template())
    if environ is None:
        req.log_error(
            "WSGI handler: req.uri (%r) does not start with %s (%r), declining."
            % (req.uri, _BASE_URI, base),
            apache.APLOG_WARNING,
        )
        return None
    environ["wsgi.errors"] = sys.stderr
    return environ


# The variables that are the same for all requests.
_template = {}


def _make_template():
    _template.update(
        {
            "wsgi.version": (1, 0),
            "wsgi.input_terminated": True,
            "wsgi.multithread": bool(apache.mpm_query(apache.AP_MPMQ_IS_THREADED)),
            "wsgi.multiprocess": bool(apache.mpm_query(apache.AP_MPMQ_IS_FORKED)),
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
        }
    )
    return _template


def _location(req):
    """The text of the Location the handler is configured in, without its slash at the end."""
    hlist = req.hlist
    if hlist is None or not hlist.is_location:
        return ""
    location = hlist.directory or ""
    return location[:-1] if location.endswith("/") else location


def _send_file(req, response, wrapper):
    """Sends a regular file without reading it into Python. False if it is not one."""
    try:
        descriptor = wrapper.filelike.fileno()
        status = os.fstat(descriptor)
        position = wrapper.filelike.tell()
    except (AttributeError, OSError, ValueError):
        return False
    path = "/proc/self/fd/%d" % descriptor
    if not stat.S_ISREG(status.st_mode) or not os.access(path, os.R_OK):
        return False
    length = max(status.st_size - position, 0)
    response.announce(length)
    response.send_headers()
    if response.left is not None:
        length = min(length, response.left)
        response.left -= length
    if length:
        req.sendfile(path, position, length)
    return True


class FileWrapper:
    """wsgi.file_wrapper: an iterable over the blocks of a file, sent by httpd where it can be."""

    def __init__(self, filelike, blksize=65536):
        self.filelike = filelike
        self.blksize = blksize
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self):
        return self

    def __next__(self):
        data = self.filelike.read(self.blksize)
        if data:
            return data
        raise StopIteration
