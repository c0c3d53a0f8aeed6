"""Each thread runs a handler in the interpreter that was chosen, whatever it ran before."""

from pyhttpd import Site

SITE = Site(
    conf="""
        <Directory @root@/htdocs>
            SetHandler mod_python
            PythonHandler which
            PythonPath "sys.path+['@root@/htdocs']"
        </Directory>
        <Directory @root@/htdocs/named>
            PythonInterpreter named
        </Directory>
        <Directory @root@/htdocs/other>
            PythonInterpreter other
        </Directory>
        <Directory @root@/htdocs/main>
            PythonInterpreter main_interpreter
        </Directory>
    """,
    files={
        "which.py": """
            from mod_python import apache
            def handler(req):
                # The first name is that of the module's interpreter, the second that of the thread.
                running = __import__("sys").modules["mod_python.apache"].interpreter
                req.write("%s %s" % (apache.interpreter, running))
                return apache.OK
        """,
        "named/x": "",
        "other/x": "",
        "main/x": "",
    },
    threads=5,
)


def test_named_interpreters_before_the_main_one(get):
    # Often enough for every thread to take part, with a named interpreter first.
    for name in ("named", "other", "main"):
        expected = "main_interpreter" if name == "main" else name
        for _ in range(40):
            assert get(f"/{name}/x").text == f"{expected} {expected}"
