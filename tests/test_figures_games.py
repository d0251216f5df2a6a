"""Figures of games and of adversarial training draw the values that they are given."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from latentia.errors import UsageError
from latentia.figures.critics import critic_surfaces
from latentia.figures.drawing import png
from latentia.functional import loss_pair
from latentia.theory import DiracGan, alternating, play_in_function_space, simultaneous
from latentia.theory.figures import games, gan

START = torch.tensor([1.0, -1.0], dtype=torch.float64)
GAMES = {"minimax": DiracGan(loss_pair("minimax")), "clipped": DiracGan(loss_pair("wasserstein"), clip=1.0)}
GRID = torch.linspace(-2, 2, 41)


def labels(axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_trajectories_are_the_paths_of_both_ways_to_play():
    figure = games.trajectories(GAMES, START, steps=20, lr=0.1, span=1.5)
    assert [axes.get_title() for axes in figure.axes] == list(GAMES)
    for axes, game in zip(figure.axes, GAMES.values(), strict=True):
        for line, play in zip(axes.lines, (simultaneous, alternating), strict=False):
            path = play(game, START, steps=20, lr=0.1)
            assert line.get_xydata().tolist() == path.tolist()
        assert axes.get_xlim() == (-1.5, 1.5)
    assert labels(figure.axes[0]) == ["simultaneous", "alternating", "start", "equilibrium"]
    assert figure.axes[1].get_legend() is None
    assert png(figure) == png(games.trajectories(GAMES, START, steps=20, lr=0.1, span=1.5))


def test_distances_are_those_from_the_equilibrium():
    (axes,) = games.distances(GAMES, START, steps=20).axes
    path = alternating(GAMES["minimax"], START, steps=20, lr=0.2)
    assert list(axes.lines[0].get_ydata()) == pytest.approx(path.norm(dim=1).tolist())
    assert labels(axes) == list(GAMES)


def test_laws_in_function_space_and_their_divergence():
    p = torch.tensor([0.1, 0.3, 0.6], dtype=torch.float64)
    game = play_in_function_space(loss_pair("minimax"), p, torch.zeros(3).double(), steps=8)
    distributions, divergence = games.function_space(game, p, at=(0, 8)).axes
    drawn = [list(line.get_ydata()) for line in distributions.lines]
    assert drawn == [game.distributions[0].tolist(), game.distributions[8].tolist()]
    assert [bar.get_height() for bar in distributions.patches] == p.tolist()
    assert list(divergence.lines[0].get_ydata()) == game.jensen_shannon.tolist()


def test_moments_on_the_line_show_rows_samples_and_the_sigmoid():
    moment = gan.Moment(torch.tensor([1.0, 0.5]), torch.tensor([-1.0]), 2 * GRID)
    figure = gan.on_the_line({"start": moment, "end": moment}, GRID)
    real, fake, sigmoid, *_ = figure.axes[1].lines
    assert list(real.get_xdata()) == [1.0, 0.5]
    assert list(fake.get_xdata()) == [-1.0]
    assert list(sigmoid.get_ydata()) == pytest.approx((2 * GRID).sigmoid().tolist())
    assert labels(figure.axes[0]) == ["data", "samples", "D(x) = σ(score)"]
    with pytest.raises(UsageError, match="shapes must be equal"):
        gan.on_the_line({"start": moment}, GRID[1:])


@pytest.mark.parametrize("name", ["minimax", "non-saturating", "least-squares"])
def test_losses_in_x_are_those_of_the_pair(name):
    losses, history = loss_pair(name), {"L_D,real": [1.0, 3.0, 5.0]}
    in_x, in_time = gan.losses_in_x_and_time(losses, GRID, 3 * GRID, history, smooth=2).axes
    drawn = [line.get_ydata() for line in in_x.lines]
    expected = [*losses.critic(3 * GRID, 3 * GRID), losses.generator(3 * GRID, torch.empty(0))]
    for values, each in zip(drawn, expected, strict=True):
        assert list(values) == pytest.approx(each.tolist())
    assert in_time.lines[0].get_xydata().tolist() == [[2.0, 2.0], [3.0, 4.0]]
    with pytest.raises(UsageError, match="losses are of pairs of rows"):
        gan.losses_in_x_and_time(loss_pair("relativistic-paired"), GRID, GRID, {})


def test_a_frame_is_bright_where_the_samples_are():
    """Up is up and right is right: one tile for samples at the upper right, one for the lower left."""
    corner = torch.tensor([[0.8, 0.5]]).expand(10, 2)
    figure = gan.film_strip({"a": [corner, -corner]}, ["one", "two"], span=1.0, bandwidth=0.05)
    (axes,) = figure.axes
    image = torch.tensor(axes.images[0].get_array())
    half = image.shape[1] // 2
    assert image.shape == (half, 2 * half)
    for tile, (x, y) in ((image[:, :half], (0.8, 0.5)), (image[:, half:], (-0.8, -0.5))):
        row, column = divmod(int(tile.argmax()), half)
        assert 2 * column / (half - 1) - 1 == pytest.approx(x, abs=0.03)
        assert 1 - 2 * row / (half - 1) == pytest.approx(y, abs=0.03)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["one", "two"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a"]
    assert png(figure)


@pytest.mark.parametrize(
    ("frames", "given"), [({}, "no strip"), ({"gan": [torch.zeros(3, 2)], "other": []}, "gan 1, other 0")]
)
def test_strips_need_a_frame_for_each_title(frames, given):
    with pytest.raises(UsageError, match=f"a frame for each of 2 titles; got {given}"):
        gan.film_strip(frames, ["0", "1"], span=1.0, bandwidth=0.1)


def test_many_titles_keep_their_places():
    strip = [torch.zeros(3, 2)] * 7
    (axes,) = gan.film_strip({"gan": strip}, [str(k) for k in range(7)], span=1.0, bandwidth=0.1).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == [str(k) for k in range(7)]


def test_vanishing_gradients_and_a_collapse():
    (axes,) = gan.vanishing_gradients({"minimax": {1: 0.5, 10: 0.01}, "other": {1: 0.5, 10: 2.0}}).axes
    assert axes.lines[0].get_xydata().tolist() == [[1.0, 0.5], [10.0, 0.01]]
    samples = {"before": GRID, "after": torch.full((5,), 0.5)}
    critic, distributions = gan.collapse(GRID, -(GRID - 0.5).square(), samples).axes
    assert labels(critic) == ["critic, highest at 0.5"]
    assert labels(distributions) == ["before", "after"]


def test_critic_surfaces_have_level_lines_where_the_scores_are():
    figure = critic_surfaces({"x": lambda x: x[:, 0]}, torch.tensor([[0.0, 10.0], [1.0, 12.0]]))
    (axes,) = figure.axes
    lines = [path.vertices for path in axes.collections[0].get_paths() if len(path.vertices)]
    assert len(lines) > 5
    for vertices in lines:  # the level lines of x stand upright, over the whole height
        assert np.ptp(vertices[:, 0]) < 1e-6
        assert np.ptp(vertices[:, 1]) > 2.0


def test_numbers_beside_square_plots_are_on_the_paper():
    """The grid of 25: a frame whose axes, one scale for both directions, fill the height."""
    rows = torch.cartesian_prod(*2 * [2.0 * torch.arange(-2, 3)])
    figure = critic_surfaces({"a": lambda x: x[:, 0], "b": lambda x: x[:, 1]}, rows)
    png(figure)
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert box.y0 >= 0
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
