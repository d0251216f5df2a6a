"""Every recipe in a small size, on small sets of every kind of data."""

from __future__ import annotations

import torch
from tests.problems import small_sizes
from torch import Tensor

import latentia as lt
from latentia.data.spec import DataSpec, Support
from latentia.errors import UsageError
from latentia.recipes.gan_builder import build_gan
from latentia.runs.options import recipe_options

KINDS = {
    "table": DataSpec((3,), Support("real")),
    "bits": DataSpec((1, 8, 8), Support("binary")),
    "grey": DataSpec((1, 8, 8), Support("unit")),
    "bytes": DataSpec((3, 9, 8), Support("discrete", 256)),
    "digits": DataSpec((1, 8, 8), Support("discrete", 17)),
    "columns": DataSpec((4,), Support.parse("table(real, binary, categorical(3), count)")),
    "gaps": DataSpec((4,), Support.parse("table(real or missing, binary, categorical(3) or missing, count)")),
    "mixed": DataSpec((4,), Support.parse("table(real, binary or missing, categorical(3), real or missing)")),
    "categories": DataSpec((3,), Support.parse("table(discrete(4), categorical(3) or missing, binary)")),
}
SMALL = {  # where a recipe has them
    "latent_dim": 2,
    "components": 3,
    "latent_density": "gaussian-mixture",
    "latent_components": 2,
    "transforms": 1,
    "critic_hidden": 6,
}
SIZES_OF = {"vamp-vae": {"prior_components": 5}}  # as many pseudo-inputs as such small sets have rows for
LABELLED = [
    name for name in lt.recipes if lt.recipes.known_facts(name).get("labelled")
]  # those that need classes
N = 60


def small(name: str, kind: str, **options) -> dict[str, object]:
    own = recipe_options(lt.recipes[name])
    network = options.get("network", own.get("network", ""))
    small_images = network == "auto" and "refine_steps" in own  # on which a VAE's auto is mlp
    sizes = small_sizes("mlp" if small_images else str(network), KINDS[kind])
    tiny = {key: value for key, value in SMALL.items() if key in own}
    if options.get("latent_density", "gaussian-mixture") != "gaussian-mixture":
        tiny.pop("latent_components", None)
    return sizes | tiny | SIZES_OF.get(name, {}) | {"progress": False} | options


def labels(name: str) -> dict[str, object]:
    return {"labels": ["cat", "dog", "eel"] * (N // 3)} if name in LABELLED else {}


def spec(name: str, kind: str) -> DataSpec:
    return KINDS[kind].with_classes(("cat", "dog", "eel") if name in LABELLED else ())


def models(name: str, kind: str) -> bool:
    try:
        lt.recipes[name](spec(name, kind))
    except UsageError:
        return False
    return True


def rows(kind: str, n: int = N, seed: int = 0) -> Tensor:
    """Return rows of a kind that are not uniform: two clusters; a fifth of the cells that may be missing are."""
    spec, generator = KINDS[kind], torch.Generator().manual_seed(seed)
    x = torch.randn(n, *spec.event_shape, generator=generator) + 2 * torch.randint(
        2, (n, 1), generator=generator
    ).view(n, *[1] * len(spec.event_shape))
    bounds = spec.support.bounds
    x = spec.support.project(x if bounds is None else x.sigmoid() * bounds[1])
    for j in (j for j, column in enumerate(spec.support.columns) if column.missing):
        x[torch.rand(n, generator=generator) < 0.2, j] = torch.nan
    return x


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two arrays are equal, with gaps in the same places."""
    return torch.equal(a.isnan(), b.isnan()) and torch.equal(a.nan_to_num(), b.nan_to_num())


def fit(name: str, kind: str, **options) -> lt.Run:
    support = str(KINDS[kind].support)
    return lt.fit(name, rows(kind), support=support, **labels(name) | small(name, kind, **options))


def given(name: str, model: torch.nn.Module) -> dict[str, str] | None:
    """Return what a sample has to be conditioned on, for models that draw no context themselves."""
    needed = name in LABELLED and recipe(name).conditional and not isinstance(model, lt.SamplesContext)
    return {"class": "cat"} if needed else None


def recipe(name: str) -> lt.Recipe:
    """Return a recipe for the first kind of data that it models."""
    return lt.recipes[name](spec(name, next(kind for kind in KINDS if models(name, kind))))


def is_done_at_once(name: str) -> bool:
    """Whether a recipe has a closed form: one step that reads all rows."""
    made = recipe(name)
    return not made.objective.players() and made.epochs == 1


GAMES = [
    name for name in lt.recipes if {*recipe_options(build_gan)} <= {*recipe_options(lt.recipes[name]), "loss"}
]
ON_ALL_KINDS = (
    "gan",
    "wgan-gp",
)  # of the games, which differ in an option or two: the others on one kind of data


def kinds_of(name: str) -> list[str]:
    modelled = (kind for kind in KINDS if models(name, kind))
    return [next(modelled)] if name in GAMES and name not in ON_ALL_KINDS else [*modelled]
