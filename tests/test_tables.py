"""Every row of the tables of objects and modules, looked at in a running server."""

import json
import pathlib
import re

import pytest

from pyhttpd import ModPython, Site, client
from pyhttpd.install import InstallError

tomllib = pytest.importorskip("tomllib")  # Python 3.11

TABLES = pathlib.Path(__file__).parent / "compat/tables"
OBJECTS = tomllib.loads((TABLES / "objects.toml").read_text())
MODULES = tomllib.loads((TABLES / "apache.toml").read_text())

SITE = Site(
    conf="""
        PythonPath "['@root@/htdocs'] + sys.path"
        <Directory @root@/htdocs/walk>
            SetHandler mod_python
            PythonHandler walker
        </Directory>
        PythonOutputFilter walker TABLE_WALK
        <Location /filtered.txt>
            SetOutputFilter TABLE_WALK
        </Location>
    """,
    files={
        "walker.py": (TABLES / "walker.py").read_text(),
        "plan.json": json.dumps({"objects": OBJECTS, "apache": MODULES}),
        "filtered.txt": "text",
        "walk/page.txt": "text",
    },
)


def _findings(server):
    """Class or module -> row -> what was found."""
    found = client.get(server.port, "/filtered.txt").text
    assert found.startswith("{"), found
    found = json.loads(found)
    for name in [*OBJECTS, *MODULES]:
        if name != "mp_filter":
            answer = client.get(server.port, f"/walk/page.txt?{name}")
            assert answer.status == 200, (name, answer)
            found.update(json.loads(answer.text))
    return found


@pytest.fixture(scope="module", params=["ours", "original"])
def walked(request, make_server, mpm):
    """What was found under our module, or under the original: its name and the findings."""
    if mpm != "event":
        pytest.skip("the objects are the same under every MPM")
    if request.config.getoption("--only-original") and request.param == "ours":
        pytest.skip("--only-original")
    try:
        mod_python = ModPython.ours() if request.param == "ours" else ModPython.original()
    except InstallError as error:
        if request.param == "ours":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
    with make_server(SITE, mod_python=mod_python) as server:
        return request.param, _findings(server)


def _is_a(found, declared):
    """Whether a type as the walker describes it is one of those a row declares."""
    for choice in re.split(r" \| (?![^\[]*\])", declared):
        if choice == "Any" or found == choice:
            return True
        if choice.endswith(", ...]"):
            part = choice[len("tuple[") : -len(", ...]")]
            if found.startswith("tuple[") and set(found[6:-1].split(", ")) <= {part, ""}:
                return True
        elif choice in {"tuple", "list"} and found.startswith(choice + "["):
            return True
        elif choice.startswith("list[") and found in {"list[]", choice}:
            return True
    return False


def _is_error(found, wanted):
    """Whether an error is the wanted one; wanted without text means any text."""
    return found == wanted or (":" not in wanted and found.split(":")[0] == wanted)


def _errors(row, found):
    for statement, *wanted in row.get("errors", ()):
        error = found["errors"][statement]
        assert error != "fine", f"{statement} raises nothing"
        assert _is_error(error, *wanted), (statement, error)


def _check_signature(row, found):
    assert found["signature"] == row["signature"]
    if "keywords" in found:
        error = found["keywords"]
        assert error != "fine" and "keyword" not in error, error


ATTRIBUTES = [(name, row) for name, table in OBJECTS.items() for row in table.get("attributes", ())]
METHODS = [(name, row) for name, table in OBJECTS.items() for row in table.get("methods", ())]
OPERATIONS = [(name, row) for name, table in OBJECTS.items() for row in table.get("operations", ())]
FUNCTIONS = [(name, row) for name, table in MODULES.items() for row in table["functions"]]


def _ids(pairs):
    return [f"{name}.{row.get('name') or row['operation']}" for name, row in pairs]


@pytest.mark.parametrize(("name", "row"), ATTRIBUTES, ids=_ids(ATTRIBUTES))
def test_attribute(walked, name, row):
    which, found = walked
    if which == "original" and "differs" in row:
        pytest.skip("differs on purpose: " + row["differs"])
    found = found[name][row["name"]]
    assert _is_a(found["type"], row["type"]), found
    if which == "ours":
        assert found["in_dir"], "not in dir()"
    if "writable" in row:
        assert found.get("assigned", "fine") == "fine", found
        assert found.get("kept", True), "assigning its own value changed it"
        for value, error in found["wrong"]:
            assert error.startswith(("TypeError", "ValueError")), (value, error)
        assert found.get("none") in (None, ["fine", True]), found
        if which == "ours":
            assert re.match("AttributeError|TypeError", found["deleted"]), found
            assert found["left"]
    else:
        readonly = row.get("readonly", OBJECTS[name]["readonly"]).format(name=row["name"])
        assert _is_error(found["assigned"], readonly), found
    if which == "ours" or "differs" not in row:
        _errors(row, found)


@pytest.mark.parametrize(("name", "row"), METHODS, ids=_ids(METHODS))
def test_method(walked, name, row):
    which, found = walked
    if which == "original" and row.get("differs") == "new":
        pytest.skip("mod_python 3.5 has no such method")
    found = found[name][row["name"] + "()"]
    assert found["callable"]
    if which == "ours":
        assert found["in_dir"], "not in dir()"
        _check_signature(row, found)
    if "returned" in found:
        assert _is_a(found["returned"], row["returns"]), found
    if which == "ours" or "differs" not in row:
        _errors(row, found)


@pytest.mark.parametrize(("name", "row"), OPERATIONS, ids=_ids(OPERATIONS))
def test_operation(walked, name, row):
    which, found = walked
    found = found[name][row["operation"]]
    if which == "ours" or "differs" not in row:
        assert _is_a(found["value"], row["type"]), found
        _errors(row, found)


@pytest.mark.parametrize("name", OBJECTS)
def test_class(walked, name):
    which, found = walked
    found = found[name]["class"]
    assert (found["name"], found["module"]) == (name, "builtins")
    if name != "mp_table":
        assert found["made"] == f"TypeError: cannot create '{name}' instances" or (
            name == "dictionary-iterator" and found["made"].startswith("TypeError")
        )
    if which == "ours":
        table = OBJECTS[name]
        rows = table.get("attributes", []) + table.get("methods", [])
        assert sorted(found["dir"]) == sorted(row["name"] for row in rows)


@pytest.mark.parametrize(
    "name", [name for name, table in OBJECTS.items() if table.keys() & {"absent", "constructor"}]
)
def test_what_a_class_refuses(walked, name):
    _which, found = walked
    table = OBJECTS[name]
    _errors({"errors": table.get("absent", ())}, found[name]["absent"])
    if "constructor" in table:
        _errors(table["constructor"], found[name]["constructor"])


@pytest.mark.parametrize(("name", "row"), FUNCTIONS, ids=_ids(FUNCTIONS))
def test_function(walked, name, row):
    which, found = walked
    if which == "original" and row.get("differs") == "new":
        pytest.skip("mod_python 3.5 has no such function")
    found = found[name][row["name"] + "()"]
    assert found["callable"]
    if which == "ours":
        _check_signature(row, found)
    if "returned" in found:
        assert _is_a(found["returned"], row["returns"]), found
    if which == "ours" or "differs" not in row:
        _errors(row, found)


@pytest.mark.parametrize("name", MODULES)
def test_attributes_of_modules(walked, name):
    which, found = walked
    for row in MODULES[name]["attributes"]:
        one = found[name][row["name"]]
        assert _is_a(one["type"], row["type"]), (row["name"], one)
        assert one.get("value", 0) == (int(row["about"]) if row["about"].isdigit() else 0)
        if which == "ours":
            assert one["in_dir"], row["name"]
    for row in MODULES[name].get("classes", ()):
        one = found[name][row["name"]]
        assert one["type"] == "type", row["name"]
        assert one["methods"] == [method for method, _ in row["methods"]], row["name"]
    for reexport in MODULES[name].get("reexports", ()):
        assert found[name][reexport]["same"], reexport


def test_constants(walked):
    which, found = walked
    for group in MODULES["apache"]["constants"]:
        if which == "original" and group.get("new"):
            continue
        for name, value in group["values"].items():
            one = found["apache"][name]
            assert (one["value"], type(one["value"])) == (value, type(value)), name
            if which == "ours":
                assert one["in_dir"], name
