"""CherryPy under its own handler for mod_python: sessions, forms, uploads, streams, errors."""

import gzip
import hashlib
import importlib.util
import json
import os

import pytest

from pyhttpd import Site
from pyhttpd.packages import place

if importlib.util.find_spec("cherrypy") is None:
    pytest.skip("tests/requirements-apps.txt is not installed", allow_module_level=True)

PACKAGES = (
    "cherrypy cheroot zc more_itertools portend tempora jaraco backports dateutil six "
    "typing_extensions"
).split()

SITE = Site(
    conf="""
        PythonPath "['@root@/packages','@root@/htdocs']+sys.path"
        <Location /cherry>
            SetHandler python-program
            PythonHandler cherrypy._cpmodpy::handler
            PythonOption cherrypy.setup cherries::setup_server
        </Location>
        <Location /other>
            SetHandler python-program
            PythonInterpreter other
            PythonHandler cherrypy._cpmodpy::handler
            PythonOption cherrypy.setup cherries::setup_server
        </Location>
    """,
    # Where CherryPy's engine tells what it does.
    log_level="info",
    files={
        "cherries.py": """
            import hashlib
            import os
            import cherrypy

            HERE = os.path.dirname(os.path.abspath(__file__))

            class Things:
                exposed = True
                def GET(self, name="none"):
                    return "got " + name
                def PUT(self, name):
                    return name + " " + cherrypy.request.body.read().decode()
                def DELETE(self, name):
                    cherrypy.response.status = 204

            class Root:
                things = Things()

                @cherrypy.expose
                def index(self):
                    return "caf\\u00e9 at " + cherrypy.url("/")

                @cherrypy.expose
                def count(self):
                    count = cherrypy.session.get("count", 0) + 1
                    cherrypy.session["count"] = count
                    return str(count)

                @cherrypy.expose
                def form(self, name, colour=()):
                    return "%s likes %s" % (name, " and ".join(colour))

                @cherrypy.expose
                def upload(self, text, file):
                    digest = hashlib.sha256()
                    while True:
                        data = file.file.read(8192)
                        if not data:
                            break
                        digest.update(data)
                    return "%s %s %s" % (text, file.filename, digest.hexdigest())

                @cherrypy.expose
                def stream(self):
                    return ("line %d\\n" % number for number in range(1000))
                stream._cp_config = {"response.stream": True}

                @cherrypy.expose
                def away(self):
                    raise cherrypy.HTTPRedirect("/cherry/?a=1")

                @cherrypy.expose
                def conflict(self):
                    raise cherrypy.HTTPError(409, "short & stout")

                @cherrypy.expose
                def fails(self):
                    raise RuntimeError("on purpose")

                @cherrypy.expose
                @cherrypy.tools.json_in()
                @cherrypy.tools.json_out()
                def json(self):
                    return {"got": cherrypy.request.json, "user": cherrypy.request.login}

                @cherrypy.expose
                def file(self):
                    return cherrypy.lib.static.serve_file(__file__, "text/x-python")

            CONFIG = {
                "/": {"tools.sessions.on": True, "tools.encode.on": True},
                "/things": {"request.dispatch": cherrypy.dispatch.MethodDispatcher()},
                "/static": {"tools.staticdir.on": True, "tools.staticdir.dir": HERE + "/static"},
                "/locked": {"tools.auth_basic.on": True, "tools.auth_basic.realm": "r",
                    "tools.auth_basic.checkpassword":
                        lambda realm, user, password: (user, password) == ("ada", "sesame")},
                "/zipped": {"tools.gzip.on": True},
            }

            def setup_server():
                cherrypy.config.update({"environment": "production", "log.screen": False,
                                        "show_tracebacks": False})
                root = Root()
                root.locked = root.zipped = Root()
                cherrypy.tree.mount(root, "/cherry", CONFIG)
                cherrypy.tree.mount(root, "/other", CONFIG)
        """,
        "static/style.css": "body { color: red }\n",
    },
)
LINES = b"".join(b"line %d\n" % number for number in range(1000))
FORM = [("Content-Type", "application/x-www-form-urlencoded")]


@pytest.fixture(scope="module")
def make_server(make_server, mpm):
    """Servers that have CherryPy."""
    if mpm != "event":
        pytest.skip("CherryPy knows nothing of the MPM")

    def make(site, **options):
        server = make_server(site, **options)
        packages = server.root / "packages"
        packages.mkdir()
        packages.chmod(0o755)
        place(PACKAGES, packages)
        return server

    return make


class Browser:
    """Keeps the session's cookie."""

    def __init__(self, fetch, base):
        self.fetch, self.base, self.cookie = fetch, base, ""

    def __call__(self, path, *args, headers=(), **options):
        headers = [*headers, ("Cookie", self.cookie)] if self.cookie else headers
        answer = self.fetch(self.base + path, *args, headers=headers, **options)
        for cookie in answer.headers.get_all("Set-Cookie"):
            self.cookie = cookie.partition(";")[0]
        return answer


@pytest.mark.parametrize("base", ["/cherry", "/other"])
def test_cherrypy(fetch, base, server):
    browser = Browser(fetch, base)
    answer = browser("/")
    assert (answer.status, answer.text) == (200, "caf\xe9 at http://localhost%s/" % base)
    # The adaptor looks for Content-Type among names that are bytes now.
    assert answer.headers["Content-Type"] == "text/plain"
    assert [browser("/count").text for _ in range(3)] == ["1", "2", "3"]
    head = browser("/", "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert browser("/form?name=ada&colour=red&colour=blue").text == "ada likes red and blue"
    body = b"name=%C3%A9&colour=red&colour=blue"
    assert browser("/form", "POST", body=body, headers=FORM).text == "\xe9 likes red and blue"
    content = os.urandom(1 << 20)
    body = (
        b'--bound-4f1c\r\nContent-Disposition: form-data; name="text"\r\n\r\nsome text\r\n'
        b'--bound-4f1c\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
        + content
        + b"\r\n--bound-4f1c--\r\n"
    )
    multipart = [("Content-Type", "multipart/form-data; boundary=bound-4f1c")]
    answer = browser("/upload", "POST", body=body, headers=multipart)
    assert answer.text == "some text a.bin " + hashlib.sha256(content).hexdigest()
    answer = browser("/stream")
    assert answer.body == LINES
    away = browser("/away")
    assert (away.status, away.headers["Location"]) == (303, "http://localhost/cherry/?a=1")
    conflict = browser("/conflict")
    assert conflict.status == 409 and "short &amp; stout" in conflict.text
    assert browser("/nowhere").status == 404
    fails = browser("/fails")
    assert fails.status == 500 and "on purpose" not in fails.text
    as_json = [("Content-Type", "application/json")]
    answer = browser("/json", "POST", body=b'{"a": [1]}', headers=as_json)
    assert json.loads(answer.text) == {"got": {"a": [1]}, "user": None}
    assert browser("/json", "POST", body=b"{", headers=as_json).status == 400
    assert browser("/things/ada").text == "got ada"
    assert browser("/things/ada", "PUT", body=b"eats").text == "ada eats"
    assert browser("/things/ada", "DELETE").status == 204
    assert browser("/things/ada", "POST", body=b"").status == 405
    style = browser("/static/style.css")
    assert (style.status, style.text) == (200, "body { color: red }\n")
    since = [("If-Modified-Since", style.headers["Last-Modified"])]
    assert browser("/static/style.css", headers=since).status == 304
    assert browser("/static/../cherries.py").status in (403, 404)
    assert browser("/file").body == (server.root / "htdocs/cherries.py").read_bytes()
    assert browser("/locked/").status == 401
    assert browser("/locked/", auth=("ada", "sesame")).status == 200
    zipped = browser("/zipped/stream", headers=[("Accept-Encoding", "gzip")])
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(zipped.body) == LINES


def test_exit(server, get):
    for base in ("/cherry", "/other"):
        assert get(base + "/").status == 200
    server.stop()
    said = server.log.text()
    assert said.count("Bus STARTED") == said.count("Bus EXITED") == 2
    assert said.count("Stopped thread 'Session cleanup'.") == 2
