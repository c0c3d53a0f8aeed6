"""The streams of a CGI script: a request's body as standard input, its answer as standard output.

`mod_python.apache` has these classes from the start, so they cost little to make: what needs more
is in `_cgi_raw`.
"""

import io


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


class CGIStdin(io.TextIOWrapper):
    """The body of a request as standard input: text in UTF-8, its bytes in ``buffer``."""

    BLOCK = 65536

    def __init__(self, req):
        from mod_python._cgi_raw import Body

        body = io.BufferedReader(Body(req), self.BLOCK)
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
        from mod_python._cgi_raw import Output

        self.pos = 0
        self.req = req
        self.headers_sent = 0
        self.headers = b""
        self.buffer = Output(self)

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
