"""What a two-sample test found."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from torch import Tensor

_SHOWN = 10  # points that a result holds


@dataclass(frozen=True)
class Feature:
    """How far the two samples differ in one feature.

    Attributes:
        name: the column's name; without names its number, or its place in an image such as "0,3,5".
        statistic: the method's statistic of this feature alone.
        effect_size: its effect size, in the units that the result's ``effect`` names.
        p_value: of this feature alone; None where the method tests all features together.
        adjusted_p_value: corrected for the number of features; None likewise.
    """

    name: str
    statistic: float
    effect_size: float
    p_value: float | None = None
    adjusted_p_value: float | None = None


@dataclass(frozen=True)
class Point:
    """A point that lies where one density exceeds the other.

    Attributes:
        sample: "x" or "y", which the point is from.
        row: its number there.
        value: what the method says of it (``TestResult.points_show``); larger where x outweighs y.
    """

    sample: Literal["x", "y"]
    row: int
    value: float


@dataclass(frozen=True)
class TestOutcome:
    """What a method finds in two samples. Attributes are explained in `TestResult`."""

    statistic: float
    threshold: float
    p_value: float
    effect_size: float
    effect: str
    degrees_of_freedom: float | None = None
    features: tuple[Feature, ...] = ()
    points: tuple[Point, ...] = ()
    points_show: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class TestResult:
    """What a two-sample test found.

    Attributes:
        statistic: what the method computes from the two samples.
        threshold: the critical value at ``level``: equal distributions are rejected where the statistic exceeds it
            (of Welch's and Student's t its absolute value). Infinite where no statistic could.
        degrees_of_freedom: of the statistic's distribution under equal distributions, where it has any.
        p_value: the probability, under equal distributions, of a statistic as large; of a permutation test at least
            1/(1 + permutations).
        reject: whether p ≤ level. Otherwise the test failed to reject, which is not a proof of equality.
        level: the accepted probability of rejecting equal distributions.
        effect_size: how far the distributions are apart, on a scale that does not grow with n and m.
        effect: the name of that scale.
        n: points in the first sample.
        m: points in the second sample.
        method: the method's name.
        features: what differs most first; empty where the method does not look at features one by one.
        points: the points where the distributions differ most, those first; empty where the method has none.
        points_show: what the points' values are.
        settings: what else decides the result.
    """

    __test__ = False  # not a test of pytest's, whatever its name

    statistic: float
    threshold: float
    degrees_of_freedom: float | None
    p_value: float
    reject: bool
    level: float
    effect_size: float
    effect: str
    n: int
    m: int
    method: str
    features: tuple[Feature, ...] = field(repr=False)
    points: tuple[Point, ...] = field(repr=False)
    points_show: str = field(repr=False)
    settings: Mapping[str, Any] = field(repr=False)

    @property
    def decision(self) -> str:
        """ "reject" or "fail to reject" that the distributions are equal."""
        return "reject" if self.reject else "fail to reject"

    def to_json(self) -> dict[str, Any]:
        """Return every attribute, and the decision, as what JSON can hold.

        Example:
            >>> from latentia.metrics.two_sample import two_sample_test
            >>> two_sample_test([0.0, 1.0, 2.0], [5.0, 6.0, 8.0], "welch-t").to_json()["decision"]
            'reject'
        """
        return {**asdict(self), "decision": self.decision}


def most_telling(values: Tensor, places: Sequence[int], n: int) -> tuple[Point, ...]:
    """Return the ten points with the largest absolute values.

    Args:
        values: (k,) of some points.
        places: where these are among the points of x and then those of y.
        n: how many points x has.
    """
    largest = [(places[i], float(values[i])) for i in values.abs().argsort(descending=True)[:_SHOWN].tolist()]
    return tuple(Point("x", i, value) if i < n else Point("y", i - n, value) for i, value in largest)
