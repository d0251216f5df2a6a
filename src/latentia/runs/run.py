"""A run: a fitted model with all that is known of how it came to be."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from latentia.core.model import Bounded, Decodes, Density, Encodes, Generative, SamplesContext, Translates
from latentia.core.recipe import Recipe
from latentia.data.ingest.arrays import as_events, as_tensor
from latentia.data.spec import DataSpec
from latentia.errors import UsageError
from latentia.functional.interpolation import PATHS
from latentia.models.encoded_table import EncodedTable
from latentia.networks.conditioning import encoder_of
from latentia.registry import check_name
from latentia.runs.build import model_of_rows, seen_spec, transformed
from latentia.runs.conditioning import conditions_by_factor, values_of
from latentia.runs.costs import Costs
from latentia.runs.critic_ratio import CriticReading
from latentia.runs.folder import FORMAT, RunFolder
from latentia.runs.history import Row, table_of
from latentia.runs.options import Training, at_least, checked_seed
from latentia.runs.outside import by_name, outside_parts
from latentia.runs.sampling import Sampler
from latentia.signatures import Option
from latentia.version import __version__

if TYPE_CHECKING:
    import pandas as pd

    from latentia.data.rows import Rows

C = TypeVar("C")
ArrayLike = Any
"""Rows as a tensor, a numpy array or a DataFrame."""

_VERBS: Mapping[type, str] = {
    Generative: "sample",
    Density: "give likelihoods",
    Bounded: "bound likelihoods",
    Encodes: "encode",
    Decodes: "decode",
    Translates: "translate",
}


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

    def sample(
        self,
        n: int,
        given: Mapping[str, Any] | None = None,
        *,
        seed: int | torch.Generator | None = None,
        **options: Any,
    ) -> Tensor:
        """Draw n rows: (n, *event), in data space.

        Args:
            n: number of rows.
            given: what to condition on, as {"class": 3}, for conditional models. A factor takes one value, n of
                them, or "a:b", the way from a to b in n steps; factors that are not given are drawn.
            seed: a seed or a generator; fresh randomness without one.
            options: the model's sampling options, which ``sampling_options`` lists.

        Raises:
            UsageError: for a model that does not sample, a condition or an option that it does not take, an option's
                value that is not allowed, a critic without a ratio.
        """
        model = self.require(Generative)
        n = at_least("n", n, 1)
        generator = self._generator(seed)
        if isinstance(model, SamplesContext):
            known = conditions_by_factor(given, self.spec, self.model_spec)
            context = model.sample_context(n, known, generator=generator)
        else:
            context = self._context(n, given)
        rows = self._sampler().sample(n, context, generator, options)
        if isinstance(model, EncodedTable):
            rows = model.decoded(rows, generator)
        return self.spec.natural(rows)

    @property
    def sampling_options(self) -> dict[str, Option]:
        """The options that ``sample`` takes, by name: those that the model declares, and rejection by a critic.

        Each has a ``hint``, a ``default`` and a line of ``help``; a model that does not sample has none.
        """
        return self._sampler().options if isinstance(self.model, Generative) else {}

    @torch.no_grad()
    def encode(self, x: ArrayLike, given: Mapping[str, Any] | None = None) -> Tensor:
        """Return the mean code of each row: (n, d)."""
        return self._codes(self.rows(x), given)

    @torch.no_grad()
    def features(
        self, x: ArrayLike, given: Mapping[str, Any] | None = None, *, layer: str | None = None
    ) -> Tensor:
        """Return an adversarial run's critic's features of each row, at a layer or before its last one: (n, F)."""
        rows = self._judged(x)
        return self._critic().features(layer).encode(rows, self._context(len(rows), given)).mean

    def log_ratio(self, x: ArrayLike, given: Mapping[str, Any] | None = None) -> Tensor:
        """Return log p(x)/q(x) of each row, data over samples, as an adversarial run's critic has it: (n,) nats."""
        rows = self._judged(x)
        return self._critic().log_ratio(rows, self._context(len(rows), given))

    @torch.no_grad()
    def decode(self, z: ArrayLike, given: Mapping[str, Any] | None = None) -> Tensor:
        """Return the mean row of each code (n, d): (n, *event)."""
        model = self.require(Decodes)
        codes = as_tensor(z, "z").to(self.device, torch.get_default_dtype())
        return self.spec.natural(model.decode(codes, self._context(len(codes), given)).mean)

    def reconstruct(self, x: ArrayLike, given: Mapping[str, Any] | None = None) -> Tensor:
        """Return each row encoded and decoded again, as means: (n, *event)."""
        self.require(Encodes, Decodes)
        return self.decode(self.encode(x, given), given)

    def interpolate(
        self,
        a: ArrayLike,
        b: ArrayLike,
        *,
        steps: int = 8,
        path: str = "spherical",
        given: Mapping[str, Any] | None = None,
    ) -> Tensor:
        """Return rows on the way from row a to row b through the codes: (steps, *event).

        Args:
            a: one row, where the path begins.
            b: one row, where it ends.
            steps: number of rows, both ends included.
            path: linear or spherical.
            given: what to condition on, for conditional models.
        """
        check_name("path", path, PATHS)
        self.require(Encodes, Decodes)
        steps = at_least("steps", steps, 2)
        ends = self._codes(torch.cat([self.rows(a, one=True), self.rows(b, one=True)]), given)
        return self.decode(PATHS[path](ends[0], ends[1], steps), given)

    def traverse(
        self, x: ArrayLike, *, steps: int = 9, span: float = 3.0, given: Mapping[str, Any] | None = None
    ) -> Tensor:
        """Return row x decoded with one entry of its code moved from -span to span: (d, steps, *event)."""
        self.require(Encodes, Decodes)
        steps = at_least("steps", steps, 2)
        z = self._codes(self.rows(x, one=True), given)[0]
        values = torch.linspace(-span, span, steps, device=z.device)
        codes = z.expand(len(z), steps, -1).clone()
        for entry in range(len(z)):
            codes[entry, :, entry] = values
        rows = self.decode(codes.flatten(0, 1), given)
        return rows.view(len(z), steps, *rows.shape[1:])

    @torch.no_grad()
    def translate(self, x: ArrayLike, given: Mapping[str, Any] | None = None) -> Tensor:
        """Return each row carried into a domain, given as {"domain": "zebra"}: (n, *event)."""
        model, rows = self.require(Translates), self.rows(x)
        return self.spec.natural(model.translate(rows, self._context(len(rows), given)))

    def rows(self, x: ArrayLike, *, one: bool = False) -> Tensor:
        """Return rows as the model takes them: checked, floating-point, transformed as in training.

        Args:
            x: (n, *event) rows of the data as it was given; a single row where ``one``.
            one: whether x is to be one row, with or without the first dimension.
        """
        values = as_tensor(x, "x")
        shape = self.spec.event_shape
        if one and tuple(values.shape) in (shape, shape[1:]):  # a grey picture may come without its channel
            values = values.reshape(1, *shape)
        values = as_events(values)
        if one and len(values) != 1:
            raise UsageError(f"one row of shape {shape} is expected; got shape {tuple(values.shape)}")
        self.spec.check(values)
        return transformed(self.recipe, self.spec, self.spec.coded(values)).to(self.device)

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
        model = self.model
        lacking = [kind for kind in (capability, *more) if not isinstance(model, kind)]
        if lacking or not isinstance(model, capability):  # said twice for the type checker
            can = [verb for kind, verb in _VERBS.items() if isinstance(model, kind)]
            raise UsageError(
                f"{self.name or type(model).__name__} does not {' nor '.join(_VERBS[kind] for kind in lacking)}; "
                f"it can {', '.join(can)}"
            )
        return model

    def _context(self, n: int, given: Mapping[str, Any] | None) -> Tensor | None:
        if self.recipe.conditional:
            values = values_of(str(self.name), self.model_spec, n, given)
            there = {name: each.to(self.device) for name, each in values.items()}
            with torch.no_grad():
                return encoder_of(self.model).encode(there)
        if given:
            raise UsageError(f"{self.name} is not conditional; it cannot be given {', '.join(given)}")
        return None

    @torch.no_grad()
    def _codes(self, rows: Tensor, given: Mapping[str, Any] | None) -> Tensor:
        """Return the mean codes (n, d) of rows as the model takes them."""
        return self.require(Encodes).encode(rows, self._context(len(rows), given)).mean

    def _judged(self, x: ArrayLike) -> Tensor:
        """Return rows as critics take them: encoded, where the rows of a table are."""
        rows, model = self.rows(x), self.model
        return model.encoding.likeliest(rows) if isinstance(model, EncodedTable) else rows

    def _sampler(self) -> Sampler:
        self.require(Generative)
        inner = self.recipe.objective.model
        return Sampler.of(self.name or type(inner).__name__, cast(Generative, inner), self.recipe.objective)

    def _critic(self) -> CriticReading:
        return CriticReading.of(self.recipe.objective)

    def _generator(self, seed: int | torch.Generator | None) -> torch.Generator | None:
        if seed is None or isinstance(seed, torch.Generator):
            return seed
        return torch.Generator(self.device).manual_seed(checked_seed("seed", seed))
