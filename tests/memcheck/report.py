"""Reads memcheck's XML report: which errors there are, and which leaks grow with the rounds."""

import dataclasses
import pathlib
import xml.etree.ElementTree as ET

MODULE = "mod_python.so"
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


def is_ours(finding: Finding, rounds: int) -> bool:
    """Whether a finding is a fault: any wrong use of memory below our module, or a leak there of at
    least a block in every round."""
    if MODULE not in finding.objects or finding.is_planted or finding.is_digit_of_zero:
        return False
    if finding.is_leak:
        return finding.kind == "Leak_DefinitelyLost" and finding.blocks >= rounds
    return True
