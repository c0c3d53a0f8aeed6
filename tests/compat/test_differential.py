"""Every case under both modules: equal answers, or a deliberate difference that is written down."""

import concurrent.futures
import difflib
import re

import pytest

from compat import cases, differences
from compat.case import CASES
from compat.runner import Batch
from pyhttpd import ModPython
from pyhttpd.install import InstallError

assert cases  # imported for what it registers
DIFFERENCES = differences.read()


def pytest_generate_tests(metafunc):
    if "case" in metafunc.fixturenames:
        mpm = metafunc.config.getoption("--mpm")
        chosen = [case for case in CASES.values() if mpm in case.mpms]
        metafunc.parametrize("case", chosen, ids=lambda case: case.id, scope="module")


@pytest.fixture(scope="module")
def outcomes(request, mpm):
    """Module name -> case id -> Outcome, for the cases selected in this run."""
    chosen = [
        item.callspec.params["case"]
        for item in request.session.items
        if getattr(item, "module", None) is request.module and hasattr(item, "callspec")
    ]
    modules = []
    if not request.config.getoption("--only-original"):
        try:
            modules.append(ModPython.ours())
        except InstallError as error:
            pytest.fail(str(error), pytrace=False)
    try:
        modules.append(ModPython.original())
    except InstallError as error:
        if not modules:
            pytest.fail(str(error), pytrace=False)
    keep = request.config.getoption("--keep-roots")
    batches = [Batch(chosen, module, mpm, keep) for module in modules]
    # Two batches at once; each thread lives as long as the servers it starts.
    try:
        with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
            found = list(pool.map(Batch.run, batches))
    finally:
        for batch in batches:
            batch.close()
    return {module.name: one for module, one in zip(modules, found)}


def _listing(title, lines):
    return f"{title}\n" + "\n".join(f"    {line}" for line in lines)


def _deviations(case, outcome):
    """How the outcome deviates from what the case declares."""
    if outcome.troubles and outcome.troubles[0].startswith("start: "):
        return [outcome.troubles[0]]
    found = []
    for number, (request, response) in enumerate(zip(_wanted(case), outcome.responses), 1):
        found += [f"answer {number}: {problem}" for problem in request.problems(response)]
    if len(outcome.responses) != len(_wanted(case)):
        found.append(f"{len(outcome.responses)} answers, not {len(_wanted(case))}")
    if outcome.crashed:
        found.append("a child of the server died")
    return found


def _wanted(case):
    return [request for request in case.requests for _ in range(request.answers)]


def _judge_log(case, outcome, differs):
    """Every error line must be compared with the original's or declared, all declared must come."""
    found = []
    for pattern in case.ours_log:
        if not any(re.search(pattern, line) for line in outcome.troubles):
            found.append(f"no error-log line of ours matches {pattern!r}")
    compared = case.log is not None and not differs
    extra = [
        line
        for line in outcome.troubles
        if not compared and not any(re.search(pattern, line) for pattern in case.ours_log)
    ]
    if extra:
        found.append(_listing("unexpected in the error log:", extra))
    return found


def _compare(mine, theirs, case, differs):
    left, right = theirs.describe(case), mine.describe(case)
    if differs:
        if left == right:
            return ["differences.md has a row for this case, but the two answer alike"]
        return []
    found = [f"the case is wrong: the original's {text}" for text in _deviations(case, theirs)]
    if left != right:
        lines = difflib.unified_diff(left, right, "original", "ours", lineterm="", n=4)
        found.append(_listing("ours differs from the original:", lines))
    return found


def _show(case, outcome):
    print(f"\n---- {case.id}: {case.about}")
    print("\n".join(outcome.describe(case)))
    for line in outcome.troubles:
        print("   log:", line)


def test_case(case, outcomes):
    """Fails for an undeclared difference, a stale row, an unexpected log line, a dead child."""
    original = outcomes.get("original", {}).get(case.id)
    differs = case.id in DIFFERENCES
    problems = []
    if "ours" not in outcomes:
        _show(case, original)
        if differs:
            pytest.skip(f"differs on purpose: {DIFFERENCES[case.id].reason}")
        problems = _deviations(case, original)
        if original.troubles and case.log is None:
            problems.append(_listing("undeclared error-log lines:", original.troubles))
    else:
        ours = outcomes["ours"][case.id]
        problems += _judge_log(case, ours, differs)
        if differs or original is None:
            problems += _deviations(case, ours)
        if original is not None:
            problems += _compare(ours, original, case, differs)
    if problems:
        pytest.fail(f"{case.id}: {case.about}\n" + "\n".join(problems), pytrace=False)
    if original is None:
        pytest.skip("the original is not installed: compared with the declared answers only")


def test_differences_name_cases():
    assert not set(DIFFERENCES) - set(CASES), "rows without a case"
