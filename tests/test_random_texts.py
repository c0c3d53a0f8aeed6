"""Parsers written in Python, on texts put together at random from what means something to them.

The same ones in each run, but for a soak, whose failures name the seed for MOD_PYTHON_RANDOM_SEED.
Those in Rust have a fuzzer.
"""

import os
import random
import re
import time

import pytest

from mod_python import Cookie, _annotations
from mod_python._check import command, configuration
from mod_python._check.mask import mask
from pyhttpd import Site

pytestmark = pytest.mark.mpms("event")

SEED = int(os.environ.get("MOD_PYTHON_RANDOM_SEED", "0")) or (
    random.randrange(1, 10**9) if os.environ.get("MOD_PYTHON_SOAK") else 1
)

SITE = Site(
    conf="""
        <Directory @root@/htdocs/below>
            SetHandler mod_python
            PythonHandler mod_python.publisher
        </Directory>
        AllowEncodedSlashes NoDecode
        # Its own URL leads to it as to any file, and /below//../secret.py is that.
        <Files secret.py>
            Require all denied
        </Files>
    """,
    files={
        "secret.py": 'def index():\n    return "INNER"\n',
        "below/index.py": 'def index():\n    return "index"\n',
        "below/page.py": """
            import os
            import sys
            _hidden = "INNER"
            shown = "shown"
            class Thing:
                _hidden = "INNER"
                def method(self):
                    return "method"
            thing = Thing()
            def call(req, argument="default"):
                "INNER"
                return "called"
        """,
        "below/deep/page.py": 'def index():\n    return "deep"\n',
    },
)


def texts(pieces, count, longest=12):
    """Random texts, and the random numbers that they came from."""
    chance = random.Random(SEED)
    for _ in range(count):
        yield "".join(chance.choice(pieces) for _ in range(chance.randrange(longest))), chance


COOKIE = [*'=;, "\\$\t\n\x00\xe9', "name", "a=b", "; ", '="', "path=/", "expires=", "\U0001f600"]


def test_cookies():
    for text, _ in texts(COOKIE, 4000, 20):
        found = Cookie.Cookie.parse(text)
        for name, cookie in found.items():
            assert name and not re.search("[;= ]", name), (SEED, text)
            assert cookie.name == name and (name in text and cookie.value in text), (SEED, text)


def test_cookies_take_linear_time():
    # A hundredth of a second; one that is not linear takes a minute. It is no time of the clock.
    for piece in ("\\", "a", "=", ' "', ";", " ", ",", ", ", "a ", 'a="', 'a="\\";', "\t", ' ="'):
        for start in ("", "\xe9", 'a="'):
            text = start + piece * (100000 // len(piece))
            began = time.process_time()
            Cookie.Cookie.parse(text + "\xe9")
            assert time.process_time() - began < 10, (start, piece)


def test_numbers_take_linear_time():
    began = time.process_time()
    for text in ("1" * 100000, "1." + "1" * 100000, "." + "1" * 100000, "1e" + "1" * 100000):
        assert _annotations._FLOAT.fullmatch(text)
        assert not _annotations._FLOAT.fullmatch(text + "x")
    assert time.process_time() - began < 10


@pytest.mark.parametrize("make", (Cookie.Cookie, Cookie.SignedCookie, Cookie.MarshalCookie))
def test_cookies_come_back(make):
    keywords = {} if make is Cookie.Cookie else {"secret": "secret"}
    for text, _ in texts([*"abc=, %/+-\xe9", "path", "expires"], 500):
        value = text.strip(' "')
        try:
            line = str(make("name", value, **keywords))
        except Cookie.CookieError:
            continue
        header = line.partition(";")[0] + "; other=x"
        found = make.parse(header, **keywords) if keywords else make.parse(header)
        assert found["name"].value == value, (SEED, value)


PROGRAM = [*"'\"#\\\n ()", '"""', "'''", "x", "print x", "\\\n", "é", "\t", "\r\n"]


def test_masks():
    for text, _ in texts(PROGRAM, 3000, 20):
        masked = mask(text)
        assert len(masked) == len(text), (SEED, text)
        assert [c == "\n" for c in masked] == [c == "\n" for c in text], (SEED, text)
        assert not set(masked) - set(text) - {" "}, (SEED, text)


CONFIGURATION = [
    *"\n\\\"'<>#| \t",
    *("<Directory", "</Directory>", "<Location /x>", "PythonHandler", "PythonOption", "\\\n"),
    *("mod_python.publisher", "session", "PythonInterpPerServer", "AddHandler", ".py", "é", "Off"),
]
PAGE = [*"<%>=@!-\n'\"", "<%", "%>", "<%=", "<%@", "include", "file=", "if x:", "\n  ", "é"]


@pytest.mark.parametrize(
    "kind, pieces",
    (("py", PROGRAM), ("conf", CONFIGURATION), ("htaccess", CONFIGURATION), ("psp", PAGE)),
)
def test_check_finds_or_does_not(kind, pieces):
    for text, _ in texts(pieces, 400, 25):
        last = text.count("\n") + text.count("\r") + 1
        for finding in command.look("x", kind, text):
            assert 1 <= finding.line <= last, (SEED, text)
        if kind in ("conf", "htaccess"):
            assert all(1 <= line.number <= last for line in configuration.lines_of(text))
        mended = command.fix("x", kind, text)
        assert command.fix("x", kind, mended) == mended, (SEED, text)


URL = [
    *("/", "//", ".", "..", "/../", "%2e%2e", "%2f", "%5c", "\\", "%00", "%", "_", "__", "~", ";"),
    *(
        "page",
        "page.py",
        "deep",
        "index",
        "secret",
        "secret.py",
        "shown",
        "thing",
        "method",
        "call",
    ),
    *("__globals__", "__class__", "__dict__", "_hidden", "os", "sys", "modules", "%5f%5fdoc%5f%5f"),
]


def test_urls_of_published_pages(get, log):
    log.allow("AH", "ValueError", "Traceback", "  File", "    ")
    answered = 0
    for text, _ in texts(URL, 400, 9):
        answer = get("/below/" + text)
        assert answer.status in (200, 301, 400, 403, 404), (SEED, text)
        assert b"INNER" not in answer.body, (SEED, text)
        answered += answer.status == 200
    assert answered
