"""The differential harness must notice what it promises to notice."""

import pytest

from compat import differences, normalise, test_differential
from compat.case import Case, Request, get
from compat.runner import Outcome
from pyhttpd import Headers, Response

pytestmark = pytest.mark.mpms("event")


class Place:
    root = "/tmp/httpd-1"
    port = 12345


def make_case(**options):
    values = {
        "id": "x", "about": "", "requests": [get(body="a")], "files": {}, "conf": None,
        "htaccess": None, "sections": "", "vhost": None, "server": None, "site": {}, "log": None,
        "from_start": False,
        "log_ignore": (),
        "ours_log": (), "chunks": False, "crashes_original": False, "mpms": (), "replace": (),
    }  # fmt: skip
    return Case(**{**values, **options})


def outcome(body=b"a", log=(), troubles=(), crashed=False, **response):
    answer = Response("HTTP/1.1", response.pop("status", 200), "OK", body=body, **response)
    return Outcome([answer], list(log), list(troubles), crashed)


def judge(case, ours, original, differs=False):
    return [
        *test_differential._judge_log(case, ours, differs),
        *test_differential._compare(ours, original, case, differs),
    ]


def test_equal_answers_pass():
    assert judge(make_case(), outcome(), outcome()) == []


@pytest.mark.parametrize(
    "ours",
    [
        outcome(b"b"),
        outcome(status=500),
        outcome(broken="cut in the body"),
        outcome(headers=Headers([("X", "1")])),
        outcome(crashed=True),
    ],
)
def test_any_difference_is_told_once_declared_silent(ours):
    assert "ours differs" in judge(make_case(), ours, outcome())[0]
    assert judge(make_case(), ours, outcome(), differs=True) == []


def test_a_stale_row_is_told():
    assert "answer alike" in judge(make_case(), outcome(), outcome(), differs=True)[0]


def test_a_case_that_does_not_test_what_it_says_is_told():
    (problem,) = judge(make_case(), outcome(b"c"), outcome(b"c"))
    assert problem.startswith("the case is wrong: the original's answer 1: body is 'c'")


def test_error_lines_are_told_compared_or_declared():
    broken = outcome(troubles=["error: x"], log=["error: x"])
    assert "unexpected in the error log" in judge(make_case(), broken, outcome())[0]
    assert judge(make_case(log="error"), broken, broken) == []
    assert "ours differs" in judge(make_case(log="error"), broken, outcome())[0]
    declared = make_case(ours_log=["error: x"])
    assert judge(declared, broken, outcome(b"b"), differs=True) == []
    assert "no error-log line" in judge(declared, outcome(), outcome(b"b"), differs=True)[0]


def test_request_problems():
    answer = Response("HTTP/1.1", 200, "OK", Headers([("A", "1"), ("a", "2")]), b"body")
    assert (
        Request(body="body", find="o.y", expect={"A": ["1", "2"], "B": None}).problems(answer) == []
    )
    for wrong in (
        Request(status=201),
        Request(body="other"),
        Request(find="x"),
        Request(expect={"A": "1"}),
        Request(expect={"B": "1"}),
        Request(broken="no answer"),
    ):
        assert len(wrong.problems(answer)) == 1


def test_normalising():
    body = (
        b'<pre>\n  File "/usr/lib/mod_python/apache.py", line 4, in f\n    x()\n    ^^^\n'
        b'  File "/tmp/httpd-1/htdocs/x.py", line 5, in g\n    y(12345)\n      ^\n'
        b"<table at 0x7fabcdef0123>\n"
    )
    headers = Headers([("Date", "now"), ("Location", "http://127.0.0.1:12345/")])
    answer = normalise.response(Response(body=body, headers=headers), Place)
    assert answer.body == (
        b'<pre>\n  File "@root@/htdocs/x.py", line 5, in g\n    y(@port@)\n<table at 0x@>\n'
    )
    assert answer.headers.items == [("Location", "http://127.0.0.1:@port@/")]


def test_differences_table(tmp_path):
    table = tmp_path / "differences.md"
    table.write_text("# x\n| case | gotcha | why |\n|---|---|---|\n| a-b | C1 | because |\n")
    assert differences.read(table)["a-b"].gotcha == "C1"
    table.write_text("| a | C1 | because |\n| a | C1 | because |\n")
    with pytest.raises(ValueError, match="comes twice"):
        differences.read(table)
    table.write_text("| a | | because |\n")
    with pytest.raises(ValueError, match="three filled cells"):
        differences.read(table)
