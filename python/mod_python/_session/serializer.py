"""A session's state as bytes, and back.

The state is a dict with the keys ``_data`` (a dict), ``_created``, ``_accessed`` (seconds since
the epoch) and ``_timeout`` (seconds).  mod_python has always pickled it; JSON is the safer choice
where others can write to the storage, since reading it runs no code.
"""


def dumps(state, how, protocol=None):
    """Return the state as bytes; how is ``pickle`` or ``json``.

    What pickle raises for objects it cannot pickle; TypeError for what JSON would change.
    """
    if how == "json":
        import json

        _check_keys(state)
        return json.dumps(state, separators=(",", ":")).encode("ascii")
    return _dumps(state, protocol)


def loads(data, how):
    """Return the state in data; ValueError, TypeError or KeyError if there is none.

    JSON is read in any case.  Pickles, those of Python 2 too, are read only if how is ``pickle``;
    reading one runs code that whoever wrote it has chosen.
    """
    if data[:1] == b"{":
        import json

        state = json.loads(data)
    elif how == "pickle":
        try:
            state = _loads(data)
        except UnicodeDecodeError:
            # Python 2 text: UTF-8 if it is that, else whatever bytes they were.
            try:
                state = _loads(data, encoding="utf-8")
            except UnicodeDecodeError:
                state = _loads(data, encoding="latin-1")
    else:
        raise ValueError("not a JSON session (PythonOption mod_python.session.serializer)")
    0.0 + state["_accessed"] + state["_timeout"] + state["_created"]
    if type(state["_data"]) is not dict:
        raise TypeError("not a session")
    return state


def _dumps(*args):
    """pickle.dumps, after the first session that needs it."""
    _load_pickle()
    return _dumps(*args)


def _loads(*args, **kw):
    """pickle.loads, after the first session that needs it."""
    _load_pickle()
    return _loads(*args, **kw)


def _load_pickle():
    import pickle

    globals().update(_dumps=pickle.dumps, _loads=pickle.loads)


def peek(data):
    """Return when a session expires, in seconds since the epoch; ValueError if data is none.

    Runs nothing of what a pickle asks for, so it works on sessions of any application.
    """
    try:
        if data[:1] == b"{":
            import json

            state = json.loads(data)
        else:
            state = _peek_pickle(data)
        if _is_state(state):
            return state["_accessed"] + state["_timeout"]
    except Exception as error:
        # Whatever unpickling does to garbage.
        raise ValueError("not a session: %r" % error) from None
    raise ValueError("not a session")


def _is_state(state):
    return (
        type(state) is dict
        and type(state.get("_data")) is dict
        and type(state.get("_accessed")) in (float, int)
        and type(state.get("_timeout")) in (float, int)
        and "_created" in state
    )


def _peek_pickle(data):
    import pickle
    from io import BytesIO

    class Peeker(pickle.Unpickler):
        """Takes a pickle apart without importing or calling anything it names."""

        def find_class(self, module, name):
            return _Anything

        def persistent_load(self, pid):
            return None

    return Peeker(BytesIO(data), encoding="latin-1").load()


def _check_keys(value):
    """TypeError for dict keys that JSON would silently turn into text."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(
                    "the JSON serializer of sessions takes only str as keys, not %r" % (key,)
                )
            _check_keys(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check_keys(item)


class _Anything:
    """Stands for every class and function in a pickle that is only looked at."""

    def __new__(cls, *args, **kw):
        return object.__new__(cls)

    def __init__(self, *args, **kw):
        pass

    def __call__(self, *args, **kw):
        return self

    def __setitem__(self, key, value):
        pass

    def __setstate__(self, state):
        pass

    def append(self, item):
        pass

    def extend(self, items):
        pass

    def add(self, item):
        pass
