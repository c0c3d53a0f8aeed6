"""Every phase with every kind of result, error and added handler: phases.md 2.1 and 2.3 to 2.6."""

import functools

from compat import case as cases
from compat.case import get

# What a phase's list does is the same under every MPM, and these cases are many.
case = functools.partial(cases.case, mpms=("event",))

# What each answer of the first handler does to the list of its phase. (phases.md 2.4.1)
OK, DECLINED, DONE = "OK", "DECLINED", "DONE"
GOES_ON = {
    "HeaderParser": (OK, DECLINED),
    "Access": (OK, DECLINED),
    "Authen": (DECLINED,),
    "Authz": (DECLINED,),
    "Type": (DECLINED,),
    "Fixup": (OK, DECLINED),
    "": (OK,),
    "Log": (OK, DECLINED),
    "Cleanup": (OK,),
}
RESULTS = (OK, DECLINED, DONE, "HTTP_FORBIDDEN", "HTTP_INTERNAL_SERVER_ERROR", "HTTP_NOT_FOUND")
STATUS = {
    "HTTP_FORBIDDEN": 403,
    "HTTP_INTERNAL_SERVER_ERROR": 500,
    "HTTP_NOT_FOUND": 404,
}
# After the answer has gone.
LATE = ("Log", "Cleanup")

_LIST = """
def first(req):
    req.log_error("first in %s" % req.phase)
    req.user = "me"
    return apache.RESULT

def second(req):
    req.log_error("second in %s" % req.phase)
    req.user = "me"
    return apache.OK

def user(req):
    req.user = "me"
    return apache.OK

def content(req):
    if not req.sent_bodyct:
        req.write("content")
    return apache.OK
"""


def section(phase, entries):
    """The configuration in which a phase is reached, with these handlers for it."""
    conf = f"SetHandler mod_python\nPython{phase}Handler {entries}\n"
    if phase:
        conf += "PythonHandler @mod@::content\n"
    if phase in ("Authen", "Authz"):
        conf += "AuthType Mine\nAuthName here\nRequire valid-user\n"
    if phase == "Authz":
        conf += "PythonAuthenHandler @mod@::user\n"
    return conf


for _phase, _goes_on in GOES_ON.items():
    for _result in RESULTS:
        _status = 200 if _phase in LATE else STATUS.get(_result, 200)
        if _phase == "" and _result == DECLINED:
            # httpd's default handler finds no file.
            _status = 404
        _word = "goes on after" if _result in _goes_on else "ends with"
        case(
            f"table-{_phase.lower() or 'content'}-{_result.lower().replace('_', '-')}",
            f"phases.md 2.4.1: Python{_phase}Handler {_word} {_result}",
            _LIST.replace("RESULT", _result),
            get("/x", status=_status),
            conf=section(_phase, "@mod@::first @mod@::second"),
            log="error",
            log_ignore=["AH01276", "AH00128"],
        )

# -- names and classes ---------------------------------------------------------------------------

_DEFAULTS = """
class Named:
    def __init__(self, req):
        self.req = req

    def method(self, req):
        req.log_error("%s of an instance, same %s" % (req.phase, req is self.req))
        req.user = "me"
        return apache.OK

def content(req):
    if not req.sent_bodyct:
        req.write("content")
    return apache.OK

user = Named.method.__get__(Named(None))

def NAMEhandler(req):
    req.log_error("%s by its default name" % req.phase)
    req.user = "me"
    return apache.OK
"""

for _phase in GOES_ON:
    _name = f"{_phase.lower() or 'content'}"
    case(
        f"table-{_name}-default-name",
        f"phases.md 2.1: the default function of Python{_phase}Handler",
        _DEFAULTS.replace("NAME", _phase.lower()),
        get("/x"),
        conf=section(_phase, "@mod@"),
        log="error",
    )
    case(
        f"table-{_name}-class",
        f"phases.md 2.3: the class rule in Python{_phase}Handler",
        _DEFAULTS.replace("NAME", "unused"),
        get("/x"),
        conf=section(_phase, "@mod@::Named.method"),
        log="error",
    )

# -- errors --------------------------------------------------------------------------------------

_FAILING = """
def failing(req):
    req.user = "me"
    raise LookupError("<in> %s" % req.phase)

def nothing(req):
    req.user = "me"

def user(req):
    req.user = "me"
    return apache.OK

def content(req):
    req.write("content")
    return apache.OK
"""

for _phase in GOES_ON:
    _name = f"{_phase.lower() or 'content'}"
    _status = 200 if _phase in LATE else 500
    for _function, _about in (
        ("failing", "an exception in"),
        ("nothing", "None returned from"),
    ):
        case(
            f"table-{_name}-{_function}",
            f"phases.md 2.6: {_about} Python{_phase}Handler",
            _FAILING,
            get("/x", status=_status),
            conf=section(_phase, f"@mod@::{_function} @mod@::user"),
            log="error",
        )
    if _phase not in LATE:
        case(
            f"table-{_name}-failing-debug",
            f"phases.md 2.6: the page of an exception in Python{_phase}Handler",
            _FAILING,
            get("/x", status=500, find=f'Mod_python error: "Python{_phase}Handler .*&lt;in&gt;'),
            conf=section(_phase, "@mod@::failing @mod@::user") + "PythonDebug On",
            log="error",
        )

# -- SERVER_RETURN -------------------------------------------------------------------------------

_RAISING = """
def returning(req):
    req.user = "me"
    raise apache.SERVER_RETURN(apache.HTTP_FORBIDDEN)

def going_on(req):
    req.log_error("first in %s" % req.phase)
    req.user = "me"
    raise apache.SERVER_RETURN(apache.GOES_ON)

def user(req):
    req.log_error("second in %s" % req.phase)
    req.user = "me"
    return apache.OK

def content(req):
    if not req.sent_bodyct:
        req.write("content")
    return apache.OK
"""

for _phase, _goes_on in GOES_ON.items():
    _name = f"{_phase.lower() or 'content'}"
    case(
        f"table-{_name}-server-return",
        f"phases.md 2.4.4: SERVER_RETURN in Python{_phase}Handler",
        _RAISING.replace("GOES_ON", _goes_on[0]),
        get("/x", status=200 if _phase in LATE else 403),
        conf=section(_phase, "@mod@::returning @mod@::user"),
        log="error",
    )
    case(
        f"table-{_name}-server-return-goes-on",
        f"phases.md 2.4.4: SERVER_RETURN({_goes_on[0]}) in Python{_phase}Handler goes on",
        _RAISING.replace("GOES_ON", _goes_on[0]),
        get("/x"),
        conf=section(_phase, "@mod@::going_on @mod@::user"),
        log="error",
    )

# -- add_handler ---------------------------------------------------------------------------------

_ADDING = """
def fixuphandler(req):
    req.add_handler("PythonTARGETHandler", __name__ + "::added")
    return apache.OK

def added(req):
    req.log_error("added: %s in %s" % (req.phase, req.hlist.directory))
    return apache.OK

def content(req):
    if not req.sent_bodyct:
        req.write("content")
    return apache.OK
"""

# From the fixup phase: those that have passed are never reached.
for _target in (
    *"PostReadRequest Init Trans HeaderParser Access Authen Authz Type Fixup Log".split(),
    "",
):
    case(
        f"add-handler-to-{_target.lower() or 'content'}",
        f"phases.md 2.5: add_handler from the fixup phase to Python{_target}Handler",
        _ADDING.replace("TARGET", _target),
        get("/x", body="content"),
        conf="SetHandler mod_python\nPythonHandler @mod@::content\nPythonFixupHandler @mod@",
        log="error",
    )

# -- phases of a whole server ----------------------------------------------------------------------

_SERVER = """
def first(req):
    req.log_error("first in %s" % req.phase)
    if req.phase == "PythonTransHandler":
        req.filename = "@dir@/x"
    if req.args == "raise":
        raise LookupError("in %s" % req.phase)
    return getattr(apache, req.args)

def second(req):
    req.log_error("second in %s" % req.phase)
    if req.phase == "PythonTransHandler":
        req.filename = "@dir@/x"
    return apache.OK

def content(req):
    req.write("content")
    return apache.OK
"""

for _phase, _about in (
    ("PostReadRequest", "goes on after OK and DECLINED"),
    ("Init", "goes on after OK and DECLINED"),
    ("Trans", "goes on after DECLINED only"),
):
    case(
        f"table-server-{_phase.lower()}",
        f"phases.md 2.4.1: Python{_phase}Handler of a server {_about}",
        _SERVER,
        get("/x?OK", body="content"),
        get("/x?DECLINED", body="content"),
        get("/x?HTTP_FORBIDDEN", status=403, new_connection=True),
        get("/x?HTTP_NOT_FOUND", status=404, new_connection=True),
        get("/x?DONE", body="", new_connection=True),
        get("/x?raise", status=500, new_connection=True),
        conf="SetHandler mod_python\nPythonHandler @mod@::content",
        vhost=f"""
            PythonPath "sys.path + ['@dir@']"
            Python{_phase}Handler @mod@::first @mod@::second
        """,
        files={"x": ""},
        log="error",
    )
