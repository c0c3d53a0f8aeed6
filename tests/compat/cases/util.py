"""mod_python.util and the parsers of _apache: library.md 5.1, apache_module.md 4.3."""

from compat.case import Request, case, get, post, transcript

_URLENCODED = (("Content-Type", "application/x-www-form-urlencoded"),)
_MULTIPART = (("Content-Type", "multipart/form-data; boundary=B"),)

transcript(
    "parse-header",
    "library.md 5.1.3: parse_header",
    """
    >>> from mod_python import util
    >>> util.parse_header(b'Form-Data; Name="a b"; X=y')
    (b'form-data', {b'name': 'a b', b'x': 'y'})
    >>> util.parse_header(b'x; a="b;c"; d')[1][b'a']
    '"b'
    >>> util.parse_header("text")
    TypeError: parse_header() only accepts bytes
    """,
)

transcript(
    "util-names",
    "library.md 5.1: what the module holds",
    """
    >>> from mod_python import util
    >>> [name for name in ("FieldStorage", "Field", "StringField", "FieldList", "parse_qs",
    ...     "parse_qsl", "parse_header", "apply_fs_data", "redirect", "FunctionType",
    ...     "BuiltinFunctionType", "MethodType", "MethodWrapper") if not hasattr(util, name)]
    []
    >>> util.readBlockSize, util.PY2, util.apache is apache
    (65368, False, True)
    """,
)

transcript(
    "form-query",
    "library.md 5.1.1: fields of the query string",
    """
    >>> from mod_python import util
    >>> form = util.FieldStorage(req)
    >>> form
    {'name': [Field('name', 'one'), Field('name', 'two')], 'other': [Field('other', 'a b!')]}
    >>> form.list
    [Field('name', 'one'), Field('other', 'a b!'), Field('name', 'two')]
    >>> form["name"], form["other"]
    ([Field('name', 'one'), Field('name', 'two')], Field('other', 'a b!'))
    >>> form["absent"]
    KeyError: 'absent'
    >>> form.getfirst("name"), form.getfirst("absent"), form.getfirst("absent", 5)
    (Field('name', 'one'), None, 5)
    >>> form.getlist("name"), form.getlist("absent")
    ([Field('name', 'one'), Field('name', 'two')], [])
    >>> form.get("absent", 5), form.get("other", 5)
    (5, Field('other', 'a b!'))
    >>> form.get("other")
    TypeError: FieldStorage.get() missing 1 required positional argument: 'default'
    >>> form.keys(), [*form], len(form), bool(form)
    (['name', 'other'], ['name', 'other'], 2, True)
    >>> form.items()[1], len(form.items())
    (('other', Field('other', 'a b!')), 3)
    >>> "name" in form, form.has_key("name"), "absent" in form
    (True, True, False)
    >>> form["name"][0].value, form["other"].name, type(form["other"]).__name__
    ('one', 'other', 'StringField')
    >>> form.add_field("added", "text")
    >>> form.list[-1], len(form)
    (Field('added', 'text'), 3)
    >>> form.list.table()["added"]
    [Field('added', 'text')]
    >>> del form["other"]
    >>> form.keys()
    ['name', 'added']
    >>> del form["other"]
    KeyError: 'other'
    >>> form.clear()
    >>> len(form), form.list
    (0, [])
    """,
    get("/?name=one&other=a+b%21&name=two&blank="),
)

transcript(
    "form-query-blank",
    "library.md 5.1.1: keep_blank_values",
    """
    >>> from mod_python import util
    >>> util.FieldStorage(req, keep_blank_values=1).list
    [Field('name', 'value'), Field('blank', ''), Field('none', '')]
    >>> util.FieldStorage(req, 0, strict_parsing=1).list
    [Field('name', 'value')]
    """,
    get("/?name=value&blank=&none"),
)

_FORM = """
from mod_python import util

def handler(req):
    form = util.FieldStorage(req)
    req.write("%r" % (form.list,), 0)
    return apache.OK
"""

case(
    "form-refused",
    "library.md 5.1.1: bodies that are no forms",
    _FORM,
    post(b"{}", headers=[("Content-Type", "application/json")], status=501),
    post(b"--B--", headers=[("Content-Type", "multipart/form-data")], status=400),
    post(None, headers=_URLENCODED, status=411),
    post(b"", headers=_URLENCODED, body="[]"),
    post(b"--B--\r\n", headers=_MULTIPART, body="[]"),
    post(b"{}", path="/?name=value", headers=[("Content-Type", "text/plain")], status=501),
)

case(
    "form-other-method",
    "library.md 5.1.1: the body of another method is left alone",
    """
    from mod_python import util

    def handler(req):
        form = util.FieldStorage(req)
        req.write("%r %r" % (form.list, req.read()), 0)
        return apache.OK
    """,
    Request(
        "/?name=value",
        "PUT",
        (("Content-Type", "application/json"),),
        b"{}",
        body="[Field('name', 'value')] b'{}'",
    ),
)

case(
    "form-put",
    "library.md 5.1.1: a urlencoded body of PUT and PATCH is a form too",
    _FORM,
    Request("/?q=0", "PUT", _URLENCODED, b"a=1", body="[Field('q', '0'), Field('a', '1')]"),
    Request("/?q=0", "PATCH", _URLENCODED, b"a=1", body="[Field('q', '0'), Field('a', '1')]"),
)

case(
    "form-chunked",
    "gotchas C41: a form that comes in chunks",
    _FORM,
    post([b"name=va", b"lue"], headers=_URLENCODED, body="[Field('name', 'value')]"),
)

case(
    "form-content-type-case",
    "library.md 5.1.1: content types are compared in any case",
    _FORM,
    post(
        b"name=value",
        headers=[("Content-Type", "Application/X-WWW-Form-Urlencoded")],
        body="[Field('name', 'value')]",
    ),
)

case(
    "form-many-fields",
    "library.md 5.1.1: there are limits to forms",
    _FORM,
    post(b"&".join([b"name=value"] * 10001), headers=_URLENCODED, status=413),
)

case(
    "form-urlencoded",
    "gotchas C3: names and values of a urlencoded body are str",
    _FORM,
    post(
        b"spam=1&spam=2&eggs=3&bacon=4",
        headers=_URLENCODED,
        body="[Field('spam', '1'), Field('spam', '2'), Field('eggs', '3'), Field('bacon', '4')]",
    ),
    post(b"caf%C3%A9=%E9", headers=_URLENCODED, body="[Field('caf\u00e9', '\ufffd')]"),
)

_BODY = (
    b'--B\r\nContent-Disposition: form-data; name="text"\r\n\r\nvalue\r\n'
    b'--B\r\nContent-Disposition: form-data; name="file"; filename="f.bin"\r\n'
    b"Content-Type: application/x-bin; a=b\r\n\r\n\x00\xff\r\r\n--B--\r\n"
)

case(
    "form-upload",
    "library.md 5.1.1: a file of a multipart body",
    r"""
    from mod_python import util

    def handler(req):
        field = util.FieldStorage(req)["file"]
        req.write("%r %r %r %r\n" % (field, field.name, field.value, field.filename), 0)
        req.write("%r %r %r\n" % (field.file.read(2), field.file.read(), field.value), 0)
        req.write("%s %s %r\n" % (field.type, field.disposition, type(field).__name__), 0)
        req.write("%s\n" % field.disposition_options[b"filename"], 0)
        return apache.OK
    """,
    post(
        _BODY,
        headers=_MULTIPART,
        body="Field('file', b'\\x00\\xff\\r') 'file' b'\\x00\\xff\\r' 'f.bin'\n"
        "b'\\x00\\xff' b'\\r' b'\\x00\\xff\\r'\n"
        "application/x-bin form-data 'Field'\nf.bin\n",
    ),
)

case(
    "form-multipart-text",
    "gotchas C3: the text of a multipart field is str",
    r"""
    from mod_python import util

    def handler(req):
        field = util.FieldStorage(req)["text"]
        req.write("%s %r %r %r\n" % (field, field, field.value, field == "value"), 0)
        return apache.OK
    """,
    post(_BODY, headers=_MULTIPART, body="value Field('text', 'value') 'value' True\n"),
)

case(
    "form-part-headers",
    "gotchas C39: the headers of a part come without line ends",
    """
    from mod_python import util

    def handler(req):
        field = util.FieldStorage(req)["file"]
        req.write("%r" % field.headers["content-type"], 0)
        return apache.OK
    """,
    post(_BODY, headers=_MULTIPART, body="'application/x-bin; a=b'"),
)

case(
    "form-file-callback",
    "library.md 5.1.1: file_callback gets the file name and makes the file",
    r"""
    from io import BytesIO
    from mod_python import util

    class File(BytesIO):
        def __init__(self, name):
            BytesIO.__init__(self)
            self.called = name

    def handler(req):
        form = util.FieldStorage(req, file_callback=File)
        file = form["file"].file
        req.write("%s %s %r" % (type(file).__name__, file.called, file.getvalue()), 0)
        return apache.OK
    """,
    post(_BODY, headers=_MULTIPART, body="File f.bin b'\\x00\\xff\\r'"),
)

case(
    "form-line-breaks",
    "gotchas D: content that looks like line breaks and boundaries",
    """
    from mod_python import util

    def handler(req):
        req.write("%r" % [f.value for f in util.FieldStorage(req)["f"]], 0)
        return apache.OK
    """,
    post(
        b"".join(
            b'--B\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n%s\r\n' % content
            for content in (b"", b"\r", b"\n", b"a\r\n--BX\r\nb", b"x" * 65367 + b"\r\n\r")
        )
        + b"--B--\r\n",
        headers=_MULTIPART,
        find=r"^\[b'', b'\\r', b'\\n', b'a\\r\\n--BX\\r\\nb', b'x{65367}\\r\\n\\r'\]$",
    ),
)

transcript(
    "form-delete-alike",
    "gotchas B12: only the fields of that name go",
    """
    >>> from mod_python import util
    >>> form = util.FieldStorage(req)
    >>> del form["second"]
    >>> form.list
    [Field('first', 'same')]
    """,
    get("/?first=same&second=same"),
)

transcript(
    "field-classes",
    "library.md 5.1.2: fields made by programs",
    """
    >>> from io import BytesIO
    >>> from mod_python import util
    >>> field = util.Field("n", BytesIO(b"content"), "a/b", {"x": "y"}, "form-data",
    ...     {"filename": "f"}, {"H": "1"})
    >>> field, field.type, field.type_options, field.disposition, field.filename, field.headers
    (Field('n', b'content'), 'a/b', {'x': 'y'}, 'form-data', 'f', {'H': '1'})
    >>> util.Field("n", BytesIO(b""), "a/b", {}, "form-data", {}).filename
    >>> field.unknown
    AttributeError: ...
    >>> items = util.FieldList()
    >>> items.append(field)
    >>> items.table() is items.table(), items.table()
    (True, {'n': [Field('n', b'content')]})
    >>> items.pop()
    Field('n', b'content')
    >>> items.table()
    {}
    """,
    replace=[("(?m)^AttributeError: .*", "AttributeError: ...")],
)

_APPLY = r"""
from mod_python import util

def plain(req, name, other="default"):
    return (name, other)

def names(**kw):
    return sorted((key, value) for key, value in kw.items() if key != "req")

def keyword_only(req, *, name=None):
    return name

class WithInit:
    def __init__(self, name):
        self.name = name

class WithCall:
    def __call__(self, name):
        return name

class Instance:
    def method(self, name, req):
        return name, req is not None

def handler(req):
    form = util.FieldStorage(req)
    for target in (plain, names, keyword_only, Instance().method, WithCall()):
        req.write("%r\n" % (util.apply_fs_data(target, form, req=req),), 0)
    req.write("%r\n" % util.apply_fs_data(WithInit, form, req=req).name, 0)
    return apache.OK
"""

case(
    "apply-fs-data",
    "library.md 5.1.3: which arguments a callable gets",
    _APPLY,
    get(
        "/?name=value&unknown=more",
        body="('value', 'default')\n[('name', 'value'), ('unknown', 'more')]\nNone\n"
        "('value', True)\n'value'\n'value'\n",
    ),
    get(
        "/?name=one&name=two",
        find=r"^\(\['one', 'two'\], 'default'\)\n\[\('name', \['one', 'two'\]\)\]\n",
    ),
)

case(
    "apply-fs-data-req",
    "gotchas C28: a field cannot replace an argument of the program",
    """
    from mod_python import util

    def target(req, name):
        return type(req).__name__ + " " + name

    def handler(req):
        req.write(util.apply_fs_data(target, util.FieldStorage(req), req=req), 0)
        return apache.OK
    """,
    get("/?name=value&req=forged", body="mp_request value"),
)

case(
    "redirect",
    "library.md 5.1.3: redirect",
    """
    from mod_python import util

    def handler(req):
        arguments = dict(a.split(":") for a in req.args.split("&"))
        util.redirect(req, "http://example.org/x", int(arguments.get("permanent", 0)),
                      arguments.get("text"))
        return apache.OK
    """,
    get(
        "/?a:b",
        status=302,
        body='<p>The document has moved <a href="http://example.org/x">here</a></p>\n',
        expect={"Location": "http://example.org/x"},
    ),
    get("/?permanent:1&text:gone", status=301, body="gone"),
)

case(
    "redirect-fixup",
    "library.md 5.1.3: redirect in another phase",
    """
    from mod_python import util

    def fixuphandler(req):
        util.redirect(req, "/elsewhere")
    """,
    get(status=302, expect={"Location": "/elsewhere"}),
    conf="SetHandler mod_python\nPythonFixupHandler @mod@",
)

case(
    "redirect-late",
    "library.md 5.1.3: redirect after the headers, and with a wrong type",
    """
    from mod_python import util

    def handler(req):
        for location in (b"/bytes", None):
            try:
                util.redirect(req, location)
            except TypeError as error:
                req.log_error(str(error), apache.APLOG_NOTICE)
        req.write("sent. ")
        try:
            util.redirect(req, "/late")
        except OSError as error:
            req.write("%s" % error)
        return apache.OK
    """,
    get(body="sent. Cannot redirect after headers have already been sent."),
)

case(
    "redirect-escaped",
    "gotchas C29: the location is escaped in the page",
    """
    from mod_python import util

    def handler(req):
        util.redirect(req, '/"><script>&')
    """,
    get(
        status=302,
        body='<p>The document has moved <a href="/&quot;&gt;&lt;script&gt;&amp;">here</a></p>\n',
    ),
)
