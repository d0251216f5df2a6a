"""The likelihood of tables with columns of different kinds: a distribution for each column."""

import math
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal, constraints
from torch.distributions.constraints import Constraint

from latentia.data.spec import DataSpec, Measure, Support
from latentia.distributions.likelihoods.base import DEFAULTS, Likelihood, check_sigma, refuse_unused
from latentia.distributions.likelihoods.discretised import Discretised, Grid, grids_of
from latentia.distributions.likelihoods.heteroscedastic import soft_floor
from latentia.errors import UsageError
from latentia.networks.scaling import Affine, Columns, Scaling
from latentia.registry import likelihoods


class TabularDistribution(Distribution):
    """Independent groups of columns, each with its own distribution: log p(x) = Σ_g log p_g(x_g).

    Args:
        groups: their distributions, each with batch shape (B,) and event shape (columns of the group,).
        order: (D,) indices of the columns, group after group.
    """

    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012  # pyright: ignore
    support = constraints.real_vector  # pyright: ignore

    def __init__(self, groups: Sequence[Distribution], order: Tensor) -> None:
        self.groups, self.order = groups, order
        self.sizes = [group.event_shape.numel() for group in groups]
        super().__init__(groups[0].batch_shape, order.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density of (*, B, D) rows, relative to each column's own measure: (*, B) nats."""
        return torch.stack([p.log_prob(x) for p, x in self.parts_of(value)]).sum(0)

    def parts_of(self, value: Tensor) -> list[tuple[Distribution, Tensor]]:
        """Return each group's distribution and its columns of (*, B, D) rows."""
        columns = value.index_select(-1, self.order).split(self.sizes, dim=-1)
        return list(zip(self.groups, columns, strict=True))

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:  # pyright: ignore
        """Draw every column: (*sample, B, D)."""
        return self.by_column([group.sample(torch.Size(sample_shape)) for group in self.groups])

    @property
    def mean(self) -> Tensor:
        """The mean of every column, and the most likely category: (B, D)."""
        return self.by_column([group.mean for group in self.groups])

    def by_column(self, groups: Sequence[Tensor]) -> Tensor:
        """Return numbers of the columns, group after group, in the columns' order: (*, B, D)."""
        return torch.cat([*groups], dim=-1).index_select(-1, self.order.argsort())


class ColumnGaussian(Likelihood):
    """Gaussian with a σ for each column, learned or fixed: log p(x) = Σ_j log N(x_j; h_j, σ_j²).

    A learned σ is at least e⁻⁶ of the column's standard deviation: the likelihood of a column whose values repeat,
    such as whole numbers, is unbounded as σ → 0.
    """

    params_per_entry = 1
    kinds = ("real", "unit")
    measure = "Lebesgue"
    options = ("sigma",)
    log_sigma: Tensor

    def __init__(self, data: DataSpec, scaling: Affine, *, sigma: float | None = None) -> None:
        super().__init__(data, scaling)
        check_sigma(sigma)
        self.learned = sigma is None
        if sigma is None:
            self.log_sigma = nn.Parameter(torch.zeros(data.event_shape))
        else:
            self.register_buffer("log_sigma", torch.full(data.event_shape, sigma).log())

    def forward(self, h: Tensor) -> Distribution:
        """Return the Gaussian whose mean is h, in units of the data."""
        log_sigma = soft_floor(self.log_sigma) if self.learned else self.log_sigma
        mean = self.scaling.inverse(h.squeeze(1))
        std = (log_sigma.exp() * self.scaling.scale).expand_as(mean)
        return self.independent(Normal(mean, std, validate_args=False))


@likelihoods.register("table")
class TableLikelihood(Likelihood):
    """A distribution for each column of a table, by its kind: log p(x) = Σ_j log p_j(x_j | h_j), independent given h.

    Real columns are Gaussian, each with its own σ; binary ones Bernoulli; categories categorical; counts negative
    binomial; values in the unit interval continuous Bernoulli. The base measure is the product of the columns'
    measures, Lebesgue or counting; scores call it mixed.

    Args:
        data: what a row is.
        scaling: of the whole table.
        columns: the likelihood of the columns whose support it has, instead of their default.
        discretise: whether real columns whose step is known have the probability of a cell in the place of a density.
        given: options of the columns' likelihoods.

    Raises:
        UsageError: for a likelihood that fits no column, a loss, or an option that no column's likelihood has.

    References:
        Nazábal, Olmos, Ghahramani and Valera (2020), Handling incomplete heterogeneous data using VAEs, section 2.2.
    """

    kinds = ("table",)
    options = ("sigma", "components")
    order: Tensor

    def __init__(
        self,
        data: DataSpec,
        scaling: Scaling,
        *,
        columns: str = "auto",
        discretise: bool = False,
        **given: Any,
    ) -> None:
        super().__init__(data, scaling)
        grids = _grids(data) if discretise else {}
        if columns != "auto" and likelihoods[columns].measure is None:
            raise UsageError(f"likelihood={columns!r} is a loss; the columns of a table need distributions")
        indices = _groups_of(data.support, grids)
        names = {support: _name(support, columns) for support, _ in indices}
        if columns not in ("auto", *names.values()):
            raise UsageError(
                f"likelihood={columns!r} is no distribution on any column of {data.support} data"
            )
        refuse_unused(given, list(dict.fromkeys(names.values())))
        groups = [
            _group(
                names[support], support, Columns(scaling, own), [grids[j] for j in own if j in grids], given
            )
            for (support, _), own in indices.items()
        ]
        self.groups = nn.ModuleList(groups)
        measures: set[Measure | None] = {group.measure for group in groups}
        self.measure = measures.pop() if len(measures) == 1 else "mixed"
        self.shapes = [group.param_shape for group in groups]
        order = torch.tensor([j for own in indices.values() for j in own])
        self.register_buffer("order", order, persistent=False)

    @property
    def param_shape(self) -> tuple[int, ...]:
        """The shape of the parameters of all columns, group after group."""
        return (sum(map(math.prod, self.shapes)),)

    def forward(self, h: Tensor) -> Distribution:
        """Return the distribution of rows for parameters (B, P)."""
        parts = h.split([math.prod(shape) for shape in self.shapes], dim=1)
        parts = [part.unflatten(1, shape) for part, shape in zip(parts, self.shapes, strict=True)]
        groups = [group(part) for group, part in zip(self.groups, parts, strict=True)]
        return TabularDistribution(groups, self.order)


def _groups_of(support: Support, grids: Collection[int]) -> dict[tuple[Support, bool], list[int]]:
    """Return the indices of the columns of each group: those of one support, on grids or not."""
    columns: dict[tuple[Support, bool], list[int]] = {}
    for j, column in enumerate(support.columns):
        columns.setdefault((column, j in grids), []).append(j)
    return columns


def _grids(data: DataSpec) -> dict[int, Grid]:
    """Return the grids of a table's columns.

    Raises:
        UsageError: where none is known.
    """
    grids = grids_of(data)
    if not grids:
        raise UsageError(
            "discretise=True needs a column of numbers whose step is known, and these rows have none: rows from a CSV "
            "file or a frame, with whole numbers or few decimals, do"
        )
    return grids


def _name(support: Support, requested: str) -> str:
    """Return the likelihood of columns: the requested one where it fits, otherwise their default."""
    fits = requested != "auto" and support.kind in likelihoods[requested].kinds
    return requested if fits else DEFAULTS[support.kind]


def _group(
    name: str, support: Support, scaling: Columns, grids: Sequence[Grid], given: dict[str, Any]
) -> Likelihood:
    member = ColumnGaussian if name == "gaussian" else likelihoods[name]
    own = {option: value for option, value in given.items() if option in member.options}
    data = DataSpec((len(scaling.indices),), support)
    plain = member(data, scaling, **own)
    return Discretised(data, scaling, plain, grids) if grids else plain
