"""When files may be read again: mod_python._sources and the caches over it, without httpd."""

import os
import types

import pytest

from mod_python import _sources, cache
from mod_python._sources import CHANGED, CURRENT, UNFINISHED, Sources, stamp

pytestmark = pytest.mark.mpms("event")

SECOND = 10**9


@pytest.fixture
def clock(monkeypatch):
    """Lets time pass for the module, after the moment of the last change of any file."""

    class Clock:
        now = None

        def passes(self, path, seconds):
            self.now = os.stat(path).st_mtime_ns + int(seconds * SECOND)

    clock = Clock()
    monkeypatch.setattr(_sources, "time", types.SimpleNamespace(time_ns=lambda: clock.now))
    return clock


@pytest.fixture
def made(tmp_path, clock):
    """A file, and Sources of it; whole, as it was old when it was read."""
    path = tmp_path / "f"
    path.write_text("one")
    clock.passes(path, 10)
    sources = Sources([(str(path), stamp(path))])
    assert (sources.look(), sources.whole) == (CURRENT, True)
    return path, sources


def rewrite(path, text):
    # Not in the same tick of the file system's clock.
    before = path.stat().st_mtime_ns
    path.write_text(text)
    while path.stat().st_mtime_ns == before:
        path.write_text(text)


def test_written_in_place(made, clock):
    path, sources = made
    rewrite(path, "")
    clock.passes(path, 0.001)
    assert sources.look() == UNFINISHED
    rewrite(path, "two")
    clock.passes(path, 0.4)
    assert sources.look() == UNFINISHED
    clock.passes(path, 0.6)
    assert sources.look() == CHANGED
    # A clock that is behind that of the file system; and a time from far ahead.
    clock.passes(path, -5)
    assert sources.look() == UNFINISHED
    clock.passes(path, -15)
    assert sources.look() == CHANGED


def test_renamed_to_its_place(made, clock):
    path, sources = made
    aside = path.with_name("aside")
    aside.write_text("two")
    written = aside.stat().st_mtime_ns
    while aside.stat().st_ctime_ns == written:
        aside.chmod(0o644)
    aside.rename(path)
    clock.passes(path, 0.001)
    assert sources.look() == CHANGED
    fresh = Sources([(str(path), stamp(path))])
    assert (fresh.look(), fresh.whole) == (CURRENT, True)


def test_deleted_and_written_anew(made, clock):
    path, sources = made
    path.unlink()
    assert sources.look() == CHANGED
    path.write_text("tw")
    clock.passes(path, 0.1)
    assert sources.look() == UNFINISHED
    clock.passes(path, 0.6)
    assert sources.look() == CHANGED


def test_other_times_and_sizes(made, clock):
    path, sources = made
    was = path.stat()
    os.utime(path, ns=(was.st_mtime_ns - 3600 * SECOND,) * 2)  # older is another one, too
    assert sources.look() == CHANGED
    path.write_text("longer")
    os.utime(path, ns=(was.st_mtime_ns,) * 2)
    assert sources.look() == CHANGED
    path.write_text("two")
    os.utime(path, ns=(was.st_mtime_ns,) * 2)
    assert sources.look() == CURRENT


def test_what_was_read_while_it_was_written_is_not_kept(tmp_path, clock):
    path = tmp_path / "f"
    path.write_text("on")
    clock.passes(path, 0.1)
    sources = Sources([(str(path), stamp(path))])
    assert (sources.look(), sources.whole) == (CURRENT, False)
    rewrite(path, "one")
    clock.passes(path, 0.1)
    assert sources.look() == CHANGED
    sources = Sources([(str(path), stamp(path))])
    assert (sources.look(), sources.whole) == (CURRENT, False)
    # Nobody has written on: from now on it is worth keeping.
    clock.passes(path, 0.6)
    assert (sources.look(), sources.whole) == (CURRENT, True)
    rewrite(path, "")
    clock.passes(path, 0.1)
    assert sources.look() == UNFINISHED


def test_several_files(tmp_path, clock):
    paths = [tmp_path / name for name in "ab"]
    for path in paths:
        path.write_text("one")
    clock.passes(paths[1], 10)
    sources = Sources([(str(path), stamp(path)) for path in paths])
    assert (sources.look(), sources.whole) == (CURRENT, True)
    # One is done, and the other is not.
    rewrite(paths[0], "two")
    os.utime(paths[0], (5, 5))
    rewrite(paths[1], "tw")
    clock.passes(paths[1], 0.1)
    assert sources.look() == UNFINISHED
    clock.passes(paths[1], 1)
    assert sources.look() == CHANGED
    paths[1].unlink()
    assert sources.look() == CHANGED


def test_module_cache(tmp_path, clock):
    path = tmp_path / "page.py"
    path.write_text("x = 1\n")
    clock.passes(path, 1)
    c = cache.ModuleCache()
    first = c[str(path)]
    assert (first.x, c[str(path)] is first) == (1, True)
    for text in ("", "x = 2\n", "x = 2\ny ="):
        rewrite(path, text)
        clock.passes(path, 0.1)
        assert c[str(path)] is first
    clock.passes(path, 1)
    with pytest.raises(SyntaxError):
        c[str(path)]
    # Nothing to go on with: what is there counts, and the next change too.
    for number in (3, 4):
        rewrite(path, "x = %d\n" % number)
        clock.passes(path, 0.1)
        assert c[str(path)].x == number


def test_module_cache_and_a_writer_who_begins_while_it_reads(tmp_path, clock):
    path = tmp_path / "page.py"
    path.write_text("x = 1\n")
    clock.passes(path, 1)

    class Raced(cache.ModuleCache):
        race = False

        def build(self, key, name, opened, entry):
            if self.race:
                rewrite(path, "x = 3\n")
                clock.passes(path, 0.1)
            return cache.ModuleCache.build(self, key, name, opened, entry)

    c = Raced()
    first = c[str(path)]
    rewrite(path, "x = 2\n")
    clock.passes(path, 1)
    c.race = True
    assert c[str(path)] is first
    c.race = False
    assert c[str(path)] is first
    clock.passes(path, 1)
    assert c[str(path)].x == 3


def test_module_cache_that_is_keyed_by_something_else(tmp_path):
    """As the publisher's was in mod_python 3: names are requests, and keys are files."""
    path = tmp_path / "page.py"
    path.write_text("x = __file__\n")

    class Pages(cache.ModuleCache):
        def key(self, req):
            return req.filename

    req = types.SimpleNamespace(filename=str(path))
    assert Pages()[req].x == str(path)


def test_a_writer_who_begins_between_the_look_and_the_reading(made, clock):
    path, sources = made
    rewrite(path, "two")
    clock.passes(path, 1)
    assert sources.look() == CHANGED
    rewrite(path, "")
    clock.passes(path, 0.1)
    half = Sources([(str(path), stamp(path))])
    assert not half.replace(sources)
    assert half.replace(None)
    assert Sources(half.files).replace(half)
    clock.passes(path, 1)
    assert half.replace(sources)
