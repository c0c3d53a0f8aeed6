"""A guestbook: each function here is a page of its own, its arguments are the form's fields."""

import sqlite3
from contextlib import closing
from html import escape

from mod_python import util

PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Guestbook</title><link rel="stylesheet" href="/style.css"></head>
<body>
<h1>Guestbook</h1>
<form method="post" action="sign">
  <p><label>Name <input name="name" required maxlength="60"></label></p>
  <p><label>Message <textarea name="message" required maxlength="500"></textarea></label></p>
  <p><button>Sign</button></p>
</form>
%s
<p><a href="/">All examples</a></p>
</body>
</html>
"""


def _open(req):
    """The database named in httpd.conf. A leading underscore keeps this function off the web."""
    book = sqlite3.connect(req.get_options()["guestbook.database"], timeout=10)
    book.execute("CREATE TABLE IF NOT EXISTS entries (name TEXT, message TEXT, signed TEXT)")
    return book


def index(req):
    """GET /guestbook/"""
    with closing(_open(req)) as book:
        rows = book.execute("SELECT * FROM entries ORDER BY signed DESC, rowid DESC LIMIT 50")
        entries = "\n".join(
            "<blockquote><p>%s</p><footer>%s, %s</footer></blockquote>"
            % (escape(message), escape(name), signed)
            for name, message, signed in rows
        )
    return PAGE % (entries or "<p>Nobody has signed yet.</p>")


def sign(req, name, message):
    """POST /guestbook/sign with the fields name and message."""
    if req.method != "POST" or not name.strip() or not message.strip():
        util.redirect(req, "./")
    with closing(_open(req)) as book, book:
        book.execute(
            "INSERT INTO entries VALUES (?, ?, datetime('now'))", (name[:60], message[:500])
        )
    util.redirect(req, "./")
