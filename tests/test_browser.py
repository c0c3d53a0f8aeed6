"""The examples' pages in a real browser: links, forms, scripts, and nothing on its console.

Opt-in, since Chromium is large: `make test-browser`, or MOD_PYTHON_BROWSER=1 with Chromium, its
driver and tests/requirements-browser.txt installed. MOD_PYTHON_SCREENSHOTS names a directory for
pictures.
"""

import hashlib
import os
import pathlib
import shutil
import tempfile

import pytest
from test_examples import NAMES, SITE, make_server, needs_flask

if not os.environ.get("MOD_PYTHON_BROWSER"):
    pytest.skip("runs with MOD_PYTHON_BROWSER=1 (make test-browser)", allow_module_level=True)

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

__all__ = ["SITE", "make_server"]  # the harness finds them by these names

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --disable-dev-shm-usage "
    "--window-size=1000,760"
).split()
SECONDS = 60  # a safety net, never what a test waits for


@pytest.fixture(scope="module")
def chromium(mpm):
    if mpm != "event":
        pytest.skip("the pages are the same for every MPM")
    profile = tempfile.mkdtemp(prefix="chromium-")
    options = webdriver.ChromeOptions()
    for flag in (*FLAGS, "--user-data-dir=" + profile):
        options.add_argument(flag)
    options.binary_location = shutil.which("chromium") or shutil.which("chromium-browser")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()
    shutil.rmtree(profile, ignore_errors=True)


class Browser:
    """Chromium looking at our server; `find` and `text` wait until what they look for is there."""

    def __init__(self, driver, port):
        self.driver, self.address = driver, "http://127.0.0.1:%d" % port

    def wait(self, condition):
        return WebDriverWait(self.driver, SECONDS).until(lambda driver: condition())

    def open(self, path, account=""):
        self.driver.get(self.address.replace("//", "//" + account) + path)
        return self

    def all(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def find(self, css):
        return self.wait(lambda: self.all(css))[0]

    def press(self, css):
        """Press what leads to another page, and wait until this one has gone."""
        page = self.find("html")
        self.find(css).click()
        self.wait(lambda: self._gone(page))

    def _gone(self, element):
        ready = self.driver.execute_script("return document.readyState")
        return ready == "complete" and self.find("html") != element

    def text(self, css="body"):
        return self.find(css).text

    def says(self, words):
        self.wait(lambda: words in self.text())

    def type(self, name, words):
        self.find("[name=%s], #%s" % (name, name)).send_keys(words)

    def console(self):
        return [row for row in self.driver.get_log("browser") if row["level"] != "DEBUG"]


@pytest.fixture
def browser(request, chromium, server):
    browser = Browser(chromium, server.port)
    browser.console()
    chromium.delete_all_cookies()
    yield browser
    folder = os.environ.get("MOD_PYTHON_SCREENSHOTS")
    if folder:
        name = request.node.name.replace("test_", "").replace("[", "-").strip("]")
        chromium.save_screenshot(str(pathlib.Path(folder) / (name + ".png")))
    assert not browser.console()


def test_start(browser):
    browser.open("/")
    links = browser.all("td a")
    assert len(links) == len(NAMES)
    # The style sheet applies.
    assert browser.find("td").value_of_css_property("border-bottom-style") == "solid"


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("auth", "flask")])
def test_start_page_leads_to(browser, name):
    browser.open("/")
    row = browser.driver.find_element(By.XPATH, "//tr[td[3]='%s']" % name)
    row.find_element(By.TAG_NAME, "a").click()
    browser.wait(lambda: browser.driver.current_url != browser.address + "/")
    browser.wait(browser.text)
    if name not in ("hello", "filter"):  # which are plain text
        assert browser.text("h1")
        browser.press("p > a[href='/']")
        assert browser.text("h1") == "mod_python examples"


def test_guestbook_and_a_guest_who_means_ill(browser):
    browser.open("/guestbook/")
    browser.says("Nobody has signed yet.")
    evil = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    for name, message in (("Ada", "Good morning"), (evil, evil)):
        browser.type("name", name[:60])
        browser.type("message", message)
        browser.press("button")
    entries = [entry.text for entry in browser.all("blockquote")]
    assert len(entries) == 2 and evil in entries[0]
    assert entries[1].startswith("Good morning\n") and "Ada" in entries[1]
    assert browser.driver.title == "Guestbook"
    assert not browser.all("blockquote script, blockquote img")


def test_psp(browser):
    browser.open("/psp/?year=1999&month=12")
    assert browser.text("h1") == "December 1999"
    assert browser.text("tr:nth-child(2)").split() == ["1", "2", "3", "4", "5"]
    browser.press("p > a:nth-of-type(2)")
    assert browser.text("h1") == "January 2000"
    browser.open("/psp/")
    assert len(browser.all("td.today")) == 1


def test_session(browser):
    browser.open("/session/")
    browser.type("name", "Ada <i>L</i>")
    browser.press("button")
    browser.says("Hello Ada <i>L</i>, this is page 1 ")
    browser.open("/session/").says("this is page 2 ")
    cookie = browser.driver.get_cookie("example_session")
    browser.press("button")
    assert browser.find("[name=name]")
    assert (browser.driver.get_cookie("example_session") or {}).get("value") != cookie["value"]
    browser.open("/session/").find("[name=name]")


def test_auth(browser):
    browser.open("/auth/", account="ali:sesame@")
    assert browser.text("h1") == "You are inside"
    browser.press("a[href='treasure.txt']")
    browser.says("Forty jars")
    browser.open("/auth/")
    browser.press("a[href='members/']")
    assert browser.text("h1") == "Welcome, ali"


def test_filter(browser):
    browser.open("/filter/poem.txt")
    assert browser.text("pre").splitlines()[0].startswith("   1  ")


def test_wsgi(browser):
    browser.open("/wsgi/")
    note = "buy <b>oil</b> and öl"
    browser.type("note", note)
    browser.find("button").click()
    # The list is of one of httpd's processes, and the test server has one child.
    browser.wait(lambda: [item.text for item in browser.all("#list li")] == [note])
    assert browser.find("#note").get_property("value") == ""


@needs_flask
def test_flask(browser):
    browser.open("/flask/")
    browser.type("text", "to be or not to be <b>be</b>")
    browser.press("button")
    rows = [row.text.split() for row in browser.all("tr")]
    assert rows[:3] == [["Word", "Times"], ["be", "3"], ["to", "2"]]


def test_upload(browser, tmp_path):
    data = bytes(range(256)) * 12_000  # 3 MB
    (tmp_path / "data.bin").write_bytes(data)
    (tmp_path / "empty <b>.txt").write_bytes(b"")
    browser.open("/upload/")
    browser.find("[type=file]").send_keys(
        "%s\n%s" % (tmp_path / "data.bin", tmp_path / "empty <b>.txt")
    )
    browser.driver.execute_script(
        "window.seen = [];"
        "new MutationObserver(() => seen.push(document.getElementById('progress').value))"
        ".observe(document.getElementById('progress'), {attributes: true});"
    )
    # A line slow enough for steps to be seen: 2 MB a second.
    browser.driver.execute_cdp_cmd("Network.enable", {})
    browser.driver.execute_cdp_cmd(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 2 << 20},
    )
    browser.find("button").click()
    browser.wait(lambda: browser.text("#state") == "received")
    rows = [
        [cell.text for cell in row.find_elements(By.TAG_NAME, "td")] for row in browser.all("tr")
    ]
    assert rows == [
        ["data.bin", "%d bytes" % len(data), hashlib.sha256(data).hexdigest()],
        ["empty <b>.txt", "0 bytes", hashlib.sha256(b"").hexdigest()],
    ]
    seen = browser.driver.execute_script("return window.seen")
    assert seen == sorted(seen) and seen[-1] == 1
    assert any(0 < value < 1 for value in seen), seen


def test_connection(browser):
    browser.open("/connection/").says("emases nepo")
