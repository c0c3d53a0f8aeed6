"""Reads differences.md: the table of deliberate differences from the original."""

import dataclasses
import pathlib

PATH = pathlib.Path(__file__).with_name("differences.md")


@dataclasses.dataclass(frozen=True)
class Difference:
    """One row: which case differs, the compatibility reference's id for it, and why."""

    case: str
    gotcha: str
    reason: str


def read(path: pathlib.Path = PATH) -> dict[str, Difference]:
    """Case id -> row.  ValueError for a malformed table or an id that comes twice."""
    found: dict[str, Difference] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.startswith("|"):
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if cells[0] == "case" or set(cells[0]) <= set("-: "):
            continue
        if len(cells) != 3 or not all(cells):
            raise ValueError(f"{path.name}:{number}: three filled cells are needed")
        row = Difference(*cells)
        if row.case in found:
            raise ValueError(f"{path.name}:{number}: {row.case} comes twice")
        found[row.case] = row
    return found
