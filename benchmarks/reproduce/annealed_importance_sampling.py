"""Gaps of annealed importance sampling on z ~ N(0, 1), x | z ~ N(z, 0.01), x = 1, after Wu et al. (2017).

    python benchmarks/reproduce/annealed_importance_sampling.py [--seeds 0 1 2] [--chains 400]

Expected log-weights with exact transitions and linear temperatures are sums in closed form; chains with exact and
with Hamiltonian transitions are compared with them and with log p(x), with their standard errors. Importance-weighted
bounds use the prior and the exact posterior as proposals. Writes results/annealed_importance_sampling.json; seconds.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import torch
from torch import Tensor

from latentia.functional.bounds import iwae, renyi_jackknife
from latentia.functional.likelihood.ais import Move, ais, linear_temperatures, reverse_ais
from latentia.functional.likelihood.hmc import adapted_step_sizes, hamiltonian
from latentia.theory.ais_gaussian import GaussianPath

RESULTS = Path(__file__).parent / "results"
PUBLISHED = {
    10: (-10.0258, -0.0758),
    100: (-2.0275, -1.0325),
    1000: (-1.4700, -1.3705),
    10000: (-1.4240, -1.4140),
}
LOG_P, GAP = -1.418963, 99.5
MOST_DRAWN = 1000  # temperatures up to which chains are run too
IWAE = (1, 10, 100, 1000, 10000)

PROBLEM = GaussianPath(torch.ones(1, 1).double(), torch.ones(1, 1).double(), noise=0.1)


def expected(steps: int) -> dict[str, object]:
    """Return the expected log-weights in both directions, with their target values."""
    betas = linear_temperatures(steps)
    forward, reverse = (
        float(PROBLEM.expected_log_weight(betas, reverse=way).squeeze()) for way in (False, True)
    )
    figures = (round(forward, 4), round(reverse, 4))
    return {
        "temperatures": steps,
        "forward": forward,
        "reverse": reverse,
        "gap_times_temperatures": (reverse - forward) * steps,
        "to_reach": PUBLISHED[steps],
        "equal": figures == PUBLISHED[steps],
    }


def drawn(steps: int, chains: int, seeds: list[int], *, exact: bool) -> dict[str, object]:
    """Return the mean log-weights over the chains of all seeds in both directions, with their z-scores."""
    parts = [one_seed(steps, chains, seed, exact=exact) for seed in seeds]
    forward, reverse = (torch.cat([part[way] for part in parts]) for way in (0, 1))
    lower, upper = (renyi_jackknife(log_w, alpha) for log_w, alpha in ((forward, 0.0), (reverse, 2.0)))
    found: dict[str, object] = {
        "temperatures": steps,
        "moves": "exact" if exact else "Hamiltonian",
        "seeds": seeds,
        "chains": len(forward),
        "forward_means": [float(part[0].mean()) for part in parts],
        "reverse_means": [float(part[1].mean()) for part in parts],
        "lower_bound": [float(lower.value), float(lower.stderr)],
        "upper_bound": [float(upper.value), float(upper.stderr)],
    }
    if exact:
        betas = linear_temperatures(steps)
        found["errors_off_expected"] = [float(off(forward, betas, False)), float(off(reverse, betas, True))]
    if steps == MOST_DRAWN:  # with fewer, a few weights outweigh the others, and their errors are too small
        truth = PROBLEM.log_evidence().squeeze()
        found["errors_off_log_p"] = [float((each.value - truth) / each.stderr) for each in (lower, upper)]
    return found


def one_seed(steps: int, chains: int, seed: int, *, exact: bool) -> tuple[Tensor, Tensor]:
    """Return the log-weights of chains forward and in reverse, from the prior and from the exact posterior."""
    generator, betas = torch.Generator().manual_seed(seed), linear_temperatures(steps)
    move = PROBLEM.exact_move(betas, generator) if exact else hamiltonian_moves(betas, generator)
    posterior = PROBLEM.distribution(1.0)
    start = posterior.mean + posterior.scale_tril[..., 0] * standard(chains, generator)
    forward = ais(PROBLEM.path(), standard(chains, generator), betas, move).log_w[:, 0]
    return forward, reverse_ais(PROBLEM.path(), start, betas, move).log_w[:, 0]


def hamiltonian_moves(betas: Tensor, generator: torch.Generator) -> Move:
    pilots, path = standard(8, generator), PROBLEM.path()
    sizes = adapted_step_sizes(path, pilots, betas, leapfrog=5, generator=generator)
    return hamiltonian(path, betas, sizes, leapfrog=5, generator=generator)


def off(log_w: Tensor, betas: Tensor, reverse: bool) -> Tensor:
    """Return the z-score of a mean log-weight against its expectation."""
    error = log_w.std() / math.sqrt(len(log_w))
    return (log_w.mean() - PROBLEM.expected_log_weight(betas, reverse=reverse).squeeze()) / error


def standard(chains: int, generator: torch.Generator) -> Tensor:
    return torch.randn((chains, 1, 1), generator=generator, dtype=torch.float64)


def importance_weighted(samples: int, repeats: int = 400) -> dict[str, object]:
    """Return IWAE-K with the prior and with the exact posterior as the proposal."""
    generator, posterior = torch.Generator().manual_seed(0), PROBLEM.distribution(1.0)
    noise = torch.randn((samples, repeats, 1), generator=generator, dtype=torch.float64)
    prior_w = PROBLEM.log_ratio(noise)
    z = posterior.mean + posterior.scale_tril[..., 0] * noise
    exact_w = PROBLEM.log_ratio(z) + PROBLEM.path().log_start(z) - posterior.log_prob(z)
    bounds = iwae(prior_w)
    return {
        "K": samples,
        "prior": [float(bounds.mean()), float(bounds.std() / math.sqrt(repeats))],
        "exact_posterior_largest_error": float((iwae(exact_w) - PROBLEM.log_evidence()).abs().max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--chains", type=int, default=400)
    args = parser.parse_args()
    start, seeds = time.perf_counter(), " ".join(map(str, args.seeds))
    closed = [expected(steps) for steps in PUBLISHED]
    sizes = [steps for steps in PUBLISHED if steps <= MOST_DRAWN]
    chains = [
        drawn(steps, args.chains, args.seeds, exact=exact) for steps in sizes for exact in (True, False)
    ]
    result = {
        "command": f"python benchmarks/reproduce/{Path(__file__).name} --seeds {seeds} --chains {args.chains}",
        "problem": "z ~ N(0, 1), x | z ~ N(z, 0.01), x = 1; linear temperatures",
        "log_p": {"found": float(PROBLEM.log_evidence().squeeze()), "to_reach": LOG_P},
        "gap": f"(E_posterior log p(x|z) - E_prior log p(x|z)) / T = {GAP} / T",
        "expected": closed,
        "chains": chains,
        "false_alarm": "beyond 3 errors: 0.3 % for each of the 10 comparisons of pooled seeds",
        "importance_weighted": [importance_weighted(samples) for samples in IWAE],
        "seconds": round(time.perf_counter() - start, 1),
        "torch": torch.__version__,
    }
    for row in [*closed, *chains, *result["importance_weighted"]]:  # type: ignore[misc]
        print(row)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "annealed_importance_sampling.json").write_text(json.dumps(result, indent=2) + "\n")
    if not all(row["equal"] for row in closed) or round(result["log_p"]["found"], 6) != LOG_P:  # type: ignore[index]
        raise SystemExit("the expected log-weights are not the ones to reach")


if __name__ == "__main__":
    main()
