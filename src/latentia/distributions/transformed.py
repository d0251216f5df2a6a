"""The distribution of z = g(z₀), with g invertible and z₀ from a base distribution: a normalising flow."""

from torch import Size, Tensor
from torch.distributions import Distribution, Transform, constraints
from torch.distributions.constraints import Constraint


class Transformed(Distribution):
    """log p(z) = log p₀(z₀) − log |det ∂g/∂z₀| at z₀ = g⁻¹(z).

    Args:
        base: the distribution of z₀, on vectors.
        transform: g, from z₀ to z.

    Example:
        >>> import torch
        >>> from torch.distributions import ExpTransform, Independent, LogNormal, Normal
        >>> base, z = Independent(Normal(torch.zeros(2), torch.ones(2)), 1), torch.tensor([0.5, 2.0])
        >>> p = Transformed(base, torch.distributions.IndependentTransform(ExpTransform(), 1))
        >>> bool(torch.isclose(p.log_prob(z), LogNormal(0.0, 1.0).log_prob(z).sum()))
        True
    """

    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012  # pyright: ignore
    support = constraints.real_vector  # pyright: ignore
    has_rsample = True

    def __init__(self, base: Distribution, transform: Transform) -> None:
        self.base = base
        self.transform = transform
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The image of the base's mean, in place of the mean, which has no closed form for a flow."""
        return self.transform(self.base.mean)  # pyright: ignore[reportReturnType]

    def rsample(self, sample_shape: Size | tuple[int, ...] = ()) -> Tensor:  # pyright: ignore
        """Draw g(z₀), differentiable: (*sample, *batch, d)."""
        return self.rsample_and_log_prob(sample_shape)[0]

    def rsample_and_log_prob(self, sample_shape: Size | tuple[int, ...] = ()) -> tuple[Tensor, Tensor]:
        """Draw z = g(z₀) and return it with log p(z), computed from z₀ in the same pass."""
        z_0 = self.base.rsample(Size(sample_shape))
        z, log_det = _with_log_det(self.transform, z_0)
        return z, self.base.log_prob(z_0) - log_det

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density of any z, through g⁻¹: (*sample, *batch) nats."""
        z_0, log_det = _with_log_det(self.transform.inv, value)
        return self.base.log_prob(z_0) + log_det


def _with_log_det(transform: Transform, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return g(x) and log |det ∂g/∂x|, in one call where the transform offers it, as zuko's do."""
    together = getattr(transform, "call_and_ladj", None)
    if together is not None:
        return together(x)
    y: Tensor = transform(x)  # pyright: ignore[reportAssignmentType]
    return y, transform.log_abs_det_jacobian(x, y)
