"""__auth__, __access__ and __auth_realm__ of published objects: found by name, refused in doubt."""

import pytest

from pyhttpd import Site

SITE = Site(
    conf="""
        <Directory @root@/htdocs>
            SetHandler mod_python
            PythonHandler mod_python.publisher
        </Directory>
    """,
    files={
        "index.py": """
            import functools
            from functools import partial

            USERS = {"joe": "secret"}

            def decorate(function):
                @functools.wraps(function)
                def wrapper(*args, **kw):
                    return function(*args, **kw)
                return wrapper

            def plain(req):
                def __auth__(req, user, passwd):
                    return (user, passwd) == ("joe", "secret")
                return "ok"

            def with_realm(req):
                __auth_realm__ = 'the "inner" realm'
                def __auth__(req, user, passwd):
                    return passwd == "secret"
                return "ok " + __auth_realm__

            def after_others(req):
                text, numbers, name = "a", (1, 2), "__auth__"
                def helper():
                    return True
                also = lambda: helper() and text and numbers
                def __access__(req, user):
                    return user == "joe"
                def __auth__(req, user, passwd):
                    return passwd == "secret"
                req.log_error(name, 7)
                return "ok"

            def literal_dict(req):
                __auth__ = {"joe": "secret", "ann": "s\u00e9cret"}
                __access__ = ["joe"]
                return "ok"

            def constant_false(req):
                __auth__ = 0
                return "ok"

            def constant_true(req):
                __auth__ = True
                return "ok"

            def no_access(req):
                __access__ = False
                return "ok"

            def access_tuple(req):
                __access__: tuple = ("joe", "ann")
                return "ok"

            @decorate
            def decorated(req):
                def __auth__(req, user, passwd):
                    return passwd == "secret"
                return "ok"

            def uses_globals(req):
                def __auth__(req, user, passwd):
                    return USERS.get(user) == passwd
                return "ok"

            async def asynchronous(req):
                async def __auth__(req, user, passwd):
                    return passwd == "secret"
                return "ok"

            def by_attribute(req):
                return "ok"
            by_attribute.__auth__ = USERS
            by_attribute.__auth_realm__ = "attribute"

            def generates(req):
                def __auth__(req, user, passwd):
                    return passwd == "secret"
                yield "ok"

            bound = partial(plain)

            @functools.lru_cache(maxsize=None)
            def cached():
                __access__ = ["joe"]
                return "ok"

            class Guarded:
                __auth_realm__ = "class"
                text = "ok"

                def __auth__(self, req, user, passwd):
                    return passwd == "secret"

                def method(self, req):
                    def __access__(req, user):
                        return user == "joe"
                    return "ok"

                def __call__(self, req):
                    __access__ = {"joe"}
                    return "ok"

            guarded = Guarded()

            # In doubt: nobody.

            def conditional(req):
                if req.method == "GET":
                    def __auth__(req, user, passwd):
                        return True
                return "never"

            def twice(req):
                __auth__ = True
                __auth__ = False
                return "never"

            def closure(req):
                secret = "secret"
                def __auth__(req, user, passwd):
                    return passwd == secret
                return "never"

            def computed(req):
                __auth__ = dict(joe="secret")
                return "never"

            def named(req):
                __access__ = USERS
                return "never"

            def with_decorator(req):
                @decorate
                def __auth__(req, user, passwd):
                    return True
                return "never"

            def with_default(req):
                def __auth__(req, user, passwd, users=USERS):
                    return True
                return "never"

            def loop(req):
                for __auth__ in (1, 2):
                    pass
                return "never"

            def imported(req):
                from os import getcwd as __auth__
                return "never"

            def nonlocal_change(req):
                __auth__ = True
                def change():
                    nonlocal __auth__
                    __auth__ = False
                return "never"

            def text_guard(req):
                __access__ = "joe"
                return "never"

            def generator_guard(req):
                def __auth__(req, user, passwd):
                    yield True
                return "never"

            def a_class(req):
                class __auth__:
                    pass
                return "never"

            def parameter(req, __auth__=True):
                return "never"

            exec(compile("def made(req):\\n    __auth__ = True\\n    return 'never'",
                         "<made>", "exec"))

            def raises(req):
                def __auth__(req, user, passwd):
                    raise RuntimeError("on purpose")
                return "never"
        """,
        "page.py": """
            __auth_realm__ = "page"
            __auth__ = {"joe": "secret"}
            __access__ = ["joe"]
            value = "ok"

            def index(req):
                return "ok"

            def closed(req):
                __access__ = ["ann"]
                return "never"

            class Thing:
                def method(self, req):
                    return "ok"

            thing = Thing()
        """,
        "later.py": """
            def index(req):
                return "ok"

            def close(req):
                globals()["__auth__"] = False
                return "closed"
        """,
        "given.py": """
            def index(req):
                def __auth__(req, user, passwd):
                    req.write("%r %r" % (user, passwd))
                    return True
                return ""
        """,
    },
)
JOE = ("joe", "secret")

OPEN_TO_JOE = [
    *("/plain", "/with_realm", "/after_others", "/literal_dict", "/constant_true", "/access_tuple"),
    *("/decorated", "/uses_globals", "/asynchronous", "/by_attribute", "/generates", "/bound"),
    *("/cached", "/guarded", "/guarded/text", "/guarded/method", "/page", "/page/value"),
    *("/page/thing/method",),
]


@pytest.mark.parametrize("path", OPEN_TO_JOE)
def test_the_right_user(get, path):
    for _ in range(2):
        answer = get(path, auth=JOE)
        assert (answer.status, answer.text[:2]) == (200, "ok")


@pytest.mark.parametrize("path", OPEN_TO_JOE)
def test_nobody(get, path):
    status = 403 if path in ("/access_tuple", "/cached") else 401
    for _ in range(2):
        assert get(path).status == status


@pytest.mark.parametrize("path", sorted({*OPEN_TO_JOE} - {"/access_tuple", "/constant_true"}))
def test_the_wrong_user(get, path):
    assert get(path, auth=("bob", "wrong")).status in (401, 403)
    if path != "/cached":
        assert get(path, auth=("joe", "wrong")).status == 401


@pytest.mark.parametrize(
    "path, realm",
    [
        ("/plain", "unknown"),
        ("/with_realm", r"the \"inner\" realm"),
        ("/by_attribute", "attribute"),
        ("/guarded/method", "class"),
        ("/page", "page"),
        ("/page/thing/method", "page"),
    ],
)
def test_realm(get, path, realm):
    for auth in (None, ("joe", "wrong")):
        assert get(path, auth=auth).headers["WWW-Authenticate"] == f'Basic realm="{realm}"'


def test_constants(get):
    assert get("/constant_false", auth=JOE).status == 401
    assert get("/constant_true", auth=("anybody", "x")).status == 200
    assert get("/no_access", auth=JOE).status == 403
    assert get("/page/closed", auth=JOE).status == 403
    assert get("/access_tuple", auth=("bob", "x")).status == 403


DOUBTS = {
    "/conditional": "neither a def nor a plain assignment",
    "/twice": "not defined exactly once",
    "/closure": "uses variables of the function around it: secret",
    "/computed": "not a literal",
    "/named": "not a literal",
    "/with_decorator": "has a decorator",
    "/with_default": "has default values",
    "/loop": "neither a def nor a plain assignment",
    "/imported": "neither a def nor a plain assignment",
    "/nonlocal_change": "not defined exactly once",
    "/text_guard": "a guard cannot be a str",
    "/generator_guard": "is a generator",
    "/a_class": "neither a def nor a plain assignment",
    "/parameter": "not defined exactly once",
    "/made": "cannot read the source of made",
}


@pytest.mark.parametrize("path", DOUBTS)
def test_doubt_means_refusal(get, log, path):
    log.expect(f"MP0620: nobody may see {path}: .*{DOUBTS[path]}")
    for _ in range(2):
        assert get(path, auth=JOE).status == 403


def test_a_guard_that_fails(get, log):
    log.expect("RuntimeError: on purpose", "Traceback", "publisher.py", "_guards.py", "in __auth__")
    assert get("/raises", auth=JOE).status == 500


def test_a_guard_that_comes_later(connect):
    get = connect().request  # one connection: the same child under every MPM
    assert [get("/later").status for _ in range(2)] == [200, 200]
    assert get("/later/close").text == "closed"
    assert get("/later", auth=JOE).status == 401


@pytest.mark.parametrize(
    "header, expected",
    [
        ("Basic am9lOnNlY3JldA==", "'joe' 'secret'"),
        ("bASIC  am9lOnNlY3JldA== ", "'joe' 'secret'"),
        ("Basic am9lOmE6Yg==", "'joe' 'a:b'"),
        ("Basic w7w6w6k=", "'\u00fc' '\u00e9'"),
        ("Basic /Dpr6Q==", "'\u00fc' 'k\u00e9'"),
        ("Basic Og==", "'' ''"),
    ],
)
def test_credentials(get, header, expected):
    assert get("/given", headers=[("Authorization", header)]).text == expected


@pytest.mark.parametrize(
    "header, status",
    [("Basic am9l", 400), ("Basic ???", 400), ("Basic", 400), ("Bearer token", 401), ("x", 401)],
)
def test_other_credentials(get, header, status):
    assert get("/given", headers=[("Authorization", header)]).status == status
