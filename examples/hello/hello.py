"""The smallest handler: one function that gets the request and answers it."""

from mod_python import apache


def handler(req):
    req.content_type = "text/plain; charset=utf-8"
    name = req.uri.rpartition("/")[2]
    req.write("Hello, %s!\n" % (name or "world"))
    return apache.OK
