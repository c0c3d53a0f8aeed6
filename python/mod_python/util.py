"""Form data and small helpers for handlers (``mod_python.util``).

The classes of the fields are in ``_fields``; parsing is done by ``_apache``.
"""

import collections  # noqa: F401  (names programs reach through this module)
import re
import sys  # noqa: F401
from io import BytesIO  # noqa: F401
from types import *  # noqa: F403  (published by this module since Python 2)

import _apache
from _apache import parse_qs, parse_qsl  # noqa: F401

from mod_python import _arguments, apache
from mod_python._fields import Field, FieldList, StringField, _text

PY2 = False
MethodWrapper = type("".__add__)

readBlockSize = 65368

# Bytes asked for at once when a multipart body is read.
_BLOCK = 4 * readBlockSize

_NOT_GIVEN = (None,) * 5
_ENCODING = "mod_python.util.encoding"
_CONTROL = re.compile("[\x00-\x1f\x7f]")


class _Fields:
    """The attribute ``list`` of a FieldStorage, made of its pairs when it is asked for."""

    def __get__(self, storage, owner=None):
        if storage is None:
            return None
        fields = storage.list = FieldList()
        if storage._pairs:
            _apache._form_fields(storage._pairs, StringField, fields)
        return fields


class FieldStorage:
    """The fields of a request: query string first, then the form in its body.

    req -- the request. Its body is read unless it is of a type this class does not parse.
    keep_blank_values -- true keeps fields whose value is empty.
    strict_parsing -- accepted for compatibility, without effect.
    file_callback -- called with the file name of an upload, returns the file object to write it to
        (binary, with write, seek, read and close). Default: an unnamed temporary file.
    field_callback -- called without arguments for each multipart field that is no upload, returns
        such a file object. Default: the field is kept in memory.
    max_fields, max_field_size, max_form_size, max_header_size, max_nesting -- limits: number of
        fields; bytes of one field in memory, of all fields in memory, of the headers of one part;
        levels of ``multipart/*`` inside ``multipart/form-data`` that are taken apart (0: none, such
        a part is a field). None: the PythonOption ``mod_python.util.<name>``, else 10000, 8 MiB,
        32 MiB, 16 KiB, 0.

    Names and values are str, decoded as UTF-8; what is not UTF-8 becomes U+FFFD in the text, while
    the bytes stay available from the field. Where the pages of a site, and with them its forms, are
    encoded otherwise, PythonOption ``mod_python.util.encoding`` names the encoding. Bodies are
    parsed for POST, urlencoded ones for PUT and PATCH too.

    Raises SERVER_RETURN: 400 for a malformed multipart body, 411 if the length of a POST body is
    unknown, 413 for a form beyond a limit, 501 for a POST of another content type.
    """

    # Names and values in turn.
    _pairs = ()

    def __init__(
        self,
        req,
        keep_blank_values=0,
        strict_parsing=0,
        file_callback=None,
        field_callback=None,
        *,
        max_fields=None,
        max_field_size=None,
        max_form_size=None,
        max_header_size=None,
        max_nesting=None,
    ):
        limits = None
        given = (max_fields, max_field_size, max_form_size, max_header_size, max_nesting)
        if given != _NOT_GIVEN:
            limits = given
        pairs, ctype = _apache._form(req, keep_blank_values, limits, _refuse)
        if pairs:
            if type(self).add_field is FieldStorage.add_field:
                self._pairs = pairs
            else:
                items = iter(pairs)
                for name, value in zip(items, items):
                    self.add_field(name, value)
        if ctype is not None:
            fields = self.list
            parts = _Parts(fields.append, file_callback, field_callback)
            parts.encoding = _apache._option(req, _ENCODING)
            _apache._form_parts(req, _BLOCK, ctype, limits, len(fields), parts.begin, _refuse)

    list = _Fields()

    def add_field(self, key, value):
        """Appends a field with the text `value` (str or bytes)."""
        field = StringField(value)
        field.name = _text(key)
        self.list.append(field)

    def __getitem__(self, key):
        found = self.list.table()[_text(key)]
        return found[0] if len(found) == 1 else found[:]

    def __setitem__(self, key, value):
        if not isinstance(value, (str, bytes)):
            raise TypeError("Field value must be str or bytes, not %s" % type(value).__name__)
        if not isinstance(key, (str, bytes)):
            raise TypeError("Field key must be str or bytes, not %s" % type(key).__name__)
        if key in self:
            del self[key]
        self.add_field(key, value)

    def __delitem__(self, key):
        key = _text(key)
        if key not in self.list.table():
            raise KeyError(key)
        self.list[:] = [field for field in self.list if field.name != key]

    def get(self, key, default):
        """Field or list of fields called `key`, or `default`."""
        try:
            return self[key]
        except KeyError:
            return default

    def getfirst(self, key, default=None):
        """First field called `key`, or `default`."""
        found = self.list.table().get(_text(key))
        return found[0] if found else default

    def getlist(self, key):
        """List of the fields called `key`, possibly empty."""
        return self.list.table().get(_text(key), ())[:] or []

    def keys(self):
        """List of the names, each once."""
        return [*self.list.table()]

    def items(self):
        """List of (name, field) in order of arrival."""
        return [(field.name, field) for field in self.list]

    def __iter__(self):
        return iter(self.keys())

    def __contains__(self, key):
        return _text(key) in self.list.table()

    has_key = __contains__

    def __len__(self):
        return len(self.list.table())

    def __repr__(self):
        return repr(self.list.table())

    def clear(self):
        """Drops all fields."""
        self.list = FieldList()


class _Parts:
    """Makes fields of the parts of a multipart body, for ``_apache._form_parts``."""

    # Of the text in files, None for UTF-8; what is collected comes decoded.
    encoding = None

    def __init__(self, add, file_callback, field_callback):
        self.add = add
        self.file_callback = file_callback if callable(file_callback) else _temporary_file
        self.file_callback_given = callable(file_callback)
        self.field_callback = field_callback if callable(field_callback) else None

    def begin(self, name, filename, ctype, type_options, disposition, disp_options, headers):
        """Returns (write, end): where the content goes and what to call after it.

        write is None if the content is to be collected in memory; `end` then gets it as bytes.
        """
        file = None
        if filename or (filename == "" and self.file_callback_given):
            file = self.file_callback(filename)
        elif filename is None and self.field_callback:
            file = self.field_callback()

        def write(data):
            try:
                return file.write(data)
            except OSError as error:
                raise _unwritten(error, file, filename or name) from error

        def end(content):
            if file is not None:
                try:
                    file.seek(0)  # what is still in its buffer is written now
                except OSError as error:
                    raise _unwritten(error, file, filename or name) from error
            if filename:
                field = Field(name)
                field.filename = filename
                field.file = file
            elif file is not None:
                content = file.read()
                if self.encoding:
                    content = content.decode(self.encoding, "replace")
                field = StringField(content)
                file.seek(0)
                field.file = file
            else:
                field = StringField(content)
            field.name = name
            field.type = ctype
            field.type_options = _Options(type_options)
            field.disposition = disposition
            field.disposition_options = _Options(disp_options)
            field.headers = apache.table()
            for header, value in headers:
                field.headers.add(header, value)
            self.add(field)

        return (None if file is None else write), end


def _temporary_file(filename):
    import tempfile

    try:
        return tempfile.TemporaryFile("w+b")
    except OSError as error:
        raise _unwritten(error, None, filename) from error


def _unwritten(error, file, what):
    """The error of an upload that could not be written, saying which one, where to, and why."""
    import tempfile

    place = error.filename or getattr(file, "name", None)
    if not isinstance(place, (str, bytes)):
        # A temporary file has no name, but a directory.
        place = tempfile.tempdir
    reason = error.strerror or str(error)
    text = "cannot keep the upload %r: %s" % (what, reason)
    if error.errno is None:
        return OSError(text)
    return OSError(error.errno, text, *([place] if place else []))


class _Options(dict):
    """Parameters of a header, str to str, found by bytes keys too."""

    def __missing__(self, key):
        if isinstance(key, bytes):
            return self[key.decode("utf-8", "replace")]
        raise KeyError(key)

    def get(self, key, default=None):
        return super().get(_text(key), default)

    def __contains__(self, key):
        return super().__contains__(_text(key))


def _refuse(req, status, message):
    """Ends the handler because of a form that is malformed (400) or beyond a limit (413)."""
    req.log_error(message, apache.APLOG_WARNING)
    raise apache.SERVER_RETURN(status)


def parse_header(line):
    """Splits a header value into (first item, dict of parameters).

    line -- bytes; else TypeError. It is cut at every ``;``, quoted or not. The item and the names
    are bytes in lower case, the values str.
    """
    if not isinstance(line, bytes):
        raise TypeError("parse_header() only accepts bytes")
    pieces = [piece.strip() for piece in line.split(b";")]
    options = {}
    for piece in pieces[1:]:
        name, equals, value = piece.partition(b"=")
        if equals:
            value = value.strip()
            if len(value) >= 2 and value[:1] == value[-1:] == b'"':
                value = value[1:-1]
            options[name.strip().lower()] = value.decode("latin-1")
    return pieces[0].lower(), options


def apply_fs_data(object, fs, **args):
    """Calls `object` with those of `args` and of the fields of `fs` that it accepts.

    Values are str (Field for uploads), or a list of them if the name came several times. `args`
    win over fields. Keyword-only parameters are filled only if the callable takes ``**kw``.
    """
    plan = _arguments.plan(object)
    return plan.call(object, plan.arguments(fs, args))


def redirect(req, location, permanent=0, text=None):
    """Answers with a redirection to `location` and ends the handler by raising SERVER_RETURN(DONE).

    location -- str without control characters; else TypeError or ValueError.
    permanent -- true for status 301 instead of 302.
    text -- the body to send instead of the default one.
    Raises OSError if the headers are already on their way.
    """
    if not isinstance(location, str):
        raise TypeError("location must be of type str")
    if _CONTROL.search(location):
        raise ValueError("location must not contain control characters: %r" % location)
    if req.sent_bodyct:
        raise OSError("Cannot redirect after headers have already been sent.")
    req.err_headers_out["Location"] = location
    req.status = apache.HTTP_MOVED_PERMANENTLY if permanent else apache.HTTP_MOVED_TEMPORARILY
    if text is None:
        import html

        link = html.escape(location)
        text = '<p>The document has moved <a href="%s">here</a></p>\n' % link
    req.write(text)
    raise apache.SERVER_RETURN(apache.DONE)
