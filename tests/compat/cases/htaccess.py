"""Directives in .htaccess: directives.md 1.1 (OR_ALL and what is not allowed)."""

from compat.case import case, get

case(
    "htaccess-all",
    "directives.md 1.1: the OR_ALL directives need any one AllowOverride class",
    """
    def handler(req):
        req.write("%s %r %r" % (req.interpreter, sorted(req.get_config().items()),
                                sorted(req.get_options().items())))
        return apache.OK

    def fixuphandler(req):
        return apache.OK

    headerparserhandler = accesshandler = loghandler = cleanuphandler = fixuphandler
    """,
    get("/ht/x", find="^named .*'PythonAutoReload', '0'"),
    conf="AllowOverride Indexes\nSetHandler mod_python\nPythonHandler @mod@",
    files={
        "ht/x": "",
        "ht/.htaccess": """\
            PythonHeaderParserHandler @mod@
            PythonInitHandler @mod@::fixuphandler
            PythonAccessHandler @mod@
            PythonAuthenHandler @mod@
            PythonAuthzHandler @mod@
            PythonTypeHandler @mod@::fixuphandler
            PythonFixupHandler @mod@
            PythonHandler @mod@
            PythonLogHandler @mod@
            PythonCleanupHandler @mod@
            PythonPath "['@dir@'] + sys.path"
            PythonOption a b
            PythonAutoReload Off
            PythonDebug On
            PythonEnablePdb Off
            PythonInterpreter named
            PythonInterpPerDirectory Off
            PythonInterpPerDirective Off
        """,
    },
)

case(
    "htaccess-no-override",
    "directives.md 1.1: AllowOverride None ignores them all",
    """
    def handler(req):
        req.write("%r" % sorted(req.get_options().items()))
        return apache.OK
    """,
    get("/ht/x", body="[]"),
    conf="AllowOverride None\nSetHandler mod_python\nPythonHandler @mod@",
    files={"ht/x": "", "ht/.htaccess": "PythonOption a b\n"},
)

for _directive in (
    "PythonPostReadRequestHandler a",
    "PythonTransHandler a",
    "PythonConnectionHandler a",
    "PythonImport a b",
    "PythonOptimize On",
    "PythonInputFilter a b",
    "PythonOutputFilter a b",
):
    case(
        f"htaccess-refused-{_directive.split()[0].lower()}",
        "directives.md 1.1: not allowed in .htaccess",
        None,
        get("/x", status=500),
        conf="SetHandler mod_python",
        htaccess=_directive + "\n",
        log="error",
    )

case(
    "htaccess-handlers-list",
    "directives.md 1.2: several lines in one .htaccess concatenate, an inner one replaces",
    """
    def say(text):
        def handler(req):
            req.write(text + " ")
            return apache.OK
        return handler

    one, two, three = say("one"), say("two"), say("three")
    """,
    get("/x", body="one two three "),
    get("/in/x", body="three "),
    conf="SetHandler mod_python",
    htaccess="PythonHandler @mod@::one @mod@::two\nPythonHandler @mod@::three\n",
    files={
        "in/x": "",
        "in/.htaccess": "PythonHandler @mod@::three\nPythonPath \"sys.path + ['@dir@']\"\n",
    },
)
