"""Optimal transport: exact by linear programming, on the line by quantiles, sliced, and entropic.

A name ends in ``_power`` where it returns W_p^p; `wasserstein`, `wasserstein_1d` and `wasserstein_quantiles` return
the distance W_p. No cost has a factor ½ in front.
"""

from latentia.functional.transport._checks import distance_cost
from latentia.functional.transport.entropic import SinkhornResult, sinkhorn, sinkhorn_divergence
from latentia.functional.transport.exact import wasserstein, wasserstein_power
from latentia.functional.transport.linear_program import (
    TransportProgram,
    TransportResult,
    transport_program,
    wasserstein_lp,
)
from latentia.functional.transport.max_sliced import (
    max_sliced_direction,
    max_sliced_wasserstein,
    max_sliced_wasserstein_power,
)
from latentia.functional.transport.one_dimensional import (
    KantorovichRubinstein,
    kantorovich_rubinstein,
    wasserstein_1d,
    wasserstein_1d_power,
)
from latentia.functional.transport.quantiles import wasserstein_quantiles, wasserstein_quantiles_power
from latentia.functional.transport.sliced import (
    SlicedEstimate,
    random_directions,
    sliced_wasserstein,
    sliced_wasserstein_estimate,
    sliced_wasserstein_power,
)

__all__ = [
    "KantorovichRubinstein",
    "SinkhornResult",
    "SlicedEstimate",
    "TransportProgram",
    "TransportResult",
    "distance_cost",
    "kantorovich_rubinstein",
    "max_sliced_direction",
    "max_sliced_wasserstein",
    "max_sliced_wasserstein_power",
    "random_directions",
    "sinkhorn",
    "sinkhorn_divergence",
    "sliced_wasserstein",
    "sliced_wasserstein_estimate",
    "sliced_wasserstein_power",
    "transport_program",
    "wasserstein",
    "wasserstein_1d",
    "wasserstein_1d_power",
    "wasserstein_lp",
    "wasserstein_power",
    "wasserstein_quantiles",
    "wasserstein_quantiles_power",
]
