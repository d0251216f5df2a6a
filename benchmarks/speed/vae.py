"""VAE 784-400-20-400-784, Bernoulli, batch 128, Adam: Latentia against hand-written loops.

    python benchmarks/speed/vae.py [--compile]

Goals: eager 0.93 of the minimal loop by hand and 1.2 of a tutorial's; compiled, in bf16, 1.6 of the latter.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from side_by_side import compare
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the field's habit)
from torch.utils.data import DataLoader, TensorDataset

import latentia as lt
from latentia.data.batches import Batches
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support

BATCH, LATENT, HIDDEN = 128, 20, 400


class PlainVAE(nn.Module):
    """The architecture, as a tutorial writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(784, HIDDEN)
        self.mean = nn.Linear(HIDDEN, LATENT)
        self.log_var = nn.Linear(HIDDEN, LATENT)
        self.back = nn.Linear(LATENT, HIDDEN)
        self.out = nn.Linear(HIDDEN, 784)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = F.relu(self.hidden(x))
        mean, log_var = self.mean(h), self.log_var(h)
        z = mean + torch.randn_like(mean) * (0.5 * log_var).exp()
        return self.out(F.relu(self.back(z))), mean, log_var


class LeanVAE(nn.Module):
    """The same with one matrix product for mean and log-variance: what a careful hand writes."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * LATENT))
        self.decoder = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 784))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_var = self.encoder(x).chunk(2, dim=1)
        z = mean + torch.randn_like(mean) * (0.5 * log_var).exp()
        return self.decoder(z), mean, log_var


def tutorial(x: Tensor, steps: int) -> Callable[[], int]:
    """A DataLoader over a TensorDataset of floats, sigmoid and cross-entropy, plain Adam."""
    loader = DataLoader(TensorDataset(x.float()), batch_size=BATCH, shuffle=True, drop_last=True)
    model = PlainVAE()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)

    def run() -> int:
        done = 0
        for number, (batch,) in enumerate(loader):
            if number == steps:
                break
            optimiser.zero_grad()
            logits, mean, log_var = model(batch)
            loss = F.binary_cross_entropy(torch.sigmoid(logits), batch, reduction="sum")
            loss = loss - 0.5 * torch.sum(1 + log_var - mean.pow(2) - log_var.exp())
            (loss / len(batch)).backward()
            optimiser.step()
            done += len(batch)
        return done

    return run


def by_hand(x: Tensor, steps: int) -> Callable[[], int]:
    """A minimal eager loop: bytes in memory, index_select, loss from logits, fused Adam."""
    model = LeanVAE()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def run() -> int:
        order = torch.randperm(len(x))
        for step in range(steps):
            batch = x.index_select(0, order[step * BATCH : (step + 1) * BATCH]).float()
            logits, mean, log_var = model(batch)
            loss = F.binary_cross_entropy_with_logits(logits, batch, reduction="sum")
            loss = loss - 0.5 * torch.sum(1 + log_var - mean.square() - log_var.exp())
            optimiser.zero_grad(set_to_none=True)
            (loss / BATCH).backward()
            optimiser.step()
        return steps * BATCH

    return run


def ours(x: Tensor, steps: int, **how: object) -> Callable[[], int]:
    """Latentia's recipe in Latentia's loop, in float32 by default."""
    rows = Rows(x, DataSpec((784,), Support("binary")))
    recipe = lt.recipes["vae"](rows.spec, latent_dim=LATENT, network="mlp", hidden=HIDDEN)
    states = lt.train(recipe.objective, Batches(rows, BATCH), optim=recipe.optim, **how)  # type: ignore[arg-type]

    def run() -> int:
        return sum(next(states).rows for _ in range(steps))

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compile", action="store_true", help="add Latentia with compile and bf16")
    parser.add_argument("--steps", type=int, default=300, help="steps a turn")
    parser.add_argument("--repetitions", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(2)
    torch.manual_seed(0)
    x = (torch.rand(60_000, 784) < 0.13).to(torch.uint8)
    sides = {
        "latentia": ours(x, args.steps),
        "by hand": by_hand(x, args.steps),
        "tutorial": tutorial(x, args.steps),
    }
    goals = {("latentia", "by hand"): 0.93, ("latentia", "tutorial"): 1.2}
    if args.compile:
        sides["latentia, compile + bf16"] = ours(x, args.steps, compile=True, precision="bf16")
        goals["latentia, compile + bf16", "tutorial"] = 1.6
    compare("vae", sides, repetitions=args.repetitions, unit="images/s", goals=goals)


if __name__ == "__main__":
    main()
