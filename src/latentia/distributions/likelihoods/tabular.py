"""The likelihood of tables whose columns are of different kinds: a law for each column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal, constraints
from torch.distributions.constraints import Constraint

from latentia.data.spec import DataSpec, Support
from latentia.distributions.likelihoods.base import DEFAULTS, Likelihood, check_sigma, refuse_unused
from latentia.distributions.likelihoods.heteroscedastic import softly_above
from latentia.errors import UsageError
from latentia.networks.scaling import Affine, Columns, Scaling
from latentia.registry import likelihoods


class TabularDistribution(Distribution):
    """Independent columns in groups, each with a law of its own: log p(x) = Σ_g log p_g(x_g).

    Args:
        laws: of the groups, each with batch shape (B,) and event shape (columns of the group,).
        order: (D,) the number of the column that comes next, group after group.
    """

    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012  # pyright: ignore
    support = constraints.real_vector  # pyright: ignore

    def __init__(self, laws: Sequence[Distribution], order: Tensor) -> None:
        self.laws, self.order = laws, order
        self.sizes = [law.event_shape.numel() for law in laws]
        super().__init__(laws[0].batch_shape, order.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density of (*, B, D) rows, relative to each column's own measure: (*, B) nats."""
        groups = value.index_select(-1, self.order).split(self.sizes, dim=-1)
        return torch.stack([law.log_prob(x) for law, x in zip(self.laws, groups, strict=True)]).sum(0)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:  # pyright: ignore
        """Draw every column: (*sample, B, D)."""
        return self._as_columns([law.sample(torch.Size(sample_shape)) for law in self.laws])

    @property
    def mean(self) -> Tensor:
        """The mean of every column, and of categories the likeliest: (B, D)."""
        return self._as_columns([law.mean for law in self.laws])

    def _as_columns(self, groups: Sequence[Tensor]) -> Tensor:
        return torch.cat([*groups], dim=-1).index_select(-1, self.order.argsort())


class ColumnGaussian(Likelihood):
    """Gaussian with a σ for each column, learned or fixed: log p(x) = Σ_j log N(x_j; h_j, σ_j²).

    A learned σ is at least e⁻⁶ of the column's standard deviation: a column whose values repeat, such as whole
    numbers, has no density, and what stands for one would grow without end.
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
        """Return the Gaussian law whose mean is h as data."""
        log_sigma = softly_above(self.log_sigma) if self.learned else self.log_sigma
        mean = self.scaling.inverse(h.squeeze(1))
        deviation = (log_sigma.exp() * self.scaling.scale).expand_as(mean)
        return self.independent(Normal(mean, deviation, validate_args=False))


@likelihoods.register("table")
class TableLikelihood(Likelihood):
    """A law for each column of a table, by its kind: log p(x) = Σ_j log p_j(x_j | h_j), columns independent given h.

    Real columns are Gaussian, each with a σ of its own; binary ones Bernoulli; categories have a probability each;
    counts are negative binomial; the unit interval continuous Bernoulli. The density refers to the product of the
    columns' measures, Lebesgue or counting, which scores call mixed.

    Args:
        data: what a row is.
        scaling: of the whole table.
        law: of the columns that it is a law on, instead of their default.
        given: options of the columns' laws.

    Raises:
        UsageError: for a law on none of the columns, a loss, or an option that no column's law has.

    References:
        Nazábal, Olmos, Ghahramani and Valera (2020), Handling incomplete heterogeneous data using VAEs, section 2.2.
    """

    kinds = ("table",)
    options = ("sigma", "components")
    order: Tensor

    def __init__(self, data: DataSpec, scaling: Scaling, *, law: str = "auto", **given: Any) -> None:
        super().__init__(data, scaling)
        self.measure = data.support.measure
        if law != "auto" and likelihoods[law].measure is None:
            raise UsageError(f"likelihood={law!r} is a loss, and the columns of a table have laws")
        groups = _groups(data.support)
        names = {support: _name(support, law) for support in groups}
        if law not in ("auto", *names.values()):
            raise UsageError(f"likelihood={law!r} is not a law on any column of {data.support} data")
        refuse_unused(given, list(dict.fromkeys(names.values())))
        laws = [_law(names[each], each, Columns(scaling, numbers), given) for each, numbers in groups.items()]
        self.laws = nn.ModuleList(laws)
        self.shapes = [law.param_shape for law in laws]
        order = torch.tensor([j for numbers in groups.values() for j in numbers])
        self.register_buffer("order", order, persistent=False)

    @property
    def param_shape(self) -> tuple[int, ...]:
        """The numbers of all columns, group after group."""
        return (sum(map(math.prod, self.shapes)),)

    def forward(self, h: Tensor) -> Distribution:
        """Return the law of rows for numbers (B, P)."""
        parts = h.split([math.prod(shape) for shape in self.shapes], dim=1)
        laws = [
            law(h.unflatten(1, shape)) for law, h, shape in zip(self.laws, parts, self.shapes, strict=True)
        ]
        return TabularDistribution(laws, self.order)


def _groups(support: Support) -> dict[Support, list[int]]:
    """Return the columns of each support, which are computed together."""
    groups: dict[Support, list[int]] = {}
    for j, column in enumerate(support.columns):
        groups.setdefault(column, []).append(j)
    return groups


def _name(support: Support, law: str) -> str:
    """Return the likelihood of columns: the law that is asked for where it is one, or else their default."""
    asked = law != "auto" and support.kind in likelihoods[law].kinds
    return law if asked else DEFAULTS[support.kind]


def _law(name: str, support: Support, scaling: Columns, given: dict[str, Any]) -> Likelihood:
    member = ColumnGaussian if name == "gaussian" else likelihoods[name]
    own = {option: value for option, value in given.items() if option in member.options}
    return member(DataSpec((len(scaling.numbers),), support), scaling, **own)
