"""Thread-safe caches that build their values on demand and notice when a source has changed.

`cache[name]` returns the value for name, building it first if it is not there or no longer fresh.
A subclass says how: `key` maps a name to the key of its entry, `check` tells whether an entry is
still fresh, `build` makes the value.  While one thread builds a value, others that want the same
entry wait for it, and those that want another do not.
"""

import os
import re
from threading import Lock, RLock

from mod_python import _sources

__all__ = [
    "NOT_INITIALIZED",
    "Cache",
    "Entry",
    "FileCache",
    "FunctionCache",
    "HTTPCache",
    "HTTPEntity",
    "HttpModuleCache",
    "ModuleCache",
    "WeakCache",
]

NOT_INITIALIZED = object()


class Entry:
    """One entry: its key and its value, NOT_INITIALIZED until it is built."""

    def __init__(self, key):
        self._key = key
        self._value = NOT_INITIALIZED
        # Reentrant: a build that asks for its own entry gets a RecursionError, not a deadlock.
        self._lock = RLock()


class Cache:
    """The base of all caches; a subclass defines at least `build`.

    max_size is the largest number of entries, 0 for any; beyond it the entry that was not used
    for the longest time is dropped.
    """

    def __init__(self, max_size=0):
        self._maxsize = max_size
        self._dict = {}  # with max_size in the order of use
        self._lock = Lock()

    def key(self, name):
        """Return the (hashable) key under which the value for name is kept."""
        return name

    def check(self, key, name, entry):
        """Return None if the entry is fresh, else the opened resource to build it from.

        An entry without a value is built in any case.
        """
        return None

    def build(self, key, name, opened, entry):
        """Return the value for name, from what `check` returned."""
        raise NotImplementedError

    def commit(self):
        """Called after each `build`, for instance to store the cache."""

    def __getitem__(self, name):
        return self._checkitem(name)[1]

    def __setitem__(self, name, value):
        entry = self._get_entry(self.key(name))
        with entry._lock:
            self._pack(entry, value)

    def __delitem__(self, name):
        with self._lock:
            del self._dict[self.key(name)]

    def __contains__(self, name):
        return self.key(name) in self._dict

    def __len__(self):
        return len(self._dict)

    # Without it Python would iterate by building the values for 0, 1, 2 and so on without end.
    __iter__ = None

    def clear(self):
        """Drop all entries."""
        with self._lock:
            self._dict.clear()

    def mru(self):
        """The key of the entry used last; None if empty or if there is no max_size."""
        with self._lock:
            return next(reversed(list(self._dict)), None) if self._maxsize else None

    def lru(self):
        """The key of the entry to be dropped next; None if empty or if there is no max_size."""
        with self._lock:
            return next(iter(self._dict), None) if self._maxsize else None

    def _pack(self, entry, value):
        """Store the value in the entry."""
        entry._value = value

    def _unpack(self, entry):
        """Return the value in the entry, or NOT_INITIALIZED."""
        return entry._value

    def _get_entry(self, key):
        with self._lock:
            if not self._maxsize:
                entry = self._dict.get(key)
                if entry is None:
                    entry = self._dict[key] = Entry(key)
                return entry
            entry = self._dict.pop(key, None) or Entry(key)
            self._dict[key] = entry
            if len(self._dict) > self._maxsize:
                del self._dict[next(iter(self._dict))]
            return entry

    def _checkitem(self, name):
        """Return the entry for name, which is now fresh, and its value."""
        key = self.key(name)
        entry = self._get_entry(key)
        with entry._lock:
            stale = False
            try:
                opened = self.check(key, name, entry)
                value = self._unpack(entry)
                if value is NOT_INITIALIZED or opened is not None:
                    stale = True
                    value = self.build(key, name, opened, entry)
                    self._pack(entry, value)
                    self.commit()
            except BaseException:
                if stale:
                    entry._value = NOT_INITIALIZED
                if entry._value is NOT_INITIALIZED:
                    # Names that cannot be built must not fill the cache.
                    with self._lock:
                        if self._dict.get(key) is entry:
                            del self._dict[key]
                raise
        return entry, value


class WeakCache(Cache):
    """A cache that does not keep its values alive; a value that is gone is built again."""

    def _pack(self, entry, value):
        from weakref import ref

        entry._value = ref(value)

    def _unpack(self, entry):
        if entry._value is NOT_INITIALIZED:
            return NOT_INITIALIZED
        value = entry._value()
        return NOT_INITIALIZED if value is None else value


class FileCache(Cache):
    """Contents of files by path, read again when the modification time is another one.

    mode is that of `open`: bytes by default.  OSError if the file cannot be read.
    """

    def __init__(self, max_size=0, mode="rb"):
        Cache.__init__(self, max_size)
        self.mode = mode

    def check(self, key, name, entry):
        built_from = getattr(entry, "_timestamp", None)
        if built_from is not None and self._unpack(entry) is not NOT_INITIALIZED:
            if os.stat(key).st_mtime == built_from:
                return None
        return self._open(key, entry)[0]

    def _open(self, key, entry):
        opened = open(key, self.mode)
        # Of the file that is open: the path may name another one by now.
        status = os.fstat(opened.fileno())
        entry._timestamp = status.st_mtime
        return opened, status

    def build(self, key, name, opened, entry):
        with opened:
            return opened.read()


class HTTPEntity:
    """What a web server sent: `entity` is the body as bytes, `metadata` the header fields."""

    def __init__(self, entity, metadata):
        self.entity = entity
        self.metadata = metadata

    def __repr__(self):
        return "HTTPEntity(%r, %s)" % (self.entity, self.metadata)

    def __str__(self):
        entity = self.entity
        return entity.decode("utf-8", "replace") if isinstance(entity, bytes) else str(entity)


class HTTPCache(Cache):
    """Resources of the web by their http or https URL, as HTTPEntity.

    A resource is fresh for its Cache-Control max-age or until it Expires; then it is asked for
    with its ETag and Last-Modified, and read again only if it has changed.  ValueError for other
    URLs, urllib.error.URLError (an OSError) if the server or the network fails.
    """

    timeout = 30.0  # seconds

    def check(self, key, name, entry):
        import time
        import urllib.error
        import urllib.request

        if not key.lower().startswith(("http://", "https://")):
            raise ValueError("HTTPCache takes http and https URLs, not %r" % (key,))
        request = urllib.request.Request(key)
        if self._unpack(entry) is not NOT_INITIALIZED and hasattr(entry, "_fresh_until"):
            if time.time() < entry._fresh_until:
                return None
            for field, value in entry._validators:
                request.add_header(field, value)
        try:
            opened = urllib.request.urlopen(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            with error:
                if error.code != 304:
                    raise
                _remember(entry, error.headers)
            return None
        _remember(entry, opened.headers)
        return opened

    def build(self, key, name, opened, entry):
        with opened:
            return HTTPEntity(opened.read(), opened.info())


def _remember(entry, headers):
    """Note in the entry until when an answer with these headers is fresh, and its validators."""
    import time
    from email.utils import mktime_tz, parsedate_tz

    now = time.time()
    control = ", ".join(headers.get_all("Cache-Control", ())).lower()
    max_age = re.search(r"(?:^|[\s,])max-age\s*=\s*\"?(\d+)", control)
    entry._fresh_until = now
    if re.search(r"(?:^|[\s,])no-(?:cache|store)", control):
        pass
    elif max_age:
        entry._fresh_until = now + int(max_age[1])
    elif headers["Expires"]:
        expires = parsedate_tz(headers["Expires"])
        sent = parsedate_tz(headers["Date"] or "")
        if expires:
            # By the server's own clock, if it told us.
            entry._fresh_until = now + mktime_tz(expires) - (mktime_tz(sent) if sent else now)
    # A 304 need not repeat them.
    validators = dict(getattr(entry, "_validators", ()))
    for field, source in (("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified")):
        if headers[source]:
            validators[field] = headers[source]
    entry._validators = list(validators.items())


def _new_module(key, source):
    """A module that the source has been run in, named after the key."""
    from types import ModuleType

    module = ModuleType(re.sub(r"\W+", "_", key))
    module.__file__ = key
    exec(compile(source, key, "exec", dont_inherit=True), module.__dict__)
    return module


class ModuleCache(FileCache):
    """Python files by path, each run in a module of its own that is not in `sys.modules`.

    The module is named after the path, with ``_`` for each run of other characters.  A file that
    is written over in place is left alone until half a second after its last change.
    """

    def __init__(self, max_size=0):
        FileCache.__init__(self, max_size)

    def check(self, key, name, entry):
        sources = getattr(entry, "_sources", None)
        if sources is not None and self._unpack(entry) is not NOT_INITIALIZED:
            if sources.look() != _sources.CHANGED:
                return None
        opened, status = self._open(key, entry)
        entry._sources = _sources.Sources([(key, _sources.stamp_of(status))])
        entry._before = sources
        return opened

    def build(self, key, name, opened, entry):
        source = FileCache.build(self, key, name, opened, entry)
        sources = getattr(entry, "_sources", None)
        if sources is not None:
            value = self._unpack(entry)
            before = None if value is NOT_INITIALIZED else entry._before
            if not sources.replace(before):
                entry._sources = before
                return value
        return _new_module(key, source)


class HttpModuleCache(HTTPCache):
    """Like ModuleCache for Python files on a web server, which is thereby trusted entirely."""

    def __init__(self, max_size=0):
        HTTPCache.__init__(self, max_size)

    def build(self, key, name, opened, entry):
        return _new_module(key, HTTPCache.build(self, key, name, opened, entry).entity)


class FunctionCache(Cache):
    """Call it like function: each result is computed once per (hashable) arguments."""

    def __init__(self, function, max_size=0):
        Cache.__init__(self, max_size)
        self.function = function

    def __call__(self, *args, **kw):
        return self[args, tuple(sorted(kw.items()))]

    def build(self, key, name, opened, entry):
        args, kw = key
        return self.function(*args, **dict(kw))
