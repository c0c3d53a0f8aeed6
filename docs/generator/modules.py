"""The Python modules, read without importing them: names, signatures and docstrings.

Importing would need httpd. griffe reads the source; what a module takes from a private one of the
package and gives on under its own name is shown where programs find it.
"""

import functools

import griffe

from .markdown import code, docstring
from .sources import REPOSITORY

# Names that a module finds elsewhere when they are first asked for.
LAZY = {
    "Session": {
        "FileSession": "_session.file",
        "DbmSession": "_session.dbm",
        "MemorySession": "_session.memory",
        "SocacheSession": "_session.socache",
    },
}


@functools.cache
def _package():
    return griffe.load(
        "mod_python", search_paths=[str(REPOSITORY / "python")], resolve_aliases=True
    )


def members(name):
    """(name, griffe object) of what the module `mod_python.NAME` offers, in the source's order."""
    module = _package()[name]
    found = []
    for label, item in module.members.items():
        if not label.startswith("_") and _is_ours(item):
            found.append((label, item.final_target if item.is_alias else item))
    found += [
        (label, _package()[place + "." + label]) for label, place in LAZY.get(name, {}).items()
    ]
    return found


def _is_ours(item):
    if item.is_alias:
        if not item.target_path.startswith("mod_python._"):
            return False
        item = item.final_target
    return item.kind.value in ("class", "function")


def page(name):
    """A module: its docstring, then its classes and functions."""
    module = _package()[name]
    out = [docstring(module.docstring.value if module.docstring else "")]
    for label, item in members(name):
        if item.docstring is None:
            continue
        out.append(_item(label, item, "##", name))
    return "\n".join(out)


def _item(label, item, level, owner):
    kind = "" if item.is_function else "class "
    out = ["%s %s\n" % (level, label), "```python\n%s%s\n```\n" % (kind, _signature(label, item))]
    if item.docstring:
        out.append(docstring(item.docstring.value))
    if item.is_class:
        bases = [str(base).rpartition(".")[2] for base in item.bases]
        bases = [base for base in bases if not base.startswith("_")]
        if bases:
            out.append("Bases: %s.\n" % ", ".join(map(code, bases)))
        for name, method in item.members.items():
            if method.is_function and method.docstring and not name.startswith("_"):
                out.append(_method(name, method))
    return "\n".join(out)


def _method(name, method):
    """A method as an entry of a list."""
    is_value = "property" in method.labels
    title = name if is_value else _signature(name, method, skip_self=True)
    return "%s\n: %s\n" % (
        code(title),
        docstring(method.docstring.value).strip().replace("\n", "\n  "),
    )


def _signature(label, item, skip_self=False):
    if item.is_class:
        init = item.members.get("__init__")
        return label if init is None else _signature(label, init, skip_self=True)
    parameters = list(item.parameters)
    if skip_self and parameters and "staticmethod" not in item.labels:
        parameters = parameters[1:]
    out, star = [], False
    for parameter in parameters:
        kind = parameter.kind.value
        if kind == "keyword-only" and not star:
            out.append("*")
        star = star or kind in ("keyword-only", "variadic positional")
        mark = {"variadic positional": "*", "variadic keyword": "**"}.get(kind, "")
        default = "" if mark or parameter.default is None else "=%s" % parameter.default
        out.append(mark + parameter.name + default)
        if kind == "positional-only" and _last_positional(parameters, parameter):
            out.append("/")
    return "%s(%s)" % (label, ", ".join(out))


def _last_positional(parameters, parameter):
    return [p for p in parameters if p.kind.value == "positional-only"][-1] is parameter
