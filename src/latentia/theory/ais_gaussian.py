"""Annealed importance sampling of z ~ N(0, I), x | z ~ N(Wz + b, s²I), where everything has a closed form.

f_β(z) ∝ p(z) p(x | z)^β is the Gaussian N(m_β, S_β), S_β = (I + β WᵀW/s²)⁻¹ and m_β = β S_β Wᵀ(x − b)/s². So the
transitions can be exact draws, and the expected log-weights are sums of E_β log p(x | z). Tests of AIS compare with it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from latentia.functional.gaussian.densities import LOG_2PI
from latentia.functional.likelihood.ais import Move, Path, Point


@dataclass(frozen=True)
class GaussianPath:
    """The annealing path of B rows of D entries with codes of d entries.

    Attributes:
        weight: (D, d) W.
        deviations: (B, D) x − b.
        noise: s.
    """

    weight: Tensor
    deviations: Tensor
    noise: float

    def path(self) -> Path:
        """Return the path for `ais`: log N(z; 0, I), and log p(x | z) as the ratio."""
        return Path(lambda z: -0.5 * (z.square() + LOG_2PI).sum(-1), self.log_ratio)

    def log_ratio(self, z: Tensor) -> Tensor:
        """Return log p(x | z) of codes (C, B, d): (C, B) nats."""
        errors = (self.deviations - z @ self.weight.mT) / self.noise
        return -0.5 * (errors.square() + LOG_2PI).sum(-1) - self._log_noise()

    def distribution(self, beta: float) -> MultivariateNormal:
        """Return f_β, normalised: batch shape (B,), event shape (d,)."""
        scaled = self.weight / self.noise
        identity = torch.eye(self.weight.shape[1], dtype=scaled.dtype)
        S = torch.linalg.inv(identity + beta * scaled.mT @ scaled)
        return MultivariateNormal(beta * self.deviations / self.noise @ scaled @ S, S)

    def log_evidence(self) -> Tensor:
        """Return log p(x) = log N(x; b, WWᵀ + s²I): (B,) nats."""
        identity = torch.eye(len(self.weight), dtype=self.weight.dtype)
        cov = self.weight @ self.weight.mT + self.noise**2 * identity
        return MultivariateNormal(torch.zeros_like(self.deviations), cov).log_prob(self.deviations)

    def expected_ratio(self, betas: Tensor) -> Tensor:
        """Return E log p(x | z) under f_β at T inverse temperatures: (T, B) nats.

        −½ (‖x − b − W m_β‖² + tr W S_β Wᵀ)/s² − ½ D log 2πs², in the basis of the eigenvectors V of WᵀW/s², where
        S_β = diag 1/(1 + βλ): with u = VᵀWᵀ(x − b)/s² and m = βu/(1 + βλ), the first term is
        ‖x − b‖²/s² − 2 mᵀu + mᵀ diag(λ) m.
        """
        scaled = self.weight / self.noise
        values, V = torch.linalg.eigh(scaled.mT @ scaled)
        u = self.deviations / self.noise @ scaled @ V
        beta = betas.to(u)[:, None, None]
        shrunk = 1 + beta * values
        m = beta * u / shrunk
        squares = (m * (values * m - 2 * u) + values / shrunk).sum(-1)
        squares = squares + (self.deviations / self.noise).square().sum(-1)
        return -0.5 * (squares + len(self.weight) * LOG_2PI) - self._log_noise()

    def expected_log_weight(self, betas: Tensor, *, reverse: bool = False) -> Tensor:
        """Return E log w of one chain with exact transitions: (B,) nats, the forward or the reverse bound.

        Σ_t (β_t − β_{t−1}) E_{β_{t−1}} log p(x | z), or E_{β_t} in reverse. With linear temperatures they differ by
        (E_1 − E_0)/T.

        Reference: Grosse, Maddison and Salakhutdinov (2013), Annealing between distributions by averaging moments,
        equation 5.
        """
        terms = self.expected_ratio(betas[1:] if reverse else betas[:-1])
        return betas.diff().to(terms) @ terms

    def exact_move(self, betas: Tensor, generator: torch.Generator | None = None) -> Move:
        """Return transitions that draw from f_β independently of the current state, for `ais` and `reverse_ais`."""
        path = self.path()

        def move(point: Point, t: int) -> tuple[Point, Tensor]:
            target = self.distribution(float(betas[t]))
            noise = torch.randn(point.z.shape, dtype=point.z.dtype, generator=generator)
            z = target.mean + (target.scale_tril @ noise[..., None])[..., 0]
            return path.at(z), torch.ones_like(point.ratio)

        return move

    def _log_noise(self) -> Tensor:
        return len(self.weight) * torch.tensor(self.noise, dtype=self.weight.dtype).log()
