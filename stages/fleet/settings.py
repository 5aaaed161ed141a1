"""Settings of the coordinator and of an agent."""

from __future__ import annotations

from typing import Final

import pydantic

from stages.core.settings import Seconds, Section, Size, opt
from stages.fleet.policy import DEFAULT_SYN_PER_TARGET

#: Where a coordinator listens, as dnmap's server did.
PORT: Final = 46_001

#: Instead of HOST:PORT.
NOWHERE: Final = "none"

#: Seconds of silence after which a slice goes to another agent: some thirty signs of life that did not come.
DEFAULT_AGENT_TIMEOUT: Final = 60.0

#: Connections of an agent's grabs open at once: a home's router keeps track of some thousand.
DEFAULT_CONCURRENT: Final = 500


class FleetSettings(Section):
    """Fleet: the coordinator's files"""

    state: str = opt("fleet.db", "--state", metavar="FILE", help="what the coordinator knows, a SQLite file")
    folder: str = opt("fleet", "--folder", metavar="DIR", help="keys and certificates")


class CoordinatorSettings(Section):
    """Coordinator: gives slices of scans to agents"""

    listen: str = opt(
        f":{PORT}",
        "--listen",
        metavar="HOST:PORT",
        help="where agents come to; [::]:46001 for IPv6 too; none: by --work only",
    )
    work: str | None = opt(
        None,
        "--work",
        metavar="URL",
        help="log by which agents come too: kafka://HOST:PORT[,HOST:PORT][/PREFIX] (or sqlite:FILE, on one host)",
    )
    agent_timeout: Seconds = opt(
        DEFAULT_AGENT_TIMEOUT,
        "--agent-timeout",
        metavar="SECONDS",
        help="silence after which an agent's slice goes to another",
        ge=5,
    )
    slice_seconds: Seconds = opt(120.0, "--slice-seconds", metavar="SECONDS", help="work in one slice, at most", gt=0)
    watch: str | None = opt(
        None, "--watch", metavar="DIR", help="submit each *.toml, and each line of each *.txt, that is laid there"
    )

    optout: str | None = opt(
        None, "--optout", metavar="FILE", help="who wants to be left alone, by every agent (longline optout keeps it)"
    )

    @property
    def address(self) -> tuple[str, int] | None:
        if self.listen == NOWHERE:
            return None
        host, _, port = self.listen.rpartition(":")
        return host.removeprefix("[").removesuffix("]") or "0.0.0.0", int(port)

    @pydantic.field_validator("listen")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        _, colon, port = value.rpartition(":")
        if value != NOWHERE and (not colon or not port.isdecimal() or int(port) > 65_535):
            raise ValueError(f"not HOST:PORT or {NOWHERE}")
        return value

    @pydantic.model_validator(mode="after")
    def _somewhere(self) -> CoordinatorSettings:
        if self.listen == NOWHERE and self.work is None:
            raise ValueError(f"--listen {NOWHERE} needs --work: agents could not come at all")
        return self


class AgentSettings(Section):
    """Agent: scans slices for coordinators, as far as it likes"""

    alias: str = opt("", "--alias", metavar="NAME", help="what this agent is called here, before it is enrolled")
    token: str | None = opt(
        None, "--token", metavar="TOKEN", help="one-time token of longline fleet enrol: enrol, then begin", secret=True
    )
    folder: str = opt("agent", "--folder", metavar="DIR", help="key, certificate, and what waits to be handed over")
    max_rate: float = opt(
        1_000.0, "--max-rate", metavar="PPS", help="probes per second, at most, whoever asks for more", gt=0
    )
    syn_per_target: int = opt(
        DEFAULT_SYN_PER_TARGET,
        "--max-syn-per-target",
        metavar="N",
        help="probes, and connections of grabs, that a target gets, at most",
        ge=1,
    )
    grab: str = opt(
        "none", "--grab", metavar="NAMES", help="what may be done with open ports from here: banner, tls, both, or none"
    )
    concurrent: int = opt(
        DEFAULT_CONCURRENT, "--grab-concurrent", metavar="N", help="connections of grabs open at once, at most", ge=1
    )
    modules: str | None = opt(
        None, "--probe-modules", metavar="NAME[,NAME]", help="probe modules that are done here; default: all"
    )
    ports: str | None = opt(None, "--ports", metavar="PORTS", help="ports that are scanned from here; default: all")
    hours: str = opt("0-24", "--hours", metavar="H-H", help="local hours of the day to work in, such as 22-6")
    engine: str = opt("auto", "--engine", help="how to probe", choices=("auto", "packet", "connect"))
    keep: str | None = opt(None, "--keep", metavar="FILE", help="results are written here too, as JSON Lines")
    spool_bytes: Size = opt(512 * 2**20, help="bytes of results that wait for a coordinator, at most", gt=0)


class NoticeSettings(Section):
    """Notice: the page on a scan source's ports 80 and 443"""

    file: str = opt("notice.toml", "--notice", metavar="FILE", help="what the page says")
    http: str = opt(":80", "--http", metavar="HOST:PORT", help="where it is served; empty: not at all")
    https: str = opt(":443", "--https", metavar="HOST:PORT", help="the same over TLS, with the form")
    certificate: str | None = opt(
        None, "--certificate", metavar="FILE", help="PEM, with its chain; default: one that the page signs itself"
    )
    key: str | None = opt(None, "--key", metavar="FILE", help="PEM; default: in the file of the certificate")
    requests: str = opt("notice.db", "--requests", metavar="FILE", help="who may use the form, and what they asked for")
    optout: str = opt("optout.txt", "--optout", metavar="FILE", help="the list, to tell who is on it already")
    form: bool = opt(True, "--form", help="a form for those who were invited")

    @pydantic.field_validator("http", "https")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        _, colon, port = value.rpartition(":")
        if value and (not colon or not port.isdecimal() or int(port) > 65_535):
            raise ValueError("not HOST:PORT")
        return value


def parted(address: str) -> tuple[str, int]:
    """(host, port) of a HOST:PORT that was validated."""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)
