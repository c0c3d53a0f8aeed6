"""SocacheSession: sessions in one of httpd's shared object caches, named by PythonSessionCache.

With shmcb, the default, all children share them in memory; with memcache or redis all machines do.
The provider forgets sessions when they expire.  A cache that is missing, down or too small for a
session raises; it never looks like a visitor without a session.
"""

from mod_python import Session as defaults
from mod_python._session import log, options, serializer


class SocacheSession(defaults.BaseSession):
    """Sessions in httpd's shared object cache, as PythonSessionCache says.

    RuntimeError where there is no cache, OSError while it does not work, and ValueError from save
    for a session that is larger than it takes.
    """

    _counted_as = "SocacheSession"

    def __init__(self, req, sid=0, secret=None, timeout=0, lock=1):
        self._begin(req, sid, secret, lock, timeout, options.of(req))

    def do_load(self):
        data = defaults._apache._socache_retrieve(self._req, self._sid)
        if data is None:
            return None
        try:
            return serializer.loads(data, self._options.serializer)
        except Exception:
            log.failure(self, "Error while loading a session", "session " + self._sid)
            return None

    def do_save(self, dict):
        data = serializer.dumps(dict, self._options.serializer)
        expires = dict["_accessed"] + dict["_timeout"]
        defaults._apache._socache_store(self._req, self._sid, data, expires)

    def do_delete(self):
        defaults._apache._socache_remove(self._req, self._sid)

    def do_cleanup(self):
        """Nothing: the cache forgets expired sessions by itself."""
