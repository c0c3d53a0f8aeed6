"""MemorySession: sessions in a dict of the interpreter, for servers that are one process."""

import time

from mod_python import Session as defaults
from mod_python._session import log, options


class MemorySession(defaults.BaseSession):
    """Sessions in memory: seen only by this process and interpreter, and gone with it."""

    _counted_as = "MemorySession"
    sdict = {}  # noqa: RUF012 - shared on purpose

    def __init__(self, req, sid=0, secret=None, timeout=0, lock=1):
        self._begin(req, sid, secret, lock, timeout, options.of(req))

    def do_load(self):
        return self.sdict.get(self._sid)

    def do_save(self, dict):
        self.sdict[self._sid] = dict

    def do_delete(self):
        self.sdict.pop(self._sid, None)

    def do_cleanup(self):
        self._req.register_cleanup(mem_cleanup, self.sdict)
        self._req.log_error("MemorySession: registered session cleanup.", log.NOTICE)


def mem_cleanup(sdict):
    """Remove the expired sessions from sdict."""
    now = time.time()
    for sid, state in list(sdict.items()):
        if now - state["_accessed"] > state["_timeout"]:
            if sdict.pop(sid, None) is not None:
                log.expired("MemorySession", 1)
