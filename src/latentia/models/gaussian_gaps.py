"""Missing entries of a Gaussian's rows, drawn exactly given the others."""

from abc import abstractmethod
from dataclasses import replace

import torch
from torch import Tensor

from latentia.core.model import Imputes
from latentia.core.randomness import using_generator
from latentia.data.spec import DataSpec
from latentia.functional.mixtures.components import Components
from latentia.functional.mixtures.conditioning import drawn_unknown


class FillsGaussian(Imputes):
    """A model of which rows are N(μ, Σ).

    Attributes:
        data: what a row is, flattened to D entries.
    """

    data: DataSpec

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """(D,) μ."""

    @property
    @abstractmethod
    def factor(self) -> Tensor:
        """(D, D) lower Cholesky factor of Σ, or (D,) standard deviations."""

    @torch.no_grad()
    def impute(
        self,
        x: Tensor,
        context: Tensor | None = None,  # noqa: ARG002
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the rows with missing entries drawn from N(μ_m + Σ_mo Σ_oo⁻¹ (x_o − μ_o), Σ_mm − Σ_mo Σ_oo⁻¹ Σ_om).

        Args:
            x: (B, *event) rows, NaN where an entry is to be drawn.
            context: none.
            generator: where randomness comes from; torch's global state without one.

        Raises:
            DataError: for rows of another shape, or values outside the support.

        Reference: Bishop (2006), Pattern Recognition and Machine Learning, eqs. 2.81 and 2.82.
        """
        replace(self.data, support=self.data.support.or_missing).check(x)
        mean, factor = self.mean, self.factor
        one = Components(mean.new_ones(1), mean[None], factor[None])
        flat, first = x.flatten(1).to(mean.dtype), torch.zeros(len(x), dtype=torch.long, device=x.device)
        with using_generator(generator):
            filled = drawn_unknown(one, flat, first).view(x.shape).to(x)
        return torch.where(x.isnan(), self.data.support.project(filled), x)
