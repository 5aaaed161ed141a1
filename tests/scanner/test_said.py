from __future__ import annotations

from dataclasses import replace

import numpy as np

from stages.core.outcome import Outcome
from stages.core.records import Hit
from stages.net.conversation import Conversation
from stages.net.ended import ENDED, Ended
from stages.proto.banner import Script
from stages.scanner.hits import HitSource, hit_of
from stages.scanner.rows import Answer
from stages.scanner.said import Compiled, Grabbing, Left, Rendered, Said, Talked
from tests.servers.answers import synack


def render(ended: Ended) -> Rendered:
    tags = ended.rows["tag"].tolist()
    return [(b"key", b"%d" % tag) for tag in tags], {Outcome.OK: len(tags)}


def record(conversation: Conversation, hit: Hit) -> tuple[Outcome, bytes]:
    outcome = Outcome.LOCAL if conversation.failed else Outcome.OK
    return outcome, hit.ip.encode()


GRABBING = Grabbing(
    name="wait", topic="t", begin=lambda host, port: Script().begin(host), record=record, expired=lambda hit, ts: b""
)


def test_rows_of_the_compiled_dialogue() -> None:
    rows = np.zeros(3, ENDED)
    rows["tag"] = [5, 9, 7]
    batch = Compiled(Ended(rows, b""), render)
    assert isinstance(batch, Said)
    assert (len(batch), batch.positions()) == (3, [5, 9, 7])
    assert batch.rendered(None) == ([(b"key", b"5"), (b"key", b"9"), (b"key", b"7")], {Outcome.OK: 3})
    assert batch.rendered({9}) == ([(b"key", b"9")], {Outcome.OK: 1})


def talked(*answers: Answer) -> Talked:
    conversations = [Conversation("10.0.0.1", 80, Script().begin(""), answer, 1.0, 10) for answer in answers]
    source = HitSource("s", "tcp_synscan")
    return Talked(conversations, GRABBING, lambda answer: hit_of(answer, source))


def test_conversations_of_objects() -> None:
    batch = talked(synack(position=3), synack(position=4, address="10.0.9.9"))
    assert isinstance(batch, Said)
    assert batch.positions() == [3, 4]
    lines, outcomes = batch.rendered(None)
    assert lines == [(b"10.0.0", b"10.0.0.1"), (b"10.0.9", b"10.0.9.9")]
    assert outcomes == {Outcome.OK: 2}
    assert batch.rendered({4})[0] == [(b"10.0.9", b"10.0.9.9")]


def test_what_is_plain_takes_the_short_way() -> None:
    batch = talked(synack(position=3), synack(position=4, address="10.0.9.9"))
    short = replace(batch, plain=lambda _, answer: (b"key", b"short") if answer.position == 3 else None)
    assert short.rendered(None) == ([(b"key", b"short"), (b"10.0.9", b"10.0.9.9")], {Outcome.OK: 2})
    assert short.rendered({4}) == ([(b"10.0.9", b"10.0.9.9")], {Outcome.OK: 1})


def test_our_own_fault_is_counted_and_is_no_record() -> None:
    batch = talked(synack(position=1), synack(position=2))
    batch.conversations[0].failed = True
    batch.conversations[1].fault = ValueError("a dialogue's own")
    assert batch.rendered(None) == ([], {Outcome.LOCAL: 1})


def test_hits_that_nobody_goes_on_with() -> None:
    assert isinstance(Left([1]), Said)
    assert (Left([1, 2]).positions(), Left([1, 2]).rendered(None)) == ([1, 2], ([], {}))
    assert Left([1], [(b"k", b"line")]).rendered(None) == ([(b"k", b"line")], {Outcome.EXPIRED: 1})
    assert Left([1], [(b"k", b"line")]).rendered({2}) == ([], {})
