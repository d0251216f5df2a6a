"""Rendering: flat faces seen in perspective, each as bright as its angle to the light, the nearest in front.

World coordinates are right-handed: x to the right, y up, z towards the viewer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

Point = tuple[float, float, float]
Colour = tuple[float, float, float]

LIGHT = (-0.5, 0.8, 0.6)
"""Where the light comes from: above, from the left, behind the viewer."""

AMBIENT = 0.4
"""The fraction of light that comes from everywhere."""

_SAMPLES = 2  # points that are looked at along each side of a pixel, and averaged


@dataclass(frozen=True)
class Mesh:
    """The surface of solid things, as flat convex faces with four corners.

    Attributes:
        corners: (F, 4, 3) in the order that runs anticlockwise seen from outside.
        colours: (F, 3) red, green and blue in [0, 1].
    """

    corners: np.ndarray
    colours: np.ndarray

    @property
    def normals(self) -> np.ndarray:
        """The (F, 3) directions of length 1 that faces look in."""
        # Diagonals, which are never parallel; edges could be.
        normals = np.cross(self.corners[:, 2] - self.corners[:, 0], self.corners[:, 3] - self.corners[:, 1])
        return normals / np.linalg.norm(normals, axis=1, keepdims=True)

    def turned(self, azimuth: float) -> Mesh:
        """Return the mesh turned to the right (its front, first towards the viewer) by degrees around y."""
        cos, sin = math.cos(math.radians(azimuth)), math.sin(math.radians(azimuth))
        turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
        return Mesh(self.corners @ turn.T, self.colours)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks at a point on the y axis, and sees it in the middle of a square image.

    Attributes:
        elevation: degrees above the horizon from which it looks down.
        distance: from the point.
        height: of the point.
        spread: half the width of what it sees, at distance 1.
    """

    elevation: float
    distance: float
    height: float = 0.0
    spread: float = 0.35

    def see(self, directions: np.ndarray) -> np.ndarray:
        """Return (..., 3) directions as right, up and ahead of the camera."""
        cos, sin = math.cos(math.radians(self.elevation)), math.sin(math.radians(self.elevation))
        return directions @ np.array([[1, 0, 0], [0, cos, -sin], [0, -sin, -cos]]).T

    def place(self, points: np.ndarray) -> np.ndarray:
        """Return (..., 3) points of the world as right, up and ahead of the camera."""
        middle, ahead = np.array([0, self.height, 0]), np.array([0, 0, self.distance])
        return self.see(points - middle) + ahead


def prism(
    start: Point,
    end: Point,
    section: tuple[float, float],
    colour: Colour,
    *,
    sides: int = 4,
    taper: float = 1.0,
) -> Mesh:
    """Make a bar from one point to another: rectangular with 4 sides, else a cylinder of so many flat sides.

    Args:
        start: the middle of one end.
        end: the middle of the other.
        section: the widths of a rectangle, or the diameters of a cylinder. The first is across, the second along z;
            of a bar along z, the second is along y.
        colour: red, green and blue.
        sides: an even number.
        taper: how large the end is relative to the start.
    """
    first, last = np.array(start, float), np.array(end, float)
    ahead = (last - first) / np.linalg.norm(last - first)
    across = np.cross((0, 1, 0) if abs(ahead[2]) > 0.9 else (0, 0, 1), ahead)
    across /= np.linalg.norm(across)
    outline = _outline(sides) * np.array(section) / 2 @ np.stack([across, np.cross(ahead, across)])
    base, top = first + outline, last + taper * outline
    walls = np.stack([base, np.roll(base, -1, 0), np.roll(top, -1, 0), top], axis=1)
    faces = np.concatenate([walls, _fan(base[::-1]), _fan(top)])
    return Mesh(faces, np.tile(colour, (len(faces), 1)))


def joined(parts: Iterable[Mesh]) -> Mesh:
    """Put meshes together."""
    parts = list(parts)
    return Mesh(
        np.concatenate([part.corners for part in parts]), np.concatenate([part.colours for part in parts])
    )


def lambert(normals: np.ndarray, light: Point = LIGHT) -> np.ndarray:
    """Return how bright faces are: a + (1 - a) max(0, n · l), with a the ambient fraction and l of length 1.

    Args:
        normals: (F, 3) directions that faces look in, of length 1.
        light: where the light comes from.

    Returns:
        (F,) from a to 1.
    """
    towards = np.array(light) / np.linalg.norm(light)
    return AMBIENT + (1 - AMBIENT) * np.maximum(normals @ towards, 0)


def render(mesh: Mesh, camera: Camera, size: int, *, light: Point = LIGHT) -> np.ndarray:
    """Return an image on white ground: (3, size, size) uint8.

    A point ahead at depth Z is seen in the direction (u, v, 1) = (X, Y, Z)/Z. In these directions all is linear:
    a face on the plane n · P = d has 1/Z = n · (u, v, 1)/d, and an edge from P to Q the line (P × Q) · (u, v, 1) = 0.
    So each line of pixels sees a face from one column to another, and 1/Z decides exactly which face is in front.

    Args:
        mesh: what is seen; all of it is ahead of the camera.
        camera: from where.
        size: pixels on each side.
        light: where the light comes from, in the world.
    """
    corners, normals = camera.place(mesh.corners), camera.see(mesh.normals)
    offsets = (normals * corners[:, 0]).sum(1)
    seen = offsets < 0  # the others look away
    brightness = lambert(mesh.normals, light)
    shades = (mesh.colours * brightness[:, None])[seen]
    inverse_depth = (normals / offsets[:, None])[seen]
    face, row, column = _pixels(corners[seen], size * _SAMPLES, camera.spread)
    axis = _axis(size * _SAMPLES, camera.spread)
    rays = np.stack([axis[column], -axis[row], np.ones(len(face))], axis=1)
    image = _nearest((inverse_depth[face] * rays).sum(1), row * len(axis) + column, shades[face], len(axis))
    return np.rint(255 * _coarse(image, size)).astype(np.uint8).transpose(2, 0, 1)


def _outline(sides: int) -> np.ndarray:
    """Return the (sides, 2) corners of a square or of a circle's polygon, anticlockwise, within [-1, 1]²."""
    if sides == 4:
        return np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    angle = 2 * math.pi * (np.arange(sides) + 0.5) / sides
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _fan(polygon: np.ndarray) -> np.ndarray:
    """Return a convex polygon (an even number of corners, 3) as faces with four corners."""
    starts = range(1, len(polygon) - 1, 2)
    return np.stack([polygon[[0, k, k + 1, k + 2]] for k in starts])


def _axis(size: int, spread: float) -> np.ndarray:
    """Return where the middles of pixels are, from left to right, at distance 1."""
    return spread * ((2 * np.arange(size) + 1) / size - 1)


def _pixels(corners: np.ndarray, size: int, spread: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which pixels see which face (F, 4, 3), nearest or not: the numbers of face, row and column."""
    heights = -corners[..., 1] / corners[..., 2]  # rows run downwards
    face, row = _runs(*_between(heights.min(1), heights.max(1), size, spread))
    left, right = _span(_edges(corners)[face], -_axis(size, spread)[row])
    line, column = _runs(*_between(left, right, size, spread))
    return face[line], row[line], column


def _edges(corners: np.ndarray) -> np.ndarray:
    """Return each edge's (F, 4, 3) line P × Q, turned so that it is positive inside."""
    lines = np.cross(corners, np.roll(corners, -1, 1))
    inside = (lines * corners.mean(1, keepdims=True)).sum(2, keepdims=True)
    return np.where(inside < 0, -lines, lines)


def _span(edges: np.ndarray, heights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where lines of pixels at heights v (L,) enter and leave convex faces with edges (L, 4, 3)."""
    slope, offset = edges[..., 0], edges[..., 1] * heights[:, None] + edges[..., 2]
    with np.errstate(divide="ignore", invalid="ignore"):  # an edge along the line has no crossing
        crossing = -offset / slope
    left = np.where(slope > 0, crossing, -np.inf).max(1)
    right = np.where(slope < 0, crossing, np.inf).min(1)
    return left, np.where(((slope == 0) & (offset < 0)).any(1), -np.inf, right)


def _between(low: np.ndarray, high: np.ndarray, size: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the first pixel of an axis between two places, and how many there are."""
    ends = [((place / spread + 1) * size - 1) / 2 for place in (low, high)]
    first = np.ceil(ends[0].clip(0, size)).astype(np.int64)
    last = np.floor(ends[1].clip(-1, size - 1)).astype(np.int64)
    return first, np.maximum(last - first + 1, 0)


def _runs(first: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return consecutive whole numbers from each first on, and which run each belongs to."""
    run = np.repeat(np.arange(len(counts)), counts)
    begun = np.repeat(counts.cumsum() - counts, counts)
    return run, first[run] + np.arange(len(run)) - begun


def _nearest(closeness: np.ndarray, pixel: np.ndarray, shades: np.ndarray, size: int) -> np.ndarray:
    """Return the (size², 3) shades of what is closest in each pixel, and white where there is nothing."""
    most = np.zeros(size * size)
    np.maximum.at(most, pixel, closeness)
    seen = closeness == most[pixel]
    image = np.ones((size * size, 3))
    image[pixel[seen]] = shades[seen]
    return image


def _coarse(image: np.ndarray, size: int) -> np.ndarray:
    """Return the (size, size, 3) mean colours of pixels from those of the points that are looked at in each."""
    fine = image.reshape(size, _SAMPLES, size, _SAMPLES, 3)
    # NumPy's mean over the two short axes themselves takes ten times as long.
    points = [fine[:, i, :, j] for i in range(_SAMPLES) for j in range(_SAMPLES)]
    return np.stack(points).mean(0)
