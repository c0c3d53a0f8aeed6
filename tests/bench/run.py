#!/usr/bin/env python3
"""The benchmark: every workload on every peer, interleaved, as tables and JSON (see README.md)."""

import argparse
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import callgrind
import cpu
import hotspots
import load
import memory
import operations
import pages
import peers
import pyhotspots
import report
import syscalls
import upload
import verify
from workloads import BY_NAME, WORKLOADS

from httpd import BenchError, Httpd, output_of, stop_all

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.dirname(os.path.dirname(HERE))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    listed = lambda text: [word for word in text.split(",") if word]  # noqa: E731
    parser.add_argument("--workloads", type=listed, help="rows, by name (see --list)")
    parser.add_argument("--peers", type=listed, default=list(peers.ORDER), help="default: all")
    parser.add_argument("--mpm", type=listed, default=["event", "prefork"])
    parser.add_argument("--rounds", type=int, default=3, help="rounds of wrk (3)")
    parser.add_argument("--seconds", type=float, default=3, help="seconds of one round (3)")
    parser.add_argument("--upload-mb", type=int, default=100, help="size of the upload (100)")
    parser.add_argument("--callgrind-only", action="store_true", help="instruction counts only")
    parser.add_argument("--no-callgrind", action="store_true")
    parser.add_argument("--operations", action="store_true", help="count single operations too")
    parser.add_argument("--syscalls", action="store_true", help="count system calls too")
    parser.add_argument("--profile", action="store_true", help="show our costliest functions")
    parser.add_argument(
        "--python-profile", action="store_true", help="show our costliest Python functions"
    )
    parser.add_argument(
        "--jobs", type=int, default=min(2, os.cpu_count() or 1), help="of callgrind"
    )
    parser.add_argument("--module", default=os.path.join(REPO, "build", "mod_python.so"))
    parser.add_argument("--package", default=os.path.join(REPO, "python"))
    parser.add_argument(
        "--original", help="the original's mod_python.so (httpd's module directory)"
    )
    parser.add_argument(
        "--granian",
        default=os.path.join(REPO, ".venv", "bin", "python"),
        help="a Python that can import granian",
    )
    parser.add_argument("--apxs", default=os.environ.get("APXS", "apxs"))
    parser.add_argument("--output", default=os.path.join(REPO, "bench-results"))
    parser.add_argument("--keep", action="store_true", help="keep the servers' directories")
    parser.add_argument("--list", action="store_true", help="list the workloads")
    return parser.parse_args()


def progress(text: str) -> None:
    """A line for whoever watches; the tables alone go to stdout."""
    print(time.strftime("%H:%M:%S ") + text, file=sys.stderr, flush=True)


def versions(httpd: Httpd, bench: peers.Bench) -> dict:
    """What ran, for the report."""
    version = output_of([httpd.binary, "-v"]).splitlines()[0]
    found = {
        "httpd": version.partition(":")[2].strip(),
        "machine": "%s, %d cores" % (cpu_model(), os.cpu_count() or 0),
    }
    revision = output_of(["git", "-C", REPO, "describe", "--always", "--dirty"]).strip()
    if revision:
        found["revision"] = revision
    for name, peer in bench.peers.items():
        if not peer.missing and peer.module:
            found[peers.TITLES[name]] = peer.module.replace(REPO + "/", "")
    return found


def cpu_model() -> str:
    """The processor's name."""
    with open("/proc/cpuinfo") as info:
        match = re.search(r"model name\s*:\s*(.*)", info.read())
    return match.group(1) if match else platform.machine()


class Cache:
    """Instruction counts of earlier runs, for peers that a quick run leaves out.

    An entry holds only for the same module, configuration and site, which its digest stands for.
    """

    def __init__(self, directory: str):
        self.path = os.path.join(directory, "callgrind-cache.json")
        self.entries = {}
        if os.path.exists(self.path):
            with open(self.path) as stored:
                self.entries = json.load(stored)

    def put(self, key: str, digest: str, count: dict) -> None:
        """Remembers a count."""
        self.entries[key] = dict(count, digest=digest)

    def get(self, key: str, digest: str):
        """The remembered count, marked as such, or None."""
        found = self.entries.get(key)
        if not found or found["digest"] != digest:
            return None
        return {"instructions": found["instructions"], "spread": found["spread"], "cached": True}

    def save(self) -> None:
        """Writes the cache."""
        with open(self.path, "w") as out:
            json.dump(self.entries, out, indent=1, sort_keys=True)


def count_instructions(bench, works, options, results, asked) -> None:
    """Fills results['instructions'], several servers at a time: counts bear company."""
    jobs = [
        (peer, work)
        for work in works
        if work.kind in ("requests", "upload")
        for peer in bench.present(work)
        if peer.name in asked and peer.name != "granian"
    ]
    cache = Cache(options.output)
    answers = {}
    profiles = {}

    def one(job):
        peer, work = job
        try:
            count, answer = callgrind.measure(
                peer, work, options.profile and peer.name in ("ours", "c")
            )
        except (BenchError, OSError) as error:
            return peer, work, None, None, str(error)
        progress("%s: %s %.0f instructions a request" % (work.name, peer.name, count.instructions))
        return peer, work, count, answer, None

    with ThreadPoolExecutor(max(1, options.jobs)) as pool:
        for peer, work, count, answer, error in pool.map(one, jobs):
            if error:
                results["errors"].append("%s (callgrind): %s: %s" % (work.name, peer.name, error))
                continue
            answers.setdefault(work.name, {})[peer.name] = answer
            row = results["instructions"].setdefault(work.name, {})
            row[peer.name] = {"instructions": count.instructions, "spread": count.spread}
            if count.profile:
                profiles.setdefault(work.name, {})[peer.name] = count.profile
    for work in works:
        row = results["instructions"].get(work.name, {})
        verify.leave_out(work, answers.get(work.name, {}), row, results["errors"])
        for peer in bench.present(work) if row else ():
            key = "%s:%s" % (work.name, peer.name)
            if peer.name in row:
                cache.put(key, peer.digest(work), row[peer.name])
            elif peer.name not in asked and cache.get(key, peer.digest(work)):
                row[peer.name] = cache.get(key, peer.digest(work))
    cache.save()
    for name, dumps in profiles.items():
        if "ours" in dumps:
            text = hotspots.describe(dumps["ours"], dumps.get("c"), BY_NAME[name].batch)
            print("## Profile of %s\n\n%s\n" % (name, text))


def count_syscalls(bench, works, results, asked) -> None:
    """Fills results['syscalls'] where strace is there."""
    for work in works:
        row = {}
        for peer in bench.present(work):
            if peer.name not in asked or peer.name == "granian" or work.kind != "requests":
                continue
            try:
                row[peer.name] = syscalls.measure(peer, work)
            except (BenchError, OSError) as error:
                results["errors"].append("%s (strace): %s: %s" % (work.name, peer.name, error))
        if row:
            results["syscalls"][work.name] = row
            sums = ["%s %d" % (name, sum(calls.values())) for name, calls in row.items()]
            progress("%s: system calls %s" % (work.name, ", ".join(sums)))


def profile_python(bench, works, results) -> None:
    """Prints the Python profile of each workload."""
    peer = bench.peers["ours"]
    for work in works:
        if peer.missing or work.kind not in ("requests", "upload"):
            continue
        try:
            text = pyhotspots.measure(peer, work)
        except (BenchError, OSError) as error:
            results["errors"].append("%s (Python profile): %s" % (work.name, error))
            continue
        print("## Python profile of %s, a request\n\n%s\n" % (work.name, text))


def count_operations(bench, results, asked) -> None:
    """Fills results['operations'] for ours and the original."""
    for name in ("ours", "original"):
        peer = bench.peers[name]
        if name not in asked or peer.missing:
            continue
        try:
            figures = operations.measure(peer)
        except BenchError as error:
            results["errors"].append("operations: %s: %s" % (name, error))
            continue
        results["operations"][name] = {each.name: each.instructions for each in figures}
        progress("operations: %s, %d counted" % (name, len(figures)))


def plain(readings):
    """Readings as dictionaries, with text keys, as JSON has them."""
    if isinstance(readings, dict):
        return {str(key): plain(value) for key, value in readings.items()}
    return [asdict(each) for each in readings]


def measure_mpm(bench, works, mpm, options, results) -> None:
    """Everything but the instruction counts, under one MPM."""
    rates = results["rates"].setdefault(mpm, {})
    for work in works:
        common = (progress, results["errors"])
        if work.kind == "memory":
            found = results["memory"].setdefault(mpm, {})
            for peer in bench.present(work):
                try:
                    found[peer.name] = asdict(memory.measure(peer, work, mpm))
                    progress(
                        "memory, %s: %s %d KiB" % (mpm, peer.name, found[peer.name]["private"])
                    )
                except (BenchError, OSError) as error:
                    results["errors"].append("memory (%s): %s: %s" % (mpm, peer.name, error))
            continue
        if work.kind == "upload":
            readings = upload.measure(
                bench, work, mpm, options.rounds, options.upload_mb * 1000000, *common
            )
        elif work.kind == "cpu":
            readings = cpu.measure(bench, work, mpm, options.rounds, options.seconds, *common)
        else:
            readings = load.measure(bench, work, mpm, options.rounds, options.seconds, *common)
        rates[work.name] = plain(readings)


def main() -> int:
    """Runs what was asked for; 0 when every peer answered every workload alike."""
    options = arguments()
    if options.list:
        print("\n".join("%-16s %s" % (work.name, work.title) for work in WORKLOADS))
        return 0
    unknown = set(options.workloads or ()) - set(BY_NAME)
    if unknown:
        raise BenchError("unknown workload %s; --list names them" % ", ".join(sorted(unknown)))
    works = [w for w in WORKLOADS if not options.workloads or w.name in options.workloads]
    httpd = Httpd(options.apxs)
    os.makedirs(options.output, exist_ok=True)
    root = tempfile.mkdtemp(prefix="bench-")
    os.chmod(root, 0o755)
    try:
        bench = peers.Bench(httpd, root, os.path.join(HERE, "c", "mod_cref.c"))
        progress("building the C module and the site in " + root)
        python = os.environ.get("PYO3_PYTHON", "/usr/bin/python3")
        pages.build(bench.htdocs, bench.data, os.path.join(HERE, "site"), cpu.calibrate(2))
        pages.write(os.path.join(bench.htdocs, "operations.py"), operations.source())
        peers.find(bench, options, python)
        for each in {python, "/usr/bin/python3"}:  # ours and the original's may differ
            if os.path.exists(each):
                subprocess.run([each, "-m", "compileall", "-q", bench.htdocs], check=True)
        results = {
            "when": time.strftime("%Y-%m-%d %H:%M:%S"),
            "mpms": [],
            "instructions": {},
            "operations": {},
            "syscalls": {},
            "rates": {},
            "memory": {},
            "errors": [],
            "versions": versions(httpd, bench),
            "missing": {
                peers.TITLES[name]: bench.peers[name].missing
                for name in options.peers
                if name in bench.peers and bench.peers[name].missing
            },
        }
        unknown = [name for name in options.peers if name not in bench.peers]
        if unknown:
            raise BenchError("unknown peer %s (known: %s)" % (unknown[0], ", ".join(peers.ORDER)))
        for name, why in results["missing"].items():
            progress("%s is left out: %s" % (name, why))
        if not options.no_callgrind:
            lacking = callgrind.available()
            if lacking:
                progress("no instruction counts: " + lacking)
                results["missing"]["instruction counts"] = lacking
            else:
                source = os.path.join(HERE, "c", "mod_callgrind.c")
                bench.control = httpd.build(source, os.path.join(root, "control"))
                count_instructions(bench, works, options, results, options.peers)
                if options.operations or not (options.workloads or options.callgrind_only):
                    count_operations(bench, results, options.peers)
        if options.syscalls or not (options.workloads or options.callgrind_only):
            if syscalls.available():
                progress("no system calls: " + syscalls.available())
                results["missing"]["system calls"] = syscalls.available()
            else:
                count_syscalls(bench, works, results, options.peers)
        if options.python_profile:
            profile_python(bench, works, results)
        if not options.callgrind_only:
            if load.available():
                raise BenchError(load.available())
            for name in list(bench.peers):
                if name not in options.peers:
                    del bench.peers[name]
            results["mpms"] = options.mpm
            for mpm in options.mpm:
                measure_mpm(bench, works, mpm, options, results)
        print(report.render(results), flush=True)
        name = os.path.join(options.output, time.strftime("bench-%Y%m%d-%H%M%S.json"))
        with open(name, "w") as out:
            json.dump(results, out, indent=1)
        progress("figures are in " + name)
        return 1 if results["errors"] else 0
    finally:
        stop_all()
        if options.keep:
            progress("kept: " + root)
        else:
            shutil.rmtree(root, ignore_errors=True)


def interrupted(signum, frame):
    """Ends the run in an orderly way: main's finally stops the servers."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, interrupted)
    try:
        sys.exit(main())
    except BenchError as error:
        sys.exit("bench: %s" % error)
    except KeyboardInterrupt:
        sys.exit("bench: interrupted")
