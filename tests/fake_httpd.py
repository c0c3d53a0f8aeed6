"""As much of req and _apache as the session modules use, for tests without a server."""

import fcntl
import os
import re
import threading
import time
import types

from mod_python import Cookie


class Table:
    """mp_table: several values for a name, names in any case."""

    def __init__(self, pairs=()):
        self.pairs = list(pairs)

    def add(self, key, value):
        self.pairs.append((key, value))

    def get(self, key, default=None):
        return next((v for k, v in self.pairs if k.lower() == key.lower()), default)

    def get_all(self, key):
        return [v for k, v in self.pairs if k.lower() == key.lower()]

    def items(self):
        return list(self.pairs)

    def __len__(self):
        return len(self.pairs)

    def __contains__(self, key):
        return bool(self.get_all(key))

    def __getitem__(self, key):
        values = self.get_all(key)
        if not values:
            raise KeyError(key)
        return values[0] if len(values) == 1 else values


class Request:
    """One request; `end()` runs its cleanups."""

    def __init__(self, cookie=None, https=False, directory="/www/app/", uri="/app/x", **options):
        self.headers_in = Table([("Cookie", cookie)] if cookie else [])
        self.headers_out = Table()
        self.options = Table((key.replace("__", "."), value) for key, value in options.items())
        self.server = "server"
        self.uri = uri
        self.hlist = types.SimpleNamespace(directory=directory) if directory else None
        self.https = https
        self.logged = []
        self.cleanups = []

    def get_options(self):
        return self.options

    def document_root(self):
        return "/www"

    def is_https(self):
        return int(self.https)

    def log_error(self, message, level=3):
        self.logged.append((level, message))

    def register_cleanup(self, function, data):
        self.cleanups.append((function, data))

    def end(self):
        for function, data in self.cleanups:
            # As httpd's request does: a tuple is several arguments.
            function(*data) if isinstance(data, tuple) else function(data)

    @property
    def cookies(self):
        """What was sent: the Set-Cookie headers."""
        return self.headers_out.get_all("Set-Cookie")


def next_request(req, **more):
    """The client's next request: it sends back the cookie of this answer."""
    sent = req.cookies[-1].split(";")[0] if req.cookies else req.headers_in.get("Cookie")
    again = Request(sent, **more)
    again.options = req.options
    return again


def session_id(req, name):
    """What _apache._session_id finds."""
    cookie = Cookie.get_cookie(req, name)
    return cookie.value if cookie and re.fullmatch("[0-9a-f]{32}", cookie.value) else None


def fake_apache(lock_file):
    """A module _apache whose locks exclude threads and processes that share lock_file."""
    module = types.ModuleType("_apache")
    module.logged = []
    module.held = {}  # lock -> open descriptor, of this process
    guard = threading.Lock()

    def acquire(name):
        descriptor = os.open("%s.%s" % (lock_file, name), os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + 20
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                assert time.monotonic() < deadline, "deadlock: %s is held" % name
                time.sleep(0.001)
        with guard:
            assert name not in module.held
            module.held[name] = descriptor

    def release(name):
        with guard:
            os.close(module.held.pop(name))

    class RequestLock:
        def __init__(self, req, key):
            acquire(key)
            self.key = key

        def __del__(self):
            release(self.key)

    module._global_lock = lambda server, key, index=-1: acquire(str(index))
    module._global_unlock = lambda server, key, index=-1: release(str(index))
    module._request_lock = RequestLock
    module._session_id = session_id
    module.cache = {}

    def retrieve(req, sid):
        data, expires = module.cache.get(sid, (None, 0))
        return data if time.time() < expires else None

    module._socache_store = lambda req, sid, data, expires: module.cache.update(
        {sid: (data, expires)}
    )
    module._socache_retrieve = retrieve
    module._socache_remove = lambda req, sid: module.cache.pop(sid, None)
    module.log_error = lambda message, level=3, server=None: module.logged.append((level, message))
    return module
