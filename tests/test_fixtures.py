"""Runs written by earlier versions load, and are the same models: samples, codes, decodes and likelihoods.

The numbers are float32, and another processor's kernels add in another order: with kernels of SSE 4, AVX2 and AVX-512
(ATEN_CPU_CAPABILITY, MKL_CBWR, ONEDNN_MAX_CPU_ISA) they differed by 4e-7 at most. `TOLERANCE` is relative to the
largest entry of each array, or to 1. Samples on a grid (pixels, counts, classes) may differ in one entry in 200, for a
value at the boundary of rounding falls to either side. A training is never repeated here: there the differences would
grow.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from tests.fixtures.measured import EXPECTED, FACTS, MEASURES, OF_UNCONDITIONAL, RUNS, scores, stored
from torch import Tensor

import latentia as lt

pytestmark = pytest.mark.filterwarnings("ignore::latentia.errors.RenamedWarning")  # of options
FOLDERS = sorted(path.name for path in RUNS.iterdir() if path.is_dir())
TOLERANCE = 1e-6
FLIPPED = 1 / 200


def same(found: Tensor, expected: Tensor) -> bool:
    """Return whether two arrays are equal up to rounding, in the last digits or to a grid."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return False
    known = expected.isfinite()
    if not torch.equal(found[~known].nan_to_num(), expected[~known].nan_to_num()):
        return False
    found, expected = found[known].double(), expected[known].double()
    scale = max(1.0, float(expected.abs().max())) if len(expected) else 1.0
    apart = (found - expected).abs() > TOLERANCE * scale
    on_a_grid = torch.equal(expected, expected.round()) and torch.equal(found, found.round())
    return int(apart.sum()) <= (FLIPPED * len(expected) if on_a_grid else 0)


def copied(name: str, place: Path) -> lt.Run:
    """Load a fixture from a copy, for scores are written into a run's folder."""
    return lt.load(shutil.copytree(RUNS / name, place / name))


def test_every_recipe_has_a_run():
    assert set(lt.recipes) <= set(FOLDERS)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_stored_run_is_the_model_that_it_was(name, tmp_path):
    run, expected = copied(name, tmp_path), stored(RUNS / name)
    facts = json.loads((RUNS / name / FACTS).read_text())
    rows = expected.pop("rows")
    assert expected
    for number, before in expected.items():
        assert same(MEASURES[number](run, rows, facts), before), number
    if facts["scores"]:
        now = scores(run, rows, facts)
        assert now == pytest.approx(facts["scores"], rel=TOLERANCE, abs=TOLERANCE)


def test_what_a_run_offers_is_among_what_is_compared():
    """No number is missing because it failed when the fixture was written."""
    for name in FOLDERS:
        run, facts = lt.load(RUNS / name), json.loads((RUNS / name / FACTS).read_text())
        offered = {
            "samples": lt.Generative,
            "codes": lt.Encodes,
            "log_prob": lt.Density,
            "bound": lt.Bounded,
        }
        numbers = {number for number, kind in offered.items() if isinstance(run.model, kind)}
        if facts["rows_given"]:
            numbers -= set(OF_UNCONDITIONAL)
        assert numbers <= set(stored(RUNS / name)), name
        likely = isinstance(run.model, lt.Density | lt.Bounded) and facts["metrics"]
        assert bool(facts["scores"]) or not likely or getattr(run.model, "why_no_likelihood", ""), name


@pytest.mark.parametrize("name", ["vae", "gan", "gaussian-mixture"])
def test_another_weight_is_noticed(name, tmp_path):
    run, expected = copied(name, tmp_path), stored(RUNS / name)
    facts = json.loads((RUNS / name / FACTS).read_text())
    rows = expected.pop("rows")
    with torch.no_grad():
        for value in run.model.state_dict().values():
            if value.is_floating_point():
                value.mul_(1 + 1e-4)
    assert not all(same(MEASURES[number](run, rows, facts), before) for number, before in expected.items())


def test_the_fixtures_are_small():
    files = [path for path in RUNS.rglob("*") if path.is_file()]
    assert {path.name for path in files} == {
        "config.json",
        "model.safetensors",
        "metrics.csv",
        EXPECTED,
        FACTS,
    }
    assert sum(path.stat().st_size for path in files) < 5_000_000
