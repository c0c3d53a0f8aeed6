"""The Python that the module under test embeds, where the server's user can read it."""

import atexit
import functools
import os
import pathlib
import shutil
import subprocess
import tempfile
from typing import Optional

# What no test needs of a Python installation. Its compiled files stay: the server's user could not
# keep any, and would compile the library anew in every child.
_LEFT_OUT = (
    "*.opt-?.pyc",
    "site-packages",
    "test",
    "tests",
    "idlelib",
    "ensurepip",
    "config-*",
    "*.a",
)


def ask(executable, expression: str) -> str:
    """What an expression is in another Python; `sys` and `sysconfig` are at hand."""
    program = f"import sys, sysconfig; print({expression})"
    command = [str(executable), "-IS", "-c", program]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return done.stdout.rstrip("\n")


def version(executable) -> str:
    """Such as "3.12.1"."""
    return ask(executable, "'%d.%d.%d' % sys.version_info[:3]")


def _is_readable(path: pathlib.Path) -> bool:
    """Whether others than root may read a directory."""
    return all(parent.stat().st_mode & 0o1 for parent in (path, *path.parents))


@functools.cache
def readable_home(executable: str) -> Optional[pathlib.Path]:
    """A PythonHome for a Python that the server's user may not read (root's own); else None."""
    prefix = pathlib.Path(ask(executable, "sys.base_prefix"))
    if os.geteuid() != 0 or _is_readable(prefix):
        return None
    home = pathlib.Path(tempfile.mkdtemp(prefix="python-"))
    atexit.register(shutil.rmtree, str(home), ignore_errors=True)
    home.chmod(0o755)
    library = ask(executable, "'lib/python%d.%d' % sys.version_info[:2]")
    shutil.copytree(
        prefix / library,
        home / library,
        ignore=shutil.ignore_patterns(*_LEFT_OUT),
        symlinks=True,
    )
    return home
