"""Holds a conversation with talk.py and shows it, since a browser speaks only HTTP."""

import socket
from html import escape

from mod_python import apache

PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Talk</title><link rel="stylesheet" href="/style.css"></head>
<body>
<h1>A protocol of our own</h1>
<pre>%s</pre>
<p>Try it yourself: <code>nc 127.0.0.1 %d</code></p>
<p><a href="/">All examples</a></p>
</body>
</html>
"""


def handler(req):
    port = int(req.get_options()["connection.port"])
    heard = []
    with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
        with peer.makefile("rwb") as lines:
            heard.append(lines.readline())
            for words in (b"open sesame\n", b"bye\n"):
                heard.append(b"> " + words)
                lines.write(words)
                lines.flush()
                heard.append(lines.readline())
    req.content_type = "text/html; charset=utf-8"
    req.write(PAGE % (escape(b"".join(heard).decode().replace("\r", "")), port))
    return apache.OK
