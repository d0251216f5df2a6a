"""Maximum likelihood by gradient, for any model with an exact density."""

from collections.abc import Mapping
from typing import ClassVar, Protocol, runtime_checkable

from torch import Tensor, nn

from latentia.core.model import Density
from latentia.core.objective import Batch, Blocks, Objective, Step
from latentia.errors import UsageError


@runtime_checkable
class Begins(Protocol):
    """A model that is initialised from the rows before training, such as by their moments."""

    def begin(self, rows: Blocks) -> None:
        """Initialise the model from the rows."""
        ...


class MaximumLikelihood(Objective):
    """Minimise loss = -mean log p(x), in nats per row; the model is the one player.

    Args:
        model: a module with an exact density; if it has ``begin``, it is initialised from the rows.

    Raises:
        UsageError: for a model without a density.
    """

    loss_functions: ClassVar[tuple[str, ...]] = ("negative_log_likelihood",)

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        if not isinstance(model, Density):
            raise UsageError(
                f"maximum likelihood needs a model with a density; {type(model).__name__} has none"
            )
        self.model = model
        self.density: Density = model

    def players(self) -> Mapping[str, nn.Module]:
        """Return the one player."""
        return {"model": self.model}

    def begin(self, rows: Blocks) -> None:
        """Initialise the model from the rows."""
        if isinstance(self.model, Begins):
            self.model.begin(rows)

    def step(self, batch: Batch) -> Step:
        """Minimise the loss by one step."""
        loss = self.negative_log_likelihood(batch.x, self.context_of(batch))
        yield "model", loss
        return {"loss": loss.detach(), "log_likelihood": -loss.detach()}

    def negative_log_likelihood(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Return -mean log p(x), in nats per row."""
        return -self.density.log_prob(x, context).mean()
