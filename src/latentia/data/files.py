"""The files that named sets are made of: place in the cache, publisher's address, checksums.

Checksums are of the publisher's bytes where they are known, then of copies in wide use that differ.
"""

from __future__ import annotations

from pathlib import Path

from latentia.data.download import PublishedFile, fetch

_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_AMAT = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"
_DSPRITES = "https://raw.githubusercontent.com/google-deepmind/dsprites-dataset/master/"
_SPRITE_SUBSETS = "https://github.com/colleenjg/neuromatch_ssl_tutorial (folder dsprites): "
_USPS = "https://www.kaggle.com/datasets/bistaumanga/usps-dataset (after signing in): "
_OLIVETTI = "https://ndownloader.figshare.com/files/5976027"
_COIL = "http://www.cad.zju.edu.cn/home/dengcai/Data/COIL20/"
_FREMONT = "https://data.seattle.gov/api/views/65db-xm6k/rows.csv?accessType=DOWNLOAD"
_WINE = "https://archive.ics.uci.edu/ml/machine-learning-databases/wine-quality/"
_GEYSER = "https://raw.githubusercontent.com/mwaskom/seaborn-data/master/"


def published(*paths: str) -> Path:
    """Return the first of interchangeable files, given by their places, that is there; else download."""
    return fetch(*(FILES[path] for path in paths))


def _file(path: str, base: str, *checksums: str, direct: bool = True) -> PublishedFile:
    address = base + Path(path).name if base.endswith(("/", " ")) else base
    return PublishedFile(path, address, checksums, direct)


# fmt: off
_FILES = (
    _file("mnist/train-images-idx3-ubyte.gz", _MNIST,
          "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
    _file("mnist/train-labels-idx1-ubyte.gz", _MNIST,
          "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
    _file("mnist/t10k-images-idx3-ubyte.gz", _MNIST,
          "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
    _file("mnist/t10k-labels-idx1-ubyte.gz", _MNIST,
          "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    _file("fashion-mnist/train-images-idx3-ubyte.gz", _FASHION,
          "sha256:3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
    _file("fashion-mnist/train-labels-idx1-ubyte.gz", _FASHION,
          "sha256:a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
    _file("fashion-mnist/t10k-images-idx3-ubyte.gz", _FASHION,
          "sha256:346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
    _file("fashion-mnist/t10k-labels-idx1-ubyte.gz", _FASHION,
          "sha256:67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    _file("mnist-static/binarized_mnist_train.amat", _AMAT,
          "sha256:ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d"),
    _file("mnist-static/binarized_mnist_train.amat.gz", _AMAT,
          "sha256:af247bd6075cf9adc4715459dcd5f13eaa99a2c92d8d81379a05da94770b6c0e", direct=False),
    _file("mnist-static/binarized_mnist_valid.amat", _AMAT,
          "sha256:1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2"),
    _file("mnist-static/binarized_mnist_valid.amat.gz", _AMAT,
          "sha256:533b71bc0198f4d73c54ae5fe6c96fc08dc3cf1b3fae24c5521dbc0452507e38", direct=False),
    _file("mnist-static/binarized_mnist_test.amat", _AMAT,
          "sha256:e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c"),
    _file("mnist-static/binarized_mnist_test.amat.gz", _AMAT,
          "sha256:32a3c54d03504632bf9f131b4a148c7567aa6fc87da017049b044bdc14c2a0f2", direct=False),
    _file("dsprites/dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz", _DSPRITES,
          "md5:7da33b31b13a06f4b04a70402ce90c2e"),
    _file("dsprites/dsprites_subset.npz", _SPRITE_SUBSETS,
          "sha256:32e7cb03fbab06c521df18877073c8d8508877ccecf27d98a9815fa2d4856567", direct=False),
    _file("dsprites/dsprites_downsampled.npz", _SPRITE_SUBSETS,
          "sha256:8a632f70c0dbd279dd771854981a3de945b2448eddbd9b2af59fb83e8728f871", direct=False),
    _file("usps/usps.h5", _USPS,
          "sha256:734f88c541104a956d88be2c95d03b4a463ffd74ccc2ba9c80841fb98e3fcb36", direct=False),
    _file("olivetti/olivettifaces.mat", _OLIVETTI,
          "sha256:b612fb967f2dc77c9c62d3e1266e0c73d5fca46a4b8906c18e454d41af987794",
          "sha256:b1988d02c72fe5b8ee82b5ef3bb7982eafc74f1e1ff0ae0ade35061ad0af534d"),
    _file("coil20/COIL20.mat", _COIL,
          "sha256:b22b9beb0668f707990eda2b5f922384fd3e6d63d6df7ede3a3b5e2319c4e397"),
    # A live export, which grows: its bytes cannot be known beforehand.
    _file("fremont/FremontBridge.csv", _FREMONT),
    _file("fremont/2025/FremontBridge.csv", _FREMONT, direct=False),
    _file("wine-quality/winequality-red.csv", _WINE,
          "sha256:4a402cf041b025d4566d954c3b9ba8635a3a8a01e039005d97d6a710278cf05e"),
    _file("wine-quality/winequality-white.csv", _WINE,
          "sha256:76c3f809815c17c07212622f776311faeb31e87610d52c26d87d6e361b169836"),
    _file("geyser/geyser.csv", _GEYSER,
          "sha256:ce8f6bd15967c9a3dee345aaf268f6b92623abb1e1d313e04d79b720aa6b8bd6"),
)
# fmt: on
FILES = {file.path: file for file in _FILES}
