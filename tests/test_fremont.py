"""Days of bicycles on the Fremont Bridge: the clusters of their codes are commutes and weekends, without labels."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import latentia as lt
from latentia.data.rows import Rows

pytestmark = pytest.mark.skipif(
    not os.environ.get("LATENTIA_DATA"), reason="LATENTIA_DATA names no folder of published files"
)
SATURDAY = 5


@dataclass
class Clusters:
    """What pca and gaussian-mixture make of days that they were fitted to; labels only name the clusters.

    Attributes:
        run: pca with three entries, and a mixture of three on its codes.
        weekend: (3,) whether most of a cluster's days, among those fitted, are Saturdays and Sundays.
    """

    run: lt.Run
    weekend: Tensor

    @classmethod
    def of(cls, days: Rows, seed: int = 0) -> Clusters:
        options = {"latent_dim": 3, "latent_density": "gaussian-mixture", "latent_components": 3}
        run = lt.fit("pca", days, seed=seed, progress=False, **options)
        cluster = Clusters(run, torch.zeros(3)).number(days.x)
        share = torch.stack([(days.labels[cluster == k] >= SATURDAY).float().mean() for k in range(3)])
        return cls(run, share > 0.5)

    def number(self, x: Tensor) -> Tensor:
        return self.run.model.density.responsibilities(self.run.encode(x)).argmax(1)

    def agreement(self, days: Rows) -> float:
        told = self.weekend[self.number(days.x)]
        return float((told == (days.labels >= SATURDAY)).float().mean())


@pytest.fixture(scope="module")
def every_day() -> Rows:
    """Return the east sidewalk's days, then the west's, both by date."""
    return lt.datasets["fremont"](split="all")


@pytest.fixture(scope="module")
def clusters() -> Clusters:
    return Clusters.of(lt.datasets["fremont"](split="train"))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_clusters_agree_with_weekday_and_weekend_on_held_out_rows(seed: int) -> None:
    """Calling every day a weekday would agree with 0.73 of them."""
    parts = {split: lt.datasets["fremont"](split=split) for split in ("train", "test")}
    found = Clusters.of(parts["train"], seed)
    assert found.weekend.sum() == 1
    assert found.agreement(parts["test"]) > 0.95
    assert float((parts["test"].labels < SATURDAY).float().mean()) < 0.75


def test_clusters_agree_on_later_days_than_those_fitted(every_day: Rows) -> None:
    """A random split holds out one sidewalk of a day whose other is fitted; a split by date does not."""
    n = len(every_day) // 2
    early = torch.arange(n) < 0.8 * n
    before, after = (every_day.select(part.repeat(2).nonzero()[:, 0]) for part in (early, ~early))
    assert Clusters.of(before).agreement(after) > 0.94


def test_the_clusters_are_the_weekend_and_the_two_directions_of_the_commute(
    clusters: Clusters, every_day: Rows
) -> None:
    number = clusters.number(every_day.x)
    sides = number.view(2, -1)
    peaks = []
    for k in range(3):
        hour = int(every_day.x[number == k].float().mean(0).argmax())
        east, west = ((side == k).float().mean() for side in sides)
        if clusters.weekend[k]:
            assert 11 <= hour <= 16
            assert abs(east - west) < 0.05  # both sidewalks have weekends
        else:
            peaks.append(hour)
            assert min(east, west) < 0.02  # a commute goes over one sidewalk
    assert sorted(peaks) == [8, 17]


def test_weekdays_taken_for_weekends_are_holidays(clusters: Clusters, every_day: Rows) -> None:
    told = clusters.weekend[clusters.number(every_day.x)].view(2, -1)
    weekday = every_day.labels.view(2, -1)[0] < SATURDAY
    free = (told.all(0) & weekday).numpy()
    holidays = federal_holidays(dates())
    assert 40 < free.sum() < 70
    assert holidays[free].mean() > 0.6
    assert holidays[weekday.numpy()].mean() < 0.05


def dates() -> np.ndarray:
    """Return the dates of complete days, read from the file without the package."""
    import pandas as pd

    table = pd.read_csv(Path(os.environ["LATENTIA_DATA"]) / "fremont/FremontBridge.csv")
    east = next(column for column in table.columns if "East" in column)
    table = table.dropna(subset=[east])
    time = pd.to_datetime(table["Date"], format="%m/%d/%Y %I:%M:%S %p")
    table = pd.DataFrame({"day": time.dt.normalize(), "hour": time.dt.hour})
    hours = table[~table.duplicated(keep=False)].groupby("day")["hour"].count()
    return hours[hours == 24].index.to_numpy()


def federal_holidays(days: np.ndarray) -> np.ndarray:
    from pandas.tseries.holiday import USFederalHolidayCalendar

    return np.isin(days, USFederalHolidayCalendar().holidays(days.min(), days.max()).to_numpy())
