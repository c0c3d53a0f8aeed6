"""Python beside other modules of httpd: rewriting, negotiation, SSI, compression, headers."""

import functools
import gzip

from compat.case import case as any_case
from compat.case import get, head, post

# None of this depends on the MPM.
case = functools.partial(any_case, mpms=("event",))

# What a request looks like to a handler.
SHOW = """
NAMES = ("method uri unparsed_uri filename path_info args status handler content_type user "
         "content_languages used_path_info clength remaining extension phase hlist").split()

def show(req):
    lines = ["%s=%r" % (name, getattr(req, name)) for name in NAMES]
    for name in ("prev", "main"):
        other = getattr(req, name)
        shown = other and (other.uri, other.args, other.status, other.method)
        lines.append("%s=%s" % (name, shown))
    env = sorted(req.subprocess_env.items())
    skip = ("PATH", "REMOTE_PORT", "SERVER_SOFTWARE")
    lines.append("env=%s" % [item for item in env if item[0] not in skip])
    return "\\n".join(lines)

def handler(req):
    req.content_type = "text/plain"
    req.write(show(req), 0)
    return apache.OK

def cgi(req):
    req.add_cgi_vars()
    return handler(req)
"""


def gets(text, **options):
    """A GET for each line of "path", or of "status path" where it is not 200."""
    requests = []
    for line in text.split():
        status, slash, path = line.partition("/")
        requests.append(get(slash + path, status=int(status or 200), **options))
    return requests


case(
    "directoryindex",
    "mod_dir: DirectoryIndex finds a Python page by a sub-request and redirects to it",
    SHOW,
    *gets("/ /?a=1 301/sub /sub/ /sub/?x=1 /static/ /other/ 404/other/more /page.py/more?x /no.py"),
    post(b"a=1", "/"),
    head("/"),
    conf="""
        AddHandler mod_python .py .foo
        PythonHandler @mod@ | .py
        PythonHandler @mod@::cgi | .foo
        DirectoryIndex nothing.html index.py index.html index.foo
    """,
    files={
        "index.py": "",
        "sub/index.py": "",
        "static/index.html": "<p>static</p>",
        "other/index.foo": "",
        "page.py": "",
    },
)

case(
    "directory-with-handler",
    "mod_dir: SetHandler for a whole directory, its files and what is below them",
    SHOW,
    *gets("301/sub /sub/ 301/sub?x=1 /sub/deep/er /file.txt /file.txt/below / /./sub/../x"),
    files={"sub/a.txt": "", "file.txt": "abc"},
)

case(
    "fallbackresource",
    "mod_dir: FallbackResource as the front controller",
    SHOW,
    *gets("/a/b /file.html /a?x=1"),
    post(b"q=1", "/zz"),
    conf="""
        AddHandler mod_python .py
        PythonHandler @mod@::cgi
        FallbackResource @url@/front.py
        DirectoryIndex disabled
    """,
    files={"front.py": "", "file.html": "static"},
)

case(
    "rewrite-htaccess",
    "mod_rewrite: .htaccess as the front controller, with flags",
    SHOW,
    *gets("/a/b?x=1&y=2 /file.html /none /env/zz?foo=bar /pt/a%20b /h/thing.txt /t/thing.txt"),
    *gets("302/redir/x 410/gone/x 403/forb/x /enc/a%2Bb%26c?d=e%20f /utf/%C3%A9 /co/x /plain"),
    post(b"a=1", "/a/b"),
    conf="""
        AddHandler mod_python .py
        PythonHandler @mod@::cgi
    """,
    htaccess="""
        RewriteEngine On
        RewriteBase @url@/
        RewriteRule ^redir/(.*)$ @url@/front.py?r=$1 [R=302,L,QSA]
        RewriteRule ^gone/ - [G]
        RewriteRule ^forb/ - [F]
        RewriteRule ^env/(.*)$ front.py/$1 [E=MYVAR:$1,L,NE]
        RewriteRule ^pt/(.*)$ @url@/front.py/pt/$1 [PT,L]
        RewriteRule ^h/(.*)$ $1 [H=mod_python,L]
        RewriteRule ^t/(.*)$ $1 [T=text/x-thing,L]
        RewriteRule ^co/ front.py [CO=name:val:localhost:0:/,L]
        RewriteRule ^plain$ file.html [L]
        RewriteCond %{REQUEST_FILENAME} !-f
        RewriteRule ^(.*)$ front.py/$1?path=$1 [QSA,L]
    """,
    files={"front.py": "", "file.html": "static", "thing.txt": "thing"},
)

case(
    "rewrite-server",
    "mod_rewrite: rules of a virtual host, into files and into a Location of ours",
    SHOW,
    *gets("/s/a?x=1 /pt/a/b?c /h/thing.txt /abs /loc/x?1 /ahead"),
    vhost="""
        RewriteEngine On
        RewriteRule ^@url@/s/(.*)$ @url@/front.py/$1 [QSA,PT]
        RewriteRule ^@url@/pt/(.*)$ @url@/front.py?p=$1 [PT,QSA]
        RewriteRule ^@url@/h/(.*)$ @dir@/$1 [H=mod_python,L]
        RewriteRule ^@url@/abs$ @dir@/front.py [L]
        RewriteRule ^@url@/loc/(.*)$ /ploc/$1 [PT]
        RewriteCond %{LA-F:REQUEST_FILENAME} ^(.*)$
        RewriteRule ^@url@/ahead$ @url@/front.py [PT,E=AHEAD:%1]
        <Location /ploc>
            SetHandler mod_python
            PythonPath "['@dir@']+sys.path"
            PythonHandler @mod@
        </Location>
    """,
    conf="""
        AddHandler mod_python .py
        PythonHandler @mod@::cgi
    """,
    files={"front.py": "", "thing.txt": "x"},
)

case(
    "rewrite-looks-ahead",
    "mod_rewrite: %{LA-U:REMOTE_USER} runs our authentication in a sub-request",
    """
    def authenhandler(req):
        # Without AuthType Basic httpd does not decode it for us.
        given = req.headers_in.get("Authorization", "")
        if given == "Basic am9lOnB3":
            req.user = "joe"
            return apache.OK
        return apache.HTTP_UNAUTHORIZED
    def handler(req):
        req.write("%s %s" % (req.user, req.args))
        return apache.OK
    """,
    get("/secret/x", auth=("joe", "pw"), body="joe None"),
    get("/secret/x", status=401),
    get("/la/x", auth=("joe", "pw"), body="joe u=joe"),
    get("/la/x", status=401),
    get("/la/x", auth=("joe", "no"), status=401),
    vhost="""
        RewriteEngine On
        RewriteCond %{LA-U:REMOTE_USER} ^(.*)$
        RewriteRule ^@url@/la/(.*)$ @url@/secret/$1?u=%1 [PT]
        <Directory @dir@/secret>
            AuthType Custom
            AuthName here
            Require valid-user
            PythonAuthenHandler @mod@
            PythonPath "['@dir@']+sys.path"
        </Directory>
    """,
    files={"secret/x": ""},
)

case(
    "alias-and-action",
    "mod_alias and mod_actions: Alias, AliasMatch, ScriptAlias, Redirect and Action to Python",
    SHOW,
    *gets(
        "/al/x?y /al/sub/y/z /am/12/zz /sa/script/pi 301/rd/x /x.foo /x.foo/pi?q 404/missing.foo"
    ),
    post(b"zz", "/x.foo"),
    vhost="""
        Alias @url@/al @dir@/real
        AliasMatch ^@url@/am/(\\d+)/(.*)$ @dir@/real/$1-$2
        ScriptAlias @url@/sa @dir@/real
        Redirect 301 @url@/rd http://example.org/rd
        Action foo-script @url@/front.py
        <Directory @dir@/real>
            SetHandler mod_python
            PythonHandler @mod@::cgi
            PythonPath "['@dir@']+sys.path"
        </Directory>
    """,
    conf="""
        AddHandler foo-script .foo
        AddHandler mod_python .py
        PythonHandler @mod@::cgi
    """,
    files={"real/sub/y": "y", "x.foo": "data", "front.py": ""},
)

case(
    "multiviews",
    "mod_negotiation: Python pages among the variants",
    SHOW,
    *gets("/page /page.html /both /script /script/pi?q=1 404/none"),
    get("/both", headers=[("Accept", "text/plain")]),
    get("/lang", headers=[("Accept-Language", "fr")]),
    get("/lang", headers=[("Accept-Language", "en")]),
    post(b"x", "/script"),
    conf="""
        Options +MultiViews
        AddHandler mod_python .py
        AddLanguage fr .fr
        AddLanguage en .en
        AddType application/x-python .py
        PythonHandler @mod@
    """,
    files={
        "page.html": "page",
        "both.txt": "t",
        "both.html": "h",
        "script.py": "",
        "lang.fr.py": "",
        "lang.en.py": "",
    },
    # The validator of the list of variants has the time of the directory.
    replace=[(r'^(W/)?"[0-9a-f-]+;.*', "ETAG")],
)

case(
    "ssi-from-python",
    "mod_include: Python writes a page with tags, and is included by it",
    """
    def handler(req):
        req.content_type = "text/html"
        req.subprocess_env["FROMPY"] = "pyvalue"
        req.write('<!--#echo var="FROMPY" -->|<!--#set var="x" value="1" --><!--#echo var="x" -->|')
        req.write('<!--#include virtual="@url@/inc.py?a=1" -->|')
        req.write('<!--#include file="static.html" -->')
        return apache.OK
    def inc(req):
        req.headers_out["X-Inc"] = "sub"
        req.content_type = "text/x-sub"
        req.write("[%s %s %s %s %s]" % (req.args, req.main.uri, req.main.content_type,
                                      req.headers_in.get("X-Test"), req.method))
        return apache.OK
    """,
    get("/x.pyhtml", headers=[("X-Test", "1")], find=r"^pyvalue\|1\|\[a=1 .* 1 GET\]\|STATIC$"),
    head("/x.pyhtml"),
    post(b"a=1", "/x.pyhtml"),
    get("/page.shtml?zz"),
    conf="""
        Options +Includes
        AddOutputFilter INCLUDES .pyhtml .shtml
        AddHandler mod_python .py .pyhtml
        PythonHandler @mod@ | .pyhtml
        PythonHandler @mod@::inc | .py
    """,
    files={
        "static.html": "STATIC",
        "x.pyhtml": "",
        "inc.py": "",
        "page.shtml": '<!--#include virtual="inc.py?q=2" --> <!--#python eval="filter.req.args" -->'
        '<!--#echo var="QUERY_STRING_UNESCAPED" -->',
    },
)

case(
    "deflate",
    "mod_deflate: Python's answers compressed, a body inflated for Python",
    """
    def handler(req):
        if req.method == "POST":
            body = req.read() if req.args is None else b"|".join(req.readlines())
            req.write("%d %r" % (len(body), body))
            return apache.OK
        req.content_type = "text/html"
        if req.args == "etag":
            req.headers_out["ETag"] = '"abc"'
        elif req.args == "length":
            req.set_content_length(3000)
        elif req.args == "coded":
            req.headers_out["Content-Encoding"] = "identity"
        elif req.args == "none":
            req.subprocess_env["no-gzip"] = "1"
        elif req.args == "vary":
            req.headers_out["Vary"] = "Cookie"
        for _ in range(3):
            req.write("a" * 1000, req.args == "flush")
        return apache.OK
    """,
    *gets("/ /?etag /?length /?coded /?none /?vary /?flush", headers=[("Accept-Encoding", "gzip")]),
    get("/?etag"),
    head("/?etag", headers=[("Accept-Encoding", "gzip")]),
    get("/", headers=[("Accept-Encoding", "gzip")], version="HTTP/1.0"),
    *[
        post(gzip.compress(text, mtime=0), path, headers=[("Content-Encoding", "gzip")])
        for text, path in ((b"hello world", "/"), (b"a\nb\nc\n", "/?lines"))
    ],
    conf="""
        SetOutputFilter DEFLATE
        SetInputFilter DEFLATE
        SetHandler mod_python
        PythonHandler @mod@
    """,
)

case(
    "headers-and-setenvif",
    "mod_headers, mod_setenvif, mod_env: what they and Python set for each other",
    """
    def handler(req):
        req.content_type = "text/plain"
        req.headers_out["X-One"] = "py"
        req.headers_out.add("X-Multi", "1")
        req.headers_out.add("X-Multi", "2")
        req.err_headers_out["X-Err"] = "py"
        req.headers_out["Set-Cookie"] = "a=1"
        req.err_headers_out.add("Set-Cookie", "c=3")
        req.write("%s %s" % (req.headers_in.get("X-Req"), req.subprocess_env.get("SETIF")), 0)
        return int(req.args or 0)
    """,
    *gets("/ 404/?404 304/?304 500/?500 302/?302"),
    get("/", headers=[("X-Req", "client"), ("User-Agent", "Moz")]),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        Header set X-One conf
        Header append X-Multi conf
        Header always set X-Err conf
        Header edit Set-Cookie ^a=1 a=9
        Header always add X-Status expr=%{REQUEST_STATUS}
        Header merge X-Env "%{MYENV}e"
        RequestHeader set X-Req conf
        RequestHeader append X-Req more
        SetEnvIf User-Agent Moz SETIF=moz
        SetEnv MYENV me
    """,
)

case(
    "autoindex",
    "mod_autoindex: its sub-requests run our phases, which hide and describe files",
    """
    def accesshandler(req):
        return apache.HTTP_FORBIDDEN if req.filename.endswith("secret.txt") else apache.OK
    def fixuphandler(req):
        if req.main:
            req.main.headers_out.add("X-Sub", "%s %s" % (req.uri, req.finfo.filetype))
        return apache.OK
    """,
    *gets("/ /?C=N;O=D 403/secret.txt"),
    conf="""
        Options +Indexes
        IndexOptions FancyIndexing
        PythonAccessHandler @mod@
        PythonFixupHandler @mod@
    """,
    files={"a.txt": "a", "secret.txt": "s", "b.foo": "b", "d/x": ""},
    # The directory's time, and that of the handler's compiled file.
    replace=[(r"\d{4}-\d\d-\d\d \d\d:\d\d", "TIME")],
)
