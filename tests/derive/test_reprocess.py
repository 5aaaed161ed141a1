"""The job over real stores: everything is read, sighted and judged, once, wherever it was stopped."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from stages.core.outcome import Phase
from stages.derive import reprocess
from stages.derive.reprocess import OVERLAP, Reprocess
from stages.derive.roots import RootStore
from stages.derive.shelf import Judged
from stages.proto.x509.certificate import document, read
from stages.sink.corpus import Corpus
from tests.certificates.zoo import NOW, cross, intermediate, leaf, root, zoo
from tests.derive.test_sshkeys import INIT, REPLY
from tests.sink.corpora import corpus  # noqa: F401 -- a fixture
from tests.sink.material import T0, banner, tls, write

ROOTS = [RootStore.of("zoo", [root().der])]


def digest(der: bytes) -> str:
    return sha256(der).hexdigest()


async def judged(corpus: Corpus) -> dict[str, Any]:  # noqa: F811
    return {d["_id"]: d.get("verdicts") for d in await corpus.after("", 10_000)}


async def fill(corpus: Corpus) -> None:  # noqa: F811
    chain = [leaf().der, intermediate().der]
    await write(
        corpus, tls("10.0.0.1", T0, chain, sni="www.zoo.example"), tls("10.0.0.2", T0 + 9, chain, name="other.example")
    )
    for i, der in enumerate(zoo().values()):
        await write(corpus, tls(f"10.0.1.{i}", T0 + i, [der]))
    await write(corpus, tls("10.0.2.1", T0, [cert.der for cert in cross().values()]))
    ssh = b"SSH-2.0-x\r\n" + INIT + REPLY
    await write(corpus, banner("10.0.0.1", T0, data=ssh), banner("10.0.0.9", T0 + 5, data=ssh, phase=Phase.READ))


async def test_everything_is_judged(corpus: Corpus) -> None:  # noqa: F811
    await fill(corpus)
    summary = await Reprocess(corpus, ROOTS, NOW).run()
    verdicts = await judged(corpus)
    assert summary.judged == summary.of == len(verdicts)
    assert all(one["at"] == NOW for one in verdicts.values())
    assert verdicts[digest(leaf().der)]["untrusted"]["zoo"]["is"] == "no"
    assert verdicts[digest(leaf().der)]["mismatch"] == [
        {"name": "other.example", "is": "yes", "why": "it is for www.zoo.example"},
        {"name": "www.zoo.example", "is": "no", "why": "it is for www.zoo.example"},
    ]
    assert verdicts[digest(cross()["leaf"].der)]["untrusted"]["zoo"]["is"] == "no"
    assert summary.verdicts["expired"] == 2
    assert summary.failed == sum(bool(read(d["raw"]).errors) for d in await corpus.after("", 10_000))
    assert await corpus.services_of([digest(leaf().der)]) == {digest(leaf().der): 3}
    things = {(s["thing"], s["ip"]) async for s in corpus.sightings()}
    assert {("ssh", "10.0.0.1"), ("ssh", "10.0.0.9"), ("key", "10.0.0.2"), ("certificate", "10.0.0.2")} <= things


async def test_stopped_and_gone_on_with(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(reprocess, "CERTIFICATES", 7)
    monkeypatch.setattr(reprocess, "OBSERVATIONS", 10)
    await fill(corpus)
    runs = 0
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls % 3 == 0

    seen: list[int] = []
    while runs < 99:
        runs += 1
        summary = await Reprocess(corpus, ROOTS, NOW + runs, stop=stop).run()
        seen.append(summary.judged)
        if not summary.stopped:
            break
    verdicts = await judged(corpus)
    assert runs > 3
    assert sum(seen) == len(verdicts)  # each was judged once
    times = {one["at"] for one in verdicts.values()}
    assert len(times) == 1  # all for the time of the run that began
    whole = {k: {**v, "at": 0} for k, v in verdicts.items()}
    await Reprocess(corpus, ROOTS, times.pop(), restart=True).run()
    assert {k: {**v, "at": 0} for k, v in (await judged(corpus)).items()} == whole


async def test_other_roots_begin_anew(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(reprocess, "CERTIFICATES", 2)
    await write(corpus, tls(ders=[leaf(f"h{i}.example").der for i in range(5)]))
    calls = iter([False, True])  # the tls observations, then the first batch of certificates
    first = await Reprocess(corpus, ROOTS, NOW, stop=lambda: next(calls)).run()
    assert (first.stopped, first.judged) == (True, 2)
    others = [RootStore.of("zoo", [root(2).der])]
    again = await Reprocess(corpus, others, NOW + 1).run()
    assert (again.resumed, again.judged, again.at) == (False, 5, NOW + 1)


async def test_what_an_older_reader_read_is_read_again(corpus: Corpus) -> None:  # noqa: F811
    ders = [leaf(f"h{i}.example").der for i in range(3)] + [intermediate().der]
    await write(corpus, tls(ders=ders))
    await corpus.judge(
        [
            Judged(digest(der), fields={"size": 1, "names": [], "parse_status": "fail", "error": "old"})
            for der in ders[1:]
        ]
    )
    summary = await Reprocess(corpus, ROOTS, NOW).run()
    assert summary.read == 3
    for d in await corpus.after("", 9):
        fields = document(read(d["raw"]))
        assert {key: d[key] for key in fields} == fields
        assert "error" not in d
        assert d["verdicts"]["untrusted"]["zoo"]["is"] == "no"  # the intermediate was found, though read late
    assert (await Reprocess(corpus, ROOTS, NOW).run()).read == 0
    assert (await Reprocess(corpus, ROOTS, NOW, restart=True).run()).read == 4


async def test_observations_are_gone_over_once_and_late_ones_within_the_overlap(corpus: Corpus) -> None:  # noqa: F811
    der = leaf().der
    await write(corpus, tls("10.0.0.1", T0, [der]), tls("10.0.0.2", T0 + 2 * OVERLAP, [der]))
    assert (await Reprocess(corpus, ROOTS, NOW).run()).sighted == 2
    assert (await Reprocess(corpus, ROOTS, NOW).run()).sighted == 1  # the one within the overlap, and nothing changes
    assert await corpus.services_of([digest(der)]) == {digest(der): 2}
    await write(corpus, tls("10.0.0.3", T0 + OVERLAP + 1, [der]))  # late
    await write(corpus, tls("10.0.0.4", T0, [der]))  # later than late
    await Reprocess(corpus, ROOTS, NOW).run()
    assert await corpus.services_of([digest(der)]) == {digest(der): 3}
    await Reprocess(corpus, ROOTS, NOW, restart=True).run()
    assert await corpus.services_of([digest(der)]) == {digest(der): 4}


async def test_an_empty_store(corpus: Corpus) -> None:  # noqa: F811
    summary = await Reprocess(corpus, ROOTS, NOW).run()
    assert (summary.of, summary.judged, summary.sighted, summary.stopped) == (0, 0, 0, False)
    assert await corpus.state("sightings.tls") is not None
