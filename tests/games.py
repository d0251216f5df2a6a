"""Small adversarial games, with weights from a fixed seed."""

from __future__ import annotations

import torch
from tests.draws import seeded
from tests.problems import small_sizes
from torch import Tensor

import latentia as lt
from latentia.core.objective import Batch
from latentia.data.spec import DataSpec, Support
from latentia.objectives.gan.adversarial import Adversarial

PLANE = DataSpec((2,), Support("real"))
GREY = DataSpec((1, 16, 16), Support("unit")).with_classes(("cat", "dog"))


def recipe(name: str = "gan", data: DataSpec = PLANE, **options):
    """Return a small recipe with weights from a fixed seed."""
    sizes = small_sizes(options.get("network", "auto"), data) | {"latent_dim": 3}
    with seeded():
        return lt.recipes[name](data, **(sizes | options))


def game(name: str = "gan", data: DataSpec = PLANE, **options) -> Adversarial:
    return recipe(name, data, **options).objective.train()


def rows(data: DataSpec = PLANE, n: int = 16, seed: int = 0) -> Tensor:
    x = torch.randn(n, *data.event_shape, generator=torch.Generator().manual_seed(seed))
    return data.support.project(x if data.support.bounds is None else x.sigmoid())


def batch(data: DataSpec = PLANE, n: int = 16) -> Batch:
    classes = torch.eye(2)[torch.arange(n) % 2]
    return Batch(rows(data, n), context=classes if data.classes else None)
