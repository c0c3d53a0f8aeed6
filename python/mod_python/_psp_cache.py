"""Where compiled PSP pages are kept: in memory, in a dbm file, and beside the page.

What stands on disk is trusted as Python trusts its ``.pyc`` files: who can write there can run
code in the server.  Against accidents each record carries Python's magic number and a checksum.
"""

import threading

from mod_python import _psp
from mod_python._psp_page import Page

RECORD_VERSION = 2


class HitsCache:
    """A dict of at most `size` values, of which the least used ones make room for new ones.

    Values that have a `size` (in characters of program text) count up to `limit` of it together.
    Threads may share one.
    """

    def __init__(self, size=512, limit=64 * 1024 * 1024):
        self.cache = {}  # key: [hits, value]
        self.size = size
        self.limit = limit
        self._weight = 0
        self._lock = threading.Lock()

    def store(self, key, val):
        with self._lock:
            self._drop(key)
            self.cache[key] = [1, val]
            self._weight += getattr(val, "size", 0)
            if len(self.cache) > self.size or self._weight > self.limit:
                self._clean(key)

    def get(self, key):
        """The value, which is thereby used once more; None if there is none."""
        entry = self.cache.get(key)
        if entry is None:
            return None
        entry[0] += 1
        return entry[1]

    def remove(self, key):
        with self._lock:
            self._drop(key)

    def clean(self):
        """Drops the least used values until three quarters of the room are taken."""
        with self._lock:
            self._clean(None)

    def _drop(self, key):
        entry = self.cache.pop(key, None)
        if entry is not None:
            self._weight -= getattr(entry[1], "size", 0)

    def _clean(self, newest):
        # The newest has had no chance to be used yet, and past use counts half from now on:
        # otherwise what was popular once could never be replaced.
        by_use = sorted(self.cache, key=lambda key: self.cache[key][0])
        for key in by_use:
            if len(self.cache) <= 0.75 * self.size and self._weight <= 0.75 * self.limit:
                break
            if key != newest:
                self._drop(key)
        for entry in self.cache.values():
            entry[0] = (entry[0] + 1) // 2


class FileCache(HitsCache):
    """Values that belong to a file in a certain state, as told by its `mtime` or stamp."""

    def store(self, filename, mtime, code):
        HitsCache.store(self, filename, _Stamped(mtime, code))

    def get(self, filename, mtime):
        """The value, if it is of this state of the file; else None."""
        entry = self.cache.get(filename)
        if entry is None:
            return None
        found = entry[1]
        if found.mtime != mtime:
            return None
        entry[0] += 1
        return found.code

    def last(self, filename):
        """The value, whatever state of the file it is of; None if there is none."""
        entry = self.cache.get(filename)
        return None if entry is None else entry[1].code


class _Stamped:
    __slots__ = ("code", "mtime", "size")

    def __init__(self, mtime, code):
        self.mtime = mtime
        self.code = code
        self.size = getattr(code, "size", 0)


def is_current(page):
    """Whether every file the page includes is as it was when the page was compiled."""
    return all(_psp.stamp(name) == stamp for name, stamp in page.includes)


def to_record(page):
    """The page as bytes, for the same Python and the same format only."""
    import marshal
    import zlib

    content = marshal.dumps(
        (page.code, page.files, page.places, page.settings, page.dir, page.size)
    )
    return _header() + zlib.crc32(content).to_bytes(4, "little") + content


def from_record(record):
    """The page that `to_record` made bytes of; None for another version's or a damaged one."""
    import marshal
    import zlib

    header = _header()
    at = len(header)
    content = record[at + 4 :]
    if record[:at] != header or zlib.crc32(content).to_bytes(4, "little") != record[at : at + 4]:
        return None
    code, files, places, settings, dir, size = marshal.loads(content)
    return Page(code, files, places, settings, dir, size=size)


def _header():
    import sys
    from importlib.util import MAGIC_NUMBER

    return b"psp%d,%d\n" % (RECORD_VERSION, sys.flags.optimize) + MAGIC_NUMBER


def dbm_cache_store(srv, dbmfile, filename, mtime, val):
    """Keeps the page `val` in the dbm file for the file in the state `mtime`."""
    import marshal

    entry = marshal.dumps((mtime, to_record(val)))
    with _DbmLock(srv):
        import dbm

        with dbm.open(dbmfile, "c") as db:
            db[filename.encode("utf-8", "surrogateescape")] = entry


def dbm_cache_get(srv, dbmfile, filename, mtime):
    """The page kept for the file in this state; None if there is none."""
    import marshal

    with _DbmLock(srv):
        import dbm

        try:
            with dbm.open(dbmfile, "r") as db:
                entry = db[filename.encode("utf-8", "surrogateescape")]
        except (KeyError, FileNotFoundError):
            return None
        except dbm.error:
            # No such file, in the words of some of the libraries behind dbm.
            if dbm.whichdb(dbmfile) is None:
                return None
            raise
    try:
        kept, record = marshal.loads(entry)
    except (ValueError, EOFError, TypeError):
        return None  # Written by something else; storing the page replaces it.
    return from_record(record) if kept == mtime else None


class _DbmLock:
    """Holds the one global lock that dbm files share, in all children of the server."""

    def __init__(self, srv):
        self.srv = srv

    def __enter__(self):
        import _apache

        _apache._global_lock(self.srv, None, 0)

    def __exit__(self, *_):
        import _apache

        _apache._global_unlock(self.srv, None, 0)


def precompiled_name(filename):
    """Where the compiled form of a page may stand: ``page.psc`` for ``page.psp``."""
    return filename[:-1] + "c"


def read_precompiled(filename, settings):
    """The page compiled ahead of time beside its file; None if there is none, or an older one."""
    import os

    name = precompiled_name(filename)
    try:
        with open(name, "rb") as file:
            compiled_at = os.fstat(file.fileno()).st_mtime_ns
            page = from_record(file.read())
    except FileNotFoundError:
        return None
    if page is None or page.settings != settings or page.files[0][0] != filename:
        return None
    files = [(name, _psp.stamp(name)) for name, _ in page.files]
    # Copying a site may give all its files new times, so being no older is all that is asked.
    if any(stamp is None or stamp[0] > compiled_at for _, stamp in files):
        return None
    return Page(page.code, files, page.places, settings, page.dir, size=page.size)
