"""Marginals and conditionals of Gaussian mixtures."""

from collections.abc import Iterator

import torch
from torch import Tensor

from latentia.functional.mixtures.components import Components


def marginal(components: Components, entries: Tensor) -> Components:
    """Return the marginal of some entries: Σ_k π_k N(x_o; μ_o, Σ_oo).

    Args:
        components: of all D entries.
        entries: (o,) indices of the entries that are kept.
    """
    means = components.means[:, entries]
    if not components.matrix:
        return Components(components.weights, means, components.factors[:, entries])
    block = components.factors[:, entries]  # x_o = μ_o + L_o ε, with the rows L_o of L
    return Components(components.weights, means, torch.linalg.cholesky(block @ block.mT))


def regression(components: Components, known: Tensor, unknown: Tensor) -> tuple[Tensor, Tensor]:
    """Return each component's regression of its unknown on its known entries: x_m = μ_m + G (x_o − μ_o) + N(0, C).

    G = Σ_mo Σ_oo⁻¹ and C = Σ_mm − G Σ_om, of each component.

    Args:
        components: with full covariances.
        known: (o,) indices of the known entries.
        unknown: (m,) indices of the others.

    Returns:
        (K, m, o) G and (K, m, m) C.

    Reference: Bishop (2006), Pattern Recognition and Machine Learning, eqs. 2.81 and 2.82.
    """
    cov = components.covariances
    cross = cov[:, known[:, None], unknown]
    root = torch.linalg.cholesky(cov[:, known[:, None], known])
    gain = torch.cholesky_solve(cross, root).mT
    whitened = torch.linalg.solve_triangular(root, cross, upper=False)
    return gain, cov[:, unknown[:, None], unknown] - whitened.mT @ whitened


def conditional(
    components: Components, known: Tensor, values: Tensor, log_prob: Tensor | None = None
) -> Components:
    """Return the conditional of the other entries given some: Σ_k π_k(x_o) N(x_m; μ_m + G_k (x_o − μ_o), C_k).

    π_k(x_o) = π_k N(x_o; μ_o, Σ_oo) / Σ_j π_j N(x_o; …), with G and C as `regression` has them.

    Args:
        components: of all D entries.
        known: (o,) indices of the given entries.
        values: (o,) x_o.
        log_prob: (K,) the log-probability under each component of what else is given.

    Returns:
        The components of the D − o other entries, in their order.

    Reference: Bishop (2006), Pattern Recognition and Machine Learning, section 2.3.1 and eq. 9.8.
    """
    unknown = others(known, components.means.shape[1])
    log_joint = marginal(components, known).log_joint(values[None])[0]
    weights = (log_joint if log_prob is None else log_joint + log_prob).softmax(0)
    means = components.means[:, unknown]
    if not components.matrix:
        return Components(weights, means, components.factors[:, unknown])
    gain, cov = regression(components, known, unknown)
    shift = gain @ (values - components.means[:, known])[..., None]
    return Components(weights, means + shift[..., 0], torch.linalg.cholesky(cov))


def drawn_unknown(components: Components, x: Tensor, k: Tensor) -> Tensor:
    """Return rows (B, D) whose missing entries are drawn from a component of each row, given the row's other entries.

    Args:
        components: of all D entries.
        x: rows, NaN where a value is missing.
        k: (B,) the rows' components.
    """
    x = x.clone()
    for rows, known, unknown in patterns(x):
        if len(unknown):
            x[rows[:, None], unknown] = _drawn(components, x[rows][:, known], k[rows], known, unknown)
    return x


def _drawn(components: Components, x: Tensor, k: Tensor, known: Tensor, unknown: Tensor) -> Tensor:
    """Draw the unknown entries of rows of one pattern, (B, m), from x (B, o), the known ones."""
    noise = torch.randn(len(k), len(unknown), dtype=x.dtype, device=x.device)
    means = components.means[:, unknown]
    if not components.matrix:
        return means[k] + components.factors[:, unknown][k] * noise
    gain, cov = regression(components, known, unknown)
    factors, drawn = torch.linalg.cholesky(cov), torch.empty_like(noise)
    for j in k.unique().tolist():  # component by component, so that no factor is copied for each row
        there = k == j
        fitted = means[j] + (x[there] - components.means[j, known]) @ gain[j].mT
        drawn[there] = fitted + noise[there] @ factors[j].mT
    return drawn


def patterns(x: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Iterate over the patterns of missing values in (B, D) rows: (rows, observed entries, missing entries)."""
    found, of_row = x.isnan().unique(dim=0, return_inverse=True)
    for number, missing in enumerate(found):
        unknown = missing.nonzero()[:, 0]
        yield (of_row == number).nonzero()[:, 0], others(unknown, x.shape[1]), unknown


def others(entries: Tensor, size: int) -> Tensor:
    """Return the indices from 0 to D − 1 that are not among (o,) entries, in ascending order: (D − o,)."""
    left = torch.ones(size, dtype=torch.bool, device=entries.device)
    left[entries] = False
    return left.nonzero()[:, 0]
