"""Both sides in one pass: a critic that scores each row by itself reads real and generated rows together."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from latentia.networks.critic import Critic
from latentia.objectives.gan.views import View, ViewScore

_CLOSE = 1e-3  # of the scores' size; what mixes rows differs by far more, rounding by far less
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


def scores_of_both(score: ViewScore, real: View, fake: View, *, one_pass: bool) -> tuple[Tensor, Tensor]:
    """Return the scores of the real and of the generated side: (B,) and (B',).

    Args:
        score: a critic's.
        real: the real side.
        fake: the generated side.
        one_pass: whether the critic reads both at once; see `scores_rows_apart`.

    Example:
        >>> real, fake = View(torch.ones(2, 3)), View(torch.zeros(1, 3))
        >>> [each.tolist() for each in scores_of_both(lambda view: view.x.sum(1), real, fake, one_pass=True)]
        [[3.0, 3.0], [0.0]]
    """
    if not one_pass:
        return score(real), score(fake)
    of_real, of_fake = score(_together(real, fake)).split([real.x.shape[0], fake.x.shape[0]])
    return of_real, of_fake


def scores_rows_apart(critic: Critic, real: View, fake: View) -> bool:
    """Whether a critic scores both sides at once as it scores them one after the other, but for rounding.

    Layers that are known to mix rows, to be random or to count passes (batch norm, dropout, spectral norm) do not. Of
    all others a copy is tried on the rows, since a network of the user's own may do anything.
    """
    if (real.context is None) != (fake.context is None) or critic.mixes_rows or _counts_passes(critic):
        return False
    twin = copy.deepcopy(critic)
    with torch.no_grad(), torch.random.fork_rng():
        apart = torch.cat([twin.score(view.x, view.context) for view in (real, fake)])
        both = _together(real, fake)
        together = twin.score(both.x, both.context)
    return bool((apart - together).abs().max() <= _CLOSE * apart.abs().max())


def _together(real: View, fake: View) -> View:
    x = torch.cat([real.x, fake.x])
    if real.context is None or fake.context is None:
        return View(x)
    return View(x, torch.cat([real.context, fake.context]))


def _counts_passes(critic: nn.Module) -> bool:
    """Whether a pass changes a module or is random: parametrisations such as spectral norm, hooks, dropout."""
    modules = list(critic.modules())
    hooked = any(each._forward_pre_hooks for each in modules)  # pyright: ignore[reportPrivateUsage]
    return hooked or any(isinstance(each, _DROPOUTS) or parametrize.is_parametrized(each) for each in modules)
