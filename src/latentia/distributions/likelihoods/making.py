"""How a likelihood is made by name, for data of any support."""

from dataclasses import replace

from latentia.data.spec import DataSpec, Support
from latentia.distributions.likelihoods.base import DEFAULTS, Likelihood, refuse_unused
from latentia.distributions.likelihoods.gaps import GapLikelihood
from latentia.errors import UsageError
from latentia.networks.scaling import Scaling
from latentia.registry import likelihoods, unknown


def make_likelihood(
    name: str,
    data: DataSpec,
    scaling: Scaling,
    *,
    sigma: float | None = None,
    components: int | None = None,
    discretise: bool = False,
) -> Likelihood:
    """Return the named likelihood for this data; ``auto`` chooses it from the support.

    Args:
        name: of a likelihood, or ``auto``; for tables, the likelihood of the columns whose support it has.
        data: what a row is.
        scaling: between rows and network output.
        sigma: standard deviation of likelihoods that have one; None: learned.
        components: components of mixtures at each entry; None: the likelihood's default.
        discretise: whether real columns whose step is known have the probability of a cell in the place of a density.

    Raises:
        UsageError: for a likelihood on another support than the data's, or an option that it does not have.
    """
    if data.support.missing:
        complete = replace(data, support=data.support.present)
        inner = make_likelihood(
            name, complete, scaling, sigma=sigma, components=components, discretise=discretise
        )
        return GapLikelihood(data, scaling, inner)
    if discretise and data.support.kind == "real" and len(data.event_shape) == 1:  # columns apart
        data = replace(data, support=Support("table", columns=(data.support,) * data.size))
    kind = data.support.kind
    if discretise and kind != "table":
        raise UsageError(
            f"discretise=True is for tables with columns of numbers; this data is {data.support}"
        )
    if name not in likelihoods and name != "auto":
        raise UsageError(unknown("likelihood", name, [*likelihoods, "auto"]))
    given = {
        option: value for option, value in (("sigma", sigma), ("components", components)) if value is not None
    }
    if kind == "table":
        return likelihoods["table"](
            data, scaling, columns="auto" if name == "table" else name, discretise=discretise, **given
        )
    name = DEFAULTS[kind] if name == "auto" else name
    if kind not in likelihoods[name].kinds:
        fitting = [repr(each) for each in likelihoods if kind in likelihoods[each].kinds]
        hint = "; or round it to 0 and 1 with binarise=" if name == "bernoulli" and kind != "real" else ""
        raise UsageError(
            f"likelihood={name!r} is no distribution on {data.support} data; choose {' or '.join(fitting)}{hint}"
        )
    refuse_unused(given, [name])
    return likelihoods[name](data, scaling, **given)
