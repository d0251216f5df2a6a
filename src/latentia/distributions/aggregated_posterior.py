"""The aggregated posterior q(z) = (1/n) Σ_i q(z | x_i), the best prior for the codes of these rows."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, MixtureSameFamily, MultivariateNormal

from latentia.distributions.diagonal_gaussian import DiagonalGaussian
from latentia.distributions.diagonal_mixture import DiagonalMixture
from latentia.errors import UsageError

_PAIRS_AT_ONCE = 2**20  # of codes and rows: 8 MB of float64


def all_posteriors(parts: Sequence[Distribution]) -> DiagonalGaussian | MultivariateNormal:
    """Return the posteriors of blocks of rows as one distribution of batch shape (n,), in float64.

    Raises:
        UsageError: for posteriors that are not Gaussian, whose marginals have no closed form.
    """
    diagonal = [q for q in parts if isinstance(q, DiagonalGaussian)]
    full = [q for q in parts if isinstance(q, MultivariateNormal)]
    if len(diagonal) == len(parts):
        mean = torch.cat([q.mean for q in diagonal])
        return DiagonalGaussian(mean.double(), torch.cat([q.log_var for q in diagonal]).double())
    if len(full) == len(parts):
        L = torch.cat([q.scale_tril for q in full]).double()
        return MultivariateNormal(
            torch.cat([q.loc for q in full]).double(), scale_tril=L, validate_args=False
        )
    raise UsageError(
        "the aggregated posterior needs Gaussian posteriors; got "
        f"{type(parts[0]).__name__}: choose posterior='diagonal' or 'full'"
    )


def aggregated_posterior(q: DiagonalGaussian | MultivariateNormal) -> Distribution:
    """Return the mixture of n posteriors, with equal weights.

    It is the prior under which the mean ELBO of these rows is highest with this encoder: higher than under p by
    KL(q(z) ‖ p(z)).

    Args:
        q: q(z | x) of n rows: batch shape (n,).

    Reference: Tomczak and Welling (2018), VAE with a VampPrior, equation 9.

    Example:
        >>> q = DiagonalGaussian(torch.tensor([[-1.0], [1.0]]), torch.zeros(2, 1))
        >>> aggregated_posterior(q).variance
        tensor([2.])
    """
    equal = torch.zeros_like(q.mean[:, 0])
    if isinstance(q, DiagonalGaussian):
        return DiagonalMixture(equal, q.mean, q.log_var)
    return MixtureSameFamily(Categorical(logits=equal, validate_args=False), q, validate_args=False)


def aggregated_marginals(q: DiagonalGaussian | MultivariateNormal) -> list[DiagonalMixture]:
    """Return the marginals q(z_j) of the aggregated posterior, each a distribution of vectors with one entry."""
    columns = zip(q.mean.split(1, 1), q.variance.log().split(1, 1), strict=True)
    return [DiagonalMixture(torch.zeros_like(mean[:, 0]), mean, log_var) for mean, log_var in columns]


def log_prob_in_blocks(q: Distribution, z: Tensor, rows: int) -> Tensor:
    """Return log q(z) of (S, n, d) codes under a mixture of ``rows`` components, block by block: (S, n) nats."""
    blocks = z.flatten(0, 1).split(max(1, _PAIRS_AT_ONCE // rows))
    return torch.cat([q.log_prob(block) for block in blocks]).view(z.shape[:2])
