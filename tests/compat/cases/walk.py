"""Every documented name of every object: there, of this type, writable or not (objects.md)."""

from compat.case import case, get, post

_WALK = """
def walk(req, thing, names, write=lambda text: None):
    for name in names.split():
        try:
            value = getattr(thing, name)
        except Exception as error:
            write("%s raises %s\\n" % (name, type(error).__name__))
            continue
        kind = "method" if callable(value) else type(value).__name__
        try:
            setattr(thing, name, value)
            changed = "writable"
        except Exception as error:
            changed = type(error).__name__
        write("%s %s %s\\n" % (name, kind, changed))
"""

_REQUEST = """
connection server next prev main the_request assbackwards proxyreq header_only protocol proto_num
hostname request_time status_line status method method_number allowed allowed_xmethods
allowed_methods sent_bodyct bytes_sent mtime chunked range clength remaining read_length read_body
read_chunked expecting_100 headers_in headers_out err_headers_out subprocess_env notes content_type
content_encoding content_languages handler vlist_validator user ap_auth_type no_cache no_local_copy
unparsed_uri uri filename canonical_filename path_info args finfo parsed_uri used_path_info eos_sent
useragent_addr useragent_ip interpreter _bytes_queued _request_rec _content_type_set phase extension
hlist
"""
_REQUEST_METHODS = """
add_common_vars add_cgi_vars add_handler add_input_filter add_output_filter register_input_filter
register_output_filter allow_methods auth_name auth_type construct_url discard_request_body
document_root get_basic_auth_pw get_addhandler_exts get_config get_options get_remote_host
internal_redirect is_https ssl_var_lookup log_error meets_conditions read readline readlines
register_cleanup send_http_header sendfile set_content_length set_etag set_last_modified
update_mtime write flush build_wsgi_env wsgi_start_response
"""

case(
    "walk-request",
    "objects.md 3.1.1 and 3.1.2: every attribute and method of a request",
    _WALK
    + f"""
def handler(req):
    lines = []
    walk(req, req, {_REQUEST!r}, lines.append)
    for name in {_REQUEST_METHODS!r}.split():
        lines.append("%s %s\\n" % (name, callable(getattr(req, name, None))))
    req.status = 200
    req.write("".join(lines))
    return apache.OK
""",
    get("/page.txt/info?args", find="connection mp_conn AttributeError\n"),
    post(b"body", "/page.txt", find="remaining int AttributeError\n"),
    files={"page.txt": "x"},
)

case(
    "walk-request-in-location",
    "objects.md 3.1.1: the same where nothing maps the URI to a file",
    _WALK
    + f"""
def handler(req):
    lines = []
    walk(req, req, {_REQUEST!r}, lines.append)
    req.status = 200
    req.write("".join(lines))
    return apache.OK
""",
    get("//case_walk_location/x", find="filename NoneType TypeError\n"),
    conf="",
    sections="""
        <Location /case_walk_location>
            SetHandler mod_python
            PythonHandler @mod@
            PythonPath "sys.path + ['@dir@']"
        </Location>
    """,
    vhost="",
)

case(
    "walk-connection",
    "objects.md 3.2: every attribute and method of a connection",
    _WALK
    + """
def handler(req):
    lines = []
    walk(req, req.connection, '''
        base_server local_addr client_addr client_ip remote_host remote_logname aborted keepalive
        double_reverse keepalives local_ip local_host id notes _conn_rec
    ''', lines.append)
    for name in "log_error read readline write".split():
        lines.append("%s %s\\n" % (name, callable(getattr(req.connection, name, None))))
    req.write("".join(lines))
    return apache.OK
""",
    get(find="keepalive int writable\n"),
)

case(
    "walk-server",
    "objects.md 3.3: every attribute and method of a server",
    _WALK
    + """
def handler(req):
    lines = []
    for server in (req.server, apache.main_server):
        walk(req, server, '''
            next defn_name defn_line_number server_admin server_hostname port error_fname loglevel
            is_virtual timeout keep_alive_timeout keep_alive_max keep_alive path pathlen names
            wild_names limit_req_line limit_req_fieldsize limit_req_fields my_generation
            restart_time _server_rec
        ''', lines.append)
        for name in "get_config get_options log_error register_cleanup".split():
            lines.append("%s %s\\n" % (name, callable(getattr(server, name, None))))
    req.write("".join(lines))
    return apache.OK
""",
    get(find="timeout float AttributeError\n"),
    vhost="",
)

case(
    "walk-others",
    "objects.md 3.4 to 3.6: tables, finfo, handler lists",
    _WALK
    + """
def handler(req):
    lines = []
    walk(req, req.finfo, '''
        protection inode device nlink user group size atime mtime ctime fname name filetype valid
    ''', lines.append)
    for name in '''get has_key setdefault add keys values items iterkeys itervalues iteritems
                   popitem clear copy update'''.split():
        lines.append("%s %s\\n" % (name, callable(getattr(req.headers_in, name, None))))
    walk(req, req.hlist, "handler silent is_location directory", lines.append)
    lines.append("next %s\\n" % callable(req.hlist.next))
    req.write("".join(lines))
    return apache.OK
""",
    get("/page.txt", find="protection int refused\n"),
    files={"page.txt": "x"},
    replace=[(r"\b(AttributeError|TypeError)\b", "refused")],
)

case(
    "walk-filter",
    "objects.md 3.7: every attribute and method of a filter",
    _WALK
    + """
kept = []

def outputfilter(filter):
    lines = []
    walk(filter.req, filter, "closed name is_input handler dir softspace", lines.append)
    lines.append("req %s\\n" % type(filter.req).__name__)
    for name in "read readline write flush close pass_on disable".split():
        lines.append("%s %s\\n" % (name, callable(getattr(filter, name, None))))
    while filter.read():
        pass
    kept.append("".join(lines))
    filter.write(kept[-1])
    filter.close()
""",
    get("/page.txt", find="softspace int writable\n"),
    conf="PythonOutputFilter @mod@ CASE_WALK\nSetOutputFilter CASE_WALK",
    files={"page.txt": "x"},
)
