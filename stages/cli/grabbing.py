"""What `scan --grab` says on the connections that the scan opens: bannergrab's and tlsgrab's dialogues and records,
handed to the scanner as callables, for no stage knows another.

Times and limits are those of the two stages' own sections of the settings; what was typed for the scan wins.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from stages.core.errors import UsageError
from stages.scanner.grab_settings import TLS, WAIT, GrabSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stages.core.bus.base import Topics
    from stages.core.outcome import Outcome
    from stages.core.records import Hit
    from stages.core.settings import ContinueSettings, Loaded
    from stages.net.conversation import Conversation, Dialogue
    from stages.scanner.hits import HitSource
    from stages.scanner.plugins.base import Plugin
    from stages.scanner.said import Grabbing, Onward, Plain, Render
    from stages.scanner.settings import ScannerSettings


def onward_of(loaded: Loaded, topics: Topics, plugins: Sequence[Plugin] = ()) -> Onward:
    """What becomes of the connections of a scan. Raises UsageError."""
    from stages.core.settings import ContinueSettings
    from stages.scanner.said import Onward
    from stages.scanner.settings import ScannerSettings

    asking = [plugin for plugin in plugins if plugin.grab is not None]
    grab = loaded.get("grab", GrabSettings)
    if asking:
        if len(asking) > 1 or grab.what is not None or grab.hold:
            raise UsageError(
                "--plugin",
                type(asking[0]).__qualname__,
                "talks to what is found, and so does --grab, --hold or another",
            )
        loaded = loaded.changed("grab", what=asking[0].grab)
        grab = loaded.get("grab", GrabSettings)
    more = loaded.get("continue", ContinueSettings)
    scanner = loaded.get("scanner", ScannerSettings)
    grabbing = None
    if grab.what is not None:
        _check(scanner, "--grab", grab.what)
        grabbing = _tls(loaded, grab, more, topics) if grab.what == TLS else _banners(loaded, grab, more, topics)
    elif grab.hold:
        _check(scanner, "--hold", None)
    most = more.max_syn_per_target
    if most is not None and scanner.attempts > most:
        raise UsageError(
            "--max-syn-per-target", most, f"-P and --retries make {scanner.attempts} SYNs to a target that is silent"
        )
    return Onward(
        grabbing,
        grab.output,
        grab.hold_time if grab.hold else None,
        more.scanner if more.scanner is not None else socket.gethostname(),
        most,
        selected=bool(asking),
    )


def _check(scanner: ScannerSettings, place: str, value: str | None) -> None:
    if scanner.probe_module != "tcp_synscan":
        raise UsageError(place, value, f"{scanner.probe_module} opens no connections to go on with; tcp_synscan does")
    if scanner.dedup_method == "none":
        raise UsageError(place, value, "needs to know which answers are repeats: not with --dedup-method none")


def _typed(grab: GrabSettings, **names: str) -> dict[str, Any]:
    """field of a stage's section -> value, of what was typed for the scan."""
    return {ours: value for ours, theirs in names.items() if (value := getattr(grab, theirs)) is not None}


def _banners(loaded: Loaded, grab: GrabSettings, more: ContinueSettings, topics: Topics) -> Grabbing:
    from stages.bannergrab.app import script_of
    from stages.bannergrab.endings import banner_of, expired, outcome_of, told_of
    from stages.bannergrab.fixed import fixed_of
    from stages.bannergrab.lines import BannerLines, Common
    from stages.bannergrab.settings import BannergrabSettings
    from stages.proto.dialogues.registry import DIALOGUES
    from stages.scanner.said import Grabbing

    said = _typed(
        grab, wait="wait", read_timeout="read_timeout", first_timeout="read_timeout", idle_timeout="idle_timeout",
        total_timeout="total_timeout", max_bytes="max_bytes",
    )  # fmt: skip
    named = grab.what in DIALOGUES
    if grab.wait and (named or grab.what == WAIT):
        raise UsageError("--wait", grab.wait, f"is about a payload, and --grab {grab.what} has none")
    if named or grab.what == WAIT:
        said |= {"talk": grab.what if named else None, "data": None, "wait": 0.0, "until": None}
    else:
        said |= {"talk": None, "data": grab.what}
    settings = loaded.changed("bannergrab", **said, transport="tcp", udp=False).get("bannergrab", BannergrabSettings)
    script = script_of(settings)
    shared = script.begin("") if script.stateless else None

    def begin(address: str, port: int) -> Dialogue:
        return shared if shared is not None else script.begin(address, port)

    def record(conversation: Conversation, hit: Hit) -> tuple[Outcome, bytes]:
        told = told_of(conversation.dialogue)
        outcome = outcome_of(conversation, told)
        return outcome, banner_of(conversation, hit, outcome, script.probe, "tcp", told).dump()

    def render(source: HitSource) -> Render:
        common = Common(source.scan, source.vantage, source.probe, script.probe, asked=more.control_port)
        return BannerLines(common).lines

    fixed = fixed_of(script, settings.max_bytes)
    return Grabbing(
        name=script.probe,
        topic=topics.banners,
        begin=begin,
        record=record,
        expired=lambda hit, ts: expired(hit, ts, script.probe).dump(),
        fixed=fixed,
        render=render if fixed is not None else None,
        close=more.close,
        capacity=grab.concurrent,
        max_bytes=settings.max_bytes,
        total=settings.total_timeout,
        connect_timeout=settings.conn_timeout,
        control=more.control_port,
        syns=more.max_syn_per_target,
    )


def _tls(loaded: Loaded, grab: GrabSettings, more: ContinueSettings, topics: Topics) -> Grabbing:
    from stages.scanner.said import Grabbing
    from stages.tlsgrab.endings import expired, outcome_of, record_of
    from stages.tlsgrab.lines import Common, TlsLines
    from stages.tlsgrab.modes import mode_of
    from stages.tlsgrab.settings import TlsgrabSettings
    from stages.tlsgrab.sni import sni_of

    for name in ("wait", "idle_timeout", "total_timeout"):
        if getattr(grab, name) is not None:
            raise UsageError(grab.option(name).flags[0], None, "is not for --grab tls, whose time is --read-timeout")
    said = _typed(grab, handshake_timeout="read_timeout", max_bytes="max_bytes")
    # One connection is there: a server that refuses this hello is not asked with another one.
    settings = loaded.changed("tlsgrab", **said, mode="certificate", max_connections=1, follow_names=0).get(
        "tlsgrab", TlsgrabSettings
    )
    mode = mode_of(settings)
    server_name = sni_of(settings.server_name, literal=settings.sni_literal)

    def begin(address: str, port: int) -> Dialogue:
        handshake: Dialogue = mode.begin(server_name, "", port)
        return handshake

    def record(conversation: Conversation, hit: Hit) -> tuple[Outcome, bytes]:
        handshake: Any = conversation.dialogue
        outcome, phase = outcome_of(conversation, handshake)
        return outcome, record_of(conversation, hit, handshake, outcome, phase, mode=mode.name).dump()

    def plain(source: HitSource) -> Plain:
        common = Common(source.scan, source.vantage, mode.name, source.probe, asked=more.control_port)
        return TlsLines(common).keyed

    return Grabbing(
        name=f"tls:{mode.name}",
        topic=topics.tls,
        begin=begin,
        record=record,
        expired=lambda hit, ts: expired(hit, ts, mode.name).dump(),
        plain=plain,
        close=more.close,
        capacity=grab.concurrent,
        max_bytes=settings.max_bytes,
        total=settings.conn_timeout + settings.handshake_timeout,
        connect_timeout=settings.conn_timeout,
        keep_data=False,
        control=more.control_port,
        syns=more.max_syn_per_target,
    )
