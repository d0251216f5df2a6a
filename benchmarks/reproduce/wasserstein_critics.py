"""Wasserstein critics with a gradient penalty against critics with clipped weights.

    python benchmarks/reproduce/wasserstein_critics.py [surfaces] [ranks] [--steps 3000] [--seeds 0 1 2]

After Gulrajani et al. (2017), section 3.2 and figure 2: on 8 and 25 Gaussians and a swiss roll the generator is
frozen at a row of data plus N(0, I) noise (in standard deviations of the data), and only the critic is trained, by the
clipped and by the penalised Wasserstein loss; three hidden layers of 512, batches of 256. Written are the critics'
surfaces as figures, and the mean norm of the gradient between real and generated rows (goal under the penalty: 0.9 to
1.1). Then w-gan, wgan-gp and, for comparison, minimax-gan are trained on the 8 Gaussians, and the critic's value −L is
ranked with the energy distance of samples and data over training, the value a mean over a window: Spearman's
correlation (goal for wgan-gp: above 0.8). The value is a distance only of a critic near its optimum, so critics have
ten times the generator's learning rate. Writes results/wasserstein_critics.json and .png files; some minutes.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

import latentia as lt
from latentia.data.batches import Batches
from latentia.data.rows import Rows
from latentia.figures.critics import critic_surfaces
from latentia.figures.drawing import png
from latentia.functional.gan.loss_pairs import loss_pair
from latentia.functional.gan.penalties import gradient_norms, interpolate
from latentia.functional.kernel.energy import energy_distance
from latentia.models.implicit import Implicit
from latentia.networks.critic import Critic
from latentia.networks.mlp import MLP
from latentia.networks.scaling import Scaling
from latentia.objectives.gan.adversarial import Adversarial
from latentia.objectives.gan.critic_penalties import Penalty
from latentia.theory.best_response import best_response

RESULTS = Path(__file__).parent / "results"
DATA = ("ring", "grid", "swiss-roll")
HOW: dict[str, dict[str, Any]] = {
    "clipped at 0.1": {"clip": 0.1},
    "gradient penalty": {"penalties": [Penalty("gradient", 10.0)]},
}
RANKED = ("wgan-gp", "w-gan", "minimax-gan")
BATCH = 256
WINDOWS = 30


class Noisy(nn.Module):
    """A row of data, drawn at random, plus the code: a frozen generator."""

    rows: Tensor

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.register_buffer("rows", rows)

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:  # noqa: ARG002
        return self.rows[torch.randint(len(self.rows), (len(z),))] + z


def still_game(rows: Rows, seed: int, **how: Any) -> Adversarial:
    """Return a Wasserstein game whose generator is data plus noise."""
    torch.manual_seed(seed)
    scaling = Scaling(rows.spec)
    scaling.fit(rows)
    model = Implicit.of_noise(rows.spec, Noisy(scaling(rows.x)), latent_dim=2)
    critic = Critic(MLP((2,), (1,), hidden=[512] * 3), Scaling(rows.spec))
    game = Adversarial(model, critic, loss_pair("wasserstein"), **how)
    game.begin(rows)
    return game


def surfaces(data: str, steps: int, seed: int) -> dict[str, float]:
    """Train both critics, draw them, and return the mean norms of their gradients."""
    rows = lt.datasets[data](split="train", seed=seed)
    scores, norms = {}, {}
    for name, how in HOW.items():
        moves = lt.Optim(lr=1e-4, betas=(0.5, 0.9))
        *_, last = best_response(
            still_game(rows, seed, **how), "critic", Batches(rows, BATCH), optim=moves, steps=steps
        )
        critic = last.critics[0].eval()
        real, fake = rows.x[:2000], last.model.rsample(2000).detach()
        between = interpolate(critic.scaling(real), critic.scaling(fake))
        norms[name] = gradient_norms(critic.score, between).mean().item()
        digits = 2 if norms[name] < 10 else 0  # what a title has room for
        scores[f"{name}: slope {norms[name]:.{digits}f}"] = critic
    (RESULTS / f"wasserstein_critics_{data}.png").write_bytes(png(critic_surfaces(scores, rows.x[:400])))
    return norms


def ranks(recipe: str, steps: int, seed: int) -> float:
    """Return Spearman's correlation of the critic's value and the energy distance over training."""
    rows = lt.datasets["ring"](split="train", seed=seed)
    torch.manual_seed(seed)  # of the first weights
    made = lt.recipes[recipe](rows.spec, latent_dim=2, hidden=128, layers=3, lr=1e-4, critic_lr=1e-3)
    states = lt.train(
        made.objective, Batches(rows, BATCH, seed=seed), optim=made.optim, steps=steps, seed=seed
    )
    values, distances = [], []
    window: list[float] = []
    for state in states:
        window.append(-state.metrics["critic_loss"])
        if state.step % (steps // WINDOWS) == 0:
            values.append(statistics.mean(window))
            samples = state.objective.model.sample(2000, generator=torch.Generator().manual_seed(state.step))
            distances.append(float(energy_distance(samples.double(), rows.x[:2000].double())))
            window = []
    return float(spearmanr(values, distances).statistic)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", default=["surfaces", "ranks"], help="surfaces, ranks or both")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    torch.set_num_threads(1)
    file = RESULTS / "wasserstein_critics.json"
    result: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    result |= {
        "command": "python benchmarks/reproduce/wasserstein_critics.py",
        "torch": torch.__version__,
        "steps": args.steps,
    }
    if "surfaces" in args.what:
        slopes = {data: surfaces(data, args.steps, args.seeds[0]) for data in DATA}
        met = all(0.9 <= norms["gradient penalty"] <= 1.1 for norms in slopes.values())
        result |= {"mean_slope": slopes, "slope_met": met}
    if "ranks" in args.what:
        told = {recipe: [ranks(recipe, args.steps, seed) for seed in args.seeds] for recipe in RANKED}
        result |= {"rank_correlation": told, "rank_correlation_met": min(told["wgan-gp"]) > 0.8}
    print(json.dumps(result, indent=2))
    file.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
