"""Objects of `_apache` and the contents of `apache`: the tables that tests/test_tables.py walks."""

import functools

from .markdown import code, table, text
from .sources import toml


@functools.cache
def _objects():
    return toml("tests/compat/tables/objects.toml")


@functools.cache
def _modules():
    return toml("tests/compat/tables/apache.toml")


def page(name):
    """A class: its attributes, methods and operations."""
    row = _objects()[name]
    out = [text(row["about"]) + "\n"]
    attributes = sorted(row.get("attributes", ()), key=lambda one: one["name"].startswith("_"))
    if attributes:
        out.append("## Attributes\n")
        head = ["Name", "Type", "Writable", "Meaning"]
        out.append(table(head, [_attribute(one) for one in attributes]))
    if row.get("methods"):
        out.append("## Methods\n")
        out += [_callable(one, "###") for one in row["methods"]]
    if row.get("operations"):
        out.append("## Operations\n")
        out.append("`x` is the object.\n")
        rows = [
            [code(one["operation"]), code(one["type"]), text(one["gives"])]
            for one in row["operations"]
        ]
        out.append(table(["Operation", "Type", "What it gives"], rows))
    return "\n".join(out)


def _attribute(one):
    writable = "yes" if "writable" in one else ""
    about = text(one["about"]) + (" New in 4.0." if one.get("differs") == "new" else "")
    return [code(one["name"]), code(one["type"]), writable, about]


def _callable(one, level):
    out = ["%s %s\n" % (level, text(one["name"]))]
    out.append("```python\n%s%s -> %s\n```\n" % (one["name"], one["signature"], one["returns"]))
    out.append(text(one["about"]) + (" New in 4.0." if one.get("differs") == "new" else "") + "\n")
    if one.get("errors"):
        out.append("Errors, by example:\n")
        out.append(table(["Statement", "Raises"], [[code(a), code(b)] for a, b in one["errors"]]))
    return "\n".join(out)


def functions(module):
    """The functions of `apache` or `_apache`."""
    found = sorted(_modules()[module].get("functions", ()), key=lambda one: one["name"].lower())
    return "\n".join(_callable(one, "###") for one in found if not one["name"].startswith("_"))


def classes(module):
    """The classes that a module defines itself."""
    out = []
    for one in _modules()[module].get("classes", ()):
        out.append("### %s\n\n%s\n" % (text(one["name"]), text(one["about"])))
        if one.get("methods"):
            rows = [[code(name), text(about)] for name, about in one["methods"]]
            out.append(table(["Method", "Meaning"], rows))
    return "\n".join(out)


def constants(module):
    """The constants of a module, a table for each group."""
    out = []
    for group in _modules()[module].get("constants", ()):
        out.append("## %s\n" % text(group["about"].rstrip(".")))
        values = group["values"]
        out.append(
            table(["Name", "Value"], [[code(name), code(repr(values[name]))] for name in values])
        )
    return "\n".join(out)
