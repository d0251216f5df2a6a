"""Gaussian mixtures: exact densities, samples and conditionals, also of rows with missing values."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from latentia.core.model import Density, Generative
from latentia.core.randomness import using_generator
from latentia.data.spec import DataSpec
from latentia.errors import DataError, UsageError
from latentia.functional.mixtures.components import Components, covariance_named, free_parameters
from latentia.functional.mixtures.conditioning import conditional, others
from latentia.functional.mixtures.missing_values import log_joint_with_missing
from latentia.registry import unknown

_BLOCK_SIZE = 2**22  # components × rows × entries held at once: 32 MB


class MixtureModel(Generative, Density):
    """p(x) = Σ_k π_k N(x; μ_k, Σ_k), in float64, on rows flattened to D entries.

    Args:
        data: what a row is; where an entry may be missing, NaN, a row's density is that of its other entries.
        components: K.
        covariance: the family of Σ_k: full, tied, diagonal or spherical.

    Raises:
        UsageError: for fewer than one component, or an unknown family.
    """

    measure = "Lebesgue"

    def __init__(self, data: DataSpec, *, components: int, covariance: str = "full") -> None:
        super().__init__()
        if components < 1:
            raise UsageError(f"components must be at least 1; got {components}")
        self.data = data
        self.covariance = covariance_named(covariance)
        self.family = covariance

    @property
    @abstractmethod
    def components(self) -> Components:
        """The K weights, means and factors of covariances."""

    @property
    def free_parameters(self) -> int:
        """Number of free parameters; components of weight 0 have none."""
        used = int((self.components.weights > 0).sum())
        return free_parameters(self.covariance, used, self.data.size)

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Return log Σ_k π_k N(x; μ_k, Σ_k) of each row: (B,) nats, a density even where rows are integers.

        Raises:
            DataError: for rows of another shape, or values outside the support; for NaN unless it may be missing.
        """
        return self.log_joint(x).logsumexp(-1)

    def responsibilities(self, x: Tensor) -> Tensor:
        """Return the posterior probabilities of components, p(k | x) = π_k N(x; μ_k, Σ_k) / p(x): (B, K).

        Raises:
            DataError: for rows of another shape, or values outside the support.

        Reference: Bishop (2006), Pattern Recognition and Machine Learning, eq. 9.13.
        """
        return self.log_joint(x).softmax(-1)

    def log_joint(self, x: Tensor) -> Tensor:
        """Return log π_k + log N(x; μ_k, Σ_k) for each row and component: (B, K) nats.

        Raises:
            DataError: for rows of another shape, or values outside the support.
        """
        self.data.check(x)
        components = self.components
        size = max(1, _BLOCK_SIZE // components.means.numel())
        blocks = (block.flatten(1).to(components.means.dtype) for block in x.split(size))
        if self.data.support.missing:
            return torch.cat([log_joint_with_missing(components, block) for block in blocks])
        return torch.cat([components.log_joint(block) for block in blocks])

    def given(self, known: Mapping[int | str, float]) -> GaussianMixture:
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
        names = self.data.columns or tuple(map(str, range(self.data.size)))
        indices = [self._entry(key) for key in known]
        if len(set(indices)) < len(indices) or not 0 < len(indices) < self.data.size:
            raise UsageError(
                f"given takes some of the {self.data.size} entries, each once, and leaves at least one; "
                f"got {', '.join(map(str, known)) or 'none'}"
            )
        components = self.components
        entries = torch.tensor(indices, device=components.means.device)
        values = components.means.new_tensor(list(known.values()))
        if not bool(values.isfinite().all()):
            raise DataError(f"given values must be finite numbers; got {dict(known)}")
        left = others(entries, self.data.size).tolist()
        columns = tuple(names[j] for j in left) if self.data.columns else ()
        spec = DataSpec((len(left),), self.data.support, columns=columns)
        mixture = GaussianMixture(spec, components=len(components.weights), covariance=self.family)
        return mixture.placed(conditional(components, entries, values))

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
            flat = self.components.draw(n)
        return self.data.support.project(flat.view(n, *self.data.event_shape).to(torch.get_default_dtype()))

    def _entry(self, key: int | str) -> int:
        """Return an entry's index for its index or its column's name."""
        if isinstance(key, int) and 0 <= key < self.data.size:
            return key
        if key in self.data.columns:
            return self.data.columns.index(str(key))
        known = self.data.columns or (f"0 to {self.data.size - 1}",)
        raise UsageError(unknown("entry", str(key), known))


class GaussianMixture(MixtureModel):
    """A mixture whose parameters are set in closed form; initially every component is N(0, I).

    Args:
        data: what a row is; where an entry may be missing, NaN, a row's density is that of its other entries.
        components: K.
        covariance: the family of Σ_k: full, tied, diagonal or spherical.

    Attributes:
        weights: (K,) π.
        means: (K, D) μ.
        factors: (K, D, D) lower Cholesky factors of Σ_k, or (K, D) standard deviations.

    Example:
        >>> from latentia.data.spec import Support
        >>> mixture = GaussianMixture(DataSpec((1,), Support("real")), components=2)
        >>> mixture.responsibilities(torch.zeros(1, 1))
        tensor([[0.5000, 0.5000]], dtype=torch.float64)
    """

    weights: Tensor
    means: Tensor
    factors: Tensor

    def __init__(self, data: DataSpec, *, components: int, covariance: str = "full") -> None:
        super().__init__(data, components=components, covariance=covariance)
        K, D = components, data.size
        unit = torch.ones(D, dtype=torch.float64)
        unit = unit.diag() if self.covariance.matrix else unit
        self.register_buffer("weights", torch.full((K,), 1 / K, dtype=torch.float64))
        self.register_buffer("means", torch.zeros(K, D, dtype=torch.float64))
        self.register_buffer("factors", unit.expand(K, *unit.shape).clone())

    @property
    def components(self) -> Components:
        """The K weights, means and factors of covariances."""
        return Components(self.weights, self.means, self.factors)

    @torch.no_grad()
    def placed(self, components: Components) -> GaussianMixture:
        """Set the parameters to those of K components, and return the mixture itself."""
        self.weights.copy_(components.weights)
        self.means.copy_(components.means)
        self.factors.copy_(components.factors)
        return self
