"""ELBO surgery: the decomposition of a latent variable model's KL term.

With q(z) = (1/n) Σ_i q(z | x_i), the aggregated posterior of n rows, and q(z_j) the marginal of its j-th entry,

    mean_i KL(q(z | x_i) ‖ p(z)) = I_q[x, z] + KL(q(z) ‖ p(z)),
    KL(q(z) ‖ p(z)) = KL(q(z) ‖ Π_j q(z_j)) + Σ_j KL(q(z_j) ‖ p(z_j)),

where the last line holds for a factorised prior: total correlation and dimension-wise KL. The mutual information is
between the code and the index of its row, one of n, so it is at most log n.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from latentia.errors import UsageError
from latentia.functional.checks import same_shape

SATURATED = 0.9  # fraction of log n above which a mutual information mainly reflects that n is small


@dataclass(frozen=True)
class KLParts:
    """The parts of each row's KL, in nats; they sum to ``kl``, row by row.

    Attributes:
        kl: (n,) KL(q(z | x_i) ‖ p(z)).
        mutual_information: (n,) E log q(z | x_i)/q(z), whose mean is I_q[x, z].
        total_correlation: (n,) E log q(z)/Π_j q(z_j).
        entries: (n, d) E log q(z_j)/p(z_j), whose means are KL(q(z_j) ‖ p(z_j)); (n, 1) E log Π_j q(z_j)/p(z) for a
            prior that does not factorise.
    """

    kl: Tensor
    mutual_information: Tensor
    total_correlation: Tensor
    entries: Tensor

    @property
    def marginals(self) -> Tensor:
        """E log Π_j q(z_j)/p(z), the dimension-wise KL of a factorised prior: (n,)."""
        return self.entries.sum(1)

    @property
    def marginal_kl(self) -> Tensor:
        """E log q(z)/p(z), whose mean is KL(q(z) ‖ p(z)): (n,)."""
        return self.total_correlation + self.marginals


def kl_parts(
    log_q: Tensor, log_aggregate: Tensor, log_marginals: Tensor, log_prior: Tensor, kl: Tensor | None = None
) -> KLParts:
    """Return the parts of each row's KL from S draws of its posterior.

    Means over draws z ~ q(z | x_i) of log q(z | x_i) − log q(z), log q(z) − Σ_j log q(z_j), log q(z_j) − log p(z_j).
    Where KL_i is known in closed form, c = log q(z | x_i) − log p(z) − KL_i, whose mean is 0, is a control variate: b
    c̄ is subtracted from each part, b its regression coefficient on c. The coefficients sum to 1, and the parts to
    KL_i.

    Args:
        log_q: (S, n) log q(z_s | x_i), in nats.
        log_aggregate: (S, n) log q(z_s).
        log_marginals: (S, n, d) log q(z_sj).
        log_prior: (S, n, d) log p(z_sj), or (S, n, 1) log p(z_s) where the prior does not factorise.
        kl: (n,) KL_i in closed form; default: the mean over the draws.

    Raises:
        UsageError: for shapes that do not fit, or fewer than 2 draws.

    References:
        Hoffman and Johnson (2016), ELBO surgery: yet another way to carve up the variational evidence lower bound,
        equation 4; Chen et al. (2018), Isolating sources of disentanglement in VAEs, equation 2.

    Example:
        >>> log_q, log_p = torch.tensor([[-1.0], [-1.4]]), torch.tensor([[-2.0], [-2.0]])
        >>> parts = kl_parts(log_q, log_p, log_p[..., None], log_p[..., None], kl=torch.tensor([0.7]))
        >>> parts.mutual_information, parts.marginal_kl
        (tensor([0.7000]), tensor([0.]))
    """
    same_shape(log_q=log_q, log_aggregate=log_aggregate, one_marginal=log_marginals[..., 0])
    if log_q.dim() != 2 or len(log_q) < 2:
        raise UsageError(f"log_q must be (S, n) with S of at least 2 draws; got {tuple(log_q.shape)}")
    product = log_marginals.sum(2, keepdim=True)
    entries = (product if log_prior.shape[2] == 1 else log_marginals) - log_prior
    parts = torch.stack([log_q - log_aggregate, log_aggregate - product[..., 0], *entries.unbind(2)])
    found = parts.mean(1)
    if kl is not None:
        same_shape(kl=kl, drawn=log_q[0])
        found = found - _coefficients(parts)[:, None] * (found.sum(0) - kl)
    return KLParts(found.sum(0), found[0], found[1], found[2:].mT)


def _coefficients(parts: Tensor) -> Tensor:
    """Return the regression coefficients of (P, S, n) parts on their sum, within rows, which sum to 1: (P,)."""
    parts = parts - parts.mean(1, keepdim=True)
    whole = parts.sum(0)
    variance = whole.square().sum()
    if not variance > 0:
        return torch.full_like(
            parts[:, 0, 0], 1 / len(parts)
        )  # all draws are equal: any coefficients that sum to 1 will do
    return (parts * whole).sum((1, 2)) / variance


def is_saturated(mutual_information: float, rows: int) -> bool:
    """Return whether a mutual information is above 0.9 log n, where more rows would make it larger.

    Example:
        >>> is_saturated(4.5, rows=100), is_saturated(2.0, rows=100)
        (True, False)
    """
    return rows > 1 and mutual_information > SATURATED * math.log(rows)


def weighted_bound(
    reconstruction: Tensor,
    parts: KLParts,
    *,
    mutual_information: float = 1.0,
    total_correlation: float = 1.0,
    marginals: float = 1.0,
) -> Tensor:
    """Return the objective that weights the parts of the KL; with all weights 1, the ELBO.

    E_q log p(x | z) − α I − β TC − γ Σ_j KL(q(z_j) ‖ p(z_j)); α = β = γ in a β-VAE, α = γ = 1 in β-TCVAE

    Args:
        reconstruction: (n,) E_q log p(x_i | z), in nats.
        parts: of the KL.
        mutual_information: α.
        total_correlation: β.
        marginals: γ.

    Returns:
        (n,); the ELBO only where all weights are 1.

    Raises:
        UsageError: (a ValueError) unless the shapes are equal.

    Reference: Chen et al. (2018), equation 4.
    """
    same_shape(reconstruction=reconstruction, kl=parts.kl)
    penalty = mutual_information * parts.mutual_information + total_correlation * parts.total_correlation
    return reconstruction - penalty - marginals * parts.marginals


def active_units(means: Tensor, threshold: float = 0.01) -> Tensor:
    """Return which entries of the code are active: their mean varies with the row.

    Var_x E_q[z_j] > 0.01, the variance with 1/n

    Args:
        means: (n, d) mean codes.
        threshold: of the variance.

    Returns:
        (d,) bool.

    Raises:
        UsageError: for another shape.

    Reference: Burda, Grosse and Salakhutdinov (2016), Importance weighted autoencoders, section 5.2; their code takes
    the first 500 training rows, ours the rows given.

    Example:
        >>> active_units(torch.tensor([[0.0, 1.0], [0.05, -1.0]]))
        tensor([False,  True])
    """
    if means.dim() != 2:
        raise UsageError(f"means must be (n, d); got {tuple(means.shape)}")
    return means.var(0, correction=0) > threshold
