"""Chairs: images of simple chairs from many sides, rendered on first use; nothing is downloaded."""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
import torch
from torch import Tensor

from latentia.data.attributes import Attribute
from latentia.data.rows import Rows
from latentia.data.sets.rendering import Camera, Colour, Mesh, joined, prism, render
from latentia.data.spec import DataSpec, Support
from latentia.data.splits import seeded_part
from latentia.errors import UsageError
from latentia.registry import datasets

STYLES = tuple(product(("posts", "cones", "pedestal", "sledge"), ("panel", "slats", "ladder"), (False, True)))
ELEVATIONS = (15.0, 35.0)
DISTANCES = (2.0, 2.5, 3.0)

_MIDDLE = 0.5  # the height of the middle of a chair, which the camera looks at
_ROUND = 8  # flat sides of a cylinder
_INSET = 0.004  # of legs and posts, whose sides would else lie in the planes of the seat's
_SEED = 1
_GOLDEN = 0.618034
_WOODS = ((0.55, 0.35, 0.2), (0.8, 0.62, 0.4), (0.3, 0.3, 0.33), (0.72, 0.74, 0.78), (0.4, 0.22, 0.16))


@datasets.register("chairs")
def chairs(
    split: str = "train", seed: int = 0, *, types: int = 24, azimuths: int = 31, size: int = 64
) -> Rows:
    """Rendered chairs, 4,464 RGB images of 64x64 in 256 levels: 24 types from 31 sides, 2 heights, 3 distances.

    The classes are the types, and the factors type, azimuth, elevation and distance: each combination once, in that
    order. Split 80, 10 and 10 % by seed. After the chairs of Aubry and others (2014), whose number of azimuths it
    has, as Dosovitskiy, Springenberg and Brox (2015) use them; the chairs are made here, from boxes and cylinders.

    Args:
        split: train, validation, test or all.
        seed: of the split; the images are the same.
        types: how many of the 24 types, from the first.
        azimuths: how many sides, evenly around.
        size: pixels on each side of an image.
    """
    if not 1 <= types <= len(STYLES) or azimuths < 2 or size < 8:
        raise UsageError(
            f"types is from 1 to {len(STYLES)}, azimuths at least 2 and size at least 8; "
            f"got {types}, {azimuths} and {size}"
        )
    factors = _factors(types, azimuths)
    images = Images(factors, size)
    values = torch.cartesian_prod(*(torch.arange(len(factor.values)) for factor in factors))
    rows = Rows(images, DataSpec((3, size, size), Support("discrete", 256)), name="chairs")
    rows = rows.with_factors(factors, values).with_labels(values[:, 0], tuple(map(str, factors[0].values)))
    return seeded_part(rows, split, seed)


class Images:
    """The images of all combinations of factors, each rendered when it is first read, and kept.

    Args:
        factors: type, azimuth, elevation and distance.
        size: pixels on each side.
    """

    def __init__(self, factors: tuple[Attribute, ...], size: int) -> None:
        self.factors = factors
        self.size = size
        n = int(np.prod([len(factor.values) for factor in factors]))
        self._images = torch.empty(n, 3, size, size, dtype=torch.uint8)
        self._rendered = np.zeros(n, dtype=bool)

    def __len__(self) -> int:
        return len(self._images)

    def index_select(self, dim: int, index: Tensor, /) -> Tensor:  # noqa: ARG002  (as tensors have it)
        """Return the images with given numbers."""
        for number in np.unique(index.numpy()):
            if not self._rendered[number]:
                self._images[number] = torch.from_numpy(self._render(number))
                self._rendered[number] = True
        return self._images.index_select(0, index)

    def _render(self, number: int) -> np.ndarray:
        places = np.unravel_index(number, [len(factor.values) for factor in self.factors])
        pose = [float(f.values[place]) for f, place in zip(self.factors[1:], places[1:], strict=True)]
        return chair(int(places[0]), *pose, size=self.size)


def chair(kind: int, azimuth: float, elevation: float, distance: float, *, size: int = 64) -> np.ndarray:
    """Return the image of a chair from any side: (3, size, size) uint8.

    Args:
        kind: the number of its type, from 0 to 23.
        azimuth: degrees by which it is turned to the right; at 0 it faces the viewer.
        elevation: degrees from which the camera looks down.
        distance: from the camera to the middle of the chair; the chair is about 1 high.
        size: pixels on each side.
    """
    return render(shape(kind).turned(azimuth), Camera(elevation, distance, _MIDDLE), size)


@dataclass(frozen=True)
class Measures:
    """What a type of chair measures, and its colours; a whole chair is about 1 high.

    Attributes:
        width: of the seat, from left to right.
        depth: of the seat, from front to back.
        seat: the height of its upper side.
        cushion: its thickness.
        bar: the thickness of legs and posts.
        back: the height of the back above the seat.
        tilt: how far the back leans backwards for each unit of height.
        fabric: the colour of seat and panel.
        wood: the colour of the rest.
    """

    width: float
    depth: float
    seat: float
    cushion: float
    bar: float
    back: float
    tilt: float
    fabric: Colour
    wood: Colour

    @classmethod
    def of(cls, kind: int) -> Measures:
        """Draw the measures of a type, a function of its number."""
        rng = np.random.default_rng([_SEED, kind])
        hue = (0.02 + _GOLDEN * kind) % 1  # hues of all types are apart
        return cls(
            width=rng.uniform(0.44, 0.6),
            depth=rng.uniform(0.44, 0.56),
            seat=rng.uniform(0.4, 0.5),
            cushion=rng.uniform(0.04, 0.1),
            bar=rng.uniform(0.045, 0.07),
            back=rng.uniform(0.36, 0.56),
            tilt=rng.uniform(0.06, 0.26),
            fabric=colorsys.hsv_to_rgb(hue, rng.uniform(0.6, 0.9), rng.uniform(0.65, 0.95)),
            wood=_WOODS[rng.integers(len(_WOODS))],
        )

    @property
    def floor(self) -> float:
        """The height of the seat's underside."""
        return self.seat - self.cushion

    @property
    def corner(self) -> tuple[float, float]:
        """Where legs stand to the right and in front: x and z, so that no two sides lie in one plane."""
        return (self.width - self.bar) / 2 - _INSET, (self.depth - self.bar) / 2 - _INSET

    def behind(self, height: float) -> float:
        """Return the z of the middle of the back at a height above the seat."""
        return -self.corner[1] - self.tilt * height


@lru_cache(maxsize=len(STYLES))
def shape(kind: int) -> Mesh:
    """Return the surface of a type of chair, which is the same on its left and on its right."""
    legs, back, arms = _style(kind)
    m = Measures.of(kind)
    seat = prism((0, m.floor, 0), (0, m.seat, 0), (m.width, m.depth), m.fabric)
    return joined([seat, *_LEGS[legs](m), *_BACKS[back](m), *(_arms(m) if arms else ())])


def _posts(m: Measures) -> Iterator[Mesh]:
    """Make four straight legs."""
    for x, z in _corners(m):
        yield prism((x, 0, z), (x, m.floor, z), (m.bar, m.bar), m.wood)


def _cones(m: Measures) -> Iterator[Mesh]:
    """Make four round legs that spread and become thinner towards the floor."""
    for x, z in _corners(m):
        top, foot = (0.8 * x, m.floor, 0.8 * z), (1.1 * x, 0, 1.1 * z)
        yield prism(top, foot, (1.3 * m.bar, 1.3 * m.bar), m.wood, sides=_ROUND, taper=0.5)


def _pedestal(m: Measures) -> Iterator[Mesh]:
    """Make a column on a star with five rays, one of them to the front."""
    yield prism((0, 0.05, 0), (0, m.floor, 0), (1.2 * m.bar, 1.2 * m.bar), m.wood, sides=_ROUND)
    for angle in 2 * np.pi * np.arange(5) / 5:
        end = (0.45 * m.width * np.sin(angle), 0.03, 0.45 * m.width * np.cos(angle))
        yield prism((0, 0.06, 0), end, (m.bar, m.bar), m.wood, taper=0.6)


def _sledge(m: Measures) -> Iterator[Mesh]:
    """Make four legs on two runners."""
    yield from _posts(m)
    x, z = m.corner
    for side in (-x, x):
        yield prism((side, m.bar / 2, -z), (side, m.bar / 2, z), (0.9 * m.bar, m.bar), m.wood)


def _panel(m: Measures) -> Iterator[Mesh]:
    """Make a plate in the colour of the seat, a little above it on two posts."""
    gap = 0.3 * m.cushion
    yield from _uprights(m, 0.5 * m.back, 0.6 * m.corner[0])
    bottom, top = (0, m.seat + gap, m.behind(gap)), (0, m.seat + m.back, m.behind(m.back))
    yield prism(bottom, top, (0.98 * m.width, 1.2 * m.bar), m.fabric)


def _slats(m: Measures) -> Iterator[Mesh]:
    """Make posts with a rail on top, and thin upright slats between them."""
    yield from _uprights(m, m.back, m.corner[0])
    yield _rail(m, m.back - 0.04, 0.08)
    for x in np.array([-0.5, 0.0, 0.5]) * m.corner[0]:
        yield prism(
            (x, m.seat, m.behind(0)),
            (x, m.seat + m.back - 0.05, m.behind(m.back - 0.05)),
            (0.06, 0.02),
            m.wood,
        )


def _ladder(m: Measures) -> Iterator[Mesh]:
    """Make posts with three rails across."""
    yield from _uprights(m, m.back, m.corner[0])
    for height in (0.3, 0.6, 0.9):
        yield _rail(m, height * m.back, 0.15 * m.back)


def _arms(m: Measures) -> Iterator[Mesh]:
    """Make a rest on each side, from the back to a post in front."""
    height, front = 0.22, 0.7 * m.corner[1]
    for x in (-(m.width + m.bar) / 2, (m.width + m.bar) / 2):
        yield prism((x, m.floor, front), (x, m.seat + height, front), (m.bar, m.bar), m.wood)
        rest = m.seat + height + m.bar / 3
        yield prism((x, rest, m.behind(height)), (x, rest, front + m.bar), (1.5 * m.bar, 0.7 * m.bar), m.wood)


def _corners(m: Measures) -> Iterator[tuple[float, float]]:
    x, z = m.corner
    return product((-x, x), (-z, z))


def _uprights(m: Measures, height: float, x: float) -> Iterator[Mesh]:
    """Make the two posts of a back."""
    for side in (-x, x):
        begin, end = (side, m.seat, m.behind(0)), (side, m.seat + height, m.behind(height))
        yield prism(begin, end, (m.bar, m.bar), m.wood)


def _rail(m: Measures, height: float, width: float) -> Mesh:
    """Make a bar from one post of the back to the other."""
    x, y, z = m.corner[0], m.seat + height, m.behind(height)
    return prism((-x, y, z), (x, y, z), (width, 0.6 * m.bar), m.wood)


_LEGS: Mapping[str, Callable[[Measures], Iterable[Mesh]]] = {
    "posts": _posts,
    "cones": _cones,
    "pedestal": _pedestal,
    "sledge": _sledge,
}
_BACKS: Mapping[str, Callable[[Measures], Iterable[Mesh]]] = {
    "panel": _panel,
    "slats": _slats,
    "ladder": _ladder,
}


def _factors(types: int, azimuths: int) -> tuple[Attribute, ...]:
    around = tuple(360 * k / azimuths for k in range(azimuths))
    return (
        Attribute("type", tuple(_name(kind) for kind in range(types))),
        Attribute("azimuth", around, "angle"),
        Attribute("elevation", ELEVATIONS, "ordinal"),
        Attribute("distance", DISTANCES, "ordinal"),
    )


def _style(kind: int) -> tuple[str, str, bool]:
    # 7 and 24 have no common factor: all styles occur, and neighbours differ in legs and mostly in the rest.
    return STYLES[7 * kind % len(STYLES)]


def _name(kind: int) -> str:
    legs, back, arms = _style(kind)
    return f"{legs}-{back}{'-arms' * arms}"
