"""The `req` of a request that is done serves the next one, where no program can tell."""

import time

import pytest

from pyhttpd import Site

HANDLER = """
    import gc, threading, time, weakref
    from mod_python import apache

    kept = []
    found = []

    def handler(req):
        globals()["do_" + req.args](req)
        return apache.OK

    def do_own(req):
        req.write("%s %s" % (sorted(vars(req)), req.headers_in["X-Number"]))

    def do_attribute(req):
        req.mine = req.headers_in["X-Number"]
        req.write(req.mine)

    def do_dict(req):
        kept[:] = [vars(req)]
        req.write(str(len(kept[0])))

    def do_set_in_dict(req):
        kept[0]["mine"] = 1
        do_own(req)

    def do_weak(req):
        kept[:] = [weakref.ref(req)]
        req.write(str(kept[0]() is req))

    def do_is_weak(req):
        req.write(str(kept[0]()))

    def do_keep(req):
        kept[:] = [req]
        req.write("kept")

    def do_is_kept(req):
        try:
            req.write(kept[0].headers_in["X-Number"])
        except RuntimeError as error:
            req.write("%s %s" % (kept[0] is req, error))

    def do_keep_table(req):
        kept[:] = [req.headers_in, req.notes, weakref.ref(req.headers_out), iter(req.headers_in)]
        req.notes["mine"] = "1"
        req.write("kept")

    def do_kept_table(req):
        said = []
        for use in (lambda: kept[0]["X-Number"], lambda: kept[1]["mine"], lambda: next(kept[3])):
            try:
                said.append(use())
            except RuntimeError as error:
                said.append("over" in str(error))
        out = kept[2]() is None
        req.write("%s %s %s %s" % (said, out, "mine" in req.notes, req.headers_in["X-Number"]))

    def do_related(req):
        values = [req.connection.id, req.server.port, len(req.get_options()), len(req.get_config())]
        req.write("%s %s" % (req.headers_in["X-Number"], len(values)))

    # Looks for a req that no request has, and leaves something on it.
    def do_look(req):
        found.clear(), kept.clear()
        threading.Thread(target=look, args=(time.monotonic() + 60,), daemon=True).start()
        req.write("looking")

    def look(deadline):
        while not found and time.monotonic() < deadline:
            time.sleep(0.01)
            for one in gc.get_objects():
                if type(one).__name__ == "mp_request":
                    try:
                        one.uri
                    except RuntimeError as error:
                        one.mine = "left"
                        kept.append(one.headers_in)
                        found.append(str(error))
                        break
            one = None

    def do_found(req):
        number = req.headers_in["X-Number"]
        if kept:
            try:
                kept[0]["X-Number"]
            except RuntimeError as error:
                found.append(str(error))
        req.write("%s %s %s" % (found, sorted(vars(req)), number))
"""

SITE = Site(
    conf="""
        <Directory @root@/htdocs/spare>
            SetHandler mod_python
            PythonHandler spare
        </Directory>
    """,
    files={"spare/spare.py": HANDLER},
)


@pytest.fixture(autouse=True)
def only_ours(mod_python):
    if mod_python.name == "original":
        pytest.skip("the original makes an object for each request")


@pytest.fixture
def ask(connect):
    """Asks over one connection: always the same child."""
    connection = connect()

    def ask(what, number=0):
        answer = connection.request(f"/spare/?{what}", headers=[("X-Number", str(number))])
        assert answer.status == 200, answer
        return answer.text

    return ask


def test_it_is_put_aside(ask):
    """Between requests there is one, and what somebody left on it is in no request."""
    assert ask("look") == "looking"
    deadline = time.monotonic() + 60
    # Each request takes it away from the one who looks; he finds it between them.
    while (text := ask("found", 7)).startswith("[]"):
        assert time.monotonic() < deadline, "no object is put aside"
        time.sleep(0.1)
    over = "the request is over: this object can no longer be used"
    assert text == f"{[over, over]} [] 7"


def test_nothing_of_the_last_request_is_left(ask):
    for number in range(5):
        assert ask("attribute", number) == str(number)
        assert ask("own", number) == f"[] {number}"
        assert ask("related", number) == f"{number} 4"
        assert ask("own", -number) == f"[] {-number}"


def test_a_dict_that_somebody_has(ask):
    assert ask("dict") == "0"
    assert ask("set_in_dict") == "[] 0"
    assert ask("own") == "[] 0"


def test_a_weak_reference(ask):
    assert ask("weak") == "True"
    assert ask("is_weak") == "None"


def test_an_object_that_somebody_has(ask):
    assert ask("keep", 1) == "kept"
    gone = "False the request is over: this object can no longer be used"
    assert ask("is_kept", 2) == gone
    assert ask("own", 3) == "[] 3"
    assert ask("is_kept", 4) == gone


def test_tables_that_somebody_has(ask):
    assert ask("own", 1) == "[] 1"
    assert ask("keep_table", 2) == "kept"
    for number in (3, 4):
        assert ask("kept_table", number) == f"[True, True, True] True False {number}"
