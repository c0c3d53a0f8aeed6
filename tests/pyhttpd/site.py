"""What a test contributes to its server: configuration text and the files it serves."""

import dataclasses
import os
import pathlib
import textwrap
from collections.abc import Sequence
from typing import Union

# Fixed, so that Last-Modified and ETag of static files are the same on every server.
MTIME = 1700000000


@dataclasses.dataclass(frozen=True)
class Site:
    """Configuration text, files below the server root, and how the server is to be run.

    In `conf`, in `files` of type str and in their names `@root@` stands for the server root,
    `@port@` for its port. The document root is `@root@/htdocs`, with AllowOverride All.
    """

    conf: str = ""
    # path below htdocs -> content; str is dedented and written as UTF-8, bytes as they are
    files: dict[str, Union[str, bytes]] = dataclasses.field(default_factory=dict)
    modules: Sequence[str] = ()  # httpd modules beyond site.MODULES, e.g. "proxy"
    python_first: bool = False  # load mod_python before all other modules, not after
    children: int = 1
    threads: int = 10  # per child, in the threaded MPMs
    alone: bool = False  # one child under prefork too, which else starts more when it is busy
    log_level: str = "notice"
    defines: Sequence[str] = ()  # -D options
    env: dict[str, str] = dataclasses.field(default_factory=dict)

    def write(self, root: pathlib.Path, substitute) -> None:
        for name, content in self.files.items():
            write_file(root / "htdocs" / substitute(name), content, substitute)


# What every test server loads, besides its MPM and mod_python.
MODULES = (
    "authn_core authz_core authz_host authz_user auth_basic authn_file access_compat unixd "
    "log_config env setenvif headers alias rewrite dir mime negotiation filter include status "
    "deflate actions autoindex"
).split()


def write_file(path: pathlib.Path, content, substitute=lambda text: text) -> None:
    """Write one file readable by the server's user, with a fixed modification time."""
    missing = []
    parent = path.parent
    while not parent.exists():
        missing.append(parent)
        parent = parent.parent
    for directory in reversed(missing):
        directory.mkdir()
        directory.chmod(0o755)
    if isinstance(content, str):
        content = substitute(textwrap.dedent(content)).encode("utf-8")
    path.write_bytes(content)
    path.chmod(0o644)
    os.utime(path, (MTIME, MTIME))
