"""Holds the measured figures against the targets of each workload."""

import statistics
from dataclasses import dataclass
from typing import Any, Optional

from workloads import BY_NAME, Target, Workload

Results = dict[str, Any]


@dataclass
class Verdict:
    """A target with the figure found: `value` is None when it could not be measured."""

    target: Target
    value: Optional[float]
    met: Optional[bool]

    def text(self) -> str:
        """The target in words, with its figure."""
        limit = self.target.limit
        words = {
            "overhead": "overhead <= %s of %s" % (fraction(limit), self.target.versus),
            "instructions": "<= %.2f of httpd alone" % limit,
            "above-hello": "<= %s above hello" % thousands(limit),
            "rate": ">= %.2f of %s" % (limit, self.target.versus),
            "growth": "grows <= %d KiB" % (limit / 1024),
            "scaling": ">= %.1f of one core" % limit,
            "memory": "private <= %.2f of %s" % (limit, self.target.versus),
            "start": "start <= %.2f of %s" % (limit, self.target.versus),
        }[self.target.figure]
        if self.met is None:
            return words
        if self.target.figure == "growth":
            shown = "%d KiB" % (self.value / 1024)
        elif self.target.figure == "above-hello":
            shown = thousands(self.value)
        else:
            shown = "%.3f" % self.value
        return "%s: %s, %s" % (words, shown, "met" if self.met else "NOT MET")


def thousands(value: float) -> str:
    """An integer with thousands separators."""
    return f"{value:,.0f}"


def fraction(value: float) -> str:
    """1/6 rather than 0.1667."""
    return "1/%d" % round(1 / value) if abs(1 / value - round(1 / value)) < 1e-6 else "%.2f" % value


def overhead(results: Results, work: Workload, peer: str) -> Optional[float]:
    """Instructions of a request above those of the C twin."""
    row = results["instructions"].get(work.name, {})
    if peer not in row or "c" not in row:
        return None
    return row[peer]["instructions"] - row["c"]["instructions"]


def ratio(readings: dict[str, list[dict[str, float]]], peer: str, versus: str) -> Optional[float]:
    """The median of the rounds' ratios of two peers' rates."""
    if not readings.get(peer) or not readings.get(versus):
        return None
    return statistics.median(
        a["rate"] / b["rate"] for a, b in zip(readings[peer], readings[versus])
    )


def value_of(
    results: Results, work: Workload, target: Target, mpm: Optional[str]
) -> Optional[float]:
    """The figure that a target is about, or None when something for it is missing."""
    row = results["instructions"].get(work.name, {})
    if target.figure == "overhead":
        ours, other = overhead(results, work, "ours"), overhead(results, work, target.versus)
        return ours / other if ours is not None and other else None
    if target.figure == "instructions":
        if "ours" not in row or target.versus not in row:
            return None
        return row["ours"]["instructions"] / row[target.versus]["instructions"]
    if target.figure == "above-hello":
        hello = results["instructions"].get(BY_NAME["hello"].name, {})
        if "ours" not in row or "ours" not in hello:
            return None
        return row["ours"]["instructions"] - hello["ours"]["instructions"]
    if target.figure in ("memory", "start"):
        found = results["memory"].get(mpm, {})
        key = "private" if target.figure == "memory" else "start"
        if "ours" not in found or target.versus not in found:
            return None
        return found["ours"][key] / found[target.versus][key]
    readings = results["rates"].get(mpm, {}).get(work.name, {})
    if target.figure == "growth":
        return max((r["growth"] for r in readings.get("ours", [])), default=None)
    if target.figure == "scaling":
        return scaling(readings.get("ours", {}))
    if work.kind == "cpu":
        readings = {peer: both.get("2", []) for peer, both in readings.items()}
    return ratio(readings, "ours", target.versus)


def scaling(both: dict[str, list[dict[str, float]]]) -> Optional[float]:
    """Two children over one: the ratio of the medians."""
    if not both.get("1") or not both.get("2"):
        return None
    one, two = (statistics.median(r["rate"] for r in both[n]) for n in ("1", "2"))
    return two / one


AT_LEAST = ("rate", "scaling")
BY_INSTRUCTIONS = ("overhead", "instructions", "above-hello")


def judge(results: Results, work: Workload, mpm: Optional[str]) -> list[Verdict]:
    """The verdicts of one row: on instructions when `mpm` is None, else on that MPM's figures."""
    found = []
    for target in work.targets:
        if (target.figure in BY_INSTRUCTIONS) != (mpm is None):
            continue
        if mpm is not None and target.mpm not in (None, mpm):
            continue
        value = value_of(results, work, target, mpm)
        met = None
        if value is not None:
            met = value >= target.limit if target.figure in AT_LEAST else value <= target.limit
        found.append(Verdict(target, value, met))
    return found
