"""A run: a fitted model with all that is known of how it came to be."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from latentia.core.model import Density
from latentia.core.recipe import Recipe
from latentia.data.ingest.arrays import as_tensor
from latentia.data.spec import DataSpec
from latentia.runs.build import model_of_rows, seen_spec
from latentia.runs.costs import Costs
from latentia.runs.folder import FORMAT, RunFolder
from latentia.runs.forms import draws_of, filled, given_back, is_frame, traversed
from latentia.runs.history import Row, table_of
from latentia.runs.options import Training
from latentia.runs.outside import by_name, outside_parts
from latentia.runs.verbs import ArrayLike, Verbs
from latentia.signatures import Option
from latentia.version import __version__

if TYPE_CHECKING:
    import pandas as pd

    from latentia.data.rows import Rows

C = TypeVar("C")


@dataclass
class Run:
    """A fitted model, in memory or in a folder. It offers what its model can do.

    Attributes:
        name: the recipe's name, or None for a recipe of the user's own.
        options: the recipe's options, defaults included.
        training: how it was trained.
        data: the training data's name, split and spec, as JSON values.
        recipe: what was trained.
        epochs: what each epoch logged, which `history` shows as a table.
        stage: which of the recipe's trainings the model comes from: 0, unless one follows the first.
        path: the run's folder, or None.
        interrupted: whether the training was stopped before its end.
        held_out: the validation rows, where ``fit`` has just held some out; a folder does not hold them.
        train_rows: the rows it was fitted to, where ``fit`` has just read them; a folder does not hold them either.
        costs: what the training took; None for a run of an earlier version.

    Example:
        >>> import numpy as np, latentia as lt
        >>> lt.fit("gaussian-mixture", np.eye(9), components=1, epochs=1, progress=False)
        <Run of gaussian-mixture on data: GaussianMixture, 1 epoch, in memory>
    """

    name: str | None
    options: Mapping[str, Any]
    training: Training
    data: Mapping[str, Any]
    recipe: Recipe
    epochs: Sequence[Row]
    stage: int = 0
    path: Path | None = None
    interrupted: bool = field(default=False)
    held_out: Rows | None = None
    train_rows: Rows | None = None
    costs: Costs | None = None

    def __repr__(self) -> str:
        recipe, model = self.name or "own recipe", type(self.model).__name__
        epochs = int(self.epochs[-1]["epoch"]) if self.epochs else 0
        done = f"{epochs} epoch{'s' * (epochs != 1)}{', interrupted' * self.interrupted}"
        return f"<Run of {recipe} on {self.data['name']}: {model}, {done}, {self.path or 'in memory'}>"

    @property
    def history(self) -> pd.DataFrame:
        """What the training logged: a table with a row for each epoch."""
        return table_of(self.epochs)

    @property
    def model(self) -> nn.Module:
        """The fitted model of the data's rows, in eval mode; `EncodedTable` where it is one of their encodings."""
        return model_of_rows(self.recipe)

    @property
    def spec(self) -> DataSpec:
        """What the data is, as it was given."""
        return DataSpec.from_json(self.data["spec"])

    @property
    def model_spec(self) -> DataSpec:
        """What the data is that the model sees: as it was given, or what the recipe's transform makes of it."""
        return seen_spec(self.recipe, self.spec)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.recipe.objective.clock.device

    @property
    def tensors(self) -> Verbs:
        """What the model can do, with tensors of natural rows as results whatever the data's form is."""
        return Verbs(self.name or type(self.recipe.objective.model).__name__, self.recipe, self.spec)

    def sample(
        self,
        n: int,
        given: Mapping[str, Any] | None = None,
        *,
        seed: int | torch.Generator | None = None,
        **options: Any,
    ) -> Any:
        """Draw n rows in the form of the data: a frame with its columns and types, or a tensor (n, *event).

        Args:
            n: number of rows.
            given: what to condition on, as {"class": 3}, for conditional models. A factor takes one value, n of
                them, or "a:b", the way from a to b in n steps; factors that are not given are drawn. Of a table also
                values of columns, as {"education": "Masters", "age": 40}, for every model: rows are drawn given them
                exactly where the model can, by its way to fill gaps, or kept of its samples; a `DataWarning` says how.
            seed: a seed or a generator; fresh randomness without one.
            options: the model's sampling options, which ``sampling_options`` lists.

        Raises:
            UsageError: for a model that does not sample, a condition or an option that it does not take, an option's
                value that is not allowed, a critic without a ratio.
        """
        verbs = self.tensors
        rows, own = verbs.sample(n, given, seed, **options), verbs.split(given)[0]
        return given_back(rows, self.spec, verbs.shown(n, own), draws_of(seed))

    def samples(
        self,
        n: int,
        given: Mapping[str, Any] | None = None,
        *,
        seed: int | torch.Generator | None = None,
        **options: Any,
    ) -> Iterator[Any]:
        """Yield n rows as ``sample`` draws them, block by block, so that any number of them takes little memory.

        With the same seed they are the same rows, but for what a frame makes anew: ids, and values of rare categories.
        """
        verbs, draws = self.tensors, draws_of(seed)
        known = verbs.shown(n, verbs.split(given)[0])
        for rows in verbs.samples(n, given, seed, **options):
            first, end = draws.first, draws.first + len(rows)
            part = {name: values[first:end] for name, values in known.items()}
            yield given_back(rows, self.spec, part, draws)
            draws = replace(draws, first=end)

    @property
    def sampling_options(self) -> dict[str, Option]:
        """The options that ``sample`` takes, by name: those that the model declares, and rejection by a critic.

        Each has a ``hint``, a ``default`` and a line of ``help``; a model that does not sample has none.
        """
        return self.tensors.sampling_options

    def encode(self, x: ArrayLike, given: Mapping[str, Any] | None = None) -> Tensor:
        """Return the mean code of each row: (n, d)."""
        return self.tensors.encode(x, given)

    def features(
        self, x: ArrayLike, given: Mapping[str, Any] | None = None, *, layer: str | None = None
    ) -> Tensor:
        """Return an adversarial run's critic's features of each row, at a layer or before its last one: (n, F)."""
        return self.tensors.features(x, given, layer)

    def log_ratio(self, x: ArrayLike, given: Mapping[str, Any] | None = None) -> Tensor:
        """Return log p(x)/q(x) of each row, data over samples, as an adversarial run's critic has it: (n,) nats."""
        return self.tensors.log_ratio(x, given)

    def log_prob(
        self,
        x: ArrayLike,
        given: Mapping[str, Any] | None = None,
        *,
        samples: int = 100,
        seed: int | None = 0,
    ) -> Tensor:
        """Return log p(x) of each row: (n,) nats, for anomaly scores; `log_prob_kind` says what kind of number it is.

        It is exact where the model has a density, and an importance-weighted lower bound where it has one of these;
        rare rows have low values.

        Args:
            x: rows in the form of the data; a frame's columns are matched by name.
            given: what to condition on, for conditional models.
            samples: K of the bound.
            seed: of the bound's draws.

        Raises:
            UsageError: for a model with neither.
        """
        return self.tensors.log_prob(x, given, samples, seed)

    def log_prob_kind(self, samples: int = 100) -> str:
        """Return what kind of number ``log_prob`` gives: "exact", or a lower bound and which."""
        return "exact" if isinstance(self.model, Density) else f"lower bound (IWAE, K={samples})"

    def impute(
        self,
        x: ArrayLike,
        given: Mapping[str, Any] | None = None,
        *,
        seed: int | torch.Generator | None = None,
    ) -> Any:
        """Fill the missing values of rows by a draw given the others of the same row; other seeds are other draws.

        Args:
            x: rows in the form of the data, NaN where a value is missing; all else comes back as it is.
            given: what to condition on, for conditional models.
            seed: a seed or a generator; fresh randomness without one.

        Raises:
            UsageError: for a model that cannot, with those that can.
        """
        rows = self.tensors.impute(x, given, seed)
        back = given_back(rows, self.spec, {}, draws_of(seed), like=x)
        return filled(x, back) if is_frame(x) and self.spec.table else back

    def decode(self, z: ArrayLike, given: Mapping[str, Any] | None = None) -> Any:
        """Return the mean row of each code (n, d), in the form of the data."""
        verbs, codes = self.tensors, as_tensor(z, "z")
        return given_back(verbs.decode(codes, given), self.spec, verbs.shown(len(codes), given))

    def reconstruct(self, x: ArrayLike, given: Mapping[str, Any] | None = None) -> Any:
        """Return each row encoded and decoded again, as means, in the form of the data."""
        verbs = self.tensors
        rows = verbs.reconstruct(x, given)
        return given_back(rows, self.spec, verbs.shown(len(rows), given), like=x)

    def interpolate(
        self,
        a: ArrayLike,
        b: ArrayLike,
        *,
        steps: int = 8,
        path: str = "spherical",
        given: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return rows on the way from row a to row b through the codes: (steps, *event), or a frame.

        Args:
            a: one row, where the path begins.
            b: one row, where it ends.
            steps: number of rows, both ends included.
            path: linear or spherical.
            given: what to condition on, for conditional models.
        """
        verbs = self.tensors
        rows = verbs.interpolate(a, b, steps=steps, path=path, given=given)
        return given_back(rows, self.spec, verbs.shown(len(rows), given))

    def traverse(
        self, x: ArrayLike, *, steps: int = 9, span: float = 3.0, given: Mapping[str, Any] | None = None
    ) -> Any:
        """Return row x decoded with one entry of its code moved from -span to span: (d, steps, *event).

        Of a table it is a frame whose index has two levels, the entry and the value that it takes.
        """
        rows = self.tensors.traverse(x, steps=steps, span=span, given=given)
        return traversed(rows, self.spec, span) if self.spec.table else rows

    def translate(self, x: ArrayLike, given: Mapping[str, Any] | None = None) -> Any:
        """Return each row carried into a domain, given as {"domain": "zebra"}, in the form of the data."""
        verbs = self.tensors
        return given_back(verbs.translate(x, given), self.spec, {}, like=x)

    def rows(self, x: ArrayLike, *, one: bool = False) -> Tensor:
        """Return rows as the model takes them: checked, floating-point, transformed as in training.

        Args:
            x: (n, *event) rows of the data as it was given; a single row where ``one``.
            one: whether x is to be one row, with or without the first dimension.
        """
        return self.tensors.rows(x, one=one)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the run as a folder that ``lt.load`` reads.

        Raises:
            RunError: if the folder exists and ``overwrite`` is not set, holds what no run writes, or cannot be written.
        """
        path = Path(path)
        folder = RunFolder(path, self.config(), self.recipe.objective, overwrite=overwrite, begun=False)
        folder.record(self.epochs)
        folder.close(costs=self.costs)
        self.path = path

    def config(self) -> dict[str, Any]:
        """Return what config.json holds: all that is needed to build the run's model again."""
        config = {
            "format": FORMAT,
            "recipe": self.name,
            "options": by_name(self.options),
            "training": asdict(self.training),
            "data": dict(self.data),
            "stage": self.stage,
            "versions": {
                "latentia": __version__,
                "torch": str(torch.__version__),
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
        }
        parts = outside_parts(config)
        return config | ({"parts": parts} if parts else {})

    def require(self, capability: type[C], *more: type) -> C:
        """Return the model, as one with capabilities; `UsageError` says what it lacks and what it can."""
        return self.tensors.require(capability, *more)
