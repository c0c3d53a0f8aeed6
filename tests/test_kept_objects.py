"""What Python keeps of a request after its end raises an exception, and never crashes (A14)."""

from urllib.parse import quote

import pytest

from pyhttpd import Site

HANDLER = """
    import gc, threading
    from mod_python import apache

    kept = {}

    def handler(req):
        if req.args == "keep":
            kept.clear()
            req.mine = "attribute"
            kept.update(
                req=req, connection=req.connection, server=req.server, headers=req.headers_in,
                notes=req.notes, iterator=iter(req.headers_in), items=req.headers_in.iteritems(),
                hlist=req.hlist, finfo=req.finfo, options=req.get_options(),
                config=req.get_config(), write=req.write, read=req.read, log=req.log_error,
                connection_notes=req.connection.notes, own=req.headers_in.copy(),
            )
            req.write("kept")
            return apache.OK
        name = req.args
        gc.collect()
        if name == "thread":
            thread = threading.Thread(target=touch, args=("req", req))
            thread.start()
            thread.join()
        else:
            touch(name, req)
        return apache.OK

    # Calling these with no argument is harmless or a TypeError on a live object.
    def touch(name, req):
        thing = kept[name]
        for attribute in sorted(set(dir(thing)) | EXTRA.get(name, set())):
            if attribute.startswith("__") and attribute not in OPERATORS:
                continue
            for how in ("get", "set", "delete", "call"):
                try:
                    if how == "get":
                        getattr(thing, attribute)
                        result = "fine"
                    elif how == "set":
                        if attribute.startswith("__"):
                            continue
                        setattr(thing, attribute, "x")
                        result = "fine"
                    elif how == "delete":
                        if attribute.startswith("__"):
                            continue
                        delattr(thing, attribute)
                        result = "fine"
                    else:
                        function = getattr(thing, attribute)
                        if not callable(function):
                            continue
                        result = "fine"
                        for arguments in ((), ("x",), ("x", "y"), (1,), ("x", 1, 1)):
                            try:
                                function(*arguments)
                            except Exception as error:
                                result = type(error).__name__
                except Exception as error:
                    result = type(error).__name__
                req.write("%s %s %s\\n" % (attribute, how, result), 0)
        for operation in (repr, str, bool, len, list, hash, iter, next):
            try:
                operation(thing)
            except Exception as error:
                req.write("%s: %s\\n" % (operation.__name__, type(error).__name__), 0)

    OPERATORS = {"__len__", "__iter__", "__next__", "__repr__", "__str__"}
    EXTRA = {
        "req": set("uri status args headers_in connection server user write read flush prev next "
                   "main finfo parsed_uri sendfile readline internal_redirect".split()),
        "connection": set("client_ip client_addr notes base_server local_addr read write "
                          "keepalive hlist".split()),
        "server": set("names server_hostname next get_options get_config port timeout".split()),
        "hlist": set("handler directory next silent is_location".split()),
    }
"""

SITE = Site(
    conf="""
        <Directory @root@/htdocs/kept>
            SetHandler mod_python
            PythonHandler kept
        </Directory>
    """,
    files={"kept/kept.py": HANDLER},
)

KINDS = """
    req connection server headers notes iterator items hlist finfo options config connection_notes
    own write read log thread
""".split()


@pytest.fixture(autouse=True)
def only_ours(mod_python):
    if mod_python.name == "original":
        pytest.skip("the original crashes")


@pytest.mark.parametrize("kind", KINDS)
def test_kept(kind, connect, log, mpm):
    # One connection, so that both requests meet the same child in every MPM.
    connection = connect()
    assert connection.request("/kept/?keep").text == "kept"
    if kind.startswith("connection"):
        if mpm == "prefork":
            pytest.skip("another connection may meet another child")
        connection.close()
        connection = connect()
    if kind == "server":
        # A server outlives its requests: its methods still work.
        log.expect("error: x$")
    answer = connection.request(f"/kept/?{kind}")
    assert answer.status == 200, answer.text
    assert connection.request("/up.txt").text == "up\n"


@pytest.mark.parametrize(
    "expression",
    [
        "kept['req'].uri",
        "kept['req'].write('x')",
        "kept['req'].headers_in['Host']",
        "kept['req'].connection",
        "kept['req'].get_options()",
        "kept['headers']['Host']",
        "kept['headers'].items()",
        "kept['notes'].add('a', 'b')",
        "next(kept['iterator'])",
        "kept['write']('x')",
    ],
)
def test_kept_raises_a_clear_error(expression, server, connect):
    # The same file for all: httpd's children look for a change once a second only.
    server.write(
        "kept/raises.py",
        """
        import urllib.parse
        from mod_python import apache
        import kept as module

        def handler(req):
            kept = module.kept
            if req.args == "keep":
                return module.handler(req)
            try:
                eval(urllib.parse.unquote(req.args))
            except Exception as error:
                req.write("%s: %s" % (type(error).__name__, error))
            else:
                req.write("nothing raised")
            return apache.OK
        """,
    )
    server.write("kept/.htaccess", "PythonHandler raises\n")
    try:
        connection = connect()
        assert connection.request("/kept/?keep").text == "kept"
        text = connection.request("/kept/?" + quote(expression)).text
    finally:
        (server.htdocs / "kept/.htaccess").unlink()
    assert text != "nothing raised"
    assert "request" in text or "connection" in text or "ended" in text or "gone" in text, text


def test_the_server_of_a_kept_request(server, connect):
    """It outlives the request, and programs log to it: `log_error(text, level, req.server)`."""
    server.write(
        "kept/host.py",
        """
        from mod_python import apache

        kept = []

        def handler(req):
            kept.append(req)
            host = kept[0].server
            apache.log_error("to the kept one", apache.APLOG_NOTICE, host)
            req.write("%d %s %s" % (len(kept), host.server_hostname, host.port == req.server.port))
            return apache.OK
        """,
    )
    server.write("kept/.htaccess", "PythonHandler host\n")
    try:
        connection = connect()
        for number in (1, 2, 3):
            assert connection.request("/kept/").text == f"{number} localhost True"
    finally:
        (server.htdocs / "kept/.htaccess").unlink()
