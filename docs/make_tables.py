"""Write the tables of README.md from the registries: python docs/make_tables.py."""

from __future__ import annotations

from pathlib import Path

from latentia.registry import Registry, datasets, recipes

README = Path(__file__).parent.parent / "README.md"


def table(registry: Registry[object]) -> str:
    """Return a registry as a Markdown table of names and one-line descriptions."""
    rows = [f"| `{name}` | {summary} |" for name, summary in registry.summaries().items()]
    return "\n".join(["| name | what it is |", "| --- | --- |", *rows])


def with_tables(text: str) -> str:
    """Return a text with what stands between its table markers made anew."""
    for registry in (recipes, datasets):
        mark = f"<!-- {registry.name}: made by docs/make_tables.py -->\n"
        before, _, rest = text.partition(mark)
        _, end, after = rest.partition("<!-- end -->")
        text = f"{before}{mark}{table(registry)}\n{end}{after}"
    return text


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")
