"""What a critic learned: the density ratio of every loss that tells one, its features, and rejection by it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from tests.draws import seeded
from torch import Tensor, nn
from torch.distributions import Normal

import latentia as lt
from latentia.cli import main
from latentia.core.model import Encodes
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support
from latentia.distributions.point_mass import PointMass
from latentia.errors import DataError, UsageError
from latentia.functional.gan.loss_pairs import LOSS_PAIRS, loss_pair
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.scoring import score
from latentia.models.critic_features import CriticFeatures
from latentia.networks.critic import Critic
from latentia.networks.mlp import MLP
from latentia.networks.scaling import Scaling
from latentia.registry import divergences

PARAMETERS = {
    "alpha": ("(-1)", "(0.5)", "(1.5)", "(3)"),
    "jensen-shannon-weighted": ("(0.3)", "(0.8)"),
}
ALL = [*LOSS_PAIRS, *(name + form for name in divergences for form in PARAMETERS.get(name, ("",)))]
SILENT = {"hinge", "wasserstein", "relativistic-average", "total-variation"}
PLANE = DataSpec((2,), Support("real"))

# --- the density ratio ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(ALL) - SILENT))
def test_the_optimal_critic_of_two_gaussians_reads_back_their_ratio(name):
    p, q = Normal(0.5, 1.0), Normal(0.0, 1.3)
    x = torch.linspace(-4, 4, 81, dtype=torch.float64)
    ratio = p.log_prob(x) - q.log_prob(x)
    pair = loss_pair(name)
    torch.testing.assert_close(pair.log_ratio(pair.optimal_critic(ratio)), ratio, rtol=0, atol=1e-9)
    single = pair.log_ratio(pair.optimal_critic(ratio).float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), ratio, rtol=0, atol=2e-3)


@pytest.mark.parametrize("name", sorted(SILENT))
def test_losses_whose_critic_tells_no_ratio_say_so(name):
    assert not loss_pair(name).tells_ratio
    with pytest.raises(UsageError, match="this loss's critic has no density ratio: the relativistic average"):
        loss_pair(name).log_ratio(torch.zeros(2))


def test_scores_beyond_those_of_any_ratio_read_as_the_ends():
    pair = loss_pair("least-squares")
    assert pair.log_ratio(torch.tensor([-0.1, 1.1])).tolist() == [-700, 700]
    scores = torch.tensor([0.2, 0.9], dtype=torch.float64)
    torch.testing.assert_close(pair.log_ratio(scores), torch.logit(scores))
    assert loss_pair("pearson").log_ratio(torch.tensor([-5.0])).tolist() == [-700]


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(DataError, match="scores holds NaN or infinite values in 1 of its 2"):
        loss_pair("minimax").log_ratio(torch.tensor([0.0, torch.nan]))


# --- a run's critic ---------------------------------------------------------------------------------------------


class Ratio(nn.Module):
    """The exact log N(x; 0.5, 0.6²)/N(x; 0, 1), as a critic's network."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        shift = 0.0 if context is None else context[:, :1]
        return Normal(0.5 + shift, 0.6).log_prob(x) - Normal(0.0, 1.0).log_prob(x)


class Codes(nn.Module):
    """G(z) = z."""

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return z


def planted(recipe: str = "gan", data=None, **options) -> lt.Run:
    """Return a run whose generator is N(0, 1), and whose critic knows its ratio to N(0.5, 0.6²)."""
    x = np.zeros((20, 1)) + np.arange(20)[:, None] if data is None else data
    run = lt.fit(
        recipe, x, support="real", steps=1, latent_dim=1, network="mlp", hidden=4, progress=False, **options
    )
    objective = run.recipe.objective
    objective.model.network = Codes()
    for scaling in (objective.model.scaling, objective.critics[0].scaling):
        scaling.shift.zero_()
        scaling.scale.fill_(1.0)
    objective.critics[0].network = Ratio()
    return run


def test_sampling_with_rejection_draws_from_the_data_s_distribution():
    run = planted()
    kept, plain = run.sample(3000, seed=0, rejection=True), run.sample(3000, seed=0)
    assert kept.shape == plain.shape == (3000, 1)
    distribution = stats.norm(0.5, 0.6)
    assert stats.kstest(kept.double().numpy()[:, 0], distribution.cdf).pvalue > 1e-5  # the false-alarm rate
    assert stats.kstest(plain.double().numpy()[:, 0], distribution.cdf).pvalue < 1e-30
    assert torch.equal(run.sample(50, seed=3, rejection=True), run.sample(50, seed=3, rejection=True))
    before = torch.get_rng_state()
    run.sample(5, seed=0, quantile=0.8)
    assert torch.equal(torch.get_rng_state(), before)


class TooSure(nn.Module):
    """p/(p + q), the best score of least squares, but 1.2 for the hundredth of rows beyond 2.33."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return torch.where(x > 2.33, 1.2, Ratio()(x).sigmoid())


def test_scores_beyond_those_of_any_ratio_do_not_stop_rejection():
    """They count as the greatest ratio there is, M = 2.2: of the rows kept they are 2.2 %; 10 % never in 10⁹ runs.

    The others have the data's distribution: the mean of 950 of them is off by 0.13, 6.6 standard errors, once in 10¹⁰
    runs.
    """
    run = planted("ls-gan")
    run.recipe.objective.critics[0].network = TooSure()
    kept = run.sample(1000, seed=0, rejection=True)
    sure = kept > 2.33
    assert sure.double().mean() < 0.1
    assert kept[~sure].mean().item() == pytest.approx(0.5, abs=0.13)


def test_the_run_tells_the_ratio_in_data_space():
    run, x = planted(), np.linspace(-1, 2, 7)[:, None]
    expected = stats.norm(0.5, 0.6).logpdf(x[:, 0]) - stats.norm(0, 1).logpdf(x[:, 0])
    torch.testing.assert_close(run.log_ratio(x).double(), torch.from_numpy(expected), rtol=0, atol=1e-5)


def test_several_critics_tell_their_mean():
    run = planted("multi-critic-gan", critics=2)
    first, second = run.recipe.objective.critics
    x = torch.linspace(-1, 2, 7)[:, None]
    alone = Ratio()(x)[:, 0]
    with torch.no_grad():
        told = (alone + second(x)) / 2
    torch.testing.assert_close(run.log_ratio(x), told, rtol=0, atol=1e-5)
    assert first.network is not second.network


def test_a_conditional_run_holds_rows_of_one_class_against_each_other():
    labels = np.arange(20) % 2
    rows = Rows(torch.arange(20.0)[:, None], DataSpec((1,), Support("real")))
    rows = rows.with_labels(torch.from_numpy(labels), ("a", "b"))
    run = lt.fit("gan", rows, conditional=True, steps=1, latent_dim=1, hidden=4, progress=False)
    objective = run.recipe.objective
    objective.model.network, objective.critics[0].network = Codes(), Ratio()
    for scaling in (objective.model.scaling, objective.critics[0].scaling):
        scaling.shift.zero_()
        scaling.scale.fill_(1.0)
    for name, mean in (("a", 1.5), ("b", 0.5)):  # the first entry of a class's code is 1 for a
        kept = run.sample(1500, {"class": name}, seed=0, rejection=True)[:, 0].double().numpy()
        assert stats.kstest(kept, stats.norm(mean, 0.6).cdf).pvalue > 1e-5  # the false-alarm rate
    with pytest.raises(UsageError, match="rejection holds rows of one condition"):
        run.sample(4, {"class": ["a", "b", "a", "b"]}, rejection=True)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("hinge-gan", "has no density ratio"),
        ("pac-gan", "packs of 2 rows"),
        ("minibatch-gan", "depends on its batch, by .*MinibatchDiscrimination"),
        ("vae", "'rejection' is no sampling option of vae; it has mean"),
    ],
)
def test_runs_without_a_ratio_of_rows_say_so(recipe, message):
    run = lt.fit(recipe, np.random.default_rng(0).normal(size=(20, 2)), steps=1, hidden=4, progress=False)
    with pytest.raises(UsageError, match=message):
        run.sample(5, rejection=True)


# --- the representation -----------------------------------------------------------------------------------------


def critic(**options) -> Critic:
    with seeded():
        return Critic(MLP((2,), (1,), hidden=(5, 4)), Scaling(PLANE), **options).eval()


def test_features_are_what_the_last_layer_reads():
    judge, x = critic(), torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    z = CriticFeatures(judge).encode(x).mean
    last = [layer for layer in judge.network.modules() if isinstance(layer, nn.Linear)][-1]
    torch.testing.assert_close((z @ last.weight.T + last.bias)[:, 0], judge(x))
    assert isinstance(CriticFeatures(judge), Encodes)


def test_any_layer_is_read_by_its_name_and_left_as_it_was():
    judge, x = critic(), torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    first = next(name for name, layer in judge.network.named_modules() if isinstance(layer, nn.Linear))
    z = CriticFeatures(judge, first).encode(x)
    torch.testing.assert_close(z.mean, judge.network.get_submodule(first)(judge.scaling(x)))
    assert z.event_shape == (5,)
    assert not any(module._forward_hooks for module in judge.modules())


def test_layers_and_critics_that_have_no_features_are_refused():
    with pytest.raises(UsageError, match=r"unknown layer of the critic 'layer.0'; did you mean 'layers.0'"):
        CriticFeatures(critic(), "layer.0")
    with pytest.raises(UsageError, match="scores packs of 2 rows: no single row has features"):
        CriticFeatures(critic(pack=2))


def test_a_layer_that_is_no_vector_a_row_is_refused():
    judge = critic()
    judge.network.extra = nn.Linear(1, 1)  # which is never called
    with pytest.raises(UsageError, match="layer 'extra' of the critic gives no vector for each row"):
        CriticFeatures(judge, "extra").encode(torch.zeros(2, 2))


def test_a_run_s_features_in_python_and_on_the_command_line(tmp_path, capsys):
    x = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    run = lt.fit("gan", x, out=tmp_path / "run", steps=2, hidden=6, latent_dim=2, progress=False)
    judge = run.recipe.objective.critics[0]
    with torch.no_grad():
        torch.testing.assert_close(run.features(x), judge.features(torch.from_numpy(x)))
    assert run.features(x, layer="layers.0").shape == (30, 6)
    for options, file in ((["--critic"], "all.npy"), (["--layer", "layers.0"], "layer.npy")):
        call = ["encode", str(tmp_path / "run"), "--data", str(tmp_path / "x.npy"), "--out"]
        assert main([*call, str(tmp_path / file), *options]) == 0
    np.testing.assert_allclose(np.load(tmp_path / "all.npy"), run.features(x).numpy(), atol=1e-6)
    np.testing.assert_allclose(
        np.load(tmp_path / "layer.npy"), run.features(x, layer="layers.0").numpy(), atol=1e-6
    )
    call = ["sample", str(tmp_path / "run"), "--n", "7", "--seed", "0", "--out", str(tmp_path / "kept.npy")]
    assert main([*call, "--quantile", "0.5"]) == 0
    kept = run.sample(7, seed=0, quantile=0.5).numpy()
    np.testing.assert_allclose(np.load(tmp_path / "kept.npy"), kept, atol=1e-6)
    assert not np.allclose(kept, run.sample(7, seed=0).numpy())
    capsys.readouterr()


# --- 1-NN and linear probe --------------------------------------------------------------------------------------


class Pixels(Encodes, nn.Module):
    """Rows as their own codes."""

    def encode(self, x, context=None) -> PointMass:
        return PointMass(x.flatten(1), event_dim=1)


def test_accuracies_are_scikit_learn_s():
    train, test = lt.datasets["digits"](), lt.datasets["digits"](split="test")
    evaluation = Evaluation(Pixels(), test, train_rows=lambda: train)
    near, probe = score(evaluation, ["nearest-neighbour-accuracy", "linear-probe-accuracy"])
    x, x_test = (rows.x.flatten(1).double().numpy() for rows in (train, test))
    y, y_test = train.labels.numpy(), test.labels.numpy()
    assert near.value == pytest.approx(KNeighborsClassifier(1).fit(x, y).score(x_test, y_test), abs=0.006)
    scaler = StandardScaler().fit(x)
    linear = LogisticRegression(max_iter=1000).fit(scaler.transform(x), y)
    assert probe.value == pytest.approx(linear.score(scaler.transform(x_test), y_test), abs=0.006)
    assert (near.n, near.settings["training_rows"], near.settings["entries"]) == (180, 1438, 64)
    assert probe.settings["converged"]


def test_accuracies_of_a_critic_need_labels():
    rows = Rows(torch.randn(30, 2, generator=torch.Generator().manual_seed(0)), PLANE)
    evaluation = Evaluation(CriticFeatures(critic()), rows, train_rows=lambda: rows)
    for result in score(evaluation, ["nearest-neighbour-accuracy", "linear-probe-accuracy"]):
        assert result.value is None
        assert "rows have no classes" in result.reason
