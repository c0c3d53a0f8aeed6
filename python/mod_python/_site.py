"""Turns what `mod_python serve` was given into a private server root with its httpd.conf."""

import ast
import importlib.machinery
import os
import re
import shutil
import sys

from mod_python import _httpd

REQUIRED = ("unixd", "log_config", "authn_core", "authz_core", "authz_host", "mime", "dir", "alias")
OPTIONAL = (
    "auth_basic authn_file authz_user authz_groupfile access_compat env setenvif headers expires "
    "filter deflate include autoindex negotiation rewrite proxy proxy_http reqtimeout status "
    "version"
).split()
NOT_COPIED = ("__pycache__", ".git", ".venv", "node_modules", "target")

# Enough for a site to look right where no mime.types is installed.
MIME_TYPES = """text/html html htm
text/css css
text/plain txt md
text/javascript js mjs
application/json json
image/svg+xml svg
image/png png
image/jpeg jpg jpeg
image/gif gif
image/x-icon ico
"""


class Site:
    """A TARGET and how httpd serves it.

    `folder` is the absolute directory that belongs to the target, `lines(folder)` its part of
    httpd.conf once the files live in `folder`, `what` says in words what was found.
    Raises _httpd.NotUsable when the target is nothing that can be served.
    """

    def __init__(self, target):
        if os.path.isdir(target):
            self.folder = os.path.realpath(target)
            self.what, self.lines = "pages and handlers in %s" % target, directory_lines
        elif os.path.isfile(target) and target.endswith(".py"):
            self.folder = os.path.realpath(os.path.dirname(target) or ".")
            module = os.path.splitext(os.path.basename(target))[0]
            self.what, self.lines = "handler %s" % target, lambda d: handler_lines(d, module)
        elif os.path.isfile(target):
            self.folder = os.path.realpath(os.path.dirname(target) or ".")
            name = os.path.basename(target)
            self.what, self.lines = (
                "configuration %s" % target,
                lambda d: ["Include %s" % quoted(os.path.join(d, name))],
            )
        elif re.fullmatch(r"[\w.]+::?[\w.]+", target):
            self.folder = os.path.realpath(".")
            module, _, app = target.partition(":")
            first = module.partition(".")[0]
            if not find_module(first, self.folder):
                raise _httpd.NotUsable(
                    "there is no module %s in %s, nor where %s finds modules"
                    % (first, self.folder, sys.executable)
                )
            self.what = "WSGI application %s" % target
            self.lines = lambda d: wsgi_lines(d, module, app.lstrip(":"))
        else:
            raise _httpd.NotUsable(
                "%s is no directory, no Python file, no configuration and no module:application"
                % target
            )


def find_module(name, folder):
    """Whether Python finds a module or package of this name in the folder or on its path."""
    return name in sys.builtin_module_names or bool(
        importlib.machinery.PathFinder.find_spec(name, [folder, *sys.path])
    )


def quoted(text):
    return '"%s"' % text.replace("\\", "\\\\").replace('"', '\\"')


def directory_lines(folder):
    """Publisher for .py, PSP for .psp, files as they are; a .py with handler() is a handler."""
    lines = [
        "DocumentRoot %s" % quoted(folder),
        "<Directory %s>" % quoted(folder),
        "    Require all granted",
        "    AllowOverride All",
        "    Options FollowSymLinks Indexes",
        "    DirectoryIndex index.html index.psp index.py",
        "    AddHandler mod_python .py .psp .psp_",
        "    PythonHandler mod_python.publisher | .py",
        "    PythonHandler mod_python.psp | .psp .psp_",
    ]
    for name in sorted(os.listdir(folder)):
        module, extension = os.path.splitext(name)
        if extension == ".py" and "handler" in functions(os.path.join(folder, name)):
            lines += [
                "    <Files %s>" % quoted(name),
                "        PythonHandler %s | .py" % module,
                "    </Files>",
            ]
    return [*lines, "</Directory>"]


def handler_lines(folder, module):
    return [
        "DocumentRoot %s" % quoted(folder),
        "<Directory %s>" % quoted(folder),
        "    Require all granted",
        "    SetHandler mod_python",
        "    PythonHandler %s" % module,
        "</Directory>",
    ]


def wsgi_lines(folder, module, app):
    return [
        "PythonPath %s" % quoted("[%r] + sys.path" % folder),
        "<Location />",
        "    SetHandler mod_python",
        "    PythonHandler mod_python.wsgi",
        "    PythonOption mod_python.wsgi.application %s::%s" % (module, app),
        "    Require all granted",
        "</Location>",
    ]


def functions(path):
    """Names of the functions a Python file defines; none when it does not compile."""
    try:
        with open(path, "rb") as source:
            tree = ast.parse(source.read(), path)
    except (OSError, SyntaxError, ValueError):
        return set()  # the error belongs to whoever asks for the page, and is shown there
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def mirror(source, destination):
    """Copy what is new or changed below `source`; returns how many files were copied."""
    copied = 0
    for folder, folders, files in os.walk(source):
        folders[:] = [name for name in folders if name not in NOT_COPIED]
        there = os.path.join(destination, os.path.relpath(folder, source))
        os.makedirs(there, mode=0o755, exist_ok=True)
        for name in files:
            old, new = os.path.join(folder, name), os.path.join(there, name)
            if not os.path.isfile(old):
                continue
            facts = os.stat(old)
            if os.path.exists(new):
                known = os.stat(new)
                if (known.st_mtime_ns, known.st_size) == (facts.st_mtime_ns, facts.st_size):
                    continue
            shutil.copy2(old, new)
            os.chmod(new, 0o644)
            copied += 1
    return copied


def server_lines(httpd, root, options, user):
    """The part of httpd.conf every served site has: modules, places, logs, who runs it."""
    lines = []
    mpms = httpd.mpms()
    if mpms:
        mpm = options.mpm or mpms[0]
        if mpm not in mpms:
            raise _httpd.NotUsable("this httpd has the MPMs %s, not %s" % (", ".join(mpms), mpm))
        lines += httpd.load_lines(["mpm_" + mpm])
    elif options.mpm and "%s.c" % options.mpm not in httpd.builtin:
        raise _httpd.NotUsable("the MPM of this httpd is built in, and is not %s" % options.mpm)
    lines += httpd.load_lines(REQUIRED) + httpd.load_lines(OPTIONAL, OPTIONAL)
    lines += [
        "LoadModule python_module %s" % quoted(options.module),
        "ServerRoot %s" % quoted(root),
        "DefaultRuntimeDir %s" % quoted(root),
        "PidFile httpd.pid",
        "ServerName localhost",
        "Listen %s" % options.listen,
        "TypesConfig mime.types",
        "AcceptPathInfo On",
        "ErrorLog /dev/stderr",
        'ErrorLogFormat "[%l] %M"',
        'LogFormat "[access] %>s %m %U%q %B bytes %{ms}T ms" serve',
        "CustomLog /dev/stdout serve",
        "LogLevel notice",
        "Define SITE %s" % quoted(options.folder),
        "Define STATE %s" % quoted(os.path.join(root, "state")),
        "Define PORT %d" % options.port,
    ]
    lines += ["Define %s %s" % (name, quoted(value)) for name, value in options.define]
    if user:
        lines += ["User #%d" % user.pw_uid, "Group #%d" % user.pw_gid]
    if options.processes:
        lines += ["StartServers %d" % options.processes, "ServerLimit %d" % options.processes]
        # By default httpd wants more in reserve than so few processes have, and complains.
        everything = options.processes * (options.threads or 25)
        lines += ["<IfModule mpm_prefork_module>", "    MinSpareServers 1"]
        lines += ["    MaxSpareServers %d" % options.processes, "</IfModule>"]
        lines += ["<IfModule !mpm_prefork_module>", "    MinSpareThreads 1"]
        lines += ["    MaxSpareThreads %d" % everything]
        lines += ["    MaxRequestWorkers %d" % everything, "</IfModule>"]
    if options.threads:
        lines += ["ThreadsPerChild %d" % options.threads, "ThreadLimit %d" % options.threads]
        lines += ["MaxRequestWorkers %d" % (options.threads * (options.processes or 1))]
    elif options.processes and options.mpm == "prefork":
        lines += ["MaxRequestWorkers %d" % options.processes]
    lines += ["<Directory />", "    Require all denied", "    AllowOverride None", "</Directory>"]
    if in_virtual_environment():
        lines += ["PythonHome %s" % quoted(sys.prefix)]
    if options.debug:
        lines += ["PythonDebug On"]
    return lines


def write_server_root(httpd, site, options, user):
    """Fill options.root with httpd.conf, mime.types and a directory the children may write to."""
    root = options.root
    os.chmod(root, 0o755)
    state = os.path.join(root, "state")
    os.mkdir(state)
    if user:
        os.chown(state, user.pw_uid, user.pw_gid)
    mime = [os.path.join(_httpd.version.SYSCONFDIR, "mime.types"), "/etc/mime.types"]
    installed = next((path for path in mime if os.path.exists(path)), None)
    if installed:
        shutil.copyfile(installed, os.path.join(root, "mime.types"))
    else:
        with open(os.path.join(root, "mime.types"), "w", encoding="utf-8") as types:
            types.write(MIME_TYPES)
    lines = server_lines(httpd, root, options, user) + site.lines(options.folder)
    conf = os.path.join(root, "httpd.conf")
    with open(conf, "w", encoding="utf-8", errors="surrogateescape") as output:
        output.write("# Written by `mod_python serve`; gone when it ends.\n")
        output.write("\n".join(lines) + "\n")
    return conf


def in_virtual_environment():
    return sys.prefix != sys.base_prefix


def package_parent():
    """The directory that holds the package mod_python we run from."""
    return os.path.dirname(os.path.dirname(os.path.abspath(_httpd.__file__)))


def needs_pythonpath():
    """Whether the embedded Python would not find the package by itself."""
    return package_parent() not in [
        os.path.abspath(path) for path in sys.path if "-packages" in path
    ]
