"""Options of tlsgrab."""

from __future__ import annotations

from typing import Final

import pydantic

from stages.core.routing import MAX_PORT, parse_ports
from stages.core.settings import Seconds, Section, Size, opt

#: Chains of real servers are some KiB; the bound is for those that never stop.
DEFAULT_MAX_BYTES: Final = 512 * 1024

#: Bytes of a protocol name (RFC 7301 section 3.1).
MAX_PROTOCOL: Final = 255

#: What `openssl` can offer, in order.
VERSIONS: Final = ("tls1.0", "tls1.1", "tls1.2", "tls1.3")


class TlsgrabSettings(Section):
    """Tlsgrab: one TLS handshake a hit"""

    concurrent: int = opt(500, "-c", "--concurrent", metavar="N", help="connections open at once", ge=1)
    port: int | None = opt(
        None, "-p", "--port", metavar="PORT", help="port of input lines that name none", ge=1, le=MAX_PORT
    )
    ports: str | None = opt(
        None,
        "--ports",
        metavar="PORTS",
        help="take hits on these ports only; default: on a bus the usual TLS ports, on a pipe all",
    )
    conn_timeout: Seconds = opt(
        4.0, "-t", "--conn-timeout", metavar="SECONDS", help="seconds to connect, at most", gt=0
    )
    conn_timeout_min: Seconds = opt(
        2.0,
        "--conn-timeout-min",
        metavar="SECONDS",
        help="seconds to connect, at least, where the hit's round-trip time makes it shorter",
        gt=0,
    )
    handshake_timeout: Seconds = opt(
        10.0,
        "-r",
        "--handshake-timeout",
        metavar="SECONDS",
        help="seconds to wait for the server's next bytes; the whole takes at most --conn-timeout more",
        gt=0,
    )
    server_name: str | None = opt(
        None, "--server-name", metavar="NAME", help="name to ask for (SNI) where the input gives none"
    )
    alpn: tuple[str, ...] = opt(("h2", "http/1.1"), "--alpn", metavar="NAMES", help="protocols to offer, by comma")
    min_version: str | None = opt(None, "--min-version", help="lowest version to offer", choices=VERSIONS)
    max_version: str | None = opt(None, "--max-version", help="highest version to offer", choices=VERSIONS)
    max_bytes: Size = opt(
        DEFAULT_MAX_BYTES, "--max-bytes", metavar="SIZE", help="bytes to read of one server, at most", gt=0
    )

    format: str = opt(
        "json",
        "-f",
        "--format",
        help="lines on standard output: json (the records), or zgrab2 (as its `tls` prints them)",
        choices=("json", "zgrab2"),
    )

    @pydantic.field_validator("ports")
    @classmethod
    def _readable_ports(cls, value: str | None) -> str | None:
        if value is not None:
            parse_ports(value)
        return value

    @pydantic.field_validator("server_name")
    @classmethod
    def _host_name(cls, value: str | None) -> str | None:
        if value is not None:
            from stages.tlsgrab.sni import sni_of  # `--help` validates nothing and must not wait for it

            if sni_of(value) is None:
                raise ValueError("a host name is asked for, never an address")
        return value

    @pydantic.field_validator("alpn")
    @classmethod
    def _protocol_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not (name.isascii() and 0 < len(name) <= MAX_PROTOCOL):
                raise ValueError(f"a protocol has 1 to {MAX_PROTOCOL} ASCII characters")
        return value

    @pydantic.model_validator(mode="after")
    def _versions_in_order(self) -> TlsgrabSettings:
        if (
            self.min_version
            and self.max_version
            and VERSIONS.index(self.min_version) > VERSIONS.index(self.max_version)
        ):
            raise ValueError(f"min_version {self.min_version} is above max_version {self.max_version}")
        return self
