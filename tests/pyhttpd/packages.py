"""Copies of installed packages for a server whose children may not read where they are."""

import importlib.util
import pathlib
import shutil

FLASK = (
    "flask werkzeug jinja2 markupsafe click itsdangerous blinker importlib_metadata zipp".split()
)
UNUSED = shutil.ignore_patterns("__pycache__", "gis", "*.mo", "*.po", "*.js", "*.svg")


def place(names, folder):
    """Copy the packages and modules of these names into the folder; missing ones are left out."""
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is None:
            continue
        if spec.origin is None:  # a namespace
            origin = pathlib.Path(next(iter(spec.submodule_search_locations)), "__init__.py")
        else:
            origin = pathlib.Path(spec.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        if source.is_dir():
            shutil.copytree(source, folder / source.name, ignore=UNUSED)
        else:
            shutil.copy(source, folder / source.name)
