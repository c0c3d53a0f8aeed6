"""The rows of directives.md that the other files leave out: 1.1, 1.3, 1.5 to 1.7, 1.13 to 1.15."""

from compat.case import case, get, transcript

_HELLO = """
def handler(req):
    req.write("hello")
    return apache.OK
"""

# -- 1.1: no errors --------------------------------------------------------------------------------

for _name, _conf, _answer in (
    ("no-handler", "PythonHandler", get("/page.txt", status=404)),
    ("only-suffixes", "PythonHandler | .txt", get("/page.txt", status=404)),
    ("bar-without-suffixes", "PythonHandler @mod@ |", get("/page.txt", body="hello")),
    ("bar-glued", "PythonHandler @mod@|.txt", get("/page.txt", body="hello")),
    ("white-space", "PythonHandler   @mod@\t|\t .txt   .x", get("/page.txt", body="hello")),
    ("other-suffix", "PythonHandler @mod@ | .html", get("/page.txt", status=404)),
    ("suffix-of-two", "PythonHandler @mod@ | .html .txt", get("/page.txt", body="hello")),
    ("no-extension", "PythonHandler @mod@ | .txt", get("/page", status=404)),
    ("first-dot", "PythonHandler @mod@ | .tar.gz", get("/a.tar.gz", body="hello")),
    ("not-last-dot", "PythonHandler @mod@ | .gz", get("/a.tar.gz", status=404)),
    ("dot-file", "PythonHandler @mod@ | .hidden", get("/.hidden", body="hello")),
    ("case-matters", "PythonHandler @mod@ | .TXT", get("/page.txt", status=404)),
):
    case(
        f"handler-list-{_name}",
        "directives.md 1.1 and 1.2: what a handler list may look like",
        _HELLO,
        _answer,
        conf=f"SetHandler mod_python\n{_conf}",
    )

# -- 1.1: flags ------------------------------------------------------------------------------------

for _number, _word in enumerate(("On", "on", "ON", "Off", "off")):
    case(
        f"flag-{_number}",
        "directives.md 1.3: flags are the strings 1 and 0",
        """
        def handler(req):
            req.write("%r" % sorted(req.get_config().items()))
            return apache.OK
        """,
        get(find="PythonDebug"),
        conf="SetHandler mod_python\nPythonHandler @mod@\n"
        + "".join(
            f"{name} {_word}\n"
            for name in (
                "PythonDebug PythonAutoReload PythonEnablePdb PythonInterpPerDirective".split()
            )
        ),
    )

# -- 1.5 and 1.6 -----------------------------------------------------------------------------------

case(
    "debug-import-notice",
    "directives.md 1.6: PythonDebug tells of imports at level notice",
    _HELLO,
    get(body="hello"),
    get(body="hello"),
    conf="SetHandler mod_python\nPythonHandler @mod@\nPythonDebug On",
    log="notice",
    log_ignore=["AH0", "PythonInterpPerServer"],
)

case(
    "autoreload-off",
    "directives.md 1.5: Off keeps a module whatever happens to its file",
    """
    import os

    count = globals().get("count", 0) + 1

    def handler(req):
        req.write("%d" % count)
        return apache.OK
    """,
    get(body="1"),
    get(body="1"),
    conf="SetHandler mod_python\nPythonHandler @mod@\nPythonAutoReload Off",
)

case(
    "pdb-ignored",
    "directives.md 1.7: without a single process the switch is ignored",
    _HELLO,
    get(body="hello"),
    conf="SetHandler mod_python\nPythonHandler @mod@\nPythonEnablePdb On",
)

# -- 1.13 ------------------------------------------------------------------------------------------

transcript(
    "options-keys",
    "directives.md 1.13: keys ignore case, the last setting wins, empty ones are unset",
    """
    >>> options = req.get_options()
    >>> options["KEY"], options.get("key"), "Key" in options
    ('two', 'two', True)
    >>> "gone" in options, "empty" in options
    (False, False)
    >>> options["with blank"]
    'a b'
    >>> sorted(key for key in options.keys() if not key.startswith("mod_python"))
    ['Key', 'with blank']
    """,
    conf="""
        SetHandler mod_python
        PythonHandler @mod@
        PythonOption Key one
        PythonOption key two
        PythonOption gone x
        PythonOption gone
        PythonOption "with blank" "a b"
        PythonOption empty ""
    """,
)

# -- 1.14 and 1.15 ---------------------------------------------------------------------------------

for _id, _name in (
    ("plain", "mod_python"),
    ("alias", "python-program"),
    ("title", "Mod_Python"),
    ("dash", "mod-python"),
):
    case(
        f"handler-name-{_id}",
        "directives.md 1.14: which handler names are ours",
        _HELLO,
        get("/page.txt", status=200),
        conf=f"SetHandler {_name}\nPythonHandler @mod@",
        files={"page.txt": "static\n"},
        log="error",
    )

case(
    "location-attributes",
    "directives.md 1.15: nothing is mapped in a Location with a handler",
    """
    def handler(req):
        req.write("%r %r %r %r" % (req.filename, req.path_info, req.extension, req.hlist.directory))
        return apache.OK
    """,
    get("//location-attributes-here/x.y", body="None None None '/location-attributes-here'"),
    sections="""
        <Location /location-attributes-here>
            SetHandler mod_python
            PythonPath "sys.path + ['@dir@']"
            PythonHandler @mod@
        </Location>
    """,
)

case(
    "location-without-handler",
    "directives.md 1.15: a Location without a handler directive maps as ever",
    """
    def handler(req):
        req.write("%s %r" % (req.get_options().get("x"), req.filename[-6:]))
        return apache.OK
    """,
    get("/page.x", body="y 'page.x'"),
    files={"page.x": ""},
    sections="""
        <Location @url@>
            PythonOption x y
        </Location>
    """,
)
