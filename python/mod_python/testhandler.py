"""A page that shows how a server and a request are configured, to see whether mod_python works.

Meant for setting up a server: it tells every visitor what it finds, options and the log included.
"""

import html
import os
import sys

from mod_python import apache, util

_LOG_LINES = 100
# More than a hundred lines can take, so that a log of any size is read quickly.
_LOG_BYTES = 1 << 20


def _escape(value):
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return html.escape(str(value).encode("utf-8", "backslashreplace").decode("utf-8"))


def _table(rows):
    yield '<table border="1">\n<tr><th>Key</th><th>Value</th></tr>\n'
    for key, value in rows:
        yield "<tr><td><code>%s</code></td><td><code>%s</code></td></tr>\n" % (
            _escape(key),
            _escape(value),
        )
    yield "</table>\n"


def _available(name):
    """Whether a module of the package can be imported, and if not, why."""
    try:
        __import__(name)
    except Exception as error:
        return "No (%s: %s)" % (type(error).__name__, error)
    return "Yes"


def _mpm(is_it, most, unit):
    if not apache.mpm_query(is_it):
        return "No"
    return "Yes, maximum %d %s" % (apache.mpm_query(most), unit)


def _error_log(server):
    """What ErrorLog says, and the file it means: None for a program or syslog."""
    # A virtual host without an ErrorLog of its own uses the main server's.
    name = server.error_fname or apache.main_server.error_fname or ""
    if not name or name.startswith(("|", "syslog")):
        return name, None
    path = os.path.join(apache.server_root(), name)
    return path, path


def _general(req):
    """Rows of HTML: name and text, both escaped."""
    log, path = _error_log(req.server)
    link = ""
    if path is not None and os.access(path, os.R_OK):
        link = ' (<a href="?view_log=1" target="_new">view last %d lines</a>)' % _LOG_LINES
    rows = [
        ("Apache version", req.subprocess_env["SERVER_SOFTWARE"]),
        (
            "Apache threaded MPM",
            _mpm(apache.AP_MPMQ_IS_THREADED, apache.AP_MPMQ_MAX_THREADS, "threads / process"),
        ),
        (
            "Apache forked MPM",
            _mpm(apache.AP_MPMQ_IS_FORKED, apache.AP_MPMQ_MAX_DAEMONS, "processes"),
        ),
        ("Apache server root", apache.server_root()),
        ("Apache document root", req.document_root()),
        ("Apache error log", log, link),
        ("Python sys.version", sys.version),
        ("Python sys.path", "\n".join(map(str, sys.path))),
        ("Python interpreter name", req.interpreter),
        ("mod_python.publisher available", _available("mod_python.publisher")),
        ("mod_python.psp available", _available("mod_python.psp")),
    ]
    yield '<table border="1">\n'
    for name, value, *more in rows:
        tag = "pre" if "\n" in str(value) else "code"
        yield "<tr><td><code>%s</code></td><td><%s>%s</%s>%s</td></tr>\n" % (
            _escape(name),
            tag,
            _escape(value),
            tag,
            "".join(more),
        )
    yield "</table>\n"


def _tree(nodes, depth=0):
    """The lines of a configuration tree, each section's content indented below it."""
    for node in nodes:
        if isinstance(node, list):
            yield from _tree(node, depth + 1)
        else:
            yield "    " * depth + " ".join(filter(None, node)) + "\n"


def _page(req):
    req.add_common_vars()
    yield "<html><head><title>mod_python test page</title></head><body>\n"
    yield "<h3>General information</h3>\n"
    yield from _general(req)
    for title, table in (
        ("Request input headers", req.headers_in),
        ("Request environment", req.subprocess_env),
        ("Request configuration", req.get_config()),
        ("Request options", req.get_options()),
        ("Request notes", req.notes),
        ("Server configuration", req.server.get_config()),
        ("Server options", req.server.get_options()),
    ):
        yield "<h3>%s</h3>\n" % title
        yield from _table(table.items())
    yield "<h3>Server configuration tree</h3>\n<pre>"
    for line in _tree(apache.config_tree()):
        yield _escape(line)
    yield "</pre>\n</body></html>"


def _last_lines(path, count):
    """The last lines of a file, as bytes. OSError if it cannot be read."""
    with open(path, "rb") as log:
        size = log.seek(0, os.SEEK_END)
        start = max(0, size - _LOG_BYTES)
        log.seek(start)
        lines = log.read(_LOG_BYTES).splitlines(keepends=True)
    if start:
        # The first one has lost its beginning.
        del lines[0]
    return b"".join(lines[-count:])


def handler(req):
    """Show the page; with `?view_log=1` the end of the error log, if httpd's children may read it.

    What the page shows is escaped. Errors: 501 for a body that is no form, 404 where there is no
    log file to show, 403 where it may not be read.
    """
    req.form = util.FieldStorage(req)
    if req.form.getfirst("view_log"):
        path = _error_log(req.server)[1]
        if path is None:
            return apache.HTTP_NOT_FOUND
        try:
            lines = _last_lines(path, _LOG_LINES)
        except FileNotFoundError:
            return apache.HTTP_NOT_FOUND
        except PermissionError:
            return apache.HTTP_FORBIDDEN
        req.content_type = "text/plain"
        # Where the log says something of HTML, a browser is not to guess that this is it.
        req.headers_out["X-Content-Type-Options"] = "nosniff"
        req.write(lines)
        return apache.OK
    req.content_type = "text/html; charset=utf-8"
    for piece in _page(req):
        req.write(piece, 0)
    return apache.OK
