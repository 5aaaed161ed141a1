"""What is to be grabbed of a fleet's scan, out of a scan's file: typed fields, named words.

    [bannergrab]    banners, with what is set there; an empty section is enough
    [tlsgrab]       certificates, likewise
    [grab]          as `scan --grab`: one word for every open port (an agent opens a connection of its own for it)

What an agent would be asked to send to strangers has a name: a payload of one's own, or a pattern to match against what
strangers say, cannot be asked of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final, get_args

from stages.core.errors import UsageError
from stages.core.routing import ALL
from stages.fleet.work import PAYLOADS, BannerGrab, Saying, TlsGrab

if TYPE_CHECKING:
    from stages.core.section import Section
    from stages.core.settings import Loaded

SECTIONS: Final = ("bannergrab", "tlsgrab")

#: Settings of the two stages that a work carries, by the names that they have in both.
CARRIED: Final[Mapping[str, Collection[str]]] = {
    "bannergrab": ("ports", "conn_timeout", "read_timeout", "idle_timeout", "total_timeout", "max_bytes"),
    "tlsgrab": ("ports", "mode", "starttls", "conn_timeout", "handshake_timeout", "max_connections", "max_bytes"),
}

#: And those which say what is said.
SAYING: Final = ("data", "talk", "wait")

_WAIT: Final = "wait"
_TLS: Final = "tls"


def grabs_of(loaded: Loaded, sections: Collection[str]) -> tuple[BannerGrab | None, TlsGrab | None]:
    """What a file with these sections asks for. Raises UsageError that names the setting."""
    from stages.bannergrab.settings import BannergrabSettings
    from stages.scanner.grab_settings import GrabSettings
    from stages.tlsgrab.settings import TlsgrabSettings

    banner = tls = None
    if "bannergrab" in sections:
        banner = _banner(loaded.get("bannergrab", BannergrabSettings))
    if "tlsgrab" in sections:
        tls = _made(TlsGrab, "tlsgrab", _carried(loaded.get("tlsgrab", TlsgrabSettings), "tlsgrab"))
    if "continue" in sections:
        raise UsageError("continue", None, "cannot be asked of a fleet, whose agents open connections of their own")
    grab = loaded.get("grab", GrabSettings)
    if "grab" in sections and grab != GrabSettings():
        if banner is not None or tls is not None:
            raise UsageError("grab.what", grab.what, "with bannergrab or tlsgrab in one file: one of them")
        for name, value in grab:
            if name not in ("what", "wait") and value != type(grab).model_fields[name].default:
                raise UsageError(
                    f"grab.{name}", value, "cannot be asked of a fleet; its sections bannergrab, tlsgrab can"
                )
        if grab.wait is not None and grab.what not in PAYLOADS:
            raise UsageError("grab.wait", grab.wait, f"is about a payload, and grab.what {grab.what} has none")
        if grab.what == _TLS:
            tls = TlsGrab(ports=ALL)
        elif grab.what is not None:
            body = {"ports": ALL, "say": grab.what, "wait": float(grab.wait or 0.0)}
            banner = _made(BannerGrab, "grab", body, {"say": "what"})
    return banner, tls


def _banner(settings: Any) -> BannerGrab:
    body = _carried(settings, "bannergrab", SAYING)
    if settings.data is not None:
        body |= {"say": settings.data, "wait": float(settings.wait)}
    elif settings.talk is not None:
        body |= {"say": settings.talk, "wait": 0.0}
    place = "data" if settings.data is not None else "talk"
    banner: BannerGrab = _made(BannerGrab, "bannergrab", body, {"say": place})
    return banner


def _carried(settings: Section, section: str, besides: Collection[str] = ()) -> dict[str, Any]:
    """Raises UsageError for what is set and cannot be carried."""
    carried = CARRIED[section]
    body: dict[str, Any] = {}
    for name, value in settings:
        if name in carried:
            body[name] = float(value) if isinstance(value, float) else value
        elif name not in besides and value != type(settings).model_fields[name].default:
            raise UsageError(f"{section}.{name}", value, "cannot be asked of a fleet")
    return body


def _made(kind: Any, section: str, body: dict[str, Any], names: Mapping[str, str] | None = None) -> Any:
    """Raises UsageError that names the setting."""
    import pydantic

    if (say := body.get("say")) is not None and say not in get_args(Saying):
        place = f"{section}.{(names or {})['say']}"
        words = ", ".join(word for word in get_args(Saying) if word not in PAYLOADS)
        why = f"an agent says what it knows by name: {', '.join(PAYLOADS)}, {words}"
        raise UsageError(place, say, why)
    try:
        return kind.model_validate(body)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UsageError(f"{section}.{first['loc'][0]}", first["input"], f"for a fleet: {first['msg']}") from None
