"""Disentanglement metrics of planted codes equal their known answers and the published figures.

Row A21 of docs/known-mistakes.md.
"""

from __future__ import annotations

import math
import os
import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mutual_info_score
from sklearn.svm import LinearSVC
from tests.draws import seeded_generator
from tests.problems import linear_gaussian, only
from torch import Tensor, nn

import latentia as lt
from latentia.core.model import Conditional, Encodes
from latentia.data.attributes import Attribute
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support
from latentia.distributions.point_mass import PointMass
from latentia.errors import DataError, UsageError
from latentia.functional.disentanglement import (
    completeness,
    disentanglement,
    histogram_bins,
    least_varying_latents,
    majority_factors,
    modularities,
    mutual_information,
    mutual_information_gaps,
    pair_differences,
    rows_sharing_factor,
    squared_correlations,
    top_two_gaps,
)
from latentia.functional.disentanglement.information import entropies
from latentia.metrics.disentanglement import (
    beta_vae_score,
    dci,
    factor_vae_score,
    mig,
    modularity,
    sap,
    sap_regression,
)
from latentia.metrics.disentanglement.estimate import bootstrapped, infinitesimal_jackknife, stream, two_parts
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.scoring import default_metrics, score
from latentia.networks.conditioning import ContextEncoder
from latentia.registry import metrics

NAMES = {"beta-vae-score", "dci", "factor-vae-score", "mig", "modularity", "sap", "sap-regression"}
HALF = 1 - math.log(2) / math.log(10)  # what is spread evenly over 2 of 10, 0.69897


def table(*sizes: int) -> Tensor:
    """Return each combination of factors once: mutual information between them is 0, exactly."""
    return torch.cartesian_prod(*(torch.arange(size) for size in sizes))


V = table(3, 4, 5, 6)  # 360 rows
Z = V.double()


def turned(z: Tensor) -> Tensor:
    """Return codes of which each two are turned by 45°."""
    a, b = z[:, ::2], z[:, 1::2]
    return torch.cat([a + b, a - b], 1) / math.sqrt(2)


def shuffled(z: Tensor, seed: int = 0) -> Tensor:
    return z[torch.randperm(len(z), generator=seeded_generator(seed))]


def drawn(n: int, F: int = 10, values: int = 10, seed: int = 0) -> Tensor:
    return torch.randint(values, (n, F), generator=seeded_generator(seed))


# --- bins and information -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bins", [2, 7, 20])
def test_bins_are_those_of_a_histogram(bins):
    z = torch.randn(500, 3, generator=seeded_generator(), dtype=torch.float64)
    edges = [np.histogram(column, bins)[1] for column in z.T.numpy()]
    expected = [np.digitize(column, edge[:-1]) - 1 for column, edge in zip(z.T.numpy(), edges, strict=True)]
    assert histogram_bins(z, bins).T.numpy().tolist() == np.stack(expected).tolist()


def test_equally_spaced_values_have_bins_of_their_own():
    for values in range(2, 21):
        z = torch.arange(values)[:, None].double()
        assert histogram_bins(0.3 * z - 7).unique().numel() == values
    assert histogram_bins(torch.arange(21.0)[:, None]).unique().numel() == 20
    assert histogram_bins(torch.full((4, 2), 3.0)).tolist() == [[0, 0]] * 4


def test_information_is_scikit_learns_for_each_pair():
    z = torch.randint(7, (300, 4), generator=seeded_generator(1))
    v = torch.stack(
        [z[:, 0] // 2, torch.randint(3, (300,), generator=seeded_generator(2)), z[:, 2] + z[:, 3]], 1
    )
    expected = [[mutual_info_score(a, b) for b in v.T.numpy()] for a in z.T.numpy()]
    np.testing.assert_allclose(mutual_information(z, v).numpy(), expected, atol=1e-12)
    own = [stats.entropy(np.bincount(b)) for b in v.T.numpy()]
    np.testing.assert_allclose(entropies(v).numpy(), own, atol=1e-12)


def test_the_bias_of_information_is_the_known_one():
    v = drawn(2000, F=12)
    information = mutual_information(v, v)[~torch.eye(12, dtype=torch.bool)]
    expected = (
        81 / 4000
    )  # (A − 1)(B − 1)/2n; 2n I is χ² with 81 degrees, sd √162/2n, of which 66 are averaged
    assert abs(information.mean() - expected) < 4 * math.sqrt(162) / 4000 / math.sqrt(66)  # false alarm 6e-5


# --- MIG and modularity (A21) -----------------------------------------------------------------------------------

PLANTED = {
    "perfect": (Z, 1, 1),
    "permuted": (Z[:, [2, 0, 3, 1]], 1, 1),
    "scaled": (Z * torch.tensor([1e-6, -3.0, 1e6, -0.5]) - 2, 1, 1),
    "one-to-one": (table(5, 5)[:, [0]] * 1.0, 0.5, 1),
    "duplicated": (torch.cat([Z, Z], 1), 0, 1),
    "with an empty code": (torch.cat([Z, torch.ones(len(Z), 1)], 1), 1, 4 / 5),
    "constant": (torch.ones(len(Z), 4), 0, 0),
    "without a factor": (Z[:, :3], 3 / 4, 1),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_codes_have_their_mig_and_modularity(name):
    codes, gap, modular = PLANTED[name]
    factors = table(5, 5) if name == "one-to-one" else V
    assert mig(codes.double(), factors).value == pytest.approx(gap, abs=1e-12)
    assert modularity(codes.double(), factors).value == pytest.approx(modular, abs=1e-12)


def test_two_factors_in_one_code_share_its_information():
    v = table(3, 4)
    code = (4 * v[:, :1] + v[:, 1:]).double()
    gaps = mutual_information_gaps(histogram_bins(code), v)
    assert gaps.tolist() == pytest.approx(
        [1, 1]
    )  # MIG does not see that one code encodes both: modularity does
    ratio = math.log(3) / math.log(4)
    assert modularity(code, v).value == pytest.approx(1 - ratio**2)
    both_twice = torch.cat(
        [Z[:, :3], Z[:, :3]], 1
    )  # each code is informative of two factors, equally: 1 − 1/(F − 1)
    assert modularity(Z[:, :3], both_twice.long()).value == pytest.approx(1 - 1 / 5)


def test_codes_rotated_by_an_eighth_are_distinguished_from_none():
    v = table(5, 5)
    assert mig(turned(v.double()), v).value == pytest.approx(0, abs=1e-12)
    assert modularity(turned(v.double()), v).value == pytest.approx(0, abs=1e-12)
    assert mig(v.double(), v).value == pytest.approx(1)


def test_bins_of_equal_width_do_not_tell_what_is_squeezed_together():
    """A monotone change of a code may change its MIG: 0, 1 and 8 of 0 to 125 are in the bins 0, 0 and 1."""
    v = table(6, 2)
    gap, _ = mutual_information_gaps(histogram_bins((v**3).double()), v).tolist()
    assert gap == pytest.approx(1 - math.log(2) / 3 / math.log(6))


def test_shuffled_codes_have_next_to_no_mig():
    v = drawn(5000)
    own = mig(shuffled(v.double()), v).value
    # Each factor's best of ten, in 2n I ~ χ² with 81 degrees, is below 81 + 6 √162 but for 1e-7 of 100 codes.
    assert 0 <= own < 6 * math.sqrt(162) / 10_000 / math.log(10)
    assert mig(v.double(), v).value > 1 - (81 + 6 * math.sqrt(162)) / 10_000 / math.log(10)


def test_the_order_of_codes_changes_nothing_and_that_of_factors_only_theirs():
    """A21: a matrix that is read in the order of its memory, not transposed, fails all of these."""
    z = torch.cat(
        [turned(Z), Z[:, :1], torch.randn(len(Z), 2, generator=seeded_generator(), dtype=torch.float64)], 1
    )
    order = torch.tensor([3, 6, 0, 5, 1, 4, 2])
    assert mig(z, V).value == pytest.approx(mig(z[:, order], V).value, abs=1e-12)
    numbers, factors = histogram_bins(z), torch.tensor([2, 0, 3, 1])
    direct = mutual_information(numbers, V)
    assert direct.shape == (7, 4)
    torch.testing.assert_close(
        mutual_information(numbers[:, order], V[:, factors]), direct[order][:, factors]
    )
    gaps = mutual_information_gaps(numbers, V)
    torch.testing.assert_close(mutual_information_gaps(numbers, V[:, factors]), gaps[factors])


def test_twenty_bins_tell_no_more_than_log_20():
    v = table(40, 2)
    (gap, _) = mutual_information_gaps(histogram_bins(v.double()), v).tolist()
    assert gap == pytest.approx(math.log(20) / math.log(40))
    assert mig(v.double(), v, bins=40).value == pytest.approx(1)


def test_modularities_of_matrices_are_the_published_ones():
    """The published cases, and a naive loop."""
    five = 5 * torch.eye(5)
    assert modularities(torch.tensor([[1.0, 0], [0, 1], [0, 0]])).mean() == pytest.approx(2 / 3)
    assert modularities(five.repeat(2, 1)).tolist() == [1] * 10
    assert modularities(five.repeat(1, 2)).tolist() == pytest.approx([1 - 1 / 9] * 5)
    assert modularities(torch.zeros(3, 4)).tolist() == [0] * 3
    information = torch.rand(4, 3, generator=seeded_generator(), dtype=torch.float64)
    naive = []
    for row in information.tolist():
        best = max(range(3), key=row.__getitem__)
        naive.append(1 - sum(row[j] ** 2 for j in range(3) if j != best) / (2 * row[best] ** 2))
    assert modularities(information).tolist() == pytest.approx(naive)


# --- DCI ------------------------------------------------------------------------------------------------------------


def test_disentanglement_and_completeness_of_matrices_are_the_published_ones():
    five, empty = 5 * torch.eye(5), torch.tensor([[1.0, 0], [0, 1], [0, 0]])
    for importance, D, C in [
        (five, 1, 1),
        (empty, 1, 1),
        (five.repeat(2, 1), 1, HALF),
        (five.repeat(1, 2), HALF, 1),
        (five[:2], 1, 1),
        (torch.zeros(10, 10), 0, 0),
        (torch.ones(10, 10), 0, 0),
    ]:
        assert float(disentanglement(importance.double())) == pytest.approx(D, abs=1e-12)
        assert float(completeness(importance.double())) == pytest.approx(C, abs=1e-12)


def test_disentanglement_and_completeness_are_naive_loops():
    R = np.random.default_rng(0).gamma(0.5, size=(4, 3))
    D = sum(R[i].sum() / R.sum() * (1 - stats.entropy(R[i], base=3)) for i in range(4))
    C = sum(R[:, j].sum() / R.sum() * (1 - stats.entropy(R[:, j], base=4)) for j in range(3))
    assert float(disentanglement(torch.from_numpy(R))) == pytest.approx(D)
    assert float(completeness(torch.from_numpy(R))) == pytest.approx(C)


def test_dci_of_planted_codes():
    v = table(3, 4).repeat(15, 1)
    z = v.double()
    perfect = dci(z, v)
    scores = [perfect.disentanglement.value, perfect.completeness.value, perfect.informativeness.value]
    assert scores == pytest.approx([1, 1, 1], abs=1e-9)
    assert (perfect.disentanglement.settings["train"], perfect.disentanglement.settings["test"]) == (120, 60)
    twice = dci(torch.cat([z, z], 1), v)
    assert twice.disentanglement.value == pytest.approx(1, abs=1e-9)
    assert twice.completeness.value == pytest.approx(
        0.5, abs=0.1
    )  # 1 − log 2 / log 4, were both used as often
    noise = dci(shuffled(z, 1), v)
    assert max(noise.disentanglement.value, noise.completeness.value) < 0.2
    share, se = noise.informativeness.value, noise.informativeness.stderr
    assert abs(share - (1 / 3 + 1 / 4) / 2) < 5 * se  # at a fixed seed
    mixed = dci(turned(z), v)
    assert max(mixed.disentanglement.value, mixed.completeness.value) < 0.2
    assert mixed.informativeness.value > 0.9


def test_importances_are_scikit_learns():
    v = table(2, 3).repeat(12, 1)
    z = shuffled(turned(v.double()), 3) + v.double()
    z = torch.cat([z, z[:, :1]], 1)  # which of two equal codes is taken is drawn
    found = dci(z, v, train=40, test=30, seed=5)
    train, test = two_parts(72, 40, 30, stream("dci", 5))
    right = np.empty((30, 2))
    for j in range(2):
        trees = GradientBoostingClassifier(random_state=5).fit(z[train].numpy(), v[train, j].numpy())
        np.testing.assert_allclose(found.importance[:, j], trees.feature_importances_, atol=1e-12)
        right[:, j] = trees.predict(z[test].numpy()) == v[test, j].numpy()
    assert found.informativeness.value == pytest.approx(right.mean())
    assert found.informativeness.stderr == pytest.approx(right.mean(1).std(ddof=1) / math.sqrt(30))


# --- SAP ------------------------------------------------------------------------------------------------------------


def test_gaps_are_between_the_two_best():
    scores = torch.rand(6, 4, generator=seeded_generator(), dtype=torch.float64)
    ordered = np.sort(scores.numpy(), axis=0)
    np.testing.assert_allclose(top_two_gaps(scores), ordered[-1] - ordered[-2])
    assert top_two_gaps(scores[:1]).tolist() == scores[0].tolist()


def test_squared_correlations_are_those_of_regressions():
    z = torch.randn(60, 3, generator=seeded_generator(), dtype=torch.float64)
    v = torch.stack([z[:, 0] + 0.3 * z[:, 1], z[:, 2].exp()], 1)
    expected = [
        [LinearRegression().fit(a[:, None], b).score(a[:, None], b) for b in v.T.numpy()] for a in z.T.numpy()
    ]
    np.testing.assert_allclose(squared_correlations(z, v), expected, rtol=1e-9, atol=1e-12)


def test_sap_by_regression_of_planted_codes():
    assert sap_regression(Z, Z).value == pytest.approx(1)
    assert sap_regression(3 - 1e4 * Z[:, [2, 0, 3, 1]], Z).value == pytest.approx(1)
    assert sap_regression(torch.cat([Z, Z], 1), Z).value == pytest.approx(0, abs=1e-12)
    assert sap_regression(torch.full_like(Z, 0.1), Z).value == 0
    v = table(5, 5).double()
    assert sap_regression(turned(v), v).value == pytest.approx(0, abs=1e-12)
    assert sap_regression(shuffled(Z), Z).value < 0.1


def test_sap_by_classification_is_scikit_learns():
    v = drawn(300, F=2, values=3)
    z = torch.stack(
        [v[:, 0] + 0.3 * torch.randn(300, generator=seeded_generator()), v[:, 1] * 2.0], 1
    ).double()
    found = sap(z, v, train=200, test=100, seed=4)
    train, test = (part.numpy() for part in two_parts(300, 200, 100, stream("sap", 4)))
    accuracies = np.empty((2, 2))
    for i, j in product(range(2), range(2)):
        a, b = z[:, [i]].numpy(), v[:, j].numpy()
        machine = LinearSVC(C=0.01, class_weight="balanced", random_state=0).fit(a[train], b[train])
        accuracies[i, j] = machine.score(a[test], b[test])
    ordered = np.sort(accuracies, axis=0)
    assert found.value == pytest.approx((ordered[1] - ordered[0]).mean())
    assert found.value > 0.2
    # The standard error of a mean of 100 of two differences of zeros and ones
    assert 0.2 / math.sqrt(100) < found.stderr < 1 / math.sqrt(100)


def test_sap_by_classification_of_planted_codes():
    v = table(2, 2, 2).repeat(40, 1)
    z = 2 * v.double() - 1
    assert sap(z, v).value == pytest.approx(
        0.5, abs=0.1
    )  # predicted from its own code, and at chance from others
    assert sap(torch.cat([z, z], 1), v).value == 0
    assert sap(torch.ones_like(z), v).value == 0
    ten = drawn(1500, F=2)
    assert (
        sap(ten.double(), ten).value < 0.35
    )  # a linear classifier predicts the ends of a range: the page says so


# --- groups that share a factor ---------------------------------------------------------------------------------------


def test_rows_alike_share_the_value_and_are_equally_likely():
    column = torch.tensor([4, 1, 1, 4, 0, 4, 1, 9])
    rows = torch.arange(8).repeat(3000)
    partners = rows_sharing_factor(column, rows, seeded_generator())
    assert column[partners].equal(column[rows])
    for value in (4, 1):
        members = (column == value).nonzero().flatten()
        counts = partners[column[rows] == value].bincount(minlength=8)[members]
        assert stats.chisquare(counts.numpy()).pvalue > 1e-6  # the false-alarm rate
    assert rows_sharing_factor(column, rows, seeded_generator()).equal(partners)


def test_pairs_differ_in_all_but_what_they_share():
    shared = torch.arange(4).repeat(500)
    means = pair_differences(Z, V, shared, pairs=64, generator=seeded_generator())
    sizes = torch.tensor([3.0, 4, 5, 6]).double()
    for j in range(4):
        points = means[shared == j]
        assert points[:, j].abs().max() == 0
        expected = (sizes**2 - 1) / (3 * sizes)  # E|U − U′| of whole numbers 0..K−1
        expected[j] = 0
        se = points.std(0) / math.sqrt(len(points))
        assert ((points.mean(0) - expected).abs() <= 5 * se).all()  # false alarm 1e-5


def test_the_steadiest_code_is_that_of_the_shared_factor():
    shared = torch.randint(4, (400,), generator=seeded_generator())
    order = torch.tensor([2, 0, 3, 1])
    z = torch.cat([1000 * Z[:, order], torch.ones(len(Z), 1)], 1)
    found = least_varying_latents(z, V, shared, z.var(0), generator=seeded_generator(1))
    assert order[found].equal(shared)
    without = z.var(0)
    without[0] = 0
    assert 0 not in least_varying_latents(z, V, shared, without, generator=seeded_generator(1))


def test_the_steadiest_code_is_relative_to_all_rows():
    """A code with small variance is not the steadiest for that."""
    v = table(2, 50)
    noise = torch.randn(100, 2, generator=seeded_generator(), dtype=torch.float64)
    z = torch.stack([100 * v[:, 0] + noise[:, 0], 0.01 * noise[:, 1]], 1)
    shared = torch.zeros(200, dtype=torch.int64)
    assert least_varying_latents(z, v, shared, z.var(0), generator=seeded_generator()).eq(0).all()
    assert least_varying_latents(z, v, shared, torch.ones(2), generator=seeded_generator()).eq(1).all()


def test_scores_of_groups_of_planted_codes():
    for codes in (Z, -3 * Z[:, [2, 0, 3, 1]], torch.cat([Z, Z], 1)):
        assert factor_vae_score(codes, V, train=1000, test=500).value == 1
        assert beta_vae_score(codes, V, train=1000, test=500).value == 1
    constant = torch.ones(len(Z), 3)
    collapsed = factor_vae_score(constant, V, train=1000, test=500)
    assert (collapsed.value, collapsed.settings["codes left out"]) == (0, 3)
    # Chance is 1/4: sd 0.0194 of 500, and 5 of them have a false alarm of 6e-7
    assert abs(beta_vae_score(constant, V, train=1000, test=500).value - 0.25) < 0.1
    for measure in (factor_vae_score, beta_vae_score):
        assert (
            abs(measure(shuffled(drawn(5000, 4).double()), drawn(5000, 4), train=500, test=500).value - 0.25)
            < 0.1
        )


def test_two_factors_rotated_by_an_eighth_are_not_distinguished():
    v = table(8, 8)
    for measure in (factor_vae_score, beta_vae_score):
        found = measure(turned(v.double()), v, train=2000, test=1000)
        assert abs(found.value - 0.5) < 5 * found.stderr + 0.02


def test_the_beta_vae_score_does_not_miss_a_factor_and_the_factor_vae_score_does():
    """What Kim and Mnih have against it: where no code stays still, it is the missing factor that is shared."""
    v = drawn(4000, 4)
    codes = v[:, :3].double()
    assert beta_vae_score(codes, v, train=2000, test=1000).value > 0.99
    missed = factor_vae_score(codes, v, train=2000, test=1000)
    assert abs(missed.value - 3 / 4) < 5 * missed.stderr  # false alarm 6e-7


@pytest.mark.parametrize("measure", [factor_vae_score, beta_vae_score])
def test_groups_that_were_learned_from_are_not_scored(measure):
    """With so few rows a classifier would overfit."""
    v = drawn(500, 4)
    z = torch.randn(500, 10, generator=seeded_generator(1), dtype=torch.float64)
    scores = [measure(z, v, train=20, test=20, seed=seed).value for seed in range(20)]
    assert abs(np.mean(scores) - 1 / 4) < 5 * math.sqrt(3 / 16 / 400)  # 400 in all: false alarm 6e-7


def test_the_majority_is_of_each_code():
    codes, shared = torch.tensor([0, 0, 0, 2, 2]), torch.tensor([1, 1, 0, 2, 2])
    assert majority_factors(codes, shared, (4, 3)).tolist() == [1, 0, 2, 0]


# --- standard errors and draws ----------------------------------------------------------------------------------------


def test_the_bootstrap_of_a_mean_is_its_standard_error():
    x = torch.randn(400, generator=seeded_generator(), dtype=torch.float64)
    found = bootstrapped(lambda sample: x[sample].mean(), 400, seeded_generator(1))
    assert found == pytest.approx(float(x.std()) / 20, rel=0.29)  # 4 sd of an sd of 100: false alarm 6e-5


def test_weights_of_rows_are_what_repeated_rows_are():
    z, v = drawn(40, F=3, values=4), drawn(40, F=2, values=3, seed=1)
    times = torch.randint(4, (40,), generator=seeded_generator(2))
    again = torch.arange(40).repeat_interleave(times)
    weights = times.double() / times.sum()
    torch.testing.assert_close(mutual_information(z, v, weights), mutual_information(z[again], v[again]))
    gaps = mutual_information_gaps(z, v, weights)
    torch.testing.assert_close(gaps, mutual_information_gaps(z[again], v[again]))


def test_the_infinitesimal_jackknife_of_a_ratio_is_the_delta_methods():
    a, b = torch.rand(2, 50, generator=seeded_generator(), dtype=torch.float64) + 1
    found = infinitesimal_jackknife(lambda w: (w * a).sum() / (w * b).sum(), 50)
    ratio = a.mean() / b.mean()
    assert found == pytest.approx(float((a - ratio * b).square().mean().sqrt() / b.mean() / math.sqrt(50)))


def test_the_standard_error_of_mig_is_its_spread_over_data():
    def found(seed: int):
        v = drawn(400, 2, 4, seed)
        noise = torch.randn(400, 2, generator=seeded_generator(1000 + seed), dtype=torch.float64)
        return mig(v + 0.3 * noise, v)

    values = [found(seed) for seed in range(30)]
    spread = np.std([each.value for each in values], ddof=1)
    assert np.mean([each.stderr for each in values]) == pytest.approx(spread, rel=0.52)  # 4 sd of an sd of 30


def test_fewer_rows_are_parted_in_proportion():
    for n, sizes in ((30, (10, 5)), (9, (6, 3)), (2, (1, 1))):
        train, test = two_parts(n, 10, 5, seeded_generator())
        assert (len(train), len(test)) == sizes
        assert torch.cat([train, test]).unique().numel() == sum(sizes)
    with pytest.raises(DataError, match="got 1 rows"):
        two_parts(1, 10, 5, seeded_generator())


@pytest.mark.parametrize("measure", [mig, modularity, sap, beta_vae_score, factor_vae_score])
def test_seeds_decide_every_draw_and_nothing_else_is_drawn(measure):
    v = drawn(500, 3, 4)
    z = v.double() + torch.randn(500, 3, generator=seeded_generator(1))
    before = torch.get_rng_state()
    sizes = {"points": 300} if measure in (mig, modularity) else {"train": 200, "test": 150}
    first, again, other = (measure(z, v, seed=seed, **sizes) for seed in (3, 3, 4))
    assert first == again
    assert first != other
    assert torch.get_rng_state().equal(before)


@pytest.mark.parametrize(
    ("codes", "factors", "error", "message"),
    [
        (Z, V[:10], UsageError, "of the same rows; got 360 and 10"),
        (Z, V.double(), UsageError, "factors must hold integers from 0; got torch.float64"),
        (Z, V[:, 0], UsageError, r"factors must have shape \(n, k\)"),
        (Z, V - 1, DataError, "must be integers from 0; got -1"),
        (Z, V * torch.tensor([1, 0, 1, 1]), DataError, "factor 1 has one value in all 360 rows"),
        (Z / 0, V, DataError, "codes holds NaN or infinite values in 360 of its 360 points"),
    ],
)
@pytest.mark.parametrize("measure", [mig, modularity, sap, dci, beta_vae_score, factor_vae_score])
def test_codes_and_factors_that_do_not_fit_are_refused(measure, codes, factors, error, message):
    with pytest.raises(error, match=message):
        measure(codes, factors)


def test_other_input_is_refused():
    with pytest.raises(UsageError, match="bins must be at least 2; got 1"):
        mig(Z, V, bins=1)
    with pytest.raises(UsageError, match="at least 1 codes and 2 factors"):
        modularity(Z, V[:, :1])
    with pytest.raises(UsageError, match="at least 2 codes and 2 factors; got 1 and 4"):
        dci(Z[:, :1], V)
    with pytest.raises(DataError, match="value 2 of factor 1 is in one row only"):
        factor_vae_score(Z[::100, 2:], torch.tensor([[0, 0], [1, 0], [0, 0], [1, 2]]))
    with pytest.raises(DataError, match="finite and not negative"):
        disentanglement(-torch.eye(2))
    with pytest.raises(DataError, match="factor 0 has one value"):
        squared_correlations(Z, torch.ones(360, 1))
    with pytest.raises(UsageError, match="train and test must be at least 1; got 0 and 5"):
        two_parts(10, 0, 5, seeded_generator())


# --- registered -------------------------------------------------------------------------------------------------------

KINDS = (
    Attribute("kind", ("a", "b", "c")),
    Attribute("size", (1.0, 2.0, 4.0, 8.0), "ordinal"),
    Attribute("turn", (0.0, 72.0, 144.0, 216.0, 288.0), "angle"),
    Attribute("place", (0.0, 1.0, 2.0, 3.0, 4.0, 5.0), "ordinal"),
)


class Planted(Encodes, Conditional, nn.Module):
    """The code of a row is the row, as an image of one line; of a row that is given a class, its number too."""

    def __init__(self, data: DataSpec | None = None) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)
        self.context_encoder = ContextEncoder(() if data is None else data.context)

    def encode(self, x, context=None) -> PointMass:
        assert not torch.is_grad_enabled()
        z = x if context is None else torch.cat([x, context.argmax(1, keepdim=True)], 1)
        return PointMass(self.dropout(z).unflatten(1, (1, -1)), event_dim=2)


def rows(x: Tensor = Z, factors=KINDS, values: Tensor = V, **facts) -> Rows:
    plain = Rows(x.float(), DataSpec((x.shape[1],), Support("real")).with_classes(facts.pop("classes", ())))
    plain = plain.with_labels(facts["labels"]) if "labels" in facts else plain
    return plain.with_factors(factors, values) if factors else plain


def test_codes_are_those_of_all_rows_in_their_order():
    evaluation = Evaluation.of(Planted().train(), rows(), batch_size=100)
    assert evaluation.codes.equal(Z)
    assert evaluation.model.dropout.training
    with pytest.raises(UsageError, match="Identity is not Encodes"):
        _ = Evaluation(nn.Identity(), rows()).codes


@pytest.mark.parametrize("name", sorted(NAMES - {"dci"}))
def test_a_perfect_model_is_scored_by_name(name):
    found = only(Evaluation.of(Planted(), rows(), seed=3), name)
    expected = {"sap": 0.3}.get(name, 1)
    if name == "sap-regression":  # sizes 1, 2, 4, 8 are coded by their numbers 0 to 3
        expected = (np.corrcoef([0, 1, 2, 3], [1, 2, 4, 8])[0, 1] ** 2 + 1) / 2
    assert found.value == pytest.approx(expected, abs=0.15 if name == "sap" else 1e-9)
    assert (found.metric, found.kind, found.direction, found.n) == (name, "estimate", "higher", 360)
    assert found.unit
    assert found.stderr >= 0
    named = ["size", "place"] if name == "sap-regression" else ["kind", "size", "turn", "place"]
    assert found.settings["factors"] == named
    assert found.settings["codes"] == 4
    assert found.settings["seed"] == 3
    assert found.settings["stderr"]


def test_dci_is_three_scores_with_their_protocol():
    x = table(2, 3).repeat(20, 1)
    evaluation = Evaluation(Planted(), rows(x, (Attribute("a", ("p", "q")), KINDS[0]), x))
    found = score(evaluation, ["dci"])
    assert [each.metric for each in found] == [
        "dci-disentanglement",
        "dci-completeness",
        "dci-informativeness",
    ]
    assert [each.value for each in found] == pytest.approx([1, 1, 1], abs=1e-9)
    assert [each.stderr for each in found] == [None, None, 0]
    assert found[0].settings["train"], found[0].settings["test"] == (80, 40)
    assert "none: the trees" in found[0].settings["stderr"]


@pytest.mark.parametrize("name", sorted(NAMES))
def test_rows_without_factors_are_a_reason_that_says_what_is_needed(name):
    found = only(Evaluation(Planted(), rows(factors=())), name)
    assert (found.value, found.kind) == (None, "none: not defined")
    assert re.match(
        r"needs rows of which at least [12] factors? (is|are) known, nothing is known", found.reason
    )
    assert "rows.with_factors" in found.reason


@pytest.mark.parametrize("name", sorted(NAMES))
def test_classes_are_one_factor_which_some_metrics_take(name):
    labels = V[:, 0].clone()
    found = only(Evaluation(Planted(), rows(factors=(), labels=labels, classes=("a", "b", "c"))), name)
    if name in ("mig", "sap"):
        assert found.settings["factors"] == ["class"]
        assert found.value == pytest.approx(1 if name == "mig" else 0.4, abs=0.2)
    elif name == "sap-regression":
        assert "none of the factors that vary is a number" in found.reason
    else:
        assert "only class is known" in found.reason


def test_classes_without_labels_are_a_reason():
    found = only(Evaluation(Planted(), rows(factors=(), classes=("a", "b"))), "mig")
    assert "nothing is known of how the rows came about" in found.reason


def test_factors_with_one_value_are_left_out_by_name():
    some = rows().select((V[:, 1] == 2).nonzero().flatten())
    found = only(Evaluation(Planted(), some), "mig")
    assert found.value == pytest.approx(1)
    assert found.settings["factors"] == ["kind", "turn", "place"]
    assert found.settings["left out (one value)"] == ["size"]
    one = some.select((some.factor_values[:, [0, 3]] == 0).all(1).nonzero().flatten())
    reason = only(Evaluation(Planted(), one), "modularity").reason
    assert reason == "at least 2 factors must vary in the rows; kind, size, place have one value"
    assert only(Evaluation(Planted(), rows().select(torch.zeros(5).long())), "mig").reason.startswith(
        "at least 1"
    )


@pytest.mark.parametrize("name", ["beta-vae-score", "factor-vae-score"])
def test_values_in_one_row_only_are_named(name):
    numbers = torch.tensor([[0, 0], [0, 0], [1, 1], [1, 0], [0, 3]])
    reason = only(Evaluation(Planted(), rows(numbers, KINDS[:2], numbers)), name).reason
    assert reason == (
        "2 of 4 values of size are in one row only, the first 2.0; groups with one value in common need 2: "
        "score on more rows of the set"
    )


def test_they_are_asked_of_rows_with_factors_only():
    unasked = {"beta-vae-score", "factor-vae-score", "mig", "modularity"}
    assert set(default_metrics(Planted(), rows().spec)) & NAMES == unasked
    classes = rows(factors=(), classes=("a", "b")).spec
    assert not set(default_metrics(Planted(), classes)) & NAMES
    assert not set(default_metrics(linear_gaussian(), rows(factors=()).spec)) & NAMES
    assert set(metrics) >= NAMES


def test_a_conditional_model_is_given_the_context():
    labelled = rows(labels=V[:, 2].clone(), classes=tuple("abcde"))
    model = Planted(labelled.spec)
    plain, given = (Evaluation(model, labelled, conditional=each).codes for each in (False, True))
    assert plain.shape == (360, 4)
    assert given[:, 4].equal(Z[:, 2])


def test_codes_that_are_not_finite_are_a_reason():
    x = Z.clone()
    x[7, 1] = math.nan
    assert only(Evaluation(Planted(), rows(x)), "mig").reason == (
        "codes holds NaN or infinite values in 1 of its 360 points"
    )


def test_runs_on_sets_with_factors_are_scored():
    chairs = lt.datasets["chairs"](split="all", types=3, azimuths=4, size=8)
    run = lt.fit("ppca", chairs, latent_dim=3)
    scores = lt.evaluate(run, chairs, metrics=["mig", "factor-vae-score"]).set_index("metric")
    assert scores["value"].between(0, 1).all()
    assert '"factors": ["type", "azimuth", "elevation", "distance"]' in scores.loc["mig", "settings"]
    run = lt.fit("ppca", "digits", latent_dim=2)
    assert "only class is known" in lt.evaluate(run, metrics="modularity")["reason"][0]


class Knows(Encodes, nn.Module):
    """The codes of known rows are the numbers of their factors."""

    def __init__(self, known: Rows) -> None:
        super().__init__()
        self.x, self.values = known.whole().x.flatten(1), known.factor_values

    def encode(self, x, context=None) -> PointMass:
        nearest = torch.cdist(x.flatten(1), self.x.float()).argmin(1)
        return PointMass(self.values[nearest].double(), event_dim=1)


@pytest.mark.skipif(
    not os.environ.get("LATENTIA_DATA"), reason="LATENTIA_DATA names no folder of published files"
)
def test_perfect_codes_of_published_views_have_their_scores():
    known = lt.datasets["coil20"](split="all")
    evaluation = Evaluation(Knows(known), known)
    assert (evaluation.codes == known.factor_values).double().mean() > 0.99  # some views are equal
    told = entropies(histogram_bins(torch.arange(72.0)[:, None])) / math.log(72)
    assert only(evaluation, "mig").value == pytest.approx((1 + float(told)) / 2, abs=0.02)
    assert only(evaluation, "factor-vae-score").value > 0.99
    sprites = lt.datasets["dsprites"](split="test")
    run = lt.fit("vae", sprites, latent_dim=4, steps=1, network="mlp", hidden=8, progress=False)
    assert lt.evaluate(run, sprites, metrics=["beta-vae-score"])["value"].between(0.2, 1).all()


def test_the_pages_example_runs(capsys):
    page = (Path(__file__).parent.parent / "docs/disentanglement.md").read_text(encoding="utf-8")
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(block, {})
    printed = capsys.readouterr().out
    assert "factor-vae-score" in printed
    for name in NAMES:
        assert f"`{name}`" in page
