"""From a model and rows to codes and factors, and from an estimate to a score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from latentia.data.attributes import Attribute
from latentia.data.rows import Rows
from latentia.errors import DataError
from latentia.metrics.disentanglement.estimate import Estimate
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.score import Score


@dataclass(frozen=True)
class LatentsAndFactors:
    """The mean codes of rows, and the factors that vary in them.

    Attributes:
        codes: (n, d) float64.
        factors: (n, F) int64, the number of each row's value.
        known: the F factors.
        constant: the names of factors with one value in all rows, which are left out.
    """

    codes: Tensor
    factors: Tensor
    known: tuple[Attribute, ...]
    constant: tuple[str, ...] = ()

    def chosen(self, which: Callable[[Attribute], bool]) -> LatentsAndFactors:
        """Return the same codes with some of the factors."""
        kept = [j for j, factor in enumerate(self.known) if which(factor)]
        return LatentsAndFactors(
            self.codes, self.factors[:, kept], tuple(self.known[j] for j in kept), self.constant
        )


def coded(evaluation: Evaluation, *, at_least: int = 1) -> LatentsAndFactors:
    """Return the codes and the factors of an evaluation's rows.

    Args:
        evaluation: a model that encodes, and rows with factors or with classes, which are then the only factor.
        at_least: factors that have to vary.

    Raises:
        DataError: for rows of which nothing is known, or with fewer factors that vary.
    """
    known, numbers = _known(evaluation.rows)
    varies = (numbers != numbers[:1]).any(0).tolist()
    constant = tuple(factor.name for factor, some in zip(known, varies, strict=True) if not some)
    if sum(varies) < at_least:
        raise DataError(
            f"at least {at_least} factors must vary in the rows; "
            f"{', '.join(constant)} {'has' if len(constant) == 1 else 'have'} one value"
        )
    everything = LatentsAndFactors(evaluation.codes, numbers, known, constant)
    return everything.chosen(lambda factor: factor.name not in constant)


def scored(metric: str, unit: str, rows: LatentsAndFactors, estimate: Estimate) -> Score:
    """Return an estimate as a score, with the factors and the number of codes among its settings."""
    about = {"codes": rows.codes.shape[1], "factors": [factor.name for factor in rows.known]}
    constant = {"left out (one value)": list(rows.constant)} if rows.constant else {}
    return Score(
        metric,
        estimate.value,
        estimate.stderr,
        unit=unit,
        kind="estimate",
        n=len(rows.codes),
        settings={**estimate.settings, **about, **constant},
        direction="higher",
    )


def _known(rows: object) -> tuple[tuple[Attribute, ...], Tensor]:
    """Return the factors of rows and their numbers (n, F), or their class as the only factor."""
    if isinstance(rows, Rows) and rows.spec.factors and rows.factor_values is not None:
        return rows.spec.factors, rows.factor_values
    if isinstance(rows, Rows) and rows.spec.classes and rows.labels is not None:
        return (Attribute("class", rows.spec.classes),), rows.labels[:, None].to(torch.int64)
    raise DataError(
        "nothing is known of how the rows came about: give rows with factors, as the sets dsprites, chairs and "
        "coil20 and Rows.with_factors have them"
    )
