"""Options that recipes of one family share, in the signature and the help of each."""

import inspect
from collections.abc import Callable, Collection
from functools import wraps
from typing import Any, TypeVar, get_type_hints

from latentia.signatures import with_entries

F = TypeVar("F", bound=Callable[..., Any])


def with_options_of(
    shared: Callable[..., Any], *, without: Collection[str] = (), **defaults: Any
) -> Callable[[F], F]:
    """Return a decorator that gives a recipe the keyword options of another function, in addition to its own.

    The recipe takes them as ``**options`` and hands them on; its signature and docstring then show them all.

    Args:
        shared: whose keyword options these are.
        without: names that are left out.
        defaults: other defaults than the shared ones.

    Example:
        >>> def shared(*, size: int = 1, speed: float = 2.0): ...
        >>> @with_options_of(shared, without=["speed"], size=3)
        ... def recipe(data, *, loss: str = "hinge", **options):
        ...     return options
        >>> {each.name: each.default for each in inspect.signature(recipe).parameters.values() if each.name != "data"}
        {'loss': 'hinge', 'size': 3}
        >>> recipe([])
        {'size': 3}
    """
    theirs = {
        name: each
        for name, each in inspect.signature(shared).parameters.items()
        if each.kind is each.KEYWORD_ONLY and name not in without
    }
    theirs |= {name: theirs[name].replace(default=value) for name, value in defaults.items()}

    def add(recipe: F) -> F:
        own = [
            each
            for each in inspect.signature(recipe).parameters.values()
            if each.kind is not each.VAR_KEYWORD
        ]
        taken = {each.name for each in own}
        more = [each for name, each in theirs.items() if name not in taken]

        @wraps(recipe)
        def made(*arguments: Any, **options: Any) -> Any:
            return recipe(*arguments, **(defaults | options))

        setattr(made, "__signature__", inspect.Signature([*own, *more]))  # noqa: B010  (no attribute of all callables)
        hints = get_type_hints(shared, include_extras=True)
        made.__annotations__ |= {each.name: hints[each.name] for each in more if each.name in hints}
        own_doc, their_doc = (inspect.getdoc(each) or "" for each in (recipe, shared))
        made.__doc__ = with_entries(own_doc, their_doc, {each.name for each in more})
        return made  # pyright: ignore[reportReturnType]

    return add
