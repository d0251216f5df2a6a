"""One loss of a generator from its losses to several critics."""

from collections.abc import Callable

from torch import Tensor

from latentia.registry import Registry, check_name, critic_weightings


def mean(losses: Tensor) -> Tensor:
    """Return the mean of (n,) losses."""
    return losses.mean()


def softmax(losses: Tensor) -> Tensor:
    """Return Σ_i w_i l_i of (n,) losses, with weights w = softmax(l) that are not differentiated."""
    return (losses.detach().softmax(0) * losses).sum()


def hardest(losses: Tensor) -> Tensor:
    """Return the largest of (n,) losses."""
    return losses.max()


COMBINED: Registry[Callable[[Tensor], Tensor]] = critic_weightings
critic_weightings.add({"mean": mean, "softmax": softmax, "hardest": hardest})


def combined(losses: Tensor, how: str) -> Tensor:
    """Return one loss from (n,) losses to n critics, the better critic's being the larger.

    Raises:
        UsageError: for a way that is none.

    Reference: Durugkar, Gemp and Mahadevan (2017), Generative multi-adversarial networks, sections 3.1 and 4.1, with
    λ of 0, 1 and infinity.

    Example:
        >>> import torch
        >>> [combined(torch.tensor([0.0, 1.0]), how).item() for how in ("mean", "hardest")]
        [0.5, 1.0]
    """
    check_name("way to combine critics", how, COMBINED)
    return COMBINED[how](losses)
