"""How handler modules are found and imported: by file, PythonPath, PythonImport."""

import pickle

import pytest

from pyhttpd import Connection, Site, client

pytestmark = pytest.mark.every_python

HANDLER = """
    import sys
    from mod_python import apache

    def handler(req):
        req.write("%s %%s" %% __name__)
        return apache.OK
"""


def directory(path, handler, directives=""):
    return (
        f"<Directory @root@/htdocs/{path}>\n  SetHandler mod_python\n  PythonHandler {handler}\n"
        f"  {directives}\n</Directory>\n"
    )


# Each test uses an interpreter of its own: what is imported there stays.
def apart(name):
    return f"PythonInterpreter {name}"


SITE = Site(
    conf="".join(
        [
            *(directory(f"same/{one}", "twin", apart("same")) for one in "abc"),
            *(directory(f"package/{one}", "app.pages", apart("package")) for one in "ab"),
            *(directory(f"whole/{one}", "site", apart("whole")) for one in "ab"),
            directory("standard", "calendar", apart("standard")),
            directory("loaded", "json", apart("loaded")),
            directory("builtin", "time", apart("builtin")),
            directory("missing/a", "absent", apart("missing")),
            directory("missing/b", "other", apart("missing")),
            directory("exits", "exits", apart("exits")),
            directory("path/text", "anything", apart("path") + "\nPythonPath \"'/nowhere'\""),
            directory("path/bytes", "anything", apart("path") + "\nPythonPath \"[b'/nowhere']\""),
            directory(
                "path/good",
                "found",
                apart("path") + "\nPythonPath \"['@root@/htdocs/lib'] + sys.path\"",
            ),
            directory(
                "path/names",
                "found",
                apart("names") + "\nPythonPath \"['@root@/htdocs/lib',"
                ' req.uri, interpreter, os.sep] + sys.path"',
            ),
        ]
    ),
    files={
        **{f"same/{one}/twin.py": HANDLER % one for one in "abc"},
        **{f"same/{one}/helper.py": "" for one in "ab"},
        "same/b/first.py": HANDLER % "first",
        **{f"package/{one}/app/__init__.py": f"where = '{one}'\n" for one in "ab"},
        **{
            f"package/{one}/app/pages.py": """
                from mod_python import apache
                from . import where

                def handler(req):
                    req.write(where)
                    return apache.OK
            """
            for one in "ab"
        },
        "whole/a/site/__init__.py": HANDLER % "a",
        "whole/b/site/__init__.py": HANDLER % "b",
        "standard/calendar.py": HANDLER % "mine",
        "loaded/json.py": HANDLER % "mine",
        "builtin/time.py": HANDLER % "mine",
        "missing/a/.exists": "",
        **{f"path/{name}/.exists": "" for name in ("text", "bytes", "good", "names")},
        "missing/b/other.py": HANDLER % "other",
        "exits/exits.py": "import sys\nsys.exit('not this way')\n",
        "lib/found.py": HANDLER % "found",
    },
    threads=2,
)


def first_word(answer):
    assert answer.status == 200, answer.text
    return answer.text.split()[0]


@pytest.fixture
def only_ours(mod_python):
    if mod_python.name == "original":
        pytest.skip("the original knows one module of a name")


@pytest.mark.usefixtures("only_ours")
def test_handlers_of_one_name_in_several_directories(get):
    for _ in range(2):
        assert [first_word(get(f"/same/{one}/x")) for one in "abc"] == ["a", "b", "c"]


@pytest.mark.usefixtures("only_ours")
def test_packages_of_one_name_in_several_directories(get):
    assert [get(f"/package/{one}/x").text for one in "abab"] == ["a", "b", "a", "b"]


@pytest.mark.usefixtures("only_ours")
def test_handlers_called_like_modules_of_python(get):
    # Loaded before or not, in Python or built in: the one in the directory is meant.
    for name in ("standard", "loaded", "builtin"):
        assert first_word(get(f"/{name}/x")) == "mine"
    assert [first_word(get(f"/whole/{one}/x")) for one in "ab"] == ["a", "b"]


@pytest.mark.usefixtures("only_ours")
def test_its_own_directory_comes_before_sys_path(make_server, watch):
    # b's directory stands before a's in sys.path when a's `twin` is asked for, for the first time.
    conf = "".join(
        directory(f"same/{one}", handler, apart("order"))
        for one, handler in (("a", "start"), ("b", "first"))
    )
    files = {**SITE.files, "same/a/start.py": HANDLER % "start"}
    with make_server(Site(conf=conf, files=files)) as server:
        watch(server)
        for path, expected in (("a/x", "start"), ("b/x", "first")):
            assert first_word(client.get(server.port, f"/same/{path}")) == expected
        (server.htdocs / "same/a/.htaccess").write_text("PythonHandler twin\n")
        assert first_word(client.get(server.port, "/same/a/y")) == "a"


@pytest.mark.usefixtures("only_ours")
def test_a_module_that_appears_later(get, server, log):
    log.expect("PythonHandler absent")
    assert get("/missing/a/x").status == 500
    server.write("missing/a/absent.py", HANDLER % "here now")
    assert first_word(get("/missing/a/x")) == "here"


def test_a_module_that_exits(get, server, log):
    # An error like any other; the child goes on.
    children = server.children()
    log.expect("PythonHandler exits")
    assert get("/exits/x").status == 500
    log.wait_for("SystemExit: not this way")
    assert server.children() >= children


@pytest.mark.usefixtures("only_ours")
def test_pickles_find_the_module_again(make_server, watch):
    # A class of a second module of the same name, pickled in one child and read in another.
    twin = """
        import pickle
        from mod_python import apache

        class Cart:
            def __init__(self, what):
                self.what = what

        def handler(req):
            if req.args:
                req.write(pickle.loads(bytes.fromhex(req.args)).what)
            else:
                req.write(pickle.dumps(Cart("%s")))
            return apache.OK
    """
    conf = "".join(directory(f"cart.{one}%", "twin") for one in "ab")
    files = {f"cart.{one}%/twin.py": twin % one for one in "ab"}
    with make_server(Site(conf=conf, files=files)) as server:
        watch(server)
        client.get(server.port, "/cart.a%25/x")
        pickled = client.get(server.port, "/cart.b%25/x").body
        assert b"twin@" in pickled
        server.restart()
        answer = client.get(server.port, f"/cart.a%25/x?{pickled.hex()}")
        assert (answer.status, answer.text) == (200, "b")
        with pytest.raises(ModuleNotFoundError):
            pickle.loads(pickled)


# -- PythonPath ---------------------------------------------------------------------------


@pytest.mark.usefixtures("only_ours")
@pytest.mark.parametrize("which", ["text", "bytes"])
def test_a_path_that_is_no_list_of_strings(which, get, log):
    # At every request, and without harm to sys.path.
    log.expect("PythonHandler anything")
    for _ in range(2):
        assert get(f"/path/{which}/x").status == 500
    log.wait_for("TypeError: PythonPath must give a list of strings", count=2)
    assert get("/path/good/x").status == 200


def test_names_that_a_path_may_use(get):
    assert get("/path/names/x").text == "found found"


# -- PythonImport -------------------------------------------------------------------------

STARTED = """
    import sys
    from mod_python import apache

    seen = sys.__dict__.setdefault("seen_at_start", [])
    seen.append("%s in %%s" %% apache.interpreter)

    def run():
        seen.append("run")

    def handler(req):
        req.write(", ".join(seen))
        return apache.OK
"""


def vhost(name, inside=""):
    return (
        f"<VirtualHost *:@port@>\nServerName {name}\nDocumentRoot @root@/htdocs\n"
        f"{inside}</VirtualHost>\n"
    )


def test_imports_at_start(make_server, watch):
    # In reverse order, once each although virtual hosts without directives share the record; what
    # fails is told and hinders nobody.
    conf = (
        "PythonPath \"['@root@/htdocs/start'] + sys.path\"\n"
        "PythonImport first main_interpreter\n"
        "PythonImport second::run main_interpreter\n"
        "PythonImport broken main_interpreter\n"
        "PythonImport exits main_interpreter\n"
        "PythonImport absent main_interpreter\n"
        "PythonImport second::absent main_interpreter\n"
        "PythonImport first other\n"
        + vhost("plain.test")
        + vhost("another.test")
        + directory("start", "first", "PythonInterpreter main_interpreter")
        + directory("other", "first", "PythonInterpreter other")
    )
    files = {
        "start/first.py": STARTED % "first",
        "start/second.py": STARTED % "second",
        "start/broken.py": "def broken(:\n",
        "start/exits.py": "import sys\nsys.exit(3)\n",
        "other/.exists": "",
    }
    server = make_server(Site(conf=conf, files=files, alone=True))
    with server:
        errors = [
            line.message.rpartition("directive_PythonImport: ")[2]
            for line in server.log.lines()
            if "directive_PythonImport" in line.message
        ]
        assert errors == [
            f"error importing {name}" for name in ("second::absent", "absent", "exits", "broken")
        ]
        log = server.log.text()
        for text in ("SyntaxError", "SystemExit: 3", "No module named 'absent'", "AttributeError"):
            assert text in log
        watch(server)
        main = "second in main_interpreter, run, first in main_interpreter"
        assert client.get(server.port, "/start/x").text == main
        assert client.get(server.port, "/other/x").text == "first in other"


@pytest.mark.usefixtures("only_ours")
def test_imports_of_virtual_hosts(make_server, watch):
    conf = vhost(
        "a.test",
        "PythonPath \"['@root@/htdocs/start'] + sys.path\"\nPythonImport first a.test\n"
        + directory("start", "first"),
    ) + vhost("b.test", directory("start", "first"))
    site = Site(conf=conf, files={"start/first.py": STARTED % "first"})
    with make_server(site) as server:
        watch(server)
        for name in ("a.test", "b.test"):
            answer = client.get(server.port, "/start/x", host=name)
            assert answer.text == f"first in {name}"


@pytest.mark.usefixtures("only_ours")
def test_an_import_in_the_only_host_is_in_the_main_interpreter(make_server, watch):
    # The name stands for the same interpreter as at requests.
    conf = vhost(
        "a.test",
        "PythonPath \"['@root@/htdocs/start'] + sys.path\"\nPythonImport first a.test\n"
        + directory("start", "first")
        + directory("main", "first", "PythonInterpreter main_interpreter"),
    )
    files = {"start/first.py": STARTED % "first", "main/.exists": ""}
    with make_server(Site(conf=conf, files=files)) as server:
        watch(server)
        for path in ("/start/x", "/main/x"):
            assert client.get(server.port, path, host="a.test").text == "first in a.test"


# -- modules in C -------------------------------------------------------------------------


@pytest.mark.usefixtures("only_ours")
@pytest.mark.parametrize("where", ["sub", "main"])
def test_a_module_that_refuses_the_interpreter(where, make_server, watch):
    """As numpy and others do it: what they raise comes with advice, where that can be the cause."""
    conf = directory(
        "refuses",
        "refuses",
        f"PythonInterpreter {where}\nPythonDebug On".replace(" main\n", " main_interpreter\n"),
    )
    files = {
        "refuses/refuses.py": """
            try:
                raise ImportError("cannot load module more than once per process")
            except ImportError as error:
                raise ImportError("Error importing numpy") from error
        """
    }
    with make_server(Site(conf=conf, files=files)) as server:
        log = watch(server)
        log.expect("PythonHandler refuses")
        answer = client.get(server.port, "/refuses/x")
        assert answer.status == 500
        said = "\n".join(log.messages())
        for text in (said, answer.text.replace("&#x27;", "'")):
            if where == "sub":
                assert "MP0106" in text
                assert "'sub'" in text
                assert "PythonInterpreter main_interpreter" in text
                assert "PythonInterpPerServer Off" in text
            else:
                assert "Error importing numpy" in text
                assert "MP0106" not in text


REBINDS = """
    from mod_python import apache

    counter = 0

    def handler(req):
        global handler
        answer(req, "first")
        if req.args == "rebind":
            handler = second
        elif req.args == "count":
            # Changes the module, and not the handler.
            global counter
            counter += 1
        return apache.OK

    def second(req):
        global handler
        answer(req, "second")
        if req.args == "delete":
            del handler
        return apache.OK

    def answer(req, name):
        req.write("%s %d" % (name, counter))
"""


def test_a_program_that_rebinds_its_handler(make_server, watch):
    """The object is looked up in the module for each request, however often it was the same."""
    site = Site(conf=directory("rebinds", "rebinds"), files={"rebinds/rebinds.py": REBINDS})
    with make_server(site) as server:
        log = watch(server)
        with Connection(server.port) as connection:

            def ask(args=""):
                return connection.request(f"/rebinds/x?{args}")

            for number in range(3):
                assert ask().text == f"first {number}"
                assert ask("count").text == f"first {number}"
            assert ask("rebind").text == "first 3"
            for _ in range(3):
                assert ask().text == "second 3"
            assert ask("delete").text == "second 3"
            log.expect("contains no 'handler'")
            assert ask().status == 500
