"""mod_python.Cookie without a server: formats, vectors, signatures and refusals."""

import copy
import marshal
import pickle
import subprocess
import sys
import time

import pytest

from mod_python import Cookie

pytestmark = pytest.mark.mpms("event")

SECRET = "secret"


def values(header, **kw):
    return {name: c.value for name, c in Cookie.Cookie.parse(header, **kw).items()}


# --- writing


def test_attributes_in_order():
    c = Cookie.Cookie(
        "a",
        "b",
        httponly=1,
        port="80",
        discard=1,
        samesite="Lax",
        max_age=5,
        expires=0,
        comment="z",
        secure=1,
        Domain="x",
        PATH="/",
        version=1,
    )
    assert str(c) == (
        "a=b; version=1; path=/; domain=x; secure; comment=z; "
        "expires=Thu, 01-Jan-1970 00:00:00 GMT; Max-Age=5; samesite=Lax; discard; port=80; httponly"
    )
    assert repr(c) == "<Cookie: %s>" % c


def test_no_quoting_and_any_value():
    assert str(Cookie.Cookie("a", 5)) == "a=5"
    assert str(Cookie.Cookie(5, None)) == "5=None"
    assert str(Cookie.Cookie("a", '"b, c"')) == 'a="b, c"'
    assert str(Cookie.Cookie("a", "")) == "a="
    assert str(Cookie.Cookie("a", "caf\xe9\xa0\udce9")) == "a=caf\xe9\xa0\udce9"


def test_flags_follow_their_truth():
    assert str(Cookie.Cookie("a", "b", secure=0, httponly=False, discard=None)) == "a=b"
    assert str(Cookie.Cookie("a", "b", secure=True, path="/")) == "a=b; path=/; secure"


def test_none_is_not_set():
    c = Cookie.Cookie("a", "b", path=None, expires=None, max_age=None, samesite=None)
    assert str(c) == "a=b"
    assert c.path is None


@pytest.mark.parametrize("name", ["commentURL", "commenturl"])
def test_comment_url(name):
    assert str(Cookie.Cookie("a", "b", **{name: "http://x/"})) == "a=b; commentURL=http://x/"


def test_unset_and_unknown_attributes():
    c = Cookie.Cookie("a", "b")
    for name in ("path", "expires", "max_age", "bogus"):
        with pytest.raises(AttributeError, match=name):
            getattr(c, name)
    with pytest.raises(AttributeError):
        c.bogus = 1
    with pytest.raises(AttributeError):
        del c.path
    with pytest.raises(AttributeError):
        Cookie.Cookie("a", "b", bogus=1)
    c.path = "/x"
    assert (c.path, str(c)) == ("/x", "a=b; path=/x")
    del c.path
    assert str(c) == "a=b"


def test_subclass_is_as_strict():
    class Mine(Cookie.Cookie):
        def __init__(self, name, value, **kw):
            Cookie.Cookie.__init__(self, name, value, **kw)
            self.__data__["seen"] = name

    with pytest.raises(AttributeError):
        Mine("a", "b").bogus = 1
    c = Mine.parse("a=b")["a"]
    assert (type(c), c.value, c.__data__) == (Mine, "b", {"seen": "a"})


@pytest.mark.parametrize(
    "given, sent",
    [
        (0, "Thu, 01-Jan-1970 00:00:00 GMT"),
        (1.5e9 + 0.7, "Fri, 14-Jul-2017 02:40:00 GMT"),
        (-5, "Wed, 31-Dec-1969 23:59:55 GMT"),
        ("Mon, 01-Jan-2024 00:00:00 GMT", "Mon, 01-Jan-2024 00:00:00 GMT"),
    ],
)
def test_expires(given, sent):
    c = Cookie.Cookie("a", "b", expires=given)
    assert c.expires == sent
    assert str(c) == "a=b; expires=" + sent


@pytest.mark.parametrize(
    "given",
    [
        "x",
        "0",
        "Mon, 01 Jan 2024 00:00:00 GMT",
        "Monday, 01-Jan-24 00:00:00 GMT",
        "Mon, 01-Jan-2024 00:00:00 GMT\n",
        "Mon, 01-Jan-2024 00:00:00 GMT; path=/",
        "xyz, 99-abc-0000 99:99:99 GMT",
    ],
)
def test_bad_expires(given):
    with pytest.raises(ValueError) as e:
        Cookie.Cookie("a", "b", expires=given)
    assert str(e.value) == "Invalid expires time: " + given


def test_expires_in_any_locale(monkeypatch):
    # strftime would speak the language of the process's locale.
    monkeypatch.setattr(time, "strftime", lambda *a: pytest.fail("depends on the locale"))
    assert Cookie.Cookie("a", "b", expires=0).expires == "Thu, 01-Jan-1970 00:00:00 GMT"


def test_max_age():
    assert str(Cookie.Cookie("a", "b", max_age=0)) == "a=b; Max-Age=0"
    assert str(Cookie.Cookie("a", "b", max_age="-1")) == "a=b; Max-Age=-1"
    assert str(Cookie.Cookie("a", "b", max_age=60.5)) == "a=b; Max-Age=60"
    for bad in ("soon", "5; path=/", [], float("inf")):
        with pytest.raises(Cookie.CookieError, match="max_age"):
            Cookie.Cookie("a", "b", max_age=bad)


def test_samesite():
    for good in ("Strict", "lax", "None"):
        assert str(Cookie.Cookie("a", "b", samesite=good)) == "a=b; samesite=" + good
    for bad in ("never", "", True, "Lax; secure"):
        with pytest.raises(Cookie.CookieError, match="samesite"):
            Cookie.Cookie("a", "b", samesite=bad)


# --- refusals


@pytest.mark.parametrize(
    "evil", ["x\r\nSet-Cookie: y=z", "x\ny", "x\ry", "x\0y", "x; path=/", "x;", "\x7f", "\x1b[0m"]
)
@pytest.mark.parametrize(
    "field", ["value", "path", "domain", "comment", "version", "port", "commentURL"]
)
def test_injection_is_refused(field, evil):
    if field == "value":
        c = Cookie.Cookie("a", evil)
    else:
        # A flag that is off must not make up for the separator that is one too many.
        c = Cookie.Cookie("a", "b", secure=0, discard=None, **{field: evil})
    with pytest.raises(Cookie.CookieError, match=field):
        str(c)
    assert repr(c)


@pytest.mark.parametrize("name", ["", "a;b", "a=b", "a b", "a\r\nb", "a\tb", "a\0"])
def test_bad_names_are_refused(name):
    with pytest.raises(Cookie.CookieError, match="cannot be named"):
        str(Cookie.Cookie(name, "v"))


@pytest.mark.parametrize("evil", ["x\nSet-Cookie: y=z", "x;y"])
def test_signed_injection_is_refused(evil):
    with pytest.raises(Cookie.CookieError, match="value"):
        str(Cookie.SignedCookie("a", evil, SECRET))


def test_tab_and_comma_are_fine():
    assert str(Cookie.Cookie("a", "b\tc, d")) == "a=b\tc, d"
    assert str(Cookie.Cookie("a-b.c", "d")) == "a-b.c=d"


# --- parsing


@pytest.mark.parametrize(
    "header, found",
    [
        ("", {}),
        ("a=b", {"a": "b"}),
        ("a=b; c=d", {"a": "b", "c": "d"}),
        ("a", {"a": ""}),
        ("=v", {"v": ""}),
        ("a=b; =v", {"a": "b", "v": ""}),
        ("a=b c=d", {"a": "b c=d"}),
        ("a b=c", {"a": "b=c"}),
        ("a=b ", {"a": "b "}),
        ("a=b; ", {"a": "b"}),
        ("a=b, c=d", {"a": "b, c=d"}),
        ("a,b=c", {"a,b": "c"}),
        (",a=b; ,c=d", {"a": "b", "c": "d"}),
        ("$Version=1; a=b; $Path=/; path=/", {"a": "b", "path": "/"}),
        ("a$=1; b=$2", {"a$": "1", "b": "$2"}),
        ('a="x;y\\"z"; b=2', {"a": '"x;y\\"z"', "b": "2"}),
        ('a="x"y; b=1', {"a": '"x"', "y": "", "b": "1"}),
        ('a="xy', {"a": '"xy'}),
        ('a="1"\tb=2', {"a": '"1"', "b": "2"}),
        ('a= "q;r" ;b=1', {"a": '"q;r"', "b": "1"}),
        ("a=b;;c=d", {"a": "b", "c": "d"}),
        ("  a=b  ;  c = d  ", {"a": "b  ", "c": "d  "}),
        ("a==b", {"a": "=b"}),
        ("a;b;c", {"a": "", "b": "", "c": ""}),
        ("a=1; a=2", {"a": "2"}),
        ("a=1; A=2", {"a": "1", "A": "2"}),
        ("a\tb=\tc\n;d=e", {"a\tb": "\tc\n", "d": "e"}),
        ("a=\udce9\0; \xe9=\xff", {"a": "\udce9\0", "\xe9": "\xff"}),
    ],
)
def test_parse(header, found):
    assert values(header) == found


def test_parse_names():
    assert values("a=b; c=d; e=f", names=["a", "e"]) == {"a": "b", "e": "f"}
    assert values('a="b"; c=d', names=["c"]) == {"c": "d"}
    assert values("a=b", names=[]) == {}
    assert values("$a=b", names=["$a"]) == {}


@pytest.mark.parametrize("bad", [b"a=b", None, 5])
def test_parse_needs_text(bad):
    with pytest.raises(TypeError):
        Cookie.Cookie.parse(bad)


@pytest.mark.parametrize("unit", ['a="', 'a="\\', "=", "; ", 'a="b\\"; ', '"', "$;", "a ="])
def test_parse_takes_linear_time(unit):
    def cost(n):
        start = time.process_time()
        Cookie.Cookie.parse(unit * n)
        return time.process_time() - start

    cost(1000)
    # Quadratic behaviour would take minutes here.
    assert cost(300000) < 30


def test_the_two_scanners_agree():
    import random

    rng = random.Random(5)
    units = ["a", "b", "cc", "=", ";", "; ", "; ", " ", ",", "$", "x=y", "a=b; ", "\t", "0"]
    for _ in range(20000):
        header = "".join(rng.choice(units) for _ in range(rng.randrange(12)))
        slow = {n: v for n, v in Cookie._scan(header) if n[0] != "$"}
        assert values(header) == slow, header


# --- signed


def test_signed_vector():
    c = Cookie.SignedCookie("a", "b", SECRET)
    assert str(c) == "a=0fe26d789d153d69755c401a91a97235b"
    assert str(Cookie.SignedCookie("a", "b", b"secret", path="/")) == str(c) + "; path=/"
    assert c.hexdigest("b") == "0fe26d789d153d69755c401a91a97235"
    assert c.value == "b"


@pytest.mark.parametrize("cls, size", [(Cookie.SignedCookie, 32), (Cookie.SHA256Cookie, 64)])
def test_signed_round_trip(cls, size):
    for value in ("b", "", "caf\xe9", "\udce9", "x" * 3000):
        header = str(cls("a", value, SECRET))
        assert len(header) == 2 + size + len(value)
        c = cls.parse(header + "; b=c", SECRET, mismatch=Cookie.Cookie.IGNORE)
        assert list(c) == ["a"]
        assert (type(c["a"]), c["a"].value) == (cls, value)
        assert str(c["a"]) == header


def test_mismatch():
    header = "a=0fe26d789d153d69755c401a91a97235X; b=short; c=" + "\xe9" * 40
    found = Cookie.SignedCookie.parse(header, SECRET)
    assert {type(c) for c in found.values()} == {Cookie.Cookie}
    assert found["a"].value == "0fe26d789d153d69755c401a91a97235X"
    assert Cookie.SignedCookie.parse(header, SECRET, Cookie.Cookie.IGNORE) == {}
    with pytest.raises(Cookie.CookieError) as e:
        Cookie.SignedCookie.parse(header, SECRET, mismatch=Cookie.Cookie.EXCEPTION)
    assert str(e.value) == "Incorrectly Signed Cookie: a=0fe26d789d153d69755c401a91a97235X"


def test_wrong_secret_and_wrong_name():
    header = "a=0fe26d789d153d69755c401a91a97235b"
    ignore = Cookie.Cookie.IGNORE
    assert Cookie.SignedCookie.parse(header, "other", ignore) == {}
    assert Cookie.SignedCookie.parse("b" + header[1:], SECRET, ignore) == {}
    assert Cookie.SignedCookie.parse(header, SECRET, ignore, names=["x"]) == {}


@pytest.mark.parametrize("secret", [None, "", b""])
def test_no_secret(secret):
    c = Cookie.SignedCookie("a", "b", secret)
    with pytest.raises(Cookie.CookieError, match="Cannot sign without a secret"):
        str(c)
    assert "unsigned a=b" in repr(c)


def test_sha256_vector():
    # printf 'a=b' | openssl dgst -sha256 -hmac secret
    assert str(Cookie.SHA256Cookie("a", "b", SECRET)) == (
        "a=8d56a904c11bc84e7f08c654c0023dbe696b3219200b854dd5422f1e6d06b165b"
    )


def test_sha256_reads_old_signatures():
    old = str(Cookie.SignedCookie("a", "b", SECRET))
    c = Cookie.SHA256Cookie.parse(old, SECRET)["a"]
    assert (type(c), c.value) == (Cookie.SHA256Cookie, "b")
    assert len(str(c)) == 2 + 64 + 1
    assert Cookie.SHA256Cookie.parse(old, SECRET, legacy=False) == {}
    assert Cookie.SignedCookie.parse(str(c), SECRET, Cookie.Cookie.IGNORE) == {}


def test_sha256_binds_the_name():
    moved = str(Cookie.SHA256Cookie("a", "bc", SECRET)).replace("a=", "ab=", 1)[:-2] + "c"
    assert Cookie.SHA256Cookie.parse(moved, SECRET) == {}


def test_sha256_leaves_out_what_is_forged():
    assert Cookie.SHA256Cookie.parse("a=" + "0" * 64 + "b; c=d", SECRET) == {}


# --- marshal


def test_marshal_vector():
    header = "eggs=d049b2b61adb6a1d895646719a3dc30bcwQAAABzcGFt"
    c = Cookie.MarshalCookie.parse(header, SECRET)["eggs"]
    assert (type(c), c.value) == (Cookie.MarshalCookie, b"spam")
    assert str(Cookie.MarshalCookie("eggs", b"spam", SECRET)) == header


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        5,
        2**80,
        1.5,
        "caf\xe9",
        b"\0\xff",
        (1, "x"),
        {"a": [1, 2, {"b": None}]},
        "x" * 500,
    ],
)
def test_marshal_round_trip(value):
    header = str(Cookie.MarshalCookie("m", value, SECRET))
    assert "\n" not in header
    assert Cookie.MarshalCookie.parse(header, SECRET)["m"].value == value


def test_marshal_reads_what_any_version_wrote():
    import base64

    for version in range(marshal.version + 1):
        text = base64.b64encode(marshal.dumps({"a": "b"}, version)).decode()
        header = str(Cookie.SignedCookie("m", text, SECRET))
        assert Cookie.MarshalCookie.parse(header, SECRET)["m"].value == {"a": "b"}


@pytest.mark.parametrize(
    "content, message",
    [
        ("abc", "Cannot base64 Decode Cookie: m=abc"),
        ("!", "Cannot Unmarshal Cookie: m="),
        ("", "Cannot Unmarshal Cookie"),
        ("/w==", "Cannot Unmarshal Cookie"),
    ],
)
def test_marshal_garbage(content, message):
    header = str(Cookie.SignedCookie("m", content, SECRET))
    with pytest.raises(Cookie.CookieError, match=message):
        Cookie.MarshalCookie.parse(header, SECRET, Cookie.Cookie.EXCEPTION)
    assert type(Cookie.MarshalCookie.parse(header, SECRET)["m"]) is Cookie.Cookie


def test_marshal_value_of_another_secret_is_never_decoded(monkeypatch):
    header = str(Cookie.MarshalCookie("m", 5, "other"))
    monkeypatch.setattr(marshal, "loads", lambda data: pytest.fail("decoded"))
    assert Cookie.MarshalCookie.parse(header, SECRET, Cookie.Cookie.IGNORE) == {}


# --- requests


class Headers:
    """As much of mp_table as the module uses."""

    def __init__(self, *pairs):
        self.pairs = list(pairs)

    def add(self, key, value):
        self.pairs.append((key, value))

    def __contains__(self, key):
        return any(k.lower() == key.lower() for k, _ in self.pairs)

    def __getitem__(self, key):
        found = [v for k, v in self.pairs if k.lower() == key.lower()]
        if not found:
            raise KeyError(key)
        return found[0] if len(found) == 1 else found


class Request:
    def __init__(self, *cookies):
        self.headers_in = Headers(*[("Cookie", c) for c in cookies])
        self.headers_out = Headers()


def test_add_cookie():
    req = Request()
    assert Cookie.add_cookie(req, "a", "b", path="/") is None
    Cookie.add_cookie(req, Cookie.Cookie("c", "d"), "ignored", path="/ignored")
    Cookie.add_cookie(req, "e")
    Cookie.add_cookie(req, "f", "g", Expires=0)
    assert req.headers_out.pairs == [
        ("Cache-Control", 'no-cache="set-cookie"'),
        ("Set-Cookie", "a=b; path=/"),
        ("Set-Cookie", "c=d"),
        ("Set-Cookie", "e="),
        ("Set-Cookie", "f=g; expires=Thu, 01-Jan-1970 00:00:00 GMT"),
    ]


@pytest.mark.parametrize(
    "args, kw, error",
    [
        (("a", "b\r\nc"), {}, Cookie.CookieError),
        (("a", "b"), {"path": "/;x"}, Cookie.CookieError),
        (("a", "b"), {"bogus": 1}, AttributeError),
        (("a", "b"), {"expires": "x"}, ValueError),
        ((Cookie.SignedCookie("a", "b"),), {}, Cookie.CookieError),
    ],
)
def test_refused_cookie_leaves_the_headers_alone(args, kw, error):
    req = Request()
    with pytest.raises(error):
        Cookie.add_cookie(req, *args, **kw)
    assert req.headers_out.pairs == []


def test_get_cookies():
    assert Cookie.get_cookies(Request()) == {}
    assert Cookie.get_cookie(Request(), "a") is None
    req = Request("a=b", "c=d")
    assert {n: c.value for n, c in Cookie.get_cookies(req).items()} == {"a": "b", "c": "d"}
    assert list(Cookie.get_cookies(req, names=["c"])) == ["c"]
    assert Cookie.get_cookie(req, "c").value == "d"
    assert Cookie.get_cookie(req, "x") is None
    signed = Request(str(Cookie.SignedCookie("a", "b", SECRET)))
    got = Cookie.get_cookie(signed, "a", Cookie.SignedCookie, secret=SECRET)
    assert (type(got), got.value) == (Cookie.SignedCookie, "b")


# --- as objects


@pytest.mark.parametrize(
    "make", [copy.copy, copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))]
)
def test_copies_are_independent(make):
    c = Cookie.SignedCookie("a", "b", SECRET, path="/", expires=0)
    other = make(c)
    assert str(other) == str(c)
    other.path = "/x"
    other.__data__["secret"] = "y"
    assert (c.path, c.__data__["secret"]) == ("/", SECRET)


def test_import_is_light():
    code = (
        "import sys; sys.path[:0] = %r; before = set(sys.modules)\n"
        "import mod_python.Cookie; print(*set(sys.modules) - before)" % sys.path
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(out.stdout.split())
    assert "mod_python.Cookie" in loaded
    assert not loaded & {"hmac", "hashlib", "marshal", "base64", "pickle", "_apache"}
