"""tools/system-packages with stand-ins for apt, apxs, cargo: what it installs and names."""

import os
import shutil
import subprocess

import pytest

from pyhttpd.install import REPOSITORY

pytestmark = pytest.mark.mpms("event")

PYTHON = os.environ.get("PYO3_PYTHON", "/usr/bin/python3")
# The tools the script itself needs; everything else it looks for is there only as a stand-in.
TOOLS = "sh sed grep sort head dirname printf env ls id ldconfig cat mv".split()

APXS = """case "$2" in
sbindir) echo {here} ;;
progname) echo httpd ;;
LIBEXECDIR) echo {here}/modules ;;
esac"""
# Installing apache2-dev makes apxs and httpd appear, gcc makes cc: as on a real system.
APT_GET = """echo "apt-get $*" >>{here}/calls
for word in "$@"; do
    case "$word" in
    apache2-dev) mv {here}/later/apxs {here}/later/httpd {here}/ ;;
    cargo) mv {here}/later/cargo {here}/ ;;
    esac
done"""


@pytest.fixture
def system(tmp_path):
    """A PATH in which everything is installed; returns a System to take things away from."""
    here = tmp_path / "bin"
    (here / "later").mkdir(parents=True)
    (here / "modules").mkdir()
    for name in TOOLS:
        found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
        assert found, name
        (here / name).symlink_to(found)
    return System(here)


class System:
    def __init__(self, here):
        self.here = here
        self.add("apxs", APXS)
        self.add("httpd", "true")
        self.add("cc", "true")
        self.add("redis-server", "true")
        self.add("memcached", "true")
        self.add("cargo", "echo 'cargo 1.99.0 (x 2030-01-01)'")
        for module in ("mod_python.so", "mod_wsgi.so"):
            (here / "modules" / module).write_text("")

    def add(self, name, script):
        path = self.here / name
        path.write_text("#!/bin/sh\n%s\n" % script.replace("{here}", str(self.here)))
        path.chmod(0o755)

    def take(self, *names):
        for name in names:
            (self.here / name).rename(self.here / "later" / name)

    def with_apt(self, cargo="1.99.0+dfsg"):
        """apt works, and we are root."""
        self.add("apt-get", APT_GET)
        self.add("apt-cache", "echo '  Candidate: %s'" % cargo)
        (self.here / "id").unlink()
        self.add("id", "echo 0")

    def run(self, *steps):
        done = subprocess.run(
            [REPOSITORY / "tools/system-packages", *steps],
            env={"PATH": str(self.here), "PYO3_PYTHON": PYTHON, "LIBCLANG_PATH": "/somewhere"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    def calls(self):
        path = self.here / "calls"
        return path.read_text().splitlines() if path.exists() else []


def test_nothing_is_asked_of_apt_when_nothing_is_missing(system):
    system.with_apt()
    assert system.run("build") == (0, "")
    assert system.calls() == []


def test_without_apt_everything_missing_is_named_at_once(system):
    system.take("apxs", "cc", "cargo")
    status, said = system.run("build")
    assert status == 1
    assert "apxs (Debian: apache2-bin apache2-dev)" in said
    assert "a C compiler, which links the module (Debian: gcc)" in said
    assert "https://rustup.rs" in said


def test_apt_installs_what_is_missing(system):
    system.with_apt()
    system.take("apxs", "httpd", "cargo")
    status, said = system.run("build")
    assert (status, said) == (0, "==> Installing system packages: apache2-bin apache2-dev cargo\n")
    assert system.calls() == [
        "apt-get -qq update",
        "apt-get -qq -y --no-install-recommends install apache2-bin apache2-dev cargo",
    ]


def test_package_lists_are_fetched_before_apt_is_asked_for_rust(system):
    system.with_apt()
    system.add("apt-cache", "[ -e {here}/calls ] && echo '  Candidate: 1.99.0'")
    system.take("cargo")
    status, said = system.run("build")
    assert (status, said) == (0, "==> Installing system packages: cargo\n")
    assert [call.split()[2] for call in system.calls()] == ["update", "-y"]


def test_an_apt_that_fails_leaves_a_sentence(system):
    system.with_apt()
    system.add("apt-get", '[ "$2" = update ]')
    system.take("apxs")
    status, said = system.run("build")
    assert status == 1
    assert "These packages could not be installed: apache2-bin apache2-dev" in said
    assert "httpd 2.4 with its development files" in said


@pytest.mark.parametrize("offered", ["0.66.0+ds1-1", "1.63.0", "(none)"])
def test_a_rust_that_is_too_old_is_not_installed(system, offered):
    system.with_apt(cargo=offered)
    system.take("cargo")
    status, said = system.run("build")
    assert status == 1
    assert "Rust 1." in said and "https://rustup.rs" in said
    assert not any("install" in call for call in system.calls())


def test_an_old_rust_on_path_is_named_even_if_apt_has_a_new_one(system):
    system.with_apt()
    system.add("cargo", "echo 'cargo 1.60.0 (x)'")
    status, said = system.run("build")
    assert status == 1
    assert "found: 1.60" in said
    assert not any("install" in call for call in system.calls())


def test_a_python_that_does_not_exist_is_named(system):
    done = subprocess.run(
        [REPOSITORY / "tools/system-packages", "build"],
        env={"PATH": str(system.here), "PYO3_PYTHON": "/nowhere/python3", "LIBCLANG_PATH": "/x"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "/nowhere/python3, which PYO3_PYTHON names, does not exist" in done.stdout


def test_modules_to_compare_with_are_wished_for_not_needed(system):
    (system.here / "modules/mod_python.so").unlink()
    status, said = system.run("build", "test")
    assert (status, said) == (0, "")  # without apt there is nothing to be done
    system.with_apt()
    system.add("a2dismod", 'echo "a2dismod $*" >>{here}/calls')
    status, said = system.run("build", "test")
    assert status == 0
    assert system.calls()[1:] == [
        "apt-get -qq -y --no-install-recommends install libapache2-mod-python",
        "a2dismod -q -f python",  # the system's own server stays as it was
    ]
