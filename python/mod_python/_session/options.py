"""The PythonOptions of sessions, read once for each set of options and then kept."""


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
_BASE = {
    "session_type": (str, None, ["mod_python.session.session_type", "session"]),
    "cookie_name": (str, None, ["mod_python.session.cookie_name", "session_cookie_name"]),
    "path": (str, None, ["mod_python.session.application_path", "ApplicationPath"]),
    "domain": (str, None, ["mod_python.session.application_domain"]),
    "secure": (_secure, "auto", ["mod_python.session.cookie_secure"]),
    "httponly": (boolean, False, ["mod_python.session.cookie_httponly"]),
    "samesite": (_samesite, None, ["mod_python.session.cookie_samesite"]),
    "serializer": (_serializer, "pickle", ["mod_python.session.serializer"]),
}
_FILE = {
    "directory": (
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
}
_DBM = {
    "filename": (str, None, ["mod_python.dbm_session.database_filename", "session_dbm"]),
    "directory": (
        str,
        None,
        [
            "mod_python.dbm_session.database_directory",
            "mod_python.session.database_directory",
            "session_directory",
        ],
    ),
}


class Options:
    """The values of one group of options as attributes; None where nothing is configured."""

    def __init__(self, table, group):
        for attribute, (convert, default, keys) in group.items():
            value = default
            for key in keys:
                text = table.get(key) if table else None
                if text:
                    try:
                        value = convert(text)
                    except ValueError as error:
                        raise ValueError("PythonOption %s %s: %s" % (key, text, error)) from None
                    break
            setattr(self, attribute, value)


class _Reader:
    """Options of one group for a request."""

    def __init__(self, group):
        self.group = group
        self.unset = Options(None, group)
        self.known = {}

    def __call__(self, req):
        table = req.get_options()
        if not table:
            return self.unset
        # A site has a handful of different sets; reading one costs more than recognising it.
        key = tuple(table.items())
        try:
            return self.known[key]
        except KeyError:
            if len(self.known) > 100:
                self.known.clear()
            options = self.known[key] = Options(table, self.group)
            return options


base = _Reader(_BASE)
file = _Reader(_FILE)
dbm = _Reader(_DBM)
