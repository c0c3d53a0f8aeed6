"""mod_python.apache and _apache: apache_module.md."""

from compat.case import TYPES_ONLY, case, get, transcript

_NAMES = """
HTTP_CONTINUE HTTP_SWITCHING_PROTOCOLS HTTP_PROCESSING HTTP_OK HTTP_CREATED HTTP_ACCEPTED
HTTP_NON_AUTHORITATIVE HTTP_NO_CONTENT HTTP_RESET_CONTENT HTTP_PARTIAL_CONTENT HTTP_MULTI_STATUS
HTTP_MULTIPLE_CHOICES HTTP_MOVED_PERMANENTLY HTTP_MOVED_TEMPORARILY HTTP_SEE_OTHER
HTTP_NOT_MODIFIED HTTP_USE_PROXY HTTP_TEMPORARY_REDIRECT HTTP_BAD_REQUEST HTTP_UNAUTHORIZED
HTTP_PAYMENT_REQUIRED HTTP_FORBIDDEN HTTP_NOT_FOUND HTTP_METHOD_NOT_ALLOWED HTTP_NOT_ACCEPTABLE
HTTP_PROXY_AUTHENTICATION_REQUIRED HTTP_REQUEST_TIME_OUT HTTP_CONFLICT HTTP_GONE
HTTP_LENGTH_REQUIRED HTTP_PRECONDITION_FAILED HTTP_REQUEST_ENTITY_TOO_LARGE
HTTP_REQUEST_URI_TOO_LARGE HTTP_UNSUPPORTED_MEDIA_TYPE HTTP_RANGE_NOT_SATISFIABLE
HTTP_EXPECTATION_FAILED HTTP_IM_A_TEAPOT HTTP_UNPROCESSABLE_ENTITY HTTP_LOCKED
HTTP_FAILED_DEPENDENCY HTTP_UPGRADE_REQUIRED HTTP_INTERNAL_SERVER_ERROR HTTP_NOT_IMPLEMENTED
HTTP_BAD_GATEWAY HTTP_SERVICE_UNAVAILABLE HTTP_GATEWAY_TIME_OUT HTTP_VERSION_NOT_SUPPORTED
HTTP_VARIANT_ALSO_VARIES HTTP_INSUFFICIENT_STORAGE HTTP_NOT_EXTENDED
OK REQ_PROCEED DECLINED REQ_NOACTION DONE REQ_ABORTED REQ_EXIT
APLOG_EMERG APLOG_ALERT APLOG_CRIT APLOG_ERR APLOG_WARNING APLOG_NOTICE APLOG_INFO APLOG_DEBUG
APLOG_NOERRNO REMOTE_HOST REMOTE_NAME REMOTE_NOLOOKUP REMOTE_DOUBLE_REV
FINFO_MODE FINFO_INO FINFO_DEV FINFO_NLINK FINFO_UID FINFO_GID FINFO_SIZE FINFO_ATIME FINFO_MTIME
FINFO_CTIME FINFO_FNAME FINFO_NAME FINFO_FILETYPE
URI_SCHEME URI_HOSTINFO URI_USER URI_PASSWORD URI_HOSTNAME URI_PORT URI_PATH URI_QUERY URI_FRAGMENT
PROXYREQ_NONE PROXYREQ_PROXY PROXYREQ_REVERSE PROXYREQ_RESPONSE
M_GET M_PUT M_POST M_DELETE M_CONNECT M_OPTIONS M_TRACE M_PATCH M_PROPFIND M_PROPPATCH M_MKCOL
M_COPY M_MOVE M_LOCK M_UNLOCK M_VERSION_CONTROL M_CHECKOUT M_UNCHECKOUT M_CHECKIN M_UPDATE M_LABEL
M_REPORT M_MKWORKSPACE M_MKACTIVITY M_BASELINE_CONTROL M_MERGE M_INVALID
AP_REQ_ACCEPT_PATH_INFO AP_REQ_REJECT_PATH_INFO AP_REQ_DEFAULT_PATH_INFO
AP_MPMQ_MAX_DAEMON_USED AP_MPMQ_IS_THREADED AP_MPMQ_IS_FORKED AP_MPMQ_HARD_LIMIT_DAEMONS
AP_MPMQ_HARD_LIMIT_THREADS AP_MPMQ_MAX_THREADS AP_MPMQ_MIN_SPARE_DAEMONS AP_MPMQ_MIN_SPARE_THREADS
AP_MPMQ_MAX_SPARE_DAEMONS AP_MPMQ_MAX_SPARE_THREADS AP_MPMQ_MAX_REQUESTS_DAEMON AP_MPMQ_MAX_DAEMONS
AP_MPMQ_NOT_SUPPORTED AP_MPMQ_STATIC AP_MPMQ_DYNAMIC
CGI_MAGIC_TYPE INCLUDES_MAGIC_TYPE INCLUDES_MAGIC_TYPE3 DIR_MAGIC_TYPE
REQUEST_NO_BODY REQUEST_CHUNKED_ERROR REQUEST_CHUNKED_DECHUNK
AP_CONN_UNKNOWN AP_CONN_CLOSE AP_CONN_KEEPALIVE
APR_NOFILE APR_REG APR_DIR APR_CHR APR_BLK APR_PIPE APR_LNK APR_SOCK APR_UNKFILE
APR_FINFO_LINK APR_FINFO_MTIME APR_FINFO_CTIME APR_FINFO_ATIME APR_FINFO_SIZE APR_FINFO_CSIZE
APR_FINFO_DEV APR_FINFO_INODE APR_FINFO_NLINK APR_FINFO_TYPE APR_FINFO_USER APR_FINFO_GROUP
APR_FINFO_UPROT APR_FINFO_GPROT APR_FINFO_WPROT APR_FINFO_ICASE APR_FINFO_NAME APR_FINFO_MIN
APR_FINFO_IDENT APR_FINFO_OWNER APR_FINFO_PROT APR_FINFO_NORM APR_FINFO_DIRENT
MODULE_MAGIC_NUMBER_MAJOR
interpreter main_server _callback init register_cleanup import_module module_mtime resolve_object
build_cgi_env setup_cgi restore_nocgi NullIO CGIStdin CGIStdout CallBack make_table log_error table
config_tree server_root mpm_query exists_config_define stat SERVER_RETURN
sys traceback time os pdb inspect importlib types threading escape _apache
_path_cache _path_cache_lock
""".split()

case(
    "apache-names",
    "apache_module.md 4.4 and 4.6: every constant with its value, every other name's kind",
    f"""
    def handler(req):
        for name in {_NAMES!r}:
            value = getattr(apache, name, "absent")
            if isinstance(value, (int, str)):
                req.write("%s %r\\n" % (name, value), 0)
            else:
                req.write("%s of %s\\n" % (name, type(value).__name__), 0)
        return apache.OK
    """,
    get(find="^HTTP_CONTINUE 100\n.*HTTP_NOT_EXTENDED 510\n.*DONE -2\n.*SERVER_RETURN of type\n"),
)

case(
    "underscore-apache-names",
    "apache_module.md 4.2: the names of _apache",
    """
    import _apache

    def handler(req):
        for name in ("SERVER_RETURN table log_error config_tree server_root mpm_query parse_qs "
                     "parse_qsl register_cleanup exists_config_define stat _global_lock "
                     "_global_trylock _global_unlock AP_CONN_UNKNOWN AP_CONN_CLOSE "
                     "AP_CONN_KEEPALIVE APR_NOFILE APR_REG APR_UNKFILE "
                     "MODULE_MAGIC_NUMBER_MAJOR").split():
            value = getattr(_apache, name)
            shown = value if isinstance(value, int) else type(value).__name__
            req.write("%s %s\\n" % (name, shown), 0)
        req.write("%r" % hasattr(_apache, "__file__"), 0)
        return apache.OK
    """,
    get(find="False$"),
)

transcript(
    "server-return-class",
    "apache_module.md 4.2: SERVER_RETURN",
    """
    >>> apache.SERVER_RETURN, apache.SERVER_RETURN.__mro__[1]
    (<class '_apache.SERVER_RETURN'>, <class 'Exception'>)
    >>> apache.SERVER_RETURN.__module__
    '_apache'
    >>> import _apache
    >>> _apache.SERVER_RETURN is apache.SERVER_RETURN
    True
    >>> e = apache.SERVER_RETURN(1, 2)
    >>> e.args, str(e), repr(e)
    ((1, 2), '(1, 2)', 'SERVER_RETURN(1, 2)')
    """,
)

transcript(
    "apache-functions",
    "apache_module.md 4.2: server_root, mpm_query, config defines and wrong arguments",
    """
    >>> apache.server_root()
    '@root@'
    >>> apache.mpm_query(apache.AP_MPMQ_IS_FORKED) > 0
    True
    >>> apache.mpm_query('x')
    TypeError
    >>> apache.mpm_query()
    TypeError
    >>> apache.exists_config_define('NOTHING')
    False
    >>> apache.exists_config_define(5)
    TypeError
    >>> apache.server_root(1)
    TypeError
    >>> apache.register_cleanup(5)
    ValueError: third argument must be a callable object
    >>> apache.log_error(5)
    TypeError
    >>> apache.interpreter, str(type(apache.main_server))
    ('localhost', "<class 'mp_server'>")
    >>> import _apache
    >>> _apache.register_cleanup('x', 5, len)
    ValueError: second argument must be a server object
    >>> _apache.register_cleanup('x', req.server, 5)
    ValueError: third argument must be a callable object
    """,
    replace=TYPES_ONLY,
)

transcript(
    "apache-modules",
    "apache_module.md 4.4: modules of the standard library that programs reach through apache",
    """
    >>> import importlib, inspect, pdb, traceback
    >>> apache.traceback.format_exc is traceback.format_exc, apache.pdb.Pdb is pdb.Pdb
    (True, True)
    >>> apache.inspect.isclass(apache.inspect.Signature)
    True
    >>> apache.importlib.reload is importlib.reload
    True
    >>> 'format_exc' in dir(apache.traceback), apache.traceback.__name__
    (True, 'traceback')
    >>> apache.traceback.__file__ == traceback.__file__, hasattr(apache.pdb, 'nothing')
    (True, False)
    >>> apache.escape('<"&>')
    '&lt;&quot;&amp;&gt;'
    """,
)

case(
    "apache-modules-identity",
    "apache_module.md 4.4: as objects",
    """
    import traceback

    def handler(req):
        req.write(repr(apache.traceback is traceback))
        return apache.OK
    """,
    get(find="True|False"),
)

transcript(
    "config-tree",
    "apache_module.md 4.2: config_tree nests a section's directives after it",
    """
    >>> t = apache.config_tree()
    >>> type(t).__name__, type(t[0]).__name__
    ('list', 'tuple')
    >>> [e for e in t if isinstance(e, tuple) and e[0] in ('ServerAdmin', 'KeepAliveTimeout')]
    [('ServerAdmin', 'admin@localhost'), ('KeepAliveTimeout', '10')]
    >>> i = t.index(('<Directory', '@root@>'))
    >>> t[i + 1]
    [('AllowOverride', 'All'), ('Options', 'FollowSymLinks'), ('Require', 'all granted')]
    >>> [e for e in t if e[0] == 'LoadModule']
    []
    """,
)

transcript(
    "parse-qsl",
    "apache_module.md 4.3: parse_qsl of bytes and str",
    """
    >>> from _apache import parse_qsl
    >>> parse_qsl(b'name=value&second=two')
    [(b'name', b'value'), (b'second', b'two')]
    >>> parse_qsl('name=value&second=two')
    [('name', 'value'), ('second', 'two')]
    >>> parse_qsl(b'a=1&b=2;c=3&&d')
    [(b'a', b'1'), (b'b', b'2'), (b'c', b'3')]
    >>> parse_qsl(b'a=&b', 1)
    [(b'a', b''), (b'b', b'')]
    >>> parse_qsl(b'a=&b')
    []
    >>> parse_qsl(b'=x&a=b=c')
    [(b'', b'x'), (b'a', b'b=c')]
    >>> parse_qsl(b'a+b=c%20d%2Be&%61=%62')
    [(b'a b', b'c d+e'), (b'a', b'b')]
    >>> parse_qsl(b'longname=%zz%2&other=%')
    [(b'longname', b'%zz%2'), (b'other', b'%')]
    >>> parse_qsl(b'')
    []
    >>> parse_qsl('')
    []
    >>> parse_qsl('name=caf%C3%A9&other=%E2%82%AC')
    [('name', 'café'), ('other', '€')]
    >>> parse_qsl()
    TypeError
    >>> parse_qsl(5)
    TypeError
    >>> parse_qsl(None)
    TypeError
    >>> parse_qsl(b'a=1', 0, 1)
    [(b'a', b'1')]
    """,
    replace=TYPES_ONLY,
)

transcript(
    "parse-qs",
    "apache_module.md 4.3: parse_qs of bytes and str",
    """
    >>> from _apache import parse_qs
    >>> parse_qs(b'name=value&second=two&name=again')
    {b'name': [b'value', b'again'], b'second': [b'two']}
    >>> parse_qs('name=value&second=two&name=again')
    {'name': ['value', 'again'], 'second': ['two']}
    >>> parse_qs(b'a=&b', 1)
    {b'a': [b''], b'b': [b'']}
    >>> parse_qs(b'a=&b')
    {}
    >>> parse_qs(b'')
    {}
    >>> parse_qs(5)
    TypeError
    """,
    replace=TYPES_ONLY,
)

transcript(
    "import-module",
    "apache_module.md 4.5: import_module returns the module of sys.modules",
    """
    >>> m = apache.import_module('case_import_module_other')
    >>> m.__name__, m.value, sys.modules[m.__name__] is m
    ('case_import_module_other', 5, True)
    >>> apache.import_module('case_import_module_other', 0) is m
    True
    >>> apache.import_module('case_import_module_other', autoreload=0, log=0) is m
    True
    >>> apache.import_module('case_import_module_nowhere')
    ModuleNotFoundError: No module named 'case_import_module_nowhere'
    >>> apache.import_module('')
    ValueError: Empty module name
    >>> apache.import_module()
    TypeError: import_module() missing 1 required positional argument: 'module_name'
    >>> apache.import_module('case_import_module_other', nonsense=1)
    TypeError: import_module() got an unexpected keyword argument 'nonsense'
    >>> apache.module_mtime(m)
    1700000000.0
    >>> m.__mtime__
    1700000000.0
    """,
    files={"@mod@_other.py": "value = 5\n"},
)

transcript(
    "import-module-path",
    "apache_module.md 4.5, gotchas E: path, as mod_python 3.1 to 3.3 took it",
    """
    >>> find, here = apache.import_module, req.document_root() + '/import-module-path/'
    >>> one = find('case_beside', path=[here + 'one'])
    >>> path = [here + 'nowhere', here + 'two/', here + 'one']
    >>> two = find('case_beside', autoreload=0, log=0, path=path)
    >>> one.value, two.value, one is two, 'case_beside' in sys.modules
    ('one', 'two', False, False)
    >>> find('case_beside', path=[here + 'one']) is one
    True
    >>> find('case_beside', 1, 0, here + 'two').value
    'two'
    >>> find('case_package.part', path=[here + 'one']).value
    'part of one'
    >>> find('case_import_module_path_top', path=[here + 'one']).value
    'sys.path'
    >>> find('case_absent', path=[here + 'one'])
    ModuleNotFoundError: No module named 'case_absent'
    >>> find('case_package.absent', path=[here + 'one'])
    ModuleNotFoundError
    >>> find('', path=[here + 'one'])
    ValueError: Empty module name
    """,
    files={
        "one/case_beside.py": "value = 'one'\n",
        "two/case_beside.py": "value = 'two'\n",
        "one/case_package/__init__.py": "",
        "one/case_package/part.py": "value = 'part of one'\n",
        "@mod@_top.py": "value = 'sys.path'\n",
        "one/@mod@_top.py": "value = 'one'\n",
    },
    replace=[(r"(ModuleNotFoundError): No module named 'case_package@[^\n]*", r"\1")],
)

case(
    "import-module-log",
    "apache_module.md 4.5: PythonDebug logs each import",
    """
    def handler(req):
        apache.import_module("@mod@_other", log=1)
        return apache.OK
    """,
    get(),
    get(),
    conf="SetHandler mod_python\nPythonHandler @mod@\nPythonDebug On",
    files={"@mod@_other.py": "value = 5\n"},
    log="notice",
)

transcript(
    "resolve-object",
    "phases.md 2.3 rule 5: apache.resolve_object",
    """
    >>> class M:
    ...     class C:
    ...         def __init__(self, arg): self.arg = arg
    ...         def show(self): return self.arg
    ...     o = C('made')
    ...     __file__ = '/some/file.py'
    >>> apache.resolve_object(M, 'o.arg')
    TypeError: M() takes no arguments
    >>> apache.resolve_object(M, 'o.nothing', silent=1)
    TypeError: M() takes no arguments
    >>> apache.resolve_object(M, 'nothing', silent=1)
    >>> apache.resolve_object(M, 'o.nothing')
    TypeError: M() takes no arguments
    >>> apache.resolve_object(M(), 'nothing.x')
    AttributeError: module '/some/file.py' contains no 'nothing'
    >>> apache.resolve_object(M(), 'C.show', 'argument')()
    'argument'
    """,
)

transcript(
    "null-io",
    "apache_module.md 4.4: NullIO",
    """
    >>> n = apache.NullIO()
    >>> n.tell(), n.read(), n.readline(), n.readlines(), n.isatty()
    (0, '', '', [], 0)
    >>> n.write('x'), n.writelines(['x']), n.flush(), n.close(), n.seek(0)
    (None, None, None, None, None)
    """,
)

case(
    "cgi-stdout",
    "apache_module.md 4.4: CGIStdout parses a script's headers",
    """
    def handler(req):
        out = apache.CGIStdout(req)
        out.write("Content-Type: text/x-mine\\r\\nStatus: 404 Nope\\r\\n")
        out.write("X-One: a\\nX-One: b\\n\\nbody ")
        out.write("more %d" % out.tell())
        return apache.OK
    """,
    get(status=404, find="^body more", expect={"Content-Type": "text/x-mine", "X-One": ["a", "b"]}),
)

transcript(
    "global-locks",
    "apache_module.md 4.2: global locks and their errors",
    """
    >>> import _apache
    >>> s = req.server
    >>> _apache._global_lock(s, 'key')
    >>> _apache._global_unlock(s, 'key')
    >>> _apache._global_trylock(s, None, 0)
    True
    >>> _apache._global_unlock(s, None, 0)
    >>> _apache._global_lock(5, 'key')
    TypeError
    >>> _apache._global_lock(s, [])
    TypeError
    >>> _apache._global_lock(s)
    TypeError
    >>> _apache._global_trylock(s, 'key', 1)
    True
    >>> _apache._global_unlock(s, 'key', 1)
    """,
    mpms=["event", "worker"],
    replace=TYPES_ONLY,
)

case(
    "global-lock-index",
    "apache_module.md 4.2: an index out of range",
    """
    import _apache

    def handler(req):
        try:
            _apache._global_lock(req.server, "key", 1000)
        except ValueError as error:
            req.write(str(error))
        return apache.OK
    """,
    get(body="Lock index is out of range for number of global mutex locks"),
    log="warn",
)

transcript(
    "package-names",
    "apache_module.md 4.1: the package and its version",
    """
    >>> import mod_python
    >>> mod_python.__all__
    ['apache', 'cgihandler', 'psp', 'publisher', 'util', 'python22', 'version']
    >>> type(mod_python.mp_version).__name__
    'str'
    >>> from mod_python import version
    >>> version.version == mod_python.mp_version
    True
    >>> names = 'version HTTPD HTTPD_VERSION APR_VERSION LIBEXECDIR SYSCONFDIR PYTHON_BIN'.split()
    >>> [n for n in names if not isinstance(getattr(version, n, None), str)]
    []
    """,
)

# -- repaired ------------------------------------------------------------------------------------

transcript(
    "parse-qsl-short",
    "gotchas B3: short names keep their own text",
    """
    >>> from _apache import parse_qsl
    >>> parse_qsl('id=42&a=1')
    [('id', '42'), ('a', '1')]
    """,
)

transcript(
    "parse-qs-invalid-utf8",
    "gotchas A4: percent-encoded bytes that are not UTF-8",
    r"""
    >>> from _apache import parse_qs, parse_qsl
    >>> ascii(parse_qs('a=%E9'))
    "{'a': ['\\ufffd']}"
    >>> ascii(parse_qsl('a=%E9'))
    "[('a', '\\ufffd')]"
    """,
    crashes_original=True,
)

transcript(
    "mpm-query-unknown",
    "gotchas A19: an unknown code gives 0",
    """
    >>> apache.mpm_query(9999), apache.mpm_query(-1)
    (0, 0)
    """,
)

case(
    "reload-changed-module",
    "gotchas C1: a changed handler module is executed again",
    """
    import os

    def handler(req):
        path = "@root@/tmp/reloaded/case_reloaded.py"
        if req.args:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as module:
                module.write("value = %r\\n" % req.args)
            when = 1700000000 + int(req.args) * 10
            os.utime(path, (when, when))
            if os.path.dirname(path) not in apache.sys.path:
                apache.sys.path.append(os.path.dirname(path))
        module = apache.import_module("case_reloaded")
        module.__mtime_check__ = 0
        req.write(module.value)
        return apache.OK
    """,
    get("/?1", body="1"),
    get("/", body="1"),
    get("/?2", body="2"),
    get("/?1", body="1"),
)
