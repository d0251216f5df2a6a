"""Latentia: fit a generative model of your data, sample it, score it honestly, look inside it.

The names below are imported when they are first used, so that ``import latentia`` is instant::

    import latentia as lt

    run = lt.fit("vae", "digits", epochs=20, seed=0)
    run.sample(64)
    lt.evaluate(run)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from latentia.registry import datasets, divergences, likelihoods, metrics, posteriors, priors, recipes
from latentia.version import __version__ as __version__

if TYPE_CHECKING:
    from latentia.core.model import (
        Bounded,
        Decodes,
        Density,
        Encodes,
        Generative,
        Imputes,
        Pathwise,
        SamplesContext,
        Translates,
    )
    from latentia.core.objective import Batch, Objective
    from latentia.core.player import Optim
    from latentia.core.recipe import Recipe
    from latentia.core.train import train
    from latentia.data.look import describe
    from latentia.data.spec import DataSpec, Support
    from latentia.metrics.two_sample import TestResult, two_sample_test
    from latentia.report.page import write_report
    from latentia.runs.doctor import doctor
    from latentia.runs.evaluate import evaluate
    from latentia.runs.fit import fit
    from latentia.runs.fitting_recipes import recipes_for
    from latentia.runs.load import load
    from latentia.runs.run import Run

# Two registries are named like the packages that fill them. Importing a package sets its name here, once: it is
# done now, so that the names are the registries' for good.
for _package in ("metrics", "recipes"):
    import_module(f"latentia.{_package}")
    globals()[_package] = getattr(import_module("latentia.registry"), _package)

_HOMES = {
    "latentia.core.model": (
        "Generative", "Pathwise", "Density", "Bounded", "Encodes", "Decodes", "Translates", "Imputes",
        "SamplesContext",
    ),
    "latentia.core.objective": ("Batch", "Objective"),
    "latentia.core.player": ("Optim",),
    "latentia.core.recipe": ("Recipe",),
    "latentia.core.train": ("train",),
    "latentia.data.look": ("describe",),
    "latentia.data.spec": ("DataSpec", "Support"),
    "latentia.metrics.two_sample": ("TestResult", "two_sample_test"),
    "latentia.report.page": ("write_report",),
    "latentia.runs.doctor": ("doctor",),
    "latentia.runs.evaluate": ("evaluate",),
    "latentia.runs.fit": ("fit",),
    "latentia.runs.fitting_recipes": ("recipes_for",),
    "latentia.runs.load": ("load",),
    "latentia.runs.run": ("Run",),
}  # fmt: skip
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022  (in the order in which a reader meets them)
    "fit", "load", "evaluate", "doctor", "write_report", "two_sample_test", "train", "Run", "TestResult", "Recipe",
    "Objective", "Batch", "Optim", "DataSpec", "Support", "describe", "recipes_for",
    "Generative", "Pathwise", "Density", "Bounded", "Encodes", "Decodes", "Translates", "Imputes", "SamplesContext",
    "recipes", "datasets", "metrics", "likelihoods", "priors", "posteriors", "divergences",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'latentia' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
