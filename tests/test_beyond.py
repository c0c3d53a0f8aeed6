"""What the original does not have: early phases, interim responses, httpd's expressions."""

from pyhttpd import Site

SITE = Site(
    conf="""
        PythonPath "sys.path + ['@root@/htdocs']"
        PythonQuickHandler phases
        PythonMapToStorageHandler phases
        PythonOption here main
        <Directory @root@/htdocs>
            SetHandler mod_python
            PythonHandler content
        </Directory>
        <Files *.shtml>
            SetHandler none
            Options +Includes
            SetOutputFilter INCLUDES
        </Files>
    """,
    files={
        "phases.py": """
            from mod_python import apache
            def quickhandler(req):
                if req.uri == "/quick":
                    req.content_type = "text/plain"
                    req.write("quick %s" % req.phase)
                    return apache.OK
                return apache.DECLINED
            def maptostoragehandler(req):
                if req.uri == "/stored":
                    req.handler = "mod_python"
                    req.add_handler("PythonHandler", "content::stored")
                    return apache.OK
                return apache.DECLINED
        """,
        "content.py": """
            from mod_python import apache
            def handler(req):
                if req.args == "hints":
                    req.send_interim_response(103, {"Link": "</style.css>; rel=preload"})
                    req.send_interim_response(headers=[("Link", "</a>"), ("Link", "</b>")])
                    req.headers_out["X-Final"] = "yes"
                if req.args == "bad":
                    for status, headers in ((200, None), (101, None), (103, {"A": "b\\r\\nC: d"})):
                        try:
                            req.send_interim_response(status, headers)
                        except ValueError as error:
                            req.write("%s\\n" % error)
                    return apache.OK
                if req.args == "late":
                    req.write("begun ")
                    try:
                        req.send_interim_response(103)
                    except RuntimeError as error:
                        req.write(str(error))
                    return apache.OK
                if req.args == "expr":
                    req.write(repr([
                        apache.expr(req, "%{REQUEST_METHOD} == 'GET'"),
                        apache.expr(req, "%{REQUEST_URI} =~ /nothing/"),
                        apache.expr(req, "-n %{HTTP_HOST} && true"),
                        apache.expr(req, "%{REQUEST_METHOD} of %{HTTP_HOST}", string=True),
                    ]))
                    for wrong in ("%{REQUEST_METHOD} ==", "no_such_function('x') == 'y'"):
                        try:
                            apache.expr(req, wrong)
                        except ValueError as error:
                            req.write("\\n%s" % bool(str(error)))
                    return apache.OK
                req.write("done")
                return apache.OK
            def stored(req):
                req.write("stored %s" % req.filename)
                return apache.OK
        """,
        "x": "",
        "page.shtml": '[<!--#include virtual="/quick" -->]',
    },
)


def test_quick_handler_answers_before_anything_else(get):
    answer = get("/quick")
    assert (answer.status, answer.text) == (200, "quick PythonQuickHandler")


def test_quick_handler_declines(get):
    assert get("/x").text == "done"


def test_quick_handler_answers_an_include_once(get):
    assert get("/page.shtml").text == "[quick PythonQuickHandler]"


def test_map_to_storage(get):
    answer = get("/stored")
    assert answer.status == 200
    assert answer.text.startswith("stored ")


def test_early_hints(get):
    answer = get("/x?hints")
    assert [interim.status for interim in answer.interim] == [103, 103]
    assert answer.interim[0].headers["Link"] == "</style.css>; rel=preload"
    assert answer.interim[1].headers.get_all("Link") == ["</a>", "</b>"]
    assert answer.headers["X-Final"] == "yes"
    assert "Link" not in answer.headers
    assert (answer.status, answer.text) == (200, "done")


def test_early_hints_are_not_sent_to_http_1_0(get):
    answer = get("/x?hints", version="HTTP/1.0")
    assert answer.interim == []
    assert answer.text == "done"


def test_interim_responses_come_before_the_answer(get):
    answer = get("/x?late")
    assert answer.interim == []
    assert answer.text.startswith("begun the response has begun")


def test_interim_responses_refuse_nonsense(get):
    assert get("/x?bad").text.splitlines() == [
        "200 is not the status of an interim response",
        "101 is not the status of an interim response",
        'the header "A" holds a line break',
    ]


def test_expressions(get):
    lines = get("/x?expr").text.splitlines()
    assert lines[0] == "[True, False, True, 'GET of localhost']"
    assert lines[1:] == ["True", "True"]
