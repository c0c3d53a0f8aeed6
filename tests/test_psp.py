"""PSP beyond what differential cases can show: changes on disk, encodings, escaping, caches."""

import json
import os
import threading

import pytest

from pyhttpd import Site, client

# Runs code against the module in the server; see `ask`.
_LABORATORY = """
    import json
    from mod_python import _psp, _psp_cache, _psp_page, apache, psp

    def handler(req):
        scope = dict(globals(), req=req)
        exec(req.read().decode(), scope)
        req.content_type = "application/json"
        req.write(json.dumps(scope["answer"]), 0)
        return apache.OK
"""

SITE = Site(
    conf="""
        <Directory @root@/htdocs/psp>
            SetHandler mod_python
            PythonHandler mod_python.psp
        </Directory>
        <Directory @root@/htdocs/psp/latin>
            PythonOption mod_python.psp.encoding latin-1
        </Directory>
        <Directory @root@/htdocs/psp/safe>
            PythonOption mod_python.psp.escape html
        </Directory>
        <Directory @root@/htdocs/psp/wrong>
            PythonOption mod_python.psp.escape hmtl
        </Directory>
        <Directory @root@/htdocs/psp/dbm>
            PythonOption mod_python.psp.cache_database_filename @root@/writable/pages
        </Directory>
        <Directory @root@/htdocs/psp/nodbm>
            PythonOption PSPDbmCache @root@/nowhere/pages
        </Directory>
        Alias /safe @root@/htdocs/psp/both
        <Location /safe>
            PythonOption mod_python.psp.escape html
        </Location>
        <Directory @root@/htdocs/psp/one>
            PythonInterpreter one
        </Directory>
        <Directory @root@/htdocs/psp/two>
            PythonInterpreter two
        </Directory>
        <Directory @root@/htdocs/laboratory>
            SetHandler mod_python
            PythonHandler laboratory
        </Directory>
    """,
    files={
        "laboratory/laboratory.py": _LABORATORY,
        "psp/both/page.psp": "<%= '<' %>",
        "psp/wrong/page.psp": "a",
    },
)

_clock = [1700000000]


@pytest.fixture
def write(server):
    """Writes a file of the site as if it had been written at another time than any before."""

    def write(name, content):
        path = server.write(name, content)
        _clock[0] += 10
        os.utime(path, (_clock[0], _clock[0]))
        return path

    return write


@pytest.fixture
def ask(fetch):
    """What `answer` is after the code has run in the server."""

    def ask(code):
        response = fetch("/laboratory/x", "POST", body=code.encode())
        assert response.status == 200, response.text
        return json.loads(response.text)

    return ask


def body(response):
    assert response.status == 200, response.text
    return response.text


# -- changes on disk


def test_a_changed_page_is_compiled_anew(get, write):
    for text in ("one", "two"):
        write("psp/changed.psp", text)
        assert body(get("/psp/changed.psp")) == text
        assert body(get("/psp/changed.psp")) == text


def test_a_change_within_the_same_second_is_seen(get, server, write):
    path = write("psp/same.psp", "one")
    assert body(get("/psp/same.psp")) == "one"
    status = os.stat(path)
    path = server.write("psp/same.psp", "two")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1000))
    assert body(get("/psp/same.psp")) == "two"


def test_a_page_that_becomes_older_is_compiled_anew(get, server, write):
    write("psp/older.psp", "new")
    assert body(get("/psp/older.psp")) == "new"
    path = server.write("psp/older.psp", "old")
    os.utime(path, (1, 1))
    assert body(get("/psp/older.psp")) == "old"


def test_a_changed_include_is_seen(get, write):
    write("psp/outer.psp", '<%@ include file="middle.psp" %>.')
    write("psp/middle.psp", 'm<%@ include file="inner.psp" %>')
    for text in ("one", "two"):
        write("psp/inner.psp", text)
        assert body(get("/psp/outer.psp")) == f"m{text}."
    write("psp/middle.psp", "no more")
    assert body(get("/psp/outer.psp")) == "no more."


def test_a_removed_include_is_an_error_and_comes_back(get, write, log):
    write("psp/with.psp", '<%@ include file="removed.psp" %>')
    path = write("psp/removed.psp", "here")
    assert body(get("/psp/with.psp")) == "here"
    path.unlink()
    log.expect(r"FileNotFoundError: .*\(included by .*/with.psp, line 1\): '.*/removed.psp'")
    log.expect("PythonHandler mod_python.psp: ")
    assert get("/psp/with.psp").status == 500
    write("psp/removed.psp", "again")
    assert body(get("/psp/with.psp")) == "again"


def test_a_removed_page_is_404(get, write):
    path = write("psp/gone.psp", "here")
    assert body(get("/psp/gone.psp")) == "here"
    path.unlink()
    assert get("/psp/gone.psp").status == 404


def test_includes_of_a_string_are_watched(ask, server, write):
    path = write("psp/part.psp", "one")
    code = f"""
page = psp.PSP(req, string='<%@ include file="{path}" %>')
answer = page.code.co_consts[0]
"""
    assert ask(code) == "one"
    write("psp/part.psp", "two")
    assert ask(code) == "two"


# -- encodings


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("latin-1", "é"),
        ("cp1252", "€"),
        ("koi8-r", "Привет"),
        ("shift_jis", "表示"),  # its first character ends in the byte of a backslash
        ("utf-8", "é€表"),
        ("utf-8-sig", "é"),
    ],
)
def test_a_page_names_its_encoding(get, write, encoding, text):
    page = f'<%@ page encoding="{encoding}" %>{text} <%= "{text}" %>'
    write(f"psp/encoding-{encoding}.psp", page.encode(encoding))
    assert body(get(f"/psp/encoding-{encoding}.psp")) == f"{text} {text}"


def test_an_option_names_the_encoding(get, write):
    write("psp/latin/page.psp", "é".encode("latin-1"))
    answer = get("/psp/latin/page.psp")
    assert body(answer) == "é"
    # Browsers believe it more than they do a page that says to be in latin-1.
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    write("psp/latin/utf8.psp", b'<%@ page encoding="utf-8" %>\xc3\xa9')
    assert body(get("/psp/latin/utf8.psp")) == "é"


def test_included_files_have_encodings_of_their_own(get, write):
    write("psp/latin-part.psp", b'<%@ page encoding="latin-1" %>\xe9')
    write("psp/mixed.psp", 'é<%@ include file="latin-part.psp" %>é')
    assert body(get("/psp/mixed.psp")) == "ééé"


def test_the_source_view_decodes(ask, write):
    path = write("psp/view.psp", b'<%@ page encoding="latin-1" %>\xe9')
    shown = ask(f"""
class Request:
    filename = {str(path)!r}
    out = ""
    def get_options(self): return {{}}
    def write(self, text): self.out += text
fake = Request()
psp.PSP(fake).display_code()
answer = fake.out
""")
    assert shown.count("é") == 2


# -- escaping


def test_nothing_is_escaped_unless_asked_for(get, write):
    write("psp/plain.psp", "<%= '<&>' %>")
    assert body(get("/psp/plain.psp")) == "<&>"


def test_a_page_escapes(get, write):
    write(
        "psp/escape.psp",
        """\
<%@ page escape="html" %><b><%= form.getfirst('what') %></b><%= 1 %><%= None %><%= "é'\\"" %>
<%
class Safe(str):
    def __html__(self): return self

%><%= Safe('<i>') %><% req.write('<hr>', 0) %>""",
    )
    assert body(get("/psp/escape.psp?what=%3Cscript%3E%26")) == (
        "<b>&lt;script&gt;&amp;</b>1Noneé&#x27;&quot;\n<i><hr>"
    )


def test_an_option_escapes_and_a_page_can_decline(get, write):
    write("psp/safe/yes.psp", "<%= '<' %>")
    write("psp/safe/no.psp", "<%@ page escape=\"none\" %><%= '<' %>")
    write("psp/safe/both.psp", "<%= (1, '<') %><%@ include file=\"no.psp\" %>")
    assert body(get("/psp/safe/yes.psp")) == "&lt;"
    assert body(get("/psp/safe/no.psp")) == "<"
    assert body(get("/psp/safe/both.psp")) == "(1, &#x27;&lt;&#x27;)<"


def test_one_file_under_two_configurations(get):
    for _ in range(2):
        assert body(get("/psp/both/page.psp")) == "<"
        assert body(get("/safe/page.psp")) == "&lt;"


def test_an_unknown_escape_option_is_an_error(get, log):
    log.expect('ValueError: the escape of PSP pages can be "html" or "none", not "hmtl"')
    log.expect("PythonHandler mod_python.psp: ")
    assert get("/psp/wrong/page.psp").status == 500


def test_a_page_cannot_be_put_in_place_of_escaping(get, write):
    # What a page's expressions are written with must not be `escape` or `str`, which pages define.
    write("psp/named.psp", '<%@ page escape="html" %><% str = escape = repr %><%= "<" %>')
    assert body(get("/psp/named.psp")) == "&lt;"


# -- caches


def test_the_dbm_cache_serves_another_child(server, get, write, ask):
    (server.root / "writable").mkdir(exist_ok=True)
    (server.root / "writable").chmod(0o777)
    write("psp/dbm/part.psp", "part")
    path = write("psp/dbm/page.psp", 'a<%@ include file="part.psp" %><%= 1 %>')
    assert body(get("/psp/dbm/page.psp")) == "apart1"
    kept = f"""
page = _psp_cache.dbm_cache_get(
    req.server, {str(server.root / "writable/pages")!r}, {str(path)!r}, _psp.stamp({str(path)!r})
)
answer = page and [name for name, stamp in page.files]
"""
    assert ask(kept) == [str(path), str(path.parent / "part.psp")]
    server.restart()
    assert body(get("/psp/dbm/page.psp")) == "apart1"
    write("psp/dbm/part.psp", "changed")
    assert body(get("/psp/dbm/page.psp")) == "achanged1"
    write("psp/dbm/page.psp", "other")
    assert body(get("/psp/dbm/page.psp")) == "other"


def test_a_page_from_the_dbm_cache_is_the_one_kept(server, ask, write):
    """The kept code is what runs, as long as the file has not changed."""
    path = write("psp/dbm/forged.psp", "real")
    answer = f"""
path, dbmfile = {str(path)!r}, {str(server.root / "writable/forged")!r}
other = _psp_page.compile_page(None, None, (None, None), "forged")
other.files = ((path, _psp.stamp(path)),)
_psp_cache.dbm_cache_store(req.server, dbmfile, path, _psp.stamp(path), other)
req.get_options()["mod_python.psp.cache_database_filename"] = dbmfile
answer = psp.PSP(req, path).code.co_consts[0]
"""
    (server.root / "writable").mkdir(exist_ok=True)
    (server.root / "writable").chmod(0o777)
    assert ask(answer) == "forged"


def test_a_dbm_cache_that_fails_is_logged_and_done_without(get, write, log):
    write("psp/nodbm/page.psp", "a")
    assert body(get("/psp/nodbm/page.psp")) == "a"
    assert any("cannot use the cache" in line for line in log.messages())


@pytest.mark.parametrize(
    "damage",
    [
        "record[:-1]",
        "b'x' + record[1:]",
        "record[:20] + b'x' + record[21:]",
        "record[:-1] + bytes([record[-1] ^ 1])",
        "b''",
    ],
)
def test_damaged_records_are_not_used(ask, damage):
    assert ask(f"""
page = _psp_page.compile_page(None, None, (None, None), "a")
record = _psp_cache.to_record(page)
assert _psp_cache.from_record(record).code == page.code
record = {damage}
answer = _psp_cache.from_record(record) is None
""")


def test_precompiled_pages(get, server, write, ask):
    path = write("psp/ahead.psp", "source")
    compiled = path.with_suffix(".psc")
    directory = path.parent
    directory.chmod(0o777)
    assert ask(f"answer = psp.precompile({str(path)!r})") == str(compiled)
    assert not list(directory.glob("*.psc.*"))
    # Something else in its place shows which of the two is used.
    forge = f"""
page = _psp_page.compile_page(None, None, (None, None), "compiled")
page.files = (({str(path)!r}, None),)
open({str(compiled)!r}, "wb").write(_psp_cache.to_record(page))
answer = 0
"""
    ask(forge)
    os.utime(compiled, (_clock[0] + 5, _clock[0] + 5))
    assert body(get("/psp/ahead.psp")) == "compiled"
    write("psp/ahead.psp", "newer")
    assert body(get("/psp/ahead.psp")) == "newer"
    directory.chmod(0o755)


def test_caches_are_bounded(ask):
    kept, least, most, newest = ask("""
cache = psp.HitsCache(8)
for n in range(8):
    cache.store(n, n)
    for _ in range(n):
        cache.get(n)
cache.store("new", "new")
answer = [sorted(map(str, cache.cache)), cache.get(0), cache.get(7), cache.get("new")]
""")
    assert kept == ["3", "4", "5", "6", "7", "new"]  # three quarters of the room
    assert (least, most, newest) == (None, 7, "new")


def test_caches_are_bounded_by_size(ask):
    assert ask("""
class Sized:
    def __init__(self, size): self.size = size
cache = psp.FileCache(100, 1000)
for n in range(50):
    cache.store(n, 1, Sized(100))
held = sum(entry[1].size for entry in cache.cache.values())
cache.store("big", 1, Sized(5000))
answer = [held <= 1000, cache._weight == 5000, list(cache.cache), cache.get("big", 2)]
""") == [True, True, ["big"], None]


def test_a_popular_entry_can_be_replaced_in_time(ask):
    assert (
        ask("""
cache = psp.HitsCache(4)
cache.store("once popular", 1)
for _ in range(100):
    cache.get("once popular")
for n in range(100):
    cache.store(n, n)
    cache.get(n)
    cache.get(n)
answer = cache.get("once popular")
""")
        is None
    )


def test_threads_share_the_cache(server, write, mpm):
    write("psp/shared.psp", "<%\nfor i in range(50):\n    # x\n%><%= i %> <%\n# end\n%>.")
    wrong = []

    def fetch():
        for _ in range(20):
            answer = client.get(server.port, "/psp/shared.psp")
            if answer.text != "".join(f"{i} " for i in range(50)) + ".":
                wrong.append(answer.text)

    threads = [threading.Thread(target=fetch) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        path = write("psp/other.psp", "x")
        os.utime(path)
    for thread in threads:
        thread.join()
    assert not wrong


def test_interpreters_have_caches_of_their_own(connect, write):
    get = connect().request  # of one child
    page = """<%
import _psp, mod_python.psp
count = mod_python.psp.count = getattr(mod_python.psp, "count", 0) + 1
%><%= apache.interpreter %> <%= count %> <%= len(PSP.__init__.__globals__["mem_fcache"].cache) %>
<%= _psp.escape("<") %> <%= form.getfirst("name") %>"""
    for name in ("one", "two"):
        write(f"psp/{name}/page.psp", page)
    for count in (1, 2):
        for name in ("one", "two"):
            answer = body(get(f"/psp/{name}/page.psp?name=value"))
            assert answer == f"{name} {count} 1\n&lt; value"


def test_errors_in_another_interpreter(get, write, log):
    write("psp/one/error.psp", "<%-- a\n--%>\n<%= 1 / 0 %>")
    log.expect("PythonHandler mod_python.psp: ", r"error.psp\", line 3, in <module>")
    assert get("/psp/one/error.psp").status == 500


def test_code_can_be_set_from_outside(ask):
    assert ask("""
class Own(psp.PSP):
    def load_from_file(self):
        self.code = compile("out.append(1); 1 / 0", "own", "exec")
out = []
page = Own(req, "/nowhere.psp", vars={"out": out})
try:
    page.run()
except ZeroDivisionError:
    answer = out
""") == [1]


# -- the module _psp


def test_parse_takes_names_of_every_kind(ask, write):
    path = write("psp/kinds.psp", "x")
    assert (
        ask(f"""
import os, pathlib
path = {str(path)!r}
answer = [
    _psp.parse(name) == 'req.write(\"\"\"x\"\"\",0)\\n'
    for name in (path, pathlib.Path(path))
] + [_psp.parse(path, "/elsewhere/") == _psp.parse("kinds.psp", os.path.dirname(path) + "/")]
""")
        == [True] * 3
    )


def test_stamps(ask, write):
    path = write("psp/stamp.psp", "four")
    assert ask(f"answer = _psp.stamp({str(path)!r})") == [_clock[0] * 10**9, 4, path.stat().st_ino]
    assert ask(f"answer = [_psp.stamp({str(path.parent)!r}), _psp.stamp('/nowhere')]") == [
        None,
        None,
    ]


def test_escape(ask):
    assert ask("""
class Bad:
    def __str__(self): raise KeyError("no text")
answer = [_psp.escape(x) for x in ("", "a", "<&>\\"'", 1, None, b"<", "\\u20ac<")]
try:
    _psp.escape(Bad())
except KeyError as error:
    answer.append(str(error))
try:
    _psp.escape("\\ud800<")
except UnicodeEncodeError:
    answer.append("surrogate")
""") == [
        "",
        "a",
        "&lt;&amp;&gt;&quot;&#x27;",
        "1",
        "None",
        "b&#x27;&lt;&#x27;",
        "€&lt;",
        "'no text'",
        "surrogate",
    ]


def test_the_stub_lists_what_the_module_has(ask):
    import ast
    import pathlib

    stub = pathlib.Path(__file__).parents[1] / "python/_psp.pyi"
    named = {
        node.name: [arg.arg for arg in node.args.posonlyargs + node.args.args]
        for node in ast.parse(stub.read_text()).body
        if isinstance(node, ast.FunctionDef)
    }
    live = ask("""
import inspect, _psp as live
answer = {
    name: list(inspect.signature(value).parameters)
    for name, value in vars(live).items() if not name.startswith("__")
}
""")
    assert named == live
