"""The adversarial family: one game, and recipes that differ in a loss, a penalty, the critics or the networks."""

from typing import Annotated, Any

from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec
from latentia.networks.images import stages
from latentia.networks.layers import normal_init
from latentia.networks.norms import NORMS
from latentia.networks.registry import network_name
from latentia.options import OneOf
from latentia.recipes.gan_builder import build_gan
from latentia.recipes.shared_options import with_options_of
from latentia.registry import divergences, recipes


@recipes.register("gan")
@with_options_of(build_gan)
def gan(data: DataSpec, **options: Any) -> Recipe:
    """Generative adversarial network: a generator trained against a critic (discriminator) of real and generated rows.

    The critic minimises -E log D(x) - E log(1 - D(G(z))), the generator -E log D(G(z)). It has samples only.

    Args:
        data: what a row is.

    References:
        Goodfellow et al. (2014), Generative adversarial nets; Radford, Metz and Chintala (2016), DCGAN.
    """
    return build_gan(data, **options)


@recipes.register("minimax-gan")
@with_options_of(build_gan, loss="minimax")
def minimax_gan(data: DataSpec, **options: Any) -> Recipe:
    """GAN of the two-player minimax game, whose generator minimises what the critic maximises.

    min_G max_D E log D(x) + E log(1 - D(G(z))): 2 JSD - log 4 where D is optimal, and a vanishing gradient where
    D is confident.

    Args:
        data: what a row is.

    References:
        Goodfellow et al. (2014), Generative adversarial nets, equation 1.
    """
    return build_gan(data, **options)


@recipes.register("ls-gan")
@with_options_of(build_gan, loss="least-squares")
def ls_gan(data: DataSpec, **options: Any) -> Recipe:
    """GAN whose critic fits 1 to data and 0 to samples by least squares.

    critic: ½ E (s(x) - 1)² + ½ E s(G(z))²; generator: ½ E (s(G(z)) - 1)²

    Args:
        data: what a row is.

    References:
        Mao et al. (2017), Least squares generative adversarial networks, equation 9.
    """
    return build_gan(data, **options)


@recipes.register("hinge-gan")
@with_options_of(build_gan, loss="hinge")
def hinge_gan(data: DataSpec, **options: Any) -> Recipe:
    """GAN with the hinge loss: the critic ignores scores beyond a margin.

    critic: E max(0, 1 - s(x)) + E max(0, 1 + s(G(z))); generator: -E s(G(z))

    Args:
        data: what a row is.

    References:
        Lim and Ye (2017), Geometric GAN.
    """
    return build_gan(data, **options)


@recipes.register("relativistic-gan", aliases=("ragan",))
@with_options_of(build_gan, loss="relativistic-average")
def relativistic_gan(data: DataSpec, **options: Any) -> Recipe:
    """GAN whose critic scores how much more realistic data is than samples.

    With loss="relativistic-paired" each row is compared with one of the other side; else with their average.

    Args:
        data: what a row is.

    References:
        Jolicoeur-Martineau (2019), The relativistic discriminator, sections 4.1 and 4.2.
    """
    return build_gan(data, **options)


@recipes.register("r3-gan")
@with_options_of(build_gan, loss="relativistic-paired", penalty="r1-r2", beta1=0.0, beta2=0.99, norm="none")
def r3_gan(data: DataSpec, **options: Any) -> Recipe:
    """Regularised relativistic GAN (R3GAN): the one to begin with; it converges locally and needs no tricks.

    critic: E softplus(-(s(x) - s(G(z)))) + γ/2 E ‖∇s(x)‖² + γ/2 E ‖∇s(G(z))‖²; generator: E softplus(s(x) - s(G(z)))

    Args:
        data: what a row is.

    References:
        Huang et al. (2024), The GAN is dead; long live the GAN! A modern GAN baseline, section 2.
    """
    return build_gan(data, **options)


@recipes.register("f-gan")
@with_options_of(build_gan, without=["loss"])
def f_gan(
    data: DataSpec,
    *,
    divergence: Annotated[str, OneOf(divergences, numbered=True)] = "kl",
    non_saturating: bool = False,
    **options: Any,
) -> Recipe:
    """GAN that minimises an f-divergence, whose variational bound the critic maximises.

    min_G max_T E_p[T(x)] - E_q[f*(T(x))] <= D_f(p, q), with T = g_f(s) of the critic's scores

    Args:
        data: what a row is.
        divergence: D_f; alpha and jensen-shannon-weighted take their parameter in brackets, as alpha(0.5)
        non_saturating: whether the generator maximises E_q[T(x)] instead of E_q[f*(T(x))], with a larger gradient where
            the critic is confident and the same equilibrium

    References:
        Nowozin, Cseke and Tomioka (2016), f-GAN, equations 4 and 6, table 6, and section 3.2 (non-saturating).
    """
    loss = f"non-saturating-{divergence}" if non_saturating else divergence
    return build_gan(data, loss=loss, **options)


@recipes.register("w-gan")
@with_options_of(
    build_gan,
    loss="wasserstein",
    critic_steps=5,
    clip_weights=0.01,
    beta1=0.0,
    beta2=0.99,
    lr=5e-5,
    critic_lr=5e-5,
)
def w_gan(data: DataSpec, **options: Any) -> Recipe:
    """Wasserstein GAN with weight clipping: the critic estimates the Wasserstein distance up to a scale.

    max_s E s(x) - E s(G(z)) over critics with weights in [-c, c], which are Lipschitz with some constant. Adam without
    an average of gradients is the paper's RMSProp, but for Adam's correction of the first steps; with an average
    training becomes unstable.

    Args:
        data: what a row is.

    References:
        Arjovsky, Chintala and Bottou (2017), Wasserstein GAN, algorithm 1.
    """
    return build_gan(data, **options)


@recipes.register("wgan-gp")
@with_options_of(
    build_gan,
    loss="wasserstein",
    critic_steps=5,
    penalty="gradient",
    beta1=0.0,
    beta2=0.9,
    lr=1e-4,
    critic_lr=1e-4,
)
def wgan_gp(data: DataSpec, **options: Any) -> Recipe:
    """Wasserstein GAN with a gradient penalty, which keeps the norm of the critic's gradient near 1.

    critic: E s(G(z)) - E s(x) + λ E (‖∇s(x̂)‖ - 1)², x̂ between a row of each kind; generator: -E s(G(z))

    Args:
        data: what a row is.

    References:
        Gulrajani et al. (2017), Improved training of Wasserstein GANs, algorithm 1.
    """
    return build_gan(data, **options)


@recipes.register("sn-gan")
@with_options_of(build_gan, loss="hinge", critic_norm="spectral", critic_steps=5, beta1=0.0, beta2=0.9)
def sn_gan(data: DataSpec, **options: Any) -> Recipe:
    """GAN with spectral normalisation: each layer of the critic is divided by its largest singular value.

    W ← W/σ₁(W) of each layer; the losses are those of hinge-gan.

    Args:
        data: what a row is.

    References:
        Miyato et al. (2018), Spectral normalization for generative adversarial networks, algorithm 1.
    """
    return build_gan(data, **options)


@recipes.register("dc-gan", images=True)
@with_options_of(build_gan, network="conv", norm="batch", reuse_samples=True)
def dc_gan(
    data: DataSpec, *, critic_norm: Annotated[str, OneOf("auto", NORMS)] = "auto", **options: Any
) -> Recipe:
    """GAN of images by strided and transposed convolutions with batch norm.

    The losses are those of gan; all weights start from N(0, 0.02²).

    Args:
        data: what a row is: images from 8×8.
        critic_norm: normalisation of the critic (discriminator); auto is batch where that is possible, which is without
            a penalty and from the second layer on, so for images from 16×16

    References:
        Radford, Metz and Chintala (2016), Unsupervised representation learning with deep convolutional generative
        adversarial networks, sections 3 and 4.
    """
    if critic_norm == "auto":
        batch = network_name(options["network"], data) == "conv" and options["penalty"] == "none"
        critic_norm = "batch" if batch and data.is_image and stages(*data.event_shape[1:]) > 1 else "none"
    recipe = build_gan(data, critic_norm=critic_norm, **options)
    normal_init(recipe.objective)
    return recipe


@recipes.register("conditional-gan", aliases=("cgan",), labelled=True)
@with_options_of(build_gan, conditional=True)
def conditional_gan(data: DataSpec, **options: Any) -> Recipe:
    """Conditional GAN: generator and critic are conditioned on the class.

    critic: -E log D(x, c) - E log(1 - D(G(z, c), c)); generator: -E log D(G(z, c), c), with the classes c of the rows

    Args:
        data: what a row is; its rows have classes.

    References:
        Mirza and Osindero (2014), Conditional generative adversarial nets (concatenation); Miyato and Koyama (2018),
        cGANs with projection discriminator.
    """
    return build_gan(data, **options)
