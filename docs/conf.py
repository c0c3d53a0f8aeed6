"""How Sphinx makes the documentation; `make docs` runs it."""

import pathlib
import re
import sys

HERE = pathlib.Path(__file__).parent
REPOSITORY = HERE.parent
sys.path[:0] = [str(HERE), str(REPOSITORY / "python")]

project = "mod_python"
copyright = "the mod_python authors"
release = re.search(r'^version = "(.+)"', (REPOSITORY / "Cargo.toml").read_text(), re.M).group(1)
version = release.rpartition(".")[0]

extensions = ["myst_parser", "generator"]
exclude_patterns = ["generator", "tables", "**/_*.md", "README.md"]
source_suffix = {".md": "markdown"}
root_doc = "index"
nitpicky = True

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

html_theme = "furo"
html_title = "mod_python " + release
html_copy_source = False
html_show_sourcelink = False
highlight_language = "text"
pygments_style = "tango"
smartquotes = False  # what is typed in a shell stays as it is
