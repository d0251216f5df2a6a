"""Lists: of the verbs, and of what the registries hold. Nothing heavy is imported for them."""

from collections.abc import Iterator

from latentia import registry
from latentia.cli.commands import GROUPS, verbs
from latentia.cli.tables import print_listing
from latentia.errors import UsageError


@verbs.register("recipes", group="See what there is")
def recipes(*, for_: str | None = None, labels: str | None = None, columns: tuple[str, ...] = ()) -> None:
    """List the recipes: the models that can be fitted, or those that take some data.

    Args:
        for_: a data set's name, or a file or folder: list the recipes that take it, and why the others do not
        labels: with --for, the name of the column with the rows' classes
        columns: with --for, what columns are where they are not to be inferred, as year=categorical note=drop

    Examples:
        latentia recipes
        latentia recipes --for table.csv
        latentia fit vae --help
    """
    summaries = registry.recipes.summaries()
    if for_ is None:
        if labels is not None or columns:
            raise UsageError("labels and columns say how data is read: give it with --for")
        print_listing(summaries.items())
        return
    from latentia.runs.fitting_recipes import reasons_against

    against = reasons_against(for_, labels=labels, columns=columns)
    print_listing((name, summaries[name]) for name, reason in against.items() if not reason)
    if any(against.values()):
        print("\nnot with this data and the default options:")
        print_listing((name, reason) for name, reason in against.items() if reason)


@verbs.register("datasets", group="See what there is")
def datasets() -> None:
    """List the data sets that have a name; data of your own is given as a file or folder.

    Examples:
        latentia datasets
    """
    print_listing(registry.datasets.summaries().items())


@verbs.register("metrics", group="See what there is")
def metrics() -> None:
    """List the metrics that evaluate knows.

    Examples:
        latentia metrics
    """
    print_listing(registry.metrics.summaries().items())


def print_overview() -> None:
    """Print what the command line offers."""
    print("Latentia fits generative models of data, samples them, and scores them honestly.\n")
    print("usage: latentia VERB ...      latentia VERB --help explains a verb\n")
    print_listing(_by_group())
    print(
        "--import my_parts.py, before the verb, imports a file of your own, whose recipes, losses, ... are then known."
    )
    print("--version shows the version; --debug, with any verb, shows where an error comes from.")


def _by_group() -> Iterator[tuple[str, str]]:
    summaries = verbs.summaries()
    for group in GROUPS:
        yield group, ""
        yield from (
            (f"  {name}", text) for name, text in summaries.items() if verbs.facts(name)["group"] == group
        )
