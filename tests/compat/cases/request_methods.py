"""The request object's methods that neither read nor write the body: objects.md 3.1.2."""

from compat.case import TYPES_ONLY, case, get, transcript

transcript(
    "method-arguments",
    "objects.md 3.0: wrong argument counts and types",
    r"""
    >>> req.write()
    TypeError
    >>> req.write('a', 1, 2)
    TypeError
    >>> req.log_error()
    TypeError
    >>> req.log_error(b'bytes')
    TypeError
    >>> req.log_error(5)
    TypeError
    >>> req.log_error('x', 'y')
    TypeError
    >>> req.set_content_length()
    TypeError
    >>> req.set_content_length('5')
    TypeError
    >>> req.internal_redirect()
    TypeError
    >>> req.construct_url(5)
    TypeError
    >>> req.register_cleanup()
    TypeError
    >>> req.register_cleanup(5)
    ValueError: first argument must be a callable object
    >>> req.sendfile()
    TypeError
    >>> req.add_handler('PythonHandler')
    TypeError
    >>> req.add_common_vars(1)
    TypeError
    >>> req.document_root(1)
    TypeError
    >>> req.get_basic_auth_pw(1)
    TypeError
    >>> req.read('x')
    TypeError
    >>> req.read(None)
    TypeError
    >>> req.readline('x')
    TypeError
    >>> req.readlines('x')
    TypeError
    >>> req.allow_methods()
    TypeError
    >>> req.allow_methods(5)
    TypeError
    >>> req.get_remote_host('x')
    TypeError
    >>> req.update_mtime('x')
    TypeError
    >>> req.ssl_var_lookup()
    TypeError
    >>> req.meets_conditions(1)
    TypeError
    >>> req.construct_url('a\0b')
    ValueError: embedded null character
    """,
    replace=TYPES_ONLY,
)

transcript(
    "method-simple",
    "objects.md 3.1.2: document_root, construct_url, auth_name and so on",
    """
    >>> req.document_root()
    '@root@/htdocs'
    >>> req.construct_url('/x')
    'http://localhost/x'
    >>> req.construct_url('x y')
    'http://localhostx y'
    >>> req.auth_name(), req.auth_type()
    (None, None)
    >>> req.is_https(), req.ssl_var_lookup('HTTPS')
    (0, None)
    >>> req.get_basic_auth_pw()
    >>> req.send_http_header()
    >>> req.get_remote_host(apache.REMOTE_NOLOOKUP)
    '127.0.0.1'
    >>> req.get_remote_host(apache.REMOTE_NOLOOKUP, 1)
    ('127.0.0.1', 1)
    >>> req.get_remote_host(apache.REMOTE_NOLOOKUP, None)
    '127.0.0.1'
    >>> req.discard_request_body()
    0
    >>> req.get_addhandler_exts()
    ''
    >>> req.requires()
    AttributeError: 'mp_request' object has no attribute 'requires'
    >>> hasattr(req, 'get_session'), hasattr(req, 'no_such')
    (False, False)
    >>> req.add_common_vars(), req.flush()
    (None, None)
    """,
)

case(
    "method-add-common-vars",
    "objects.md 3.1.2: add_common_vars fills subprocess_env",
    """
    def handler(req):
        before = len(req.subprocess_env)
        assert req.add_common_vars() is None
        env = req.subprocess_env
        for name in sorted(env.keys()):
            req.write("%s=%s\\n" % (name, env[name]))
        req.write(str(before))
        return apache.OK
    """,
    get("/x", headers=[("X-Mine", "1"), ("User-Agent", "test")]),
    replace=[(r"REMOTE_PORT=\d+", "REMOTE_PORT=@"), (r"SERVER_SOFTWARE=.*", "SERVER_SOFTWARE=@")],
)

case(
    "method-add-cgi-vars",
    "objects.md 3.1.2: add_cgi_vars",
    """
    def handler(req):
        assert req.add_cgi_vars() is None
        env = req.subprocess_env
        for name in sorted(env.keys()):
            req.write("%s=%s\\n" % (name, env[name]))
        return apache.OK
    """,
    get("/page.txt/more%20path?q=1%20", find="PATH_INFO=/more path\n.*REQUEST_URI=/"),
    get("/page.txt", find="QUERY_STRING=\n"),
    files={"page.txt": "x"},
    replace=[(r"REMOTE_PORT=\d+", "REMOTE_PORT=@"), (r"SERVER_SOFTWARE=.*", "SERVER_SOFTWARE=@")],
)

case(
    "method-build-cgi-env",
    "apache_module.md 4.4: build_cgi_env",
    """
    def handler(req):
        env = apache.build_cgi_env(req)
        req.write("%s %s\\n" % (type(env).__name__, env is req.subprocess_env))
        for name in sorted(env.keys()):
            req.write("%s=%s\\n" % (name, env[name]))
        return apache.OK
    """,
    get("/page.txt/more?q", auth=("me", "secret"), find="HTTP_AUTHORIZATION=Basic"),
    files={"page.txt": "x"},
    replace=[(r"REMOTE_PORT=\d+", "REMOTE_PORT=@"), (r"SERVER_SOFTWARE=.*", "SERVER_SOFTWARE=@")],
)

case(
    "method-log-error",
    "objects.md 3.1.2: levels of req.log_error",
    """
    def handler(req):
        req.log_error("plain")
        req.log_error("warning", apache.APLOG_WARNING)
        req.log_error("notice %s %d", apache.APLOG_NOTICE)
        req.log_error("info", apache.APLOG_INFO)
        req.log_error("with errno", apache.APLOG_ERR | apache.APLOG_NOERRNO)
        req.log_error("crit", apache.APLOG_CRIT)
        req.log_error("alert", apache.APLOG_ALERT)
        req.log_error(None)
        req.log_error("")
        req.log_error("caf\\u00e9\\x01\\n2nd")
        return apache.OK
    """,
    get(),
    log="notice",
)

case(
    "method-log-error-others",
    "objects.md 3.2 and 3.3, apache_module.md 4.2: log_error of connection, server and module",
    """
    def handler(req):
        req.connection.log_error("connection")
        req.connection.log_error("connection warning", apache.APLOG_WARNING)
        req.server.log_error("server")
        req.server.log_error("server notice", apache.APLOG_NOTICE)
        apache.log_error("module")
        apache.log_error("module warning", apache.APLOG_WARNING)
        apache.log_error("module with server", apache.APLOG_ERR, req.server)
        apache.log_error("module with None", apache.APLOG_ERR, None)
        apache.log_error(None)
        try:
            apache.log_error("x", apache.APLOG_ERR, 5)
        except TypeError as error:
            req.write(str(error))
        return apache.OK
    """,
    get(body="bad argument type for built-in operation"),
    log="notice",
)

case(
    "method-get-basic-auth",
    "objects.md 3.1.2: get_basic_auth_pw fills user and ap_auth_type",
    """
    def authenhandler(req):
        password = req.get_basic_auth_pw()
        if password is None:
            return apache.HTTP_UNAUTHORIZED
        req.seen = (req.user, password, req.ap_auth_type, req.auth_name(), req.auth_type())
        return apache.OK

    def handler(req):
        req.write(ascii(req.seen))
        return apache.OK
    """,
    get(auth=("me", "pass:word"), body="('me', 'pass:word', 'Basic', 'the realm', 'Basic')"),
    get(auth=("Andr\xe9", "gehe\xefm"), find="'Andr.xe9', 'gehe.xefm'"),
    get(auth=("", ""), find="''"),
    get(status=401, expect={"WWW-Authenticate": 'Basic realm="the realm"'}),
    get(headers=[("Authorization", "Basic ????")], find="^.'', '', 'Basic'"),
    get(headers=[("Authorization", "Digest x")], status=401),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonAuthenHandler @mod@
        AuthType Basic
        AuthName "the realm"
        Require valid-user
    """,
    site={"python_first": True},
)

case(
    "method-allow-methods",
    "objects.md 3.1.2: allow_methods shows in the Allow header of a 405",
    """
    def handler(req):
        req.allow_methods(["GET", "POST"])
        if req.args == "reset":
            req.allow_methods(["PUT"], 1)
        if req.args == "extension":
            req.allow_methods(["BREW", "WHEN"])
        if req.args == "string":
            req.allow_methods("GET")
        req.headers_out["X-Allowed"] = "%r %r" % (req.allowed_methods, req.allowed_xmethods)
        req.err_headers_out["X-Allowed"] = req.headers_out["X-Allowed"]
        return apache.HTTP_METHOD_NOT_ALLOWED
    """,
    get(status=405, expect={"Allow": "GET,HEAD,POST,TRACE"}),
    get("/?reset", status=405),
    get("/?extension", status=405, find="not allowed"),
    get("/?string", status=405),
)

case(
    "method-conditions",
    "objects.md 3.1.2: update_mtime, set_last_modified, set_etag, meets_conditions",
    """
    import os

    def handler(req):
        req.update_mtime(1600000000.7)
        req.update_mtime(1500000000)
        req.set_last_modified()
        req.set_etag()
        result = req.meets_conditions()
        if result != apache.OK:
            return result
        req.write("%r %r" % (req.mtime, result))
        return apache.OK
    """,
    get(expect={"Last-Modified": "Sun, 13 Sep 2020 12:26:40 GMT"}, find="1600000000.0 0"),
    get(headers=[("If-Modified-Since", "Sun, 13 Sep 2020 12:26:40 GMT")], status=304),
    get(headers=[("If-Modified-Since", "Sun, 13 Sep 2015 12:26:40 GMT")], status=200),
    get(headers=[("If-Unmodified-Since", "Sun, 13 Sep 2015 12:26:40 GMT")], status=412),
    conf="SetHandler mod_python\nPythonHandler @mod@\nFileETag None",
)

case(
    "method-set-content-length",
    "objects.md 3.1.2: set_content_length sets clength and the header",
    """
    def handler(req):
        req.set_content_length(4)
        req.headers_out["X-Clength"] = str(req.clength)
        req.write("body")
        return apache.OK
    """,
    get(body="body", expect={"Content-Length": "4", "X-Clength": "4", "Transfer-Encoding": None}),
)

case(
    "method-add-handler",
    "objects.md 3.1.2 and phases.md 2.5: add_handler for a later phase",
    """
    def fixuphandler(req):
        req.add_handler("PythonHandler", __name__ + "::added", "@dir@/sub")
        req.add_handler("PythonLogHandler", __name__ + "::log")
        return apache.OK

    def handler(req):
        req.write("configured %s\\n" % req.hlist.directory)
        return apache.OK

    def added(req):
        req.write("added %r %s\\n" % (req.hlist.directory, req.hlist.handler))
        return apache.OK

    def log(req):
        req.log_error("log %s" % req.phase, apache.APLOG_NOTICE)
        return apache.OK
    """,
    get(
        find="^configured .*\nadded '@root@/htdocs/method-add-handler/sub/' case_method_add_handler"
    ),
    conf="SetHandler mod_python\nPythonHandler @mod@\nPythonFixupHandler @mod@",
    files={"sub/x": ""},
    log="notice",
)

transcript(
    "method-add-handler-errors",
    "objects.md 3.1.2: what add_handler refuses",
    """
    >>> req.add_handler('PythonNothing', 'x')
    IndexError: Invalid phase: PythonNothing
    >>> req.add_handler('PythonCleanupHandler', 'x')
    IndexError: Invalid phase: PythonCleanupHandler
    >>> req.add_handler('PythonConnectionHandler', 'x')
    IndexError: Invalid phase: PythonConnectionHandler
    >>> req.add_handler(5, 'x')
    TypeError: argument 1 must be str, not int
    >>> req.add_handler('PythonLogHandler', len)
    TypeError: argument 2 must be str, not builtin_function_or_method
    >>> req.add_handler('pythonhandler', 'x')
    IndexError: Invalid phase: pythonhandler
    """,
)

case(
    "method-add-handler-bad",
    "gotchas D: a handler text that names nothing",
    """
    def handler(req):
        req.add_handler("PythonHandler", __name__ + "::bad_handler")
        return apache.OK
    """,
    get(status=500),
    log="error",
    log_ignore=[r"KeyError: ", r"During handling of the above exception"],
)

case(
    "method-add-handler-empty",
    "objects.md 3.1.2: '' is accepted and fails when run",
    """
    def handler(req):
        req.add_handler("PythonHandler", "")
        return apache.OK
    """,
    get(status=500),
    log="error",
)

case(
    "method-add-handler-no-directory",
    "phases.md 2.5: an added entry has only the directory given",
    """
    def handler(req):
        req.add_handler("PythonHandler", __name__ + "::added")
        req.add_handler("PythonHandler", __name__ + "::added", None)
        req.add_handler("PythonHandler", __name__ + "::added", "relative")
        return apache.OK

    def added(req):
        req.write("%r\\n" % req.hlist.directory)
        return apache.OK
    """,
    get(),
)

transcript(
    "method-options",
    "objects.md 3.1.2: get_options and get_config",
    """
    >>> o = req.get_options()
    >>> type(o).__name__, sorted(o.items())
    ('mp_table', [('Two', 'a b'), ('one', '1'), ('three', '3')])
    >>> o['ONE'], o.get('none')
    ('1', None)
    >>> req.get_options() is req.get_options()
    True
    >>> sorted(req.get_config().items())
    [('PythonAutoReload', '0'), ('PythonDebug', '1'), ('PythonInterpPerDirectory', '0')]
    >>> req.get_config() is req.get_config()
    True
    >>> req.get_config()['pythondebug']
    '1'
    >>> o == apache.table({'one': '1', 'Two': 'a b', 'three': '3'})
    True
    """,
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonOption one 1
        PythonOption Two "a b"
        PythonOption three x
        PythonOption THREE 3
        PythonOption four x
        PythonOption four
        PythonDebug On
        PythonAutoReload Off
        PythonInterpPerDirectory Off
    """,
)

# -- repaired ------------------------------------------------------------------------------------

case(
    "method-internal-redirect-none",
    "gotchas A5: internal_redirect(None) crashed",
    """
    def handler(req):
        try:
            req.internal_redirect(None)
        except TypeError:
            req.write("TypeError")
        return apache.OK
    """,
    get(body="TypeError"),
    crashes_original=True,
)

case(
    "method-log-emerg",
    "gotchas C22: APLOG_EMERG is a level of its own",
    """
    def handler(req):
        req.log_error("emergency", apache.APLOG_EMERG)
        apache.log_error("emergency of the server", apache.APLOG_EMERG)
        return apache.OK
    """,
    get(),
    log="notice",
    ours_log=["emerg: emergency$", "emerg: emergency of the server"],
)

case(
    "method-options-empty",
    "gotchas C23: all options with empty values are left out",
    """
    def handler(req):
        req.write("%r" % req.get_options().items())
        return apache.OK
    """,
    get(body="[('z', 'z')]"),
    get(body="[('z', 'z')]"),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonOption a
        PythonOption b ""
        PythonOption c
        PythonOption d
        PythonOption z z
    """,
)
