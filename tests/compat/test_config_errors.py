"""What the configuration parser says, under both modules: directives.md 1.1."""

import re
import textwrap

import pytest

from pyhttpd import ModPython, Server, Site
from pyhttpd.install import InstallError

LISTS = """
    PythonHeaderParserHandler PythonInitHandler PythonAccessHandler PythonAuthenHandler
    PythonAuthzHandler PythonTypeHandler PythonFixupHandler PythonHandler PythonLogHandler
    PythonCleanupHandler PythonHandlerModule
""".split()
SERVER_LISTS = "PythonPostReadRequestHandler PythonTransHandler PythonConnectionHandler".split()
FLAGS = """
    PythonAutoReload PythonDebug PythonEnablePdb PythonInterpPerDirectory PythonInterpPerDirective
""".split()

EVERYWHERE = "\n".join(
    [f"{name} some.module::obj other" for name in LISTS]
    + [f"{name} On\n{name} off" for name in FLAGS]
    + [
        "PythonOption key",
        "PythonOption key value",
        'PythonOption key ""',
        'PythonPath "sys.path"',
        "PythonInterpreter name",
    ]
)
FILTERS = "PythonInputFilter mod::f NAME\nPythonOutputFilter mod"
SERVER_ONLY = "\n".join(
    [f"{name} some.module::obj other" for name in SERVER_LISTS]
    + ["PythonImport mod::f interp", "PythonOptimize On", "PythonOptimize Off"]
)


def within(section, text):
    name = section.split()[0]
    return f"<{section}>\n{text}\n</{name}>"


# id -> (configuration, the error it must give, None if it is fine)
CONFIGURATIONS = {
    "server": (f"{EVERYWHERE}\n{FILTERS}\n{SERVER_ONLY}", None),
    "vhost": (within("VirtualHost *:1", f"{EVERYWHERE}\n{FILTERS}\n{SERVER_ONLY}"), None),
    "directory": (within("Directory /x", f"{EVERYWHERE}\n{FILTERS}"), None),
    "location": (within("Location /x", f"{EVERYWHERE}\n{FILTERS}"), None),
    "files": (within("Files x", f"{EVERYWHERE}\n{FILTERS}"), None),
    "if": (within('If "true"', EVERYWHERE), None),
    "no-handlers": ("PythonHandler\nPythonHandler foo |\nPythonHandler | .py", None),
    "unknown-handler-module": ("PythonHandler no.such.module", None),
    "suffixes": ("PythonHandler a b | .x .y\nPythonFixupHandler a | .x", None),
    "bar-postread": (
        "PythonPostReadRequestHandler a | .py",
        'PythonPostReadRequestHandler does not accept "| .ext" syntax.',
    ),
    "bar-trans": (
        "PythonTransHandler a |.py",
        'PythonTransHandler does not accept "| .ext" syntax.',
    ),
    "no-reload": ("PythonNoReload On", "Invalid command 'PythonNoReload'"),
    "import-one": ("PythonImport a", "PythonImport takes two arguments"),
    "import-three": ("PythonImport a b c", "PythonImport takes two arguments"),
    "option-none": ("PythonOption", "PythonOption takes 1-2 arguments"),
    "option-three": ("PythonOption a b c", "PythonOption takes 1-2 arguments"),
    "path-two": ("PythonPath a b", "PythonPath takes one argument"),
    "path-none": ("PythonPath", "PythonPath takes one argument"),
    "interpreter-none": ("PythonInterpreter", "PythonInterpreter takes one argument"),
    "interpreter-two": ("PythonInterpreter a b", "PythonInterpreter takes one argument"),
    "input-filter-none": ("PythonInputFilter", "PythonInputFilter takes 1-2 arguments"),
    "output-filter-three": ("PythonOutputFilter a b c", "PythonOutputFilter takes 1-2 arguments"),
}
for _name in [*FLAGS, "PythonOptimize"]:
    CONFIGURATIONS[f"flag-{_name}"] = (f"{_name} 1", f"{_name} must be On or Off")
for _name, _text in [(name, "a") for name in SERVER_LISTS] + [
    ("PythonImport", "a b"),
    ("PythonOptimize", "On"),
]:
    CONFIGURATIONS[f"context-{_name}"] = (
        within("Directory /x", f"{_name} {_text}"),
        f"{_name} not allowed in <Directory> context",
    )


def configtest(module, mpm, conf):
    """(return code, error text without position and without the directive's help text)."""
    server = Server(Site(conf=conf), module, mpm)
    try:
        done = server.configtest()
    finally:
        server.close()
    text = re.sub(r"^.*?Syntax error on line \d+ of \S+:\s*", "", done.stdout, flags=re.S)
    text = re.sub(r"(takes [\w-]+ arguments?),.*", r"\1", text, flags=re.S)
    text = re.sub(r"(must be On or Off|not allowed in <\w+> context).*", r"\1", text, flags=re.S)
    return done.returncode, text.strip()


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_configuration(name, mod_python, mpm):
    conf, error = CONFIGURATIONS[name]
    conf = textwrap.dedent(conf)
    code, text = configtest(mod_python, mpm, conf)
    if error is None:
        assert (code, text) == (0, "Syntax OK")
    else:
        assert code != 0
        assert text.startswith(error)
    if mod_python.name == "ours":
        try:
            original = ModPython.original()
        except InstallError:
            pytest.skip("the original is not installed: compared with the declared text only")
        assert (code, text) == configtest(original, mpm, conf)
