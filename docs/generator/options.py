"""Every PythonOption that mod_python itself reads: docs/tables/options.toml."""

from . import markdown
from .markdown import code
from .sources import toml


def rows():
    return toml("docs/tables/options.toml")["option"]


def table():
    """All options, a table for each group."""
    groups = {}
    for row in rows():
        names = [code(row["name"]), *("old: " + code(old) for old in row.get("old", ()))]
        line = [", ".join(names), row["value"], row["default"], row["about"]]
        groups.setdefault(row["group"], []).append(line)
    head = ["Option", "Value", "Default", "Meaning"]
    return "\n".join(
        "## %s\n\n%s" % (group, markdown.table(head, lines)) for group, lines in groups.items()
    )
