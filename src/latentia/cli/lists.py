"""Lists: of the verbs, and of what the registries hold. Nothing heavy is imported for them."""

from collections.abc import Iterator

from latentia import registry
from latentia.cli.commands import GROUPS, verbs
from latentia.cli.tables import print_listing


@verbs.register("recipes", group="See what there is")
def recipes() -> None:
    """List the recipes: the models that can be fitted.

    Examples:
        latentia recipes
        latentia fit vae --help
    """
    print_listing(registry.recipes.summaries().items())


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
