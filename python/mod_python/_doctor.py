"""`mod_python doctor` and `module-config`: why does it not load, and which lines load it."""

import glob
import os
import re
import subprocess
import sys
import sysconfig
import tempfile

from mod_python import _httpd, _site, version

# What every finding begins with, and whether it makes the command fail.
FINE, NOTE, TROUBLE = "ok     ", "note   ", "TROUBLE"


def output_of(*command):
    """(exit status, all the command said); status None when it cannot be run."""
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, str(error)
    return done.returncode, done.stdout.decode("utf-8", "backslashreplace").strip()


def check_python():
    yield FINE, "this Python is %s, %s" % (sys.version.split()[0], sys.executable)
    built = version.PYTHON_BIN
    if built and os.path.realpath(built) != os.path.realpath(sys.executable):
        if os.path.exists(built):
            yield NOTE, "the module was built for another one: %s" % built
        else:
            yield TROUBLE, "the Python the module was built for is gone: %s; build again" % built
    if not sysconfig.get_config_var("Py_ENABLE_SHARED"):
        yield NOTE, "this Python has no shared libpython, so no module can be built for it"
    header = os.path.join(sysconfig.get_path("include"), "Python.h")
    if not os.path.exists(header):
        yield NOTE, "%s is missing, so no module can be built (Debian: python3-dev)" % header


def check_httpd(httpd):
    yield FINE, "httpd %s is %s" % (version.HTTPD_VERSION, httpd.binary)
    mpms = httpd.mpms()
    yield FINE, "MPM: %s" % (", ".join(mpms) if mpms else "built in")


def check_libraries(module):
    """What the dynamic linker misses; httpd itself brings the ap_ and apr_ names."""
    status, listing = output_of("ldd", module)
    if status is None:
        yield NOTE, "ldd is not here to look at the module's libraries"
        return
    missing = re.findall(r"(\S+) => not found", listing)
    for name in missing:
        yield TROUBLE, "%s needs %s, which is not found" % (module, name)
    python = re.search(r"(libpython\S+) => (/\S+)", listing)
    if python:
        yield FINE, "it runs %s" % python.group(2)
    elif not missing:
        yield TROUBLE, "%s is linked with no shared libpython" % module


def check_file(module):
    if not os.path.exists(module):
        yield TROUBLE, "%s does not exist: `make build` and `make install`" % module
        return
    yield FINE, "the module is %s" % module
    try:
        with open(module, "rb") as shared_object:
            code = shared_object.read()
    except OSError as error:
        yield TROUBLE, "it cannot be read: %s" % error.strerror
        return
    if b"PythonInterpPerServer" not in code:
        yield TROUBLE, "it is another mod_python than this package's, perhaps the original 3.5"
    elif version.version.encode() not in code:
        yield TROUBLE, "its version is not the package's, %s" % version.version
    yield from check_libraries(module)


def check_load(httpd, module):
    """The proof: httpd reads a configuration that does nothing but load it."""
    with tempfile.TemporaryDirectory(prefix="mod_python-") as root:
        lines = httpd.load_lines(["mpm_" + name for name in httpd.mpms()[:1]])
        lines += httpd.load_lines(_site.REQUIRED)
        lines += [
            "LoadModule python_module %s" % _site.quoted(module),
            "ServerRoot %s" % _site.quoted(root),
            "DefaultRuntimeDir %s" % _site.quoted(root),
            "ServerName localhost",
            "Listen 127.0.0.1:8080",
            "TypesConfig /dev/null",
            "ErrorLog error_log",
            "PythonDebug Off",
        ]
        conf = os.path.join(root, "httpd.conf")
        with open(conf, "w", encoding="utf-8") as output:
            output.write("\n".join(lines) + "\n")
        status, said = output_of(httpd.binary, "-t", "-f", conf)
    if status == 0:
        yield FINE, "httpd loads it"
    else:
        yield TROUBLE, "httpd does not load it:\n%s" % re.sub("^", "          ", said, flags=re.M)


def library():
    """The standard library of the Python that the module was built for; ours where that is gone."""
    question = "import sysconfig; print(sysconfig.get_path('stdlib'))"
    status, found = output_of(version.PYTHON_BIN or sys.executable, "-c", question)
    return found if status == 0 else sysconfig.get_path("stdlib")


def check_permissions(module):
    """Whether the user of a root server's children can read what they import."""
    try:
        user = _httpd.unprivileged_user()
    except _httpd.NotUsable as error:
        yield NOTE, str(error)
        return
    package = os.path.join(_site.package_parent(), "mod_python")
    places = [("the package", package), ("Python's library", library())]
    for what, path in places:
        if _httpd.may_read(user, path):
            yield FINE, "%s can read %s" % (user.pw_name, path)
        else:
            yield (
                TROUBLE,
                "%s cannot read %s, %s: httpd's children will not find it, unless they run as "
                "somebody else" % (user.pw_name, what, path),
            )
    enforce = "/sys/fs/selinux/enforce"
    if os.path.exists(enforce):
        with open(enforce, encoding="ascii") as state:
            if state.read().strip() == "1":
                yield (
                    NOTE,
                    "SELinux is enforcing; if httpd may not map the module, try\n"
                    "          restorecon -v %s\n"
                    "          chcon -t httpd_modules_t %s" % (module, module),
                )


def check_neighbours():
    """Other modules that bring a Python into the same process."""
    enabled = os.path.join(version.SYSCONFDIR, "mods-enabled")
    for path in sorted(glob.glob(os.path.join(enabled, "wsgi*.load"))):
        yield (
            NOTE,
            "%s is enabled too: two modules in one process must be built for the same Python"
            % path,
        )


def doctor(parser, argv):
    """Print all findings; returns 1 when one is trouble."""
    parser.add_option("--module", help="the mod_python.so to look at")
    parser.add_option("--httpd", default="", help="the httpd to try it in")
    options, arguments = parser.parse_args(argv)
    if arguments:
        parser.error("Takes no arguments")
    findings = list(check_python())
    module = _httpd.module_path(options.module)
    try:
        httpd = _httpd.Httpd(options.httpd)
        findings += check_httpd(httpd)
    except _httpd.NotUsable as error:
        httpd = None
        findings.append((TROUBLE, str(error)))
    findings += check_file(module)
    if httpd and os.path.exists(module):
        findings += check_load(httpd, module)
    findings += check_permissions(module)
    findings += check_neighbours()
    for kind, text in findings:
        print("%s %s" % (kind, text))
    troubled = sum(kind is TROUBLE for kind, _ in findings)
    print("\n%s" % ("%d trouble(s) found" % troubled if troubled else "Nothing is wrong."))
    return 1 if troubled else 0


def module_config(parser, argv):
    """Print the lines that load the module, with PythonHome inside a virtual environment."""
    _, arguments = parser.parse_args(argv)
    if arguments:
        parser.error("Takes no arguments")
    print("LoadModule python_module %s" % _site.quoted(_httpd.module_path()))
    if _site.in_virtual_environment():
        print("PythonHome %s" % _site.quoted(sys.prefix))
    return 0
