"""HTTP cookies: plain, signed and marshalled.

One object is one cookie.  ``Cookie.parse`` reads a ``Cookie`` request header, ``str(cookie)`` is
the value of a ``Set-Cookie`` response header, and ``add_cookie``, ``get_cookies`` and
``get_cookie`` connect both to a request.  The module works outside httpd too.

Formats and names are those of mod_python 3.5; `SHA256Cookie` is new and recommended wherever a
cookie has to be signed.
"""

import re
import time

try:
    from _apache import _add_cookie, _cookie_pairs
except ImportError:  # outside httpd, where this module does the same by itself
    _add_cookie = _cookie_pairs = None

__all__ = [
    "Cookie",
    "CookieError",
    "MarshalCookie",
    "SHA256Cookie",
    "SignedCookie",
    "add_cookie",
    "get_cookie",
    "get_cookies",
]


class CookieError(Exception):
    """A cookie that cannot be sent, or whose signature or content cannot be trusted."""


# Name up to ";", space or "=", then a quoted string or everything up to ";".  Commas before a name
# are none of it, but the last one is a name where there is no other.  What may match at a place is
# told by its first character, and so are the alternatives inside the quotes: a hostile header costs
# linear time.
_scan = re.compile(
    r'([^;= ,][^;= ]*|,(?= *(?:[;=]|\Z))) *=? *("[^"\\]*(?:\\.[^"\\]*)*"|[^;]*)\s*;?'
).findall


def _pairs(s):
    """List of (name, value) in the text of a ``Cookie`` header."""
    if _cookie_pairs is not None:
        pairs = _cookie_pairs(s)
        if pairs is not None:
            return pairs
    elif not isinstance(s, str):
        raise TypeError("a cookie header must be str, not %r" % type(s).__name__)
    return [pair for pair in _scan(s) if pair[0][0] != "$"]


_unsafe_value = re.compile(r"[\x00-\x08\x0a-\x1f\x7f;]").search
_unsafe_name = re.compile(r"[\x00-\x20\x7f;=]").search

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_is_expires = re.compile(
    r"(?:%s), (?:0?[1-9]|[12]\d|3[01])-(?:%s)-\d{4} (?:[01]?\d|2[0-3]):[0-5]?\d:[0-6]?\d GMT"
    % ("|".join(_DAYS), "|".join(_MONTHS))
).fullmatch

# The published attributes, in the order in which they are sent.
_ATTRIBUTES = (
    "version",
    "path",
    "domain",
    "secure",
    "comment",
    "expires",
    "max_age",
    "samesite",
    "commentURL",
    "discard",
    "port",
    "httponly",
)
_SPELLING = dict(zip(_ATTRIBUTES, _ATTRIBUTES), max_age="Max-Age")
_FLAGS = frozenset(["secure", "discard", "httponly"])
# These need no checking or conversion when they are assigned.
_PLAIN = frozenset(_ATTRIBUTES) - {"expires", "max_age", "samesite"}


def _http_date(seconds):
    """The cookie form of a time in seconds since the epoch, whatever the locale is."""
    year, month, day, hour, minute, second, weekday = time.gmtime(seconds)[:7]
    return "%s, %02d-%s-%04d %02d:%02d:%02d GMT" % (
        _DAYS[weekday],
        day,
        _MONTHS[month - 1],
        year,
        hour,
        minute,
        second,
    )


def _check_expires(value):
    if isinstance(value, str):
        if not _is_expires(value):
            raise ValueError("Invalid expires time: %s" % value)
        return value
    return _http_date(value)


def _check_max_age(value):
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]+", value):
        return value
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise CookieError("max_age must be a number of seconds, not %r" % (value,)) from None


def _check_samesite(value):
    if isinstance(value, str) and value.lower() in ("strict", "lax", "none"):
        return value
    raise CookieError("samesite must be 'Strict', 'Lax' or 'None', not %r" % (value,))


_CHECKS = {"expires": _check_expires, "max_age": _check_max_age, "samesite": _check_samesite}


class _Attribute:
    """Descriptor of one cookie attribute, kept in the cookie's ``_attrs`` once it is set.

    One small dict instead of twelve slots: a cookie without attributes is sent without asking
    for each of them.
    """

    __slots__ = ("check", "key")

    def __init__(self, key):
        self.key = key
        self.check = _CHECKS.get(key)

    def __get__(self, cookie, owner=None):
        if cookie is None:
            return self
        try:
            return cookie._attrs[self.key]
        except (KeyError, TypeError):
            raise AttributeError(
                "%r object has no attribute %r" % (type(cookie).__name__, self.key)
            ) from None

    def __set__(self, cookie, value):
        if value is not None and self.check:
            value = self.check(value)
        if cookie._attrs is None:
            cookie._attrs = {self.key: value}
        else:
            cookie._attrs[self.key] = value

    def __delete__(self, cookie):
        try:
            del cookie._attrs[self.key]
        except (KeyError, TypeError):
            raise AttributeError(self.key) from None


def _header(name, value, attrs, check=True):
    """The text of a ``Set-Cookie`` header; CookieError naming the field that would break it."""
    text = f"{name!s}={value!s}"
    separators = 0
    if attrs:
        for key in attrs if len(attrs) == 1 else _ATTRIBUTES:
            if key in attrs:
                content = attrs[key]
                if key in _FLAGS:
                    if not content:
                        continue
                    text += "; " + key
                elif content is not None:
                    text += f"; {_SPELLING[key]}={content!s}"
                else:
                    continue
                separators += 1
    # Nearly every cookie passes these cheap tests; only the others are looked at field by field.
    if check and not (
        text.isprintable()
        and text.count(";") == separators
        and type(name) is str
        and name.isidentifier()
    ):
        _refuse_unsafe(name, value, attrs)
    return text


def _refuse_unsafe(name, value, attrs):
    if not name or _unsafe_name(str(name)):
        raise CookieError(
            "A cookie cannot be named %r: a name is not empty and has no control "
            "character, space, '=' or ';'" % (name,)
        )
    if _unsafe_value(str(value)):
        raise CookieError(
            "The value of cookie %r has a control character or ';' in it: %r" % (name, value)
        )
    for key, content in (attrs or {}).items():
        if key not in _FLAGS and content is not None and _unsafe_value(str(content)):
            raise CookieError(
                "Attribute %s of cookie %r has a control character or ';' in it: %r"
                % (key, name, content)
            )


class metaCookie(type):
    """Keeps subclasses as strict as Cookie: no instance dict, so a misspelt attribute raises."""

    def __new__(cls, clsname, bases, clsdict):
        clsdict.setdefault("__slots__", ())
        return type.__new__(cls, clsname, bases, clsdict)


class Cookie(metaclass=metaCookie):
    """One cookie: ``name``, ``value`` and the attributes that were set.

    ``Cookie(name, value, **attrs)`` takes the attributes version, path, domain, secure, comment,
    expires, max_age, samesite, commentURL, discard, port and httponly, in any case.  Reading one
    that is not set raises AttributeError, and so does any other name.  None stands for "not set"
    when the cookie is sent.

    expires is text like ``Thu, 01-Jan-1970 00:00:00 GMT`` or seconds since the epoch (ValueError
    otherwise); max_age is seconds; samesite is ``Strict``, ``Lax`` or ``None`` as text
    (CookieError otherwise); secure, discard and httponly are flags, sent when true.
    """

    DOWNGRADE = 0
    IGNORE = 1
    EXCEPTION = 3

    __slots__ = ("_attrs", "_data", "_value", "name", "value")
    _valid_attr = _ATTRIBUTES

    def __init__(self, name, value, **kw):
        self.name = name
        self.value = value
        self._attrs = self._data = None
        for key in kw:
            if key not in _PLAIN:
                break
        else:
            self._attrs = kw or None
            return
        for key, content in kw.items():
            lower = key.lower()
            setattr(self, "commentURL" if lower == "commenturl" else lower, content)

    @property
    def __data__(self):
        """A dict for subclasses; it is never sent."""
        if self._data is None:
            self._data = {}
        return self._data

    @__data__.setter
    def __data__(self, value):
        self._data = value

    @classmethod
    def parse(cls, s, names=None):
        """Return dict name -> cookie for the text of a ``Cookie`` header.

        names, if given, is the container of names wanted.  Attributes are not told apart from
        cookies (``path=/`` is a cookie called path), names beginning with ``$`` are dropped and
        of duplicates the last wins.  No str raises; what cannot be understood is skipped.
        """
        found = {}
        if cls.__init__ is Cookie.__init__:
            new = cls.__new__
            for name, value in _pairs(s):
                if names is None or name in names:
                    found[name] = cookie = new(cls)  # what __init__ does, at half its price
                    cookie.name = name
                    cookie.value = value
                    cookie._attrs = cookie._data = None
        else:
            for name, value in _pairs(s):
                if names is None or name in names:
                    found[name] = cls(name, value)
        return found

    def _wire_value(self):
        """The text sent as the value; subclasses sign or encode here."""
        return self.value

    def __str__(self):
        """The text for a ``Set-Cookie`` header.

        CookieError names the field if one holds a control character or ``;``, with which it
        would end the header or add attributes to the cookie.
        """
        return _header(self.name, self._wire_value(), self._attrs)

    def __repr__(self):
        return "<%s: %s>" % (
            type(self).__name__,
            _header(self.name, self._wire_value(), self._attrs, check=False),
        )

    def __copy__(self):
        other = type(self).__new__(type(self))
        other.name = self.name
        other.value = self.value
        other._attrs = self._attrs and dict(self._attrs)
        other._data = self._data and dict(self._data)
        return other


for _key in _ATTRIBUTES:
    setattr(Cookie, _key, _Attribute(_key))
del _key


def _to_bytes(text):
    """Text as the bytes a client sent or will get; surrogateescape restores foreign bytes."""
    if isinstance(text, bytes):
        return text
    try:
        return str(text).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return str(text).encode("utf-8", "surrogatepass")


class SignedCookie(Cookie):
    """A cookie whose value is sent behind an HMAC-MD5 signature, as mod_python always did.

    ``SignedCookie(name, value, secret, **attrs)``: secret is str or bytes.  The value can be
    read by anyone; it cannot be changed without the secret.  For new programs `SHA256Cookie` is
    the better choice.  A subclass may choose another hash with the class attribute digestmod.
    """

    digestmod = "md5"

    def __init__(self, name, value, secret=None, **kw):
        Cookie.__init__(self, name, value, **kw)
        self.__data__["secret"] = secret

    def hexdigest(self, str):
        """The signature of str under this cookie's name, in hex.

        CookieError without a secret.
        """
        return self._hexdigest(str, self.digestmod)

    def _hexdigest(self, text, digestmod):
        import hmac

        secret = self.__data__.get("secret")
        if not secret:
            raise CookieError("Cannot sign without a secret")
        # mod_python signs name and value run together, where name "a", value "bc" and name
        # "ab", value "c" have one signature; only its own format has to stay that way.
        between = b"" if digestmod == "md5" else b"="
        message = _to_bytes(self.name) + between + _to_bytes(text)
        return hmac.new(_to_bytes(secret), message, digestmod).hexdigest()

    def _wire_value(self):
        return "%s%s" % (self.hexdigest(self.value), self.value)

    def __repr__(self):
        if not self.__data__.get("secret"):
            return "<%s: unsigned %s=%s>" % (type(self).__name__, self.name, self.value)
        return Cookie.__repr__(self)

    def unsign(self, secret, legacy=True):
        """Check the signature in front of the value and remove it.

        legacy: accept the HMAC-MD5 signatures of SignedCookie in a class with another hash.
        CookieError if no signature fits; the value is then left as it was.
        """
        import hmac

        self.__data__["secret"] = secret
        digests = [self.digestmod]
        if legacy and self.digestmod != "md5":
            digests.append("md5")
        for digestmod in digests:
            size = 2 * hmac.new(b"", digestmod=digestmod).digest_size
            signature, value = self.value[:size], self.value[size:]
            if hmac.compare_digest(
                self._hexdigest(value, digestmod).encode(), _to_bytes(signature)
            ):
                self.value = value
                return
        raise CookieError("Incorrectly Signed Cookie: %s=%s" % (self.name, self.value))

    def _open(self, secret, **kw):
        """Turn the value as it came from the client into the one that was given."""
        self.unsign(secret, **kw)

    @classmethod
    def _parse_signed(cls, s, secret, mismatch, kw, **how):
        found = {}
        for name, plain in Cookie.parse(s, **kw).items():
            cookie = cls(name, plain.value)
            try:
                cookie._open(secret, **how)
            except CookieError:
                if mismatch == Cookie.EXCEPTION:
                    raise
                if mismatch != Cookie.IGNORE:
                    found[name] = plain
            else:
                found[name] = cookie
        return found

    @classmethod
    def parse(cls, s, secret, mismatch=Cookie.DOWNGRADE, **kw):
        """Like Cookie.parse, for signed cookies.

        mismatch says what becomes of a cookie not signed with secret: EXCEPTION raises
        CookieError, IGNORE leaves it out, DOWNGRADE returns it as a plain Cookie.
        """
        return cls._parse_signed(s, secret, mismatch, kw)


class SHA256Cookie(SignedCookie):
    """A signed cookie with HMAC-SHA-256: 64 hex digits, computed over ``name=value``.

    Recommended for new programs.  It also reads what SignedCookie signed with the same secret,
    so that a site can change over without losing its cookies.
    """

    digestmod = "sha256"

    @classmethod
    def parse(cls, s, secret, mismatch=Cookie.IGNORE, legacy=True, **kw):
        """Like SignedCookie.parse, but a cookie with a wrong signature is left out by default.

        legacy=False refuses the HMAC-MD5 signatures of SignedCookie.
        """
        return cls._parse_signed(s, secret, mismatch, kw, legacy=legacy)


class MarshalCookie(SignedCookie):
    """A signed cookie whose value is any object that marshal can write, sent in base64."""

    def _wire_value(self):
        import binascii
        import marshal

        # Version 2 is read by every Python from 2.5 on, and its output does not depend on
        # reference counts.
        encoded = binascii.b2a_base64(marshal.dumps(self.value, 2), newline=False).decode("ascii")
        return self.hexdigest(encoded) + encoded

    def unmarshal(self, secret):
        """Check the signature, then replace the value by the object it stands for.

        CookieError if the signature is wrong or what it signs cannot be decoded.
        """
        import binascii
        import marshal

        self.unsign(secret)
        try:
            data = binascii.a2b_base64(_to_bytes(self.value))
        except binascii.Error:
            raise CookieError(
                "Cannot base64 Decode Cookie: %s=%s" % (self.name, self.value)
            ) from None
        try:
            self.value = marshal.loads(data)
        except (EOFError, ValueError, TypeError):
            raise CookieError("Cannot Unmarshal Cookie: %s=%s" % (self.name, self.value)) from None

    def _open(self, secret, **kw):
        self.unmarshal(secret)


def add_cookie(req, cookie, value="", **kw):
    """Send a cookie with the response: a Cookie, or a name with a value and attributes.

    The first cookie also keeps caches from storing the ``Set-Cookie`` headers.  A cookie that
    cannot be sent raises CookieError before any header is touched.
    """
    if _add_cookie is not None:
        if type(cookie) is Cookie:
            added = _add_cookie(req, cookie.name, cookie.value, cookie._attrs, True)
        else:
            added = _add_cookie(req, cookie, value, kw, False)
        if added:
            return
    text = str(cookie if isinstance(cookie, Cookie) else Cookie(cookie, value, **kw))
    headers = req.headers_out
    if "Set-Cookie" not in headers:
        headers.add("Cache-Control", 'no-cache="set-cookie"')
    headers.add("Set-Cookie", text)


def get_cookies(req, Class=Cookie, **kw):
    """Return dict name -> Class for the cookies of the request, `{}` if it has none.

    kw is passed to Class.parse: names, and for signed classes secret and mismatch.
    """
    try:
        header = req.headers_in["Cookie"]
    except KeyError:
        return {}
    if type(header) is not str:
        header = "; ".join(header)
    return Class.parse(header, **kw)


def get_cookie(req, name, Class=Cookie, **kw):
    """Return the cookie called name as an instance of Class, or None."""
    return get_cookies(req, Class, names=[name], **kw).get(name)
