"""What a program's syntax tree tells: names, modules and calls that changed or are unsafe."""

import ast
import warnings

from mod_python._check import configuration
from mod_python._check.rules import Finding

# Names Python 3 does not have, and what to write; None where it depends.
NAMES = {
    "apply": None,
    "basestring": "str",
    "buffer": "memoryview",
    "cmp": None,
    "coerce": None,
    "execfile": None,
    "file": None,
    "intern": "sys.intern",
    "long": "int",
    "raw_input": "input",
    "reduce": "functools.reduce",
    "reload": "importlib.reload",
    "unichr": "chr",
    "unicode": "str",
    "xrange": "range",
}
# These can be put in place without touching anything else.
DIRECT = {"basestring", "buffer", "long", "raw_input", "unichr", "unicode", "xrange"}

MODULES = {
    "BaseHTTPServer": "http.server",
    "ConfigParser": "configparser",
    "Cookie": "http.cookies",
    "HTMLParser": "html.parser",
    "Queue": "queue",
    "StringIO": "io",
    "__builtin__": "builtins",
    "anydbm": "dbm",
    "asyncore": "asyncio",
    "cPickle": "pickle",
    "cStringIO": "io",
    "cgi": "mod_python.util",
    "commands": "subprocess",
    "cookielib": "http.cookiejar",
    "copy_reg": "copyreg",
    "dbhash": "dbm",
    "gdbm": "dbm.gnu",
    "htmlentitydefs": "html.entities",
    "httplib": "http.client",
    "imp": "importlib",
    "md5": "hashlib",
    "mimetools": "email",
    "rfc822": "email",
    "robotparser": "urllib.robotparser",
    "sets": None,
    "sha": "hashlib",
    "thread": "_thread",
    "urllib2": "urllib.request",
    "urlparse": "urllib.parse",
    "whichdb": "dbm",
    "xmlrpclib": "xmlrpc.client",
}
# `import OLD` can become `import NEW as OLD`: the new one has all that programs use of the old one.
SAME = {
    "BaseHTTPServer", "ConfigParser", "Queue", "__builtin__", "anydbm", "cPickle", "cookielib",
    "copy_reg", "gdbm", "htmlentitydefs", "httplib", "thread", "urlparse", "xmlrpclib",
}  # fmt: skip

# Attributes of modules that Python 3 has elsewhere or no more; None where it depends.
STRING = (
    "atof atoi atol capitalize count expandtabs find index join joinfields ljust lower lstrip "
    "replace rfind rindex rjust rstrip split splitfields strip swapcase translate upper zfill"
)
GONE = {
    "os.getcwdu": "os.getcwd",
    "os.popen2": "subprocess",
    "os.popen3": "subprocess",
    "os.popen4": "subprocess",
    "string.letters": "string.ascii_letters",
    "string.lowercase": "string.ascii_lowercase",
    "string.maketrans": "str.maketrans",
    "string.uppercase": "string.ascii_uppercase",
    "sys.exc_clear": None,
    "sys.exc_type": "sys.exc_info()",
    "sys.exc_value": "sys.exc_info()",
    "sys.exc_traceback": "sys.exc_info()",
    "sys.maxint": "sys.maxsize",
    "sys.setdefaultencoding": None,
    "time.clock": "time.perf_counter",
    "itertools.ifilter": "filter",
    "itertools.imap": "map",
    "itertools.izip": "zip",
    "types.ClassType": "type",
    "types.DictType": "dict",
    "types.IntType": "int",
    "types.ListType": "list",
    "types.LongType": "int",
    "types.StringType": "str",
    "types.StringTypes": "str",
    "types.TupleType": "tuple",
    "types.UnicodeType": "str",
    "urllib.quote": "urllib.parse.quote",
    "urllib.quote_plus": "urllib.parse.quote_plus",
    "urllib.unquote": "urllib.parse.unquote",
    "urllib.unquote_plus": "urllib.parse.unquote_plus",
    "urllib.urlencode": "urllib.parse.urlencode",
    "urllib.urlopen": "urllib.request.urlopen",
    "urllib.urlretrieve": "urllib.request.urlretrieve",
    **{"string." + name: "a method of str" for name in STRING.split()},
}
# These are there under the new name without importing anything else.
GONE_DIRECT = {
    *("os.getcwdu", "string.letters", "string.lowercase", "string.maketrans", "string.uppercase"),
    *("sys.maxint", "time.clock", "itertools.ifilter", "itertools.imap", "itertools.izip"),
    *(name for name in GONE if name.startswith("types.")),
}
# What connections and requests of mod_python 2.x had.
VERSION_2 = {
    "connection.user": "req.user",
    "connection.ap_auth_type": "req.ap_auth_type",
    "req.get_all_config": "req.get_config",
    "req.get_dirs": None,
    "req.get_all_dirs": None,
}

METHODS = {"iteritems": "items", "iterkeys": "keys", "itervalues": "values", "has_key": "in"}
# httpd's tables still have them, and so have forms and sessions in the case of has_key.
TABLES = {"headers_in", "headers_out", "err_headers_out", "subprocess_env", "notes"}

HANDLERS = {
    name[len("Python") :].lower() for name in configuration.DIRECTIVES if name.endswith("Handler")
}

IMPORTER = {"get_handler_root", "get_current_request", "get_module_name", "freeze", "thaw"}
MISSING = {"allow_methods", "exists_config", "FINFO_USER", "SERVER_ERROR"}
CLIENT = {"remote_ip": "client_ip", "remote_addr": "client_addr"}
CODECS = {"base64", "hex", "rot13", "zlib", "bz2", "string_escape"}
SHELLS = {"os.system", "os.popen", "commands.getoutput", "commands.getstatusoutput"}
FROM_CLIENT = {"form", "args", "headers_in", "read", "get_cookies", "get_cookie", "FieldStorage"}


# Text that is no Python, has a NUL in it, or is nested deeper than the parser or we can follow.
NO_TREE = (SyntaxError, ValueError, RecursionError, MemoryError)


def findings(path, text):
    """What the syntax tree of one program shows, in order of line and column.

    Raises one of NO_TREE where there is none.
    """
    lines = text.split("\n")

    def column(finding, place):
        """ast counts bytes of UTF-8, we count characters."""
        return len(lines[finding.line - 1].encode("utf-8")[:place].decode("utf-8", "ignore"))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what we look at, nobody asked for Python's own view
        tree = ast.parse(text)
    for found in sorted(_Program(path, tree).found, key=lambda f: (f.line, f.column)):
        edit = found.edit
        if edit:
            edit = (column(found, edit[0]), column(found, edit[1]), edit[2])
        yield found._replace(column=column(found, found.column), edit=edit)


def dotted(node):
    """The dotted name that an expression is; empty when it is none."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        left = dotted(node.value)
        return left + "." + node.attr if left else ""
    return ""


def names_in(node):
    """All names and attributes inside an expression."""
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Attribute):
            yield part.attr


def _is_handler(node):
    return isinstance(node, ast.FunctionDef) and node.name in HANDLERS


def _own_nodes(function):
    """The nodes of a function without those of functions inside it."""
    waiting = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            waiting += ast.iter_child_nodes(node)


def _is_dict_list(node):
    """Whether this is keys(), values() or items() of something that is none of httpd's tables."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("keys", "values", "items")
        and not node.args
        and dotted(node.func.value).rpartition(".")[2] not in TABLES
    )


def _is_field_value(node):
    """Whether this is the attribute `value` of what looks like a field: form["x"].value."""
    if not isinstance(node, ast.Attribute) or node.attr != "value":
        return False
    field = node.value
    if isinstance(field, ast.Call) and isinstance(field.func, ast.Attribute):
        return field.func.attr in ("get", "getfirst")
    return isinstance(field, ast.Subscript)


def _is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _client_file_name(node):
    """Whether an argument is a path with the name in it that a client gave its file."""
    # With a join inside, it is the join that is told.
    if {"basename", "join"} & set(names_in(node)):
        return False
    return any(
        isinstance(part, ast.Attribute)
        and part.attr == "filename"
        and dotted(part.value) not in ("req", "self", "request", "filter.req")
        for part in ast.walk(node)
    )


class _Program(ast.NodeVisitor):
    def __init__(self, path, tree):
        self.path, self.found, self.functions = path, [], set()
        self.bound = {
            node.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del))
        }
        self.imported = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                self.bound.add(node.name)
                self.functions.add(node.name)
            if isinstance(node, ast.arguments):
                self.bound |= {argument.arg for argument in [*node.args, *node.kwonlyargs]}
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                self.bound |= {alias.asname or alias.name for alias in node.names}
        for node in tree.body:
            if _is_handler(node):
                self._handler(node)
        self.visit(tree)

    def add(self, rule, node, detail="", edit=None):
        self.found.append(Finding(rule, self.path, node.lineno, node.col_offset, detail, edit))

    # -- handlers --

    def _handler(self, function):
        returns = [node for node in _own_nodes(function) if isinstance(node, ast.Return)]
        ends = any(isinstance(node, (ast.Raise, ast.Yield)) for node in _own_nodes(function))
        redirects = any(name in ("redirect", "internal_redirect") for name in names_in(function))
        if not any(node.value for node in returns) and not ends and not redirects:
            self.add("handler-without-return", function, function.name)
        for node in returns:
            if node.value is None:
                self.add("handler-without-return", node, function.name)
            elif dotted(node.value).endswith("HTTP_OK") or (
                isinstance(node.value, ast.Constant) and node.value.value == 200
            ):
                self.add("handler-returns-200", node)

    # -- names and modules --

    def visit_Name(self, node):
        if node.id in NAMES and isinstance(node.ctx, ast.Load) and node.id not in self.bound:
            new, edit = NAMES[node.id], None
            if node.id in DIRECT:
                edit = (node.col_offset, node.col_offset + len(node.id), new)
            self.add("python2-name", node, node.id + (", now " + new if new else ""), edit)
        if node.id in ("__mp_clone__", "__mp_purge__", "__mp_info__", "__mp_path__"):
            self.add("importer-3.3", node, node.id)

    def visit_FunctionDef(self, node):
        if node.name in ("__mp_clone__", "__mp_purge__"):
            self.add("importer-3.3", node, node.name)
        self.generic_visit(node)

    def visit_ClassDef(self, node):
        for part in node.body:
            if isinstance(part, ast.Assign) and any(
                dotted(target) == "__metaclass__" for target in part.targets
            ):
                self.add("python2-metaclass", part, "write class %s(metaclass=...)" % node.name)
        self.generic_visit(node)

    def visit_Import(self, node):
        for alias in node.names:
            self._module(node, alias.name, len(node.names) == 1 and not alias.asname)

    def visit_ImportFrom(self, node):
        if node.module and not node.level:
            self._module(node, node.module, False)
            if node.module == "mod_python.apache":
                for alias in node.names:
                    self._apache_name(node, alias.name)
            for alias in node.names:
                name = "%s.%s" % (node.module, alias.name)
                if name in GONE:
                    self._gone(node, name)

    def _gone(self, node, name):
        new, edit = GONE[name], None
        if name in GONE_DIRECT and isinstance(node, ast.Attribute):
            if node.end_lineno == node.lineno:
                edit = (node.col_offset, node.end_col_offset, new)
        self.add("python2-name", node, name + (", now " + new if new else ""), edit)

    def _module(self, node, name, alone):
        first = name.partition(".")[0]
        if first not in MODULES or (first == "Cookie" and "." in name):
            return
        new, edit = MODULES[first], None
        if alone and name == first and first in SAME:
            start = node.col_offset
            edit = (start, start + len("import ") + len(name), "import %s as %s" % (new, name))
        self.add("python2-module", node, name + (", now in %s" % new if new else ""), edit)

    def _apache_name(self, node, name):
        if name in IMPORTER:
            self.add("importer-3.3", node, "apache." + name)
        elif name in MISSING:
            self.add("never-existed", node, "apache." + name)

    # -- attributes and calls --

    def visit_Attribute(self, node):
        owner = dotted(node.value)
        if owner == "apache":
            self._apache_name(node, node.attr)
        elif node.attr in CLIENT and owner.rpartition(".")[2] in ("connection", "conn"):
            end = node.end_col_offset
            edit = None
            if node.end_lineno == node.lineno:
                edit = (end - len(node.attr), end, CLIENT[node.attr])
            self.add("client-address", node, "%s, now %s" % (node.attr, CLIENT[node.attr]), edit)
        elif node.attr == "MarshalCookie":
            self.add("marshal-cookie", node)
        elif node.attr == "location" and owner.endswith("hlist"):
            self.add("importer-3.3", node, "hlist.location")
        name = "%s.%s" % (owner, node.attr)
        if name in GONE and owner in self.imported:
            self._gone(node, name)
        old = "%s.%s" % (owner.rpartition(".")[2], node.attr)
        if old in VERSION_2 and isinstance(node.ctx, ast.Load):
            new, edit = VERSION_2[old], None
            if new and owner in ("req", "req.connection") and node.end_lineno == node.lineno:
                edit = (node.col_offset, node.end_col_offset, new)
            self.add("mod_python-2", node, old + (", now " + new if new else ""), edit)
        self.generic_visit(node)

    def visit_Raise(self, node):
        if _is_text(node.exc):
            self.add("python2-string-exception", node)
        self.generic_visit(node)

    def visit_ExceptHandler(self, node):
        if _is_text(node.type):
            self.add("python2-string-exception", node)
        self.generic_visit(node)

    def visit_Subscript(self, node):
        if _is_dict_list(node.value):
            self.add("python2-keys-index", node)
        self.generic_visit(node)

    def visit_Call(self, node):
        if isinstance(node.func, ast.Attribute):
            self._method(node, node.func.attr, dotted(node.func.value).rpartition(".")[2])
        name = dotted(node.func)
        last = name.rpartition(".")[2]
        if last == "sorted" and any(keyword.arg == "cmp" for keyword in node.keywords):
            self.add("python2-sort", node)
        if last == "import_module" and node.args and isinstance(node.args[0], ast.Constant):
            module = str(node.args[0].value)
            if module.startswith(("~", ".", "/")):
                self.add("importer-3.3", node, "import_module(%r)" % module)
        if last in ("DbmSession", "FileSession", "MemorySession", "BaseSession"):
            if len(node.args) > 3:
                self.add("session-arguments", node, last)
        if last in ("Cookie", "add_cookie") and any(k.arg == "max_age" for k in node.keywords):
            self.add("max-age", node)
        if any(FROM_CLIENT & set(names_in(argument)) for argument in node.args):
            if name in ("eval", "exec"):
                self.add("eval-from-client", node, name)
            if name in ("pickle.loads", "cPickle.loads", "marshal.loads", "pickle.load"):
                self.add("pickle-from-client", node, name)
            if name in SHELLS:
                self.add("shell-from-client", node, name)
        if name in ("open", "file", "os.path.join", "io.open"):
            if any(map(_client_file_name, node.args)):
                self.add("upload-name", node)
        self.generic_visit(node)

    def _method(self, node, method, owner):
        func = node.func
        start = func.end_col_offset - len(method)
        if method in METHODS and owner not in TABLES:
            edit = None
            if method == "has_key":
                edit = self._has_key_edit(node, owner)
            elif func.end_lineno == node.lineno:
                edit = (start, func.end_col_offset, METHODS[method])
            # Forms, sessions and tables have has_key; whether this is one, a person knows.
            self.add("python2-method", node, "%s, now %s" % (method, METHODS[method]), edit)
        elif method == "send_http_header":
            self.add("send-http-header", node)
        elif method == "decode" and _is_field_value(func.value):
            self.add("field-value", node)
        elif method in ("encode", "decode") and node.args:
            codec = node.args[0]
            if isinstance(codec, ast.Constant) and codec.value in CODECS:
                self.add("python2-codec", node, str(codec.value))
        elif method == "sort" and _is_dict_list(func.value):
            self.add("python2-keys-index", node)
        elif method == "sort" and (node.args or any(k.arg == "cmp" for k in node.keywords)):
            self.add("python2-sort", node)
        elif method == "add_handler" and len(node.args) > 1:
            handler = node.args[1]
            if isinstance(handler, ast.Lambda) or dotted(handler) in self.functions:
                self.add("handler-as-object", node)

    def _has_key_edit(self, node, owner):
        """`x.has_key(k)` as `k in x`, where both are simple enough to need no brackets."""
        key = node.args[0] if len(node.args) == 1 else None
        simple = isinstance(key, (ast.Name, ast.Constant)) and owner
        if not simple or node.end_lineno != node.lineno:
            return None
        written = key.id if isinstance(key, ast.Name) else repr(key.value)
        return (
            node.col_offset,
            node.end_col_offset,
            "(%s in %s)" % (written, dotted(node.func.value)),
        )
