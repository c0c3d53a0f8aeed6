"""The handlers that the benchmark times: each is the plain way to do its work with mod_python."""

from mod_python import Cookie, apache, util

KIB_16 = b"x" * 16384
MIB = b"x" * 1048576


def headers(req):
    given = req.headers_in
    n = 0
    for name in ("Host", "User-Agent", "Accept", "Accept-Language", "X-Token"):
        n += len(given[name])
    out = req.headers_out
    out["X-One"] = "value"
    out["X-Two"] = "value"
    out["X-Three"] = "value"
    out["X-Four"] = "value"
    out["X-Five"] = "value"
    n += len(req.uri) + len(req.method) + len(req.protocol) + len(req.args)
    req.content_type = "text/plain"
    req.write("%d\n" % n, 0)
    return apache.OK


def form(req):
    fields = util.FieldStorage(req)
    n = 0
    for field in fields.list:
        n += len(field.name) + len(field.value)
    req.content_type = "text/plain"
    req.write("%d fields, %d characters\n" % (len(fields.list), n), 0)
    return apache.OK


def upload(req):
    field = util.FieldStorage(req).list[0]
    field.file.seek(0, 2)
    req.content_type = "text/plain"
    req.write("%s %d\n" % (field.filename, field.file.tell()), 0)
    return apache.OK


def cookie(req):
    for each in Cookie.get_cookies(req).values():
        Cookie.add_cookie(req, each.name, each.value, path="/")
    req.content_type = "text/plain"
    req.write("hello world\n", 0)
    return apache.OK


def write_one(req):
    req.content_type = "application/octet-stream"
    req.write(MIB, 0)
    return apache.OK


def write_many(req):
    req.content_type = "application/octet-stream"
    for _ in range(64):
        req.write(KIB_16, 0)
    return apache.OK


def sendfile(req):
    req.content_type = "application/octet-stream"
    req.sendfile(req.document_root() + "/million.bin")
    return apache.OK


def post(req):
    body = req.read()
    req.content_type = "text/plain"
    req.write("%d\n" % len(body), 0)
    return apache.OK


def copy(fltr):
    """An output filter that passes everything on unchanged.

    It holds on to what it wrote until that has been passed on, and reads in blocks: otherwise the
    original sends the memory of freed strings, and answers nothing to a read() of a whole 1 MiB.
    """
    fltr.req.headers_out["X-Filter"] = "copy"  # shows that the filter has run
    written = []
    data = fltr.read(65536)
    while data:
        written.append(data)
        fltr.write(data)
        data = fltr.read(65536)
    if data is None:
        fltr.close()
    else:
        fltr.flush()


def burn(req):
    import spin

    req.content_type = "text/plain"
    req.write(spin.burn(), 0)
    return apache.OK
