"""An output filter: the page passes through it in pieces on its way to the browser."""


def outputfilter(filter):
    """Called once for each piece. What has to survive between pieces is kept on the request."""
    req = filter.req
    if not req.sent_bodyct:
        # The text grows, so its announced length and what depends on it no longer hold.
        for name in ("Content-Length", "ETag", "Accept-Ranges"):
            del req.headers_out[name]
    if not hasattr(req, "numbered"):
        req.numbered, req.unfinished = 0, b""
    while True:
        data = filter.read()
        if not data:
            break
        *lines, req.unfinished = (req.unfinished + data).split(b"\n")
        for line in lines:
            req.numbered += 1
            filter.write(b"%4d  %s\n" % (req.numbered, line))
    if data is None:  # the end of the page; an empty read would only be the end of this piece
        if req.unfinished:
            filter.write(b"%4d  %s\n" % (req.numbered + 1, req.unfinished))
        filter.close()
