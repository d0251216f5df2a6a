"""Finiteness: losses and gradients are checked on their device, and the findings are read every so many steps."""

from typing import NamedTuple

import torch
from torch import Tensor

from latentia.core.logged import Logged
from latentia.core.objective import Objective
from latentia.errors import NonFiniteError

READ_EVERY = 20  # steps between two readings: each waits for the device


class _Entry(NamedTuple):
    step: int
    what: str
    value: Tensor


class Watch:
    """Check losses and norms on the device, and mask every update from the first that is not finite.

    NaN and infinity times 0 are NaN, and NaN it stays: ``poison`` is 0, or NaN from the first bad value on, when
    ``bad`` is 1, by which fused kernels leave all as it was. Which value was the first is looked for when it is read.

    Args:
        objective: whose last good weights come back.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective, self.good = objective, LastGood(objective)
        device = objective.clock.device
        self.poison, self.bad = torch.zeros((), device=device), torch.zeros((), device=device)
        self.entries: list[_Entry] = []
        self.steps: dict[int, Logged] = {}
        self.error: NonFiniteError | None = None

    def look(self, step: int, what: str, value: Tensor) -> None:
        """Check one number: what it is, as "the loss of player 'model' is"."""
        value = value.detach() if not value.dim() else value.detach().reshape(())
        self.poison.add_(value, alpha=0)
        torch.ne(self.poison, self.poison, out=self.bad)
        self.entries.append(_Entry(step, what, value))

    def ended(self, step: int, logged: Logged) -> None:
        """Keep what a step logged, for the error that may come; read the findings every so many steps."""
        self.steps[step] = logged
        if (step + 1) % READ_EVERY == 0:
            self.read()

    def read(self) -> None:
        """Wait for the device, and raise where a number was not finite.

        Raises:
            NonFiniteError: naming player, step and loss terms; the last good weights are back. Again at each reading.
        """
        if self.error is None and self.entries:
            if bool(self.bad):
                bad = (entry for entry in self.entries if not bool(entry.value.isfinite()))
                self.error = self._failed(next(bad, self.entries[-1]))
            self.entries, self.steps = [], {}
            self.good.confirm()
        if self.error is not None:
            raise self.error

    def read_again(self) -> None:
        """Raise again what a reading has raised, for a caller who went on."""
        if self.error is not None:
            raise self.error

    def last(self) -> None:
        """Read the findings after the last step of all, whose weights no further loss looks at."""
        self.read()
        for name, parameter in self.objective.named_parameters():
            if not bool(parameter.isfinite().all()):
                self.error = self._put_back(f"the last step made {name} infinite or NaN", None)
                raise self.error

    def _failed(self, first: _Entry) -> NonFiniteError:
        logged = self.steps[first.step].read() if first.step in self.steps else {}
        terms = ", ".join(f"{name}={value:.6g}" for name, value in logged.items())
        reason = (
            f"{first.what} {float(first.value)} at step {first.step} ({terms or 'the step logs no terms'})"
        )
        return self._put_back(reason, first.step)

    def _put_back(self, reason: str, step: int | None) -> NonFiniteError:
        self.good.put_back(step)
        return NonFiniteError(
            f"{reason}; the weights of step {self.objective.steps_done} are back, the last known to be good: "
            "lower the learning rate, clip the gradient, or look at the rows of this step"
        )


class LastGood:
    """Copies, taken every so many steps, of weights; the last that is known to have given finite losses comes back.

    When a loss is not finite, the weights of that step are the ones to blame, and so are those a few steps
    before: a copy goes back to where a whole step was sound.

    Args:
        objective: whose parameters and buffers are copied.
        every: steps between copies.
    """

    def __init__(self, objective: Objective, every: int = 100) -> None:
        self.objective = objective
        self.every = every
        self.copies: list[tuple[int, dict[str, Tensor]]] = []

    def before(self, step: int) -> None:
        """Take a copy before a step, where one is due."""
        if step % self.every == 0 or not self.copies:
            live = self.objective.state_dict()
            self.copies.append((step, {name: value.detach().clone() for name, value in live.items()}))

    def confirm(self) -> None:
        """Forget all but the last copy: the steps since were sound."""
        del self.copies[:-1]

    def put_back(self, step: int | None) -> None:
        """Load the last copy from before a bad step, or the first where there is none; the last of all for None."""
        sound = [copy for at, copy in self.copies if step is None or at < step]
        self.objective.load_state_dict(sound[-1] if sound else self.copies[0][1])
