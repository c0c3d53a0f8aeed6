"""Several interpreters in one thread and one process: what CPython and PyO3 make difficult.

The classes of `_apache` are one and the same in all interpreters of a child. CPython 3.12 and newer
remember what they found in a class under a number that two interpreters may give to two classes,
unless the class is immutable.
"""

import pytest

from pyhttpd import Site, client, python

pytestmark = pytest.mark.every_python

INTERPRETERS = ("main_interpreter", "one", "two")

HANDLER = """
    import _apache
    from mod_python import apache

    SHARED = [
        value
        for name, value in vars(_apache).items()
        if isinstance(value, type) and not name.startswith("__")
    ]

    def touch(req):
        # Has CPython number the classes in this interpreter.
        for one in SHARED:
            getattr(one, "not_mine", None)
        req.write("%d" % len(SHARED))
        return apache.OK

    def count(req):
        # Hundreds of classes with an attribute that the shared ones must not seem to have.
        for number in range(3000):
            other = type("Other%d" % number, (), {"not_mine": number, "write": lambda *args: 1 / 0})
            assert other().not_mine == number
            for one in SHARED:
                assert not hasattr(one, "not_mine"), (number, one)
            # An instance method, found in the class.
            assert req.write.__name__ == "write"
        for one in SHARED:
            assert not hasattr(one, "not_mine"), one
        req.write("counted")
        return apache.OK

    def immutable(req):
        for one in SHARED:
            try:
                one.not_mine = 1
            except TypeError as error:
                req.write("%s\\n" % error)
            else:
                del one.not_mine
                req.write("%s is mutable\\n" % one.__name__)
        return apache.OK

    class Odd(Exception):
        def __str__(self):
            raise ValueError("in the middle of a report")

    def raises(req):
        # PyO3 looks at an error in the middle of something else.
        try:
            req.write(b"x" * 10, "neither true nor false", "too many")
        except TypeError:
            pass
        try:
            req.sendfile("/nowhere")
        except OSError:
            pass
        if req.args == "odd":
            raise Odd
        raise apache.SERVER_RETURN(apache.HTTP_CONFLICT)

    def modules(req):
        import _apache, _psp
        from mod_python import Cookie, Session, psp, publisher, util
        req.write(_psp.__name__ + " " + apache.interpreter)
        return apache.OK
"""


def conf(names):
    sections = [
        f"<Location /{name}/{function}>\nSetHandler mod_python\nPythonInterpreter {name}\n"
        f"PythonHandler shared::{function}\n</Location>\n"
        for name in names
        for function in ("touch", "count", "immutable", "raises", "modules")
    ]
    return "PythonPath \"['@root@/htdocs'] + sys.path\"\n" + "".join(sections)


SITE = Site(conf=conf(INTERPRETERS), files={"shared.py": HANDLER}, threads=4)


@pytest.fixture(scope="module", autouse=True)
def _only_ours(mod_python):
    if mod_python.name == "original":
        pytest.skip("the original's classes are static")


@pytest.fixture
def python_version(mod_python):
    executable = mod_python.python or "/usr/bin/python3"
    return tuple(map(int, python.version(executable).split(".")[:2]))


def test_classes_are_not_mistaken_for_others(get):
    for name in INTERPRETERS:
        assert int(get(f"/{name}/touch").text) >= 8
    for name in reversed(INTERPRETERS):
        assert get(f"/{name}/count").text == "counted"


def test_shared_classes_are_immutable(get, python_version):
    if python_version < (3, 10):
        pytest.skip("this Python has no immutable classes, and no need of them")
    said = get("/one/immutable").text
    assert "mutable\n" not in said.replace("immutable", "")
    assert said.count("cannot set 'not_mine' attribute of immutable type") >= 8


def test_one_thread_in_several_interpreters(make_server, watch):
    # PyO3 asks PyGILState at errors, which deadlocks on a thread with two states unless all work
    # runs inside its own trampoline. A hang is a time-out here.
    site = Site(conf=SITE.conf, files=SITE.files, threads=1)
    with make_server(site) as server:
        log = watch(server)
        log.allow("AH00484")
        log.expect("PythonHandler shared::raises: shared.Odd: ")
        for _ in range(3):
            for name in INTERPRETERS:
                assert client.get(server.port, f"/{name}/raises").status == 409
                assert client.get(server.port, f"/{name}/raises?odd").status == 500
        log.allow("PythonHandler shared::raises")


def test_every_module_in_every_interpreter(get):
    for name in INTERPRETERS:
        assert get(f"/{name}/modules").text == f"_psp {name}"
