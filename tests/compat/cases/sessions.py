"""mod_python.Session: library.md 5.3."""

from compat.case import case, get, transcript

_SID = (r"\b(?:[0-9a-f]{32}){1,3}\b", "(sid)")
_HERE = """
    SetHandler mod_python
    PythonHandler @mod@
    PythonOption mod_python.session.database_directory @root@/tmp/@id@
    PythonOption mod_python.dbm_session.database_filename @root@/tmp/@id@.dbm
    PythonOption mod_python.session.session_type %sSession
"""
_TYPES = ("File", "Dbm", "Memory")
_KNOWN = "0123456789abcdef" * 2
_COOKIE = [("Cookie", f"pysid={_KNOWN}")]

# The life of a session, told by one request that plays several: what is saved is found again.
_LIFE = """
    >>> import os, time
    >>> from mod_python import Session
    >>> os.makedirs("@root@/tmp/%(id)s", exist_ok=True)
    >>> s = Session.Session(req, lock=0)
    >>> type(s).__name__, isinstance(s, Session.BaseSession), isinstance(s, dict)
    ('%(type)sSession', True, True)
    >>> s.is_new(), len(s.id()), s.timeout(), dict(s)
    (True, 32, 1800, {})
    >>> s.created() == s.last_accessed() or 0 <= s.last_accessed() - s.created() < 600
    True
    >>> abs(time.time() - s.created()) < 600
    True
    >>> s["a"] = [1, {"b": "caf\\xe9"}]; s["c"] = None
    >>> s.set_timeout(600); s.timeout()
    600
    >>> sid = s.id()
    >>> s.save()
    >>> t = Session.Session(req, sid=sid, lock=0)
    >>> t.is_new(), t.id() == sid, t.timeout(), t["a"], sorted(t)
    (False, True, 600, [1, {'b': 'café'}], ['a', 'c'])
    >>> t.created() == s.created()
    True
    >>> Session.Session(req, sid=sid, timeout=5, lock=0).timeout()
    600
    >>> Session.Session(req, timeout=5, lock=0).timeout()
    5
    >>> t["later"] = 1
    >>> "later" in Session.Session(req, sid=sid, lock=0)
    False
    >>> t.set_timeout(-1)
    >>> t.save()
    >>> u = Session.Session(req, sid=sid, lock=0)
    >>> u.is_new(), u.id() == sid, dict(u)
    (True, False, {})
    >>> t.set_timeout(600); t.save()
    >>> Session.Session(req, sid=sid, lock=0).is_new()
    False
    >>> t.delete(); dict(t)
    {}
    >>> Session.Session(req, sid=sid, lock=0).is_new()
    True
    >>> t["back"] = 1; t.save()
    >>> Session.Session(req, sid=sid, lock=0).is_new()
    False
    >>> t.invalidate(); dict(t)
    {}
    >>> t["gone"] = 1; t.save()
    >>> Session.Session(req, sid=sid, lock=0).is_new()
    True
    >>> s.load()
    0
    >>> s.save(); s.load()
    1
    >>> Session.Session(req, sid="0" * 31, lock=0)
    ValueError: Invalid Session ID: sid=0000000000000000000000000000000
    >>> Session.Session(req, sid="G" * 32, lock=0)
    ValueError: Invalid Session ID: sid=GGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGG
"""

for _type in _TYPES:
    transcript(
        f"session-life-{_type.lower()}",
        "library.md 5.3.2: new, save, load, timeout, delete, invalidate",
        _LIFE % {"type": _type, "id": "session-life-" + _type.lower()},
        conf=_HERE % _type,
        replace=[_SID],
    )
    case(
        f"session-headers-{_type.lower()}",
        "library.md 5.3.2: the cookies of new, known, unknown and ended sessions",
        """
        import os
        from mod_python import Session

        KNOWN = "0123456789abcdef" * 2

        class Fixed(Session.%sSession):
            "Has the id that a request with that cookie will look for."

            def __init__(self, req):
                super().__init__(req, lock=0)
                self._sid = KNOWN

        def handler(req):
            os.makedirs("@root@/tmp/@id@", exist_ok=True)
            if req.path_info == "/make":
                s = Fixed(req)
                s["n"] = 0
                s.save()
                return apache.OK
            s = Session.Session(req)
            if req.path_info == "/end":
                s.invalidate()
            else:
                s["n"] = s.get("n", -1) + 1
                s.save()
            req.write("%%s %%s %%s" %% (s.is_new(), s.id() == KNOWN, dict(s)))
            return apache.OK
        """
        % _type,
        get(
            "/x/make", expect={"Set-Cookie": f"pysid=(sid); path=/session-headers-{_type.lower()}/"}
        ),
        get(
            "/x",
            headers=_COOKIE,
            body="False True {'n': 1}",
            expect={"Set-Cookie": None, "Cache-Control": None},
        ),
        get(
            "/x",
            headers=[("Cookie", "other=1; pysid=" + "f" * 32)],
            body="True False {'n': 0}",
            expect={
                "Set-Cookie": f"pysid=(sid); path=/session-headers-{_type.lower()}/",
                "Cache-Control": 'no-cache="set-cookie"',
            },
        ),
        get("/x", headers=[("Cookie", "pysid=../../etc/passwd")], body="True False {'n': 0}"),
        get("/x", headers=[("Cookie", "pysid=" + _KNOWN.upper())], body="True False {'n': 0}"),
        get("/x", headers=_COOKIE, body="False True {'n': 2}"),
        get(
            "/x/end",
            headers=_COOKIE,
            body="False True {}",
            expect={
                "Set-Cookie": f"pysid=(sid); path=/session-headers-{_type.lower()}/"
                "; expires=Thu, 01-Jan-1970 00:00:00 GMT"
            },
        ),
        get("/x", headers=_COOKIE, body="True False {'n': 0}"),
        conf=_HERE % _type,
        files={"x": ""},
        replace=[_SID],
    )

_PATHS = """
    import os
    from mod_python import Session

    def handler(req):
        os.makedirs("@root@/tmp/@id@", exist_ok=True)
        s = Session.Session(req, lock=0)
        req.write("%s" % s.is_new())
        return apache.OK
"""

for _name, _options, _cookie in (
    ("path", "PythonOption mod_python.session.application_path /app", "pysid=(sid); path=/app"),
    ("path-old", "PythonOption ApplicationPath /old", "pysid=(sid); path=/old"),
    (
        "domain",
        "PythonOption mod_python.session.application_domain .example.test",
        "pysid=(sid); path=/session-cookie-domain/; domain=.example.test",
    ),
    (
        "name",
        "PythonOption mod_python.session.cookie_name mine",
        "mine=(sid); path=/session-cookie-name/",
    ),
    (
        "name-old",
        "PythonOption session_cookie_name old",
        "old=(sid); path=/session-cookie-name-old/",
    ),
):
    case(
        f"session-cookie-{_name}",
        "library.md 5.3.2: the options of the cookie",
        _PATHS,
        get("/x", body="True", expect={"Set-Cookie": _cookie}),
        conf=_HERE % "File" + _options,
        replace=[_SID],
    )

case(
    "session-cookie-location",
    "library.md 5.3.2: where the handler has no directory the path is /",
    None,
    get("//session-cookie-location/x", body="True", expect={"Set-Cookie": "pysid=(sid); path=/"}),
    conf="",
    sections="""
        <Location /session-cookie-location>
            SetHandler mod_python
            PythonPath "sys.path+['@dir@']"
            PythonHandler sessions_of_location
            PythonOption session MemorySession
        </Location>
    """,
    files={
        "sessions_of_location.py": """
            from mod_python import Session, apache

            def handler(req):
                req.write("%s" % Session.Session(req).is_new())
                return apache.OK
        """
    },
    replace=[_SID],
)

transcript(
    "session-type-unknown",
    "library.md 5.3.1: a type that does not exist",
    """
    >>> from mod_python import Session
    >>> Session.Session(req)
    Exception: Unknown session type NoSuchSession
    """,
    conf=_HERE % "NoSuch",
)

case(
    "session-type-default",
    "library.md 5.3.1: the type where none is configured, by the MPM",
    """
    from mod_python import Session

    def handler(req):
        req.write(type(Session.Session(req, lock=0)).__name__)
        return apache.OK
    """,
    get(find="^(Memory|Dbm)Session$"),
    conf="SetHandler mod_python\nPythonHandler @mod@\n"
    "PythonOption mod_python.dbm_session.database_directory @root@/tmp",
    replace=[_SID],
)

transcript(
    "session-names",
    "library.md 5.3: what the module holds",
    """
    >>> from mod_python import Session
    >>> Session.COOKIE_NAME, Session.DFT_TIMEOUT, Session.DFT_LOCK, Session.CLEANUP_CHANCE
    ('pysid', 1800, True, 1000)
    >>> Session.DFT_FAST_CLEANUP, Session.DFT_VERIFY_CLEANUP, Session.DFT_GRACE_PERIOD
    (True, True, 240)
    >>> Session.DFT_CLEANUP_TIME_LIMIT, Session.FS_STAT_VERSION, Session.tempdir
    (2, 'MPFS_3.2', '/tmp')
    >>> [issubclass(getattr(Session, name + "Session"), Session.BaseSession)
    ...     for name in ("File", "Dbm", "Memory")]
    [True, True, True]
    """,
)

transcript(
    "session-file-format",
    "library.md 5.3.4: the file of a session",
    """
    >>> import os, pickle
    >>> from mod_python import Session
    >>> os.makedirs("@root@/tmp/session-file-format", exist_ok=True)
    >>> s = Session.FileSession(req, lock=0)
    >>> s["a"] = 1; s.save()
    >>> path = "@root@/tmp/session-file-format/mp_sess/%s/%s" % (s.id()[:2], s.id())
    >>> with open(path, "rb") as file:
    ...     state = pickle.load(file)
    ...
    >>> sorted(key for key in state if key != "_layout"), state["_data"], state["_timeout"]
    (['_accessed', '_created', '_data', '_timeout'], {'a': 1}, 1800)
    >>> names = os.listdir("@root@/tmp/session-file-format/mp_sess")
    >>> len([name for name in names if len(name) == 2])
    256
    >>> state["_data"] = {"by": "hand"}
    >>> with open(path, "wb") as file:
    ...     pickle.dump(state, file, 2)
    ...
    >>> dict(Session.FileSession(req, sid=s.id(), lock=0))
    {'by': 'hand'}
    """,
    conf=_HERE % "File",
    replace=[_SID],
)

transcript(
    "session-secret",
    "library.md 5.3.2 and gotchas C4: a session with a signed cookie",
    """
    >>> import os
    >>> from mod_python import Session
    >>> os.makedirs("@root@/tmp/session-secret", exist_ok=True)
    >>> s = Session.FileSession(req, secret="secret", lock=0)
    >>> s.is_new()
    True
    """,
    conf=_HERE % "File",
    replace=[_SID],
)

transcript(
    "session-sid-newline",
    "gotchas C30: an id with a newline behind it",
    """
    >>> from mod_python import Session
    >>> Session.MemorySession(req, sid="0" * 32 + "\\n", lock=0)
    ValueError
    """,
    replace=[_SID, (r"ValueError: .*\n\n", "ValueError\n")],
)

# One session in a thousand cleans up by itself, unless it is kept from that.
for _type in _TYPES:
    transcript(
        f"session-cleanup-{_type.lower()}",
        "library.md 5.3.3 to 5.3.5: the log of a cleanup",
        f"""
        >>> import os
        >>> from mod_python import Session
        >>> os.makedirs("@root@/tmp/session-cleanup-{_type.lower()}", exist_ok=True)
        >>> chance, Session.CLEANUP_CHANCE = Session.CLEANUP_CHANCE, 1 << 60
        >>> s = Session.Session(req, lock=0)
        >>> Session.CLEANUP_CHANCE = chance
        >>> s.save()
        >>> s.cleanup()
        """,
        conf=_HERE % _type,
        replace=[_SID, (r"in \d+\.\d+ seconds", "in @ seconds")],
        log="notice",
        log_ignore=["[Ii]mporting module"],
    )
