"""What is different where the connection is encrypted: cookies of sessions, WSGI's scheme."""

import ssl
import subprocess

import pytest

from pyhttpd import Connection, Site
from pyhttpd.install import Httpd
from pyhttpd.server import free_port

PORT = free_port()

SITE = Site(
    conf="""
        Listen 127.0.0.1:TLS_PORT
        <VirtualHost 127.0.0.1:TLS_PORT>
            SSLEngine on
            SSLCertificateFile @root@/cert.pem
            SSLCertificateKeyFile @root@/key.pem
        </VirtualHost>
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
    """.replace("TLS_PORT", str(PORT)),
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
    modules=["ssl", "socache_shmcb"],
)


@pytest.fixture(scope="module")
def make_server(make_server, mpm):
    if mpm != "event":
        pytest.skip("encryption is the same under every MPM")
    if not (Httpd.find().modules / "mod_ssl.so").exists():
        pytest.skip("httpd has no mod_ssl")

    def make(site, **options):
        server = make_server(site, **options)
        command = (
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        )
        subprocess.run(
            [*command.split(), "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "cert.pem"],
            cwd=server.root,
            check=True,
            capture_output=True,
        )
        return server

    return make


@pytest.fixture
def tls(server):
    context = ssl.create_default_context(cafile=server.root / "cert.pem")
    connection = Connection(PORT)
    connection.sock = context.wrap_socket(connection.sock, server_hostname="localhost")
    with connection:
        yield connection


def flags(answer):
    return [part.strip() for part in answer.headers["Set-Cookie"].split(";")[1:]]


def test_secure_by_default(tls, get):
    assert flags(tls.request("/default/x")) == ["path=/", "secure"]
    # A browser takes back a secure cookie only by a secure one.
    assert flags(tls.request("/default/x/end")) == ["path=/", "secure"]
    assert flags(get("/default/x")) == ["path=/"]


def test_flags_by_option(tls, get):
    assert flags(tls.request("/strict/x")) == ["path=/", "secure", "samesite=Strict", "httponly"]
    assert flags(get("/strict/x")) == ["path=/", "secure", "samesite=Strict", "httponly"]
    assert flags(tls.request("/off/x")) == ["path=/"]


def test_request(tls, get, server):
    encrypted = f"1 'https://localhost:{PORT}/x' ['on', 'localhost', '', '']"
    assert tls.request("/about/x").text == encrypted
    assert get("/about/x").text == "0 'http://localhost/x' ['off', '', '', '']"


def test_wsgi(tls, get):
    assert tls.request("/wsgi/x").text == "https"
    assert get("/wsgi/x").text == "http"
