"""Converters for annotated parameters of published functions: ``def f(req, n: int)``.

Understood are int, float, bool, str, bytes, Field (an upload), list and list[...] of these, and
Optional or a union of these with None. Other annotations, and ones that cannot be resolved,
convert nothing.
"""

import re
import sys

from mod_python._fields import Field

_INT = re.compile(r"[+-]?[0-9]{1,4000}")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WORDS = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


def converters(function):
    """Dict from parameter name to a callable that converts a form value or raises ValueError."""
    found = {}
    for name, annotation in _annotations(function).items():
        convert = _converter(_resolved(annotation, function))
        if convert is not None:
            found[name] = convert
    return found


def _resolved(annotation, function):
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, function.__globals__)
    except Exception:
        # Any expression may stand there, a name of a type checker's too: not a type we know.
        return None


def _annotations(function):
    if sys.version_info >= (3, 14):
        import annotationlib

        return annotationlib.get_annotations(function, format=annotationlib.Format.FORWARDREF)
    return function.__annotations__


def _converter(annotation):
    if hasattr(annotation, "__metadata__"):
        return _converter(annotation.__origin__)
    if isinstance(annotation, type) and annotation in _SCALARS:
        return _single(_SCALARS[annotation])
    origin = getattr(annotation, "__origin__", annotation)
    arguments = [part for part in getattr(annotation, "__args__", ()) if part is not type(None)]
    if origin is list:
        item = _converter(arguments[0]) if len(arguments) == 1 else None
        return _list_of(item)
    if _is_union(annotation) and len(arguments) < len(annotation.__args__):
        if len(arguments) == 1:
            return _optional(_converter(arguments[0]))
    return None


def _is_union(annotation):
    names = type(annotation).__name__, str(getattr(annotation, "__origin__", ""))
    # From Python 3.14 on both are one class, typing.Union.
    return names[0] in ("UnionType", "Union") or names[1] == "typing.Union"


def _single(convert):
    def converted(value):
        if isinstance(value, list):
            raise ValueError("given more than once")
        return convert(value)

    return converted


def _list_of(item):
    def converted(value):
        values = value if isinstance(value, list) else [value]
        return values if item is None else [item(value) for value in values]

    return converted


def _optional(convert):
    if convert is None:
        return None

    def converted(value):
        return None if value == "" else convert(value)

    return converted


def _text(value):
    if isinstance(value, Field):
        raise ValueError("a file was sent")
    return value


def _int(value):
    if not _INT.fullmatch(_text(value)):
        raise ValueError("%.40r is not a whole number" % value)
    return int(value)


def _float(value):
    if not _FLOAT.fullmatch(_text(value)):
        raise ValueError("%.40r is not a number" % value)
    return float(value)


def _bool(value):
    try:
        return _WORDS[_text(value).lower()]
    except KeyError:
        raise ValueError("%.40r is neither true nor false" % value) from None


def _bytes(value):
    return _text(value).encode("utf-8", "surrogateescape")


def _upload(value):
    if not isinstance(value, Field):
        raise ValueError("no file was sent")
    return value


_SCALARS = {int: _int, float: _float, bool: _bool, str: _text, bytes: _bytes, Field: _upload}
