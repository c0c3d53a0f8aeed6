"""The command line: from the option parsers themselves, and the rules of `mod_python check`."""

import contextlib
import io
import optparse
from unittest import mock

from mod_python import __main__ as main
from mod_python._check.rules import RULES

from .markdown import code, table, text


class _Parsed(Exception):
    pass


def parser_of(name):
    """The option parser of a command, caught when the command is about to use it."""

    def caught(parser, *_arguments):
        raise _Parsed(parser)

    patched = mock.patch.object(optparse.OptionParser, "parse_args", caught)
    with patched, contextlib.redirect_stdout(io.StringIO()):
        try:
            main.COMMANDS[name]([])
        except _Parsed as found:
            return found.args[0]
    return None


def command(name):
    """A command's usage, and a table of its options."""
    parser = parser_of(name)
    if parser is None:
        return "```text\nmod_python %s\n```\n\n%s\n" % (name, main.COMMANDS[name].__doc__)
    usage = parser.get_usage().partition("Usage: ")[2].strip()
    rows = [
        [", ".join(code(_spelled(option, word)) for word in _words(option)), _help(parser, option)]
        for option in parser.option_list
        if option.help != optparse.SUPPRESS_HELP and option.dest is not None
    ]
    out = "```text\n%s\n```\n\n%s\n\n" % (usage, text(parser.get_description() or ""))
    return out + (table(["Option", "Meaning"], rows) if rows else "")


def _words(option):
    return option._short_opts + option._long_opts


def _spelled(option, word):
    if not option.takes_value():
        return word
    return "%s=%s" % (word, option.metavar or option.dest.upper())


def _help(parser, option):
    return text(parser.formatter.expand_default(option))


def check_rules():
    """Every rule of `mod_python check`."""
    return table(
        ["Rule", "Gravity", "Meaning"],
        [[code(name), rule.severity, text(rule.text)] for name, rule in RULES.items()],
    )
