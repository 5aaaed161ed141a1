from __future__ import annotations

import datetime as dt
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import HostError, UsageError
from stages.fleet import ca, envelope
from stages.fleet.envelope import (
    MAX_LINE,
    MAX_STRANGERS_LINE,
    Forged,
    Malformed,
    Opened,
    Opener,
    Reply,
    Request,
    Signer,
    box_of,
    digest,
    moment,
    skew,
    unproven,
    unsigned,
)
from stages.fleet.messages import MAX_MESSAGE
from tests.fleet.material import NOW
from tests.fleet.test_https import enrolled
from tests.fuzzing import fuzz, inputs

BOX = "0123456789abcdef" * 2

#: Tomorrow, in truth: the certificates are made while the tests run, which may be long after this line.
TODAY = dt.datetime.now(dt.UTC).timestamp() + 86_400


class Sides:
    """Keys and certificates of both, made once."""

    def __init__(self, authority: ca.Authority, folder: Path) -> None:
        self.identity, self.serial = enrolled(authority, folder / "alice")
        self.agent = Signer(self.identity)
        self.coordinator = Signer(ca.Identity(authority.folder))
        self.line = self.agent.seal(question(), b'{"token":7}')  # one, as each signature is another
        self.requests, self.replies = Opener(authority.pem, Request), Opener(authority.pem, Reply)


@pytest.fixture(scope="module")
def sides(authority: ca.Authority, tmp_path_factory: pytest.TempPathFactory) -> Sides:
    return Sides(authority, tmp_path_factory.mktemp("sides"))


def question(**more: object) -> Request:
    return Request.model_validate({"box": BOX, "at": moment(TODAY), "path": "/v1/progress", "token": "7", **more})


def answer(line: bytes = b"", status: int = 200) -> Reply:
    return Reply(box=BOX, to=digest(line), status=status)


@given(st.binary(max_size=2_000))
def test_there_and_back(sides: Sides, body: bytes) -> None:
    line = sides.agent.seal(question(), body)
    assert b"\n" not in line
    assert sides.requests.open(line, TODAY) == Opened(question(), body, digest(line), sides.serial)
    reply = sides.coordinator.seal(answer(line), body)
    opened = sides.replies.open(reply, TODAY)
    assert (opened.head, opened.body) == (answer(line), body)
    assert box_of(reply) == BOX


@given(st.data())
def test_whichever_byte_is_changed_it_is_refused(sides: Sides, data: st.DataObject) -> None:
    line = sides.line
    at = data.draw(st.integers(0, len(line) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != line[at]))
    changed = line[:at] + bytes([other]) + line[at + 1 :]
    with pytest.raises((Malformed, Forged)):
        sides.requests.open(changed, TODAY)


@given(st.data())
def test_whatever_is_cut_off_it_is_refused(sides: Sides, data: st.DataObject) -> None:
    cut = sides.line[: data.draw(st.integers(0, len(sides.line) - 1))]
    with pytest.raises((Malformed, Forged)):
        sides.requests.open(cut, TODAY)


def test_parts_of_two_envelopes_make_no_third(sides: Sides, authority: ca.Authority, tmp_path: Path) -> None:
    bob = Signer(enrolled(authority, tmp_path, "bob")[0])
    one, two = sides.agent.seal(question(), b"one").split(b"."), bob.seal(question(), b"two").split(b".")
    for mixed in range(1, 15):
        line = b".".join(two[n] if mixed >> n & 1 else one[n] for n in range(4))
        if mixed == 1:
            assert one[0] == two[0], "the headers are the same"
            continue
        if mixed == 14:
            continue
        with pytest.raises(Forged):
            sides.requests.open(line, TODAY)


def test_an_agent_is_no_coordinator_and_a_question_no_answer(sides: Sides) -> None:
    with pytest.raises(Forged, match="another use"):
        sides.replies.open(sides.agent.seal(answer(), b""), TODAY)
    with pytest.raises(Forged, match="another use"):
        sides.requests.open(sides.coordinator.seal(question(), b""), TODAY)
    with pytest.raises(Malformed):
        sides.replies.open(sides.coordinator.seal(question(), b""), TODAY)


def test_of_another_authority(sides: Sides, tmp_path: Path) -> None:
    other = ca.Authority.make(tmp_path / "other", dt.datetime.now(dt.UTC))
    mallory = Signer(enrolled(other, tmp_path / "mallory")[0])
    with pytest.raises(Forged, match="not one of our authority"):
        sides.requests.open(mallory.seal(question(), b""), TODAY)


def test_who_signs_nothing_may_ask_and_not_answer(sides: Sides) -> None:
    line = unsigned(question(path="/v1/enrol"), b"body")
    opened = sides.requests.open(line, TODAY)
    assert (opened.serial, opened.body) == (None, b"body")
    unsigned_reply = sides.coordinator.seal(answer(), b"").rsplit(b".", 2)[0] + b".."
    with pytest.raises(Forged):
        sides.replies.open(unsigned_reply, TODAY)
    assert unproven(Reply, unsigned_reply).head == answer()
    for half in (line + b"AA", line[:-1] + b"AA."):
        with pytest.raises(Forged):
            sides.requests.open(half, TODAY)


def test_too_large(sides: Sides) -> None:
    line = sides.agent.seal(question(), b"x" * MAX_MESSAGE)
    assert len(line) <= MAX_LINE
    assert sides.requests.open(line, TODAY).body == b"x" * MAX_MESSAGE
    for large in (b"A" * (MAX_LINE + 1), unsigned(question(), b"x" * MAX_STRANGERS_LINE)):
        with pytest.raises(Malformed, match="at most"):
            sides.requests.open(large, TODAY)


@pytest.mark.parametrize(
    "more", [{"box": "x"}, {"at": 0}, {"at": 1 << 63}, {"path": "/etc/passwd"}, {"path": "/v1/../x"}, {"token": "-1"}]
)
def test_headers_that_say_what_none_may(sides: Sides, more: dict[str, object]) -> None:
    head = question().model_copy(update=more)
    with pytest.raises(Malformed, match=next(iter(more))):
        sides.requests.open(sides.agent.seal(head, b""), TODAY)


def test_a_certificate_has_its_days(sides: Sides) -> None:
    line = sides.agent.seal(question(), b"")
    years = 86_400 * 365.0
    assert sides.requests.open(line, TODAY).ended == ""
    assert "ended on 20" in sides.requests.open(line, TODAY + 3 * years).ended
    assert "begins on 20" in sides.requests.open(line, TODAY - years).ended


def test_a_skew_is_seconds(sides: Sides) -> None:
    assert skew(moment(NOW + 90), NOW) == pytest.approx(90)
    assert skew(moment(NOW - 90), NOW) == pytest.approx(-90)


def test_certificates_known_are_bounded(sides: Sides, authority: ca.Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope, "MAX_KNOWN", 1)
    opener = Opener(authority.pem, Request)
    for _ in range(3):
        opener.open(sides.agent.seal(question(), b""), TODAY)
        assert len(opener._known) == 1


def test_files_that_are_none(sides: Sides, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="enrol first"):
        Signer(ca.Identity(tmp_path))
    for name in ("key.pem", "certificate.pem"):
        (tmp_path / name).write_bytes(b"rubbish")
    with pytest.raises(HostError, match="cannot be read"):
        Signer(replace(sides.identity, folder=tmp_path))


#: Of lines in `make test`; `make fuzz` reads as many as it is told.
FUZZED = inputs(2_000)


@fuzz
def test_rubbish_is_refused_by_name(sides: Sides) -> None:
    rng = random.Random(3)
    good = [sides.agent.seal(question(), b"body"), unsigned(question(), b"body"), sides.coordinator.seal(answer(), b"")]
    for _ in range(FUZZED):
        data = bytearray(rng.choice(good))
        for _ in range(rng.randint(0, 3)):
            data[rng.randrange(len(data))] = rng.choice(b"ABC._-=\x00\xff" + bytes([rng.randrange(256)]))
        if rng.random() < 0.2:
            del data[rng.randrange(len(data)) :]
        line = bytes(data)
        try:
            opened = sides.requests.open(line, TODAY)
        except (Malformed, Forged):
            continue
        assert opened.serial is None or line in good
