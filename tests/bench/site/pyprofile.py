"""Profiles the Python code of a child: started by PythonImport, read through a request."""

import cProfile
import pstats

profile = cProfile.Profile()
profile.enable()


def clear(req):
    """Forgets what was seen so far."""
    profile.clear()
    req.content_type = "text/plain"
    req.write("cleared\n", 0)
    return 0


def dump(req):
    """One line a function: calls, seconds in itself, seconds with callees, name."""
    profile.disable()
    lines = []
    for (path, line, name), row in pstats.Stats(profile).stats.items():
        calls, own, total = row[1], row[2], row[3]
        lines.append("%d\t%.9f\t%.9f\t%s:%d:%s\n" % (calls, own, total, path, line, name))
    req.content_type = "text/plain"
    req.write("".join(lines), 0)
    return 0
