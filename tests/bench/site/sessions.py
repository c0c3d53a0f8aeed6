"""The handler that loads, changes and saves a session."""

from mod_python import Session, apache


def session(req):
    visit = Session.Session(req)
    visit["hits"] = visit.get("hits", 0) + 1
    visit.save()
    req.content_type = "text/plain"
    req.write("hello world\n", 0)
    return apache.OK
