"""The form parsers agree with Python's own on thousands of generated texts and bodies."""

import pytest

from pyhttpd import Site

SITE = Site(
    conf="""
        <Directory @root@/htdocs/compare>
            SetHandler mod_python
            PythonHandler compare
        </Directory>
    """,
    files={
        "compare/compare.py": r"""
            import email.message, email.parser, io, random, re
            import urllib.parse
            import _apache
            from mod_python import apache, util
            try:
                import warnings
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    import cgi
            except ImportError:
                cgi = None  # Python 3.13

            TEXT = ["&", ";", "=", "+", "%", "%4", "%zz", "%41", "%e2%82%ac", "%E9", "%ED%A0%80",
                    "%F0%80%80", "%00", "a", "bc", "é", "€", "\n", " ", "x=1", "&&", "\0"]
            BINARY = [b"\n", b"\r\n", b"--", b"--B", b"-", b"B", b"\r\n--", b"\r\n--B", b"\r\n--BX",
                      b"\n--B-", b"x", b"\0", b"\xff", b" ", b"\t", b"text " * 9, b":", b"\r\n\r\n"]

            def handler(req):
                kind, seed = req.args.split("=")
                random.seed(seed)
                count = globals()[kind]()
                req.write("%d" % count)
                return apache.OK

            def texts():
                for number in range(2000):
                    text = "".join(random.choices(TEXT, k=random.randrange(12)))
                    for keep in (0, 1):
                        given = text.replace(";", "&")
                        wanted = urllib.parse.parse_qsl(given, keep_blank_values=keep)
                        assert _apache.parse_qsl(text, keep) == wanted, text
                        wanted = urllib.parse.parse_qs(given, keep_blank_values=keep)
                        assert _apache.parse_qs(text, keep) == wanted, text
                        wanted = in_bytes(given.encode(), keep)
                        assert _apache.parse_qsl(text.encode(), keep) == wanted, text
                        form = util.FieldStorage(Request(text.encode()), keep)
                        assert [(bytes(f.name, "utf-8"), bytes(f)) for f in form.list] == [
                            (name.decode("utf-8", "replace").encode(), value)
                            for name, value in wanted
                        ], text
                return number + 1

            def in_bytes(text, keep):
                # urllib does not take bytes that are not ASCII.
                def decoded(piece):
                    return urllib.parse.unquote_to_bytes(piece.replace(b"+", b" "))
                pairs = [piece.partition(b"=") for piece in text.split(b"&") if piece]
                return [(decoded(n), decoded(v)) for n, _, v in pairs if v or keep]

            def bodies():
                compared = 0
                while compared < 2000:
                    parts = []
                    for number in range(random.randrange(5)):
                        content = b"".join(random.choices(BINARY, k=random.randrange(9)))
                        parts.append((b"n%d" % number, content, random.random() < 0.4))
                    body = b"preamble\r\n" * random.randrange(2)
                    for name, content, is_file in parts:
                        body += b'--B\r\nContent-Disposition: form-data; name="%s"' % name
                        body += b'; filename="f"' * is_file + b"\r\n\r\n" + content + b"\r\n"
                    body += b"--B--\r\n" + b"epilogue" * random.randrange(2)
                    inside = [content + b"\r\n" for _, content, _ in parts]
                    if any(re.search(rb"(\A|\n)--B(--)?[ \t]*\r?\n", one) for one in inside):
                        continue  # not a body that a client would send
                    compared += 1
                    content_type = "multipart/form-data; boundary=B"
                    request = Request(body, content_type, random.choice((1, 2, 3, 7, 50, 10000)))
                    form = util.FieldStorage(request)
                    found = [
                        (f.name, f.value if f.filename else bytes(f)) for f in form.list
                    ]
                    assert found == by_email(body, content_type), body
                    assert found == [(n.decode(), c) for n, c, _ in parts], body
                    if cgi and compared % 10 == 0:
                        assert found == by_cgi(body, content_type), body
                return compared

            def by_cgi(body, content_type):
                head = {"content-type": content_type, "content-length": str(len(body))}
                form = cgi.FieldStorage(
                    io.BytesIO(body), head, environ={"REQUEST_METHOD": "POST"},
                    keep_blank_values=True, errors="surrogateescape",
                )
                return [
                    (f.name, f.value if f.filename else f.value.encode(errors="surrogateescape"))
                    for f in form.list
                ]

            def by_email(body, content_type):
                parser = email.parser.BytesParser()
                head = "Content-Type: %s\r\n\r\n" % content_type
                message = parser.parsebytes(head.encode() + body)
                if not message.is_multipart():
                    return []
                return [
                    (part.get_param("name", header="Content-Disposition"),
                     part.get_payload(decode=True))
                    for part in message.get_payload()
                ]

            class Request:
                # What FieldStorage wants of a request; the body comes in pieces.
                args, method = "", "POST"

                def __init__(self, body, content_type=None, size=1 << 20):
                    self.body, self.size = io.BytesIO(body), size
                    self.headers_in = {"Content-Length": str(len(body))}
                    if content_type:
                        self.headers_in["Content-Type"] = content_type

                def read(self, size):
                    return self.body.read(min(size, self.size))

                def get_options(self):
                    return {}
        """,
    },
)


@pytest.mark.mpms("event")  # the parsers know nothing of it
@pytest.mark.parametrize("kind", ["texts", "bodies"])
def test_agreement(get, kind):
    # In parts, none of which takes long on a busy machine.
    assert [get(f"/compare/x?{kind}={seed}").text for seed in range(5)] == ["2000"] * 5
