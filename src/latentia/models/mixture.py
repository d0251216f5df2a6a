"""Mixtures: exact densities, samples and conditionals of rows of numbers and categories, also with missing values."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Self

import torch
from torch import Tensor

from latentia.core.model import Density, Generative, Imputes
from latentia.core.randomness import using_generator
from latentia.data.spec import DataSpec
from latentia.data.support import Measure
from latentia.errors import DataError, UnfitError, UsageError
from latentia.functional.mixtures.categories import Categories, uniform
from latentia.functional.mixtures.components import Components, covariance_named
from latentia.functional.mixtures.entries import Entries
from latentia.functional.mixtures.products import Product, product_parameters
from latentia.models.mixture_entries import entries_of, without
from latentia.registry import check_name, unknown

GAPS = ("modelled", "ignored")
_BLOCK_SIZE = 2**22  # components × rows × entries held at once: 32 MB


class MixtureModel(Generative, Density, Imputes):
    """p(x) = Σ_k π_k p(x | k), in float64, on rows flattened to D entries.

    p(x | k) is the product of a Gaussian of the numbers, a probability for each category, and one for each pattern of
    gaps where that is a part of the distribution.

    Args:
        data: what a row is.
        entries: which of its entries are numbers and which categories.
        components: K.
        covariance: the family of Σ_k: full, tied, diagonal or spherical.

    Raises:
        UsageError: for fewer than one component, or an unknown family.
    """

    def __init__(
        self, data: DataSpec, entries: Entries, *, components: int, covariance: str = "full"
    ) -> None:
        super().__init__()
        if components < 1:
            raise UsageError(f"components must be at least 1; got {components}")
        self.data = data
        self.entries = entries
        self.covariance = covariance_named(covariance)
        self.family = covariance

    @property
    @abstractmethod
    def components(self) -> Components:
        """The K weights, and the means and factors of covariances of the numbers."""

    @property
    def product(self) -> Product:
        """The K components, of numbers, categories and gaps."""
        weights = self.components.weights
        return Product(self.components, Categories(weights[:, None][:, :0], ()), self.entries)

    @property
    def is_gaussian(self) -> bool:
        """Whether the components are Gaussians of all entries, without categories or gaps."""
        return not self.entries.outcomes

    @property
    def measure(self) -> Measure:
        """The measure of the density: Lebesgue also where whole numbers are modelled by Gaussians."""
        support = self.data.support
        return support.measure if self.entries.categories or support.kind == "table" else "Lebesgue"

    @property
    def free_parameters(self) -> int:
        """Number of free parameters; components of weight 0 have none."""
        used = int((self.components.weights > 0).sum())
        return product_parameters(self.covariance, used, self.entries)

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Return log Σ_k π_k p(x | k) of each row: (B,) nats, a density even where Gaussians model whole numbers.

        Raises:
            DataError: for rows of another shape, or values outside the support; for NaN unless it may be missing.
        """
        return self.log_joint(x).logsumexp(-1)

    def responsibilities(self, x: Tensor) -> Tensor:
        """Return the posterior probabilities of components, p(k | x) = π_k p(x | k) / p(x): (B, K).

        Raises:
            DataError: for rows of another shape, or values outside the support.

        Reference: Bishop (2006), Pattern Recognition and Machine Learning, eq. 9.13.
        """
        return self.log_joint(x).softmax(-1)

    def log_joint(self, x: Tensor) -> Tensor:
        """Return log π_k + log p(x | k) for each row and component: (B, K) nats.

        Raises:
            DataError: for rows of another shape, or values outside the support.
        """
        self.data.check(x)
        product = self.product
        blocks = x.split(max(1, _BLOCK_SIZE // product.block))
        return torch.cat([product.log_joint(block.flatten(1).to(product.weights.dtype)) for block in blocks])

    def given(self, known: Mapping[int | str, float]) -> PlacedMixture:
        """Return the conditional distribution of a row's other entries, p(x_m | x_o), which is again a mixture.

        Args:
            known: the given values, by entry index (from 0, of the flattened row) or column name.

        Returns:
            A mixture on rows of the entries that are left, in their order.

        Raises:
            UsageError: for an unknown entry, one that is given twice, or when all entries are given.

        Example:
            >>> from latentia.data.spec import Support
            >>> other = GaussianMixture(DataSpec((2,), Support("real")), components=1).given({0: 3.0})
            >>> round(other.log_prob(torch.zeros(1, 1)).item(), 4)
            -0.9189
        """
        indices = tuple(self._entry(key) for key in known)
        if len(set(indices)) < len(indices) or not 0 < len(indices) < self.data.size:
            raise UsageError(
                f"given takes some of the {self.data.size} entries, each once, and leaves at least one; "
                f"got {', '.join(map(str, known)) or 'none'}"
            )
        values = self.components.means.new_tensor(list(known.values()))
        if not bool(values.isfinite().all()):
            raise DataError(f"given values must be finite numbers; got {dict(known)}")
        self._check_categories(dict(zip(indices, values, strict=True)))
        return self._like(without(self.data, indices)).placed(self.product.given(indices, values))

    @torch.no_grad()
    def impute(
        self,
        x: Tensor,
        context: Tensor | None = None,  # noqa: ARG002
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the rows with missing entries drawn, exactly, from their distribution given those that are there.

        A component is drawn from p(k | the entries that are there), and the others from it. An entry may be missing
        from a row also where the data has no gaps: that it is missing says nothing of its value.

        Args:
            x: (B, *event) rows, NaN where an entry is to be drawn.
            context: none.
            generator: where randomness comes from; torch's global state without one.

        Raises:
            DataError: for rows of another shape, or values outside the support.

        Example:
            >>> from latentia.data.spec import Support
            >>> mixture = GaussianMixture(DataSpec((2,), Support("real")), components=2)
            >>> filled = mixture.impute(torch.tensor([[1.0, torch.nan]]))
            >>> filled[0, 0].item(), filled.isfinite().all().item()
            (1.0, True)
        """
        replace(self.data, support=self.data.support.or_missing).check(x)
        product = self.product
        blocks = x.flatten(1).to(product.weights.dtype).split(max(1, _BLOCK_SIZE // product.block))
        with using_generator(generator):
            filled = torch.cat([product.filled(block) for block in blocks]).view(x.shape).to(x)
        return torch.where(x.isnan(), self.data.support.project(filled), x)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        context: Tensor | None = None,  # noqa: ARG002
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw n rows: a component from π, then a row from it, rounded to the support."""
        with using_generator(generator):
            flat = self.product.draw(n)
        return self.data.support.project(flat.view(n, *self.data.event_shape).to(torch.get_default_dtype()))

    def _like(self, data: DataSpec) -> PlacedMixture:
        """Return a mixture on other rows that is otherwise like this one."""
        return GaussianMixture(data, components=len(self.components.weights), covariance=self.family)

    def _check_categories(self, known: Mapping[int, Tensor]) -> None:
        """Raise `DataError` for a given category that does not exist."""
        columns = self.data.support.columns or (self.data.support,) * self.data.size
        for entry in self.entries.categories:
            if entry in known:
                columns[entry].check(known[entry][None], name=f"given entry {entry}")

    def _entry(self, key: int | str) -> int:
        """Return an entry's index for its index or its column's name."""
        if isinstance(key, int) and 0 <= key < self.data.size:
            return key
        if key in self.data.columns:
            return self.data.columns.index(str(key))
        known = self.data.columns or (f"0 to {self.data.size - 1}",)
        raise UsageError(unknown("entry", str(key), known))


class PlacedMixture(MixtureModel):
    """A mixture whose parameters are set in closed form; initially every component is N(0, I) and uniform.

    Args:
        data: what a row is.
        entries: which of its entries are numbers and which categories.
        components: K.
        covariance: the family of Σ_k: full, tied, diagonal or spherical.

    Attributes:
        weights: (K,) π.
        means: (K, d) μ, of the numbers.
        factors: (K, d, d) lower Cholesky factors of Σ_k, or (K, d) standard deviations.
        probabilities: (K, F) of the categories and of gaps, where there are any.
    """

    weights: Tensor
    means: Tensor
    factors: Tensor
    probabilities: Tensor

    def __init__(
        self, data: DataSpec, entries: Entries, *, components: int, covariance: str = "full"
    ) -> None:
        super().__init__(data, entries, components=components, covariance=covariance)
        K, d = components, len(entries.numbers)
        unit = torch.ones(d, dtype=torch.float64)
        unit = unit.diag() if self.covariance.matrix else unit
        self.register_buffer("weights", torch.full((K,), 1 / K, dtype=torch.float64))
        self.register_buffer("means", torch.zeros(K, d, dtype=torch.float64))
        self.register_buffer("factors", unit.expand(K, *unit.shape).clone())
        if entries.outcomes:
            self.register_buffer("probabilities", uniform(K, entries.groups))

    @property
    def components(self) -> Components:
        """The K weights, and the means and factors of covariances of the numbers."""
        return Components(self.weights, self.means, self.factors)

    @property
    def product(self) -> Product:
        """The K components, of numbers, categories and gaps."""
        if self.is_gaussian:
            return super().product
        return Product(self.components, Categories(self.probabilities, self.entries.groups), self.entries)

    @torch.no_grad()
    def placed(self, product: Product | Components) -> Self:
        """Set the parameters to those of K components, and return the mixture itself."""
        gaussian = product if isinstance(product, Components) else product.gaussian
        self.weights.copy_(gaussian.weights)
        self.means.copy_(gaussian.means)
        self.factors.copy_(gaussian.factors)
        if isinstance(product, Product) and not self.is_gaussian:
            self.probabilities.copy_(product.categories.probabilities)
        return self


class GaussianMixture(PlacedMixture):
    """A mixture of Gaussians; on mixed rows a latent-class model, Gaussian × categories within a component.

    Args:
        data: what a row is. Whole numbers are numbers, unless entries of other kinds are in the same table.
        components: K.
        covariance: the family of Σ_k: full, tied, diagonal or spherical.
        gaps: modelled, the density is that of the pattern of gaps and the values that are there; ignored, of the values
            alone.

    Example:
        >>> from latentia.data.spec import Support
        >>> mixture = GaussianMixture(DataSpec((1,), Support("real")), components=2)
        >>> mixture.responsibilities(torch.zeros(1, 1))
        tensor([[0.5000, 0.5000]], dtype=torch.float64)
    """

    def __init__(
        self, data: DataSpec, *, components: int, covariance: str = "full", gaps: str = "ignored"
    ) -> None:
        check_name("gaps", gaps, GAPS)
        entries = entries_of(data, gaps=gaps == "modelled", whole_numbers=("discrete",))
        super().__init__(data, entries, components=components, covariance=covariance)
        self.gaps = gaps

    def _like(self, data: DataSpec) -> PlacedMixture:
        K = len(self.weights)
        return GaussianMixture(data, components=K, covariance=self.family, gaps=self.gaps)


class CategoricalMixture(PlacedMixture):
    """A mixture of products of categorical distributions, for binary entries of Bernoulli distributions.

    Where entries may be missing, the density is that of the pattern of gaps and the values that are there.

    Args:
        data: what a row is: binary, categorical or discrete entries.
        components: K.

    Example:
        >>> from latentia.data.spec import Support
        >>> mixture = CategoricalMixture(DataSpec((3,), Support("binary")), components=2)
        >>> mixture.log_prob(torch.zeros(1, 3)).exp()
        tensor([0.1250], dtype=torch.float64)
    """

    def __init__(self, data: DataSpec, *, components: int) -> None:
        entries = entries_of(data, gaps=True)
        super().__init__(data, entries, components=components, covariance="diagonal")
        if entries.numbers:
            raise UnfitError(f"a mixture of categories has no numbers; this data is {data.support}")

    def _like(self, data: DataSpec) -> PlacedMixture:
        return CategoricalMixture(data, components=len(self.weights))
