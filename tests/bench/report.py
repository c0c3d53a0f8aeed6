"""The tables: markdown for people, from the same figures that go into the JSON file."""

import statistics
from typing import Any

from peers import ORDER, TITLES
from targets import Results, judge, overhead, ratio, scaling, thousands
from workloads import WORKLOADS, Workload


def table(head: list[str], rows: list[list[str]]) -> str:
    """A markdown table whose columns line up in a terminal."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths)) + " |"
        for row in [head, *rows]
    ]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)


def verdicts(results: Results, work: Workload, mpm: Any) -> str:
    """The targets of a row and whether they are met."""
    return "; ".join(verdict.text() for verdict in judge(results, work, mpm))


def title(work: Workload) -> str:
    """The row's title; a row whose C peer is httpd without a module says so."""
    return work.title + (" (C = httpd alone)" if work.c_is_plain else "")


def shown_peers(rows: dict[str, dict[str, Any]]) -> list[str]:
    """The peers that have a figure in any row, in the tables' order."""
    return [peer for peer in ORDER if any(peer in row for row in rows.values())]


def instructions(results: Results) -> str:
    """Instructions per request, overheads above C, and their ratio."""
    found = results["instructions"]
    names = shown_peers(found)
    head = (
        ["workload"]
        + [TITLES[n] for n in names]
        + ["overhead ours", "of the reference", "ratio", "target"]
    )
    rows = []
    for work in WORKLOADS:
        row = found.get(work.name)
        if not row:
            continue
        cells = [title(work)]
        for name in names:
            count = row.get(name)
            text = thousands(count["instructions"]) if count else ""
            if count and count.get("cached"):
                text += "*"
            if count and count["spread"] > 0.02:
                text += " ±%.0f%%" % (count["spread"] * 50)
            cells.append(text)
        ours = overhead(results, work, "ours")
        other = overhead(results, work, work.reference)
        cells.append(thousands(ours) if ours is not None else "")
        cells.append("%s (%s)" % (thousands(other), work.reference) if other is not None else "")
        cells.append("%.3f" % (ours / other) if ours is not None and other else "")
        cells.append(verdicts(results, work, None))
        rows.append(cells)
    text = "## Instructions per request (callgrind, `httpd -X`, prefork, user space)\n\n" + table(
        head, rows
    )
    if any(count.get("cached") for row in found.values() for count in row.values()):
        text += "\n\n\\* counted in an earlier run of the same workload and module"
    return text


def operations(results: Results) -> str:
    """Single operations; one on a table must not be slower than the original's."""
    found = results["operations"]
    names = [name for name in ORDER if name in found]
    rows = []
    for name in next(iter(found.values())):
        counts = [found[peer].get(name) for peer in names]
        cells = [name] + ["%.0f" % count if count is not None else "" for count in counts]
        ours, other = (found.get(peer, {}).get(name) for peer in ("ours", "original"))
        ratio_text = verdict = ""
        if ours is not None and other:
            ratio_text = "%.2f" % (ours / other)
            if name.startswith("table"):
                verdict = "met" if ours <= other else "NOT MET"
        rows.append([*cells, ratio_text, verdict])
    head = ["operation"] + [TITLES[name] for name in names] + ["ratio", "table <= original"]
    return "## Instructions of single operations, the loop taken off\n\n" + table(head, rows)


def system_calls(results: Results) -> str:
    """System calls of a request, and those that ours makes above the C twin."""
    found = results["syscalls"]
    names = shown_peers(found)
    rows = []
    for work in WORKLOADS:
        row = found.get(work.name)
        if not row:
            continue
        cells = [title(work)]
        cells += [str(sum(row[name].values())) if name in row else "" for name in names]
        above = ""
        if "ours" in row and "c" in row:
            calls = sorted(set(row["ours"]) | set(row["c"]))
            each = [(name, row["ours"].get(name, 0) - row["c"].get(name, 0)) for name in calls]
            above = ", ".join("%s %+d" % pair for pair in each if pair[1])
        rows.append([*cells, above])
    head = ["workload"] + [TITLES[name] for name in names] + ["ours against C"]
    return "## System calls of a request (strace, prefork)\n\n" + table(head, rows)


def rates(results: Results, mpm: str) -> str:
    """Requests a second and latencies under one MPM."""
    found = {
        name: row
        for name, row in results["rates"].get(mpm, {}).items()
        if any(w.name == name and w.kind == "requests" for w in WORKLOADS)
    }
    if not found:
        return ""
    names = shown_peers(found)
    head = ["workload"] + [TITLES[n] for n in names]
    head += [
        "ours / C",
        "ours / reference",
        "CPU µs C",
        "ours",
        "reference",
        "p50/p99 ms ours",
        "p50/p99 ms reference",
        "errors",
        "target",
    ]
    rows = []
    for work in WORKLOADS:
        row = found.get(work.name)
        if not row:
            continue
        cells = [title(work)]
        for name in names:
            cells.append(
                thousands(statistics.median(r["rate"] for r in row[name])) if row.get(name) else ""
            )
        for versus in ("c", work.reference):
            value = ratio(row, "ours", versus)
            cells.append("%.2f" % value if value is not None else "")
        for name in ("c", "ours", work.reference):
            cells.append(
                "%.1f" % statistics.median(r["cpu"] for r in row[name]) if row.get(name) else ""
            )
        for name in ("ours", work.reference):
            cells.append(latency(row.get(name, [])))
        cells.append(errors(row))
        cells.append(verdicts(results, work, mpm))
        rows.append(cells)
    return "## Requests per second, MPM %s (median of the rounds)\n\n%s" % (mpm, table(head, rows))


def latency(readings: list[dict[str, float]]) -> str:
    """Median p50 and p99 of the rounds."""
    if not readings:
        return ""
    return "%.2f/%.2f" % tuple(
        statistics.median(r[key] for r in readings) for key in ("p50", "p99")
    )


def errors(row: dict[str, list[dict[str, float]]]) -> str:
    """Error statuses and socket errors by peer; empty when there were none."""
    parts = []
    for name, readings in row.items():
        bad = sum(r["bad_statuses"] for r in readings)
        broken = sum(r["socket_errors"] for r in readings)
        if bad or broken:
            parts.append("%s: %d statuses, %d sockets" % (TITLES[name], bad, broken))
    return "; ".join(parts) or "0"


def uploads(results: Results, mpm: str) -> str:
    """Bytes a second of the upload row."""
    row = results["rates"].get(mpm, {}).get("upload")
    if not row:
        return ""
    work = next(w for w in WORKLOADS if w.name == "upload")
    head = ["peer", "MB/s", "growth of resident memory, KiB"]
    rows = [
        [
            TITLES[name],
            "%.0f" % (statistics.median(r["rate"] for r in readings) / 1e6),
            thousands(max(r["growth"] for r in readings) / 1024),
        ]
        for name, readings in row.items()
        if readings
    ]
    return "## Multipart upload, MPM %s\n\n%s\n\nTargets: %s" % (
        mpm,
        table(head, rows),
        verdicts(results, work, mpm),
    )


def cpu(results: Results, mpm: str) -> str:
    """One core against two for pure Python work."""
    row = results["rates"].get(mpm, {}).get("cpu")
    if not row:
        return ""
    work = next(w for w in WORKLOADS if w.name == "cpu")
    head = ["peer", "one child, requests/s", "two children, requests/s", "times", "p99 ms of two"]
    rows = []
    for name, both in row.items():
        if not both.get("1") or not both.get("2"):
            continue
        rows.append(
            [TITLES[name]]
            + [thousands(statistics.median(r["rate"] for r in both[n])) for n in ("1", "2")]
            + ["%.2f" % scaling(both), "%.1f" % statistics.median(r["p99"] for r in both["2"])]
        )
    return "## 2 ms of pure Python, MPM %s, nothing pinned\n\n%s\n\nTargets: %s" % (
        mpm,
        table(head, rows),
        verdicts(results, work, mpm),
    )


def memory(results: Results, mpm: str) -> str:
    """Memory and start-up under one MPM."""
    found = results["memory"].get(mpm)
    if not found:
        return ""
    work = next(w for w in WORKLOADS if w.name == "memory")
    head = ["peer", "RSS KiB", "PSS KiB", "private dirty KiB", "first answer ms"]
    rows = [
        [TITLES[name]]
        + [thousands(each[key]) for key in ("rss", "pss", "private")]
        + ["%.0f" % each["start"]]
        for name, each in found.items()
    ]
    return "## One child after 1,000 requests, MPM %s\n\n%s\n\nTargets: %s" % (
        mpm,
        table(head, rows),
        verdicts(results, work, mpm),
    )


def render(results: Results) -> str:
    """The whole report."""
    parts = ["# Benchmark, %s" % results["when"], environment(results)]
    if results["instructions"]:
        parts.append(instructions(results))
    if results["operations"]:
        parts.append(operations(results))
    if results["syscalls"]:
        parts.append(system_calls(results))
    for mpm in results["mpms"]:
        parts += [
            rates(results, mpm),
            uploads(results, mpm),
            cpu(results, mpm),
            memory(results, mpm),
        ]
    if results["errors"]:
        parts.append("## Errors\n\n" + "\n".join("- " + error for error in results["errors"]))
    return "\n\n".join(part for part in parts if part)


def environment(results: Results) -> str:
    """What was compared, on what, and who is missing."""
    lines = ["%s: %s" % pair for pair in results["versions"].items()]
    lines += ["%s is left out: %s" % pair for pair in results["missing"].items()]
    return "\n".join("- " + line for line in lines)
