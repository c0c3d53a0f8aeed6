"""Writes mod_python/_version.py: the facts of one build, asked from Cargo.toml, apxs and Python.

Run by `make build` and `make install` with the Python the module is linked against:

    python3 python/write_version.py OUTPUT [--apxs APXS] [--test-module SO --test-home DIR]

Cargo.toml is the one place where the version number is written.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CARGO_TOML = os.path.join(os.path.dirname(HERE), "Cargo.toml")


def crate_version(path=CARGO_TOML):
    """The version of the crate; SystemExit when Cargo.toml names none."""
    with open(path, encoding="utf-8") as toml:
        found = re.search(r'^version\s*=\s*"([^"]+)"', toml.read(), re.MULTILINE)
    if not found:
        raise SystemExit("%s: no version line in it" % path)
    return found.group(1)


def ask(*command):
    """The output of a command in one line; SystemExit naming it when it fails."""
    try:
        return subprocess.check_output(command, universal_newlines=True).strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit("%s failed: %s" % (" ".join(command), error)) from error


def httpd_facts(apxs):
    """What apxs knows of the server; the binary itself is asked where an old apxs is silent."""
    httpd = os.path.join(ask(apxs, "-q", "sbindir"), ask(apxs, "-q", "progname"))
    version = ask(apxs, "-q", "HTTPD_VERSION")
    if not version:
        version = re.search(r"Apache/(\S+)", ask(httpd, "-v")).group(1)
    apr_config = ask(apxs, "-q", "APR_CONFIG") or "apr-1-config"
    return {
        "HTTPD": httpd,
        "HTTPD_VERSION": version,
        "APR_VERSION": ask(apr_config, "--version"),
        "LIBEXECDIR": ask(apxs, "-q", "LIBEXECDIR"),
        "SYSCONFDIR": ask(apxs, "-q", "SYSCONFDIR"),
    }


def write(output, apxs=None, test_module="", test_home=""):
    """Write the file `output`; the two test places are empty in what is installed."""
    apxs = apxs or os.environ.get("APXS") or shutil.which("apxs") or shutil.which("apxs2")
    facts = {"version": crate_version(), "PYTHON_BIN": sys.executable}
    facts.update(httpd_facts(apxs or "apxs"))
    facts["TEST_MOD_PYTHON_SO"] = test_module
    facts["TESTHOME"] = test_home

    text = '"""The facts of this build, written by write_version.py: not to be edited."""\n\n'
    text += "".join('%s = "%s"\n' % (k, v.replace("\\", "\\\\")) for k, v in facts.items())
    try:
        with open(output, encoding="utf-8") as old:
            if old.read() == text:
                return
    except FileNotFoundError:
        pass
    # Written aside and renamed, so that a server starting meanwhile never reads half a file.
    aside = output + ".new"
    with open(aside, "w", encoding="utf-8") as new:
        new.write(text)
    os.replace(aside, output)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", help="the file to write")
    parser.add_argument("--apxs")
    parser.add_argument("--test-module", default="", help="TEST_MOD_PYTHON_SO")
    parser.add_argument("--test-home", default="", help="TESTHOME")
    options = parser.parse_args()
    write(options.output, options.apxs, options.test_module, options.test_home)


if __name__ == "__main__":
    main()
