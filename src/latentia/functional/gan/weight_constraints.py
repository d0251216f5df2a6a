"""Constraints on a critic's weights: bounds on its slope that hold by construction, not by a penalty."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils import parametrize

from latentia.errors import UsageError

LAYERS = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d,
    nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip
"""The layers whose weight is the matrix of a linear map."""


def spectral_norm_estimate(
    weight: Tensor, iterations: int = 30, generator: torch.Generator | None = None
) -> Tensor:
    """Return the largest singular value of W by power iteration: ‖Wv‖ after v ← WᵀWv/‖WᵀWv‖, from a random start.

    It is from below, with an error that falls as (σ₂/σ₁)^(4·iterations). The slope in W is that at fixed v, uvᵀ
    with u = Wv/‖Wv‖. A convolution's kernel is read as the matrix (out, in · area), as in the paper: its norm is
    a factor of the layer's slope, not the slope itself.

    Args:
        weight: (out, ...) with at least two dimensions; further ones are flattened.
        iterations: at least 1.
        generator: draws the first u, on the weight's device; torch's own where None.

    Returns:
        () the estimate of the largest singular value.

    Raises:
        UsageError: for a weight with fewer than two dimensions, or no iteration.

    Reference: Miyato et al. (2018), Spectral Normalization for Generative Adversarial Networks, algorithm 1.

    Example:
        >>> W = torch.diag(torch.tensor([3.0, 1.0]))
        >>> spectral_norm_estimate(W, generator=torch.Generator().manual_seed(0))
        tensor(3.)
    """
    if weight.dim() < 2 or iterations < 1:
        given = f"{tuple(weight.shape)} and {iterations}"
        raise UsageError(f"a weight needs a shape (out, in, ...) and iterations >= 1; got {given}")
    W = weight.flatten(1)
    with torch.no_grad():
        u = torch.randn(len(W), generator=generator, dtype=W.dtype, device=W.device)
        v = normalize(W.T @ u, dim=0)
        for _ in range(iterations - 1):
            v = normalize(W.T @ (W @ v), dim=0)
    return torch.linalg.vector_norm(W @ v)


def spectral_normalise_(module: nn.Module, iterations: int = 1) -> None:
    """Divide every linear and convolutional weight of a module by σ₁(W), in place and from now on.

    A layer is then 1-Lipschitz (a convolution: its matrix is). torch's parametrisation keeps u and v as buffers
    and moves them at each forward pass in train mode; it draws the first ones from torch's global generator, as
    building the layer does.

    Args:
        module: a critic.
        iterations: power iterations each forward pass, at least 1.

    Raises:
        UsageError: where there is no such layer, or a weight has a parametrisation already.

    Reference: Miyato et al. (2018), Spectral Normalization for Generative Adversarial Networks.

    Example:
        >>> critic = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> spectral_normalise_(critic)
        >>> [parametrize.is_parametrized(layer) for layer in critic]
        [True, False, True]
    """
    layers = [layer for layer in module.modules() if isinstance(layer, LAYERS)]
    if not layers:
        raise UsageError("module has no linear or convolutional layer to normalise")
    if any(parametrize.is_parametrized(layer, "weight") for layer in layers):
        raise UsageError(
            "module has weights that are parametrised already: normalise it once, when it is built"
        )
    for layer in layers:
        nn.utils.parametrizations.spectral_norm(layer, n_power_iterations=iterations)


def clip_weights_(module: nn.Module, bound: float) -> None:
    """Move every parameter into [−bound, bound], in place.

    The critics it leaves are K-Lipschitz with a K that nobody knows, so the best of their values is at most K times W₁.

    Args:
        module: a critic; biases and normalisation weights are clipped too.
        bound: above 0.

    Raises:
        UsageError: for a bound that is not positive, or a module without parameters.

    Reference: Arjovsky, Chintala & Bottou (2017), Wasserstein GAN, algorithm 1 (bound 0.01).

    Example:
        >>> layer = nn.Linear(4, 4)
        >>> clip_weights_(layer, 0.01)
        >>> bool(layer.weight.abs().max() <= 0.01)
        True
    """
    parameters = list(module.parameters())
    if not (bound > 0 and parameters):
        raise UsageError(f"clipping needs a bound > 0 and parameters; got {bound} and {len(parameters)}")
    with torch.no_grad():
        for parameter in parameters:
            parameter.clamp_(-bound, bound)
