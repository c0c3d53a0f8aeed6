"""What a CGI script sees instead of its own process: environment, standard input and output.

All of it belongs to the thread that called setup_cgi: other threads of the interpreter keep the
environment and the streams they had.
"""

import io
import os
import sys
import threading

_local = threading.local()


class NullIO:
    """A file that is always empty and swallows what is written."""

    def tell(self):
        return 0

    def read(self, n=-1):
        return ""

    def readline(self, length=None):
        return ""

    def readlines(self):
        return []

    def write(self, s):
        pass

    def writelines(self, list):
        self.write("".join(list))

    def isatty(self):
        return 0

    def flush(self):
        pass

    def close(self):
        pass

    def detach(self):
        pass

    def seek(self, pos, mode=0):
        pass


class _Body(io.RawIOBase):
    """The body of a request as a raw stream."""

    def __init__(self, req):
        self.req = req

    def readable(self):
        return True

    def readinto(self, buffer):
        data = self.req.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self):
        return self.req.read()


class CGIStdin(io.TextIOWrapper):
    """The body of a request as standard input: text in UTF-8, its bytes in ``buffer``."""

    BLOCK = 65536

    def __init__(self, req):
        body = io.BufferedReader(_Body(req), self.BLOCK)
        super().__init__(body, encoding="utf-8", errors="surrogateescape", newline="\n")


class CGIStdout(NullIO):
    """Standard output of a CGI script: headers up to an empty line, then the body.

    Takes str, sent as UTF-8, and bytes; ``buffer`` is the same as a binary file. The headers go to
    the request as soon as they are complete; Status becomes its status. A Location without a Status
    makes it a redirection (302). What follows is sent at once.
    """

    encoding = "utf-8"
    errors = "surrogateescape"
    closed = False

    def __init__(self, req):
        self.pos = 0
        self.req = req
        self.headers_sent = 0
        self.headers = b""
        self.buffer = _Output(self)

    def write(self, s):
        data = s.encode(self.encoding, self.errors) if isinstance(s, str) else bytes(s)
        self.pos += len(data)
        if self.headers_sent:
            self.req.write(data)
        elif data:
            # The empty line may begin in what came before.
            start = max(len(self.headers) - 3, 0)
            self.headers += data
            ends = [
                (at, at + len(line))
                for line in (b"\r\n\r\n", b"\n\n")
                for at in [self.headers.find(line, start)]
                if at >= 0
            ]
            if ends:
                end, rest = min(ends)
                headers, body = self.headers[:end], self.headers[rest:]
                self._send_headers(headers)
                if body:
                    self.req.write(body)
        return len(s)

    def _send_headers(self, headers):
        status = location = False
        for line in headers.decode("utf-8", "surrogateescape").splitlines():
            name, colon, value = line.partition(":")
            if not colon:
                raise ValueError("CGI header line without a colon: %r" % line)
            name, value = name.strip(), value.strip()
            if name.lower() == "status":
                self.req.status = int(value.split(" ", 1)[0])
                status = True
            else:
                if name.lower() == "content-type":
                    self.req.content_type = value
                    self.req.headers_out[name] = value
                else:
                    location = location or name.lower() == "location"
                    self.req.headers_out.add(name, value)
        if location and not status:
            self.req.status = 302
        self.headers_sent = 1
        self.headers = b""

    def writelines(self, list):
        for s in list:
            self.write(s)

    def tell(self):
        return self.pos

    def flush(self):
        if self.headers_sent:
            self.req.flush()

    def writable(self):
        return True

    def detach(self):
        return self.buffer

    def finish(self):
        """The script has ended. ValueError if it ended in the middle of its headers."""
        if not self.headers_sent and self.headers.strip():
            raise ValueError("the CGI script ended before the empty line after its headers")


class _Output(io.BufferedIOBase):
    """The binary side of CGIStdout."""

    def __init__(self, stdout):
        self._stdout = stdout

    def writable(self):
        return True

    def write(self, data):
        self._stdout.write(bytes(data))
        return len(data)

    def flush(self):
        self._stdout.flush()


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
