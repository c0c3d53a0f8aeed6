"""A Sphinx extension: the parts of the reference that are made from the tables of code and tests.

A page says where such a part goes with a line of its own, `<!-- generated: NAME ARGUMENT ... -->`.
What it is made from is read anew at each build, so that page and code cannot drift apart.
"""

import re

from . import commands, differences, directives, messages, modules, objects, options

MARK = re.compile(r"^<!-- generated: (\w+)(.*?) -->$", re.M)
PARTS = {
    "check_rules": commands.check_rules,
    "classes": objects.classes,
    "command": commands.command,
    "constants": objects.constants,
    "differences": differences.table,
    "directives": directives.pages,
    "directives_overview": directives.overview,
    "functions": objects.functions,
    "messages": messages.table,
    "module": modules.page,
    "object": objects.page,
    "options": options.table,
    "phases": directives.phases,
}


def _fill(_app, docname, source):
    def part(found):
        try:
            return PARTS[found.group(1)](*found.group(2).split())
        except Exception as error:
            raise RuntimeError("%s: %s: %r" % (docname, found.group(0), error)) from error

    source[0] = MARK.sub(part, source[0])


def setup(app):
    app.connect("source-read", _fill)
    # Pages with generated parts depend on more than themselves.
    app.connect("env-get-outdated", _outdated)
    return {"parallel_read_safe": True}


def _outdated(_app, env, added, changed, _removed):
    known = set(env.found_docs) - set(added) - set(changed)
    return sorted(name for name in known if "<!-- generated:" in env.doc2path(name).read_text())
