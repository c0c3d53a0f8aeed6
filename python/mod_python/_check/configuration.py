"""httpd.conf and .htaccess: directives that are gone, misplaced, changed or unsafe."""

import difflib
import re

from mod_python._check.rules import Finding

# Where httpd accepts a directive: s server, v virtual host, d section, h .htaccess.
EVERYWHERE, SERVER, NOT_HTACCESS = "svdh", "sv", "svd"
DIRECTIVES = {
    "PythonPostReadRequestHandler": SERVER,
    "PythonTransHandler": SERVER,
    "PythonHeaderParserHandler": EVERYWHERE,
    "PythonInitHandler": EVERYWHERE,
    "PythonAccessHandler": EVERYWHERE,
    "PythonAuthenHandler": EVERYWHERE,
    "PythonAuthzHandler": EVERYWHERE,
    "PythonTypeHandler": EVERYWHERE,
    "PythonFixupHandler": EVERYWHERE,
    "PythonHandler": EVERYWHERE,
    "PythonLogHandler": EVERYWHERE,
    "PythonCleanupHandler": EVERYWHERE,
    "PythonHandlerModule": EVERYWHERE,
    "PythonConnectionHandler": SERVER,
    "PythonInputFilter": NOT_HTACCESS,
    "PythonOutputFilter": NOT_HTACCESS,
    "PythonImport": SERVER,
    "PythonPath": EVERYWHERE,
    "PythonOption": EVERYWHERE,
    "PythonAutoReload": EVERYWHERE,
    "PythonDebug": EVERYWHERE,
    "PythonEnablePdb": EVERYWHERE,
    "PythonInterpreter": EVERYWHERE,
    "PythonInterpPerDirectory": EVERYWHERE,
    "PythonInterpPerDirective": EVERYWHERE,
    "PythonInterpPerServer": SERVER,
    "PythonOptimize": SERVER,
    "PythonHome": SERVER,
    "PythonSessionCache": SERVER,
    "PythonRequestTimeout": EVERYWHERE,
    "PythonWedgeAction": SERVER,
    "PythonStatus": SERVER,
    "PythonMaxRequests": SERVER,
    "PythonMaxMemory": SERVER,
    "PythonMapToStorageHandler": SERVER,
    "PythonQuickHandler": SERVER,
    "PythonAuthnProvider": EVERYWHERE,
}
BY_LOWER = {name.lower(): name for name in DIRECTIVES}

OPTIONS = {
    "session": "mod_python.session.session_type",
    "ApplicationPath": "mod_python.session.application_path",
    "session_cookie_name": "mod_python.session.cookie_name",
    "session_directory": "mod_python.session.database_directory",
    "session_dbm": "mod_python.dbm_session.database_filename",
    "session_cleanup_time_limit": "mod_python.file_session.cleanup_time_limit",
    "session_fast_cleanup": "mod_python.file_session.enable_fast_cleanup",
    "session_grace_period": "mod_python.file_session.cleanup_grace_period",
    "session_verify_cleanup": "mod_python.file_session.verify_session_timeout",
    "PSPDbmCache": "mod_python.psp.cache_database_filename",
}
OLD_OPTIONS = {name.lower(): (name, new) for name, new in OPTIONS.items()}

# Directives of httpd 2.2 that 2.4 refuses or no longer acts on, and what took their place.
HTTPD_22 = {
    "lockfile": "Mutex",
    "acceptmutex": "Mutex",
    "sslmutex": "Mutex",
    "rewritelock": "Mutex",
    "rewritelog": "LogLevel rewrite:trace3",
    "rewriteloglevel": "LogLevel rewrite:trace3",
    "defaulttype": "ForceType",
    "authzldapauthoritative": "Require",
    "authzuserauthoritative": "Require",
    "authzgroupfileauthoritative": "Require",
    "authzdefaultauthoritative": "Require",
}
SECTIONS = {
    "directory", "directorymatch", "location", "locationmatch", "files", "filesmatch", "if",
    "elseif", "else", "proxy", "proxymatch", "limit", "limitexcept",
}  # fmt: skip


class Line:
    """One directive: its name, its arguments as written, and where they stand."""

    def __init__(self, number, text):
        self.number, self.text = number, text
        found = re.match(r"\s*(</?\w+|\w+)\s*(.*?)\s*>?\s*$", text)
        self.name = found.group(1) if found else ""
        self.arguments = found.group(2) if found else ""
        self.column = found.start(1) if found else 0
        self.start = found.start(2) if found else 0

    def words(self):
        """The arguments with httpd's quotes taken away."""
        found = re.findall(r'"((?:[^"\\]|\\.)*)"|\'([^\']*)\'|(\S+)', self.arguments)
        return [double or single or bare for double, single, bare in found]


def lines_of(text):
    """Directives, with those that a backslash continues in one piece at their first line."""
    start, pending = 0, ""
    for number, line in enumerate(text.split("\n"), 1):
        start = start or number
        if line.endswith("\\"):
            pending += line[:-1]
            continue
        whole = pending + line
        if whole.strip() and not whole.lstrip().startswith("#"):
            yield Line(start, whole)
        start, pending = 0, ""


def findings(path, text, htaccess):
    """What one configuration file shows. `htaccess`: it is an .htaccess file."""
    sections = []
    for line in lines_of(text):
        if line.name.startswith("</"):
            if sections:
                sections.pop()
            continue
        if line.name.startswith("<"):
            sections.append(line.name[1:].lower())
            continue
        for rule, column, detail, edit in _look(line, _place(sections, htaccess)):
            yield Finding(rule, path, line.number, column, detail, edit)


def _place(sections, htaccess):
    if any(section in SECTIONS for section in sections):
        return "d" if not htaccess else "h"
    if htaccess:
        return "h"
    return "v" if "virtualhost" in sections else "s"


PLACES = {"s": "the server", "v": "<VirtualHost>", "d": "a section", "h": ".htaccess"}


def _look(line, place):
    name = line.name.lower()
    on = line.arguments.lower() == "on"
    if name in HTTPD_22:
        yield "directive-2.2", line.column, "%s, now %s" % (line.name, HTTPD_22[name]), None
    elif name in ("order", "allow", "deny", "satisfy"):
        yield "access-2.2", line.column, line.name, None
    elif name == "pythonnoreload":
        edit = (
            line.column,
            line.start + len(line.arguments),
            "PythonAutoReload %s" % ("Off" if on else "On"),
        )
        yield "reload-directive", line.column, line.name, edit
    elif name.startswith("python") and name not in BY_LOWER:
        near = difflib.get_close_matches(name, BY_LOWER, 1)
        detail = line.name + (", perhaps %s" % BY_LOWER[near[0]] if near else "")
        yield "no-such-directive", line.column, detail, None
    elif name in BY_LOWER:
        if place not in DIRECTIVES[BY_LOWER[name]]:
            yield "directive-context", line.column, "%s in %s" % (line.name, PLACES[place]), None
        if name == "pythondebug" and on:
            yield "debug-on", line.column, "", None
        elif name == "pythonenablepdb" and on:
            yield "pdb-on", line.column, "", None
        elif name == "pythonimport" and place == "v":
            yield "import-in-vhost", line.column, "", None
        elif name == "pythonoption":
            yield from _option(line)
        elif name.endswith("handler") or name == "pythonhandlermodule":
            yield from _handlers(line, place)


def _option(line):
    words = line.words()
    if not words:
        return
    start = line.text.index(words[0], line.start)
    end = start + len(words[0])
    key = words[0].lower()
    if key in OLD_OPTIONS:
        name, new = OLD_OPTIONS[key]
        yield "old-option", start, "%s, now %s" % (name, new), (start, end, new)
    directory = OLD_OPTIONS.get(key, ("", key))[1] == "mod_python.session.database_directory"
    if directory and len(words) > 1 and words[1].rstrip("/") in ("/tmp", "/var/tmp", "/dev/shm"):
        yield "sessions-in-tmp", line.text.index(words[1], end), words[1], None
    if key == "mod_python.wsgi.base_url":
        edit = (start, end, "mod_python.wsgi.base_uri")
        yield "wsgi-base-uri", start, words[0], edit
    if key == "mod_python.wsgi.base_uri" and len(words) > 1 and words[1].endswith("/"):
        yield "wsgi-base-uri", line.text.index(words[1], end), words[1], None


def _handlers(line, place):
    handlers, bar, _ = line.arguments.partition("|")
    name = line.name.lower()
    if bar and name in ("pythonpostreadrequesthandler", "pythontranshandler"):
        yield "suffix-not-allowed", line.text.index("|"), line.name, None
    if name == "pythoninithandler" and place in "dh":
        yield "init-handler-runs", line.column, "", None
    for found in re.finditer(r"\S+", handlers):
        handler, column = found.group(), line.start + found.start()
        if '"' in handler or "'" in handler:
            edit = None
            if re.fullmatch(r'"[^"]+"|\'[^\']+\'', handler):
                edit = (column, column + len(handler), handler[1:-1])
            yield "quoted-handler", column, handler, edit
        module = handler.strip("\"'").partition("::")[0]
        if "/" in module or module.endswith(".py"):
            yield "handler-as-path", column, handler, None
        if module == "mod_python.testhandler":
            yield "testhandler", column, "", None
