"""The published vulnerabilities of mod_python, each as a test that it stays closed."""

import os
import pathlib
import pickle
import urllib.parse

import pytest

from pyhttpd import Site

PACKAGE = pathlib.Path(__file__).resolve().parent.parent / "python/mod_python"

SITE = Site(
    conf="""
        <Directory @root@/htdocs>
            SetHandler mod_python
            PythonHandler mod_python.publisher
            PythonOption tmp @root@/tmp
        </Directory>
        <Location /query>
            SetHandler mod_python
            PythonPath "sys.path + ['@root@/htdocs']"
            PythonHandler query
        </Location>
        <Location /session>
            SetHandler mod_python
            PythonPath "sys.path + ['@root@/htdocs']"
            PythonHandler visits
            PythonOption mod_python.file_session.database_directory @root@/tmp/deep/down
            PythonOption tmp @root@/tmp
        </Location>
        <Directory @root@/htdocs/filtered>
            PythonHandler source
            PythonOutputFilter reader READER
            SetOutputFilter READER
        </Directory>
    """,
    files={
        # CVE-2002-0185
        "shop.py": """
            import inner
            import os, sys
            from inner import helpers
            class Cart:
                module = inner
                def total(self):
                    return "total"
            cart = Cart()
            def show():
                return "shown"
        """,
        "inner.py": """
            import os
            import helpers
            def danger(req, command="x"):
                return "INNER " + command
        """,
        "helpers.py": """
            def wipe(req):
                return "INNER wipe"
        """,
        # CVE-2005-0088
        "pub.py": '''
            """INNER documentation"""
            _private = "INNER"
            password_of_nobody = None
            def f(req, argument="INNER default"):
                "INNER documentation"
                return "f"
            f.attribute = "INNER"
            class C:
                constant = "INNER"
                def __init__(self):
                    self._hidden = "INNER"
                    self.shown = "shown"
                    self.error = None
                def method(self):
                    return "method"
            instance = C()
            text = "text"
            number = 5
            mapping = {"key": "value"}
            items = [1, 2]
            def generate():
                yield "g"
            generator = generate()
            try:
                raise ValueError("x")
            except ValueError as raised:
                error = raised
        ''',
        # CVE-2003-0973, CVE-2004-0096
        "query.py": """
            from mod_python import apache, util
            def handler(req):
                req.content_type = "text/plain; charset=utf-8"
                if req.path_info == "/form" or req.uri.endswith("/form"):
                    form = util.FieldStorage(req, keep_blank_values=1)
                    pairs = [(field.name, field.value) for field in form.list]
                else:
                    pairs = util.parse_qsl(req.args or "", 1)
                    single = util.parse_qs(req.args or "", 1)
                    assert sorted(single) == sorted({name for name, value in pairs})
                    for strict in (0, 1):
                        for blank in (0, 1):
                            try:
                                util.parse_qs(req.args or "", blank, strict)
                                util.parse_qsl(req.args or "", blank, strict)
                            except ValueError:
                                assert strict
                req.write(repr(pairs))
                return apache.OK
        """,
        # CVE-2004-2680
        "filtered/x": "",
        "filtered/source.py": """
            from mod_python import apache
            def content(letter, size):
                line = (letter * 59).encode()
                return b"".join(b"%08d " % n + line + b"\\n" for n in range(size // 69 + 1))[:size]
            def handler(req):
                letter, size, way, _ = req.args.split(":")
                data = content(letter, int(size))
                if way == "once":
                    req.write(data)
                else:
                    for start in range(0, len(data), 5000):
                        req.write(data[start:start + 5000], 0)
                return apache.OK
        """,
        "filtered/reader.py": """
            def outputfilter(filter):
                how = filter.req.args.split(":")[3]
                read = {
                    "all": lambda: filter.read(),
                    "line": lambda: filter.readline(),
                    "16384": lambda: filter.read(16384),
                    "16385": lambda: filter.read(16385),
                    "100000": lambda: filter.read(100000),
                }[how]
                data = read()
                while data:
                    filter.write(data)
                    data = read()
                if data is None:
                    filter.close()
        """,
        # CVE-2006-1095
        "visits.py": """
            from mod_python import Session, apache
            def handler(req):
                if req.args:
                    try:
                        Session.FileSession(req, sid=req.args, lock=0)
                    except ValueError as error:
                        req.write("ValueError")
                        return apache.OK
                session = Session.FileSession(req, lock=0)
                req.write("new" if session.is_new() else "known")
                req.write(" " + " ".join(session))
                session["visited"] = 1
                session.save()
                return apache.OK
        """,
    },
)


@pytest.mark.parametrize(
    "path",
    (
        "/shop/inner",
        "/shop/inner/danger?command=y",
        "/shop/inner/helpers/wipe",
        "/shop/inner/os/getcwd",
        "/shop/helpers",
        "/shop/helpers/wipe",
        "/shop/os",
        "/shop/os/getcwd",
        "/shop/sys/exit",
        "/shop/sys/version",
        "/shop/cart/module",
        "/shop/cart/module/danger",
        "/shop.inner.danger",
        "/shop/inner.danger",
        "/shop/cart/module.helpers.wipe",
    ),
)
def test_cve_2002_0185_modules_imported_by_a_page_are_not_published(get, path):
    answer = get(path)
    assert answer.status in (403, 404)
    assert "INNER" not in answer.text
    assert get("/shop/show").text == "shown"


@pytest.mark.parametrize(
    "path",
    """
    f/__globals__ f/func_globals f/func_globals/_private f/__code__ f/func_code
    f/func_code/co_consts f/__code__/co_consts f/func_defaults f/__defaults__ f/func_doc
    f/__doc__ f/func_dict f/attribute f/__dict__ f/__closure__ f/__get__ f/__call__ __doc__
    __dict__ __builtins__ __file__ __loader__ __spec__ _private C C/constant C/method C/__dict__
    instance/__dict__ instance/__class__ instance/__class__/constant instance/_hidden
    instance/__init__ instance/method/im_func instance/method/im_func/func_globals
    instance/method/im_class instance/method/im_self instance/method/__func__
    instance/method/__self__ instance/method/__globals__ text/upper text/format text/__class__
    number/real mapping/keys mapping/key items/pop items/0 generator/gi_frame
    generator/gi_frame/f_globals generator/gi_code error/args error/__traceback__
    error/__traceback__/tb_frame/f_globals raised f/ f//__globals__ .__dict__ f.__globals__
    f/%5f%5fglobals%5f%5f f%2f__globals__ %5fprivate instance/%5fhidden
    """.split(),
)
def test_cve_2005_0088_the_inside_of_objects_is_not_published(get, path):
    answer = get("/pub/" + path)
    # A slash at the end means nothing.
    assert answer.status in ((200,) if path == "f/" else (403, 404))
    assert "INNER" not in answer.text
    assert str(PACKAGE) not in answer.text


def test_cve_2005_0088_what_is_published_stays_published(get):
    for path in ("f", "instance/method", "instance/shown", "text"):
        assert get("/pub/" + path).text == path.split("/")[-1]


MALFORMED = (
    *("%", "%%", "%%%", "%4", "%zz", "%u1234", "a=%", "a=%4", "a=%4z", "a=%%4", "%=%", "%4=%4"),
    *("=", "==", "a==", "&", "&&", ";", ";;", "&=&=", "a&b", "a;b", "=b", "a=b&", "&a=b", "+"),
    "+=+",
    *("a=b&c=", "%00=%00", "a=%00b", "%ff=%ff", "a=%c3", "a=%c3%28", "a=%ed%a0%80", "%26=%3d"),
    *("a=1", "id=42", "a" * 7000, "&" * 7000, "=" * 7000, "%" * 7000, ";" * 7000, "+" * 7000),
    *("a=" + "%" * 6999, "%4" * 3500, "%41" * 2300, "a=b&" * 1700, "a&" * 3500, "=&" * 3500),
    *("x" * 6000 + "=" + "%e" * 400, "[]" * 100, "a[b]=c", "?", "a=b?c=d", "a=b=c"),
)


@pytest.mark.parametrize("cve", ("2003_0973", "2004_0096"))
def test_malformed_query_strings_do_not_end_the_child(get, server, cve):
    # In parse_qs; the advisories do not say which query strings.
    children = server.children()
    where = "/query/" if cve == "2003_0973" else "/query/form"
    for query in MALFORMED:
        answer = get(where + "?" + query)
        # Here ";" separates as "&" does.
        expected = urllib.parse.parse_qsl(query.replace(";", "&"), keep_blank_values=True)
        assert answer.status == 200, query[:50]
        assert answer.text == repr(expected), query[:50]
    assert server.children() >= children


@pytest.mark.parametrize("how", ("all", "line", "16384", "16385", "100000"))
@pytest.mark.parametrize("way", ("once", "pieces"))
def test_cve_2004_2680_filters_read_only_their_own_data(get, how, way):
    for size in (16383, 16384, 16385, 32768, 32769, 100000, 1000000):
        # Freed memory would show the letters of another request.
        for letter in "AB":
            answer = get("/filtered/x?%s:%d:%s:%s" % (letter, size, way, how))
            line = letter * 59
            whole = "".join("%08d %s\n" % (n, line) for n in range(size // 69 + 1))[:size]
            assert answer.status == 200
            assert len(answer.body) == size
            assert answer.text == whole


class _Trap:
    """Unpickling it makes a directory."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_cve_2006_1095_session_ids_are_not_paths(get, server, log):
    trapped = server.root / "tmp/trapped"
    trap = pickle.dumps(_Trap(str(trapped)), 2)
    base = server.root / "tmp/deep/down"
    for directory in (base / "mp_sess/..", base / "mp_sess/ev", base / "mp_sess/00"):
        directory.mkdir(parents=True, exist_ok=True)
    for directory in (base, *base.parents[:3], base / "mp_sess", base / "mp_sess/ev"):
        (directory / "evil").write_bytes(trap)
        (directory / "evil").chmod(0o644)
    for path in (server.root / "tmp/deep").rglob("*"):
        path.chmod(0o777 if path.is_dir() else 0o644)
    (server.root / "tmp/deep").chmod(0o777)
    wrong = [
        "evil",
        "../evil",
        "../../evil",
        "../../../evil",
        "../mp_sess/ev/evil",
        str(server.root / "tmp/evil"),
        "00/../../evil",
        "%2e%2e%2fevil",
        "..\\evil",
        "0" * 31,
        "0" * 31 + "/",
        "0" * 30 + "..",
        "0" * 32 + "/../evil",
        "0" * 32 + "%00",
    ]
    for sid in wrong:
        for cookie in (sid, '"%s"' % sid):
            answer = get("/session", headers=[("Cookie", "pysid=" + cookie)])
            assert answer.status == 200, sid
            assert answer.text.split()[0] == "new", sid
            assert sid not in answer.headers.get("Set-Cookie", ""), sid
        assert get("/session?" + sid).text == "ValueError", sid
        assert not trapped.exists(), sid
    answer = get("/session")
    cookie = answer.headers["Set-Cookie"].split(";")[0]
    assert get("/session", headers=[("Cookie", cookie)]).text == "known visited"
