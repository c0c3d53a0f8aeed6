"""Where a request's instructions go: our profile of a workload, less that of the C twin."""

import re
from collections import Counter
from typing import Optional

from httpd import output_of


def functions(path: str, batch: int, inclusive: bool = False) -> Counter:
    """Instructions a request of each function in a dump, with its callees' when `inclusive`."""
    command = ["callgrind_annotate", "--threshold=100"]
    if inclusive:
        command.append("--inclusive=yes")
    found: Counter = Counter()
    for line in output_of([*command, path]).splitlines():
        match = re.match(r"\s*([\d,]+) \([ \d.]+%\)\s+\S*?:(.*) \[(.*)\]$", line)
        if match:
            name = "%s [%s]" % (match.group(2), match.group(3).rpartition("/")[2])
            found[name] += int(match.group(1).replace(",", "")) / batch
    return found


def by_library(costs: Counter) -> Counter:
    """The sums of each shared object."""
    found: Counter = Counter()
    for name, cost in costs.items():
        found[name.rpartition("[")[2].rstrip("]")] += cost
    return found


def lines(costs: Counter, rows: int) -> list[str]:
    """The largest entries, one a line."""
    return ["%9.0f  %s" % (cost, name) for name, cost in costs.most_common(rows) if cost >= 1]


def describe(ours: str, twin: Optional[str], batch: int, rows: int = 30) -> str:
    """By shared object and by function above the twin's, and our functions with callees.

    Without the twin's dump the first two are of the whole request.
    """
    own = functions(ours, batch)
    title = "above the C twin"
    if twin:
        own.subtract(functions(twin, batch))
    else:
        title = "of the whole request"
    whole = functions(ours, batch, inclusive=True)
    module = Counter({n: c for n, c in whole.items() if n.endswith("[mod_python.so]")})
    parts = ["Instructions a request, %s, by object:" % title]
    parts += [*lines(by_library(own), 12), "", "by function:", *lines(own, rows)]
    parts += ["", "Our functions with what they call:", *lines(module, rows)]
    return "\n".join(parts)
