"""GANs whose critic or generator loss counters mode collapse."""

from typing import Annotated, Any

from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec
from latentia.options import AtLeast
from latentia.recipes.gan_builder import build_gan
from latentia.recipes.shared_options import with_options_of
from latentia.registry import recipes


@recipes.register("minibatch-gan")
@with_options_of(build_gan, minibatch="discrimination")
def minibatch_gan(data: DataSpec, **options: Any) -> Recipe:
    """GAN with minibatch discrimination: the critic reads how close a row is to the others of its batch.

    The losses are those of gan; in addition to a row's features the last layer reads
    1/(B - 1) Σ_j exp(-‖M_i - M_j‖₁), with M linear in the features.

    Args:
        data: what a row is.

    References:
        Salimans et al. (2016), Improved techniques for training GANs, section 3.2; Karras et al. (2018), Progressive
        growing of GANs, section 3 (standard deviation).
    """
    return build_gan(data, **options)


@recipes.register("unrolled-gan")
@with_options_of(build_gan, unroll_steps=5)
def unrolled_gan(data: DataSpec, **options: Any) -> Recipe:
    """GAN with an unrolled critic: the generator's loss is that against the critic after further updates.

    generator: -E log D_k(G(z)), with D_k the critic after k steps of gradient descent, with gradients through them

    Args:
        data: what a row is.

    References:
        Metz et al. (2017), Unrolled generative adversarial networks, equations 7 to 10.
    """
    return build_gan(data, **options)


@recipes.register("multi-critic-gan", aliases=("gman",))
@with_options_of(build_gan, combined="softmax")
def multi_critic_gan(data: DataSpec, *, critics: Annotated[int, AtLeast(2)] = 3, **options: Any) -> Recipe:
    """GAN with several critics, whose losses the generator averages, or of which it faces the hardest.

    generator: Σ_i w_i L_i of its losses L_i to the critics, with w_i = 1/K, softmax(L)_i, or 1 at the largest

    Args:
        data: what a row is.
        critics: number of critics

    References:
        Durugkar, Gemp and Mahadevan (2017), Generative multi-adversarial networks, sections 3 and 4.
    """
    return build_gan(data, critics=critics, **options)


@recipes.register("pac-gan")
@with_options_of(build_gan, pack=2)
def pac_gan(data: DataSpec, **options: Any) -> Recipe:
    """GAN whose critic judges several rows jointly, which counters mode collapse.

    The losses are those of gan with D(x_1, …, x_m) in place of D(x).

    Args:
        data: what a row is.

    References:
        Lin, Khetan, Fanti and Oh (2018), PacGAN: The power of two samples in generative adversarial networks.
    """
    return build_gan(data, **options)


@recipes.register("mode-seeking-gan", aliases=("msgan",))
@with_options_of(build_gan, diversity="mode-seeking")
def mode_seeking_gan(data: DataSpec, **options: Any) -> Recipe:
    """GAN with mode-seeking regularisation: distances of samples relative to distances of their codes.

    generator: -E log D(G(z)) + w / E[|G(z₁) - G(z₂)| / |z₁ - z₂|]

    Args:
        data: what a row is.

    References:
        Mao et al. (2019), Mode seeking generative adversarial networks for diverse image synthesis, equation 2.
    """
    return build_gan(data, **options)
