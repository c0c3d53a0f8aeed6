"""The files that the workloads serve and the bodies they send, made from scratch for every run."""

import os
from dataclasses import dataclass

HELLO = b"hello world\n"
COOKIES = [("cookie%d" % i, "value-%d" % (i * 7919)) for i in range(10)]

FIELDS = [("field%02d" % i, "value %d & more" % (i * 131)) for i in range(20)]
FORM = "&".join(
    "%s=%s" % (name, value.replace(" ", "+").replace("&", "%26")) for name, value in FIELDS
).encode()
FORM_ANSWER = (
    "%d fields, %d characters\n" % (len(FIELDS), sum(len(n) + len(v) for n, v in FIELDS))
).encode()

ENVIRON_ANSWER = (
    b"REQUEST_METHOD=GET\nSCRIPT_NAME=\nQUERY_STRING=a=1\nSERVER_PROTOCOL=HTTP/1.1\n"
    b"REMOTE_ADDR=127.0.0.1\nHTTP_HOST=localhost\nHTTP_USER_AGENT=bench\nHTTP_ACCEPT=*/*\n"
    b"HTTP_ACCEPT_LANGUAGE=en\nwsgi.url_scheme=http\n"
)

# Not one letter over and over: a filter that mixes up its buffers must not pass.
MILLION = b"".join(b"%07d\n" % i for i in range(131072))

BOUNDARY = "----bench-7d1f3c9ab2"
UPLOAD_NAME = "upload.bin"

SPIN = '''"""Pure Python work of about {ms} ms on the machine that ran the benchmark."""


def burn():
    x = 1
    for i in range({count}):
        x = (x * 31 + i) % 1000003
    return "%d\\n" % x
'''

HTACCESS_PYTHON = "SetHandler mod_python\nPythonHandler hello::hello\nPythonAutoReload On\n"
HTACCESS_C = "SetHandler cref-hello\nCrefNote hello::hello\nCrefNote On\n"


@dataclass(frozen=True)
class Page:
    """A PSP page and what it must answer."""

    psp: bytes
    html: bytes


def small_page() -> Page:
    """Ten lines with a code block and two expressions."""
    frame = (
        "<html>\n<head><title>small</title></head>\n<body>\n"
        "%s<h1>%s</h1>\n<p>sum %s</p>\n</body>\n</html>\n"
    )
    code = "<%\nnumbers = [1, 2, 3]\n%>"
    return Page(
        (frame % (code, "<%= 'small' %>", "<%= sum(numbers) %>")).encode(),
        (frame % ("", "small", "6")).encode(),
    )


def table_page(lines: int, expressions: int) -> Page:
    """A page of `lines` lines, `expressions` of which hold one expression each."""
    psp: list[str] = ["<html><body><table>\n"]
    html: list[str] = ["<html><body><table>\n"]
    every = max(1, lines // expressions)
    for i in range(lines):
        if i % every == 0 and i // every < expressions:
            psp.append("<tr><td>row %d</td><td><%%= %d * 3 + %d %%></td></tr>\n" % (i, i, i))
            html.append("<tr><td>row %d</td><td>%d</td></tr>\n" % (i, i * 4))
        else:
            text = '<tr><td>row %d</td><td class="plain">some text</td></tr>\n' % i
            psp.append(text)
            html.append(text)
    psp.append("</table></body></html>\n")
    html.append("</table></body></html>\n")
    return Page("".join(psp).encode(), "".join(html).encode())


SMALL = small_page()
FIFTY = table_page(100, 50)
LONG = table_page(2000, 500)


def upload_body(size: int) -> bytes:
    """A multipart body whose only part is a file of `size` bytes: lines of binary data."""
    head = (
        '--%s\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n" % (BOUNDARY, UPLOAD_NAME)
    ).encode()
    # A byte pattern with a line feed about every 100 bytes, as in binary files, and some CRLF.
    line = bytes(32 + i % 190 for i in range(99)) + b"\n"
    block = (line * 9 + line[:-2] + b"\r\n") * 64
    content = (block * (size // len(block) + 1))[:size]
    return head + content + ("\r\n--%s--\r\n" % BOUNDARY).encode()


def upload(request_class, size: int):
    """The request that uploads a file of `size` bytes."""
    return request_class(
        "/upload",
        "POST",
        (("Content-Type", "multipart/form-data; boundary=" + BOUNDARY),),
        upload_body(size),
    )


def upload_answer(size: int) -> bytes:
    """What the upload handler answers."""
    return ("%s %d\n" % (UPLOAD_NAME, size)).encode()


def write(path: str, content) -> None:
    """Writes one file that everybody may read."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as out:
        out.write(content if isinstance(content, bytes) else content.encode())


def build(htdocs: str, data: str, site: str, spin_count: int) -> None:
    """Fills the document root and the directory of the bodies that the C module sends."""
    for name in os.listdir(site):
        if name.endswith(".py"):
            with open(os.path.join(site, name), "rb") as source:
                write(os.path.join(htdocs, name), source.read())
    write(os.path.join(htdocs, "spin.py"), SPIN.format(ms=2, count=spin_count))
    write(os.path.join(htdocs, "hello.txt"), HELLO)
    write(os.path.join(htdocs, "million.bin"), MILLION)
    for name, page in (("small", SMALL), ("fifty", FIFTY), ("long", LONG)):
        write(os.path.join(htdocs, name + ".psp"), page.psp)
        write(os.path.join(data, name + ".html"), page.html)
    write(os.path.join(htdocs, "htaccess-python", ".htaccess"), HTACCESS_PYTHON)
    with open(os.path.join(site, "hello.py"), "rb") as source:
        write(os.path.join(htdocs, "htaccess-python", "hello.py"), source.read())
    write(os.path.join(htdocs, "htaccess-c", ".htaccess"), HTACCESS_C)
    write(os.path.join(data, "hello.txt"), HELLO)
    write(os.path.join(data, "form.txt"), FORM_ANSWER)
    write(os.path.join(data, "environ.txt"), ENVIRON_ANSWER)
    write(os.path.join(data, "upload.txt"), upload_answer(2 << 20))
