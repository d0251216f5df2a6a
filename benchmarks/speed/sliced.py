"""Sliced W2 of two samples, n = 10,000, d = 64, 500 directions: Latentia against POT and torch's recorded sort.

python benchmarks/speed/sliced.py
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import ot
import torch
from side_by_side import compare
from torch import Tensor

from latentia.functional.transport.sliced import random_directions, sliced_wasserstein_power

Cost = Callable[[Tensor, Tensor], Tensor]


def by_pot(x: Tensor, y: Tensor, directions: Tensor) -> Callable[[], float]:
    """POT's function on NumPy arrays of the tensors' type, with the same directions."""
    a, b, theta = x.numpy(), y.numpy(), directions.T.contiguous().numpy()
    return lambda: float(ot.sliced.sliced_wasserstein_distance(a, b, p=2, projections=theta) ** 2)


def recorded(directions: Tensor) -> Cost:
    """Sort in torch, which records the order, as it is mostly written: points in rows."""

    def cost(x: Tensor, y: Tensor) -> Tensor:
        return ((x @ directions.T).sort(0).values - (y @ directions.T).sort(0).values).square().mean()

    return cost


def recorded_in_rows(directions: Tensor) -> Cost:
    """Sort in torch along contiguous rows, where it is fastest."""

    def cost(x: Tensor, y: Tensor) -> Tensor:
        return ((directions @ x.T).sort(1).values - (directions @ y.T).sort(1).values).square().mean()

    return cost


def gradients(cost: Cost, x: Tensor, y: Tensor, *, both: bool) -> Callable[[], tuple[Tensor, ...]]:
    """Return a function that computes the value and its gradient by x, or by x and y."""

    def run() -> tuple[Tensor, ...]:
        leaves = [x.detach().requires_grad_(), y.detach().requires_grad_(both)]
        return torch.autograd.grad(cost(*leaves), [leaf for leaf in leaves if leaf.requires_grad])

    return run


def counted(work: Callable[[], object]) -> Callable[[], int]:
    def run() -> int:
        work()
        return 1

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(2)
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(10_000, 64, generator=generator), 0.1 + torch.randn(10_000, 64, generator=generator)
    directions = random_directions(500, 64, generator)

    def ours(a: Tensor, b: Tensor) -> Tensor:
        return sliced_wasserstein_power(a, b, directions=directions)

    torch_sort, in_rows = recorded(directions), recorded_in_rows(directions)
    pot64 = by_pot(x.double(), y.double(), directions.double())
    print(f"value {float(ours(x, y)):.8f}, torch {float(torch_sort(x, y)):.8f}, POT in float64 {pot64():.8f}")
    pairs = zip(gradients(ours, x, y, both=True)(), gradients(torch_sort, x, y, both=True)(), strict=True)
    difference = max(float((a - b).norm() / b.norm()) for a, b in pairs)
    print(f"gradients differ from those of torch's sort by {difference:.1e} of their norm")
    compare(
        "sliced",
        {
            "latentia": counted(lambda: ours(x, y)),
            "POT float64": counted(pot64),
            "POT float32": counted(by_pot(x, y, directions)),
            **{
                f"{name}, gradient by {which}": counted(gradients(cost, x, y, both=which == "x and y"))
                for which in ("x", "x and y")
                for name, cost in (("latentia", ours), ("torch", torch_sort), ("torch in rows", in_rows))
            },
        },
        repetitions=args.repetitions,
        unit="evaluations/s",
        goals={
            ("latentia", "POT float64"): 20,
            ("latentia", "POT float32"): 15,
            **{
                (f"latentia, gradient by {which}", f"{peer}, gradient by {which}"): 3
                for which in ("x", "x and y")
                for peer in ("torch", "torch in rows")
            },
        },
    )


if __name__ == "__main__":
    main()
