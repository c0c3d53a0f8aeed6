"""What the module is built from: as `deny.toml` has it, which `make audit` has cargo-deny read.

This needs no network, so that it does not look into an advisory database.
"""

import collections
import json
import re
import shutil
import subprocess

import pytest

from pyhttpd.install import REPOSITORY

pytestmark = pytest.mark.mpms("event")

MANIFESTS = ("Cargo.toml", "tests/fuzz/Cargo.toml")


@pytest.fixture(scope="module", params=MANIFESTS)
def packages(request):
    cargo = shutil.which("cargo")
    if cargo is None:
        pytest.skip("no cargo")
    host = re.search(r"^host: (.*)$", subprocess.check_output(["rustc", "-vV"], text=True), re.M)
    options = ["--locked", "--offline", "--format-version", "1", "--filter-platform", host[1]]
    done = subprocess.run(
        [cargo, "metadata", "--manifest-path", str(REPOSITORY / request.param), *options],
        capture_output=True,
        check=False,
        text=True,
    )
    if request.param != MANIFESTS[0] and "--offline" in done.stderr:
        pytest.skip("the fuzzer's crates are not here")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["packages"]


@pytest.fixture(scope="module")
def rules():
    tomllib = pytest.importorskip("tomllib")
    return tomllib.loads((REPOSITORY / "deny.toml").read_text())


def is_allowed(expression, allowed):
    """Whether one of the alternatives of an SPDX expression has allowed licences only."""
    flat = expression.replace("/", " OR ")
    if "(" in flat:
        # Such as "(MIT OR Apache-2.0) AND Unicode-3.0": all the parts must do.
        parts = re.split(r"\s+AND\s+", flat)
        return all(is_allowed(part.strip("() "), allowed) for part in parts)
    return any(
        all(name.strip() in allowed for name in alternative.split(" AND "))
        for alternative in flat.split(" OR ")
    )


def is_ours(package):
    return package["name"] in ("mod_python", "mod_python-fuzz")


def test_licences(packages, rules):
    allowed = set(rules["licenses"]["allow"])
    assert is_allowed("(MIT OR GPL-3.0) AND ISC", allowed)
    assert not is_allowed("MIT AND GPL-3.0", allowed)
    refused = {
        one["name"]: one["license"]
        for one in packages
        if not is_ours(one) and not is_allowed(one["license"] or "none", allowed)
    }
    # libFuzzer itself, which is linked into no module.
    if any(one["name"] == "mod_python-fuzz" for one in packages):
        refused.pop("libfuzzer-sys", None)
    assert refused == {}


def test_sources(packages):
    others = {one["name"]: one["source"] for one in packages if not is_ours(one)}
    assert all((source or "").startswith("registry+") for source in others.values()), others


def test_no_crate_twice_and_none_that_is_banned(packages, rules):
    banned = {rule["crate"] for rule in rules["bans"]["deny"]}
    names = collections.Counter(one["name"] for one in packages)
    if "mod_python-fuzz" in names:
        banned.discard("cc")  # libFuzzer is C++
    assert [name for name, count in names.items() if count > 1] == []
    assert not banned & set(names)


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_checksums(manifest):
    lock = (REPOSITORY / manifest).with_name("Cargo.lock").read_text()
    for package in lock.split("[[package]]")[1:]:
        is_own = re.search(r'^name = "mod_python(-fuzz)?"$', package, re.M)
        assert is_own or "\nchecksum = " in package, package


def test_the_python_package_needs_nothing():
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project.get("dependencies", []) == []


def test_what_the_tests_need_is_pinned():
    for path in [*REPOSITORY.glob("tests/requirements*.txt"), REPOSITORY / "docs/requirements.txt"]:
        for line in path.read_text().splitlines():
            requirement = line.partition("#")[0].strip()
            assert not requirement or re.match(r"[\w.\[\]-]+==[\w.]+( *;.*)?$", requirement), line
