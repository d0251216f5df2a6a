"""The order of the package's rooms: imports point downwards, and no modules import each other in a circle."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
# From the lowest to the highest: a room imports from itself and from those before it.
ROOMS = (
    "errors", "version", "interrupts", "plugins", "listings", "registry", "options", "checks", "signatures", "syntax",
    "functional", "core", "data", "networks", "distributions", "models", "objectives", "recipes", "metrics", "figures",
    "theory", "runs", "report", "sklearn", "cli",
)  # fmt: skip
LAZY = "latentia"  # the package's own __init__ names everything, and imports it when it is used


def name_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(SOURCE.rglob("*.py"))}


def imported(tree: ast.AST) -> set[str]:
    """Return the modules of the package that a tree imports, also inside functions, but not for types alone."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "latentia":
            paths = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {path if path in MODULES else str(node.module) for path in paths}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "latentia"}
        found |= imported(node)
    return found


def imports_at_start(tree: ast.Module) -> set[str]:
    """Return the modules that are imported as soon as a module is: not inside functions."""
    body = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return imported(ast.Module(body=body, type_ignores=[]))


TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def room(module: str) -> str | None:
    """Return the room of a module, or None for the package's own files, which stand above all rooms."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] != "__main__" else None


def upward(module: str, targets: set[str]) -> list[str]:
    """Return what a module imports from rooms above its own."""
    own = room(module)
    if own is None:
        return []
    rank = ROOMS.index(own)
    rooms = {target: room(target) for target in targets if target != LAZY}
    return sorted(target for target, there in rooms.items() if there is None or ROOMS.index(there) > rank)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_downwards(module: str):
    assert upward(module, imported(TREES[module])) == [], f"{module} imports from above; the order is {ROOMS}"


def test_no_modules_import_each_other():
    graph = {name: imports_at_start(tree) - {LAZY, name} for name, tree in TREES.items()}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as circle:
        pytest.fail(f"these modules import each other: {' -> '.join(circle.args[1])}")


def test_an_import_from_above_is_seen():
    tree = ast.parse("def f():\n    from latentia.runs.fit import fit\n")
    assert upward("latentia.core.train", imported(tree)) == ["latentia.runs.fit"]
    tree = ast.parse("if TYPE_CHECKING:\n    from latentia.runs.fit import fit\n")
    assert upward("latentia.core.train", imported(tree)) == []
