"""Models of tables made of models of real vectors: rows are encoded before, and samples turned back after."""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from latentia.core.model import Bounded, Conditional, Decodes, Density, Encodes, Generative
from latentia.core.randomness import using_generator
from latentia.data.encoding.table import TableEncoding
from latentia.distributions.point_mass import PointMass
from latentia.errors import UsageError
from latentia.functional.bounds import iwae


class EncodedTable(nn.Module):
    """A model of a table's rows that is one of their encodings; `of_tables` gives it what the inner model can.

    Args:
        inner: a model of real vectors.
        encoding: of the table, bound to it.
    """

    why_no_likelihood = (
        "categories and gaps are encoded as real vectors, whose density is not one of the table"
    )

    def __init__(self, inner: nn.Module, encoding: TableEncoding) -> None:
        super().__init__()
        self.inner, self.encoding = inner, encoding

    def decoded(self, y: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return rows drawn for vectors (B, D')."""
        columns = len(self.encoding.spec_of_table.columns or range(self.encoding.spec_of_table.size))
        u = torch.rand(len(y), columns, generator=generator, device=y.device)
        return self.encoding.inverse(y, u)


class _Samples(EncodedTable, Generative):
    inner: Any

    @torch.no_grad()
    def sample(
        self,
        n: int,
        context: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
        **options: Any,
    ) -> Tensor:
        """Draw n rows: vectors of the inner model, by its sampling options, turned back."""
        return self.decoded(self.inner.sample(n, context, generator=generator, **options), generator)


class _EncodesRows(EncodedTable, Encodes):
    inner: Any

    def encode(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        """Return q(z | x) of the inner model for the rows' vectors, with medians of what is drawn."""
        return self.inner.encode(self.encoding.likeliest(x), context)


class _DecodesRows(EncodedTable, Decodes):
    inner: Any

    def decode(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        """Return the likeliest row of each code's mean vector, as a point mass."""
        rows = self.encoding.inverse(self.inner.decode(z, context).mean)
        return PointMass(rows, event_dim=1)


class _BoundsRows(EncodedTable, Bounded):
    why_no_likelihood = ""
    inner: Any

    @property
    def measure(self) -> str:
        """The measure that the bound refers to: the table's."""
        return self.encoding.spec_of_table.support.measure

    def log_prob_bound(
        self,
        x: Tensor,
        context: Tensor | None = None,
        *,
        samples: int = 1,
        repeats: int = 1,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the bound E log (1/K) Σ_k p(y_k) / q(y_k | x) of log p(x), with y_k drawn by the encoding: (B,) nats.

        A vector gives its row back, so p(x) = ∫ p(y) dy over the vectors of x, and the weights have mean p(x).

        Raises:
            UsageError: for ``samples`` or ``repeats`` below 1.
        """
        if samples < 1 or repeats < 1:
            raise UsageError(f"samples and repeats must be at least 1; got {samples} and {repeats}")
        with using_generator(generator):
            bounds = [
                iwae(torch.stack([self._log_weight(x, context) for _ in range(samples)]))
                for _ in range(repeats)
            ]
        return torch.stack(bounds).mean(0)

    def _log_weight(self, x: Tensor, context: Tensor | None) -> Tensor:
        y = self.encoding.drawn(x)
        return self.inner.log_prob(y, context).double() - self.encoding.log_noise(x, y)


class _TakesContext(EncodedTable, Conditional):
    inner: Any

    @property
    def context_encoder(self) -> nn.Module:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The inner model's."""
        return self.inner.context_encoder


_WITH: dict[type, type[EncodedTable]] = {
    Generative: _Samples,
    Encodes: _EncodesRows,
    Decodes: _DecodesRows,
    Density: _BoundsRows,
    Conditional: _TakesContext,
}


def of_tables(model: nn.Module, encoding: TableEncoding) -> EncodedTable:
    """Return a model of a table's rows that can what a model of their encodings can.

    It samples, encodes and decodes as the inner model does; where that has a density and the encoding draws normal
    numbers for categories and gaps, it has a lower bound of the log-density of the table's rows.

    Args:
        model: of real vectors.
        encoding: bound to the table.
    """
    kinds = [capability for capability in _WITH if isinstance(model, capability)]
    return _with(tuple(kinds))(model, encoding).train(model.training)


@lru_cache
def _with(kinds: tuple[type, ...]) -> type[EncodedTable]:
    bases = tuple(_WITH[kind] for kind in kinds) or (EncodedTable,)
    return type("EncodedTable", bases, {"__doc__": EncodedTable.__doc__})
