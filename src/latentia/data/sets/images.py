"""Named sets of images. Each comes with its files: place in the cache, publisher's address, checksums.

Checksums are of the publisher's bytes where they are known, then of copies in wide use that differ.
"""

import gzip
from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from latentia.data.attributes import Attribute
from latentia.data.ingest import formats
from latentia.data.ingest.download import PublishedFile, fetch, side_by_side
from latentia.data.ingest.raw import Raw
from latentia.data.rows import Rows
from latentia.data.spec import Support
from latentia.data.splits import check_split, joined, official_part, seeded_part
from latentia.errors import UsageError
from latentia.registry import datasets, unknown

_DIGITS = tuple("0123456789")


@datasets.register("digits")
def digits(split: str = "train", seed: int = 0) -> Rows:
    """Handwritten digits, 1,797 grey images of 8x8 in 17 levels, 10 classes; comes with scikit-learn.

    Split 80, 10 and 10 % by seed. Alpaydin and Kaynak (1998), UCI repository.
    """
    images, labels = _packaged_digits()
    return seeded_part(Raw(images, labels, Support("discrete", 17), _DIGITS).rows("digits"), split, seed)


def _packaged_digits() -> tuple[np.ndarray, np.ndarray]:
    """Read the images (n, 8, 8) and classes (n,) from scikit-learn's file; importing the library takes a second."""
    package = find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    with gzip.open(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    return table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64)


_MNIST = side_by_side(
    "mnist",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    {
        "train-images-idx3-ubyte.gz": "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
)


@datasets.register("mnist")
def mnist(split: str = "train", seed: int = 0) -> Rows:
    """Handwritten digits, 60,000 + 10,000 grey images of 28x28 in 256 levels, 10 classes.

    Official test part; 10,000 training images, chosen by seed, are the validation part. LeCun and others (1998).
    """
    return official_part(partial(_idx_pair, "mnist", _MNIST, _DIGITS), split, seed, validation=10_000)


_FASHION = side_by_side(
    "fashion-mnist",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    {
        "train-images-idx3-ubyte.gz": "sha256:3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "sha256:a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "sha256:346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "sha256:67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
)
_CLOTHES = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip


@datasets.register("fashion-mnist")
def fashion_mnist(split: str = "train", seed: int = 0) -> Rows:
    """Pieces of clothing, 60,000 + 10,000 grey images of 28x28 in 256 levels, 10 classes.

    Official test part; 10,000 training images, chosen by seed, are the validation part. Xiao and others (2017).
    """
    return official_part(
        partial(_idx_pair, "fashion-mnist", _FASHION, _CLOTHES), split, seed, validation=10_000
    )


_AMAT = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"
_STATIC = side_by_side(
    "mnist-static",
    _AMAT,
    {
        "binarized_mnist_train.amat": "sha256:ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d",
        "binarized_mnist_valid.amat": "sha256:1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2",
        "binarized_mnist_test.amat": "sha256:e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c",
    },
)
_STATIC_ZIPPED = side_by_side(
    "mnist-static",
    _AMAT,
    {
        "binarized_mnist_train.amat.gz": "sha256:af247bd6075cf9adc4715459dcd5f13eaa99a2c92d8d81379a05da94770b6c0e",
        "binarized_mnist_valid.amat.gz": "sha256:533b71bc0198f4d73c54ae5fe6c96fc08dc3cf1b3fae24c5521dbc0452507e38",
        "binarized_mnist_test.amat.gz": "sha256:32a3c54d03504632bf9f131b4a148c7567aa6fc87da017049b044bdc14c2a0f2",
    },
    direct=False,
)


@datasets.register("mnist-static")
def mnist_static(split: str = "train", seed: int = 0) -> Rows:  # noqa: ARG001  (every set takes a seed)
    """Binarised MNIST, 50,000 + 10,000 + 10,000 binary images of 28x28, without labels.

    The three official parts of Larochelle and Murray (2011); the seed changes nothing. The test part is
    sorted by class.
    """
    check_split(split)
    if split == "all":
        return joined([mnist_static(part) for part in ("train", "validation", "test")])
    name = f"binarized_mnist_{'valid' if split == 'validation' else split}.amat"
    bits = formats.read_bits(fetch(_STATIC[name], _STATIC_ZIPPED[f"{name}.gz"]))
    return Raw(bits.reshape(-1, 28, 28), support=Support("binary")).rows("mnist-static")


_USPS = PublishedFile(
    "usps/usps.h5",
    "https://www.kaggle.com/datasets/bistaumanga/usps-dataset (after signing in): usps.h5",
    ("sha256:734f88c541104a956d88be2c95d03b4a463ffd74ccc2ba9c80841fb98e3fcb36",),
    direct=False,
)


@datasets.register("usps")
def usps(split: str = "train", seed: int = 0) -> Rows:
    """Handwritten digits of postal codes, 7,291 + 2,007 grey images of 16x16 in [0, 1], 10 classes.

    Official test part; 1,000 training images, chosen by seed, are the validation part. Needs h5py.
    """
    return official_part(_usps_part, split, seed, validation=1_000)


_SPRITE_SUBSETS = "https://github.com/colleenjg/neuromatch_ssl_tutorial (folder dsprites): "
_SPRITES = {
    "full": PublishedFile(
        "dsprites/dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz",
        "https://raw.githubusercontent.com/google-deepmind/dsprites-dataset/master/"
        "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz",
        ("md5:7da33b31b13a06f4b04a70402ce90c2e",),  # no sha256 of the full file is known here
    ),
    "grid": PublishedFile(
        "dsprites/dsprites_downsampled.npz",
        f"{_SPRITE_SUBSETS}dsprites_downsampled.npz",
        ("sha256:8a632f70c0dbd279dd771854981a3de945b2448eddbd9b2af59fb83e8728f871",),
        direct=False,
    ),
    "random": PublishedFile(
        "dsprites/dsprites_subset.npz",
        f"{_SPRITE_SUBSETS}dsprites_subset.npz",
        ("sha256:32e7cb03fbab06c521df18877073c8d8508877ccecf27d98a9815fa2d4856567",),
        direct=False,
    ),
}


_SHAPES = ("square", "ellipse", "heart")


@datasets.register("dsprites")
def dsprites(split: str = "train", seed: int = 0, *, subset: str | None = None) -> Rows:
    """Squares, ellipses and hearts, 737,280 binary images of 64x64 in every place, size and angle, 3 classes.

    The factors are shape, scale, orientation (0° and 360° are both there, and the same picture), x and y. Split 80,
    10 and 10 % by seed. Matthey and others (2017).

    Args:
        split: train, validation, test or all.
        seed: of the split.
        subset: full; grid (46,080 images: every fourth angle, every second place); random (20,000 images); None
            takes the first of these that is in the cache. The rows' name includes it.
    """
    check_split(split)  # before anything is fetched
    if subset is not None and subset not in _SPRITES:
        raise UsageError(unknown("subset", subset, _SPRITES))
    path = fetch(*([_SPRITES[subset]] if subset else _SPRITES.values()))
    which = next(name for name, file in _SPRITES.items() if file.path.endswith(path.name))
    arrays = formats.read_npz(path, "imgs", "latents_classes")
    values = arrays["latents_classes"][:, -5:].astype(
        np.int64
    )  # the full file has a constant colour before them
    rows = Raw(arrays["imgs"], values[:, 0], Support("binary"), _SHAPES).rows(f"dsprites-{which}")
    return seeded_part(rows.with_factors(_sprite_factors(which), torch.from_numpy(values)), split, seed)


_OLIVETTI = PublishedFile(
    "olivetti/olivettifaces.mat",
    "https://ndownloader.figshare.com/files/5976027",
    (
        "sha256:b612fb967f2dc77c9c62d3e1266e0c73d5fca46a4b8906c18e454d41af987794",
        "sha256:b1988d02c72fe5b8ee82b5ef3bb7982eafc74f1e1ff0ae0ade35061ad0af534d",
    ),
)


@datasets.register("olivetti")
def olivetti(split: str = "train", seed: int = 0) -> Rows:
    """Faces of 40 people, 400 grey images of 64x64 in 256 levels, 40 classes.

    Split 80, 10 and 10 % by seed. AT&T Laboratories Cambridge.
    """
    check_split(split)  # before anything is fetched
    faces = formats.read_matlab(fetch(_OLIVETTI), "faces")
    people = tuple(str(person) for person in range(40))
    raw = Raw(_column_major(faces.T, 64), np.arange(400) // 10, Support("discrete", 256), people)
    return seeded_part(raw.rows("olivetti"), split, seed)


_COIL = PublishedFile(
    "coil20/COIL20.mat",
    "http://www.cad.zju.edu.cn/home/dengcai/Data/COIL20/COIL20.mat",
    ("sha256:b22b9beb0668f707990eda2b5f922384fd3e6d63d6df7ede3a3b5e2319c4e397",),
)


@datasets.register("coil20")
def coil20(split: str = "train", seed: int = 0) -> Rows:
    """Objects on a turntable, 1,440 grey images of 32x32 in 256 levels, 72 views of each of 20 objects.

    The factors are object and pose, the angle of the turntable. Split 80, 10 and 10 % by seed. Nene, Nayar and
    Murase (1996), in the 32x32 form of D. Cai.
    """
    check_split(split)  # before anything is fetched
    path = fetch(_COIL)
    objects = formats.read_matlab(path, "Y").ravel()
    images = formats.read_matlab(path, "X").astype(np.uint8)
    names = tuple(str(number) for number in range(1, 21))
    labels = objects.astype(np.int64) - 1
    rows = Raw(_column_major(images, 32), labels, Support("discrete", 256), names).rows("coil20")
    factors = Attribute("object", names), Attribute("pose", tuple(5.0 * view for view in range(72)), "angle")
    # The file has object after object, each from 0° on.
    views = np.arange(len(labels)) - np.searchsorted(labels, labels)
    return seeded_part(
        rows.with_factors(factors, torch.from_numpy(np.stack([labels, views], 1))), split, seed
    )


def _sprite_factors(subset: str) -> tuple[Attribute, ...]:
    """Return what the latent classes of a subset's file are; the grid numbers its own values."""
    turns, places = (4, 2) if subset == "grid" else (1, 1)
    place = tuple(float(value) for value in np.linspace(0, 1, 32)[::places])
    return (
        Attribute("shape", _SHAPES),
        Attribute("scale", tuple(0.5 + 0.1 * step for step in range(6)), "ordinal"),
        Attribute("orientation", tuple(float(value) for value in np.linspace(0, 360, 40)[::turns]), "angle"),
        Attribute("x", place, "ordinal"),
        Attribute("y", place, "ordinal"),
    )


def _idx_pair(name: str, files: Mapping[str, PublishedFile], classes: tuple[str, ...], part: str) -> Rows:
    prefix = "t10k" if part == "test" else "train"
    images = formats.read_idx(fetch(files[f"{prefix}-images-idx3-ubyte.gz"]))
    labels = formats.read_idx(fetch(files[f"{prefix}-labels-idx1-ubyte.gz"]))
    return Raw(images, labels, Support("discrete", 256), classes).rows(name)


def _usps_part(part: str) -> Rows:
    path = fetch(_USPS)
    images = formats.read_hdf5(path, f"{part}/data").reshape(-1, 16, 16)
    return Raw(images, formats.read_hdf5(path, f"{part}/target"), Support("unit"), _DIGITS).rows("usps")


def _column_major(images: np.ndarray, side: int) -> np.ndarray:
    """Return (n, side, side) images whose rows list them column by column, as MATLAB does."""
    return np.ascontiguousarray(images.reshape(-1, side, side).transpose(0, 2, 1))
