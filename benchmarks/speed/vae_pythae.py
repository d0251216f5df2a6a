"""VAE 784-512-16-512-784, Bernoulli, batch 128, Adam: Latentia against pythae's trainer as it comes.

    pip install pythae==0.1.2
    python benchmarks/speed/vae_pythae.py

pythae trains its own default networks by its own trainer, from floats in memory, without checkpoints and without its
progress bar. Latentia trains the same widths on the same bits. Goals: 1.3 eager, 1.8 with compile and bf16.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Callable

import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from side_by_side import compare
from torch import Tensor

import latentia as lt
from latentia.data.batches import Batches
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support

BATCH, LATENT, HIDDEN = 128, 16, 512


def theirs(x: Tensor, folder: str) -> Callable[[], int]:
    """pythae's trainer; one epoch a turn."""
    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=LATENT, reconstruction_loss="bce")
    rows = BaseDataset(x.float().reshape(-1, 1, 28, 28), torch.ones(len(x)))
    how = BaseTrainerConfig(
        output_dir=folder,
        learning_rate=1e-3,
        optimizer_cls="Adam",
        per_device_train_batch_size=BATCH,
        num_epochs=1,
        no_cuda=True,
    )
    trainer = BaseTrainer(model=VAE(config), train_dataset=rows, training_config=how)
    trainer.prepare_training()
    trainer.callback_handler.callbacks = []

    def run() -> int:
        trainer.train_step(epoch=1)
        return len(x)

    return run


def ours(x: Tensor, **how: object) -> Callable[[], int]:
    """Latentia's recipe in Latentia's loop; one epoch a turn."""
    rows = Rows(x, DataSpec((784,), Support("binary")))
    recipe = lt.recipes["vae"](rows.spec, latent_dim=LATENT, network="mlp", hidden=HIDDEN)
    states = lt.train(recipe.objective, Batches(rows, BATCH), optim=recipe.optim, **how)  # type: ignore[arg-type]

    def run() -> int:
        return sum(next(states).rows for _ in range(len(x) // BATCH))

    return run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=300, help="steps a turn")
    parser.add_argument("--repetitions", type=int, default=7)
    args = parser.parse_args()
    logging.disable(logging.INFO)
    torch.set_num_threads(2)
    torch.manual_seed(0)
    x = (torch.rand(args.steps * BATCH, 784) < 0.13).to(torch.uint8)
    with tempfile.TemporaryDirectory() as folder:
        sides = {
            "latentia": ours(x),
            "latentia, compile + bf16": ours(x, compile=True, precision="bf16"),
            "pythae": theirs(x, folder),
        }
        goals = {("latentia", "pythae"): 1.3, ("latentia, compile + bf16", "pythae"): 1.8}
        compare("vae_pythae", sides, repetitions=args.repetitions, unit="images/s", goals=goals)


if __name__ == "__main__":
    main()
