"""Runs inside httpd, under our module or the original: looks at everything the tables name.

`plan.json` beside this file holds both tables; the answer is JSON: class or module -> row ->
findings.
"""

import inspect
import json
import os

import _apache

from mod_python import apache

PLAN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "plan.json")
IS_ORIGINAL = not hasattr(_apache, "mp_request")
# Assigned to attributes of that type; each must be refused.
WRONG = {
    "int": ("text", None, 1.5),
    "str": (None, 5, ["list"]),
    "str | None": (5, ["list"]),
    "mp_finfo": (None, 5),
    "mp_request": (),
}


def describe(value):
    """The type of a value in typing's notation."""
    if isinstance(value, tuple) and type(value) is tuple:
        return "tuple[%s]" % ", ".join(describe(part) for part in value)
    if isinstance(value, list):
        inner = sorted({describe(part) for part in value})
        return "list[%s]" % " | ".join(inner)
    return "None" if value is None else type(value).__name__


def text_of(error):
    return ("%s: %s" % (type(error).__name__, error)).rstrip(": ")


def attempt(function, *args):
    """What calling it gives: "fine", or the error as text."""
    try:
        function(*args)
    except Exception as error:
        return text_of(error)
    return "fine"


def run(statement, names):
    """The error of a statement; "fine" where there is none."""
    return attempt(lambda: exec(compile(statement, "<row>", "exec"), dict(names)))


def value_of(expression, names):
    try:
        return describe(eval(expression, dict(names)))
    except Exception as error:
        return text_of(error)


def attribute(thing, row, found):
    name = row["name"]
    try:
        value = getattr(thing, name)
    except Exception as error:
        found["type"] = text_of(error)
        return
    found["type"] = describe(value)
    found["in_dir"] = name in dir(thing)
    if "writable" not in row:
        found["assigned"] = attempt(setattr, thing, name, value)
    elif value is not None or "None" in row["writable"]:
        found["assigned"] = attempt(setattr, thing, name, value)
        found["kept"] = getattr(thing, name) == value or type(value).__name__.startswith("mp_")
    if "writable" in row:
        found["wrong"] = [
            [repr(wrong), attempt(setattr, thing, name, wrong)] for wrong in WRONG[row["writable"]]
        ]
        if "None" in row["writable"]:
            found["none"] = attempt(setattr, thing, name, None), getattr(thing, name) is None
            setattr(thing, name, value)
        if not IS_ORIGINAL:  # it crashes
            found["deleted"] = attempt(delattr, thing, name)
            found["left"] = hasattr(thing, name)


def method(function, row, names, found):
    found["callable"] = callable(function)
    if not IS_ORIGINAL:
        try:
            found["signature"] = str(inspect.signature(function))
        except ValueError as error:
            found["signature"] = str(error)
        parameters = [
            part.split("=")[0] for part in row["signature"].strip("()").split(", ") if part
        ]
        if parameters and "/" not in parameters and not inspect.isfunction(function):
            wrong = {parameter: object() for parameter in parameters}
            found["keywords"] = attempt(lambda: function(**wrong))
    example = row.get("example", "%s()" % row["name"] if row["signature"] == "()" else "")
    if example:
        found["returned"] = value_of(names["prefix"] + example, names)


def rows(make, table, names):
    """Row -> findings, for one object, as made for each row, and its class's table."""
    found = {}
    for row in table.get("attributes", ()):
        one = found[row["name"]] = {}
        if not (IS_ORIGINAL and "differs" in row):
            attribute(make(), row, one)
            errors(row, dict(names, x=make()), one)
    for row in table.get("methods", ()):
        thing = make()
        one = found[row["name"] + "()"] = {"in_dir": row["name"] in dir(thing)}
        method(getattr(thing, row["name"], None), row, dict(names, x=thing), one)
        errors(row, dict(names, x=make()), one)
    for row in table.get("operations", ()):
        one = found[row["operation"]] = {"value": value_of(row["operation"], dict(names, x=make()))}
        errors(row, dict(names, x=make()), one)
    names = dict(names, x=make())
    found["absent"] = {}
    errors({"errors": table.get("absent", ())}, names, found["absent"])
    if "constructor" in table:
        errors(table["constructor"], names, found.setdefault("constructor", {}))
    return found


def errors(row, names, found):
    if row.get("differs") and IS_ORIGINAL:
        return
    for statement, *_ in row.get("errors", ()):
        found.setdefault("errors", {})[statement] = run(statement, names)


def module(thing, table, names):
    found = {}
    for row in table["functions"]:
        found[row["name"] + "()"] = {}
        method(getattr(thing, row["name"], None), row, names, found[row["name"] + "()"])
        errors(row, names, found[row["name"] + "()"])
    for row in table["attributes"]:
        value = getattr(thing, row["name"], "missing")
        found[row["name"]] = {"type": describe(value), "in_dir": row["name"] in dir(thing)}
        if row["about"].isdigit():
            found[row["name"]]["value"] = value
    for row in table.get("classes", ()):
        value = getattr(thing, row["name"], None)
        found[row["name"]] = {
            "type": type(value).__name__,
            "methods": [name for name, _ in row["methods"] if callable(getattr(value, name, None))],
        }
    for group in table.get("constants", ()):
        for name in group["values"]:
            found[name] = {"value": getattr(thing, name, "missing"), "in_dir": name in dir(thing)}
    for name in table.get("reexports", ()):
        found[name] = {"same": getattr(thing, name, 1) is getattr(_apache, name, 2)}
    return found


def handler(req):
    with open(PLAN) as file:
        plan = json.load(file)
    table = apache.table
    names = {"req": req, "apache": apache, "_apache": _apache, "table": table, "prefix": "x."}
    names["server"] = req.server
    things = {
        "mp_request": lambda: req,
        "mp_conn": lambda: req.connection,
        "mp_server": lambda: req.server,
        "mp_table": lambda: table([("a", "1")]),
        "dictionary-iterator": lambda: iter(table([("a", "1")])),
        "mp_finfo": lambda: req.finfo,
        "mp_hlist": lambda: req.hlist,
    }
    found = {}
    for name in req.args.split("&"):
        if name in things:
            thing = things[name]()
            found[name] = rows(things[name], plan["objects"][name], names)
            found[name]["class"] = {
                "name": type(thing).__name__,
                "module": type(thing).__module__,
                "made": attempt(type(thing)) if name != "mp_table" else "fine",
                "dir": [one for one in dir(thing) if not one.startswith("__")],
            }
        else:
            names["prefix"] = name + "."
            thing = {"apache": apache, "_apache": _apache}[name]
            found[name] = module(thing, plan["apache"][name], names)
    req.status = 200
    req.content_type = "application/json"
    req.write(json.dumps(found))
    return apache.OK


def outputfilter(filter):
    with open(PLAN) as file:
        plan = json.load(file)
    names = {"req": filter.req, "apache": apache, "_apache": _apache, "prefix": "x."}
    found = rows(lambda: filter, plan["objects"]["mp_filter"], names)
    found["class"] = {
        "name": type(filter).__name__,
        "module": type(filter).__module__,
        "made": attempt(type(filter)),
        "dir": [one for one in dir(filter) if not one.startswith("__")],
    }
    filter.write(json.dumps({"mp_filter": found}))
    filter.close()
