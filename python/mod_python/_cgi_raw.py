"""The binary sides of a CGI script's streams."""

import io


class Body(io.RawIOBase):
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


class Output(io.BufferedIOBase):
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

    def __del__(self):
        # Without this Python closes it, which flushes a request that is over by then.
        pass
