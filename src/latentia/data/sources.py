"""Named sets: what their files hold, as rows."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from latentia.data import formats
from latentia.data.files import published
from latentia.data.raw import Raw
from latentia.data.rows import Rows
from latentia.data.spec import Support
from latentia.data.splits import check_split, joined, official_part, seeded_part
from latentia.errors import DataError, UsageError
from latentia.registry import datasets, unknown

if TYPE_CHECKING:
    import pandas as pd

_DIGITS = tuple("0123456789")
_CLOTHES = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SPRITES = {
    "full": "dsprites/dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz",
    "grid": "dsprites/dsprites_downsampled.npz",
    "random": "dsprites/dsprites_subset.npz",
}
_EXPORTS = {"2019": "fremont/FremontBridge.csv", "2025": "fremont/2025/FremontBridge.csv"}


@datasets.register("digits")
def digits(split: str = "train", seed: int = 0) -> Rows:
    """Handwritten digits, 1,797 grey images of 8x8 in 17 levels, 10 classes; comes with scikit-learn.

    Split 80, 10 and 10 % by seed. Alpaydin and Kaynak (1998), UCI repository.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = images.astype(np.uint8).reshape(-1, 8, 8)
    return seeded_part(Raw(images, labels, Support("discrete", 17), _DIGITS).rows("digits"), split, seed)


@datasets.register("mnist")
def mnist(split: str = "train", seed: int = 0) -> Rows:
    """Handwritten digits, 60,000 + 10,000 grey images of 28x28 in 256 levels, 10 classes.

    Official test part; 10,000 training images, chosen by seed, are the validation part. LeCun and others (1998).
    """
    return official_part(partial(_idx_pair, "mnist", _DIGITS), split, seed, validation=10_000)


@datasets.register("fashion-mnist")
def fashion_mnist(split: str = "train", seed: int = 0) -> Rows:
    """Pieces of clothing, 60,000 + 10,000 grey images of 28x28 in 256 levels, 10 classes.

    Official test part; 10,000 training images, chosen by seed, are the validation part. Xiao and others (2017).
    """
    return official_part(partial(_idx_pair, "fashion-mnist", _CLOTHES), split, seed, validation=10_000)


@datasets.register("mnist-static")
def mnist_static(split: str = "train", seed: int = 0) -> Rows:  # noqa: ARG001  (every set takes a seed)
    """Binarised MNIST, 50,000 + 10,000 + 10,000 binary images of 28x28, without labels.

    The three official parts of Larochelle and Murray (2011); the seed changes nothing. The test part is
    sorted by class.
    """
    check_split(split)
    if split == "all":
        return joined([mnist_static(part) for part in ("train", "validation", "test")])
    name = f"mnist-static/binarized_mnist_{'valid' if split == 'validation' else split}.amat"
    bits = formats.read_bits(published(name, f"{name}.gz"))
    return Raw(bits.reshape(-1, 28, 28), support=Support("binary")).rows("mnist-static")


@datasets.register("usps")
def usps(split: str = "train", seed: int = 0) -> Rows:
    """Handwritten digits of postal codes, 7,291 + 2,007 grey images of 16x16 in [0, 1], 10 classes.

    Official test part; 1,000 training images, chosen by seed, are the validation part. Needs h5py.
    """
    return official_part(_usps, split, seed, validation=1_000)


@datasets.register("dsprites")
def dsprites(split: str = "train", seed: int = 0, *, subset: str | None = None) -> Rows:
    """Squares, ellipses and hearts, 737,280 binary images of 64x64 in every place, size and angle, 3 classes.

    Split 80, 10 and 10 % by seed. Matthey and others (2017).

    Args:
        split: train, validation, test or all.
        seed: of the split.
        subset: full; grid (46,080 images: every fourth angle, every second place); random (20,000 images); None
            takes the first of these that is in the cache. The rows' name tells which.
    """
    if subset is not None and subset not in _SPRITES:
        raise UsageError(unknown("subset", subset, _SPRITES))
    path = published(*([_SPRITES[subset]] if subset else _SPRITES.values()))
    which = next(name for name, place in _SPRITES.items() if place.endswith(path.name))
    arrays = formats.read_npz(path, "imgs", "latents_classes")
    shapes = arrays["latents_classes"][:, -5]  # the full file has a constant colour before it
    raw = Raw(arrays["imgs"], shapes, Support("binary"), ("square", "ellipse", "heart"))
    return seeded_part(raw.rows(f"dsprites-{which}"), split, seed)


@datasets.register("olivetti")
def olivetti(split: str = "train", seed: int = 0) -> Rows:
    """Faces of 40 people, 400 grey images of 64x64 in 256 levels, 40 classes.

    Split 80, 10 and 10 % by seed. AT&T Laboratories Cambridge.
    """
    faces = formats.read_matlab(published("olivetti/olivettifaces.mat"), "faces")
    people = tuple(str(person) for person in range(40))
    raw = Raw(_column_major(faces.T, 64), np.arange(400) // 10, Support("discrete", 256), people)
    return seeded_part(raw.rows("olivetti"), split, seed)


@datasets.register("coil20")
def coil20(split: str = "train", seed: int = 0) -> Rows:
    """Objects on a turntable, 1,440 grey images of 32x32 in 256 levels, 72 views of each of 20 objects.

    Split 80, 10 and 10 % by seed. Nene, Nayar and Murase (1996), in the 32x32 form of D. Cai.
    """
    path = published("coil20/COIL20.mat")
    objects = formats.read_matlab(path, "Y").ravel()
    images = formats.read_matlab(path, "X").astype(np.uint8)
    names = tuple(str(number) for number in range(1, 21))
    raw = Raw(_column_major(images, 32), objects.astype(np.int64) - 1, Support("discrete", 256), names)
    return seeded_part(raw.rows("coil20"), split, seed)


@datasets.register("fremont")
def fremont(split: str = "train", seed: int = 0, *, export: str = "2019") -> Rows:
    """Bicycles an hour over Seattle's Fremont Bridge, 24 counts a day and sidewalk, 7 classes (weekdays).

    Complete days only: days on which the clocks go forward lack an hour and are left out. From 21 April 2015
    on, the two exports disagree which sidewalk is east; each is taken at its word. Split 80, 10 and 10 % by
    seed. Seattle Department of Transportation.

    Args:
        split: train, validation, test or all.
        seed: of the split.
        export: 2019 (the file of many textbooks) or 2025 (today's columns); it may be a later one of that form.
    """
    if export not in _EXPORTS:
        raise UsageError(unknown("export", export, _EXPORTS))
    counts, weekdays = daily_counts(published(_EXPORTS[export]))
    hours = tuple(f"{hour:02}:00" for hour in range(24))
    raw = Raw(counts, weekdays, Support("real"), _WEEKDAYS, hours)
    return seeded_part(raw.rows("fremont"), split, seed)


@datasets.register("wine-quality")
def wine_quality(split: str = "train", seed: int = 0, *, label: str = "colour") -> Rows:
    """Portuguese wines, 6,497 rows of 11 physical and chemical measurements; classes red and white.

    Split 80, 10 and 10 % by seed. Cortez and others (2009), UCI repository.

    Args:
        split: train, validation, test or all.
        seed: of the split.
        label: what the classes are: colour, or the tasters' quality mark.
    """
    if label not in ("colour", "quality"):
        raise UsageError(unknown("label", label, ("colour", "quality")))
    colours = ("red", "white")
    tables = [formats.read_csv(published(f"wine-quality/winequality-{colour}.csv")) for colour in colours]
    values = np.concatenate([table.drop(columns="quality").to_numpy() for table in tables])
    marks = np.concatenate([table["quality"].to_numpy() for table in tables])
    kinds = np.repeat(colours, [len(table) for table in tables])
    columns = tuple(str(column) for column in tables[0].columns if column != "quality")
    raw = Raw(values, kinds if label == "colour" else marks, Support("real"), columns=columns)
    return seeded_part(raw.rows("wine-quality"), split, seed)


@datasets.register("old-faithful")
def old_faithful(split: str = "train", seed: int = 0) -> Rows:
    """Eruptions of the Old Faithful geyser, 272 rows of duration and waiting time, classes long and short.

    In minutes. Split 80, 10 and 10 % by seed. Azzalini and Bowman (1990).
    """
    table = formats.read_csv(published("geyser/geyser.csv"))
    columns = ("duration", "waiting")
    raw = Raw(table[list(columns)].to_numpy(), table["kind"].to_numpy(), Support("real"), columns=columns)
    return seeded_part(raw.rows("old-faithful"), split, seed)


def daily_counts(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read hourly counts of the Fremont Bridge as days: (2n, 24) counts and (2n,) weekdays, Monday 0.

    The east sidewalk's days come first, then the west's. Column names and their order differ between exports,
    and a total that some have is left out; rows run forwards or backwards. Days with an hour that is missing,
    empty or counted twice are left out.

    Raises:
        DataError: for a table without a date, an east and a west column.
    """
    import pandas as pd

    table = formats.read_csv(path)
    sides = [[column for column in table.columns if side in str(column)] for side in ("East", "West")]
    if "Date" not in table or any(len(columns) != 1 for columns in sides):
        raise DataError(
            f"{path} has columns {', '.join(map(str, table.columns))}; expected Date, one East and one West"
        )
    time = pd.to_datetime(table["Date"], format="%m/%d/%Y %I:%M:%S %p")
    days = [_days(table[columns[0]].to_numpy(), time) for columns in sides]
    weekdays = [pd.DatetimeIndex(part.index).day_of_week.to_numpy() for part in days]
    return np.concatenate([part.to_numpy() for part in days]), np.concatenate(weekdays).astype(np.int64)


def _days(counts: np.ndarray, time: pd.Series) -> pd.DataFrame:
    """Return the complete days of hourly counts, one row a day, by date."""
    import pandas as pd

    table = pd.DataFrame({"day": time.dt.normalize(), "hour": time.dt.hour, "count": counts})
    once = table[~table.duplicated(["day", "hour"], keep=False)]
    days = once.pivot_table(index="day", columns="hour", values="count", aggfunc="first")
    return days.reindex(columns=range(24)).dropna()


def _idx_pair(name: str, classes: tuple[str, ...], part: str) -> Rows:
    prefix = f"{name}/{'t10k' if part == 'test' else 'train'}"
    images = formats.read_idx(published(f"{prefix}-images-idx3-ubyte.gz"))
    labels = formats.read_idx(published(f"{prefix}-labels-idx1-ubyte.gz"))
    return Raw(images, labels, Support("discrete", 256), classes).rows(name)


def _usps(part: str) -> Rows:
    path = published("usps/usps.h5")
    images = formats.read_hdf5(path, f"{part}/data").reshape(-1, 16, 16)
    return Raw(images, formats.read_hdf5(path, f"{part}/target"), Support("unit"), _DIGITS).rows("usps")


def _column_major(images: np.ndarray, side: int) -> np.ndarray:
    """Return (n, side, side) images whose rows list them column by column, as MATLAB does."""
    return np.ascontiguousarray(images.reshape(-1, side, side).transpose(0, 2, 1))
