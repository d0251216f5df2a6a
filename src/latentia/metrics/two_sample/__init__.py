"""Two-sample tests of equal distributions: `two_sample_test` is the call, and `METHODS` are the tests."""

from latentia.metrics.two_sample.corrections import CORRECTIONS
from latentia.metrics.two_sample.methods import METHODS, two_sample_test
from latentia.metrics.two_sample.permutation import permutation_p_value, permutation_threshold
from latentia.metrics.two_sample.result import Feature, Point, TestResult

__all__ = [
    "CORRECTIONS",
    "METHODS",
    "Feature",
    "Point",
    "TestResult",
    "permutation_p_value",
    "permutation_threshold",
    "two_sample_test",
]
