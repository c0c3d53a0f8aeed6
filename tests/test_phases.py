"""Every request phase in every section, on its own and with handlers added on the way."""

import pytest

from pyhttpd import Site, client

# In the order in which httpd comes to them.
PHASES = (
    *("Init", "PostReadRequest", "Quick", "Trans", "MapToStorage", "HeaderParser", "Access"),
    *("Authen", "Authz", "Type", "Fixup", "", "Log", "Cleanup"),
)
DIRECTIVES = {phase: "Python%sHandler" % phase for phase in PHASES}
ONLY_SERVER = ("Quick", "PostReadRequest", "Trans", "MapToStorage")

TRACE = """
    from mod_python import apache

    def note(req):
        main = "sub " if req.main else ""
        prev = "redirected " if req.prev else ""
        req.log_error("TRACE %s%s%s" % (main, prev, req.phase), apache.APLOG_NOTICE)
        return apache.OK

    def note_and_decline(req):
        note(req)
        return apache.DECLINED

    def authenhandler(req):
        note(req)
        req.user = "me"
        return apache.OK

    def handler(req):
        note(req)
        req.write("content")
        return apache.OK

    quickhandler = transhandler = maptostoragehandler = typehandler = note_and_decline
    inithandler = postreadrequesthandler = headerparserhandler = accesshandler = note
    authzhandler = fixuphandler = loghandler = cleanuphandler = note
"""

QUIET = """
    from mod_python import apache

    def authenhandler(req):
        req.user = "me"
        return apache.OK

    def handler(req):
        req.write("content")
        return apache.OK
"""


def directives(phase):
    """One phase that is traced, and what it needs for the request to succeed."""
    lines = ["SetHandler mod_python", "%s traced" % DIRECTIVES[phase]]
    if phase:
        lines.append("PythonHandler quiet")
    if phase == "Authz":
        lines.append("PythonAuthenHandler quiet")
    return lines


def access(phase):
    """What makes httpd come to the phase."""
    needed = phase in ("Authen", "Authz")
    return ["AuthType Mine", "AuthName here", "Require valid-user"] if needed else []


# name -> the sections around the directives of one phase; AREA is the directory's name.
SECTIONS = {
    "directory": ["Directory @root@/htdocs/AREA"],
    "directoryglob": ["Directory @root@/htdocs/AREA*"],
    "directoryregex": ['Directory ~ "^@root@/htdocs/AREA"'],
    "directorymatch": ['DirectoryMatch "/htdocs/AREA/"'],
    "location": ["Location /AREA"],
    "locationregex": ['Location ~ "^/AREA/"'],
    "locationmatch": ["LocationMatch ^/AREA/"],
    "files": ["Directory @root@/htdocs/AREA", "Files x.txt"],
    "filesregex": ["Directory @root@/htdocs/AREA", 'Files ~ "^x[.]"'],
    "filesmatch": ["Directory @root@/htdocs/AREA", "FilesMatch ^x[.]"],
    "filesattop": ["Files AREA.txt"],
    "if": ['If "%{REQUEST_URI} =~ m#^/AREA/#"'],
    "ifdirectory": ["Directory @root@/htdocs/AREA", "If true"],
    "elseif": ["Directory @root@/htdocs/AREA", "If false", "/If", "ElseIf true"],
    "else": ["Directory @root@/htdocs/AREA", "If false", "/If", "Else"],
}


def section(name, area, lines):
    starts = [start.replace("AREA", area) for start in SECTIONS[name]]
    ends = [start.split()[0] for start in reversed(starts)]
    ends = [end for end in ends if end != "/If"]
    if "/If" in starts:
        ends.remove("If")
    return [
        *("<%s>" % start for start in starts),
        *lines,
        *("</%s>" % end for end in ends),
    ]


def make_site():
    """The site, and (section, phase, path, host) for everything that is traced on it."""
    cases = []
    files = {"traced.py": TRACE, "quiet.py": QUIET, "x.txt": "static\n", "added.py": ADDED}
    conf = [
        "PythonPath \"sys.path + ['@root@/htdocs']\"",
        "PythonInterpreter main_interpreter",
        # The one that requests without another name go to.
        "<VirtualHost 127.0.0.1:@port@>\nServerName localhost\n</VirtualHost>",
    ]
    for phase in PHASES:
        word = (phase or "content").lower()
        cases.append(("vhost", phase, "/x.txt", word + ".vhost"))
        conf += ["<VirtualHost 127.0.0.1:@port@>", "ServerName %s.vhost" % word]
        conf += directives(phase)
        conf += ["<Location />", *access(phase), "</Location>", "</VirtualHost>"]
        if phase in ONLY_SERVER:
            continue
        lines = directives(phase) + access(phase)
        for name in [*SECTIONS, "htaccess"]:
            area = name + word
            path = "%s/%s.txt" % (area, area if name == "filesattop" else "x")
            cases.append((name, phase, "/" + path, "localhost"))
            files[path] = "static\n"
            if name == "htaccess":
                files[area + "/.htaccess"] = "\n".join(lines) + "\n"
            else:
                conf += section(name, area, lines)
    for name in [*SECTIONS, "htaccess"]:
        for kind, lines in (
            ("module", ["SetHandler mod_python", "PythonHandlerModule few"]),
            ("alone", ["PythonCleanupHandler traced"]),
        ):
            area = kind + name
            path = "%s/%s.txt" % (area, area if name == "filesattop" else "x")
            files[path] = "static\n"
            if name == "htaccess":
                files[area + "/.htaccess"] = "\n".join(lines) + "\n"
            else:
                conf += section(name, area, lines)
    files["initlate/x.txt"] = "static\n"
    files["few.py"] = FEW
    conf += [ADDING, INIT_LATE]
    return Site(conf="\n".join(conf), files=files), cases


# A module with handlers for some phases only.
FEW = """
    from traced import fixuphandler, handler, loghandler
"""

INIT_LATE = """
<VirtualHost 127.0.0.1:@port@>
    ServerName initlate.vhost
    PythonPostReadRequestHandler traced
    PythonTransHandler traced
    PythonHeaderParserHandler traced
    <Directory @root@/htdocs/initlate>
        PythonInitHandler traced
    </Directory>
</VirtualHost>
"""

# Every phase is traced, and one, named by the query, adds a handler to another.
ADDING = """
<VirtualHost 127.0.0.1:@port@>
    ServerName adding.vhost
%s
    <Location />
        AuthType Mine
        AuthName here
        Require valid-user
    </Location>
    <Directory @root@/htdocs>
        SetHandler mod_python
    </Directory>
</VirtualHost>
""" % "\n".join("    %s added::first" % DIRECTIVES[phase] for phase in PHASES)

ADDED = """
    from mod_python import apache

    DECLINING = "Quick Trans MapToStorage Type Authz".split()

    def trace(req, who):
        req.log_error("TRACE %s %s" % (who, req.phase), apache.APLOG_NOTICE)

    def result(req):
        if req.phase == "PythonAuthenHandler":
            req.user = "me"
        return apache.DECLINED if req.phase[6:-7] in DECLINING else apache.OK

    def first(req):
        trace(req, "first")
        origin, target = req.args.split(":")
        if req.phase == origin:
            req.add_handler(target, "added::second")
            if req.phase == target == "PythonAuthenHandler":
                return apache.DECLINED
        elif target == req.phase == "PythonAuthenHandler":
            # The next one answers, unless it was added too late.
            return apache.DECLINED
        return result(req)

    def second(req):
        trace(req, "second")
        return result(req)
"""

SITE, CASES = make_site()


def traces(log):
    return [line.split("TRACE ")[1] for line in log.messages("notice") if "TRACE " in line]


@pytest.mark.parametrize("name, phase, path, host", CASES, ids=str)
def test_each_phase_in_each_section(get, log, name, phase, path, host):
    answer = get(path, host=host)
    assert (answer.status, answer.text) == (200, "content")
    assert traces(log) == [DIRECTIVES[phase]]


# What httpd runs for one request, sub-requests and cleanups aside.
ORDER = [DIRECTIVES[phase] for phase in PHASES]
ADDABLE = ORDER[:-1]


@pytest.mark.parametrize("target", ADDABLE)
@pytest.mark.parametrize("origin", ADDABLE)
def test_add_handler_from_each_phase_to_each(get, log, origin, target):
    late = ADDABLE.index(origin) > ADDABLE.index(target)
    answer = get("/x.txt?%s:%s" % (origin, target), host="adding.vhost")
    expected = ["first " + phase for phase in ORDER]
    if target == "PythonAuthenHandler" and late:
        # Nobody answers for it.
        log.expect("AH01796")
        assert answer.status == 500
        return
    assert answer.status == 200
    if not late:
        expected.insert(ORDER.index(target) + 1, "second " + target)
    assert traces(log) == expected


# -- the order of phases, whatever the order of LoadModule lines ---------------------------------

ALL_PHASES = "\n".join("%s traced" % DIRECTIVES[phase] for phase in PHASES if phase)

SERVER_CONF = """
    PythonPath "sys.path + ['@root@/htdocs']"
    PythonInterpreter main_interpreter
    DirectoryIndex index.mp
    AddType text/plain .mp
    <Directory @root@/htdocs>
        AddHandler mod_python .mp
        PythonHandler traced
        Options +Includes
        AddOutputFilter INCLUDES .shtml
    </Directory>
    <Location />
        AuthType %(auth_type)s
        AuthName here
        Require valid-user
    </Location>
    <Directory @root@/htdocs/other>
        AuthUserFile @root@/htdocs/users
        PythonAuthenHandler traced::note_and_decline
    </Directory>
    <Directory @root@/htdocs/denied>
        PythonAuthenHandler quiet::deny
    </Directory>
    <Directory @root@/htdocs/typed>
        PythonTypeHandler quiet::type
    </Directory>
    <Location /authorized>
        Require user somebody-else
    </Location>
    <Directory @root@/htdocs/authorized>
        PythonAuthzHandler quiet::authorize
    </Directory>
    <Directory @root@/htdocs/unauthorized>
        PythonAuthzHandler quiet::refuse
    </Directory>
    <Directory @root@/htdocs/two>
        PythonInitHandler quiet::inner
    </Directory>
    ErrorDocument 404 /lost.mp
"""

SERVER_FILES = {
    "traced.py": TRACE
    + """
    def redirect(req):
        note(req)
        req.internal_redirect("/target.mp")
        return apache.OK

    def cleaning(req):
        note(req)
        def clean(word):
            req.log_error("TRACE %scleaned %s" % ("redirected " if req.prev else "", word),
                          apache.APLOG_NOTICE)
        def nest(data):
            clean("nest")
            req.register_cleanup(clean, "nested")
        req.register_cleanup(clean, "one")
        req.register_cleanup(nest)
        req.register_cleanup(clean, "three")
        if req.uri.endswith("both.mp"):
            req.internal_redirect("/cleaning.mp")
        return apache.OK
    """,
    "quiet.py": QUIET
    + """
    def deny(req):
        return apache.HTTP_UNAUTHORIZED

    def type(req):
        req.content_type = "text/x-mine"
        req.handler = "mod_python"
        return apache.OK

    def authorize(req):
        return apache.OK

    def refuse(req):
        return apache.HTTP_FORBIDDEN

    def inner(req):
        req.log_error("TRACE inner %s" % req.phase, apache.APLOG_NOTICE)
        return apache.OK
    """,
    "users": "other:{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=\n",  # the password is admin
    "x.mp": "",
    "target.mp": "",
    "index.mp": "",
    "lost.mp": "",
    "redirect.mp": "",
    "cleaning.mp": "",
    "both.mp": "",
    "other/x.mp": "",
    "denied/x.mp": "",
    "typed/x.txt": "",
    "typed/x": "",
    "authorized/x.mp": "",
    "unauthorized/x.mp": "",
    "two/x.mp": "",
    "page.shtml": '<!--#include virtual="/target.mp" -->',
}


@pytest.fixture(scope="module", params=("python first", "python last"))
def load_order(request):
    return request.param == "python first"


@pytest.fixture(scope="module", params=("Mine", "Basic"))
def whole(request, make_server, load_order):
    """A server with all phases in its main configuration."""
    conf = SERVER_CONF % {"auth_type": request.param} + ALL_PHASES
    for name in ("redirect", "cleaning", "both"):
        function = "redirect" if name == "redirect" else "cleaning"
        conf += "\n<Files %s.mp>\nPythonHandler traced::%s\n</Files>" % (name, function)
    site = Site(conf=conf, files=SERVER_FILES, python_first=load_order)
    with make_server(site) as server:
        server.auth_type = request.param
        yield server


@pytest.fixture
def fetch_whole(whole, watch):
    """GET from `whole`; returns the answer and what was traced."""
    log = watch(whole)

    def fetch(path, **options):
        mark = log.start = whole.log.mark()
        answer = client.get(whole.port, path, **options)
        lines = [str(line) for line in whole.log.lines(mark)]
        return answer, [line.split("TRACE ")[1] for line in lines if "TRACE " in line]

    fetch.log = log
    return fetch


# An internal redirect is not logged by itself.
OF_REDIRECT = [phase for phase in ORDER if phase != DIRECTIVES["Log"]]
# A sub-request begins with the translation of its name.
OF_SUBREQUEST = [
    DIRECTIVES[phase]
    for phase in ("Trans", "MapToStorage", "Access", "Authen", "Authz", "Type", "Fixup")
]


def test_order_of_all_phases(fetch_whole):
    answer, seen = fetch_whole("/x.mp")
    assert (answer.status, answer.text) == (200, "content")
    assert seen == ORDER


def test_order_with_a_directory_index(fetch_whole):
    answer, seen = fetch_whole("/")
    assert (answer.status, answer.text) == (200, "content")
    main = [line for line in seen if not line.startswith("sub ")]
    assert main == ORDER
    sub = [line[4:] for line in seen if line.startswith("sub ")]
    assert sub == [*OF_SUBREQUEST, DIRECTIVES["Cleanup"]]


def test_order_with_an_include(fetch_whole):
    answer, seen = fetch_whole("/page.shtml")
    assert (answer.status, answer.text) == (200, "content")
    main = [line for line in seen if not line.startswith("sub ")]
    assert main == [phase for phase in ORDER if phase != "PythonHandler"]
    sub = [line[4:] for line in seen if line.startswith("sub ")]
    assert sub == [*OF_SUBREQUEST, "PythonHandler", DIRECTIVES["Cleanup"]]


def test_order_with_an_internal_redirect(fetch_whole):
    answer, seen = fetch_whole("/redirect.mp")
    assert (answer.status, answer.text) == (200, "content")
    # httpd has the first request of the chain logged.
    assert [line for line in seen if not line.startswith("redirected ")] == ORDER
    second = [line[11:] for line in seen if line.startswith("redirected ")]
    assert second == OF_REDIRECT


def test_order_with_an_error_document(fetch_whole):
    answer, seen = fetch_whole("/nothing/here.txt")
    assert (answer.status, answer.text) == (404, "content")
    second = [line[11:] for line in seen if line.startswith("redirected ")]
    assert second == OF_REDIRECT


def test_cleanups_run_newest_first_and_before_the_handlers(fetch_whole):
    answer, seen = fetch_whole("/cleaning.mp")
    assert answer.status == 200
    tail = seen[seen.index(DIRECTIVES["Log"]) + 1 :]
    assert tail == [
        "cleaned three",
        "cleaned nest",
        "cleaned nested",
        "cleaned one",
        DIRECTIVES["Cleanup"],
    ]


def test_cleanups_of_both_requests_of_a_redirect(fetch_whole):
    answer, seen = fetch_whole("/both.mp")
    assert answer.status == 200
    for prefix in ("", "redirected "):
        cleaned = [line for line in seen if line.startswith(prefix + "cleaned")]
        order = ("three", "nest", "nested", "one")
        assert cleaned == ["%scleaned %s" % (prefix, word) for word in order]
        last = prefix + DIRECTIVES["Cleanup"]
        assert seen.count(last) == 1
        assert seen.index(last) == seen.index(cleaned[-1]) + 1


def test_init_handler_runs_once_for_server_and_directory(fetch_whole):
    # The server's has run when the directory's own is known.
    answer, seen = fetch_whole("/two/x.mp")
    assert answer.status == 200
    assert seen == ORDER


def test_authen_handler_comes_before_httpd_s_own(fetch_whole, whole):
    answer, _ = fetch_whole("/denied/x.mp")
    assert answer.status == 401
    challenge = 'Basic realm="here"' if whole.auth_type == "Basic" else None
    assert answer.headers.get("WWW-Authenticate") == challenge


def test_declining_authen_handler_leaves_it_to_httpd(fetch_whole, whole):
    if whole.auth_type == "Basic":
        answer, seen = fetch_whole("/other/x.mp", auth=("other", "admin"))
        assert (answer.status, answer.text) == (200, "content")
        assert seen == ORDER
        assert fetch_whole("/other/x.mp")[0].status == 401
        fetch_whole.log.expect("AH01617")
        assert fetch_whole("/other/x.mp", auth=("other", "wrong"))[0].status == 401
    else:
        fetch_whole.log.expect("AH01796")
        assert fetch_whole("/other/x.mp")[0].status == 500


def test_authz_handler_comes_before_httpd_s_own(fetch_whole):
    answer, _ = fetch_whole("/authorized/x.mp")
    assert (answer.status, answer.text) == (200, "content")
    assert fetch_whole("/unauthorized/x.mp")[0].status == 403


@pytest.mark.parametrize("name", ("x", "x.txt"))
def test_type_handler_comes_before_mod_mime(fetch_whole, name):
    answer, _ = fetch_whole("/typed/" + name)
    assert (answer.status, answer.text) == (200, "content")
    assert answer.headers["Content-Type"] == "text/x-mine"


# -- PythonHandlerModule, PythonInitHandler, cleanups ----------------------------------------------


@pytest.mark.parametrize("where", [*SECTIONS, "htaccess"])
def test_handler_module_in_each_section(get, log, where):
    path = "/module%s/%s.txt" % (where, "module" + where if where == "filesattop" else "x")
    answer = get(path)
    assert (answer.status, answer.text) == (200, "content")
    assert traces(log) == ["PythonFixupHandler", "PythonHandler", "PythonLogHandler"]


# A Location with a handler of ours has no file to send. (directives.md 1.15)
WITH_FILES = [name for name in [*SECTIONS, "htaccess"] if not name.startswith("location")]


@pytest.mark.parametrize("where", WITH_FILES)
def test_cleanup_handler_alone_in_each_section(get, log, where):
    path = "/alone%s/%s.txt" % (where, "alone" + where if where == "filesattop" else "x")
    answer = get(path)
    assert (answer.status, answer.text) == (200, "static\n")
    assert traces(log) == ["PythonCleanupHandler"]


def test_init_handler_of_the_server_comes_before_the_translation(get, log):
    assert get("/x.txt?PythonInitHandler:PythonTransHandler", host="adding.vhost").status == 200
    seen = traces(log)
    assert seen.index("first PythonInitHandler") < seen.index("first PythonTransHandler")


def test_init_handler_of_a_directory_comes_before_the_header_parser(get, log):
    assert get("/initlate/x.txt", host="initlate.vhost").status == 200
    assert traces(log) == [
        "PythonPostReadRequestHandler",
        "PythonTransHandler",
        "PythonInitHandler",
        "PythonHeaderParserHandler",
    ]
