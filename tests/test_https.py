"""What is different where the connection is encrypted: cookies of sessions, WSGI's scheme."""

import pytest

from pyhttpd import Connection, Site, tls
from pyhttpd.install import Httpd
from pyhttpd.server import free_port

PORT = free_port()

SITE = Site(
    conf=tls.virtual_host(PORT)
    + """
        <Directory @root@/htdocs>
            SetHandler mod_python
            PythonPath "sys.path+['@root@/htdocs']"
            PythonOption mod_python.session.session_type MemorySession
            PythonOption mod_python.session.application_path /
        </Directory>
        <Directory @root@/htdocs/default>
            PythonHandler pages::session
        </Directory>
        <Directory @root@/htdocs/strict>
            PythonHandler pages::session
            PythonOption mod_python.session.cookie_secure on
            PythonOption mod_python.session.cookie_httponly on
            PythonOption mod_python.session.cookie_samesite Strict
        </Directory>
        <Directory @root@/htdocs/off>
            PythonHandler pages::session
            PythonOption mod_python.session.cookie_secure off
        </Directory>
        <Directory @root@/htdocs/about>
            PythonHandler pages::about
        </Directory>
        <Location /wsgi>
            SetHandler mod_python
            PythonHandler mod_python.wsgi
            PythonOption mod_python.wsgi.application pages::application
        </Location>
    """,
    files={
        "pages.py": """
            from mod_python import Session, apache

            def session(req):
                s = Session.Session(req)
                if req.path_info == "/end":
                    s.invalidate()
                return apache.OK

            def about(req):
                names = "HTTPS", "SSL_SERVER_S_DN_CN", "SSL_CLIENT_S_DN", "NO_SUCH"
                req.write("%r %r %r" % (req.is_https(), req.construct_url("/x"),
                                        [req.ssl_var_lookup(name) for name in names]))
                return apache.OK

            def application(environ, start_response):
                start_response("200 OK", [("Content-Type", "text/plain")])
                return [environ["wsgi.url_scheme"].encode()]
        """,
        **{f"{name}/x": "" for name in ("default", "strict", "off", "about")},
    },
    modules=tls.MODULES,
)


@pytest.fixture(scope="module")
def make_server(make_server, mpm):
    if mpm != "event":
        pytest.skip("encryption is the same under every MPM")
    if not (Httpd.find().modules / "mod_ssl.so").exists():
        pytest.skip("httpd has no mod_ssl")

    def make(site, **options):
        server = make_server(site, **options)
        tls.make_certificate(server.root)
        return server

    return make


@pytest.fixture
def encrypted(server):
    with Connection(PORT, tls=tls.context(server.root)) as connection:
        yield connection


def flags(answer):
    return [part.strip() for part in answer.headers["Set-Cookie"].split(";")[1:]]


def test_secure_by_default(encrypted, get):
    assert flags(encrypted.request("/default/x")) == ["path=/", "secure"]
    # A browser takes back a secure cookie only by a secure one.
    assert flags(encrypted.request("/default/x/end")) == ["path=/", "secure"]
    assert flags(get("/default/x")) == ["path=/"]


def test_flags_by_option(encrypted, get):
    assert flags(encrypted.request("/strict/x")) == [
        "path=/",
        "secure",
        "samesite=Strict",
        "httponly",
    ]
    assert flags(get("/strict/x")) == ["path=/", "secure", "samesite=Strict", "httponly"]
    assert flags(encrypted.request("/off/x")) == ["path=/"]


def test_request(encrypted, get, server):
    expected = f"1 'https://localhost:{PORT}/x' ['on', 'localhost', '', '']"
    assert encrypted.request("/about/x").text == expected
    assert get("/about/x").text == "0 'http://localhost/x' ['off', '', '', '']"


def test_wsgi(encrypted, get):
    assert encrypted.request("/wsgi/x").text == "https"
    assert get("/wsgi/x").text == "http"
