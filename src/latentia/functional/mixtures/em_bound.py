"""EM as the ascent of a bound, the free energy: its value and the log-likelihood after each E-step and M-step."""

from dataclasses import dataclass

import torch
from torch import Tensor

from latentia.errors import UsageError
from latentia.functional.checks import same_shape
from latentia.functional.mixtures.components import Components, Covariance
from latentia.functional.mixtures.m_step import maximised, weighted_moments


@dataclass(frozen=True)
class Ascent:
    """The bound and the log-likelihood over T steps of EM, in nats per row.

    Entry 0 is the start, entries 1, 3, … come after an E-step, entries 2, 4, … after an M-step.

    Attributes:
        bound: (2T + 1,) the mean ELBO of q and the components.
        log_likelihood: (2T + 1,) the mean log p(x) of the components.
        components: after the last step.
    """

    bound: Tensor
    log_likelihood: Tensor
    components: Components

    @property
    def gap(self) -> Tensor:
        """(2T + 1,) the inference gap, the mean KL(q ‖ p(k | x)): 0 after an E-step."""
        return self.log_likelihood - self.bound


def ascent(x: Tensor, start: Components, family: Covariance, *, steps: int) -> Ascent:
    """Return the half-steps of EM from given components and a uniform q.

    The E-step sets q_ik = p(k | x_i), the M-step the components that maximise the bound for that q.

    Args:
        x: (B, D) rows, of the components' dtype.
        start: the initial components.
        family: of the covariances.
        steps: T, at least 1.

    Raises:
        UsageError: for fewer than 1 step.
        DataError: for a covariance that becomes singular.

    Reference: Neal and Hinton (1998), A view of the EM algorithm that justifies incremental, sparse, and other
    variants, theorem 2.

    Example:
        >>> from latentia.functional.mixtures.components import COVARIANCES
        >>> x = torch.tensor([[0.0], [1.0], [4.0], [5.0]])
        >>> start = Components(torch.tensor([0.5, 0.5]), x[1:3], torch.ones(2, 1))
        >>> ascent(x, start, COVARIANCES["diagonal"], steps=2).gap[[1, 3]].abs().max() < 1e-6
        tensor(True)
    """
    if steps < 1:
        raise UsageError(f"steps must be at least 1; got {steps}")
    components, log_joint = start, start.log_joint(x)
    q = torch.full_like(log_joint, 1 / log_joint.shape[1])
    states = [(log_joint, q)]
    for _ in range(steps):
        q = log_joint.softmax(1)
        states.append((log_joint, q))
        components = _most_likely(x, components, family, q)
        log_joint = components.log_joint(x)
        states.append((log_joint, q))
    return Ascent(
        torch.stack([free_energy(log_joint, q).mean() for log_joint, q in states]),
        torch.stack([log_joint.logsumexp(1).mean() for log_joint, _ in states]),
        components,
    )


def free_energy(log_joint: Tensor, q: Tensor) -> Tensor:
    """Return the ELBO Σ_k q_k (log p(x, k) − log q_k) = log p(x) − KL(q ‖ p(k | x)) of each row: (B,) nats.

    With q = p(k | x) it is log p(x).

    Args:
        log_joint: (B, K) log p(x, k).
        q: (B, K) probabilities of the components.

    Reference: Neal and Hinton (1998), A view of the EM algorithm that justifies incremental, sparse, and other
    variants, eq. 7, with the sign of a bound.

    Example:
        >>> log_joint = torch.tensor([[0.2, 0.1]]).log()
        >>> bound, log_prob = free_energy(log_joint, log_joint.softmax(1)), log_joint.logsumexp(1)
        >>> bool(torch.allclose(bound, log_prob))
        True
    """
    same_shape(log_joint=log_joint, q=q)
    terms = torch.where(q > 0, q * log_joint, 0.0) - torch.special.xlogy(q, q)
    return terms.sum(1)


def _most_likely(x: Tensor, old: Components, family: Covariance, q: Tensor) -> Components:
    """Do the M-step, without regularisation."""
    unused = x.new_zeros(())  # the moments' log-likelihood, which the M-step does not read
    moments = weighted_moments(old.deviations(x), q, old.means, unused, matrix=family.matrix)
    return maximised(moments, old, family, torch.zeros_like(x[0]))
