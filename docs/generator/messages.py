"""Every message of mod_python: docs/tables/messages.toml, which tests/test_messages.py checks."""

import itertools

from .markdown import code, text
from .sources import toml

# By the digits before the last two.
GROUPS = {
    "00": "The module itself",
    "01": "Python in a child",
    "02": "Start of the server",
    "03": "Access control",
    "06": "Forms, publisher, PSP, CGI, WSGI, sessions",
    "07": "Limits of time and memory",
    "08": "Other modules of httpd",
}


def table():
    """All messages: those with an id, a section each, then those of mod_python 3.5."""
    rows = toml("docs/tables/messages.toml")
    out = []
    for group, found in itertools.groupby(rows["message"], key=lambda row: row["id"][2:4]):
        out.append("## %s\n" % GROUPS[group])
        for row in found:
            out.append("### %s\n" % row["id"])
            out.append("Level: %s.\n" % row["level"])
            out.append(_texts(row["text"]))
            out.append(_cause_and_cure(row))
    out.append("## Messages as in mod_python 3.5\n")
    out.append("These have no id: people, and programs that read logs, know them as they are.\n")
    for row in rows["known"]:
        out.append(_texts(row["text"]))
        out.append(_cause_and_cure(row))
    return "\n".join(out)


def _texts(texts):
    texts = [texts] if isinstance(texts, str) else texts
    return "".join("> %s\n>\n" % code(one) for one in texts)[:-2] + "\n"


def _cause_and_cure(row):
    return "Cause\n: %s\n\nCure\n: %s\n" % (text(row["cause"]), text(row["cure"]))
