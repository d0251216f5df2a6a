"""Theory for teaching, which no command needs: games that are solved, KL in closed form, identifiability."""

from latentia.theory.dirac_gan import DiracGan, eigenvalues, field, jacobian, player_losses
from latentia.theory.dynamics import alternating, flow, simultaneous
from latentia.theory.function_space import FunctionSpaceGame, play_in_function_space

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
