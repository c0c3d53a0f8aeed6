"""The fields of a form: ``StringField`` for text, ``Field`` for uploads, ``FieldList`` for all."""

from io import BytesIO
from types import MappingProxyType

_NOTHING = MappingProxyType({})


def _text(name):
    """`name` as str: fields and header parameters may be asked for by bytes."""
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name


class _FileOfText:
    """The attribute ``file`` of a text field, made when it is asked for."""

    def __get__(self, field, owner=None):
        if field is None:
            return None
        file = field.__dict__["file"] = BytesIO(bytes(field))
        return file


class StringField(str):
    """A text field: a str that knows where it came from.

    StringField(value) -- value is str or bytes. Bytes are decoded as UTF-8 with replacement
    characters and kept, so that ``field == b"..."``, ``bytes(field)``, ``field.file`` and
    ``field.decode("latin-1")`` give what the client sent. Of str, as PythonOption
    ``mod_python.util.encoding`` makes it, they give the UTF-8.

    name -- str or None; value -- the text as plain str; file -- binary file with the content;
    type, type_options -- content type of a multipart part and its parameters, else ``text/plain``;
    disposition, disposition_options -- likewise, None and empty outside multipart;
    headers -- those of the part.
    """

    # In slots, for there are many fields and most have nothing else.
    __slots__ = ("__dict__", "name", "value")

    filename = None
    file = _FileOfText()
    headers = _NOTHING
    type = ctype = "text/plain"
    type_options = _NOTHING
    disposition = None
    disposition_options = _NOTHING
    disp_options = None

    def __new__(cls, value):
        if isinstance(value, bytes):
            text = value.decode("utf-8", "replace")
        elif isinstance(value, str):
            text = str(value)
        else:
            raise TypeError("StringField takes str or bytes, not %s" % value.__class__.__name__)
        self = str.__new__(cls, text)
        self.value = text
        self.name = None
        if text.__class__ is not value.__class__ and "\ufffd" in text:
            self._bytes = bytes(value)
        return self

    def decode(self, encoding="utf-8", errors="strict"):
        """The bytes of the field decoded as `encoding`, a str."""
        return bytes(self).decode(encoding, errors)

    def __bytes__(self):
        try:
            return self._bytes
        except AttributeError:
            return self.encode("utf-8", "surrogateescape")

    def __eq__(self, other):
        if isinstance(other, bytes):
            return bytes(self) == other
        return str.__eq__(self, other)

    def __ne__(self, other):
        return not self == other

    __hash__ = str.__hash__

    def __contains__(self, item):
        if isinstance(item, bytes):
            return item in bytes(self)
        return str.__contains__(self, item)

    def __repr__(self):
        return "Field(%r, %s)" % (self.name, str.__repr__(self))

    def __reduce__(self):
        # Text and name only: what else there is belongs to the request.
        content = getattr(self, "_bytes", str(self))
        return self.__class__, (content,), (None, {"name": self.name})


class Field:
    """An upload.

    Field(name[, file, ctype, type_options, disp, disp_options[, headers]]) -- the long form is for
    programs that make fields themselves.

    name, filename -- str or None; file -- binary file with the content, closed with the field;
    value -- the whole content, bytes;
    type, type_options, disposition, disposition_options, headers -- as in StringField.
    """

    filename = None
    file = None
    type = "text/plain"
    type_options = _NOTHING
    disposition = None
    disposition_options = _NOTHING
    headers = _NOTHING

    def __init__(self, name, *args, **kwargs):
        self.name = name
        if args or kwargs:
            self.__bc_init__(*args, **kwargs)

    def __bc_init__(self, file, ctype, type_options, disp, disp_options, headers=_NOTHING):
        self.file = file
        self.type = ctype
        self.type_options = type_options
        self.disposition = disp
        self.disposition_options = disp_options
        self.filename = disp_options.get("filename") if disp_options else None
        self.headers = {} if headers is _NOTHING else headers

    @property
    def value(self):
        """The content, bytes; None without a file. TypeError if the file is not a binary one."""
        file = self.file
        if file is None:
            return None
        file.seek(0)
        content = file.read()
        if not isinstance(content, bytes):
            raise TypeError("value must be bytes, is file opened in binary mode?")
        file.seek(0)
        return content

    def __repr__(self):
        return "Field(%r, %r)" % (self.name, self.value)

    def __del__(self):
        file = self.__dict__.get("file")
        if file is not None:
            file.close()


def _dropping_table(name):
    method = getattr(list, name)

    def change(self, *args, **kwargs):
        self._table = None
        return method(self, *args, **kwargs)

    change.__name__ = name
    change.__doc__ = method.__doc__
    return change


class FieldList(list):
    """A list of fields with a look-up by name."""

    _table = None

    def table(self):
        """Dict from name to the list of fields of that name, kept until the list changes."""
        table = self._table
        if table is None:
            table = {}
            for field in self:
                name = field.name
                if name in table:
                    table[name].append(field)
                else:
                    table[name] = [field]
            self._table = table
        return table


for _name in (
    *("__delitem__", "__iadd__", "__imul__", "__setitem__", "append", "clear", "extend"),
    *("insert", "pop", "remove", "reverse", "sort"),
):
    setattr(FieldList, _name, _dropping_table(_name))
