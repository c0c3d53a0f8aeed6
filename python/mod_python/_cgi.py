"""What a CGI script sees instead of its own process: environment, standard input and output.

All of it belongs to the thread that called setup_cgi: other threads of the interpreter keep the
environment and the streams they had.
"""

import os
import sys
import threading

from mod_python._cgi_streams import CGIStdin, CGIStdout

_local = threading.local()


class _ThreadStream:
    """Stands for sys.stdin or sys.stdout: a thread inside setup_cgi has its own behind it."""

    def __init__(self, name):
        self.__dict__.update(_name=name, _others=getattr(sys, name))

    def _stream(self):
        return getattr(_local, self._name, None) or self._others

    __class__ = property(lambda self: self._stream().__class__)

    def __getattr__(self, name):
        return getattr(self._stream(), name)

    def __setattr__(self, name, value):
        setattr(self._stream(), name, value)

    def __iter__(self):
        return iter(self._stream())

    def __next__(self):
        return next(self._stream())

    def __enter__(self):
        return self._stream().__enter__()

    def __exit__(self, *error):
        return self._stream().__exit__(*error)


class _ThreadData(dict):
    """The data of os.environ: of a thread inside setup_cgi its own dict, else the one there was."""

    def __init__(self, others):
        self.others = others

    def _data(self):
        data = getattr(_local, "environ", None)
        return self.others if data is None else data

    def __getitem__(self, key):
        return self._data()[key]

    def __setitem__(self, key, value):
        self._data()[key] = value

    def __delitem__(self, key):
        del self._data()[key]

    def __contains__(self, key):
        return key in self._data()

    def __iter__(self):
        return iter(self._data())

    def __len__(self):
        return len(self._data())

    def __repr__(self):
        return repr(self._data())

    def keys(self):
        return self._data().keys()

    def items(self):
        return self._data().items()

    def values(self):
        return self._data().values()

    def get(self, key, default=None):
        return self._data().get(key, default)

    def copy(self):
        return self._data().copy()


class _Saved(dict):
    """What setup_cgi found in os.environ, with the means to put it back."""

    environ = None
    argv = ()


_install_lock = threading.Lock()


def _install():
    with _install_lock:
        for name in ("stdin", "stdout"):
            if type(getattr(sys, name)) is not _ThreadStream:
                setattr(sys, name, _ThreadStream(name))
        environ = os.environ
        data = getattr(environ, "_data", None)
        if isinstance(data, dict) and type(data) is not _ThreadData:
            # Not through os.environ itself: that would call putenv, which is not safe in a process
            # with threads, and would show the environment to all of them.
            shared = environ._data = _ThreadData(data)
            if getattr(getattr(os, "environb", None), "_data", None) is data:
                os.environb._data = shared


def build_cgi_env(req):
    """A table with the CGI variables of a request."""
    req.add_cgi_vars()
    env = req.subprocess_env.copy()
    if req.path_info:
        env["SCRIPT_NAME"] = req.uri[: -len(req.path_info)]
    else:
        env["SCRIPT_NAME"] = req.uri
    env["GATEWAY_INTERFACE"] = "Python-CGI/1.1"
    authorization = req.headers_in.get("Authorization")
    if authorization is not None:
        env["HTTP_AUTHORIZATION"] = authorization
    return env


def setup_cgi(req):
    """Gives the calling thread the CGI environment and streams of a request.

    Returns what restore_nocgi wants to have back.
    """
    _install()
    saved = _Saved(os.environ)
    saved.environ = getattr(_local, "environ", None)
    saved.argv = sys.argv
    streams = sys.stdin._stream(), sys.stdout._stream()
    env = {key: value for key, value in build_cgi_env(req).items() if value is not None}
    data = getattr(os.environ, "_data", None)
    if isinstance(data, _ThreadData):
        merged = data.copy()
        merged.update((os.fsencode(key), os.fsencode(value)) for key, value in env.items())
        _local.environ = merged
    else:
        os.environ.update(env)
    _local.stdin, _local.stdout = CGIStdin(req), CGIStdout(req)
    sys.argv = []
    return saved, *streams


def restore_nocgi(env, si, so):
    """Undoes setup_cgi: env, si and so are what it returned."""
    if isinstance(getattr(os.environ, "_data", None), _ThreadData):
        _local.environ = getattr(env, "environ", None)
    else:
        for key in list(os.environ):
            if key not in env:
                del os.environ[key]
        for key, value in env.items():
            if os.environ.get(key) != value:
                os.environ[key] = value
    _local.stdin, _local.stdout = si, so
    if isinstance(env, _Saved):
        sys.argv = env.argv
