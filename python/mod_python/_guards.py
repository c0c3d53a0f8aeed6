"""``__auth__``, ``__access__`` and ``__auth_realm__`` of published objects.

A guard that cannot be understood for certain refuses everybody: see Unclear.
"""

import ast
from types import CodeType, FunctionType, MethodType, ModuleType

from mod_python import _arguments, _coroutines, apache

AUTH, ACCESS, REALM = NAMES = ("__auth__", "__access__", "__auth_realm__")

_MISSING = object()
_nested_cache = {}


class Unclear(Exception):
    """It is not certain what a guard means; the text says which and why."""


def guards_of(obj):
    """The guards of `obj`: a list of dicts from those of NAMES that are defined to their values.

    They are attributes; of functions also what the function defines inside itself, and what the
    functions it wraps (``__wrapped__``) do.
    """
    if isinstance(obj, MethodType):
        obj = obj.__func__
    if isinstance(obj, FunctionType):
        return _function_guards(obj)
    if type(obj) is ModuleType:
        found = {name: obj.__dict__[name] for name in NAMES if name in obj.__dict__}
        return [found] if found else []
    found = {}
    for name in NAMES:
        value = getattr(obj, name, _MISSING)
        if value is not _MISSING:
            found[name] = value
    guards = [found] if found else []
    if callable(obj):
        function = _arguments.underlying(obj)[0]
        if function is not None:
            guards += _function_guards(function)
    return guards


def _function_guards(function):
    guards, seen = [], set()
    while isinstance(function, FunctionType) and id(function) not in seen:
        seen.add(id(function))
        attributes = function.__dict__
        for found in (_nested(function), {n: attributes[n] for n in NAMES if n in attributes}):
            if found and found not in guards:
                guards.append(found)
        function = attributes.get("__wrapped__")
        if isinstance(function, MethodType):
            function = function.__func__
    return guards


def _nested(function):
    """The guards a function defines inside itself."""
    code = function.__code__
    local = {*code.co_varnames, *code.co_cellvars}
    inner = {constant.co_name for constant in code.co_consts if isinstance(constant, CodeType)}
    if not any(name in local or name in inner for name in NAMES):
        return {}
    key = id(code), id(function.__globals__)
    known = _nested_cache.get(key)
    # The cache keeps the code object, so its id cannot come to mean another one.
    if known is None or known[0] is not code:
        if len(_nested_cache) > 1000:
            _nested_cache.clear()
        try:
            found = _read_nested(function, [n for n in NAMES if n in local or n in inner])
        except Unclear as unclear:
            found = unclear
        known = _nested_cache[key] = code, found
    if isinstance(known[1], Unclear):
        raise known[1]
    return known[1]


def _read_nested(function, names):
    code = function.__code__
    body = _definition(code).body
    found = {}
    for name in names:
        statements = [statement for statement in body if _binds(statement, name)]
        if len(statements) != 1:
            raise Unclear("%s of %s is not defined exactly once" % (name, code.co_name))
        found[name] = _value(statements[0], name, function)
    return found


def _value(statement, name, function):
    """The value of a guard from the statement of the function that defines it."""
    where = "%s of %s" % (name, function.__code__.co_name)
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) and statement.name == name:
        return _nested_function(statement, name, function, where)
    if isinstance(statement, ast.Assign):
        plain = len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name)
    else:
        plain = isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
    if not plain or statement.value is None or _binds(statement.value, name):
        raise Unclear("%s is neither a def nor a plain assignment at its top level" % where)
    try:
        return ast.literal_eval(statement.value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise Unclear("%s is not a literal" % where) from None


def _nested_function(statement, name, function, where):
    inner = [
        constant
        for constant in function.__code__.co_consts
        if isinstance(constant, CodeType) and constant.co_name == name
    ]
    if len(inner) != 1:
        raise Unclear("%s is not defined exactly once" % where)
    if statement.decorator_list:
        raise Unclear("%s has a decorator" % where)
    if inner[0].co_freevars:
        variables = ", ".join(inner[0].co_freevars)
        raise Unclear("%s uses variables of the function around it: %s" % (where, variables))
    arguments = statement.args
    if arguments.defaults or any(arguments.kw_defaults):
        raise Unclear("%s has default values" % where)
    return FunctionType(inner[0], function.__globals__, name)


def _binds(statement, name):
    """Whether `statement` may give `name` a value in the scope it stands in."""
    pending = [statement]
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            if getattr(node, "name", None) == name or _has_nonlocal(node, name):
                return True
            continue
        harmless = isinstance(node, (ast.Constant, ast.Attribute, ast.keyword)) or (
            isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        )
        if not harmless:
            # Whatever else has the name in it: there are many ways to bind one.
            for _, value in ast.iter_fields(node):
                if value == name or (isinstance(value, list) and name in value):
                    return True
        pending += ast.iter_child_nodes(node)
    return False


def _has_nonlocal(function, name):
    return any(isinstance(node, ast.Nonlocal) and name in node.names for node in ast.walk(function))


def _definition(code):
    """The syntax tree of the function whose code is `code`, made certain by compiling it again."""
    from mod_python import _pages

    try:
        tree = ast.parse(_pages.source_of(code.co_filename), code.co_filename)
        compiled = compile(tree, code.co_filename, "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError) as error:
        raise Unclear("cannot read the source of %s: %s" % (code.co_name, error)) from None
    pending = [compiled]
    while pending:
        candidate = pending.pop()
        if candidate == code:
            break
        pending += [const for const in candidate.co_consts if isinstance(const, CodeType)]
    else:
        raise Unclear("the source of %s has changed since it was loaded" % code.co_name)
    nodes = [
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name == code.co_name
        and min([node.lineno, *(it.lineno for it in node.decorator_list)]) == code.co_firstlineno
    ]
    if len(nodes) != 1:
        raise Unclear("%s is not the only function in its line" % code.co_name)
    return nodes[0]


def passes(guard, *arguments):
    """Whether a guard lets the request through; arguments are req, user and, for __auth__, passwd.

    A callable decides itself; a dict is looked up by user, and for __auth__ compared with the
    password; for __access__ a collection names the users; True, False, None and numbers speak for
    themselves. Raises Unclear for anything else.
    """
    user = arguments[1]
    if callable(guard) and not isinstance(guard, type):
        return _truth(_coroutines.completed(guard(*arguments)), guard)
    if guard is None or isinstance(guard, (bool, int, float)):
        return bool(guard)
    if len(arguments) == 3:
        if isinstance(guard, dict):
            return user in guard and _same(guard[user], arguments[2])
    elif isinstance(guard, (list, tuple, set, frozenset, dict)):
        return user in guard
    raise Unclear("a guard cannot be a %s" % type(guard).__name__)


def _truth(verdict, guard):
    if verdict is not None and not isinstance(verdict, (bool, int, float, str, bytes)):
        if hasattr(verdict, "__next__") or hasattr(verdict, "__anext__"):
            raise Unclear("%s is a generator" % getattr(guard, "__name__", guard))
    return bool(verdict)


def _same(known, given):
    import hmac

    if not isinstance(known, (str, bytes)):
        return False
    known = known if isinstance(known, bytes) else known.encode("utf-8", "surrogatepass")
    return hmac.compare_digest(known, given.encode("utf-8", "surrogatepass"))


def credentials(req):
    """(user, password) of a Basic Authorization header, (None, None) without one.

    Raises SERVER_RETURN(400) if it cannot be decoded.
    """
    header = req.headers_in.get("Authorization")
    if header is None:
        return None, None
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None, None
    import base64

    try:
        decoded = base64.b64decode(encoded.strip().encode("ascii"), validate=True)
        user, colon, password = decoded.partition(b":")
        if not colon:
            raise ValueError("no colon")
    except ValueError:
        raise apache.SERVER_RETURN(apache.HTTP_BAD_REQUEST) from None
    return _decoded(user), _decoded(password)


def _decoded(text):
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")
