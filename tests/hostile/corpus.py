"""Requests that broke some server once, whole; @path@ stands for the target's path.

Each is the whole connection: it is sent, the sending side is closed, and the answer is read to its
end.  Found bugs get a line here.
"""

_HEAD = b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
_FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
_CHUNKED = b"POST @path@" + _HEAD + _FORM + b"Transfer-Encoding: chunked\r\n\r\n"
_PART = b'--B\r\nContent-Disposition: form-data; name="a"'


def _get(headers: bytes, target: bytes = b"@path@") -> bytes:
    return b"GET " + target + _HEAD + headers + b"\r\n"


def _post(kind: bytes, body: bytes) -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    return b"POST @path@" + _HEAD + b"Content-Type: " + kind + b"\r\n" + length + b"\r\n" + body


def _multipart(body: bytes, parameters: bytes = b"boundary=B") -> bytes:
    return _post(b"multipart/form-data; " + parameters, body)


CORPUS = {
    # -- the request line
    "empty": b"",
    "blank lines": b"\r\n\r\n\r\n\r\n" + _get(b""),
    "http 0.9": b"GET @path@\r\n",
    "http 0.9, post": b"POST @path@\r\n\r\na=b",
    "http 9.9": b"GET @path@ HTTP/9.9\r\nHost: x\r\n\r\n",
    "no version": b"GET @path@ \r\n\r\n",
    "no method": b" @path@ HTTP/1.1\r\nHost: x\r\n\r\n",
    "tabs": b"GET\t@path@\tHTTP/1.1\r\nHost: x\r\n\r\n",
    "bare line feeds": b"GET @path@ HTTP/1.1\nHost: x\nConnection: close\n\n",
    "bare carriage returns": b"GET @path@ HTTP/1.1\rHost: x\r\r",
    "nul in target": _get(b"", b"@path@\0x"),
    "encoded nul": _get(b"", b"@path@%00"),
    "encoded slash": _get(b"", b"@path@%2f..%2f..%2fetc/passwd"),
    "dots": _get(b"", b"@path@/../../../../../../etc/passwd"),
    "encoded dots": _get(b"", b"@path@/%2e%2e/%2e%2e/etc/passwd"),
    "absolute": _get(b"", b"http://user:pass@x:99999999999@path@"),
    "absolute without path": _get(b"", b"http://x?q"),
    "other scheme": _get(b"", b"ftp://x@path@"),
    "authority": b"CONNECT x:80" + _HEAD + b"\r\n",
    "asterisk": b"OPTIONS *" + _HEAD + b"\r\n",
    "unknown method": b"BREW @path@" + _HEAD + b"\r\n",
    "lower-case method": b"get @path@" + _HEAD + b"\r\n",
    "long target": _get(b"", b"@path@?" + b"a" * 8000),
    "longer target": _get(b"", b"@path@?" + b"a" * 9000),
    "long path": _get(b"", b"@path@" + b"/a" * 3000),
    "overlong utf-8": _get(b"", b"@path@/\xc0\xaf\xe0\x80\xaf?\xc0\x80=\xf8\x88\x80\x80\x80"),
    "surrogates": _get(b"", b"@path@?%ed%a0%80=%ed%bf%bf"),
    "trace": b"TRACE @path@" + _HEAD + b"\r\n",
    # -- headers
    "no host": b"GET @path@ HTTP/1.1\r\n\r\n",
    "two hosts": _get(b"Host: y\r\nHost: z\r\n"),
    "empty name": _get(b": x\r\n"),
    "no colon": _get(b"nothing\r\n"),
    "space before colon": _get(b"Cookie : a=b\r\n"),
    "folded": _get(b"Cookie: a=b;\r\n c=d;\r\n\te=f\r\n"),
    "folded first": b"GET @path@ HTTP/1.1\r\n folded\r\nHost: x\r\n\r\n",
    "nul in value": _get(b"Cookie: a=\0b\r\nX: \0\r\n"),
    "nul in name": _get(b"X\0Y: z\r\n"),
    "high bytes": _get(b"Cookie: \xff\xfe=\x80\r\nX-\xe9: \xe9\r\nAuthorization: Basic \xff\r\n"),
    "bad base64": _get(b"Authorization: Basic ====\r\n"),
    "credentials without colon": _get(b"Authorization: Basic YQ==\r\n"),
    "credentials with nul": _get(b"Authorization: Basic YQA6AGI=\r\n"),
    "long value": _get(b"Cookie: a=" + b"b" * 8100 + b"\r\n"),
    "longer value": _get(b"Cookie: a=" + b"b" * 9000 + b"\r\n"),
    "many cookies": _get(b"Cookie: " + b";".join(b"c%d=%d" % (n, n) for n in range(600)) + b"\r\n"),
    "cookie separators": _get(b"Cookie: ;;,;=;==;a;a=;=a;$Version=1;$Path=/;a=$x\r\n"),
    "cookie quotes": _get(b'Cookie: a="; b="\\"; c="\\777"; d="\\\r\n'),
    "session path": _get(b"Cookie: pysid=../../../../../../../../etc/passwd\r\n"),
    "session upper": _get(b"Cookie: pysid=" + b"A" * 32 + b"\r\n"),
    "session long": _get(b"Cookie: pysid=" + b"a" * 4000 + b"\r\n"),
    "ranges": _get(b"Range: bytes=" + b",".join(b"%d-" % n for n in range(500)) + b"\r\n"),
    "range backwards": _get(b"Range: bytes=9-1\r\n"),
    "range huge": _get(b"Range: bytes=0-99999999999999999999999,-99999999999999999999\r\n"),
    "range negative": _get(b"Range: bytes=--1,-0\r\nIf-Range: \xff\r\n"),
    "dates": _get(b"If-Modified-Since: Mon, 99 Foo 99999 99:99:99 GMT\r\nIf-Match: \"\r\n"),
    "expect": b"POST @path@" + _HEAD + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\na=b",
    "expect nonsense": _get(b"Expect: 200-ok\r\n"),
    "upgrade": _get(
        b"Connection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
    ),
    # -- lengths
    "length lie": _get(b"Content-Length: 1073741824\r\n") + b"short",
    "length negative": _get(b"Content-Length: -1\r\n"),
    "length huge": _get(b"Content-Length: 99999999999999999999999999\r\n") + b"x",
    "length largest": _get(b"Content-Length: 9223372036854775807\r\n") + b"x",
    "length with plus": _get(b"Content-Length: +3\r\n") + b"a=b",
    "length hex": _get(b"Content-Length: 0x3\r\n") + b"a=b",
    "lengths differ": _get(b"Content-Length: 3\r\nContent-Length: 4\r\n") + b"a=bc",
    "lengths alike": _get(b"Content-Length: 3, 3\r\n") + b"a=b",
    "length and chunked": _get(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")
    + b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "unknown encoding": _get(b"Transfer-Encoding: gzip\r\n") + b"x",
    "chunked twice": _get(b"Transfer-Encoding: chunked, chunked\r\n") + b"0\r\n\r\n",
    "chunked not last": _get(b"Transfer-Encoding: chunked, identity\r\n") + b"0\r\n\r\n",
    "chunked with tab": _get(b"Transfer-Encoding:\tchunked\r\n") + b"0\r\n\r\n",
    # -- chunks
    "chunk negative": _CHUNKED + b"-1\r\nx\r\n0\r\n\r\n",
    "chunk huge": _CHUNKED + b"fffffffffffffffffffff\r\nx",
    "chunk largest": _CHUNKED + b"7fffffffffffffff\r\nx",
    "chunk short": _CHUNKED + b"5\r\nab",
    "chunk long": _CHUNKED + b"1\r\nabcdef\r\n0\r\n\r\n",
    "chunk not hex": _CHUNKED + b"zz\r\na=b\r\n0\r\n\r\n",
    "chunk empty size": _CHUNKED + b"\r\na=b\r\n0\r\n\r\n",
    "chunk extension": _CHUNKED + b"3;" + b"x" * 9000 + b"\r\na=b\r\n0\r\n\r\n",
    "chunk without end": _CHUNKED + b"3\r\na=b\r\n",
    "chunk zeroes": _CHUNKED + b"0" * 5000 + b"3\r\na=b\r\n0\r\n\r\n",
    "chunk trailers": _CHUNKED + b"3\r\na=b\r\n0\r\nX: y\r\nCookie: z\r\n\r\n",
    "chunk broken trailers": _CHUNKED + b"3\r\na=b\r\n0\r\n\0\xff\r\nX\r\n\r\n",
    "chunk line feeds": _CHUNKED + b"3\na=b\n0\n\n",
    # -- forms
    "form percent": _post(
        b"application/x-www-form-urlencoded", b"%=%&%a=%z&%00=%ff&+=+&=&&==&%u20ac"
    ),
    "form many": _post(b"application/x-www-form-urlencoded", b"&".join([b"a=b"] * 3000)),
    "form type": _post(b"application/x-www-form-urlencoded; charset=\xff; ;=;;", b"a=b"),
    "form unknown type": _post(b"text/\0plain", b"a=b"),
    "multipart none": _multipart(b""),
    "multipart no boundary": _multipart(b"--B--", b""),
    "multipart empty boundary": _multipart(b"----", b'boundary=""'),
    "multipart long boundary": _multipart(b"--B--", b"boundary=" + b"B" * 7000),
    "multipart open": _multipart(_PART + b"\r\n\r\nvalue"),
    "multipart header only": _multipart(_PART),
    "multipart no end": _multipart(_PART + b"\r\n\r\nvalue\r\n--B"),
    "multipart end first": _multipart(b"--B--\r\n" + _PART + b"\r\n\r\nvalue\r\n--B--\r\n"),
    "multipart line feeds": _multipart(_PART + b"\n\nvalue\n--B--\n"),
    "multipart no name": _multipart(b"--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--"),
    "multipart no header": _multipart(b"--B\r\n\r\nx\r\n--B--"),
    "multipart quotes": _multipart(
        b'--B\r\nContent-Disposition: form-data; name="a\\"\r\n\r\nx\r\n--B--'
    ),
    "multipart file name": _multipart(_PART + b'; filename="../../\0/\xff"\r\n\r\nx\r\n--B--'),
    "multipart header long": _multipart(_PART + b"\r\nX: " + b"y" * 100000 + b"\r\n\r\nx\r\n--B--"),
    "multipart nested": _multipart(
        _PART + b"\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n"
        b"--B\r\n\r\nx\r\n--B--\r\n--B--"
    ),
    "multipart lengths": _multipart(_PART + b"\r\nContent-Length: 99999999999\r\n\r\nx\r\n--B--"),
    "multipart many": _multipart(b"".join([_PART + b"\r\n\r\nv\r\n"] * 1500) + b"--B--"),
    "multipart continuation": _multipart(
        b"--B\r\nContent-Disposition: form-data; name*0=a; name*1=b; filename*=x''%ff"
        b"\r\n\r\n\r\n--B--"
    ),
    # -- HTTP/2 that is none
    "http/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "http/2 garbage": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100,
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64)),
}  # fmt: skip
