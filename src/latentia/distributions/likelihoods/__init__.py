"""Likelihoods p(x | z), the distributions that decoders parametrise: one file for each family.

To add one, write one decorated sub-class of `Likelihood` in a file of this folder.
"""

from latentia.distributions.likelihoods.base import DEFAULTS, Likelihood
from latentia.distributions.likelihoods.making import make_likelihood

__all__ = ["DEFAULTS", "Likelihood", "make_likelihood"]
