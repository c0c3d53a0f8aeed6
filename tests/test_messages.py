"""The table of messages (docs/tables/messages.toml) and the source tell the same."""

import ast
import re

import pytest

from pyhttpd.install import REPOSITORY

pytestmark = pytest.mark.mpms("event")

tomllib = pytest.importorskip("tomllib")  # Python 3.11

TABLE_FILE = REPOSITORY / "docs/tables/messages.toml"
TABLE = tomllib.loads(TABLE_FILE.read_text())
LEVELS = {"crit", "error", "warn", "notice", "info", "raised"}
VARIES = "\0"


def texts(row):
    return [row["text"]] if isinstance(row["text"], str) else row["text"]


def rust_strings(path):
    source = re.sub(r"(?m)^\s*//.*$", "", path.read_text())
    for found in re.finditer(r'b?"((?:[^"\\]|\\.)*)"', source, re.S):
        text = re.sub(r"\\\n\s*", "", found.group(1))
        text = re.sub(r'\\(["\\])', r"\1", text)
        yield re.sub(r"\{[^{}]*\}", VARIES, text)


def python_strings(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r"%(\.\d)?[sdrxf]|%02x", VARIES, node.value.rstrip("\n"))


def strings():
    """(file, literal) of the whole source, what varies replaced by VARIES."""
    for path in sorted((REPOSITORY / "src").rglob("*.rs")):
        for text in rust_strings(path):
            yield path, text
    for path in sorted((REPOSITORY / "python/mod_python").rglob("*.py")):
        for text in python_strings(path):
            yield path, text


def in_code():
    """id -> the texts that have it, as patterns for the table's texts."""
    found = {}
    for path, text in strings():
        id = re.match(r"(MP\d{4})\b:? ?", text)
        if id:
            assert text.startswith(id.group(1) + ": "), f"{path}: {text}"
            found.setdefault(id.group(1), []).append(text[id.end() :])
    return found


def pattern(text):
    return ".*".join(map(re.escape, text.split(VARIES)))


def test_rows():
    ids = [row["id"] for row in TABLE["message"]]
    assert ids == sorted(set(ids))
    for row in TABLE["message"]:
        assert set(row) == {"id", "level", "text", "cause", "cure"}, row["id"]
        assert row["level"] in LEVELS, row["id"]
    for row in TABLE["known"]:
        assert set(row) == {"text", "cause", "cure"}, row
    for row in TABLE["message"] + TABLE["known"]:
        for sentence in (row["cause"], row["cure"]):
            assert sentence.endswith("."), row


def test_ids_are_in_code_and_table():
    ids = {row["id"] for row in TABLE["message"]}
    code = set(in_code())
    assert code - ids == set(), f"add them to {TABLE_FILE}"
    assert ids - code == set(), f"the code does not use them: remove them from {TABLE_FILE}"


def test_texts_are_those_of_the_code():
    code = in_code()
    for row in TABLE["message"]:
        patterns = [pattern(text) for text in code.get(row["id"], ())]
        for text in texts(row):
            assert any(re.fullmatch(p, text) for p in patterns), (
                f"{row['id']}: no such text in the code: {text!r}; it has {patterns}"
            )
        for p in patterns:
            assert any(re.fullmatch(p, text) for text in texts(row)), (
                f"{row['id']}: not in {TABLE_FILE}: {p}"
            )


def test_known_texts_are_in_the_code():
    """Every literal piece of a known text is one of the code's."""
    literals = [text for _, text in strings()]
    patterns = [re.compile(pattern(text)) for text in literals if len(text) > 12 and " " in text]
    for row in TABLE["known"]:
        for text in texts(row):
            pieces = [piece.strip(" :'") for piece in re.split(r"<[^<>]+>", text)]
            assert any(one.fullmatch(text) for one in patterns) or all(
                len(piece) < 8 or any(piece in literal for literal in literals) for piece in pieces
            ), f"not in the code: {text!r}"


def test_no_log_message_without_id():
    """What the code hands to the log is in the table: by its id, or as a known text."""
    known = [text for row in TABLE["known"] for text in texts(row)]
    calls = re.compile(
        r"(?:\blog::(?:main_server|startup|startup_quiet|server|request|conn)|\blog_request|\bcomplain"
        r"|\bwarn|\bnotice|\blog_error|\bsay|\b_log)\("
        r'[^";{}]*?(?:format!\(\s*)?"((?:[^"\\]|\\.)*)"',
        re.S,
    )
    logged, missing = 0, []
    for root, pattern_of_files in (
        ("src/dispatch", "*.rs"),
        ("src/hooks", "*.rs"),
        ("src/_apache", "*.rs"),
        ("src/httpd", "*.rs"),
        ("python/mod_python", "*.py"),
    ):
        for path in sorted((REPOSITORY / root).rglob(pattern_of_files)):
            if path.name in NO_LOG or {"_check", "_doctor"} & set(path.parts):
                continue
            for found in calls.finditer(path.read_text()):
                text = re.sub(r"\\\n\s*", "", found.group(1)).replace('\\"', '"')
                text = re.sub(r"\{[^{}]*\}|%(?:\.\d)?[sdrxf]|%02x", VARIES, text)
                if not re.search(r"\w{3}", text.replace(VARIES, "")):
                    continue
                logged += 1
                if not re.match(r"MP\d{4}: ", text) and not any(
                    re.match(pattern(text), one) for one in known
                ):
                    missing.append(f"{path}: {text!r}")
    assert not missing, "no id, and not a known text"
    assert logged > 30


# They talk to a terminal.
NO_LOG = {"_serve.py", "_site.py", "_status.py", "_doctor.py", "__main__.py", "httpdconf.py"}
