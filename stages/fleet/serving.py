"""What a notice page is served on: sockets, bound while there is the privilege, and the certificate shown there."""

from __future__ import annotations

import datetime as dt
import os
import socket
import ssl
import tempfile
from collections.abc import Iterable
from pathlib import Path

from stages.core.errors import HostError, UsageError
from stages.fleet import selfsigned


def bound(option: str, host: str, port: int) -> socket.socket:
    """A TCP socket of (host, port), not listening yet; without a host all addresses, of both IP versions where there
    are two. Raises HostError, UsageError."""
    both = not host and socket.has_dualstack_ipv6()
    try:
        found = socket.getaddrinfo(
            host or ("::" if both else "0.0.0.0"), port, type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE | socket.AI_NUMERICHOST,
        )  # fmt: skip
    except socket.gaierror:
        raise UsageError(option, host, "not an address of this host") from None
    family, _, _, _, address = found[0]
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not both)
        made.bind(address)
    except OSError as error:
        made.close()
        mend = "; ports below 1024 need CAP_NET_BIND_SERVICE" if isinstance(error, PermissionError) else ""
        raise HostError(f"{option}: port {port} of {host or 'this host'}: {error.strerror}{mend}") from None
    return made


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


class Shown:
    """A certificate as a TLS server shows it. `names`: what one of its own is for, where no files are given."""

    def __init__(self, certificate: str | None, key: str | None, names: Iterable[str], now: dt.datetime) -> None:
        """Blocks. Raises UsageError for files that are none."""
        self.context = self._current = _context()  #: what a server listens with
        self.context.sni_callback = self._choose
        self._files: tuple[str, str] | None = None
        if certificate is not None:
            self._files = (certificate, key or certificate)
            self.again()
        else:
            self._own(selfsigned.made(names, now))

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, context: ssl.SSLContext) -> None:
        """The newest certificate, for a handshake that begins. (In a context that is in use a certificate stands for a
        moment without its key while both are read.)"""
        connection.context = self._current

    def again(self) -> None:
        """Read the files again: they were renewed. New connections see it. Blocks. Raises UsageError, and the old
        certificate is shown still."""
        if self._files is None:
            return
        certificate, key = self._files
        for option, file in (("--certificate", certificate), ("--key", key)):
            try:
                Path(file).read_bytes()
            except OSError as error:
                raise UsageError(option, file, error.strerror or str(error)) from None
        try:
            renewed = _context()
            renewed.load_cert_chain(certificate, key, password="")
        except (OSError, ssl.SSLError) as error:
            raise UsageError("--certificate", certificate, f"no certificate with its key: {error}") from None
        self._current = renewed

    def _own(self, made: tuple[bytes, bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:  # OpenSSL takes them from files only
            file = Path(folder) / "certificate.pem"
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "wb") as out:
                out.write(b"".join(made))
            self._current.load_cert_chain(file)
