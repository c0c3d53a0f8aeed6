"""ThreadSanitizer: a module built with it tells when two threads touch its data without a lock."""

import pathlib
import re
import shutil
import subprocess
import sys

# What is asked of the site at the end, to show that it is noticed.
FAULT = "race"
MODULE = "mod_python.so"
# An access as the report tells it, with the innermost frames of its stack.
_ACCESS = re.compile(
    r"^  (?:Previous )?(?:atomic )?(?:[Rr]ead|[Ww]rite) of size .*\n((?:    #\d+ .*\n)+)", re.M
)
# libc's functions, whose callers they are an access of.
_OF_LIBC = re.compile(r" (?:mem\w+|str\w+|__tsan_\w+|free|malloc|calloc|realloc) ")


def runtimes(root: pathlib.Path) -> str:
    """gcc's runtime, as that of clang cannot be loaded before httpd, and what rustc asks of it."""
    gcc = shutil.which("gcc")
    if gcc is None:
        sys.exit("gcc not found")
    found = subprocess.run(
        [gcc, "-print-file-name=libtsan.so"], stdout=subprocess.PIPE, check=True, text=True
    )
    runtime = pathlib.Path(found.stdout.strip())
    if not runtime.is_absolute():
        sys.exit("gcc has no libtsan.so")
    memory = root / "tsan_memory.so"
    source = pathlib.Path(__file__).with_name("tsan_memory.c")
    flags = ["-O2", "-fPIC", "-shared", "-fno-builtin"]
    subprocess.run([gcc, *flags, "-o", str(memory), str(source)], check=True)
    return f"{runtime.resolve()} {memory}"


def prefix(root: pathlib.Path) -> list[str]:
    """What httpd is started with."""
    env = shutil.which("env") or "/usr/bin/env"
    options = (
        f"log_path={root}/tmp/tsan:exitcode=0:report_signal_unsafe=0:handle_segv=0:history_size=4"
    )
    return [env, f"LD_PRELOAD={runtimes(root)}", f"TSAN_OPTIONS={options}"]


def accesses(report: str) -> list[list[str]]:
    """The stacks of the two accesses of a race."""
    return [found[1].splitlines() for found in _ACCESS.finditer(report)]


def is_of_std(stack: list[str]) -> bool:
    """Whether an access is one of Rust's standard library, which is compiled without the sanitizer.

    So the locks and atomics inside its channels and threads are unknown, and so is the fence
    between the end of the last reference to an Arc and its being freed.
    """
    if any("std/src/sync/mpmc" in frame or "thread9lifecycle" in frame for frame in stack[:12]):
        return True
    is_free = " free " in stack[0]
    return is_free and any("alloc/src/sync.rs" in frame for frame in stack[:12])


def is_ours(report: str) -> bool:
    """Whether the module itself, not what it calls, made one of the accesses."""
    if any(is_of_std(stack) for stack in accesses(report)):
        return False
    for stack in accesses(report):
        frames = [frame for frame in stack if not _OF_LIBC.search(frame)]
        if frames and MODULE in frames[0]:
            return True
    return False


def read(root: pathlib.Path) -> list[str]:
    """The reports of one run."""
    texts = [path.read_text(errors="replace") for path in sorted(root.glob("tmp/tsan.*"))]
    parts = "".join(texts).split("==================\n")
    return [part for part in parts if part.startswith("WARNING: ThreadSanitizer")]


def faults(root: pathlib.Path) -> list[str]:
    """The races in our data that were seen in one server root."""
    return [report for report in read(root) if is_ours(report)]


def judge(root: pathlib.Path, rounds: int, verbose: bool) -> list[str]:
    """The races in our data that were seen; also that the one on purpose is missing."""
    reports = read(root)
    # ctypes calls through libffi, and nothing else does.
    planted = [report for report in reports if "libffi" in report]
    others = [report for report in reports if report not in planted]
    problems = faults(root)
    print(f"of others, {len(others) - len(problems)}")
    if not planted:
        problems.append("the race on purpose was not noticed")
    if verbose:
        print("\n\n".join(report for report in others if report not in problems))
    return problems
