"""The likelihood of rows whose cells may be missing: which ones are, and the values of the others."""

import math
from typing import cast

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, constraints
from torch.distributions.constraints import Constraint

from latentia.data.spec import DataSpec
from latentia.distributions.likelihoods.base import Likelihood
from latentia.distributions.likelihoods.tabular import TabularDistribution
from latentia.errors import UsageError
from latentia.networks.scaling import Scaling


class WithGaps(Distribution):
    """Rows whose cells may be missing, NaN: log p(x) = Σ_j there log p_j(x_j) + Σ_j that may be missing log p(m_j).

    m_j ~ Bernoulli(σ(logit_j)) says that cell j is missing; cells are independent of each other and of the gaps.

    Args:
        values: of complete rows, with independent entries: batch shape (B,) and event shape (D,).
        logits: (B, G) log-odds of a gap in each column that may have one.
        gaps: (G,) the indices of these columns.
        filling: (D,) values in the support, which stand in for missing ones where numbers are needed.
    """

    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012  # pyright: ignore
    support = constraints.real_vector  # pyright: ignore

    def __init__(self, values: Distribution, logits: Tensor, gaps: Tensor, filling: Tensor) -> None:
        self.values, self.gaps, self.filling = values, gaps, filling
        self.missing = Bernoulli(logits=logits, validate_args=False)
        super().__init__(logits.shape[:-1], values.event_shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density of which cells of (*, B, D) rows are missing, and of the others: (*, B) nats."""
        return log_prob_of_present(self.values, value, self.filling) + self.log_prob_of_gaps(value)

    def log_prob_of_gaps(self, value: Tensor) -> Tensor:
        """Return log p(m) of the pattern of missing cells of (*, B, D) rows: (*, B) nats."""
        missing = value.isnan().index_select(-1, self.gaps)
        return self.missing.log_prob(missing.to(self.filling.dtype)).sum(-1)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:  # pyright: ignore
        """Draw rows, and the gaps in them: (*sample, B, D)."""
        x = self.values.sample(torch.Size(sample_shape))
        missing = torch.zeros_like(x, dtype=torch.bool)
        missing[..., self.gaps] = self.missing.sample(torch.Size(sample_shape)).bool()
        return x.masked_fill(missing, torch.nan)

    @property
    def mean(self) -> Tensor:
        """The mean of every cell where it is there: (B, D), without gaps."""
        return self.values.mean


def log_prob_of_present(values: Distribution, x: Tensor, filling: Tensor) -> Tensor:
    """Return Σ log p_j(x_j) over the cells of (*, B, D) rows that are not missing, NaN: (*, B) nats.

    Args:
        values: of complete rows, with independent entries.
        x: the rows.
        filling: (D,) any values in the support; they enter neither the sum nor its gradient.

    Raises:
        UsageError: for a distribution whose entries are not independent.
    """
    missing = x.isnan()
    each = _log_prob_of_each(values, torch.where(missing, filling, x))
    return each.masked_fill(missing, 0.0).sum(-1)


def complete(distribution: Distribution) -> Distribution:
    """Return the distribution of rows without gaps, of a distribution of rows that may have them."""
    return distribution.values if isinstance(distribution, WithGaps) else distribution


def _log_prob_of_each(values: Distribution, x: Tensor) -> Tensor:
    """Return log p_j(x_j) of each cell: (*, B, D) nats."""
    if isinstance(values, TabularDistribution):
        return values.by_column([_log_prob_of_each(p, part) for p, part in values.parts_of(x)])
    if isinstance(values, Independent):
        return values.base_dist.log_prob(x)
    raise UsageError(
        f"{type(values).__name__} does not say what each cell's log-density is, which rows with gaps need: "
        "choose another likelihood"
    )


class GapLikelihood(Likelihood):
    """Another likelihood on the cells that are there, and a Bernoulli variable for each column that may have gaps.

    Its log-odds are those in the training rows where the decoder gives 0.

    Args:
        data: what a row is.
        scaling: of the rows.
        inner: the likelihood of complete rows.

    Raises:
        UsageError: for a loss.

    References:
        Mattei and Frellsen (2019), MIWAE, eq. 6, for the bound of the cells that are there; Ipsen, Mattei and Frellsen
        (2021), not-MIWAE, eq. 4, for a pattern that is modelled with them (here by the code rather than the values).
    """

    kinds = ()
    gaps: Tensor

    def __init__(self, data: DataSpec, scaling: Scaling, inner: Likelihood) -> None:
        super().__init__(data, scaling)
        if inner.measure is None:
            raise UsageError(
                "this likelihood is a loss; rows with missing values need a distribution, such as likelihood='auto'"
            )
        self.inner, self.measure = inner, inner.measure
        self.register_buffer("gaps", torch.tensor(scaling.gaps), persistent=False)

    @property
    def param_shape(self) -> tuple[int, ...]:
        """The shape of the parameters: those of complete rows, then one for each column that may have gaps."""
        return (math.prod(self.inner.param_shape) + len(self.gaps),)

    def forward(self, h: Tensor) -> Distribution:
        """Return the distribution of rows for parameters (B, P)."""
        of_values, of_gaps = h.split([h.shape[1] - len(self.gaps), len(self.gaps)], dim=1)
        values = self.inner(of_values.unflatten(1, self.inner.param_shape))
        table = cast("Scaling", self.scaling)
        filling = torch.where(table.free, table.shift, 0.0).expand(self.event_shape)
        return WithGaps(values, of_gaps + table.gap_logits, self.gaps, filling)
