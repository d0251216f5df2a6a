"""Mixtures whose components are products: a Gaussian of the numbers, categories, and gaps of the entries."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latentia.functional.mixtures.categories import Categories
from latentia.functional.mixtures.components import Components, Covariance, free_parameters
from latentia.functional.mixtures.conditioning import conditional, drawn_unknown
from latentia.functional.mixtures.entries import Entries
from latentia.functional.mixtures.m_step import Moments, maximised, weighted_moments
from latentia.functional.mixtures.missing_values import log_joint_with_missing, moments_with_missing


@dataclass(frozen=True)
class Product:
    """p(x) = Σ_k π_k N(numbers; μ_k, Σ_k) Π_g θ_kg(outcome of g), the latent-class model of mixed rows.

    The outcomes are those of the categories, and, where the entries have gaps, present or missing. Missing numbers and
    categories are integrated out, so that the density is that of the pattern of gaps and of the values that are there.

    Attributes:
        gaussian: the weights, and the Gaussians of the numbers.
        categories: the categorical variables.
        entries: what in a row is what.

    Reference: McLachlan and Peel (2000), Finite Mixture Models, section 5.8.
    """

    gaussian: Components
    categories: Categories
    entries: Entries

    @property
    def weights(self) -> Tensor:
        """(K,) π; a component of weight 0 is unused."""
        return self.gaussian.weights

    @property
    def block(self) -> int:
        """Numbers that one row takes in an E-step."""
        means = self.gaussian.means
        return means.numel() + (self.entries.outcomes and len(means) + self.entries.outcomes)

    def log_joint(self, x: Tensor, *, gaps_count: bool = True) -> Tensor:
        """Return log π_k + log p(x | k) of each row of (B, D): (B, K) nats.

        Args:
            x: rows, NaN where a value is missing.
            gaps_count: whether that an entry is missing counts as an outcome, or is not known.
        """
        numbers = self.entries.of_numbers(x)
        gapped = self.entries.missing or not gaps_count
        of = log_joint_with_missing if gapped and numbers.shape[1] else Components.log_joint
        found = of(self.gaussian, numbers)
        if not self.entries.outcomes:
            return found
        return found + self.categories.log_prob(self.entries.indicators(x, gaps_count=gaps_count))

    def expected(self, x: Tensor) -> ProductMoments:
        """Return the expected moments of a block of rows (B, D), NaN where a value is missing."""
        log_joint = self.log_joint(x)
        log_prob = log_joint.logsumexp(1)
        r = (log_joint - log_prob[:, None]).exp()
        numbers, gaussian = self.entries.of_numbers(x), self.gaussian
        if self.entries.missing and numbers.shape[1]:
            moments = moments_with_missing(gaussian, numbers, r, log_prob.sum())
        else:
            moments = weighted_moments(
                gaussian.deviations(numbers), r, gaussian.means, log_prob.sum(), matrix=gaussian.matrix
            )
        return ProductMoments(moments, r.mT @ self.entries.indicators(x))

    def draw(self, n: int) -> Tensor:
        """Draw n rows from torch's global generator: a component from π, then a row from it: (n, D)."""
        k = self.gaussian.drawn_components(n)
        numbers = self.gaussian.rows_of(k)
        return self.entries.joined(numbers, self.categories.draw(k)) if self.entries.outcomes else numbers

    def filled(self, x: Tensor) -> Tensor:
        """Return rows (B, D) whose missing values are drawn given the others, from torch's global generator.

        A component is drawn from p(k | the values that are there), and then the values from it. That a value is
        missing says nothing of it here.

        Reference: Rubin (1987), Multiple Imputation for Nonresponse in Surveys, section 5.2.
        """
        k = self.log_joint(x, gaps_count=False).softmax(1).multinomial(1)[:, 0]
        numbers = self.entries.of_numbers(x)
        numbers = drawn_unknown(self.gaussian, numbers, k) if numbers.shape[1] else numbers
        outcomes = self.categories.draw(k)
        outcomes[:, len(self.entries.categories) :] = 0
        return torch.where(x.isnan(), self.entries.joined(numbers, outcomes), x)

    def given(self, known: tuple[int, ...], values: Tensor) -> Product:
        """Return the conditional of the other entries given some: a product again.

        Args:
            known: the given entries.
            values: theirs.
        """
        row = values.new_full((1, self.entries.size), torch.nan)
        row[0, list(known)] = values
        place = {entry: j for j, entry in enumerate(self.entries.numbers)}
        numbers = torch.tensor(
            [place[e] for e in known if e in place], dtype=torch.long, device=values.device
        )
        of_categories = self.categories.log_prob(self.entries.indicators(row, gaps_count=False))[0]
        at = self.entries.of_numbers(row)[0, numbers]
        gaussian = conditional(self.gaussian, numbers, at, of_categories)
        owners = (*self.entries.categories, *self.entries.gaps)
        keep = [owner not in known for owner in owners]
        thetas = self.categories.probabilities.split(list(self.entries.groups), dim=1)
        kept = [theta for theta, kept in zip(thetas, keep, strict=True) if kept]
        left = self.entries.without(known)
        theta = torch.cat([self.categories.probabilities[:, :0], *kept], dim=1)
        return Product(gaussian, Categories(theta, left.groups), left)

    def padded(self, components: int) -> Product:
        """Return the same distribution with copies of its first component, of weight 0, appended."""
        theta = self.categories.probabilities
        more = theta[:1].expand(components - len(theta), -1)
        categories = Categories(torch.cat([theta, more]), self.categories.groups)
        return Product(self.gaussian.padded(components), categories, self.entries)


@dataclass(frozen=True)
class ProductMoments:
    """The sufficient statistics of an M-step of products; those of two sets of rows add.

    Attributes:
        gaussian: of the numbers, with the counts of the components and the log-likelihood.
        outcomes: (K, F) the expected numbers of rows of a component with an outcome.
    """

    gaussian: Moments
    outcomes: Tensor

    @property
    def log_likelihood(self) -> Tensor:
        """Σ_i log p(x_i), in nats."""
        return self.gaussian.log_likelihood

    def __add__(self, other: ProductMoments) -> ProductMoments:
        """Return the moments of both sets of rows, which must be about the same points."""
        return ProductMoments(self.gaussian + other.gaussian, self.outcomes + other.outcomes)

    def __mul__(self, count: float | Tensor) -> ProductMoments:
        """Return the moments as if every row counted ``count`` times."""
        return ProductMoments(self.gaussian * count, self.outcomes * count)

    def moved(self, about: Tensor) -> ProductMoments:
        """Return the moments about other points (K, d)."""
        return ProductMoments(self.gaussian.moved(about), self.outcomes)


@dataclass(frozen=True)
class MStep:
    """The M-step of products: each part by its own rule, the Gaussians regularised and the categories smoothed.

    Attributes:
        family: of the covariances.
        ridge: (d,) added to the variances.
        pseudo_count: added to the count of every category and of gaps, in rows.
    """

    family: Covariance
    ridge: Tensor
    pseudo_count: float = 0.0

    def __call__(self, moments: ProductMoments, old: Product) -> Product:
        """Return the components after the step, from the moments under the old ones."""
        gaussian = maximised(moments.gaussian, old.gaussian, self.family, self.ridge)
        categories = old.categories.maximised(moments.outcomes, self.pseudo_count)
        return Product(gaussian, categories, old.entries)


def product_parameters(family: Covariance, components: int, entries: Entries) -> int:
    """Return the number of free parameters: those of the weights and Gaussians, and L − 1 of each categorical variable.

    Example:
        >>> from latentia.functional.mixtures.components import COVARIANCES
        >>> product_parameters(COVARIANCES["full"], 2, Entries((0,), (1, 2), (2, 3)))
        11
    """
    d = len(entries.numbers)
    of_numbers = free_parameters(family, components, d) if d else components - 1
    return of_numbers + components * sum(size - 1 for size in entries.groups)
