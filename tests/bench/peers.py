"""The peers: which module each loads, how a workload configures it, and why one is missing."""

import argparse
import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import Optional

from workloads import Workload

from httpd import Httpd, Process, Server, free_port, own, plain_user

HERE = os.path.dirname(os.path.abspath(__file__))
ORDER = ("c", "ours", "original", "wsgi", "granian")
TITLES = {
    "c": "C",
    "ours": "ours",
    "original": "original",
    "wsgi": "mod_wsgi",
    "granian": "granian",
}

# Processes and threads of each MPM: enough for two cores. Spare ones stay.
SHAPES = {
    "event": {
        "StartServers": 2,
        "ServerLimit": 2,
        "ThreadsPerChild": 25,
        "MaxRequestWorkers": 50,
        "MinSpareThreads": 1,
        "MaxSpareThreads": 50,
    },
    "prefork": {
        "StartServers": 4,
        "ServerLimit": 4,
        "MaxRequestWorkers": 4,
        "MinSpareServers": 1,
        "MaxSpareServers": 4,
    },
}
ONE_CHILD = {
    "event": {
        "StartServers": 1,
        "ServerLimit": 1,
        "ThreadsPerChild": 25,
        "MaxRequestWorkers": 25,
        "MinSpareThreads": 1,
        "MaxSpareThreads": 25,
    },
    "prefork": {"StartServers": 1, "ServerLimit": 1, "MaxRequestWorkers": 1},
}


class Peer:
    """One side of the comparison."""

    def __init__(self, name: str, bench: "Bench"):
        self.name = name
        self.bench = bench
        self.module: Optional[str] = None
        self.missing: Optional[str] = None  # why the peer is left out
        self.env: dict[str, str] = {}

    def runs(self, work: Workload) -> bool:
        """Whether the peer has this workload."""
        if self.name == "c":
            return bool(work.c) or work.htaccess or work.c_is_plain
        if self.name == "wsgi":
            return bool(work.wsgi)
        if self.name == "granian":
            return bool(work.wsgi) and work.kind == "requests"
        return True

    def path(self, work: Workload) -> str:
        """The request path, which for .htaccess names the peer's own directory."""
        return work.request.path.replace("{kind}", "c" if self.name == "c" else "python")

    def lines(self, work: Workload, scratch: str) -> list[str]:
        """The configuration lines of this peer for the workload."""
        words = {"htdocs": self.bench.htdocs, "data": self.bench.data, "scratch": scratch}
        out: list[str] = []
        inside: Sequence[str] = ()
        if self.name == "c":
            if not work.c_is_plain:
                out.append('LoadModule cref_module "%s"' % self.module)
            inside = work.c
        elif self.name == "wsgi":
            out.append('LoadModule wsgi_module "%s"' % self.module)
            out.append('WSGIPythonPath "%s"' % self.bench.htdocs)
            out.append('WSGIScriptAlias / "%s/benchwsgi.py"' % self.bench.htdocs)
            inside = ("WSGICallableObject " + work.wsgi,)
        else:
            out.append('LoadModule python_module "%s"' % self.module)
            inside = work.python
        out.append('DocumentRoot "%s"' % self.bench.htdocs)
        # As distributions do: without this httpd looks for .htaccess files from the root downwards.
        out += ['<Directory "/">', "AllowOverride None", "Require all granted", "</Directory>"]
        where = self.bench.htdocs if work.section == "Directory" else "/"
        out.append('<%s "%s">' % (work.section, where))
        if work.htaccess:
            out.append("AllowOverride All")
        text = "\n".join(inside)
        for key, value in words.items():
            text = text.replace("{%s}" % key, value)
        return [*out, text, "</%s>" % work.section]

    def server(self, work: Workload, mpm: str, tag: str, **kw) -> Server:
        """A server of this peer for the workload, not yet started.

        `tag` keeps the root apart from other servers' roots; `shape`, `core`, `prefix`,
        `one_process`, `env` and `extra` (configuration lines put first) are optional.
        """
        root = os.path.join(self.bench.root, "-".join((tag, mpm, work.name, self.name)))
        shutil.rmtree(root, ignore_errors=True)
        scratch = os.path.join(root, "scratch")
        own(scratch)
        env = dict(self.env, TMPDIR=scratch, **kw.pop("env", {}))
        one_process = kw.pop("one_process", False) or work.one_process
        shape = kw.pop("shape", SHAPES[mpm])
        if work.one_process and mpm == "event":
            shape = ONE_CHILD[mpm]
        lines = list(kw.pop("extra", ())) + self.lines(work, scratch)
        return Server(
            self.bench.httpd, root, mpm, shape, lines, env=env, one_process=one_process, **kw
        )

    def digest(self, work: Workload) -> str:
        """A fingerprint of all that the workload's instruction count depends on."""
        # Of the run's own directory only the length matters: paths are copied and compared.
        lines = "\n".join(self.lines(work, "")).replace(self.bench.root, "/" * len(self.bench.root))
        found = hashlib.sha256(lines.encode())
        found.update(work.request.raw() + self.bench.content_digest())
        # The C module is built anew in every run: what it was built from stands for it.
        for path in (self.bench.source,) if self.name == "c" else (self.module,):
            if path:
                with open(path, "rb") as content:
                    found.update(content.read())
        return found.hexdigest()


class Bench:
    """What all servers of a run share: directories, built modules, the peers."""

    def __init__(self, httpd: Httpd, root: str, source: str):
        self.httpd = httpd
        self.source = source  # mod_cref.c
        self.root = root
        self.htdocs = os.path.join(root, "htdocs")
        self.data = os.path.join(root, "data")
        self.control: Optional[str] = None  # mod_callgrind.so
        self.peers: dict[str, Peer] = {}
        self._digest: Optional[bytes] = None

    def content_digest(self) -> bytes:
        """A fingerprint of the document root and of how it is measured."""
        if self._digest is None:
            found = hashlib.sha256()
            for directory, names, files in os.walk(self.htdocs):
                names.sort()
                for name in sorted(files):
                    if name.endswith((".py", ".psp", ".htaccess")) and name != "spin.py":
                        with open(os.path.join(directory, name), "rb") as content:
                            found.update(name.encode() + content.read())
            for rig in ("callgrind.py", "httpd.py"):
                with open(os.path.join(HERE, rig), "rb") as content:
                    found.update(content.read())
            self._digest = found.digest()
        return self._digest

    def add(self, name: str, module: Optional[str], missing: Optional[str]) -> Peer:
        """Adds a peer, present or missing."""
        peer = Peer(name, self)
        peer.module, peer.missing = module, missing
        self.peers[name] = peer
        return peer

    def present(self, work: Workload) -> list[Peer]:
        """The peers that take part in a workload, in the tables' order."""
        return [p for p in self.peers.values() if not p.missing and p.runs(work)]


def is_rust(module: str) -> bool:
    """Whether a module was built by rustc, that is, whether it is ours and not the original."""
    with open(module, "rb") as content:
        data = content.read()
    return b"rust_eh_personality" in data or b"/rustc/" in data or b"library/std/src" in data


def find(bench: Bench, options: argparse.Namespace, python: str) -> None:
    """Adds every peer to `bench`, each with its module or with the reason why it is missing."""
    bench.add("c", bench.httpd.build(bench.source, os.path.join(bench.root, "cref")), None)

    lacking = [path for path in (options.module, options.package) if not os.path.exists(path)]
    ours = bench.add("ours", options.module, "%s not found" % lacking[0] if lacking else None)
    if not lacking:
        ours.env["PYTHONPATH"] = copy_package(options.package, bench.root, python)

    path = options.original or bench.httpd.module("python")
    reason = None
    if not os.path.exists(path):
        reason = path + " not found (Debian: libapache2-mod-python)"
    elif is_rust(path):
        reason = path + " is this project's module, not the original"
    bench.add("original", path, reason)

    path = bench.httpd.module("wsgi")
    reason = path + " not found (Debian: libapache2-mod-wsgi-py3)"
    bench.add("wsgi", path, None if os.path.exists(path) else reason)

    reason = None
    if not os.path.exists(options.granian):
        reason = options.granian + " not found (name a Python that has granian with --granian)"
    elif not can_import(options.granian, "granian"):
        reason = "granian cannot be imported by " + options.granian
    bench.add("granian", options.granian, reason)


def can_import(python: str, module: str) -> bool:
    """Whether the user that servers run as can import a module with that Python."""
    try:
        done = subprocess.run(
            [python, "-c", "import " + module],
            cwd="/",
            stderr=subprocess.DEVNULL,
            user=plain_user(),
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0


def copy_package(package: str, root: str, python: str) -> str:
    """Copies our package where httpd's children can read it, compiled as an installed one is."""
    target = os.path.join(root, "package")
    shutil.copytree(package, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for directory, _, files in os.walk(target):
        os.chmod(directory, 0o755)
        for name in files:
            os.chmod(os.path.join(directory, name), 0o644)
    subprocess.run([python, "-m", "compileall", "-q", target], check=True)
    return target


class Granian(Process):
    """Granian alone: one worker, as a user would start it instead of httpd."""

    def __init__(self, peer: Peer, work: Workload, core: Optional[int]):
        root = os.path.join(peer.bench.root, "granian-" + work.name)
        own(root)
        self_port = free_port()
        command = [
            peer.module,
            "-m",
            "granian",
            "--interface",
            "wsgi",
            "--host",
            "127.0.0.1",
            "--port",
            str(self_port),
            "--workers",
            "1",
            "--no-ws",
            "--log-level",
            "warning",
            "benchwsgi:" + work.wsgi,
        ]
        super().__init__(command, root, {"PYTHONPATH": peer.bench.htdocs}, core)
        self.port = self_port

    def deaths(self) -> int:
        """Granian has no httpd children to lose."""
        return 0
