"""The published vulnerabilities of mod_lua, mod_wsgi and mod_perl are none of ours."""

import base64
import os
import pwd
import socket
import struct

import pytest

from pyhttpd import Site
from pyhttpd.server import free_port

pytestmark = pytest.mark.mpms("event")

RAW = free_port()
SITE = Site(
    conf="""
        Listen 127.0.0.1:%(raw)d
        <VirtualHost 127.0.0.1:%(raw)d>
            PythonConnectionHandler raw
            PythonPath "sys.path + ['@root@/htdocs']"
        </VirtualHost>
        PythonStatus On
        <Location /python-status>
            SetHandler python-status
        </Location>
        <Directory @root@/htdocs>
            SetHandler mod_python
            PythonHandler pages
            PythonOption mod_python.util.max_form_size 100000
        </Directory>
        <Directory @root@/htdocs/published>
            PythonHandler mod_python.publisher
        </Directory>
        <Directory @root@/htdocs/wsgi>
            PythonHandler mod_python.wsgi
            PythonOption mod_python.wsgi.application application
        </Directory>
        <Directory @root@/htdocs/reds>
            AuthType Basic
            AuthName x
            PythonAuthenHandler pages
            Require python pages::is_of_group red
        </Directory>
        <Directory @root@/htdocs/blues>
            AuthType Basic
            AuthName x
            PythonAuthenHandler pages
            Require python pages::is_of_group blue
        </Directory>
        <Directory @root@/htdocs/theirs>
            SetHandler none
            AllowOverride None
            AllowOverrideList DirectoryIndex
        </Directory>
    """
    % {"raw": RAW},
    files={
        "raw.py": """
            from mod_python import apache

            def connectionhandler(conn):
                # The length to read, then what is read of it until there is no more.
                size = int(conn.readline())
                last = b""
                while last != b"end":
                    data = conn.read(size)
                    conn.write(b"%d:" % len(data) + data)
                    last = (last + data)[-3:]
                return apache.OK
        """,
        "pages.py": """
            import mmap, os, time
            from mod_python import apache, util

            def authenhandler(req):
                req.get_basic_auth_pw()
                return apache.OK

            def is_of_group(req, group):
                return (req.user or "").startswith(group)

            def form(req):
                form = util.FieldStorage(req, keep_blank_values=1)
                req.write(repr([(field.name, field.value) for field in form.list]))

            def large(req):
                # Pages that nobody has touched cost nothing.
                size = 2**31 + 10
                req.write(mmap.mmap(-1, size))
                queued.append((req._bytes_queued, size))

            queued = []

            def large_queued(req):
                req.write(repr(queued.pop()))

            def slow(req):
                time.sleep(float(req.args))

            def address(req):
                req.write("%s %s" % (req.useragent_ip, req.connection.client_ip))

            def rights(req):
                req.write(repr((os.getresuid(), os.getresgid(), sorted(os.getgroups()))))

            def handler(req):
                function = globals().get(req.uri.split("/")[1])
                if function:
                    function(req)
                return apache.OK
        """,
        "published/page.py": """
            def index():
                return "index"
        """,
        "wsgi/application.py": """
            import threading

            def application(environ, start_response):
                if environ["PATH_INFO"].endswith("/address"):
                    start_response("200 OK", [("Content-Type", "text/plain")])
                    return [environ["REMOTE_ADDR"].encode()]
                start_response("200 OK", headers(environ["QUERY_STRING"]))
                return pieces()

            def headers(name):
                # Nobody keeps these strings.
                return [("".join(["Content", "-", "Type"]), "".join(["text/x-", name])),
                        ("".join(["X", "-", "Name"]), "".join([name] * 3))]

            def pieces():
                # In the memory that they had there is something else soon.
                rubbish = ["text/%d-%s" % (number, "secret" * 5) for number in range(5000)]
                thread = threading.Thread(target=lambda: ["X" * n for n in range(3000)])
                thread.start()
                thread.join()
                yield b"%d" % len(rubbish)
        """,
        "reds/x": "",
        "blues/x": "",
        "theirs/.htaccess": """
            SetHandler mod_python
            PythonHandler evil
        """,
        "theirs/evil.py": """
            open("@root@/tmp/evil", "w").close()
            def handler(req):
                req.write("evil")
                return 0
        """,
        "theirs/x": "plain",
    },
)


def raw(data):
    """All that the connection handler says when this comes, without half of it at a time."""
    with socket.create_connection(("127.0.0.1", RAW), timeout=60) as sock:
        sock.sendall(data)
        answer = b""
        while True:
            piece = sock.recv(65536)
            if not piece:
                return answer
            answer += piece


def lengths_and_data(answer):
    """The data that the connection handler read, after its lengths were compared."""
    data = b""
    while answer:
        length, _, answer = answer.partition(b":")
        assert len(answer) >= int(length)
        data, answer = data + answer[: int(length)], answer[int(length) :]
    return data


# mod_lua


def test_cve_2014_8109_each_require_line_has_its_own_arguments(get, log):
    log.expect("AH01631: user .* authorization failure")

    def status(path, user):
        token = base64.b64encode(user.encode() + b":x").decode()
        return get(path, headers=[("Authorization", "Basic " + token)]).status

    for _ in range(3):
        assert status("/reds/x", "red1") == 200
        assert status("/reds/x", "blue1") in (401, 403)
        assert status("/blues/x", "red1") in (401, 403)
        assert status("/blues/x", "blue1") == 200


@pytest.mark.parametrize("length", (0, 1, 125, 126, 65536, 2**63 - 1))
def test_cve_2015_0228_websocket_frames_are_bytes(length):
    # A ping whose announced length is a lie in all but the small ones.
    frame = b"\x89"
    if length < 126:
        frame += bytes([0x80 | length])
    elif length < 65536:
        frame += b"\xfe" + struct.pack(">H", length)
    else:
        frame += b"\xff" + struct.pack(">Q", length)
    sent = frame + b"mask" + b"x" * min(length, 200) + b"end"
    assert lengths_and_data(raw(b"4096\n" + sent)) == sent


def test_cve_2021_44790_multipart_bodies_cut_off_anywhere(fetch, server):
    head = b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n'
    body = head + b"v\r\n" + head.replace(b'"a"', b'"b"') + b"\r\n--B--\r\n"
    kind = [("Content-Type", "multipart/form-data; boundary=B")]
    children = server.children()

    def post(body):
        return fetch("/form/x", "POST", headers=kind, body=body)

    assert post(body).text == "[('a', 'v'), ('b', '')]"
    for end in range(1, len(body), 2):
        for cut in (body[:end], body[:end] + b"\r\n--B--\r\n", body[end:]):
            answer = post(cut)
            assert answer.status in (200, 400), cut
            if answer.status == 200:
                for name, value in eval(answer.text):
                    assert (name or "").encode() in cut and value.encode() in cut
    assert server.children() >= children


def test_cve_2022_28614_writes_of_2_gib_and_more(fetch, get):
    assert fetch("/large/x", "HEAD").status == 200
    # It came to the end, and to the right one.
    assert get("/large_queued/x").text == repr((2**31 + 10, 2**31 + 10))


def test_cve_2022_28615_nothing_calls_ap_strcmp_match(mod_python):
    # It reads beyond its text where that is larger than an int.
    assert b"ap_strcmp_match" not in mod_python.shared_object.read_bytes()


@pytest.mark.parametrize(
    "kind", ("application/x-www-form-urlencoded", "multipart/form-data; boundary=B")
)
@pytest.mark.parametrize("is_chunked", (False, True))
def test_cve_2022_29404_a_form_has_a_limit(fetch, kind, is_chunked):
    field = b"a=" + b"x" * 200000
    if kind.startswith("multipart"):
        name = b'Content-Disposition: form-data; name="a"'
        field = b"--B\r\n" + name + b"\r\n\r\n" + field + b"\r\n--B--\r\n"
    headers = [("Content-Type", kind)]
    if is_chunked:
        headers.append(("Transfer-Encoding", "chunked"))
        field = b"%x\r\n" % len(field) + field + b"\r\n0\r\n\r\n"
    assert fetch("/form/x", "POST", headers=headers, body=field).status == 413


@pytest.mark.parametrize("size", (1, 10, 100000, 2**31, 2**40, 0))
def test_cve_2022_30556_read_gives_what_was_sent(size):
    sent = b"something, and its end"
    assert lengths_and_data(raw(b"%d\n" % size + sent)) == sent


# mod_wsgi


def test_cve_2014_0240_and_8583_no_process_has_more_rights(get):
    # There are no processes but httpd's children, and these have the rights that httpd gave them.
    if os.geteuid() != 0:
        pytest.skip("httpd gives rights up as root only")
    uids, gids, groups = eval(get("/rights/x").text)
    user = pwd.getpwuid(uids[0])
    assert user.pw_uid != 0 and set(uids) == {user.pw_uid}
    assert set(gids) == {user.pw_gid}
    assert set(groups) <= set(os.getgrouplist(user.pw_name, user.pw_gid)) and 0 not in groups


def test_cve_2014_0242_headers_do_not_change_before_they_are_sent(get):
    for name in ("plain", "other", "a" * 500):
        answer = get("/wsgi/application.py/x?" + name)
        assert answer.headers["Content-Type"] == "text/x-" + name
        assert answer.headers["X-Name"] == name * 3
        assert answer.text == "5000"


def test_cve_2022_2255_clients_do_not_say_what_their_address_is(get):
    said = "X-Client-IP X-Forwarded-For X-Real-IP Forwarded Client-IP X-Client_IP".split()
    headers = [(name, "192.0.2.1") for name in said]
    assert get("/wsgi/application.py/address", headers=headers).text == "127.0.0.1"
    assert get("/address/x", headers=headers).text == "127.0.0.1 127.0.0.1"


# mod_perl


@pytest.mark.parametrize(
    "path", ("((((((((a", "[", "*", "a{1000}{1000}", "%5b%5e", "x+x+x+x+y", "(?")
)
def test_cve_2007_1349_path_info_is_no_pattern(get, path):
    assert get("/published/page/" + path).status == 404
    assert get("/published/" + path).status == 404


def test_cve_2009_0796_the_status_page_shows_uris_as_text(get):
    script = "<script>alert(1)</script>"
    escaped = "&lt;script&gt;alert(1)&lt;/script&gt;"
    # The page tells the slowest requests: this one is slower at last, however slow others were.
    for seconds in (0.3, 1, 3, 10, 30):
        path = "/slow/x/" + script.replace("<", "%3c").replace(">", "%3e")
        assert get("%s?%s" % (path, seconds)).status == 200
        if escaped in get("/python-status").text:
            break
    for form in ("", "?stacks", "?" + script, "?stacks&%3cscript%3e"):
        page = get("/python-status" + form).text
        assert "<script>" not in page.lower()
    page = get("/python-status").text
    assert escaped in page


def test_cve_2011_2767_htaccess_files_run_nothing_where_they_may_not(get, server, log):
    log.expect("not allowed here")
    assert get("/theirs/x").status == 500
    assert not (server.root / "tmp/evil").exists()
