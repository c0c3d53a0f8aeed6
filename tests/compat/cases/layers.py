"""Sections inside and upon each other, hosts and handler names: what is in force where."""

import functools

from compat.case import case as any_case
from compat.case import get, raw

# None of this depends on the MPM.
case = functools.partial(any_case, mpms=("event",))

SHOW = """
def handler(req):
    req.write("%s\\n%s\\n%s\\n%s\\n%s\\n%s\\n" % (
        req.interpreter, sorted(req.get_config().items()), sorted(req.get_options().items()),
        req.hlist, (req.filename, req.path_info, req.extension),
        sorted(req.server.get_options().items())), 0)
    return apache.OK
h1 = h2 = h3 = h4 = handler
def first(req):
    req.write("first ", 0)
    return apache.OK
"""
PATH = "PythonPath \"['@dir@']+sys.path\""

case(
    "layers",
    "directives.md 1.3: a virtual host, Directory, Location, Files, If and .htaccess at once",
    SHOW,
    *[
        get(f"/{path}")
        for path in """x.txt sub/x.txt sub/deep/x.txt sub/deep/y.foo sub/deep/z.bar
            sub/deep/none.off loc/x.txt loc/in/x.txt lm/12 sub/deep/ sub/own/x""".split()
    ],
    get("/sub/x.txt", headers=[("X-If", "1")]),
    vhost=f"""
        {PATH}
        PythonOption server 1
        PythonOption Case a
        PythonInterpreter vhostint
        <Location @url@/loc>
            SetHandler mod_python
            PythonHandler @mod@::h1
            PythonOption loc 1
            PythonOption server
        </Location>
        <Location @url@/loc/in>
            PythonOption locin 1
            PythonInterpreter locin
        </Location>
        <LocationMatch "^@url@/lm/[0-9]+">
            SetHandler mod_python
            PythonHandler @mod@::h2
            PythonOption lm 1
        </LocationMatch>
    """,
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonOption dir 1
        PythonOption CASE b
        <If "%{HTTP:X-If} == '1'">
            PythonOption if 1
            PythonHandler @mod@::first @mod@::h4
        </If>
    """,
    sections="""
        <Directory @dir@/sub>
            PythonOption sub 1
            PythonOption dir sub
            PythonInterpreter subint
            <Files "*.foo">
                PythonHandler @mod@::h3
                PythonOption files 1
            </Files>
        </Directory>
        <Directory @dir@/sub/deep>
            PythonInterpreter deepint
            PythonDebug On
            PythonHandler @mod@::h2 | .bar
            <Files "*.off">
                SetHandler none
            </Files>
        </Directory>
    """,
    files={
        "sub/.htaccess": "PythonOption ht 1\nPythonOption sub2 ''\n",
        "sub/deep/.htaccess": """\
            PythonOption ht 2
            PythonHandler @mod@::first @mod@::h1
            PythonAutoReload Off
            <Files y.foo>
                PythonOption htfiles 1
            </Files>
        """,
        "sub/own/.htaccess": "PythonHandler @mod@::h1",
        "loc/.htaccess": "PythonOption htloc 1\n",
        **{
            name: name
            for name in """x.txt sub/x.txt sub/deep/x.txt sub/deep/y.foo sub/deep/z.bar
                sub/deep/none.off loc/x.txt sub/own/x""".split()
        },
    },
)

case(
    "layers-of-handlers",
    "directives.md 1.14: who handles a file: SetHandler, AddHandler, RemoveHandler, If, ForceType",
    SHOW,
    *[
        get(f"/{path}")
        for path in """none/x.txt rm/x.py expr/x.txt?py expr/x.txt pp/x.foo ft/x.txt nohandler/x.txt
            two.py.txt two.txt.py UP.PY both/x.psp both/x.py default/x.txt""".split()
    ],
    conf="""
        AddHandler mod_python .py
        PythonHandler @mod@
    """,
    sections="".join(
        f"<Directory @dir@/{name}>\n{text}\n</Directory>\n"
        for name, text in {
            "none": "SetHandler none",
            "rm": "RemoveHandler .py",
            "expr": "<If \"%{QUERY_STRING} == 'py'\">\nSetHandler mod_python\n</If>",
            "pp": "AddHandler python-program .foo",
            "ft": "ForceType text/x-f\nSetHandler mod_python",
            "nohandler": "SetHandler mod_python\nPythonHandler",
            "both": "SetHandler mod_python\nPythonHandler mod_python.psp | .psp",
            "default": "SetHandler default-handler",
        }.items()
    ),
    files={
        "both/x.psp": "<%= 1 %>",
        **{
            name: name
            for name in """none/x.txt rm/x.py expr/x.txt pp/x.foo ft/x.txt nohandler/x.txt
                two.py.txt two.txt.py UP.PY both/x.py default/x.txt""".split()
        },
    },
)

case(
    "layers-whole-host",
    "directives.md 1.15: a host that is Python from its root, with static parts",
    """
    def handler(req):
        req.write("%s %s %s" % (req.filename, req.uri, req.path_info))
        return apache.OK
    """,
    *[get("/" + path) for path in ("/", "a", "/static/x", "/up.txt")],
    get("/media/x.txt", status=404),
    get("//media/x.txt", body="media"),
    vhost=f"""
        Alias /media @dir@/media
        <Location />
            SetHandler mod_python
            PythonHandler @mod@
            {PATH}
        </Location>
        <Location /media>
            SetHandler none
        </Location>
        <Location @url@/media>
            SetHandler none
        </Location>
    """,
    conf="",
    files={"media/x.txt": "media"},
)

case(
    "layers-host-names",
    "objects.md 3.3: ServerAlias, ports, UseCanonicalName and what a request sees of them",
    """
    def handler(req):
        s = req.server
        req.write("%s\\n" % ((req.hostname, s.server_hostname, s.names, s.wild_names, s.is_virtual,
                              s.port, req.interpreter, req.construct_url("/z"), s.path),), 0)
        options = s.get_options(), req.get_options()
        req.write("%s %s\\n" % tuple(sorted(table.items()) for table in options), 0)
        req.add_common_vars()
        req.write("%s" % [(k, req.subprocess_env.get(k)) for k in (
            "SERVER_NAME", "SERVER_PORT", "HTTP_HOST", "SERVER_ADMIN", "DOCUMENT_ROOT",
            "SCRIPT_FILENAME", "REQUEST_SCHEME", "CONTEXT_PREFIX")], 0)
        return apache.OK
    """,
    *[
        raw(b"GET @url@/x?1 HTTP/1.1\r\nHost: %s\r\n\r\n" % host)
        for host in (
            b"layers-host-names.test",
            b"alias.example",
            b"foo.wild.example",
            b"LAYERS-host-names.TEST:8080",
            b"alias.example:99",
        )
    ],
    vhost="""
        ServerAlias alias.example *.wild.example
        UseCanonicalName Off
        PythonOption vhost 1
        PythonOption both v
        ServerAdmin v@x
    """,
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonOption dir 1
        PythonOption both d
    """,
)
