"""A planted problem for every metric: what its standard errors are of is drawn afresh, and nothing else is.

To add a metric, add it to `PLANTED` with a function seed → its scores on a small problem. Scores without a standard
error are those that the metric's registration declares, with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from unittest.mock import patch

import torch
from scipy.stats import norm
from tests.draws import seeded_generator
from tests.problems import Coins, LinearGaussian, as_latent_variable, linear_gaussian
from torch import Tensor, nn
from torch.distributions import Bernoulli, Independent, MultivariateNormal, Normal

from latentia.core.model import Decodes, Encodes, Generative
from latentia.data.attributes import Attribute
from latentia.data.rows import Modes, Rows
from latentia.data.spec import DataSpec, Support
from latentia.distributions.point_mass import PointMass
from latentia.functional.modes import count_kl, count_kl_bias, fraction_within
from latentia.metrics import disentanglement
from latentia.metrics.disentanglement import Estimate
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.score import Score
from latentia.metrics.scoring import score

Found = Mapping[str, Score | Estimate]
"""What a draw gives: score or estimate by the score's name."""


@dataclass(frozen=True)
class Planted:
    """A problem of a metric.

    Attributes:
        draw: seed → its scores, by name; for each seed what their standard errors are of is another.
        of: what that is.
        truth: by score, what the values are in the mean, where it is known.
        draws: number of draws for the standard deviation; other than 200 only where a draw is slow.
    """

    draw: Callable[[int], Found]
    of: str = "held-out rows"
    truth: Mapping[str, float] = field(default_factory=dict)
    draws: int = 200


def scores(evaluation: Evaluation, name: str) -> dict[str, Score]:
    """Return a metric's scores by name."""
    return {each.metric: each for each in score(evaluation, [name])}


def spec(size: int, *, support: str = "real", classes: int = 0) -> DataSpec:
    return DataSpec((size,), Support(support)).with_classes(tuple("abcdefgh"[:classes]))


# --- likelihoods ------------------------------------------------------------------------------------------------

SLACK, ROWS = linear_gaussian(slack=0.4), 40


def of_rows(name: str, model: nn.Module = SLACK, n: int = ROWS, **settings) -> Callable[[int], Found]:
    """Return the scores of fresh rows of a model's own distribution, by draws of its codes that are fresh too."""
    return lambda seed: scores(Evaluation.of(model, SLACK.rows(n, seed), seed=seed, **settings), name)


def exact_elbo() -> float:
    """Return E E_q [log p(x, z) − log q(z | x)], by 10⁵ rows whose terms are in closed form."""
    return float(SLACK.elbo(SLACK.rows(100_000, 10**6).x).mean())


class Correlated(LinearGaussian):
    """Codes whose entries are correlated over rows, so that the total correlation is away from 0.

    At 0 its terms vanish in the limit, and the standard error of their mean errs towards too large.
    """

    def encode(self, x, context=None) -> MultivariateNormal:
        exact = self.posterior(x)
        mixed = exact.mean @ torch.tensor([[1.0, 0.8], [0.8, 1.0]]).double()
        return MultivariateNormal(mixed, self.posterior_covariance)


CORRELATED = Correlated(SLACK.weight, SLACK.bias, SLACK.noise)


class BiasedCoins(Coins):
    """Independent coins that show 1 with probability 0.2."""

    def sample(self, n, context=None, *, generator=None) -> Tensor:
        return torch.bernoulli(torch.full((n, self.size), 0.2), generator=generator)

    def log_prob(self, x, context=None) -> Tensor:
        return Independent(Bernoulli(torch.full((self.size,), 0.2)), 1).log_prob(x)


def bits(seed: int) -> Found:
    model = BiasedCoins(8)
    return scores(Evaluation(model, model.rows(ROWS, seed)), "bits-per-dim")


def of_bits() -> float:
    return -(0.2 * math.log2(0.2) + 0.8 * math.log2(0.8))


def parzen(seed: int) -> Found:
    """In one dimension, where the windows around 10,000 samples are as good as fixed."""
    held_out = Rows(torch.randn(100, 1, generator=seeded_generator(seed)), spec(1))
    return scores(Evaluation.of(Shifted(), held_out, seed=seed), "parzen")


def gaps(seed: int) -> Found:
    """With an ascent of 5 steps for 300, which leaves each row's gap what it is: a number of its own."""
    small = {"ais_chains": 2, "ais_temperatures": 4, "gaps_steps": 5}
    return scores(Evaluation.of(LATENT, SLACK.rows(20, seed), seed=seed, **small), "gaps")


LATENT = as_latent_variable(SLACK)


# --- samples ----------------------------------------------------------------------------------------------------


class Shifted(Generative):
    """Samples of N(shift, I)."""

    def __init__(self, shift: float = 0.0, size: int = 1) -> None:
        super().__init__()
        self.shift, self.size = shift, size

    def sample(self, n, context=None, *, generator=None) -> Tensor:
        return self.shift + torch.randn(n, self.size, generator=generator)


class Given(Generative):
    """The samples that it is given, whatever the generator."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.x = x

    def sample(self, n, context=None, *, generator=None) -> Tensor:
        return self.x[:n]


def shifted_energy(seed: int) -> Found:
    held_out = Rows(torch.randn(100, 1, generator=seeded_generator(seed)), spec(1))
    return scores(Evaluation.of(Shifted(1.0), held_out, seed=seed), "energy-distance")


def energy_of_a_shift() -> float:
    """Return 2 E|X − Y| − E|X − X′| − E|Y − Y′| of N(0, 1) and N(1, 1): the differences are N(1, 2) and N(0, 2)."""
    apart = math.sqrt(2) * 2 * norm.pdf(1 / math.sqrt(2)) + 2 * norm.cdf(1 / math.sqrt(2)) - 1
    return 2 * apart - 4 / math.sqrt(math.pi)


def permuted(seed: int) -> Found:
    """Fresh permutations of the same rows and samples, whose p-value is about 0.3."""
    x, y = (shift + torch.randn(20, 2, generator=seeded_generator(s)) for shift, s in ((0.0, 1), (0.2, 2)))
    return scores(Evaluation.of(Given(x), Rows(y, spec(2)), seed=seed, mmd_test_permutations=99), "mmd-test")


CENTRES = 5 * torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
UNEVEN = torch.tensor([0.6, 0.25, 0.1, 0.05])


def of_corners(n: int, seed: int, fractions: Tensor = UNEVEN) -> Rows:
    """Return rows around four corners that are 10 apart, with a standard deviation of 1."""
    generator = seeded_generator(seed)
    labels = torch.multinomial(fractions, n, replacement=True, generator=generator)
    x = CENTRES[labels] + torch.randn(n, 2, generator=generator)
    return Rows(x, spec(2, classes=4), modes=Modes(CENTRES.double(), 1.0)).with_labels(labels)


def modes(seed: int) -> Found:
    evaluation = Evaluation(Given(of_corners(400, seed).x), of_corners(400, 0))
    return scores(evaluation, "modes")


FEW = of_corners(60, 0, torch.full((4,), 0.25))  # training rows, so few that a pseudo-count of 5 shows


def classes(seed: int) -> Found:
    drawn, held_out = Given(of_corners(400, seed).x), of_corners(400, 1)
    evaluation = Evaluation.of(drawn, held_out, train_rows=lambda: FEW, classes_steps=150)
    return scores(evaluation, "classes")


def smoothed_kl() -> float:
    """Return KL(p ‖ π) from classes of a training set with half a row added to each, and the bias of 400 counts."""
    counts = torch.bincount(FEW.labels, minlength=4).double()
    return float(count_kl(400 * UNEVEN, (counts + 0.5) / (60 + 2))) + count_kl_bias(400, 4)


def near(seed: int) -> Found:
    """Samples of the rows' own distribution; the training rows stay."""
    train = Rows(torch.randn(300, 2, generator=seeded_generator(10**6)), spec(2))
    held_out = Rows(torch.randn(400, 2, generator=seeded_generator(seed)), spec(2))
    evaluation = Evaluation.of(Shifted(size=2), held_out, seed=seed, train_rows=lambda: train)
    return scores(evaluation, "memorisation")


# --- rows, one by one -------------------------------------------------------------------------------------------


class Half(Encodes, Decodes, Generative):
    """Codes that are the rows, decoded to half of them; samples that are 0, as rendered from any factors."""

    def encode(self, x, context=None) -> PointMass:
        return PointMass(x, event_dim=1)

    def decode(self, z, context=None) -> Independent:
        return Independent(Normal(z / 2, 1.0), 1)

    def sample(self, n, context=None, *, generator=None) -> Tensor:
        return torch.zeros(n, 1)

    def generate(self, context: Tensor) -> Tensor:
        return torch.zeros(len(context), 1)


class Reads(nn.Module):
    """Says the class that a row's only entry is the number of."""

    classes = ("a", "b")

    def class_log_probs(self, x: Tensor) -> Tensor:
        return torch.cat([-x, x - 1], 1)


def noisy(n: int, seed: int, wrong: float = 0.3) -> Rows:
    """Return rows around 0 and 1 whose class is the nearer one's, but for a fraction of them."""
    generator = seeded_generator(seed)
    near_one, flipped = (
        torch.randint(2, (n,), generator=generator),
        torch.rand(n, generator=generator) < wrong,
    )
    x = near_one[:, None] + 0.1 * torch.randn(n, 1, generator=generator)
    return Rows(x, spec(1, classes=2)).with_labels(near_one ^ flipped.long())


def of_noisy(name: str, model: nn.Module) -> Callable[[int], Found]:
    """Return the scores of fresh rows; the training rows, whose classes are all right, stay."""
    train = noisy(60, 10**6, wrong=0.0)
    return lambda seed: scores(Evaluation(model, noisy(80, seed), train_rows=lambda: train), name)


def of_unit(name: str) -> Callable[[int], Found]:
    return lambda seed: scores(
        Evaluation(Half(), Rows(torch.randn(60, 1, generator=seeded_generator(seed)), spec(1))), name
    )


# --- disentanglement --------------------------------------------------------------------------------------------

FACTORS = (Attribute("first", (0.0, 1.0, 2.0), "ordinal"), Attribute("second", (0.0, 1.0, 2.0), "ordinal"))


def codes_and_factors(n: int, seed: int, noise: float = 0.7) -> tuple[Tensor, Tensor]:
    """Return codes (n, 2) that are noisy copies of the two factors (n, 2), each a little of the other too."""
    generator = seeded_generator(seed)
    v = torch.randint(3, (n, 2), generator=generator)
    mixed = v.double() @ torch.tensor([[1.0, 0.3], [0.1, 1.0]], dtype=torch.float64)
    return mixed + noise * torch.randn(n, 2, generator=generator, dtype=torch.float64), v


def of_factors(name: str, n: int) -> Callable[[int], Found]:
    """Return the scores of fresh rows that are codes."""

    def draw(seed: int) -> Found:
        z, v = codes_and_factors(n, seed)
        rows = Rows(z.float(), spec(2)).with_factors(FACTORS, v)
        return scores(Evaluation.of(Half(), rows, seed=seed), name)

    return draw


GROUPED = codes_and_factors(300, 0, noise=1.5)


def factor_vae(seed: int) -> Found:
    """Fresh groups of the same rows, small ones, so that the vote is often wrong."""
    sizes = {"group": 5, "train": 1000, "test": 200}
    return {"factor-vae-score": disentanglement.factor_vae_score(*GROUPED, **sizes, seed=seed)}


def beta_vae(seed: int) -> Found:
    """Fresh pairs of the same rows, few, so that the classifier is often wrong."""
    sizes = {"pairs": 2, "train": 1000, "test": 200}
    return {"beta-vae-score": disentanglement.beta_vae_score(*GROUPED, **sizes, seed=seed)}


def sap(seed: int) -> Found:
    """Fresh rows, of which so many are fitted to that the classifiers stay nearly the same."""
    return {"sap": disentanglement.sap(*codes_and_factors(1200, seed), train=1000, test=200, seed=seed)}


def dci(seed: int) -> Found:
    """Fresh rows, and trees that stay: they round."""

    def rounding(train, test, seed):
        return torch.eye(2) + 0.2, (test[0].round() == test[1]).double()

    with patch.object(import_module("latentia.metrics.disentanglement.dci"), "boosted", rounding):
        found = disentanglement.dci(*codes_and_factors(120, seed), train=20, test=100, seed=seed)
    parts = ("disentanglement", "completeness", "informativeness")
    return {f"dci-{part}": getattr(found, part) for part in parts}


PLANTED: dict[str, Planted] = {
    "log-likelihood": Planted(
        of_rows("log-likelihood"), truth={"log-likelihood": -float(SLACK.marginal.entropy())}
    ),
    "elbo": Planted(of_rows("elbo"), truth={"elbo": exact_elbo()}),
    "iwae": Planted(of_rows("iwae", iwae_samples=5)),
    "bits-per-dim": Planted(bits, truth={"bits-per-dim": of_bits()}),
    "ais": Planted(of_rows("ais", n=20, ais_chains=2, ais_temperatures=4)),
    "bidirectional-gap": Planted(of_rows("bidirectional-gap", n=20, ais_chains=2, ais_temperatures=8)),
    "monte-carlo": Planted(of_rows("monte-carlo", iwae_samples=50)),
    "parzen": Planted(parzen, truth={"parzen": -0.5 * math.log(2 * math.pi * math.e)}),
    "surgery": Planted(of_rows("surgery", CORRELATED, n=100)),
    "gaps": Planted(gaps),
    "energy-distance": Planted(
        shifted_energy, of="samples and held-out rows", truth={"energy-distance": energy_of_a_shift()}
    ),
    "mmd-test": Planted(permuted, of="permutations"),
    "modes": Planted(
        modes,
        of="samples",
        truth={
            "modes/high-quality": fraction_within(3.0, 2),
            "modes/reverse-kl": float(count_kl(UNEVEN, torch.full((4,), 0.25))) + count_kl_bias(400, 4),
        },
    ),
    "classes": Planted(
        classes,
        of="samples",
        truth={"classes/kl": smoothed_kl()},
    ),
    "memorisation": Planted(near, of="samples and held-out rows"),
    "reconstruction-error": Planted(of_unit("reconstruction-error"), truth={"reconstruction-error": 0.25}),
    "factor-error": Planted(of_unit("factor-error"), truth={"factor-error": 1.0}),
    "classification-accuracy": Planted(
        of_noisy("classification-accuracy", Reads()), truth={"classification-accuracy": 0.7}
    ),
    "nearest-neighbour-accuracy": Planted(
        of_noisy("nearest-neighbour-accuracy", Half()), truth={"nearest-neighbour-accuracy": 0.7}
    ),
    "linear-probe-accuracy": Planted(
        of_noisy("linear-probe-accuracy", Half()), truth={"linear-probe-accuracy": 0.7}
    ),
    "beta-vae-score": Planted(beta_vae, of="pairs"),
    "factor-vae-score": Planted(factor_vae, of="groups"),
    "mig": Planted(of_factors("mig", 150)),
    "modularity": Planted(of_factors("modularity", 150)),
    "sap": Planted(sap, of="test rows"),
    "sap-regression": Planted(of_factors("sap-regression", 100)),
    "dci": Planted(dci, of="test rows"),
}
