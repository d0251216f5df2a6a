"""The documents agree with the code."""

import importlib.util
import inspect
import re
import shlex
from pathlib import Path
from pkgutil import resolve_name

import pytest

import latentia as lt
import latentia.cli
from latentia.cli.commands import verbs
from latentia.metrics.settings import metric_settings
from latentia.runs.options import Training
from latentia.runs.sampling import Rejection

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


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_within_the_project_lead_somewhere(path):
    prose = re.sub(r"```.*?```|`[^`]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", prose):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"


README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.partition("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("latentia ")
]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readmes_commands_can_be_typed(command):
    verb, *words = shlex.split(command)[1:]
    assert verb in verbs
    if "--help" not in words:
        assert latentia.cli._values(verb, words) is not None


def test_the_readmes_python_runs_and_its_scores_are_printed_whole(tmp_path, monkeypatch, capsys):
    block, table = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(block.replace("epochs=60", "epochs=1, hidden=16, progress=False"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["metric", "value", "stderr", "unit", "kind"]
    assert {line.split()[0] for line in lines[1:]} >= {"elbo", "iwae", "mmd-test", "reconstruction-error"}
    assert max(map(len, lines)) <= 90
    assert {each.name for each in (tmp_path / "runs/digits").iterdir()} >= {"report.html", "scores.json"}
    exec(f"import latentia as lt\n{table}", {})
    made = (tmp_path / "made.csv").read_text().splitlines()
    assert len(made) == 1001
    assert made[0].startswith("species,island,bill_length_mm")


MISTAKES = (ROOT / "docs/known-mistakes.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| ([A-D]\d+) \| (.*)$", MISTAKES, re.MULTILINE))
CITATION = re.compile(r"\b[Rr]ows? ((?:[A-D]\d+(?:, | and |-| to )?)+) of\s+docs/known-mistakes\.md")
CITING = [path for folder in ("src", "tests", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("row", ROWS)
def test_each_known_mistake_is_caught_by_tests_that_exist_or_by_none_yet(row):
    tests = re.findall(r"`([\w/]+\.py)::(\w+)`", ROWS[row])
    assert tests or "*not in the package yet*" in ROWS[row]
    for file, name in tests:
        text = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert f"\ndef {name}(" in text, f"{row} names {file}::{name}, which is not there"


def test_the_known_mistakes_are_numbered_throughout():
    counts = {"A": 21, "B": 17, "C": 11, "D": 23}
    assert list(ROWS) == [f"{part}{n}" for part, last in counts.items() for n in range(1, last + 1)]


def test_rows_of_known_mistakes_that_are_cited_exist():
    cited = {}
    for path in CITING:
        text = path.read_text(encoding="utf-8")
        citations = CITATION.findall(text)
        cited |= {row: path for each in citations for row in re.findall(r"[A-D]\d+", each)}
        mentions = text.count("docs/known-mistakes.md") if path != Path(__file__) else 0
        assert len(citations) == mentions, f"{path.name} cites the page without a row"
    assert len(cited) > 30
    assert not {row: path.name for row, path in cited.items() if row not in ROWS}


GLOSSARY = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")


def test_the_glossary_names_options_that_exist():
    members = (*lt.recipes.values(), *verbs.values(), Training, Rejection)
    names = [name for member in members for name in inspect.signature(member).parameters]
    names += [setting.name for setting in metric_settings()]
    known = {f"--{name}".replace("_", "-") for name in names}
    assert set(re.findall(r"`(--[a-z0-9-]+)", GLOSSARY)) - {"--critic-"} <= known


def test_the_glossary_names_members_and_verbs_that_exist():
    for registry, kind in ((lt.recipes, "recipe"), (lt.metrics, "metric")):
        for listed in re.findall(rf"\b{kind}s? ((?:`[\w-]+`(?:, )?)+)", GLOSSARY):
            assert set(re.findall(r"`([\w-]+)`", listed)) <= set(registry)
    assert set(re.findall(r"`latentia ([a-z]+)", GLOSSARY)) <= set(verbs)
    for name in re.findall(r"`lt\.(\w+)", GLOSSARY):
        assert name in lt.__all__


def test_each_term_of_the_glossary_is_defined_once():
    terms = re.findall(r"^\| ([^|]+?) \| [^|-]", GLOSSARY, re.MULTILINE)
    assert len(terms) > 80
    assert len(set(terms) - {"term"}) == len([term for term in terms if term != "term"])


MOVED = re.findall(
    r"^\| `([\w.]+)`[^|]* \| `([\w.]+)` \|$",
    (ROOT / "CHANGELOG.md")
    .read_text(encoding="utf-8")
    .partition("### Moved names")[2]
    .partition("**Attributes")[0],
    re.MULTILINE,
)


@pytest.mark.parametrize(("old", "new"), MOVED)
def test_a_moved_name_is_where_the_changelog_says(old, new):
    assert old != new
    resolve_name(f"latentia.{new}")
