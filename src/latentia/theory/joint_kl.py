"""The joint KL, which maximising the ELBO minimises, and its decompositions in closed form.

KL(p_data(x) q(z|x) ‖ p(x, z)) = KL(p_data ‖ p) + E KL(q(z|x) ‖ p(z|x)) = −H(p_data) − E ELBO(x), E over p_data

The first form is the interpretation: a model gap, the divergence of the model from the data, plus an inference gap,
that of the encoder from the model's posterior. The second can be computed without p(x), up to the constant
−H(p_data). Where codes of the data are given, q(z|x) is p_data(z|x), and both forms hold unchanged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from latentia.errors import DataError, UsageError
from latentia.functional.checks import finite, probability_vectors
from latentia.functional.discrete import cross_entropy, entropy, kl_categorical
from latentia.functional.gaussian.densities import (
    LOG_2PI,
    cholesky_factor,
    kl_gaussian,
    log_det_from_factor,
)


@dataclass(frozen=True)
class JointKL:
    """A joint KL and its parts, all () in nats; each has a formula of its own, so that the sums can be checked.

    Attributes:
        value: KL(p_data(x) q(z|x) ‖ p(x, z)), by its definition.
        model_gap: KL(p_data ‖ p).
        inference_gap: E KL(q(z|x) ‖ p(z|x)).
        data_entropy: H(p_data).
        log_likelihood: E log p(x).
        reconstruction: E E_q log p(x|z).
        rate: E KL(q(z|x) ‖ p(z)).
    """

    value: Tensor
    model_gap: Tensor
    inference_gap: Tensor
    data_entropy: Tensor
    log_likelihood: Tensor
    reconstruction: Tensor
    rate: Tensor

    @property
    def conceptual(self) -> Tensor:
        """The model gap and the inference gap."""
        return self.model_gap + self.inference_gap

    @property
    def computational(self) -> Tensor:
        """−H(p_data) − E ELBO."""
        return -self.data_entropy - self.elbo

    @property
    def elbo(self) -> Tensor:
        """E ELBO as reconstruction minus rate: the form that is computed."""
        return self.reconstruction - self.rate

    @property
    def elbo_as_likelihood(self) -> Tensor:
        """E ELBO as log-likelihood minus inference gap: the form that shows it is a bound."""
        return self.log_likelihood - self.inference_gap


def joint_kl(data: Tensor, posterior: Tensor, joint: Tensor) -> JointKL:
    """Return the joint KL of finitely many rows and codes.

    Args:
        data: (X,) p_data(x).
        posterior: (X, Z) q(z|x), or p_data(z|x) where codes of the data are given.
        joint: (X, Z) p(x, z).

    Raises:
        UsageError: for shapes that do not fit.
        DataError: for probabilities that do not sum to one, or a row of data or a code of probability 0 under the
            model.

    Reference: Kingma & Welling (2019), An Introduction to Variational Autoencoders, section 2.2, for the bound's forms.

    Example:
        >>> parts = joint_kl(torch.tensor([0.5, 0.5]), torch.eye(2), torch.full((2, 2), 0.25))
        >>> parts.value, parts.model_gap, parts.inference_gap  # log 2, 0 and log 2
        (tensor(0.6931), tensor(0.), tensor(0.6931))
    """
    _check_tables(data, posterior, joint)
    seen = data > 0  # rows of probability 0 contribute nothing
    p_data, q, p_xz = data[seen], posterior[seen], joint[seen]
    p_x, p_z = p_xz.sum(1), joint.sum(0)
    of_codes = p_z.expand_as(q)
    given_z = (p_xz / p_z.where(p_z > 0, 1)).log().where(q > 0, 0)
    return JointKL(
        value=kl_categorical((data[:, None] * posterior).flatten(), joint.flatten()),
        model_gap=kl_categorical(data, joint.sum(1)),
        inference_gap=(p_data * kl_categorical(q, p_xz / p_x[:, None])).sum(),
        data_entropy=entropy(data),
        log_likelihood=-cross_entropy(data, joint.sum(1)),
        reconstruction=(p_data * (q * given_z).sum(1)).sum(),
        rate=(p_data * kl_categorical(q, of_codes)).sum(),
    )


def _check_tables(data: Tensor, posterior: Tensor, joint: Tensor) -> None:
    if data.dim() != 1 or joint.dim() != 2 or posterior.shape != joint.shape or len(data) != len(joint):
        shapes = ", ".join(str(tuple(each.shape)) for each in (data, posterior, joint))
        raise UsageError(f"data, posterior and joint must be (X,), (X, Z) and (X, Z); got {shapes}")
    probability_vectors(data=data)
    probability_vectors(posterior=posterior)
    probability_vectors(joint=joint.flatten())
    ruled_out = int(((data[:, None] * posterior > 0) & (joint <= 0)).sum())
    if ruled_out:
        raise DataError(
            f"p(x, z) is 0 at {ruled_out} pairs of positive probability under data and posterior: the KL is infinite"
        )


@dataclass(frozen=True)
class LinearModel:
    """z ~ N(0, I), x | z ~ N(Wz + b, s²I).

    Attributes:
        weight: (D, d) W.
        bias: (D,) b.
        noise: s.
    """

    weight: Tensor
    bias: Tensor
    noise: float

    @property
    def covariance(self) -> Tensor:
        """WWᵀ + s²I, of p(x): (D, D)."""
        return self.weight @ self.weight.mT + self.noise**2 * _identity(self.weight, 0)

    @property
    def posterior(self) -> LinearEncoder:
        """p(z|x) = N(S Wᵀ(x − b)/s², S), S = (I + WᵀW/s²)⁻¹."""
        W, s2 = self.weight, self.noise**2
        S = torch.linalg.inv(_identity(W, 1) + W.mT @ W / s2)
        G = S @ W.mT / s2
        return LinearEncoder(G, -G @ self.bias, S)


@dataclass(frozen=True)
class LinearEncoder:
    """q(z|x) = N(Ax + c, V).

    Attributes:
        weight: (d, D) A.
        bias: (d,) c.
        covariance: (d, d) V, positive definite.
    """

    weight: Tensor
    bias: Tensor
    covariance: Tensor


def joint_kl_linear_gaussian(
    mean: Tensor, covariance: Tensor, encoder: LinearEncoder, model: LinearModel
) -> JointKL:
    """Return the joint KL of Gaussian data, a linear encoder and a linear decoder, in closed form.

    Args:
        mean: (D,) of p_data.
        covariance: (D, D) of p_data, positive definite.
        encoder: q(z|x), or a p_data(z|x) of this form.
        model: p(x, z).

    Raises:
        UsageError: for shapes that do not fit.
        DataError: for values that are not finite, or covariances that are not positive definite.

    Reference: Lucas et al. (2019), Don't Blame the ELBO! A Linear VAE Perspective on Posterior Collapse, for the
    bound.

    Example:
        >>> model = LinearModel(torch.ones(1, 1), torch.zeros(1), noise=1.0)
        >>> parts = joint_kl_linear_gaussian(torch.zeros(1), 2 * torch.eye(1), model.posterior, model)
        >>> parts.value, parts.elbo == parts.log_likelihood  # data of the model, and its own posterior
        (tensor(0.), tensor(True))
    """
    finite(mean=mean, covariance=covariance)
    S, A, V = covariance, encoder.weight, encoder.covariance
    codes = A @ mean + encoder.bias
    posterior = model.posterior
    return JointKL(
        value=kl_gaussian(*_joint_moments(mean, S, encoder), *_model_moments(model)),
        model_gap=kl_gaussian(mean, S, model.bias, model.covariance),
        inference_gap=_mean_kl(mean, S, encoder, posterior),
        data_entropy=_entropy(S),
        log_likelihood=_log_likelihood(mean, S, model),
        reconstruction=_reconstruction(mean, S, encoder, model),
        rate=kl_gaussian(codes, V, torch.zeros_like(codes), _identity(V, 0))
        + 0.5 * torch.trace(A @ S @ A.mT),
    )


def _entropy(covariance: Tensor) -> Tensor:
    """½ (D log 2πe + log det Σ)."""
    log_det = log_det_from_factor(cholesky_factor(covariance, "covariance"))
    return 0.5 * (len(covariance) * (LOG_2PI + 1) + log_det).to(covariance.dtype)


def _log_likelihood(mean: Tensor, covariance: Tensor, p: LinearModel) -> Tensor:
    """−½ [D log 2π + log det C + tr C⁻¹ (S + δδᵀ)], C of p(x), δ = E x − b."""
    C, difference = p.covariance, mean - p.bias
    second = covariance + torch.outer(difference, difference)
    log_det = log_det_from_factor(cholesky_factor(C, "covariance")).to(C.dtype)
    return -0.5 * (len(mean) * LOG_2PI + log_det + torch.trace(torch.linalg.solve(C, second)))


def _mean_kl(mean: Tensor, covariance: Tensor, q: LinearEncoder, p: LinearEncoder) -> Tensor:
    """E KL(q(z|x) ‖ p(z|x)): its value at the mean row, plus ½ tr Σ_p⁻¹ B S Bᵀ, B the difference of the slopes."""
    B = q.weight - p.weight
    at_mean = kl_gaussian(q.weight @ mean + q.bias, q.covariance, p.weight @ mean + p.bias, p.covariance)
    return at_mean + 0.5 * torch.trace(torch.linalg.solve(p.covariance, B @ covariance @ B.mT))


def _reconstruction(mean: Tensor, covariance: Tensor, q: LinearEncoder, p: LinearModel) -> Tensor:
    """−½ [D log 2πs² + E‖x − b − W(Ax + c + ε)‖²/s²], ε ~ N(0, V)."""
    W, s2 = p.weight, p.noise**2
    left = _identity(covariance, 0) - W @ q.weight
    bias = left @ mean - p.bias - W @ q.bias
    square = (
        bias.square().sum() + torch.trace(left @ covariance @ left.mT) + torch.trace(W @ q.covariance @ W.mT)
    )
    return -0.5 * (len(mean) * (LOG_2PI + math.log(s2)) + square / s2)


def _joint_moments(mean: Tensor, covariance: Tensor, q: LinearEncoder) -> tuple[Tensor, Tensor]:
    """Return mean and covariance of (x, z) with x from the data and z from the encoder."""
    A, S = q.weight, covariance
    blocks = [torch.cat([S, S @ A.mT], 1), torch.cat([A @ S, A @ S @ A.mT + q.covariance], 1)]
    return torch.cat([mean, A @ mean + q.bias]), torch.cat(blocks)


def _model_moments(p: LinearModel) -> tuple[Tensor, Tensor]:
    """Return mean and covariance of (x, z) under the model."""
    W = p.weight
    blocks = [torch.cat([p.covariance, W], 1), torch.cat([W.mT, _identity(W, 1)], 1)]
    return torch.cat([p.bias, torch.zeros_like(W[0])]), torch.cat(blocks)


def _identity(like: Tensor, dim: int) -> Tensor:
    return torch.eye(like.shape[dim], dtype=like.dtype, device=like.device)
