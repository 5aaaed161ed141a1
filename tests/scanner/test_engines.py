from __future__ import annotations

from stages.core.errors import HostError
from stages.scanner.connect import ConnectEngine
from stages.scanner.engines import Engine, NotByPackets
from stages.scanner.packets import Packets


def test_both_engines_have_all_that_the_app_uses() -> None:
    wanted = {name for name in vars(Engine) if not name.startswith("_")}
    assert {"start", "pause", "resume", "stop_sending", "done", "settled", "close"} <= wanted
    # What an engine sets in its constructor does not show on the class.
    assert wanted - set(dir(ConnectEngine)) <= {"failure", "rate"}
    assert wanted - set(dir(Packets)) <= {"name", "rate", "continuing", "not_quiet"}


def test_what_packets_cannot_reach_is_this_hosts_affair() -> None:
    assert issubclass(NotByPackets, HostError)
