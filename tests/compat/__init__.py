"""Differential tests: the same case under our module and under the original mod_python 3.5."""
