"""tools/side-by-side: targets at once, output in order, and which of them failed."""

import re
import subprocess

import pytest

from pyhttpd.install import REPOSITORY

pytestmark = pytest.mark.mpms("event")

# `first` ends when `second` has; `fails` says something on its way.
MAKEFILE = """
first:
\t@echo first begins; while [ ! -e done ]; do sleep 0.05; done; echo first ends
second:
\t@echo second; touch done
fails:
\t@echo fails >&2; exit 3
"""


def make(folder, jobs, *targets):
    (folder / "Makefile").write_text(MAKEFILE)
    return subprocess.run(
        [REPOSITORY / "tools/side-by-side", str(jobs), *targets],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def untimed(text):
    return re.sub(r"after \d+ s", "after", text).splitlines()


def test_at_once_and_in_order(tmp_path):
    done = make(tmp_path, 2, "first", "second")
    assert done.returncode == 0, done.stderr
    assert untimed(done.stdout) == [
        "first begins",
        "first ends",
        "second",
        "==> first: ok after",
        "==> second: ok after",
    ]


def test_a_failure_is_told_and_the_others_go_on(tmp_path):
    done = make(tmp_path, 1, "fails", "second")
    assert done.returncode == 1
    said = untimed(done.stdout)
    # What make says of it differs from version to version.
    assert said[0] == "fails" and said[-3:] == [
        "second",
        "==> fails: failed after",
        "==> second: ok after",
    ]
