"""GANs of points in the plane, and DCGANs of 32×32 RGB, against hand-written loops.

    python benchmarks/speed/gan.py [--what plane images wide]

Both sides have the same networks and first weights. By hand in the plane: a minimal eager loop with fused Adam and both
players' own gradients only. Images as public tutorials train them: plain Adam, NCHW, float32, one batch of samples for
both players, gradients of the critic's weights in the generator's step too. Goals: plane 0.95; images (128-128-64
feature maps) 1.2 in float32 and 3 in bf16; wide (256-128-64) 1.15 in float32, and 1.6 for bf16 over our own float32.
The recorded machine, whose convolutions run at their peak on both sides and which has no AMX, reaches none of these.
Before images are timed, twenty steps with the same noise must give the same losses to 1e-9 in float64; how far apart
they are in float32, where Adam amplifies rounding, is reported.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from side_by_side import compare
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

import latentia as lt
from latentia.core.objective import Batch
from latentia.data.batches import Batches
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support
from latentia.functional.gan.loss_pairs import loss_pair
from latentia.models.implicit import Implicit
from latentia.networks.conv import channels_last
from latentia.networks.critic import Critic
from latentia.networks.scaling import Scaling
from latentia.objectives.gan.adversarial import Adversarial

BATCH, PLANE_BATCH, LATENT = 64, 128, 64
BETAS = (0.5, 0.999)


class Network(nn.Sequential):
    """Layers in a row, for rows without a context."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:  # noqa: ARG002
        return super().forward(x)


def image_networks(a: int, b: int, c: int) -> tuple[Network, Network]:
    """A DCGAN as tutorials write it, with a feature maps of 4×4, b of 8×8, c of 16×16; its last tanh comes later."""
    generator = Network(
        nn.Linear(LATENT, a * 16),
        nn.Unflatten(1, (a, 4, 4)),
        nn.BatchNorm2d(a),
        nn.ReLU(),
        nn.ConvTranspose2d(a, b, 4, 2, 1),
        nn.BatchNorm2d(b),
        nn.ReLU(),
        nn.ConvTranspose2d(b, c, 4, 2, 1),
        nn.BatchNorm2d(c),
        nn.ReLU(),
        nn.ConvTranspose2d(c, 3, 4, 2, 1),
    )
    critic = Network(
        nn.Conv2d(3, c, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(c, b, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(b, a, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(a * 16, 1),
    )
    return generator, critic


def plane_networks() -> tuple[Network, Network]:
    """Two hidden layers of 128 each."""
    sizes = [(2, 2), (2, 1)]
    made = [
        Network(nn.Linear(a, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, b))
        for a, b in sizes
    ]
    return made[0], made[1]


def game(spec: DataSpec, generator: nn.Module, critic: nn.Module, latent: int) -> Adversarial:
    """Return our objective with these networks; of images, as by hand, one batch of samples serves both players."""
    for network in (generator, critic):
        channels_last(network)
    model = Implicit.of_noise(spec, generator, latent)
    judge, losses = Critic(critic, Scaling(spec)), loss_pair("non-saturating")
    return Adversarial(model, judge, losses, reuse_samples=spec.is_image)


def ours(
    rows: Rows,
    networks: tuple[nn.Module, nn.Module],
    latent: int,
    lr: float,
    size: int,
    steps: int,
    **how: Any,
) -> Callable[[], int]:
    """Latentia's loop; some steps a turn."""
    objective = game(rows.spec, *copy.deepcopy(networks), latent)
    states = lt.train(objective, Batches(rows, size), optim=lt.Optim(lr=lr, betas=BETAS), **how)

    def run() -> int:
        return sum(next(states) is not None for _ in range(steps))

    return run


def tutorial_step(
    real: Tensor, z: Tensor, generator: nn.Module, critic: nn.Module, moves: tuple[Any, Any]
) -> tuple[float, float]:
    """One iteration as tutorials write it; return the critic's and the generator's loss."""
    fake = torch.tanh(generator(z))
    moves[1].zero_grad()
    critic_loss = F.softplus(-critic(real)).mean() + F.softplus(critic(fake.detach())).mean()
    critic_loss.backward()
    moves[1].step()
    moves[0].zero_grad()
    generator_loss = F.softplus(-critic(fake)).mean()
    generator_loss.backward()
    moves[0].step()
    return critic_loss.item(), generator_loss.item()


def tutorial(x: Tensor, networks: tuple[nn.Module, nn.Module], steps: int) -> Callable[[], int]:
    """NCHW, float32, plain Adam, full ``backward()``."""
    generator, critic = copy.deepcopy(networks)
    moves = tuple(torch.optim.Adam(each.parameters(), lr=2e-4, betas=BETAS) for each in (generator, critic))
    real = x.float() / 127.5 - 1

    def run() -> int:
        order = torch.randperm(len(real))
        for step in range(steps):
            batch = real[order[step * BATCH : (step + 1) * BATCH]]
            tutorial_step(batch, torch.randn(BATCH, LATENT), generator, critic, moves)
        return steps

    return run


def by_hand(x: Tensor, networks: tuple[nn.Module, nn.Module], steps: int) -> Callable[[], int]:
    """A minimal eager loop over points in the plane."""
    generator, critic = copy.deepcopy(networks)
    moves_g = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=BETAS, fused=True)
    moves_c = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=BETAS, fused=True)
    weights_g, weights_c = list(generator.parameters()), list(critic.parameters())

    def run() -> int:
        order = torch.randperm(len(x))
        for step in range(steps):
            real = x.index_select(0, order[step * PLANE_BATCH : (step + 1) * PLANE_BATCH])
            with torch.no_grad():
                fake = generator(torch.randn(PLANE_BATCH, 2))
            loss = F.softplus(-critic(real)).mean() + F.softplus(critic(fake)).mean()
            loss.backward(inputs=weights_c)
            moves_c.step()
            moves_c.zero_grad(set_to_none=True)
            loss = F.softplus(-critic(generator(torch.randn(PLANE_BATCH, 2)))).mean()
            loss.backward(inputs=weights_g)
            moves_g.step()
            moves_g.zero_grad(set_to_none=True)
        return steps

    return run


class Noise(nn.Module):
    """A prior that hands out given codes."""

    def __init__(self, codes: Iterator[Tensor]) -> None:
        super().__init__()
        self.codes = codes

    def forward(self, encode: object = None) -> Noise:  # noqa: ARG002
        return self

    def sample(self, shape: object) -> Tensor:  # noqa: ARG002
        return next(self.codes)


def apart(x: Tensor, networks: tuple[nn.Module, nn.Module], dtype: torch.dtype, steps: int = 20) -> float:
    """Return the largest difference of the losses of twenty steps on the same rows and noise, in float32 or 64."""
    torch.set_default_dtype(dtype)
    try:
        return _apart(x, networks, steps)
    finally:
        torch.set_default_dtype(torch.float32)


def _apart(x: Tensor, networks: tuple[nn.Module, nn.Module], steps: int) -> float:
    networks = tuple(copy.deepcopy(each).to(torch.get_default_dtype()) for each in networks)
    codes, spec = torch.randn(steps, BATCH, LATENT), DataSpec((3, 32, 32), Support("discrete", 256))
    batches = [x[step * BATCH : (step + 1) * BATCH] for step in range(steps)]
    generator, critic = copy.deepcopy(networks)
    moves = tuple(torch.optim.Adam(each.parameters(), lr=2e-4, betas=BETAS) for each in (generator, critic))
    theirs = [
        tutorial_step(batch.to(z.dtype) / 127.5 - 1, z, generator, critic, moves)
        for batch, z in zip(batches, codes, strict=True)
    ]
    objective = game(spec, *copy.deepcopy(networks), LATENT)
    objective.model.prior = Noise(iter(codes))
    states = lt.train(
        objective, [Batch(b) for b in batches], optim=lt.Optim(lr=2e-4, betas=BETAS), steps=steps
    )
    own = [(state.metrics["critic_loss"], state.metrics["generator_loss"]) for state in states]
    return (torch.tensor(own) - torch.tensor(theirs)).abs().max().item()


def plane(repetitions: int) -> None:
    torch.manual_seed(0)
    x, networks = torch.randn(60_000, 2), plane_networks()
    rows = Rows(x, DataSpec((2,), Support("real")))
    sides = {
        "latentia": ours(rows, networks, 2, 1e-3, PLANE_BATCH, 300),
        "by hand": by_hand(x, networks, 300),
    }
    goals = {("latentia", "by hand"): 0.95}
    compare("gan_plane", sides, repetitions=repetitions, unit="steps/s", goals=goals)


def images(
    name: str, widths: tuple[int, int, int], goals: dict[tuple[str, str], float], repetitions: int
) -> None:
    torch.manual_seed(0)
    x, networks = torch.randint(256, (10_000, 3, 32, 32), dtype=torch.uint8), image_networks(*widths)
    found = {str(dtype): apart(x, networks, dtype) for dtype in (torch.float64, torch.float32)}
    print(f"losses of 20 steps differ by at most {found}")
    assert found["torch.float64"] < 1e-9
    rows = Rows(x, DataSpec((3, 32, 32), Support("discrete", 256)))
    sides = {
        "latentia": ours(rows, networks, LATENT, 2e-4, BATCH, 12),
        "latentia, bf16": ours(rows, networks, LATENT, 2e-4, BATCH, 12, precision="bf16"),
        "tutorial": tutorial(x, networks, 12),
    }
    facts = {"losses_of_20_steps_apart": found}
    compare(name, sides, repetitions=repetitions, unit="steps/s", goals=goals, facts=facts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = ("plane", "images", "wide")
    parser.add_argument("--what", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--repetitions", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(2)
    half, eager, tutorial_ = "latentia, bf16", "latentia", "tutorial"
    if "plane" in args.what:
        plane(args.repetitions)
    if "images" in args.what:
        goals = {(eager, tutorial_): 1.2, (half, tutorial_): 3.0}
        images("gan_images", (128, 128, 64), goals, args.repetitions)
    if "wide" in args.what:
        goals = {(half, eager): 1.6, (eager, tutorial_): 1.15}
        images("gan_wide", (256, 128, 64), goals, args.repetitions)


if __name__ == "__main__":
    main()
