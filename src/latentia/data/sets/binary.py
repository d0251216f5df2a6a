"""Named tables of zeros and ones, on which densities are compared, in their three official parts."""

import numpy as np

from latentia.data.ingest.download import fetch, side_by_side
from latentia.data.ingest.raw import Raw
from latentia.data.rows import Rows
from latentia.data.spec import Support
from latentia.data.splits import check_split, joined
from latentia.errors import DataError
from latentia.registry import datasets

_ADDRESS = "https://raw.githubusercontent.com/UCLA-StarAI/Density-Estimation-Datasets/master/datasets/"
_PARTS = {"train": "train", "validation": "valid", "test": "test"}
_CHECKSUMS = {
    "nltcs": (
        "sha256:e547a7aedad1dd2f7177030881ab1b92c7e24ae5464c71a0f1f89daecaf52b30",
        "sha256:93bbbf5c6febdc9bc6e5b5bfab636f4dc0685ab2896d24b23dd267794c3bfcf6",
        "sha256:f9ffa6b74b27dc03bee3203d157ee31079e80b13be40d0c0093d635c25aed523",
    ),
    "dna": (
        "sha256:bb8de0ca4b6ad9b610036b7a302962ebecd4b504354b14c02c7d0bee48d207d9",
        "sha256:4b0fc89cda5eaf5c75926e281afb6af99de194a546070d5b81b524ba251f4f3f",
        "sha256:fec3ae7b26804020a9c43c99828441c5e08bb76b23719368a74ad2b09af99100",
    ),
    "mushrooms": (
        "sha256:465c712c066bbbee3ccceded24bbe42b4c379df67b524e28cce9bf3a8b83f27b",
        "sha256:5a067e6854df71623415e6adc8e913cbff766637a324788882ba800907aa5385",
        "sha256:313c5f04b5d0a18bee2f2ffa264be265d09f5362aad6f714637acd9552f81aa0",
    ),
    "plants": (
        "sha256:1fb1219ff94068d12a563f9e81f8889a1885f41e867884cff608669300c6848f",
        "sha256:47834ed318b2d74f48e4b083226ef47fd446d41986012ceae19d230574821b34",
        "sha256:95f53c033cd1d86467aec2610dc5bfe014534206c2da4919f73bcab246ab8755",
    ),
}
_FILES = {
    name: file
    for key, checksums in _CHECKSUMS.items()
    for name, file in side_by_side(
        f"binary/{key}",
        f"{_ADDRESS}{key}/",
        {f"{key}.{part}.data": each for part, each in zip(_PARTS.values(), checksums, strict=True)},
    ).items()
}


@datasets.register("nltcs")
def nltcs(split: str = "train", seed: int = 0) -> Rows:  # noqa: ARG001  (every set takes a seed)
    """Disabilities of elderly people, 16,181 + 2,157 + 3,236 binary rows of 16 columns.

    The three official parts; the seed changes nothing, and nine test rows in ten repeat a training row. National
    Long-Term Care Survey; Lowd and Davis (2010).
    """
    return _binary("nltcs", split)


@datasets.register("dna")
def dna(split: str = "train", seed: int = 0) -> Rows:  # noqa: ARG001
    """Splice junctions of genes, 1,600 + 400 + 1,186 binary rows of 180 columns.

    The three official parts; the seed changes nothing. Van Haaren and Davis (2012).
    """
    return _binary("dna", split)


@datasets.register("mushrooms")
def mushrooms(split: str = "train", seed: int = 0) -> Rows:  # noqa: ARG001
    """Mushrooms by their looks, 2,000 + 500 + 5,624 binary rows of 112 columns.

    The three official parts; the seed changes nothing. Larochelle and Murray (2011).
    """
    return _binary("mushrooms", split)


@datasets.register("plants")
def plants(split: str = "train", seed: int = 0) -> Rows:  # noqa: ARG001
    """Where plants grow in North America, 17,412 + 2,321 + 3,482 binary rows of 69 states and provinces.

    The three official parts; the seed changes nothing. Van Haaren and Davis (2012).
    """
    return _binary("plants", split)


def _binary(name: str, split: str) -> Rows:
    """Read a part of a set: zeros and ones with commas between, a line for each row."""
    check_split(split)
    if split == "all":
        return joined([_binary(name, part) for part in _PARTS])
    path = fetch(_FILES[f"{name}.{_PARTS[split]}.data"])
    lines = path.read_bytes().split()
    try:
        bits = np.array([np.frombuffer(line[::2], np.uint8) for line in lines]) - ord("0")
    except ValueError as error:
        raise DataError(f"{path} has lines of different lengths") from error
    columns = tuple(f"x{number}" for number in range(1, bits.shape[1] + 1))
    return Raw(bits, support=Support("binary"), columns=columns).rows(name)
