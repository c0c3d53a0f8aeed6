"""The PSP parser, which is part of the server module and known there as ``_psp``."""

try:
    from _psp import escape, parse, parsestring, source, stamp, translate
except ModuleNotFoundError:
    raise ModuleNotFoundError(
        "the PSP parser is built into the server module, so it can be imported inside httpd only",
        name="_psp",
    ) from None

__all__ = ["escape", "parse", "parsestring", "source", "stamp", "translate"]
