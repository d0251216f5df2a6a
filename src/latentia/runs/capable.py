"""What models can do, in words, and which recipes can do it with given data, found by making each of them for it."""

from collections.abc import Iterator, Mapping

from latentia.core.model import Bounded, Decodes, Density, Encodes, Generative, Imputes, Translates
from latentia.data.spec import DataSpec
from latentia.errors import LatentiaError
from latentia.registry import recipes
from latentia.runs.build import build, model_of_rows
from latentia.runs.options import Training

VERBS: Mapping[type, str] = {
    Generative: "sample",
    Density: "give likelihoods",
    Bounded: "bound likelihoods",
    Encodes: "encode",
    Decodes: "decode",
    Imputes: "fill missing entries",
    Translates: "translate",
}
"""What a model with a capability can do."""


def capable(capability: type, spec: DataSpec) -> Iterator[str]:
    """Yield the names of recipes whose models, with the default options and for these rows, have a capability.

    Args:
        capability: such as `latentia.core.model.Imputes`.
        spec: what the rows are.

    Example:
        >>> from latentia.core.model import Imputes
        >>> from latentia.data.spec import Support
        >>> "gaussian-mixture" in capable(Imputes, DataSpec((2,), Support("real")))
        True
    """
    for name in recipes:
        try:
            model = model_of_rows(build(name, spec, {}, Training()))
        except LatentiaError:  # it is for other rows
            continue
        if isinstance(model, capability):
            yield name
