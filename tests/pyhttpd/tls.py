"""Encrypted connections: the certificate of a test's server, and what clients need to trust it."""

import pathlib
import ssl
import subprocess
from collections.abc import Sequence

COMMAND = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
MODULES = ("ssl", "socache_shmcb")


def virtual_host(port: int) -> str:
    """Configuration for encrypted connections, with what `make_certificate` makes."""
    return f"""
        Listen 127.0.0.1:{port}
        <VirtualHost 127.0.0.1:{port}>
            SSLEngine on
            SSLCertificateFile @root@/cert.pem
            SSLCertificateKeyFile @root@/key.pem
        </VirtualHost>
    """


def make_certificate(root: pathlib.Path) -> None:
    """A certificate for localhost in a server's root."""
    subprocess.run(
        [*COMMAND.split(), "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=root,
        check=True,
        capture_output=True,
    )


def context(root: pathlib.Path, protocols: Sequence[str] = ()) -> ssl.SSLContext:
    """For clients of the server with this root; `protocols` are ALPN's."""
    made = ssl.create_default_context(cafile=root / "cert.pem")
    if protocols:
        made.set_alpn_protocols(list(protocols))
    return made
