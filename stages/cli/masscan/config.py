"""What a masscan command line and its configuration files say, with masscan's defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

#: masscan's defaults where they are not ours.
RATE: Final = 100.0
WAIT: Final = 10.0
TTL: Final = 255
CONNECTION_TIMEOUT: Final = 30.0
HELLO_TIMEOUT: Final = 2.0
USER_AGENT: Final = "longline/1.0"

#: `--wait forever`: ten years.
FOREVER: Final = 315_360_000.0

#: Where masscan's own defaults stand on a machine.
SYSTEM_FILE: Final = "/etc/masscan/masscan.conf"


@dataclass(slots=True)
class Config:
    """Filled option by option, in the order in which they come; the last word counts."""

    # Targets.
    ranges: list[str] = field(default_factory=list)
    include_files: list[str] = field(default_factory=list)
    excludes: list[str] = field(default_factory=list)
    exclude_files: list[str] = field(default_factory=list)
    tcp: set[int] = field(default_factory=set)
    udp: set[int] = field(default_factory=set)
    ping: bool = False
    not_tcp: set[int] = field(default_factory=set)
    not_udp: set[int] = field(default_factory=set)
    # Order and pace.
    rate: float = RATE
    shard: int = 1  #: counted from 1
    shards: int = 1
    seed: int | None = None
    retries: int = 0
    wait: float = WAIT
    resume_index: int = 0
    resume_count: int | None = None
    # Packets.
    adapter: str | None = None
    adapter_ip: str | None = None
    adapter_port: str | None = None
    adapter_mac: str | None = None
    router_mac: str | None = None
    vlan: int | None = None
    ttl: int = TTL
    reset: bool = True
    pcap: str | None = None
    payloads: tuple[str, str] | None = None  #: (nmap-payloads or pcap-payloads, file)
    # Banners.
    banners: bool = False
    connection_timeout: float = CONNECTION_TIMEOUT
    hello_timeout: float = HELLO_TIMEOUT
    http: dict[str, str] = field(default_factory=dict)  #: method, url, version, host, user-agent, cookie, payload
    http_fields: list[tuple[str, str]] = field(default_factory=list)
    # Output.
    output_format: str | None = None
    output_filename: str | None = None
    append: bool = False
    show_open: bool = True
    show_closed: bool = False
    interactive: bool = False
    status: bool = True
    verbosity: int = 0
    rotate: float | None = None
    rotate_offset: float = 0.0
    rotate_size: int | None = None
    rotate_dir: str | None = None
    # What to do.
    action: str = "scan"
    echo_cidr: bool = False
    readscan: list[str] = field(default_factory=list)
    packet_trace: bool = False
    system_config: bool = True
    checkpoint: str | None = None  #: of a `paused.conf` that is ours
    explain: bool = False
    confirm_over: int | None = None
    spec: bool = False  #: --echo writes our own form
    notes: list[str] = field(default_factory=list)  #: said before the scan: what was ignored, and why

    @property
    def ports(self) -> bool:
        """Whether anything is to be probed."""
        return bool(self.tcp - self.not_tcp or self.udp - self.not_udp or self.ping)
