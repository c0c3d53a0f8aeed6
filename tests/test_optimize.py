"""PythonOptimize On: Python's level 2 in every interpreter, whatever its version."""

import pytest

from pyhttpd import Site, client

pytestmark = pytest.mark.every_python

HANDLER = """
    import sys
    from mod_python import apache

    def documented():
        "A docstring."

    def handler(req):
        asserted = False
        try:
            assert False
        except AssertionError:
            asserted = True
        req.write("%d %s %s %s" % (sys.flags.optimize, asserted, documented.__doc__, __debug__))
        return apache.OK

    def nothing(req):
        pass
"""
CONF = """
    <Directory @root@/htdocs>
        <Files main>
            SetHandler mod_python
            PythonHandler optimized
        </Files>
        <Files named>
            SetHandler mod_python
            PythonHandler optimized
            PythonInterpreter named
        </Files>
        <Files nothing>
            SetHandler mod_python
            PythonHandler optimized::nothing
        </Files>
    </Directory>
"""
FILES = {"optimized.py": HANDLER, "main": "", "named": "", "nothing": ""}
# sys.flags.optimize, whether asserts run, a docstring, __debug__.
PLAIN, OPTIMIZED = "0 True A docstring. True", "2 False None False"


@pytest.mark.parametrize("switch, expected", [("Off", PLAIN), ("On", OPTIMIZED)])
def test_level(switch, expected, make_server, watch, mpm, mod_python):
    if mpm != "event" or mod_python.name == "original":
        pytest.skip("none of it depends on the MPM; the original has it for some Pythons only")
    with make_server(Site(conf=f"PythonOptimize {switch}\n" + CONF, files=FILES)) as server:
        log = watch(server)
        for name in ("main", "named"):
            assert client.get(server.port, f"/{name}").text == expected
        # Ours are no asserts that would vanish. (gotchas C35)
        log.expect("Handler has returned result or raised SERVER_RETURN")
        log.allow("^error: PythonHandler optimized::nothing")
        assert client.get(server.port, "/nothing").status == 500
