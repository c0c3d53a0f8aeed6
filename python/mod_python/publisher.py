"""The handler that publishes the functions and values of Python files (``mod_python.publisher``).

A URL names a file and, after it, a path of attributes; what the path leads to is called with the
fields of the form as arguments, and its result is the answer. What may be reached is an allow-list:
functions and methods written in Python, instances, and plain values; never modules, classes,
built-ins, or the inside of built-in types. ``PythonOption mod_python.publisher.only_local 1``
leaves out what a page merely imported.
"""

import re
from errno import ENOENT
from os import strerror
from os.path import splitext
from types import (
    AsyncGeneratorType,
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    CoroutineType,
    GeneratorType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)

import _apache

from mod_python import _arguments, _coroutines, _guards, _pages, apache, util
from mod_python.util import FieldStorage

_new_form = object.__new__
_ONLY_LOCAL = _pages.ONLY_LOCAL

# Py_TPFLAGS_HEAPTYPE: the type was made by a class statement, or by a library in the same way.
_HEAPTYPE = 1 << 9
# What the attributes of types written in C are made of.
_OF_BUILT_IN = (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodWrapperType,
    WrapperDescriptorType,
)
_BYTES = (bytes, bytearray, memoryview)
_HTML_LAST = (">", " ", "\n", "\r", "\t", "\f", "\v")
_HTML_STARTS = ("<!doctype html", "<html")
_WORDS = {
    **dict.fromkeys(("1", "on", "yes", "true"), True),
    **dict.fromkeys(("0", "off", "no", "false"), False),
}

_html_end = re.compile(r"</html\s*>\s*\Z", re.IGNORECASE)


def handler(req):
    """Publishes what the URL names; see the module."""
    if not _apache._get_post_head(req):
        return apache.HTTP_METHOD_NOT_ALLOWED
    route = _find(req, req.filename, req.path_info)
    page = route.page
    path = route.path
    known = page.functions.get(path)
    if (
        known is not None
        and page.names.get(path) is known.function
        and known.is_current()
        and "__auth__" not in page.names
        and "__access__" not in page.names
        and (
            _apache._option(req, _ONLY_LOCAL) is None or not _only_local(req) or page.defines(path)
        )
    ):
        # The usual case: a function of an unguarded page, known from an earlier request.
        if getattr(req, "form", None) is not None:
            value = _call(req, known.function, known.plan)
        else:
            # What FieldStorage(req, 1) would find, without its ceremony.
            pairs, multipart = _apache._form(req, 1, None, util._refuse)
            form = req.form = _new_form(FieldStorage) if multipart is None else FieldStorage(req, 1)
            filled = None
            if pairs:
                form._pairs = pairs
                filled = known.fill(req, pairs)
            if filled is not None:
                value = known.function(**filled)
            elif pairs or multipart or not known.needs_nothing:
                value = _call_with(req, known.function, known.plan, form)
            elif known.takes_req:
                value = known.function(req)
            else:
                value = known.function()
        published = _publish_value(req, value)
    else:
        obj = resolve_object(req, page.module, path)
        page.remember(path, obj)
        published = publish_object(req, obj)
    if not published and not req._bytes_queued and "Location" not in req.headers_out:
        if _apache._debug(req):
            req.log_error("mod_python.publisher: nothing to publish.")
    return apache.OK


def _may_publish(req, page, name):
    return not _only_local(req) or page.defines(name)


# From URL to page


_routes = {}


class _Route:
    """What a URL means.

    page -- the page; path -- the attributes, joined by dots; absent -- a file that must not exist
    for this route to hold, or None.
    """

    __slots__ = ("absent", "page", "path")

    def __init__(self, page, path, absent):
        self.page = page
        self.path = path
        self.absent = absent


def _find(req, filename, path_info):
    """The route of the request. Raises SERVER_RETURN(404) if there is no page for it."""
    key = filename, path_info
    route = _routes.get(key)
    suffixes = ()
    if route is None:
        suffixes = _suffixes(req, filename)
        if suffixes:
            # What the URL means depends on the configuration too.
            key = filename, path_info, suffixes
            route = _routes.get(key)
    if route is not None:
        page = route.page
        if _apache._is_current(req, page.path, page.stamp):
            if route.absent is None or _apache._is_current(req, route.absent, None):
                req.filename = page.path
                return route
    for page_path, path, absent in _candidates(filename, path_info, suffixes):
        page = _pages.get(page_path, req)
        if page is not None:
            if len(_routes) > 10000:
                _routes.clear()
            route = _routes[key] = _Route(page, path, absent)
            req.filename = page_path
            return route
    _routes.pop(key, None)
    raise apache.SERVER_RETURN(apache.HTTP_NOT_FOUND)


def _suffixes(req, filename):
    """The suffixes, each with its dot, that may be left out of a page's name."""
    extension = splitext(filename)[1]
    if not extension or extension == ".py":
        return ()
    suffixes = ["." + suffix for suffix in req.get_addhandler_exts().split()]
    if req.extension:
        suffixes.append(req.extension)
    return tuple(suffixes)


def _candidates(filename, path_info, suffixes):
    """(file, attribute path, file that must be absent) of the routes to try."""
    directory, _, base = filename.rpartition("/")
    base = base or "index"
    for suffix in (".py", *suffixes):
        if base.endswith(suffix):
            base = base[: -len(suffix)]
            break
    path = (path_info or "")[1:]
    if path.endswith("/"):
        path = path[:-1]
    path = path.replace("/", ".")
    page = "%s/%s.py" % (directory, base)
    yield page, path or "index", None
    if base != "index":
        yield directory + "/index.py", "%s.%s" % (base, path) if path else base, page


class _PageCache:
    """The modules of pages by request: ``page_cache[req]`` is that of the page in req.filename.

    For handlers that look for pages in a way of their own. FileNotFoundError if there is no page,
    else whatever the page raises.
    """

    def __getitem__(self, req):
        page = _pages.get(req.filename, req)
        if page is None:
            raise FileNotFoundError(ENOENT, strerror(ENOENT), req.filename)
        return page.module


page_cache = _PageCache()


# From page to object


def resolve_object(req, obj, object_str, realm=None, user=None, passwd=None):
    """What `object_str`, names joined by dots, leads to from `obj`, past all guards on the way.

    Raises SERVER_RETURN: 403 for what is not to be reached, 404 for what is not there, 401 or 403
    from the guards.
    """
    realm, user, passwd = process_auth(req, obj, realm or "unknown", user, passwd)
    names = object_str.split(".")
    for position, name in enumerate(names):
        if name.startswith("_"):
            raise _forbidden(req, "traverse", name, "it starts with an underscore")
        if position == 0 and isinstance(obj, ModuleType):
            obj = _from_page(req, obj, name)
        elif _has_inside(obj):
            obj = _from_instance(req, obj, name)
        else:
            raise _forbidden(req, "traverse", name, "%r is not a traversable object" % (obj,))
        publishable = _is_publishable(obj)
        if position == len(names) - 1 and not publishable:
            raise _forbidden(req, "publish", name, "%r is not publishable" % (obj,))
        if publishable or _has_inside(obj):
            realm, user, passwd = process_auth(req, obj, realm, user, passwd)
    return obj


def process_auth(req, object, realm="unknown", user=None, passwd=None):
    """Has the guards of `object` judge the request; returns (realm, user, passwd) for the next.

    Raises SERVER_RETURN: 401 or 403 from the guards, 400 for credentials that cannot be decoded.
    """
    try:
        for guards in _guards.guards_of(object):
            realm = guards.get(_guards.REALM, realm)
            if len(guards) == 1 and _guards.REALM in guards:
                continue
            if user is None:
                user, passwd = _guards.credentials(req)
            if _guards.AUTH in guards:
                if user is None or not _guards.passes(guards[_guards.AUTH], req, user, passwd):
                    quoted = str(realm).replace("\\", r"\\").replace('"', r"\"")
                    req.err_headers_out["WWW-Authenticate"] = 'Basic realm="%s"' % quoted
                    raise apache.SERVER_RETURN(apache.HTTP_UNAUTHORIZED)
            if _guards.ACCESS in guards:
                if not _guards.passes(guards[_guards.ACCESS], req, user):
                    raise apache.SERVER_RETURN(apache.HTTP_FORBIDDEN)
    except _guards.Unclear as unclear:
        req.log_error("MP0620: nobody may see %s: %s" % (req.uri, unclear))
        raise apache.SERVER_RETURN(apache.HTTP_FORBIDDEN) from None
    return realm, user, passwd


def _from_page(req, module, name):
    names = module.__dict__
    if name in names:
        if _only_local(req) and not _pages.loaded(module).defines(name):
            raise _forbidden(req, "publish", name, "the page does not define it")
        return names[name]
    if "__getattr__" in names:
        try:
            return getattr(module, name)
        except AttributeError:
            pass
    raise apache.SERVER_RETURN(apache.HTTP_NOT_FOUND)


def _has_inside(obj):
    """Whether attributes of `obj` may be looked at: it is an instance, and not of a built-in."""
    kind = type(obj)
    return kind.__flags__ & _HEAPTYPE and not issubclass(kind, (type, ModuleType))


def _from_instance(req, obj, name):
    kind = type(obj)
    for owner in kind.__mro__:
        if name in owner.__dict__:
            found = owner.__dict__[name]
            if isinstance(found, _OF_BUILT_IN) and not _is_slot(found, owner):
                raise _forbidden(req, "traverse", name, "it belongs to a built-in type")
            break
    else:
        dynamic = any("__getattr__" in owner.__dict__ for owner in kind.__mro__)
        if not dynamic and name not in getattr(obj, "__dict__", ()):
            raise apache.SERVER_RETURN(apache.HTTP_NOT_FOUND)
    try:
        return getattr(obj, name)
    except AttributeError:
        raise apache.SERVER_RETURN(apache.HTTP_NOT_FOUND) from None


def _is_slot(descriptor, owner):
    return isinstance(descriptor, MemberDescriptorType) and "__slots__" in owner.__dict__


def _is_publishable(obj):
    """Whether `obj` may be called or shown."""
    if issubclass(type(obj), (type, ModuleType)):
        return False
    if not callable(obj):
        return True
    if isinstance(getattr(obj, "__origin__", None), type):
        # list[int] and the like: a class in disguise.
        return False
    return _arguments.underlying(obj, classes=False)[0] is not None


def _only_local(req):
    value = _apache._option(req, _ONLY_LOCAL)
    if value is None:
        return False
    try:
        return _WORDS[value.lower()]
    except KeyError:
        raise ValueError("PythonOption %s must be 0 or 1, not %r" % (_ONLY_LOCAL, value)) from None


def _forbidden(req, verb, name, reason):
    req.log_error(
        "Cannot %s %s in %s because %s" % (verb, name, req.uri, reason), apache.APLOG_WARNING
    )
    return apache.SERVER_RETURN(apache.HTTP_FORBIDDEN)


# From object to answer


def publish_object(req, obj):
    """Sends `obj`, or what it returns if it can be called. False if that was None.

    Raises SERVER_RETURN: 400 if the form does not fit the parameters, 403 for what may not be sent.
    """
    if not _is_publishable(obj):
        raise _forbidden(req, "publish", type(obj).__name__, "%r is not publishable" % (obj,))
    if callable(obj):
        return _publish_value(req, _call(req, obj, _arguments.plan(obj)))
    return _publish_value(req, obj)


def _call(req, obj, plan):
    form = getattr(req, "form", None)
    if not isinstance(form, FieldStorage):
        form = req.form = FieldStorage(req, 1)
    return _call_with(req, obj, plan, form)


def _call_with(req, obj, plan, form):
    args = {"req": req}
    filled = plan.arguments(form, args)
    try:
        plan.check(filled, args)
    except _arguments.BadArgument as error:
        req.log_error("MP0621: bad request for %s: %s" % (req.uri, error), apache.APLOG_WARNING)
        raise apache.SERVER_RETURN(apache.HTTP_BAD_REQUEST) from None
    return plan.call(obj, filled)


def _publish_value(req, value):
    kind = type(value)
    if kind is not str and kind is not bytes:
        if value is None:
            return False
        if kind is CoroutineType:
            return _publish_value(req, _coroutines.completed(value))
        if kind is GeneratorType:
            return _stream(req, value)
        if kind is AsyncGeneratorType:
            return _stream(req, _coroutines.items_of(value))
        if callable(value) or not _is_publishable(value):
            return publish_object(req, value)
        value = bytes(value) if isinstance(value, _BYTES) else str(value)
    if not req._content_type_set:
        tail = value[-100:]
        if value.__class__ is bytes:
            tail = tail.decode("latin-1")
        # The pattern only where its last character may be.
        html = tail.endswith(_HTML_LAST) and _html_end.search(tail)
        req.content_type = "text/html" if html else "text/plain"
    try:
        req.write(value, 0)
    except UnicodeEncodeError:
        # With bytes in it that came as surrogates, from the URL say.
        req.write(value.encode("utf-8", "surrogateescape"), 0)
    return True


def _stream(req, items):
    """Sends the items of a generator, each as soon as there is one."""
    try:
        for item in items:
            data = item if isinstance(item, (str, bytes)) else str(item)
            if not req._content_type_set:
                start = data[:100] if isinstance(data, str) else data[:100].decode("latin-1")
                html = start.lstrip().lower().startswith(_HTML_STARTS)
                req.content_type = "text/html" if html else "text/plain"
            req.write(data)
            if req.header_only:
                # Nobody gets to see the rest, which may never end.
                break
    finally:
        items.close()
    return True
