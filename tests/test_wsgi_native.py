"""mod_python.wsgi: the environ, start_response and the body, as PEP 3333 wants them."""

import json

import pytest

from pyhttpd import Site

APPLICATION = '''
    import _apache, json, sys
    from wsgiref.validate import validator
    from mod_python import apache, wsgi

    def text(value):
        return value.encode("utf-8", "surrogateescape").decode("latin-1")

    def expected(req, base):
        """What httpd's own tables say."""
        req.add_cgi_vars()
        names = {}
        for name, value in req.subprocess_env.items():
            if value is not None:
                names[text(name)] = text(value)
        names["SCRIPT_NAME"] = base
        names["PATH_INFO"] = text(req.path_info)
        if "Authorization" in req.headers_in:
            names["HTTP_AUTHORIZATION"] = text(req.headers_in["Authorization"])
        return names

    def compare(req):
        """Answers with the environ, and with what is wrong with it."""
        change = req.headers_in.get("X-Change")
        if change == "vars":
            req.add_cgi_vars()
        elif change == "twice":
            req.headers_in.add("X-Twice", "1")
            req.headers_in.add("X-Twice", "2")
        elif change == "options":
            req.get_options()["mod_python.wsgi.base_uri"] = "/environ/sub"
        environ = wsgi.build_environ(req)
        merged = "GATEWAY_INTERFACE" in req.subprocess_env
        texts = {k: v for k, v in environ.items() if not k.startswith("wsgi.")}
        wanted = expected(req, "/environ/sub" if change == "options" else "/environ")
        wrong = {
            name: (texts.get(name), wanted.get(name))
            for name in set(texts) | set(wanted)
            if texts.get(name) != wanted.get(name)
        }
        if environ["wsgi.input"] is not req or environ["wsgi.errors"] is not sys.stderr:
            wrong["wsgi"] = repr(environ)
        req.write(json.dumps(
            {
                "wrong": wrong,
                "environ": texts,
                "merged": merged,
                "scheme": environ["wsgi.url_scheme"],
                "first": next(iter(environ)),
            }
        ))
        return apache.OK

    @validator
    def valid(environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"valid " + body]

    def mutable(environ, start_response):
        """Environs must not share what an application changes."""
        seen = sorted(name for name in environ if name.startswith("own."))
        environ["own." + environ["QUERY_STRING"]] = 1
        environ["SERVER_NAME"] = "changed"
        del environ["REQUEST_METHOD"]
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [json.dumps(seen).encode()]

    def show(environ, start_response):
        body = "%s %s" % (environ["REQUEST_METHOD"], environ["SERVER_NAME"])
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body.encode()]

    class Closing:
        def __init__(self, items):
            self.items = items

        def __iter__(self):
            return iter(self.items)

        def close(self):
            sys.stderr.write("closed\\\\n")
            sys.stderr.flush()
            _apache.log_error("result closed", apache.APLOG_NOTICE)

    def closing(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Closing([b"a", b"b"])

    def closing_bad(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Closing([b"a", 5])

    class ListLike(list):
        def close(self):
            _apache.log_error("list closed", apache.APLOG_NOTICE)

    def listlike(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return ListLike([b"list"])

    def start(environ, start_response):
        """The query is Python: the arguments of start_response."""
        from urllib.parse import unquote
        arguments = eval(unquote(environ["QUERY_STRING"]))
        try:
            start_response(*arguments)
        except Exception as e:
            said = "%s: %s" % (type(e).__name__, e)
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [said.encode()]
        return [b"body"]
'''

NAMES = "valid mutable show closing closing_bad listlike start".split()

SITE = Site(
    conf="""
        PythonPath "sys.path+['@root@/htdocs/app']"
        SetEnvIf X-Browser old no-gzip Mixed-Case=x
        SetEnvIf X-Env "^(.*)=(.*)$" OWN=$2
        SetEnvIf X-Https (.+) HTTPS=$1
        SetEnvIf X-Path (.+) PATH=$1
        SetEnvIf X-Info (.+) PATH_INFO=$1
        SetEnvIf X-Name (.+) SERVER_NAME=$1
        SetEnvIf X-Lower (.+) server_name=$1
        SetEnvIf X-Interface (.+) GATEWAY_INTERFACE=$1
        <Location /environ>
            SetHandler mod_python
            PythonHandler nativewsgi::compare
            PythonOption mod_python.wsgi.base_uri /environ
        </Location>
        <Location /pass>
            CGIPassAuth On
            SetHandler mod_python
            PythonHandler nativewsgi::compare
            PythonOption mod_python.wsgi.base_uri /pass
        </Location>
    """
    + "".join(
        f"""
        <Location /{name}>
            SetHandler mod_python
            PythonHandler mod_python.wsgi
            PythonOption mod_python.wsgi.application nativewsgi::{name}
        </Location>
        """
        for name in NAMES
    ),
    files={"app/nativewsgi.py": APPLICATION},
)

# (what, headers, whether httpd has to merge the variables)
REQUESTS = [
    ("/environ", [], False),
    ("/environ/", [], False),
    ("/environ/a/b?c=d&e", [], False),
    ("/environ/%E4%FC?%E4", [], False),
    ("/environ", [("Accept", "text/html"), ("Accept-Language", "de"), ("Cookie", "a=b")], False),
    ("/environ", [("Cookie", "a=c"), ("Accept", "*/*"), ("User-Agent", "x" * 1000)], False),
    ("/environ", [("X-Latin", "\xe4\xf6\xfc"), ("X-Empty", "")], False),
    ("/environ", [("Accept", "one"), ("Accept", "two")], False),
    ("/environ", [("Proxy", "evil"), ("X-After", "1")], False),
    ("/environ", [("Authorization", "Basic dTpw")], False),
    ("/environ", [("Authorization", "Basic dTpx"), ("Proxy-Authorization", "Basic eA==")], False),
    ("/environ", [("Content-Type", "a/b"), ("Content-Length", "0")], False),
    ("/environ", [("X_Under", "1"), ("X-Dash", "2"), ("X.Dot", "3")], False),
    ("/environ", [("x-lowercase", "1"), ("X-UPPERCASE", "2")], False),
    ("/environ", [("X-Browser", "old")], False),
    ("/environ", [("X-Env", "name=value")], False),
    ("/environ", [("X-Env", "name=other")], False),
    ("/environ", [("X-Https", "on")], False),
    ("/environ", [("X-Https", "OFF")], False),
    ("/environ", [("X-Path", "/own")], True),
    ("/environ/x", [("X-Info", "/own")], True),
    ("/environ", [("X-Info", "/own")], True),
    ("/environ", [("X-Name", "own")], True),
    ("/environ", [("X-Lower", "own")], True),
    ("/environ", [("X-Interface", "own")], True),
    ("/environ", [("X-Change", "vars")], True),
    ("/environ", [("X-Change", "twice")], True),
    ("/environ/sub/x", [("X-Change", "options")], False),
]


def environ(get, path, headers):
    answer = get(path, headers=headers)
    assert answer.status == 200, answer.text
    return json.loads(answer.text)


@pytest.mark.parametrize("path, headers, merged", REQUESTS)
def test_environ_is_what_httpd_says(get, path, headers, merged):
    # The first time, from a copy of the first, and after a value was kept again.
    for _ in range(4):
        answer = environ(get, path, headers)
        assert answer["wrong"] == {}
        assert answer["merged"] == merged
        assert answer["first"] == "wsgi.version"


def test_environ_in_turns(server):
    """More sets of names than are remembered, one after another, on one connection."""
    from pyhttpd.client import Connection

    with Connection(server.port) as connection:
        for turn in range(3):
            for number, (path, headers, _) in enumerate(REQUESTS):
                own = [*headers, (f"X-Own-{number % 20}", str(turn % 2))]
                answer = json.loads(connection.request(path, headers=own).text)
                assert answer["wrong"] == {}
                assert answer["environ"][f"HTTP_X_OWN_{number % 20}"] == str(turn % 2)


def test_environ_values_that_come_and_go(get):
    for value in "a b a a c b b b b a c c a".split():
        answer = environ(get, f"/environ?{value}", [("Cookie", value), ("X-Value", value)])
        assert answer["wrong"] == {}
        found = [answer["environ"][n] for n in ("QUERY_STRING", "HTTP_COOKIE", "HTTP_X_VALUE")]
        assert found == [value] * 3


def test_no_secret_stays(get):
    secret = [("Authorization", "Basic c2VjcmV0"), ("Cookie", "secret=1")]
    assert environ(get, "/environ", secret)["environ"]["HTTP_COOKIE"] == "secret=1"
    public = [("Authorization", ""), ("Cookie", "")]
    answer = environ(get, "/environ", public)
    assert answer["wrong"] == {}
    assert answer["environ"]["HTTP_COOKIE"] == answer["environ"]["HTTP_AUTHORIZATION"] == ""


def test_proxy_header_stays_out(get):
    assert "HTTP_PROXY" not in environ(get, "/environ", [("Proxy", "evil")])["environ"]


@pytest.mark.parametrize("value, scheme", [("on", "https"), ("1", "https"), ("Off", "http")])
def test_url_scheme(get, value, scheme):
    assert environ(get, "/environ", [("X-Https", value)])["scheme"] == scheme
    assert environ(get, "/environ", [])["scheme"] == "http"


def test_authorization_that_httpd_passes(get):
    for _ in range(3):
        answer = environ(get, "/pass", [("Authorization", "Basic dTpw")])
        assert answer["environ"]["HTTP_AUTHORIZATION"] == "Basic dTpw"
        assert not answer["merged"]


def test_applications_own_their_environ(get):
    for number in range(4):
        assert get(f"/mutable?{number}").text == "[]"
    assert get("/show").text == "GET localhost"
    assert get("/mutable?x").text == "[]"


def test_validator(get, fetch):
    for _ in range(3):
        assert get("/valid").text == get("/valid/x").text == "valid "
        assert fetch("/valid/x", "POST", body=b"posted").text == "valid posted"


def test_results_are_closed(get, log):
    assert get("/closing").text == "ab"
    log.wait_for("result closed")
    log.allow("closed")


def test_results_are_closed_after_an_error(get, log):
    log.expect("TypeError: a WSGI body consists of bytes, not int")
    log.allow("PythonHandler mod_python.wsgi", "closed")
    get("/closing_bad")
    log.wait_for("result closed")


def test_a_list_with_close_is_closed(get, log):
    assert get("/listlike").text == "list"
    log.wait_for("list closed")


@pytest.mark.parametrize(
    "arguments, said",
    [
        ("'200 OK', ()", "TypeError: headers argument must be a list, not a 'tuple'"),
        ("'200 OK', [['A', 'b']]", "TypeError: each header must be a tuple, not a 'list'"),
        ("'200 OK', [('A', 5)]", "TypeError: header values must be strings, not 'int'"),
        ("'200 OK', [(5, 'A')]", "TypeError: header names must be strings, not 'int'"),
        ("'200 OK', [('A b', 'c')]", "ValueError: Invalid header name: 'A b'"),
        ("'200 OK', [('', 'c')]", "ValueError: Invalid header name: ''"),
        ("'200 OK', [('A', 'b\\nc')]", "ValueError: Invalid value of header A: 'b\\nc'"),
        ("'200 OK', [('A', 'b\\0c')]", "ValueError: Invalid value of header A: 'b\\x00c'"),
        ("'200 OK', [('A', '\\u20ac')]", "ValueError: Invalid value of header A: '\u20ac'"),
        (
            "'200 OK', [('Connection', 'close')]",
            "ValueError: Connection is a matter between server and client",
        ),
        (
            "'200 OK', [('TE', 'x')]",
            "ValueError: TE is a matter between server and client",
        ),
        (
            "'200 OK', [('Content-Length', 'x')]",
            "ValueError: Invalid value of header Content-Length: 'x'",
        ),
        (
            "'200 OK', [('Content-Length', '-1')]",
            "ValueError: Invalid value of header Content-Length: '-1'",
        ),
        ("'OK', []", "ValueError: Invalid status line: OK"),
        ("'100 Continue', []", "ValueError: Invalid status line: 100 Continue"),
        ("'200OK', []", "ValueError: Invalid status line: 200OK"),
        ("'200 O\\nK', []", "ValueError: Invalid status line: 200 O\nK"),
        ("200, []", "TypeError: status must be a string, not 'int'"),
    ],
)
def test_start_response_refuses(get, arguments, said):
    from urllib.parse import quote

    assert get("/start?" + quote(arguments.replace("\n", "\\n"))).text == said


@pytest.mark.parametrize(
    "arguments, status, headers",
    [
        ("'404 Not Here', []", (404, "Not Here"), {}),
        ("'299', []", (299, None), {}),
        ("'200 OK', [('X-A', '1'), ('x-a', '2')]", (200, "OK"), {"X-A": ["1", "2"]}),
        ("'200 OK', [('X-A', 'a\\tb \\xe4')]", (200, "OK"), {"X-A": ["a\tb \xe4"]}),
        ("'200 OK', [(b'X-A', b'\\xe4')]", (200, "OK"), {"X-A": ["\xe4"]}),
        ("'200 OK', [('content-LENGTH', ' 4 ')]", (200, "OK"), {"Content-Length": ["4"]}),
        ("'200 OK', [('X-A', '')]", (200, "OK"), {"X-A": [""]}),
        (
            "'200 OK', [('X-' + 'A' * 99, 'v' * 5000)]",
            (200, "OK"),
            {"X-" + "A" * 99: ["v" * 5000]},
        ),
    ],
)
def test_start_response_takes(get, arguments, status, headers):
    from urllib.parse import quote

    answer = get("/start?" + quote(arguments))
    assert answer.status == status[0] and (status[1] is None or answer.reason == status[1])
    assert answer.body == b"body" and answer.headers["Content-Length"] == "4"
    for name, values in headers.items():
        assert answer.headers.get_all(name) == values
