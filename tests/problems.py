"""Planted problems: models whose exact answers are known in closed form."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import (
    Bernoulli,
    Distribution,
    Independent,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from latentia.core.model import Bounded, Decodes, Density, Encodes, Generative
from latentia.core.randomness import using_generator
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support
from latentia.distributions.diagonal_gaussian import DiagonalGaussian, StandardGaussian
from latentia.functional.bounds import iwae
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.score import Score
from latentia.metrics.scoring import score
from latentia.networks.registry import network_name, networks_with


class LinearGaussian(Generative, Density, Bounded, Encodes, Decodes):
    """z ~ N(0, I), x | z ~ N(Wz + b, s²I), in float64: everything about it is known.

    p(x) = N(b, WWᵀ + s²I) and p(z | x) = N(SWᵀ(x − b)/s², S) with S = (I + WᵀW/s²)⁻¹. The encoder is the
    exact posterior, its mean moved by ``slack`` and its standard deviations multiplied by 1 + ``slack``.
    """

    def __init__(self, weight: Tensor, bias: Tensor, noise: float, *, slack: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("weight", weight.double())
        self.register_buffer("bias", bias.double())
        self.noise, self.slack = noise, slack
        precision = torch.eye(weight.shape[1]).double() + self.weight.T @ self.weight / noise**2
        self.register_buffer("posterior_covariance", torch.linalg.inv(precision))

    @property
    def marginal(self) -> MultivariateNormal:
        covariance = self.weight @ self.weight.T + self.noise**2 * torch.eye(len(self.bias)).double()
        return MultivariateNormal(self.bias, covariance)

    @property
    def prior(self) -> MultivariateNormal:
        return MultivariateNormal(
            torch.zeros(self.weight.shape[1]).double(), torch.eye(self.weight.shape[1]).double()
        )

    def posterior(self, x: Tensor) -> MultivariateNormal:
        mean = (x.double() - self.bias) @ self.weight @ self.posterior_covariance / self.noise**2
        return MultivariateNormal(mean, self.posterior_covariance)

    def sample(self, n, context=None, *, generator=None) -> Tensor:
        with using_generator(generator):
            return self.decode(self.prior.sample((n,))).sample()

    def log_prob(self, x, context=None) -> Tensor:
        return self.marginal.log_prob(x.double())

    def encode(self, x, context=None) -> MultivariateNormal:
        exact = self.posterior(x)
        return MultivariateNormal(exact.mean + self.slack, (1 + self.slack) ** 2 * self.posterior_covariance)

    def decode(self, z, context=None) -> Distribution:
        return Independent(Normal(z @ self.weight.T + self.bias, self.noise), 1)

    def prior_distribution(self) -> DiagonalGaussian:
        zero = torch.zeros(self.weight.shape[1]).double()
        return StandardGaussian(zero, zero)

    def reconstruction(self, z: Tensor, x: Tensor, context=None) -> Tensor:
        return self.decode(z).log_prob(x.double())

    def log_weights(self, x: Tensor, samples: int, generator: torch.Generator | None = None) -> Tensor:
        """Return log p(x, z_k) − log q(z_k | x), (K, B)."""
        q = self.encode(x)
        with using_generator(generator):
            z = q.rsample((samples,))
        return self.decode(z).log_prob(x.double()) + self.prior.log_prob(z) - q.log_prob(z)

    def log_prob_bound(self, x, context=None, *, samples=1, repeats=1, generator=None) -> Tensor:
        bounds = [iwae(self.log_weights(x, samples, generator)) for _ in range(repeats)]
        return torch.stack(bounds).mean(0)

    def elbo(self, x: Tensor) -> Tensor:
        """Return E_q log p(x | z) − KL(q(z | x) ‖ p(z)), (B,) nats, in closed form."""
        q = self.encode(x)
        D, s2 = len(self.bias), self.noise**2
        trace = torch.trace(self.weight @ q.covariance_matrix[0] @ self.weight.T)
        square = (x.double() - self.bias - q.mean @ self.weight.T).square().sum(-1)
        reconstruction = -0.5 * (D * math.log(2 * math.pi * s2) + (square + trace) / s2)
        return reconstruction - kl_divergence(q, self.prior)

    def rows(self, n: int, seed: int = 0) -> Rows:
        """Return n rows drawn from the model."""
        x = self.sample(n, generator=torch.Generator().manual_seed(seed)).float()
        return Rows(x, DataSpec((len(self.bias),), Support("real")))


def linear_gaussian(*, slack: float = 0.0, seed: int = 0) -> LinearGaussian:
    """Return a problem with D = 4 and d = 2."""
    generator = torch.Generator().manual_seed(seed)
    weight, bias = torch.randn(4, 2, generator=generator), torch.randn(4, generator=generator)
    return LinearGaussian(weight, bias, noise=0.7, slack=slack)


def as_latent_variable(problem: LinearGaussian):
    """Return our VAE with the problem's weights, in float64, and with posteriors N(m + slack, diag S (1 + slack)²).

    They are exact where slack is 0 and S is diagonal, as it is for a weight with orthogonal columns.
    """
    import latentia as lt

    D, d = problem.weight.shape
    spec = DataSpec((D,), Support("real"))
    with torch.random.fork_rng():
        made = lt.recipes["vae"](spec, layers=0, latent_dim=d, likelihood="gaussian", sigma=problem.noise)
    model, S = made.objective.model.double().eval(), problem.posterior_covariance
    project = S @ problem.weight.T / problem.noise**2
    log_var = (S.diagonal() * (1 + problem.slack) ** 2).log()
    with torch.no_grad():
        model.likelihood.log_sigma.fill_(math.log(problem.noise))
        model.encoder.layers[0].weight.copy_(torch.cat([project, torch.zeros(d, D)]))
        model.encoder.layers[0].bias.copy_(torch.cat([-project @ problem.bias + problem.slack, log_var]))
        model.decoder.layers[0].weight.copy_(problem.weight)
        model.decoder.layers[0].bias.copy_(problem.bias)
    return model


class Coins(Generative, Density):
    """Independent fair coins: exactly 1 bit per dimension."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def sample(self, n, context=None, *, generator=None) -> Tensor:
        return torch.bernoulli(torch.full((n, self.size), 0.5), generator=generator)

    def log_prob(self, x, context=None) -> Tensor:
        return Independent(Bernoulli(torch.full((self.size,), 0.5)), 1).log_prob(x)

    def rows(self, n: int, seed: int = 0) -> Rows:
        """Return n rows drawn from the model."""
        x = self.sample(n, generator=torch.Generator().manual_seed(seed))
        return Rows(x, DataSpec((self.size,), Support("binary")))


def only(evaluation: Evaluation, name: str) -> Score:
    """Return the one score of a metric."""
    (result,) = score(evaluation, [name])
    return result


def real(size: int) -> DataSpec:
    """Return what rows of real vectors are."""
    return DataSpec((size,), Support("real"))


def small_sizes(network: str, data: DataSpec) -> dict[str, int]:
    """Return sizes that make the network of a name tiny; none where there is no network of that name."""
    names = [*networks_with("encoder", "decoder"), "auto"]
    if network not in names:
        return {}
    return {"width": 2} if network_name(network, data) in ("conv", "resnet") else {"hidden": 6, "layers": 1}
