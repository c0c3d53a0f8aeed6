"""Trac under its own handler for mod_python: log in, write a ticket, attach a file, get it back."""

import hashlib
import importlib.metadata
import os
import pathlib
import re
import shutil
import subprocess
import sys
from urllib.parse import urlencode

import pytest

from pyhttpd import Site

# pkg_resources asks for what Trac requires by these names.
DISTRIBUTIONS = ("Trac", "Jinja2", "MarkupSafe", "setuptools")
for _name in DISTRIBUTIONS:
    try:
        importlib.metadata.distribution(_name)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("tests/requirements-wsgi.txt is not installed", allow_module_level=True)

SITE = Site(
    conf="""
        <Location /trac>
            SetHandler mod_python
            PythonPath "['@root@/packages']+sys.path"
            PythonInterpreter main_interpreter
            PythonHandler trac.web.modpython_frontend
            PythonOption TracEnv @root@/tmp/project
            PythonOption TracUriRoot /trac
        </Location>
        <Location /trac/login>
            AuthType Basic
            AuthName trac
            AuthUserFile @root@/htdocs/users
            Require valid-user
        </Location>
    """,
    # Her password is "sesame".
    files={"users": "ada:{SHA}CEo1Ae3vaEXy8eQZjsOiuBz1xrw=\n"},
)


@pytest.fixture(scope="module")
def make_server(make_server, mpm):
    """Servers that have Trac and a project."""
    if mpm != "event":
        pytest.skip("Trac knows nothing of the MPM")

    def make(site, **options):
        server = make_server(site, **options)
        packages = server.root / "packages"
        packages.mkdir()
        packages.chmod(0o755)
        for name in DISTRIBUTIONS:
            place(importlib.metadata.distribution(name), packages)
        project = server.root / "tmp/project"
        subprocess.run(
            [
                *(sys.executable, "-c", "from trac.admin.console import run; run()"),
                *(project, "initenv", "Project <1>", "sqlite:db/trac.db"),
            ],
            check=True,
            env={"PYTHONPATH": str(packages)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for path in (project, *project.rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)
        return server

    return make


def place(distribution, packages):
    """Copies what a distribution installed, which httpd's children may not be allowed to read."""
    tops = {pathlib.PurePath(file).parts[0] for file in distribution.files}
    unused = shutil.ignore_patterns("__pycache__", "locale", "tests", "*.exe")
    for top in tops - {"..", "__pycache__"}:
        source = pathlib.Path(distribution.locate_file(top))
        if source.is_dir():
            shutil.copytree(source, packages / top, ignore=unused)


class Browser:
    """Keeps cookies, and puts the form token that Trac gave into what it posts."""

    def __init__(self, fetch):
        self.fetch = fetch
        self.cookies = {}

    def __call__(self, path, method="GET", body=None, headers=(), **options):
        cookie = "; ".join("%s=%s" % pair for pair in self.cookies.items())
        answer = self.fetch(
            path, method, body=body, headers=[("Cookie", cookie), *headers], **options
        )
        for cookie in answer.headers.get_all("Set-Cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name.strip()] = value
        return answer

    def token(self, page):
        return re.search(r'name="__FORM_TOKEN" value="(\w+)"', page.text)[1]


def test_trac(fetch, log):
    log.expect("AH01617: user ada: authentication failure")
    log.allow("pkg_resources is deprecated", "from pkg_resources import")
    browser = Browser(fetch)
    front = browser("/trac")
    assert front.status == 200 and "Project &lt;1&gt;" in front.text
    assert browser("/trac/newticket").status == 403  # not to the anonymous
    assert browser("/trac/login").status == 401
    assert browser("/trac/login", auth=("ada", "wrong")).status == 401
    assert browser("/trac/login", auth=("ada", "sesame")).status in (302, 303)
    assert "trac_auth" in browser.cookies

    page = browser("/trac/newticket")
    assert page.status == 200
    ticket = {
        "__FORM_TOKEN": browser.token(page),
        "field_summary": "Caf\xe9 & <b>co</b>",
        "field_description": "First line\nsecond line",
        "field_type": "defect",
        "submit": "Create ticket",
    }
    as_form = [("Content-Type", "application/x-www-form-urlencoded")]
    forged = dict(ticket, __FORM_TOKEN="0" * 24)
    assert browser("/trac/newticket", "POST", urlencode(forged).encode(), as_form).status == 400
    answer = browser("/trac/newticket", "POST", urlencode(ticket).encode(), as_form)
    assert answer.status in (302, 303)
    assert answer.headers["Location"].endswith("/trac/ticket/1")
    page = browser("/trac/ticket/1")
    assert page.status == 200
    assert "Caf\xe9 &amp; &lt;b&gt;co&lt;/b&gt;" in page.text

    content = os.urandom(200_000) + b"\r\n--frontier" + os.urandom(10)
    page = browser("/trac/attachment/ticket/1/?action=new")
    fields = {
        "__FORM_TOKEN": browser.token(page),
        "action": "new",
        "realm": "ticket",
        "id": "1",
        "description": "bytes",
    }
    body = b"".join(
        b'--frontier-2\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
        % (name.encode(), value.encode())
        for name, value in fields.items()
    )
    body += (
        b'--frontier-2\r\nContent-Disposition: form-data; name="attachment"; filename="some.bin"'
        b"\r\nContent-Type: application/octet-stream\r\n\r\n" + content + b"\r\n--frontier-2--\r\n"
    )
    multipart = [("Content-Type", "multipart/form-data; boundary=frontier-2")]
    answer = browser("/trac/attachment/ticket/1/?action=new", "POST", body, multipart)
    assert answer.status in (302, 303), answer.text
    page = browser("/trac/ticket/1")
    assert "/trac/attachment/ticket/1/some.bin" in page.text
    file = browser("/trac/raw-attachment/ticket/1/some.bin")
    assert file.status == 200 and not file.broken
    assert int(file.headers["Content-Length"]) == len(content)
    assert hashlib.sha256(file.body).digest() == hashlib.sha256(content).digest()

    assert fetch("/trac/logout").status in (302, 303)
    style = fetch("/trac/chrome/common/css/trac.css")
    assert (style.status, style.headers["Content-Type"].partition(";")[0]) == (200, "text/css")
    assert fetch("/trac/nowhere").status == 404
