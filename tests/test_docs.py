"""The documentation: it builds, its links hold, its tables are the module's, its samples work."""

import functools
import html.parser
import itertools
import json
import os
import re
import subprocess
import urllib.parse
from base64 import b64encode

import pytest

from mod_python import __main__ as command
from mod_python._check.configuration import DIRECTIVES
from pyhttpd import Site, client, python
from pyhttpd.install import REPOSITORY, Httpd

pytestmark = pytest.mark.mpms("event")

DOCS = REPOSITORY / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
BUILT = REPOSITORY / "build/docs"
PYTHON = os.environ.get("PYO3_PYTHON", "/usr/bin/python3")
INCLUDE = "__import__('sysconfig').get_path('include')"

# A fenced block: its language and its text; a file's name may stand in the paragraph before.
BLOCK = re.compile(
    r"(?:^`(?P<file>/srv/[^`\n]+)`:\n\n)?^```(?P<kind>[\w+]*)\n(?P<text>.*?)^```$", re.M | re.S
)


@functools.cache
def blocks(kind=None, folder=""):
    """(page, file's name or None, kind, text) of every sample."""
    found = []
    for page in PAGES:
        name = str(page.relative_to(DOCS))
        if name.startswith(folder):
            for block in BLOCK.finditer(page.read_text()):
                if kind in (None, block["kind"]):
                    found.append((name, block["file"], block["kind"], block["text"]))
    return found


TUTORIAL = [text for _, _, _, text in blocks("apache", "tutorial/") if "/srv/www/" in text]

SITE = Site(
    conf="\n".join(
        text for text in TUTORIAL if "VirtualHost" not in text and "PythonHome" not in text
    ).replace("/srv/www", "@root@/htdocs"),
    files={
        name[len("/srv/www/") :]: text for _, name, _, text in blocks(folder="tutorial/") if name
    },
    modules=("authn_core", "auth_basic", "authz_user", "dir", "socache_shmcb"),
)


@pytest.fixture(scope="module")
def built():
    if python.ask(PYTHON, "sys.version_info >= (3, 11)") != "True":
        pytest.skip("Sphinx needs Python 3.11")
    make = ["make", "--no-print-directory", "docs"]
    done = subprocess.run(make, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {path: Page(path.read_text()) for path in BUILT.rglob("*.html")}


class Page(html.parser.HTMLParser):
    """A page's links and what can be linked to in it."""

    def __init__(self, text):
        super().__init__()
        self.links, self.ids = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.links.append(value)
            elif name == "id":
                self.ids.add(value)


def test_no_internal_link_is_broken(built):
    broken = []
    assert len(built) > 30
    for path, page in built.items():
        for link in page.links:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc or link.startswith("data:"):
                continue
            target = path
            if parts.path:
                target = (path.parent / urllib.parse.unquote(parts.path)).resolve()
            if not target.exists():
                broken.append((path.name, link))
            elif parts.fragment and target in built and parts.fragment not in built[target].ids:
                broken.append((path.name, link))
    assert not broken


def test_every_directive_is_described(built):
    ids = built[BUILT / "reference/directives.html"].ids
    assert {name.lower() for name in DIRECTIVES} <= ids


def httpd_lists(server):
    """What `httpd -L` says of our directives: name -> contexts."""
    listing = subprocess.check_output(server.command("-L"), text=True, env=server.environment())
    found = re.findall(
        r"^(Python\w+) \(mod_python\.c\)\n\t.*\n\tAllowed in \*\.conf (.+?)(?:\n|\Z)", listing, re.M
    )
    return dict(found)


def test_the_directives_are_those_of_the_running_module(server):
    contexts = {
        "svdh": r"anywhere and in \.htaccess",
        "sv": "only outside <Directory>, <Files>, <Location>, or <If>",
        "svd": "anywhere",
    }
    listed = httpd_lists(server)
    assert sorted(listed) == sorted(DIRECTIVES)
    for name, letters in DIRECTIVES.items():
        assert re.fullmatch(contexts[letters], listed[name]), (name, listed[name])


def table(name):
    """A table of docs/tables, read by the Python that Sphinx runs in."""
    tomllib = pytest.importorskip("tomllib")
    return tomllib.loads((DOCS / "tables" / name).read_text())


def test_syntax_is_what_the_module_reads():
    source = (REPOSITORY / "src/config/directives.rs").read_text()
    kinds = {
        name: kind for kind, name in re.findall(r'^    (\w+)\(\s*c"(Python\w+)"', source, re.M)
    }
    shapes = {
        "handlers": r"handler( \[handler \.\.\.\]( \[\| \.ext \.\.\.\])?)?",
        "raw": r"module \[module \.\.\.\] \[\| \.ext \.\.\.\]",
        "flag": r"On\|Off",
        "take1": r"\S+",
        "take2": r"\S+ \S+",
        "take12": r"\S+ \[\S+\]",
    }
    for row in table("directives.toml")["directive"]:
        shape = shapes[kinds[row["name"]]]
        assert re.fullmatch(shape, row["syntax"]), (row["name"], row["syntax"])


def options_in_the_source():
    """Texts of the source that look like the name of an option."""
    found, asked = set(), set()
    sources = itertools.chain(
        (REPOSITORY / "src").rglob("*.rs"), (REPOSITORY / "python/mod_python").rglob("*.py")
    )
    for path in sources:
        if "_check" in path.parts or path.name == "tests.rs":
            continue
        text = path.read_text()
        found |= set(re.findall(r'"(mod_python\.(?:\w+\.)?[a-z_0-9]+)"', text))
        asked |= set(re.findall(r'\.get\("(mod_python\.[a-z_0-9]+)"\)', text))
    names = {name for name in found if not name.endswith(("_", ".c", ".so"))}
    modules = {path.stem for path in (REPOSITORY / "python/mod_python").iterdir()}
    options = {name for name in names if name.split(".")[1] not in modules or name.count(".") == 2}
    return options | asked


def test_every_option_is_described():
    described = [row["name"] for row in table("options.toml")["option"]]
    assert sorted(set(described)) == sorted(described)
    assert set(described) == options_in_the_source()


def test_every_old_option_is_described():
    from mod_python._check.configuration import OPTIONS

    old = {
        name: row["name"] for row in table("options.toml")["option"] for name in row.get("old", ())
    }
    assert old == OPTIONS


def test_every_command_is_described():
    text = (DOCS / "reference/command.md").read_text()
    assert sorted(re.findall(r"generated: command ([\w-]+) ", text)) == sorted(command.COMMANDS)


def test_every_object_is_described():
    tomllib = pytest.importorskip("tomllib")
    tables = tomllib.loads((REPOSITORY / "tests/compat/tables/objects.toml").read_text())
    texts = "".join(page.read_text() for page in (DOCS / "reference/objects").iterdir())
    assert sorted(re.findall(r"generated: object ([\w-]+) ", texts)) == sorted(tables)


def test_every_module_is_described():
    names = {path.stem for path in (REPOSITORY / "python/mod_python").glob("[!_]*.py")}
    pages = {page.stem for page in (DOCS / "reference/modules").glob("*.md")}
    # apache is among the objects, the other two are for compatibility alone.
    assert names - {"apache", "python22", "version"} == pages - {"index"}


def test_every_message_is_described(built):
    ids = built[BUILT / "reference/errors.html"].ids
    assert {row["id"].lower() for row in table("messages.toml")["message"]} <= ids


# -- samples


def samples_of_directives():
    rows = table("directives.toml")["directive"]
    return [(row["name"], row["example"]) for row in rows if "example" in row]


def test_httpd_accepts_every_piece_of_configuration(make_server):
    server = make_server(Site(modules=SITE.modules))
    conf = server.root / "sample.conf"
    base = server.configuration()
    samples = [(name, text) for name, _, _, text in blocks("apache")] + samples_of_directives()
    assert len(samples) > 45

    def refusal(text):
        # What is not there, or is there already.
        text = re.sub(r"^\s*(LoadModule python_module|PythonHome /).*$", "", text, flags=re.M)
        conf.write_text(base + "\n" + text)
        done = subprocess.run(
            [str(server.httpd.binary), "-d", str(server.root), "-f", str(conf), "-t"],
            capture_output=True,
            text=True,
            env=server.environment(),
            check=False,
        )
        return done.returncode and done.stderr

    # Together they take a tenth of the time; one by one they tell which is wrong.
    if refusal("\n".join(text for _, text in samples)):
        refused = [(name, refusal(text), text) for name, text in samples]
        assert not [row for row in refused if row[1]]


def test_python_compiles_every_piece_of_python():
    samples = blocks("python")
    assert len(samples) > 15
    for name, file, _, text in samples:
        compile(text, file or name, "exec")


def test_the_compiler_accepts_every_piece_of_c(tmp_path):
    folders = [REPOSITORY / "include", python.ask(PYTHON, INCLUDE)]
    samples = blocks("c")
    assert samples
    for number, (_, _, _, text) in enumerate(samples):
        source = tmp_path / ("mod_sample%d.c" % number)
        source.write_text(text)
        place = tmp_path / str(number)
        place.mkdir()
        flags = ["-I%s" % folder for folder in folders]
        Httpd.find().build(source, place, *flags, "-Wc,-Wall -Werror -Wno-unused-function")


def test_every_file_of_the_tutorial_is_served():
    """A sample that names a file belongs to a directory that a sample configures."""
    for name, file, _, _ in blocks(folder="tutorial/"):
        if file:
            assert any(os.path.dirname(file) in text for text in TUTORIAL), (name, file)


def credentials(user, password):
    return [("Authorization", "Basic " + b64encode(("%s:%s" % (user, password)).encode()).decode())]


def form(text):
    kind = ("Content-Type", "application/x-www-form-urlencoded")
    return {"method": "POST", "headers": [kind], "body": text.encode()}


def test_first_handler(get, fetch):
    assert get("/hello/you").text == "Hello, you!\n"
    assert get("/hello/").text == "Hello, world!\n"
    answer = get("/phases/trace.py")
    assert (answer.status, answer.headers["X-Phases"]) == (200, "1")


def test_publisher(get):
    assert '<form action="add">' in get("/calc/").text
    assert get("/calc/add?a=1&b=2").text == "3"
    assert get("/calc/add?a=1").status == 400
    assert get("/calc/agent", headers=[("User-Agent", "curl")]).text == "curl"
    assert get("/calc/staff").status == 401
    assert get("/calc/staff", headers=credentials("ada", "lovelace")).text == "Welcome to work.\n"


def test_publisher_keeps_private_names(get, log):
    log.allow("_secret")
    assert get("/calc/_secret").status == 403


def test_psp(get):
    page = get("/pages/?name=%3Cb%3E").text
    assert "<p>Hello &lt;b&gt;</p>" in page
    assert page.count("<li>") == 3
    assert page.index("</ul>") > page.rindex("<li>")
    assert "<td>apples</td><td>3</td>" in get("/templates/").text


def test_forms(get, fetch):
    answer = get("/forms/?name=Ada&colour=red&colour=blue")
    assert answer.text == "<p>Ada likes red, blue</p>\n"
    boundary = (
        "--X\r\nContent-Disposition: form-data; name=file; filename=a.txt\r\n\r\nabc\r\n--X--\r\n"
    )
    kind = ("Content-Type", "multipart/form-data; boundary=X")
    answer = fetch("/uploads/", "POST", headers=[kind], body=boundary.encode())
    assert answer.text.startswith("3 ba7816bf")
    answer = fetch("/api/", "POST", body=b'{"a": [1]}')
    assert json.loads(answer.text) == {"received": {"a": [1]}}
    assert fetch("/api/", "POST", body=b"{").status == 400


def test_sessions(get, fetch):
    assert get("/cookies/").text == "Visit 1\n"
    assert get("/cookies/", headers=[("Cookie", "visits=4")]).text == "Visit 5\n"
    assert get("/login/").text == "Who are you?\n"
    answer = fetch("/login/", **form("name=Ada"))
    assert answer.text == "Welcome.\n"
    cookie = answer.headers.get_all("Set-Cookie")[-1]
    assert "httponly" in cookie.lower() and "samesite=lax" in cookie.lower()
    key = cookie.partition(";")[0]
    assert get("/login/", headers=[("Cookie", key)]).text == "Hello Ada.\n"


def test_authentication(get, log):
    log.allow("AH01617", "AH01618", "user .*: authentication failure", "AH01630", "AH01797")
    assert get("/staff/").status == 401
    assert get("/staff/", headers=credentials("ali", "wrong")).status == 401
    assert get("/staff/nothing", headers=credentials("ali", "sesame")).status == 404
    assert get("/private/nothing").status == 401
    assert get("/private/nothing", headers=credentials("morgiana", "open")).status == 404
    assert get("/private/x.key", headers=credentials("morgiana", "open")).status == 403


def test_filters(get):
    assert get("/texts/poem.txt").text == "ROSES ARE RED\n"


def test_wsgi(get):
    assert get("/shop/cart").text == "Below /shop: /cart\n"


def test_flask():
    pytest.importorskip("flask")
    (text,) = (text for _, _, _, text in blocks("python", "tutorial/wsgi") if "flask" in text)
    names = {"__name__": "shop"}
    exec(text, names)
    assert names["app"].test_client().get("/").text == "Hello from Flask"


def test_wsgi_at_the_root_of_a_site(make_server):
    (conf,) = (text for _, _, _, text in blocks("apache", "tutorial/wsgi") if "VirtualHost" in text)
    conf = conf.replace("*:80", "127.0.0.1:@port@").replace("/srv/www", "@root@/htdocs")
    files = {**SITE.files, "shop/static/style.css": "body {}\n"}
    with make_server(Site(conf=conf, files=files)) as server:
        assert client.get(server.port, "/cart").text == "Below : /cart\n"
        assert client.get(server.port, "/static/style.css").text == "body {}\n"
        assert client.get(server.port, "/static/none").status == 404
