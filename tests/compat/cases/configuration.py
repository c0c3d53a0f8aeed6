"""Directives, their merging, options and interpreter names: directives.md."""

from compat.case import case, get, transcript

_SHOW_OPTIONS = """
def handler(req):
    options = req.get_options()
    server = req.server.get_options()
    req.write("%r %r" % (sorted(options.items()), sorted(server.items())))
    return apache.OK
"""

case(
    "options-merge",
    "directives.md 1.3: options of inner sections win, empty ones unset, keys ignore case",
    _SHOW_OPTIONS,
    get("/x", body="[('a', 'server'), ('b', 'dir')] [('a', 'server'), ('b', 'server')]"),
    get("/in/x", body="[('a', 'server'), ('b', 'in')] [('a', 'server'), ('b', 'server')]"),
    get("/ht/x", body="[('a', 'ht'), ('c', 'ht')] [('a', 'server'), ('b', 'server')]"),
    vhost="PythonOption a server\nPythonOption b server",
    conf="SetHandler mod_python\nPythonHandler @mod@\nPythonOption b dir",
    sections="""
        <Directory @dir@/in>
            PythonOption B in
        </Directory>
    """,
    files={
        "in/x": "",
        "ht/x": "",
        "ht/.htaccess": "PythonOption a ht\nPythonOption c ht\nPythonOption b\n",
    },
)

case(
    "options-replace-in-section",
    "directives.md 1.13: a later setting of the same key replaces the earlier",
    _SHOW_OPTIONS,
    get(find=r"^\[\('key', '2'\)\] "),
    conf="SetHandler mod_python\nPythonHandler @mod@\nPythonOption key 1\nPythonOption KEY 2",
)

case(
    "config-merge",
    "directives.md 1.3: simple directives are overlaid key by key",
    """
    def handler(req):
        req.write("%r %r" % (sorted(req.get_config().items()),
                             sorted(req.server.get_config().items())))
        return apache.OK
    """,
    get(
        "/x",
        body="[('PythonAutoReload', '0'), ('PythonDebug', '1')] "
        "[('PythonAutoReload', '0'), ('PythonDebug', '0')]",
    ),
    get(
        "/in/x",
        body="[('PythonAutoReload', '1'), ('PythonDebug', '1'), ('PythonPath', 'sys.path')] "
        "[('PythonAutoReload', '0'), ('PythonDebug', '0')]",
    ),
    vhost="PythonDebug Off\nPythonAutoReload Off",
    conf="SetHandler mod_python\nPythonHandler @mod@\nPythonDebug On",
    sections="""
        <Directory @dir@/in>
            PythonAutoReload On
            PythonPath "sys.path"
        </Directory>
    """,
    files={"in/x": ""},
)

case(
    "handlers-merge",
    "directives.md 1.3: an inner section replaces the whole list of that key, keeps the others",
    """
    def say(text):
        def handler(req):
            req.write(text + " ")
            return apache.OK
        return handler

    outer, inner, py, fix = say("outer"), say("inner"), say("py"), say("fix")
    """,
    get("/x", body="outer outer "),
    get("/in/x", body="inner "),
    get("/in/x.py", body="py "),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@::outer @mod@::outer
        PythonHandler @mod@::py | .py
    """,
    sections="""
        <Directory @dir@/in>
            PythonHandler @mod@::inner
        </Directory>
    """,
    files={"in/x": ""},
)

_PLACE = """
def handler(req):
    hlist = req.hlist
    req.write("%r %r %r" % (hlist.directory, hlist.is_location, req.filename))
    return apache.OK
"""

case(
    "place-htaccess",
    "directives.md 1.2: in .htaccess the directory is the file's own, with its slash",
    _PLACE,
    get("/sub/x", body="'@root@/htdocs/place-htaccess/' 0 '@root@/htdocs/place-htaccess/sub/x'"),
    conf="",
    htaccess="SetHandler mod_python\nPythonHandler @mod@\n",
    files={"sub/x": ""},
)

case(
    "place-files",
    "directives.md 1.2: <Files> inside <Directory> gives the directory",
    _PLACE,
    get("/x.mp", body="'@root@/htdocs/place-files/' 0 '@root@/htdocs/place-files/x.mp'"),
    get("/x.txt", status=404),
    conf="""
        <Files *.mp>
            SetHandler mod_python
            PythonHandler @mod@
        </Files>
    """,
)

case(
    "place-filesmatch-if",
    "directives.md 1.2: <FilesMatch> and <If> are looked through",
    _PLACE,
    get("/x.mp", find="^'@root@/htdocs/place-filesmatch-if/' 0"),
    get("/x.if", find="^'@root@/htdocs/place-filesmatch-if/' 0"),
    conf="""
        <FilesMatch "\\.mp$">
            SetHandler mod_python
            PythonHandler @mod@
        </FilesMatch>
        <If "%{REQUEST_URI} =~ /\\.if$/">
            SetHandler mod_python
            PythonHandler @mod@
        </If>
    """,
)

case(
    "place-location",
    "directives.md 1.2 and 1.15: a Location gives its text; nothing is mapped to a file",
    """
    def handler(req):
        hlist = req.hlist
        req.write("%r %r %r %r %r %r" % (hlist.directory, hlist.is_location, req.filename,
                  req.path_info, req.extension, req.finfo.fname))
        return apache.OK
    """,
    get("//case_place_location/sub?x", body="'/case_place_location' 1 None None None None"),
    conf="",
    sections="""
        <Location /case_place_location>
            SetHandler mod_python
            PythonHandler @mod@
            PythonPath "sys.path + ['@dir@']"
        </Location>
    """,
    vhost="",
)

case(
    "place-locationmatch",
    "directives.md 1.2: a LocationMatch gives its pattern",
    """
    def handler(req):
        req.write("%r %r" % (req.hlist.directory, req.hlist.is_location))
        return apache.OK
    """,
    get("//case_place_lm/7/x", body="'^/case_place_lm/[0-9]' 1"),
    get("//case_place_tilde/x", body="'^/case_place_tilde' 1"),
    conf="",
    sections="""
        <LocationMatch ^/case_place_lm/[0-9]>
            SetHandler mod_python
            PythonHandler @mod@
            PythonPath "sys.path + ['@dir@']"
        </LocationMatch>
        <Location ~ ^/case_place_tilde>
            SetHandler mod_python
            PythonHandler @mod@
            PythonPath "sys.path + ['@dir@']"
        </Location>
    """,
    vhost="",
)

case(
    "place-directory-glob",
    "directives.md 1.2: a pattern is replaced by the directory that matches it",
    _PLACE,
    get("/one/sub/x", find="^'@root@/htdocs/place-directory-glob/' 0"),
    get("/two/sub/x", find="^'@root@/htdocs/place-directory-glob/two/' 0"),
    conf="",
    sections="""
        <Directory @dir@/*>
            SetHandler mod_python
            PythonHandler @mod@
            PythonPath "sys.path + ['@dir@']"
        </Directory>
        <Directory @dir@/t[a-z]?>
            PythonHandler @mod@
        </Directory>
    """,
    files={"one/sub/x": "", "two/sub/x": ""},
    vhost="",
)

case(
    "place-directorymatch",
    "directives.md 1.2: the same for regular expressions",
    _PLACE,
    get("/a1/sub/x", find="^'@root@/htdocs/place-directorymatch/a1/' 0"),
    get("/b2/x", find="^'@root@/htdocs/place-directorymatch/b2/' 0"),
    conf="",
    sections="""
        <DirectoryMatch "^@dir@/a[0-9]">
            SetHandler mod_python
            PythonHandler @mod@
            PythonPath "sys.path + ['@dir@']"
        </DirectoryMatch>
        <Directory ~ "^@dir@/b[0-9]">
            SetHandler mod_python
            PythonHandler @mod@
            PythonPath "sys.path + ['@dir@']"
        </Directory>
    """,
    files={"a1/sub/x": "", "b2/x": ""},
    vhost="",
)

case(
    "place-server",
    "directives.md 1.2: at server level there is no directory",
    """
    def handler(req):
        req.write("%r %r %r" % (req.hlist.directory, req.hlist.is_location, req.hlist.silent))
        return apache.OK
    """,
    get("/x", body="None 0 0"),
    conf="SetHandler mod_python",
    vhost="PythonHandler @mod@\nPythonPath \"sys.path + ['@dir@']\"",
)

_INTERPRETER = """
def handler(req):
    req.write("%s %s" % (req.interpreter, apache.interpreter == req.interpreter))
    return apache.OK
"""

case(
    "interpreter-servername",
    "directives.md 1.9: by default the ServerName",
    _INTERPRETER,
    get(body="interpreter-servername.test True"),
    vhost="",
)

case(
    "interpreter-named",
    "directives.md 1.9: PythonInterpreter names it",
    _INTERPRETER,
    get(body="some other name True"),
    conf='SetHandler mod_python\nPythonHandler @mod@\nPythonInterpreter "some other name"',
)

case(
    "interpreter-main",
    "directives.md 1.9: main_interpreter may be asked for by name",
    _INTERPRETER,
    get(body="main_interpreter True"),
    conf="SetHandler mod_python\nPythonHandler @mod@\nPythonInterpreter main_interpreter",
)

case(
    "interpreter-per-directory",
    "directives.md 1.9: the directory of the file, with its slash",
    _INTERPRETER,
    get("/x", body="@root@/htdocs/interpreter-per-directory/ True"),
    get("/sub/x", body="@root@/htdocs/interpreter-per-directory/sub/ True"),
    get("/sub/nothing", body="@root@/htdocs/interpreter-per-directory/sub/ True"),
    get("/sub/", body="@root@/htdocs/interpreter-per-directory/sub/ True"),
    get("/sub", body="@root@/htdocs/interpreter-per-directory/sub/ True"),
    conf="SetHandler mod_python\nPythonHandler @mod@\nPythonInterpPerDirectory On\n"
    "DirectorySlash Off",
    files={"sub/x": ""},
)

case(
    "interpreter-per-directive",
    "directives.md 1.9: the directory of the directive",
    _INTERPRETER,
    get("/sub/x", body="@root@/htdocs/interpreter-per-directive/ True"),
    get("/other/x", body="@root@/htdocs/interpreter-per-directive/other/ True"),
    conf="SetHandler mod_python\nPythonHandler @mod@\nPythonInterpPerDirective On",
    sections="""
        <Directory @dir@/other>
            PythonHandler @mod@
            PythonPath "sys.path + ['@dir@']"
        </Directory>
    """,
    files={"sub/x": "", "other/x": ""},
)

case(
    "interpreter-precedence",
    "directives.md 1.9: the explicit name wins over both switches",
    _INTERPRETER,
    get(body="explicit True"),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonInterpPerDirective On
        PythonInterpPerDirectory On
        PythonInterpreter explicit
    """,
)

case(
    "interpreter-isolation",
    "directives.md 1.9: each named interpreter has its own modules, kept between requests",
    """
    count = 0

    def handler(req):
        global count
        count += 1
        req.write("%s %d" % (req.interpreter, count))
        return apache.OK
    """,
    get("/x", body="iso-one 1"),
    get("/x", body="iso-one 2"),
    get("/two/x", body="iso-two 1"),
    get("/x", body="iso-one 3"),
    conf="SetHandler mod_python\nPythonHandler @mod@\nPythonInterpreter iso-one",
    sections="""
        <Directory @dir@/two>
            PythonInterpreter iso-two
        </Directory>
    """,
    files={"two/x": ""},
)

case(
    "ifmodule-names",
    "directives.md 1: <IfModule> matches the symbol and the original's file name",
    """
    def handler(req):
        req.write("%r" % sorted(req.get_options().items()))
        return apache.OK
    """,
    get(body="[('by-file', '1'), ('by-symbol', '1')]"),
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        <IfModule python_module>
            PythonOption by-symbol 1
        </IfModule>
        <IfModule mod_python.c>
            PythonOption by-file 1
        </IfModule>
        <IfModule !mod_python.c>
            PythonOption never 1
        </IfModule>
    """,
)

case(
    "python-import",
    "directives.md 1.10: PythonImport runs in every child at its start, before any request",
    """
    def handler(req):
        import case_python_import_early as early
        req.write("%r %r" % (early.seen, req.interpreter))
        return apache.OK
    """,
    get(body="['main.test import', 'main.test function'] 'main.test'"),
    server="""
        ServerName main.test
        PythonPath "sys.path + ['@dir@']"
        PythonImport @mod@_early::at_start main.test
        PythonImport @mod@_early other.test
    """,
    files={
        "@mod@_early.py": """
            from mod_python import apache
            seen = [apache.interpreter + " import"]

            def at_start():
                seen.append(apache.interpreter + " function")
        """
    },
)

case(
    "python-import-error",
    "directives.md 1.10: an error is logged, the other entries and the server go on",
    """
    def handler(req):
        import sys
        req.write("%r" % ("case_python_import_error_fine" in sys.modules))
        return apache.OK
    """,
    get(body="True"),
    server="""
        ServerName main.test
        PythonPath "sys.path + ['@dir@']"
        PythonImport @mod@_fine main.test
        PythonImport @mod@_nowhere main.test
    """,
    files={"@mod@_fine.py": ""},
    # Another child would say it, too.
    site={"alone": True},
    log="error",
    from_start=True,
)

case(
    "python-optimize",
    "directives.md 1.8: PythonOptimize On is level 2",
    """
    import sys

    def handler(req):
        "docstring"
        assert False
        req.write("%d %r" % (sys.flags.optimize, handler.__doc__))
        return apache.OK
    """,
    get(body="2 None"),
    server="PythonOptimize On",
)

case(
    "handler-module",
    "directives.md 1.12: PythonHandlerModule serves the phases whose function exists",
    """
    def fixuphandler(req):
        req.phases = [req.phase]
        return apache.OK

    def handler(req):
        req.write("%r %r" % (req.phases + [req.phase], req.hlist.silent))
        return apache.OK
    """,
    get(body="['PythonFixupHandler', 'PythonHandler'] 1"),
    conf="SetHandler mod_python\nPythonHandlerModule @mod@",
)

transcript(
    "exists-config-define",
    "directives.md 1: exists_config_define reflects -D",
    """
    >>> apache.exists_config_define('FOOBAR'), apache.exists_config_define('NOTHING')
    (True, False)
    """,
    site={"defines": ["FOOBAR"]},
)

case(
    "python-import-of-host",
    "directives.md 1.10: PythonImport into the main interpreter and into that of the only host",
    """
    import sys

    def handler(req):
        req.write("%s %s" % (req.interpreter, sys.modules["@mod@_setup"].CALLS))
        return apache.OK
    """,
    get(body="localhost ['localhost', 'main_interpreter']"),
    server="""
        PythonPath "['@dir@']+sys.path"
        PythonImport @mod@_setup::setup main_interpreter
        PythonImport @mod@_setup::setup localhost
    """,
    files={
        "@mod@_setup.py": """
            from mod_python import apache
            CALLS = []
            def setup():
                CALLS.append(apache.interpreter)
        """
    },
    mpms=("event",),
)
