"""Terms that a generator descends so that its rows differ, each from one batch of codes and what they became.

To add one, decorate a function of `Made`: ``@diversity_terms.register(name, fewest=2, matches=False)``. The fact
``fewest`` is the size of the smallest batch that it can compare (1 by default); ``matches`` says that it compares rows
of one context only, so that batches have to hold several of each (False by default).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from latentia.errors import UsageError
from latentia.registry import Registry, diversity_terms

_TINY = 1e-5
_APART = 1e-3  # the largest entry of that diagonal, where the eigenvalues sum to B
_ALPHA = 0.8  # α


@dataclass(frozen=True)
class Made:
    """A batch of generated rows, and what it is compared with.

    Attributes:
        codes: (B, d) z.
        rows: (B, *event) G(z), scaled as networks read them.
        features: a function that returns a critic's activations of G(z), (B, F), and of real rows, (B, F); one row for
            each pack where it judges packs.
        context: (B, c) what the rows are conditioned on, or None. Rows of different contexts are not compared by
            their distance, since they differ anyway.
    """

    codes: Tensor
    rows: Tensor
    features: Callable[[], tuple[Tensor, Tensor]]
    context: Tensor | None = None


DIVERSITY: Registry[Callable[[Made], Tensor]] = diversity_terms


def fewest_rows(name: str) -> int:
    """Return the rows of the smallest batch that a term of `DIVERSITY` can compare.

    Example:
        >>> fewest_rows("distance-ratio"), fewest_rows("gdpp")
        (3, 1)
    """
    return int(DIVERSITY.facts(name).get("fewest", 1))


def matches_contexts(name: str) -> bool:
    """Return whether a term of `DIVERSITY` compares rows of one context only.

    Example:
        >>> matches_contexts("mode-seeking"), matches_contexts("gdpp")
        (True, False)
    """
    return bool(DIVERSITY.facts(name).get("matches", False))


@diversity_terms.register("mode-seeking", fewest=2, matches=True)
def mode_seeking(made: Made) -> Tensor:
    """Return 1 / E [mean |G(z₁) − G(z₂)| / mean |z₁ − z₂|] over pairs of codes: large where codes do not matter.

    The first half of the batch is paired with the second; with a context, each row with one of the same. Where no two
    rows have the same context there is nothing to compare, and it is 0.

    Raises:
        UsageError: for fewer than two rows.

    Reference: Mao et al. (2019), Mode seeking generative adversarial networks, equation 2, descended as its inverse.
    """
    first, second = _pairs(made)
    rows, codes = made.rows.flatten(1), made.codes
    moved = (rows[first] - rows[second]).abs().mean(1)
    apart = (codes[first] - codes[second]).abs().mean(1)
    if not len(moved):
        return 0 * made.rows.sum()
    return ((moved / apart.clamp(min=_TINY)).mean() + _TINY).reciprocal()


@diversity_terms.register("distance-ratio", fewest=3, matches=True)
def distance_ratio(made: Made) -> Tensor:
    """Return the mean over i of Σ_j max(0, α a_ij − b_ij), with normalised distances a of codes and b of rows.

    a_ij = |z_i − z_j| / Σ_k |z_i − z_k|, and b_ij alike. Pairs of rows whose normalised distance is below
    0.8 of that of their codes are penalised. The sums of the rows' distances are not differentiated, so that it is
    descended by moving rows apart, and never by moving others together. The paper's is 1/(B − 1) of this.

    Raises:
        UsageError: for fewer than three rows, whose normalised distances are constant.

    Reference: Liu et al. (2019), Normalized diversification, the loss of section 3 with α = 0.8.
    """
    if len(made.codes) < 3:
        raise UsageError("the pairwise-distance ratio needs batches of at least 3 rows")
    same = _same_context(made)
    a, b = (_normalised_distances(each.flatten(1), same) for each in (made.codes, made.rows))
    return (_ALPHA * a - b).clamp(min=0).sum(1).mean()


@diversity_terms.register("gdpp")
def gdpp(made: Made) -> Tensor:
    """Return how the eigenvalues and eigenvectors of a critic's features of fake rows miss those of real ones.

    Σ_i |λ_i − λ'_i| − Σ_i λ̂_i |cos(v_i, v'_i)|, with eigenvalues λ, λ' in order and eigenvectors v, v' of L = φφᵀ, the
    (B, B) products of the unit features φ of real and of fake rows, and with λ̂ the λ scaled to [0, 1]. The sign of an
    eigenvector is arbitrary, so that the cosine's does not count.

    Reference: Elfeki et al. (2019), GDPP: Learning diverse generations using determinantal point processes, equation 5.
    """
    fake, real = (torch.nn.functional.normalize(each.double(), dim=1) for each in made.features())
    # Eigenvectors of equal eigenvalues have no gradient: a small known diagonal keeps them apart.
    apart = torch.diag(torch.linspace(0, _APART, len(fake))).to(fake)
    values, vectors = torch.linalg.eigh(fake @ fake.T + apart)
    target_values, target_vectors = torch.linalg.eigh((real @ real.T).detach() + apart)
    low, high = target_values[0], target_values[-1]
    weights = (target_values - low) / (high - low).clamp(min=_TINY)
    aligned = (vectors * target_vectors).sum(0).abs()
    return ((values - target_values).abs().sum() - (weights * aligned).sum()).to(made.rows.dtype)


@diversity_terms.register("pulling-away", fewest=2)
def pulling_away(made: Made) -> Tensor:
    """Return the mean squared cosine of two rows' features: 0 where they are orthogonal, 1 where all are one.

    1/(B(B − 1)) Σ_i Σ_{j≠i} (s_iᵀs_j / ‖s_i‖‖s_j‖)², with s a critic's features of the generated rows

    Raises:
        UsageError: for fewer than two rows.

    Reference: Zhao, Mathieu and LeCun (2017), Energy-based generative adversarial networks, section 2.4.
    """
    if len(made.codes) < 2:
        raise UsageError("the pulling-away term compares rows: the batch needs at least 2")
    s = torch.nn.functional.normalize(made.features()[0], dim=1)
    B = len(s)  # rows, or packs of them
    return ((s @ s.T).square().sum() - B) / max(1, B * (B - 1))


def _pairs(made: Made) -> tuple[Tensor, Tensor]:
    """Return the numbers of the rows of disjoint pairs of one context."""
    half = len(made.codes) // 2
    if not half:
        raise UsageError("mode seeking compares pairs of rows: the batch needs at least 2")
    if made.context is None:
        numbers = torch.arange(2 * half, device=made.codes.device)
        return numbers[:half], numbers[half:]
    kind = made.context.unique(dim=0, return_inverse=True)[1]
    order = kind.argsort(stable=True)
    sizes = kind.bincount()
    before = (sizes.cumsum(0) - sizes)[kind[order]]  # rows of the contexts that come before a row's own
    ends = ((torch.arange(len(order), device=order.device) - before) % 2).nonzero().squeeze(1)
    return order[ends - 1], order[ends]


def _same_context(made: Made) -> Tensor:
    """Return whether two rows are given the same: (B, B)."""
    if made.context is None:
        return made.codes.new_ones(len(made.codes), len(made.codes), dtype=torch.bool)
    return (made.context[:, None] == made.context).all(2)


def _normalised_distances(rows: Tensor, same: Tensor) -> Tensor:
    """Return each row's distances to the others of its context divided by their sum, held constant: (B, B)."""
    # Differences, for a matrix product would lose the small distances of a collapse.
    distances = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist") * same
    return distances / distances.detach().sum(1, keepdim=True).clamp(min=_TINY)
