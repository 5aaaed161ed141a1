"""Settings of the coordinator and of an agent."""

from __future__ import annotations

from typing import Final

import pydantic

from stages.core.settings import Seconds, Section, Size, opt
from stages.fleet.policy import DEFAULT_SYN_PER_TARGET

#: Where a coordinator listens, as dnmap's server did.
PORT: Final = 46_001

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

    listen: str = opt(f":{PORT}", "--listen", metavar="HOST:PORT", help="where agents come to; [::]:46001 for IPv6 too")
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
    def address(self) -> tuple[str, int]:
        host, _, port = self.listen.rpartition(":")
        return host.removeprefix("[").removesuffix("]") or "0.0.0.0", int(port)

    @pydantic.field_validator("listen")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        _, colon, port = value.rpartition(":")
        if not colon or not port.isdecimal() or int(port) > 65_535:
            raise ValueError("not HOST:PORT")
        return value


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
