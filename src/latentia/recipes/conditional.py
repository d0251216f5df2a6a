"""The variational autoencoder of rows given what is known of them."""

from __future__ import annotations

from typing import Any

from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec
from latentia.recipes.options import with_options_of
from latentia.recipes.variational import vae
from latentia.registry import recipes


@recipes.register("conditional-vae", aliases=("cvae",))
@with_options_of(vae, conditional=True)
def conditional_vae(data: DataSpec, **options: Any) -> Recipe:
    """Conditional VAE: rows given their class, their factors, or columns of a table that are named as context.

    max E_q[log p(x | z, c)] - KL(q(z | x, c) ‖ p(z)): encoder and decoder read the context c beside their input, and
    codes keep what it does not tell.

    Args:
        data: what a row is; its rows have classes, conditions or factors.

    References:
        Kingma, Mohamed, Rezende and Welling (2014), Semi-supervised learning with deep generative models, section
        2.2; Sohn, Lee and Yan (2015), Learning structured output representation using deep conditional generative
        models, with a prior that does not depend on c.
    """
    return vae(data, **options)
