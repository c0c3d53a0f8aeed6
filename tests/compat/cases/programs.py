"""Programs as the documentation of mod_python and its users wrote them, each in one piece."""

import functools

from compat import case as cases
from compat.case import get, head, post

# None of them depends on the MPM.
case = functools.partial(cases.case, mpms=["event"])

_PUBLISHER = "SetHandler mod_python\nPythonHandler mod_python.publisher"
_KNOWN = "0123456789abcdef" * 2
_COOKIE = [("Cookie", f"pysid={_KNOWN}")]
_URLENCODED = [("Content-Type", "application/x-www-form-urlencoded")]

case(
    "program-form-mailer",
    "library.md 5.5: the tutorial's form mailer, without the mail",
    None,
    get("/form/email?name=Joe+Doe&email=joe%40e.org&comment=Well+done", find="^<html>\n\nDear Joe"),
    get(
        "/form.py/email?name=Joe&email=&comment=hi",
        body="A required parameter is missing, please go back and correct the error",
        expect={"Content-Type": "text/plain"},
    ),
    get("/form/sent", body="[('joe@e.org', ['webmaster'], 'Well done')]"),
    conf=_PUBLISHER,
    files={
        "form.py": '''
            WEBMASTER = "webmaster"   # webmaster e-mail

            _messages = []

            def email(req, name, email, comment):
                # make sure the user provided all the parameters
                if not (name and email and comment):
                    return "A required parameter is missing, \\
please go back and correct the error"
                _messages.append((email, [WEBMASTER], comment))
                # provide feedback to the user
                s = """\\
<html>

Dear %s,<br>
Thank You for your kind comments, we
will get back to you shortly.

</html>""" % name
                return s

            def sent(req):
                return _messages
        '''.replace("\n            ", "\n")
    },
)

case(
    "program-login",
    "library.md 5.3 and 5.5: pages behind a login, sessions kept by the program's own class",
    None,
    get("/site/private", headers=_COOKIE, body="hello joe, visit 1, 60 seconds"),
    get("/site/private", headers=_COOKIE, body="hello joe, visit 2, 60 seconds"),
    get("/site/logout", headers=_COOKIE, body="bye True"),
    get("/site/private", headers=_COOKIE, body="please log in: True"),
    get("/site/private", body="please log in: True"),
    conf=_PUBLISHER,
    files={
        "site.py": f"""
import time
from mod_python import Session

class Store:
    kept = {{"{_KNOWN}": {{
        "_data": {{"user": "joe", "visits": 0}}, "_created": 1.0, "_accessed": time.time(),
        "_timeout": 60,
    }}}}

    def do_load(self):
        return self.kept.get(self._sid)

    def do_save(self, dict):
        self.kept[self._sid] = dict

    def do_delete(self):
        self.kept.pop(self._sid, None)

    def do_cleanup(self):
        pass

class OwnSession(Session.BaseSession, Store):
    def __init__(self, req, sid=0, secret=None, timeout=0, lock=1):
        Session.BaseSession.__init__(self, req, sid=sid, secret=secret, timeout=timeout, lock=lock)
        req.register_cleanup(Session.unlock_session_cleanup, self)

def private(req):
    session = OwnSession(req)
    if "user" not in session:
        return "please log in: %s" % session.is_new()
    session["visits"] += 1
    session.save()
    return "hello %(user)s, visit %(visits)d" % session + ", %s seconds" % session.timeout()

def logout(req):
    session = OwnSession(req)
    session.invalidate()
    session.save()
    return "bye %s" % (session == {{}})
"""
    },
    replace=[(r"\b[0-9a-f]{32}\b", "(sid)")],
)

case(
    "program-own-publisher",
    "library.md 5.5: a handler that goes its own way with the publisher's parts",
    """
    from mod_python import publisher

    def handler(req):
        req.allow_methods(["GET", "POST"])
        try:
            module = publisher.page_cache[req]
        except IOError:
            req.write("no page")
            return apache.OK
        name = req.path_info[1:] or "index"
        found = publisher.resolve_object(req, module, name, realm=None, user=None, passwd=None)
        done = publisher.publish_object(req, found)
        req.write("; %r %s" % (done, module.__name__.endswith("_page_py")))
        return apache.OK
    """,
    get("/page.py", body="index None; True True"),
    get("/page.py/index?name=value", body="index value; True True"),
    get("/page.py/nothing", body="; False True"),
    get("/page.py/counter", body="called; True True"),
    get("/page.py/chain", body="called; True True"),
    get("/page.py/missing", status=404),
    get("/page.py/_hidden", status=403),
    get("/none.py", body="no page"),
    files={
        "page.py": """
class Counter:
    def __call__(self, req):
        return "called"

counter = Counter()
_hidden = 1

def index(req, name=None):
    return "index %s" % name

def nothing(req):
    return None

def give(req):
    return counter

def chain(req):
    return give
"""
    },
)

case(
    "program-wsgi-gateway",
    "apache_module.md 4.4: a WSGI gateway of before mod_python.wsgi",
    """
    import traceback

    class InputWrapper(object):
        def __init__(self, req):
            self.req = req

        def read(self, size=-1):
            return self.req.read(size)

        def readline(self, size=-1):
            return self.req.readline(size)

        def readlines(self, hint=-1):
            return self.req.readlines(hint)

        def __iter__(self):
            line = self.readline()
            while line:
                yield line
                line = self.readline()

    class Handler:
        def __init__(self, req):
            self.started = False
            self.request = req
            env = self.environ = dict(apache.build_cgi_env(req))
            if req.headers_in.has_key("authorization"):
                env["HTTP_AUTHORIZATION"] = req.headers_in["authorization"]
            env["wsgi.input"] = InputWrapper(req)
            env["wsgi.multithread"] = bool(apache.mpm_query(apache.AP_MPMQ_IS_THREADED))
            env["wsgi.multiprocess"] = bool(apache.mpm_query(apache.AP_MPMQ_IS_FORKED))

        def run(self, application):
            try:
                for data in application(self.environ, self.start_response):
                    self.write(data)
                if not self.started:
                    self.request.set_content_length(0)
            except Exception:
                if not self.started:
                    self.request.status = 500
                    self.request.content_type = "text/plain"
                    data = "A server error occurred. Please contact the administrator."
                    self.request.set_content_length(len(data))
                    self.request.write(data)

        def start_response(self, status, headers, exc_info=None):
            self.request.status = int(status[:3])
            for key, val in headers:
                if key.lower() == "content-length":
                    self.request.set_content_length(int(val))
                elif key.lower() == "content-type":
                    self.request.content_type = val
                else:
                    self.request.headers_out.add(key, val)
            return self.write

        def write(self, data):
            self.started = True
            self.request.write(data)

    NAMES = ("SCRIPT_NAME PATH_INFO QUERY_STRING REQUEST_METHOD REQUEST_URI CONTENT_TYPE "
             "CONTENT_LENGTH GATEWAY_INTERFACE HTTP_AUTHORIZATION HTTP_COOKIE SERVER_NAME").split()

    def app(environ, start_response):
        path = environ.get("PATH_INFO", "")
        if path == "/boom":
            raise ValueError("x")
        if path == "/missing":
            start_response("404 Not Here", [("Content-Type", "text/plain"),
                                            ("Content-Length", "4")])
            yield b"nope"
            return
        if path == "/redirect":
            start_response("302 Found", [("Location", "http://e.org/"), ("Set-Cookie", "a=b"),
                                         ("Set-Cookie", "c=d")])
            return
        start_response("200 OK", [("Content-Type", "text/plain")])
        for name in NAMES:
            yield ("%s: %s\\n" % (name, environ.get(name))).encode()
        yield b"|".join(environ["wsgi.input"])

    def handler(req):
        Handler(req).run(app)
        return apache.OK
    """,
    get("/x/p%20q?name=value", headers=[("Cookie", "a=b")], find="PATH_INFO: /p q\n"),
    get("/x", auth=("eggs", "spam"), find="HTTP_AUTHORIZATION: Basic .*SCRIPT_NAME|Basic "),
    post(b"one\ntwo\nthree", "/x", headers=_URLENCODED, find="one\n[|]two\n[|]three$"),
    get("/x/boom", status=500, find="^A server error occurred"),
    get("/x/missing", status=404, body="nope"),
    get("/x/redirect", status=302, body="", expect={"Set-Cookie": ["a=b", "c=d"]}),
    head("/x", body=b""),
)

case(
    "program-prints",
    "objects.md 3.1: a program that puts an object of its own in place of sys.stdout",
    """
    import re
    import sys
    from mod_python import util

    class Server:
        def __init__(self, request):
            self.request = request
            self.old = sys.stdout
            sys.stdout = self

        def close(self):
            sys.stdout = self.old

        def header(self, content_type, status):
            self.request.content_type = content_type
            self.request.status = int(re.match(r"\\d+", status).group())

        def getenv(self, name, value=None):
            try:
                return self.request.subprocess_env[name]
            except KeyError:
                return value

        def write(self, text):
            self.request.write(text)

        def flush(self):
            pass

    def handler(request):
        request.add_common_vars()
        server = Server(request)
        try:
            try:
                server.header("text/html; charset=UTF-8", "203 Somewhat")
                print("at", server.getenv("HTTP_HOST"), server.getenv("nothing", "default"))
                form = util.FieldStorage(request)
                for name in form.keys():
                    print(name, form.getfirst(name).value, len(form.getlist(name)))
                if "leave" in form:
                    sys.exit(1)
                print("done")
            except SystemExit:
                print("left")
        finally:
            server.close()
        return apache.OK
    """,
    get("/x?name=value&name=other", status=203, body="at localhost default\nname value 2\ndone\n"),
    get("/x?leave=without", status=203, body="at localhost default\nleave without 1\nleft\n"),
)
