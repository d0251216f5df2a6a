"""Tables whose columns are of different kinds: their likelihood, their scaling, and a VAE of them.

Rows A3, A4, A8 of docs/known-mistakes.md.
"""

from __future__ import annotations

import copy
import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from torch import Tensor

import latentia as lt
from latentia.core.objective import Batch
from latentia.data.spec import DataSpec, Support, infer_support
from latentia.distributions.likelihoods import make_likelihood
from latentia.distributions.likelihoods.tabular import TableLikelihood
from latentia.errors import DataError, UsageError
from latentia.functional.kernel.energy import energy_estimate
from latentia.metrics.features import coordinates
from latentia.metrics.score import table
from latentia.networks.scaling import Scaling

MIXED = Support.parse("table(real, categorical(3), binary, real, count, unit, discrete(4), categorical(2))")
DATA = DataSpec((8,), MIXED)


def scaling() -> Scaling:
    """Return a fitted scaling: means 1, 2, … and standard deviations 0.5, 1, … of the columns that have them."""
    made = Scaling(DATA)
    made.shift.copy_(torch.where(made.free, torch.arange(1.0, 9.0), made.shift))
    made.scale.copy_(torch.where(made.free, torch.arange(1.0, 9.0) / 2, made.scale))
    return made


def likelihood_of(name: str = "auto", **options) -> TableLikelihood:
    made = make_likelihood(name, DATA, scaling(), **options).double()
    assert isinstance(made, TableLikelihood)
    return made


def rows(n: int, seed: int = 0) -> Tensor:
    """Return rows inside the support."""
    draw = np.random.default_rng(seed)
    columns = [
        draw.normal(1, 1, n),
        draw.integers(3, size=n),
        draw.integers(2, size=n),
        draw.normal(4, 2, n),
        draw.poisson(5, n),
        draw.uniform(0.01, 0.99, n),
        draw.integers(4, size=n),
        draw.integers(2, size=n),
    ]
    return torch.from_numpy(np.stack(columns, axis=1)).double()


# --- the likelihood ----------------------------------------------------------------------------------------------


def test_the_log_density_is_the_sum_of_the_columns_own_by_scipy():
    """Each column by another implementation, from its own parameters: group after group in h."""
    likelihood, x = likelihood_of(), rows(7)
    likelihood.groups[0].log_sigma.data.copy_(torch.tensor([-0.5, 0.7]))
    assert likelihood.param_shape == (2 + 3 + 1 + 2 + 1 + 2 + 2,)
    h = torch.randn(7, 13, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for row, numbers, found in zip(x.numpy(), h.numpy(), likelihood(h).log_prob(x), strict=True):
        a, b, c, d, e, f = np.split(numbers, [2, 5, 6, 8, 9])[
            :6
        ]  # reals, category, bit, count, unit, the rest
        sigma = np.exp([-0.5, 0.7]) + math.exp(-6)  # the floor, as it is near 0: log(e^s + e^-6)
        r = math.exp(d[1])
        mean = 5.0 * math.exp(d[0])
        p = 1 / (1 + math.exp(-e[0]))
        normaliser = 2 * np.arctanh(1 - 2 * p) / (1 - 2 * p)
        loc, scale = 1.5 * (1 + f[0]), 1.5 * math.exp(f[1] - 2)
        cdf = stats.logistic(loc=loc, scale=scale).cdf
        level = row[6]
        upper, lower = (1.0 if level == 3 else cdf(level + 0.5)), (0.0 if level == 0 else cdf(level - 0.5))
        expected = [
            stats.norm.logpdf(row[0], 1 + 0.5 * a[0], 0.5 * sigma[0]),
            stats.norm.logpdf(row[3], 4 + 2.0 * a[1], 2.0 * sigma[1]),
            np.log(np.exp(b[int(row[1])]) / np.exp(b).sum()),
            stats.bernoulli.logpmf(row[2], 1 / (1 + math.exp(-c[0]))),
            stats.nbinom.logpmf(row[4], r, r / (r + mean)),
            row[5] * math.log(p) + (1 - row[5]) * math.log(1 - p) + math.log(normaliser),
            math.log(upper - lower),
            np.log(np.exp(f[2 + int(row[7])]) / np.exp(f[2:]).sum()),
        ]
        assert found.item() == pytest.approx(float(sum(expected)), rel=1e-6)


def test_what_training_raises_is_the_log_density_with_a_gradient():
    likelihood, x = likelihood_of(), rows(5)
    h = torch.randn(5, 13, dtype=torch.float64, requires_grad=True)
    assert torch.equal(likelihood.reconstruction(h, x), likelihood(h).log_prob(x))
    assert torch.autograd.gradcheck(lambda h: likelihood.reconstruction(h, x), h)


def test_samples_are_in_the_support_and_have_the_columns_means():
    """20,000 draws of 3 rows, 7 columns with means: 5 standard errors, a false alarm in 80,000 runs."""
    torch.manual_seed(0)
    likelihood = likelihood_of()
    given = likelihood(torch.randn(3, 13, dtype=torch.float64) / 2)
    samples = given.sample((20_000,))
    assert samples.shape == (20_000, 3, 8)
    MIXED.check(samples.flatten(0, 1))
    numbers = [0, 2, 3, 4, 5, 6]
    error = samples.std(0)[:, numbers] / math.sqrt(20_000)
    assert ((samples.mean(0) - given.mean)[:, numbers].abs() < 5 * error).all()
    for column, levels in ((1, 3), (7, 2)):  # the likeliest stands for the mean
        shares = torch.stack([(samples[..., column] == level).double().mean(0) for level in range(levels)])
        assert (shares.gather(0, given.mean[None, :, column].long()) > shares.amax(0) - 0.02).all()


def test_the_deviation_of_a_column_cannot_vanish_unless_that_is_asked_for():
    """A column whose values repeat would raise its density for ever; a σ that is given is what it is."""
    likelihood = likelihood_of()
    likelihood.groups[0].log_sigma.data.fill_(-1e6)
    h = torch.zeros(1, 13, dtype=torch.float64)
    assert likelihood(h).groups[0].stddev.flatten().tolist() == pytest.approx(
        [0.5 * math.exp(-6), 2 * math.exp(-6)]
    )
    fixed = likelihood_of(sigma=1e-4)
    assert fixed(h).groups[0].stddev.flatten().tolist() == pytest.approx([0.5e-4, 2e-4])
    assert len(list(likelihood.parameters())) == len(list(fixed.parameters())) + 1


def test_a_named_likelihood_is_used_for_the_columns_that_it_supports():
    assert likelihood_of("poisson").param_shape == (12,)
    assert likelihood_of("heteroscedastic-gaussian").param_shape == (16,)  # the unit column too
    assert likelihood_of("categorical").param_shape == (15,)  # of the discrete column: 4 numbers for 2
    assert likelihood_of("discretised-logistic-mixture", components=2).param_shape == (17,)
    with pytest.raises(UsageError, match="unknown likelihood 'bernouli'; did you mean 'bernoulli'"):
        likelihood_of("bernouli")
    with pytest.raises(
        UsageError, match="sigma is an option of likelihood='gaussian'; this likelihood is 'hetero"
    ):
        likelihood_of("heteroscedastic-gaussian", sigma=0.1)
    with pytest.raises(UsageError, match=r"likelihood_components is an option of .*mixture"):
        likelihood_of(components=3)
    data = DataSpec((2,), Support.parse("table(real, binary)"))
    with pytest.raises(
        UsageError, match=r"'poisson' is no distribution on any column of table\(real, binary\) data"
    ):
        make_likelihood("poisson", data, Scaling(data))
    with pytest.raises(UsageError, match="'relaxed-bernoulli' is a loss"):
        make_likelihood("relaxed-bernoulli", data, Scaling(data))


# --- supports and scaling ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "measure"),
    [
        ("table(real, unit)", "Lebesgue"),
        ("table(binary, count, categorical(3))", "counting"),
        ("table(real, count)", "mixed"),
        ("count", "counting"),
    ],
)
def test_a_table_s_measure_is_that_of_its_columns(text, measure):
    assert Support.parse(text).measure == measure
    assert str(Support.parse(text)) == text


def test_counts_are_whole_and_not_negative_and_never_guessed():
    count = Support("count")
    assert count.bounds is None
    count.check(torch.tensor([[0.0], [1e6]]))
    for wrong in (-1.0, 0.5, math.nan):
        with pytest.raises(DataError, match="row 1"):
            count.check(torch.tensor([[0.0], [wrong]]))
    assert count.project(torch.tensor([-3.0, 2.6])).tolist() == [0, 3]
    assert infer_support(np.array([[0], [7]])) == Support("real")
    with pytest.raises(UsageError, match="count support takes no levels"):
        Support("count", 3)


def test_rows_with_another_number_of_columns_are_outside_a_table_s_support():
    with pytest.raises(DataError, match=r"rows of shape \(2,\), outside its support, table"):
        MIXED.check(torch.zeros(3, 2))


def test_networks_read_categories_one_hot_and_numbers_about_zero():
    made, x = Scaling(DATA), rows(500)
    made.fit(Batch(x))
    read = made(x)
    assert made.out_shape == (6 + 3 + 2,) == tuple(read.shape[1:])
    assert torch.equal(read[:, 6:9].argmax(1), x[:, 1].long())
    assert torch.equal(read[:, 9:].argmax(1), x[:, 7].long())
    assert torch.equal(read[:, 6:].sum(1), torch.full((500,), 2.0))
    real = read[:, [0, 2, 3]]  # of the plain columns, those without bounds
    assert torch.allclose(real.mean(0), torch.zeros(3).double(), atol=1e-5)
    assert torch.allclose(real.std(0, correction=0), torch.ones(3).double(), atol=1e-5)
    assert set(read[:, 1].tolist()) == {-1.0, 1.0}
    assert read[:, 4:6].abs().max() <= 1 + 1e-6


def test_images_of_categories_are_read_as_channels():
    made = Scaling(DataSpec((2, 4, 5), Support("categorical", 3)))
    x = torch.randint(3, (7, 2, 4, 5))
    read = made(x.float())
    assert made.out_shape == (6, 4, 5) == tuple(read.shape[1:])
    assert torch.equal(read[:, :3].argmax(1), x[:, 0])
    assert torch.equal(read[:, 3:].argmax(1), x[:, 1])


def test_a_table_s_likelihoods_follow_its_scaling_in_copies_too():
    """The scaling is fitted after the likelihood is made, and the whole objective is copied before that."""
    made = scaling()
    likelihood = make_likelihood("auto", DATA, made)
    module = copy.deepcopy(torch.nn.ModuleDict({"scaling": made, "likelihood": likelihood}))
    copied = module["scaling"]
    assert isinstance(copied, Scaling)
    copied.shift.fill_(50.0)
    h = torch.zeros(1, 13)
    assert module["likelihood"](h).mean[0, [0, 3]].tolist() == [50, 50]
    assert likelihood(h).mean[0, [0, 3]].tolist() == [1, 4]


def test_categories_differ_by_one_whatever_they_are_called():
    """Distances do not depend on the numbering of categories; a wrong one counts 1 in squared error."""
    x, y = rows(60), rows(60, seed=1)
    names = torch.tensor([2, 0, 1])
    renamed = [torch.cat([each[:, :1], names[each[:, 1].long()][:, None], each[:, 2:]], 1) for each in (x, y)]
    before = energy_estimate(coordinates(x, MIXED), coordinates(y, MIXED)).value
    after = energy_estimate(*(coordinates(each, MIXED) for each in renamed)).value
    assert before.item() == pytest.approx(after.item())
    assert coordinates(torch.eye(3), Support("real")).equal(torch.eye(3))
    pair = coordinates(torch.tensor([[0.0, 1.0], [2.0, 1.0]]), Support("categorical", 3))
    assert (pair[0] - pair[1]).square().sum().item() == pytest.approx(1)


# --- a VAE of tables ---------------------------------------------------------------------------------------------


def people(n: int, seed: int = 0) -> pd.DataFrame:
    """Return a frame with a real, a truth-value and a category column that hang together."""
    draw = np.random.default_rng(seed)
    z = draw.normal(size=n)
    kinds = np.where(z > 0.5, "pine", np.where(z > -0.5, "oak", "elm"))
    return pd.DataFrame(
        {
            "height": 3 + 2 * z + 0.3 * draw.normal(size=n),
            "evergreen": z + 0.3 * draw.normal(size=n) > 0,
            "kind": pd.Categorical(kinds, categories=["elm", "oak", "pine"]),
        }
    )


def test_a_frame_with_mixed_columns_is_fitted_sampled_scored_loaded_and_reported(out):
    frame = people(300)
    run = lt.fit(
        "vae", frame, out=out, epochs=25, validation=0.2, latent_dim=2, hidden=24, lr=1e-2, progress=False
    )
    assert str(run.spec.support) == "table(real, binary, categorical(3))"
    sample = run.tensors.sample(2000, seed=0)
    run.spec.check(sample)
    scores = lt.evaluate(run).set_index("metric")
    assert scores.loc["elbo", "measure"] == scores.loc["iwae", "measure"] == "mixed"
    assert "bits-per-dim" not in scores.index  # a density's bits depend on the unit
    assert scores["value"].notna().all()
    again = lt.load(out)
    assert torch.equal(again.tensors.sample(5, seed=1), run.tensors.sample(5, seed=1))
    assert "table(real, binary, categorical(3))" in lt.write_report(run).read_text()
    # Pines are tall and evergreen, elms are small and not: the columns hang together in samples as in rows.
    height, evergreen, kind = sample.T
    assert height[kind == 2].mean() > height[kind == 0].mean() + 2
    assert evergreen[kind == 2].mean() > evergreen[kind == 0].mean() + 0.5


def test_categories_are_matched_by_name_and_others_are_refused():
    """In another order, or fewer of them, they have the numbers of the run's; an unknown one has none."""
    frame = people(60)
    run = lt.fit("vae", frame, steps=1, latent_dim=1, hidden=4, progress=False)
    assert run.spec.categories == ((), (), ("elm", "oak", "pine"))
    assert DataSpec.from_json(run.spec.to_json()) == run.spec
    some = frame[frame["kind"] != "oak"]
    own = lt.evaluate(run, some, metrics="elbo")["value"].item()  # pandas keeps the names of categories
    for other in (["oak", "elm", "pine"], ["elm", "pine"]):
        changed = some.assign(kind=pd.Categorical(some["kind"].astype(str), categories=other))
        assert lt.evaluate(run, changed, metrics="elbo")["value"].item() == own
    with pytest.raises(
        DataError, match=r"column 'kind' holds 'ash', which is none of its categories: elm, oak, pine"
    ):
        lt.evaluate(run, some.assign(kind="ash"), metrics="elbo")


def test_bits_of_a_mixed_table_are_refused_with_the_reason():
    run = lt.fit("vae", people(60), steps=1, validation=0.2, latent_dim=1, hidden=4, progress=False)
    score = lt.evaluate(run, metrics="bits-per-dim").iloc[0]
    assert math.isnan(score["value"])
    assert score["reason"] == "LatentVariable has a density relative to mixed measure, not to counting"


def test_the_bound_of_independent_columns_comes_near_minus_their_entropy():
    """log p counts in each column's own measure, with its constants: 4,000 rows; the sampling error is 0.03 nats."""
    draw = np.random.default_rng(0)
    n = 4000
    x = np.stack(
        [
            draw.normal(3, 20, n),
            draw.random(n) < 0.3,
            draw.choice(3, n, p=[0.5, 0.3, 0.2]),
            draw.poisson(4, n),
        ],
        axis=1,
    ).astype(float)
    entropy = (
        stats.norm(scale=20).entropy()
        + stats.bernoulli(0.3).entropy()
        + stats.entropy([0.5, 0.3, 0.2])
        + stats.poisson(4).entropy()
    )
    support = "table(real, binary, categorical(3), count)"
    options = {"likelihood": "poisson", "latent_dim": 1, "hidden": 8, "lr": 2e-2, "support": support}
    run = lt.fit("vae", x[:3000], steps=500, progress=False, **options)
    score = lt.evaluate(run, x[3000:], metrics="elbo").iloc[0]
    assert score["value"] == pytest.approx(-float(entropy), abs=5 * score["stderr"])
    assert abs(score["value"] + float(entropy)) < 0.3


def test_a_file_with_counts_is_declared(tmp_path, out):
    frame = pd.DataFrame({"age": np.linspace(18, 90, 50), "visits": np.arange(50) % 7})
    frame.to_csv(tmp_path / "visits.csv", index=False)
    options = {"support": "table(real, count)", "steps": 3, "latent_dim": 1, "hidden": 4, "progress": False}
    run = lt.fit("vae", str(tmp_path / "visits.csv"), out=out, validation=0.2, **options)
    assert lt.load(out).spec.support == Support.parse("table(real, count)")
    assert table([]).shape[0] == 0
    assert lt.evaluate(lt.load(out), metrics="elbo")["measure"].tolist() == ["mixed"]
    sample = run.tensors.sample(100, seed=0)
    assert (sample[:, 1] >= 0).all()
    assert torch.equal(sample[:, 1], sample[:, 1].round())


@pytest.mark.parametrize("prior", ["vamp", "vamp-data"])
def test_pseudo_inputs_of_rows_with_categories_are_as_the_encoder_reads_them(prior):
    run = lt.fit("vae", people(30), prior=prior, prior_components=5, latent_dim=2, steps=1, progress=False)
    inputs = run.model.prior.inputs
    assert inputs.shape == (5, *run.model.scaling.out_shape)
    run.model.data.check(run.tensors.sample(20, seed=0))
