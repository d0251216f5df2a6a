"""Games small enough to be solved: which losses and penalties lead to the equilibrium, and how."""

from latentia.functional.games.dirac_gan import DiracGan, eigenvalues, field, jacobian, player_losses
from latentia.functional.games.dynamics import alternating, flow, simultaneous
from latentia.functional.games.function_space import FunctionSpaceGame, play_in_function_space

__all__ = [
    "DiracGan",
    "FunctionSpaceGame",
    "alternating",
    "eigenvalues",
    "field",
    "flow",
    "jacobian",
    "play_in_function_space",
    "player_losses",
    "simultaneous",
]
