"""valgrind's memcheck: any wrong use of memory below the module, and leaks that grow."""

import collections
import dataclasses
import pathlib
import shutil
import sys
import xml.etree.ElementTree as ET

REPORT = "logs/valgrind.xml"
# What is asked of the site at the end, to show that it is noticed.
FAULT = "read"

SUPPRESSIONS = pathlib.Path(__file__).resolve().with_name("valgrind.supp")
MODULE = "mod_python.so"  # or libmod_python.so, as cargo calls it
# The faults on purpose go through this one, and nothing else does.
PLANTED = "_ctypes"


class ReportError(Exception):
    """The report is not whole: the server did not end as it should."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """One error of memcheck: its kind, what it says, its stacks, and the blocks a leak lost."""

    kind: str
    text: str
    objects: frozenset  # file names of the shared objects in any of its stacks
    stack: tuple  # one line per frame
    origin: tuple = ()  # the functions that allocated what is used uninitialised, innermost first
    blocks: int = 0
    suppression: str = ""

    @property
    def is_below_module(self) -> bool:
        return any(name.endswith(MODULE) for name in self.objects)

    @property
    def is_leak(self) -> bool:
        return self.kind.startswith("Leak_")

    @property
    def is_digit_of_zero(self) -> bool:
        """CPython before 3.12 leaves the one digit of a new int 0 unset, and multiplies it by 0."""
        return self.kind.startswith("Uninit") and self.origin[1:2] == ("_PyLong_New",)

    @property
    def is_planted(self) -> bool:
        return any(name.startswith(PLANTED) for name in self.objects)

    def __str__(self):
        return "\n".join([f"{self.kind}: {self.text}", *self.stack, self.suppression])


def _finding(error) -> Finding:
    objects, lines, functions = set(), [], []
    for stack in error.iter("stack"):
        lines.append("  stack:")
        functions = tuple(frame.findtext("fn") or "?" for frame in stack.iter("frame"))
        for frame in stack.iter("frame"):
            name = pathlib.Path(frame.findtext("obj") or "?").name
            objects.add(name)
            place = frame.findtext("file") or ""
            place = f" {place}:{frame.findtext('line')}" if place else ""
            lines.append(f"    {frame.findtext('fn') or '?'} [{name}]{place}")
    text = error.findtext("what") or error.findtext("xwhat/text") or ""
    return Finding(
        error.findtext("kind") or "?",
        "; ".join([text, *(aux.text or "" for aux in error.findall("auxwhat"))]),
        frozenset(objects),
        tuple(lines),
        functions if len(error.findall("stack")) > 1 else (),
        int(error.findtext("xwhat/leakedblocks") or 0),
        (error.findtext("suppression/rawtext") or "").strip(),
    )


def read(path: pathlib.Path) -> list[Finding]:
    """All findings of one run; raises ReportError when the report is cut off."""
    try:
        root = ET.parse(path).getroot()
    except ET.ParseError as error:
        raise ReportError(f"{path}: {error}") from error
    states = [state.findtext("state") for state in root.iter("status")]
    if "FINISHED" not in states:
        raise ReportError(f"{path}: valgrind did not finish")
    return [_finding(error) for error in root.iter("error")]


def grows(finding: Finding, rounds: int) -> bool:
    """Whether a leak is one of each round; a stale pointer may still lead to the last block."""
    return finding.kind == "Leak_DefinitelyLost" and finding.blocks >= rounds - 1


def is_ours(finding: Finding, rounds: int) -> bool:
    """Whether a finding is a fault: any wrong use of memory below our module, or a growing leak."""
    if not finding.is_below_module or finding.is_planted or finding.is_digit_of_zero:
        return False
    return not finding.is_leak or grows(finding, rounds)


def prefix(root: pathlib.Path) -> list[str]:
    """What httpd is started with."""
    program = shutil.which("valgrind")
    if program is None:
        sys.exit("valgrind not found")
    return [
        program,
        "--tool=memcheck",
        "--vgdb=no",
        "--child-silent-after-fork=yes",
        "--keep-debuginfo=yes",
        # A stack that is cut off may hide that it goes through the module.
        "--num-callers=200",
        "--track-origins=yes",
        "--leak-check=full",
        "--show-leak-kinds=definite",
        "--gen-suppressions=all",
        f"--suppressions={SUPPRESSIONS}",
        "--xml=yes",
        f"--xml-file={root / REPORT}",
    ]


def judge(root: pathlib.Path, rounds: int, verbose: bool) -> list[str]:
    """The faults in the report of a server that has ended; planted ones that are missing, too."""
    try:
        findings = read(root / REPORT)
    except ReportError as error:
        return [str(error)]
    problems = [str(finding) for finding in findings if is_ours(finding, rounds)]
    planted = [f for f in findings if f.is_planted and f.is_below_module]
    is_leak_seen = any(grows(finding, rounds) for finding in planted)
    if "InvalidRead" not in {finding.kind for finding in planted} or not is_leak_seen:
        seen = "\n".join(map(str, planted))
        problems.append(f"the faults on purpose were not all noticed, only\n{seen}")
    others = [f for f in findings if not is_ours(f, rounds) and not f.is_planted]
    print(f"of others, {dict(collections.Counter(f.kind for f in others))}")
    if verbose:
        print("\n\n".join(str(finding) for finding in others))
    return problems
