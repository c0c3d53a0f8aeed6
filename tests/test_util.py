"""mod_python.util: what forms hold, and which are refused."""

import hashlib
import json

import pytest

from pyhttpd import Site

SITE = Site(
    conf="""
        <Directory @root@/htdocs/form>
            SetHandler mod_python
            PythonHandler form::show
            PythonHandler form::each | .each
            PythonHandler form::upload | .upload
            PythonHandler form::callbacks | .callbacks
            PythonHandler form::added | .added
            PythonHandler form::keywords | .keywords
            PythonHandler form::lookalike | .lookalike
            PythonHandler form::redirect | .redirect
        </Directory>
        <Directory @root@/htdocs/form/limited>
            PythonOption mod_python.util.max_fields 3
            PythonOption mod_python.util.max_field_size 100
            PythonOption mod_python.util.max_form_size 250
            PythonOption MOD_PYTHON.UTIL.MAX_HEADER_SIZE 200
        </Directory>
        <Directory @root@/htdocs/form/nested>
            PythonOption mod_python.util.max_nesting 1
        </Directory>
        <Directory @root@/htdocs/form/wrong>
            PythonOption mod_python.util.max_fields many
        </Directory>
        <Directory @root@/htdocs/form/western>
            PythonOption mod_python.util.encoding cp1252
            PythonHandler mod_python.publisher | .pub
        </Directory>
        <Directory @root@/htdocs/form/japanese>
            PythonOption mod_python.util.encoding iso-2022-jp
        </Directory>
        <Directory @root@/htdocs/form/named>
            PythonOption mod_python.util.encoding UTF-8
        </Directory>
        <Directory @root@/htdocs/form/nowhere>
            PythonOption mod_python.util.encoding martian
        </Directory>
        <Directory @root@/htdocs/form/inflate>
            SetInputFilter DEFLATE
        </Directory>
    """,
    files={
        **{
            f"form/{name}/x": ""
            for name in (
                *("limited", "nested", "wrong", "inflate"),
                *("western", "japanese", "named", "nowhere"),
            )
        },
        "form/western/page.pub": "",
        "form/western/page.py": "def index(req, name): return '%s %r' % (type(name), name)\n",
        "form/form.py": """
            import hashlib, io, json
            from mod_python import apache, util

            def describe(field):
                value = field.value
                if isinstance(value, bytes):
                    value = value.decode("latin-1")
                return [type(field).__name__, field.name, value, field.filename, field.type]

            def show(req):
                fields = util.FieldStorage(req, keep_blank_values="keep" in req.unparsed_uri).list
                req.write(json.dumps([describe(field) for field in fields]))
                return apache.OK

            def each(req):
                # What a single field of the query is like.
                field = util.FieldStorage(req)["f"]
                name, argument = util.FieldStorage(req)["do"].partition(":")[::2]
                answers = {
                    "str": lambda: "%s|%r|%s" % (field, field, field + "!"),
                    "bytes": lambda: repr(bytes(field)),
                    "latin": lambda: field.decode("latin-1"),
                    "file": lambda: repr((field.file.read(), field.file is field.file)),
                    "equal": lambda: repr((field == argument, field == argument.encode(),
                                           field != argument, hash(field) == hash(argument),
                                           argument.encode() in field, argument in {field: 1})),
                    "pickle": lambda: repr(pickled(field)),
                    "defaults": lambda: repr((field.filename, field.type, dict(field.type_options),
                                              field.disposition, dict(field.disposition_options),
                                              dict(field.headers))),
                }
                req.write(answers[name]())
                return apache.OK

            def pickled(field):
                import pickle
                copy = pickle.loads(pickle.dumps(field))
                return copy, bytes(copy), copy.name, type(copy).__name__

            def upload(req):
                field = util.FieldStorage(req)["file"]
                digest = hashlib.sha256()
                size = 0
                for block in iter(lambda: field.file.read(1 << 16), b""):
                    digest.update(block)
                    size += len(block)
                req.write("%s %d %s" % (field.filename, size, digest.hexdigest()))
                return apache.OK

            class Kept(io.BytesIO):
                def __init__(self, *names):
                    io.BytesIO.__init__(self)
                    self.names = names
                    self.writes = 0
                def write(self, data):
                    assert type(data) is bytes
                    self.writes += 1
                    return io.BytesIO.write(self, data)

            def callbacks(req):
                form = util.FieldStorage(req, file_callback=Kept, field_callback=Kept)
                req.write(json.dumps([
                    [type(f).__name__, f.name, bytes(f.file.getvalue()).decode("latin-1"),
                     f.file.names] for f in form.list
                ]))
                return apache.OK

            class Form(util.FieldStorage):
                def add_field(self, key, value):
                    util.FieldStorage.add_field(self, key, str(value).upper())

            def added(req):
                form = Form(req)
                form.add_field(b"bytes", b"value")
                form["set"] = "once"
                form["set"] = b"twice"
                try:
                    form["set"] = 5
                except TypeError as error:
                    form.add_field("error", str(error))
                req.write(repr(form.list) + repr(form[b"set"]) + repr(b"set" in form))
                return apache.OK

            def keywords(req):
                form = util.FieldStorage(req, max_fields=2, max_field_size=10)
                req.write(repr(form.list))
                return apache.OK

            class Lookalike:
                args = "a=1"
                method = "POST"
                headers_in = {"Content-Length": "3"}
                def __init__(self, req):
                    self.body = io.BytesIO(b"b=2")
                    self.log_error = req.log_error
                def read(self, size):
                    return self.body.read(min(size, 2))
                def get_options(self):
                    return {}

            def lookalike(req):
                req.write(repr(util.FieldStorage(Lookalike(req)).list))
                return apache.OK

            def redirect(req):
                try:
                    util.redirect(req, "/a" + chr(13) + chr(10) + "Set-Cookie: b")
                except ValueError as error:
                    req.write("%s" % error)
                return apache.OK
        """,
    },
)
FORM = ("Content-Type", "application/x-www-form-urlencoded")


def multipart(*parts, boundary="B", end=True):
    """A body of (name, content[, filename]) parts, and its header."""
    body = b""
    for name, content, *filename in parts:
        disposition = f'form-data; name="{name}"' + "".join(f'; filename="{f}"' for f in filename)
        body += f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n".encode()
        body += content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode() * end, (
        "Content-Type",
        f"multipart/form-data; boundary={boundary}",
    )


def post(fetch, path, body, *headers, method="POST"):
    return fetch(path, method, body=body, headers=headers)


def fields(answer):
    assert answer.status == 200, answer.text
    return [tuple(field[:3]) for field in json.loads(answer.text)]


def test_query_and_body(fetch):
    answer = post(fetch, "/form/x?a=1&a=", b"a=2;b=%26&blank=", FORM)
    assert fields(answer) == [("StringField", "a", "1"), ("StringField", "a", "2"),
                              ("StringField", "b", "&")]  # fmt: skip
    answer = post(fetch, "/form/x?keep=1&a=", b"blank=&none", FORM)
    assert [field[1:] for field in fields(answer)] == [
        ("keep", "1"), ("a", ""), ("blank", ""), ("none", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_urlencoded_bodies_of_other_methods(fetch, method):
    answer = post(fetch, "/form/x?q=0", b"a=1", FORM, method=method)
    assert [field[1:] for field in fields(answer)] == [("q", "0"), ("a", "1")]
    answer = post(fetch, "/form/x?q=0", b"a=1", ("Content-Type", "text/plain"), method=method)
    assert [field[1:] for field in fields(answer)] == [("q", "0")]
    answer = post(fetch, "/form/x?q=0", b"a=1", method=method)
    assert [field[1:] for field in fields(answer)] == [("q", "0")]


def test_content_type(fetch):
    for given in (
        "application/x-www-form-urlencoded; charset=UTF-8",
        "APPLICATION/X-WWW-Form-Urlencoded",
    ):
        answer = post(fetch, "/form/x", b"a=1", ("Content-Type", given))
        assert fields(answer) == [("StringField", "a", "1")]
    assert fields(post(fetch, "/form/x", b"a=1")) == [("StringField", "a", "1")]
    assert post(fetch, "/form/x", b"{}", ("Content-Type", "application/json")).status == 501


def test_body_without_length(fetch, connect):
    answer = fetch("/form/x", "POST", body=[b"a=", b"1&b=2"], headers=[FORM])
    assert [field[1:] for field in fields(answer)] == [("a", "1"), ("b", "2")]
    body, header = multipart(("a", b"1"), ("f", b"x" * 100000, "f.txt"))
    parts = [body[at : at + 777] for at in range(0, len(body), 777)]
    answer = fetch("/form/x", "POST", body=parts, headers=[header])
    assert fields(answer) == [("StringField", "a", "1"), ("Field", "f", "x" * 100000)]
    assert fetch("/form/x", "POST", headers=[FORM]).status == 411


def test_body_lengthened_by_a_filter(fetch):
    import gzip

    plain = b"&".join(b"name%d=value" % number for number in range(9000))
    answer = post(
        fetch, "/form/inflate/x", gzip.compress(plain), FORM, ("Content-Encoding", "gzip")
    )
    assert len(fields(answer)) == 9000


def test_not_utf8(get, fetch):
    answer = get("/form/x?caf%E9=%E9%E8")
    assert fields(answer) == [("StringField", "caf\ufffd", "\ufffd\ufffd")]
    assert get("/form/x.each?do=bytes&f=caf%E9").text == r"b'caf\xe9'"
    assert get("/form/x.each?do=latin&f=caf%E9").text == "caf\u00e9"
    assert get("/form/x.each?do=pickle&f=caf%E9").text == (
        r"(Field('f', 'caf" + "\ufffd" + r"'), b'caf\xe9', 'f', 'StringField')"
    )
    body, header = multipart(("caf\u00e9", b"\xff\xc3\xa9"))
    assert fields(post(fetch, "/form/x", body, header)) == [
        ("StringField", "caf\u00e9", "\ufffd\u00e9")
    ]


# Encodings of western pages have nearly all bytes, those of others hide them in ASCII.
@pytest.mark.parametrize(
    "place, text, encoding",
    [
        ("western", "caf\u00e9 \u20ac", "cp1252"),
        ("japanese", "\u65e5\u672c", "iso-2022-jp"),
        ("named", "\u00e9\u65e5", "utf-8"),
    ],
)
def test_encoding(get, fetch, place, text, encoding):
    raw = text.encode(encoding)
    quoted = "".join(f"%{byte:02x}" for byte in raw)
    expected = [("StringField", text, text), ("StringField", "a", "1")]
    assert fields(get(f"/form/{place}/x?{quoted}={quoted}&a=1")) == expected
    body = f"{quoted}={quoted}&a=1".encode()
    assert fields(post(fetch, f"/form/{place}/x", body, FORM)) == expected
    body = b"\r\n".join([
        b"--B", b'Content-Disposition: form-data; name="' + raw + b'"', b"", raw,
        b"--B", b'Content-Disposition: form-data; name="f"; filename="' + raw + b'"', b"", raw,
        b"--B--", b"",
    ])  # fmt: skip
    header = ("Content-Type", "multipart/form-data; boundary=B")
    one, upload = json.loads(post(fetch, f"/form/{place}/x", body, header).text)
    assert one[:3] == ["StringField", text, text]
    # Files are what they are.
    assert upload[:4] == ["Field", "f", raw.decode("latin-1"), text]
    kept = json.loads(post(fetch, f"/form/{place}/x.callbacks", body, header).text)
    assert [field[1:3] for field in kept] == [
        [text, raw.decode("latin-1")],
        ["f", raw.decode("latin-1")],
    ]


def test_encoding_of_arguments(get, fetch):
    expected = "<class 'str'> 'caf\u00e9'"
    assert get("/form/western/page.pub?name=caf%E9").text == expected
    assert post(fetch, "/form/western/page.pub", b"name=caf%E9", FORM).text == expected
    body, header = multipart(("name", b"caf\xe9"))
    assert post(fetch, "/form/western/page.pub", body, header).text == expected


def test_encoding_of_bytes(get):
    # What is not of the encoding is marked; the bytes of a field are those of its text.
    assert fields(get("/form/western/x?a=%81")) == [("StringField", "a", "\ufffd")]
    assert get("/form/western/x.each?do=bytes&f=%E9").text == r"b'\xc3\xa9'"
    # UTF-8 by its name is no other encoding.
    assert get("/form/named/x.each?do=bytes&f=%E9").text == r"b'\xe9'"


def test_encoding_that_nobody_knows(get, fetch, log):
    log.expect("ValueError: PythonOption mod_python.util.encoding: unknown encoding: martian")
    log.allow("PythonHandler form::show: ")
    assert get("/form/nowhere/x").status == 200
    assert get("/form/nowhere/x?a=1").status == 500
    body, header = multipart(("a", b"1"))
    assert post(fetch, "/form/nowhere/x", body, header).status == 500


@pytest.mark.parametrize(
    "what, expected",
    [
        ("str", "text|Field('f', 'text')|text!"),
        ("bytes", "b'text'"),
        ("file", "(b'text', True)"),
        ("equal:text", "(True, True, False, True, True, True)"),
        ("equal:tex", "(False, False, True, False, True, False)"),
        ("pickle", "(Field('f', 'text'), b'text', 'f', 'StringField')"),
        ("defaults", "(None, 'text/plain', {}, None, {}, {})"),
    ],
)
def test_text_field(get, what, expected):
    assert get(f"/form/x.each?f=text&do={what}").text == expected


def test_multipart(fetch):
    body, header = multipart(
        ("text", b"some text"), ("file", b"\x00\xff\r\n", "a.bin"), ("none", b"", ""),
        ("semi;colon", b"", "a;b.txt"),
    )  # fmt: skip
    answer = post(fetch, "/form/x", body, header)
    assert json.loads(answer.text) == [
        ["StringField", "text", "some text", None, "text/plain"],
        ["Field", "file", "\x00\xff\r\n", "a.bin", "text/plain"],
        ["StringField", "none", "", None, "text/plain"],
        ["Field", "semi;colon", "", "a;b.txt", "text/plain"],
    ]


@pytest.mark.parametrize(
    "content_type",
    ['multipart/form-data; boundary="B"', "Multipart/Form-Data; charset=x; Boundary=B; y=z"],
)
def test_boundary_parameter(fetch, content_type):
    body, _ = multipart(("a", b"1"))
    answer = post(fetch, "/form/x", body, ("Content-Type", content_type))
    assert fields(answer) == [("StringField", "a", "1")]


def test_large_upload(fetch):
    content = hashlib.sha512(b"seed").digest() * 100000
    content += b"\r\n--B" + content + b"\r"
    body, header = multipart(("file", content, "large.bin"))
    answer = post(fetch, "/form/x.upload", body, header)
    digest = hashlib.sha256(content).hexdigest()
    assert answer.text == f"large.bin {len(content)} {digest}"


def test_callbacks(fetch):
    body, header = multipart(("text", b"some text"), ("file", b"x" * 9, "a.bin"), ("no", b"", ""))
    answer = post(fetch, "/form/x.callbacks", body, header)
    assert json.loads(answer.text) == [
        ["StringField", "text", "some text", []],
        ["Field", "file", "x" * 9, ["a.bin"]],
        ["StringField", "no", "", [""]],
    ]


def test_added_fields(get):
    assert get("/form/x.added?query=text").text == (
        "[Field('query', 'TEXT'), Field('bytes', \"B'VALUE'\"), Field('set', \"B'TWICE'\"), "
        "Field('error', 'FIELD VALUE MUST BE STR OR BYTES, NOT INT')]"
        "Field('set', \"B'TWICE'\")True"
    )


def test_something_like_a_request(get):
    assert get("/form/x.lookalike").text == "[Field('a', '1'), Field('b', '2')]"


LIMITS = {
    "/form/limited/x?a=1&b=2&c=3&d=4": "MP0601: the form has more than 3 fields",
    "/form/limited/x?a=" + "x" * 101: 'MP0602: form field "a" has more than 100 bytes',
    "/form/limited/x?a=" + "x" * 90 + "&b=" + "x" * 90 + "&c=" + "x" * 90: "MP0603",
    "/form/x.keywords?a=1&b=2&c=3": "MP0601",
    "/form/x.keywords?a=12345678901": "MP0602",
}


@pytest.mark.parametrize("path", LIMITS)
def test_limits_of_queries(get, log, path):
    assert get(path).status == 413
    assert any(LIMITS[path] in line for line in log.messages("warn"))


BODIES = {
    "fields": ([("a", b"1")] * 4, 413, "MP0601"),
    "field": ([("a", b"x" * 101)], 413, "MP0602"),
    "form": ([("a", b"x" * 90)] * 3, 413, "MP0603"),
    "headers": ([("a" * 200, b"")], 413, "MP0604"),
}


@pytest.mark.parametrize("name", BODIES)
def test_limits_of_bodies(fetch, log, name):
    parts, status, message = BODIES[name]
    body, header = multipart(*parts)
    assert post(fetch, "/form/limited/x", body, header).status == status
    assert any(message in line for line in log.messages("warn"))


def test_limits_of_urlencoded_bodies(fetch, log):
    for body, message in (
        (b"a=1&b=2&c=3&d=4", "MP0601"),
        (b"a=" + b"x" * 101, "MP0602"),
        (b"x" * 251, "MP0603"),
        ([b"x" * 126, b"y" * 126], "MP0603"),
    ):
        assert fetch("/form/limited/x", "POST", body=body, headers=[FORM]).status == 413
        assert message in log.messages("warn")[-1]


def test_files_are_not_limited(fetch):
    body, header = multipart(("f", b"x" * 5000, "f.txt"), ("t", b"text"))
    answer = post(fetch, "/form/limited/x", body, header)
    assert fields(answer)[0] == ("Field", "f", "x" * 5000)


def test_malformed_multipart(fetch, log):
    header = ("Content-Type", "multipart/form-data; boundary=B")
    answer = post(fetch, "/form/x", b"--B\r\nno colon\r\n\r\nx\r\n--B--\r\n", header)
    assert answer.status == 400
    assert (
        'MP0606: a part of the form has a header line without a colon: "no colon"'
        in (log.messages("warn")[0])
    )
    assert post(fetch, "/form/x", b"", ("Content-Type", "multipart/form-data")).status == 400


def test_multipart_that_stops(fetch):
    body, header = multipart(("a", b"1"), ("b", b"2"), end=False)
    assert fields(post(fetch, "/form/x", body[:-2], header)) == [
        ("StringField", "a", "1"), ("StringField", "b", "2"),
    ]  # fmt: skip


NESTED, _ = multipart(("x", b"one", "one.txt"), ("y", b"two", "two.txt"), boundary="C")
NESTED = (
    b"--B\r\nContent-Disposition: form-data; name=files\r\n"
    b"Content-Type: multipart/mixed; boundary=C\r\n\r\n" + NESTED + b"--B--\r\n"
)


def test_nested_multipart(fetch, log):
    header = ("Content-Type", "multipart/form-data; boundary=B")
    assert [field[:2] for field in fields(post(fetch, "/form/x", NESTED, header))] == [
        ("StringField", "files")
    ]
    assert fields(post(fetch, "/form/nested/x", NESTED, header)) == [
        ("Field", "x", "one"), ("Field", "y", "two"),
    ]  # fmt: skip
    deeper = NESTED.replace(
        b'filename="one.txt"', b"x=y\r\nContent-Type: multipart/mixed; boundary=D"
    )
    assert post(fetch, "/form/nested/x", deeper, header).status == 413
    assert "MP0605" in log.messages("warn")[0]


def test_an_option_that_is_no_number(get, log):
    log.expect(
        "ValueError: mod_python.util.max_fields must be a whole number from 0, not many",
        "Traceback",
    )
    log.expect("in show", "util.py")
    assert get("/form/wrong/x?a=1").status == 500


def test_redirect_refuses_control_characters(get):
    answer = get("/form/x.redirect")
    assert answer.text.startswith("location must not contain control characters: '/a")
    assert "Set-Cookie" not in answer.headers


def test_client_that_leaves(connect, log):
    log.expect("OSError: Client read error", "Traceback", "in show", "util.py")
    body, header = multipart(("a", b"1"))
    connection = connect()
    request = (
        f"POST /form/x HTTP/1.1\r\nHost: x\r\n{header[0]}: {header[1]}\r\nContent-Length: 1000\r\n"
    )
    connection.send(request.encode() + b"\r\n" + body)
    connection.shutdown_write()
    # The client's fault, like any other broken body.
    assert connection.read_response().status == 400
