"""RFC 9162 section 2.1.3.2 on the tree of RFC 6962's reference implementation: eight leaves whose hashes, and the root
hashes of the trees over the first one to eight of them, are public test vectors of transparency-dev/merkle."""

from __future__ import annotations

import hashlib

import pytest

from devkit.offline.merkle import audit_path, tree_root
from ocisource.trust.merkle import includes

LEAVES = [bytes.fromhex(one) for one in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
LEAVES.append(bytes.fromhex("606162636465666768696a6b6c6d6e6f"))
HASHES = [
    bytes.fromhex(one)
    for one in (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7",
        "07506a85fd9dd2f120eb694f86011e5bb4662e5c415a62917033d4a9624487e7",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "4271a26be0d8a84f0bd54c8c302e7cb3a3b5d1fa6780a40bcce2873477dab658",
        "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
        "46f6ffadd3d06a09ff3c5860d2755c8b9819db7df44251788c7d8e3180de8eb1",
    )
]
ROOTS = [
    bytes.fromhex(one)
    for one in (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]
# The nodes of RFC 6962 section 2.1.3, "Example", whose tree has seven leaves.
A, B, C, D, E, F, J = HASHES[:7]
G = bytes.fromhex("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125")
H = bytes.fromhex("5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e")
I = bytes.fromhex("0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a")  # noqa: E741 - the RFC's name
K = bytes.fromhex("d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7")
L = hashlib.sha256(b"\x01" + I + J).digest()
EXAMPLES = [(0, [B, H, L]), (3, [C, G, L]), (4, [F, J, K]), (6, [I, K])]


@pytest.mark.parametrize(("index", "path"), EXAMPLES)
def test_the_examples_of_rfc_6962_hold(index, path):
    assert includes(LEAVES[index], index, 7, path, ROOTS[6])


def test_the_only_leaf_of_a_tree_has_an_empty_path():
    assert includes(LEAVES[0], 0, 1, [], ROOTS[0])
    assert not includes(LEAVES[0], 0, 1, [B], ROOTS[0])
    assert not includes(LEAVES[1], 0, 1, [], ROOTS[0])


@pytest.mark.parametrize("size", range(1, 9))
def test_a_leaf_is_included_at_its_own_index_only(size):
    assert tree_root(LEAVES[:size]) == ROOTS[size - 1]
    for index in range(size):
        path = audit_path(LEAVES[:size], index)
        held = [at for at in range(size + 2) if includes(LEAVES[index], at, size, path, ROOTS[size - 1])]
        assert held == [index]


def test_an_index_beyond_the_tree_is_refused():
    """Index 5 of a tree of 5 leaves, with the path that would lead there in a tree of 8."""
    leaves = LEAVES[:8]
    assert includes(leaves[5], 5, 8, audit_path(leaves, 5), ROOTS[7])
    assert not includes(leaves[5], 5, 5, audit_path(leaves, 5), ROOTS[7])


@pytest.mark.parametrize(("index", "path"), EXAMPLES)
def test_a_path_that_is_too_short_too_long_or_turned_is_refused(index, path):
    for wrong in (path[:-1], [*path, K], path[1:], path[::-1], []):
        assert not includes(LEAVES[index], index, 7, wrong, ROOTS[6])


@pytest.mark.parametrize(("index", "path"), EXAMPLES)
def test_another_entry_or_root_is_refused(index, path):
    assert not includes(LEAVES[7], index, 7, path, ROOTS[6])
    assert not includes(LEAVES[index], index, 7, path, ROOTS[7])


def test_an_inner_node_is_no_entry():
    """Leaves and nodes are hashed apart: the two hashes below a node are not an entry."""
    assert not includes(A + B, 0, 2, [H], ROOTS[3])


def test_a_hash_of_another_length_is_refused():
    """Else an entry's hash could be cut out of a longer neighbour."""
    for neighbour in (HASHES[1] + b"\x00", HASHES[1][:-1]):
        root = hashlib.sha256(b"\x01" + HASHES[0] + neighbour).digest()
        assert not includes(LEAVES[0], 0, 2, [neighbour], root)


def test_a_path_that_does_not_reach_the_top_is_refused():
    """The root hash of the first four leaves is no proof in a tree of eight."""
    path = audit_path(LEAVES[:4], 0)
    assert includes(LEAVES[0], 0, 4, path, ROOTS[3])
    assert not includes(LEAVES[0], 0, 8, path, ROOTS[3])


def test_a_path_that_goes_on_above_the_top_is_refused():
    """Also where what is above it is the root hash that is asked for."""
    above = hashlib.sha256(b"\x01" + K + ROOTS[6]).digest()
    assert includes(LEAVES[0], 0, 7, [B, H, L], ROOTS[6])
    assert not includes(LEAVES[0], 0, 7, [B, H, L, K], above)


def test_the_largest_trees_cost_no_more_than_their_path():
    assert not includes(b"", (1 << 53) - 2, (1 << 53) - 1, [A] * 64, ROOTS[0])
