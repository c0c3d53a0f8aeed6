"""`mod_python check` on pieces of old sites (tests/check): findings, formats, --fix, status."""

import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

import pytest
from test_command import copy_package, run

from mod_python._check import configuration
from mod_python._check.mask import mask
from mod_python._check.rules import RULES
from pyhttpd.install import REPOSITORY

pytestmark = pytest.mark.mpms("event")

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
    # Which no file here can show; see below.
    assert set(RULES) - marked == {"encoding", "unreadable"}


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


ODD_CODECS = "base64 rot13 undefined punycode idna utf-7 utf-16 unicode_escape klingon".split()


def test_odd_encodings(tmp_path):
    for name in ODD_CODECS:
        (tmp_path / (name + ".py")).write_bytes(b"# coding: %s\nprint 1 \xff\n" % name.encode())
    done = run("check", "--fix", tmp_path)
    assert done.returncode == 1 and done.stderr == ""
    assert all("/%s.py:" % name in done.stdout for name in ODD_CODECS), done.stdout


def test_changed_corpus(tmp_path):
    """Files of the corpus, damaged at random places: findings or none, and no traceback."""
    chance = random.Random(42)
    corpus = [path.read_bytes() for path in sorted(SNIPPETS.glob("*.txt"))]
    pieces = [b"'''", b"<%", b"%>", b"\\\n", b"\0", b"\r", b"(", b"`", b"print >>", b"\xff", b"\f"]
    pieces += ["é\u2028".encode(), b"raise A, ", b"exec ", b"except A, ", b"\t", b"\xef\xbb\xbf"]
    for number in range(150):
        data = bytearray(chance.choice(corpus))
        for _ in range(chance.randrange(1, 8)):
            place = chance.randrange(len(data) + 1)
            data[place : place + chance.choice((0, 0, 5, 60))] = chance.choice(pieces)
        name = "%d%s" % (number, chance.choice((".py", ".psp", ".conf")))
        (tmp_path / name).write_bytes(data)
    for mode in ("--format=sarif", "--fix"):
        done = run("check", mode, tmp_path)
        assert done.returncode == 1 and done.stderr == "", done.stderr


def test_what_cannot_be_read_is_told_and_the_rest_is_looked_at(tmp_path):
    (tmp_path / "gone.py").symlink_to("/nowhere")
    (tmp_path / "self.py").symlink_to("self.py")
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "z.py").write_text("print 1\n")
    rows = checked(tmp_path)["findings"]
    assert [(os.path.basename(row["path"]), row["rule"]) for row in rows] == [
        ("gone.py", "unreadable"),
        ("pipe.py", "unreadable"),
        ("self.py", "unreadable"),
        ("z.py", "python2-print"),
    ]
    done = run("check", tmp_path / "pipe.py")
    assert done.returncode == 2 and "pipe.py: not a regular file" in done.stderr


def test_fix_goes_through_a_link(tmp_path):
    (tmp_path / "real").write_text("print 1\n")
    (tmp_path / "link.py").symlink_to("real")
    checked("--fix", tmp_path / "link.py")
    assert (tmp_path / "link.py").is_symlink()
    assert (tmp_path / "real").read_text() == "print(1)\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a file nobody may change")
def test_what_cannot_be_mended_is_told(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "a.py").write_text("print 1\n")
    script = "import os, runpy, sys; os.setuid(65534); sys.argv = sys.argv[1:]; "
    script += "runpy.run_module('mod_python', run_name='__main__')"
    # A directory that user may reach: pytest's own are closed.
    folder = tempfile.mkdtemp(prefix="check-")
    try:
        os.chmod(folder, 0o755)
        shutil.copy(tmp_path / "a.py", folder)
        copy_package(pathlib.Path(folder, "lib"))
        done = subprocess.run(
            [sys.executable, "-c", script, "mod_python", "check", "--fix", folder + "/a.py"],
            env={"PYTHONPATH": folder + "/lib"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert "a.py: cannot be mended: Permission denied" in done.stdout
        assert sorted(os.listdir(folder)) == ["a.py", "lib"]
    finally:
        shutil.rmtree(folder)


def test_names_of_any_bytes(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"a b\xff%.py")
    with open(path, "wb") as out:
        out.write(b"print 1\n")
    for form in ("text", "json", "sarif"):
        done = run("check", "--format", form, tmp_path)
        assert done.returncode == 1 and done.stderr == ""
    (result,) = json.loads(done.stdout)["runs"][0]["results"]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "file://%s/a%%20b%%FF%%25.py" % tmp_path


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
    table = re.findall(r'c"(Python\w+)",\s*[\w:!()]+,\s*(\w+)', source)
    contexts = {"OR_ALL": "svdh", "SERVER": "sv", "NOT_HTACCESS": "svd"}
    assert len(table) >= 37
    assert {name: contexts[context] for name, context in table} == configuration.DIRECTIVES
