"""A small WSGI application: any WSGI framework's application object is configured the same way."""

import json
import os
import threading

FOLDER = os.path.dirname(os.path.abspath(__file__))
LOCK = threading.Lock()
NOTES = []
MAX_BODY, MAX_NOTES = 10_000, 100


def application(environ, start_response):
    page = environ.get("PATH_INFO", "").rstrip("/")
    method = environ["REQUEST_METHOD"]
    if page == "" and method in ("GET", "HEAD"):
        with open(os.path.join(FOLDER, "notes.html"), "rb") as html:
            return answer(start_response, "200 OK", "text/html; charset=utf-8", html.read())
    if page == "/notes" and method in ("GET", "HEAD"):
        with LOCK:
            return as_json(start_response, "200 OK", list(NOTES))
    if page == "/notes" and method == "POST":
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > MAX_BODY:
            return as_json(start_response, "413 Content Too Large", {"error": "too long"})
        text = environ["wsgi.input"].read(length).decode("utf-8", "replace")
        with LOCK:
            NOTES.append(text)
            del NOTES[:-MAX_NOTES]
        return as_json(start_response, "201 Created", {"note": text})
    return as_json(start_response, "404 Not Found", {"error": "no such page"})


def as_json(start_response, status, value):
    body = json.dumps(value, ensure_ascii=False).encode()
    return answer(start_response, status, "application/json", body)


def answer(start_response, status, content_type, body):
    start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
    return [body]
