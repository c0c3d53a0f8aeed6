"""Roundup under its own handler for mod_python: log in, write an issue, get its file back."""

import hashlib
import html
import importlib.util
import os
import re
import subprocess
import sys

import pytest

from pyhttpd import Site
from pyhttpd.packages import place

if importlib.util.find_spec("roundup") is None:
    pytest.skip("tests/requirements-apps.txt is not installed", allow_module_level=True)

# As in Roundup's own installation guide, but for access control.
SITE = Site(
    conf="""
        PythonOptimize On
        AliasMatch ^/roundup/(.+)/@@file/(.*) @root@/trackers/$1/html/$2
        AliasMatch ^/roundup/([^/]+)/(?!@@file/)(.*) @root@/trackers/$1/dummy.py/$2
        RedirectMatch permanent ^/roundup/([^/]+)$ /roundup/$1/
        PythonPath "['@root@/packages']+sys.path"
        <Directory @root@/trackers/*>
            AllowOverride None
            Options None
            AddHandler python-program .py
            PythonHandler roundup.cgi.apache
        </Directory>
        <Directory @root@/trackers/support>
            PythonOption TrackerHome @root@/trackers/support
        </Directory>
    """,
)
ADMIN = (sys.executable, "-m", "roundup.scripts.roundup_admin", "-i")


@pytest.fixture(scope="module")
def make_server(make_server, mpm):
    """Servers that have Roundup and a tracker."""
    if mpm != "event":
        pytest.skip("Roundup knows nothing of the MPM")

    def make(site, **options):
        server = make_server(site, **options)
        packages = server.root / "packages"
        packages.mkdir()
        packages.chmod(0o755)
        place(["roundup"], packages)
        tracker = server.root / "trackers/support"
        tracker.mkdir(parents=True)
        settings = {
            "tracker_web": "http://localhost:%d/roundup/support/" % server.port,
            "mail_domain": "localhost",
            "mail_host": "localhost",
            "password_pbkdf2_default_rounds": "1000",
            "mail_debug": str(server.root / "tmp/mail"),
        }
        for command in (
            ["install", "classic", "sqlite", ",".join(map("=".join, settings.items()))],
            ["initialise", "sesame"],
        ):
            subprocess.run([*ADMIN, tracker, *command], check=True, stdout=subprocess.DEVNULL)
        tracker.parent.chmod(0o755)
        for path in (tracker, *tracker.rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)
        return server

    return make


class Browser:
    """Keeps cookies, and sends what a page's form holds beside what it is given."""

    def __init__(self, fetch, host):
        self.fetch = fetch
        self.host = host
        self.cookies = {}

    def __call__(self, path, method="GET", body=None, headers=(), **options):
        cookie = "; ".join("%s=%s" % pair for pair in self.cookies.items())
        answer = self.fetch(
            "/roundup/support/" + path,
            method,
            body=body,
            host=self.host,
            headers=[("Cookie", cookie), *headers],
            **options,
        )
        for cookie in answer.headers.get_all("Set-Cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name.strip()] = value
        return answer

    def submit(self, path, fields, action):
        """POST what the form with this hidden action on the page of `path` would send."""
        for form in self(path).text.split("<form")[1:]:
            tags = re.findall(r"<input\s[^>]*>", form.partition("</form>")[0])
            inputs = [dict(re.findall(r'(\S+)="([^"]*)"', tag)) for tag in tags]
            hidden = {
                tag["name"]: html.unescape(tag["value"])
                for tag in inputs
                if tag.get("type") == "hidden"
            }
            if hidden.get("@action") == action:
                break
        parts = b"".join(
            b'--frontier-2\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
            % (
                name.encode(),
                b"" if isinstance(value, str) else b'; filename="some.bin"',
                value.encode() if isinstance(value, str) else value,
            )
            for name, value in {**hidden, **fields}.items()
        )
        multipart = [("Content-Type", "multipart/form-data; boundary=frontier-2")]
        return self(path.partition("?")[0], "POST", parts + b"--frontier-2--\r\n", multipart)


def test_roundup(fetch, server):
    browser = Browser(fetch, "localhost:%d" % server.port)
    assert fetch("/roundup/support").headers["Location"].endswith("/roundup/support/")
    front = browser("")
    assert front.status == 200 and "anonymous" not in browser.cookies
    wrong = {"__login_name": "admin", "__login_password": "wrong"}
    answer = browser.submit("", wrong, "Login")
    assert answer.status == 302 and "Invalid+login" in answer.headers["Location"]
    answer = browser.submit("", dict(wrong, __login_password="sesame"), "Login")
    assert answer.status == 302 and "error" not in answer.headers["Location"]
    assert "Hello, admin" in browser("").text

    content = os.urandom(200_000) + b"\r\n--frontier" + os.urandom(10)
    issue = {
        "title": "Caf\xe9 & <b>co</b>",
        "priority": "1",
        "@note": "First line\r\nsecond line",
        "@file": content,
    }
    answer = browser.submit("issue?@template=item", issue, "new")
    assert answer.status in (302, 303)
    page = browser("issue1")
    assert page.status == 200
    assert "Caf\xe9 &amp; &lt;b&gt;co&lt;/b&gt;" in page.text
    assert "First line\nsecond line" in browser("msg1").text.replace("\r", "")
    assert "file1/some.bin" in page.text
    file = browser("file1/some.bin")
    assert file.status == 200 and not file.broken
    assert int(file.headers["Content-Length"]) == len(content)
    assert hashlib.sha256(file.body).digest() == hashlib.sha256(content).digest()
    part = browser("file1/some.bin", headers=[("Range", "bytes=100-199")])
    assert (part.status, part.body) == (206, content[100:200])
    assert browser("issue99").status == 404
    style = fetch("/roundup/support/@@file/style.css")
    assert style.status == 200
