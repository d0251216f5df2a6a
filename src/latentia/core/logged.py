"""What a step logs: values that stay on the device until they are read."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


class Logged:
    """The numbers of one step: a copy on the device, read on request, those of many steps in one transfer.

    Args:
        metrics: tensors of one element, on one device, and Python numbers.

    Example:
        >>> Logged({"loss": torch.tensor(0.5), "beta": 1.0}).read()
        {'loss': 0.5, 'beta': 1.0}
    """

    def __init__(self, metrics: Mapping[str, Tensor | float]) -> None:
        self.order = tuple(metrics)
        self.names = tuple([name for name, value in metrics.items() if isinstance(value, Tensor)])
        values = [value.detach() for value in metrics.values() if isinstance(value, Tensor)]
        self.tensors = _stacked(values) if values else None
        self.numbers: dict[str, float] = {}
        if len(self.names) < len(self.order):
            self.numbers = {
                name: float(value) for name, value in metrics.items() if not isinstance(value, Tensor)
            }

    def read(self) -> dict[str, float]:
        """Return the numbers as they were logged, in their order; the first time waits for the device."""
        if self.tensors is not None:
            self.take(self.tensors.tolist())
        return self.numbers

    def take(self, values: Sequence[float]) -> None:
        """Hold the numbers of the tensors, which were transferred."""
        found = {**self.numbers, **dict(zip(self.names, values, strict=True))}
        self.numbers, self.tensors = {name: float(found[name]) for name in self.order}, None


def read_all(logged: Sequence[Logged]) -> list[dict[str, float]]:
    """Return the numbers of several steps, which are transferred together."""
    waiting: dict[tuple[tuple[str, ...], torch.dtype], list[Logged]] = {}
    for each in logged:
        if each.tensors is not None:
            waiting.setdefault((each.names, each.tensors.dtype), []).append(each)
    for group in waiting.values():
        table = torch.stack([each.tensors for each in group if each.tensors is not None]).tolist()
        for each, row in zip(group, table, strict=True):
            each.take(row)
    return [each.read() for each in logged]


def mean_of(parts: Sequence[Mapping[str, Tensor | float]], fractions: Sequence[float]) -> Logged:
    """Return the mean over rows of what the micro-batches of a step logged.

    Args:
        parts: what each of them logged, under the same names.
        fractions: of the step's rows that each of them has.

    Example:
        >>> mean_of([{"loss": 1.0}, {"loss": torch.tensor(5.0)}], [0.75, 0.25]).read()
        {'loss': 2.0}
    """
    if len(parts) == 1:
        return Logged(parts[0])
    return Logged(
        {
            name: sum(_wide(part[name]) * f for part, f in zip(parts, fractions, strict=True))
            for name in parts[0]
        }
    )


def _stacked(values: list[Tensor]) -> Tensor:
    """Return tensors of one element as one, (M,); as float64 where they are of several types."""
    first = values[0].dtype
    if any(each.dtype != first for each in values):
        values = [each.double() for each in values]
    if any(each.dim() for each in values):
        values = [each.reshape(()) for each in values]
    return torch.stack(values)


def _wide(value: Tensor | float) -> Tensor | float:
    return value.detach().double() if isinstance(value, Tensor) else float(value)
