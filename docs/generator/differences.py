"""The deliberate differences from mod_python 3.5: the table the differential tests go by."""

import re

from . import markdown
from .sources import REPOSITORY

# Groups by the beginning of a case's name, in the order of the page.
GROUPS = [
    ("Tables", ("table-",)),
    (
        "Requests, servers and connections",
        ("request-", "method-", "server-", "finfo-", "connection-"),
    ),
    ("Reading and writing", ("read", "sendfile-", "write-")),
    ("Phases and handlers", ("handler-", "init-", "cleanup-", "hlist-", "reload-")),
    ("Filters", ("filter-",)),
    ("Server-side includes", ("ssi-",)),
    ("Forms and functions of `util`", ("form-", "apply-", "redirect-", "parse-")),
    ("Publisher", ("publisher-",)),
    ("Python Server Pages", ("psp-",)),
    ("CGI scripts", ("cgi-",)),
    ("WSGI", ("wsgi-",)),
    ("Cookies and sessions", ("cookie-", "session-")),
    ("The rest", ("",)),
]


def rows():
    """(case, what differs and why) of every row."""
    source = (REPOSITORY / "tests/compat/differences.md").read_text()
    found = re.findall(r"^\| ([\w-]+) \| [^|]+ \| (.+) \|$", source, re.M)
    return [row for row in found if row[0] != "case" and not row[0].startswith("--")]


def table():
    """All differences, a table for each group."""
    groups = {name: [] for name, _ in GROUPS}
    for case, why in rows():
        ours, _, original = why.partition("; ")
        name = next(name for name, starts in GROUPS if case.startswith(starts))
        groups[name].append([ours, original])
    return "\n".join(
        "### %s\n\n%s" % (name, markdown.table(["mod_python 4", "mod_python 3.5"], lines))
        for name, lines in groups.items()
        if lines
    )
