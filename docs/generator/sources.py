"""Where the facts of the reference are kept: tables of the code, the tests and the documents."""

import pathlib

import tomllib

DOCS = pathlib.Path(__file__).parents[1]
REPOSITORY = DOCS.parent
PACKAGE = REPOSITORY / "python/mod_python"


def toml(path):
    """A table of tables by its path below the repository."""
    return tomllib.loads((REPOSITORY / path).read_text())
