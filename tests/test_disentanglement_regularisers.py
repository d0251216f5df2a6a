"""Disentangling objectives against naive sums, integrals and NumPy.

Rows A10-A13, A15, A18 of docs/known-mistakes.md.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from tests.draws import seeded
from tests.objectives import loss, rows, terms
from torch import Tensor
from torch.distributions import Normal, kl_divergence

import latentia as lt
from latentia.core.objective import Batch
from latentia.core.train import train
from latentia.data.spec import DataSpec, Support
from latentia.distributions.diagonal_gaussian import DiagonalGaussian, StandardGaussian
from latentia.errors import UsageError
from latentia.functional.disentanglement.regularisers import (
    aggregated_log_prob,
    code_covariance,
    covariance_penalty,
    entrywise_log_prob,
    permute_codes,
    stratified_log_weights,
    total_correlation,
    weighted_log_weights,
)
from latentia.functional.kernel.kernels import inverse_multiquadric_kernel
from latentia.networks.mlp import MLP
from latentia.objectives.vae.factor_vae import FactorVAE
from latentia.objectives.vae.regularisers import Codes, discrepancy_from_prior

REAL = DataSpec((4,), Support("real"))
NAMES = ("dip-vae-i", "dip-vae-ii", "beta-tc-vae", "info-vae", "factor-vae")


def made(name: str, data: DataSpec = REAL, **options):
    """Return the recipe with weights from a fixed seed, its objective begun on `rows`."""
    sizes = {"critic_hidden": 8} if name == "factor-vae" else {}
    with seeded():
        recipe = lt.recipes[name](data, **{"hidden": 6, "latent_dim": 3, **sizes, **options})
    recipe.objective.begin(Batch(rows().float()))
    return recipe


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


# --- covariances: DIP-VAE ---------------------------------------------------------------------------------------


def test_the_covariance_of_codes_is_numpys():
    """A15: over rows, with 1/N; between rows and, by the law of total covariance, within them."""
    mean, variance = normal(50, 3), normal(50, 3, seed=1).exp()
    roots = normal(50, 3, 3, seed=2)
    full = roots @ roots.mT
    between = np.cov(mean.T.numpy(), ddof=0)
    assert np.allclose(code_covariance(mean), between, atol=1e-12)
    assert np.allclose(code_covariance(mean, variance), between + np.diag(variance.mean(0)), atol=1e-12)
    assert np.allclose(code_covariance(mean, full), between + full.mean(0).numpy(), atol=1e-12)
    with pytest.raises(UsageError, match=r"got mean \(50, 3\) and within \(3, 3\)"):
        code_covariance(mean, torch.eye(3))


def test_the_covariance_within_and_between_is_that_of_draws():
    """Of 400,000 draws, whose covariances are off by less than 6 standard errors, about 0.03."""
    mean, variance = normal(4, 2), normal(4, 2, seed=1).exp()
    z = (mean + variance.sqrt() * normal(100_000, 4, 2, seed=2)).flatten(0, 1)
    assert np.allclose(code_covariance(mean, variance), np.cov(z.T.numpy()), atol=0.04)


def test_whitened_codes_pay_nothing_and_doubled_ones_do():
    """A15."""
    codes = normal(200, 3)
    centred = codes - codes.mean(0)
    white = centred @ torch.linalg.inv(torch.linalg.cholesky(code_covariance(codes))).T
    assert covariance_penalty(code_covariance(white), 10.0, 100.0).item() == pytest.approx(0, abs=1e-20)
    doubled = white[:, [0, 0, 1]]
    assert covariance_penalty(code_covariance(doubled), 10.0, 100.0).item() == pytest.approx(20.0)
    stretched = white * torch.tensor([2.0, 1.0, 1.0])
    assert covariance_penalty(code_covariance(stretched), 10.0, 100.0).item() == pytest.approx(900.0)


@pytest.mark.parametrize("posterior", ["diagonal", "full"])
@pytest.mark.parametrize("name", ["dip-vae-i", "dip-vae-ii"])
def test_the_penalty_of_a_batch_is_numpys(name, posterior):
    objective = made(name, posterior=posterior, off_diagonal=3.0, diagonal=7.0).objective
    q = objective.model.encode(rows().float())
    C = np.cov(q.mean.detach().T.numpy(), ddof=0)
    if name == "dip-vae-ii":
        within = q.covariance_matrix if posterior == "full" else torch.diag_embed(q.variance)
        C = C + within.detach().mean(0).numpy()
    off = C - np.diag(np.diag(C))
    expected = 3 * (off**2).sum() + 7 * ((np.diag(C) - 1) ** 2).sum()
    reconstruction, kl, extra = terms(objective, rows().float())
    assert extra.item() == pytest.approx(expected, rel=1e-5)
    assert loss(objective, rows().float()).item() == pytest.approx(
        (kl - reconstruction + extra).item(), rel=1e-6
    )


# --- the aggregated posterior: β-TCVAE --------------------------------------------------------------------------


def mixture(z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """Return log (1/N) Σ_n N(z; μ_n, σ_n²), entry by entry, by torch's normal: (S, d)."""
    each = Normal(mean, (0.5 * log_var).exp()).log_prob(z[:, None])
    return each.logsumexp(1) - math.log(len(mean))


def joint_mixture(z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    each = Normal(mean, (0.5 * log_var).exp()).log_prob(z[:, None]).sum(2)
    return each.logsumexp(1) - math.log(len(mean))


def test_entries_have_the_density_of_torchs_normal():
    z, mean, log_var = normal(4, 3), normal(5, 3, seed=1), normal(5, 3, seed=2)
    expected = Normal(mean, (0.5 * log_var).exp()).log_prob(z[:, None])
    assert torch.allclose(entrywise_log_prob(z, mean, log_var), expected, atol=1e-12)


def test_a_batch_of_all_rows_is_the_aggregated_posterior_itself():
    mean, log_var, z = normal(6, 3), 0.5 * normal(6, 3, seed=1), normal(6, 3, seed=2)
    log_q, log_w = entrywise_log_prob(z, mean, log_var), stratified_log_weights(6, rows=6)
    joint, marginals = joint_mixture(z, mean, log_var), mixture(z, mean, log_var)
    assert torch.allclose(aggregated_log_prob(log_q.sum(2), log_w), joint, atol=1e-12)
    assert torch.allclose(aggregated_log_prob(log_q, log_w), marginals, atol=1e-12)
    assert torch.allclose(total_correlation(log_q, log_w), joint - marginals.sum(1), atol=1e-12)


@pytest.mark.parametrize("batch", [1, 2, 3, 6])
def test_the_stratified_estimate_has_no_bias(batch):
    """The mean over all batches that hold a row, of which there are few of 7 rows, is q(z) there; exactly."""
    if batch == 1:
        assert stratified_log_weights(1, rows=7).exp().item() == pytest.approx(1 / 7)
        return
    mean, log_var, z = normal(7, 1), 0.5 * normal(7, 1, seed=1), normal(1, 1, seed=2)
    w = stratified_log_weights(batch, rows=7)
    found = []
    for others in itertools.combinations(range(1, 7), batch - 1):
        members = [0, *others]
        log_q = entrywise_log_prob(z.expand(batch, 1), mean[members], log_var[members]).sum(2)
        found.append(aggregated_log_prob(log_q, w)[0].exp())
    expected = mixture(z, mean, log_var).exp().item()
    assert torch.stack(found).mean().item() == pytest.approx(expected, rel=1e-12)


def test_stratified_weights_are_the_mean_of_the_papers_over_the_order_of_the_batch():
    """Chen et al., C.2, with M = B − 1: 1/N for the own row, 1/M for others, (N − M)/(N M) for one of them."""
    B, N, M = 4, 9, 3
    papers = [1 / M] * (M - 1) + [(N - M) / (N * M)]
    orders = np.mean(list(itertools.permutations(papers)), axis=0)
    w = stratified_log_weights(B, rows=N).exp()
    assert w.diagonal().tolist() == pytest.approx([1 / N] * B)
    assert w[0, 1:].tolist() == pytest.approx(orders)
    assert w.sum(1).tolist() == pytest.approx([1] * B)


def test_of_separate_posteriors_the_entropy_is_exact():
    """A10: only the own row's term is there, and its weight is 1/N; a matrix that is off the diagonal says 2.9."""
    N, B, d = 60, 16, 3
    mean = 100.0 * torch.arange(N).double()[:, None].expand(N, d)
    log_var = torch.full((N, d), -4.0).double()
    z = mean[:B] + 0.1 * normal(B, d)
    log_q = entrywise_log_prob(z, mean[:B], log_var[:B])
    found = aggregated_log_prob(log_q.sum(2), stratified_log_weights(B, N))
    assert torch.allclose(found, joint_mixture(z, mean, log_var), atol=1e-9)
    weighted = aggregated_log_prob(log_q.sum(2), weighted_log_weights(B, N))
    assert torch.allclose(weighted, found - math.log(B), atol=1e-9)


def test_weighted_sampling_is_off_by_what_its_docstring_says():
    """A11: log N where all posteriors are one; the total correlation by d − 1 times that."""
    N, B, d = 60, 16, 4
    mean, log_var = torch.zeros(B, d).double(), torch.zeros(B, d).double()
    log_q = entrywise_log_prob(normal(B, d), mean, log_var)
    joint = aggregated_log_prob(log_q.sum(2), weighted_log_weights(B, N))
    assert torch.allclose(joint, log_q[:, 0].sum(1) - math.log(N), atol=1e-9)
    off = total_correlation(log_q, weighted_log_weights(B, N))
    assert torch.allclose(off, torch.full((B,), (d - 1) * math.log(N)).double(), atol=1e-9)
    right = total_correlation(log_q, stratified_log_weights(B, N))
    assert torch.allclose(right, torch.zeros(B).double(), atol=1e-9)


def test_independent_entries_have_no_total_correlation():
    """A11: means on a grid and equal variances make q(z) a product, point by point."""
    mean = torch.cartesian_prod(normal(4), normal(5, seed=1))
    log_var = torch.tensor([-1.0, 0.3]).double().expand(20, 2)
    z = mean + (0.5 * log_var).exp() * normal(20, 2, seed=2)
    found = total_correlation(entrywise_log_prob(z, mean, log_var), stratified_log_weights(20, rows=20))
    assert torch.allclose(found, torch.zeros(20).double(), atol=1e-12)


def test_the_parts_of_the_kl_add_up_and_the_total_correlation_is_the_integral():
    """A11: I + TC + Σ_j KL(q(z_j) ‖ p(z_j)) = E KL(q(z | x) ‖ p(z)), of 5 rows; TC by the trapezium rule in the plane.

    120,000 draws; 5 standard errors: a false alarm in 2 of a million.
    """
    N, S = 5, 24_000
    mean, log_var = normal(N, 2), 0.5 * normal(N, 2, seed=1) - 1
    noise = normal(S, N, 2, seed=2)
    z = mean + (0.5 * log_var).exp() * noise
    log_q = torch.stack([entrywise_log_prob(each, mean, log_var) for each in z[:2000]])
    w = stratified_log_weights(N, rows=N)
    tc = torch.stack([total_correlation(each, w) for each in log_q])
    joint = torch.stack([aggregated_log_prob(each.sum(2), w) for each in log_q])
    own = log_q.sum(3).diagonal(dim1=1, dim2=2)
    marginals = joint - tc
    log_p = Normal(0.0, 1.0).log_prob(z[:2000]).sum(2)
    whole = (own - joint) + tc + (marginals - log_p)
    q, p = DiagonalGaussian(mean, log_var), StandardGaussian(torch.zeros(2).double(), torch.zeros(2).double())
    expected = kl_divergence(q, p).mean().item()
    error = whole.mean(1).std().item() / math.sqrt(2000)
    assert whole.mean().item() == pytest.approx(expected, abs=5 * error)
    axis = torch.linspace(-9, 9, 601).double()
    grid = torch.cartesian_prod(axis, axis)
    log_joint = joint_mixture(grid, mean, log_var)
    integrand = log_joint.exp() * (log_joint - mixture(grid, mean, log_var).sum(1))
    integral = integrand.sum().item() * (axis[1] - axis[0]).item() ** 2
    assert tc.mean().item() == pytest.approx(integral, abs=5 * tc.mean(1).std().item() / math.sqrt(2000))


def test_sizes_that_cannot_be_are_refused():
    for weights in (stratified_log_weights, weighted_log_weights):
        for batch, n in ((0, 5), (6, 5)):
            with pytest.raises(UsageError, match=f"got {batch} of {n}"):
                weights(batch, n)
    with pytest.raises(UsageError, match="shapes must be equal"):
        aggregated_log_prob(torch.zeros(3, 4, 2), stratified_log_weights(3, 5))


def test_the_total_correlation_of_a_batch_is_added_beta_less_one_times():
    """And with β = 1 nothing is."""
    objective = made("beta-tc-vae", beta=6.0).objective
    x = rows(12).float()  # of 30 rows
    reconstruction, kl, extra = terms(objective, x)
    with seeded():
        q = objective.model.encode(x)
        z = q.rsample((1,))[0]
    w = torch.full((12, 12), 29 / (30 * 11)).fill_diagonal_(1 / 30)
    each = Normal(q.mean, q.stddev).log_prob(z[:, None]).exp()
    tc = (w * each.prod(2)).sum(1).log() - (w[..., None] * each).sum(1).log().sum(1)
    assert extra.item() == pytest.approx(5 * tc.mean().item(), rel=1e-4)
    assert loss(objective, x).item() == pytest.approx((kl - reconstruction + extra).item(), rel=1e-6)
    assert terms(made("beta-tc-vae", beta=1.0).objective, x)[2] == 0


def test_the_two_estimators_differ_in_value_and_hardly_in_direction():
    found = {}
    for estimator in ("stratified", "weighted"):
        objective = made("beta-tc-vae", estimator=estimator).objective
        extra = terms(objective, rows().float())[2]
        gradient = torch.autograd.grad(extra, objective.model.encoder.parameters())
        found[estimator] = extra.item(), torch.cat([each.flatten() for each in gradient])
    assert found["weighted"][0] - found["stratified"][0] > 20  # 5 (d − 1) log N at most
    assert torch.cosine_similarity(found["weighted"][1], found["stratified"][1], dim=0) > 0.9
    with pytest.raises(UsageError, match="unknown estimator 'stratifed'; did you mean 'stratified'"):
        made("beta-tc-vae", estimator="stratifed")


# --- the discrepancy from the prior: InfoVAE --------------------------------------------------------------------


def codes_of(z: Tensor) -> Codes:
    d = z.shape[-1]
    prior = StandardGaussian(torch.zeros(d), torch.zeros(d))
    return Codes(DiagonalGaussian(z[0], torch.zeros_like(z[0])), prior, z, torch.tensor(len(z[0])))


def test_the_discrepancy_is_the_naive_double_loop():
    z = normal(1, 6, 2).float()
    regulariser = discrepancy_from_prior(3.0)
    with seeded():
        found = regulariser(codes_of(z)).item()
        torch.manual_seed(0)
        p = codes_of(z).prior.sample((1, 6))[0]

    def k(a: Tensor, b: Tensor) -> float:
        return inverse_multiquadric_kernel(a[None], b[None], C=4.0).item()  # 2d

    z = z[0]
    within = sum(k(a, b) for each in (z, p) for a, b in itertools.permutations(each, 2)) / 30
    between = sum(k(a, b) for a in z for b in p) / 36
    assert found == pytest.approx(3 * (within - 2 * between), rel=1e-4)


def test_the_discrepancy_averages_to_nothing_for_codes_from_the_prior():
    """400 batches: 5 standard errors, false alarm in 2 of a million; and moved codes are far above."""
    regulariser = discrepancy_from_prior(1.0)
    with seeded():
        under = torch.stack([regulariser(codes_of(torch.randn(1, 20, 2))) for _ in range(400)])
        moved = torch.stack([regulariser(codes_of(torch.randn(1, 20, 2) + 1)) for _ in range(50)])
    assert under.mean().abs() < 5 * under.std() / 20
    assert moved.mean() > 0.1


def test_weights_are_those_of_the_paper():
    """(1 − α) of the KL and α + λ − 1 of the MMD²; α = 0 and λ = 1 is the vae."""
    x = rows().float()
    for alpha, scale in ((0.0, 1.0), (0.25, 9.0), (1.0, 5.0)):
        objective = made("info-vae", alpha=alpha, scale=scale).objective
        reconstruction, kl, extra = terms(objective, x)
        expected = (1 - alpha) * kl - reconstruction + extra
        assert loss(objective, x).item() == pytest.approx(expected.item(), rel=1e-5)
        unit = terms(made("info-vae", alpha=0.0, scale=2.0).objective, x)[2]
        assert extra.item() == pytest.approx((alpha + scale - 1) * unit.item(), rel=1e-4, abs=1e-6)
    with pytest.raises(UsageError, match=r"alpha must be at most 1; got 1\.5"):
        made("info-vae", alpha=1.5)
    with pytest.raises(UsageError, match=r"alpha \+ scale must be at least 1; got alpha=0.0, scale=0.5"):
        made("info-vae", alpha=0.0, scale=0.5)
    with pytest.raises(UsageError, match="unknown kernel 'gausian'"):
        made("info-vae", kernel="gausian")


# --- FactorVAE --------------------------------------------------------------------------------------------------


def test_permuted_codes_keep_their_columns_and_lose_their_rows():
    """A12: each column holds what it held; entries that were equal in each row are so in about one of 500."""
    z = torch.arange(500.0)[:, None] + torch.tensor([0.0, 1000.0, 2000.0])
    mixed = permute_codes(z, generator=torch.Generator().manual_seed(0))
    assert torch.equal(mixed.sort(0).values, z)
    rows_of = mixed % 1000
    together = (rows_of[:, 0] == rows_of[:, 1]).sum()
    assert together < 12  # Poisson with mean 1: 12 or more in 1 of a billion
    assert not torch.equal(mixed[:, 0], z[:, 0])
    again = permute_codes(z, generator=torch.Generator().manual_seed(0))
    assert torch.equal(mixed, again)
    other = permute_codes(z, generator=torch.Generator().manual_seed(1))
    assert not torch.equal(mixed, other)


def test_every_permutation_of_a_column_is_equally_frequent():
    """χ² of 6 permutations in 6,000 draws: above 30 in 1 of 70,000."""
    generator = torch.Generator().manual_seed(0)
    z = torch.arange(3)[:, None]
    counts = np.zeros(27)
    for _ in range(6000):
        a, b, c = permute_codes(z, generator=generator).flatten().tolist()
        counts[9 * a + 3 * b + c] += 1
    assert ((counts[counts > 0] - 1000) ** 2 / 1000).sum() < 30
    assert (counts > 0).sum() == 6


def test_the_critic_does_not_move_the_encoder():
    """A13: its loss has no gradient there."""
    objective, x = made("factor-vae").objective, Batch(rows().float())
    game = objective.step(x)
    assert next(game)[0] == "model"
    name, critic_loss = next(game)
    assert name == "critic"
    critic_loss.backward()
    assert all(each.grad is None for each in objective.model.parameters())
    assert all(each.grad.abs().sum() > 0 for each in objective.critic.parameters())


def test_the_model_descends_the_bound_and_gamma_times_what_the_critic_says():
    objective, x = made("factor-vae", gamma=7.0).objective, rows().float()
    reconstruction, kl, z = terms(objective, x)
    expected = kl - reconstruction + 7 * objective.critic(z).mean()
    assert loss(objective, x).item() == pytest.approx(expected.item(), rel=1e-6)
    encoder = objective.model.encoder.layers[0].weight
    (whole,) = torch.autograd.grad(loss(objective, x), encoder)
    (bound,) = torch.autograd.grad(kl - reconstruction, encoder)
    assert (whole - bound).abs().max() > 1e-5  # through the critic, which stays where it is


@pytest.mark.parametrize("n", [1, 2, 7, 8])
def test_the_critic_sees_one_half_of_a_batch_as_it_is_and_the_other_permuted(n):
    objective, seen = made("factor-vae").objective, []
    objective.critic.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    z = normal(n, 3).float()
    value = objective.critic_loss(z)
    assert torch.isfinite(value)
    together, apart = seen
    assert torch.equal(together, z[: (n + 1) // 2])
    assert torch.equal(apart.sort(0).values, z[n // 2 :].sort(0).values)
    scores = (
        objective.critic(together).sigmoid().log().mean(),
        (1 - objective.critic(apart).sigmoid()).log().mean(),
    )
    assert value.item() == pytest.approx(-0.5 * sum(scores).item(), rel=1e-5)


def test_the_critic_learns_the_total_correlation():
    """Of codes from N(0, [[1, ρ], [ρ, 1]]): −½ log(1 − ρ²); at equal odds the loss would be log 2."""
    with seeded():
        critic = MLP((2,), (1,), hidden=[32, 32])
        objective = FactorVAE(made("vae", latent_dim=2).objective.model, critic, gamma=1.0)
        optim = torch.optim.Adam(critic.parameters(), lr=3e-3)
        rho = 0.9
        mix = torch.linalg.cholesky(torch.tensor([[1.0, rho], [rho, 1.0]]))
        for _ in range(600):
            optim.zero_grad()
            objective.critic_loss(torch.randn(512, 2) @ mix.T).backward()
            optim.step()
        found = critic(torch.randn(20_000, 2) @ mix.T).mean().item()
    assert found == pytest.approx(-0.5 * math.log(1 - rho**2), abs=0.15)


# --- all of them ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_has_a_gradient_and_logs_are_of_beta_one(name):
    """A18, A20: and the KL that is logged is not negative."""
    recipe = made(name)
    loss(recipe.objective, rows().float()).backward()
    for parameter, value in recipe.objective.model.named_parameters():
        assert value.grad is not None, parameter
        assert value.grad.abs().sum() > 0, parameter
    recipe = made(name)
    for state in train(recipe.objective, [Batch(rows().float())], optim=recipe.optim, steps=4):
        logged = state.metrics
        assert logged["kl"] >= 0
        assert logged["elbo"] == pytest.approx(logged["reconstruction"] - logged["kl"], rel=1e-5)
        assert logged["loss"] != pytest.approx(-logged["elbo"], rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_last_batch_of_one_row_is_no_trouble(name):
    run = lt.fit(name, rows(9).float(), batch_size=4, epochs=2, hidden=4, latent_dim=2, progress=False)
    assert run.history["loss"].notna().all()


@pytest.mark.parametrize("name", ["dip-vae-i", "dip-vae-ii"])
def test_codes_are_whitened_by_training(name):
    """After 500 steps the covariance that is penalised is far nearer to I than that of the vae; one seed, recorded."""
    x = normal(200, 4) @ torch.diag(torch.tensor([3.0, 2.0, 1.0, 0.5])).double() @ normal(4, 4, seed=1)
    options = {"latent_dim": 3, "hidden": 16, "epochs": 250, "batch_size": 100, "lr": 0.01, "progress": False}

    def distance(recipe: str) -> float:
        q = lt.fit(recipe, x.float(), **options).model.encode(x.float())
        within = q.variance if name == "dip-vae-ii" else None
        return covariance_penalty(code_covariance(q.mean, within), 1.0, 1.0).item()

    assert distance(name) < 0.3 * distance("vae")


def test_laws_that_cannot_be_read_are_refused_before_there_is_a_run(tmp_path):
    cases = [
        (
            "beta-tc-vae",
            {"posterior": "full"},
            "the total correlation needs a Gaussian with independent entries: choose posterior='diagonal'",
        ),
        ("dip-vae-i", {"posterior": "planar"}, "choose posterior='diagonal' or 'full'"),
        ("dip-vae-ii", {"posterior": "iaf"}, "choose posterior='diagonal' or 'full'"),
        ("factor-vae", {"prior": "uniform"}, "choose another prior"),
        ("info-vae", {"prior": "uniform"}, "choose another prior"),
        ("factor-vae", {"gamma": -1.0}, "gamma must be at least 0"),
        ("factor-vae", {"critic_hidden": 0}, "critic_hidden must be at least 1"),
        ("dip-vae-i", {"diagonal": -1.0}, "diagonal must be at least 0; got -1.0"),
    ]
    for name, options, message in cases:
        with pytest.raises(UsageError, match=message):
            lt.fit(name, rows().float(), out=tmp_path / "run", progress=False, **options)
        assert not (tmp_path / "run").exists()
