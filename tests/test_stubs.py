"""_apache.pyi names what the module in a running server has, and nothing else."""

import ast
import json
import pathlib

import pytest

from pyhttpd import Site, client

STUB = pathlib.Path(__file__).parents[1] / "python/_apache.pyi"

SITE = Site(
    conf="""
        PythonPath "['@root@/htdocs'] + sys.path"
        <Location /dump>
            SetHandler mod_python
            PythonHandler dump
        </Location>
    """,
    files={
        "dump.py": """
            import inspect, json
            import _apache
            from mod_python import apache

            # What every class has, or what CPython derives from another special method.
            COMMON = set('''
                __class__ __delattr__ __dict__ __dir__ __doc__ __format__ __ge__ __getattribute__
                __getstate__ __gt__ __init_subclass__ __le__ __lt__ __module__ __reduce__
                __reduce_ex__ __repr__ __setattr__ __sizeof__ __str__ __subclasshook__ __weakref__
            '''.split())

            def signature(thing):
                try:
                    return str(inspect.signature(thing))
                except (TypeError, ValueError):
                    return None

            def members(kind, thing):
                names = (set(dir(thing)) | set(dir(kind))) - COMMON
                for name in ("__new__", "__init__", "__eq__", "__ne__", "__hash__"):
                    if kind.__dict__.get(name) is None:
                        names.discard(name)
                if "__init__" in names:
                    names.discard("__new__")  # which takes anything then
                found = {}
                for name in sorted(names):
                    value = inspect.getattr_static(kind, name, None)
                    if inspect.isgetsetdescriptor(value) or value is None:
                        found[name] = "attribute"
                    elif name.startswith("__"):
                        found[name] = "special"
                    else:
                        found[name] = signature(value)
                return found

            def handler(req):
                found = {}
                for name, value in vars(_apache).items():
                    if name.startswith("__"):
                        continue
                    if isinstance(value, type) and not issubclass(value, BaseException):
                        # A finfo has no descriptors.
                        thing = req.finfo if value is type(req.finfo) else value
                        found[name] = members(value, thing)
                    elif isinstance(value, type):
                        found[name] = "exception"
                    elif callable(value):
                        found[name] = signature(value)
                    else:
                        found[name] = "constant " + type(value).__name__
                req.write(json.dumps(found))
                return apache.OK
        """
    },
)


def _signature(function, is_method):
    """As inspect.signature() shows it, without annotations."""
    function.returns = None
    arguments = function.args
    for one in arguments.posonlyargs + arguments.args + arguments.kwonlyargs:
        one.annotation = None
    if is_method and arguments.args:
        # CPython shows it positional-only or not, as the class happens to be made.
        arguments.args = arguments.args[1:]
    return f"({ast.unparse(arguments)})"


def _members(node):
    found = {}
    for one in node.body:
        if isinstance(one, ast.AnnAssign):
            found[one.target.id] = "attribute"
        elif isinstance(one, ast.FunctionDef):
            if any(isinstance(name, ast.Name) for name in one.decorator_list):
                found[one.name] = "attribute"
            elif one.name.startswith("__"):
                found[one.name] = "special"
            elif not one.decorator_list:
                found[one.name] = _signature(one, is_method=True)
    # Programs may set any attribute; which has no name.
    for name in ("__getattr__", "__setattr__"):
        found.pop(name, None)
    return found


def _stubbed():
    """What the stub says: name -> a class's members, a function's signature, a constant's type."""
    found = {}
    classes = {}
    for node in ast.parse(STUB.read_text()).body:
        if isinstance(node, ast.ClassDef):
            bases = [base.id for base in node.bases]
            is_exception = bases in (["Exception"], ["BaseException"])
            classes[node.name] = "exception" if is_exception else _members(node)
            if bases != ["Protocol"]:
                found[node.name] = classes[node.name]
        elif isinstance(node, ast.FunctionDef):
            found[node.name] = _signature(node, is_method=False)
        elif isinstance(node, ast.AnnAssign):
            found[node.target.id] = "constant " + node.annotation.id
        elif isinstance(node, ast.Assign) and getattr(node.value, "id", None) in classes:
            found[node.targets[0].id] = classes[node.value.id]
    return found


@pytest.fixture(scope="module")
def live(make_server, mpm, mod_python):
    if mod_python.name == "original" or mpm != "event":
        pytest.skip("ours is the same under every MPM")
    with make_server(SITE) as server:
        found = json.loads(client.get(server.port, "/dump").text)
    # No Python source can spell it.
    found["_TableIterator"] = found.pop("dictionary-iterator")
    for members in found.values():
        if isinstance(members, dict):
            for name, said in members.items():
                if isinstance(said, str) and said.startswith("(self"):
                    members[name] = "(" + said[len("(self") :].lstrip("/, ")
    return found


def test_every_name_is_in_both(live):
    stubbed = _stubbed()
    assert not live.keys() - stubbed.keys(), "missing in python/_apache.pyi"
    assert not stubbed.keys() - live.keys(), "in python/_apache.pyi only"
    for name, said in live.items():
        if isinstance(said, dict):
            assert sorted(stubbed[name]) == sorted(said), name


def test_functions_and_constants_are_alike(live):
    stubbed = _stubbed()
    for name, said in live.items():
        if not isinstance(said, dict):
            assert said is not None, f"{name} has no signature"
            assert stubbed[name] == said, name


def test_members_of_classes_are_alike(live):
    stubbed = _stubbed()
    for name, members in live.items():
        if isinstance(members, dict):
            for member, said in members.items():
                assert said is not None, f"{name}.{member} has no signature"
                assert stubbed[name][member] == said, f"{name}.{member}"


def test_what_can_be_assigned_is_what_the_tables_say():
    tomllib = pytest.importorskip("tomllib")
    tables = STUB.parents[1] / "tests/compat/tables/objects.toml"
    classes = {
        node.name: node for node in ast.parse(STUB.read_text()).body if hasattr(node, "bases")
    }
    for name, table in tomllib.loads(tables.read_text()).items():
        if name == "dictionary-iterator":
            continue
        assigned = {
            one.target.id if isinstance(one, ast.AnnAssign) else one.name
            for one in classes[name].body
            if isinstance(one, ast.AnnAssign)
            or any(
                getattr(way, "attr", "") == "setter" for way in getattr(one, "decorator_list", ())
            )
        }
        rows = table.get("attributes", ())
        assert assigned == {row["name"] for row in rows if "writable" in row}, name
