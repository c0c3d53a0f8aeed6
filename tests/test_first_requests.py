"""No phase is left out of a child's first request, wherever the directive stands that names it.

A hook does nothing while no directive of its phase was read, and a child may read the first one in
the .htaccess file of the request that it serves.
"""

import dataclasses
import os
import threading
from signal import Signals

import pytest

from pyhttpd import Httpd, Site, client
from pyhttpd.http2 import Http2Connection
from pyhttpd.install import REPOSITORY

GATE = """
    import os
    import time
    from mod_python import apache

    def refusing(status):
        return lambda req: status

    inithandler = refusing(412)
    headerparserhandler = refusing(406)
    accesshandler = refusing(403)
    authzhandler = refusing(402)
    typehandler = refusing(409)
    fixuphandler = refusing(410)

    def authenhandler(req):
        return apache.HTTP_UNAUTHORIZED

    def odd(req):
        return apache.HTTP_FORBIDDEN if req.args else apache.OK

    def anybody(req):
        req.user = "anybody"
        return apache.OK

    def waits(req):
        apache.log_error("waits", apache.APLOG_NOTICE)
        while not os.path.exists("@root@/tmp/go"):
            time.sleep(0.01)
        return apache.OK

    def handler(req):
        req.write("made by Python")
        return apache.OK

    def loghandler(req):
        apache.log_error("logged " + req.uri, apache.APLOG_NOTICE)
        return apache.OK

    def cleanuphandler(req):
        apache.log_error("cleaned " + req.uri, apache.APLOG_NOTICE)
        return apache.OK
"""
AUTHENTICATED = "AuthType x\nAuthName x\nRequire valid-user\n"
# What a directory's .htaccess says, and the status of the first request for what is in it.
PLACES = {
    "init": ("PythonInitHandler gate\n", 412),
    "headerparser": ("PythonHeaderParserHandler gate\n", 406),
    "access": ("PythonAccessHandler gate\n", 403),
    "authen": ("PythonAuthenHandler gate\n" + AUTHENTICATED, 401),
    "authz": ("PythonAuthenHandler gate::anybody\nPythonAuthzHandler gate\n" + AUTHENTICATED, 402),
    "type": ("PythonTypeHandler gate\n", 409),
    "fixup": ("PythonFixupHandler gate\n", 410),
    "suffix": ("PythonAccessHandler gate | .txt\n", 403),
    "files": ('<Files "x.*">\nPythonAccessHandler gate\n</Files>\n', 403),
    "if": ('<If "true">\nPythonFixupHandler gate\n</If>\n', 410),
    "module": ("PythonHandlerModule gate\n", 412),
}
WAITS = "/waits/x.txt"
# Pages that lead to a file in such a directory in another way, and what comes then.
WAYS = {
    "/ssi/page.shtml": (200, "[an error occurred while processing this directive]"),
    "/redirect/x.txt": (403, ""),
    "/index/": (410, ""),
    "/error/missing": (404, "404 Not Found"),
}
SITE = Site(
    conf="""
        PythonPath "sys.path + ['@root@/htdocs']"
        <Directory @root@/htdocs/ssi>
            Options +Includes
            AddOutputFilter INCLUDES .shtml
        </Directory>
        DirectoryIndex x.txt
        <Directory @root@/htdocs/error>
            ErrorDocument 404 /access/x.txt
        </Directory>
    """,
    files={
        "gate.py": GATE,
        **{f"{name}/.htaccess": text for name, (text, _) in PLACES.items()},
        **{f"{name}/x.txt": "secret\n" for name in [*PLACES, "index", "redirect"]},
        "log/.htaccess": "PythonLogHandler gate\nPythonCleanupHandler gate\n",
        "log/x.txt": "public\n",
        "content/.htaccess": "SetHandler mod_python\nPythonHandler gate\n",
        "ssi/page.shtml": '<!--#include virtual="/fixup/x.txt" -->',
        "redirect/.htaccess": "RewriteEngine On\nRewriteRule .* /access/x.txt\n",
        "waits/.htaccess": "PythonHeaderParserHandler gate::waits\nPythonFixupHandler gate\n",
        "waits/x.txt": "secret\n",
        "index/.htaccess": "<Files x.txt>\nPythonFixupHandler gate\n</Files>\n",
        "error/x.txt": "",
    },
    threads=20,
)


EXPECTED = {f"/{name}/x.txt": (status, "") for name, (_, status) in PLACES.items()}
EXPECTED.update(WAYS)
EXPECTED[WAITS] = (410, "")
EXPECTED.update({"/log/x.txt": (200, "public"), "/content/x": (200, "made by Python")})
# What mod_include says of what it is refused.
ALLOWED = ("unable to include",)


def faults(answers):
    """What clients got that they must not, or missed."""
    return [
        f"{path}: {answer.status} {answer.broken} {answer.text}"
        for path, answer in answers.items()
        if (answer.status, answer.broken) != (EXPECTED[path][0], "")
        or EXPECTED[path][1] not in answer.text
        or "secret" in answer.text
    ]


def at_once(server):
    """The answers to all requests, sent together, each from a thread of its own."""
    answers = {}
    ready = threading.Barrier(len(EXPECTED))

    def ask(path):
        ready.wait()
        answers[path] = client.get(server.port, path)

    threads = [threading.Thread(target=ask, args=(path,)) for path in EXPECTED]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def check_logged(log):
    for word in ("logged", "cleaned"):
        log.wait_for(f"{word} /log/x.txt")


@pytest.mark.mpms("prefork")
def test_each_child_serves_one_request(make_server, watch):
    """Whatever the phase, no other request has told the child of it."""
    conf = SITE.conf + "MaxConnectionsPerChild 1\nMinSpareServers 20\nMaxSpareServers 30\n"
    with make_server(dataclasses.replace(SITE, conf=conf, children=20)) as server:
        log = watch(server)
        log.deaths_expected = True
        log.allow(*ALLOWED)
        (server.root / "tmp/go").touch()
        assert faults({path: client.get(server.port, path) for path in EXPECTED}) == []
        check_logged(log)


@pytest.mark.mpms("event")
def test_first_requests_together(make_server, watch):
    """Threads that find a phase unused beside ones that read a directive of it."""
    with make_server(SITE) as server:
        log = watch(server)
        log.deaths_expected = True
        log.allow(*ALLOWED)
        (server.root / "tmp/go").touch()
        assert faults(at_once(server)) == []
        for _ in range(2):
            server.graceful()
            assert faults(at_once(server)) == []
        check_logged(log)


@pytest.mark.mpms("event")
def test_first_requests_on_one_connection(make_server, watch):
    """HTTP/2, where each request has a connection record of its own."""
    if not (Httpd.find().modules / "mod_http2.so").exists():
        pytest.skip("httpd has no mod_http2")
    conf = SITE.conf + "Protocols h2c http/1.1\n"
    site = dataclasses.replace(SITE, conf=conf, modules=["http2"])
    with make_server(site) as server, Http2Connection(server.port) as connection:
        log = watch(server)
        log.allow(*ALLOWED)
        (server.root / "tmp/go").touch()
        answers = connection.send(*EXPECTED)
        connection.read()
        assert all(answer.is_complete for answer in answers)
        found = {path: (answer.status, answer.text) for path, answer in zip(EXPECTED, answers)}
        assert {path: status for path, (status, _) in found.items()} == {
            path: status for path, (status, _) in EXPECTED.items()
        }
        assert not any("secret" in text for _, text in found.values())


@pytest.mark.mpms("event", "prefork")
@pytest.mark.parametrize("signal", (Signals.SIGUSR1, Signals.SIGWINCH), ids=("restart", "stop"))
def test_the_server_ends_meanwhile(make_server, watch, signal):
    """httpd reads its configuration again, or stops, while the first request is in a phase."""
    with make_server(SITE) as server:
        watch(server).deaths_expected = True
        answers = {}
        mark = server.log.mark()
        ask = threading.Thread(
            target=lambda: answers.update({WAITS: client.get(server.port, WAITS)})
        )
        ask.start()
        server.log.wait_for("waits", since=mark)
        os.kill(server.process.pid, signal)
        word = "resuming normal operations" if signal is Signals.SIGUSR1 else "shutting down"
        server.log.wait_for(word, since=mark)
        (server.root / "tmp/go").touch()
        ask.join()
        assert faults(answers) == []


@pytest.mark.mpms("event")
def test_directives_that_are_executed_early(make_server, watch, tmp_path_factory):
    """Another module may execute directives while httpd.conf is read, before any hook is called."""
    early = Httpd.find().build(REPOSITORY / "tests/c/mod_early.c", tmp_path_factory.mktemp("early"))
    conf = f"""
        LoadModule early_module {early}
        Early PythonAccessHandler gate::odd
        PythonPath "sys.path + ['@root@/htdocs']"
        <Macro Gate $where>
            <Directory @root@/htdocs/$where>
                PythonFixupHandler gate
            </Directory>
        </Macro>
        Use Gate macro
        Include @root@/htdocs/included.conf
    """
    files = {
        "gate.py": GATE,
        "included.conf": "<Location /included>\nPythonTypeHandler gate\n</Location>\n",
        **{f"{name}/x.txt": "secret\n" for name in ("macro", "included", "any")},
    }
    with make_server(Site(conf=conf, files=files, modules=["macro"])) as server:
        watch(server).deaths_expected = True
        for _ in range(2):
            answers = [
                client.get(server.port, path).status
                for path in ("/any/x.txt?odd", "/macro/x.txt", "/included/x.txt", "/any/x.txt")
            ]
            assert answers == [403, 410, 409, 200]
            server.graceful()
