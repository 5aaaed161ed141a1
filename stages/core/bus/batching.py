"""Records and messages: what a message's value holds, and how records are gathered into messages.

The value of a message is JSON Lines: one record by default, many where the rate asks for it. Every reader takes both,
so the writer may choose. A message that carries the header `reason` is a dead letter: its value is the bytes that
could not be processed, exactly as they came, and is never split nor gathered.

Pure: lists in, lists out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final
from zlib import crc32

from stages.core.bus.base import Output, Partition

#: The header that marks a dead letter: its value is foreign bytes, not lines.
REASON_HEADER: Final = "reason"

#: One message of many lines: half of Kafka's default message.max.bytes (1,048,588), so that a batch of lines never
#: fails for its size alone. A single record may be larger (`records.MAX_RECORD_BYTES`) and then travels alone.
MAX_JOINED_BYTES: Final = 524_288

Headers = Mapping[str, bytes]


def is_whole(headers: Headers | None) -> bool:
    """Whether a value is one opaque blob (a dead letter) and not lines."""
    return headers is not None and REASON_HEADER in headers


def split(value: bytes, headers: Headers | None = None) -> list[bytes]:
    """The records of a message: its lines without their ends and without blank ones; a dead letter as it is."""
    if b"\n" not in value:
        if is_whole(headers):
            return [value]
        value = value.removesuffix(b"\r")
        return [value] if value else []
    if is_whole(headers):
        return [value]
    lines = value.split(b"\n")
    if b"\r" in value:
        lines = [line.removesuffix(b"\r") for line in lines]
    return [line for line in lines if line]


def by_partition(outputs: Sequence[Output], partitions: Callable[[str], int]) -> dict[Partition, list[Output]]:
    """Outputs by (topic, partition), each list in the order of `outputs`.

    `partitions` says how many partitions a topic has; it is asked once a topic and call.
    """
    counts: dict[str, int] = {}
    placed: dict[Partition, list[Output]] = {}
    get = placed.get
    for output in outputs:
        topic = output.topic
        count = counts.get(topic)
        if count is None:
            count = counts[topic] = partitions(topic)
        at = (topic, crc32(output.key) % count)  # `partition_of`, without the call
        held = get(at)
        if held is None:
            placed[at] = [output]
        else:
            held.append(output)
    return placed


def joined(
    outputs: Sequence[Output], batch_lines: int, max_bytes: int = MAX_JOINED_BYTES
) -> Iterator[tuple[bytes, bytes, Headers | None]]:
    """(key, value, headers) of each message for the outputs of one partition, in their order.

    Up to `batch_lines` records without headers share a message, as long as it stays within `max_bytes`; its key is
    that of its first record.
    """
    if batch_lines <= 1:
        for output in outputs:
            yield output.key, output.value, output.headers
        return
    held: list[bytes] = []
    key = b""
    size = 0
    for output in outputs:
        value = output.value
        alone = bool(output.headers)
        if held and (alone or len(held) >= batch_lines or size + len(value) >= max_bytes):
            yield key, b"\n".join(held), None
            held = []
            size = 0
        if alone:
            yield output.key, value, output.headers
            continue
        if not held:
            key = output.key
        held.append(value)
        size += len(value) + 1
    if held:
        yield key, b"\n".join(held), None
