from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.fleet.ledger import ASIDE_SECONDS, LOSSES, PRESENT, SLOW, Fenced, Ledger, Wrong
from stages.fleet.messages import Slice
from stages.fleet.things import Change
from stages.fleet.work import BannerGrab, TlsGrab
from tests.fleet.material import DIGEST, NOW, can, shown, work

TIMEOUT = 60.0


def ledger(*agents: str, **more: object) -> Ledger:
    books = Ledger(timeout=TIMEOUT, slice_seconds=20.0)
    books.submit(work(**more), NOW)
    for alias in agents:
        books.hello(alias, can(), NOW, (), NOW)
    return books


def leased(books: Ledger, alias: str, now: float = NOW) -> Slice:
    given = books.lease(alias, now)
    assert isinstance(given, Slice), given
    books.begin(alias, given.token, DIGEST, (), now)
    return given


def at(books: Ledger, alias: str, slice: Slice, position: int, now: float = NOW, *, finished: bool = False) -> str:
    return books.progress(
        alias, slice.token, position, shown(slice, position), sent=position - slice.first, rate=5.0, pending=0,
        finished=finished, now=now,
    )  # fmt: skip


def test_a_slice_is_seconds_of_the_agents_own_rate() -> None:
    books = ledger("alice")
    books.hello("bob", can(rate=1.0), NOW, (), NOW)
    assert leased(books, "alice").last == 200
    second = leased(books, "bob")
    assert (second.first, second.last) == (200, 220)


def test_the_work_may_ask_for_less_and_never_for_more() -> None:
    books = ledger("alice", max_rate=2.0)
    assert leased(books, "alice").rate == 2.0
    books = ledger("alice", max_rate=1e6)
    assert leased(books, "alice").rate == 10.0


def test_towards_the_end_slices_are_shares_of_what_is_left() -> None:
    books = ledger("alice", "bob", size=160, ranges=("10.0.0.0-10.0.0.159",))
    first = leased(books, "alice")
    assert first.last - first.first == 50  # five seconds at least, which is more than a quarter of 160
    books = ledger(*(f"agent{n}" for n in range(3)), size=600)
    assert leased(books, "agent0").last == 100


def test_everything_is_done_once_and_the_scan_is_complete() -> None:
    books = ledger("alice", "bob")
    names = ["alice", "bob"]
    turn = 0
    while isinstance(given := books.lease(names[turn % 2], NOW), Slice):
        books.begin(names[turn % 2], given.token, DIGEST, (), NOW)
        at(books, names[turn % 2], given, given.last)
        turn += 1
    job = books.jobs["town"]
    assert job.ended == NOW
    assert job.coverage().complete
    assert job.coverage().twice == 0
    assert job.sent == 1_024
    assert not books.parts
    assert not books.leases
    assert books.lease("alice", NOW) == "nothing to do"


def test_a_lost_slice_is_leased_again_from_its_last_checkpoint() -> None:
    books = ledger("alice", "bob")
    first = leased(books, "alice")
    at(books, "alice", first, 50)
    assert books.expire(NOW + TIMEOUT) == []
    [lost] = books.expire(NOW + TIMEOUT + 1)
    assert lost.token == first.token
    later = NOW + TIMEOUT + 1
    spans = []
    while isinstance(given := books.lease("bob", later), Slice):
        books.begin("bob", given.token, DIGEST, (), later)
        at(books, "bob", given, given.last, later)
        spans.append((given.first, given.last))
    assert (50, 200) in [(a, b) for a, b in spans] or any(a == 50 for a, _ in spans)
    assert books.jobs["town"].coverage().complete
    assert books.jobs["town"].coverage().twice == 0


def test_who_is_far_too_slow_loses_its_slice_although_it_lives() -> None:
    books = ledger("alice", "bob")
    now = NOW
    for number in range(3):
        slice = books.lease("alice", now)
        assert isinstance(slice, Slice)
        books.begin("alice", slice.token, DIGEST, (), now)
        seconds = (slice.last - slice.first) / slice.rate + work().cooldown
        end, done = now + SLOW * seconds + TIMEOUT, slice.first
        while (now := min(end, now + TIMEOUT / 2)) < end:
            assert books.expire(now) == []
            at(books, "alice", slice, done := done + 1, now)
        assert books.expire(now) == []
        [late] = books.expire(now := now + 1)
        assert (late.token, late.at) == (slice.token, done), number
    assert books.lease("alice", now) == f"set aside for {ASIDE_SECONDS:.0f} s: 3 slices lost one after the other"
    said = [
        change.body["detail"] for change in books.take_changes() if change.body and change.body.get("event") == "lost"
    ]
    assert all("too slow" in text for text in said)
    assert len(said) == 3


def test_nobody_is_slow_while_the_coordinator_is_away() -> None:
    books = ledger("alice")
    leased(books, "alice")
    later = NOW + 86_400
    books.restarted(later)
    assert books.expire(later + 1) == []


def test_each_sign_of_life_moves_the_deadline() -> None:
    books = ledger("alice")
    slice = leased(books, "alice")
    for minute in range(1, 4):
        at(books, "alice", slice, slice.first, NOW + minute * 40)
        assert not books.expire(NOW + minute * 40 + 49)


def test_a_returning_agent_with_a_stale_lease_changes_nothing() -> None:
    books = ledger("alice", "bob")
    stale = leased(books, "alice")
    books.expire(NOW + TIMEOUT + 1)
    fresh = leased(books, "bob", NOW + TIMEOUT + 1)
    before = books.jobs["town"].positions
    for alias, slice in (("alice", stale), ("alice", fresh), ("bob", stale)):
        with pytest.raises(Fenced):
            at(books, alias, slice, slice.last, NOW + TIMEOUT + 2)
        with pytest.raises(Fenced):
            books.results(alias, slice.token, [1], NOW)
        with pytest.raises(Fenced):
            books.refuse(alias, slice.token, "", NOW)
    assert books.jobs["town"].positions == before


@pytest.mark.parametrize("position", [-1, 49, 201, 10_000])
def test_a_claim_outside_of_the_slice_ends_it(position: int) -> None:
    books = ledger("alice")
    slice = leased(books, "alice")
    at(books, "alice", slice, 50)
    with pytest.raises(Wrong, match="position"):
        books.progress(
            "alice", slice.token, position, shown(slice, position), sent=0, rate=0, pending=0, finished=True, now=NOW
        )
    assert books.lease("alice", NOW).startswith("set aside")  # type: ignore[union-attr]


def test_a_claim_without_its_proof_ends_the_slice_and_its_work_is_done_by_another() -> None:
    books = ledger("alice", "bob")
    slice = leased(books, "alice")
    with pytest.raises(Wrong, match="proof"):
        books.progress("alice", slice.token, 100, shown(slice, 99), sent=0, rate=0, pending=0, finished=False, now=NOW)
    assert books.jobs["town"].positions == 0
    assert books.agents["alice"].aside == NOW + ASIDE_SECONDS
    assert sum(part.last - part.first for part in books.parts.values()) == 1_024


def test_a_slice_whose_giving_was_not_heard_is_given_again() -> None:
    books = ledger("alice", "bob")
    first = books.lease("alice", NOW)
    assert books.lease("alice", NOW + 50) == first
    other = books.lease("bob", NOW)
    assert isinstance(first, Slice)
    assert isinstance(other, Slice)
    assert other.first == first.last
    books.begin("alice", first.token, DIGEST, (), NOW + 55)
    following = books.lease("alice", NOW + 60)
    assert isinstance(following, Slice)
    assert following.token != first.token


def test_a_slice_that_was_not_begun_cannot_be_done() -> None:
    books = ledger("alice")
    given = books.lease("alice", NOW)
    assert isinstance(given, Slice)
    with pytest.raises(Wrong, match="not begun"):
        at(books, "alice", given, given.last)


def test_another_layout_is_refused_and_its_agent_set_aside() -> None:
    books = ledger("alice")
    given = books.lease("alice", NOW)
    assert isinstance(given, Slice)
    with pytest.raises(Wrong, match="versions"):
        books.begin("alice", given.token, "f" * 32, (), NOW)
    assert not books.leases
    assert "lays out other targets" in books.agents["alice"].why


def test_what_an_agent_skips_is_given_to_another_one() -> None:
    books = ledger("alice", "bob", size=20, ranges=("10.0.0.0-10.0.0.19",))
    nets = ("10.0.0.3-10.0.0.4",)
    given = books.lease("alice", NOW)
    assert isinstance(given, Slice)
    books.begin("alice", given.token, DIGEST, nets, NOW)
    at(books, "alice", given, given.last)
    assert not books.jobs["town"].ended
    assert books.lease("alice", NOW) == "nothing that fits"
    rest = leased(books, "bob")
    assert (rest.first, rest.last, rest.only) == (given.first, given.last, nets)
    at(books, "bob", rest, rest.last)
    assert books.jobs["town"].ended


def test_an_agent_may_not_skip_what_it_was_not_asked_for() -> None:
    books = ledger("alice", "bob", size=20, ranges=("10.0.0.0-10.0.0.19",))
    given = books.lease("alice", NOW)
    assert isinstance(given, Slice)
    books.begin("alice", given.token, DIGEST, ("10.0.0.3-10.0.0.4",), NOW)
    at(books, "alice", given, given.last)
    rest = books.lease("bob", NOW)
    assert isinstance(rest, Slice)
    with pytest.raises(Wrong, match="skipped"):
        books.begin("bob", rest.token, DIGEST, ("10.0.0.0-10.0.0.9",), NOW)


def test_what_is_refused_goes_to_another_and_never_back() -> None:
    books = ledger("alice", "bob")
    slice = leased(books, "alice")
    books.refuse("alice", slice.token, "port 80 is not scanned from here", NOW)
    got = leased(books, "alice")
    assert got.first == 200  # the rest of the scan was not refused
    spans = {leased(books, "bob").first for _ in range(6)}
    assert 0 in spans


def test_work_goes_where_it_fits() -> None:
    books = ledger("alice", probe="udp", ports="53")
    assert books.lease("alice", NOW) == "nothing that fits"
    books.hello("bob", can(probes=("udp",)), NOW, (), NOW)
    assert isinstance(books.lease("bob", NOW), Slice)


def test_who_is_silent_once_has_lost_once_however_many_slices_it_holds() -> None:
    """One sends, others listen still; their signs of life are not of one moment."""
    books = ledger("alice")
    for n in range(LOSSES + 1):
        slice = leased(books, "alice", NOW + n)
        at(books, "alice", slice, slice.first, NOW + n)
    for n in range(LOSSES + 1):
        assert len(books.expire(NOW + n + TIMEOUT + 0.5)) == 1
    assert (books.agents["alice"].losses, books.agents["alice"].aside) == (1, 0.0)
    assert isinstance(books.lease("alice", NOW + 2 * TIMEOUT), Slice)


def test_who_loses_slices_one_after_the_other_is_set_aside_for_a_while() -> None:
    books = ledger("alice")
    now = NOW
    for _ in range(LOSSES):
        leased(books, "alice", now)
        now += TIMEOUT + 1
        books.expire(now)
    assert "lost one after the other" in str(books.lease("alice", now))
    assert isinstance(books.lease("alice", now + ASIDE_SECONDS + 1), Slice)


def test_an_agent_that_begins_anew_keeps_only_what_it_still_holds() -> None:
    books = ledger("alice")
    first, second = leased(books, "alice"), leased(books, "alice")
    books.hello("alice", can(), NOW, (second.token,), NOW + 1)
    assert set(books.leases) == {second.token}
    with pytest.raises(Fenced):
        at(books, "alice", first, first.last)
    at(books, "alice", second, second.last)


def test_what_is_returned_is_given_away_again_and_is_no_loss() -> None:
    books = ledger("alice")
    slice = leased(books, "alice")
    assert at(books, "alice", slice, 120, finished=True) == ""
    assert not books.leases
    assert books.agents["alice"].losses == 0
    assert sum(part.last - part.first for part in books.parts.values()) == 1_024 - 120


def test_a_scan_that_is_stopped_tells_its_agents_and_is_given_away_no_more() -> None:
    books = ledger("alice")
    slice = leased(books, "alice")
    books.stop("town", "an abuse mail", NOW)
    assert at(books, "alice", slice, 10) == "the scan was stopped: an abuse mail"
    assert at(books, "alice", slice, 10, finished=True) == ""
    assert isinstance(books.lease("alice", NOW), str)


def test_a_scan_that_waits_is_brought_back_and_goes_on_where_it_was() -> None:
    books = ledger("alice")
    slice = leased(books, "alice")
    books.hold("town", "it is paused", NOW)
    assert at(books, "alice", slice, slice.first + 10) == "the scan waits: it is paused"
    assert at(books, "alice", slice, slice.first + 20, finished=True) == ""
    assert books.lease("alice", NOW) == "nothing that fits"
    again = Ledger(timeout=TIMEOUT, slice_seconds=20.0)
    again.restore(books.take_changes())
    again.hello("alice", can(), NOW, (), NOW)
    assert again.lease("alice", NOW) == "nothing that fits", "also after a restart"
    again.hold("town", "", NOW)
    assert slice.first + 20 in {part.first for part in again.parts.values()}
    leased(again, "alice")


def test_work_that_is_kept_for_some_agents_goes_to_no_other() -> None:
    books = ledger("alice", "bob", agents=("bob",))
    assert books.lease("alice", NOW) == "nothing that fits"
    assert leased(books, "bob").first == 0


def test_a_revoked_agent_holds_nothing() -> None:
    books = ledger("alice", "bob")
    leased(books, "alice")
    books.forget("alice", NOW, "revoked")
    assert not books.leases
    assert sum(part.last - part.first for part in books.parts.values()) == 1_024


def test_the_same_scan_again_is_no_second_one_and_another_under_its_name_is_refused() -> None:
    books = ledger()
    books.submit(work(), NOW + 1)
    assert len(books.parts) == 1
    with pytest.raises(ValueError, match="another one"):
        books.submit(work(seed=2), NOW)


def test_dnmaps_four_words() -> None:
    books = ledger("alice")
    agent = books.agents["alice"]
    assert books.status(agent, NOW) == "online"
    slice = leased(books, "alice")
    at(books, "alice", slice, 10)
    assert books.status(agent, NOW) == "executing"
    books.progress("alice", slice.token, 20, shown(slice, 20), sent=20, rate=0, pending=9, finished=False, now=NOW)
    assert books.status(agent, NOW) == "storing"
    assert books.status(agent, NOW + max(PRESENT, TIMEOUT) + 1) == "offline"


def test_after_a_restart_nobody_is_late_and_everything_goes_on() -> None:
    books = ledger("alice", "bob")
    slice = leased(books, "alice")
    at(books, "alice", slice, 50)
    given = books.lease("bob", NOW)
    assert isinstance(given, Slice)
    books.begin("bob", given.token, DIGEST, ("10.0.0.3-10.0.0.4",), NOW)
    at(books, "bob", given, given.last)
    kept: dict[tuple[str, str], Change] = {}
    for change in books.take_changes():
        kept[change.table, change.key] = change
    again = Ledger(timeout=TIMEOUT, slice_seconds=20.0)
    again.restore(kept.values())
    again.restarted(NOW + 10_000)
    assert not again.expire(NOW + 10_000 + TIMEOUT)
    assert (again.jobs, again.parts, again.agents) == (books.jobs, books.parts, books.agents)
    at(again, "alice", slice, slice.last, NOW + 10_001)
    assert again.serial >= books.serial


def sampled(found: set[int], again: set[int]) -> Ledger:
    """ "alice" does her first slice and finds this; "bob" does the sample of it, and finds that."""
    books = ledger("alice", "bob")
    books._rng = random.Random(1)
    slice = leased(books, "alice")
    books.results("alice", slice.token, [n for n in sorted(found) if n < slice.last], NOW)
    at(books, "alice", slice, slice.last)
    while True:
        other = leased(books, "bob")
        held = books.leases[other.token]
        if held.check:
            break
        at(books, "bob", other, other.last)
    assert (held.check, held.only) == ("alice", None)
    assert slice.first <= other.first < other.last <= slice.last
    books.results("bob", other.token, [n for n in sorted(again) if other.first <= n < other.last], NOW)
    at(books, "bob", other, other.last)
    return books


@pytest.mark.parametrize(("hits", "size"), [(0, 100), (200, 32), (100, 64), (10, 100)])
def test_a_sample_is_as_large_as_it_must_be_to_tell(hits: int, size: int) -> None:
    """Ten seconds' worth at most, which is a hundred positions here; of a slice of two hundred."""
    books = ledger("alice", "bob")
    books._rng = random.Random(1)
    slice = leased(books, "alice")
    books.results("alice", slice.token, range(hits), NOW)
    at(books, "alice", slice, slice.last)
    sample = leased(books, "bob")
    assert sample.last - sample.first == size


ODD = set(range(1, 1_024, 2))


@pytest.mark.parametrize(
    ("found", "again", "why"),
    [
        (ODD, ODD, ""),
        ({n for n in ODD if n % 10 != 1}, ODD, ""),  # a fifth was lost on the way
        (ODD, {n for n in ODD if n % 10 != 1}, ""),
        (set(), ODD, "has not found"),
        ({n for n in ODD if n % 10 == 1}, ODD, "has not found"),
        (ODD, set(), "has found alone"),
        ({5}, {7, 9}, ""),  # too little to tell
    ],
)
def test_who_has_seen_far_less_or_more_than_another_is_set_aside(found: set[int], again: set[int], why: str) -> None:
    books = sampled(found, again)
    agent = books.agents["alice"]
    assert agent.checks == 1
    assert (why in agent.why, bool(agent.why)) == (True, bool(why))
    assert books.agents["bob"].why == ""


def test_a_sample_is_nothing_of_the_scan() -> None:
    books = sampled(ODD, ODD)
    while isinstance(given := books.lease("alice", NOW), Slice):
        books.begin("alice", given.token, DIGEST, (), NOW)
        at(books, "alice", given, given.last)
    job = books.jobs["town"]
    assert job.ended
    assert job.coverage().twice == 0
    assert job.hits == len([n for n in ODD if n < 200])


def test_a_sample_that_nobody_else_can_do_keeps_no_scan_from_its_end() -> None:
    books = ledger("alice")
    books._rng = random.Random(1)
    while isinstance(given := books.lease("alice", NOW), Slice):
        books.begin("alice", given.token, DIGEST, (), NOW)
        at(books, "alice", given, given.last)
    assert books.jobs["town"].ended
    assert [part.check for part in books.parts.values()] == ["alice"]


class Fleet:
    """Agents that work, lie, die and come back, over a ledger that is killed now and then."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.books = ledger("a", "b", "c")
        self.books._rng = self.random
        self.now = NOW
        self.held: list[tuple[str, Slice, int]] = []
        self.kept: dict[tuple[str, str], Change] = {}
        self.seen: list[int] = []  # positions of results that were taken

    def save(self) -> None:
        for change in self.books.take_changes():
            self.kept[change.table, change.key] = change

    def step(self) -> None:
        r = self.random
        self.now += r.choice((1.0, 5.0, 20.0))
        what = r.random()
        alias = r.choice("abc")
        if what < 0.4:
            given = self.books.lease(alias, self.now)
            if isinstance(given, Slice):
                skipped = ("10.0.1.0-10.0.1.255",) if alias == "c" and given.only is None else ()
                self.books.begin(alias, given.token, DIGEST, skipped, self.now)
                self.held.append((alias, given, given.first))
        elif what < 0.8 and self.held:
            alias, slice, was = self.held.pop(r.randrange(len(self.held)))
            position = r.randint(was, slice.last)
            try:
                at(self.books, alias, slice, position, self.now, finished=r.random() < 0.3)
            except Fenced:
                return
            if slice.token in self.books.leases:
                self.held.append((alias, slice, position))
        elif what < 0.9:
            self.books.expire(self.now)
        elif what < 0.95:
            self.books.hello(alias, can(), self.now, (), self.now)
        else:
            self.save()
            self.books = Ledger(timeout=TIMEOUT, slice_seconds=20.0, rng=self.random)
            self.books.restore(self.kept.values())
            self.books.restarted(self.now)
        self.save()


@given(st.integers(0, 2**32))
def test_whatever_agents_do_the_union_is_exact_and_nothing_is_done_twice(seed: int) -> None:
    fleet = Fleet(seed)
    for _ in range(400):
        fleet.step()
    # Then two honest ones finish: one of them does what "c" has skipped.
    fleet.now += ASIDE_SECONDS + TIMEOUT + 1
    fleet.books.expire(fleet.now)
    fleet.now += ASIDE_SECONDS + 1
    for _ in range(2_000):
        for alias in "ab":
            given = fleet.books.lease(alias, fleet.now)
            if isinstance(given, Slice):
                fleet.books.begin(alias, given.token, DIGEST, (), fleet.now)
                at(fleet.books, alias, given, given.last, fleet.now)
        if fleet.books.jobs["town"].ended:
            break
    job = fleet.books.jobs["town"]
    assert job.ended
    assert job.coverage().complete
    assert job.coverage().twice == 0


def test_a_scan_that_wants_grabs_goes_to_who_may_grab() -> None:
    books = ledger(banner=BannerGrab(), tls=TlsGrab())
    assert books.waits_for("town", NOW) == "an agent"
    for alias, may in (("alice", ()), ("bob", ("banner",))):
        books.hello(alias, can(grabs=may), NOW, (), NOW)
        assert books.lease(alias, NOW) == "nothing that fits"
    assert books.waits_for("town", NOW) == "an agent that grabs banner or grabs tls"
    books.hello("carol", can(grabs=("banner", "tls")), NOW, (), NOW)
    assert books.waits_for("town", NOW) == ""
    assert leased(books, "carol").work.grabs == ("banner", "tls")
    assert books.waits_for("town", NOW + PRESENT + TIMEOUT) == "an agent", "who was not heard for long is not here"


def test_what_a_scan_waits_for() -> None:
    books = ledger(probe="udp")
    books.hello("alice", can(), NOW, (), NOW)
    assert books.waits_for("town", NOW) == "an agent that does probe module udp"
    books.hello("bob", can(probes=("udp",)), NOW, (), NOW)
    assert books.waits_for("town", NOW) == ""
    books.refuse("bob", leased(books, "bob").token, "not here", NOW)
    assert books.waits_for("town", NOW) == "", "of what it has not refused there is more"
    while not isinstance(given := books.lease("bob", NOW), str):
        books.refuse("bob", given.token, "not here", NOW)
    assert books.waits_for("town", NOW) == "an agent that does probe module udp or may scan it"
    books.agents["bob"].aside = NOW + 1
    assert books.waits_for("town", NOW) == "an agent that does probe module udp"
    books.stop("town", "enough", NOW)
    assert books.waits_for("town", NOW) == ""


def test_a_sample_goes_to_who_may_not_grab_too_and_is_only_scanned() -> None:
    books = ledger(banner=BannerGrab())
    books._rng = random.Random(1)
    books.hello("alice", can(grabs=("banner",)), NOW, (), NOW)
    books.hello("bob", can(), NOW, (), NOW)
    slice = leased(books, "alice")
    at(books, "alice", slice, slice.last)
    sample = leased(books, "bob")
    assert books.leases[sample.token].check == "alice"
    assert sample.work == slice.work.bare()
    assert books.lease("bob", NOW) == "nothing that fits"


def test_what_an_agent_may_grab_is_kept_and_an_old_file_is_read() -> None:
    books = ledger()
    books.hello("alice", can(grabs=("tls",)), NOW, (), NOW)
    kept = books.take_changes()
    again = Ledger(timeout=TIMEOUT)
    again.restore(kept)
    assert again.agents["alice"].grabs == ("tls",)
    old = Ledger(timeout=TIMEOUT)
    for change in kept:
        if change.table == "agents" and change.body is not None:
            del change.body["grabs"]
        if change.table == "jobs" and change.body is not None:
            del change.body["work"]["banner"], change.body["work"]["tls"]
    old.restore(kept)
    assert (old.agents["alice"].grabs, old.jobs["town"].work) == ((), work())
