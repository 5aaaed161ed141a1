from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stages.campaign.groups import Group, groups

PAIRS = st.sets(
    st.tuples(st.integers(1, 40).map("10.0.0.{}".format), st.sampled_from([22, 25, 80, 443, 8080, 9090])), max_size=80
)


def test_addresses_with_the_same_ports_go_together() -> None:
    pairs = [("10.0.0.2", 80), ("10.0.0.1", 80), ("10.0.0.3", 443), ("10.0.0.3", 80)]
    assert groups(pairs) == [Group((80,), ("10.0.0.1", "10.0.0.2")), Group((80, 443), ("10.0.0.3",))]
    assert groups([]) == []


@given(PAIRS, st.integers(1, 8))
def test_each_pair_is_in_one_group_and_few_others(pairs: set[tuple[str, int]], most: int) -> None:
    found = groups(sorted(pairs), most)
    assert len(found) <= most
    probed = [(ip, port) for group in found for ip in group.addresses for port in group.ports]
    assert len(probed) == len(set(probed)) == sum(group.size for group in found)
    assert pairs <= set(probed)
    assert {ip for ip, _ in probed} == {ip for ip, _ in pairs}
    if most >= len({frozenset(p for i, p in pairs if i == ip) for ip, _ in pairs}):
        assert set(probed) == pairs, "none more where that can be"
    assert groups(sorted(pairs, reverse=True), most) == found
