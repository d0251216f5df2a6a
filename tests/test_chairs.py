"""Rendered chairs: geometry, perspective, shading and what hides what; and each combination of factors once."""

from __future__ import annotations

import itertools
import math
import zlib

import numpy as np
import pytest
import torch

from latentia.data.sets import chairs as module
from latentia.data.sets.chairs import STYLES, chair, shape
from latentia.data.sets.rendering import AMBIENT, LIGHT, Camera, Mesh, joined, lambert, prism, render
from latentia.errors import UsageError
from latentia.registry import datasets

RED, BLUE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
STRAIGHT = Camera(elevation=0.0, distance=2.0)


def square(z: float, colour, *, side: float = 0.4, slope: float = 0.0) -> Mesh:
    """Return a square that looks at the viewer; its right side comes nearer by the slope."""
    x, y = np.array([-1, 1, 1, -1]) * side / 2, np.array([-1, -1, 1, 1]) * side / 2
    corners = np.stack([x, y, z + slope * x], axis=1)[None]
    return Mesh(corners, np.array([colour]))


def volume(mesh: Mesh) -> float:
    """Return the volume inside a closed surface, by the divergence theorem: ⅓ Σ n · P over its triangles."""
    a, b, c, d = np.moveaxis(mesh.corners, 1, 0)
    return sum(np.einsum("fi,fi->", p, np.cross(q, r)) for p, q, r in ((a, b, c), (a, c, d))) / 6


def share(image: np.ndarray) -> float:
    """Return the fraction of pixels that are not background."""
    return float((image < 255).any(0).mean())


# --- solids -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [(0.1, 0.9, 0.2), (0.8, 0.0, 0.0), (0.0, 0.1, 0.9)])
@pytest.mark.parametrize(("sides", "taper"), [(4, 1.0), (8, 1.0), (12, 0.4)])
def test_prisms_are_closed_and_of_the_volume_of_a_frustum(end, sides, taper):
    bar = prism((0, 0, 0), end, (0.2, 0.3), RED, sides=sides, taper=taper)
    polygon = 1.0 if sides == 4 else sides / 8 * math.sin(2 * math.pi / sides)
    expected = polygon * 0.2 * 0.3 * np.linalg.norm(end) * (1 + taper + taper**2) / 3
    assert volume(bar) == pytest.approx(expected, rel=1e-12)
    flat = bar.corners - bar.corners[:, :1]
    assert np.abs(np.einsum("fki,fi->fk", flat, bar.normals)).max() < 1e-12
    outwards = ((bar.corners.mean(1) - bar.corners.mean((0, 1))) * bar.normals).sum(1)
    assert outwards.min() > 0


def test_the_first_width_is_across_and_the_second_along_z():
    upright = prism((0, 0, 0), (0, 1, 0), (0.2, 0.6), RED).corners
    assert np.ptp(upright, axis=(0, 1)) == pytest.approx([0.2, 1, 0.6])
    along = prism((0, 0, 0), (0, 0, 1), (0.2, 0.6), RED).corners
    assert np.ptp(along, axis=(0, 1)) == pytest.approx([0.2, 0.6, 1])


@pytest.mark.parametrize("kind", range(len(STYLES)))
def test_a_chair_is_the_same_on_both_sides_and_stands_on_the_floor(kind):
    points = shape(kind).corners.reshape(-1, 3)
    left = points * (-1, 1, 1)
    assert np.abs(left[:, None] - points).max(2).min(1).max() < 1e-12
    assert -0.02 < points[:, 1].min() < 0.02
    assert 0.7 < points[:, 1].max() < 1.2


# --- images -----------------------------------------------------------------------------------------------------


def traced(mesh: Mesh, camera: Camera, size: int) -> np.ndarray:
    """Return the image (unrounded, size², 3) at the middles of pixels, by following each ray to each face."""
    shades = mesh.colours * lambert(mesh.normals)[:, None]
    sin, cos = math.sin(math.radians(camera.elevation)), math.cos(math.radians(camera.elevation))
    eye = np.array([0, camera.height + camera.distance * sin, camera.distance * cos])
    axis = camera.spread * (np.arange(size) + 0.5 - size / 2) / (size / 2)
    image = np.ones((size, size, 3))
    for row, column in itertools.product(range(size), range(size)):
        up = np.array([0, cos, -sin])
        ray = axis[column] * np.array([1, 0, 0]) - axis[row] * up - np.array([0, sin, cos])
        nearest = math.inf
        for corners, normal, shade in zip(mesh.corners, mesh.normals, shades, strict=True):
            slant = normal @ ray
            reach = normal @ (corners[0] - eye) / slant if slant < 0 else math.inf
            if reach < nearest:
                hit = eye + reach * ray
                turns = np.cross(np.roll(corners, -1, 0) - corners, hit - corners) @ normal
                if turns.min() >= 0:
                    nearest, image[row, column] = reach, shade
    return image


@pytest.mark.parametrize(("kind", "azimuth"), [(1, 33.0), (2, 200.0), (11, 310.0)])
def test_an_image_is_what_rays_hit(kind, azimuth):
    mesh, camera = shape(kind).turned(azimuth), Camera(25.0, 2.2, 0.5)
    fine = traced(mesh, camera, 24).reshape(12, 2, 12, 2, 3).mean((1, 3))
    image = render(mesh, camera, 12).transpose(1, 2, 0)
    assert np.abs(image - 255 * fine).max() <= 0.5 + 1e-9


def test_what_is_in_front_hides_what_is_behind_in_any_order():
    near, far = square(0.5, RED, side=0.3), square(-0.5, BLUE, side=0.8)
    images = [render(joined(pair), STRAIGHT, 32) for pair in ((near, far), (far, near))]
    assert np.array_equal(*images)
    red, blue = (images[0].transpose(1, 2, 0)[place] for place in ((16, 16), (16, 9)))
    assert red[0] > 0
    assert red[1:].tolist() == [0, 0]
    assert blue[2] > 0
    assert blue[:2].tolist() == [0, 0]


def test_faces_that_cross_are_in_front_of_each_other_on_either_side():
    image = render(joined([square(0, RED, slope=1.0), square(0, BLUE, slope=-1.0)]), STRAIGHT, 32)
    blue, red = image[:, 16, 11:16], image[:, 16, 16:21]  # the right side of the red one is nearer
    assert (red[0] > 0).all()
    assert not red[1:].any()
    assert (blue[2] > 0).all()
    assert not blue[:2].any()


def test_faces_that_look_away_are_not_seen():
    away = Mesh(square(0, RED).corners[:, ::-1], np.array([RED]))
    assert share(render(away, STRAIGHT, 16)) == 0


@pytest.mark.parametrize("distance", [1.0, 2.0, 4.0])
def test_a_square_is_as_large_as_perspective_makes_it(distance):
    image = render(square(0, RED, side=0.4), Camera(0.0, distance), 256)
    assert 1 - image[1].mean() / 255 == pytest.approx((0.2 / distance / 0.35) ** 2, rel=0.03)
    columns = (image < 255).any((0, 1)).nonzero()[0]
    assert abs(columns.mean() - 127.5) < 1e-9


@pytest.mark.parametrize("kind", [0, 9, 20])
def test_farther_is_smaller(kind):
    shares = [share(chair(kind, 40, 20, distance)) for distance in (2.0, 2.5, 3.0)]
    assert shares[0] > shares[1] > shares[2]
    assert shares[0] / shares[2] == pytest.approx(1.5**2, rel=0.15)


def test_a_face_is_as_bright_as_its_angle_to_the_light():
    """The image of a cube, against a + (1 - a) max(0, cos)."""
    cube = prism((0, -0.2, 0), (0, 0.2, 0), (0.4, 0.4), (1.0, 0.5, 0.0))
    for light, cos in (((0, 0, 1), 1.0), ((0, 1, 1), math.sqrt(0.5)), ((3, 0, 4), 0.8), ((0, 0.1, -1), 0.0)):
        front = render(cube, STRAIGHT, 16, light=light)[:, 8, 8]
        bright = AMBIENT + (1 - AMBIENT) * cos
        assert front.tolist() == [round(255 * bright), round(255 * 0.5 * bright), 0]
    sides = lambert(np.array([[0, 0, -1.0], np.array(LIGHT) / np.linalg.norm(LIGHT)]))
    assert sides == pytest.approx([AMBIENT, 1])


@pytest.mark.parametrize("azimuth", [0.0, 35.0, 90.0, 301.0])
@pytest.mark.parametrize("kind", [2, 5, 18])
def test_a_chair_turned_to_the_left_is_the_mirror_image_of_one_turned_to_the_right(kind, azimuth):
    camera, (x, y, z) = Camera(20.0, 2.0, 0.5), LIGHT
    right = render(shape(kind).turned(azimuth), camera, 32)
    left = render(shape(kind).turned(-azimuth), camera, 32, light=(-x, y, z))
    assert np.abs(left.astype(int) - right[:, :, ::-1]).max() <= 1


def test_a_turned_chair_faces_to_the_right():
    """The seat is in front of the back, which is what is high."""
    for azimuth, side in ((90, -1), (270, 1)):
        image = chair(4, azimuth, 15, 2.0) < 255
        high = image.any(0)[:26].nonzero()[1].mean()
        assert side * (high - 31.5) > 3


def test_images_are_the_same_wherever_they_are_made():
    poses = ((0, 11.0, 15.0, 2.0), (7, 123.0, 35.0, 2.5), (23, 277.0, 15.0, 3.0))
    assert [zlib.crc32(np.ascontiguousarray(chair(*pose)).tobytes()) for pose in poses] == HASHES


HASHES = [2272721233, 302932018, 3438603036]


# --- the set ----------------------------------------------------------------------------------------------------


def test_every_combination_of_factors_is_there_once():
    rows = datasets["chairs"](split="all")
    assert len(rows) == 24 * 31 * 2 * 3 == 4464
    assert [factor.name for factor in rows.spec.factors] == ["type", "azimuth", "elevation", "distance"]
    assert [len(factor.values) for factor in rows.spec.factors] == [24, 31, 2, 3]
    assert len(rows.factor_values.unique(dim=0)) == 4464
    assert len(set(rows.spec.classes)) == 24
    assert rows.labels.equal(rows.factor_values[:, 0])
    assert (str(rows.spec.support), rows.spec.event_shape) == ("discrete(256)", (3, 64, 64))


def test_parts_are_disjoint_and_their_rows_are_the_images_of_their_factors():
    parts = {split: datasets["chairs"](split=split, seed=3) for split in ("train", "validation", "test")}
    assert {split: len(rows) for split, rows in parts.items()} == {
        "train": 3571,
        "validation": 447,
        "test": 446,
    }
    assert len(torch.cat([rows.factor_values for rows in parts.values()]).unique(dim=0)) == 4464
    rows = parts["test"].select(torch.tensor([445, 5, 70]))
    for image, numbers in zip(rows.x, rows.factor_values, strict=True):
        pose = [factor.values[number] for factor, number in zip(rows.spec.factors, numbers, strict=True)]
        expected = chair(rows.spec.classes.index(pose[0]), *pose[1:])
        assert np.array_equal(image.numpy(), expected)
    assert rows.take(torch.tensor([0])).attributes["class"] == rows.labels[0]


def test_only_images_that_are_asked_for_are_rendered_and_once(monkeypatch):
    seen = []
    monkeypatch.setattr(module, "chair", lambda *pose, size: seen.append(pose) or chair(*pose, size=size))
    rows = datasets["chairs"](split="all", types=2, azimuths=4, size=8)
    first = rows.take(torch.tensor([5, 3, 5])).x
    assert seen == [(0, 0.0, 35.0, 2.0), (0, 0.0, 35.0, 3.0)]
    assert rows.take(torch.tensor([3])).x.equal(first[1:2])
    assert len(seen) == 2


def test_all_chairs_are_whole_and_different():
    images = [chair(kind, azimuth, 35, 2.0) for kind in range(24) for azimuth in range(0, 360, 45)]
    border = np.stack(images)
    edges = [border[:, :, 0], border[:, :, -1], border[..., 0], border[..., -1]]
    assert all((edge == 255).all() for edge in edges)
    assert len({image.tobytes() for image in images}) == len(images)


def test_smaller_sets_are_the_first_types():
    rows = datasets["chairs"](split="all", types=6, azimuths=16, size=32)
    assert (len(rows), rows.spec.event_shape) == (576, (3, 32, 32))
    assert rows.spec.classes == datasets["chairs"](split="all").spec.classes[:6]


@pytest.mark.parametrize("options", [{"types": 0}, {"types": 25}, {"azimuths": 1}, {"size": 4}])
def test_other_sizes_are_refused(options):
    with pytest.raises(UsageError, match="types is from 1 to 24, azimuths at least 2 and size at least 8"):
        datasets["chairs"](**options)
