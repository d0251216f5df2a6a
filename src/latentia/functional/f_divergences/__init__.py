"""The f-divergences D_f(p, q) = E_q[f(p/q)], their bounds, and the losses that critics descend.

`latentia.divergences` holds them by name. To add one, write one decorated function in `members`.
"""

from latentia.functional.f_divergences.custom import from_function
from latentia.functional.f_divergences.divergence import DivergenceEstimate, Domain, FDivergence

__all__ = ["DivergenceEstimate", "Domain", "FDivergence", "from_function"]
