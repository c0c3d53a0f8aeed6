"""The handler that runs a WSGI application, PEP 3333 (``mod_python.wsgi``).

``PythonOption mod_python.wsgi.application module[::callable]`` names the application, by default
the module's ``application``; ``mod_python.wsgi.base_uri`` what SCRIPT_NAME is.
"""

import os
import re
import stat
import sys

from mod_python import apache

_APPLICATION = "mod_python.wsgi.application"
_BASE_URI = "mod_python.wsgi.base_uri"

_status_line = re.compile(r"([2-9][0-9][0-9])(?: [\t -~\x80-\xff]*)?")
_token = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_control = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
_HOP_BY_HOP = frozenset(
    "connection keep-alive proxy-authenticate proxy-authorization te trailer trailers"
    " transfer-encoding upgrade".split()
)
_BODILESS = ("204", "304")


def handler(req):
    """Answers with what the application returns; DECLINED if there is none for this URI.

    KeyError if the option that names the application is not set.
    """
    name = req.get_options()[_APPLICATION]
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
    response = Response(req)
    result = application(environ, response.start_response)
    try:
        response.send(result)
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            close()
    response.finish()
    return apache.OK


def _application(req, name):
    module_name, _, path = name.partition("::")
    config = req.get_config()
    found = apache.import_module(
        module_name,
        autoreload=config.get("PythonAutoReload", "1") != "0",
        log=config.get("PythonDebug") == "1",
    )
    for attribute in (path or "application").split("."):
        found = getattr(found, attribute, None)
    return found


def build_environ(req):
    """The environ of PEP 3333; None, after a warning, if the URI is not below the base URI.

    Raises ValueError if the base URI ends with a slash.
    """
    base = req.get_options().get(_BASE_URI)
    if base is None:
        base = _location(req)
    elif base.endswith("/"):
        raise ValueError("PythonOption %r (%r) must not end with '/'" % (_BASE_URI, base))
    uri = req.uri
    path_info = uri[len(base) :]
    if not uri.startswith(base) or path_info[:1] not in ("", "/"):
        req.log_error(
            "WSGI handler: req.uri (%r) does not start with %s (%r), declining."
            % (uri, _BASE_URI, base),
            apache.APLOG_WARNING,
        )
        return None
    req.path_info = path_info
    req.add_cgi_vars()
    environ = {}
    for key, value in req.subprocess_env.items():
        if value is not None:
            environ[key] = value if value.isascii() else _latin1(value)
    environ["SCRIPT_NAME"] = base if base.isascii() else _latin1(base)
    if path_info:
        environ["PATH_INFO"] = path_info if path_info.isascii() else _latin1(path_info)
    else:
        environ.pop("PATH_INFO", None)
    authorization = req.headers_in.get("Authorization")
    if authorization is not None:
        environ["HTTP_AUTHORIZATION"] = _latin1(authorization)
    https = environ.get("HTTPS", "off").lower() != "off" or req.is_https()
    environ["wsgi.version"] = (1, 0)
    environ["wsgi.url_scheme"] = "https" if https else "http"
    environ["wsgi.input"] = req
    environ["wsgi.input_terminated"] = True
    environ["wsgi.errors"] = sys.stderr
    environ["wsgi.multithread"] = bool(apache.mpm_query(apache.AP_MPMQ_IS_THREADED))
    environ["wsgi.multiprocess"] = bool(apache.mpm_query(apache.AP_MPMQ_IS_FORKED))
    environ["wsgi.run_once"] = False
    environ["wsgi.file_wrapper"] = FileWrapper
    return environ


def _location(req):
    """The text of the Location the handler is configured in, without its slash at the end."""
    hlist = req.hlist
    if hlist is None or not hlist.is_location:
        return ""
    location = hlist.directory or ""
    return location[:-1] if location.endswith("/") else location


def _latin1(text):
    """httpd's bytes as the str of PEP 3333: one character per byte."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


class Response:
    """One answer: start_response, write, and what has been sent so far."""

    __slots__ = ("headers", "left", "req", "sent", "status")

    def __init__(self, req):
        self.req = req
        self.status = None
        self.headers = ()
        # Bytes the application may still send; None if it announced no Content-Length.
        self.left = None
        self.sent = False

    def start_response(self, status, headers, exc_info=None):
        """start_response(status, headers[, exc_info]) -> write, see PEP 3333."""
        if exc_info:
            try:
                if self.sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self.status is not None:
            raise AssertionError("start_response() was called before, and without exc_info")
        self._check(status, headers)
        self.status = status
        self.headers = headers[:]
        return self.write

    def _check(self, status, headers):
        if not isinstance(status, str):
            raise TypeError("status must be a string, not %r" % type(status).__name__)
        if not _status_line.fullmatch(status):
            raise ValueError("Invalid status line: %s" % status)
        if not isinstance(headers, list):
            raise TypeError("headers argument must be a list, not a %r" % type(headers).__name__)
        for header in headers:
            if not isinstance(header, tuple):
                raise TypeError("each header must be a tuple, not a %r" % type(header).__name__)
            name, value = header
            if not isinstance(name, (str, bytes)):
                raise TypeError("header names must be strings, not %r" % type(name).__name__)
            if not isinstance(value, (str, bytes)):
                raise TypeError("header values must be strings, not %r" % type(value).__name__)
            name, value = _text(name), _text(value)
            if not _token.fullmatch(name):
                raise ValueError("Invalid header name: %r" % name)
            if _control.search(value) or (not value.isascii() and max(value) > "\xff"):
                raise ValueError("Invalid value of header %s: %r" % (name, value))
            if name.lower() in _HOP_BY_HOP:
                raise ValueError("%s is a matter between server and client" % name)

    def write(self, data):
        """Sends `data`, bytes, at once."""
        self._write(data, 1)
        if self.left is not None and self.left < 0:
            raise AssertionError("more was written than Content-Length announced")

    def send(self, result):
        """Sends the items of the application's iterable."""
        if isinstance(result, FileWrapper) and self._send_file(result):
            return
        if isinstance(result, (list, tuple)):
            # Nothing of the application runs between the items: no need to hurry.
            if len(result) == 1 and not self.sent:
                self._announce(len(result[0]))
            for item in result:
                self._write(item, 0)
            return
        for item in result:
            self._write(item, 1)
            if self.left is not None and self.left <= 0 and self.sent:
                return

    def finish(self):
        """Sends the headers if nothing else was sent; notes a body that is too short."""
        if not self.sent:
            self._send_headers()
        req = self.req
        if self.left and self.left > 0 and not req.header_only and self.status[:3] not in _BODILESS:
            # The client waits for the rest: only the end of the connection tells it.
            req.connection.keepalive = apache.AP_CONN_CLOSE
            req.log_error(
                "MP0631: the WSGI application sent %d bytes less than its Content-Length"
                % self.left
            )

    def _announce(self, length):
        if not any(_text(name).lower() == "content-length" for name, _ in self.headers):
            if self.status is not None and self.status[:3] not in _BODILESS:
                if length or not self.req.header_only:
                    self.headers.append(("Content-Length", str(length)))

    def _write(self, data, flush):
        if not isinstance(data, bytes):
            if not isinstance(data, str):
                raise TypeError("a WSGI body consists of bytes, not %s" % type(data).__name__)
            data = data.encode("utf-8")
        if not data:
            return
        if not self.sent:
            self._send_headers()
        if self.left is not None:
            allowed, self.left = self.left, self.left - len(data)
            if self.left < 0:
                data = data[: max(allowed, 0)]
        self.req.write(data, flush)

    def _send_headers(self):
        if self.status is None:
            raise AssertionError("MP0630: the WSGI application did not call start_response()")
        req = self.req
        req.status = int(self.status[:3])
        req.status_line = self.status if self.status.isascii() else self.status.encode("latin-1")
        for header in self.headers:
            name, value = map(_text, header)
            sent = value if value.isascii() else value.encode("latin-1")
            lower = name.lower()
            if lower == "content-type":
                req.content_type = sent
            elif lower == "content-length":
                self.left = int(value)
                req.set_content_length(self.left)
            else:
                req.headers_out.add(name, sent)
        self.sent = True

    def _send_file(self, wrapper):
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
        if not self.sent:
            self._announce(length)
            self._send_headers()
        if self.left is not None:
            length = min(length, self.left)
            self.left -= length
        if length:
            self.req.sendfile(path, position, length)
        return True


def _text(value):
    return value if isinstance(value, str) else value.decode("latin-1")


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
