"""Folders of images of every kind, and what is said of those that are not read as they stand."""

import contextlib
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentia.data.ingest import picture_file
from latentia.data.ingest.image_folder import read_images
from latentia.errors import DataError, DataWarning


def grey(value: int, size: int = 8) -> Image.Image:
    return Image.fromarray(np.full((size, size), value, np.uint8))


def save(path: Path, image: Image.Image, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def means(folder: Path, **options: object) -> tuple[list[float], list[str] | None, list[str]]:
    """Return each image's mean, the classes, and what was said."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        images, classes = read_images(folder, **options)
    assert all(issubclass(each.category, DataWarning) for each in told)
    return images.reshape(len(images), -1).mean(1).tolist(), classes, [str(each.message) for each in told]


def deep_colour(value: int) -> bytes:
    """Return a PNG of 8 × 8 with 16 bits a colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress((b"\0" + struct.pack(">H", value) * 24) * 8))
    return b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b"")


def test_16_bits_a_colour_are_said(tmp_path: Path):
    for number, value in enumerate((20, 200, 60000)):
        (tmp_path / f"{number}.png").write_bytes(deep_colour(value))
    values, _, told = means(tmp_path)
    assert values == [0, 0, 234]
    assert told == [f"{tmp_path.name}: 3 of 3 images have 16 bits a colour, of which the upper 8 are read"]


@pytest.mark.parametrize("kind", [np.uint16, np.float32, np.int32])
@pytest.mark.parametrize("channels", [None, 1, 3])
def test_more_than_8_bits_are_refused(tmp_path: Path, kind: type, channels: int | None):
    for number in range(2):
        save(tmp_path / f"{number}.tif", Image.fromarray(np.full((8, 8), number, kind)))
    with pytest.raises(DataError, match="more than 8 bits a pixel"):
        read_images(tmp_path, channels=channels)


def test_pages_of_a_tiff_are_images(tmp_path: Path):
    for name in "ab":
        more = [grey(value) for value in (60, 70, 80)]
        save(tmp_path / f"{name}.tif", grey(50), save_all=True, append_images=more)
    values, _, told = means(tmp_path)
    assert values == [50, 60, 70, 80] * 2
    assert told == [f"{tmp_path.name}: 2 of 2 images have several pages, each of which is a row"]


def test_pages_of_other_sizes_and_animations_give_their_first(tmp_path: Path):
    save(tmp_path / "a.tif", grey(50), save_all=True, append_images=[grey(9, size=4)])
    save(tmp_path / "b.gif", grey(80), save_all=True, append_images=[grey(9), grey(20)])
    values, _, told = means(tmp_path, channels=1)
    assert values == [50, 80]
    assert "have several pages, of other sizes than the first, which is read" in told[0]
    assert "are animations, of which the first picture is read" in told[1]


def test_transparent_pixels_are_laid_over_white(tmp_path: Path):
    pixels = np.full((8, 8, 4), 100, np.uint8)
    pixels[..., 3] = 255
    save(tmp_path / "solid.png", Image.fromarray(pixels))
    pixels[:4, :, 3] = 0
    save(tmp_path / "half.png", Image.fromarray(pixels))
    save(tmp_path / "la.png", Image.fromarray(pixels[..., 2:]))
    palette = grey(7).convert("P")
    palette.putpalette([10, 20, 30] * 256)
    save(tmp_path / "palette.png", palette)
    save(tmp_path / "palette-clear.png", palette, transparency=7)
    images, _ = read_images_quietly(tmp_path)
    by_name = dict(zip(sorted(path.name for path in tmp_path.iterdir()), images, strict=True))
    assert by_name["half.png"][:, 0, 0].tolist() == [255] * 3
    assert by_name["half.png"][:, 7, 7].tolist() == by_name["solid.png"][:, 0, 0].tolist() == [100] * 3
    assert by_name["la.png"][:, 0, 0].tolist() == [255] * 3
    assert by_name["palette.png"][:, 0, 0].tolist() == [10, 20, 30]
    assert by_name["palette-clear.png"][:, 0, 0].tolist() == [255] * 3
    assert "3 images have transparent pixels, which are laid over white" in means(tmp_path)[2][0]


def read_images_quietly(folder: Path) -> tuple[np.ndarray, list[str] | None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_images(folder)


def test_class_folders_may_be_links_and_circles_end(tmp_path: Path):
    for number, name in enumerate(("cat", "dog")):
        save(tmp_path / "real" / name / "0.png", grey(number))
    (tmp_path / "links").mkdir()
    for name in ("cat", "dog"):
        (tmp_path / "links" / name).symlink_to(tmp_path / "real" / name)
    (tmp_path / "links" / "again").symlink_to(tmp_path / "links")
    (tmp_path / "real" / "cat" / "back").symlink_to(tmp_path / "real")
    assert means(tmp_path / "links")[:2] == ([0, 1, 1], ["cat", "cat", "dog"])  # cat/back/dog is a way to dog
    (tmp_path / "real" / "cat" / "back").unlink()
    assert means(tmp_path / "links")[:2] == ([0, 1], ["cat", "dog"])


def test_one_unreadable_file_in_a_hundred_is_left_out(tmp_path: Path):
    for number in range(99):
        save(tmp_path / f"{number:03}.png", grey(number))
    good = (tmp_path / "098.png").read_bytes()
    (tmp_path / "050a.png").write_bytes(good[:45])  # its header is good
    values, _, told = means(tmp_path)
    assert values == list(range(99))
    assert "1 of 100 files left out: cannot read the image" in told[0] or "1 of 101 files" in told[0]
    (tmp_path / "051a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"cannot read the image .*5[01]a\.png"):
        read_images(tmp_path)


def test_a_huge_scan_is_one_line(tmp_path: Path):
    save(tmp_path / "scan.png", Image.new("1", (14000, 14000)))
    with pytest.raises(DataError, match=r"the image .*scan\.png is too large .*make it smaller first"):
        read_images(tmp_path, resize=8)


def test_a_large_scan_below_that_is_read(tmp_path: Path):
    save(tmp_path / "scan.png", Image.new("1", (10000, 10000)))  # beyond what Pillow warns of
    assert means(tmp_path, resize=8)[0] == [0]


def test_run_folders_are_never_data(tmp_path: Path):
    for number in range(3):
        save(tmp_path / f"{number}.png", grey(number))
    save(tmp_path / "run" / "samples.png", grey(99, size=32))
    (tmp_path / "run" / "config.json").write_text('{"format": 1, "recipe": "vae", "training": {}}')
    values, classes, told = means(tmp_path)
    assert (values, classes) == ([0, 1, 2], None)
    assert told == [f"{tmp_path.name}: the run folder 'run' inside is left out"]


def test_what_is_no_regular_file(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.png")  # opening it would wait
    with pytest.raises(DataError, match="no regular file"):
        read_images(tmp_path)
    (tmp_path / "pipe.png").unlink()
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(DataError, match="a link to none"):
        read_images(tmp_path)
    (tmp_path / "gone.png").unlink()
    (tmp_path / "circle.png").symlink_to(tmp_path / "circle.png")
    with pytest.raises(DataError, match="its links lead back to themselves"):
        read_images(tmp_path)


def test_a_folder_that_may_not_be_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "locked").mkdir()
    save(tmp_path / "0.png", grey(0))
    original = os.scandir

    def scandir(path: Path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return original(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match=r"cannot read the folder .*locked: Permission denied"):
        read_images(tmp_path)


def test_random_bytes_and_truncations_give_errors_of_ours(tmp_path: Path):
    rng = np.random.default_rng(0)
    for ending in ("png", "gif", "tif", "jpg", "bmp", "webp", "ppm"):
        noise = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
        path = save(tmp_path / f"x.{ending}", noise)
        good = bytearray(path.read_bytes())
        for trial in range(60):
            raw = bytearray(good)
            if trial % 3 == 0:
                raw = raw[: int(rng.integers(1, len(raw)))]
            for place in rng.integers(0, min(len(raw), 200), 1 + trial % 5):
                raw[place] = rng.integers(0, 256)
            path.write_bytes(raw)
            with contextlib.suppress(DataError):  # any other error fails
                read_images_quietly(tmp_path)
        path.unlink()


def test_memory_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save(tmp_path / "0.png", grey(0))

    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(picture_file, "_bytes", full)
    with pytest.raises(DataError, match=r"0\.png does not fit into memory"):
        read_images(tmp_path)
