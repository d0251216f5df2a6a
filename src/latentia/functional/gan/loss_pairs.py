"""Loss pairs of adversarial games, from critic scores.

Both players *descend* their loss, and the value of the game is V = −(critic loss). To add a pair, write its two
losses and add a record to `LOSS_PAIRS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from latentia.errors import UnknownNameError, UsageError
from latentia.functional.checks import finite, probability_vectors
from latentia.functional.discrete import jensen_shannon, total_variation
from latentia.functional.gan.losses import (
    cross_entropy_critic,
    hinge_critic,
    least_squares_critic,
    least_squares_generator,
    minimax_generator,
    non_saturating_generator,
    wasserstein_critic,
    wasserstein_generator,
)
from latentia.functional.gan.relativistic import (
    relativistic_average_critic,
    relativistic_average_generator,
    relativistic_paired_critic,
    relativistic_paired_generator,
    relativistic_paired_value,
)
from latentia.registry import Registry, divergences, loss_pairs, unknown

CriticLoss: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
GeneratorLoss: TypeAlias = Callable[[Tensor, Tensor], Tensor]

LARGEST_LOG_RATIO = 700.0  # nats: the logarithm of a float64
_HALVINGS = 64


@dataclass(frozen=True)
class Optimum:
    """The value of a game when the critic is optimal: V* = max over scores of −(critic loss).

    Attributes:
        formula: the value as text, with p the data's distribution and q the generator's.
        value: probability vectors p (*B, K) and q (*B, K) → (*B,) the value.

    Example:
        >>> p = torch.tensor([0.5, 0.5])
        >>> LOSS_PAIRS["minimax"].value_at_optimum.value(p, p)  # −log 4
        tensor(-1.3863)
    """

    formula: str
    value: Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class LossPair:
    """What the critic and the generator descend; nothing is reduced, so each side keeps its own 1/n.

    Attributes:
        critic: (real scores (B,), fake scores (B',)) → (losses on real rows (B,), losses on fake rows (B',));
            the critic's loss is the sum of their two means.
        generator: (fake scores (B',), real scores (B,)) → losses (B',); the generator's loss is their mean.
        relativistic: whether the generator reads the real scores; otherwise they may be an empty tensor.
        optimal_critic: log p/q → the score that minimises the critic's expected loss at such a point, where
            theory gives one (up to a constant where the losses read differences of scores only).
        value_at_optimum: the game's value with that critic, where it is a function of p and q alone.
        encoder: real scores (B,) → losses (B,) of an encoder, where the critic reads rows with their codes; None is
            minus the critic's loss on real rows, as in the game's value.
        true_labels: the pair that this one is where the critic's labels are true; None where they are (`labels`).
    """

    critic: CriticLoss
    generator: GeneratorLoss
    relativistic: bool = False
    optimal_critic: Callable[[Tensor], Tensor] | None = None
    value_at_optimum: Optimum | None = None
    encoder: Callable[[Tensor], Tensor] | None = None
    true_labels: LossPair | None = None

    def encoder_loss(self, real_scores: Tensor) -> Tensor:
        """Return what an encoder E descends, whose codes a joint critic reads with real rows: (B,).

        A joint critic scores (x, E(x)) as real and (G(z), z) as generated; encoder and generator move together, and
        each wants its own pairs to be taken for those of the other. It is 0 where the generator's loss reads the real
        scores already (relativistic).

        Args:
            real_scores: (B,) of (x, E(x)).

        References:
            Donahue, Krähenbühl and Darrell (2017), Adversarial feature learning, equation 3 and algorithm 1; Dumoulin
            et al. (2017), Adversarially learned inference, equation 1.

        Example:
            >>> LOSS_PAIRS["non-saturating"].encoder_loss(torch.zeros(1))  # −log(1 − D)
            tensor([0.6931])
            >>> LOSS_PAIRS["minimax"].encoder_loss(torch.zeros(1))  # log D
            tensor([-0.6931])
        """
        if self.relativistic:
            return torch.zeros_like(real_scores)
        if self.encoder is not None:
            return self.encoder(real_scores)
        return -(self.true_labels or self).critic(real_scores, real_scores)[0]

    @property
    def even(self) -> float | None:
        """The score of a row as likely real as generated; None where no one score says so."""
        # Where the best score jumps, labels that are not true move the jump, and an end of it would be read.
        pair = self if self.tells_ratio else (self.true_labels or self)
        if pair.relativistic or pair.optimal_critic is None:
            return None
        return float(pair.optimal_critic(torch.zeros(())))

    @property
    def tells_ratio(self) -> bool:
        """Whether the optimal critic's score determines log p/q: it increases with it, and is finite."""
        if self.optimal_critic is None:
            return False
        scores = self.optimal_critic(torch.linspace(-3, 3, 13, dtype=torch.float64))
        return bool(scores.isfinite().all() and (scores.diff() > 0).all())

    def log_ratio(self, scores: Tensor) -> Tensor:
        """Return log p/q of rows from scores, as if the critic were optimal: the inverse of `optimal_critic`.

        r with s*(r) = s, found by bisection between −700 and 700, the ends standing for scores beyond those of any
        ratio. Of relativistic losses, whose critic is known up to a constant, so is the ratio.

        Args:
            scores: (*B,) of a critic.

        Returns:
            (*B,) nats, without gradient: p is the data's distribution, q the generator's.

        Raises:
            UsageError: for losses whose optimal critic does not determine the ratio.
            DataError: for a score that is not finite.

        Reference: Goodfellow et al. (2014), Generative Adversarial Nets, proposition 1; Nowozin et al. (2016), f-GAN,
        eq. 5; Mao et al. (2017), Least Squares Generative Adversarial Networks, eq. 5.

        Example:
            >>> LOSS_PAIRS["least-squares"].log_ratio(torch.tensor([0.5, 0.75])).exp()  # s* = p/(p + q)
            tensor([1., 3.])
        """
        if self.optimal_critic is None or not self.tells_ratio:
            raise UsageError(
                "this loss's critic has no density ratio: the relativistic average's optimum is not known, that of "
                "hinge and total variation is its sign alone, Wasserstein's a potential; cross-entropy, least squares, "
                "relativistic-paired and most f-divergences have one"
            )
        finite(scores=scores)
        return _increasing_inverse(self.optimal_critic, scores)


def _increasing_inverse(f: Callable[[Tensor], Tensor], y: Tensor) -> Tensor:
    """Return x with f(x) = y by bisection in float64, in y's dtype."""
    target = y.detach().double()
    low, high = torch.full_like(target, -LARGEST_LOG_RATIO), torch.full_like(target, LARGEST_LOG_RATIO)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = f(middle) < target
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return ((low + high) / 2).to(y.dtype)


def fake_only(loss: Callable[[Tensor], Tensor]) -> GeneratorLoss:
    """Return a generator's loss that does not read the real scores, from one of the fake scores alone.

    Example:
        >>> import torch
        >>> fake_only(torch.neg)(torch.ones(2), torch.empty(0))
        tensor([-1., -1.])
    """
    return lambda fake_scores, _: loss(fake_scores)


def _least_squares_value(p: Tensor, q: Tensor) -> Tensor:
    probability_vectors(p=p, q=q)
    tiny = torch.finfo(p.dtype).tiny  # 0/0 is 0
    return -(p * q / (p + q).clamp(min=tiny)).sum(-1) / 2


_MINIMAX = LossPair(
    cross_entropy_critic,
    fake_only(minimax_generator),
    optimal_critic=lambda log_ratio: log_ratio,
    value_at_optimum=Optimum("2 JSD(p, q) − log 4", lambda p, q: 2 * jensen_shannon(p, q) - math.log(4)),
)

LOSS_PAIRS: Registry[LossPair] = loss_pairs
loss_pairs.add(
    {
        "minimax": _MINIMAX,
        "non-saturating": replace(
            _MINIMAX,
            generator=fake_only(non_saturating_generator),
            encoder=lambda real_scores: cross_entropy_critic(real_scores, real_scores)[1],
        ),
        "least-squares": LossPair(
            least_squares_critic,
            fake_only(least_squares_generator),
            encoder=lambda real_scores: least_squares_critic(real_scores, real_scores)[1],
            optimal_critic=torch.sigmoid,
            value_at_optimum=Optimum("−½ Σ pq/(p + q)", _least_squares_value),
        ),
        "hinge": LossPair(
            hinge_critic,
            fake_only(wasserstein_generator),
            encoder=lambda real_scores: real_scores,
            optimal_critic=torch.sign,
            value_at_optimum=Optimum("2 TV(p, q) − 2", lambda p, q: 2 * total_variation(p, q) - 2),
        ),
        "wasserstein": LossPair(wasserstein_critic, fake_only(wasserstein_generator)),
        "relativistic-average": LossPair(
            relativistic_average_critic, relativistic_average_generator, relativistic=True
        ),
        "relativistic-paired": LossPair(
            relativistic_paired_critic,
            relativistic_paired_generator,
            relativistic=True,
            optimal_critic=lambda log_ratio: log_ratio,
            value_at_optimum=Optimum("JSD(p × q, q × p) − log 2", relativistic_paired_value),
        ),
    }
)
"""The pairs that are no f-divergence's own. Of the relativistic average no closed optimum is known; the Wasserstein
critic's is the Kantorovich potential, which is no function of p/q."""


def loss_pair(name: str | LossPair) -> LossPair:
    """Return a loss pair by name: one of `LOSS_PAIRS`, or that of an f-divergence, as "kl" or "alpha(0.5)".

    A pair itself is returned as it is. An f-divergence gives the saturating pair, in which the generator descends the
    bound that the critic raises; with "non-saturating-" before its name the generator descends −g_f(v) of the fake
    scores in place of −f*(g_f(v)).

    Raises:
        UnknownNameError: for a name that is in neither table, with the nearest ones.
        UsageError: for an f-divergence without the parameter that it takes, or with one that it does not take.

    Example:
        >>> loss_pair("non-saturating").critic is cross_entropy_critic
        True
    """
    if isinstance(name, LossPair):
        return name
    if name in LOSS_PAIRS:
        return LOSS_PAIRS[name]
    f_name = name.removeprefix("non-saturating-")
    base, bracket, _ = f_name.partition("(")
    if base not in divergences:
        raise UnknownNameError(unknown("loss pair", name, [*LOSS_PAIRS, *divergences]))
    takes = callable(divergences[base])
    if takes != bool(bracket):
        expected = f"its parameter, as in '{base}(0.5)'" if takes else "no parameter"
        raise UsageError(f"the loss pair {base!r} needs {expected}; got {name!r}")
    record = divergences[base](_number(f_name)) if takes else divergences[base]
    return record.loss(non_saturating=f_name != name)


def _number(name: str) -> float:
    """Return the number of a name such as "alpha(0.5)"."""
    try:
        return float(name[name.index("(") + 1 : name.rindex(")", -1)])
    except ValueError:
        raise UsageError(f"a loss pair's parameter is one number, as in 'alpha(0.5)'; got {name!r}") from None
