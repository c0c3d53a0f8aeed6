"""mod_python.Cookie: library.md 5.2."""

import functools

from compat import case as cases
from compat.case import get

# Cookies know nothing of the MPM.
case = functools.partial(cases.case, mpms=["event"])
transcript = functools.partial(cases.transcript, mpms=["event"])

transcript(
    "cookie-format",
    "library.md 5.2.1: the text of a cookie",
    """
    >>> from mod_python.Cookie import Cookie
    >>> str(Cookie("a", "b"))
    'a=b'
    >>> Cookie("a", "b")
    <Cookie: a=b>
    >>> class Mine(Cookie):
    ...     pass
    ...
    >>> Mine("a", "b", path="/")
    <Mine: a=b; path=/>
    >>> str(Cookie("a", "x y,z", PATH="/p", Domain="d.test", comment="c", port=80, version=1))
    'a=x y,z; version=1; path=/p; domain=d.test; comment=c; port=80'
    >>> c = Cookie("a", "b", secure=1, discard=1, httponly=1, samesite="Lax")
    >>> str(c)
    'a=b; secure; samesite=Lax; discard; httponly'
    >>> c.name, c.value, c.secure, c.samesite
    ('a', 'b', 1, 'Lax')
    >>> c.value = "other"; c.path = "/later"
    >>> str(c)
    'a=other; path=/later; secure; samesite=Lax; discard; httponly'
    >>> c.__data__["x"] = 1
    >>> c.__data__
    {'x': 1}
    >>> str(c)
    'a=other; path=/later; secure; samesite=Lax; discard; httponly'
    >>> str(Cookie("a", 5)), str(Cookie("a", ""))
    ('a=5', 'a=')
    >>> Cookie.DOWNGRADE, Cookie.IGNORE, Cookie.EXCEPTION
    (0, 1, 3)
    """,
)

transcript(
    "cookie-attributes",
    "library.md 5.2.1: attributes that are not set, and others",
    """
    >>> from mod_python import Cookie
    >>> c = Cookie.Cookie("a", "b")
    >>> [name for name in ("version", "path", "domain", "secure", "comment", "expires", "max_age",
    ...     "samesite", "commentURL", "discard", "port", "httponly") if hasattr(c, name)]
    []
    >>> c.other = 1
    AttributeError
    >>> Cookie.Cookie("a", "b", other=1)
    AttributeError
    >>> c.comment = "later"; c.comment
    'later'
    >>> issubclass(Cookie.CookieError, Exception)
    True
    """,
    replace=[(r"AttributeError: [^\n]*", "AttributeError")],
)

transcript(
    "cookie-expires",
    "library.md 5.2.1: expires",
    """
    >>> from mod_python.Cookie import Cookie
    >>> str(Cookie("a", "b", expires=0))
    'a=b; expires=Thu, 01-Jan-1970 00:00:00 GMT'
    >>> str(Cookie("a", "b", expires=1234567890.9))
    'a=b; expires=Fri, 13-Feb-2009 23:31:30 GMT'
    >>> str(Cookie("a", "b", expires="Sat, 14-Feb-2099 23:31:30 GMT"))
    'a=b; expires=Sat, 14-Feb-2099 23:31:30 GMT'
    >>> c = Cookie("a", "b"); c.expires = 86400; c.expires
    'Fri, 02-Jan-1970 00:00:00 GMT'
    >>> Cookie("a", "b", expires="tomorrow")
    ValueError: Invalid expires time: tomorrow
    >>> Cookie("a", "b", expires="Sat, 14 Feb 2099 23:31:30 GMT")
    ValueError: Invalid expires time: Sat, 14 Feb 2099 23:31:30 GMT
    """,
)

transcript(
    "cookie-max-age",
    "library.md 5.2.1: max_age",
    """
    >>> from mod_python.Cookie import Cookie
    >>> str(Cookie("a", "b", max_age=60))
    'a=b; Max-Age=60'
    """,
)

transcript(
    "cookie-flags",
    "library.md 5.2.1: flags that are set to 0",
    """
    >>> from mod_python.Cookie import Cookie
    >>> str(Cookie("a", "b", secure=0, discard=0, httponly=0))
    'a=b'
    """,
)

transcript(
    "cookie-comment-url",
    "library.md 5.2.1: commentURL",
    """
    >>> from mod_python.Cookie import Cookie
    >>> c = Cookie("a", "b"); c.commentURL = "/c"; str(c)
    'a=b; commentURL=/c'
    >>> str(Cookie("a", "b", commentURL="/c"))
    'a=b; commentURL=/c'
    """,
)

transcript(
    "cookie-injection",
    "library.md 5.2.1: what would end the cookie or the header",
    """
    >>> from mod_python.Cookie import Cookie
    >>> str(Cookie("a", "b; path=/"))
    CookieError
    >>> str(Cookie("a", "b", path="/; domain=evil.test"))
    CookieError
    >>> str(Cookie("a", "b\\r\\nX: y"))
    CookieError
    >>> str(Cookie("a b", "c"))
    CookieError
    """,
    replace=[(r"CookieError: [^\n]*", "CookieError")],
)

transcript(
    "cookie-parse",
    "library.md 5.2.1: parse",
    r"""
    >>> from mod_python.Cookie import Cookie
    >>> def parse(text, **kw):
    ...     return [(name, c.value) for name, c in sorted(Cookie.parse(text, **kw).items())]
    ...
    >>> parse("a=1; b=2;c=3")
    [('a', '1'), ('b', '2'), ('c', '3')]
    >>> parse("a"), parse("=v"), parse(""), parse(" ; , ;")
    ([('a', '')], [('v', '')], [], [(',', '')])
    >>> parse("a=b c=d"), parse("a b=c"), parse("a = b ; c = d ")
    ([('a', 'b c=d')], [('a', 'b=c')], [('a', 'b '), ('c', 'd ')])
    >>> parse("a=b, c=d"), parse("a=1; a=2"), parse("a=b=c")
    ([('a', 'b, c=d')], [('a', '2')], [('a', 'b=c')])
    >>> parse('a="x;y"; b="q\\"r"; c="open')
    [('a', '"x;y"'), ('b', '"q\\"r"'), ('c', '"open')]
    >>> parse('$Version=1; a=b; $Path=/; path=/x')
    [('a', 'b'), ('path', '/x')]
    >>> parse("a=1; b=2; c=3", names=["a", "c", "d"])
    [('a', '1'), ('c', '3')]
    >>> type(Cookie.parse("a=1")["a"]).__name__, Cookie.parse("a=1")["a"].name
    ('Cookie', 'a')
    >>> hasattr(Cookie.parse("a=1; path=/")["a"], "path")
    False
    >>> class Mine(Cookie):
    ...     pass
    ...
    >>> Mine.parse("a=1")
    {'a': <Mine: a=1>}
    >>> parse(b"a=1")
    TypeError
    """,
    replace=[(r"TypeError: [^\n]*", "TypeError")],
)

transcript(
    "cookie-signed",
    "library.md 5.2.2: the format and the vector",
    """
    >>> from mod_python.Cookie import Cookie, SignedCookie
    >>> str(SignedCookie("a", "b", "secret"))
    'a=0fe26d789d153d69755c401a91a97235b'
    >>> found = SignedCookie.parse("a=0fe26d789d153d69755c401a91a97235b", "secret")["a"]
    >>> type(found) is SignedCookie, found.value
    (True, 'b')
    >>> type(SignedCookie.parse("a=x", "secret")["a"]) is Cookie
    True
    """,
)

transcript(
    "cookie-signed-no-secret",
    "library.md 5.2.2: signing without a secret",
    """
    >>> from mod_python.Cookie import SignedCookie
    >>> str(SignedCookie("a", "b"))
    CookieError: Cannot sign without a secret
    """,
)

transcript(
    "cookie-marshal",
    "library.md 5.2.3: the format and the vector",
    """
    >>> from mod_python.Cookie import Cookie, MarshalCookie
    >>> text = "eggs=d049b2b61adb6a1d895646719a3dc30bcwQAAABzcGFt"
    >>> found = MarshalCookie.parse(text, "secret")["eggs"]
    >>> type(found) is MarshalCookie, found.value
    (True, b'spam')
    >>> again = str(MarshalCookie("a", [1, "two", {3: None}], b"secret"))
    >>> MarshalCookie.parse(again, "secret")["a"].value
    [1, 'two', {3: None}]
    """,
)

case(
    "cookie-add",
    "library.md 5.2.4: add_cookie",
    """
    from mod_python import Cookie

    def handler(req):
        if req.path_info == "/own":
            req.headers_out["Set-Cookie"] = "own=1"
        Cookie.add_cookie(req, Cookie.Cookie("a", "b", path="/x"))
        Cookie.add_cookie(req, "c", "d", expires=0, domain="e.test")
        Cookie.add_cookie(req, "empty")
        Cookie.add_cookie(req, "a", "again")
        req.write("done")
        return apache.OK
    """,
    get(
        "/x",
        body="done",
        expect={
            "Set-Cookie": [
                "a=b; path=/x",
                "c=d; domain=e.test; expires=Thu, 01-Jan-1970 00:00:00 GMT",
                "empty=",
                "a=again",
            ],
            "Cache-Control": 'no-cache="set-cookie"',
        },
    ),
    get("/x/own", expect={"Cache-Control": None}),
    files={"x": ""},
)

case(
    "cookie-get",
    "library.md 5.2.4: get_cookies and get_cookie",
    """
    from mod_python import Cookie

    def handler(req):
        found = Cookie.get_cookies(req)
        req.write("%r\\n" % [(name, found[name]) for name in sorted(found)])
        req.write("%r\\n" % Cookie.get_cookies(req, names=["a"]))
        req.write("%r %r\\n" % (Cookie.get_cookie(req, "a"), Cookie.get_cookie(req, "z")))
        return apache.OK
    """,
    get(body="[]\n{}\nNone None\n"),
    get(
        headers=[("Cookie", "a=1; b=two words; $c=3")],
        body="[('a', <Cookie: a=1>), ('b', <Cookie: b=two words>)]\n{'a': <Cookie: a=1>}\n"
        "<Cookie: a=1> None\n",
    ),
    get(
        headers=[("Cookie", "a=1"), ("cookie", "b=2")],
        body="[('a', <Cookie: a=1, b=2>)]\n{'a': <Cookie: a=1, b=2>}\n<Cookie: a=1, b=2> None\n",
    ),
)

case(
    "cookie-get-not-utf8",
    "gotchas A1: a cookie that is not UTF-8",
    """
    from mod_python import Cookie

    def handler(req):
        req.write(ascii(Cookie.get_cookies(req)))
        return apache.OK
    """,
    get(headers=[("Cookie", "a=\xe9")], body="{'a': <Cookie: a=\\udce9>}"),
    crashes_original=True,
)

transcript(
    "cookie-not-text",
    "library.md 5.2.1: names and values of other types",
    """
    >>> from mod_python import Cookie
    >>> Cookie.add_cookie(req, "a", None)
    >>> Cookie.add_cookie(req, "a", b"bytes")
    >>> Cookie.add_cookie(req, "a", 1.5)
    >>> req.headers_out["set-cookie"]
    ['a=None', "a=b'bytes'", 'a=1.5']
    >>> Cookie.add_cookie(req)
    TypeError
    """,
    replace=[(r"TypeError: [^\n]*", "TypeError")],
)
