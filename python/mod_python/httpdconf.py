"""Writes httpd configurations from Python objects; works outside httpd.

`print` of an object gives httpd configuration, `repr` the Python source that makes the object::

    print(Container(
        Listen(8888),
        Directory("/srv/www", SetHandler("mod_python"), PythonHandler("hello")),
    ))
"""

import os
import sys

import mod_python  # noqa: F401 - for the expressions of only_if


class _Part:
    """What can stand in a container: has an `indent`, in columns, that its parent sets."""

    indent = 0

    def _lines(self, convert, step):
        """The children of this part converted to text, `step` columns further right."""
        texts = []
        for child in self.args:
            before = child.indent
            child.indent = self.indent + step
            try:
                texts.append(convert(child))
            finally:
                child.indent = before
        return texts


class Directive(_Part):
    """One line: name and value.  flipslash turns backslashes into slashes."""

    def __init__(self, name, val, flipslash=1):
        self.name = name
        self.val = val
        self.indent = 0
        self.flipslash = flipslash

    def __repr__(self):
        return "%s%s(%r)" % (" " * self.indent, self.name, _flip(self.val, self.flipslash))

    def __str__(self):
        return "%s%s %s\n" % (" " * self.indent, self.name, _flip(self.val, self.flipslash))


def _flip(value, flipslash):
    return value.replace("\\", "/") if flipslash and isinstance(value, str) else value


class Container(_Part):
    """A sequence of parts, printed only if the expression only_if (text) is true.

    The expression is evaluated when printing; it sees this module's names, so that it can test
    ``mod_python.version.HTTPD_VERSION``.
    """

    def __init__(self, *args, only_if=None):
        self.args = [_checked(arg) for arg in args]
        self.indent = 0
        self.only_if = only_if

    def append(self, value):
        """Add a part at the end; TypeError for anything else."""
        self.args.append(_checked(value))

    def __repr__(self):
        margin = " " * self.indent
        if self.only_if:
            end = "%s    only_if=%r)" % (margin, self.only_if)
        else:
            end = margin + ")"
        lines = [text + ",\n" for text in self._lines(repr, 4)]
        return "%sContainer(\n%s%s" % (margin, "".join(lines), end)

    def __str__(self):
        if self.only_if:
            from mod_python import version  # noqa: F401 - so that it is there

            if not eval(self.only_if, globals()):
                return ""
        return "".join(self._lines(str, 0))


class ContainerTag(_Part):
    """A section ``<tag attr>`` with its parts."""

    def __init__(self, tag, attr, args, flipslash=1):
        self.tag = tag
        self.attr = attr
        self.args = tuple(_checked(arg) for arg in args)
        self.indent = 0
        self.flipslash = flipslash

    def __repr__(self):
        margin = " " * self.indent
        lines = [text + ",\n" for text in self._lines(repr, 4)]
        return "%s%s(%r,\n%s%s)" % (
            margin,
            self.tag,
            _flip(self.attr, self.flipslash),
            "".join(lines),
            margin,
        )

    def __str__(self):
        margin = " " * self.indent
        return "%s<%s %s>\n%s%s</%s>\n" % (
            margin,
            self.tag,
            _flip(self.attr, self.flipslash),
            "".join(self._lines(str, 2)),
            margin,
            self.tag,
        )


class Comment(_Part):
    """Text of one or more lines, each printed behind ``# ``."""

    def __init__(self, comment):
        self.comment = comment
        self.indent = 0

    def _text_lines(self):
        return (self.comment[:-1] if self.comment.endswith("\n") else self.comment).split("\n")

    def __repr__(self):
        lines = [repr(line + "\n") for line in self._text_lines()]
        return "%sComment(%s)" % (" " * self.indent, ("\n" + " " * (self.indent + 8)).join(lines))

    def __str__(self):
        return "".join("%s# %s\n" % (" " * self.indent, line) for line in self._text_lines())


def _checked(part):
    if not isinstance(part, (Directive, Container, ContainerTag, Comment)):
        raise TypeError(
            "appended value must be an instance of Directive, Container, ContainerTag or Comment"
        )
    return part


def _directive(name, printed=None, flipslash=1):
    """A Directive class of one value, called and usually printed as name."""

    def __init__(self, val):
        Directive.__init__(self, printed or name, val, flipslash)

    return type(name, (Directive,), {"__init__": __init__, "__module__": __name__})


def _switch(name):
    """A Directive class whose value may be left out: Off."""

    def __init__(self, val="Off"):
        Directive.__init__(self, name, val)

    return type(name, (Directive,), {"__init__": __init__, "__module__": __name__})


def _section(name):
    """A ContainerTag class: the section's argument, then its parts."""

    def __init__(self, attr, *args):
        ContainerTag.__init__(self, name, attr, args)

    return type(name, (ContainerTag,), {"__init__": __init__, "__module__": __name__})


AddHandler = _directive("AddHandler")
AddOutputFilter = _directive("AddOutputFilter")
AddType = _directive("AddType")
AuthBasicAuthoritative = _directive("AuthBasicAuthoritative")
AuthBasicProvider = _directive("AuthBasicProvider")
AuthName = _directive("AuthName")
AuthType = _directive("AuthType")
CustomLog = _directive("CustomLog")
DirectoryIndex = _directive("DirectoryIndex")
DocumentRoot = _directive("DocumentRoot")
ErrorLog = _directive("ErrorLog")
KeepAliveTimeout = _directive("KeepAliveTimeout")
Listen = _directive("Listen")
LoadModule = _directive("LoadModule")
LockFile = _directive("LockFile", "#LockFile" if sys.platform == "win32" else None)
LogFormat = _directive("LogFormat", flipslash=0)
LogLevel = _directive("LogLevel")
MaxClients = _directive("MaxClients")
MaxConnectionsPerChild = _directive("MaxConnectionsPerChild")
MaxRequestsPerChild = _directive("MaxRequestsPerChild")
MaxSpareServers = _directive("MaxSpareServers")
MaxSpareThreads = _directive("MaxSpareThreads")
MaxThreadsPerChild = _directive("MaxThreadsPerChild")
MinSpareThreads = _directive("MinSpareThreads")
Mutex = _directive("Mutex")
NameVirtualHost = _directive("NameVirtualHost")
NumServers = _directive("NumServers")
Options = _directive("Options")
PidFile = _directive("PidFile")
PythonAccessHandler = _directive("PythonAccessHandler")
PythonAuthenHandler = _directive("PythonAuthenHandler")
PythonAuthzHandler = _directive("PythonAuthzHandler")
PythonCleanupHandler = _directive("PythonCleanupHandler")
PythonConnectionHandler = _directive("PythonConnectionHandler")
PythonDebug = _directive("PythonDebug")
PythonFixupHandler = _directive("PythonFixupHandler")
PythonHandler = _directive("PythonHandler")
PythonImport = _directive("PythonImport")
PythonInterpPerDirective = _switch("PythonInterpPerDirective")
PythonInterpPerDirectory = _switch("PythonInterpPerDirectory")
PythonOption = _directive("PythonOption")
PythonOutputFilter = _directive("PythonOutputFilter")
PythonPath = _directive("PythonPath", flipslash=0)
PythonPostReadRequestHandler = _directive("PythonPostReadRequestHandler")
PythonTransHandler = _directive("PythonTransHandler")
Require = _directive("Require")
ServerAdmin = _directive("ServerAdmin")
ServerName = _directive("ServerName")
ServerPath = _directive("ServerPath")
ServerRoot = _directive("ServerRoot")
SetHandler = _directive("SetHandler")
StartServers = _directive("StartServers")
StartThreads = _directive("StartThreads")
ThreadsPerChild = _directive("ThreadsPerChild")
Timeout = _directive("Timeout")
TypesConfig = _directive("TypesConfig")

Directory = _section("Directory")
Files = _section("Files")
IfModule = _section("IfModule")
Location = _section("Location")
VirtualHost = _section("VirtualHost")


def quote_if_space(s):
    """s in double quotes if there is a space in it, else s."""
    return '"%s"' % s if " " in s else s


# httpd's modules of a basic configuration, in load order.
_MODULES = (
    "authn_file",
    "authn_core",
    "authz_host",
    "authz_groupfile",
    "authz_user",
    "authz_core",
    "access_compat",
    "auth_basic",
    "reqtimeout",
    "include",
    "filter",
    "mime",
    "log_config",
    "env",
    "headers",
    "setenvif",
    "version",
    "unixd",
    "status",
    "autoindex",
    "dir",
    "alias",
)
_MPMS = ("mpm_event", "mpm_worker", "mpm_prefork")

_SOURCE = """\
#!%(python)s

#
# Written by the mod_python command; edit it freely.
# Running this file prints an httpd configuration:
# $ mod_python genconfig <this file> > <httpd.conf>
#

from mod_python.httpdconf import *

config = %(config)r

print(config)
"""


def _say(text):
    sys.stderr.write(text + "\n")


def _load_lines(libexecdir):
    """LoadModule for an MPM and the basic modules, without those that httpd has built in."""

    def exists(name):
        return os.path.exists("%s/mod_%s.so" % (libexecdir, name))

    names = list(_MODULES)
    if os.path.isdir(libexecdir):
        # A module without a file here is compiled in, and then a LoadModule would fail.
        names = [name for name in _MPMS if exists(name)][:1] + [n for n in names if exists(n)]
    return [
        LoadModule("%s_module %s" % (name, quote_if_space("%s/mod_%s.so" % (libexecdir, name))))
        for name in names
    ]


def _basic_config(root, listen, conf, logs, htdocs, handler, path, options, comments):
    """The Container of a server with one handler for everything."""
    from mod_python import version

    main = Container(
        Comment("\nMain configuration options:\n\n"),
        ServerRoot(quote_if_space(root)),
        Container(
            MaxConnectionsPerChild("65536"),
            only_if="mod_python.version.HTTPD_VERSION[0:3] == '2.4'",
        ),
        Container(
            MaxRequestsPerChild("65536"), only_if="mod_python.version.HTTPD_VERSION[0:3] < '2.4'"
        ),
        LogFormat(r'"%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\"" combined'),
        CustomLog("%s combined" % quote_if_space(logs + "/access_log")),
        ErrorLog(quote_if_space(logs + "/error_log")),
        LogLevel("warn"),
        PidFile(quote_if_space(logs + "/httpd.pid")),
        TypesConfig(quote_if_space(conf + "/mime.types")),
        ServerName("127.0.0.1"),
        Listen(listen),
        DocumentRoot(quote_if_space("%s/%s" % (root, htdocs))),
        Container(
            LockFile(quote_if_space(logs + "/accept.lock")),
            only_if="mod_python.version.HTTPD_VERSION[0:3] == '2.2'",
        ),
    )
    shared_object = quote_if_space(version.LIBEXECDIR + "/mod_python.so")
    python = Container(
        Comment("\nmod_python-specific options:\n\n"),
        LoadModule("python_module " + shared_object),
        SetHandler("mod_python"),
        Comment("PythonDebug On"),
        PythonHandler(handler),
    )
    if path:
        expression = "sys.path+[%s]" % "".join("%r," % directory for directory in path)
        expression = expression.replace("\\", "\\\\").replace('"', '\\"')
        python.append(PythonPath('"%s"' % expression))
    for option in options:
        python.append(PythonOption(option))
    for comment in comments:
        python.append(Comment(comment))
    return Container(
        Comment("\nThis config was auto-generated, do not edit!\n\n"),
        Container(
            Comment("\nLoad the necessary modules (this is the default httpd set):\n\n"),
            *_load_lines(version.LIBEXECDIR),
        ),
        main,
        python,
    )


def _create_directories(directories):
    for directory in directories:
        if os.path.isdir(directory):
            _say("Warning: directory %r already exists, continuing." % directory)
        else:
            _say("Creating directory %r." % directory)
            os.mkdir(directory)


def _copy_mime_types(directory):
    import shutil

    from mod_python import version

    target = os.path.join(directory, "mime.types")
    if os.path.exists(target):
        _say("Warning: file %r already exists, continuing." % target)
        return
    for source in (os.path.join(version.SYSCONFDIR or "/etc", "mime.types"), "/etc/mime.types"):
        if os.path.exists(source):
            _say("Copying %r to %r" % (source, target))
            shutil.copy(source, target)
            return
    _say("Warning: file %r does not exist." % target)


def write_basic_config(
    server_root,
    listen="0.0.0.0:8888",
    conf="conf",
    logs="logs",
    htdocs="public",
    pythonhandler="mod_python.publisher",
    pythonpath=(),
    pythonoptions=(),
    mp_comments=(),
    conf_name="httpd_conf.py",
    createdirs=True,
    replace_config=False,
):
    """Write the Python source of a basic configuration below server_root.

    Makes server_root and its directories conf, logs and htdocs unless createdirs is false, tells
    on stderr what it does, and returns the path of the file.  An existing file is kept, and None
    returned, unless replace_config is true.  OSError if something cannot be written.
    """
    from mod_python import version

    path = os.path.join(server_root, conf, conf_name)
    if os.path.exists(path) and not replace_config:
        _say("Error: %r already exists, aborting." % path)
        return None
    if createdirs:
        _create_directories(
            [server_root] + [os.path.join(server_root, name) for name in (htdocs, conf, logs)]
        )
        _copy_mime_types(os.path.join(server_root, conf))
    else:
        for name in ("%s/mime.types" % conf, htdocs):
            wanted = os.path.join(server_root, name)
            if not os.path.exists(wanted):
                _say("Warning: %r does not exist." % wanted)
    config = _basic_config(
        os.path.abspath(server_root),
        listen,
        conf,
        logs,
        htdocs,
        pythonhandler,
        [name for name in pythonpath if name],
        pythonoptions,
        mp_comments,
    )
    _say("Writing %r." % path)
    with open(path, "w") as file:
        file.write(_SOURCE % {"python": version.PYTHON_BIN, "config": config})
    return path
