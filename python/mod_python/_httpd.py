"""The installed httpd as a program meets it: its binary, the modules built in, the ones to load."""

import os
import pwd
import subprocess
import sysconfig

from mod_python import version

# What servers drop to when started by root; the first that exists is taken.
USERS = ("www-data", "apache", "httpd", "http", "www", "wwwrun", "_www", "daemon", "nobody")


class NotUsable(Exception):
    """httpd or one of its modules is missing; the text says which and what to do."""


class Httpd:
    """One httpd installation.

    `binary` and `libexecdir` are paths; `builtin` is the set of module sources compiled in, such as
    "mod_so.c". Raises NotUsable when the binary does not answer.
    """

    def __init__(self, binary="", libexecdir=""):
        self.binary = binary or version.HTTPD
        self.libexecdir = libexecdir or version.LIBEXECDIR
        if not self.binary or not self.libexecdir:
            raise NotUsable("where httpd is installed is unknown: run `make build` first")
        try:
            listing = subprocess.check_output([self.binary, "-l"], universal_newlines=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise NotUsable("%s does not run: %s" % (self.binary, error)) from error
        self.builtin = {line.strip() for line in listing.splitlines() if line.endswith(".c")}

    def module_file(self, name):
        return os.path.join(self.libexecdir, "mod_%s.so" % name)

    def load_lines(self, names, optional=()):
        """LoadModule lines for the named modules, leaving out those built in.

        Modules in `optional` may be missing, any other raises NotUsable.
        """
        lines = []
        for name in names:
            sources = {"mod_%s.c" % name, "%s.c" % name.replace("mpm_", "")}
            if self.builtin & sources:
                continue
            if not os.path.exists(self.module_file(name)):
                if name in optional:
                    continue
                raise NotUsable("httpd's module %s is missing" % self.module_file(name))
            lines.append('LoadModule %s_module "%s"' % (name, self.module_file(name)))
        return lines

    def mpms(self):
        """The MPMs that can be chosen, best first; empty when one is built in."""
        known = ("event", "worker", "prefork")
        if self.builtin & {"%s.c" % name for name in known}:
            return []
        found = [name for name in known if os.path.exists(self.module_file("mpm_" + name))]
        if not found:
            raise NotUsable("no MPM module in %s" % self.libexecdir)
        return found


def module_path(given=None):
    """Where mod_python.so is: where `given` says, else in this source tree, in this package as pip
    installs it, or in httpd's own directory of modules.
    """
    here = os.path.dirname(os.path.abspath(__file__))
    packaged = os.path.join(here, "mod_python" + sysconfig.get_config_var("EXT_SUFFIX"))
    known = [path for path in (version.TEST_MOD_PYTHON_SO, packaged) if os.path.exists(path)]
    return os.path.abspath(given or [*known, os.path.join(version.LIBEXECDIR, "mod_python.so")][0])


def unprivileged_user(asked=None):
    """The pwd entry of the user that children of a root httpd become.

    `asked` names one; otherwise it is the first of USERS. Raises NotUsable if none exists.
    """
    names = (asked,) if asked else USERS
    for name in names:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    raise NotUsable("started by root, and there is no user %s" % " or ".join(names))


def may_read(user, path):
    """Whether `user` (a pwd entry) can reach and read `path`, judged by the permission bits."""
    path = os.path.realpath(path)
    wanted = 0o5 if os.path.isdir(path) else 0o4
    while True:
        facts = os.stat(path)
        if facts.st_uid == user.pw_uid:
            allowed = facts.st_mode >> 6
        elif facts.st_gid == user.pw_gid:
            allowed = facts.st_mode >> 3
        else:
            allowed = facts.st_mode
        if allowed & wanted != wanted:
            return False
        if path == os.path.dirname(path):
            return True
        path, wanted = os.path.dirname(path), 0o1
