"""The PSP parser, which is part of the server module and known there as ``_psp``."""

from _psp import escape, parse, parsestring, source, stamp, translate

__all__ = ["escape", "parse", "parsestring", "source", "stamp", "translate"]
