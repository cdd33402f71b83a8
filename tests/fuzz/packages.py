"""Packages of generators: safetensors and card, changed by their structure, the test block's checksum right again."""

from __future__ import annotations

import json
import random
import struct
from typing import Any

import numpy as np

from histocodec.errors import GeneratorError, InvalidPackage
from histocodec.generators.catalogue import load_generator
from histocodec.generators.engines.numpy_engine import NumpyEngine
from histocodec.generators.export import Exportable
from histocodec.generators.package import METADATA_KEY, Package
from histocodec.generators.self_test import crc32_of_test_block
from tests.format.conformance.make_vectors.networks import NETWORKS, network_package
from tests.format.conformance.second_decoder import Refused, network_of
from tests.fuzz.harness import Wrong, said
from tests.fuzz.mutation import Random, changed_bytes, changed_json, changed_list, number_near, other_scalar

_LARGEST = 1 << 22
"""Products for a pixel of networks that are run here; larger ones take as long as they may (SECURITY.md)."""


class Packages:
    """Packages, read, proven, and run on a few pixels; those in whole numbers by a second decoder as well."""

    name = "package"

    def __init__(self) -> None:
        load_generator(network_package("rrdb"))  # imports torch, which no input is to be charged with

    def seeds(self) -> list[bytes]:
        """Return a package of each kind."""
        return [network_package(kind).data for kind in NETWORKS]

    def changed(self, rng: random.Random, data: bytes, pool: tuple[bytes, ...]) -> bytes:
        """Change header, card or weights."""
        if rng.random() < 0.1:
            return changed_bytes(rng, data, pool)
        try:
            return _changed(rng, data)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, struct.error, RecursionError):
            return changed_bytes(rng, data, pool)

    def run(self, data: bytes) -> str:
        """Read it as a decoder does."""
        package = Package(data)
        try:
            _ = Exportable(package, None).files
            if package.is_exact:
                net = package.net
                if sum(layer.weight.size for layer in net.layers) > _LARGEST:
                    return "large"
            generator = load_generator(package)
            halo = generator.halo
            base = np.random.default_rng(1).integers(0, 256, (5 + 2 * halo, 7 + 2 * halo, 3), np.uint8)
            image = generator(base)
        except GeneratorError as error:
            return said(error)
        if image.shape != (5 * generator.scale, 7 * generator.scale, 3) or image.dtype != np.uint8:
            raise Wrong("an image of another size than the card states")
        if package.is_exact:
            try:
                other = network_of(data)(base)
            except Refused as error:
                raise Wrong(f"a second decoder refuses it: {error}") from error
            if not np.array_equal(image, other):
                raise Wrong("a second decoder gets other pixels")
        return f"ran {package.card.architecture} {generator.scale}"


def _changed(rng: Random, data: bytes) -> bytes:
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    card, body = json.loads(header["__metadata__"][METADATA_KEY]), bytearray(data[8 + length :])
    names = [name for name in header if name != "__metadata__"]
    for _ in range(rng.choice((1, 1, 2))):
        tensor: dict[str, Any] = header[rng.choice(names)]
        # Two changes may follow each other: the first one's offsets may be anywhere.
        start, end = (min(max(int(place), 0), len(body)) for place in tensor["data_offsets"])
        match rng.randrange(10):
            case 0 | 1:
                card = changed_json(rng, card)
            case 2:
                key = rng.choice(("hyperparameters", "scale", "halo", "architecture", "generation", "test_block_crc32"))
                card[key] = rng.choice(
                    (list(card["hyperparameters"]), [], "plain", "rrdb", other_scalar(rng, card[key]))
                )
            case 3:
                sizes = card["hyperparameters"]
                sizes[rng.choice(list(sizes))] = number_near(rng, rng.choice(list(sizes.values())), 32)
            case 4:
                header = changed_json(rng, header)
            case 5:
                changed_list(rng, tensor["shape"], lambda side: number_near(rng, side))
            case 6:
                changed_list(rng, tensor["data_offsets"], lambda place: number_near(rng, place))
            case 7:
                tensor["dtype"] = rng.choice(("I8", "U8", "I32", "F16", "F32", "BF16", "F64", "BOOL", "F8_E4M3", "I64"))
            case 8:
                body[start:end] = changed_bytes(rng, bytes(body[start:end]))[: end - start].ljust(end - start, b"\0")
            case _:
                spread = rng.choice((1, 3, 20, 64, 128))
                values = [rng.randint(-spread, spread - 1) & 255 for _ in range(end - start)]
                body[start:end] = bytes(values)
    if rng.random() < 0.9:
        card = _proven(header, card, bytes(body))
    return _written(header, card, bytes(body))


def _written(header: dict[str, Any], card: Any, body: bytes) -> bytes:
    header["__metadata__"] = {**header["__metadata__"], METADATA_KEY: json.dumps(card)}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body


def _proven(header: dict[str, Any], card: Any, body: bytes) -> Any:
    """Return the card with the checksum that the network's test block has now, if there is a network."""
    try:
        net = Package(_written(header, card, body)).net
        if sum(layer.weight.size for layer in net.layers) < 1 << 14:
            card["test_block_crc32"] = crc32_of_test_block(net, NumpyEngine(net))
    except (InvalidPackage, TypeError, AttributeError, KeyError):
        pass
    return card
