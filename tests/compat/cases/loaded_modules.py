"""Python beside httpd's modules that not every site loads: proxy, DAV, sessions, caches."""

from compat.case import Request as R
from compat.case import case, get, head, post, raw

JOE = [("Authorization", "joe")]

case(
    "loaded-modules",
    "mod_proxy, mod_dav, mod_session, mod_expires, mod_cache, mod_remoteip, mod_macro, mod_ssl",
    """
    CALLS = []

    def handler(req):
        body = req.read()
        req.content_type = "text/plain"
        if req.uri.startswith("@url@/cached"):
            CALLS.append(1)
            req.headers_out["Cache-Control"] = "max-age=60"
            req.headers_out["ETag"] = '"e"'
            if req.meets_conditions():
                return req.meets_conditions()
            req.write("call %d" % len(CALLS), 0)
            return apache.OK
        if req.uri.startswith("@url@/session"):
            req.headers_out["X-Session"] = "key=val"
        given = [(k, req.headers_in[k]) for k in ("X-Forwarded-Host", "Content-Length", "X-Added")
                 if k in req.headers_in]
        req.write("%s %s %s %s %r %s %s %s %s %s" % (
            req.method, req.uri, req.args, req.user, body, given, req.useragent_ip,
            req.connection.client_ip, req.subprocess_env.get("HTTP_SESSION"),
            req.get_options().items()), 0)
        names = "HTTPS", "SSL_PROTOCOL", "SSL_CLIENT_S_DN", "NO_SUCH"
        req.write("\\n%s %s" % (req.is_https(), [req.ssl_var_lookup(name) for name in names]), 0)
        return apache.OK

    def fixuphandler(req):
        req.subprocess_env["FROM_PY"] = "1"
        req.headers_in["X-Added"] = "py"
        if req.uri.endswith("/to-proxy"):
            req.proxyreq = apache.PROXYREQ_REVERSE
            req.filename = "proxy:http://127.0.0.1:%d@url@/py/fixed?%s" % (
                req.connection.local_addr[1], req.args)
            req.handler = "proxy-server"
        return apache.OK

    def transhandler(req):
        if req.uri == "@url@/from-trans":
            req.proxyreq = apache.PROXYREQ_REVERSE
            req.filename = "proxy:http://127.0.0.1:%d@url@/py/trans" % req.connection.local_addr[1]
            req.handler = "proxy-server"
            return apache.OK
        return apache.DECLINED

    def authenhandler(req):
        req.user = req.headers_in.get("Authorization", "")
        return apache.OK if req.user else apache.HTTP_UNAUTHORIZED

    def authzhandler(req):
        return apache.HTTP_FORBIDDEN if req.method == "DELETE" else apache.OK
    """,
    get("/px/a/b?c=d"),
    post(b"a=1", "/px/post"),
    head("/px/head"),
    get("/py/to-proxy?qq"),
    get("/from-trans?y"),
    get("/px-auth/x", status=401),
    get("/px-auth/x", headers=JOE),
    get("/rewritten/x?1"),
    raw(b"GET http://localhost:@port@@url@/py/abs HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    get("/dav/", status=401),
    R("/dav/new.txt", "PUT", payload=b"data", headers=JOE, status=201),
    get("/dav/new.txt", headers=JOE, body="data"),
    R("/dav/new.txt", "DELETE", headers=JOE, status=403),
    R("/dav/", "OPTIONS", headers=JOE),
    R("/dav/", "PROPFIND", headers=[*JOE, ("Depth", "0")], payload=b"<bad", status=400),
    get("/session/x"),
    get("/session/x", headers=[("Cookie", "session=key=val")]),
    get("/expires/x"),
    get("/cached/a", body="call 1"),
    get("/cached/a", body="call 1"),
    get("/cached/a", headers=[("If-None-Match", '"e"')], status=304),
    get("/cached/a", headers=[("Range", "bytes=0-0")], status=206),
    get("/cached/a", headers=[("Cache-Control", "no-cache")], body="call 2"),
    get("/py/x", headers=[("X-Forwarded-For", "1.2.3.4, 5.6.7.8")]),
    get("/macro/x"),
    server="""
        PythonPath "['@dir@']+sys.path"
        PythonTransHandler @mod@
        ProxyPass @url@/px http://127.0.0.1:@port@@url@/py
        ProxyPass @url@/px-auth http://127.0.0.1:@port@@url@/py
        RewriteEngine On
        RewriteRule ^@url@/rewritten/(.*)$ http://127.0.0.1:@port@@url@/py/$1 [P]
        DavLockDB @root@/tmp/locks
        Alias @url@/dav @root@/tmp
        CacheSocache shmcb
        CacheEnable socache @url@/cached
        RemoteIPHeader X-Forwarded-For
        RemoteIPInternalProxy 127.0.0.1
        <Location @url@/px-auth>
            AuthType Custom
            AuthName x
            Require valid-user
            PythonAuthenHandler @mod@
        </Location>
        <Macro Site $name>
            <Directory @dir@/$name>
                PythonOption macro $name
                PythonFixupHandler @mod@
            </Directory>
        </Macro>
        Use Site macro
        Use Site py
    """,
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
    """,
    sections="""
        <Directory @root@/tmp>
            Dav On
            AuthType Custom
            AuthName x
            Require valid-user
            PythonAuthenHandler @mod@
            PythonAuthzHandler @mod@
        </Directory>
        <Directory @dir@/session>
            Session On
            SessionEnv On
            SessionCookieName session path=/
            SessionHeader X-Session
        </Directory>
        <Directory @dir@/expires>
            ExpiresActive On
            ExpiresDefault "access plus 0 seconds"
        </Directory>
    """,
    files={
        **{f"{name}/.exists": "" for name in "py session expires cached macro".split()},
    },
    site={
        "modules": (
            "proxy proxy_http slotmem_shm dav dav_fs session session_cookie expires cache "
            "cache_socache socache_shmcb remoteip macro ssl"
        ).split()
    },
    replace=[
        (r"^\w{3}, \d\d \w{3} \d{4} .*", "DATE"),
        (r"expiry=\d+", "expiry"),
        (r'^(W/)?"4-.*', "ETAG"),
    ],
    log="error",
    mpms=("event",),
)
