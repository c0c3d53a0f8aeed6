"""Versions and places: of this package, and of the httpd, APR and Python it was built for.

`version` is a str such as "4.0.0"; the paths and the versions of httpd and APR are str too, and
empty in a source tree where `make build` has not run yet.
"""

LIBEXECDIR = SYSCONFDIR = HTTPD = HTTPD_VERSION = APR_VERSION = PYTHON_BIN = ""
TEST_MOD_PYTHON_SO = TESTHOME = ""

try:
    from mod_python._version import *  # noqa: F403  (the constants above, and `version`)
    from mod_python._version import version
except ModuleNotFoundError as error:
    if error.name != "mod_python._version":
        raise
    # No version, rather than a guess: httpd's module then says that the package is not its own.
    version = "not built (run `make build`)"
