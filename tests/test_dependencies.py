"""What the module is built from: locked, from the registry, under licences that go with ours."""

import json
import re
import shutil
import subprocess

import pytest

from pyhttpd.install import REPOSITORY

pytestmark = pytest.mark.mpms("event")

ALLOWED = {
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
}


@pytest.fixture(scope="module")
def packages():
    cargo = shutil.which("cargo")
    if cargo is None:
        pytest.skip("no cargo")
    done = subprocess.run(
        [cargo, "metadata", "--locked", "--offline", "--format-version", "1"],
        cwd=str(REPOSITORY),
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["packages"]


def is_allowed(expression):
    """Whether one of the alternatives of an SPDX expression has allowed licences only."""
    flat = expression.replace("/", " OR ")
    if "(" in flat:
        # Such as "(MIT OR Apache-2.0) AND Unicode-3.0": all the parts must do.
        parts = re.split(r"\s+AND\s+", flat)
        return all(is_allowed(part.strip("() ")) for part in parts)
    return any(
        all(name.strip() in ALLOWED for name in alternative.split(" AND "))
        for alternative in flat.split(" OR ")
    )


def test_licences(packages):
    assert is_allowed("(MIT OR GPL-3.0) AND ISC") and not is_allowed("MIT AND GPL-3.0")
    refused = {one["name"]: one["license"] for one in packages if not is_allowed(one["license"])}
    assert refused == {}


def test_sources(packages):
    others = {one["name"]: one["source"] for one in packages if one["name"] != "mod_python"}
    assert all((source or "").startswith("registry+") for source in others.values()), others


def test_checksums():
    lock = (REPOSITORY / "Cargo.lock").read_text()
    for package in lock.split("[[package]]")[1:]:
        assert 'name = "mod_python"' in package or "\nchecksum = " in package, package
