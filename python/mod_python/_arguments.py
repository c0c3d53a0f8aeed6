"""Which arguments a callable takes from a form, found out once per callable (``Plan``)."""

from functools import partial
from types import FunctionType, MethodType

from mod_python._fields import Field

# inspect.CO_VARKEYWORDS; importing inspect would cost more than the rest of the package.
_VAR_KEYWORDS = 8
_SLOT = type("".__add__)


class BadArgument(ValueError):
    """A form does not fit the parameters of a function; the text names function and parameter."""


class Plan:
    """How to fill the parameters of one callable.

    names -- the parameters that may be filled; None for any name (``**kw``).
    required -- those without a default. positional -- those that can only be passed by position.
    converters -- dict from name to converter, for those with an annotation.
    """

    __slots__ = ("converters", "label", "names", "positional", "required")

    def __init__(self, label, names, required=(), positional=(), converters=None):
        self.label = label
        self.names = names
        self.required = required
        self.positional = positional
        self.converters = converters

    def arguments(self, fs, args):
        """The keyword arguments: `args` and the fields of `fs`, as far as names allow; args win."""
        names = self.names
        if names is None:
            filled = dict(args)
        else:
            filled = {}
            for name in args:
                if name in names:
                    filled[name] = args[name]
        if "list" not in fs.__dict__ and hasattr(fs, "_pairs"):
            # A FieldStorage nobody has looked at yet.
            pairs = fs._pairs
            if not pairs:
                return filled
            pairs = zip(pairs[::2], pairs[1::2])
        else:
            pairs = [
                (field.name, field if isinstance(field, Field) else field.value)
                for field in fs.list
            ]
        several = None
        for name, value in pairs:
            if name in args or (name is None if names is None else name not in names):
                continue
            if value.__class__ is bytes:
                value = value.decode("utf-8", "replace")  # noqa: PLW2901
            if name not in filled:
                filled[name] = value
            elif several is not None and name in several:
                filled[name].append(value)
            else:
                filled[name] = [filled[name], value]
                several = several or set()
                several.add(name)
        return filled

    def check(self, filled, args):
        """Converts the values in `filled` that did not come from `args`. Raises BadArgument."""
        for name in self.required:
            if name not in filled:
                raise BadArgument("argument %r of %s is missing" % (name, self.label))
        if self.converters is not None:
            for name, convert in self.converters.items():
                if name in filled and name not in args:
                    try:
                        filled[name] = convert(filled[name])
                    except ValueError as error:
                        raise BadArgument(
                            "argument %r of %s: %s" % (name, self.label, error)
                        ) from None

    def call(self, callable, filled):
        """Calls `callable` with the arguments `filled`."""
        if not self.positional:
            return callable(**filled)
        in_order = []
        for name in self.positional:
            if name not in filled:
                break
            in_order.append(filled.pop(name))
        return callable(*in_order, **filled)


def plan(callable):
    """The plan for `callable`; one that fills nothing if it is not written in Python."""
    function, skipped, bound = underlying(callable)
    if function is None:
        return Plan(repr(callable), ())
    return plan_of_function(function, skipped, bound)


def underlying(callable, classes=True):
    """(Python function that is finally called, number of leading parameters bound, names bound).

    The function is None for a callable that is not written in Python, and for a class or what
    calls one unless `classes`.
    """
    skipped, bound = 0, ()
    for _ in range(100):
        if isinstance(callable, FunctionType):
            return callable, skipped, bound
        if isinstance(callable, MethodType):
            callable, skipped = callable.__func__, skipped + 1
        elif isinstance(callable, partial):
            skipped += len(callable.args)
            bound = (*bound, *callable.keywords)
            callable = callable.func
        elif isinstance(callable, type):
            if not classes:
                break
            callable, skipped = callable.__init__, skipped + 1
        elif type(callable).__name__ == "_lru_cache_wrapper":
            callable = callable.__wrapped__
        else:
            inner = getattr(callable, "__call__", None)  # noqa: B004
            if inner is None or isinstance(inner, _SLOT):
                break
            callable = inner
    return None, 0, ()


def plan_of_function(function, skipped=0, bound=()):
    """The plan for a Python function with `skipped` leading and the `bound` parameters given."""
    code = function.__code__
    count = code.co_argcount
    parameters = code.co_varnames[skipped:count]
    with_default = len(function.__defaults__ or ())
    required = parameters[: max(len(parameters) - with_default, 0)]
    names = None
    if bound or not code.co_flags & _VAR_KEYWORDS:
        names = frozenset(name for name in parameters if name not in bound)
    return Plan(
        function.__name__,
        names,
        tuple(name for name in required if name not in bound),
        parameters[: max(code.co_posonlyargcount - skipped, 0)],
        _converters(function),
    )


def _converters(function):
    if not getattr(function, "__annotations__", None):
        return None
    from mod_python import _annotations

    return _annotations.converters(function) or None
