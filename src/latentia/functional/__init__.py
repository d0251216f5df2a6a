"""Pure mathematics: one function, one equation; no parameters, no files, one value per sample."""

from latentia.functional.adversarial import LOSS_PAIRS, LossPair, loss_pair
from latentia.functional.bounds import elbo, iwae
from latentia.functional.energy import EnergyEstimate, energy_distance, energy_estimate
from latentia.functional.gaussians import (
    kl_diagonal_gaussian,
    kl_standard_gaussian,
    log_prob_diagonal_gaussian,
)
from latentia.functional.kernels import (
    gaussian_kernel,
    median_bandwidth,
    mmd2,
    mmd2_of_splits,
    negative_distance_kernel,
)
from latentia.functional.schedules import SCHEDULES, constant, cosine, learning_rate_factor, warmup

__all__ = [
    "LOSS_PAIRS",
    "SCHEDULES",
    "EnergyEstimate",
    "LossPair",
    "constant",
    "cosine",
    "elbo",
    "energy_distance",
    "energy_estimate",
    "gaussian_kernel",
    "iwae",
    "kl_diagonal_gaussian",
    "kl_standard_gaussian",
    "learning_rate_factor",
    "log_prob_diagonal_gaussian",
    "loss_pair",
    "median_bandwidth",
    "mmd2",
    "mmd2_of_splits",
    "negative_distance_kernel",
    "warmup",
]
