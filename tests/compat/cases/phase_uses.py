"""What sites use phases for: translating URLs, deciding on access, writing logs."""

from compat.case import case, get, head, post

PATH = "PythonPath \"['@dir@']+sys.path\""

case(
    "phase-translation",
    "phases.md 2.4: what a PythonTransHandler can do with a URL",
    """
    def transhandler(req):
        if not req.uri.startswith("@url@/"):
            return apache.DECLINED
        way = req.uri.split("/")[2]
        if way == "file":
            req.filename = "@dir@/page.html"
        elif way == "nofile":
            req.filename = "@dir@/nope.html"
        elif way == "directory":
            req.filename = "@dir@"
        elif way == "python":
            req.filename = "@dir@/dump/zz"
            req.path_info = "/from/trans"
        elif way == "below":
            req.filename = "@dir@/dump/zz/yy"
        elif way == "handler":
            req.handler = "mod_python"
            req.add_handler("PythonHandler", "@mod@", "@dir@")
            req.filename = "@dir@/page.html"
        elif way == "finfo":
            req.filename = "@dir@/page.html"
            req.finfo = apache.stat(req.filename, apache.APR_FINFO_MIN)
        elif way == "redirect":
            req.headers_out["Location"] = "/z"
            return 302
        elif way == "internal":
            req.internal_redirect("@url@/page.html")
            return apache.DONE
        elif way == "write":
            req.write("from trans")
            return apache.DONE
        elif way != "nothing":
            if way == "uri":
                req.uri = "@url@/page.html"
            elif way == "query":
                req.uri, req.args = "@url@/dump/x", "changed=1"
            elif way == "type":
                req.content_type = "text/x-trans"
            return apache.DECLINED
        return apache.OK
    def handler(req):
        req.write("%s %s %s %s" % (req.uri, req.filename, req.path_info, req.args), 0)
        return apache.OK
    """,
    *[
        get(f"/{way}/x?q=1")
        for way in "file uri query python below handler internal write finfo".split()
    ],
    *[get(f"/{way}/x?q=1", status=404) for way in "nofile nothing type other".split()],
    get("/directory/x?q=1", status=301),
    get("/redirect/x?q=1", status=302),
    head("/file/x"),
    post(b"x=1", "/query/x"),
    vhost=f"""
        PythonTransHandler @mod@
        {PATH}
    """,
    conf="",
    sections="""
        <Directory @dir@/dump>
            SetHandler mod_python
            PythonHandler @mod@
        </Directory>
    """,
    files={"page.html": "page", "dump/q": ""},
)

case(
    "phase-access",
    "phases.md 2.11: Limit, LimitExcept, Satisfy and Require around our phases",
    """
    def authenhandler(req):
        given = req.headers_in.get("Authorization")
        if given in ("joe", "jim"):
            req.user = given
            return apache.OK
        return apache.HTTP_UNAUTHORIZED
    def accesshandler(req):
        return apache.HTTP_FORBIDDEN if req.args == "deny" else apache.OK
    def environment(req):
        req.subprocess_env["LET"] = "1"
        return apache.OK
    def handler(req):
        req.write("ok %s %s" % (req.user, req.method))
        return apache.OK
    """,
    get("/limit/x"),
    post(b"", "/limit/x", status=401),
    post(b"", "/limit/x", headers=[("Authorization", "joe")]),
    get("/except/x"),
    post(b"", "/except/x", status=401),
    get("/any/x"),
    get("/any/x?deny", status=401),
    get("/any/x?deny", headers=[("Authorization", "joe")]),
    get("/order/x", status=401),
    get("/order/x", headers=[("Authorization", "joe")]),
    get("/either/x", status=401),
    get("/either/x", headers=[("Authorization", "joe")]),
    get("/user/x", headers=[("Authorization", "joe")]),
    get("/user/x", headers=[("Authorization", "jim")], status=401),
    get("/method/x"),
    post(b"", "/method/x", status=403),
    get("/env/x"),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonAuthenHandler @mod@
        PythonAccessHandler @mod@
        AuthType Custom
        AuthName x
    """,
    sections="".join(
        f"<Directory @dir@/{name}>\n{text}\n</Directory>\n"
        for name, text in {
            "limit": "<Limit POST>\nRequire valid-user\n</Limit>",
            "except": "<LimitExcept GET>\nRequire valid-user\n</LimitExcept>",
            "any": "Satisfy Any\nRequire valid-user",
            "order": "Satisfy Any\nOrder deny,allow\nDeny from all\nRequire valid-user",
            "either": "<RequireAny>\nRequire ip 10.0.0.1\nRequire valid-user\n</RequireAny>",
            "user": "Require user joe",
            "method": "Require method GET",
            "env": "PythonHeaderParserHandler @mod@::environment\nRequire env LET",
        }.items()
    ),
    files={f"{name}/x": "" for name in "limit except any order either user method env".split()},
    log="error",
)

case(
    "phase-custom-log",
    "mod_log_config: a custom log sees what Python set: user, notes, environment, headers, sizes",
    """
    def handler(req):
        if req.args == "show":
            with open("@root@/logs/custom.log") as log:
                req.write(log.read(), 0)
            return apache.OK
        req.notes["n"] = 'note"q'
        req.subprocess_env["e"] = "env"
        req.headers_out["X-O"] = "out"
        req.err_headers_out["X-E"] = "err"
        req.user = "us er"
        req.write("x" * 10, 0)
        if req.args == "status":
            req.status = 404
        return int(req.args) if req.args and req.args.isdigit() else apache.OK
    def loghandler(req):
        req.notes["l"] = "%s %s %s" % (req.bytes_sent, req.status, req.sent_bodyct)
        return apache.OK
    """,
    get("/a"),
    get("/a?404", status=404),
    get("/a?status", status=404),
    head("/a"),
    get("/a?500", status=500),
    post(b"abc", "/a"),
    get("/a?show"),
    vhost=f"""
        CustomLog @root@/logs/custom.log "%u %{{n}}n %{{e}}e %{{X-O}}o %{{X-E}}o %>s %s \
%b %B %f %R %U%q %m %H %{{l}}n %X %k %{{Content-Type}}o %l"
        PythonLogHandler @mod@
        {PATH}
    """,
)
