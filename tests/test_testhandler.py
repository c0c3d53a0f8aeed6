"""mod_python.testhandler: what visitors and configuration say is escaped; the log has an end."""

import os

import pytest

from pyhttpd import Site

SITE = Site(
    conf="""
        <Location /test>
            SetHandler mod_python
            PythonHandler mod_python.testhandler
            PythonOption "<key>" "<script>option</script>"
        </Location>
        <Location /notes>
            SetHandler mod_python
            PythonPath "sys.path+['@root@/htdocs']"
            PythonFixupHandler notes
            PythonHandler mod_python.testhandler
        </Location>
        # httpd's default host for the address is the first one.
        <VirtualHost 127.0.0.1:@port@>
            ServerName localhost
        </VirtualHost>
        <VirtualHost 127.0.0.1:@port@>
            ServerName piped.test
            ErrorLog "|/bin/cat"
        </VirtualHost>
        <VirtualHost 127.0.0.1:@port@>
            ServerName gone.test
            ErrorLog logs/gone.log
        </VirtualHost>
        <VirtualHost 127.0.0.1:@port@>
            ServerName closed.test
            ErrorLog @root@/logs/closed.log
        </VirtualHost>
        <VirtualHost 127.0.0.1:@port@>
            ServerName long.test
            ErrorLog @root@/logs/long.log
        </VirtualHost>
    """,
    files={
        "notes.py": r"""
            from mod_python import apache

            def fixuphandler(req):
                req.notes["<note>"] = "<b>\udcff & é</b>"
                return apache.OK
        """
    },
)


@pytest.fixture(scope="module")
def make_server(make_server, mpm):
    if mpm != "event":
        pytest.skip("the page only tells which MPM it is")
    return make_server


@pytest.fixture(scope="module", autouse=True)
def logs(_module_server):
    """One log is gone, one closed to httpd's children."""
    root = _module_server.root / "logs"
    (root / "gone.log").unlink()
    (root / "closed.log").chmod(0o600)
    return root


def of(host, **more):
    return {"headers": [("Host", host)], **more}


def test_everything_is_escaped(get):
    page = get("/test?%3Cscript%3Equery", headers=[("X-<b>", '"</code><script>alert(1)</script>')])
    assert page.status == 400  # httpd itself takes no such name
    page = get("/test?<script>query", headers=[("X-Bad", '"</code><script>alert(1)</script>')])
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "&quot;&lt;/code&gt;&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert (
        "<code>&lt;key&gt;</code></td><td><code>&lt;script&gt;option&lt;/script&gt;<" in page.text
    )
    assert "&lt;Location /test&gt;\n    SetHandler mod_python\n" in page.text
    assert "<script" not in page.text and "<Location" not in page.text


def test_notes_and_what_is_not_utf8(get):
    page = get("/notes", headers=[("X-Bad", "caf\xff\xe9")])
    assert page.status == 200
    assert (
        "<code>&lt;note&gt;</code></td><td><code>&lt;b&gt;\\udcff &amp; \xe9&lt;/b&gt;<"
        in page.text
    )


def test_head_and_forms(get, fetch):
    assert fetch("/test", "HEAD").headers["Content-Type"] == "text/html; charset=utf-8"
    assert "mod_python test page" in fetch("/test", "POST", body=b"a=b").text


def test_log(get, logs, server):
    # httpd says it after its children, which may answer before, have begun.
    server.log.wait_for("resuming normal operations")
    answer = get("/test?view_log=1")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "resuming normal operations" in answer.text
    with (logs / "long.log").open("wb") as log:
        log.write(b"\xff" * (3 << 20) + b"\n")
        log.writelines(b"<line %d>\n" % number for number in range(1000))
    answer = get("/test?view_log=1", **of("long.test"))
    assert answer.body == b"".join(b"<line %d>\n" % number for number in range(900, 1000))
    os.truncate(logs / "long.log", 0)
    answer = get("/test?view_log=1", **of("long.test"))
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize(
    "host, status, shown",
    [
        ("piped.test", 404, "<code>|/bin/cat</code></td>"),
        ("gone.test", 404, "/logs/gone.log</code></td>"),
        ("closed.test", 403, "/logs/closed.log</code></td>"),
    ],
)
def test_log_that_cannot_be_shown(get, host, status, shown):
    page = get("/test", **of(host))
    assert shown in page.text  # and no link
    assert "<h3>Server configuration tree" in page.text
    assert get("/test?view_log=1", **of(host)).status == status
