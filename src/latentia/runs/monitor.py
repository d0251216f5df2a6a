"""Monitors: a metric of the held-out rows, watched each epoch, and early stopping by it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor, nn

from latentia.core.objective import Objective
from latentia.core.recipe import Recipe
from latentia.core.state import load_module, prefixed, within
from latentia.data.rows import Rows
from latentia.errors import UsageError
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.score import Score
from latentia.metrics.scoring import default_metrics, score
from latentia.metrics.settings import EvaluationSettings
from latentia.models.encoded_table import EncodedTable, of_tables
from latentia.registry import metrics
from latentia.runs.build import model_of_rows, seen_by
from latentia.runs.options import Training

NONE = "none"  # the name that leaves the monitor out
_FRACTION = 0.05  # of the training's time that a monitor may take
_FREE = 1.0  # seconds that it may take in any case, so that short trainings are watched at every epoch
_UNASKED = ("log-likelihood", "elbo", "energy-distance")  # the first that a model can be scored by is watched
_MOST = 500  # rows and samples of metrics that compare all pairs: 4 ms in the plane, 30 ms of 28×28 images


@dataclass
class Monitor:
    """A metric of the held-out rows, watched each epoch, and the best weights by it where there is patience.

    Attributes:
        name: the metric.
        evaluation: the rows it is computed on, and how.
        patience: epochs without a better value before stopping; None never stops.
        weights: of the whole objective at the best epoch, the model's as they were scored; none without patience.
        seconds: that the last value took.
        asked: whether the user named it; a first value that cannot be computed is then an error, and otherwise missing.
    """

    name: str
    evaluation: Evaluation
    patience: int | None
    asked: bool = True
    best: float | None = None
    waited: int = 0
    seconds: float = 0.0
    weights: dict[str, Tensor] = field(default_factory=dict[str, Tensor])

    def watch(self, model: nn.Module, objective: Objective) -> float:
        """Score a model, keep a copy of the weights if it is the best so far, and return its value.

        Args:
            model: the objective's, or its average.
            objective: what is kept with it: a critic, say, belongs to the generator that it was trained against.
        """
        scored = (
            of_tables(model, known.encoding)
            if isinstance(known := self.evaluation.model, EncodedTable)
            else model
        )
        result = score(replace(self.evaluation, model=scored), [self.name])[0]
        if self.asked and self.best is None:
            self._check(result)
        if (
            result.value is None
        ):  # a held-out row where the density is 0, say, or samples that are infinite by now
            self.waited += 1
            return math.nan
        sign = -1.0 if result.direction == "lower" else 1.0
        if self.best is None or sign * result.value > sign * self.best:
            self.best, self.waited = result.value, 0
            if self.patience is not None:  # a copy: state_dict() alone would go on training
                kept = objective.state_dict() | prefixed("model", model.state_dict())
                self.weights = {name: value.detach().clone() for name, value in kept.items()}
        else:
            self.waited += 1
        return result.value

    def is_affordable(self, spent: float, trained: float) -> bool:
        """Whether one more value keeps the monitor under 5 % of the training's time, or under a second in all.

        Args:
            spent: seconds that its values took.
            trained: seconds of the training without them.
        """
        return spent + self.seconds <= max(_FREE, _FRACTION * trained)

    def skipping(self) -> str:
        """Return a line that says why epochs are skipped."""
        return (
            f"the monitor {self.name} takes {self.seconds:.2g} s, and skips epochs to stay under "
            f"{100 * _FRACTION:.0f} % of the training's time "
            f"(monitor={NONE!r}, on the command line --monitor {NONE}, leaves it out)"
        )

    @property
    def out_of_patience(self) -> bool:
        """Whether it is time to stop."""
        return self.patience is not None and self.waited >= self.patience

    def _check(self, result: Score) -> None:
        """Raise `UsageError` for a metric that the user named and the model cannot be watched, or stopped, by."""
        if result.value is None:
            raise UsageError(f"monitor {self.name!r} has no value here: {result.reason}")
        if self.patience is not None and not result.direction:
            raise UsageError(
                f"monitor {self.name!r} has no better and no worse, so nothing can be stopped by it"
            )


def load_best(objective: Objective, weights: Mapping[str, Tensor]) -> None:
    """Put a monitor's best weights back; the clock still counts all steps."""
    load_module(objective, {**weights, "clock": objective.clock})
    # An objective may hold its model by another name too, under which the weights are those of training.
    load_module(objective.model, within("model", weights))


def make_monitor(recipe: Recipe, held_out: Rows | None, asked: Training) -> Monitor | None:
    """Return the requested monitor; by default a model's likelihood, its bound, or how its samples fare.

    Raises:
        UsageError: for a monitor or patience without held-out rows, or for a model that offers nothing to watch.
    """
    if asked.monitor == NONE:
        if asked.waits is not None:
            raise UsageError(
                f"patience stops by a monitor, and monitor={NONE!r} leaves it out: give one of them, or stop_on="
            )
        return None
    if held_out is None:
        if asked.watched is not None or asked.waits is not None:
            raise UsageError(
                "monitor and patience need held-out rows, and so does stop_on: give validation=0.1, or data that has "
                "some"
            )
        return None
    held_out = seen_by(recipe, held_out)
    settings = EvaluationSettings(seed=asked.seed, max_rows=_MOST)
    evaluation = Evaluation(model_of_rows(recipe), held_out, settings, conditional=recipe.conditional)
    name = asked.watched or _offered(evaluation)
    if name is None:
        if asked.patience is not None:
            raise UsageError(
                "patience needs monitor= here, such as reconstruction-error: the model has neither a likelihood nor "
                "samples"
            )
        return None
    _ = metrics[name]
    return Monitor(name, evaluation, asked.waits, asked=asked.watched is not None)


def _offered(evaluation: Evaluation) -> str | None:
    """Return the metric that a model is watched by where none is named, or None where it offers none of them."""
    offered = default_metrics(evaluation.model, evaluation.rows.spec)
    fitting = (name for name in _UNASKED if isinstance(evaluation.model, metrics.facts(name)["needs"]))
    return next((name for name in fitting if name in offered), None)
