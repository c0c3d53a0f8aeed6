"""A directory's index: mod_dir leaves parts of the request in a pool below the request's own."""

from pyhttpd import Site

SITE = Site(
    conf="""
        # What is freed goes back to malloc, which overwrites it.
        MaxMemFree 1
        DirectoryIndex index.mp
        <Directory @root@/htdocs>
            AddHandler mod_python .mp
            PythonHandler pages
            PythonCleanupHandler pages
            PythonOption somewhere @root@
        </Directory>
    """,
    files={
        "pages.py": """
            from mod_python import apache

            seen = []

            def look(req):
                return (req.filename, req.uri, req.handler, req.content_type, req.path_info,
                        req.get_options()["somewhere"], req.headers_out.get("X-Out"),
                        req.subprocess_env.get("X-Env"), req.finfo.fname, req.main is None)

            def handler(req):
                if req.args == "seen":
                    req.write(repr(seen))
                    del seen[:]
                    return apache.OK
                req.content_type = "text/x-python"
                req.headers_out["X-Out"] = "out"
                req.subprocess_env["X-Env"] = "env"
                req.register_cleanup(cleanup, req)
                seen.append(("handler", look(req)))
                return apache.OK

            def cleanup(req):
                seen.append(("cleanup", look(req)))

            def cleanuphandler(req):
                if req.args == "index":
                    main = req.main
                    kind = "sub-request's" if main is not None else "request's"
                    seen.append((kind, look(req)[:6]))
                    if main is not None:
                        try:
                            seen.append(("main", main.uri))
                        except RuntimeError as error:
                            seen.append(("main", str(error)))
                return apache.OK
        """,
        "there/index.mp": "",
        "look.mp": "",
    },
    # What one request has left in its child is looked at by the next.
    alone=True,
    env={"MALLOC_PERTURB_": "165", "PYTHONMALLOC": "malloc"},
)


def test_all_of_a_request_is_there_when_it_is_cleaned_up(get, server):
    index = str(server.htdocs / "there/index.mp")
    for _ in range(5):
        assert get("/there/?index").status == 200
        seen = eval(get("/look.mp?seen").text)
        kinds = [kind for kind, what in seen]
        assert kinds[:3] == ["handler", "cleanup", "request's"]
        (_, handled), (_, cleaned), (_, at_end) = seen[:3]
        assert handled[0] == index and handled[3] == "text/x-python"
        assert cleaned == handled
        assert at_end == handled[:6]
        # The sub-request that mod_dir made goes with the request.
        assert kinds[3:] in ([], ["sub-request's", "main"])
