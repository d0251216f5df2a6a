"""Load: from a run's folder to the run."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from latentia.core.recipe import Recipe
from latentia.core.state import load_module
from latentia.data.spec import DataSpec
from latentia.errors import LatentiaError, RunError
from latentia.registry import recipes
from latentia.runs.build import build
from latentia.runs.costs import read_costs
from latentia.runs.distributed import device_named
from latentia.runs.entries import CHECKPOINTS, CONFIG, METRICS, MODEL
from latentia.runs.files import read_tensors
from latentia.runs.folder import read_config
from latentia.runs.history import read_rows
from latentia.runs.options import TRAINING, Training, living, split_options
from latentia.runs.renamed import fitting
from latentia.runs.run import Run


def load(path: str | Path, *, recipe: Recipe | None = None, device: str = "cpu") -> Run:
    """Load a run from its folder alone.

    Args:
        path: the folder.
        recipe: the recipe, for a run of the user's own `Recipe`, whose modules a folder cannot hold.
        device: where to put the model.

    Raises:
        RunError: for a folder with a file that is missing, damaged, from a newer version or of another model.
        UsageError: for a device that is not there.

    Example:
        >>> load("runs/nowhere")
        Traceback (most recent call last):
        latentia.errors.RunError: there is no run folder at runs/nowhere
    """
    path, place = Path(path), device_named(device)
    config = read_config(path)
    if config["recipe"] is None and recipe is None:
        raise RunError(f"{path} was made with a Recipe object: pass it again, as lt.load(path, recipe=...)")
    try:
        training, options, made = _rebuilt(config, recipe)
    except (LatentiaError, TypeError, ValueError, KeyError) as error:
        raise RunError(
            f"{path / CONFIG} does not describe a model that this version can build: {error}"
        ) from error
    if not (path / MODEL).exists() and (path / CHECKPOINTS).is_dir():
        raise RunError(
            f"{path} holds an unfinished training: continue it with resume=True{_typed(config, path)}"
        )
    tensors, _ = read_tensors(path / MODEL)
    try:
        load_module(made.objective, fitting(made.objective, tensors, config["format"]))
    except RunError as error:
        raise RunError(f"{path / MODEL}: {error}") from None
    made.objective.to(place).eval()
    epochs = read_rows(path / METRICS)
    return Run(
        config["recipe"],
        options,
        training,
        config["data"],
        made,
        epochs,
        config["stage"],
        path=path,
        costs=read_costs(path),
    )


def _typed(config: Mapping[str, Any], path: Path) -> str:
    """Return how a training is resumed on the command line, where it can be."""
    data = config["data"]
    if config["recipe"] is None or not (data["named"] or data.get("path")):
        return " (in fit)"
    return f" (latentia fit {config['recipe']} --data {data['name']} --out {path} --resume, with its other options)"


def _rebuilt(config: Mapping[str, Any], recipe: Recipe | None) -> tuple[Training, dict[str, Any], Recipe]:
    """Return what config.json says of the training and the options, and the recipe, or a copy of the one given."""
    maker = None if config["recipe"] is None else recipes[config["recipe"]]
    known = {option: value for option, value in config["training"].items() if option in TRAINING}
    own = config["options"] if maker is None else living(maker, config["options"])
    training, options = split_options(maker, own | known)
    spec = DataSpec.from_json(config["data"]["spec"])
    if recipe is not None:
        own = replace(recipe, objective=deepcopy(recipe.objective))
        return training, options, own.after(config["stage"], training.seed)
    return (
        training,
        options,
        build(str(config["recipe"]), spec, options, training).after(config["stage"], training.seed),
    )
