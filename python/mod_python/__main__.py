"""The `mod_python` command: makes, starts and stops servers, serves a site, tells versions.

`python3 -m mod_python COMMAND ...` and the installed script `mod_python` are the same thing. It
runs outside httpd and imports only what works there.
"""

import optparse
import os
import platform
import runpy
import sys

from mod_python import version

PROG = "mod_python"
WSGI_COMMENTS = (
    "Where the application answers, when not at the root of the server:",
    'PythonOption mod_python.wsgi.base_uri "/some/uri"',
)


def parser_for(command, arguments, description):
    return optparse.OptionParser(
        prog=PROG, usage="%%prog %s [options] %s" % (command, arguments), description=description
    )


def one_argument(parser, argv, name):
    options, arguments = parser.parse_args(argv)
    if len(arguments) != 1:
        parser.error("Must specify %s" % name)
    return options, arguments[0]


def httpd_signal(command, signal, description):
    """A command that becomes `httpd -f CONF -k SIGNAL`; it returns only when that fails."""

    def run(argv):
        parser = parser_for(command, "<httpd.conf>", description)
        _, conf = one_argument(parser, argv, "<httpd.conf>")
        if not version.HTTPD:
            parser.error("The path of httpd is unknown: this package was never built or installed")
        if os.path.exists(conf):
            # httpd would look for a relative name below its own ServerRoot, not here.
            conf = os.path.abspath(conf)
        try:
            os.execv(version.HTTPD, [version.HTTPD, "-f", conf, "-k", signal])
        except OSError as error:
            parser.error("Cannot run %s: %s" % (version.HTTPD, error.strerror))

    run.__doc__ = description
    return run


def genconfig(argv):
    """Run the Python file <src>, which prints a configuration."""
    parser = parser_for("genconfig", "<src>", genconfig.__doc__)
    _, src = one_argument(parser, argv, "<src>")
    if not os.path.isfile(src):
        parser.error("No such file: %s" % src)
    runpy.run_path(src, run_name="__main__")
    return 0


def create(argv):
    """Make a directory with a server's skeleton and its configuration in Python."""
    parser = parser_for("create", "<directory>", create.__doc__)
    parser.add_option("--listen", default="8888", help="the Listen directive [default: %default]")
    parser.add_option("--pythonpath", default="", help="colon separated directories")
    parser.add_option("--pythonhandler", help="the PythonHandler directive (required)")
    parser.add_option(
        "--pythonoption", action="append", default=[], help="a PythonOption; may be repeated"
    )
    options, directory = one_argument(parser, argv, "<directory>")
    if not options.pythonhandler:
        parser.error("Must specify a --pythonhandler")

    from mod_python import httpdconf

    try:
        source = httpdconf.write_basic_config(
            directory,
            listen=options.listen,
            pythonhandler=options.pythonhandler,
            pythonpath=[path for path in options.pythonpath.split(":") if path],
            pythonoptions=options.pythonoption,
            mp_comments=list(WSGI_COMMENTS) if options.pythonhandler == "mod_python.wsgi" else [],
        )
    except OSError as error:
        parser.error("%s: %s" % (error.filename, error.strerror))
    if source:
        conf = os.path.join(os.path.dirname(source), "httpd.conf")
        print("\nThe configuration is the Python file\n  %s" % source)
        print("Edit it to your liking, then write httpd's own configuration with")
        print("  %s genconfig %s > %s" % (PROG, source, conf))
        print("and start the server with\n  %s start %s" % (PROG, conf))
    return 0


def print_version(argv):
    """Tell versions and places."""
    print()
    print("mod_python:  %s" % version.version)
    print("             %r" % os.path.join(version.LIBEXECDIR, "mod_python.so"))
    print()
    print("python:      %s" % " ".join(sys.version.split()))
    print("             %r" % version.PYTHON_BIN)
    print()
    print("httpd:       %s" % version.HTTPD_VERSION)
    print("             %r" % version.HTTPD)
    print()
    print("apr:         %s" % version.APR_VERSION)
    print("platform:    %s" % platform.platform())
    return 0


def status(argv):
    """Tell whether the server of <httpd.conf> runs, and about its processes."""
    parser = parser_for("status", "<httpd.conf>", status.__doc__)
    _, conf = one_argument(parser, argv, "<httpd.conf>")
    if not version.HTTPD:
        parser.error("The path of httpd is unknown: this package was never built or installed")
    from mod_python import _status

    return _status.report(os.path.abspath(conf))


def doctor(argv):
    """Find out why httpd does not load the module, or the module Python."""
    from mod_python import _doctor

    return _doctor.doctor(parser_for("doctor", "", doctor.__doc__), argv)


def module_config(argv):
    """Print the lines of httpd.conf that load the module."""
    from mod_python import _doctor

    return _doctor.module_config(parser_for("module-config", "", module_config.__doc__), argv)


def check(argv):
    """Look through a site's configuration, handlers and pages for what has to change."""
    from mod_python._check import command

    return command.run(parser_for("check", "[FILE|DIRECTORY ...]", check.__doc__), argv)


def serve(argv):
    """Serve a directory, a WSGI application or a site's httpd.conf in the foreground."""
    from mod_python import _serve

    return _serve.main(argv)


COMMANDS = {
    "check": check,
    "create": create,
    "doctor": doctor,
    "genconfig": genconfig,
    "module-config": module_config,
    "restart": httpd_signal("restart", "graceful", "Restart httpd gracefully."),
    "serve": serve,
    "start": httpd_signal("start", "start", "Start httpd."),
    "status": status,
    "stop": httpd_signal("stop", "graceful-stop", "Stop httpd when its requests are answered."),
    "version": print_version,
}


def run(command, argv):
    """The command's exit status; 141, as a shell would say, when nobody reads its output."""
    try:
        status = command(argv)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Python would complain once more when it closes stdout at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def main(argv=None):
    """Run the command named in argv (default: sys.argv[1:]); returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    usage = "%prog <command> [command options]\n\nCommands:\n" + "\n".join(
        "  %-14s %s" % (name, COMMANDS[name].__doc__) for name in sorted(COMMANDS)
    )
    parser = optparse.OptionParser(prog=PROG, usage=usage)
    for place, word in enumerate(argv):
        if word in COMMANDS:
            parser.parse_args(argv[:place])
            return run(COMMANDS[word], argv[place + 1 :])
    _, words = parser.parse_args(argv)
    if not words:
        parser.error("Please specify a command")
    parser.error("Invalid command: %s" % words[0])


if __name__ == "__main__":
    sys.exit(main())
