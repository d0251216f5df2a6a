"""The variational autoencoder that learns classes from few labels."""

from dataclasses import replace
from typing import Annotated, Any

from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec
from latentia.errors import UsageError
from latentia.models.latent_variable import LatentVariable
from latentia.models.semi_supervised import SemiSupervised
from latentia.networks.conditioning import ContextEncoder
from latentia.objectives.vae.semi_supervised import SemiSupervisedBound
from latentia.options import Count, Label, NonNegative
from latentia.recipes.shared_options import with_options_of
from latentia.recipes.vae_builder import build_vae
from latentia.registry import recipes, unknown


@recipes.register("semi-supervised-vae", labelled=True)
@with_options_of(build_vae, without=["conditional"])
def semi_supervised_vae(
    data: DataSpec,
    *,
    labelled: Count | None = None,
    unlabelled: Annotated[str | None, Label()] = None,
    weight: NonNegative = 10.0,
    draws: Count = 1,
    **options: Any,
) -> Recipe:
    """Semi-supervised VAE (M2): the class is a latent variable, observed in some rows and inferred by a classifier.

    max Σ_labelled L(x, y) + Σ_others U(x) + weight · N · mean_labelled log q(y | x), N rows, with
    L(x, y) = E_q[log p(x | z, y)] - KL(q(z | x, y) ‖ p(z)) + log p(y) and U(x) = Σ_y q(y | x) L(x, y) + H(q(y | x)).

    Args:
        data: what a row is; its rows have classes.
        labelled: rows that keep their class, equally many of each class, chosen by the seed; the others are unlabelled
        unlabelled: the name among the labels that stands for no label, such as "?" or "-1"
        weight: weight of the classifier's term, α = weight · N; with the paper's 0.1 a class may stand for anything
        draws: samples of z for each row and class, averaged

    Raises:
        UsageError: for data without two classes, a name that is no label, or a loss that is no likelihood.

    References:
        Kingma, Mohamed, Rezende and Welling (2014), Semi-supervised learning with deep generative models, section 2.2
        and eq. 6-9; there α = 0.1 N.
    """
    if unlabelled is not None and unlabelled not in data.classes:
        raise UsageError(unknown("label", unlabelled, data.classes), options=["unlabelled"])
    columns = [number for number, name in enumerate(data.classes) if name != unlabelled]
    if len(columns) < 2:
        raise UsageError(
            f"semi-supervised-vae needs rows labelled with two classes; there are {len(columns)}"
        )
    built = build_vae(_given_class(data, columns), conditional=True, **options)
    if not isinstance(built.model, LatentVariable):
        raise UsageError("semi-supervised-vae compares classes by likelihood, which relaxed-bernoulli is not")
    classes = tuple(data.classes[number] for number in columns)
    model = SemiSupervised(
        built.model,
        classifier=built.read(len(classes)),
        classes=classes,
        context_encoder=ContextEncoder(data.context[:1]),
    )
    objective = SemiSupervisedBound(model, columns=columns, weight=weight, labelled=labelled, draws=draws)
    return replace(built.recipe(objective), conditional=False)


def _given_class(data: DataSpec, columns: list[int]) -> DataSpec:
    """Return what the rows are for the model inside, whose context is the class alone."""
    return data.with_classes([data.classes[number] for number in columns]).with_role("condition", [])
