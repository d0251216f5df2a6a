"""The f-divergences D_f(p, q) = E_q[f(p/q)], their variational bounds, and the losses of f-GANs.

`latentia.divergences` holds them by name. To add one, write one decorated function in `catalogue`.
"""

from latentia.functional.f_divergences.custom import from_function
from latentia.functional.f_divergences.divergence import DivergenceEstimate, Domain, FDivergence

__all__ = ["DivergenceEstimate", "Domain", "FDivergence", "from_function"]
