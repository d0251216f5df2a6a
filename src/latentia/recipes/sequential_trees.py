"""Sequential trees."""

from typing import Annotated

from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec, require
from latentia.models.sequential_trees import ORDERS, BinnedSequentialTrees, SequentialTrees
from latentia.objectives.closed_form.sequential_trees import TreeGrowth
from latentia.options import Count, Needs, OneOf
from latentia.registry import recipes

NUMBERS = ("leaf-values", "binned")


@recipes.register("sequential-trees", aliases=("cart", "synthpop"))
def sequential_trees(
    data: DataSpec,
    *,
    leaf: Count = 5,
    order: Annotated[str, OneOf(ORDERS)] = "given",
    numbers: Annotated[str, OneOf(NUMBERS)] = "leaf-values",
    bins: Annotated[Count, Needs("numbers", "binned")] = 20,
) -> Recipe:
    """Sequential trees: each column is drawn from the leaf of a tree on the columns before it.

    p(x) = Π_j p(x_j | leaf of tree j that x_1, …, x_{j−1} reach); with numbers=binned,
    p(x_j ∈ c | leaf) = (n_c + ½ C q_c)/(n + ½ C) for the n values in the leaf, n_c of them in cell c of C, and q_c the
    frequency of c in the column with a pseudo-count of ½

    Args:
        data: what a row is.
        leaf: least number of rows in a leaf; with 1 the samples are copies of rows
        order: of the columns; fewest-categories puts binary columns first and numbers last
        numbers: leaf-values draws one of the leaf's values, samples only; binned draws from a histogram in the
            leaf, an exact density
        bins: bins of each column of numbers, between its quantiles

    References:
        Reiter (2005), Using CART to generate partially synthetic public use microdata; Nowok, Raab and Dibben (2016),
        synthpop.
    """
    kinds = ("binary", "categorical", "discrete", "count", "unit", "real", "table")
    require(data, "sequential-trees", kinds, missing=True)
    make = BinnedSequentialTrees if numbers == "binned" else SequentialTrees
    return Recipe(TreeGrowth(make(data, order=order, bins=bins), leaf=leaf), {}, batch_size=None, epochs=1)
