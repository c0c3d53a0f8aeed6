"""The PSP parser, built into the server module; see the docstrings of the functions."""

import os
from typing import Any

_Path = str | os.PathLike[str]
_Stamp = tuple[int, int, int]  # modification time in nanoseconds, size in bytes, inode

def parse(filename: _Path, dir: _Path | None = None, /) -> str: ...
def parsestring(text: str | bytes, /) -> str: ...
def translate(
    filename: _Path,
    text: str | bytes | None = None,
    dir: _Path | None = None,
    encoding: str | None = None,
    escape: str | None = None,
) -> tuple[
    str,
    list[tuple[str, _Stamp | None]],
    list[tuple[int, int, int, int]],
    list[tuple[int, int, int, int, str]],
    tuple[str, int, int, str, str] | None,
]: ...
def source(filename: _Path, encoding: str | None = None, /) -> str: ...
def stamp(filename: _Path, /) -> _Stamp | None: ...
def escape(value: Any, /) -> str: ...
