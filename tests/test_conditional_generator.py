"""The generator from factors: its loss, what it learns, and how images are requested."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import latentia as lt
from latentia.cli import main
from latentia.core.objective import Batch, context_of
from latentia.data.attributes import Attribute
from latentia.data.rows import Rows
from latentia.data.sets.chairs import chair
from latentia.data.transforms import GivenFactors
from latentia.errors import DataError, UsageError
from latentia.models.conditional_generator import DeconvolutionGenerator
from latentia.networks.conditioning import ContextEncoder
from latentia.networks.scaling import Scaling
from latentia.objectives.regression import Regression
from latentia.registry import datasets

TYPES = ("stool", "bench", "throne")
FACTORS = (Attribute("type", TYPES), Attribute("turn", (0.0, 120.0, 240.0), "angle"))
TINY = {"hidden": 16, "width": 4, "progress": False}


def linear(support: str, factors: tuple[Attribute, ...] = FACTORS[:1]) -> DeconvolutionGenerator:
    """Return a generator of rows with four entries that is linear in the code."""
    spec = lt.DataSpec((4,), lt.Support.parse(support)).with_role("factor", factors)
    size = ContextEncoder(spec.context).size
    network = nn.Sequential(nn.Linear(size, 4, bias=False), nn.Unflatten(1, (1, 4)))
    return DeconvolutionGenerator(spec, network=network, scaling=Scaling(spec))


def small_chairs(split: str = "all", size: int = 16) -> Rows:
    return datasets["chairs"](split=split, types=6, azimuths=16, size=size)


# --- loss and model ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("support", "unit"), [("real", 1.0), ("discrete(256)", 255.0), ("unit", 1.0)])
def test_the_loss_is_the_squared_distance_in_units_of_the_range_summed_over_entries(support, unit):
    model, generator = linear(support), torch.Generator().manual_seed(0)
    x = model.data.support.project(torch.rand(5, 4, generator=generator) * unit)
    context = torch.eye(3)[[0, 2, 1, 1, 0]]
    pairs = zip(x.tolist(), model.generate(context).tolist(), strict=True)
    naive = [sum(((a - b) / unit) ** 2 for a, b in zip(*pair, strict=True)) for pair in pairs]
    torch.testing.assert_close(model.squared_error(x, context), torch.tensor(naive))
    step = Regression(model).step(Batch(x, context))
    player, loss = next(step)
    assert player == "generator"
    assert float(loss.detach()) == pytest.approx(np.mean(naive), rel=1e-5)
    with pytest.raises(DataError, match="the model is conditional on type, which these rows do not have"):
        next(Regression(model).step(Batch(x)))


def test_it_learns_the_mean_row_of_each_code():
    """A linear generator of one-hot codes, trained to its optimum, against the means of the types."""
    generator = torch.Generator().manual_seed(0)
    kinds = torch.arange(90) % 3
    x = 5 + 3 * torch.randn(90, 4, generator=generator) + 4 * kinds[:, None]
    model = linear("real")
    rows = Rows(x, lt.DataSpec((4,), lt.Support("real"))).with_factors(FACTORS[:1], kinds[:, None])
    recipe = lt.Recipe(Regression(model), lt.Optim(lr=0.05), batch_size=90, conditional=True)
    run = lt.fit(recipe, rows, epochs=400, schedule="cosine", progress=False)
    means = torch.stack([x[kinds == kind].mean(0) for kind in range(3)])
    torch.testing.assert_close(run.model.generate(torch.eye(3)).detach(), means, atol=1e-3, rtol=0)
    assert run.sample(2, {"type": "bench"})[1].allclose(means[1], atol=1e-3)


def test_given_its_code_a_row_is_certain_and_without_it_types_are_drawn_evenly():
    model = linear("discrete(17)")
    context = torch.eye(3)[[2, 0]]
    expected = model.generate(context).detach().clamp(0, 16).round()
    assert model.sample(2, context).equal(expected)
    with torch.no_grad():
        model.network[0].weight.copy_(torch.arange(12.0).view(4, 3) / 6 - 1)
    rows = model.generate(torch.eye(3)).detach().round()
    drawn = model.sample(30_000, generator=torch.Generator().manual_seed(0))
    counts = (drawn[:, None] == rows).all(2).sum(0)
    assert counts.sum() == 30_000
    assert stats.chisquare(counts.numpy()).pvalue > 1e-6  # the false-alarm rate
    assert not isinstance(model, lt.Density | lt.Bounded | lt.Encodes)


# --- recipe and run ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> lt.Run:
    folder = tmp_path_factory.mktemp("runs") / "chairs"
    return lt.fit("deconvolution-generator", small_chairs("train"), steps=20, out=folder, **TINY)


def direct(run: lt.Run, kind: int, azimuth: float, elevation: float, distance: float) -> Tensor:
    """Return what the network makes of a code that is written down here."""
    angle = math.radians(azimuth)
    pose = [math.cos(angle), math.sin(angle), (elevation - 25) / 10, (distance - 2.5) / 0.5]
    code = torch.tensor([[float(number == kind) for number in range(6)] + pose])
    return run.model.sample(1, code)[0]


def test_an_image_of_given_factors_is_the_network_s_image_of_their_code(run):
    given = {"type": 3, "azimuth": 40, "elevation": 20, "distance": 2.25}
    assert run.sample(2, given)[1].equal(direct(run, 3, 40, 20, 2.25))
    assert run.sample(2, given | {"type": run.spec.classes[3]}).equal(run.sample(2, given))


def test_the_class_is_the_factor_whose_values_the_classes_are(run):
    pose = {"azimuth": 40, "elevation": 20, "distance": 2.25}
    expected = run.sample(1, pose | {"type": 3})
    for given in (3, "3", run.spec.classes[3]):
        assert run.sample(1, pose | {"class": given}).equal(expected)
    with pytest.raises(UsageError, match="unknown attribute 'class'; there are: type"):
        run.sample(1, {"class": 3, "type": 3})


def test_ways_between_factors_are_walked(run):
    given = {"type": 3, "azimuth": "0:90", "elevation": [15, 20, 25, 30], "distance": 2}
    walk = run.sample(4, given)
    for number, image in enumerate(walk):
        assert image.equal(direct(run, 3, 30 * number, 15 + 5 * number, 2))
    mixed = run.sample(3, {"type": "0:5", "azimuth": 0, "elevation": 15, "distance": 2})
    assert mixed[2].equal(direct(run, 5, 0, 15, 2))
    code = torch.tensor([[0.5, 0, 0, 0, 0, 0.5, 1, 0, -1, -1]])
    assert mixed[1].equal(run.model.sample(1, code)[0])


def test_factors_that_are_not_given_are_drawn_by_the_seed(run):
    images = run.sample(50, {"type": 2, "azimuth": 90}, seed=4)
    assert images.equal(run.sample(50, {"type": 2, "azimuth": 90}, seed=4))
    expected = [direct(run, 2, 90, elevation, distance) for elevation in (15, 35) for distance in (2, 2.5, 3)]
    assert {tuple(image.flatten().tolist()) for image in images} == {
        tuple(image.flatten().tolist()) for image in expected
    }
    with pytest.raises(
        UsageError, match="unknown attribute 'colour'; there are: type, azimuth, elevation, distance"
    ):
        run.sample(1, {"colour": "red"})


def test_it_is_the_same_from_its_folder_and_on_the_command_line(run, tmp_path, capsys):
    again, given = lt.load(run.path), {"type": 1, "azimuth": "0:180", "elevation": 15, "distance": 2}
    assert again.spec == run.spec
    assert again.sample(5, given).equal(run.sample(5, given))
    out = tmp_path / "way.npy"
    words = ["type=1", "azimuth=0:180", "elevation=15", "distance=2"]
    assert not main(["sample", str(run.path), "--n", "5", "--given", *words, "--out", str(out)])
    assert np.array_equal(np.load(out), run.sample(5, given).numpy())
    lt.write_report(again, small_chairs("test"))


def test_it_is_scored_by_the_error_of_the_images_of_held_out_factors(run):
    rows = small_chairs("test")
    scores = lt.evaluate(run, rows, metrics=["factor-error", "energy-distance", "iwae"]).set_index("metric")
    contexts = context_of(run.model, rows.transformed(GivenFactors()).whole())
    errors = (run.model.sample(len(rows), contexts) - rows.x).square().flatten(1).mean(1)
    assert scores.loc["factor-error", "value"] == pytest.approx(float(errors.mean()), rel=1e-5)
    assert scores.loc["energy-distance"].notna()["value"]
    assert scores.loc["iwae", "reason"] == "DeconvolutionGenerator has no density and no bound of one"


def test_classes_are_the_code_of_rows_without_factors():
    x = torch.rand(30, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    run = lt.fit(
        "deconvolution-generator", x, labels=["cat", "dog", "eel"] * 10, steps=2, batch_size=10, **TINY
    )
    torch.testing.assert_close(run.sample(1, {"class": "eel"}), run.model.sample(1, torch.eye(3)[2:]))
    counts = (
        torch.cdist(run.sample(20, seed=0).flatten(1), run.model.sample(3, torch.eye(3)).flatten(1)) < 1e-4
    ).sum(0)
    assert counts.sum() == 20
    assert counts.min() > 0  # false-alarm rate 3 · (2/3)²⁰ = 1e-3, and the seed is fixed
    with pytest.raises(UsageError, match="needs rows with factors or classes; this data has neither"):
        lt.fit("deconvolution-generator", x, **TINY)


def test_bits_are_learned_as_grey_values():
    x = (torch.rand(30, 1, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.5).byte()
    options = {"labels": [0, 1, 2] * 10, "steps": 2, "batch_size": 10, **TINY}
    with pytest.raises(UsageError, match="this data is binary: declare another with support="):
        lt.fit("deconvolution-generator", x, **options)
    sample = lt.fit("deconvolution-generator", x, support="unit", **options).sample(3)
    assert (sample != sample.round()).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 0}, "layers must be at least 1; got 0"),
        ({"norm": "layer"}, "unknown norm 'layer'"),
    ],
)
def test_other_options_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        lt.fit("deconvolution-generator", small_chairs(), **options)


# --- what it learns ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def turned() -> dict[str, Tensor | lt.Run]:
    """Train on all chairs but the first from all sides, and on the first from every second side."""
    rows = small_chairs()
    numbers = rows.factor_values
    hidden = (numbers[:, 0] == 0) & (numbers[:, 1] % 2 == 1)
    some = torch.rand(len(rows), generator=torch.Generator().manual_seed(0)) < 0.1
    learnt = rows.select((~hidden & ~some).nonzero()[:, 0])
    options = {"width": 16, "batch_size": 16, "lr": 5e-3, "schedule": "cosine", "progress": False}
    run = lt.fit("deconvolution-generator", learnt, epochs=60, **options)
    return {"run": run, "rows": rows, "hidden": hidden, "held": some & ~hidden, "learnt": ~hidden & ~some}


def made(run: lt.Run, rows: Rows) -> Tensor:
    return run.model.sample(len(rows), context_of(run.model, rows.transformed(GivenFactors()).whole()))


def test_frames_between_two_rendered_azimuths_beat_cross_fading(turned):
    """The first chair was never seen at every second azimuth; 45° apart, its frames hardly overlap."""
    images = turned["rows"].x.float().view(6, 16, 6, -1)[0]
    truth, before = images[1::2], images[0::2]
    faded = ((before + before.roll(-1, 0)) / 2 - truth).square().mean()
    rows = turned["rows"].select(turned["hidden"].nonzero()[:, 0])
    error = (made(turned["run"], rows) - rows.x).square().mean()
    assert error < 0.9 * faded


def test_held_out_poses_beat_the_nearest_neighbour(turned):
    """Even the neighbour that is chosen knowing the image, among all that were learned from."""
    held, learnt = (turned["rows"].select(turned[part].nonzero()[:, 0]) for part in ("held", "learnt"))
    truth = held.x.float().flatten(1)
    nearest = torch.cdist(truth, learnt.x.float().flatten(1)).min(1).values.square() / truth.shape[1]
    error = (made(turned["run"], held).flatten(1) - truth).square().mean(1)
    assert error.mean() < 0.8 * nearest.mean()
    assert (error < nearest).float().mean() > 0.7


def test_small_chairs_are_those_of_the_set():
    assert np.array_equal(small_chairs().x[0].numpy(), chair(0, 0.0, 15.0, 2.0, size=16))
