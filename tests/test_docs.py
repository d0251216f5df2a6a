"""The documents agree with the code."""

import importlib.util
import re
from pathlib import Path
from pkgutil import resolve_name

import pytest

ROOT = Path(__file__).parent.parent
NAMED = re.findall(r"`(latentia(?:\.\w+)+)`", (ROOT / "docs/equations.md").read_text(encoding="utf-8"))


def test_the_readmes_tables_are_those_of_the_registries():
    spec = importlib.util.spec_from_file_location("make_tables", ROOT / "docs/make_tables.py")
    make_tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_tables)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert make_tables.with_tables(text) == text, "run: python docs/make_tables.py"
    assert "| `vae` |" in text


@pytest.mark.parametrize("name", NAMED)
def test_each_equation_names_a_function_that_is_there(name):
    assert resolve_name(name).__doc__


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "docs/design.md", "docs/equations.md", "docs/mathematics.md"]
)
def test_links_within_the_project_lead_somewhere(page):
    path = ROOT / page
    prose = re.sub(r"```.*?```|`[^`]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", prose):
        assert (path.parent / target).exists(), f"{page} links to {target}"
