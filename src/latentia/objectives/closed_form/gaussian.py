"""Maximum likelihood of a Gaussian in closed form, from the rows' moments. It has no players."""

from collections.abc import Mapping

import torch
from torch import Tensor

from latentia.core.closed_form import ClosedForm
from latentia.core.objective import Blocks
from latentia.data.moments import Moments, fourth_moment, moments_of
from latentia.errors import UsageError
from latentia.functional.gaussian.covariances import ledoit_wolf_shrinkage, oas_shrinkage, shrunk
from latentia.functional.gaussian.densities import LOG_2PI
from latentia.models.gaussian import Gaussian, checked_floor, estimate
from latentia.registry import check_name

SHRINKAGES = ("none", "fixed", "ledoit-wolf", "oas")


class GaussianMLE(ClosedForm):
    """Fit a Gaussian in one step: μ = x̄, and Σ the most likely of its family with Σ ⪰ diag(r).

    Σ = S = (1/N) Σ_i (x_i − x̄)(x_i − x̄)ᵀ, its diagonal, or (tr S / D) I, wherever that has no direction of a variance
    below the floor r_j = ``variance_floor`` · v_j (v_j: an entry's variance; for a constant entry the mean of all);
    otherwise such directions are raised to it. With shrinkage, S is first (1 − a) S + a (tr S / D) I.

    The rows are read in blocks, once; twice for Ledoit and Wolf's shrinkage.

    Args:
        model: the Gaussian.
        shrinkage: none, or how a is chosen: fixed, ledoit-wolf (for any distribution) or oas (for Gaussian rows).
        fraction: a in [0, 1], where it is fixed.
        variance_floor: the least variance in any direction, as a fraction of each entry's variance; with 0, rows whose
            likelihood has no maximum are an error.

    Raises:
        UsageError: for options that mean nothing.

    References:
        Anderson (2003), An Introduction to Multivariate Statistical Analysis, theorem 3.2.1; Ledoit and Wolf (2004);
        Chen et al. (2010).

    Example:
        >>> from latentia.core.objective import Batch
        >>> from latentia.data.spec import DataSpec, Support
        >>> model = Gaussian(DataSpec((1,), Support("real")))
        >>> dict(GaussianMLE(model).solve(Batch(torch.tensor([[1.0], [3.0]]))))
        {'log_likelihood': -1.4189385332046727}
        >>> model.mean.item(), model.covariance.item()
        (2.0, 1.0)
    """

    model: Gaussian

    def __init__(
        self,
        model: Gaussian,
        *,
        shrinkage: str = "none",
        fraction: float = 0.1,
        variance_floor: float = 1e-6,
    ) -> None:
        super().__init__()
        _check_shrinkage(shrinkage, fraction, model.family)
        self.model = model
        self.shrinkage = shrinkage
        self.fraction = fraction
        self.variance_floor = checked_floor(variance_floor)

    @torch.no_grad()
    def solve(self, rows: Blocks) -> Mapping[str, float]:
        """Set the model's parameters; return the rows' mean log-likelihood in nats.

        Raises:
            DataError: for rows whose likelihood has no maximum, or that are not finite.
        """
        moments = moments_of(rows, matrix=self.model.matrix)
        cov = moments.covariance
        fraction = self._fraction(rows, moments)
        factor = estimate(
            moments,
            self.model.family,
            variance_floor=self.variance_floor,
            shrunk=shrunk(cov, fraction) if fraction else None,
        )
        self.model.place(moments.mean, factor)
        metrics = {"log_likelihood": mean_log_prob(cov, factor)}
        return metrics if self.shrinkage == "none" else metrics | {"shrinkage": fraction}

    def _fraction(self, rows: Blocks, moments: Moments) -> float:
        match self.shrinkage:
            case "oas":
                return oas_shrinkage(moments.covariance, len(rows))
            case "ledoit-wolf":
                return ledoit_wolf_shrinkage(moments.covariance, len(rows), fourth_moment(rows, moments.mean))
            case "fixed":
                return self.fraction
            case _:
                return 0.0


def mean_log_prob(cov: Tensor, factor: Tensor) -> float:
    """Return the mean log-density of rows under a Gaussian at their mean: −½ (D log 2π + log det Σ + tr Σ⁻¹ S) nats.

    Args:
        cov: S of the rows, (D, D) or (D,).
        factor: of Σ, (D, D) or (D,) as S is.
    """
    if cov.dim() == 2:
        half = torch.linalg.solve_triangular(factor, cov, upper=False)
        spread = torch.linalg.solve_triangular(factor, half.mT, upper=False).trace()
        scales = factor.diagonal()
    else:
        spread, scales = (cov / factor.square()).sum(), factor
    return float(-0.5 * (len(cov) * LOG_2PI + spread) - scales.log().sum())


def _check_shrinkage(shrinkage: str, fraction: float, family: str) -> None:
    check_name("shrinkage", shrinkage, SHRINKAGES)
    if not 0 <= fraction <= 1:
        raise UsageError(f"the fraction of shrinkage must be from 0 to 1; got {fraction}")
    families = ("full", "diagonal") if shrinkage == "fixed" else ("full",)
    if shrinkage != "none" and family not in families:
        raise UsageError(
            f"shrinkage={shrinkage!r} is for a {' or '.join(families)} covariance; this one is {family}"
        )
