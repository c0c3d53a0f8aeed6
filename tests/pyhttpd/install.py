"""Finds the httpd to test with and the mod_python to test, without knowing any distribution.

apxs is asked for everything (`APXS` in the environment names another one); the original
mod_python is the `mod_python.so` in apxs' LIBEXECDIR, ours is `build/mod_python.so`.
"""

import dataclasses
import functools
import os
import pathlib
import re
import shutil
import subprocess
from typing import ClassVar, Optional

from pyhttpd.python import readable_home, version

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


class InstallError(Exception):
    """Something that the tests need is not installed; the text says what."""


@dataclasses.dataclass(frozen=True)
class Httpd:
    """One installed httpd."""

    apxs: str
    binary: pathlib.Path
    modules: pathlib.Path
    static: frozenset  # source file names of modules compiled in, e.g. "mod_so.c"
    version: tuple

    @staticmethod
    @functools.cache
    def find() -> "Httpd":
        apxs = os.environ.get("APXS") or shutil.which("apxs") or shutil.which("apxs2")
        if not apxs:
            raise InstallError("apxs not found: install httpd's development package")

        def query(name):
            out = subprocess.run([apxs, "-q", name], stdout=subprocess.PIPE, check=True, text=True)
            return out.stdout.strip()

        # Debian's apxs says httpd where the program is apache2, so both names are tried.
        sbin = pathlib.Path(query("SBINDIR"))
        names = [query("PROGNAME"), "httpd", "apache2"]
        found = [sbin / name for name in names if name and os.access(sbin / name, os.X_OK)]
        if not found:
            raise InstallError(f"no httpd program ({', '.join(names)}) in {sbin}")
        binary = found[0]
        listed = _output(binary, "-l")
        static = frozenset(re.findall(r"^\s+(\w+\.c)$", listed, re.M))
        version = re.search(r"Apache/(\d+)\.(\d+)\.(\d+)", _output(binary, "-v"))
        if version is None:
            raise InstallError(f"{binary} -v does not name a version")
        return Httpd(
            apxs,
            binary,
            pathlib.Path(query("LIBEXECDIR")),
            static,
            tuple(int(part) for part in version.groups()),
        )

    def build(self, source: pathlib.Path, directory: pathlib.Path, *flags: str) -> pathlib.Path:
        """Compile a C module with apxs in `directory`; returns the shared object."""
        shutil.copy(str(source), str(directory))
        done = subprocess.run(
            [self.apxs, "-c", *flags, source.name],
            cwd=str(directory),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            text=True,
        )
        if done.returncode:
            raise InstallError(f"apxs cannot compile {source.name}:\n{done.stdout}")
        return directory / ".libs" / f"{source.stem}.so"

    def load_line(self, name: str) -> str:
        """The LoadModule line of httpd's own module `name`; empty when it is compiled in."""
        source = {"mpm_event": "event.c", "mpm_worker": "worker.c", "mpm_prefork": "prefork.c"}
        if source.get(name, f"mod_{name}.c") in self.static:
            return ""
        path = self.modules / f"mod_{name}.so"
        if not path.exists():
            raise InstallError(f"httpd has no module {name} ({path} does not exist)")
        return f"LoadModule {name}_module {path}"

    def has(self, name: str) -> bool:
        try:
            self.load_line(name)
        except InstallError:
            return False
        return True


def _output(binary, option):
    done = subprocess.run(
        [str(binary), option],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        text=True,
    )
    return done.stdout


@dataclasses.dataclass(frozen=True)
class ModPython:
    """One mod_python: the shared object and, if it is not on Python's own path, its package."""

    name: str  # "ours" or "original"
    shared_object: pathlib.Path
    package: Optional[pathlib.Path]  # directory that holds the package directory mod_python
    # The Python it embeds, where that is not the one of /usr; and a PythonHome for it if need be.
    python: Optional[str] = None
    home: Optional[pathlib.Path] = None

    # Set by the option --python.
    other_python: ClassVar[Optional[str]] = None

    @staticmethod
    def ours() -> "ModPython":
        so = pathlib.Path(os.environ.get("MOD_PYTHON_SO") or REPOSITORY / "build/mod_python.so")
        if not so.exists():
            raise InstallError(f"{so} does not exist: run `make build`")
        other = ModPython.other_python
        home = readable_home(other) if other else None
        return ModPython("ours", so.resolve(), REPOSITORY / "python", other, home)

    def python_version(self) -> tuple:
        """Such as (3, 11): of the Python it embeds."""
        numbers = version(self.python or "/usr/bin/python3").split(".")
        return tuple(int(number) for number in numbers[:2])

    @staticmethod
    def original() -> "ModPython":
        """The distribution's mod_python 3.5, whose package is on its Python's own path."""
        so = Httpd.find().modules / "mod_python.so"
        if not so.exists():
            raise InstallError(f"the original mod_python is not installed ({so} does not exist)")
        # Our module may have been installed over it; Rust's panic text gives it away.
        if b"panicked at" in so.read_bytes():
            raise InstallError(f"{so} is our own module, not the original")
        return ModPython("original", so, None)
