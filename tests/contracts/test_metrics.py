"""Every registered metric, of models that can much and that can little: a value that says what it is, or a reason.

That standard errors are right is for `test_scores`, and values for the tests of each metric.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.planted_scores import FACTORS, Given, Half, Reads, Shifted, scores, spec
from tests.problems import Coins, as_latent_variable, linear_gaussian
from torch import Tensor, nn

import latentia as lt
from latentia.core.model import Density
from latentia.data.rows import Modes, Rows
from latentia.metrics.declared import declared
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.score import Score
from latentia.metrics.scoring import lacking
from latentia.metrics.settings import metric_settings

every_metric = pytest.mark.parametrize("name", sorted(lt.metrics))


class Counted(Coins):
    """Coins that know how many numbers they were fitted by."""

    free_parameters = 8


class DensityOnly(Density, nn.Module):
    """N(0, I)."""

    def log_prob(self, x, context=None) -> Tensor:
        return -0.5 * (x.square() + math.log(2 * math.pi)).sum(1)


def known(n: int = 40, seed: int = 0) -> Rows:
    """Return rows of four entries of which class, two factors and the modes are known."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 2
    x = torch.randn(n, 4, generator=generator) + 3 * labels[:, None]
    v = torch.randint(3, (n, 2), generator=generator)
    modes = Modes(torch.tensor([[0.0] * 4, [3.0] * 4]).double(), 1.0)
    return Rows(x, spec(4, classes=2), modes=modes).with_labels(labels).with_factors(FACTORS, v)


def one_entry(n: int = 40) -> Rows:
    x = torch.randn(n, 1, generator=torch.Generator().manual_seed(0))
    return Rows(x, spec(1, classes=2)).with_labels(torch.arange(n) % 2)


FULL: tuple[tuple[Callable[[], nn.Module], Callable[[int], Rows]], ...] = (
    (
        lambda: as_latent_variable(linear_gaussian(slack=0.2)).float(),
        lambda seed: known(40 + 40 * seed, seed),
    ),
    (lambda: Counted(8), lambda seed: Counted(8).rows(40, seed)),
    (Reads, lambda _: one_entry()),
    (Half, lambda _: one_entry()),
)
"""Models, and rows by seed: what one of them lacks another has."""


def quick(most: int = 20) -> dict[str, Any]:
    """Return smaller values of the settings of counts, so that no metric takes long."""
    return {each.name: min(each.default, most) for each in metric_settings() if isinstance(each.default, int)}


def full(name: str, seed: int = 0) -> Evaluation:
    """Return an evaluation that a metric has a value of: the first that has what the metric declares to need."""
    for model, rows in FULL:
        if lacking(name, model(), rows(0).spec) is None:
            settings = quick() | {"seed": seed}
            return Evaluation.of(model(), rows(0), train_rows=lambda rows=rows: rows(1), **settings)
    pytest.fail(f"add a model and rows to FULL that have what {name} needs: {declared(name)}")


MODELS = {
    "nothing": (nn.Identity, known),
    "samples": (lambda: Shifted(size=4), known),
    "wrong samples": (lambda: Given(torch.full((40, 4), torch.nan)), known),
    "density": (DensityOnly, known),
    "encoder and decoder": (Half, one_entry),
    "one row": (lambda: linear_gaussian(), lambda: linear_gaussian().rows(1)),
}


def check(found: Score, name: str) -> None:
    """Assert that a score is whole: it says which, what, of how many rows, how good and by which settings."""
    assert found.metric == name or found.metric.startswith((f"{name}/", f"{name}-"))
    assert (found.value is None) == bool(found.reason)
    assert found.kind
    assert found.kind.startswith("none") or found.value is not None or found.reason
    assert found.direction in ("higher", "lower", "")
    assert json.loads(json.dumps(dict(found.settings), allow_nan=False)) is not None
    if found.value is not None:
        assert math.isfinite(found.value)
        assert found.unit
        assert found.n > 0
    assert found.stderr is None or (found.value is not None and 0 <= found.stderr < math.inf)


@every_metric
def test_of_a_full_model_it_is_a_value_that_says_what_it_is(name):
    found = scores(full(name), name)
    for each in found.values():
        check(each, name)
        assert each.value is not None or each.metric == "gaps/model", f"{each.metric}: {each.reason}"


@every_metric
def test_the_seed_decides_it_and_nothing_else_moves(name):
    """Twice the same scores from models made twice; torch's global stream and the model's mode stay."""
    first = scores(full(name), name)
    torch.manual_seed(1)
    before, evaluation = torch.get_rng_state(), full(name)
    evaluation.model.train()
    assert scores(evaluation, name) == first
    assert evaluation.model.training
    assert torch.equal(torch.get_rng_state(), before)


@every_metric
@pytest.mark.parametrize("model", MODELS)
def test_of_any_model_it_is_a_value_or_a_reason(name, model):
    make, rows = MODELS[model]
    evaluation = Evaluation.of(make(), rows(), **quick())
    found = scores(evaluation, name)
    assert found
    for each in found.values():
        check(each, name)


@every_metric
def test_of_a_model_that_can_nothing_it_is_a_reason(name):  # D14
    found = scores(Evaluation(nn.Identity(), known()), name)
    assert list(found) == [name]
    assert found[name].value is None
    assert found[name].kind.startswith("none")
    assert found[name].n == 40


@every_metric
def test_its_summary_says_what_it_measures(name):
    assert len(lt.metrics.summaries()[name]) > 30
