"""How a handshake is named, and that its record fits into a line."""

from __future__ import annotations

import errno

import pytest

from stages.core.outcome import Outcome, Phase
from stages.core.records import MAX_RECORD_BYTES, Hit
from stages.net.conversation import Conversation
from stages.tlsgrab.endings import MAX_CHAIN_BYTES, blocked, outcome_of, record_of
from stages.tlsgrab.openssl import FullHandshake, client_context


class _Huge(FullHandshake):
    """A chain as large as one likes."""

    der = b""

    def chain(self) -> list[bytes]:
        return [self.der, b"leaf's issuer"]


@pytest.mark.parametrize("over", [0, 1])
def test_the_largest_record_fits_into_a_line(over: int) -> None:
    handshake = _Huge(client_context(None, None, ()), None, first=1.0, idle=1.0, total=1.0)
    handshake.der = bytes(MAX_CHAIN_BYTES - len(b"leaf's issuer") + over)
    conversation = Conversation("192.0.2.1", 443, handshake, None, 1.0, 10)
    hit = Hit(scan="s", ts=0, ip="192.0.2.1", port=443)
    one = record_of(conversation, hit, handshake, Outcome.OK, Phase.FINISH, mode="full")
    assert len(one.dump()) <= MAX_RECORD_BYTES
    assert len(one.chain) == 2
    assert len(one.certificates) == (0 if over else 2)
    assert ("only its hashes" in (one.error or "")) is bool(over)


def ended(**fields: object) -> Conversation:
    handshake = FullHandshake(client_context(None, None, ()), None, first=1.0, idle=1.0, total=1.0)
    conversation = Conversation("192.0.2.1", 443, handshake, handshake, 1.0, 10)
    for name, value in fields.items():
        setattr(conversation, name, value)
    return conversation


UNREACHED = (3, 1, "192.0.2.254")


@pytest.mark.parametrize(
    ("fields", "outcome", "phase"),
    [
        ({"failed": True, "errno": errno.EHOSTUNREACH, "icmp": UNREACHED}, Outcome.UNREACHABLE, Phase.CONNECT),
        ({"failed": True, "errno": errno.ECONNREFUSED, "icmp": (3, 3, "")}, Outcome.UNREACHABLE, Phase.CONNECT),
        ({"failed": True, "errno": errno.ECONNREFUSED}, Outcome.REFUSED, Phase.CONNECT),
        ({"failed": True, "errno": errno.EMFILE, "left_host": False}, Outcome.LOCAL, Phase.CONNECT),
        ({"failed": True, "errno": errno.ENETUNREACH, "left_host": False}, Outcome.LOCAL, Phase.CONNECT),
        ({"timed_out": True}, Outcome.TIMEOUT, Phase.CONNECT),
        ({"timed_out": True, "connected": 0.1, "phase": "read"}, Outcome.SILENT, Phase.HELLO),
        (
            {"timed_out": True, "connected": 0.1, "phase": "read", "errno": errno.EHOSTUNREACH, "icmp": UNREACHED},
            Outcome.UNREACHABLE,
            Phase.HELLO,
        ),
        ({"connected": 0.1, "phase": "read"}, Outcome.EMPTY, Phase.HELLO),
        ({"failed": True, "errno": errno.ECONNRESET, "connected": 0.1, "phase": "read"}, Outcome.RESET, Phase.HELLO),
        ({"timed_out": True, "connected": 0.1, "phase": "read", "size": 5}, Outcome.TIMEOUT, Phase.HELLO),
    ],
)
def test_what_the_kernel_says(fields: dict[str, object], outcome: Outcome, phase: Phase) -> None:
    conversation = ended(**fields)
    assert outcome_of(conversation, conversation.tag) == (outcome, phase)  # type: ignore[arg-type]


def test_a_blocked_target_took_no_connection() -> None:
    one = blocked(Hit(scan="s", ts=0, ip="192.0.2.1", port=443, name="a.test"), 5, "hello")
    assert (one.outcome, one.phase, one.mode, one.connections, one.name) == (
        Outcome.BLOCKED, Phase.CONNECT, "hello", 0, "a.test",
    )  # fmt: skip
