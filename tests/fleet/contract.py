"""What a way to a coordinator promises, whatever it goes by: subclass `WayContract`, and give it a fixture `ways`."""

from __future__ import annotations

import asyncio

from stages.fleet import ca, link, messages
from stages.fleet.link import Way
from stages.fleet.messages import MAX_RESULTS, PROTOCOL
from tests.fleet.house import House
from tests.fleet.material import DIGEST, NOW, can, hit, work


class Ways:
    """A house with a scan, to which `alice` is enrolled. Subclasses make the ways."""

    house: House

    def way(self, alias: str | None, authority: bytes | None = None) -> Way:
        raise AssertionError("subclasses make ways")


class WayContract:
    async def test_a_slice_from_the_greeting_to_its_results(self, ways: Ways) -> None:
        way = ways.way("alice")
        hello = messages.Hello(protocol=PROTOCOL, capabilities=can(), clock=NOW)
        assert (await way.post("/v1/hello", messages.dump(hello)))[0] == 200
        status, body = await way.post("/v1/lease", messages.dump(messages.Ask(protocol=PROTOCOL)))
        given = messages.parse(messages.Lease, body).slice
        assert (status, given is not None) == (200, True)
        assert given is not None
        assert given.work == work()
        begin = messages.Begin(token=given.token, digest=DIGEST)
        assert (await way.post("/v1/begin", messages.dump(begin)))[0] == 200
        lines = [hit(n).dump() for n in (1, 5, 9)]
        assert (await way.post("/v1/results", b"\n".join(lines), str(given.token)))[0] == 200
        assert ways.house.hits() == lines
        assert (await way.post("/v1/results", lines[0], str(given.token + 1)))[0] == 409

    async def test_answers_come_to_their_questions(self, ways: Ways) -> None:
        one, two = ways.way("alice"), ways.way("bob")
        paths = ("/v1/check", "/v1/optout", "/v1/nothing", "/v1/lease")
        said = await asyncio.gather(*(way.post(path, b"{}") for way in (one, two) for path in paths))
        assert [status for status, _ in said] == [200, 200, 404, 409] * 2
        assert b'"networks"' in said[1][1]

    async def test_as_large_as_it_may_be_and_larger(self, ways: Ways) -> None:
        way = ways.way("alice")
        status, body = await way.post("/v1/results", b"x" * MAX_RESULTS, "7")
        assert (status, link.why(body)) == (409, "say hello first")
        ways.house.coordinator.leave_alone([f"10.{n >> 8}.{n & 255}.0/24" for n in range(60_000)])
        status, body = await way.post("/v1/optout", b"{}")
        assert status == 200
        assert len(messages.parse(messages.Optouts, body).networks) == 60_000

    async def test_who_is_revoked_or_nobody_is_told_so(self, ways: Ways) -> None:
        way = ways.way("alice")
        assert (await way.post("/v1/check", b""))[0] == 200
        ways.house.state.revoke("alice", NOW)
        await ways.house.coordinator.tick()
        assert (await way.post("/v1/check", b""))[0] == 403
        assert (await ways.way(None, ways.house.authority.pem).post("/v1/check", b""))[0] == 401

    async def test_a_token_makes_a_certificate(self, ways: Ways) -> None:
        house = ways.house
        token, hashed = ca.new_token(house.authority.fingerprint)
        house.state.add_token(hashed, "carol", house.now + 10)
        status, body = await ways.way(None).post("/v1/authority", b"")
        assert status == 200
        authority = messages.parse(messages.Enrolled, body).authority.encode()
        assert ca.fingerprint(authority) == ca.read_token(token)
        _, request = ca.request(ca.ANY_ALIAS)
        enrolled = await link.enrol(ways.way(None, authority), token, request)
        assert enrolled.certificate.startswith("-----BEGIN CERTIFICATE")
        good, _ = await house.state.enrolled(house.now)
        assert "carol" in good.values()
