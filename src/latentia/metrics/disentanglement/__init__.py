"""Disentanglement metrics: codes against the factors that rows were made from.

Each is a function of codes (n, d), factor numbers (n, F) and a seed that returns an `Estimate`, and is registered
under its name for models that encode and rows whose factors are known.
"""

from latentia.metrics.disentanglement.dci import DCI, dci
from latentia.metrics.disentanglement.estimate import Estimate
from latentia.metrics.disentanglement.groups import beta_vae_score, factor_vae_score
from latentia.metrics.disentanglement.information import mig, modularity
from latentia.metrics.disentanglement.sap import sap, sap_regression

__all__ = [
    "DCI",
    "Estimate",
    "beta_vae_score",
    "dci",
    "factor_vae_score",
    "mig",
    "modularity",
    "sap",
    "sap_regression",
]
