"""`--echo`: the configuration in force, in the form that `-c` reads, ours and masscan's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stages.cli.masscan.config import CONNECTION_TIMEOUT, FOREVER, HELLO_TIMEOUT, TTL, WAIT, Config
from stages.cli.masscan.values import cidrs
from stages.scanner.ports import MAX_PORT, ports_text

_ALL: Final = f"0-{MAX_PORT}"


def echo(config: Config) -> str:
    """The file. A test holds that it is read again as what it was made from."""
    return "".join(f"{line}\n" for line in _lines(config))


def ports(config: Config) -> str:
    """`80,443,U:53,I:0`. Each part with its prefix: one holds until the next in ours and in masscan's readers."""
    parts = [ports_text(tuple(sorted(config.tcp - config.not_tcp))).replace("*", _ALL)] if config.tcp else []
    udp = ports_text(tuple(sorted(config.udp - config.not_udp))).replace("*", _ALL) if config.udp else ""
    parts += [f"U:{item}" for item in udp.split(",") if item]
    if config.ping:
        parts.append("I:0")
    return ",".join(part for part in parts if part)


def _lines(config: Config) -> Iterator[str]:
    if config.seed is not None:
        yield f"seed = {config.seed}"
    yield f"rate = {config.rate:.10g}"
    yield f"shard = {config.shard}/{config.shards}"
    if config.retries:
        yield f"retries = {config.retries}"
    if config.wait != WAIT:
        yield "wait = forever" if config.wait >= FOREVER else f"wait = {config.wait:.10g}"
    if config.resume_index:
        yield f"resume-index = {config.resume_index}"
    if config.resume_count is not None:
        yield f"resume-count = {config.resume_count}"
    if config.payloads is not None:
        yield "{} = {}".format(*config.payloads)
    yield from _banners(config)
    yield from _adapter(config)
    yield from _output(config)
    yield ""
    yield "# TARGET SELECTION (IP, PORTS, EXCLUDES)"
    yield f"ports = {ports(config)}"
    for text in config.ranges:
        for each in cidrs(text) if config.echo_cidr else (text,):
            yield f"range = {each}"
    for name, values in (
        ("includefile", config.include_files), ("exclude", config.excludes), ("excludefile", config.exclude_files)
    ):  # fmt: skip
        for value in values:
            yield f"{name} = {value}"


def _adapter(config: Config) -> Iterator[str]:
    for name, value in (
        ("adapter", config.adapter), ("adapter-ip", config.adapter_ip), ("adapter-port", config.adapter_port),
        ("adapter-mac", config.adapter_mac), ("router-mac", config.router_mac), ("adapter-vlan", config.vlan),
        ("pcap", config.pcap),
    ):  # fmt: skip
        if value is not None:
            yield f"{name} = {value}"
    if config.ttl != TTL:
        yield f"ttl = {config.ttl}"
    if not config.reset:
        yield "noreset = true"


def _banners(config: Config) -> Iterator[str]:
    if config.banners:
        yield "banners = true"
    if config.connection_timeout != CONNECTION_TIMEOUT:
        yield f"connection-timeout = {config.connection_timeout:.10g}"
    if config.hello_timeout != HELLO_TIMEOUT:
        yield f"hello-timeout = {config.hello_timeout:.10g}"
    for name, value in config.http.items():
        yield f"http-{name} = {value}"
    for name, value in config.http_fields:
        yield f"http-field = {name}: {value}"


def _output(config: Config) -> Iterator[str]:
    if config.output_filename is not None:
        yield f"output-filename = {config.output_filename}"
    if config.output_format is not None:
        yield f"output-format = {config.output_format}"
    if config.append:
        yield "output-append = true"
    if config.show_closed:
        yield "show = closed"
    if not config.show_open:
        yield "noshow = open"
    if not config.status:
        yield "nostatus = true"
    if config.rotate is not None:
        yield f"rotate = {config.rotate:.10g}"
    if config.rotate_offset:
        yield f"rotate-offset = {config.rotate_offset:.10g}"
    if config.rotate_size is not None:
        yield f"rotate-size = {config.rotate_size}"
    if config.rotate_dir is not None:
        yield f"rotate-dir = {config.rotate_dir}"
