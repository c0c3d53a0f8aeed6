"""A private Apache httpd for tests: written, started, spoken to, watched and stopped.

install.py     finds httpd, its modules and the mod_python under test
site.py        what a test contributes: configuration text and handler files
server.py      the life of one server: start, restart, stop, its children
error_log.py   reads the error log and tells expected lines from unexpected ones
client.py      HTTP over a raw socket: exact bytes out, nothing hidden coming in
http2.py       HTTP/2 with many requests at once, and what became of each
tls.py         certificates, for encrypted connections
load.py        a steady load of requests while a test does something else
"""

from pyhttpd.client import Connection, Headers, Response, get, request
from pyhttpd.error_log import ErrorLog, LogLine
from pyhttpd.install import Httpd, ModPython
from pyhttpd.server import Server
from pyhttpd.site import Site

__all__ = [
    "Connection",
    "ErrorLog",
    "Headers",
    "Httpd",
    "LogLine",
    "ModPython",
    "Response",
    "Server",
    "Site",
    "get",
    "request",
]
