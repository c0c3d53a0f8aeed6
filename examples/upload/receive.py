"""Receives files without holding them in memory, and tells the browser what arrived."""

import hashlib
import json
import os
import tempfile

from mod_python import apache, util


class Measured:
    """The file object FieldStorage writes an upload to: it counts and hashes on the way."""

    def __init__(self, filename):
        self.filename = filename
        self.size, self.sha256 = 0, hashlib.sha256()
        self.file = tempfile.TemporaryFile()

    def write(self, data):
        self.size += len(data)
        self.sha256.update(data)
        return self.file.write(data)

    def read(self, *size):
        return self.file.read(*size)

    def seek(self, *place):
        return self.file.seek(*place)

    def close(self):
        self.file.close()


def handler(req):
    if req.method == "POST":
        form = util.FieldStorage(req, file_callback=Measured)
        received = [
            {
                "name": field.filename,
                "size": field.file.size,
                "sha256": field.file.sha256.hexdigest(),
            }
            for field in form.getlist("file")
            if field.filename
        ]
        req.content_type = "application/json"
        req.write(json.dumps(received) + "\n")
        return apache.OK
    if not req.uri.endswith("/"):
        return apache.HTTP_NOT_FOUND
    req.content_type = "text/html; charset=utf-8"
    req.sendfile(os.path.join(os.path.dirname(__file__), "upload.html"))
    return apache.OK
