"""More programs and extension modules than every run can afford; `make test-apps` runs these."""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import time
import xmlrpc.client

import pytest

from pyhttpd import Site

if not os.environ.get("MOD_PYTHON_APPS"):
    pytest.skip("runs with `make test-apps`", allow_module_level=True)

APPLICATIONS = {
    "bottle": "bottled",
    "cherrypy": "cherries",
    "falcon": "falcons",
    "fastapi": "fast",
    "hg": "hg",
    "pyramid": "pyramids",
    "radicale": "radishes",
    "webpy": "spider",
}
SITE = Site(
    conf="PythonPath \"['@root@/htdocs','@root@/packages']+sys.path\"\n"
    + "".join(
        f"""
        <Location /{place}>
            SetHandler mod_python
            PythonHandler mod_python.wsgi
            PythonOption mod_python.wsgi.application {module}
            PythonOption mod_python.wsgi.base_uri /{place}
        </Location>
        """
        for place, module in APPLICATIONS.items()
    )
    + """
        <Directory @root@/htdocs/cgi>
            SetHandler mod_python
            PythonHandler mod_python.cgihandler
        </Directory>
        <Location /modules>
            SetHandler mod_python
            PythonHandler uses
        </Location>
    """,
    files={
        "bottled.py": """
            import hashlib
            import bottle

            application = bottle.Bottle()

            @application.route("/hello/<name>")
            def hello(name):
                return "hello " + name

            @application.post("/upload")
            def upload():
                return hashlib.sha256(bottle.request.files.get("f").file.read()).hexdigest()

            @application.route("/static/<path:path>")
            def static(path):
                return bottle.static_file(path, root="@root@/htdocs")
        """,
        "cherries.py": """
            import cherrypy

            class Root:
                @cherrypy.expose
                def count(self):
                    cherrypy.session["n"] = cherrypy.session.get("n", 0) + 1
                    return str(cherrypy.session["n"])

            cherrypy.config.update({"environment": "embedded"})
            application = cherrypy.Application(
                Root(), "/cherrypy", {"/": {"tools.sessions.on": True}})
        """,
        "falcons.py": """
            import hashlib
            import falcon

            class Thing:
                def on_get(self, req, resp, name):
                    resp.media = {"name": name, "q": req.get_param("q")}

                def on_post(self, req, resp, name):
                    resp.media = {"got": req.get_media()}

                def on_put(self, req, resp, name):
                    resp.text = hashlib.sha256(req.stream.read()).hexdigest()
                    resp.status = falcon.HTTP_201

            application = falcon.App()
            application.add_route("/{name}", Thing())
        """,
        "fast.py": """
            import asyncio
            import pathlib
            from a2wsgi import ASGIMiddleware
            from fastapi import BackgroundTasks, FastAPI, Request
            from fastapi.responses import StreamingResponse

            api = FastAPI()

            @api.get("/items/{number}")
            async def item(number: int, later: BackgroundTasks):
                await asyncio.sleep(0.01)
                later.add_task(pathlib.Path("@root@/tmp/later").write_text, "done")
                return {"number": number}

            @api.post("/length")
            async def length(request: Request):
                return len(await request.body())

            @api.get("/stream")
            async def stream():
                async def lines():
                    for number in range(100):
                        yield "line %d\\n" % number
                return StreamingResponse(lines(), media_type="text/plain")

            application = ASGIMiddleware(api)
        """,
        "hg.py": """
            from mercurial.hgweb import hgweb

            application = hgweb(b"@root@/tmp/repository")
        """,
        "pyramids.py": """
            from pyramid.config import Configurator
            from pyramid.response import Response

            def hello(request):
                return Response(request.route_url("hello", name="x"))

            def upload(request):
                length = len(request.POST["f"].file.read())
                return Response("%s %d" % (request.POST["text"], length))

            with Configurator() as config:
                config.add_route("hello", "/hello/{name}")
                config.add_route("upload", "/upload")
                config.add_view(hello, route_name="hello")
                config.add_view(upload, route_name="upload")
                application = config.make_wsgi_app()
        """,
        "radishes.py": """
            from radicale import config
            from radicale.app import Application

            settings = config.load()
            settings.update({
                "storage": {"filesystem_folder": "@root@/tmp/radicale"},
                "auth": {"type": "none"},
                "web": {"type": "none"},
            }, "test")
            application = Application(settings)
        """,
        "spider.py": """
            import web

            class page:
                def GET(self, name):
                    return name + " " + web.input(a="none").a
                def POST(self, name):
                    return web.input().a + " " + web.ctx.homepath

            application = web.application(("/(.*)", "page"), globals()).wsgifunc()
        """,
        "cgi/service.py": """
            from xmlrpc.server import CGIXMLRPCRequestHandler

            service = CGIXMLRPCRequestHandler()
            service.register_function(lambda a, b: a + b, "add")
            service.handle_request()
        """,
        "uses.py": """
            import io
            from mod_python import apache

            def numpy():
                import numpy
                numbers = numpy.arange(12).reshape(3, 4)
                return (numbers @ numbers.T).sum()

            def cryptography():
                from cryptography.fernet import Fernet
                fernet = Fernet(Fernet.generate_key())
                return fernet.decrypt(fernet.encrypt(b"secret")).decode()

            def lxml():
                from lxml import etree
                return etree.fromstring("<a><b>1</b></a>").xpath("//b/text()")[0]

            def PIL():
                from PIL import Image
                file = io.BytesIO()
                Image.new("RGB", (40, 30), "red").save(file, "PNG")
                return Image.open(io.BytesIO(file.getvalue())).size

            def sqlalchemy():
                import sqlalchemy
                with sqlalchemy.create_engine("sqlite://").begin() as connection:
                    return connection.execute(sqlalchemy.text("select 6 * 7")).scalar()

            def psycopg2():
                import psycopg2
                try:
                    psycopg2.connect(host="127.0.0.1", port=1)
                except psycopg2.OperationalError as error:
                    return "refused" in str(error)

            def forkserver():
                import math, multiprocessing
                with multiprocessing.get_context("forkserver").Pool(1) as pool:
                    return pool.map(math.sqrt, [4, 9])

            def spawn():
                import math, multiprocessing
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    return pool.map(math.sqrt, [4, 9])

            def handler(req):
                req.write(str(globals()[req.uri.rpartition("/")[2]]()))
                return apache.OK
        """,
    },
    log_level="warn",
)
# Mercurial, run with the packages that httpd's children have.
HG = (sys.executable, "-c", "from mercurial import dispatch; dispatch.run()")
EVENT = b"""BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:x\r
BEGIN:VEVENT\r
UID:1\r
DTSTAMP:20200101T000000Z\r
DTSTART:20200101T000000Z\r
SUMMARY:caf\xc3\xa9\r
END:VEVENT\r
END:VCALENDAR\r
"""


@pytest.fixture(scope="module")
def make_server(make_server):
    """Servers with all packages of this Python."""

    def make(site, **options):
        server = make_server(site, **options)
        shutil.copytree(
            sysconfig.get_paths()["purelib"],
            server.root / "packages",
            ignore=shutil.ignore_patterns("__pycache__", "*.dist-info/licenses", "pip", "ruff*"),
        )
        for path in (server.root / "packages").rglob("*"):
            path.chmod(0o755)
        return server

    return make


@pytest.fixture
def hg(server, tmp_path):
    """Runs Mercurial in a directory."""

    def run(*arguments, cwd=tmp_path):
        env = {"PATH": os.environ["PATH"], "HGUSER": "ada", "HOME": str(tmp_path)}
        done = subprocess.run(
            [*HG, *arguments],
            env={**env, "PYTHONPATH": str(server.root / "packages")},
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run


def upload(content):
    body = (
        b'--frontier\r\nContent-Disposition: form-data; name="text"\r\n\r\nsome\r\n'
        b'--frontier\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n'
        + content
        + b"\r\n--frontier--\r\n"
    )
    multipart = [("Content-Type", "multipart/form-data; boundary=frontier")]
    return {"body": body, "headers": multipart}


def test_bottle(get, fetch, server):
    assert get("/bottle/hello/ada").text == "hello ada"
    content = os.urandom(2_000_000)
    answer = fetch("/bottle/upload", "POST", **upload(content))
    assert answer.text == hashlib.sha256(content).hexdigest()
    file = (server.root / "htdocs/bottled.py").read_bytes()
    assert get("/bottle/static/bottled.py").body == file
    part = get("/bottle/static/bottled.py", headers=[("Range", "bytes=3-9")])
    assert (part.status, part.body) == (206, file[3:10])


def test_cherrypy(get):
    answer = get("/cherrypy/count")
    assert (answer.text, answer.headers["Content-Type"]) == ("1", "text/html;charset=utf-8")
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    assert get("/cherrypy/count", headers=[("Cookie", cookie)]).text == "2"


def test_falcon(get, fetch):
    assert get("/falcon/x?q=5").text == '{"name": "x", "q": "5"}'
    as_json = [("Content-Type", "application/json")]
    answer = fetch("/falcon/x", "POST", body=b'{"a": 1}', headers=as_json)
    assert answer.text == '{"got": {"a": 1}}'
    answer = fetch("/falcon/x", "PUT", body=[b"in ", b"pieces"])
    assert answer.text == hashlib.sha256(b"in pieces").hexdigest()


def test_fastapi(get, fetch, server):
    assert get("/fastapi/items/5").text == '{"number":5}'
    # After the answer, and in a thread.
    deadline = time.monotonic() + 60
    while not (later := server.root / "tmp/later").exists() or later.read_text() != "done":
        assert time.monotonic() < deadline, "the background task did not run"
        time.sleep(0.01)
    assert get("/fastapi/items/x").status == 422
    assert fetch("/fastapi/length", "POST", body=b"x" * 500_000).text == "500000"
    assert get("/fastapi/stream").body == b"".join(b"line %d\n" % n for n in range(100))


def test_mercurial(server, hg, tmp_path, get):
    repository = server.root / "tmp/repository"
    hg("init", repository)
    (repository / "a.txt").write_text("hello\n")
    (repository / "big.bin").write_bytes(os.urandom(3_000_000))
    hg("commit", "-A", "-m", "first", cwd=repository)
    (repository / ".hg/hgrc").write_text("[web]\nallow_push = *\npush_ssl = false\n")
    # Mercurial trusts the settings of the user that it runs as.
    for path in (repository, *repository.rglob("*")):
        shutil.copystat(server.root / "tmp", path)
        if os.geteuid() == 0:
            shutil.chown(path, "www-data")
    assert get("/hg/raw-file/tip/a.txt").text == "hello\n"
    url = f"http://127.0.0.1:{server.port}/hg"
    hg("clone", url, "clone")
    clone = tmp_path / "clone"
    assert (clone / "big.bin").read_bytes() == (repository / "big.bin").read_bytes()
    (clone / "b.bin").write_bytes(os.urandom(2_000_000))
    hg("commit", "-A", "-m", "second", cwd=clone)
    assert "added 1 changesets" in hg("push", url, cwd=clone)
    assert "second" in get("/hg/log").text


def test_pyramid(get, fetch, log):
    log.allow("pkg_resources is deprecated", "import pkg_resources")
    assert get("/pyramid/hello/ada").text == "http://localhost/pyramid/hello/x"
    assert fetch("/pyramid/upload", "POST", **upload(b"abc")).text == "some 3"


def test_radicale(fetch, log):
    log.allow("No user authentication is selected", "does not exist, creating now")
    ada = {"auth": ("ada", "any")}
    assert fetch("/radicale/ada/cal/", "MKCALENDAR", **ada).status == 201
    event = {"body": EVENT, "headers": [("Content-Type", "text/calendar")]}
    assert fetch("/radicale/ada/cal/1.ics", "PUT", **event, **ada).status == 201
    assert "SUMMARY:caf\xe9" in fetch("/radicale/ada/cal/1.ics", **ada).text
    depth = {"headers": [("Depth", "1")], "body": b""}
    assert "1.ics" in fetch("/radicale/ada/cal/", "PROPFIND", **depth, **ada).text
    assert fetch("/radicale/ada/cal/1.ics", "DELETE", **ada).status == 200


def test_webpy(get, fetch):
    assert get("/webpy/page?a=1").text == "page 1"
    form = [("Content-Type", "application/x-www-form-urlencoded")]
    assert fetch("/webpy/page", "POST", body=b"a=%C3%A9", headers=form).text == "\xe9 /webpy"


def test_xmlrpc(server):
    url = f"http://127.0.0.1:{server.port}/cgi/service.py"
    assert xmlrpc.client.ServerProxy(url).add(1, 2) == 3


@pytest.mark.parametrize(
    ("name", "result"),
    {
        "numpy": "1134",
        "cryptography": "secret",
        "lxml": "1",
        "PIL": "(40, 30)",
        "sqlalchemy": "42",
        "psycopg2": "True",
        "forkserver": "[2.0, 3.0]",
        "spawn": "[2.0, 3.0]",
    }.items(),
)
def test_module(get, name, result):
    assert get("/modules/" + name).text == result
