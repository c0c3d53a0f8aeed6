"""A text that there is no memory for is a MemoryError, in a table too, and the child lives."""

import pytest

from pyhttpd import Site

pytestmark = pytest.mark.mpms("event")

SITE = Site(
    conf="""
        <Directory @root@/htdocs>
            SetHandler mod_python
            PythonHandler little
        </Directory>
    """,
    files={
        "little.py": """
            import resource
            from mod_python import apache

            def store(table, big):
                table[big] = big

            def store_bytes(table, big):
                table["x"] = big.encode()

            def add(table, big):
                table.add("x", big)

            def setdefault(table, big):
                table.setdefault("x", big)

            def update(table, big):
                table.update({"x": big})

            def starved(function, table):
                big = "x" * (60 * 2**20)
                before = resource.getrlimit(resource.RLIMIT_AS)
                with open("/proc/self/statm") as file:
                    now = int(file.read().split()[0]) * resource.getpagesize()
                resource.setrlimit(resource.RLIMIT_AS, (now + 70 * 2**20, before[1]))
                try:
                    function(table, big)
                    return "%s did it" % function.__name__
                except MemoryError:
                    return "MemoryError"
                finally:
                    resource.setrlimit(resource.RLIMIT_AS, before)

            def handler(req):
                if not req.args:
                    return apache.OK
                function = globals()[req.args]
                said = [starved(function, table) for table in (apache.table(), req.notes)]
                small = apache.table()
                function(small, "y")
                req.write("%s %d" % (" ".join(said), len(small)))
                return apache.OK
        """,
    },
)


@pytest.mark.parametrize("how", ("store", "store_bytes", "add", "setdefault", "update"))
def test_tables(request, get, how):
    if request.config.getoption("--sanitizer"):
        pytest.skip("a sanitizer does not live in little memory")
    assert get("/x?" + how).text == "MemoryError MemoryError 1"
