"""Options of tlsgrab."""

from __future__ import annotations

from typing import ClassVar, Final

import pydantic

from stages.core.routing import MAX_PORT, parse_ports
from stages.core.settings import Seconds, Section, Size, opt

#: Chains of real servers are some KiB; the bound is for those that never stop.
DEFAULT_MAX_BYTES: Final = 512 * 1024

#: Processes of one tlsgrab: more cores than this are served by more consumers of a log.
MAX_WORKERS: Final = 64

#: Bytes of a protocol name (RFC 7301 section 3.1).
MAX_PROTOCOL: Final = 255

#: Versions by name, the lowest first; `full` has what its library has, TLS 1.0 and above.
VERSIONS: Final = ("ssl3", "tls1.0", "tls1.1", "tls1.2", "tls1.3")

#: How far a handshake goes.
MODES: Final = ("certificate", "hello", "full", "jarm")

#: Protocols inside which TLS may begin (`stages.proto.starttls.registry`; a test holds them equal).
STARTTLS: Final = ("smtp", "imap", "pop3", "ftp", "ldap", "xmpp", "postgres", "mysql", "nntp", "sieve")


class TlsgrabSettings(Section):
    """Tlsgrab: one TLS handshake a hit"""

    renamed: ClassVar[dict[str, str]] = {"min_version": "versions", "max_version": "versions"}

    concurrent: int = opt(500, "-c", "--concurrent", metavar="N", help="connections open at once", ge=1)
    workers: int = opt(
        1,
        "--workers",
        metavar="N",
        help="processes; a network is always one's own, and concurrency and rate are those of all together",
        ge=1,
        le=MAX_WORKERS,
    )
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
    mode: str = opt(
        "certificate",
        "--mode",
        help="hello stops behind the ServerHello, certificate behind the chain, full is a whole handshake,"
        " jarm sends the ten hellos of JARM",
        choices=MODES,
    )
    versions: str = opt(
        "ssl3-tls1.3",
        "--versions",
        metavar="LOWEST[-HIGHEST]",
        help=f"versions to offer, of {', '.join(VERSIONS)}; full begins at tls1.0",
    )
    max_connections: int = opt(
        2,
        "--max-connections",
        metavar="N",
        help="connections to a target that refuses our hello, each with an older or a wider one (not in full mode)",
        ge=1,
    )
    fresh_keys: bool = opt(
        False, "--fresh-keys", help="a new key for each TLS 1.3 handshake instead of the group's base point (slower)"
    )
    sni_literal: bool = opt(False, "--sni-literal", help="ask for addresses too where they are given as names")
    starttls: str | None = opt(
        None,
        "--starttls",
        metavar="NAME",
        help=f"begin TLS inside this protocol, or auto: by the port ({', '.join(STARTTLS)})",
        choices=("auto", *STARTTLS),
    )
    follow_names: int = opt(
        0,
        "--follow-names",
        metavar="N",
        help="ask a target again for the names in its certificates, for N of them at most",
        ge=0,
    )
    max_bytes: Size = opt(
        DEFAULT_MAX_BYTES, "--max-bytes", metavar="SIZE", help="bytes to read of one server, at most", gt=0
    )

    rules: tuple[str, ...] = opt(
        (),
        "--rules",
        metavar="FILES",
        help="mark records with the rules that hold: TOML files, or shipped sets (tor, cpe, appliances), by comma",
    )
    jarm_failures: int = opt(
        3,
        "--jarm-failures",
        metavar="N",
        help="mode jarm: connections to a target that may fail or stay silent before it is given up",
        ge=0,
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

    @pydantic.field_validator("alpn")
    @classmethod
    def _protocol_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not (name.isascii() and 0 < len(name) <= MAX_PROTOCOL):
                raise ValueError(f"a protocol has 1 to {MAX_PROTOCOL} ASCII characters")
        return value

    @pydantic.field_validator("versions")
    @classmethod
    def _versions_in_order(cls, value: str) -> str:
        lowest, _, highest = value.partition("-")
        for version in (lowest, highest or lowest):
            if version not in VERSIONS:
                raise ValueError(f"{version!r} is not one of {', '.join(VERSIONS)}")
        if VERSIONS.index(lowest) > VERSIONS.index(highest or lowest):
            raise ValueError(f"{lowest} is above {highest}")
        return value

    @pydantic.model_validator(mode="after")
    def _what_full_can_do(self) -> TlsgrabSettings:
        if self.mode == "full" and self.version_range[1] == VERSIONS[0]:
            raise ValueError("mode full has no ssl3; certificate has")
        return self

    @pydantic.model_validator(mode="after")
    def _server_name_is_a_name(self) -> TlsgrabSettings:
        if self.server_name is not None:
            from stages.tlsgrab.sni import sni_of  # `--help` validates nothing and must not wait for it

            if sni_of(self.server_name, literal=self.sni_literal) is None:
                raise ValueError("server_name: a host name is asked for; an address only with --sni-literal")
        return self

    @property
    def version_range(self) -> tuple[str, str]:
        """The lowest and the highest version."""
        lowest, _, highest = self.versions.partition("-")
        return lowest, highest or lowest
