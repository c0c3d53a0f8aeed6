"""mod_python.cgihandler and the CGI functions of mod_python.apache, also with several threads."""

import concurrent.futures
import os

import pytest

from pyhttpd import Site

# Says where it runs, all the time.
WHERE = """
    import os, sys, time
    print("Content-Type: text/plain\\n")
    seen = set()
    for _ in range(20):
        seen.add((os.getcwd() == os.path.dirname(__file__), os.environ["QUERY_STRING"]))
        time.sleep(0.001)
    print(sorted(seen), sys.stdin.read(), end="")
"""

SITE = Site(
    conf="""
        <Directory @root@/htdocs/cgi>
            SetHandler mod_python
            PythonHandler mod_python.cgihandler
        </Directory>
        <Directory @root@/htdocs/cgi/a>
            PythonInterpreter a
        </Directory>
        <Directory @root@/htdocs/cgi/b>
            PythonInterpreter b
        </Directory>
        <Directory @root@/htdocs/own>
            SetHandler mod_python
            PythonHandler own
            PythonHandler own::look | .look
            PythonHandler own::slow | .slow
        </Directory>
        <Directory @root@/htdocs/removed>
            SetHandler mod_python
            PythonHandler removed
            PythonInterpreter removed
        </Directory>
    """,
    files={
        "removed/removed.py": """
            import os
            from mod_python import cgihandler

            script = cgihandler._script

            def found_and_removed(req):
                path = script(req)
                if path is not None and req.args == "remove":
                    os.rename(path, "@root@/tmp/removed.py")
                return path

            cgihandler._script = found_and_removed
            handler = cgihandler.handler
        """,
        "removed/scripts/one.py": 'print("Content-Type: text/plain\\n\\nhere", end="")\n',
        "cgi/echo.py": """
            import os, sys
            print("Content-Type: text/plain\\n")
            print(os.environ["QUERY_STRING"], repr(sys.stdin.read()), sep="|", end="")
        """,
        "cgi/binary.py": """
            import sys
            sys.stdout.buffer.write(b"Content-Type: application/octet-stream\\r\\n\\r\\n")
            sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])
        """,
        "cgi/lines.py": """
            import sys
            print("Content-Type: text/plain\\n")
            print([line for line in sys.stdin], sys.stdin.read(), end="")
        """,
        "cgi/rewrapped.py": """
            import io, sys
            sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="latin-1", newline="\\n")
            print("Content-Type: text/plain; charset=latin-1\\n")
            print("caf\\xe9", end="")
        """,
        "cgi/environment.py": """
            import os, sys
            print("Content-Type: text/plain\\n")
            os.environ["QUERY_STRING"] = "changed"
            os.environ["CGI_LEFT"] = "behind"
            print("PATH" in os.environ, os.environb[b"QUERY_STRING"], os.environ.get("CGI_OLD"),
                  os.getcwd() == os.path.dirname(__file__), sys.argv, end="")
            os.environ["CGI_OLD"] = "x"
            os.chdir("/")
            sys.path.append("/left/behind")
        """,
        "cgi/fresh.py": """
            import decimal, helper_of_fresh
            helper_of_fresh.count += 1
            decimal.count = getattr(decimal, "count", 0) + 1
            print("Content-Type: text/plain\\n")
            print(helper_of_fresh.count, decimal.count, end="")
        """,
        "cgi/helper_of_fresh.py": "count = 0\n",
        "cgi/exits.py": """
            import sys
            print("Content-Type: text/plain\\n\\nbefore", end="")
            sys.exit(int(__import__("os").environ["QUERY_STRING"]))
        """,
        "cgi/slow.py": """
            import os, sys, time
            print("Content-Type: text/plain\\n")
            for _ in range(20):
                print(os.environ["QUERY_STRING"], end=" ")
                time.sleep(0.001)
        """,
        **{f"cgi/{name}/where.py": WHERE for name in "abc"},
        "cgi/changing.py": "print('Content-Type: text/plain\\n\\none', end='')\n",
        "cgi/dotted.name.py": "print('Content-Type: text/plain\\n\\nran', end='')\n",
        "own/own.py": """
            import os, sys, time
            from mod_python import apache

            def handler(req):
                before = sys.stdin, sys.stdout, dict(os.environ), sys.argv
                saved = apache.setup_cgi(req)
                try:
                    inside = isinstance(sys.stdout, apache.CGIStdout), sys.stdin.readline()
                    sys.stdout.write("Content-Type: text/plain\\n\\n")
                    print(inside, os.environ["REQUEST_METHOD"], os.getenv("GATEWAY_INTERFACE"))
                    sys.stdout.write(b"bytes ")
                    print(sys.stdout.tell())
                finally:
                    apache.restore_nocgi(*saved)
                after = sys.stdin, sys.stdout, dict(os.environ), sys.argv
                req.write("%r %r" % (isinstance(sys.stdout, apache.CGIStdout),
                                     [a == b for a, b in zip(before, after)]))
                return apache.OK

            def look(req):
                # What another thread sees while a script runs.
                req.write("%r %r" % ("QUERY_STRING" in os.environ, os.environ.get("CGI_LEFT")))
                print("not into the page of another thread", file=sys.stdout)
                sys.stdout.flush()
                return apache.OK
        """,
    },
)


def test_input_and_output(fetch):
    for _ in range(3):
        answer = fetch("/cgi/echo.py?a=b", "POST", body=b"l\xe9\r\nm")
        assert answer.text == r"a=b|'l\udce9\r\nm'"
    assert fetch("/cgi/echo.py").text == "|''"
    body = bytes(range(256)) * 1000
    assert fetch("/cgi/binary.py", "POST", body=body).body == body[::-1]
    assert fetch("/cgi/binary.py", "POST", body=[b"ab", b"cd"]).body == b"dcba"
    assert fetch("/cgi/lines.py", "POST", body=b"a\nb\r\nc").text == r"['a\n', 'b\r\n', 'c'] "


def test_stdout_in_a_wrapper_of_the_script(get):
    for _ in range(2):
        assert get("/cgi/rewrapped.py").body == b"caf\xe9"
    assert get("/cgi/echo.py").text == "|''"


def test_nothing_is_left_behind(get):
    for _ in range(2):
        assert get("/cgi/environment.py?q").text == "True b'changed' None True []"
    assert get("/own/x.look").text == "False None"


def test_modules_of_the_script_are_forgotten(connect):
    get = connect().request  # of one child
    first = get("/cgi/fresh.py").text
    second = get("/cgi/fresh.py").text
    assert (first[0], second[0]) == ("1", "1")
    # The standard library is not loaded anew.
    assert int(second[2:]) == int(first[2:]) + 1


def test_exit(get, log):
    for code in (0, 3):
        assert get(f"/cgi/exits.py?{code}").text == "before"


def test_changed_script(get, server):
    assert get("/cgi/changing.py").text == "one"
    script = server.root / "htdocs/cgi/changing.py"
    script.write_text("print('Content-Type: text/plain\\n\\nsecond', end='')\n")
    os.utime(script, (5, 5))
    assert get("/cgi/changing.py").text == "second"


@pytest.mark.parametrize("path", ["/cgi/dotted.name.py", "/cgi/no.py", "/cgi/", "/cgi/no/echo.py"])
def test_no_script(get, path):
    assert get(path).status == 404


def test_a_script_that_is_removed_meanwhile(get, server):
    # As while it is written anew by an editor that removes it first.
    (server.htdocs / "removed/scripts").chmod(0o777)
    assert get("/removed/scripts/one.py").text == "here"
    assert get("/removed/scripts/one.py?remove").status == 404
    assert get("/removed/scripts/one.py").status == 404


def test_setup_cgi(fetch):
    answer = fetch("/own/x", "POST", body=b"line\nmore")
    assert answer.text == (
        "(True, 'line\\n') POST Python-CGI/1.1\nbytes 69\nFalse [True, True, True, True]"
    )


def test_several_threads(get):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        scripts = [pool.submit(get, f"/cgi/slow.py?{number}") for number in range(16)]
        others = [pool.submit(get, "/own/x.look") for _ in range(40)]
        for number, script in enumerate(scripts):
            assert script.result().text == f"{number} " * 20
        for other in others:
            assert other.result().text == "False None"


def test_scripts_of_several_interpreters(fetch):
    # `c` runs in the interpreter of the server. The working directory is one for all of them.
    with concurrent.futures.ThreadPoolExecutor(9) as pool:
        answers = [
            (name, pool.submit(fetch, f"/cgi/{name}/where.py?{name}", "POST", body=name.encode()))
            for name in "abc" * 6
        ]
        for name, answer in answers:
            assert answer.result().text == f"[(True, '{name}')] {name}"
