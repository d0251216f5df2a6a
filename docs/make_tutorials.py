"""Run the tutorials and write their outputs and pictures into them: python docs/make_tutorials.py [NAME…].

The Python blocks of docs/tutorials/NAME.md run from top to bottom in one namespace and in an empty folder. The output
of a block is written into the text block after it; the PNG files of a page are copied to docs/images/tutorials/.
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).parent
PAGES, IMAGES = DOCS / "tutorials", DOCS / "images" / "tutorials"
# A block, and the text block of its output where there is one.
BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```\n(?:\n```text\n(?P<output>.*?)^```\n)?", re.DOTALL | re.MULTILINE
)


def code(text: str) -> list[str]:
    """Return the Python blocks of a page."""
    return [block["code"] for block in BLOCK.finditer(text)]


def outputs(text: str) -> list[str]:
    """Return the output of each block as the page shows it; nothing for a block without output."""
    return [block["output"] or "" for block in BLOCK.finditer(text)]


def with_outputs(text: str, printed: list[str]) -> str:
    """Return a page with new outputs after its blocks."""
    new = iter(printed)

    def replaced(block: re.Match[str]) -> str:
        output = next(new)
        return f"```python\n{block['code']}```\n" + (f"\n```text\n{output}```\n" if output else "")

    return BLOCK.sub(replaced, text)


def run(blocks: list[str], folder: Path) -> list[str]:
    """Run blocks of code in one namespace and in a folder, and return what each prints."""
    names: dict[str, object] = {"__name__": "__main__"}
    printed: list[str] = []
    with contextlib.chdir(folder):
        for block in blocks:
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(block, f"block {len(printed) + 1}", "exec"), names)
            printed.append("".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines()))
    return printed


def make(page: Path) -> None:
    """Run a page, and write its outputs and pictures."""
    text = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        printed = run(code(text), Path(folder))
        IMAGES.mkdir(parents=True, exist_ok=True)
        for picture in Path(folder).glob("*.png"):
            shutil.copy(picture, IMAGES)
    page.write_text(with_outputs(text, printed), encoding="utf-8")


def main(names: list[str]) -> None:
    """Make the named pages, or all."""
    for page in [PAGES / f"{name}.md" for name in names] or sorted(PAGES.glob("*.md")):
        print(page.stem)
        make(page)


if __name__ == "__main__":
    main(sys.argv[1:])
