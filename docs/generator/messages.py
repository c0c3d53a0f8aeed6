"""Every stable message id: what it means, and what helps."""

from . import markdown
from .sources import REPOSITORY, toml

TABLE = "docs/tables/messages.toml"


def table():
    """All messages, a section each; nothing until there is a table of them."""
    if not (REPOSITORY / TABLE).exists():
        return ""
    out = []
    for row in toml(TABLE)["message"]:
        out.append("## %s\n" % row["id"])
    return "\n".join(out) + markdown.table([], [])
