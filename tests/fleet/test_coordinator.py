from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stages.core.errors import HostError, Unavailable
from stages.core.orders import Order as StandingOrder
from stages.core.orders import Standing
from stages.core.records import parse
from stages.fleet import ca, messages
from stages.fleet.coordinator import Answer
from stages.fleet.messages import MAX_RESULTS, PROTOCOL, Slice
from tests.fleet.house import TOPICS, House, leased
from tests.fleet.material import DIGEST, NOW, can, hit, shown, work
from tests.fuzzing import fuzz, inputs


@pytest.fixture
async def house(tmp_path: Path, authority: ca.Authority) -> AsyncIterator[House]:
    made = House(tmp_path, authority)
    await made.begin("alice", "bob", work=work(operator="Alice, Example Lab", approval="board 17"))
    for alias in ("alice", "bob"):
        hello = messages.Hello(protocol=PROTOCOL, capabilities=can(), clock=NOW + 3)
        assert (await made.say(alias, "hello", hello)).status == 200
    yield made
    made.state.close()


async def progress(house: House, alias: str, slice: Slice, position: int, **more: object) -> Answer:
    said = messages.Progress(token=slice.token, position=position, proof=shown(slice, position), **more)  # type: ignore[arg-type]
    return await house.say(alias, "progress", said)


def why(answer: Answer) -> str:
    return messages.parse(messages.Problem, answer.body).error


async def test_the_skew_of_a_clock_is_told(house: House, caplog: pytest.LogCaptureFixture) -> None:
    hello = messages.Hello(protocol=PROTOCOL, capabilities=can(), clock=NOW + 3)
    welcome = messages.parse(messages.Welcome, (await house.say("alice", "hello", hello)).body)
    assert (welcome.skew, welcome.timeout) == (3.0, 60.0)
    assert "agent alice: its clock is +3.0 s off ours" in caplog.text


async def test_results_come_to_the_log_before_they_are_acknowledged(house: House) -> None:
    slice = await leased(house, "alice")
    lines = [hit(n).dump() for n in (1, 5, 9)]
    assert (await house.say("alice", "results", b"\n".join(lines), str(slice.token))).status == 200
    assert house.hits() == lines
    house.log.broken = True
    assert (await house.say("alice", "results", lines[0], str(slice.token))).status == 503


async def test_results_are_counted_once_whatever_is_lost_and_killed(house: House) -> None:
    slice = await leased(house, "alice")
    body = b"\n".join(hit(n).dump() for n in (1, 5, 9))
    for _ in range(3):  # the answer was lost, and the coordinator killed
        assert (await house.say("alice", "results", body, str(slice.token))).status == 200
        await house.restart()
    await house.say("alice", "results", body + b"\n" + hit(11).dump(), str(slice.token))
    await house.restart()
    assert house.coordinator.ledger.jobs["town"].hits == house.coordinator.ledger.agents["alice"].hits == 4


async def test_a_whole_scan_has_its_start_and_its_end_in_the_log(house: House) -> None:
    house.now += 5
    while True:
        lease = messages.parse(
            messages.Lease, (await house.say("alice", "lease", messages.Ask(protocol=PROTOCOL))).body
        )
        if lease.slice is None:
            break
        slice = lease.slice
        await house.say("alice", "begin", messages.Begin(token=slice.token, digest=DIGEST))
        await house.say("alice", "results", hit(slice.first).dump(), str(slice.token))
        await progress(house, "alice", slice, slice.last, sent=slice.last - slice.first)
    await house.coordinator.tick()
    await house.restart()
    await house.coordinator.tick()
    scans = [parse(output.value) for output in house.log.outputs if output.topic == TOPICS.scans]
    assert [(s.event, s.ts) for s in scans] == [("start", int(NOW * 1e6)), ("end", int((NOW + 5) * 1e6))]  # type: ignore[union-attr]
    counters = scans[1].counters  # type: ignore[union-attr]
    assert counters["sent"] == counters["positions"] == 1_024
    assert counters["written"] == len(house.hits())
    assert counters["agents"] == {"alice": 1_024}
    spec = scans[0].spec  # type: ignore[union-attr]
    assert (spec["operator"], spec["approval"]) == ("Alice, Example Lab", "board 17")


@pytest.mark.parametrize(
    ("record", "status", "said"),
    [
        (b"rubbish", 400, "a record"),
        (hit(1).dump().replace(b'"hit"', b'"banner"', 1), 400, "a record"),
        (hit(1, scan="other").dump(), 422, "another scan"),
        (hit(1, vantage="bob").dump(), 422, "agent"),
        (hit(1, probe="udp").dump(), 422, "probe"),
        (hit(1, port=81).dump(), 422, "not in the slice"),
        (hit(700).dump(), 422, "not in the slice"),
        (hit(5_000).dump(), 422, "not in the slice"),
        (hit(1, id="0" * 32).dump(), 422, "id"),
    ],
)
async def test_what_an_agent_cannot_have_found_is_refused(house: House, record: bytes, status: int, said: str) -> None:
    slice = await leased(house, "alice")
    answer = await house.say("alice", "results", record, str(slice.token))
    assert (answer.status, said in why(answer)) == (status, True), why(answer)
    assert house.hits() == []


async def test_results_of_somebody_elses_lease_are_refused(house: House) -> None:
    slice = await leased(house, "alice")
    assert (await house.say("bob", "results", hit(1, vantage="bob").dump(), str(slice.token))).status == 409
    assert (await house.say("alice", "results", hit(1).dump(), str(slice.token + 100))).status == 409
    assert (await house.say("alice", "results", hit(1).dump(), "x")).status == 400
    assert house.hits() == []


async def test_results_of_a_slice_that_was_not_begun(house: House) -> None:
    lease = messages.parse(messages.Lease, (await house.say("alice", "lease", messages.Ask(protocol=PROTOCOL))).body)
    assert lease.slice is not None
    assert (await house.say("alice", "results", hit(1).dump(), str(lease.slice.token))).status == 422


async def test_of_what_others_skipped_only_that_is_taken(house: House) -> None:
    given = messages.parse(
        messages.Lease, (await house.say("alice", "lease", messages.Ask(protocol=PROTOCOL))).body
    ).slice
    assert given is not None
    nets = ("10.0.0.4-10.0.0.7",)
    await house.say("alice", "begin", messages.Begin(token=given.token, digest=DIGEST, skipped=nets))
    await progress(house, "alice", given, given.last)
    seen = []
    while (
        lease := messages.parse(messages.Lease, (await house.say("bob", "lease", messages.Ask(protocol=PROTOCOL))).body)
    ).slice:
        seen.append(lease.slice)
        await house.say("bob", "begin", messages.Begin(token=lease.slice.token, digest=DIGEST))
    rest = next(slice for slice in seen if slice.only == nets)
    assert (await house.say("bob", "results", hit(4, vantage="bob").dump(), str(rest.token))).status == 200
    assert (await house.say("bob", "results", hit(9, vantage="bob").dump(), str(rest.token))).status == 422


async def test_in_a_sample_what_the_first_one_left_out_does_not_count(house: House) -> None:
    house.coordinator.ledger._rng = random.Random(1)
    given = messages.parse(
        messages.Lease, (await house.say("alice", "lease", messages.Ask(protocol=PROTOCOL))).body
    ).slice
    assert given is not None
    nets = ("10.0.0.0-10.0.0.99",)
    await house.say("alice", "begin", messages.Begin(token=given.token, digest=DIGEST, skipped=nets))
    body = b"\n".join(hit(n).dump() for n in range(100, given.last))
    await house.say("alice", "results", body, str(given.token))
    await progress(house, "alice", given, given.last)
    sample = await leased(house, "bob")
    held = house.coordinator.ledger.leases[sample.token]
    assert (held.check, held.apart) == ("alice", nets)
    body = b"\n".join(hit(n, vantage="bob").dump() for n in range(sample.first, sample.last))
    assert (await house.say("bob", "results", body, str(sample.token))).status == 200
    assert min(held.found) >= 100
    await progress(house, "bob", sample, sample.last)
    assert house.coordinator.ledger.agents["alice"].checks == 1
    assert house.coordinator.ledger.agents["alice"].why == ""


async def test_networks_that_are_none(house: House) -> None:
    lease = messages.parse(messages.Lease, (await house.say("alice", "lease", messages.Ask(protocol=PROTOCOL))).body)
    assert lease.slice is not None
    for wrong in ("10.0.0.0/99", "10.0.0.9-10.0.0.1", "1.2.3", "::/200"):
        begin = messages.Begin(token=lease.slice.token, digest=DIGEST, skipped=(wrong,))
        answer = await house.say("alice", "begin", begin)
        assert (answer.status, wrong in why(answer)) == (400, True)
    assert house.coordinator.ledger.leases[lease.slice.token].begun is False


async def test_a_state_that_cannot_be_kept_is_no_answer(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    slice = await leased(house, "alice")

    async def locked(*_: object) -> None:
        raise Unavailable("locked by another process")

    monkeypatch.setattr(house.state.file, "write", locked)
    with pytest.raises(HostError, match="cannot be kept"):
        await progress(house, "alice", slice, 9)


async def test_too_much_at_once(house: House) -> None:
    slice = await leased(house, "alice")
    assert (await house.say("alice", "results", b"x" * (MAX_RESULTS + 1), str(slice.token))).status == 413
    assert (await house.say("alice", "progress", b"x" * (messages.MAX_MESSAGE + 1))).status == 400


async def test_who_shows_no_certificate_or_a_strange_one_gets_nothing(house: House) -> None:
    for serial, status in ((None, 401), ("mallory", 403)):
        for path in ("hello", "lease", "begin", "progress", "refuse", "results", "check"):
            assert (await house.say(serial, path, b"{}")).status == status
    assert (await house.say("alice", "nothing", b"{}")).status == 404
    assert (await house.say("alice", "check", b"")).status == 200


async def test_a_revoked_agent_is_cut_off_and_its_slice_given_to_others(house: House) -> None:
    slice = await leased(house, "alice")
    house.state.revoke("alice", house.now)
    assert await house.coordinator.tick() == {"alice"}
    assert (await progress(house, "alice", slice, slice.last)).status == 403
    assert (await house.say("alice", "results", hit(1).dump(), str(slice.token))).status == 403
    assert not house.coordinator.ledger.leases
    assert await house.coordinator.tick() == frozenset()


async def test_another_protocol_is_refused_and_the_older_side_named(house: House) -> None:
    for theirs, older in ((PROTOCOL - 1, "agent"), (PROTOCOL + 1, "coordinator")):
        answer = await house.say("alice", "hello", messages.Hello(protocol=theirs, capabilities=can(), clock=NOW))
        assert answer.status == 426
        assert f"the {older} is too old" in why(answer)


async def test_an_old_agent_that_was_greeted_by_an_old_coordinator_is_refused_in_words(house: House) -> None:
    """It goes on asking as it did: what it would be given it could not read."""
    answer = await house.say("alice", "lease", messages.Order())
    assert (answer.status, "protocol 1 of the agent" in why(answer)) == (426, True)
    assert not house.coordinator.ledger.leases


async def test_of_two_processes_with_one_certificate_the_earlier_one_is_sent_away(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = (messages.Ask(protocol=PROTOCOL, process=digit * 32) for digit in "12")
    for ask in (first, second):
        hello = messages.Hello(protocol=PROTOCOL, capabilities=can(), clock=NOW, process=ask.process)
        assert (await house.say("alice", "hello", hello)).status == 200
        assert (await house.say("alice", "lease", ask)).status == 200
    await house.restart()
    answer = await house.say("alice", "lease", first)
    assert (answer.status, "alias in use: another process has come as alice" in why(answer)) == (403, True)
    assert "alias alice is in use by two processes" in caplog.text
    assert [c.body["agent"] for c in house.state.things("trace") if c.body and c.body["event"] == "in use"] == ["alice"]
    assert (await house.say("alice", "lease", second)).status == 200


async def test_of_a_greeting_of_another_version_only_the_version_is_read(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    body = b'{"protocol": 99, "capabilities": {"telepathy": true}, "more": []}'
    answer = await house.say("alice", "hello", body)
    assert (answer.status, why(answer)) == (
        426, f"protocol 99 of the agent, {PROTOCOL} of the coordinator: the coordinator is too old"
    )  # fmt: skip
    assert "agent alice is not taken: protocol 99" in caplog.text
    assert (await house.say(None, "enrol", body)).status == 426
    assert (await house.say("alice", "hello", b'{"capabilities": 1}')).status == 400


async def test_an_alias_that_is_another_agents(
    house: House, authority: ca.Authority, caplog: pytest.LogCaptureFixture
) -> None:
    token, hashed = ca.new_token(authority.fingerprint)
    house.state.add_token(hashed, "carol", NOW + 10)
    for name, status in (("alice", 409), ("carol", 200)):
        _, request = ca.request(name)
        answer = await house.say(
            None, "enrol", messages.Enrol(protocol=PROTOCOL, token=token, request=request.decode())
        )
        assert answer.status == status, "the token is not spent by the wrong one"
        if status == 409:
            assert why(answer) == "the token is of the alias carol; 'alice' takes a token of its own"
    assert "somebody would be called 'alice' with its token" in caplog.text


async def test_an_agent_whose_certificate_has_ended_is_cut_off_and_both_sides_say_why(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    slice = await leased(house, "alice")
    house.state.file.write_sync(
        lambda c: c.execute("UPDATE fleet_certificates SET ends = ? WHERE alias = 'alice'", (NOW + 5,))
    )
    assert await house.coordinator.tick() == frozenset()
    house.now += 5
    assert await house.coordinator.tick() == {"alice"}
    assert slice.token not in house.coordinator.ledger.leases
    for _ in range(2):
        answer = await progress(house, "alice", slice, slice.last)
        assert answer.status == 403
        assert why(answer) == "the certificate of alice has ended: enrol again (longline agent --token)"
    assert caplog.text.count("its certificate has ended; longline fleet enrol alice") == 1


async def test_a_token_makes_a_certificate_once(house: House, authority: ca.Authority) -> None:
    token, hashed = ca.new_token(authority.fingerprint)
    house.state.add_token(hashed, "carol", NOW + 10)
    key, request = ca.request(ca.ANY_ALIAS)
    enrol = messages.Enrol(protocol=PROTOCOL, token=token, request=request.decode())
    answer = await house.say(None, "enrol", enrol)
    assert answer.status == 200
    enrolled = messages.parse(messages.Enrolled, answer.body)
    assert enrolled.authority.encode() == authority.pem
    [row] = [row for row in house.state.certificates() if row["alias"] == "carol"]
    hello = messages.Hello(protocol=PROTOCOL, capabilities=can(), clock=NOW)
    assert (await house.say(row["serial"], "hello", hello)).status == 200
    assert (await house.say(None, "enrol", enrol)).status == 403
    assert key.startswith(b"-----BEGIN PRIVATE KEY")


async def test_a_bad_request_for_a_certificate_does_not_spend_the_token(house: House, authority: ca.Authority) -> None:
    token, hashed = ca.new_token(authority.fingerprint)
    house.state.add_token(hashed, "carol", NOW + 10)
    bad = messages.Enrol(protocol=PROTOCOL, token=token, request="rubbish")
    assert (await house.say(None, "enrol", bad)).status == 400
    assert await house.state.alias_of(hashed, NOW) == "carol"


async def test_the_authority_is_shown_to_everybody(house: House, authority: ca.Authority) -> None:
    answer = await house.say(None, "authority", b"")
    assert messages.parse(messages.Enrolled, answer.body).authority.encode() == authority.pem


async def test_killed_at_any_point_it_goes_on_where_it_was(house: House) -> None:
    slice = await leased(house, "alice")
    await progress(house, "alice", slice, 50)
    await house.restart()
    assert (await progress(house, "alice", slice, 20)).status == 422  # it does not go back
    await house.restart()
    other = await leased(house, "bob")
    await house.restart()
    assert (await progress(house, "bob", other, other.last)).status == 200


async def test_an_order_to_stop_reaches_the_agent(house: House) -> None:
    slice = await leased(house, "alice")
    house.state.ask("stop", {"scan": "town", "reason": "an abuse mail"})
    house.state.ask("stop", {"scan": "nothing", "reason": ""})
    house.state.ask("submit", {"scan": "bad"})
    await house.coordinator.tick()
    assert house.state.waiting() == []
    order = messages.parse(messages.Order, (await progress(house, "alice", slice, 5)).body)
    assert (order.stop, "an abuse mail" in order.reason) == (True, True)


#: Of messages in `make test`; `make fuzz` sends as many as it is told.
FUZZED = inputs(2_000)


@fuzz
async def test_whatever_is_sent_nothing_is_disturbed(house: House) -> None:
    """Messages cut, mixed, repeated and changed: refused by a status, and the scan is done as if nothing had been."""
    rng = random.Random(7)
    slice = await leased(house, "bob")
    good: list[tuple[str, bytes]] = [
        ("hello", messages.dump(messages.Hello(protocol=PROTOCOL, capabilities=can(), clock=NOW))),
        ("begin", messages.dump(messages.Begin(token=slice.token, digest=DIGEST))),
        ("progress", messages.dump(messages.Progress(token=slice.token, position=9, proof=shown(slice, 9)))),
        ("refuse", messages.dump(messages.Refuse(token=slice.token, reason="no"))),
        ("results", hit(3, vantage="bob").dump()),
        ("enrol", messages.dump(messages.Enrol(protocol=PROTOCOL, token="ll1.A.b", request="x"))),
    ]
    for _ in range(FUZZED):
        path, body = rng.choice(good)
        data = bytearray(body)
        for _ in range(rng.randint(0, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        # Of "alice", who holds nothing; of nobody; of strangers. Each with a token that is bob's, or rubbish.
        who = rng.choice(("alice", None, "mallory"))
        token = rng.choice((str(slice.token), "", "9" * 30, "-1", "\x00"))
        answer = await house.say(who, rng.choice((path, "nowhere")), bytes(data), token)
        assert answer.status in (200, 400, 401, 403, 404, 409, 422, 426)
    assert house.hits() == []
    assert house.coordinator.ledger.leases[slice.token].agent == "bob"
    assert (await progress(house, "bob", slice, slice.last)).status == 200


async def test_while_an_order_stands_slices_end_and_none_is_given(house: House) -> None:
    slice = await leased(house, "alice")
    house.state.ask("submit", work(scan="other").model_dump(mode="json"))
    await house.coordinator.tick()
    campaign = Standing((StandingOrder("stop", "campaign", "town", "x" * 500),))
    house.coordinator.heed(campaign)
    told = messages.parse(messages.Order, (await progress(house, "alice", slice, slice.first)).body)
    assert told.stop
    assert told.reason.startswith("stop --campaign town")
    line = hit(slice.first).dump()
    told = messages.parse(messages.Order, (await house.say("alice", "results", line, str(slice.token))).body)
    assert told.stop
    ended = await progress(house, "alice", slice, slice.first + 10, finished=True)
    assert not messages.parse(messages.Order, ended.body).stop
    assert (await leased(house, "bob")).work.scan == "other", "other scans go on"
    house.coordinator.heed(Standing((StandingOrder("stop", "all"),)))
    lease = messages.parse(messages.Lease, (await house.say("alice", "lease", messages.Ask(protocol=PROTOCOL))).body)
    assert lease.slice is None
    assert lease.reason.startswith("stop --all")
    house.coordinator.heed(Standing())
    assert (await leased(house, "alice")).work.scan == "town"
