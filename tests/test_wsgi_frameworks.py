"""Django and Flask under mod_python.wsgi: sessions, the admin, uploads, streaming, errors."""

import hashlib
import importlib.util
import os
import re
import subprocess
import sys

import pytest

from pyhttpd import Site
from pyhttpd.packages import FLASK, place

FRAMEWORKS = ("django", "asgiref", "sqlparse", "typing_extensions", *FLASK)
if not all(map(importlib.util.find_spec, ("django", "flask"))):
    pytest.skip("tests/requirements-wsgi.txt is not installed", allow_module_level=True)

SITE = Site(
    conf="""
        PythonPath "['@root@/packages','@root@/htdocs']+sys.path"
        <Location /django>
            SetHandler mod_python
            PythonHandler mod_python.wsgi
            PythonInterpreter django
            PythonOption mod_python.wsgi.application project
        </Location>
        <Location /flask>
            SetHandler mod_python
            PythonHandler mod_python.wsgi
            PythonInterpreter flask
            PythonOption mod_python.wsgi.application flasky::app
        </Location>
    """,
    files={
        "project.py": """
            import hashlib, os
            import django
            from django.conf import settings

            ROOT = os.path.dirname(os.path.abspath(__file__))
            settings.configure(
                DEBUG=False, SECRET_KEY="not a secret", ALLOWED_HOSTS=["*"],
                ROOT_URLCONF="project", USE_TZ=True, USE_I18N=False, STATIC_URL="/static/",
                DEFAULT_AUTO_FIELD="django.db.models.AutoField",
                DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3",
                                       "NAME": ROOT + "/data/db.sqlite3"}},
                INSTALLED_APPS=["django.contrib." + app for app in
                                ("admin", "auth", "contenttypes", "sessions", "messages")],
                MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware",
                            "django.middleware.common.CommonMiddleware",
                            "django.contrib.auth.middleware.AuthenticationMiddleware",
                            "django.contrib.messages.middleware.MessageMiddleware"],
                TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates",
                            "APP_DIRS": True, "OPTIONS": {"context_processors": [
                                "django.template.context_processors.request",
                                "django.contrib.auth.context_processors.auth",
                                "django.contrib.messages.context_processors.messages"]}}],
                LOGGING_CONFIG=None,
            )
            django.setup()

            from django.contrib import admin
            from django.core.wsgi import get_wsgi_application
            from django.http import FileResponse, HttpResponse, StreamingHttpResponse
            from django.urls import path

            def count(request):
                request.session["count"] = request.session.get("count", 0) + 1
                return HttpResponse("%d" % request.session["count"])

            def upload(request):
                file = request.FILES["file"]
                digest = hashlib.sha256()
                for chunk in file.chunks():
                    digest.update(chunk)
                return HttpResponse("%s %s %s" % (request.POST["text"], file.name,
                                                  digest.hexdigest()))

            def stream(request):
                return StreamingHttpResponse("line %d\\n" % number for number in range(1000))

            def file(request):
                return FileResponse(open(__file__, "rb"))

            def fails(request):
                raise RuntimeError("on purpose")

            urlpatterns = [path("admin/", admin.site.urls), path("count", count),
                           path("upload", upload), path("stream", stream), path("file", file),
                           path("fails", fails)]
            application = get_wsgi_application()
        """,
        "flasky.py": """
            import hashlib
            from flask import Flask, Response, abort, redirect, request, session, url_for

            app = Flask(__name__)
            app.secret_key = "not a secret"

            @app.route("/")
            def index():
                return "caf\\u00e9 at " + url_for("index")

            @app.route("/count")
            def count():
                session["count"] = session.get("count", 0) + 1
                return str(session["count"])

            @app.route("/upload", methods=["POST"])
            def upload():
                file = request.files["file"]
                digest = hashlib.sha256(file.read()).hexdigest()
                return "%s %s %s" % (request.form["text"], file.filename, digest)

            @app.route("/json", methods=["PUT"])
            def json():
                return {"got": request.get_json()}

            @app.route("/stream")
            def stream():
                return Response(("line %d\\n" % number for number in range(1000)))

            @app.route("/away")
            def away():
                return redirect(url_for("index"))

            @app.route("/teapot")
            def teapot():
                abort(418)
        """,
        "data/.keep": "",
    },
    log_level="warn",
)
LINES = b"".join(b"line %d\n" % number for number in range(1000))


@pytest.fixture(scope="module")
def make_server(make_server):
    """Servers that have the packages and, in the data directory, the database of the project."""

    def make(site, **options):
        server = make_server(site, **options)
        packages = server.root / "packages"
        packages.mkdir()
        packages.chmod(0o755)
        place(FRAMEWORKS, packages)
        return server

    return make


@pytest.fixture(scope="module")
def database(_module_server):
    """Makes the tables and a user before the first request."""
    root = _module_server.root
    setup = (
        "import project; from django.core.management import call_command as call;"
        "call('migrate', verbosity=0); from django.contrib.auth.models import User;"
        "User.objects.create_superuser('admin', 'a@b.c', 'secret')"
    )
    path = os.pathsep.join((str(root / "packages"), str(root / "htdocs")))
    subprocess.run([sys.executable, "-c", setup], check=True, env={"PYTHONPATH": path})
    for path, mode in (("data", 0o777), ("data/db.sqlite3", 0o666)):
        (root / "htdocs" / path).chmod(mode)


def cookies(answer):
    return [value.partition(";")[0] for value in answer.headers.get_all("Set-Cookie")]


def form(content):
    body = (
        b'--bound-4f1c\r\nContent-Disposition: form-data; name="text"\r\n\r\nsome text\r\n'
        b'--bound-4f1c\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
        + content
        + b"\r\n--bound-4f1c--\r\n"
    )
    return {
        "body": body,
        "headers": [("Content-Type", "multipart/form-data; boundary=bound-4f1c")],
    }


@pytest.mark.parametrize("framework", ["django", "flask"])
def test_session(get, database, framework):
    cookie = []
    for number in (1, 2, 3):
        answer = get(f"/{framework}/count", headers=[("Cookie", "; ".join(cookie))])
        assert answer.text == str(number)
        cookie = cookies(answer) or cookie


@pytest.mark.parametrize("framework", ["django", "flask"])
def test_upload(fetch, framework):
    content = os.urandom(3 << 20)
    answer = fetch(f"/{framework}/upload", "POST", **form(content))
    assert answer.text == f"some text a.bin {hashlib.sha256(content).hexdigest()}"


@pytest.mark.parametrize("framework", ["django", "flask"])
def test_stream(get, framework):
    assert get(f"/{framework}/stream").body == LINES


def test_django_admin(get, fetch, database):
    page = get("/django/admin/")
    assert (page.status, page.headers["Location"]) == (
        302,
        "/django/admin/login/?next=/django/admin/",
    )
    login = get("/django/admin/login/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', login.text)[1]
    answer = fetch(
        "/django/admin/login/?next=/django/admin/",
        "POST",
        body=f"username=admin&password=secret&csrfmiddlewaretoken={token}".encode(),
        headers=[
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Cookie", "; ".join(cookies(login))),
        ],
    )
    assert (answer.status, answer.headers["Location"]) == (302, "/django/admin/")
    page = get("/django/admin/auth/user/", headers=[("Cookie", "; ".join(cookies(answer)))])
    assert page.status == 200 and "a@b.c" in page.text


def test_django_file_and_errors(get, server, log):
    assert get("/django/file").body == (server.root / "htdocs/project.py").read_bytes()
    assert get("/django/nowhere").status == 404
    # Django writes these to wsgi.errors.
    log.expect("Not Found: /django/nowhere", "Internal Server Error: /django/fails")
    log.expect("RuntimeError: on purpose", "Traceback|response|raise|  File")
    log.allow(r"\^\^")  # From Python 3.11 on, and from 3.13 on only where they say something.
    assert get("/django/fails").status == 500


def test_flask(get, fetch):
    assert get("/flask/").text == "caf\u00e9 at /flask/"
    assert fetch("/flask/", "HEAD").headers["Content-Length"] == str(
        len("caf\u00e9 at /flask/") + 1
    )
    answer = fetch(
        "/flask/json", "PUT", body=b'{"a": [1]}', headers=[("Content-Type", "application/json")]
    )
    assert answer.text == '{"got":{"a":[1]}}\n'
    away = get("/flask/away")
    assert (away.status, away.headers["Location"]) == (302, "/flask/")
    assert get("/flask/teapot").status == 418
    assert fetch("/flask/upload").status == 405
