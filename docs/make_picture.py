"""Draw docs/images/digits.png from the run that ``make demo`` writes: python docs/make_picture.py."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

import latentia as lt
from latentia.figures.images import image_grid

IMAGES = Path(__file__).parent / "images"


def main() -> None:
    """Put 48 draws, not chosen, beside 48 real rows that the model never saw."""
    run = lt.load(Path(__file__).parent.parent / "runs" / "demo")
    real = lt.datasets["digits"](split="test", seed=run.data["split_seed"]).take(torch.arange(48)).x
    grids = [image_grid(rows, run.spec, columns=8, scale=6) for rows in (run.sample(48, seed=0), real)]
    gap = 40
    picture = Image.new("RGB", (grids[0].width + gap + grids[1].width, grids[0].height), "white")
    picture.paste(grids[0], (0, 0))
    picture.paste(grids[1], (grids[0].width + gap, 0))
    IMAGES.mkdir(exist_ok=True)
    picture.save(IMAGES / "digits.png", optimize=True)


if __name__ == "__main__":
    main()
