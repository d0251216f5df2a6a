"""Terms against mode collapse, by naive loops, and which way their gradients push."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from latentia.errors import UsageError
from latentia.functional.gan.diversity import (
    DIVERSITY,
    Made,
    distance_ratio,
    fewest_rows,
    gdpp,
    mode_seeking,
    pulling_away,
)
from latentia.objectives.gan.terms import Diversity, logged, modules_among
from latentia.objectives.gan.views import Drawn, Turn, View


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def made(rows: Tensor, codes: Tensor | None = None, context: Tensor | None = None) -> Made:
    codes = draws(len(rows), 3, seed=9) if codes is None else codes
    return Made(codes, rows, lambda: (rows.flatten(1), draws(len(rows), rows[0].numel(), seed=5)), context)


CLASSES = torch.eye(2)[[0, 1, 0, 0, 1, 0]]


def test_mode_seeking_is_the_inverse_of_the_mean_ratio_over_pairs():
    codes, rows = draws(6, 3), draws(6, 2, 4, seed=1)
    ratios = [
        (rows[i] - rows[i + 3]).abs().mean().item() / (codes[i] - codes[i + 3]).abs().mean().item()
        for i in range(3)
    ]
    assert mode_seeking(made(rows, codes)).item() == pytest.approx(1 / (sum(ratios) / 3 + 1e-5))
    longer = torch.cat([rows, draws(1, 2, 4, seed=2)]), torch.cat([codes, draws(1, 3, seed=3)])
    assert mode_seeking(made(*longer)) == mode_seeking(made(rows, codes))  # an odd one is left out


def test_mode_seeking_compares_rows_of_one_class():
    """The paper's pairs have one condition: classes 0 (rows 0, 2, 3, 5) and 1 (rows 1, 4)."""
    codes, rows = draws(6, 3), draws(6, 4, seed=1)
    ratios = [
        (rows[i] - rows[j]).abs().mean().item() / (codes[i] - codes[j]).abs().mean().item()
        for i, j in ((0, 2), (3, 5), (1, 4))
    ]
    found = mode_seeking(made(rows, codes, CLASSES)).item()
    assert found == pytest.approx(1 / (sum(ratios) / 3 + 1e-5))
    found = mode_seeking(made(rows, codes, torch.eye(4)[[0, 1, 1, 2, 2, 3]])).item()  # odd classes between
    ratios = [
        (rows[i] - rows[j]).abs().mean().item() / (codes[i] - codes[j]).abs().mean().item()
        for i, j in ((1, 2), (3, 4))
    ]
    assert found == pytest.approx(1 / (sum(ratios) / 2 + 1e-5))
    alone = rows.clone().requires_grad_()
    nothing = mode_seeking(made(alone, codes, torch.eye(6)))
    assert nothing.item() == 0
    assert torch.autograd.grad(nothing, alone)[0].abs().sum() == 0


@pytest.mark.parametrize("context", [None, CLASSES], ids=["alone", "of classes"])
def test_the_distance_ratio_is_a_sum_over_pairs(context):
    codes, rows = draws(6, 3), draws(6, 2, 2, seed=1) ** 3
    same = [[context is None or bool((a == b).all()) for b in CLASSES] for a in CLASSES]

    def share(x: Tensor, i: int, j: int) -> float:
        others = [(x[i] - x[k]).norm().item() * same[i][k] for k in range(6)]
        return others[j] / sum(others)

    total = sum(
        max(0.0, 0.8 * share(codes, i, j) - share(rows, i, j))
        for i in range(6)
        for j in range(6)
        if i != j and same[i][j]
    )
    assert total > 0.1
    assert distance_ratio(made(rows, codes, context)).item() == pytest.approx(total / 6)


def test_the_distance_ratio_never_draws_rows_together():
    """The sum of a row's distances is held: each gradient step moves rows away from those that they are too near."""
    rows = torch.cat([0.01 * draws(4, 2), 5 + draws(4, 2, seed=1)]).requires_grad_()
    (gradient,) = torch.autograd.grad(distance_ratio(made(rows)), rows)
    before = torch.pdist(rows.detach())
    after = torch.pdist((rows - 1e-4 * gradient).detach())
    assert gradient.abs().sum() > 0
    assert after.sum() > before.sum()
    assert after[before < 0.1].sum() > before[before < 0.1].sum()


def test_rows_as_far_apart_as_their_codes_cost_nothing():
    codes = draws(7, 3)
    assert distance_ratio(made(4 * codes, codes)).item() == 0
    assert mode_seeking(made(4 * codes, codes)).item() == pytest.approx(0.25, rel=1e-4)


def test_the_ratio_of_small_distances_is_kept():
    """A cluster a thousandth wide, far from 0, in float32."""
    rows = (1000 + 1e-3 * draws(8, 5)).float()
    exact = distance_ratio(made((rows.double() - 1000) * 1e3))
    assert distance_ratio(made(rows)).item() == pytest.approx(exact.item(), rel=1e-4)


@pytest.mark.parametrize("seed", range(6))
def test_gdpp_is_the_paper_s_two_terms(seed):
    """For several batches, since the sign of an eigenvector is LAPACK's choice."""
    fake, real = draws(5, 8, seed=seed), draws(5, 8, seed=10 + seed)
    found = gdpp(Made(fake, fake, lambda: (fake, real))).item()
    units = [(x / x.norm(dim=1, keepdim=True)).numpy() for x in (fake, real)]
    (values, vectors), (target, target_vectors) = (np.linalg.eigh(u @ u.T) for u in units)
    weights = (target - target.min()) / (target.max() - target.min())
    cosines = [abs(vectors[:, i] @ target_vectors[:, i]) for i in range(5)]
    expected = sum(abs(values - target)) - sum(w * c for w, c in zip(weights, cosines, strict=True))
    assert found == pytest.approx(expected, abs=5e-3)  # a diagonal of up to 1e-3 keeps eigenvalues apart


def test_gdpp_is_least_where_fake_features_are_the_real_ones():
    real = draws(6, 9)
    values = torch.linalg.eigvalsh(
        torch.nn.functional.normalize(real, dim=1) @ torch.nn.functional.normalize(real, dim=1).T
    )
    best = -((values - values[0]) / (values[-1] - values[0])).sum().item()
    at = gdpp(Made(real, real, lambda: (real, real))).item()
    assert at == pytest.approx(best, abs=5e-3)
    for scale in (0.1, 1.0):
        near = real + scale * draws(6, 9, seed=3)
        assert gdpp(Made(real, real, lambda near=near: (near, real))).item() > at
    equal = real[:1].expand(6, 9) + 1e-3 * draws(6, 9, seed=4)  # a collapse: one eigenvalue of 6
    assert gdpp(Made(real, real, lambda: (equal, real))).item() > at + 1


def test_gdpp_leaves_real_features_as_they_are():
    fake, real = draws(4, 6).requires_grad_(), draws(4, 6, seed=1).requires_grad_()
    gradients = torch.autograd.grad(
        gdpp(Made(fake, fake, lambda: (fake, real))), (fake, real), allow_unused=True
    )
    assert gradients[0].abs().sum() > 0
    assert gradients[1] is None


@pytest.mark.parametrize("name", DIVERSITY)
@pytest.mark.parametrize("context", [None, CLASSES], ids=["alone", "of classes"])
def test_gradients_equal_finite_differences(name, context):
    real = draws(6, 7, seed=1)

    def term(rows: Tensor) -> Tensor:
        return DIVERSITY[name](Made(draws(6, 3, seed=2), rows, lambda: (rows, real), context))

    rows = draws(6, 7).requires_grad_()
    if name != "distance-ratio":
        assert torch.autograd.gradcheck(term, rows)
        return
    # Its sums are constants to the gradient: it equals that of Σ max(0, α a − d/S) with S as it is.
    (found,) = torch.autograd.grad(term(rows), rows)
    same = torch.ones(6, 6) if context is None else (context[:, None] == context).all(2)
    sums = (torch.cdist(rows, rows) * same).sum(1, keepdim=True).detach()
    codes = draws(6, 3, seed=2)
    a = torch.cdist(codes, codes) * same
    a = a / a.sum(1, keepdim=True)
    b = torch.cdist(rows, rows) * same / sums
    (expected,) = torch.autograd.grad((0.8 * a - b).clamp(min=0).sum() / 6, rows)
    assert torch.allclose(found, expected)


@pytest.mark.parametrize("name", DIVERSITY)
def test_rows_that_are_all_one_give_finite_gradients(name):
    """A full collapse is where these terms are needed."""
    rows = torch.ones(6, 4, requires_grad=True)
    value = DIVERSITY[name](Made(draws(6, 3).float(), rows, lambda: (rows, draws(6, 4, seed=1).float())))
    (gradient,) = torch.autograd.grad(value, rows)
    assert math.isfinite(value.item())
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", DIVERSITY)
def test_batches_that_are_too_small_are_refused(name):
    """The reported minimum of rows of each term is the minimum."""
    fewest = fewest_rows(name)
    assert DIVERSITY[name](made(draws(fewest, 2))).isfinite()
    if fewest > 1:
        with pytest.raises(UsageError, match="at least"):
            DIVERSITY[name](made(draws(fewest - 1, 2)))


def test_pulling_away_compares_packs_where_the_critic_judges_packs():
    features = draws(3, 5)
    of_packs = pulling_away(Made(draws(6, 2), draws(6, 2), lambda: (features, features)))
    assert of_packs == pulling_away(Made(draws(3, 2), draws(3, 2), lambda: (features, features)))
    one = draws(1, 5)
    assert pulling_away(
        Made(draws(6, 2), draws(6, 2), lambda: (one.expand(3, 5), one))
    ).item() == pytest.approx(1)


def test_pulling_away_is_the_mean_squared_cosine_over_pairs():
    rows = draws(5, 2, 3)
    s = rows.flatten(1)
    cosines = [
        (s[i] @ s[j] / (s[i].norm() * s[j].norm())).item() for i in range(5) for j in range(5) if i != j
    ]
    assert pulling_away(made(rows)).item() == pytest.approx(sum(each**2 for each in cosines) / 20)


def test_pulling_away_is_0_of_orthogonal_rows_and_1_of_equal_ones():
    """Row B10 of docs/known-mistakes.md: features normalised over the batch in place of each row's own."""
    scales = torch.tensor([1.0, 3.0, 0.1]).double()
    assert pulling_away(made(torch.diag(scales))).item() == pytest.approx(0, abs=1e-12)
    equal = scales[:, None] * draws(1, 4)
    assert pulling_away(made(equal)).item() == pytest.approx(1)
    with pytest.raises(UsageError, match="the batch needs at least 2"):
        pulling_away(made(draws(1, 3)))


# --- as terms of a game -----------------------------------------------------------------------------------------------


def turn(n: int, step: int | None) -> Turn:
    """Return a turn of n samples and real rows, whose features are the rows."""
    real, fake = draws(n, 4, seed=1), draws(n, 4)
    drawn = Drawn(draws(n, 3, seed=9), fake)
    return Turn((), View(real), View(fake), real, drawn, CLASSES[:n], lambda view: view.x, step)


@pytest.mark.parametrize("name", DIVERSITY)
def test_a_term_reads_samples_their_codes_and_contexts_and_features_of_both_sides(name):
    given = turn(6, step=5)
    fake, real = given.features()
    assert fake.equal(given.drawn.rows)
    assert real.equal(given.x)
    expected = DIVERSITY[name](Made(*given.drawn, lambda: (fake, real), CLASSES))
    assert Diversity(name, 3.0)(given) == 3 * expected
    with pytest.raises(UsageError, match="diversity_weight must be at least 0; got nan"):
        Diversity(name, math.nan)


@pytest.mark.parametrize("name", [name for name in DIVERSITY if fewest_rows(name) > 1])
def test_only_a_last_and_short_batch_is_passed_over(name):
    fewest = fewest_rows(name)
    assert Diversity(name, 2.0)(turn(fewest, step=5)) == 2 * Diversity(name, 1.0)(turn(fewest, step=0))
    assert Diversity(name, 2.0)(turn(fewest - 1, step=5)) == 0
    for first in (0, None):
        with pytest.raises(UsageError, match="at least"):
            Diversity(name, 2.0)(turn(fewest - 1, step=first))


def test_terms_of_one_label_are_logged_as_their_sum_and_modules_are_found_once():
    one, two = Diversity("gdpp", 1.0), Diversity("mode-seeking", 1.0)
    assert logged("generator", [one, two], torch.tensor([2.0, 3.0]).unbind()) == {"generator_diversity": 5.0}
    module = torch.nn.Identity()
    assert modules_among([module, one, module]) == [module]
