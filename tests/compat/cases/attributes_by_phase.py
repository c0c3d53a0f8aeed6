"""Every attribute of a request and its connection in every phase, outside and inside a Location."""

from compat.case import Request as R
from compat.case import case, get, head, post

DUMP = '''
REQUEST = """
    the_request assbackwards proxyreq header_only protocol proto_num hostname status_line status
    method method_number allowed allowed_xmethods allowed_methods sent_bodyct bytes_sent mtime
    chunked range clength remaining read_length read_chunked expecting_100 content_type
    content_encoding content_languages handler vlist_validator user ap_auth_type no_cache
    no_local_copy unparsed_uri uri filename canonical_filename path_info args parsed_uri
    used_path_info eos_sent useragent_ip interpreter _bytes_queued _content_type_set phase
    extension hlist
""".split()
CONNECTION = """
    local_host client_ip remote_host remote_logname aborted keepalive double_reverse keepalives
    local_ip
""".split()
METHODS = """
    auth_name auth_type get_remote_host document_root get_basic_auth_pw is_https
    get_addhandler_exts
""".split()

def dump(req, where):
    lines = ["%s=%r" % (name, getattr(req, name)) for name in REQUEST]
    lines += ["connection.%s=%r" % (name, getattr(req.connection, name)) for name in CONNECTION]
    lines += ["%s()=%r" % (name, getattr(req, name)()) for name in METHODS]
    lines += ["%s=%s" % (name, getattr(req, name) and getattr(req, name).uri)
              for name in ("next", "prev", "main")]
    lines += ["finfo=%r %r" % (req.finfo.filetype, req.finfo.fname)]
    tables = req.get_options(), req.get_config(), req.subprocess_env
    lines += ["%s" % sorted(table.items()) for table in tables]
    lines += ["out=%s err=%s" % (req.headers_out.items(), req.err_headers_out.items())]
    for line in lines:
        req.log_error("%s %s" % (where, line), apache.APLOG_NOTICE)

def phase(name, result=apache.OK):
    def handler(req):
        if name == "authen":
            req.user = "u"
        dump(req, name)
        return result
    return handler

postread = phase("postread")
trans = phase("trans", apache.DECLINED)
init = phase("init")
headerparser = phase("headerparser")
access = phase("access")
authen = phase("authen")
authz = phase("authz")
fixup = phase("fixup")
log = phase("log")

def handler(req):
    dump(req, "handler")
    if req.method == "POST":
        req.read(2)
        dump(req, "after read")
    req.write("abc", 0)
    dump(req, "after write")
    req.flush()
    dump(req, "after flush")
    return apache.OK
'''

SERVER = """
    PythonPath "['@dir@']+sys.path"
    PythonPostReadRequestHandler @mod@::postread
    PythonTransHandler @mod@::trans
    PythonInitHandler @mod@::init
    PythonLogHandler @mod@::log
    PythonOption o 1
"""
SECTION = """
    SetHandler mod_python
    AuthType Custom
    AuthName x
    Require valid-user
    PythonHeaderParserHandler @mod@::headerparser
    PythonAccessHandler @mod@::access
    PythonAuthenHandler @mod@::authen
    PythonAuthzHandler @mod@::authz
    PythonFixupHandler @mod@::fixup
    PythonHandler @mod@
"""

case(
    "attributes-by-phase",
    "objects.md 3.1.1: what each phase sees of requests of several kinds",
    DUMP,
    get("/file/below?q=1"),
    post(b"abcdef", "/file"),
    head("/none"),
    get("/directory/"),
    R("/x", "OPTIONS"),
    get("/x", version="HTTP/1.0"),
    vhost=SERVER,
    conf=SECTION,
    files={"file": "x", "directory/index": "i"},
    log="notice",
    mpms=("event",),
)

case(
    "attributes-by-phase-location",
    "directives.md 1.15: the same in a Location, where nothing is mapped to a file",
    DUMP,
    get("/file/below?q=1"),
    post(b"abcdef", "/file"),
    vhost=f"{SERVER}<Location @url@/>\n{SECTION}</Location>",
    conf="",
    log="notice",
    mpms=("event",),
)
