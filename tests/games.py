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
from latentia.objectives.gan.views import Drawn, Turn, View

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


def turn(played: Adversarial, real: Tensor, fake: Tensor, step: int | None = 0) -> Turn:
    """Return what a term of the critics' loss reads of rows that they see."""
    scores = [lambda view, critic=critic: critic.score(view.x, view.context) for critic in played.critics]
    drawn = Drawn(torch.zeros(len(fake), 1), fake)

    def features(view: View) -> Tensor:
        return played.critics[0].scaled_features(view.x, view.context)

    return Turn(scores, View(real), View(fake), real, drawn, None, features, step)


def penalty(played: Adversarial, real: Tensor, fake: Tensor) -> Tensor:
    """Return what the terms of the critics' loss are at the game's clock."""
    given = turn(played, real, fake, int(played.clock))
    return torch.stack([term(given) for term in played.critic_terms]).sum()
