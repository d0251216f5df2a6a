"""Which losses and penalties converge on the Dirac-GAN: eigenvalues to 1e-6, and the end of 500 steps.

    python benchmarks/reproduce/dirac_gan.py

Mescheder, Geiger and Nowozin (2018): data at 0, generator θ, critic ψx, from (θ, ψ) = (1, 1) by steps of 0.2,
simultaneous or alternating. Their critic is high on generated rows and ours on real ones, so ours starts at ψ = −1. The
eigenvalues are those of the Jacobian, by automatic differentiation, of the losses and penalties that networks train
with; published are the formulas of the paper, and the ends that the authors' notebook gives.

The notebook's consensus field leaves out half of the curvature's part of ∇½‖v‖²; both fields are followed here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from latentia.functional import gradient_penalty, loss_pair, r1, r2
from latentia.theory import DiracGan, alternating, eigenvalues, field, flow, jacobian, simultaneous

RESULTS = Path(__file__).parent / "results"
H, STEPS, NOISE = 0.2, 500, 0.7
START = torch.tensor([1.0, -1.0], dtype=torch.float64)
MINIMAX, NON_SATURATING, WASSERSTEIN = map(loss_pair, ("minimax", "non-saturating", "wasserstein"))
TURN, TURN_FASTER = (0.0, 0.5), (0.0, 1.0)


def damped(gamma: float) -> tuple[float, float]:
    """Return −γ/2 ± √(γ²/4 − ¼), real and imaginary part of the second."""
    root = complex(gamma**2 / 4 - 0.25) ** 0.5
    return -gamma / 2 + root.real, root.imag


def with_r1(gamma: float) -> Callable[..., Tensor]:
    return lambda critic, real, fake: gamma * r1(critic, real)  # noqa: ARG005


def with_r2(gamma: float) -> Callable[..., Tensor]:
    return lambda critic, real, fake: gamma * r2(critic, fake)  # noqa: ARG005


def to_slope_one(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:  # noqa: ARG001
    """Half of the weight 0.7, for the authors' penalty has a factor ½."""
    return 0.35 * gradient_penalty(critic, fake)


@dataclass(frozen=True)
class Row:
    """A game with its published eigenvalue, final norms with both kinds of steps, and whether it converges."""

    game: DiracGan
    eigenvalue: tuple[float, float] | None
    ends: tuple[float, float] | None
    converges: bool


ROWS = {
    "GAN": Row(DiracGan(MINIMAX), TURN, (3.097, 1.421), converges=False),
    "NS-GAN": Row(DiracGan(NON_SATURATING), TURN, (0.6402, 0.2839), converges=False),
    "WGAN": Row(DiracGan(WASSERSTEIN), TURN_FASTER, (2.564e4, 1.398), converges=False),
    "WGAN, clipped at 1": Row(DiracGan(WASSERSTEIN, clip=1.0), None, (1.002, 1.024), converges=False),
    "WGAN-GP, 0.7": Row(DiracGan(WASSERSTEIN, to_slope_one), None, (1.802, 1.221), converges=False),
    "GAN, noise 0.7": Row(DiracGan(MINIMAX, noise=NOISE), damped(NOISE**2 / 2), None, converges=True),
    "GAN, R1 0.3": Row(DiracGan(MINIMAX, with_r1(0.3)), damped(0.3), (2.643e-6, 2.301e-7), converges=True),
    "GAN, R2 0.3": Row(DiracGan(MINIMAX, with_r2(0.3)), damped(0.3), (2.643e-6, 2.301e-7), converges=True),
    "GAN, R1 1": Row(DiracGan(MINIMAX, with_r1(1.0)), (-0.5, 0.0), (9.53e-22, 7.48e-17), converges=True),
    "NS-GAN, R1 0.3": Row(
        DiracGan(NON_SATURATING, with_r1(0.3)), damped(0.3), (2.212e-6, 1.499e-7), converges=True
    ),
    "GAN, consensus 1": Row(DiracGan(MINIMAX, consensus=1.0), (-0.25, 0.5), None, converges=True),
}


def compared(row: Row) -> dict[str, object]:
    """Follow one game, and compare it with the published values."""
    ends = [
        play(row.game, START, steps=STEPS, lr=H)[-1].norm().item() for play in (simultaneous, alternating)
    ]
    kept = all(end < 1e-4 for end in ends) if row.converges else all(end > 0.1 for end in ends)
    result: dict[str, object] = {"ends": ends, "ends_published": row.ends, "ends_on_the_right_side": kept}
    if row.ends is not None:
        result["ends_error"] = max(abs(a / b - 1) for a, b in zip(ends, row.ends, strict=True))
    if row.eigenvalue is not None:
        found, expected = eigenvalues(row.game)[1], complex(*row.eigenvalue)
        continuous = flow(row.game, START, torch.tensor([0.0, STEPS * H]))[-1]
        result |= {
            "eigenvalue": [found.real.item(), found.imag.item()],
            "eigenvalue_published": row.eigenvalue,
            "eigenvalue_error": abs(found.item() - expected),
            "modulus": abs(1 + H * found.item()),
            "end_of_the_flow": continuous.norm().item(),
        }
    return result


def consensus_of_the_notebook(point: Tensor) -> Tensor:
    """Return v − ½ (Jᵀv + ‖v‖²/‖x‖² x): the part of ∇½‖v‖² that comes with f″ is halved, as in the notebook."""
    plain = DiracGan(MINIMAX)
    v = field(plain, point)
    return v - (jacobian(plain, point).T @ v + v.square().sum() / point.square().sum() * point) / 2


def ends_of_the_notebook() -> list[float]:
    """Return the end of the notebook's consensus, with simultaneous and with alternating steps."""
    together, in_turn = START, START
    generator, critic = torch.eye(2, dtype=torch.float64)
    for _ in range(STEPS):
        together = together + H * consensus_of_the_notebook(together)
        in_turn = in_turn + H * generator * consensus_of_the_notebook(in_turn)
        in_turn = in_turn + H * critic * consensus_of_the_notebook(in_turn)
    return [together.norm().item(), in_turn.norm().item()]


def main() -> None:
    rows = {name: compared(row) for name, row in ROWS.items()}
    errors = [each["eigenvalue_error"] for each in rows.values() if "eigenvalue_error" in each]
    result = {
        "command": "python benchmarks/reproduce/dirac_gan.py",
        "protocol": f"(θ, ψ) = (1, −1), {STEPS} steps of {H}: simultaneous, and alternating (generator first); float64",
        "goal": "eigenvalues within 1e-6; R1, R2, noise and consensus end below 1e-4, the rest above 0.1",
        "reached": max(errors) < 1e-6 and all(each["ends_on_the_right_side"] for each in rows.values()),
        "largest_eigenvalue_error": max(errors),
        "rows": rows,
        "consensus_with_the_notebook_s_field": {
            "ends": ends_of_the_notebook(),
            "ends_published": [2.081e-10, 1.332e-11],
        },
        "torch": torch.__version__,
    }
    for name, row in rows.items():
        value = row.get("eigenvalue", [math.nan, math.nan])
        ends = "  ".join(f"{end:9.4g}" for end in row["ends"])
        print(
            f"{name:20s} {value[0]:+.6f} ± {value[1]:.6f}i   ends {ends}   published {row['ends_published']}"
        )
    print({key: value for key, value in result.items() if key != "rows"})
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "dirac_gan.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
