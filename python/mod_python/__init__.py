"""Apache httpd with Python inside: handlers for every phase of a request, publisher, PSP, sessions.

Importing the package works outside httpd too: `mod_python.httpdconf` and the `mod_python` command
need it there. The submodules built on the server (`apache`, `util`, `publisher` ...) need httpd.
"""

from mod_python import version

# In the published order.
__all__ = ["apache", "cgihandler", "psp", "publisher", "util", "python22", "version"]  # noqa: RUF022

mp_version = version.version

try:
    from mod_python import apache
except Exception:
    # Programs rely on `mod_python.apache` being there, but outside httpd there is no `_apache`.
    # Nothing is hidden by this: whoever needs `apache`, the server first of all, imports it by name
    # and gets the error itself.
    pass
