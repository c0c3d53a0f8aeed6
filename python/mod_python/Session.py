"""Sessions: a dict for each visitor, kept on the server and found again by a cookie.

`Session(req)` makes the session of a request, of the type that is configured.  It is loaded and
locked at once; `save` stores it, and nothing else does.  The lock is held until `unlock`, until
the object is gone, or until the request is over, so that requests of one visitor run one after
the other.

Where sessions are kept is a subclass of BaseSession: FileSession, DbmSession, MemorySession,
SocacheSession.
"""

import os
import re
import time
from itertools import count

from mod_python import Cookie
from mod_python._session import options as _options

try:
    import _apache
except ImportError:
    _apache = None  # outside httpd: to be read, not used

COOKIE_NAME = "pysid"
DFT_TIMEOUT = 1800  # seconds
DFT_LOCK = True
CLEANUP_CHANCE = 1000  # one session in so many cleans up
DFT_FAST_CLEANUP = True
DFT_VERIFY_CLEANUP = True
DFT_GRACE_PERIOD = 240  # seconds
DFT_CLEANUP_TIME_LIMIT = 2  # seconds
FS_STAT_VERSION = "MPFS_3.2"

validate_sid_re = re.compile("[0-9a-f]{32}")
true_or_false = _options.boolean

# Starting anywhere, so that children that serve few requests clean up too.
_sessions_made = count(int.from_bytes(os.urandom(4), "big"))

_ELSEWHERE = {
    "FileSession": "file",
    "filesession_cleanup": "file",
    "make_filesession_dirs": "file",
    "DbmSession": "dbm",
    "dbm_cleanup": "dbm",
    "MemorySession": "memory",
    "mem_cleanup": "memory",
    "SocacheSession": "socache",
}


def __getattr__(name):
    """Load a type of session when it is first asked for."""
    if name == "tempdir":
        import tempfile

        value = tempfile.gettempdir()
    elif name in _ELSEWHERE:
        from importlib import import_module

        value = getattr(import_module("mod_python._session." + _ELSEWHERE[name]), name)
    else:
        raise AttributeError("module %r has no attribute %r" % (__name__, name))
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *_ELSEWHERE, "tempdir"})


def unlock_session_cleanup(sess):
    """Unlock a session; what programs with a lock of their own give to req.register_cleanup."""
    sess.unlock()


def _unlock_at_the_end(session):
    if session._locked:
        session.unlock()


class BaseSession(dict):
    """What all sessions have in common; a subclass says where they are kept.

    req is the request, sid the session's id (by default the one in the cookie), secret signs the
    cookie if it is given, lock=0 does without a lock, timeout is in seconds and counts for new
    sessions.  An id that is unknown or expired is replaced by a new one.  ValueError for an
    explicit sid that is not 32 hex digits.

    A subclass defines do_load() -> the dict that was saved or None, do_save(dict), do_delete()
    and do_cleanup(), which removes expired sessions; a class beside this one may bring them.
    """

    _new = 1
    _created = _accessed = _timeout = 0
    _locked = _invalid = _failed = 0
    _counted_as = "other"

    def __init__(self, req, sid=None, secret=None, lock=1, timeout=0):
        self._begin(req, sid, secret, lock, timeout, _options.of(req))

    def _begin(self, req, sid, secret, lock, timeout, options):
        """What __init__ does; subclasses with another order of arguments call it."""
        self._req = req
        self._secret = secret
        self._lock = lock
        self._options = options
        if sid:
            if not isinstance(sid, str) or not validate_sid_re.fullmatch(sid):
                raise ValueError("Invalid Session ID: sid=%s" % sid)
        elif secret:
            sid = self._sid_of_signed_cookie()
        else:
            sid = _apache._session_id(req, options.cookie_name or COOKIE_NAME)
        self._sid = sid
        self.init_lock()
        if sid:
            self.lock()
            if self.load():
                self._new = 0
            else:
                self.unlock()
        if self._new:
            # secrets.token_hex(16), without loading all that module needs.
            self._sid = os.urandom(16).hex()
            self.lock()
            Cookie.add_cookie(req, self.make_cookie())
            self._created = time.time()
            self._timeout = timeout or DFT_TIMEOUT
        self._accessed = time.time()
        if not next(_sessions_made) % CLEANUP_CHANCE:
            self.cleanup()

    def __init_subclass__(cls, **kw):
        super().__init_subclass__(**kw)
        # Our own lock ends with the object; another one has to be told.
        if cls.unlock is not BaseSession.unlock and "__del__" not in cls.__dict__:
            cls.__del__ = _unlock_at_the_end

    def _cookie_name(self):
        return self._options.cookie_name or COOKIE_NAME

    def _sid_of_signed_cookie(self):
        """The session id in the cookie that we signed; None if there is none."""
        cookie = Cookie.get_cookie(
            self._req, self._cookie_name(), Cookie.SHA256Cookie, secret=self._secret
        )
        if cookie and validate_sid_re.fullmatch(cookie.value):
            return cookie.value
        return None

    def make_cookie(self):
        """Return the session's cookie, signed if there is a secret, as it is configured."""
        options = self._options
        if self._secret:
            cookie = Cookie.SHA256Cookie(self._cookie_name(), self._sid, self._secret)
        else:
            cookie = Cookie.Cookie(self._cookie_name(), self._sid)
        cookie.path = options.path or self._application_path()
        if options.domain:
            cookie.domain = options.domain
        if self._req.is_https() if options.secure == "auto" else options.secure:
            cookie.secure = True
        if options.httponly:
            cookie.httponly = True
        if options.samesite:
            cookie.samesite = options.samesite
        return cookie

    def _application_path(self):
        """The URL path of the handler's directory; ``/`` where that is not known."""
        hlist = self._req.hlist
        directory = hlist.directory if hlist else None
        if directory:
            path = directory[len(self._req.document_root()) :]
            if path and self._req.uri.startswith(path):
                return path
        return "/"

    def init_lock(self):
        """For subclasses that lock in their own way."""

    def lock(self):
        """Wait until no other request has this session; nothing if it is locked, or lock=0."""
        if self._lock and not self._locked:
            self._held = _apache._request_lock(self._req, self._sid)
            self._locked = 1

    def unlock(self):
        """Let other requests have this session; nothing if it is not locked."""
        if self._locked:
            self._locked = 0
            self._held = None

    def load(self):
        """Read the session from its storage; 0 if it is not there or expired, else 1."""
        state = self.do_load()
        if state is None or time.time() - state["_accessed"] > state["_timeout"]:
            return 0
        self._created = state["_created"]
        self._accessed = state["_accessed"]
        self._timeout = state["_timeout"]
        self.update(state["_data"])
        return 1

    def save(self):
        """Store the session; nothing after invalidate()."""
        if not self._invalid:
            self.do_save(
                {
                    "_data": dict(self),
                    "_created": self._created,
                    "_accessed": self._accessed,
                    "_timeout": self._timeout,
                }
            )

    def delete(self):
        """Remove the session from its storage and empty it."""
        self.do_delete()
        self.clear()

    def invalidate(self):
        """End the session for good: delete it, expire its cookie, and ignore later saves."""
        cookie = self.make_cookie()
        cookie.expires = 0
        Cookie.add_cookie(self._req, cookie)
        self.delete()
        self._invalid = 1

    def cleanup(self):
        """Have expired sessions removed when this request is over."""
        self.do_cleanup()

    def id(self):
        """The session id: 32 hex digits."""
        return self._sid

    def is_new(self):
        """Whether this request began the session."""
        return bool(self._new)

    def created(self):
        """When the session began, in seconds since the epoch."""
        return self._created

    def last_accessed(self):
        """When this request, or the one that saved the session, got it; seconds since the epoch."""
        return self._accessed

    def timeout(self):
        """How long the session lives without being saved, in seconds."""
        return self._timeout

    def set_timeout(self, secs):
        """Change the timeout, in seconds, from the next save on."""
        self._timeout = secs


if _apache is not None and _apache._is_counting():
    # PythonStatus On
    from mod_python._session import log as _log

    _log.count_all(BaseSession)


def _type_for_mpm():
    """Memory where all requests meet in one process, else the database."""
    from mod_python import apache

    query = _apache.mpm_query
    one_process = query(apache.AP_MPMQ_IS_THREADED) and (
        not query(apache.AP_MPMQ_IS_FORKED) or query(apache.AP_MPMQ_MAX_DAEMONS) == 1
    )
    return "MemorySession" if one_process else "DbmSession"


_types = {}


def _type_of(name):
    """The class of a session_type, None for the default; Exception if there is no such type."""
    if name is None:
        cls = _type_of(_type_for_mpm())
    elif name.endswith("Session") and name in _ELSEWHERE:
        cls = globals().get(name) or __getattr__(name)
    else:
        raise Exception("Unknown session type %s" % name)
    _types[name] = cls
    return cls


def Session(req, sid=0, secret=None, timeout=0, lock=1):
    """Return the session of the request, of the type that PythonOption
    mod_python.session.session_type names, else MemorySession if httpd runs as one process with
    threads and DbmSession if not.  Exception for an unknown type.
    """
    name = _options.of(req).session_type
    cls = _types.get(name) or _type_of(name)
    if name != "DbmSession" and name is not None:
        return cls(req, sid, secret, timeout, lock)
    return cls(req, sid=sid, secret=secret, timeout=timeout, lock=lock)
