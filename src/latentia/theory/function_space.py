"""The GAN game in function space: the generator's distribution descends its loss against an optimal critic."""

from dataclasses import dataclass

import torch
from torch import Tensor

from latentia.errors import DataError, UsageError
from latentia.functional.checks import probability_vectors
from latentia.functional.discrete import jensen_shannon
from latentia.functional.gan.loss_pairs import LossPair


@dataclass(frozen=True)
class FunctionSpaceGame:
    """The course of a game in function space.

    Attributes:
        distributions: (steps + 1, K) q after each step, from the start on.
        jensen_shannon: (steps + 1,) JSD(p, q) in nats.
    """

    distributions: Tensor
    jensen_shannon: Tensor


def play_in_function_space(
    losses: LossPair, p: Tensor, logits: Tensor, *, steps: int, lr: float = 1.0
) -> FunctionSpaceGame:
    """Let the generator's distribution descend its loss, against the optimal critic at each step.

    q = softmax(a) over K bins; s_k = the optimal score at p_k/q_k; a ← a − h ∂/∂a Σ_k q_k l(s_k) with s held constant,
    whose gradient is q_k (l_k − Σ_j q_j l_j), l = l(s).

    For the minimax pair that is gradient descent of 2 JSD(p, q) in a, by the envelope theorem; JSD falls in every
    step with h up to about 4, and q = p is the only stationary point.

    Args:
        losses: a pair whose optimal critic is a known function of p/q.
        p: (K,) probabilities of the data, all above 0.
        logits: (K,) initial a.
        steps: at least 1.
        lr: h, above 0.

    Raises:
        UsageError: for a pair without such a critic, a relativistic one, other shapes, fewer than 1 step, or h ≤ 0.
        DataError: for vectors that are no probabilities, or a p with a 0, where the optimal score is infinite.

    Reference: Goodfellow et al. (2014), Generative adversarial nets, proposition 2.

    Example:
        >>> from latentia.functional import loss_pair
        >>> p = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
        >>> game = play_in_function_space(loss_pair("minimax"), p, torch.zeros_like(p), steps=100)
        >>> bool((game.jensen_shannon.diff() < 0).all()), bool(game.jensen_shannon[-1] < 1e-6)
        (True, True)
    """
    optimal = losses.optimal_critic
    if optimal is None or losses.relativistic:
        raise UsageError("the game in function space needs an optimal score that is a function of p/q alone")
    if steps < 1 or not lr > 0:
        raise UsageError(f"steps must be at least 1 and lr above 0; got {steps} and {lr}")
    log_q = logits.log_softmax(-1)
    probability_vectors(p=p, q=log_q.exp())
    if bool((p == 0).any()):
        raise DataError("p must be above 0 in every bin: where it is 0 the optimal score is infinite")
    log_p, played = p.log(), [log_q.exp()]
    for _ in range(steps):
        loss = losses.generator(optimal(log_p - log_q), log_p.new_empty(0))
        logits = logits - lr * played[-1] * (loss - played[-1] @ loss)
        log_q = logits.log_softmax(-1)
        played.append(log_q.exp())
    distributions = torch.stack(played)
    return FunctionSpaceGame(distributions, jensen_shannon(p.expand_as(distributions), distributions))
