"""Merkle trees against the published vectors and the definition."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from rules_service.workflow.merkle import inclusion, leaf_hash, root
from tests.support.merkle import root_of_inclusion

# The test vectors of Certificate Transparency's reference implementation: eight leaves and the roots of the first n of them.
LEAVES = [
    bytes.fromhex(one) for one in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def test_roots_are_those_of_the_published_vectors() -> None:
    hashes = [leaf_hash(leaf) for leaf in LEAVES]
    assert [root(hashes[:count]).hex() for count in range(1, 9)] == ROOTS
    assert root([]) == hashlib.sha256(b"").digest()


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=70), st.data())
def test_every_leaf_s_path_leads_to_the_root_and_no_other_does(data: list[bytes], draw: st.DataObject) -> None:
    hashes = [leaf_hash(one) for one in data]
    top = root(hashes)
    position = draw.draw(st.integers(0, len(hashes) - 1))
    path = inclusion(hashes, position)
    assert root_of_inclusion(hashes[position], position, len(hashes), path) == top
    assert root_of_inclusion(leaf_hash(b"other" * 3), position, len(hashes), path) != top
    assert root_of_inclusion(hashes[position], position, len(hashes), [*path, top]) is None
    assert root_of_inclusion(hashes[position], len(hashes), len(hashes), path) is None
    if path:
        assert root_of_inclusion(hashes[position], position, len(hashes), path[:-1]) != top
