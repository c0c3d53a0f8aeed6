#!/usr/bin/env python3
"""Makes the pictures of the documentation: real pages of a running server in headless Chromium.

`docs/screenshots.py` serves the examples with build/mod_python.so and writes docs/images/*.png. It
needs Chromium; run it when the pages look different, and commit what it wrote.
"""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

DOCS = pathlib.Path(__file__).resolve().parent
REPOSITORY = DOCS.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
)
LIMIT = 100_000  # bytes of a picture

BROKEN = """from mod_python import apache


def price(table, fruit):
    return table[fruit]


def handler(req):
    prices = {"apples": 3, "pears": 5}
    req.write("Plums cost %d\\n" % price(prices, "plums"))
    return apache.OK
"""


# A busy little site and its status page.
STATUS = """PythonStatus On
DocumentRoot "${SITE}"
<Directory "${SITE}">
    SetHandler mod_python
    PythonHandler pages
    PythonAccessHandler pages
    PythonOption mod_python.session.session_type FileSession
    PythonOption mod_python.session.database_directory "${STATE}"
    Require all granted
</Directory>
<Location /python-status>
    SetHandler python-status
    Require local
</Location>
"""
PAGES = """import time

from mod_python import Session, apache


def accesshandler(req):
    return apache.OK


def handler(req):
    if req.uri == "/order":
        session = Session.Session(req)
        session["orders"] = session.get("orders", 0) + 1
        session.save()
    time.sleep(0.02 * req.uri.count("r") + 3 * (req.uri == "/export"))
    req.write("done")
    return apache.OK
"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def served(target, *options):
    """The URL of `mod_python serve TARGET` while it runs."""
    port = free_port()
    url = "http://127.0.0.1:%d" % port
    command = [sys.executable, "-m", "mod_python", "serve", "--listen", str(port)]
    command += ["--module", str(REPOSITORY / "build/mod_python.so"), *options, str(target)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "python")}
    process = subprocess.Popen(command, env=environment)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            if process.poll() is not None:
                raise SystemExit("the server did not start")
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()


def picture(browser, url, name, width, height):
    """Writes docs/images/NAME.png; refuses one that is too large for a repository."""
    path = DOCS / "images" / (name + ".png")
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                browser,
                *QUIET,
                "--user-data-dir=" + profile,
                "--window-size=%d,%d" % (width, height),
                "--screenshot=%s" % path,
                url,
            ],
            check=True,
            stderr=subprocess.DEVNULL,
            timeout=120,
        )
    size = path.stat().st_size
    if size > LIMIT:
        raise SystemExit("%s has %d bytes" % (path, size))
    print("%s: %d bytes" % (path.relative_to(REPOSITORY), size))


def sign(url, name, message):
    fields = urllib.parse.urlencode({"name": name, "message": message}).encode()
    urllib.request.urlopen(url + "/guestbook/sign", fields).close()


def main():
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SystemExit("none of %s is installed" % ", ".join(BROWSERS))
    (DOCS / "images").mkdir(exist_ok=True)
    define = "CONNECTION_PORT=%d" % free_port()
    with served(REPOSITORY / "examples/httpd.conf", "--define", define) as url:
        picture(browser, url + "/", "start", 760, 680)
        sign(url, "Ada", "Good morning, engine.")
        sign(url, "Charles", "What if one puts in the wrong figures?")
        picture(browser, url + "/guestbook/", "guestbook", 760, 480)
        picture(browser, url + "/psp/?year=2026&month=11", "psp", 760, 440)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        handler = pathlib.Path(folder, "shop.py")
        handler.write_text(BROKEN)
        with served(handler, "--debug") as url:
            picture(browser, url + "/", "debug", 700, 220)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        pathlib.Path(folder, "pages.py").write_text(PAGES)
        conf = pathlib.Path(folder, "site.conf")
        conf.write_text(STATUS)
        with served(conf, "--processes", "2") as url:
            for page in ("/order", "/list", "/report") * 2:
                urllib.request.urlopen(url + page).close()
            running = threading.Thread(target=urllib.request.urlopen, args=(url + "/export",))
            running.start()
            picture(browser, url + "/python-status", "status", 760, 860)
            running.join()


if __name__ == "__main__":
    main()
