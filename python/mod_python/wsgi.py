"""The handler that runs a WSGI application, PEP 3333 (``mod_python.wsgi``).

``PythonOption mod_python.wsgi.application module[::callable]`` names the application, by default
the module's ``application``; ``mod_python.wsgi.base_uri`` what SCRIPT_NAME is.
"""

import os
import stat

import _apache

from mod_python import _importer, apache


def handler(req):
    """Answers with what the application returns; DECLINED if there is none for this URI.

    KeyError if the option that names the application is not set.
    """
    return _gateway.run(req)


def build_environ(req):
    """The environ of PEP 3333; None, after a warning, if the URI is not below the base URI.

    Raises ValueError if the base URI ends with a slash.
    """
    return _gateway.environ(req)


def start_response(req, status, headers, exc_info=None):
    """req.wsgi_start_response: status and headers go to req at once; returns req.write.

    Raises TypeError and ValueError for what PEP 3333 does not allow, AssertionError if called twice
    without exc_info, and the exception in exc_info if the answer has begun.
    """
    if exc_info:
        try:
            if req.sent_bodyct:
                raise exc_info[1].with_traceback(exc_info[2])
        finally:
            exc_info = None
        for name in getattr(req, "_wsgi_names", ()):
            del req.headers_out[name]
    elif hasattr(req, "_wsgi_names"):
        raise AssertionError("wsgi_start_response was called before, and exc_info is not given")
    # One that is never used: it checks what it is given.
    _apache.WsgiResponse(req).start_response(status, headers)
    req.status = int(status[:3])
    req.status_line = status
    req._wsgi_names = [name for name, value in headers]
    for name, value in headers:
        if name.lower() == "content-type":
            req.content_type = value
        else:
            req.headers_out.add(name, value)
    return req.write


def _find(req, name):
    """The application of a name; None if its module has none."""
    module_name, _, path = name.partition("::")
    config = req.get_config()
    found = apache.import_module(
        module_name,
        autoreload=config.get("PythonAutoReload", "1") != "0",
        log=config.get("PythonDebug") == "1",
    )
    first, *rest = (path or "application").split(".")
    known = _importer.contents(found)
    found = known[first] if first in known else getattr(found, first, None)
    for attribute in rest:
        found = getattr(found, attribute, None)
    return found


def _send(req, response, result):
    """Sends a result that is no list, and closes it."""
    try:
        if not isinstance(result, FileWrapper) or not _send_file(req, response, result):
            response.send(result)
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            close()


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


_gateway = _apache._WsgiGateway(
    _find,
    _send,
    {
        "wsgi.version": (1, 0),
        "wsgi.input_terminated": True,
        "wsgi.multithread": bool(apache.mpm_query(apache.AP_MPMQ_IS_THREADED)),
        "wsgi.multiprocess": bool(apache.mpm_query(apache.AP_MPMQ_IS_FORKED)),
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
    },
)
