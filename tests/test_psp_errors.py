"""Errors in PSP pages: what the log and the debug page say, and that they name the right line."""

import itertools
import json
import os
import random

import pytest

from pyhttpd import Site
from pyhttpd.site import MTIME

_LABORATORY = """
    import json, traceback
    from mod_python import apache, psp

    def handler(req):
        scope = dict(globals(), req=req)
        exec(req.read().decode(), scope)
        req.write(json.dumps(scope["answer"]), 0)
        return apache.OK
"""

SITE = Site(
    conf="""
        <Directory @root@/htdocs/psp>
            SetHandler mod_python
            PythonHandler mod_python.psp
            PythonDebug On
        </Directory>
        <Directory @root@/htdocs/laboratory>
            SetHandler mod_python
            PythonHandler laboratory
        </Directory>
    """,
    files={"laboratory/laboratory.py": _LABORATORY},
)


_times = itertools.count(MTIME + 1)


def write(server, name, page):
    """Writes a page as if it had been written at another time than any before."""
    path = server.write(f"psp/{name}", page)
    now = next(_times)
    os.utime(path, (now, now))


@pytest.fixture
def fails(get, server, log):
    """Writes the page, expects it to fail, and gives the debug page without the HTML entities."""

    def fails(page, name="page.psp", status=500, **files):
        for other, content in files.items():
            write(server, f"{other}.psp", content)
        write(server, name, page)
        log.expect("PythonHandler mod_python.psp: ")
        response = get(f"/psp/{name}")
        assert response.status == status, response.text
        text = response.text
        for entity, char in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#x27;", "'")):
            text = text.replace(entity, char)
        return text.replace("&amp;", "&")

    return fails


def entry(text, name, line):
    """What the traceback shows of the given line of the page."""
    head = f'/psp/{name}", line {line}'
    assert head in text, text
    return text.split(head, 1)[1]


# -- at run time


def test_the_line_of_the_page_is_shown(fails):
    text = fails('one\n<b class="x"><%= 1 / 0 %></b>\n')
    after = entry(text, "page.psp", 2)
    assert '    <b class="x"><%= 1 / 0 %></b>\n' in after
    assert "ZeroDivisionError" in after


def test_carets_stand_under_the_page_s_own_text(fails, python_version):
    if python_version < (3, 11):
        pytest.skip("Python shows no carets")
    text = fails('""" é <%= {}[\'key\'] + 2 %>\n')
    assert '    """ é <%= {}[\'key\'] + 2 %>\n              ~~^^^^^^^\n' in text


def test_code_of_several_lines(fails):
    text = fails("a\n<%\nx = 1\nfor i in range(3):\n    x = x / i\n%>b\n")
    assert "    x = x / i" in entry(text, "page.psp", 5)


def test_a_comment_of_several_lines_shifts_nothing(fails):
    text = fails("a<%-- b\nc\nd --%>\n<%@ x\ny %>\n<%= nothing %>")
    assert "<%= nothing %>" in entry(text, "page.psp", 6)


def test_crlf_pages(fails):
    text = fails(b"a\r\n\r\n<%= nothing %>\r\n")
    assert "<%= nothing %>" in entry(text, "page.psp", 3)


def test_a_line_of_an_included_file(fails):
    text = fails(
        'a\n<%@ include file="part.psp" %>\n<%= nothing %>', part="p\n\n<%= also_nothing %>\n"
    )
    assert "<%= also_nothing %>" in entry(text, "part.psp", 3)
    assert "also_nothing" in text.rsplit("NameError", 1)[1]


def test_a_line_after_an_include(fails):
    text = fails('a\n<%@ include file="part.psp" %>\n<%= nothing %>', part="p\n\n\n\np\n")
    assert "<%= nothing %>" in entry(text, "page.psp", 3)


def test_tags_of_two_files_on_one_line_of_the_program(fails, python_version):
    if python_version < (3, 11):
        pytest.skip("lines are all that Python knows")
    page = '<% x = 1 %><%@ include file="part.psp" %><%= nothing %>'
    text = fails(page, part="\n<%= x %>")
    assert "<%= nothing %>" in entry(text, "page.psp", 1)
    text = fails(page, part="<%= also_nothing %>")
    assert "<%= also_nothing %>" in entry(text, "part.psp", 1)


def test_a_nested_include(fails):
    text = fails(
        '<%@ include file="outer.psp" %>',
        outer='\n<%@ include file="inner.psp" %>\n',
        inner="\n\n<% 1 / 0 %>",
    )
    assert "<% 1 / 0 %>" in entry(text, "inner.psp", 3)


def test_functions_of_a_page(fails):
    text = fails(
        '<%\ndef f():\n    g()\n\n%>\n<%@ include file="part.psp" %><%= f() %>',
        part="<%\ndef g():\n    raise KeyError('deep')\n\n%>",
    )
    assert "in <module>" in text
    assert "    g()" in entry(text, "page.psp", 3).split("\n\n")[0]
    assert "    raise KeyError('deep')" in entry(text, "part.psp", 3)


def test_exceptions_behind_the_exception(fails):
    text = fails(
        "<%--\n--%><%\ntry:\n    1 / 0\n"
        "except ZeroDivisionError as e:\n    raise KeyError(1) from e\n%>"
    )
    assert "    1 / 0" in entry(text, "page.psp", 4)
    assert "    raise KeyError(1) from e" in entry(text, "page.psp", 6)
    assert "direct cause" in text


def test_endless_recursion(fails):
    text = fails("<%-- a\n--%><%\ndef f(n):\n    return f(n + 1)\n\n%>\n<%= f(0) %>\n")
    assert "<%= f(0) %>" in entry(text, "page.psp", 7)
    assert "return f(n + 1)" in entry(text, "page.psp", 4)
    assert "RecursionError" in text


def test_a_page_in_another_encoding(fails):
    text = fails('<%@ page encoding="latin-1" %>\né <%= nothing %>'.encode("latin-1"))
    assert "é <%= nothing %>" in entry(text, "page.psp", 2)


def test_a_changed_page_shows_its_new_text(fails):
    assert "<%= first %>" in entry(fails("<%= first %>"), "page.psp", 1)
    assert "<%= second %>" in entry(fails("\n<%= second %>"), "page.psp", 2)


def test_an_error_page_gets_the_page_s_lines(get, server):
    write(
        server,
        "handler.psp",
        "<%\nimport traceback\n%><%= ''.join(traceback.format_exception(*exception)) %>",
    )
    write(server, "page.psp", "<%-- a\n--%><% psp.set_error_page('handler.psp') %>\n<%= 1 / 0 %>")
    text = get("/psp/page.psp").text
    assert "    <%= 1 / 0 %>" in entry(text, "page.psp", 3)


def test_pages_without_a_file(fetch):
    code = """
pages = ["<%= 1 %>\\n<%= one %>", "<%= 1 %>\\n<%= two %>"]
answer = []
for text in pages:
    try:
        psp.PSP(req, string=text).run()
    except NameError:
        answer.append(traceback.format_exc())
    else:
        answer.append(None)
answer.append(traceback.format_exc())
"""
    response = fetch("/laboratory/x", "POST", body=code.encode())
    assert response.status == 200
    assert "    <%= one %>" in response.text
    assert "    <%= two %>" in response.text


def test_the_exception_itself_is_raised(fetch):
    code = """
class E(Exception):
    def __init__(self, a, b):
        Exception.__init__(self, a, b)
error = E(1, 2)
try:
    psp.PSP(req, string="<% raise error %>", vars={"error": error}).run()
except E as caught:
    answer = [caught is error, caught.__context__ is None, caught.__cause__ is None]
"""
    response = fetch("/laboratory/x", "POST", body=code.encode())
    assert response.text == "[true, true, true]"


# -- at compile time


def syntax_error(text):
    return text.split("SyntaxError: ", 1)[-1] if "SyntaxError: " in text else text


def test_a_syntax_error_names_the_tag(fails):
    text = fails("a\nb <% if x %> c\n")
    after = entry(text, "page.psp", 2)
    assert "b <% if x %> c" in after
    assert "(in <% if x %>)" in after


def test_a_syntax_error_in_an_included_file(fails):
    text = fails('a\n\n<%@ include file="part.psp" %>', part="\n<%= 1 + %>\n")
    after = entry(text, "part.psp", 2)
    assert "<%= 1 + %>" in after
    assert "(in <%= 1 + %>)" in after


def test_a_syntax_error_after_an_include(fails):
    text = fails('<%@ include file="part.psp" %>\n<%= 1 + %>', part="\n\n\n")
    assert "(in <%= 1 + %>)" in entry(text, "page.psp", 2)


def test_a_block_without_a_body(fails):
    text = fails("a\n<% if x: %>b\n<%\nfor y in z:\n# c\n%>d\n")
    assert "page.psp" in text
    assert "Error: " in text


def test_an_indentation_error_keeps_its_kind(fails):
    text = fails("<%\nif 1:\n  x = 1\n  %>a")
    assert "IndentationError: unexpected indent" in text
    assert entry(text, "page.psp", 4)


@pytest.mark.parametrize(
    ("page", "line", "reason"),
    [
        ("a\n<% if x", 2, "tag is never closed by %>"),
        ("a\n\n<%= x\n\n", 3, "tag is never closed by %>"),
        ("a\n<%-- b\nc", 2, "comment <%-- is never closed by --%>"),
        ("a\n<%@ b", 2, "directive <%@ is never closed by %>"),
        (b"a\nb\0c", 2, "NUL character ends the program"),
    ],
)
def test_a_page_that_breaks_off(fails, page, line, reason):
    text = fails(page)
    assert f"SyntaxError: {reason} (so Python says: " in entry(text, "page.psp", line)


def test_an_include_that_breaks_off(fails):
    text = fails('<%@ include file="part.psp" %>b', part="\n<%-- x")
    assert "comment <%-- is never closed" in entry(text, "part.psp", 2)


def test_a_page_that_ends_in_a_backslash(fails):
    assert "a backslash at the end of the page's text must be doubled" in fails("a\nb\\")


@pytest.mark.parametrize("page", ["<%= '%>'%>", "a\\\\<%= '%>'%>"])
def test_an_end_of_a_tag_within_quotes(fails, page):
    text = fails(page)
    # Python 3.9 does not look beyond the first thing that is wrong.
    assert "a quote in a tag is not closed" in text or "SyntaxError: invalid syntax" in text
    assert "backslash" not in text


def test_a_circle_of_includes(fails):
    text = fails('<%@ include file="part.psp" %>', part='x\n <%@ include file="page.psp" %>')
    after = entry(text, "part.psp", 2)
    assert '<%@ include file="page.psp" %>' in after
    assert "page includes itself: " in after


def test_a_missing_include_names_who_includes_it(fails):
    text = fails('a\n<%@ include file="nowhere.psp" %>')
    assert "page.psp, line 2)" in text
    assert "nowhere.psp'" in text


def test_an_include_that_is_a_directory(fails, server):
    server.write("psp/directory.psp/x", "x")
    assert "IsADirectoryError" in fails('<%@ include file="directory.psp" %>')


def test_text_that_is_not_in_the_encoding(fails):
    text = fails(b"a\nb\xe9")
    assert "UnicodeDecodeError" in text
    assert "page.psp, line 2;" in text
    assert '<%@ page encoding="..." %>' in text


def test_an_unknown_encoding(fails):
    assert "unknown encoding: nonsense" in fails('<%@ page encoding="nonsense" %>')


def test_a_setting_that_would_be_lost(fails):
    text = fails('a\n<%@ page escape="hmtl" %>')
    assert 'escape="hmtl" is not known' in entry(text, "page.psp", 2)


def test_deep_nesting_is_an_error_and_no_crash(fails, get, server):
    text = fails("<%= " + "(" * 100000 + ")" * 100000 + " %>")
    assert "Error: " in text
    write(server, "page.psp", "well")
    assert get("/psp/page.psp").text == "well"


def test_long_chains_of_operators_are_an_error_and_no_crash(fails, get, server):
    text = fails("<%= " + "+".join(["1"] * 200000) + " %>")
    assert "Error: " in text
    write(server, "page.psp", "well")
    assert get("/psp/page.psp").text == "well"


PIECES = [
    *("<%", "<%=", "<%\n", "%>", "%>", "%>", "<%@ ", "<%--", "--%>"),
    *(
        "\n",
        "\n",
        "\r\n",
        "\r",
        "  ",
        "\t",
        "\f",
        "x",
        "y = 1",
        "if x:",
        "for i in y:",
        "else:",
        ":",
    ),
    *(
        "#",
        "'",
        '"',
        '"""',
        "(",
        ")",
        "\\",
        "\\x4",
        "\\N",
        "\0",
        "é",
        "\U0001f40d",
        "def f():",
        ",",
    ),
    *("return", "lambda", "f'{", "pass", "page ", "escape=", '"html"', "encoding=", "'utf-8'"),
    'include file="/nowhere"',
]
_COMPILE_ALL = """
import warnings
from mod_python import _psp_page

warnings.simplefilter("ignore")
answer = []
for text in %s:
    try:
        _psp_page.compile_page(None, None, (None, None), text)
        answer.append(None)
    except SyntaxError as error:
        name, line, offset, excerpt = error.args[1]
        answer.append(["SyntaxError", error.msg, name, line, offset, excerpt])
    except Exception as error:
        answer.append([type(error).__name__, str(error)])
"""


@pytest.mark.parametrize("seed", range(4))
def test_every_page_compiles_or_fails_at_a_place(fetch, seed):
    chance = random.Random(seed)
    pages = ["".join(chance.choices(PIECES, k=chance.randint(1, 25))) for _ in range(4000)]
    response = fetch("/laboratory/x", "POST", body=(_COMPILE_ALL % ascii(pages)).encode())
    assert response.status == 200, response.text
    outcomes = json.loads(response.text)
    assert len(outcomes) == len(pages)
    for page, outcome in zip(pages, outcomes):
        if outcome is None:
            continue
        kind, message, *place = outcome
        assert message, page
        if kind == "FileNotFoundError":
            assert "/nowhere" in message
            continue
        assert kind == "SyntaxError", (page, outcome)
        name, line, offset, excerpt = place
        read = page.split("\0")[0]  # as ever, a NUL ends it
        lines = read.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        assert name in ("__psp__", "/nowhere"), (page, outcome)
        assert 1 <= line <= len(lines), (page, outcome)
        assert excerpt.split("\0")[0].rstrip("\n") == lines[line - 1], (page, outcome)
        assert offset is None or 1 <= offset <= len(excerpt) + 1, (page, outcome)
    assert outcomes.count(None) > 100
