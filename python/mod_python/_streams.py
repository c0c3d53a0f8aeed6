"""sys.stderr and sys.stdout of an interpreter: lines in httpd's error log.

A line goes to the log of the request it was written for, so with its virtual host, level and
request id; outside of requests it goes to the server's.  sys.__stderr__ and sys.__stdout__ stay the
streams of the process.
"""

import io
import sys

import _apache

STDOUT, STDERR = 0, 1
ERR, WARNING = 3, 4  # httpd's levels


class LogStream(io.TextIOBase):
    """A text stream into the error log, whole lines at once; blank ones are left out.

    number tells the streams apart, level is one of apache.APLOG_*, and process is the process' own
    stream, or None.  A line without an end is logged by flush, or when its request is over.
    """

    mode = "w"
    encoding = "utf-8"
    errors = "backslashreplace"
    line_buffering = True

    def __init__(self, name, number, level, process):
        self.name = name
        self._number = number
        self._level = level
        self._process = process
        self.buffer = _Bytes(self)

    def writable(self):
        return True

    def write(self, text):
        """Write a str; return its length.  TypeError for anything else."""
        if not isinstance(text, str):
            raise TypeError("write() argument must be str, not %s" % type(text).__name__)
        _apache._log_write(self._number, self._level, text)
        return len(text)

    def flush(self):
        _apache._log_flush(self._number)

    def fileno(self):
        """The descriptor of the process' stream; io.UnsupportedOperation without one."""
        if self._process is None:
            raise io.UnsupportedOperation("fileno")
        return self._process.fileno()

    def reconfigure(self, **settings):
        """Nothing: the log is as it is."""

    def close(self):
        """Flush only: the log stays open for others."""
        self.flush()

    def __repr__(self):
        return "<mod_python log stream %s>" % self.name


class _Bytes(io.RawIOBase):
    """What programs write bytes to: text in UTF-8, other bytes as escapes."""

    def __init__(self, stream):
        self._stream = stream

    def writable(self):
        return True

    def write(self, data):
        data = bytes(data)
        self._stream.write(data.decode("utf-8", "backslashreplace"))
        return len(data)

    def flush(self):
        self._stream.flush()

    def fileno(self):
        return self._stream.fileno()

    def close(self):
        """Flush only."""
        self.flush()


def install():
    """Put the log in place of streams that nobody has replaced yet.

    Standard output stays where httpd runs as one process (-X), for pdb.
    """
    one_process = any(map(_apache.exists_config_define, ("DEBUG", "ONE_PROCESS")))
    if sys.stderr is sys.__stderr__:
        sys.stderr = LogStream("<stderr>", STDERR, ERR, sys.__stderr__)
    if sys.stdout is sys.__stdout__ and not one_process:
        sys.stdout = LogStream("<stdout>", STDOUT, WARNING, sys.__stdout__)
