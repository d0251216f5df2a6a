"""Transforms of rows: pure functions of a row, its number and the epoch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from torch import Tensor

from latentia.data.randomness import uniforms
from latentia.data.spec import DataSpec, Support, require
from latentia.errors import UsageError

Kind = Literal["fixed", "dynamic", "threshold"]


@dataclass(frozen=True)
class Binarise:
    """Turn grey values into 0 and 1.

    ``fixed``: x ~ Bernoulli(grey / max), once and for all, a function of (seed, row number).
    ``dynamic``: the same, drawn anew each epoch, a function of (seed, row number, epoch).
    ``threshold``: x = 1 where grey > max / 2.
    How rows are batched does not matter. Salakhutdinov and Murray (2008), section 6, binarised MNIST this way
    once; Burda, Grosse and Salakhutdinov (2016), section 5, anew each epoch.

    Args:
        kind: one of the three.
        seed: of the draws.
        high: max, the largest grey value; ``on`` takes it from the data's support.

    Example:
        >>> import torch
        >>> grey = torch.tensor([[0.0, 100.0, 200.0]])
        >>> Binarise("threshold", high=255.0)(grey, torch.tensor([0]), epoch=0)
        tensor([[0., 0., 1.]])
    """

    kind: Kind
    seed: int = 0
    high: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise UsageError(f"unknown binarisation {self.kind!r}; there are: {', '.join(get_args(Kind))}")

    @property
    def fixed(self) -> bool:
        """Whether every epoch is the same."""
        return self.kind != "dynamic"

    def on(self, spec: DataSpec) -> Binarise:
        """Return the same transform for grey data of this spec; `UsageError` where there are no greys."""
        require(spec, "binarisation", ("binary", "discrete", "unit"))
        _, high = spec.support.bounds or (0.0, 1.0)
        return replace(self, high=high)

    def spec(self, spec: DataSpec) -> DataSpec:
        """Return the same spec with binary support."""
        return replace(spec, support=Support("binary"))

    def __call__(self, x: Tensor, index: Tensor, epoch: int) -> Tensor:
        """Return (B, *event) zeros and ones for (B, *event) grey rows with numbers (B,)."""
        grey = x / self.high
        if self.kind == "threshold":
            return (grey > 0.5).to(x.dtype)
        keys = (self.seed, epoch) if self.kind == "dynamic" else (self.seed,)
        uniform = uniforms(index, x[0].numel(), *keys).reshape(x.shape)
        return (uniform.to(x.device) < grey).to(x.dtype)


@dataclass(frozen=True)
class GivenFactors:
    """Leave rows as they are and drop their classes and conditions, so that their context is made of their factors.

    Example:
        >>> from latentia.data.attributes import Attribute
        >>> spec = DataSpec((2,), Support("real")).with_classes("ab").with_role("factor", [Attribute("size", (1, 2))])
        >>> [[factor.name for factor in each.context] for each in (spec, GivenFactors().spec(spec))]
        [['class'], ['size']]
    """

    @property
    def fixed(self) -> bool:
        """Whether every epoch is the same."""
        return True

    def on(self, spec: DataSpec) -> GivenFactors:
        """Return the same transform; `UsageError` for data without factors."""
        if not spec.factors:
            raise UsageError("nothing is known of this data's factors")
        return self

    def spec(self, spec: DataSpec) -> DataSpec:
        """Return the same spec without classes and conditions."""
        return spec.with_classes(()).with_role("condition", [])

    def __call__(self, x: Tensor, index: Tensor, epoch: int) -> Tensor:  # noqa: ARG002  (as all transforms)
        """Return the rows."""
        return x
