"""Every registered metric, of models that can much and that can little: a value that says what it is, or a reason.

That standard errors are right is for `test_scores`, and values for the tests of each metric.
"""

from __future__ import annotations

import json
import math

import pytest
import torch
from tests.planted_scores import FACTORS, Given, Half, Reads, Shifted, scores, spec
from tests.problems import Coins, as_latent_variable, linear_gaussian
from torch import Tensor, nn

import latentia as lt
from latentia.core.model import Density
from latentia.data.rows import Modes, Rows
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.score import Score

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


def full(name: str, seed: int = 0) -> Evaluation:
    """Return a subject that a metric has a value of.

    A VAE whose rows are known in every respect is enough for most; the others are of models that can what it cannot.
    """
    if name in ("bits-per-dim", "aic", "bic", "log-likelihood"):
        model = Counted(8)
        return Evaluation(model, model.rows(40), seed=seed)
    if name in ("classification-accuracy", "factor-error"):
        return Evaluation(Reads() if name.startswith("class") else Half(), one_entry(), seed=seed)
    small = {"ais_rows": 10, "ais_chains": 2, "ais_temperatures": 5, "iwae_samples": 5, "permutations": 19}
    vae = as_latent_variable(linear_gaussian(slack=0.2)).float()
    return Evaluation(vae, known(), seed=seed, train_rows=lambda: known(80, seed=1), **small)


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
    evaluation = Evaluation(make(), rows(), permutations=19, iwae_samples=5, ais_rows=5, ais_temperatures=3)
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
