"""The report: pictures against closed forms, and the page of each kind of recipe as a reader gets it."""

from __future__ import annotations

import io
import math
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import latentia as lt
from latentia.data.ingest.raw import Raw
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support
from latentia.errors import DataError, RunError, UsageError
from latentia.figures import plots, tables
from latentia.figures.drawing import png, single, svg, together
from latentia.figures.images import image_grid
from latentia.figures.learning_curves import curves
from latentia.metrics.score import Score
from latentia.metrics.settings import EvaluationSettings
from latentia.report.page import write_report
from latentia.report.report_rows import choose, draw, seen, with_own
from latentia.runs.evaluate import read_scores, scores, write_scores
from latentia.runs.run import Run

PLANE = DataSpec((2,), Support("real"))


class Page(HTMLParser):
    """What a browser would read: the text, what it would fetch, and the elements there are."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.fetched: list[str] = re.findall(r"(?:url\(|@import)\s*([^)\s]+)", text)
        self.headings: list[str] = []
        self.rows: list[list[str]] = []
        self.words = ""
        self.inside: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.fetched += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "srcset")
        ]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "h2", "style"):
            self.inside = tag
        if tag == "td":
            self.rows[-1].append("")
        if tag == "h2":
            self.headings.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == self.inside:
            self.inside = None

    def handle_data(self, data: str) -> None:
        if self.inside != "style":
            self.words += data
        if self.inside == "td":
            self.rows[-1][-1] += data
        if self.inside == "h2":
            self.headings[-1] += data

    def score(self, metric: str) -> list[str]:
        return next(row for row in self.rows if row and row[0] == metric)


def page_of(run: Run) -> Page:
    assert run.path is not None
    return Page((run.path / "report.html").read_text(encoding="utf-8"))


def digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    return bunch.images[:400].astype(np.uint8), bunch.target[:400]


def held_digits() -> Rows:
    x, y = digits()
    return Raw(x[300:], y[300:], Support("discrete", 17)).rows("digits")


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    height = rng.normal(170, 10, 400)
    noise = rng.normal(size=(400, 3))
    return pd.DataFrame(
        {
            "height": height,
            "weight ($)": height - 100 + noise[:, 0],
            "<script>alert(1)</script>": noise[:, 1],
            "a": noise[:, 2],
            "b": noise[:, 2] ** 2,
        }
    )


def columns() -> pd.DataFrame:
    return table().iloc[:, :3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


def fitted(folder: Path, name: str, recipe: str, data: Any, rows: Any, **options: Any) -> Run:
    run = lt.fit(recipe, data, out=folder / name, progress=False, **options)
    settings = EvaluationSettings.named(mmd_test_permutations=20, iwae_samples=2, max_rows=50)
    scores(run, rows, settings=settings)
    write_report(run, rows)
    return run


@pytest.fixture(scope="module")
def vae(folder: Path) -> Run:
    x, y = digits()
    options = {"support": "discrete(17)", "labels": y[:300], "validation": 0.1, "epochs": 2, "latent_dim": 3}
    return fitted(folder, "vae", "vae", x[:300], held_digits(), **options)


@pytest.fixture(scope="module")
def conditional(folder: Path) -> Run:
    x, y = digits()
    options = {"support": "discrete(17)", "labels": y[:300], "epochs": 1, "latent_dim": 3}
    return fitted(
        folder, "cvae", "vae", x[:300], held_digits(), conditional=True, binarise="threshold", **options
    )


@pytest.fixture(scope="module")
def gan(folder: Path) -> Run:
    return fitted(folder, "gan", "gan", "ring", None, steps=3, hidden=16)


@pytest.fixture(scope="module")
def mixture(folder: Path) -> Run:
    return fitted(folder, "mixture", "gaussian-mixture", columns()[:300], columns()[300:], components=2)


@pytest.fixture
def bare(tmp_path: Path) -> Run:
    out = tmp_path / "bare"
    return lt.fit(
        "gaussian-mixture", table()[["a", "b"]], components=1, out=out, validation=0, progress=False
    )


@pytest.fixture(params=["vae", "conditional", "gan", "mixture"])
def run(request: pytest.FixtureRequest) -> Run:
    return request.getfixturevalue(request.param)


# The page


def test_page_fetches_nothing_and_runs_nothing(run: Run) -> None:
    page = page_of(run)
    assert page.fetched
    assert not [each for each in page.fetched if not each.startswith(("data:image/png;base64,", "#"))]
    assert not {"script", "link", "iframe"} & set(page.elements)


def test_page_shows_every_score_with_unit_kind_and_rows(run: Run) -> None:
    assert run.path is not None
    stored = read_scores(run.path)
    assert stored
    for score in stored:
        row = page_of(run).score(score.metric)
        if score.value is None:
            assert score.reason in row[1]
            assert score.kind in row[2]
            continue
        assert float(row[1]) == pytest.approx(score.value, rel=1e-8)
        assert row[3] == score.unit
        assert score.stderr is None or float(row[2]) == pytest.approx(score.stderr, rel=1e-8)
        assert score.kind in row[4]
        assert int(row[5]) == score.n


def test_page_says_why_a_score_is_missing_and_keeps_small_numbers(bare: Run) -> None:
    assert bare.path is not None
    tiny = Score("tiny", -3.25e-12, 1e-13, unit="nats", kind="exact", n=7)
    write_scores([tiny, Score("none", None, reason="because <so>", n=7)], bare.path)
    write_report(bare)
    page = page_of(bare)
    assert page.score("tiny")[1:3] == ["-3.25e-12", "1e-13"]
    assert page.score("none")[1] == "none: because <so>"


def test_page_without_scores_says_how_to_get_them(bare: Run) -> None:
    write_report(bare)
    words = " ".join(page_of(bare).words.split())
    assert "latentia evaluate bare" in words
    assert "No held-out rows were given" in words
    assert "Held-out rows" not in words


@pytest.mark.parametrize(
    ("name", "headings"),
    [
        (
            "vae",
            [
                "Reconstructions",
                "Interpolation",
                "Latent traversal",
                "Codes",
                "Prior and aggregated posterior",
            ],
        ),
        ("conditional", ["Reconstructions", "Interpolation", "Latent traversal", "Codes"]),
        ("gan", []),
        ("mixture", []),
    ],
)
def test_page_shows_what_the_model_can_do(
    name: str, headings: list[str], request: pytest.FixtureRequest
) -> None:
    page = page_of(request.getfixturevalue(name))
    of_table = ["Columns"] if name == "mixture" else []  # which was fitted to a frame
    assert page.headings == [
        "Scores",
        *of_table,
        "Samples",
        "Learning curves",
        *headings,
        "Options",
        "Use it",
    ]
    assert "held-out rows" in page.words.lower()


def test_page_says_what_was_fitted_to_what(vae: Run, mixture: Run) -> None:
    words = " ".join(page_of(vae).words.split())
    for told in (
        "vae on data",
        "Variational autoencoder",
        "max E_q[log p(x | z)] - KL(q(z | x) ‖ p(z))",
        "Kingma and Welling (2014)",
        "270 rows for training, 100 held out",
        "8 × 8 grey image, discrete(17)",
        "10: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9",
        "2 epochs, 6 steps",
        f"torch {torch.__version__}",
        'lt.load("vae")',
    ):
        assert told in words
    assert "3 values, real" in page_of(mixture).words


def test_options_that_were_changed_stand_out(vae: Run) -> None:
    assert vae.path is not None
    text = (vae.path / "report.html").read_text()
    changed = re.findall(r'<tr class="changed"><td><code>(\w+)</code></td><td>([^<]*)</td>', text)
    assert changed == [("latent_dim", "3"), ("epochs", "2"), ("validation", "0.1")]


def test_user_text_is_escaped(mixture: Run, folder: Path) -> None:
    x = Raw(np.eye(4), support=Support("real")).rows("<script>alert(2)</script>")
    run = lt.fit(
        "gaussian-mixture", x, components=1, covariance="diagonal", out=folder / "evil", progress=False
    )
    write_report(run, x)
    for each in (run, mixture):
        page = page_of(each)
        assert "script" not in page.elements
        assert "<script>alert(" in page.words


def test_equal_runs_are_equal_bytes_also_after_loading(run: Run) -> None:
    assert run.path is not None
    files = [run.path / "report.html", run.path / "samples.png"]
    before = [file.read_bytes() for file in files]
    rows = {"gan": None, "mixture": columns()[300:]}.get(run.path.name, held_digits())
    write_report(lt.load(run.path), rows)
    assert [file.read_bytes() for file in files] == before


def test_report_leaves_randomness_and_settings_alone(vae: Run) -> None:
    state, settings = torch.get_rng_state(), dict(mpl.rcParams)
    write_report(vae, held_digits())
    assert torch.equal(torch.get_rng_state(), state)
    assert dict(mpl.rcParams) == settings


def test_samples_png_holds_the_means_of_the_first_draws(vae: Run, conditional: Run) -> None:
    assert vae.path is not None
    assert conditional.path is not None
    drawn = image_grid(vae.sample(64, seed=0, mean=True), vae.spec)
    with Image.open(vae.path / "samples.png") as picture:
        assert np.array_equal(np.asarray(picture), np.asarray(drawn))
    with Image.open(conditional.path / "samples.png") as picture:
        assert picture.size == (8 * 50 - 2, 10 * 50 - 2)  # 8 of each of 10 classes, 48 pixels and a gap
        tile = (slice(48), slice(48))
        assert len(np.unique(np.asarray(picture)[tile])) > 2  # binarised, and the means are grey


def test_refusals_leave_the_report_that_was_there(vae: Run) -> None:
    assert vae.path is not None
    before = (vae.path / "report.html").read_bytes()
    with pytest.raises(DataError, match="rows of shape"):
        write_report(vae, np.zeros((5, 9, 9)))
    assert (vae.path / "report.html").read_bytes() == before
    loose = lt.fit("gaussian-mixture", np.eye(4), components=1, covariance="diagonal", progress=False)
    with pytest.raises(RunError, match="save it first"):
        write_report(loose)


# Held-out rows


def test_pictures_are_of_what_the_model_sees(conditional: Run) -> None:
    held = choose(conditional, held_digits(), 50)
    rows = seen(conditional, held)
    assert torch.equal(rows, (held.given.float() > 8).float())


def test_rows_are_labelled_with_their_own_classes(conditional: Run) -> None:
    held = choose(conditional, held_digits(), 50)
    assert held.labels is not None
    assert torch.equal(with_own(held, lambda x, _: x), held.given)
    told = with_own(held, lambda _, given: torch.tensor([int(name) for name in (given or {})["class"]]))
    assert torch.equal(told, held.labels)
    assert held.first(3).own(2) == {"class": str(int(held.labels[2]))}


def test_chosen_rows_are_of_the_set_with_their_labels(vae: Run) -> None:
    rows = held_digits()
    held = choose(vae, rows, 40)
    assert held.labels is not None
    assert held.total == 100
    assert rows.labels is not None
    for row, label in zip(held.given, held.labels, strict=True):
        same = (rows.x == row).flatten(1).all(1)
        assert bool((rows.labels[same] == label).any())
    assert not torch.equal(held.labels, rows.labels[:40])  # a set may be sorted


def test_conditional_runs_need_labelled_rows(conditional: Run) -> None:
    plain = Raw(digits()[0][300:], support=Support("discrete", 17)).rows("digits")
    with pytest.raises(DataError, match="need these labels"):
        choose(conditional, plain, 10)


def test_conditional_draws_are_in_the_order_of_what_is_given(conditional: Run) -> None:
    """With the same seed, a draw differs from one of another class and is that of its own."""
    zeros, threes = draw(conditional, 400, {"class": "0"}), draw(conditional, 400, {"class": "3"})
    mixed = draw(conditional, 400, {"class": ["3", "0"] * 200})
    assert torch.equal(mixed[1::2], zeros[1::2])
    assert torch.equal(mixed[::2], threes[::2])
    assert not torch.equal(zeros, threes)
    assert not torch.equal(mixed, draw(conditional, 400))  # of classes that are drawn


# Grids of images


def test_grid_maps_values_to_pixels_exactly() -> None:
    spec = DataSpec((1, 1, 2), Support("discrete", 5))
    images = torch.tensor([[0.0, 4.0], [1.0, 2.0], [3.0, 9.0]]).view(3, 1, 1, 2)
    grid = np.asarray(image_grid(images, spec, columns=2, scale=2))
    # 255 x/4: 0, 255, 63.75 → 64, 127.5 → 128, 191.25 → 191, clipped to 255; gaps of 2 pixels are 128.
    a, b, c = [0, 0, 255, 255], [64, 64, 128, 128], [191, 191, 255, 255]
    gap = [128, 128]
    expected = [a + gap + b] * 2 + [[128] * 10] * 2 + [c + gap + [128] * 4] * 2
    assert grid.dtype == np.uint8
    assert grid.tolist() == expected


def test_grid_of_colours_keeps_the_channels() -> None:
    spec = DataSpec((3, 1, 1), Support("unit"))
    images = torch.tensor([[1.0, 0.0, 0.2], [0.0, 0.4, 1.0]]).view(2, 3, 1, 1)
    grid = image_grid(images, spec, columns=2, scale=1)
    assert grid.mode == "RGB"
    assert np.asarray(grid).tolist() == [[[255, 0, 51], [128] * 3, [128] * 3, [0, 102, 255]]]


def test_grid_of_real_values_takes_their_range_or_a_given_one() -> None:
    spec = DataSpec((1, 1, 3), Support("real"))
    images = torch.tensor([[-3.0, 0.0, 2.0]]).view(1, 1, 1, 3)
    assert np.asarray(image_grid(images, spec, scale=1)).tolist() == [[0, 153, 255]]
    assert np.asarray(image_grid(images, spec, scale=1, bounds=(-3.0, 7.0))).tolist() == [[0, 76, 128]]
    assert not np.asarray(image_grid(torch.ones(1, 1, 1, 3), spec, scale=1)).any()


def test_small_images_are_enlarged_and_large_ones_are_not() -> None:
    for side, size in ((8, 48), (28, 56), (64, 64)):
        spec = DataSpec((1, side, side), Support("unit"))
        assert image_grid(torch.zeros(1, 1, side, side), spec).size == (size, size)


@pytest.mark.parametrize(
    ("images", "options", "error", "said"),
    [
        (torch.zeros(2, 1, 3, 3), {}, DataError, "images must have shape"),
        (torch.zeros(0, 1, 2, 2), {}, DataError, "images must have shape"),
        (torch.full((1, 1, 2, 2), torch.nan), {}, DataError, "NaN"),
        (torch.zeros(1, 1, 2, 2), {"columns": 0}, UsageError, "columns"),
        (torch.zeros(1, 1, 2, 2), {"scale": 0}, UsageError, "scale"),
    ],
)
def test_grid_refuses(images: torch.Tensor, options: dict[str, int], error: type, said: str) -> None:
    with pytest.raises(error, match=said):
        image_grid(images, DataSpec((1, 2, 2), Support("unit")), **options)


def test_grid_refuses_what_is_neither_grey_nor_rgb() -> None:
    with pytest.raises(DataError, match="grey or RGB"):
        image_grid(torch.zeros(1, 2, 2, 2), DataSpec((2, 2, 2), Support("unit")))


# Curves


def drawn(titled: list[tuple[str, Any]]) -> dict[str, Any]:
    return {title: single(plot).axes[0] for title, plot in titled}


def test_curves_of_one_kind_share_a_plot() -> None:
    logged = {
        "elbo": -3.0,
        "validation_elbo": -4.0,
        "gradient_norm/critic": 1.0,
        "gradient_norm/generator": 50.0,
    }
    history = pd.DataFrame(
        [{"epoch": k, "step": 9 * k, "beta": 1.0, "surprise": 2.0, **logged} for k in (1, 2, 3)]
    )
    axes = drawn(curves(history))
    assert list(axes) == ["Evidence lower bound", "Gradient norms, before clipping", "surprise"]
    bound, norms = axes["Evidence lower bound"], axes["Gradient norms, before clipping"]
    assert [text.get_text() for text in bound.get_legend().get_texts()] == ["training", "held out"]
    assert bound.get_ylabel() == "nats per row"
    assert bound.lines[1].get_xydata().tolist() == [[1, -4], [2, -4], [3, -4]]
    assert [text.get_text() for text in norms.get_legend().get_texts()] == ["critic", "generator"]
    assert norms.get_yscale() == "log"  # they span more than a factor of 30
    assert axes["surprise"].get_yscale() == "linear"


def test_what_an_adversarial_game_logs_has_titles_and_units() -> None:
    logged = ("range_outside", "range_covered", "critic_saturated", "sample_diversity", "twice_jsd_bound")
    axes = drawn(curves(pd.DataFrame({"epoch": [1, 2], **{name: [0.5, 0.25] for name in logged}})))
    assert {title: each.get_ylabel() for title, each in axes.items()} == {
        "2 JSD, variational bound": "nats",
        "Saturation of the critic": "fraction of scores",
        "Diversity of samples": "mean distance, relative to data",
        "Range of the data": "fraction",
    }
    legend = axes["Range of the data"].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["range outside", "range covered"]


def test_curves_of_one_epoch_are_dots_and_pass_over_what_was_not_logged() -> None:
    axes = drawn(curves(pd.DataFrame({"epoch": [1], "loss": [2.0], "kl": [np.nan]})))
    assert list(axes) == ["Losses"]  # nothing is known of the KL
    assert axes["Losses"].lines[0].get_marker() == "o"
    gap = drawn(curves(pd.DataFrame({"epoch": [1, 2, 3], "loss": [2.0, np.nan, 1.0]})))["Losses"]
    assert np.array_equal(gap.lines[0].get_xydata(), [[1, 2.0], [3, 1.0]])
    assert "svg" in svg(single(curves(pd.DataFrame({"epoch": [1], "gradient_norm/a": [0.0]}))[0][1]))


def test_curves_of_a_weight_show_only_if_it_moves() -> None:
    warm = pd.DataFrame({"epoch": [1, 2], "beta": [0.5, 1.0]})
    assert [title for title, _ in curves(warm)] == ["beta"]
    assert curves(warm.assign(beta=1.0)) == []


# Plots of points and tables


def test_contours_hold_half_and_nine_tenths_of_a_gaussian() -> None:
    points = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0))
    frame = plots.Frame.around(points)
    normal = torch.distributions.Normal(0.0, 1.0)
    plot = plots.scatter(points, frame, PLANE, "blue", log_density=lambda x: normal.log_prob(x).sum(1))
    contours = single(plot, square=True).axes[0].collections[0]
    radii = sorted(float(np.hypot(*path.vertices.T).mean()) for path in contours.get_paths())
    # A fraction m lies within √(-2 log(1 - m)); the sampling error of the quantiles here is below 0.02.
    expected = [math.sqrt(-2 * math.log(1 - m)) for m in (0.5, 0.9)]
    assert radii == pytest.approx(expected, abs=0.06)


def test_contours_of_a_uniform_distribution_are_its_edge() -> None:
    rows = lt.datasets["checkerboard"](split="test", seed=0, n=500)
    frame = plots.Frame.around(rows.x)
    plot = plots.scatter(rows.x, frame, rows.spec, "blue", log_density=rows.log_density)
    lines = single(plot, square=True).axes[0].collections[0].get_paths()[0].vertices
    off = np.abs(lines / 2 - np.round(lines / 2)).min(1)  # distance to the nearest edge, in squares
    assert len(lines) > 100
    assert off.max() < 0.02


def test_frame_is_square_and_counts_what_it_hides() -> None:
    frame = plots.Frame.around(torch.tensor([[0.0, 0.0], [10.0, 1.0]]), margin=0.1)
    assert np.ptp([frame.low[0], frame.high[0]]) == pytest.approx(12.0)
    assert np.ptp([frame.low[1], frame.high[1]]) == pytest.approx(12.0)
    assert frame.outside(torch.tensor([[0.0, 0.0], [11.5, 0.0], [5.0, -6.0], [-0.9, 6.4]])) == 2


def test_histograms_show_fractions_of_all_rows_and_move_nothing_in() -> None:
    real, samples = torch.linspace(0, 1, 100)[:, None], torch.tensor([[0.5], [0.5], [99.0], [-99.0]])
    [(title, plot)] = tables.histograms(samples, real, DataSpec((1,), Support("real"), columns=("a",)))
    axes = single(plot).axes[0]
    bars = np.array([bar.get_height() for bar in axes.containers[0]])
    assert title == "a"
    assert bars.sum() == pytest.approx(1.0)
    outline = axes.patches[-1].get_xy()
    assert outline[:, 1].max() == pytest.approx(0.5)
    assert float(np.abs(outline[:, 0]).max()) < 2


def test_counted_columns_have_a_bar_for_each_level() -> None:
    spec = DataSpec((1,), Support("table", columns=(Support("categorical", 3),)))
    rows = torch.tensor([[0.0], [0.0], [2.0], [0.0]])
    [(_, plot)] = tables.histograms(rows, rows, spec)
    assert [bar.get_height() for bar in single(plot).axes[0].containers[0]] == [0.75, 0.0, 0.25]


def test_pairs_are_the_most_correlated_columns() -> None:
    frame = table()
    rows = torch.tensor(frame.to_numpy())
    spec = DataSpec((5,), Support("real"), columns=tuple(frame.columns))
    titles = [title for title, _ in tables.pairs(rows, rows, spec)]
    correlation = frame.corr().abs().to_numpy()
    upper = [(i, j) for i in range(5) for j in range(i + 1, 5)]
    best = sorted(upper, key=lambda pair: -correlation[pair])[:3]
    assert titles == [f"{frame.columns[i]}, {frame.columns[j]}" for i, j in best]


def test_a_constant_column_has_no_correlation() -> None:
    rows = torch.cat(
        [torch.ones(50, 1), torch.randn(50, 2, generator=torch.Generator().manual_seed(0))], dim=1
    )
    titles = [title for title, _ in tables.pairs(rows, rows, DataSpec((3,), Support("real")))]
    assert titles[0] == "x1, x2"


def test_codes_are_shown_on_their_principal_axes() -> None:
    from sklearn.decomposition import PCA

    codes = torch.randn(200, 5, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 5, 1, 3, 1])
    axes = single(plots.codes_plot(codes, DataSpec((5,), Support("real")), None)).axes[0]
    shown = np.asarray(axes.collections[0].get_offsets())
    pca = PCA(2).fit(codes.double().numpy())
    assert np.abs(shown) == pytest.approx(np.abs(pca.transform(codes.double().numpy())), abs=1e-6)
    assert f"{pca.explained_variance_ratio_[0]:.0%}" in axes.get_xlabel()


@pytest.mark.parametrize("size", [1, 2])
def test_codes_of_few_entries_are_shown_as_they_are(size: int) -> None:
    codes = torch.randn(30, size, generator=torch.Generator().manual_seed(0))
    axes = single(plots.codes_plot(codes, PLANE, None)).axes[0]
    assert axes.get_xlabel() == "z0"


def test_responses_are_in_standard_deviations_from_the_middle() -> None:
    rows = torch.tensor([[0.0, 5.0], [1.0, 5.0], [4.0, 5.0]])
    plot = tables.responses(rows, torch.tensor([-1.0, 0.0, 1.0]), torch.tensor([2.0, 1.0]), PLANE)
    lines = single(plot).axes[0].lines
    assert lines[0].get_xydata().tolist() == [[-1.0, -0.5], [0.0, 0.0], [1.0, 1.5]]
    assert lines[1].get_ydata().tolist() == [0.0, 0.0, 0.0]


# Figures


def test_names_may_hold_dollars_markup_and_any_script() -> None:
    spec = DataSpec((2,), Support("real"), columns=("from $1 to $2", "<b>重さ</b>"))
    points = torch.randn(10, 2, generator=torch.Generator().manual_seed(0))
    plot = plots.scatter(points, plots.Frame.around(points), spec, "blue")
    text = svg(single(plot))
    assert "from $1 to $2" in text
    assert "&lt;b&gt;重さ&lt;/b&gt;" in text


def test_svg_takes_the_ink_of_the_page_and_fetches_nothing() -> None:
    points = torch.randn(10, 2, generator=torch.Generator().manual_seed(0))
    plot = plots.scatter(points, plots.Frame.around(points), PLANE, "blue")
    text = svg(single(plot))
    assert text.startswith("<svg")
    assert "currentColor" in text
    assert not [each for each in Page(text).fetched if not each.startswith(("data:image/png;base64,", "#"))]
    assert svg(single(plot)) == text


def test_png_is_the_same_each_time_on_white_paper() -> None:
    points = torch.zeros(3, 2)
    titled = [("a", plots.scatter(points, plots.Frame.around(points), PLANE, "blue"))] * 4
    first = png(together(titled, square=True))
    assert png(together(titled, square=True)) == first
    with Image.open(io.BytesIO(first)) as picture:
        assert picture.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)


def test_two_held_out_rows_are_enough(vae: Run, tmp_path: Path) -> None:
    assert vae.path is not None
    copy = shutil.copytree(vae.path, tmp_path / "copy")
    write_report(lt.load(copy), held_digits().select(torch.tensor([0, 1])))
    assert "2 held out" in (copy / "report.html").read_text()
