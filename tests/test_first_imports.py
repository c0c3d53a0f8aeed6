"""What a child imports before its first answer: little, because somebody waits for it."""

import pytest

from pyhttpd import Site

# Each is expensive; the original imports half of them.
LATE = set("re enum pdb inspect traceback linecache tokenize email logging html pickle".split())

HANDLER = """
    import sys
    from mod_python import apache

    def handler(req):
        req.write(" ".join(sys.modules))
        return apache.OK
"""

SITE = Site(
    conf="""
        <Directory @root@/htdocs/first>
            SetHandler mod_python
            PythonHandler first
        </Directory>
    """,
    files={"first/first.py": HANDLER},
)


def test_what_is_not_imported(get, mod_python):
    if mod_python.name == "original":
        pytest.skip("the original imports them")
    imported = set(get("/first/").text.split())
    assert "mod_python.apache" in imported
    assert not imported & LATE
