"""The application behind the proxy: it knows nothing of passwords, only what a header says."""

from html import escape

from mod_python import apache

PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Members</title><link rel="stylesheet" href="/style.css"></head>
<body>
<h1>Welcome, %s</h1>
<p>This page comes from another server, which was told your name by the proxy and never saw your
password.</p>
<p><a href="/">All examples</a></p>
</body>
</html>
"""


def handler(req):
    user = req.headers_in.get("X-Remote-User")
    if not user or "Authorization" in req.headers_in:
        return apache.HTTP_FORBIDDEN
    req.content_type = "text/html; charset=utf-8"
    req.write(PAGE % escape(user))
    return apache.OK
