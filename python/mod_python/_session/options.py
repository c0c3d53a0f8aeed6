"""The PythonOptions of sessions, read once for each set of them."""

import os


def boolean(value):
    """A word or an int as bool: yes, true, on, 1 and no, false, off, 0 in any case.

    ValueError for other words.
    """
    if isinstance(value, int):
        return bool(value)
    word = value.lower()
    if word in ("yes", "true", "on", "1"):
        return True
    if word in ("no", "false", "off", "0"):
        return False
    raise ValueError("%r is neither yes, true, on, 1 nor no, false, off, 0" % (value,))


def _serializer(word):
    if word in ("pickle", "json"):
        return word
    raise ValueError("%r is neither pickle nor json" % word)


def _samesite(word):
    if word.lower() in ("strict", "lax", "none"):
        return word
    raise ValueError("%r is neither Strict, Lax nor None" % word)


def _secure(word):
    return word if word == "auto" else boolean(word)


# attribute: (conversion, default, keys in the order in which they are tried)
_OPTIONS = {
    "session_type": (str, None, ["mod_python.session.session_type", "session"]),
    "cookie_name": (str, None, ["mod_python.session.cookie_name", "session_cookie_name"]),
    "path": (str, None, ["mod_python.session.application_path", "applicationpath"]),
    "domain": (str, None, ["mod_python.session.application_domain"]),
    "secure": (_secure, "auto", ["mod_python.session.cookie_secure"]),
    "httponly": (boolean, False, ["mod_python.session.cookie_httponly"]),
    "samesite": (_samesite, None, ["mod_python.session.cookie_samesite"]),
    "serializer": (_serializer, "pickle", ["mod_python.session.serializer"]),
    "file_directory": (
        str,
        None,
        [
            "mod_python.file_session.database_directory",
            "mod_python.session.database_directory",
            "session_directory",
        ],
    ),
    "fast_cleanup": (
        boolean,
        None,
        ["mod_python.file_session.enable_fast_cleanup", "session_fast_cleanup"],
    ),
    "verify_cleanup": (
        boolean,
        None,
        ["mod_python.file_session.verify_session_timeout", "session_verify_cleanup"],
    ),
    "grace_period": (
        int,
        None,
        ["mod_python.file_session.cleanup_grace_period", "session_grace_period"],
    ),
    "time_limit": (
        float,
        None,
        ["mod_python.file_session.cleanup_time_limit", "session_cleanup_time_limit"],
    ),
    "dbm_file": (str, None, ["mod_python.dbm_session.database_filename", "session_dbm"]),
    "dbm_directory": (
        str,
        None,
        [
            "mod_python.dbm_session.database_directory",
            "mod_python.session.database_directory",
            "session_directory",
        ],
    ),
}


# What only a cleanup needs, and reads then.
_OF_CLEANUP = ("fast_cleanup", "verify_cleanup", "grace_period", "time_limit")


class Options:
    """The options of sessions as attributes; None, or what mod_python does, where unset.

    ValueError naming the option if a value is wrong; those of the cleanup are read by `cleanup`.
    """

    def __init__(self, table):
        self._values = {key.lower(): value for key, value in table.items()}
        for name, how in _OPTIONS.items():
            if name not in _OF_CLEANUP:
                setattr(self, name, self._read(*how))
        self.sess_dir = self.file_directory and os.path.join(self.file_directory, "mp_sess")
        self.dbm_path = self.dbm_file or (
            self.dbm_directory and os.path.join(self.dbm_directory, "mp_sess.dbm")
        )

    def cleanup(self, name):
        """The value of fast_cleanup, verify_cleanup, grace_period or time_limit."""
        return self._read(*_OPTIONS[name])

    def _read(self, convert, default, keys):
        for key in keys:
            text = self._values.get(key)
            if text:
                try:
                    return convert(text)
                except ValueError as error:
                    raise ValueError("PythonOption %s %s: %s" % (key, text, error)) from None
        return default


def _read(req):
    return Options(req.get_options())


try:
    from _apache import _Configured
except ImportError:
    of = _read
else:
    of = _Configured(Options)
