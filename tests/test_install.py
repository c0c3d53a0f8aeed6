"""`make install` and `make uninstall`, into a staging directory and into places of our own."""

import os
import re
import shutil
import stat
import subprocess

import pytest

from mod_python import version
from pyhttpd.install import REPOSITORY, ModPython

pytestmark = pytest.mark.mpms("event")

PYTHON = os.environ.get("PYO3_PYTHON", "/usr/bin/python3")
APXS = os.environ.get("APXS") or shutil.which("apxs") or "apxs2"


@pytest.fixture(autouse=True)
def _module():
    ModPython.ours()  # fails with the sentence to run `make build`


def make(*arguments, **environment):
    return subprocess.run(
        # A strict umask must not end up in the modes of what is installed.
        ["sh", "-c", 'umask 077 && exec make --no-print-directory "$@"', "make", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=600,
    )


def places(tmp_path):
    """Variables that put everything below tmp_path, and the same as paths."""
    names = {
        "LIBEXECDIR": "modules",
        "SYSCONFDIR": "etc",
        "INCLUDEDIR": "include",
        "PYTHON_SITE": "site",
        "BINDIR": "bin",
    }
    paths = {name: tmp_path / folder for name, folder in names.items()}
    return ["%s=%s" % item for item in paths.items()], paths


def files(folder):
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_staging_directory(tmp_path):
    done = make("install", "DESTDIR=%s" % tmp_path)
    assert done.returncode == 0, done.stdout
    ask = "import sysconfig as s; print(s.get_path('purelib'), s.get_path('scripts'))"
    site, bindir = subprocess.check_output([PYTHON, "-c", ask], text=True).split()
    module = tmp_path / (version.LIBEXECDIR + "/mod_python.so").lstrip("/")
    assert module.read_bytes() == (REPOSITORY / "build/mod_python.so").read_bytes()
    sources = {name for name in files(REPOSITORY / "python/mod_python") if name != "_version.py"}
    package = tmp_path / site.lstrip("/") / "mod_python"
    assert files(package) == sources | {"_version.py"}
    assert (tmp_path / bindir.lstrip("/") / "mod_python").exists()
    includes = subprocess.check_output([APXS, "-q", "INCLUDEDIR"], text=True).strip()
    header = tmp_path / includes.lstrip("/") / "mod_python.h"
    assert header.read_bytes() == (REPOSITORY / "include/mod_python.h").read_bytes()
    # Nothing was written that a user could not read, and nothing they could write.
    for path in tmp_path.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o444 == 0o444 and not mode & 0o022, "%s has mode %o" % (path, mode)


def test_the_installed_package_knows_the_version_but_no_test_places(tmp_path):
    variables, paths = places(tmp_path)
    assert make("install", *variables).returncode == 0
    script = "from mod_python import version as v; print(v.version, v.HTTPD, [v.TESTHOME])"
    told = subprocess.check_output(
        [PYTHON, "-c", script], env={"PYTHONPATH": str(paths["PYTHON_SITE"])}, text=True
    )
    assert told.split() == [version.version, version.HTTPD, "['']"]


def test_the_installed_command(tmp_path):
    variables, paths = places(tmp_path)
    assert make("install", *variables).returncode == 0
    script = paths["BINDIR"] / "mod_python"
    executable = subprocess.check_output(
        [PYTHON, "-c", "import sys; print(sys.executable)"], text=True
    )
    assert script.read_text().splitlines()[0] == "#!" + executable.strip()
    told = subprocess.check_output(
        [script, "version"], env={"PYTHONPATH": str(paths["PYTHON_SITE"])}, text=True
    )
    assert "mod_python:  %s\n" % version.version in told


def test_debian_layout(tmp_path):
    variables, paths = places(tmp_path)
    available = paths["SYSCONFDIR"] / "mods-available"
    available.mkdir(parents=True)
    done = make("install", *variables)
    assert "a2enmod python" in done.stdout
    load = (available / "python.load").read_text()
    assert load == "LoadModule python_module %s/mod_python.so\n" % paths["LIBEXECDIR"]
    conf = available / "python.conf"
    assert conf.read_text() == (REPOSITORY / "conf/python.conf").read_text()

    conf.write_text("PythonDebug On\n")
    done = make("install", *variables)
    assert "was changed by hand: left as it is" in done.stdout
    assert conf.read_text() == "PythonDebug On\n"


def test_other_layouts_are_told_what_to_load(tmp_path):
    variables, paths = places(tmp_path)
    done = make("install", *variables)
    assert "LoadModule python_module %s/mod_python.so" % paths["LIBEXECDIR"] in done.stdout
    assert not paths["SYSCONFDIR"].exists()


def test_files_of_an_older_version_go(tmp_path):
    variables, paths = places(tmp_path)
    old = paths["PYTHON_SITE"] / "mod_python/old.py"
    old.parent.mkdir(parents=True)
    old.write_text("")
    assert make("install", *variables).returncode == 0
    assert not old.exists()


def test_uninstall_removes_all_of_it_and_nothing_else(tmp_path):
    variables, paths = places(tmp_path)
    (paths["SYSCONFDIR"] / "mods-available").mkdir(parents=True)
    (paths["LIBEXECDIR"]).mkdir()
    (paths["LIBEXECDIR"] / "mod_other.so").write_text("")
    assert make("install", *variables).returncode == 0
    assert make("uninstall", *variables).returncode == 0
    assert files(tmp_path) == {"modules/mod_other.so"}
    assert not (paths["PYTHON_SITE"] / "mod_python").exists()


def test_uninstall_refuses_while_enabled(tmp_path):
    variables, paths = places(tmp_path)
    (paths["SYSCONFDIR"] / "mods-available").mkdir(parents=True)
    assert make("install", *variables).returncode == 0
    enabled = paths["SYSCONFDIR"] / "mods-enabled"
    enabled.mkdir()
    (enabled / "python.load").symlink_to("../mods-available/python.load")
    done = make("uninstall", *variables)
    assert done.returncode != 0 and "a2dismod python" in done.stdout
    assert (paths["LIBEXECDIR"] / "mod_python.so").exists()


def test_files_of_system_packages_are_not_overwritten(tmp_path):
    variables, paths = places(tmp_path)
    paths["LIBEXECDIR"].mkdir()
    theirs = paths["LIBEXECDIR"] / "mod_python.so"
    theirs.write_text("theirs")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "dpkg").write_text('#!/bin/sh\necho "libapache2-mod-other: $2"\n')
    (tools / "dpkg").chmod(0o755)
    path = "%s:%s" % (tools, os.environ["PATH"])
    for target in ("install", "uninstall"):
        done = make(target, *variables, PATH=path)
        assert done.returncode != 0
        assert "belongs to a system package (libapache2-mod-other)" in done.stdout
        assert theirs.read_text() == "theirs"
        assert not paths["PYTHON_SITE"].exists()


@pytest.mark.skipif(
    not all(map(shutil.which, ("dpkg-deb", "dpkg-shlibdeps", "chrpath"))),
    reason="needs dpkg-dev and chrpath",
)
def test_debian_package():
    done = subprocess.run(
        ["tools/deb"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    package = REPOSITORY / done.stdout.split()[-3]

    def ask(*arguments):
        return subprocess.check_output(["dpkg-deb", *arguments], text=True)

    told = ask("--info", package)
    assert " Version: %s\n" % version.version in told
    depends = re.search(r"^ Depends: (.*)$", told, re.M).group(1)
    for wanted in ("libc6 ", "libpython3.", "apache2-api-", "python3 (>= 3.", "python3 (<< 3."):
        assert wanted in depends
    listed = [line.split() for line in ask("--contents", package).splitlines()]
    assert {row[1] for row in listed} == {"root/root"}
    names = {row[5].lstrip(".") for row in listed}
    assert {"/etc/apache2/mods-available/python.load", "/usr/bin/mod_python"} <= names
    assert version.LIBEXECDIR + "/mod_python.so" in names
    includes = subprocess.check_output([APXS, "-q", "INCLUDEDIR"], text=True).strip()
    assert includes + "/mod_python.h" in names
    assert "/usr/lib/python3/dist-packages/mod_python/apache.py" in names
    assert not any("__pycache__" in name for name in names)
    assert not (REPOSITORY / "build/deb").exists()


def test_install_before_build_says_what_to_do(tmp_path):
    tree = tmp_path / "tree"
    for name in ("tools", "conf", "include", "python"):
        # Other suites make and rename files in the package.
        aside = shutil.ignore_patterns("__pycache__", "*.new")
        shutil.copytree(REPOSITORY / name, tree / name, ignore=aside)
    for name in ("Makefile", "Cargo.toml"):
        shutil.copy(REPOSITORY / name, tree)
    done = subprocess.run(
        ["make", "install", "DESTDIR=%s" % (tmp_path / "stage")],
        cwd=tree,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "build/mod_python.so is missing: run make build first" in done.stdout
    assert not (tmp_path / "stage").exists()
