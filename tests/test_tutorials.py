"""The tutorials run as they stand there, show the pictures that they draw, and link to what is there.

A page may say in comments at its top how it is tested:
`<!-- data: published -->`, that it needs files that LATENTIA_DATA names the folder of, and is skipped without;
`<!-- test: epochs=60 -> epochs=1; n=1000 -> n=50 -->`, what is replaced in its code so that it is quick.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest

import latentia.cli
from latentia.cli.commands import verbs

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs/tutorials").glob("*.md"))


def the_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_tutorials", ROOT / "docs/make_tutorials.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make_tutorials = the_script()
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def setting(text: str, name: str) -> str:
    """Return what a comment of a page sets; nothing without one."""
    found = re.search(rf"<!-- {name}: (.*?) -->", text, re.DOTALL)
    return found[1] if found else ""


def smaller(code: list[str], replacements: str) -> list[str]:
    """Return blocks with "A -> B; C -> D" replaced; each must be there."""
    for pair in filter(None, replacements.split("; ")):
        old, new = pair.split(" -> ")
        assert any(old in block for block in code), f"no block has {old!r}"
        code = [block.replace(old, new) for block in code]
    return code


def pictures(text: str) -> list[str]:
    return re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)


@every_page
def test_a_page_runs_and_draws_the_pictures_that_it_shows(page: Path, tmp_path: Path):
    text = page.read_text(encoding="utf-8")
    if setting(text, "data") == "published" and not os.environ.get("LATENTIA_DATA"):
        pytest.skip("LATENTIA_DATA names no folder of published files")
    replacements = setting(text, "test")
    printed = make_tutorials.run(smaller(make_tutorials.code(text), replacements), tmp_path)
    drawn = {f"../images/tutorials/{file.name}" for file in tmp_path.glob("*.png")}
    assert drawn == set(pictures(text))
    shown = make_tutorials.outputs(text)
    assert [bool(output) for output in printed] == [bool(output) for output in shown]
    if not replacements:  # then the numbers' last digits may differ, and no more
        assert [output.count("\n") for output in printed] == [output.count("\n") for output in shown]


@every_page
def test_a_page_s_links_and_pictures_lead_somewhere(page: Path):
    text = page.read_text(encoding="utf-8")
    assert pictures(text), "a tutorial shows something"
    prose = re.sub(r"^```.*?^```|`[^`]*`", "", text, flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", prose):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@every_page
def test_a_page_ends_with_commands_that_can_be_typed(page: Path):
    text = page.read_text(encoding="utf-8")
    commands = re.findall(
        r"^latentia .*$", "".join(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)), re.M
    )
    assert commands
    for command in commands:
        verb, *words = shlex.split(command, comments=True)[1:]
        assert verb in verbs
        assert latentia.cli._values(verb, words) is not None


def test_what_blocks_print_is_put_after_them_and_replaces_what_stood_there(tmp_path: Path):
    page = "Say\n\n```python\nx = 2\nprint(x)\n```\n\n```text\nold\n```\n\nand\n\n```python\nx += 1\n```\n\nend\n"
    printed = make_tutorials.run(make_tutorials.code(page), tmp_path)
    assert printed == ["2\n", ""]
    made = make_tutorials.with_outputs(page, printed)
    assert made == page.replace("old", "2")
    assert make_tutorials.outputs(made) == printed
    assert make_tutorials.with_outputs(made, ["", "3\n"]).endswith("x += 1\n```\n\n```text\n3\n```\n\nend\n")


def test_a_replacement_that_replaces_nothing_is_reported():
    assert smaller(["n = 9", "f(n)"], "n = 9 -> n = 1") == ["n = 1", "f(n)"]
    with pytest.raises(AssertionError, match="no block has 'n = 8'"):
        smaller(["n = 9"], "n = 8 -> n = 1")
