"""Connection, server, finfo and handler-list objects: objects.md 3.2, 3.3, 3.5, 3.6."""

from compat.case import TYPES_ONLY, case, get, transcript

transcript(
    "connection-attributes",
    "objects.md 3.2: the attributes of a connection",
    """
    >>> c = req.connection
    >>> repr(c).startswith('<mp_conn object at 0x')
    True
    >>> c.client_ip, c.client_addr[0], type(c.client_addr[1]).__name__
    ('127.0.0.1', '127.0.0.1', 'int')
    >>> c.local_addr, c.local_ip
    (('127.0.0.1', @port@), '127.0.0.1')
    >>> c.remote_host, c.remote_logname, c.local_host
    (None, None, None)
    >>> c.aborted, c.keepalive, c.keepalives, c.double_reverse
    (0, 0, 0, 0)
    >>> type(c.id).__name__, str(type(c.notes)), c.notes
    ('int', "<class 'mp_table'>", {})
    >>> str(type(c.base_server)), c.base_server.server_hostname
    ("<class 'mp_server'>", 'localhost')
    >>> str(type(c._conn_rec))
    "<class 'PyCapsule'>"
    >>> c.client_addr == req.useragent_addr
    True
    >>> type(c).__module__, type(c)()
    TypeError: cannot create 'mp_conn' instances
    """,
)

transcript(
    "connection-attribute-errors",
    "objects.md 3.2: no arbitrary attributes; what writing and deleting say",
    """
    >>> c = req.connection
    >>> c.nothing
    AttributeError
    >>> c.nothing = 1
    AttributeError
    >>> c.client_ip = 'x'
    AttributeError
    >>> c.notes = {}
    AttributeError
    >>> del c.keepalive
    AttributeError
    >>> del c.nothing
    AttributeError
    >>> c.keepalive = 'x'
    TypeError
    >>> c.keepalive = apache.AP_CONN_CLOSE
    >>> c.keepalive
    1
    >>> c.notes['a'] = 'b'; c.notes
    {'a': 'b'}
    """,
    replace=TYPES_ONLY,
)

case(
    "connection-deprecated",
    "objects.md 3.2: remote_addr and remote_ip warn at each access",
    """
    def handler(req):
        c = req.connection
        req.write("%s %s" % (c.remote_ip, c.remote_addr == c.client_addr))
        return apache.OK
    """,
    get(body="127.0.0.1 True"),
    log="warn",
)

case(
    "connection-keepalives",
    "objects.md 3.2 and gotchas D: keepalive and keepalives along a connection",
    """
    def handler(req):
        c = req.connection
        before = (c.keepalive, c.keepalives)
        req.write("")
        req.write("%r " % (before,))
        req.write("%r %r" % ((c.keepalive, c.keepalives), c.notes))
        return apache.OK
    """,
    get(body="(0, 0) (2, 1) {}"),
    get(),
    get(headers=[("Connection", "close")]),
)

transcript(
    "server-attributes",
    "objects.md 3.3: the attributes of a server",
    """
    >>> s = req.server
    >>> repr(s).startswith('<mp_server object at 0x')
    True
    >>> s.server_hostname, s.server_admin, s.port
    ('server-attributes.test', 'me@example.org', 0)
    >>> s.is_virtual, s.defn_name, type(s.defn_line_number).__name__
    (1, '@root@/httpd.conf', 'int')
    >>> s.error_fname, s.loglevel
    (None, 5)
    >>> s.timeout, s.keep_alive_timeout, s.keep_alive, s.keep_alive_max
    (7.0, 3.0, 1, 0)
    >>> s.path, s.pathlen, s.names, s.wild_names
    ('/some/path', 10, ('alias.test', 'other.test'), ('*.wild.test',))
    >>> s.limit_req_line, s.limit_req_fieldsize, s.limit_req_fields
    (4000, 8190, 100)
    >>> s.my_generation, type(s.restart_time).__name__, s.restart_time > 1700000000
    (0, 'float', True)
    >>> str(type(s._server_rec)), type(s).__module__
    ("<class 'PyCapsule'>", 'builtins')
    >>> type(s)()
    TypeError: cannot create 'mp_server' instances
    """,
    vhost="""
        ServerAlias alias.test other.test *.wild.test
        ServerAdmin me@example.org
        ServerPath /some/path
        Timeout 7
        KeepAliveTimeout 3
        LimitRequestLine 4000
    """,
)

transcript(
    "server-attribute-errors",
    "objects.md 3.3: arbitrary attributes are allowed, built-in ones read-only",
    """
    >>> s = req.server
    >>> s.nothing
    AttributeError
    >>> s.mine = 1; s.mine
    1
    >>> del s.mine
    >>> s.mine
    AttributeError
    >>> s.port = 1
    AttributeError
    >>> s.names = ()
    AttributeError
    >>> s.register_cleanup(5, len)
    ValueError: first argument must be a request object
    >>> s.register_cleanup(req, 5)
    ValueError: second argument must be a callable object
    >>> s.register_cleanup(req)
    TypeError
    >>> s.log_error(5)
    TypeError
    """,
    replace=TYPES_ONLY,
)

transcript(
    "server-chain",
    "objects.md 3.3: next, main_server and the base server",
    """
    >>> s = req.server
    >>> s.is_virtual, apache.main_server.is_virtual, str(type(apache.main_server))
    (1, 0, "<class 'mp_server'>")
    >>> apache.main_server.server_hostname, apache.main_server is apache.main_server
    ('main.test', True)
    >>> names = []
    >>> n = apache.main_server
    >>> while n is not None:
    ...     names.append(n.server_hostname)
    ...     n = n.next
    >>> names
    ['main.test', 'second.test', 'localhost']
    >>> req.connection.base_server.server_hostname
    'localhost'
    """,
    server="""
        ServerName main.test
        <VirtualHost 127.0.0.1:@port@>
            ServerName localhost
        </VirtualHost>
        <VirtualHost 127.0.0.1:@port@>
            ServerName second.test
        </VirtualHost>
    """,
)

transcript(
    "server-config",
    "objects.md 3.3: get_config and get_options of a server are its own records",
    """
    >>> s = req.server
    >>> s.get_options(), s.get_config()
    ({'empty': '', 'server-level': 'yes'}, {'PythonDebug': '0'})
    >>> s.get_options()['new'] = 'x'
    >>> s.get_options()['new']
    'x'
    >>> str(type(s.get_config()))
    "<class 'mp_table'>"
    """,
    vhost="PythonOption server-level yes\nPythonOption empty\nPythonDebug Off",
)

transcript(
    "server-options-kept",
    "objects.md 3.3: what a program writes into the main server's options stays in the child",
    """
    >>> apache.main_server.get_options()['case-kept'] = '1'
    >>> apache.main_server.get_options()['case-kept']
    '1'
    >>> apache.main_server.mine = 'attribute'
    >>> apache.main_server.mine
    'attribute'
    """,
)

case(
    "server-cleanup",
    "phases.md 2.9: server cleanups are for the end of the child, not of the request",
    """
    def note(text):
        apache.log_error("cleanup " + text, apache.APLOG_NOTICE)

    def handler(req):
        req.server.register_cleanup(req, note, "server")
        apache.register_cleanup(note, "apache")
        req.register_cleanup(note, "request")
        return apache.OK
    """,
    get(),
    log="notice",
)

transcript(
    "finfo-stat",
    "apache_module.md 4.2: apache.stat",
    """
    >>> f = apache.stat(req.filename, apache.APR_FINFO_MIN)
    >>> str(type(f)), f.filetype == apache.APR_REG, f.size
    ("<class 'mp_finfo'>", True, 5)
    >>> f.valid & apache.APR_FINFO_MIN == apache.APR_FINFO_MIN
    True
    >>> f.fname == req.filename
    True
    >>> n = apache.stat(req.filename, apache.APR_FINFO_NORM)
    >>> '%x' % n.protection, n.nlink, n.mtime
    ('644', 1, 1700000000)
    >>> m = apache.stat('@root@/nothing', apache.APR_FINFO_NORM)
    >>> m.filetype, m.size, m.mtime, m.fname, m.valid
    (0, None, None, None, None)
    >>> apache.stat('@root@/nothing')
    TypeError
    >>> apache.stat(5, 1)
    TypeError
    >>> apache.stat('@root@/htdocs/finfo-stat/page.txt/below', apache.APR_FINFO_NORM)
    NotADirectoryError: [Errno 20] apr_stat() failed
    """,
    get("/page.txt"),
    files={"page.txt": "12345"},
    replace=TYPES_ONLY,
)

case(
    "finfo-repr",
    "objects.md 3.5: repr is a dict-like text with these keys",
    """
    def handler(req):
        import re
        req.write(" ".join(re.findall(r"'(\\w+)'\\s*:", repr(req.finfo))))
        return apache.OK
    """,
    get(
        "/page.txt",
        body="fname filetype valid protection user group size inode device nlink atime mtime "
        "ctime name",
    ),
    files={"page.txt": "12345"},
)

transcript(
    "hlist-members",
    "objects.md 3.6: the handler list of the running phase",
    """
    >>> h = req.hlist
    >>> h
    {'handler':'case_hlist_members','directory':'@root@/htdocs/hlist-members/','is_location':False,'silent':0}
    >>> h.handler, h.directory.split('/htdocs')[1], h.is_location, h.silent
    ('case_hlist_members', '/hlist-members/', 0, 0)
    >>> h.nothing
    AttributeError
    >>> h.handler = 'x'
    AttributeError
    >>> type(h).__module__
    'builtins'
    >>> type(h)()
    TypeError
    """,
    replace=TYPES_ONLY,
)

case(
    "hlist-walk",
    "objects.md 3.6: the cursor moves with the running entry",
    """
    def one(req):
        req.write("%s\\n" % req.hlist.handler)
        return apache.OK

    two = three = one
    """,
    get(body="case_hlist_walk::one\ncase_hlist_walk::two\ncase_hlist_walk::three\n"),
    conf="SetHandler mod_python\nPythonHandler @mod@::one @mod@::two @mod@::three",
)

# -- repaired ------------------------------------------------------------------------------------

transcript(
    "connection-hlist",
    "gotchas A7: hlist outside a connection handler is None",
    """
    >>> req.connection.hlist
    >>> hasattr(req.connection, 'hlist')
    True
    """,
    crashes_original=True,
)

case(
    "hlist-next-past-end",
    "gotchas A8: next() on the last entry is harmless",
    """
    def handler(req):
        req.hlist.next()
        req.hlist.next()
        req.write("%r %r" % (req.hlist.handler, req.hlist.directory))
        repr(req.hlist)
        return apache.OK
    """,
    get(body="None None"),
    crashes_original=True,
)

transcript(
    "finfo-as-tuple",
    "gotchas C20: 13 items, a length, negative indexes",
    """
    >>> f = req.finfo
    >>> f[apache.FINFO_FILETYPE] == f.filetype == apache.APR_REG
    True
    >>> len(f), len(list(f))
    (13, 13)
    >>> f[-1] == f[12]
    True
    >>> f[13]
    IndexError: tuple index out of range
    """,
    get("/page.txt"),
    files={"page.txt": "12345"},
)

transcript(
    "server-port-large",
    "gotchas C21: ports above 32767",
    """
    >>> req.server.port
    65000
    """,
    vhost="ServerName server-port-large.test:65000",
)
