"""The elements of a report's sections: plots and strips of images, with titles."""

from dataclasses import dataclass

from torch import Tensor

from latentia.figures.drawing import Titled, single, svg
from latentia.figures.images import data_uri, image_grid
from latentia.report.report_rows import HeldOut, seen, seen_spec
from latentia.runs.run import Run


@dataclass(frozen=True)
class Strip:
    """A row of images with its label; ``uri`` holds the picture itself."""

    label: str
    uri: str


@dataclass(frozen=True)
class Exhibit:
    """A plot (an SVG element) or strips of images, with a title."""

    title: str
    svg: str = ""
    square: bool = False
    strips: tuple[Strip, ...] = ()


@dataclass(frozen=True)
class Section:
    """Exhibits under one heading; ``lead`` describes them."""

    title: str
    lead: str
    exhibits: tuple[Exhibit, ...]

    @property
    def layout(self) -> str:
        """The layout of the exhibits: pictures, square plots or plots."""
        if any(exhibit.strips for exhibit in self.exhibits):
            return "pictures"
        return "plots square" if any(exhibit.square for exhibit in self.exhibits) else "plots"


def exhibits(drawn: Titled, *, square: bool = False) -> tuple[Exhibit, ...]:
    """Return plots as SVG elements with their titles."""
    return tuple(Exhibit(title, svg(single(plot, square=square)), square) for title, plot in drawn)


def strip(
    label: str, images: Tensor, run: Run, bounds: tuple[float, float] | None, columns: int | None = None
) -> Strip:
    """Return images in one row, or in rows of ``columns`` images, with their label."""
    grid = image_grid(images, seen_spec(run), columns or len(images), bounds=bounds)
    return Strip(label, data_uri(grid))


def bounds_of(run: Run, held: HeldOut | None) -> tuple[float, float] | None:
    """Return the grey range of a run's pictures: of the held-out rows where the support is unbounded."""
    bounds = seen_spec(run).support.bounds
    if bounds is not None or held is None:
        return bounds
    return value_range(seen(run, held))


def value_range(images: Tensor) -> tuple[float, float]:
    """Return the smallest and the largest value."""
    return float(images.min()), float(images.max())
