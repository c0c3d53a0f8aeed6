"""PythonRequestTimeout: the handler gets an exception, its client 504, the log every stack."""

import os
import re
import threading
import time

import pytest

from pyhttpd import Site, client

pytestmark = pytest.mark.every_python
SOAK = bool(os.environ.get("MOD_PYTHON_SOAK"))


@pytest.fixture(autouse=True)
def once(mpm):
    if mpm == "worker" and not SOAK:
        pytest.skip("does not depend on the MPM, but for the number of threads")


HANDLERS = """
    import os
    import threading
    import time
    from mod_python import apache

    def loop(req):
        while True:
            pass

    def stubborn(req):
        while True:
            try:
                time.sleep(0.01)
            except Exception:
                pass

    def tidy(req):
        try:
            while True:
                pass
        except apache.RequestTimeout as error:
            req.log_error("caught it", apache.APLOG_NOTICE)
            assert isinstance(error, BaseException) and not isinstance(error, Exception)
            req.write("tidied: %s" % error)
            return apache.OK

    def goes_on(req):
        times = 0
        while True:
            try:
                while True:
                    pass
            except apache.RequestTimeout:
                times += 1
                if times == 2:
                    req.log_error("met it twice", apache.APLOG_NOTICE)
                    raise

    def changed(req):
        try:
            while True:
                pass
        finally:
            raise KeyError("in its place")

    def begun(req):
        req.write("begun")
        req.flush()
        while True:
            pass

    def blocks(req):
        # In C code, until the test has seen enough.
        gate = os.open("@root@/tmp/gate", os.O_RDWR)
        os.read(gate, 1)
        os.close(gate)
        return apache.OK

    def quick(req):
        end = time.time() + 0.4
        while time.time() < end:
            pass
        req.write("done")
        return apache.OK

    def race(req):
        # Ends just when its time is over: the exception meets it, or nobody.
        end = time.monotonic() + 0.02 + int(req.args) * 0.0005
        while time.monotonic() < end:
            pass
        req.write("in time")
        return apache.OK

    def after(req):
        end = time.monotonic() + 0.003
        while time.monotonic() < end:
            pass
        req.write("after")
        return apache.OK

    def redirect(req):
        req.internal_redirect("/never/loop")
        return apache.OK

    def filtered(req):
        req.write("x" * 10)
        return apache.OK

    def looping_filter(fltr):
        while True:
            pass

    def lists(req):
        req.internal_redirect("/listing/")
        while True:
            pass

    def clean_up(name):
        apache.log_error("cleans up", apache.APLOG_NOTICE)
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            pass
        open(name, "w").close()

    def fixup(req):
        if req.main:
            req.register_cleanup(clean_up, "@root@/tmp/cleaned")
        return apache.OK

    class Counted:
        entered = left = 0

        def __enter__(self):
            pass

        def __exit__(self, *error):
            self.left += 1

        def release(self):
            self.left += 1

    def in_condition(counted, condition):
        while True:
            with condition:
                time.monotonic()

    def in_with(counted, condition):
        while True:
            with counted:
                counted.entered += 1
                time.monotonic()

    def in_try(counted, condition):
        while True:
            try:
                counted.entered += 1
                time.monotonic()
            finally:
                counted.release()

    def holds(req):
        counted, condition = Counted(), threading.Condition(threading.Lock())
        try:
            globals()[req.args](counted, condition)
        except apache.RequestTimeout:
            is_free = condition.acquire(blocking=False)
            req.write("%s %d" % (is_free, max(0, counted.entered - counted.left)))
        return apache.OK

    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        def generate():
            while True:
                yield b""
        return generate()

    def page(req):
        while True:
            pass
"""


def place(name, handler, *lines):
    head = [f"<Location /{name}>", "SetHandler mod_python", f"PythonHandler {handler}"]
    return "\n".join([*head, *lines, "</Location>"])


# One handler for each of its functions: the last part of the URI.
CHOOSE = """
    import handlers

    def handler(req):
        return getattr(handlers, req.uri.rpartition("/")[2])(req)
"""
INTERPRETER = "PythonInterpreter other"
PATH = "PythonPath \"sys.path + ['@root@/htdocs']\""
SITE = Site(
    conf="\n".join(
        [
            PATH,
            # What ends at once is not to be told twice, however long this machine takes.
            place("limited", "choose", "PythonRequestTimeout 0.2 60"),
            place("grace", "choose", "PythonRequestTimeout 0.2 0.3"),
            place("never", "choose"),
            place("sub", "choose", "PythonRequestTimeout 0.2 60", INTERPRETER),
            place("once", "choose", "PythonRequestTimeout 0.05 5"),
            place("race", "choose", "PythonRequestTimeout 0.02"),
            place(
                "wsgi",
                "mod_python.wsgi",
                "PythonRequestTimeout 0.2 60",
                "PythonOption mod_python.wsgi.application handlers::application",
            ),
            place("filter", "choose", "PythonRequestTimeout 0.2", "SetOutputFilter LOOP"),
            place(
                "ssi",
                "choose",
                "PythonRequestTimeout 0.2\nOptions +Includes",
                "SetOutputFilter INCLUDES",
            ),
            "PythonOutputFilter handlers::looping_filter LOOP",
            "<Directory @root@/htdocs/listing>\nOptions +Indexes",
            "PythonFixupHandler handlers::fixup\n</Directory>",
            "<Directory @root@/htdocs/psp>\nSetHandler mod_python\nPythonHandler mod_python.psp",
            "PythonRequestTimeout 0.2 60\n</Directory>",
            "<Directory @root@/htdocs/publish>\nSetHandler mod_python",
            "PythonHandler mod_python.publisher\nPythonRequestTimeout 0.2 60\n</Directory>",
        ]
    ),
    files={
        "handlers.py": HANDLERS,
        "choose.py": CHOOSE,
        "psp/page.psp": "<%\nwhile True:\n    pass\n%>",
        "publish/index.py": "def page(req):\n    while True:\n        pass\n",
        "ht/.htaccess": "SetHandler mod_python\nPythonHandler choose\n"
        "PythonRequestTimeout 0.2 60\n",
        "ht/off/.htaccess": "PythonRequestTimeout 0\n",
        "listing/one.txt": "",
        "ht/loop": "",
        "ht/off/quick": "",
    },
)
# Where the child gets no time for a second.
SLOW = "MP0703: some handler is stuck in C code that does not give the GIL away"
OVER = r"MP0701: GET \S+, \S+ \S+: over PythonRequestTimeout after \d+\.\d s"
TRACEBACK = r"(RequestTimeout: the handler has run longer|Traceback|File \"|^error: \S+ \S+:)"


@pytest.fixture(autouse=True)
def slow(once, log):
    log.allow(SLOW)


def until(log, text, ask):
    """Asks until the log has this text of a handler; its time may be over before, in an import."""
    deadline = time.monotonic() + 60
    while True:
        answer = ask()
        if any(re.search(text, line) for line in log.messages()):
            return answer
        assert answer.status == 504, answer.text
        assert time.monotonic() < deadline, "no handler comes so far in its time"


@pytest.mark.parametrize(
    "path",
    [
        "/limited/loop",
        "/limited/stubborn",
        "/sub/loop",
        "/wsgi",
        "/publish/index/page",
        "/psp/page.psp",
        "/ht/loop",
    ],
)
def test_client_gets_504(get, log, path):
    log.expect(OVER, TRACEBACK)
    answer = get(path)
    assert answer.status == 504, answer.text
    assert "Gateway Timeout" in answer.text


def test_the_first_one_of_a_child(make_server, watch):
    """Nobody has been in the main interpreter yet, which is not where the handler runs."""
    conf = "\n".join([PATH, place("sub", "choose", "PythonRequestTimeout 0.2", INTERPRETER)])
    with make_server(
        Site(conf=conf, files={"handlers.py": HANDLERS, "choose.py": CHOOSE})
    ) as server:
        log = watch(server)
        log.expect(OVER, TRACEBACK)
        log.allow(SLOW)
        assert client.get(server.port, "/sub/loop").status == 504


def test_log_has_the_stacks(get, log):
    log.expect(OVER, TRACEBACK)
    assert until(log, "MP0702: .* in loop$", lambda: get("/limited/loop")).status == 504
    log.wait_for(r"MP0702: .*choose\.py\", line 5 in handler")
    text = "\n".join(log.messages()) + "\n"
    head = r"notice: MP0702: Thread 0x[0-9a-f]+, GET /limited/loop, PythonHandler choose "
    assert re.search(head, text), text
    assert re.search(r'MP0702:   File "\S+handlers\.py", line \d+ in loop\n', text), text
    assert re.search(r'MP0702:   File "\S+choose\.py", line 5 in handler\n', text), text


def test_handler_may_catch_it(get, log):
    log.expect(OVER)
    log.allow(TRACEBACK)
    answer = until(log, "caught it", lambda: get("/limited/tidy"))
    assert answer.status == 200
    assert answer.text == "tidied: the handler has run longer than PythonRequestTimeout allows"


def test_raised_again_after_the_grace(get, log):
    log.expect(OVER, "MP0701: .* goes on after RequestTimeout", "met it twice", TRACEBACK)
    assert until(log, "met it twice", lambda: get("/grace/goes_on")).status == 504


def test_another_exception_in_its_place(get, log):
    log.expect(OVER, "KeyError: 'in its place'", TRACEBACK)
    assert until(log, "KeyError", lambda: get("/limited/changed")).status == 504


def test_response_that_has_begun_is_broken_off(connect, log):
    log.expect(OVER, TRACEBACK)
    received = b""
    deadline = time.monotonic() + 60
    # Else the time was over before it had begun.
    while not received or received.startswith(b"HTTP/1.1 504 "):
        assert time.monotonic() < deadline
        connection = connect()
        connection.send(
            b"GET /limited/begun HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        received = connection.read_to_eof()
    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.endswith(b"5\r\nbegun\r\n")  # no last chunk, no error page


def test_stuck_handler_is_reported(get, server, log):
    stuck = "MP0703: GET /grace/blocks, PythonHandler choose: is stuck in C code for"
    log.expect(OVER, stuck, TRACEBACK)
    log.allow("MP070[13]: GET /grace/blocks, ")
    os.mkfifo(server.root / "tmp/gate")
    (server.root / "tmp/gate").chmod(0o666)
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(until(log, stuck, lambda: get("/grace/blocks")))
    )
    thread.start()
    try:
        log.wait_for(stuck)
    finally:
        with (server.root / "tmp/gate").open("r+b", buffering=0) as gate:
            gate.write(b"x")
            thread.join()
    assert answers[0].status == 504


def test_off(get):
    assert get("/never/quick").text == "done"
    assert get("/ht/off/quick").text == "done"


def test_filter_over_its_time(get, log):
    log.expect(OVER, TRACEBACK)
    log.allow("goes on after RequestTimeout")
    assert get("/filter/filtered").status == 504


def test_redirected_request_is_part_of_the_handler(get, log):
    # The handler redirected to has no limit of its own.
    log.allow("goes on after RequestTimeout")
    log.expect(OVER, TRACEBACK)
    assert get("/limited/redirect").status == 504


def test_cleanups_are_not_hit(get, server, log):
    # mod_autoindex makes a sub-request for each file, whose end falls into the handler's time.
    log.expect("MP0701: GET /limited/lists, ", TRACEBACK)
    until(log, "cleans up", lambda: get("/limited/lists"))
    assert (server.root / "tmp/cleaned").exists()


def test_it_meets_the_right_handler_or_nobody(server, log):
    log.allow("MP0701", TRACEBACK)
    failures = []
    seen = set()

    def run(offset):
        for number in range(300 if SOAK else 10):
            late = client.get(server.port, f"/race/race?{(number + offset) % 8 - 4}")
            seen.add(late.status)
            if late.status not in (200, 504):
                failures.append((late.status, late.text))
            after = client.get(server.port, "/never/after")
            if (after.status, after.text) != (200, "after"):
                failures.append((after.status, after.text))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert seen


@pytest.mark.mpms("event")
@pytest.mark.parametrize("what", ["in_condition", "in_with", "in_try"])
def test_what_is_to_be_released_is_released(get, log, python_version, what):
    """It is not raised between the last instruction of a block and the first of its `__exit__`."""
    if python_version < (3, 10) and what != "in_condition":
        pytest.skip("Python 3.9 may raise it after any instruction, thus also within such a method")
    log.allow("MP0701", TRACEBACK)
    get("/never/after")
    answers = []
    while len(answers) < 6:
        answer = get(f"/once/holds?{what}")
        # 504 where the time was over before the `try`, or again after it: that tells nothing.
        if answer.status != 504:
            answers.append((answer.status, answer.text))
    assert answers == [(200, "True 0")] * 6


def test_shown_by_get_config(make_server):
    files = {
        "show/show.py": """
            def handler(req):
                req.write(repr(req.get_config().get("PythonRequestTimeout")))
                return 0
        """
    }
    conf = """
        PythonRequestTimeout 7.5
        <Directory @root@/htdocs/show>
            SetHandler mod_python
            PythonHandler show
        </Directory>
    """
    with make_server(Site(conf=conf, files=files)) as server:
        assert client.get(server.port, "/show/").text == "'7.5'"


@pytest.mark.parametrize("text", ["-1", "soon", "1 0", "1 x", "inf"])
def test_wrong_values(make_server, text):
    done = make_server(Site(conf=f"PythonRequestTimeout {text}\n")).configtest()
    assert done.returncode != 0
    assert "PythonRequestTimeout takes seconds, such as 30 or 0.5, not" in done.stdout
