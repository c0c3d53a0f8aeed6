"""The request object's attributes: objects.md 3.1.1."""

from compat.case import TYPES_ONLY, case, get, head, post, raw, transcript

transcript(
    "request-object",
    "objects.md 3.0 and 3.1: names, repr, identity, arbitrary attributes",
    """
    >>> type(req).__name__, type(req).__module__, str(type(req))
    ('mp_request', 'builtins', "<class 'mp_request'>")
    >>> repr(req).startswith('<mp_request object at 0x')
    True
    >>> req.nothing
    AttributeError: 'mp_request' object has no attribute 'nothing'
    >>> hasattr(req, 'nothing')
    False
    >>> req.mine = [1]
    >>> req.mine.append(2)
    >>> req.mine
    [1, 2]
    >>> del req.mine
    >>> req.mine
    AttributeError: 'mp_request' object has no attribute 'mine'
    >>> del req.mine
    AttributeError: 'mp_request' object has no attribute 'mine'
    >>> bool(req), hash(req) == hash(req), req == req
    (True, True, True)
    >>> req['uri']
    TypeError: 'mp_request' object is not subscriptable
    >>> type(req)()
    TypeError: cannot create 'mp_request' instances
    >>> import gc
    >>> gc.is_tracked(req)
    True
    """,
)

transcript(
    "request-line",
    "objects.md 3.1.1: the parts of the request line",
    """
    >>> req.the_request
    'GET /request-line/a%20b/c?x=1%20&y HTTP/1.1'
    >>> req.method, req.method_number, req.header_only
    ('GET', 0, 0)
    >>> req.protocol, req.proto_num, req.assbackwards
    ('HTTP/1.1', 1001, 0)
    >>> req.unparsed_uri, req.uri, req.args
    ('/request-line/a%20b/c?x=1%20&y', '/request-line/a b/c', 'x=1%20&y')
    >>> req.filename == req.canonical_filename
    True
    >>> req.filename[len(apache.server_root()):] if 0 else req.filename.split('/htdocs')[1]
    '/request-line/a b'
    >>> req.path_info
    '/c'
    >>> req.hostname
    'localhost'
    >>> req.parsed_uri
    (None, None, None, None, None, None, '/request-line/a b/c', 'x=1%20&y', None)
    >>> req.parsed_uri[apache.URI_PATH], req.parsed_uri[apache.URI_QUERY]
    ('/request-line/a b/c', 'x=1%20&y')
    >>> req.range, req.proxyreq
    (None, 0)
    """,
    get("/a%20b/c?x=1%20&y"),
)

transcript(
    "request-line-10",
    "objects.md 3.1.1: an HTTP/1.0 request",
    """
    >>> req.protocol, req.proto_num, req.hostname, req.args
    ('HTTP/1.0', 1000, 'localhost', None)
    """,
    get("/", version="HTTP/1.0"),
)

case(
    "request-line-09",
    "objects.md 3.1.1: assbackwards sends no header",
    """
    def handler(req):
        req.assbackwards = 1
        req.write("body only")
        return apache.OK
    """,
    get(headers=[("Connection", "close")], status=0, body="body only", broken="no status line"),
)

transcript(
    "request-absolute-uri",
    "objects.md 3.1.1: parsed_uri and hostname of an absolute request line",
    """
    >>> req.parsed_uri
    ('http', 'Localhost:81', None, None, 'Localhost', 81, '/request-absolute-uri/x', 'q', None)
    >>> req.hostname, req.uri, req.unparsed_uri, req.args
    ('localhost', '/request-absolute-uri/x', 'http://Localhost:81/request-absolute-uri/x?q', 'q')
    """,
    raw(
        b"GET http://Localhost:81@url@/x?q HTTP/1.1\r\nHost: other\r\n\r\n",
    ),
)

case(
    "request-methods",
    "objects.md 3.1.1: method and method_number",
    """
    def handler(req):
        req.headers_out["X-Method"] = "%s %d %d" % (req.method, req.method_number, req.header_only)
        return apache.OK
    """,
    get(expect={"X-Method": "GET 0 0"}),
    head(expect={"X-Method": "HEAD 0 1"}),
    post(b"", expect={"X-Method": "POST 2 0"}),
    get(method="PUT", expect={"X-Method": "PUT 1 0"}),
    get(method="DELETE", expect={"X-Method": "DELETE 3 0"}),
    get(method="OPTIONS", expect={"X-Method": "OPTIONS 5 0"}),
    get(method="PATCH", expect={"X-Method": "PATCH 7 0"}),
    get(method="PROPFIND", expect={"X-Method": "PROPFIND 8 0"}),
    get(method="BREW", expect={"X-Method": "BREW 26 0"}),
)

transcript(
    "request-numbers",
    "objects.md 3.1.1: numbers before anything was read or written",
    """
    >>> type(req.request_time).__name__, req.request_time > 1700000000
    ('float', True)
    >>> type(req.mtime).__name__, req.mtime
    ('float', 0.0)
    >>> req.status, req.status_line
    (200, None)
    >>> req.sent_bodyct, req.bytes_sent, req.clength, req.remaining, req.read_length
    (0, 0, 0, 0, 0)
    >>> req.read_body, req.read_chunked, req.expecting_100, req.chunked, req.eos_sent
    (0, 0, 0, 0, 0)
    >>> req.no_cache, req.no_local_copy, req.used_path_info
    (0, 0, 2)
    >>> req.allowed, req.allowed_methods, req.allowed_xmethods
    (0, (), ())
    >>> req._bytes_queued, req._content_type_set
    (0, 0)
    """,
)

transcript(
    "request-strings",
    "objects.md 3.1.1: further strings and None",
    """
    >>> req.handler, req.content_type, req.content_encoding, req.content_languages
    ('mod_python', 'text/plain', None, ())
    >>> req.vlist_validator, req.user, req.ap_auth_type
    (None, None, None)
    >>> req.useragent_ip, req.useragent_addr[0], type(req.useragent_addr[1]).__name__
    ('127.0.0.1', '127.0.0.1', 'int')
    >>> req.interpreter, apache.interpreter
    ('localhost', 'localhost')
    >>> req.next, req.prev, req.main
    (None, None, None)
    >>> req.phase, req.extension
    ('PythonHandler', None)
    >>> req.hlist
    {'handler':'case_request_strings','directory':'@root@/htdocs/request-strings/','is_location':False,'silent':0}
    """,
    get("/x.txt"),
)

transcript(
    "request-objects",
    "objects.md 3.1.1: objects reached from req are the same at each access",
    """
    >>> req.connection is req.connection, str(type(req.connection))
    (True, "<class 'mp_conn'>")
    >>> req.server is req.server, str(type(req.server))
    (True, "<class 'mp_server'>")
    >>> req.hlist is req.hlist, str(type(req.hlist))
    (True, "<class 'mp_hlist'>")
    >>> req.finfo is req.finfo, str(type(req.finfo))
    (False, "<class 'mp_finfo'>")
    >>> str(type(req.headers_in)), str(type(req._request_rec))
    ("<class 'mp_table'>", "<class 'PyCapsule'>")
    >>> req.server.mine = 1
    >>> req.server.mine
    1
    """,
)

_READ_ONLY = """
connection server next prev main the_request header_only protocol proto_num hostname request_time
method method_number allowed allowed_xmethods allowed_methods sent_bodyct bytes_sent mtime range
clength remaining read_length read_body read_chunked expecting_100 headers_in headers_out
err_headers_out subprocess_env notes content_encoding content_languages vlist_validator
unparsed_uri parsed_uri eos_sent useragent_addr useragent_ip interpreter
_bytes_queued _request_rec _content_type_set phase extension hlist
""".split()

case(
    "request-read-only",
    "objects.md 3.1.1: the text of writing a read-only attribute",
    f"""
    def handler(req):
        for name in {_READ_ONLY!r}:
            try:
                setattr(req, name, 1)
            except Exception as error:
                req.write("%s: %s: %s\\n" % (name, type(error).__name__, error), 0)
            else:
                req.write(name + " was written\\n", 0)
        return apache.OK
    """,
    get(find="^connection: AttributeError: attribute 'connection' of 'mp_request' objects is not"),
)

transcript(
    "request-writable-int",
    "objects.md 3.1.1: integer attributes take ints and bools, nothing else",
    """
    >>> req.status = 201
    >>> req.status
    201
    >>> req.status = '200'
    TypeError: 'str' object cannot be interpreted as an integer
    >>> req.status = None
    TypeError: 'NoneType' object cannot be interpreted as an integer
    >>> req.status = 2.5
    TypeError: 'float' object cannot be interpreted as an integer
    >>> req.status = True
    >>> req.status
    1
    >>> req.status = 200
    >>> req.assbackwards = 'x'
    TypeError: 'str' object cannot be interpreted as an integer
    >>> req.proxyreq = 2; req.proxyreq
    2
    >>> req.proxyreq = 0
    >>> req.no_cache = 1; req.no_local_copy = True
    >>> req.no_cache, req.no_local_copy
    (1, 1)
    >>> req.used_path_info = apache.AP_REQ_REJECT_PATH_INFO
    >>> req.used_path_info
    1
    >>> req.chunked = '1'
    TypeError: chunked must be a integer
    >>> req.chunked = 1
    >>> req.chunked
    1
    """,
    replace=[(r"\w+, \d+ \w+ \d+ [\d:]+ GMT", "@date@")],
)

transcript(
    "request-writable-str",
    "objects.md 3.1.1: which strings may be written, and which may be None",
    """
    >>> req.status_line = '200 Fine'; req.status_line
    '200 Fine'
    >>> req.content_type = 'text/plain'; req.content_type, req._content_type_set
    ('text/plain', 1)
    >>> req.handler = 'other'; req.handler
    'other'
    >>> req.handler = None; req.handler
    >>> req.user = 'me'; req.user
    'me'
    >>> req.ap_auth_type = 'Mine'; req.ap_auth_type
    'Mine'
    >>> req.uri = '/other'; req.uri
    '/other'
    >>> req.filename = '/tmp/x'; req.filename
    '/tmp/x'
    >>> req.canonical_filename = '/tmp/y'
    >>> req.path_info = '/p'; req.path_info
    '/p'
    >>> req.args = 'a=b'; req.args
    'a=b'
    >>> req.args = None; req.args
    >>> req.args = b'bytes'; req.args
    'bytes'
    """,
)

transcript(
    "request-writable-str-refused",
    "objects.md 3.1.1: None and other types where text is needed",
    """
    >>> req.content_type = None
    TypeError
    >>> req.content_type = 5
    TypeError
    >>> req.user = None
    TypeError
    >>> req.ap_auth_type = None
    TypeError
    >>> req.filename = None
    TypeError
    >>> req.path_info = None
    TypeError
    >>> req.uri = None
    TypeError
    >>> req.uri = 5
    TypeError
    >>> req.handler = 5
    TypeError
    >>> req.args = 5
    TypeError
    >>> req.status_line = 5
    TypeError
    >>> req.finfo = 5
    TypeError
    """,
    replace=TYPES_ONLY,
)

transcript(
    "request-finfo-assign",
    "objects.md 3.1.1: finfo takes an mp_finfo and copies it",
    """
    >>> f = apache.stat(req.filename.rsplit('/', 1)[0], apache.APR_FINFO_NORM)
    >>> req.finfo = f
    >>> req.finfo.filetype == apache.APR_DIR
    True
    >>> req.finfo is f
    False
    """,
    get("/page.txt"),
    files={"page.txt": "x"},
)

transcript(
    "request-finfo",
    "objects.md 3.5: finfo of the requested file",
    """
    >>> f = req.finfo
    >>> f.filetype == apache.APR_REG, f.size, f.mtime, f.nlink
    (True, 5, 1700000000, 1)
    >>> '%x' % f.protection
    '644'
    >>> f.fname.split('/htdocs')[1], f.name
    ('/request-finfo/page.txt', None)
    >>> f[6] == f.size, f[apache.FINFO_MTIME] == f.mtime, f[10] == f.fname
    (True, True, True)
    >>> f.nothing
    AttributeError: class 'mp_finfo' has no attribute 'nothing'
    >>> try:
    ...     f.size = 5
    ... except (AttributeError, TypeError):
    ...     "refused"
    'refused'
    >>> f[13]
    IndexError: tuple index out of range
    >>> type(f.inode).__name__, type(f.atime).__name__, type(f.user).__name__
    ('int', 'int', 'int')
    """,
    get("/page.txt"),
    files={"page.txt": "12345"},
)

transcript(
    "request-finfo-missing",
    "objects.md 3.5: a file that does not exist",
    """
    >>> f = req.finfo
    >>> f.filetype, f.size, f.mtime, f.protection, f.name, f.valid
    (0, None, None, None, None, None)
    >>> f.fname.split('/htdocs')[1]
    '/request-finfo-missing/nothing.txt'
    >>> req.path_info
    ''
    """,
    get("/nothing.txt"),
)

transcript(
    "request-path-info",
    "objects.md 3.1.1: path_info behind a file",
    """
    >>> req.path_info, req.filename.split('/htdocs')[1], req.uri
    ('/more/path', '/request-path-info/page.txt', '/request-path-info/page.txt/more/path')
    """,
    get("/page.txt/more/path"),
    files={"page.txt": "x"},
)

case(
    "request-header-only-and-range",
    "objects.md 3.1.1: range is not the Range header of the client",
    """
    def handler(req):
        req.write("%r %r" % (req.range, req.headers_in["Range"]))
        return apache.OK
    """,
    get(headers=[("Range", "bytes=0-3")], body="None 'bytes=0-3'"),
)

case(
    "request-attributes-between-phases",
    "objects.md 3.1: one object for all phases; attributes stay",
    """
    def fixuphandler(req):
        req.mine = [id(req)]
        return apache.OK

    def handler(req):
        req.write("%s" % (req.mine[0] == id(req)))
        return apache.OK
    """,
    get(body="True"),
    conf="SetHandler mod_python\nPythonHandler @mod@\nPythonFixupHandler @mod@",
)

case(
    "request-headers-in",
    "objects.md 3.4: what the client sent, in order, duplicates merged by httpd",
    """
    def handler(req):
        for name, value in req.headers_in.items():
            req.write("%s: %s\\n" % (name, value), 0)
        return apache.OK
    """,
    get(
        headers=[("X-One", "1"), ("x-one", "2"), ("X-Two", " spaced ")],
        body="Host: localhost\nX-One: 1, 2\nX-Two: spaced\n",
    ),
)

case(
    "request-headers-out",
    "gotchas G: headers_out is for success only, err_headers_out for every answer",
    """
    def handler(req):
        req.headers_out["X-Out"] = "1"
        req.err_headers_out["X-Err"] = "1"
        req.headers_out.add("X-Many", "a")
        req.headers_out.add("X-Many", "b")
        if req.args == "fail":
            return apache.HTTP_FORBIDDEN
        req.write("ok")
        return apache.OK
    """,
    get(expect={"X-Out": "1", "X-Err": "1", "X-Many": ["a", "b"]}),
    get("/?fail", status=403, expect={"X-Out": None, "X-Err": "1", "X-Many": None}),
)

case(
    "request-headers-after-flush",
    "gotchas G: the first write sends the headers, later changes are lost",
    """
    def handler(req):
        req.headers_out["X-Before"] = "1"
        req.write("x")
        req.headers_out["X-After"] = "1"
        req.content_type = "text/plain"
        req.status = 404
        return apache.OK
    """,
    get(expect={"X-Before": "1", "X-After": None}),
)

case(
    "request-status",
    "objects.md 3.1.1: req.status and its reason phrase",
    """
    def handler(req):
        req.status = int(req.args)
        req.write("body")
        return apache.OK
    """,
    get("/?201", status=201, body="body"),
    get("/?299", status=500, body="body"),
    get("/?404", status=404, body="body"),
    get("/?999", status=500, body="body"),
)

case(
    "request-status-line",
    "gotchas C37: status_line counts only if its code equals status",
    """
    def handler(req):
        req.status = 200
        req.status_line = req.args.replace("+", " ")
        req.write("body")
        return apache.OK
    """,
    get("/?200+Very+well"),
    get("/?404+Nope"),
)

case(
    "request-content-type",
    "objects.md 3.1.1: content_type, default and set",
    """
    def handler(req):
        if req.args:
            req.content_type = req.args
        req.write("x")
        return apache.OK
    """,
    get("/x.txt", expect={"Content-Type": "text/plain"}),
    get("/x.txt?text/html", expect={"Content-Type": "text/html"}),
    get("/x.txt?text/html;charset=utf-8", expect={"Content-Type": "text/html;charset=utf-8"}),
    get("/x.unknown", expect={"Content-Type": None}),
)

case(
    "request-no-cache",
    "objects.md 3.1.1: no_cache makes httpd send an Expires header",
    """
    def handler(req):
        req.no_cache = 1
        req.write("x")
        return apache.OK
    """,
    get(),
    replace=[(r"\w+, \d+ \w+ \d+ [\d:]+ GMT", "@date@")],
)

case(
    "request-filename-write",
    "objects.md 3.1.1: a fixup handler may send another file",
    """
    def fixuphandler(req):
        req.filename = req.filename.replace("a.txt", "b.txt")
        req.finfo = apache.stat(req.filename, apache.APR_FINFO_NORM)
        return apache.OK
    """,
    get("/a.txt", body="b\n"),
    conf="PythonFixupHandler @mod@",
    files={"a.txt": "a\n", "b.txt": "b\n"},
)

# -- repaired ------------------------------------------------------------------------------------

case(
    "request-delete-attribute",
    "gotchas A3: deleting a built-in attribute crashed",
    """
    def handler(req):
        for name in ("uri", "status", "args", "finfo", "content_type", "chunked", "user"):
            try:
                delattr(req, name)
            except (AttributeError, TypeError):
                pass
            else:
                req.write(name + " was deleted ", 0)
        req.write(req.uri)
        return apache.OK
    """,
    get(body="/request-delete-attribute/"),
    crashes_original=True,
)

transcript(
    "request-non-ascii",
    "gotchas C17: URL parts that are not UTF-8 come as surrogates, and go back in",
    r"""
    >>> ascii(req.uri), ascii(req.args)
    ("'/request-non-ascii/\\udce9'", "'\\udcff'")
    >>> req.uri = req.uri
    >>> ascii(req.uri)
    "'/request-non-ascii/\\udce9'"
    >>> req.uri = '/caf\u00e9'
    >>> ascii(req.uri)
    "'/caf\\xe9'"
    >>> ascii(req.headers_in['X-Bytes'])
    "'\\udce9'"
    """,
    raw(b"GET @url@/%E9?\xff HTTP/1.1\r\nHost: localhost\r\nX-Bytes: \xe9\r\n\r\n"),
    crashes_original=True,
)

case(
    "request-header-not-utf8",
    "gotchas A1: a Cookie header that is not UTF-8 killed the child",
    """
    def handler(req):
        req.write(ascii(req.headers_in["cookie"]))
        return apache.OK
    """,
    get(headers=[("Cookie", "a=\xe9")], body="'a=\\udce9'"),
    crashes_original=True,
)

transcript(
    "request-str-subclass",
    "gotchas C19: subclasses of str and bytes are text too",
    """
    >>> class Text(str):
    ...     pass
    >>> req.content_type = Text('text/plain')
    >>> req.content_type, type(req.content_type).__name__
    ('text/plain', 'str')
    >>> req.args = Text('x')
    >>> req.args
    'x'
    """,
)
