"""A masscan configuration as settings of ours: what `longline scan` is told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from stages.cli.masscan.config import USER_AGENT, Config
from stages.cli.masscan.values import parse_ranges
from stages.core.errors import UsageError
from stages.scanner.parts import Part
from stages.scanner.ports import ports_text
from stages.scanner.probes import entry

#: masscan's format -> output module.
MODULES: Final = {
    "xml": "xml", "json": "masscan-json", "ndjson": "ndjson", "list": "masscan-list", "grepable": "grepable",
    "unicornscan": "unicornscan", "hostonly": "hostonly", "binary": "binary", "interactive": "interactive",
    "none": "null",
}  # fmt: skip

#: Where a format is not named, but a file is.
DEFAULT_FORMAT: Final = "xml"

#: The order of those who name none, and want a part of it: all machines must walk the same.
SHARED_SEED: Final = 0

#: masscan sends again a second later.
_RETRY_INTERVAL: Final = 1.0

_LOUDEST: Final = 5
_USUAL: Final = 3

#: What begins a comment in a list of masscan's.
_COMMENT: Final = re.compile(r"[^0-9A-Fa-f:\[]").match

Values = dict[str, object]


def parts_of(config: Config) -> list[Part]:
    """What is probed. Raises UsageError: nothing."""
    parts = []
    for probe, ports in (("tcp_synscan", config.tcp - config.not_tcp), ("udp", config.udp - config.not_udp)):
        if ports:
            args = f"payloads:{config.payloads[1]}" if probe == "udp" and config.payloads is not None else ""
            parts.append(Part(probe, tuple(sorted(ports)), args))
    if config.ping:
        parts.append(Part("icmp_echoscan", (0,)))
    if not parts:
        raise UsageError("-p", None, "no port to scan: name some (-p80,443,U:53), or --ping")
    return parts


def targets_of(config: Config) -> tuple[str, ...]:
    """The targets, files read. Raises UsageError: none."""
    found = list(config.ranges)
    for file in config.include_files:
        found += read_ranges(file, "-iL")
    if not found:
        raise UsageError("target", None, "no target: name an address, a network or a range")
    return tuple(found)


def read_ranges(file: str, place: str) -> list[str]:
    """A list of masscan's: ranges by lines and commas. Raises UsageError that names file and line."""
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(place, file, getattr(error, "strerror", None) or str(error)) from None
    found: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        content = line.partition("#")[0].strip().strip(",")
        if not content or _COMMENT(content):
            continue
        column = len(line) - len(line.lstrip()) + 1
        try:
            found += parse_ranges(content)
        except ValueError as error:
            raise UsageError(f"{file}:{number}:{column}", content, str(error)) from None
    return found


def lists_of(config: Config) -> Values:
    """What is excluded: files that are lists of ours too are looked at again when they change."""
    excludes, files = list(config.excludes), []
    for file in config.exclude_files:
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError("--excludefile", file, getattr(error, "strerror", None) or str(error)) from None
        if re.search(r"^[^#]*,|^\s*[;/!]", text, re.MULTILINE):
            excludes += read_ranges(file, "--excludefile")
        else:
            files.append(file)
    values: Values = {}
    if excludes:
        values["exclude"] = tuple(excludes)
    if files:
        values["blocklist_file"] = tuple(files)
    return values


def scanner_of(config: Config) -> Values:
    """The section `scanner`. Raises UsageError for what does not go together."""
    values: Values = {
        "targets": targets_of(config),
        "rate": config.rate,
        "cooldown_time": config.wait,
        "probe_ttl": config.ttl,
        "retries": config.retries,
        "retry_interval": _RETRY_INTERVAL,
        "shards": config.shards,
        "shard": config.shard - 1,
        "quiet": not config.status,
        "verbosity": min(_USUAL + config.verbosity, _LOUDEST),
        **_probes(parts_of(config)),
        **_output(config),
    }
    seed = config.seed
    if seed is None and (config.shards > 1 or config.resume_index or config.resume_count is not None):
        seed = SHARED_SEED
    optional = {
        "seed": seed,
        "interface": config.adapter,
        "source_ip": config.adapter_ip,
        "source_port": config.adapter_port,
        "source_mac": config.adapter_mac,
        "gateway_mac": config.router_mac,
        "vlan": config.vlan,
        "pcap": config.pcap,
        "first_target": config.resume_index or None,
        "max_targets": None if config.resume_count is None else str(config.resume_count),
        "send_rst": None if config.reset else "never",
    }
    return values | {name: value for name, value in optional.items() if value is not None}


def grab_of(config: Config) -> Values:
    """The section `grab`: what `--banners` becomes. A server may speak first; one that is silent is asked for a page.

    `what` is the request itself: see `request_of`.
    """
    if not config.banners:
        return {}
    return {
        "what": "http-req",
        "wait": config.hello_timeout,
        "total_timeout": config.connection_timeout,
    }


def request_of(config: Config) -> bytes:
    """The HTTP request that the options ask for (RFC 9112 section 3)."""
    http = config.http
    lines = [f"{http.get('method', 'GET')} {http.get('url', '/')} {_version(http.get('version', '1.0'))}"]
    fields = {"User-Agent": http.get("user-agent", USER_AGENT), "Accept": "*/*"}
    for name, field in (("host", "Host"), ("cookie", "Cookie")):
        if name in http:
            fields[field] = http[name]
    payload = http.get("payload", "").encode()
    if payload:
        fields["Content-Length"] = str(len(payload))
    own = {name.lower() for name, _ in config.http_fields}
    lines += [f"{name}: {value}" for name, value in fields.items() if name.lower() not in own]
    lines += [f"{name}: {value}" for name, value in config.http_fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + payload


def _version(text: str) -> str:
    return text if text.upper().startswith("HTTP/") else f"HTTP/{text}"


def _probes(parts: list[Part]) -> Values:
    if len(parts) > 1:
        return {"probe": tuple(part.text() for part in parts)}
    (part,) = parts
    ports: Values = {"target_ports": ports_text(part.ports)} if entry(part.probe).ports else {}
    args: Values = {"probe_args": part.args} if part.args else {}
    return {"probe_module": part.probe, **ports, **args}


def show_of(config: Config) -> str:
    """What states are written. Raises UsageError: none."""
    if not config.show_open and not config.show_closed:
        raise UsageError("--noshow", "all", "nothing is left to show")
    return "all" if config.show_open and config.show_closed else "closed" if config.show_closed else "open"


def _output(config: Config) -> Values:
    name, form = config.output_filename, config.output_format
    if name is None:
        if form not in (None, "none", "interactive"):
            raise UsageError("--output-format", form, "needs --output-filename: where to write it")
        if config.append:
            config.append = False
        if config.rotate is not None or config.rotate_size is not None:
            raise UsageError("--rotate", None, "moves a file away, and none is named (-oX FILE): the screen stays")
        form = form or "interactive"
    form = form or DEFAULT_FORMAT
    values: Values = {"output_module": MODULES[form]}
    if MODULES[form] != "null":
        values["show"] = show_of(config)
    if name is not None:
        values["output_file"] = name
        if config.append:
            values["append_output"] = True
        rotation = {"rotate": config.rotate, "rotate_size": config.rotate_size}
        values |= {key: value for key, value in rotation.items() if value is not None}
        if config.rotate_dir is not None:
            values["rotate_dir"] = config.rotate_dir
        if config.rotate_offset:
            values["rotate_offset"] = config.rotate_offset
    return values
