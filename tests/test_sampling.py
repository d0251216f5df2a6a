"""Sampling options: a model declares them, and runs, the command line and its help read them from there."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pytest
import torch
from tests.running import vae
from torch import Tensor, nn

import latentia as lt
from latentia.core.model import Generative
from latentia.errors import UsageError
from latentia.options import Between


class Tempered(Generative):
    """N(0, 1), with a sampling option of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def sample(
        self,
        n: int,
        context: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
        heat: Annotated[float, Between(0, 2)] = 1.0,
    ) -> Tensor:
        """Draw n rows.

        Args:
            n: number of rows.
            context: none.
            generator: where randomness comes from.
            heat: factor of the standard deviation
        """
        return heat * torch.randn(n, 3, generator=generator)


def tempered(**settings) -> lt.Run:
    run = vae(epochs=1, **settings)
    run.recipe.objective.model = Tempered()
    return run


def test_a_model_s_own_option_reaches_it():
    run = tempered()
    plain, hot = run.sample(6, seed=0), run.sample(6, seed=0, heat=2)
    torch.testing.assert_close(hot, 2 * plain)
    option = run.sampling_options["heat"]
    assert (option.default, option.help) == (1.0, "factor of the standard deviation")
    assert [*run.sampling_options] == ["heat"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heat": 3}, "heat must be from 0 to 2; got 3"),
        ({"heat": "hot"}, "heat must be a number; got 'hot'"),
        ({"het": 1}, "'het' is no sampling option of vae; it has heat"),
        ({"rejection": True}, "'rejection' is no sampling option of vae; it has heat"),
    ],
)
def test_values_and_names_that_it_does_not_have_are_refused(options, message):
    with pytest.raises(UsageError) as error:
        tempered().sample(2, **options)
    assert str(error.value) == message


def test_a_critic_gives_rejection_and_the_model_keeps_its_own(monkeypatch):
    x = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    run = lt.fit("gan", x, steps=2, hidden=6, latent_dim=2, progress=False)
    assert [*run.sampling_options] == ["rejection", "quantile"]
    assert not run.sample(3, seed=0).equal(run.sample(3, seed=0, quantile=0.5))
    with pytest.raises(UsageError, match=r"quantile must be between 0 and 1, both excluded; got 1\.0"):
        run.sample(3, quantile=1.0)
    assert not [*vae(epochs=1).sampling_options]
    run.recipe.objective.model = Tempered()
    assert [*run.sampling_options] == ["heat", "rejection", "quantile"]
    plain, kept = run.sample(500, seed=0, quantile=0.5), run.sample(500, seed=0, quantile=0.5, heat=0.1)
    assert kept.std() < 0.2 < plain.std()
