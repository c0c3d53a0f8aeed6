"""Every directive: from docs/tables/directives.toml and the contexts `mod_python check` goes by."""

import re

from mod_python._check.configuration import DIRECTIVES

from .markdown import code, table, text
from .sources import REPOSITORY, toml

CONTEXTS = {"s": "server", "v": "virtual host", "d": "section", "h": ".htaccess"}


def rows():
    """The rows of the table, in its order; KeyError for a directive without one, or without a
    directive."""
    found = toml("docs/tables/directives.toml")["directive"]
    names = [row["name"] for row in found]
    if sorted(names) != sorted(DIRECTIVES):
        odd = set(names).symmetric_difference(DIRECTIVES)
        raise KeyError("directives.toml and the module disagree about %s" % sorted(odd or names))
    return found


def overview():
    """All directives, a line each."""
    return table(
        ["Directive", "Default", "Purpose"],
        [
            ["[%s](#%s)" % (row["name"], row["name"].lower()), _default(row), text(row["short"])]
            for row in rows()
        ],
    )


def pages():
    """All directives, a section each, under the headings of their groups."""
    out, group = [], None
    for row in rows():
        if row["group"] != group:
            group = row["group"]
            out.append("## %s\n" % group)
        out.append(_section(row))
    return "\n".join(out)


GOES_ON = {
    "Ok": "`apache.OK`",
    "Declined": "`apache.DECLINED`",
    "OkOrDeclined": "`apache.OK`, `apache.DECLINED`",
}


def phases():
    """The phases' default functions, and after which result the next handler of a list runs."""
    source = (REPOSITORY / "src/config/phase.rs").read_text()
    row = r'Row::new\(\s*c"(\w+)",\s*c"(\w+)",\s*GoesOn::(\w+),?\s*\)'
    found = {name: (function, on) for name, function, on in re.findall(row, source)}
    names = [one["name"] for one in rows() if one["name"] in found]
    if len(names) != len(found):
        raise KeyError("phase.rs has phases without a directive")
    lines = [[code(name), code(found[name][0]), GOES_ON[found[name][1]]] for name in names]
    return table(["Directive", "Default function", "The next handler runs after"], lines)


def _default(row):
    if "default" not in row:
        return "none"
    return row["default"] if " " in row["default"] else code(row["default"])


def _section(row):
    letters = DIRECTIVES[row["name"]]
    if "contexts" in row:
        letters = row["contexts"]
    override = "any class of `AllowOverride`" if "h" in letters else "not in .htaccess"
    facts = [
        ["Syntax", code("%s %s" % (row["name"], row["syntax"]))],
        ["Default", _default(row)],
        ["Context", ", ".join(CONTEXTS[letter] for letter in letters)],
        ["Override", override],
        ["Since", row["since"]],
    ]
    lines = ["### %s\n" % row["name"], row["short"] + "\n"]
    lines += [table(["", ""], facts), row["about"].strip() + "\n"]
    if "example" in row:
        lines.append("```apache\n%s\n```\n" % row["example"].strip())
    return "\n".join(lines)
