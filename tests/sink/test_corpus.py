"""The corpus of both stores: one suite, and the same answers."""

from __future__ import annotations

import random
from hashlib import sha256

from stages.derive.shelf import Judged
from stages.derive.sightings import Sighting, Thing
from stages.proto.x509.certificate import READER, document, read
from stages.proto.x509.hostnames import below
from stages.sink.corpus import MAX_ASKED, Corpus
from stages.sink.documents import address_of
from stages.sink.erasure import Erasure
from stages.sink.store import Collection, Filter, network_range
from tests.certificates.zoo import intermediate, leaf, root, zoo
from tests.sink.corpora import corpus  # noqa: F401 -- a fixture
from tests.sink.material import T0, banner, tls, write


def digest(der: bytes) -> str:
    return sha256(der).hexdigest()


def seen(
    ip: str, thing: Thing = Thing.CERTIFICATE, of: bytes = b"c", first: int = 5, last: int = 9, **more: object
) -> Sighting:
    fields = {"port": 443, "transport": "tcp", "name": "", **more}
    return Sighting(thing, digest(of), *address_of(ip), first_seen=first, last_seen=last, **fields)  # type: ignore[arg-type]


async def found(corpus: Corpus, **where: object) -> set[str]:  # noqa: F811
    return {d["_id"] async for d in corpus.find(Collection.CERTIFICATES, Filter(**where))}  # type: ignore[arg-type]


async def test_sightings_are_erased_with_their_network(corpus: Corpus) -> None:  # noqa: F811
    await corpus.see([seen("10.0.0.1"), seen("10.0.1.1"), seen("10.0.0.9", Thing.KEY, b"k"), seen("2001:db8::1")])
    erasure = Erasure("10.0.0.0/24", T0)
    await corpus.erase(erasure, network_range("10.0.0.0/24"), lambda: 1.0)
    assert erasure.sightings == 2
    left = Erasure("", T0)
    for network in ("0.0.0.0/0", "::/0"):
        await corpus.erase(left, network_range(network), lambda: 1.0, dry=True)
        assert left.sightings == 1


async def test_names_below_a_domain(corpus: Corpus) -> None:  # noqa: F811
    names = ["a.example.org", "*.example.org", "b.c.example.org", "example.org", "badexample.org", "a.example.com",
             "example.org.evil.com", "a.example-org.com"]  # fmt: skip
    ders = {name: leaf(name).der for name in names}
    ders["both"] = leaf("both", sans=("a.example.net", "z.example.org")).der
    await write(corpus, tls(ders=list(ders.values())))
    inside = {digest(ders[name]) for name in ("a.example.org", "*.example.org", "b.c.example.org", "both")}
    assert await found(corpus, below=below("*.example.org")) == inside
    assert await found(corpus, below=below("*.c.example.org")) == {digest(ders["b.c.example.org"])}
    assert await found(corpus, below=below("*.net")) == {digest(ders["both"])}
    assert await found(corpus, below=below("*.org.example")) == set()
    assert await found(corpus, name="*.example.org") == {digest(ders["*.example.org"])}
    assert await found(corpus, name="a.example.org") == {digest(ders["a.example.org"])}
    # One name must lie in the range: not one above its beginning and another below its end.
    assert await found(corpus, below=("net.example.b", "org.a")) == set()


async def test_questions_of_one_certificate_each(corpus: Corpus) -> None:  # noqa: F811
    good, old = zoo()["good"], zoo()["expired"]
    await write(corpus, tls(ts=T0, ders=[good, intermediate().der]), tls("10.0.0.2", T0 + 50, [old, root().der]))
    ends = read(good).not_after
    assert ends is not None
    assert await found(corpus, expiring=(ends - 1, ends)) == {digest(good)}
    assert await found(corpus, expiring=(ends + 1, ends + 2)) == set()
    assert await found(corpus, issuer="zoo intermediate") == {digest(good), digest(old)}
    assert await found(corpus, issuer="ROOT".lower()) == {digest(intermediate().der), digest(root().der)}
    assert await found(corpus, issuer=".*") == set()
    assert await found(corpus, new_since=T0 + 1) == {digest(old), digest(root().der)}
    assert await found(corpus, new_since=T0 + 1, issuer="intermediate", expiring=(0, ends)) == {digest(old)}


async def test_certificates_come_in_order(corpus: Corpus) -> None:  # noqa: F811
    ders = [leaf(f"h{i}.example").der for i in range(25)]
    await write(corpus, tls(ders=ders))
    assert await corpus.count_certificates() == 25
    seen_: list[str] = []
    after = ""
    while part := await corpus.after(after, 7):
        seen_ += [d["_id"] for d in part]
        after = seen_[-1]
        assert all(d["raw"] in ders for d in part)
    assert seen_ == sorted(map(digest, ders))
    assert await corpus.after("", 99, reader=READER) == []


async def test_keys_and_authorities(corpus: Corpus) -> None:  # noqa: F811
    ders = [root().der, intermediate().der, leaf().der, zoo()["nothing"]]
    await write(corpus, tls(ders=ders))
    keys = await corpus.keys_of([*map(digest, ders), "0" * 64])
    assert keys == {digest(der): digest(read(der).spki) for der in ders[:3]}
    names = [document(read(der))["subject_sha256"] for der in ders[:3]]
    assert [await corpus.authorities(name, 5) for name in names] == [[ders[0]], [ders[1]], []]
    assert await corpus.authorities(names[0], 0 + 1) == [ders[0]]


async def test_sightings_are_minima_and_maxima(corpus: Corpus) -> None:  # noqa: F811
    all_ = [
        seen("10.0.0.2"),
        seen("10.0.0.1", first=7, last=7),
        seen("10.0.0.1", first=3, last=4),
        seen("2001:db8::1", name="a.example"),
        seen("10.0.0.1", Thing.KEY),
        seen("10.0.0.1", Thing.SSH, b"k", port=22),
    ]
    for _ in range(3):
        random.Random(1).shuffle(all_)
        for one in all_:
            await corpus.see([one])
    rows = [d async for d in corpus.sightings()]
    assert [(d["thing"], d["hash"], d["ip"], d["first_seen"], d["last_seen"]) for d in rows] == [
        ("certificate", digest(b"c"), "10.0.0.1", 3, 7),
        ("certificate", digest(b"c"), "10.0.0.2", 5, 9),
        ("certificate", digest(b"c"), "2001:db8::1", 5, 9),
        ("key", digest(b"c"), "10.0.0.1", 5, 9),
        ("ssh", digest(b"k"), "10.0.0.1", 5, 9),
    ] or {d["ip"] for d in rows} == {"10.0.0.1", "10.0.0.2", "2001:db8::1"}
    assert set(rows[0]) == {"thing", "hash", "ip", "address", "port", "transport", "name", "first_seen", "last_seen"}
    assert [d["ip"] async for d in corpus.sightings("ssh")] == ["10.0.0.1"]
    assert await corpus.services_of([digest(b"c"), digest(b"x")]) == {digest(b"c"): 3, digest(b"x"): 0}
    assert await corpus.asked_of([digest(b"c"), digest(b"x")]) == {digest(b"c"): ["a.example"]}
    await corpus.see([seen("10.0.0.1", name=f"h{i:04}.example") for i in range(MAX_ASKED + 50)])
    assert len((await corpus.asked_of([digest(b"c")]))[digest(b"c")]) == MAX_ASKED
    await corpus.see([])


async def test_what_was_read_again_replaces_what_was_read_before(corpus: Corpus) -> None:  # noqa: F811
    der = leaf("new.example").der
    await write(corpus, tls(ts=T0, ders=[der]))
    one = digest(der)
    older = {"size": 1, "names": ["old.example", "new.example"], "parse_status": "fail", "error": "x", "notes": ["y"]}
    await corpus.judge([Judged(one, fields=older)])
    assert await found(corpus, name="old.example") == {one}
    assert [d["_id"] for d in await corpus.after("", 9, reader=READER)] == [one]
    await corpus.judge([Judged(one, verdicts={"at": 5, "expired": {"is": "no", "why": ""}})])
    await corpus.judge([Judged(one, fields=document(read(der))), Judged("0" * 64, fields=older)])
    [kept] = await corpus.after("", 9)
    assert kept == {
        "_id": one,
        "first_seen": T0,
        "last_seen": T0,
        **document(read(der)),
        "raw": der,
        "verdicts": {"at": 5, "expired": {"is": "no", "why": ""}},
    }
    assert await found(corpus, name="old.example") == set()
    assert await found(corpus, name="new.example") == {one}
    await write(corpus, tls(ts=T0 + 7, ders=[der]))  # the sink meets it again, and leaves what the job wrote
    [kept] = await corpus.after("", 9)
    assert (kept["last_seen"], kept["verdicts"]["at"]) == (T0 + 7, 5)


async def test_a_job_is_where_it_was_saved(corpus: Corpus) -> None:  # noqa: F811
    assert await corpus.state("x") is None
    await corpus.save("x", {"after": "a", "roots": {"certifi": "f"}})
    await corpus.save("x", {"after": "b", "done": True})
    await corpus.save("y", {"until": 2**60})
    assert await corpus.state("x") == {"after": "b", "done": True}
    assert await corpus.state("y") == {"until": 2**60}


async def test_observations_by_their_time(corpus: Corpus) -> None:  # noqa: F811
    await write(corpus, *[tls(f"10.0.0.{i}", T0 + 9 - i, [b"c"]) for i in range(5)], banner(ts=T0))
    assert [o["ts"] async for o in corpus.observed("tls", T0 + 6)] == [T0 + 6, T0 + 7, T0 + 8, T0 + 9]
    assert [o["kind"] async for o in corpus.observed("banner", None)] == ["banner"]
