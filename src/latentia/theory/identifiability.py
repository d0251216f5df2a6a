"""Why unlabelled data cannot identify disentangled codes: a map that entangles them and preserves the prior."""

import torch
from torch import Tensor
from torch.distributions import ComposeTransform, Distribution, Normal, Transform, constraints
from torch.distributions.transforms import CumulativeDistributionTransform

from latentia.errors import UsageError
from latentia.functional.checks import finite

_ORTHOGONAL = 1e-5  # how far RRᵀ may be from the identity, which float32 rounding stays below


class Rotation(Transform):
    """z ↦ Rz with R orthogonal: log |det| is 0.

    Args:
        matrix: (d, d) R.
    """

    domain = constraints.real_vector
    codomain = constraints.real_vector
    bijective = True

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.matrix = matrix

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002
        """Return 0 for each of (*sample, d) codes."""
        return x.new_zeros(x.shape[:-1])

    def _call(self, x: Tensor) -> Tensor:
        return x @ self.matrix.mT

    def _inverse(self, y: Tensor) -> Tensor:
        return y @ self.matrix


def mixing(matrix: Tensor, factor: Distribution | None = None) -> Transform:
    """Return a map that preserves the distribution of codes and makes each entry depend on all.

    f = F⁻¹ ∘ Φ ∘ R ∘ Φ⁻¹ ∘ F, entry by entry but for R, with F the distribution function of one entry of the prior
    p(z) = Π_j p(z_j) and Φ that of N(0, 1). For z ~ p, F(z) is uniform and Φ⁻¹(F(z)) ~ N(0, I), which R preserves,
    so that f(z) ~ p. For p = N(0, I), f is R itself. Where R has no zero, ∂f_i/∂z_j ≠ 0 almost everywhere, for all i,
    j.

    With f after the encoder and f⁻¹ before the decoder a model has the same p(x), the same bound and the same KL term:
    `latentia.theory.rotated_latents.with_mapped_latents`.

    Args:
        matrix: (d, d) R, orthogonal and without zeros, d at least 2.
        factor: p(z_j), the same for each entry, with `cdf` and `icdf`; default: N(0, 1).

    Raises:
        UsageError: for another matrix.
        DataError: for entries that are not finite.

    Reference: Locatello et al. (2019), Challenging Common Assumptions in the Unsupervised Learning of Disentangled
    Representations, theorem 1 and appendix A.

    Example:
        >>> from torch.distributions import Uniform
        >>> R = torch.tensor([[1.0, 1.0], [1.0, -1.0]]) / 2**0.5
        >>> z = torch.rand(20_000, 2, generator=torch.Generator().manual_seed(0))
        >>> mixed = mixing(R, Uniform(0.0, 1.0))(z)
        >>> [round(each, 2) for each in (mixed.mean().item(), 12 * mixed.var().item())]  # uniform still
        [0.5, 1.0]
    """
    _check_matrix(matrix)
    if factor is None:
        return Rotation(matrix)
    to_uniform = CumulativeDistributionTransform(factor)
    to_normal = CumulativeDistributionTransform(Normal(matrix.new_zeros(()), matrix.new_ones(()))).inv
    parts = [to_uniform, to_normal, Rotation(matrix), to_normal.inv, to_uniform.inv]
    return ComposeTransform(parts)


def _check_matrix(matrix: Tensor) -> None:
    if matrix.dim() != 2 or len(matrix) != matrix.shape[1] or len(matrix) < 2:
        raise UsageError(f"R must be (d, d) with d of at least 2; got {tuple(matrix.shape)}")
    finite(matrix=matrix)
    off = float((matrix @ matrix.mT - torch.eye(len(matrix), dtype=matrix.dtype)).abs().max())
    if off > _ORTHOGONAL:
        raise UsageError(f"R must be orthogonal; R Rᵀ is off the identity by {off:.3g}")
    zeros = int((matrix == 0).sum())
    if zeros:
        raise UsageError(f"R must have no zeros, so that every entry depends on every other; got {zeros}")
