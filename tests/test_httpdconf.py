"""mod_python.httpdconf without a server: both texts of every object, the basic configuration."""

import subprocess
import sys
import types

import pytest

from mod_python import httpdconf
from mod_python.httpdconf import (
    Comment,
    Container,
    ContainerTag,
    Directive,
    Directory,
    IfModule,
    Listen,
    LockFile,
    Options,
    PythonInterpPerDirectory,
    VirtualHost,
    quote_if_space,
    write_basic_config,
)
from pyhttpd import Httpd

pytestmark = pytest.mark.mpms("event")

ONE_VALUE = """
    AddHandler AddOutputFilter AddType AuthBasicAuthoritative AuthBasicProvider AuthType AuthName
    CustomLog DirectoryIndex DocumentRoot ErrorLog KeepAliveTimeout Listen LoadModule LogLevel
    LogFormat LockFile MaxConnectionsPerChild MaxClients MaxRequestsPerChild MaxSpareServers
    MaxSpareThreads MaxThreadsPerChild MinSpareThreads Mutex NameVirtualHost NumServers Options
    PidFile PythonAuthenHandler PythonAuthzHandler PythonCleanupHandler PythonConnectionHandler
    PythonDebug PythonHandler PythonAccessHandler PythonPostReadRequestHandler PythonTransHandler
    PythonFixupHandler PythonImport PythonPath PythonOutputFilter PythonOption Require SetHandler
    ServerAdmin ServerName ServerPath ServerRoot StartServers StartThreads ThreadsPerChild Timeout
    TypesConfig PythonInterpPerDirectory PythonInterpPerDirective
""".split()


@pytest.fixture
def version(monkeypatch):
    """mod_python.version as an installation would have it."""
    module = types.ModuleType("mod_python.version")
    vars(module).update(
        HTTPD_VERSION="2.4.99",
        LIBEXECDIR="/no/such/modules",
        SYSCONFDIR="",
        PYTHON_BIN="/usr/bin/python3",
    )
    monkeypatch.setitem(sys.modules, "mod_python.version", module)
    monkeypatch.setattr(httpdconf.mod_python, "version", module, raising=False)
    return module


@pytest.mark.parametrize("name", ONE_VALUE)
def test_directives(name):
    one = getattr(httpdconf, name)(r"a\b c")
    value = r"a\b c" if name in ("LogFormat", "PythonPath") else "a/b c"
    assert isinstance(one, Directive)
    assert str(one) == f"{name} {value}\n"
    assert repr(one) == f"{name}({value!r})"


@pytest.mark.parametrize("name", ["Directory", "Files", "IfModule", "Location", "VirtualHost"])
def test_sections(name):
    section = getattr(httpdconf, name)("c:\\x", Listen(1))
    assert isinstance(section, ContainerTag)
    assert str(section) == f"<{name} c:/x>\n  Listen 1\n</{name}>\n"
    assert repr(section) == f"{name}('c:/x',\n    Listen(1),\n)"


def test_defaults():
    assert str(PythonInterpPerDirectory()) == "PythonInterpPerDirectory Off\n"
    assert str(PythonInterpPerDirectory("On")) == "PythonInterpPerDirectory On\n"
    assert str(LockFile("x")) == "LockFile x\n"
    assert str(Directive("Foo", "b\\a", flipslash=0)) == "Foo b\\a\n"


def test_nesting(version):
    config = Container(
        Container(Listen("1"), only_if="True"),
        VirtualHost("*", Container(Listen("2")), Comment("x\ny"), IfModule("m.c", Options("All"))),
    )
    assert str(config) == (
        "Listen 1\n"
        "<VirtualHost *>\n"
        "  Listen 2\n"
        "  # x\n"
        "  # y\n"
        "  <IfModule m.c>\n"
        "    Options All\n"
        "  </IfModule>\n"
        "</VirtualHost>\n"
    )
    assert repr(config) == (
        "Container(\n"
        "    Container(\n"
        "        Listen('1'),\n"
        "        only_if='True'),\n"
        "    VirtualHost('*',\n"
        "        Container(\n"
        "            Listen('2'),\n"
        "        ),\n"
        "        Comment('x\\n'\n"
        "                'y\\n'),\n"
        "        IfModule('m.c',\n"
        "            Options('All'),\n"
        "        ),\n"
        "    ),\n"
        ")"
    )
    # Printing leaves no trace, and the source gives the same objects again.
    assert repr(eval(repr(config))) == repr(config)
    assert str(eval(repr(config))) == str(config)


def test_empty():
    assert (str(Container()), repr(Container())) == ("", "Container(\n)")
    assert str(Directory("/x")) == "<Directory /x>\n</Directory>\n"
    assert repr(Directory("/x")) == "Directory('/x',\n)"


@pytest.mark.parametrize(
    "text, printed, source",
    [
        ("a", "# a\n", "Comment('a\\n')"),
        ("a\n", "# a\n", "Comment('a\\n')"),
        ("\na\n\n", "# \n# a\n# \n", "Comment('\\n'\n        'a\\n'\n        '\\n')"),
        ("", "# \n", "Comment('\\n')"),
    ],
)
def test_comment(text, printed, source):
    assert str(Comment(text)) == printed
    assert repr(Comment(text)) == source


def test_indent_of_a_single_object():
    one = Directory("/x", Listen("1"))
    one.indent = 2
    assert str(one) == "  <Directory /x>\n    Listen 1\n  </Directory>\n"
    assert repr(one) == "  Directory('/x',\n      Listen('1'),\n  )"


def test_only_if(version):
    new = Container(Listen(1), only_if="mod_python.version.HTTPD_VERSION[0:3] == '2.4'")
    assert str(new) == "Listen 1\n"
    version.HTTPD_VERSION = "2.2.34"
    assert str(new) == ""
    assert repr(new).endswith("    only_if=\"mod_python.version.HTTPD_VERSION[0:3] == '2.4'\")")


def test_append():
    config = Container(Listen(1))
    for part in (Listen(2), Comment("c"), Container(), Directory("/")):
        assert config.append(part) is None
    assert str(config) == "Listen 1\nListen 2\n# c\n<Directory />\n</Directory>\n"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Container().append("x"),
        lambda: Container("x"),
        lambda: Directory("/", None),
    ],
)
def test_only_parts_go_into_containers(wrong):
    with pytest.raises(TypeError) as error:
        wrong()
    assert str(error.value) == (
        "appended value must be an instance of Directive, Container, ContainerTag or Comment"
    )


def test_quote_if_space():
    assert [quote_if_space(s) for s in ("a b", "ab", "", "a\tb")] == ['"a b"', "ab", "", "a\tb"]


# --- write_basic_config


def run(path):
    """What the written file prints, seen by a fresh interpreter without an installation."""
    code = (
        "import sys, types; sys.path[:0] = %r\n"
        "v = types.ModuleType('mod_python.version'); v.version = ''; v.HTTPD_VERSION = '2.4.99'\n"
        "sys.modules['mod_python.version'] = v\n"
        "import mod_python; mod_python.version = v\n"
        "exec(open(%r).read())" % (sys.path, str(path))
    )
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_write_basic_config(version, tmp_path, capfd):
    root = tmp_path / "my site"
    path = write_basic_config(
        str(root),
        listen="8888",
        pythonhandler="hello",
        pythonpath=["/p 1", "", "/q'x"],
        pythonoptions=["a b", 'c "d e"'],
        mp_comments=["one"],
    )
    assert path == f"{root}/conf/httpd_conf.py"
    told = capfd.readouterr().err.splitlines()
    assert told[:4] == [
        f"Creating directory '{root}{name}'." for name in ("", "/public", "/conf", "/logs")
    ]
    assert told[4].startswith(("Copying ", "Warning: file "))
    assert told[5] == f"Writing '{path}'."
    source = (root / "conf/httpd_conf.py").read_text()
    assert source.startswith("#!/usr/bin/python3\n")
    lines = run(path).splitlines()
    assert "MaxConnectionsPerChild 65536" in lines
    assert not any(line.startswith(("MaxRequestsPerChild", "LockFile")) for line in lines)
    assert f'ServerRoot "{root}"' in lines
    assert f'DocumentRoot "{root}/public"' in lines
    assert "Listen 8888" in lines
    assert lines[-9:] == [
        "LoadModule python_module /no/such/modules/mod_python.so",
        "SetHandler mod_python",
        "# PythonDebug On",
        "PythonHandler hello",
        # httpd takes \" for a quote inside a quoted argument.
        'PythonPath "sys.path+[\'/p 1\',\\"/q\'x\\",]"',
        "PythonOption a b",
        'PythonOption c "d e"',
        "# one",
        "",
    ]


def test_an_existing_config_is_kept(version, tmp_path, capfd):
    path = write_basic_config(str(tmp_path), createdirs=True)
    before = open(path).read()
    assert "PythonPath" not in before
    capfd.readouterr()
    assert write_basic_config(str(tmp_path), listen=1) is None
    assert capfd.readouterr().err == f"Error: '{path}' already exists, aborting.\n"
    assert open(path).read() == before
    assert write_basic_config(str(tmp_path), listen=1, replace_config=True) == path
    assert f"Warning: directory '{tmp_path}/logs' already exists, continuing." in (
        capfd.readouterr().err
    )
    assert "Listen(1)" in open(path).read()


def test_parents_are_not_created(version, tmp_path):
    with pytest.raises(FileNotFoundError):
        write_basic_config(str(tmp_path / "no" / "where"))
    with pytest.raises(FileNotFoundError):
        write_basic_config(str(tmp_path / "no"), createdirs=False)


def test_a_relative_root_becomes_absolute(version, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert write_basic_config("site") == "site/conf/httpd_conf.py"
    assert f"ServerRoot {tmp_path}/site" in run("site/conf/httpd_conf.py").splitlines()


def test_only_modules_that_exist_are_loaded(version, tmp_path, capfd):
    version.LIBEXECDIR = str(tmp_path / "modules")
    (tmp_path / "modules").mkdir()
    for name in ("mpm_worker", "mpm_prefork", "mime", "dir"):
        (tmp_path / "modules" / f"mod_{name}.so").touch()
    path = write_basic_config(str(tmp_path / "site"))
    loads = [line.split()[1] for line in run(path).splitlines() if line.startswith("LoadModule")]
    assert loads == ["mpm_worker_module", "mime_module", "dir_module", "python_module"]


def test_httpd_accepts_it(version, tmp_path, mod_python, capfd):
    """httpd -t, with everything but the module itself, which other tests load."""
    httpd = Httpd.find()
    version.LIBEXECDIR = str(httpd.modules)
    path = write_basic_config(str(tmp_path / "my site"), pythonpath=["/q'x"], listen="127.0.0.1:1")
    conf = tmp_path / "httpd.conf"
    text = run(path).replace(f"{httpd.modules}/mod_python.so", str(mod_python.shared_object))
    conf.write_text(text)
    done = subprocess.run(
        [str(httpd.binary), "-t", "-f", str(conf)], capture_output=True, text=True, check=False
    )
    assert "Syntax OK" in done.stderr, done.stderr


def test_names_are_published():
    scope = {}
    exec("from mod_python.httpdconf import *\nfrom mod_python.python22 import *", scope)
    assert {"Container", "write_basic_config", "quote_if_space", "mod_python"} <= set(scope)
    assert set(ONE_VALUE) <= set(scope)
