"""The certificate of the HTTP API: loaded at the start, and again when its files have changed.

A renewed certificate counts for connections from then on; nothing is restarted. While the files
do not fit each other, as between the writing of the one and of the other, the old pair is served.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # whoever looks at the files before the start needs nothing of the API
    from router.admin.api_problems import Log

Fingerprint = tuple[tuple[int, int, int], ...]


class TlsError(Exception):
    """A certificate and a key that cannot be served, in one line."""


class TlsFiles:
    """A certificate chain and its private key, both PEM; TlsError when they cannot be served."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self.certificate = certificate
        self.key = key
        self._loaded = self._fingerprint()
        self._told = self._loaded
        self._check()

    def renew(self, served: ssl.SSLContext, log: Log) -> None:
        """Load the files again if they have changed, and say so; what is wrong is said once."""
        try:
            now = self._fingerprint()
            if now == self._loaded:
                return
            # First into another context: what fails half-way would leave none to serve.
            self._check()
            served.load_cert_chain(self.certificate, self.key, _no_password)
        except (TlsError, OSError) as error:
            found = () if isinstance(error, OSError) else now
            if found != self._told:
                self._told = found
                log("error", "the API's new certificate cannot be served", reason=str(error))
            return
        self._loaded = self._told = now
        log("info", "the API serves its new certificate", file=str(self.certificate))

    def _check(self) -> None:
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate, self.key, _no_password)
        except (OSError, ValueError) as error:  # of which ssl.SSLError is one
            told = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
            raise TlsError(
                f"the API's certificate {self.certificate} and key {self.key} cannot be served: "
                f"{told}"
            ) from None

    def _fingerprint(self) -> Fingerprint:
        found = []
        for file in (self.certificate, self.key):
            try:
                state = file.stat()
            except OSError as error:
                raise TlsError(f"{file}: {error.strerror}") from None
            found.append((state.st_ino, state.st_size, state.st_mtime_ns))
        return tuple(found)


def _no_password() -> str:
    """Instead of a question at the terminal, for a key that is encrypted."""
    return ""
