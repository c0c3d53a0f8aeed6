"""Every example of examples/ on one server, each page asked the way its README tells."""

import hashlib
import html.parser
import importlib.util
import json
import re
import runpy
import sys
from urllib.parse import urlencode

import pytest

from pyhttpd import Site, client
from pyhttpd.install import REPOSITORY
from pyhttpd.packages import FLASK, place
from pyhttpd.server import free_port

EXAMPLES = REPOSITORY / "examples"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/httpd.conf"))
PORT, BACKEND = free_port(), free_port()

SITE = Site(
    conf="""
        Define EXAMPLES @root@/htdocs/examples
        Define STATE @root@/tmp
        Define CONNECTION_PORT %d
        Define BACKEND_PORT %d
        Include @root@/htdocs/examples/httpd.conf
    """
    % (PORT, BACKEND),
    modules=("proxy", "proxy_http"),
    files={
        "examples/%s" % path.relative_to(EXAMPLES): path.read_bytes()
        for path in EXAMPLES.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    },
)


needs_flask = pytest.mark.skipif(
    importlib.util.find_spec("flask") is None, reason="tests/requirements-wsgi.txt is not installed"
)


@pytest.fixture(scope="module")
def make_server(make_server):
    """Servers with Flask beside the example that needs it."""

    def make(site, **options):
        server = make_server(site, **options)
        place(FLASK, server.root / "htdocs/examples/flask")
        return server

    return make


class Links(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found += [value for name, value in attributes if name in ("href", "src")]


def form(fields, **more):
    return {
        "method": "POST",
        "body": urlencode(fields).encode(),
        "headers": [
            ("Content-Type", "application/x-www-form-urlencoded"),
            *more.get("headers", ()),
        ],
    }


def test_each_example_is_complete():
    assert len(NAMES) == 10
    main = (EXAMPLES / "httpd.conf").read_text()
    start = (EXAMPLES / "start/index.html").read_text()
    for name in NAMES:
        assert (EXAMPLES / name / "README.md").read_text().startswith("# %s" % name)
        assert 'Include "${EXAMPLES}/%s/httpd.conf"' % name in main
        assert "<td>%s</td>" % name in start


def test_start_page_links_answer(get):
    start = get("/")
    assert start.status == 200
    links = Links(start.text).found
    assert len(links) == 2 + len(NAMES)  # a style sheet and the test page
    for link in links:
        wanted = {"/auth/": 401, "/flask/": 200 if importlib.util.find_spec("flask") else 503}
        assert get(link).status == wanted.get(link, 200), link


def test_test_page(get):
    page = get("/testpage")
    assert page.status == 200
    assert "<title>mod_python test page</title>" in page.text
    assert get("/testpage?view_log=1").headers["Content-Type"] == "text/plain"


def test_hello(get):
    answer = get("/hello/")
    assert (answer.status, answer.text) == (200, "Hello, world!\n")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert get("/hello/you").text == "Hello, you!\n"


def test_guestbook(get, fetch):
    assert "Nobody has signed yet" in get("/guestbook/").text
    entry = {"name": "Ada & <b>co</b>", "message": "Guten Morgen, schöne Welt"}
    answer = fetch("/guestbook/sign", **form(entry))
    assert (answer.status, answer.headers["Location"]) == (302, "./")
    page = get("/guestbook/").text
    assert "Guten Morgen, schöne Welt" in page
    assert "Ada &amp; &lt;b&gt;co&lt;/b&gt;" in page
    # Nothing is kept from a GET, nor of an empty form.
    assert get("/guestbook/sign?name=x&message=sneaked").status == 302
    assert fetch("/guestbook/sign", **form({"name": " ", "message": "x"})).status == 302
    assert get("/guestbook/").text.count("<blockquote>") == 1


def test_guestbook_keeps_private_names_private(get):
    assert get("/guestbook/_open").status == 403


def test_psp(get):
    page = get("/psp/?year=1999&month=12")
    assert page.status == 200
    assert page.text.count("<h1>December 1999</h1>") == 1
    days = re.findall(r"<td[^>]*>(\d*)</td>", page.text)
    assert [day for day in days if day] == [str(day) for day in range(1, 32)]
    assert days.index("1") == 2  # a Wednesday
    assert "never reaches the browser" not in page.text
    assert 'href="?year=2000&amp;month=1"' in page.text


@pytest.mark.parametrize("query", ["year=<b>&month=1", "month=13", "year=0&month=1", "month=1e3"])
def test_psp_takes_any_query(get, query):
    page = get("/psp/?" + query.replace("<", "%3C").replace(">", "%3E"))
    assert page.status == 200 and page.text.rstrip().endswith("</html>")


def test_psp_sources_stay_inside(get, log):
    log.expect("AH01630: client denied")
    assert get("/psp/head.inc").status == 403
    assert get("/psp/httpd.conf").status == 403


def test_auth(get):
    closed = get("/auth/")
    assert closed.status == 401
    assert closed.headers["WWW-Authenticate"] == 'Basic realm="mod_python example"'
    for who in (("ali", "wrong"), ("nobody", "sesame"), ("", ""), ("ali", "sésame")):
        assert get("/auth/", auth=who).status == 401, who
    for who in (("ali", "sesame"), ("morgiana", "open")):
        assert "You are inside" in get("/auth/", auth=who).text
    assert "Forty jars" in get("/auth/treasure.txt", auth=("ali", "sesame")).text
    assert get("/auth/treasure.txt", auth=("morgiana", "open")).status == 403
    assert get("/auth/nothing", auth=("ali", "sesame")).status == 404
    assert get("/auth/gate.py", auth=("ali", "sesame")).status == 404


def test_auth_over_a_proxied_application(get, fetch, server):
    assert get("/auth/members/").status == 401
    assert get("/auth/members/", auth=("ali", "wrong")).status == 401
    for who in (("ali", "sesame"), ("morgiana", "open")):
        assert "<h1>Welcome, %s</h1>" % who[0] in get("/auth/members/", auth=who).text
    # Nobody passes for somebody else with a header of their own.
    answer = fetch("/auth/members/", auth=("morgiana", "open"), headers=[("X-Remote-User", "ali")])
    assert "<h1>Welcome, morgiana</h1>" in answer.text and "ali" not in answer.text
    assert client.get(BACKEND, "/").status == 403


def numbered(text):
    return "".join("%4d  %s\n" % pair for pair in enumerate(text.splitlines(), 1))


def test_filter(get, server):
    poem = (EXAMPLES / "filter/texts/poem.txt").read_text()
    assert get("/filter/poem.txt").text == numbered(poem)
    # Many pieces, lines across their borders, no newline at the end, none at all.
    long = "\n".join("%d %s" % (n, "x" * (n % 301)) for n in range(20000))
    for name, text in (("long", long), ("one", "only"), ("empty", "")):
        server.write("examples/filter/texts/%s.txt" % name, text.encode())
        answer = get("/filter/%s.txt" % name)
        assert (answer.status, answer.text, answer.broken) == (200, numbered(text), "")


class Browser:
    """A cookie jar with one cookie."""

    def __init__(self, fetch):
        self.fetch, self.cookie = fetch, None

    def __call__(self, path, fields=None):
        headers = [("Cookie", self.cookie)] if self.cookie else []
        options = {"headers": headers} if fields is None else form(fields, headers=headers)
        answer = self.fetch(path, **options)
        for value in answer.headers.get_all("Set-Cookie"):
            self.cookie = value.partition(";")[0]
        return answer


def test_session(fetch):
    ada, eve = Browser(fetch), Browser(fetch)
    assert "Your name" in ada("/session/").text
    before = ada.cookie
    assert ada("/session/in", {"name": "Ada <3"}).status == 302
    assert ada.cookie != before and ada.cookie.startswith("example_session=")
    for pages in (1, 2, 3):
        assert "Hello Ada &lt;3, this is page %d" % pages in ada("/session/").text
    assert "Your name" in eve("/session/").text
    old = ada.cookie
    assert ada("/session/out", {}).status == 302
    assert "Your name" in ada("/session/").text
    ada.cookie = old
    assert "Your name" in ada("/session/").text  # the key is of no use any more
    assert ada("/session/elsewhere").status == 404


def test_session_takes_any_cookie(fetch):
    browser = Browser(fetch)
    for value in ("x", "../../etc/passwd", "0" * 32, "'\"<>", "%00"):
        browser.cookie = "example_session=" + value
        answer = browser("/session/")
        assert answer.status == 200 and "Your name" in answer.text


def test_wsgi(get, fetch, connect):
    assert get("/wsgi").status == 200
    page = get("/wsgi/")
    assert page.status == 200 and "Notes over WSGI" in page.text
    one = connect()  # the notes are those of one process, which keeps its connection
    assert json.loads(one.request("/wsgi/notes").text) == []
    kept = one.request("/wsgi/notes", "POST", body="Öl kaufen".encode())
    assert (kept.status, json.loads(kept.text)) == (201, {"note": "Öl kaufen"})
    listed = one.request("/wsgi/notes")
    assert listed.headers["Content-Type"] == "application/json"
    assert json.loads(listed.text) == ["Öl kaufen"]
    assert fetch("/wsgi/notes", "POST", body=b"x" * 20000).status == 413
    assert fetch("/wsgi/notes", "DELETE").status == 404
    assert get("/wsgi/elsewhere").status == 404


@needs_flask
def test_flask(get, fetch):
    page = get("/flask/")
    assert page.status == 200 and 'action="/flask/"' in page.text
    counted = fetch("/flask/", **form({"text": "Öl, öl & <b>Öl</b>"})).text
    assert "<td>öl</td><td>3</td>" in counted and "&lt;b&gt;Öl&lt;/b&gt;" in counted
    answer = fetch("/flask/api", "POST", body=b"to be or not to be")
    assert json.loads(answer.text) == {"to": 2, "be": 2, "or": 1, "not": 1}
    assert get("/flask/elsewhere").status == 404


def test_flask_that_is_missing_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "flask", None)
    monkeypatch.syspath_prepend(str(EXAMPLES / "flask"))
    told = []
    app = runpy.run_path(str(EXAMPLES / "flask/served.py"))["app"]
    (body,) = app({}, lambda status, headers: told.append(status))
    assert told == ["503 Service Unavailable"] and b"Flask is not installed" in body


def multipart(*files):
    body = b""
    for name, content in files:
        body += (
            b'--frontier\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n' % name
        )
        body += b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n"
    return {
        "method": "POST",
        "body": body + b"--frontier--\r\n",
        "headers": [("Content-Type", "multipart/form-data; boundary=frontier")],
    }


def test_upload(get, fetch):
    page = get("/upload/")
    assert page.status == 200 and "<progress" in page.text
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    files = [
        (b"zeros.bin", bytes(3_000_000)),
        (b"lines.txt", b"\r\n--front\r\n" * 70_000),
        (b"empty", b""),
    ]
    answer = fetch("/upload/", **multipart(*files))
    assert answer.status == 200
    assert json.loads(answer.text) == [
        {"name": name.decode(), "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files
    ]
    assert json.loads(fetch("/upload/", **multipart()).text) == []
    assert get("/upload/x").status == 404
    assert fetch("/upload/", "POST", body=b"{}", headers=[("Content-Type", "x/y")]).status == 501


def test_connection_page(get):
    page = get("/connection/")
    assert page.status == 200
    said = re.search(r"<pre>(.*)</pre>", page.text, re.S).group(1).splitlines()
    assert said[1:] == ["&gt; open sesame", "emases nepo", "&gt; bye", "bye"]
    assert "nc 127.0.0.1 %d" % PORT in page.text


def test_connection(server):
    with client.Connection(PORT) as talk:
        assert talk.sock.recv(100) == b"Hello 127.0.0.1, say something (bye ends).\r\n"
        talk.send("über\n".encode())
        assert talk.read_some(7) == "rebü\r\n".encode()
        talk.send(b"bye\n")
        assert talk.read_to_eof() == b"bye\r\n"
    with client.Connection(PORT) as talk:  # one who hangs up is no error
        talk.sock.recv(100)
    with client.Connection(PORT) as talk:
        talk.send(b"GET / HTTP/1.1\r\n")
        talk.shutdown_write()
        greeting, answer = talk.read_to_eof().splitlines()
        assert (greeting[:5], answer) == (b"Hello", b"1.1/PTTH / TEG")
