"""AddressSanitizer: a module built with it, and its runtime loaded before everything else."""

import pathlib
import platform
import shutil
import subprocess
import sys

# What is asked of the site at the end, to show that it is noticed.
FAULT = "read"


def runtime() -> pathlib.Path:
    """clang's shared runtime, which the module was linked with."""
    clang = shutil.which("clang")
    if clang is None:
        sys.exit("clang not found")
    name = f"libclang_rt.asan-{platform.machine()}.so"
    found = subprocess.run(
        [clang, f"-print-file-name={name}"], stdout=subprocess.PIPE, check=True, text=True
    )
    path = pathlib.Path(found.stdout.strip())
    if not path.is_absolute():
        sys.exit(f"clang has no {name}")
    return path


def prefix(root: pathlib.Path) -> list[str]:
    """What httpd is started with."""
    env = shutil.which("env") or "/usr/bin/env"
    # Leaks are valgrind's part. The first fault ends the server. A signal is none of them: some
    # tests send signals, or have Python make them.
    # Memory that there is not is a MemoryError.
    options = "detect_leaks=0:abort_on_error=0:handle_segv=0:allocator_may_return_null=1"
    options += f":log_path={root}/tmp/asan"
    return [env, f"LD_PRELOAD={runtime()}", f"ASAN_OPTIONS={options}"]


def faults(root: pathlib.Path) -> list[str]:
    """What was reported in one server root."""
    texts = [path.read_text(errors="replace") for path in sorted(root.glob("tmp/asan.*"))]
    return [text for text in texts if "ERROR: AddressSanitizer" in text]


def judge(root: pathlib.Path, rounds: int, verbose: bool) -> list[str]:
    """The reports of a server that has ended; also that the one on purpose is missing."""
    reports = faults(root)
    planted = [r for r in reports if "heap-use-after-free" in r and "_ctypes" in r]
    problems = [report for report in reports if report not in planted]
    if not planted:
        problems.append("the fault on purpose was not noticed")
    if verbose:
        print("\n\n".join(planted))
    return problems
