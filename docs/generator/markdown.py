"""Markdown out of plain text: escaping, tables, docstrings."""

import re

_SPECIAL = re.compile(r"([\\*_\[\]<>$|#])")
_CODE = re.compile(r"(``.+?``|`.+?`)", re.S)
_ITEM = re.compile(r"(\S.*?)(?: -- | {3,})(\S.*)")
_SEVERAL = re.compile(r"; (?=[\w, ]+ -- )")


def text(plain):
    """Plain text as Markdown: what stands between backticks is code, the rest is itself."""
    parts = _CODE.split(plain)
    parts[::2] = [_SPECIAL.sub(r"\\\1", part) for part in parts[::2]]
    return "".join(parts)


def code(plain):
    """A piece of code within a line."""
    fence = "``" if "`" in plain else "`"
    pad = " " if "`" in plain else ""
    return fence + pad + plain + pad + fence


def cell(markdown):
    """Markdown fit for a cell of a table."""
    return re.sub(r"(?<!\\)\|", r"\\|", markdown).replace("\n", " ")


def table(head, rows):
    """A Markdown table; the cells are Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| %s |\n" % " | ".join(cell(item) for item in line) for line in lines) + "\n"


def docstring(plain):
    """A docstring as Markdown.

    Paragraphs are filled, "name -- meaning" makes a list, and what is indented deeper than the text
    stays as it is.
    """
    out = []
    for block in re.split(r"\n\s*\n", plain.strip("\n")):
        lines = block.split("\n")
        if all(line.startswith("    ") for line in lines):
            out.append("```text\n%s\n```" % "\n".join(line[4:] for line in lines))
        elif _ITEM.fullmatch(lines[0]):
            out += _items(lines)
        else:
            out.append(text(re.sub("::$", ":", "\n".join(line.strip() for line in lines))))
    return "\n\n".join(out) + "\n\n"


def _items(lines):
    """A list, and the paragraph that may follow it without a blank line."""
    items, after = [], []
    for line in lines:
        if after or not (line.startswith(" ") or _ITEM.fullmatch(line)):
            after.append(line)
        elif line.startswith(" "):
            items[-1] += " " + line.strip()
        else:
            items += _SEVERAL.split(line)
    pairs = [_ITEM.fullmatch(item).groups() for item in items]
    found = ["\n".join("- %s: %s" % (code(name), text(meaning)) for name, meaning in pairs)]
    return found + ([text("\n".join(after))] if after else [])
