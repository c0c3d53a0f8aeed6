"""The smallest handlers, in a module of their own: its memory and start-up are measured too."""

from mod_python import apache


def hello(req):
    req.content_type = "text/plain"
    req.write("hello world\n", 0)
    return apache.OK


def hello_flush(req):
    req.content_type = "text/plain"
    req.write("hello world\n")
    return apache.OK


def phase(req):
    """An access or fixup handler that lets the request pass."""
    return apache.OK
