"""httpd's own access control with Python: AuthBasicProvider python, Require python."""

import base64
import hashlib

from pyhttpd import Site

SITE = Site(
    modules=("authn_core", "auth_basic", "auth_digest", "authz_user"),
    conf="""
        <Directory @root@/htdocs>
            SetHandler mod_python
            PythonHandler content
            PythonAuthnProvider users
        </Directory>
        <Directory @root@/htdocs/basic>
            AuthType Basic
            AuthName "a realm"
            AuthBasicProvider python
            Require valid-user
        </Directory>
        <Directory @root@/htdocs/digest>
            AuthType Digest
            AuthName "a realm"
            AuthDigestProvider python
            Require valid-user
        </Directory>
        <Directory @root@/htdocs/any>
            AuthType Basic
            AuthName "a realm"
            AuthBasicProvider python
            <RequireAny>
                Require python rules::from_header letmein
                Require python rules::is_user mallory alice
            </RequireAny>
        </Directory>
        <Directory @root@/htdocs/all>
            AuthType Basic
            AuthName "a realm"
            AuthBasicProvider python
            <RequireAll>
                Require valid-user
                Require python rules::is_user alice
                Require not python rules::from_header "no entry"
            </RequireAll>
        </Directory>
        <Directory @root@/htdocs/default>
            Require python rules
        </Directory>
        <Directory @root@/htdocs/broken>
            Require python rules::broken
        </Directory>
        <Directory @root@/htdocs/missing>
            AuthType Basic
            AuthName "a realm"
            AuthBasicProvider python
            PythonAuthnProvider nothing_here
            Require valid-user
        </Directory>
    """,
    files={
        "content.py": """
            from mod_python import apache
            def handler(req):
                req.write("user %s type %s" % (req.user, req.ap_auth_type))
                return apache.OK
        """,
        "users.py": """
            import hashlib
            def check_password(req, user, password):
                if user == "bug":
                    raise ValueError("a bug")
                known = {"alice": "s\\xe9cret".encode("latin-1"), "bob": b"b"}.get(user)
                if known is None:
                    return None
                return password.encode("utf-8", "surrogateescape") == known
            def get_realm_hash(req, user, realm):
                if user != "alice":
                    return None
                return hashlib.md5(("alice:%s:secret" % realm).encode()).hexdigest()
        """,
        "rules.py": """
            def from_header(req, word):
                return True if req.headers_in.get("X-Word") == word else None
            def is_user(req, *names):
                return req.user in names
            def check_authorization(req):
                return req.headers_in.get("X-Word") == "open"
            def broken(req):
                raise RuntimeError("broken rule")
        """,
        "basic/x": "",
        "digest/x": "",
        "any/x": "",
        "all/x": "",
        "default/x": "",
        "broken/x": "",
        "missing/x": "",
    },
)


def basic(user, password):
    token = base64.b64encode(user.encode() + b":" + password.encode("latin-1")).decode()
    return [("Authorization", "Basic " + token)]


def test_basic_challenges_without_credentials(get):
    answer = get("/basic/x")
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="a realm"'


def test_basic_accepts_the_password(get):
    answer = get("/basic/x", headers=basic("alice", "s\xe9cret"))
    assert (answer.status, answer.text) == (200, "user alice type Basic")


def test_basic_refuses_a_wrong_password(get, log):
    log.expect("AH01617")
    assert get("/basic/x", headers=basic("alice", "wrong")).status == 401


def test_basic_refuses_an_unknown_user(get, log):
    log.expect("AH01618")
    assert get("/basic/x", headers=basic("eve", "x")).status == 401


def test_an_error_in_the_provider_is_a_500(get, log):
    log.expect("PythonAuthnProvider users: ")
    assert get("/basic/x", headers=basic("bug", "x")).status == 500


def test_a_missing_provider_module_is_a_500(get, log):
    log.expect("No module named 'nothing_here'|PythonAuthnProvider nothing_here")
    assert get("/missing/x", headers=basic("alice", "x")).status == 500


def test_digest(get):
    challenge = get("/digest/x")
    assert challenge.status == 401
    parts = challenge.headers["WWW-Authenticate"]
    nonce = parts.split('nonce="')[1].split('"')[0]

    def h(text):
        return hashlib.md5(text.encode()).hexdigest()

    ha1, ha2 = h("alice:a realm:secret"), h("GET:/digest/x")
    response = h(":".join((ha1, nonce, "00000001", "abc", "auth", ha2)))
    answer = get(
        "/digest/x",
        headers=[
            (
                "Authorization",
                'Digest username="alice", realm="a realm", nonce="%s", uri="/digest/x", '
                'algorithm=MD5, response="%s", qop=auth, nc=00000001, cnonce="abc"'
                % (nonce, response),
            )
        ],
    )
    assert (answer.status, answer.text) == (200, "user alice type Digest")


def test_require_any(get, log):
    log.expect("AH0163")
    assert get("/any/x", headers=[("X-Word", "letmein")]).status == 200
    assert get("/any/x").status == 401
    assert get("/any/x", headers=basic("alice", "s\xe9cret")).status == 200
    assert get("/any/x", headers=basic("bob", "b")).status == 401


def test_require_all(get, log):
    log.expect("AH0163")
    alice = basic("alice", "s\xe9cret")
    assert get("/all/x", headers=alice).status == 200
    assert get("/all/x", headers=[("X-Word", "no entry"), *alice]).status == 403
    assert get("/all/x", headers=basic("bob", "b")).status == 401


def test_default_function(get, log):
    log.expect("AH0163")
    assert get("/default/x", headers=[("X-Word", "open")]).status == 200
    # There is no AuthType to ask for a user with.
    assert get("/default/x").status == 403


def test_a_rule_that_raises_is_a_500(get, log):
    log.expect("Require python rules::broken: ")
    assert get("/broken/x").status == 500
