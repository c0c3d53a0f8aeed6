"""Log in, be remembered, log out: three addresses and one session."""

from html import escape

from mod_python import Session, apache, util

PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Session</title><link rel="stylesheet" href="/style.css"></head>
<body>
<h1>Session</h1>
%s
<p><a href="/">All examples</a></p>
</body>
</html>
"""
STRANGER = """<form method="post" action="in">
<p><label>Your name <input name="name" required maxlength="60"></label> <button>Log in</button></p>
</form>"""
FRIEND = """<p>Hello %s, this is page %d you see since you logged in.</p>
<form method="post" action="out"><p><button>Log out</button></p></form>"""


def handler(req):
    page = req.uri.rpartition("/")[2]
    session = Session.Session(req)
    if page == "in" and req.method == "POST":
        name = util.FieldStorage(req).getfirst("name")
        # A new key for a new state: nobody can have planted this one in the browser beforehand.
        session.delete()
        session.unlock()
        session = Session.Session(req)
        session["name"], session["pages"] = str(name or "nobody"), 0
        session.save()
        util.redirect(req, "./")
    if page == "out" and req.method == "POST":
        session.invalidate()
        util.redirect(req, "./")
    if page:
        return apache.HTTP_NOT_FOUND

    req.content_type = "text/html; charset=utf-8"
    if "name" not in session:
        req.write(PAGE % STRANGER)
        return apache.OK
    session["pages"] += 1
    session.save()
    req.write(PAGE % (FRIEND % (escape(session["name"]), session["pages"])))
    return apache.OK
