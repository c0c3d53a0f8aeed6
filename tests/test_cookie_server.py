"""Cookies in a server: what comes in and goes out, and that Rust and Python agree on both."""

import pytest

from mod_python import Cookie
from pyhttpd import Site

SITE = Site(
    conf="""
        <Directory @root@/htdocs/c>
            SetHandler mod_python
            PythonHandler cookies
            PythonDebug On
        </Directory>
    """,
    files={
        "c/cookies.py": r"""
            import random

            import _apache
            from mod_python import Cookie, apache

            def handler(req):
                req.content_type = "text/plain"
                return globals()[req.path_info.strip("/")](req)

            def echo(req):
                for name, cookie in Cookie.get_cookies(req).items():
                    req.write("%s=%s %s\n" % (ascii(name), ascii(cookie.value),
                                              type(cookie).__name__))
                return apache.OK

            def one(req):
                req.write(repr(Cookie.get_cookie(req, "b")))
                return apache.OK

            def send(req):
                Cookie.add_cookie(req, "a", "b", path="/", httponly=1, secure=0)
                Cookie.add_cookie(req, Cookie.Cookie("c", 5, max_age=60, expires=0))
                Cookie.add_cookie(req, "d", "e", Path="/x", samesite="Lax")
                Cookie.add_cookie(req, "f", "caf\xe9")
                Cookie.add_cookie(req, Cookie.SignedCookie("g", "h", "secret"))
                Cookie.add_cookie(req, Cookie.MarshalCookie("i", {"j": 1}, "secret"))
                return apache.OK

            def refuse(req):
                for args, kw in (
                    (("a", "b\r\nX-Evil: 1"), {}), (("a", "b;c"), {}), (("a b", "c"), {}),
                    (("", "c"), {}), (("a", "b"), {"path": "/\nX-Evil: 1"}),
                    ((Cookie.Cookie("a", "b", domain="x\0y"),), {}), (("a", "b"), {"bogus": 1}),
                    ((Cookie.SignedCookie("a", "b"),), {}), (("a", "b"), {"max_age": "x"}),
                ):
                    try:
                        Cookie.add_cookie(req, *args, **kw)
                        req.write("accepted %r %r\n" % (args, kw))
                    except (Cookie.CookieError, AttributeError) as error:
                        req.write("%s\n" % type(error).__name__)
                return apache.OK

            def agree_in(req):
                "Random headers, read by Rust and by the regular expression."
                rng = random.Random(int(req.args))
                units = ["a", "b", "cc", "=", ";", "; ", "; ", " ", '"', "\\", ",", "$", "x=y",
                         "a=b; ", "\t", "\n", "\x0b", "\x1c", "\x1f", "\x85", "0", "\0", ';"']
                for _ in range(30000):
                    header = "".join(rng.choice(units) for _ in range(rng.randrange(14)))
                    fast = _apache._cookie_pairs(header)
                    slow = [pair for pair in Cookie._scan(header) if pair[0][0] != "$"]
                    if header.isascii() and fast != slow:
                        req.write("%r: %r %r\n" % (header, fast, slow))
                req.write("done")
                return apache.OK

            def agree_out(req):
                "Random cookies, written by Rust and by Python, or refused by both."
                rng = random.Random(int(req.args))
                values = ["", "a", "/", "x y", "caf\xe9", "\xa0", ";", "a;b", "\n", "\0", "\t",
                          "\x7f", "~", 5, -1, True, False, None, 1.5, b"x", '"q"', "a=b", "\udce9"]
                names = ["a", "a-b", "", "a b", "a=b", "a;b", "\xe9", 5, None, "$a", "a\n"]
                keys = ["version", "path", "domain", "secure", "comment", "discard", "port",
                        "httponly", "commentURL", "expires", "max_age", "samesite", "Path"]
                headers = req.headers_out
                accepted = 0
                for _ in range(8000):
                    name, value = rng.choice(names[:2] + names), rng.choice(values)
                    kw = {rng.choice(keys): rng.choice(values) for _ in range(rng.randrange(4))}
                    for as_object in (False, True):
                        headers.clear()
                        try:
                            cookie = Cookie.Cookie(name, value, **kw)
                            expected = str(cookie)
                        except Exception as error:
                            cookie, expected = None, type(error)
                        if as_object and not cookie:
                            continue
                        try:
                            if as_object:
                                Cookie.add_cookie(req, cookie)
                            else:
                                Cookie.add_cookie(req, name, value, **kw)
                            found = headers["Set-Cookie"]
                            accepted += 1
                            assert headers["Cache-Control"] == 'no-cache="set-cookie"'
                        except Exception as error:
                            found = type(error)
                            assert not headers
                        if found != expected:
                            req.write("%r %r %r: %r %r\n" % (name, value, kw, found, expected))
                headers.clear()
                req.write("done" if accepted > 2000 else "too few: %d" % accepted)
                return apache.OK
        """,
    },
)


def test_in(get):
    answer = get("/c/x/echo", headers=[("Cookie", 'a=1; b="x;y"; $c=2; caf\xe9=\xff; a=3')])
    assert answer.text == ("'a'='3' Cookie\n'b'='\"x;y\"' Cookie\n'caf\\udce9'='\\udcff' Cookie\n")


def test_none(get):
    assert get("/c/x/echo").text == ""
    assert get("/c/x/one").text == "None"


def test_one(get):
    assert get("/c/x/one", headers=[("Cookie", "a=1; b=2")]).text == "<Cookie: b=2>"


def test_several_headers(get):
    # httpd joins them with a comma, which separates nothing.
    answer = get("/c/x/echo", headers=[("Cookie", "a=1"), ("Cookie", "b=2")])
    assert answer.text == "'a'='1, b=2' Cookie\n"


def test_out(get):
    answer = get("/c/x/send")
    sent = answer.headers.get_all("Set-Cookie")
    assert sent[:4] == [
        "a=b; path=/; httponly",
        "c=5; expires=Thu, 01-Jan-1970 00:00:00 GMT; Max-Age=60",
        "d=e; path=/x; samesite=Lax",
        "f=caf\xc3\xa9",
    ]
    assert [
        Cookie.SignedCookie.parse(sent[4], "secret")["g"].value,
        Cookie.MarshalCookie.parse(sent[5], "secret")["i"].value,
    ] == ["h", {"j": 1}]
    assert answer.headers.get_all("Cache-Control") == ['no-cache="set-cookie"']


def test_refused(get):
    answer = get("/c/x/refuse")
    assert answer.text.split() == ["CookieError"] * 6 + [
        "AttributeError",
        "CookieError",
        "CookieError",
    ]
    assert answer.headers.get_all("Set-Cookie") == answer.headers.get_all("X-Evil") == []


@pytest.mark.parametrize("function", ["agree_in", "agree_out"])
@pytest.mark.parametrize("seed", [1, 2])
def test_rust_and_python_agree(get, function, seed):
    assert get(f"/c/x/{function}?{seed}").text == "done"
