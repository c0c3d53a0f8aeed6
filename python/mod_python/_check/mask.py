"""Python source of any version without its strings and comments, so that rules can look at code."""

import re

_TOKEN = re.compile(
    r"""
    (?P<comment>\#[^\n]*)
    | (?P<prefix>\b[bBuUrRfF]{1,2})?(?P<quote>'''|\"\"\"|'|\")
    """,
    re.VERBOSE,
)


def mask(text):
    """The text with comments and the inside of strings replaced by blanks.

    Lines and columns stay where they are, and so do the quotes. A string that never ends is blank
    to the end of its line, or of the text when it has three quotes.
    """
    out, place = [], 0
    while True:
        found = _TOKEN.search(text, place)
        if not found:
            out.append(text[place:])
            return "".join(out)
        if found.group("comment"):
            out.append(text[place : found.start()])
            end = found.end()
            out.append(" " * (end - found.start()))
        else:
            inside = found.end()
            out.append(text[place:inside])
            end = _end_of_string(text, inside, found.group("quote"))
            out.append(re.sub(r"[^\n]", " ", text[inside:end]))
            if text.startswith(found.group("quote"), end):
                out.append(found.group("quote"))
                end += len(found.group("quote"))
        place = end


def _end_of_string(text, place, quote):
    """Where the closing quote begins, or where the string has to end without one."""
    while place < len(text):
        if text[place] == "\\":
            place += 2
        elif text.startswith(quote, place) or (text[place] == "\n" and len(quote) == 1):
            return place
        else:
            place += 1
    return len(text)
