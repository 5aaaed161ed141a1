"""The partitioning is the same in every transport and for ever; the names of the topics."""

from __future__ import annotations

from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.bus.base import DEFAULT_PARTITIONS, Topics, partition_of
from stages.core.records import prefix_key

#: CRC-32 of ISO-HDLC: the check value of "123456789" is CBF43926.
CHECK = 0xCBF43926


@pytest.mark.parametrize(
    ("key", "partitions", "partition"),
    [
        (b"123456789", 2**32, CHECK),
        (b"123456789", 16, 6),
        (b"", 16, 0),
        (b"10.1.2", 16, crc32(b"10.1.2") % 16),
        (b"anything", 1, 0),
    ],
)
def test_vectors(key, partitions, partition):
    assert partition_of(key, partitions) == partition


@given(st.binary(max_size=20), st.integers(1, 1000))
def test_in_range(key, partitions):
    assert 0 <= partition_of(key, partitions) < partitions


def test_a_prefix_stays_together_and_prefixes_spread():
    assert len({partition_of(prefix_key(f"10.1.2.{n}"), DEFAULT_PARTITIONS) for n in range(256)}) == 1
    assert len({partition_of(prefix_key(f"10.1.{n}.1"), DEFAULT_PARTITIONS) for n in range(256)}) == DEFAULT_PARTITIONS


def test_topics():
    topics = Topics("test")
    names = [topics.hits, topics.banners, topics.tls, topics.scans, topics.events, topics.dead]
    names.append(topics.later("bannergrab"))
    assert names == [
        "test.hits.v1",
        "test.banners.v1",
        "test.tls.v1",
        "test.scans.v1",
        "test.events.v1",
        "test.dead.v1",
        "test.bannergrab.later.v1",
    ]
    assert Topics().hits == "longline.hits.v1"
