"""Hostile vectors whose generator is damaged, not at hand, or no network that a reader may run."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable

import numpy as np

from histocodec.generators.engines.numpy_engine import NumpyEngine
from histocodec.generators.integer_net import MAX_SHIFT, PAIR_LIMIT, SUM_LIMIT, tensors_of
from histocodec.generators.self_test import crc32_of_test_block as block_crc32
from tests.format.conformance.make_vectors.editing import change_manifest, compress, replaced, sha256
from tests.format.conformance.make_vectors.hostile_files import HostileFiles
from tests.format.conformance.make_vectors.networks import Tensors, network_package, packed, plain_card, random_net
from tests.format.conformance.surgery import GENERATOR, UNDEFINED, Directory


def generator_damaged(made: HostileFiles) -> None:
    """Add files whose generator is damaged or unknown."""
    package = network_package().data
    other = replaced(package, len(package) - 1, bytes([package[-1] ^ 1]))
    swapped = with_package(made, other, named=False)
    made.add("generator-damaged", "swapped", swapped, "another package than the manifest names")
    made.add(
        "generator-damaged",
        "bit-flip",
        made.flipped(GENERATOR, at=1500, source=made.embedded),
        "a bit flipped in the frame",
    )
    dropped = made.rebuilt(lambda d: d[0].tags.__delitem__(GENERATOR), source=made.embedded)
    made.add("generator-damaged", "missing", dropped, "no tag 65302")
    made.add(
        "generator-damaged",
        "no-package",
        with_package(made, b"garbage"),
        "a package that is none, named by its digest",
    )
    for name, old, new, how in (
        ("huge-network", '\\"channels\\": 4', '\\"channels\\": 500', "a network of 500 channels with the weights of 4"),
        ("deep-network", '\\"pairs\\": 1', '\\"pairs\\": 999999999', "a network of 10^9 pairs"),
        ("other-architecture", '\\"plain\\"', '\\"pickle\\"', "an architecture that does not exist"),
        ("other-halo", '\\"halo\\": 4', '\\"halo\\": 2', "a card whose halo is not the network's"),
        ("card-twice", '\\"halo\\": 4', '\\"halo\\": 2, \\"halo\\": 4', "a key twice in the card"),
    ):
        changed = _with_card(package, old, new)
        made.add("generator-damaged", name, with_package(made, changed), how)
    infinite = bytearray(network_package("rrdb").data)
    infinite[-2:] = struct.pack("<e", float("inf"))
    floats = with_package(made, bytes(infinite), source=made.valid["jp2k-x4-rrdb"])
    made.add("generator-damaged", "infinite", floats, "a weight of `rrdb` that is infinite")
    nobody = {"digest": "sha256:" + "0123456789abcdef" * 4, "name": "nobody", "embedded": False, "halo": 10}
    made.manifest(
        "nobody", "a digest that nobody has", lambda m: m["prediction"]["generator"].update(nobody), "generator-unknown"
    )


def unproven_networks(made: HostileFiles) -> None:
    """Add files whose network could give other pixels elsewhere, or does not give those that its card states."""
    sound = tensors_of(random_net("plain"))
    card = dataclasses.replace(
        plain_card("plain"), test_block_crc32=block_crc32(random_net("plain"), NumpyEngine(random_net("plain")))
    )

    def network(name: str, how: str, change: Callable[[Tensors], object]) -> None:
        tensors = {key: value.copy() for key, value in sound.items()}
        change(tensors)
        made.add("generator-damaged", name, with_package(made, packed(tensors, card).data), how)

    def one_more(tensors: Tensors) -> None:
        """The first channel of the tail: what its weights, its bias and the input can reach."""
        reach = 255 * int(np.abs(tensors["tail.weight"][0].astype(np.int64)).sum()) + (
            255 << int(tensors["tail.shift"][0])
        )
        tensors["tail.bias"][0] = reach - SUM_LIMIT

    def add_up(tensors: Tensors, by: int) -> None:
        tensors["body.1.weight"][2, 0, 1, 2] = by * PAIR_LIMIT // 2
        tensors["body.1.weight"][2, 1, 1, 2] = by * (PAIR_LIMIT // 2 + 1)

    network("sum", "a sum of the tail that can reach -2^24", one_more)
    network("bias", "a bias of -2^31", lambda t: t["head.bias"].__setitem__(3, -(2**31)))
    network("shift", "a shift of 13", lambda t: t["body.0.shift"].__setitem__(2, MAX_SHIFT + 1))
    network("shift-255", "a shift of 255", lambda t: t["tail.shift"].__setitem__(7, 255))
    network("pair", "two neighbouring weights that add up to 129", lambda t: add_up(t, 1))
    network("pair-negative", "two neighbouring weights that add up to -129", lambda t: add_up(t, -1))
    network("no-shift", "a layer without its shifts", lambda t: t.pop("body.1.shift"))
    network("further-tensor", "a tensor too many", lambda t: t.update({"body.2.bias": np.zeros(4, np.int32)}))
    network("unsigned", "weights of type U8", lambda t: t.update({"head.weight": t["head.weight"].view(np.uint8)}))
    network("shape", "a bias of one channel too few", lambda t: t.update({"head.bias": t["head.bias"][:-1].copy()}))
    halves = {name: (value / 1024).astype(np.float16) for name, value in sound.items() if "shift" not in name}
    floats = packed(halves, dataclasses.replace(card, test_block_crc32=None)).data
    made.add("generator-damaged", "floats", with_package(made, floats), "a `plain` network in floats, of type F16")
    assert card.test_block_crc32 is not None
    for name, checksum, how in (
        ("test-block", card.test_block_crc32 ^ 1, "a card that states another result of the test block"),
        ("no-test-block", None, "a card that states no result of the test block"),
    ):
        lying = packed(sound, dataclasses.replace(card, test_block_crc32=checksum)).data
        made.add("generator-damaged", name, with_package(made, lying), how)


def with_package(made: HostileFiles, package: bytes, *, named: bool = True, source: bytes | None = None) -> bytes:
    """Return a file with another package; named: and its digest in the manifest."""

    def change(directories: list[Directory]) -> None:
        directories[0].tags[GENERATOR] = UNDEFINED, compress(package)
        if named:
            digest = f"sha256:{sha256(package)}"
            change_manifest(directories, lambda m: m["prediction"]["generator"].update(digest=digest))

    return made.rebuilt(change, source=made.embedded if source is None else source)


def _with_card(package: bytes, old: str, new: str) -> bytes:
    (length,) = struct.unpack_from("<Q", package)
    header = package[8 : 8 + length].rstrip()
    assert old.encode() in header
    header = header.replace(old.encode(), new.encode())
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + package[8 + length :]
