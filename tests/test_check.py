"""`mod_python check` on pieces of old sites (tests/check): findings, formats, --fix, status."""

import json
import os
import re

import pytest
from test_command import run

from mod_python._check import configuration
from mod_python._check.mask import mask
from mod_python._check.rules import RULES
from pyhttpd.install import REPOSITORY

SNIPPETS = REPOSITORY / "tests/check"
NAMES = sorted(path.name[:-4] for path in SNIPPETS.glob("*.txt") if ".fixed" not in path.name)
NAMES += [".htaccess"] if (SNIPPETS / ".htaccess.txt").exists() and ".htaccess" not in NAMES else []


def snippet(name):
    """(text without marks, {(line, rule), ...} with one entry for each time it is marked)."""
    marked = (SNIPPETS / (name + ".txt")).read_text(encoding="utf-8")
    expected = []
    lines = []
    for number, line in enumerate(marked.split("\n"), 1):
        code, _, rules = line.partition("§")
        lines.append(code.rstrip() if rules else code)
        expected += [(number, rule) for rule in rules.split(",") if rule]
    return "\n".join(lines), expected


def checked(*arguments):
    done = run("check", "--format", "json", *arguments)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def found_in(path):
    return [(row["line"], row["rule"]) for row in checked(path)["findings"]]


def test_there_are_enough_snippets():
    assert len(NAMES) >= 30


def test_every_rule_has_a_snippet():
    marked = {rule for name in NAMES for _, rule in snippet(name)[1]}
    assert set(RULES) - marked == {"encoding"}  # which no UTF-8 file can show; see below


@pytest.mark.parametrize("name", NAMES)
def test_snippet(tmp_path, name):
    text, expected = snippet(name)
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert sorted(found_in(tmp_path / name)) == sorted(expected)


@pytest.mark.parametrize("name", [n for n in NAMES if (SNIPPETS / (n + ".fixed.txt")).exists()])
def test_fix(tmp_path, name):
    text, _ = snippet(name)
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    path.chmod(0o640)
    checked("--fix", path)
    fixed = (SNIPPETS / (name + ".fixed.txt")).read_text(encoding="utf-8")
    assert path.read_text(encoding="utf-8") == fixed
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == [name]
    # What is left to a person is still told, and a second run changes nothing.
    assert not any(row["fixable"] for row in checked("--fix", path)["findings"])
    assert path.read_text(encoding="utf-8") == fixed


def test_fixed_programs_compile(tmp_path):
    compiled = 0
    for name in NAMES:
        fixed = SNIPPETS / (name + ".fixed.txt")
        if name.endswith(".py") and fixed.exists():
            (tmp_path / name).write_text(snippet(name)[0], encoding="utf-8")
            left = checked("--fix", tmp_path / name)["findings"]
            if not any(row["rule"].startswith("python2-") for row in left):
                compile((tmp_path / name).read_text(encoding="utf-8"), name, "exec")
                compiled += 1
    assert compiled >= 4


def test_encodings(tmp_path):
    (tmp_path / "latin.py").write_bytes(b"x = '\xe9'\n")
    (tmp_path / "said.py").write_bytes(b"# coding: latin-1\nx = u'\xe9'\n")
    (tmp_path / "unknown.py").write_bytes(b"# coding: klingon\n")
    (tmp_path / "page.psp").write_bytes(b"a\nb \xe9\n")
    (tmp_path / "bytes.conf").write_bytes(b"# \xe9\nPythonNoReload Off\n")
    rows = checked(tmp_path)["findings"]
    assert [(os.path.basename(row["path"]), row["line"], row["rule"]) for row in rows] == [
        ("bytes.conf", 2, "reload-directive"),
        ("latin.py", 1, "encoding"),
        ("page.psp", 2, "encoding"),
        ("unknown.py", 1, "encoding"),
    ]
    checked("--fix", tmp_path)
    assert (tmp_path / "bytes.conf").read_bytes() == b"# \xe9\nPythonAutoReload On\n"
    assert (tmp_path / "said.py").read_bytes() == b"# coding: latin-1\nx = u'\xe9'\n"


def test_directories_are_searched(tmp_path):
    for name in ("a.py", "sub/b.py", "sub/.htaccess", "__pycache__/c.py", "sub/d.txt", "e.psp"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("PythonNoReload On\n" if name.endswith("htaccess") else "x = 10L\n")
    told = checked(tmp_path)
    assert told["files"] == 4  # the text file and what Python made are none of them
    assert [os.path.relpath(row["path"], tmp_path) for row in told["findings"]] == [
        "a.py",
        "sub/.htaccess",
        "sub/b.py",
    ]


def test_text_format_and_exit_status(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("def f():\n    print 'x'\n")
    done = run("check", path)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "%s:2:5: error: print is a function in Python 3 [python2-print] (--fix mends it)" % path,
        "1 files: 1 error, 0 warning, 0 note",
    ]
    path.write_text("def f(req):\n    req.send_http_header()\n")
    assert run("check", path).returncode == 0  # notes alone do not fail
    path.write_text("x = 1\n")
    done = run("check", path)
    assert (done.returncode, done.stdout) == (0, "1 files: 0 error, 0 warning, 0 note\n")


def test_sarif(tmp_path):
    (tmp_path / "a.py").write_text("x = 10L\nprint 'x'\ny = 11L\n")
    done = run("check", "--format", "sarif", tmp_path)
    assert done.returncode == 1
    log = json.loads(done.stdout)
    assert log["version"] == "2.1.0"
    (one,) = log["runs"]
    rules = one["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["python2-long", "python2-print"]
    assert [rules[result["ruleIndex"]]["id"] for result in one["results"]] == [
        result["ruleId"] for result in one["results"]
    ]
    region = one["results"][1]["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 2, "startColumn": 1}


@pytest.mark.parametrize(
    "arguments, error",
    [
        (["/nowhere"], "No such file or directory: /nowhere"),
        (["--format", "xml"], "option --format: invalid choice: 'xml'"),
    ],
)
def test_errors(arguments, error):
    done = run("check", *arguments)
    assert done.returncode == 2 and error in done.stderr


def test_odd_input(tmp_path):
    """Whatever is in a file, the check ends with findings or none, never with a traceback."""
    odd = {
        "empty.py": b"",
        "nul.py": b"x = '\0'\n",
        "open.py": b"x = '''never closed\nprint 'x'\n",
        "cr.py": b"x = 1\r\nprint 'x'\r\n",
        "deep.py": b"x = " + b"(" * 500 + b"\n",
        "escape.py": b"x = '\\d' is '\\d'\n",
        "minus.py": b"x = " + b"-" * 100_000 + b"1\n",
        "sum.py": b"x = 1" + b" + 1" * 5_000 + b"\n",
        "long.py": b"x = [" + b"1L, " * 20000 + b"]\n",
        "half.psp": b"<% for x in\n<%= %><%%><%@ %><%-- ",
        "half.conf": b"</Directory>\n<\nPythonOption\nPythonHandler |\n\\",
        ".htaccess": b"\\\n\\\n\xff\xfe",
    }
    for name, content in odd.items():
        (tmp_path / name).write_bytes(content)
    done = run("check", tmp_path)
    assert done.returncode in (0, 1) and done.stderr == "", done.stderr
    assert "%s:2:1: error: print is" % (tmp_path / "cr.py") in done.stdout
    checked("--fix", tmp_path)
    assert (tmp_path / "cr.py").read_bytes() == b"x = 1\r\nprint('x')\r\n"


def test_mask_keeps_places():
    text = "a = 'x\\'y' + \"\"\"b\n# c\n\"\"\" # d '\ne = u'f'\n"
    masked = mask(text)
    assert len(masked) == len(text)
    assert [i for i, c in enumerate(masked) if c == "\n"] == [
        i for i, c in enumerate(text) if c == "\n"
    ]
    assert not re.search("[xybcdf]", masked.replace("u'", "  "))


def test_the_directives_are_the_modules():
    source = (REPOSITORY / "src/config/directives.rs").read_text()
    table = re.findall(r'c"(Python\w+)",\s*[\w:]+,\s*(\w+)', source)
    contexts = {"OR_ALL": "svdh", "SERVER": "sv", "NOT_HTACCESS": "svd"}
    assert len(table) >= 28
    assert {name: contexts[context] for name, context in table} == configuration.DIRECTIVES
