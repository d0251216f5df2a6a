"""Binarisation: a pure function of a row, its number and the epoch."""

import numpy as np
import pytest
import torch
from scipy import stats

from latentia.data.randomness import mix, uniforms
from latentia.data.spec import DataSpec, Support
from latentia.data.transforms import Binarise
from latentia.errors import UsageError

GREY = DataSpec((1, 4, 4), Support("discrete", 256))


def grey(n: int = 50) -> torch.Tensor:
    return torch.randint(0, 256, (n, 1, 4, 4), generator=torch.Generator().manual_seed(0)).float()


@pytest.mark.parametrize("kind", ["fixed", "dynamic", "threshold"])
def test_batching_does_not_matter(kind):
    binarise, x, index = Binarise(kind, seed=5).on(GREY), grey(), torch.arange(100, 150)
    together = binarise(x, index, 3)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    apart = torch.cat([binarise(x[part], index[part], 3) for part in order.split(7)])
    assert torch.equal(apart, together[order])
    assert set(together.unique().tolist()) == {0.0, 1.0}


def test_only_dynamic_changes_with_the_epoch_and_all_but_threshold_with_the_seed():
    x, index = grey(), torch.arange(50)
    for kind, by_epoch, by_seed in (
        ("fixed", False, True),
        ("dynamic", True, True),
        ("threshold", False, False),
    ):
        first = Binarise(kind, seed=0).on(GREY)(x, index, 0)
        assert torch.equal(first, Binarise(kind, seed=0).on(GREY)(x, index, 1)) != by_epoch
        assert torch.equal(first, Binarise(kind, seed=1).on(GREY)(x, index, 0)) != by_seed


def test_the_probability_of_one_is_grey_over_max():
    levels = torch.tensor([0.0, 1.0, 64.0, 128.0, 254.0, 255.0])
    x = levels.expand(20_000, 6)
    ones = Binarise("fixed", seed=2, high=255.0)(x, torch.arange(20_000), 0).mean(0)
    error = (ones - levels / 255).abs() / (levels / 255 * (1 - levels / 255) / 20_000).sqrt().clamp(min=1e-12)
    assert ones[0] == 0
    assert ones[-1] == 1
    assert error[1:-1].max() < 5.5  # four standard errors: false-alarm rate below 2e-7


def test_threshold_is_half_of_the_maximum():
    x = torch.tensor([[0.0, 127.0, 128.0, 255.0]])
    assert Binarise("threshold", high=255.0)(x, torch.tensor([0]), 0).tolist() == [[0, 0, 1, 1]]


@pytest.mark.parametrize("kind", ["fixed", "dynamic", "threshold"])
def test_binary_rows_stay_as_they_are(kind):
    spec = DataSpec((3,), Support("binary"))
    x = torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    assert torch.equal(Binarise(kind).on(spec)(x, torch.arange(2), 0), x)


def test_on_takes_the_maximum_from_the_support():
    assert Binarise("fixed").on(DataSpec((3,), Support("discrete", 17))).high == 16
    assert Binarise("fixed").on(DataSpec((3,), Support("unit"))).high == 1
    assert str(Binarise("fixed").spec(GREY).support) == "binary"


def test_data_without_greys_and_unknown_kinds_are_refused():
    with pytest.raises(UsageError, match="binary, discrete, unit"):
        Binarise("fixed").on(DataSpec((3,), Support("real")))
    with pytest.raises(UsageError, match="fixed, dynamic, threshold"):
        Binarise("sometimes")  # pyright: ignore[reportArgumentType]


def test_uniforms_are_uniform_and_independent():
    u = uniforms(torch.arange(400), 500, 7).numpy()
    assert u.min() >= 0
    assert u.max() < 1
    # Three tests at level 1e-6 each; a counter used as it is would correlate neighbours.
    assert stats.kstest(u.ravel(), "uniform").pvalue > 1e-6
    assert stats.pearsonr(u[:, 1:].ravel(), u[:, :-1].ravel()).pvalue > 1e-6
    assert stats.pearsonr(u[1:].ravel(), u[:-1].ravel()).pvalue > 1e-6


def test_uniforms_match_splitmix64_written_plainly():
    def splitmix(state: int) -> int:
        word = (1 << 64) - 1
        z = (state + 0x9E3779B97F4A7C15) & word
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & word
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & word
        return z ^ (z >> 31)

    assert splitmix(0) == 0xE220A8397B1DCDAF  # the generator's published first output for seed 0
    key = splitmix(12 ^ mix(4, 9))
    words = [splitmix((key + j * 0x9E3779B97F4A7C15) % (1 << 64)) for j in range(3)]
    plain = [half >> 8 for word in words for half in (word & 0xFFFFFFFF, word >> 32)][:5]
    assert np.allclose(uniforms(torch.tensor([12]), 5, 4, 9)[0].numpy(), np.array(plain) / 2**24, atol=0)
