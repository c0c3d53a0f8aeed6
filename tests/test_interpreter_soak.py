"""Eight interpreters on 25 threads: each answer comes from the right one, and nothing is lost.

Handlers count in their own interpreter, go through filters and redirects of another one, start
threads, raise, and make classes by the dozen. `--soak 300` runs it for 5 minutes.
"""

import collections
import concurrent.futures
import json
import pathlib
import random
import time

import pytest

from pyhttpd import Site
from pyhttpd.client import Connection

pytestmark = pytest.mark.every_python

INTERPRETERS = ("main_interpreter", *(f"number-{number}" for number in range(1, 8)))
CLIENTS = 25
# For each client, where no time is given.
REQUESTS = 60

HANDLER = """
    import json, os, sys, threading, time
    import _apache
    from mod_python import apache

    lock = threading.Lock()
    local = threading.local()
    count = 0
    early_threads = {}

    def step(req):
        global count
        with lock:
            count += 1
            number = count
        local.calls = getattr(local, "calls", 0) + 1
        # This thread was here before as often as it says itself.
        ident = threading.get_ident()
        early_threads[ident] = early_threads.get(ident, 0) + 1
        assert early_threads[ident] == local.calls, (early_threads[ident], local.calls)
        return {"name": req.interpreter, "same": apache.interpreter == req.interpreter,
                "sys": id(sys), "pid": os.getpid(), "number": number}

    def fixup(req):
        req.steps = [step(req)]
        return apache.OK

    def handler(req):
        return globals()[req.path_info[1:]](req)

    def send(req):
        req.steps.append(step(req))
        req.write(json.dumps(req.steps))
        return apache.OK

    def sleeps(req):
        time.sleep(0.003)
        return send(req)

    def threads(req):
        seen = []
        def run():
            seen.append((apache.interpreter, id(sys)))
        made = [threading.Thread(target=run) for _ in range(3)]
        for one in made:
            one.start()
        for one in made:
            one.join()
        # A thread that Python made is in its maker's interpreter.
        assert len(set(seen)) == 1 and seen[0][1] == id(sys), seen
        return send(req)

    def classes(req):
        for number in range(40):
            made = type("Made", (), {"number": number, "write": None})
            assert made().number == number
            assert not hasattr(apache.SERVER_RETURN, "number")
        return send(req)

    def raises(req):
        try:
            req.headers_in["not there at all"]
        except KeyError:
            pass
        try:
            open("/nowhere/at/all")
        except OSError:
            pass
        req.steps.append(step(req))
        req.write(json.dumps(req.steps))
        raise apache.SERVER_RETURN(apache.OK)

    def fails(req):
        raise LookupError("on purpose")

    def redirects(req):
        # To the handler of another interpreter, inside this one's call.
        req.internal_redirect(req.args)
        return apache.OK

    def filtered(req):
        req.add_output_filter("STAMP")
        for _ in range(3):
            req.write(" " * 5000, 0)
        return send(req)

    def stamp(fltr):
        # Runs in its own interpreter, while another waits in req.write.
        if not hasattr(fltr.req, "stamped"):
            fltr.req.stamped = True
            fltr.req.steps.append(step(fltr.req))
        data = fltr.read()
        while data:
            fltr.write(data)
            data = fltr.read()
        if data is None:
            fltr.close()
"""

KINDS = ("send", "sleeps", "threads", "classes", "raises", "fails", "redirects", "filtered")


def conf():
    sections = [
        f"<Directory @root@/htdocs/{name}>\nSetHandler mod_python\nPythonHandler soak\n"
        f"PythonFixupHandler soak::fixup\nPythonInterpreter {name}\nAcceptPathInfo On\n"
        "PythonOutputFilter soak::stamp STAMP\n</Directory>\n"
        for name in INTERPRETERS
    ]
    return "PythonPath \"['@root@/htdocs'] + sys.path\"\n" + "".join(sections)


SITE = Site(
    conf=conf(),
    files={"soak.py": HANDLER, **{f"{name}/page": "" for name in INTERPRETERS}},
    threads=CLIENTS,
    children=1,
)


def client_run(server, seed, until, count):
    """Asks and checks; returns every step seen."""
    chance = random.Random(seed)
    seen = []
    connection = None
    for _ in range(count):
        if time.monotonic() > until:
            break
        if connection is None or not connection.open:
            connection = Connection(server.port)
        name, kind = chance.choice(INTERPRETERS), chance.choice(KINDS)
        last = name
        path = f"/{name}/page/{kind}"
        if kind == "redirects":
            last = chance.choice(INTERPRETERS)
            path += f"?/{last}/page/send"
        try:
            answer = connection.request(path)
        except ConnectionError:
            answer = None
        if answer is None or answer.broken == "no answer":
            # httpd closes idle connections when it runs short of threads.
            connection.close()
            connection = Connection(server.port)
            answer = connection.request(path)
        if kind == "fails":
            assert answer.status == 500, (path, answer)
            continue
        assert (answer.status, answer.broken) == (200, ""), (path, answer)
        steps = json.loads(answer.text)
        assert {step["name"] for step in steps} == {last}, (path, steps)
        assert all(step["same"] for step in steps), (path, steps)
        seen += [(step["pid"], step["name"], step["sys"], step["number"]) for step in steps]
    if connection is not None:
        connection.close()
    return seen


def memory(pid):
    """Resident memory of a process, in KiB."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def test_soak(make_server, watch, request, mod_python):
    if mod_python.name == "original":
        pytest.skip("about ours only")
    seconds = request.config.getoption("--soak")
    is_long = seconds > 60
    with make_server(SITE) as server:
        log = watch(server)
        log.allow("LookupError: on purpose", "PythonHandler soak: ", "AH00484")
        until = time.monotonic() + (seconds if is_long else 300)
        count = 10**9 if is_long else REQUESTS
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            running = [
                pool.submit(client_run, server, seed, until, count) for seed in range(CLIENTS)
            ]
            sizes = []
            while is_long and time.monotonic() < until:
                concurrent.futures.wait(running, timeout=seconds / 10)
                sizes.append({pid: memory(pid) for pid in server.children()})
            steps = [step for one in running for step in one.result()]
    interpreters = collections.defaultdict(set)
    numbers = collections.Counter()
    for pid, name, identity, number in steps:
        interpreters[pid, name].add(identity)
        numbers[pid, name, number] += 1
    # One interpreter stands behind a name, and another behind each other one.
    assert all(len(identities) == 1 for identities in interpreters.values())
    for pid in {pid for pid, _ in interpreters}:
        of_child = [one for (other, _), one in interpreters.items() if other == pid]
        assert len(set.union(*of_child)) == len(of_child)
    # No step was counted twice.
    assert set(numbers.values()) == {1}
    if is_long:
        first, middle, last = (
            sorted(sizes[at].values()) for at in (0, len(sizes) // 2, len(sizes) - 1)
        )
        print(
            f"{len(steps)} steps in {len(interpreters)} interpreters; resident KiB after a tenth"
            f" {first}, half {middle}, all of the time {last}"
        )
        for pid in set.intersection(*map(set, sizes)):
            grown = sizes[-1][pid] - sizes[len(sizes) // 2][pid]
            assert grown < 4096, f"child {pid} grew by {grown} KiB: {sizes}"
