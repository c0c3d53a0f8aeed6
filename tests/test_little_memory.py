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

            GETTERS = (
                lambda req: req.uri,
                lambda req: req.user,
                lambda req: req.connection.notes.keys(),
                lambda req: list(req.connection.notes),
                lambda req: req.notes["x"],
                lambda req: req.notes.get("x"),
                lambda req: req.notes.setdefault("x"),
                lambda req: req.notes.popitem(),
                lambda req: req.notes.values(),
                lambda req: req.notes.items(),
                lambda req: list(req.notes.itervalues()),
                lambda req: list(req.notes.iteritems()),
            )

            def read(req):
                big = "x" * (16 * 2**20)
                req.user = req.uri = big
                req.notes["x"] = req.connection.notes[big] = big
                said = {read_without_memory(getter, req) for getter in GETTERS}
                req.connection.notes.clear()
                req.user = req.uri = ""
                return " ".join(sorted(said))

            def read_without_memory(getter, req):
                before = resource.getrlimit(resource.RLIMIT_AS)
                with open("/proc/self/statm") as file:
                    now = int(file.read().split()[0]) * resource.getpagesize()
                taken = []
                resource.setrlimit(resource.RLIMIT_AS, (now + 8 * 2**20, before[1]))
                try:
                    while True:
                        # What malloc has kept of memory that was freed.
                        taken.append(bytearray(4 * 2**20))
                except MemoryError:
                    try:
                        getter(req)
                        return "read"
                    except BaseException as error:
                        return type(error).__name__
                finally:
                    resource.setrlimit(resource.RLIMIT_AS, before)

            def handler(req):
                if not req.args:
                    return apache.OK
                if req.args == "read":
                    req.write("%s %d" % (read(req), len(req.notes["x"])))
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


def test_reading(request, get):
    if request.config.getoption("--sanitizer"):
        pytest.skip("a sanitizer does not live in little memory")
    assert get("/x?read").text == "MemoryError 16777216"
