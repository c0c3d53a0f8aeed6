"""Kept for programs that import it: names that Python 2.2 lacked; empty today."""
