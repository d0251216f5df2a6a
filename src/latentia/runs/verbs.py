"""What a run's model can do, in tensors of natural rows: what `Run` gives back in the form of the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from latentia.core.model import (
    Bounded,
    Decodes,
    Density,
    Encodes,
    Generative,
    Imputes,
    SamplesContext,
    Translates,
)
from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec
from latentia.errors import UsageError
from latentia.functional.interpolation import PATHS
from latentia.models.encoded_table import EncodedTable
from latentia.networks.conditioning import encoder_of
from latentia.registry import check_name
from latentia.runs.build import model_of_rows, seen_spec, transformed
from latentia.runs.capable import VERBS, capable
from latentia.runs.conditioning import conditions_by_factor, values_of
from latentia.runs.critic_ratio import CriticReading
from latentia.runs.forms import numbers_of
from latentia.runs.given_columns import GivenColumns, Held, own_names, split_given
from latentia.runs.options import at_least, checked_seed
from latentia.runs.sampling import Sampler
from latentia.signatures import Option

C = TypeVar("C")
ArrayLike = Any
"""Rows as a tensor, a numpy array or a DataFrame."""

_ENTRIES = 1 << 20  # of samples that are drawn at once
_ROWS = 1 << 14


@dataclass(frozen=True)
class Verbs:
    """What a run's model can do.

    Attributes:
        name: of the recipe, for messages.
        recipe: what was trained.
        spec: what the data is, as it was given.
    """

    name: str
    recipe: Recipe
    spec: DataSpec

    @property
    def model(self) -> nn.Module:
        """The model of the data's rows."""
        return model_of_rows(self.recipe)

    @property
    def model_spec(self) -> DataSpec:
        """What the rows are that the model sees."""
        return seen_spec(self.recipe, self.spec)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.recipe.objective.clock.device

    @property
    def sampling_options(self) -> dict[str, Option]:
        """The options that ``sample`` takes, by name."""
        return self._sampler().options if isinstance(self.model, Generative) else {}

    def require(self, capability: type[C], *more: type) -> C:
        """Return the model, as one with capabilities; `UsageError` says what it lacks and what it can."""
        model = self.model
        lacking = [kind for kind in (capability, *more) if not isinstance(model, kind)]
        if lacking or not isinstance(model, capability):  # said twice for the type checker
            can = [verb for kind, verb in VERBS.items() if isinstance(model, kind)]
            raise UsageError(
                f"{self.name} does not {' nor '.join(VERBS[kind] for kind in lacking)}; it can {', '.join(can)}"
            )
        return model

    def rows(self, x: ArrayLike, *, one: bool = False, gaps: bool = False) -> Tensor:
        """Return rows as the model takes them: checked, in floating point, transformed as in training.

        Args:
            x: (n, *event) rows of the data as it was given; a single row where ``one``.
            one: whether x is to be one row, with or without the first dimension.
            gaps: whether any cell may be missing, also where the data has no gaps.
        """
        values = numbers_of(x, self.spec, one=one)
        (replace(self.spec, support=self.spec.support.or_missing) if gaps else self.spec).check(values)
        return transformed(self.recipe, self.spec, self.spec.coded(values)).to(self.device)

    def sample(
        self,
        n: int,
        given: Mapping[str, Any] | None = None,
        seed: int | torch.Generator | None = None,
        **options: Any,
    ) -> Tensor:
        """Draw n rows: (n, *event), in blocks, so that what is computed on the way stays small."""
        rows, done = torch.empty(0), 0
        for block in self.samples(n, given, seed, **options):
            rows = (
                rows if done else block.new_empty(n, *block.shape[1:])
            )  # kept blocks would scatter the heap
            rows[done : done + len(block)] = block
            done += len(block)
        return rows

    def samples(
        self,
        n: int,
        given: Mapping[str, Any] | None = None,
        seed: int | torch.Generator | None = None,
        **options: Any,
    ) -> Iterator[Tensor]:
        """Yield n rows in blocks of a bounded size."""
        model = self.require(Generative)
        n, generator = at_least("n", n, 1), self._generator(seed)
        given, held = self.split(given)
        drawn_with_rows = bool(held) and not given and isinstance(model, SamplesContext)
        context = None if drawn_with_rows else self._sampled_context(model, n, given, generator)
        block = max(1, min(_ROWS, _ENTRIES // self.spec.size))
        parts = (
            (min(block, n - start), None if context is None else context[start : start + block])
            for start in range(0, n, block)
        )

        def draw(size: int, part: Tensor | None) -> Tensor:
            own = self._sampled_context(model, size, given, generator) if drawn_with_rows else part
            return self._drawn(size, own, generator, options)

        if not held:
            yield from (draw(*part) for part in parts)
            return
        plain = self.recipe.transform is None and not options
        source = GivenColumns(self.name, self.model, self.spec, held, draw, generator, plain)
        yield from source.blocks(parts)

    def split(self, given: Mapping[str, Any] | None) -> tuple[dict[str, Any], Held]:
        """Return what of some conditions the model takes itself, and the values that a table's columns are to have.

        Raises:
            UsageError: for a name that is neither, and a value that its column does not have.
        """
        takes = self.recipe.conditional or isinstance(self.model, SamplesContext)
        return split_given(given, self.spec, own_names(self.spec, self.model_spec) if takes else {})

    def encode(self, x: ArrayLike, given: Mapping[str, Any] | None = None) -> Tensor:
        """Return the mean code of each row: (n, d)."""
        return self._codes(self.rows(x), given)

    @torch.no_grad()
    def features(
        self, x: ArrayLike, given: Mapping[str, Any] | None = None, layer: str | None = None
    ) -> Tensor:
        """Return an adversarial run's critic's features of each row: (n, F)."""
        rows = self._judged(x)
        return self.critic().features(layer).encode(rows, self.context(len(rows), given)).mean

    def log_ratio(self, x: ArrayLike, given: Mapping[str, Any] | None = None) -> Tensor:
        """Return log p(x)/q(x) of each row, data over samples: (n,) nats."""
        rows = self._judged(x)
        return self.critic().log_ratio(rows, self.context(len(rows), given))

    @torch.no_grad()
    def log_prob(
        self, x: ArrayLike, given: Mapping[str, Any] | None = None, samples: int = 100, seed: int | None = 0
    ) -> Tensor:
        """Return log p(x) of each row or its lower bound, in the data's own units: (n,) nats, float64."""
        rows, model = self.rows(x), self.model
        context = self.context(len(rows), given)
        if isinstance(model, Density):
            nats = model.log_prob(rows, context)
        else:
            bounded = self.require(Bounded)
            generator = self._generator(seed)
            nats = bounded.log_prob_bound(rows, context, samples=samples, generator=generator)
        return nats.double() + self.model_spec.log_det(rows)

    @torch.no_grad()
    def impute(
        self,
        x: ArrayLike,
        given: Mapping[str, Any] | None = None,
        seed: int | torch.Generator | None = None,
    ) -> Tensor:
        """Return rows whose missing entries are drawn given the others: (n, *event)."""
        model, rows = self._imputer(), self.rows(x, gaps=True)
        context, generator = self.context(len(rows), given), self._generator(seed)
        filled = [
            model.impute(
                part, None if context is None else context[start : start + len(part)], generator=generator
            )
            for start, part in zip(range(0, len(rows), _ROWS), rows.split(_ROWS), strict=True)
        ]
        return self.spec.natural(torch.cat(filled))

    @torch.no_grad()
    def decode(self, z: Tensor, given: Mapping[str, Any] | None = None) -> Tensor:
        """Return the mean row of each code (n, d): (n, *event)."""
        model = self.require(Decodes)
        codes = z.to(self.device, torch.get_default_dtype())
        return self.spec.natural(model.decode(codes, self.context(len(codes), given)).mean)

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
        """Return rows on the way from row a to row b through the codes: (steps, *event)."""
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
        return self.spec.natural(model.translate(rows, self.context(len(rows), given)))

    def shown(self, n: int, given: Mapping[str, Any] | None) -> dict[str, Tensor]:
        """Return what a frame of n rows shows of what they were given, by attribute; nothing for tensors."""
        return self.known(n, given) if self.spec.table else {}

    def known(self, n: int, given: Mapping[str, Any] | None) -> dict[str, Tensor]:
        """Return what n rows are given, by attribute, as rows keep it; nothing for an unconditional model."""
        return values_of(self.name, self.model_spec, n, given) if self.recipe.conditional else {}

    def context(self, n: int, given: Mapping[str, Any] | None) -> Tensor | None:
        """Return the context (n, c) of what n rows are given; None for an unconditional model.

        Raises:
            UsageError: for a model that is not conditional, and is given something.
        """
        if self.recipe.conditional:
            there = {name: each.to(self.device) for name, each in self.known(n, given).items()}
            with torch.no_grad():
                return encoder_of(self.model).encode(there)
        if given:
            raise UsageError(f"{self.name} is not conditional; it cannot be given {', '.join(given)}")
        return None

    def critic(self) -> CriticReading:
        """Return the critic of an adversarial run."""
        return CriticReading.of(self.recipe.objective)

    def _sampled_context(
        self, model: Generative, n: int, given: Mapping[str, Any] | None, generator: torch.Generator | None
    ) -> Tensor | None:
        if not isinstance(model, SamplesContext):
            return self.context(n, given)
        known = conditions_by_factor(given, self.spec, self.model_spec)
        return model.sample_context(n, known, generator=generator)

    @torch.no_grad()
    def _codes(self, rows: Tensor, given: Mapping[str, Any] | None) -> Tensor:
        """Return the mean codes (n, d) of rows as the model takes them."""
        return self.require(Encodes).encode(rows, self.context(len(rows), given)).mean

    def _judged(self, x: ArrayLike) -> Tensor:
        """Return rows as critics take them: encoded, where the rows of a table are."""
        rows, model = self.rows(x), self.model
        return model.encoding.likeliest(rows) if isinstance(model, EncodedTable) else rows

    def _imputer(self) -> Imputes:
        try:
            return self.require(Imputes)
        except UsageError as error:
            others = ", ".join(capable(Imputes, self.spec)) or "none"
            raise UsageError(f"{error}; recipes that fill missing entries of such rows: {others}") from None

    def _drawn(
        self, n: int, context: Tensor | None, generator: torch.Generator | None, options: Mapping[str, Any]
    ) -> Tensor:
        """Draw n natural rows."""
        rows, model = self._sampler().sample(n, context, generator, options), self.model
        return self.spec.natural(model.decoded(rows, generator) if isinstance(model, EncodedTable) else rows)

    def _sampler(self) -> Sampler:
        self.require(Generative)
        inner = self.recipe.objective.model
        return Sampler.of(self.name, cast(Generative, inner), self.recipe.objective)

    def _generator(self, seed: int | torch.Generator | None) -> torch.Generator | None:
        if seed is None or isinstance(seed, torch.Generator):
            return seed
        return torch.Generator(self.device).manual_seed(checked_seed("seed", seed))
