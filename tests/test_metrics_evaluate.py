"""Metrics of planted models equal their known answers, and each requested one is returned.

Rows A5, A7, C1, D14 of docs/known-mistakes.md.
"""

from __future__ import annotations

import math

import pytest
import torch
from tests.problems import Coins, linear_gaussian, only
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from latentia.core.model import Bounded, Conditional, Decodes, Density, Encodes, Generative
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support
from latentia.distributions.point_mass import PointMass
from latentia.errors import DataError, UnknownNameError, UsageError
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.scoring import default_metrics, score
from latentia.networks.conditioning import ContextEncoder
from latentia.registry import recipes

REAL = DataSpec((2,), Support("real"))


class Sampler(Generative):
    """Samples of N(shift, I), and nothing else."""

    def __init__(self, shift: float = 0.0) -> None:
        super().__init__()
        self.shift = shift

    def sample(self, n, context=None, *, generator=None) -> Tensor:
        return self.shift + torch.randn(n, 2, generator=generator)


class Given(Density, nn.Module):
    """log p(x) is x[0], whatever that is."""

    def log_prob(self, x, context=None) -> Tensor:
        return x[:, 0]


class Recording(Generative, Conditional, Bounded, Density):
    """Records the calls that it receives."""

    def __init__(self, context_encoder: ContextEncoder | None = None) -> None:
        super().__init__()
        self.context_encoder = context_encoder or ContextEncoder()
        self.weight = nn.Parameter(torch.zeros(()))
        self.dropout = nn.Dropout(0.5)
        self.calls: list[tuple] = []

    def _note(self, *facts) -> None:
        self.calls.append((*facts, self.training, torch.is_grad_enabled()))

    def sample(self, n, context=None, *, generator=None) -> Tensor:
        self._note("sample", n, None if context is None else context.clone())
        return torch.randn(n, 2, generator=generator)

    def log_prob(self, x, context=None) -> Tensor:
        self._note("log_prob", len(x), context)
        return self.dropout(x[:, 0] + self.weight)

    def log_prob_bound(self, x, context=None, *, samples=1, repeats=1, generator=None) -> Tensor:
        self._note("bound", samples, repeats)
        return torch.randn(len(x), generator=generator)


class Halving(Encodes, Decodes, nn.Module):
    """Decodes to half of the row."""

    def encode(self, x, context=None) -> PointMass:
        return PointMass(x / 2, event_dim=1)

    def decode(self, z, context=None) -> Independent:
        return Independent(Normal(z, 1.0), 1)


def rows(n: int = 40, seed: int = 0, **facts) -> Rows:
    return Rows(torch.randn(n, 2, generator=torch.Generator().manual_seed(seed)), REAL, **facts)


# Against known answers


def test_linear_gaussian_scores_are_the_known_ones():
    model = linear_gaussian(slack=0.4)
    held_out = model.rows(400)
    truth, elbo = model.log_prob(held_out.x), model.elbo(held_out.x)
    exact, bound, tight = (
        only(Evaluation(model, held_out), name) for name in ("log-likelihood", "elbo", "iwae")
    )
    assert exact.value == pytest.approx(truth.mean().item(), rel=1e-12)
    assert exact.stderr == pytest.approx(truth.std().item() / 20, rel=1e-9)
    assert (exact.kind, exact.unit, exact.measure, exact.n) == ("exact", "nats", "Lebesgue", 400)
    spread = (bound.stderr**2 + elbo.var().item() / 400) ** 0.5
    assert abs(bound.value - elbo.mean().item()) < 4 * spread  # one-sided slack: false alarm < 6e-5
    assert bound.kind == "lower bound (ELBO)"
    assert tight.kind == "lower bound (IWAE, K=100)"
    assert bound.value < tight.value - 0.1 < exact.value
    assert tight.value == pytest.approx(exact.value, abs=0.05)


def test_every_bound_of_an_exact_posterior_equals_the_likelihood():
    model = linear_gaussian()
    values = [
        result.value
        for result in score(Evaluation(model, model.rows(50)), ["log-likelihood", "elbo", "iwae"])
    ]
    assert values == pytest.approx([values[0]] * 3, rel=1e-9)


def test_fair_coins_are_one_bit_per_dimension():
    model = Coins(8)
    bits, nats = score(Evaluation(model, model.rows(30)), ["bits-per-dim", "log-likelihood"])
    assert bits.value == pytest.approx(1.0, rel=1e-6)
    assert (bits.kind, bits.unit, bits.measure, bits.direction) == ("exact", "bits/dim", "counting", "lower")
    assert nats.value == pytest.approx(-8 * math.log(2), rel=1e-6)


@pytest.mark.parametrize(
    ("levels", "likelihood"), [(2, "bernoulli"), (17, "categorical"), (256, "categorical")]
)
def test_a_uniform_model_has_log_2_of_the_levels_bits_per_dimension_through_all_scaling(levels, likelihood):
    """C1: 8 bits for bytes, neither 255 levels nor an offset of 8-bit images for others."""
    support = "binary" if levels == 2 else f"discrete({levels})"
    spec = DataSpec((1, 4, 4), Support.parse(support))
    model = recipes["vae"](spec, likelihood=likelihood, network="mlp", hidden=4).objective.model
    for parameter in model.parameters():
        parameter.data.zero_()  # the posterior is the prior, and every level has the same logit
    rows = Rows(torch.arange(32).reshape(2, 1, 4, 4) % levels, spec)
    assert only(Evaluation(model.eval(), rows), "bits-per-dim").value == pytest.approx(math.log2(levels))


def test_bits_per_dim_from_a_bound_are_an_upper_bound():
    class Bound(Bounded, nn.Module):
        def log_prob_bound(self, x, context=None, *, samples=1, repeats=1, generator=None) -> Tensor:
            return torch.full((len(x),), -8 * math.log(2) * samples)

    bits = only(Evaluation.of(Bound(), Coins(8).rows(30), iwae_samples=3), "bits-per-dim")
    assert bits.value == pytest.approx(3.0)
    assert bits.kind == "upper bound (IWAE, K=3)"
    assert bits.settings["samples"] == 3


def test_energy_distance_of_a_shifted_sampler_is_the_known_one():
    held_out = Rows(torch.randn(1000, 2, generator=torch.Generator().manual_seed(7)), REAL)
    near, far = (only(Evaluation(Sampler(shift), held_out), "energy-distance") for shift in (0.0, 3.0))
    assert abs(near.value) < 4 * near.stderr
    assert far.value > 100 * near.stderr
    assert (far.kind, far.direction, far.n, far.unit) == ("estimate", "lower", 1000, "data units")


def test_mmd_test_rejects_the_wrong_distribution_only():
    right, wrong = (only(Evaluation(Sampler(shift), rows(100)), "mmd-test") for shift in (0.0, 1.0))
    assert right.value > 0.05  # false alarm 5 %, at a fixed seed
    assert right.settings["decision"] == "fail to reject"
    assert wrong.value == 1 / 501
    assert wrong.settings["decision"] == "reject"
    assert (wrong.kind, wrong.unit, wrong.n) == ("test", "p-value", 100)


def test_reconstruction_error_of_a_known_decoder():
    held_out = rows(40)
    result = only(Evaluation(Halving(), held_out), "reconstruction-error")
    assert result.value == pytest.approx((held_out.x / 2).square().mean().item(), rel=1e-6)
    assert (result.unit, result.direction, result.n) == ("data units²", "lower", 40)


def test_a_reconstruction_of_another_shape_is_a_reason_not_a_broadcast():
    class Flat(Halving):
        def decode(self, z, context=None) -> Independent:
            return Independent(Normal(z.mean(1, keepdim=True), 1.0), 1)

    result = only(Evaluation(Flat(), rows(40)), "reconstruction-error")
    assert result.value is None
    assert "nothing is broadcast" in result.reason


# What is offered


KNOWN = {
    "bits-per-dim", "elbo", "energy-distance", "iwae", "log-likelihood", "mmd-test", "reconstruction-error",
}  # fmt: skip


def known_defaults(model: nn.Module, spec: DataSpec) -> list[str]:
    """Return a model's default metrics among those that these tests know: others may join them."""
    return [name for name in default_metrics(model, spec) if name in KNOWN]


def test_defaults_follow_the_capabilities():
    full = linear_gaussian()
    spec = full.rows(2).spec
    both = ["elbo", "energy-distance", "iwae", "log-likelihood", "mmd-test", "reconstruction-error"]
    assert known_defaults(full, spec) == both
    assert known_defaults(Sampler(), REAL) == ["energy-distance", "log-likelihood", "mmd-test"]
    assert known_defaults(Given(), REAL) == ["log-likelihood"]
    assert known_defaults(Coins(8), Coins(8).rows(2).spec)[0] == "bits-per-dim"
    assert known_defaults(Halving(), REAL) == ["log-likelihood", "reconstruction-error"]


def test_samples_only_is_a_row_that_says_so():
    results = {result.metric: result for result in score(Evaluation(Sampler(), rows(30)))}
    silent = results["log-likelihood"]
    assert silent.value is None
    assert silent.kind == "none: samples only"
    assert silent.reason == "Sampler has no density and no bound of one"
    assert only(Evaluation(Halving(), rows(30)), "log-likelihood").kind == "none: no density"


def test_a_model_whose_loss_is_no_likelihood_says_why():
    class Relaxed(Coins, Bounded):
        why_no_likelihood = "its loss is not normalised"

        def log_prob_bound(self, x, context=None, *, samples=1, repeats=1, generator=None) -> Tensor:
            return torch.zeros(len(x))

    evaluation = Evaluation(Relaxed(8), Coins(8).rows(10))
    assert known_defaults(evaluation.model, evaluation.rows.spec) == [
        "energy-distance",
        "log-likelihood",
        "mmd-test",
    ]
    for result in score(evaluation, ["log-likelihood", "elbo", "iwae", "bits-per-dim"]):
        assert result.value is None
        assert (result.kind, result.reason) == ("none: not a likelihood", "its loss is not normalised")


def test_a_continuous_distribution_on_whole_numbers_has_no_bits_per_dimension():
    class Continuous(Coins):
        measure = "Lebesgue"

    evaluation = Evaluation(Continuous(8), Coins(8).rows(10))
    assert "bits-per-dim" not in default_metrics(evaluation.model, evaluation.rows.spec)
    bits, nats = score(evaluation, ["bits-per-dim", "log-likelihood"])
    assert bits.value is None
    assert "Lebesgue" in bits.reason
    assert nats.measure == "Lebesgue"


def test_names_come_back_in_order_and_unknown_ones_are_refused_before_anything_runs():
    model = Recording()
    names = ["mmd-test", "elbo", "log-likelihood"]
    assert [result.metric for result in score(Evaluation(model, rows(30)), names)] == names
    model.calls.clear()
    with pytest.raises(UnknownNameError, match="did you mean 'elbo'"):
        score(Evaluation(model, rows(30)), ["log-likelihood", "elbow"])
    assert model.calls == []


# Bad numbers


def test_rows_that_are_not_finite_are_a_reason_with_a_count():  # C4
    x = torch.tensor([[1.0, 0.0], [-math.inf, 0.0], [math.nan, 0.0]])
    result = only(Evaluation(Given(), Rows(x, REAL)), "log-likelihood")
    assert result.value is None
    assert result.reason == "2 of 3 rows scored NaN or infinite"


def test_samples_that_are_not_finite_are_a_reason_with_a_count():
    for result in score(Evaluation(Sampler(math.nan), rows(10)), ["energy-distance", "mmd-test"]):
        assert result.value is None
        assert "10 of its 10 points" in result.reason


def test_one_row_is_a_reason_where_a_spread_is_needed():
    results = score(Evaluation(Sampler(), rows(1)), ["energy-distance", "mmd-test"])
    assert all("at least 2 points; got 1" in result.reason for result in results)


def test_a_model_that_returns_a_mean_is_refused():
    class Mean(Given):
        def log_prob(self, x, context=None) -> Tensor:
            return x[:, 0].mean()

    assert "one number per row" in only(Evaluation(Mean(), rows(10)), "log-likelihood").reason


def test_no_rows_and_sizes_below_one_are_refused():
    with pytest.raises(DataError, match="no held-out rows"):
        Evaluation(Sampler(), rows(0))
    with pytest.raises(UsageError, match="iwae_samples must be at least 1; got 0"):
        Evaluation.of(Sampler(), rows(5), iwae_samples=0)


# How a model is scored


def test_scoring_is_in_eval_mode_without_gradient_and_leaves_no_trace():
    model = Recording().train()
    model.dropout.eval()
    before = torch.get_rng_state()
    score(Evaluation.of(model, rows(30), mmd_test_permutations=9))
    assert all(call[-2:] == (False, False) for call in model.calls)
    assert model.training
    assert not model.dropout.training
    assert torch.equal(before, torch.get_rng_state())


def test_number_of_samples_is_what_the_kind_says():  # A5
    model = Recording()
    score(Evaluation.of(model, rows(30), batch_size=10, iwae_samples=7), ["elbo", "iwae"])
    assert [call[1] for call in model.calls] == [1, 1, 1, 7, 7, 7]


def test_scores_shared_by_metrics_are_computed_once():
    model = Recording()
    score(Evaluation(model, rows(30)), ["energy-distance", "mmd-test"])
    assert [call[0] for call in model.calls] == ["sample"]


def test_mean_over_uneven_batches_weighs_rows_not_batches():  # D21
    x = torch.arange(14.0).reshape(7, 2)
    result = only(Evaluation.of(Given(), Rows(x, REAL), batch_size=3), "log-likelihood")
    assert result.value == 6.0


def test_seed_decides_every_draw():
    def values(seed: int) -> list[float | None]:
        return [
            result.value
            for result in score(Evaluation.of(Recording(), rows(30), seed=seed), ["elbo", "energy-distance"])
        ]

    assert values(0) == values(0)
    assert all(a != b for a, b in zip(values(0), values(1), strict=True))


def test_samples_are_no_twins_of_rows_made_from_the_same_seed():
    evaluation = Evaluation.of(Sampler(), rows(200, seed=0), seed=0)
    correlation = torch.corrcoef(torch.stack([evaluation.samples[:, 0], evaluation.heldout.x[:, 0]]))[0, 1]
    assert abs(correlation) < 0.28  # 4/√200: false alarm 6e-5


def test_quadratic_metrics_look_at_a_random_part_of_sorted_rows():
    x = torch.arange(1000.0).repeat_interleave(2).reshape(1000, 2)
    held_out = Evaluation.of(Sampler(), Rows(x, REAL), max_rows=100, batch_size=64).heldout.x
    assert held_out.shape == (100, 2)
    assert len(held_out.unique(dim=0)) == 100
    assert abs(held_out.mean() - 499.5) < 4 * 29  # sd of the mean is 29: false alarm 6e-5


def test_conditional_samples_are_given_the_contexts_of_the_rows_they_face():
    labels = torch.arange(30) % 3
    spec = DataSpec((2,), Support("real")).with_classes(("a", "b", "c"))
    held_out = Rows(torch.stack([labels.float(), labels.float()], 1), spec).with_labels(labels)
    model = Recording(ContextEncoder(spec.context))
    evaluation = Evaluation.of(model, held_out, conditional=True, max_rows=20, batch_size=8)
    score(evaluation, ["energy-distance"])
    contexts = torch.cat([call[2] for call in model.calls])
    assert torch.equal(contexts.argmax(1).float(), evaluation.heldout.x[:, 0])
    model.calls.clear()
    score(Evaluation(model, held_out), ["energy-distance", "log-likelihood"])
    assert all(call[2] is None for call in model.calls)
