"""Paste's gateway from mod_python to WSGI: bodies, options, start and cleanup functions, errors."""

import importlib.util

import pytest

from pyhttpd import Site
from pyhttpd.packages import place

if importlib.util.find_spec("paste") is None:
    pytest.skip("tests/requirements-apps.txt is not installed", allow_module_level=True)

SITE = Site(
    conf="""
        PythonPath "['@root@/packages','@root@/htdocs']+sys.path"
        <Location /pasted>
            SetHandler python-program
            PythonHandler paste.modpython
            PythonOption wsgi.application pasted::app
            PythonOption wsgi.startup pasted::start
            PythonOption wsgi.cleanup pasted::stop
            PythonOption SCRIPT_NAME /pasted
        </Location>
        <Location /ini>
            SetHandler python-program
            PythonHandler paste.modpython
            PythonOption paste.ini @root@/htdocs/paste.ini
        </Location>
    """,
    files={
        "pasted.py": """
            import sys
            from paste import httpexceptions, lint, request

            started = []

            def start(req):
                started.append(req.uri)

            def stop():
                sys.stderr.write("pasted stops\\n")

            def application(environ, start_response):
                if environ["PATH_INFO"].endswith("/away"):
                    raise httpexceptions.HTTPFound("/pasted/x")
                if environ["PATH_INFO"].endswith("/fails"):
                    raise RuntimeError("on purpose")
                body = environ["wsgi.input"]
                how = environ["QUERY_STRING"]
                if how == "lines":
                    said = list(body)
                elif how == "form":
                    said = sorted(request.parse_formvars(environ).items())
                else:
                    said = body.read(int(environ.get("CONTENT_LENGTH") or 0))
                text = repr([environ["SCRIPT_NAME"], environ["PATH_INFO"], said, started])
                start_response("200 Fine", [("Content-Type", "text/x-repr"), ("X-A", "1"),
                                            ("X-A", "2"), ("Content-Length", str(len(text)))])
                return [text.encode()]

            app = httpexceptions.make_middleware(application)

            def checked(global_conf):
                linted = lint.middleware(application)

                def without_null(environ, start_response):
                    # httpd knows of no file in a Location: None, as under mod_python 3.5.
                    if environ["SCRIPT_FILENAME"] is None:
                        del environ["SCRIPT_FILENAME"]
                    return linted(environ, start_response)

                return without_null
        """,
        "paste.ini": "[app:main]\npaste.app_factory = pasted:checked\n",
    },
    log_level="info",
)


@pytest.fixture(scope="module")
def make_server(make_server, mpm):
    """Servers that have Paste."""
    if mpm != "event":
        pytest.skip("Paste knows nothing of the MPM")

    def make(site, **options):
        server = make_server(site, **options)
        packages = server.root / "packages"
        packages.mkdir()
        packages.chmod(0o755)
        place(["paste"], packages)
        return server

    return make


def test_paste(fetch, log):
    for _ in range(2):
        answer = fetch("/pasted/a/b", "POST", body=b"one\ntwo")
        assert answer.text == repr(["/pasted", "/a/b", b"one\ntwo", ["/pasted/a/b"]])
        assert answer.headers.get_all("X-A") == ["1", "2"]
        assert answer.headers["Content-Type"] == "text/x-repr"
    lines = fetch("/pasted/?lines", "POST", body=b"one\ntwo")
    assert lines.text == repr(["/pasted", "/", [b"one\n", b"two"], ["/pasted/a/b"]])
    form = [("Content-Type", "application/x-www-form-urlencoded")]
    fields = fetch("/pasted/?form", "POST", body=b"a=1&b=caf%C3%A9", headers=form)
    assert "[('a', '1'), ('b', 'caf\xe9')" in fields.text
    away = fetch("/pasted/away")
    assert (away.status, away.headers["Location"]) == (302, "/pasted/x")
    log.expect("RuntimeError: on purpose")
    log.allow("Traceback", "  File", "^error: $")
    fails = fetch("/pasted/fails")
    assert fails.status == 500 and "on purpose" not in fails.text


def test_paste_ini(fetch):
    assert "one" in fetch("/ini/x", "POST", body=b"one").text


def test_cleanup(server, log):
    log.expect("error: pasted stops")
    server.stop()
