"""The `mod_python` command without a server: usage, errors, versions, create and genconfig."""

import os
import re
import shutil
import subprocess
import sys
import time

import pytest

from mod_python import version
from pyhttpd import Httpd, ModPython, Server, Site
from pyhttpd.install import REPOSITORY, InstallError
from pyhttpd.server import MPMS

pytestmark = pytest.mark.mpms("event")

COMMANDS = (
    "check create doctor genconfig module-config restart serve start status stop version"
).split()


def run(*arguments, package=REPOSITORY / "python", **options):
    """The command as a user types it; a subprocess.CompletedProcess with its texts."""
    environment = {**os.environ, "PYTHONPATH": str(package), "COLUMNS": "80"}
    return subprocess.run(
        [sys.executable, "-m", "mod_python", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=300,
        **options,
    )


def copy_package(target):
    """The package as it is in the working tree, below another directory."""
    shutil.copytree(
        REPOSITORY / "python/mod_python",
        target / "mod_python",
        # Other suites make and rename files there.
        ignore=shutil.ignore_patterns("__pycache__", "*.new"),
    )


@pytest.fixture
def package(tmp_path):
    """A copy of the package whose httpd prints its arguments instead of serving."""
    copy_package(tmp_path / "python")
    httpd = tmp_path / "httpd"
    httpd.write_text('#!/bin/sh\nfor word in "$0" "$@"; do echo "$word"; done\n')
    httpd.chmod(0o755)
    with open(tmp_path / "python/mod_python/_version.py", "a") as facts:
        facts.write("HTTPD = %r\n" % str(httpd))
    return tmp_path / "python"


@pytest.mark.parametrize(
    "arguments, error",
    [
        ([], "Please specify a command"),
        (["dance"], "Invalid command: dance"),
        (["start"], "Must specify <httpd.conf>"),
        (["stop", "a", "b"], "Must specify <httpd.conf>"),
        (["restart"], "Must specify <httpd.conf>"),
        (["status"], "Must specify <httpd.conf>"),
        (["doctor", "x"], "Takes no arguments"),
        (["module-config", "x"], "Takes no arguments"),
        (["genconfig"], "Must specify <src>"),
        (["genconfig", "/nowhere/x.py"], "No such file: /nowhere/x.py"),
        (["create", "--pythonhandler", "x"], "Must specify <directory>"),
        (["create", "somewhere"], "Must specify a --pythonhandler"),
        (["serve"], "Must specify one TARGET"),
        (["serve", "--listen", "x:y", "."], "--listen takes address:port or a port, not x:y"),
        (["serve", "--threads", "0", "."], "--threads must be at least 1"),
    ],
)
def test_errors(arguments, error):
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: mod_python ")
    assert done.stderr.endswith("\nmod_python: error: %s\n" % error)


def test_usage_lists_the_commands_in_order():
    done = run("--help")
    assert done.returncode == 0
    assert re.findall(r"^  ([\w-]+) ", done.stdout, re.M) == COMMANDS


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"version"}))
def test_each_command_has_help(command):
    done = run(command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: mod_python %s [options]" % command)


def test_version():
    done = run("version", "whatever", "follows")
    lines = done.stdout.split("\n")
    assert done.returncode == 0 and done.stderr == ""
    assert lines[0] == ""
    assert lines[1] == "mod_python:  " + version.version
    assert lines[2].strip() == repr(version.LIBEXECDIR + "/mod_python.so")
    assert lines[4] == "python:      " + " ".join(sys.version.split())
    assert lines[5].strip() == repr(version.PYTHON_BIN)
    assert lines[7] == "httpd:       " + version.HTTPD_VERSION
    assert lines[8].strip() == repr(version.HTTPD)
    assert lines[10] == "apr:         " + version.APR_VERSION
    assert lines[11].startswith("platform:    Linux" if sys.platform == "linux" else "platform: ")


def test_output_that_nobody_reads_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "mod_python", "version"],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY / "python")},
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (141, "")


def test_the_version_is_the_crates():
    cargo = (REPOSITORY / "Cargo.toml").read_text()
    assert 'version = "%s"' % version.version in cargo.splitlines()
    assert version.TEST_MOD_PYTHON_SO == str(REPOSITORY / "build/mod_python.so")
    assert version.TESTHOME == str(REPOSITORY / "tests")


def test_a_package_that_was_never_built_says_so(package):
    (package / "mod_python/_version.py").unlink()
    done = run("version", package=package)
    assert "mod_python:  not built (run `make build`)" in done.stdout
    done = run("start", "x", package=package)
    assert done.returncode == 2
    assert "The path of httpd is unknown" in done.stderr


@pytest.mark.parametrize(
    "command, signal", [("start", "start"), ("stop", "graceful-stop"), ("restart", "graceful")]
)
def test_start_stop_restart_become_httpd(package, tmp_path, command, signal):
    done = run(command, "/etc/some httpd.conf", package=package)
    httpd = str(tmp_path / "httpd")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [httpd, "-f", "/etc/some httpd.conf", "-k", signal]


def test_a_relative_configuration_is_the_one_here(package, tmp_path):
    (tmp_path / "here.conf").write_text("")
    done = run("start", "here.conf", package=package, cwd=tmp_path)
    assert done.stdout.splitlines()[2] == str(tmp_path / "here.conf")
    # One that is not here is left to httpd, which looks below its own root.
    done = run("start", "there.conf", package=package, cwd=tmp_path)
    assert done.stdout.splitlines()[2] == "there.conf"


def test_genconfig_runs_the_file(tmp_path):
    source = tmp_path / "site_conf.py"
    source.write_text(
        "from mod_python.httpdconf import *\n"
        "if __name__ == '__main__':\n"
        "    print(Container(Listen('8080'), PythonHandler('hello')))\n"
    )
    done = run("genconfig", source)
    assert done.returncode == 0
    assert done.stdout.split("\n")[:2] == ["Listen 8080", "PythonHandler hello"]


def generated(directory):
    done = run("genconfig", directory / "conf/httpd_conf.py")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_create(tmp_path):
    site = tmp_path / "site"
    done = run(
        *("create", site, "--listen", "127.0.0.1:1234", "--pythonhandler", "mypub"),
        *("--pythonpath", "/srv/a:/srv/b", "--pythonoption", "key value"),
        *("--pythonoption", "other thing"),
    )
    assert done.returncode == 0
    source = str(site / "conf/httpd_conf.py")
    assert "Writing %r." % source in done.stderr
    assert "genconfig %s > %s" % (source, site / "conf/httpd.conf") in done.stdout
    lines = generated(site).splitlines()
    assert "Listen 127.0.0.1:1234" in lines
    assert "PythonHandler mypub" in lines
    assert "PythonPath \"sys.path+['/srv/a','/srv/b',]\"" in lines
    assert "PythonOption key value" in lines and "PythonOption other thing" in lines
    assert not any("wsgi" in line for line in lines)


def test_create_has_defaults(tmp_path):
    assert run("create", tmp_path / "site", "--pythonhandler", "mypub").returncode == 0
    text = generated(tmp_path / "site")
    assert "\nListen 8888\n" in text
    assert "PythonPath" not in text  # an empty --pythonpath is none


def test_create_for_wsgi_names_the_real_option(tmp_path):
    assert run("create", tmp_path / "site", "--pythonhandler", "mod_python.wsgi").returncode == 0
    text = generated(tmp_path / "site")
    assert "mod_python.wsgi.base_uri" in text and "base_url" not in text


def test_create_keeps_what_is_there(tmp_path):
    run("create", tmp_path / "site", "--pythonhandler", "first")
    source = tmp_path / "site/conf/httpd_conf.py"
    before = source.read_text()
    done = run("create", tmp_path / "site", "--pythonhandler", "second")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.endswith("Error: %r already exists, aborting.\n" % str(source))
    assert source.read_text() == before


def test_create_without_a_parent_directory_is_an_error(tmp_path):
    done = run("create", tmp_path / "a/b", "--pythonhandler", "x")
    assert done.returncode == 2
    assert done.stderr.startswith("Creating directory")
    assert "mod_python: error: " in done.stderr and "No such file or directory" in done.stderr


def test_the_package_imports_outside_httpd():
    script = (
        "import mod_python, mod_python.httpdconf\n"
        "print(mod_python.mp_version == mod_python.version.version)\n"
        "print(hasattr(mod_python, 'apache'))\n"
        "try:\n    import mod_python.apache\nexcept ModuleNotFoundError as e:\n    print(e.name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(REPOSITORY / "python")},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["True", "False", "_apache"]


def findings(done, kind):
    """The texts of doctor's findings of a kind."""
    return [line[8:] for line in done.stdout.splitlines() if line.startswith(kind)]


def test_doctor_finds_nothing_wrong_with_what_the_tests_use(tmp_path):
    copy_package(tmp_path / "python")
    module = ModPython.ours().shared_object
    done = run("doctor", "--module", module, package=tmp_path / "python")
    fine = findings(done, "ok")
    assert "httpd loads it" in fine
    assert "the module is %s" % module in fine
    assert any(text.startswith("it runs /") and "libpython3" in text for text in fine)
    # pytest's directories are closed to others, and doctor tells who cannot read them.
    closed = "cannot read the package, %s" % tmp_path
    assert all(closed in text for text in findings(done, "TROUBLE"))


def test_doctor_looks_at_the_library_of_the_python_the_module_was_built_for(tmp_path):
    copy_package(tmp_path / "python")
    other = tmp_path / "other-python"
    other.write_text("#!/bin/sh\necho %s/lib\n" % tmp_path)
    other.chmod(0o755)
    (tmp_path / "lib").mkdir()
    with open(tmp_path / "python/mod_python/_version.py", "a") as facts:
        facts.write("PYTHON_BIN = %r\n" % str(other))
    done = run("doctor", package=tmp_path / "python")
    assert "Python's library, %s/lib" % tmp_path in done.stdout


def test_doctor_tells_what_is_missing(tmp_path):
    done = run("doctor", "--module", tmp_path / "no.so", "--httpd", tmp_path / "no-httpd")
    assert done.returncode == 1
    trouble = findings(done, "TROUBLE")
    assert any("no-httpd does not run: " in text for text in trouble)
    assert any("no.so does not exist" in text for text in trouble)


def test_doctor_shows_why_httpd_does_not_load_a_file(tmp_path):
    (tmp_path / "mod_python.so").write_text("PythonInterpPerServer, but no shared object")
    done = run("doctor", "--module", tmp_path / "mod_python.so")
    assert done.returncode == 1
    assert any("httpd does not load it" in text for text in findings(done, "TROUBLE"))
    assert "Cannot load %s/mod_python.so into server" % tmp_path in done.stdout


def test_doctor_names_a_library_that_is_gone(tmp_path):
    """What an upgrade of Python leaves behind: a module whose libpython went away."""
    (tmp_path / "empty.c").write_text("int nothing;\n")
    (tmp_path / "module.c").write_text(
        'const char *marks[] = {"PythonInterpPerServer", "%s"};\n'
        "extern int nothing; int *use(void) { return &nothing; }\n" % version.version
    )
    gone, module = tmp_path / "libpython3.99.so", tmp_path / "mod_python.so"
    for source, target in (("empty.c", [gone]), ("module.c", [module, gone])):
        named = "-Wl,-soname," + target[0].name
        command = ["cc", "-shared", "-fPIC", named, tmp_path / source, "-o", *target]
        subprocess.run(list(map(str, command)), check=True)
    gone.unlink()
    done = run("doctor", "--module", module)
    assert done.returncode == 1
    trouble = findings(done, "TROUBLE")
    assert any("libpython3.99.so, which is not found" in text for text in trouble), done.stdout
    assert any("httpd does not load it" in text for text in trouble), done.stdout
    assert not any(text.startswith("it runs") for text in findings(done, "ok")), done.stdout


def test_doctor_knows_the_original():
    try:
        original = ModPython.original().shared_object
    except InstallError as error:
        pytest.skip(str(error))
    done = run("doctor", "--module", original)
    assert done.returncode == 1
    assert any("another mod_python" in text for text in findings(done, "TROUBLE"))


def test_module_config():
    done = run("module-config")
    module = REPOSITORY / "build/mod_python.so"
    # The tests run in a virtual environment, so its place is told too.
    assert done.stdout.splitlines() == [
        'LoadModule python_module "%s"' % module,
        'PythonHome "%s"' % sys.prefix,
    ]


@pytest.mark.mpms(*MPMS)
def test_status(mpm, mod_python):
    server = Server(Site(children=2), mod_python=mod_python, mpm=mpm)
    conf = server.write_configuration()
    try:
        done = run("status", conf)
        pid_file = server.root / "run/httpd.pid"
        assert (done.returncode, done.stdout) == (3, "not running (%s)\n" % pid_file)
        server.start()
        # One child answers, the other may not have been started yet.
        deadline = time.monotonic() + 60
        while len(server.children()) < 2:
            assert time.monotonic() < deadline, server.said()
            time.sleep(0.01)
        lines = run("status", conf).stdout.splitlines()
        assert lines[0].startswith("running since ")
        assert lines[1].startswith("httpd        pid %d, up " % server.process.pid)
        assert lines[2] == "mod_python   %s" % mod_python.shared_object
        told = {int(pid) for pid in re.findall(r"^child +pid (\d+), ", "\n".join(lines), re.M)}
        assert told == server.children()
        pid_file.write_text("nonsense")
        done = run("status", conf)
        assert done.returncode == 4 and "%s cannot be used" % pid_file in done.stdout
    finally:
        server.close()


def test_status_of_a_configuration_httpd_refuses(tmp_path):
    (tmp_path / "httpd.conf").write_text("NoSuchDirective\n")
    done = run("status", tmp_path / "httpd.conf")
    assert done.returncode == 4
    assert "does not accept %s/httpd.conf" % tmp_path in done.stdout
    assert "AH00534" in done.stdout or "NoSuchDirective" in done.stdout


DIRECTIVES = set(
    re.findall(r'c"(Python\w+)"', (REPOSITORY / "src/config/directives.rs").read_text())
)


def test_python_conf_has_every_directive_once():
    text = (REPOSITORY / "conf/python.conf").read_text()
    named = re.findall(r"^#?(Python\w+)", text, re.M)
    assert len(DIRECTIVES) >= 26
    assert sorted(named) == sorted(DIRECTIVES)


def test_python_load_names_the_module():
    text = (REPOSITORY / "conf/python.load.in").read_text()
    assert text == "LoadModule python_module @LIBEXECDIR@/mod_python.so\n"


def test_paths_are_of_this_machine():
    httpd = Httpd.find()
    assert version.HTTPD == str(httpd.binary)
    assert version.LIBEXECDIR == str(httpd.modules)
