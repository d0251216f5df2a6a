"""Registries: a member is one decorated definition in one file, found without importing it."""

from __future__ import annotations

import copy
import importlib
import pickle
import pkgutil
import subprocess
import sys

import pytest

import latentia as lt
from latentia.errors import UnknownNameError, UsageError
from latentia.registry import Registry, unknown

REGISTRIES = [lt.recipes, lt.datasets, lt.metrics, lt.likelihoods, lt.divergences]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write a package of shapes, one of which fails when it is imported, and return its registry."""
    folder = tmp_path / "shapes_of_a_test"
    (folder / "solid").mkdir(parents=True)
    (folder / "__init__.py").write_text(
        'from latentia.registry import Registry\n\nshapes = Registry("shapes", package="shapes_of_a_test")\n'
    )
    (folder / "flat.py").write_text(
        "from shapes_of_a_test import shapes\n\n"
        '@shapes.register("square", sides=4)\ndef square():\n    """Four equal sides.\n\n    More."""\n\n'
        '@shapes.register("tri-angle")\nclass Triangle:\n    """Three sides."""\n'
    )
    (folder / "solid" / "__init__.py").write_text("")
    (folder / "solid" / "cube.py").write_text(
        'raise RuntimeError("imported")\n'
        "from shapes_of_a_test import shapes\n\n"
        '@shapes.register("cube")\ndef cube():\n    """Six squares."""\n'
    )
    (folder / "other.py").write_text(
        '@things.register("thing")\ndef thing():\n    """Of another registry."""\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield __import__("shapes_of_a_test").shapes
    for name in [name for name in sys.modules if name.startswith("shapes_of_a_test")]:
        del sys.modules[name]


def test_members_are_found_in_files_without_importing_them(package):
    assert list(package) == ["cube", "square", "tri-angle"]
    assert len(package) == 3
    assert "cube" in package
    assert "thing" not in package
    assert package.summaries() == {
        "cube": "Six squares.",
        "square": "Four equal sides.",
        "tri-angle": "Three sides.",
    }
    assert "shapes_of_a_test.flat" not in sys.modules


def test_a_lookup_imports_the_member_s_file_alone(package):
    assert package["tri-angle"].__name__ == "Triangle"
    assert package.facts("square") == {"sides": 4}
    assert package.facts("tri-angle") == {}
    with pytest.raises(RuntimeError, match="imported"):
        package["cube"]


def test_a_new_file_is_a_new_member(tmp_path, package):
    (tmp_path / "shapes_of_a_test" / "line.py").write_text(
        "from shapes_of_a_test import shapes\n\n"
        '@shapes.register("line")\ndef line():\n    """No sides."""\n    return 1\n'
    )
    assert package["line"]() == 1
    assert package.summaries()["line"] == "No sides."


def test_members_can_be_registered_at_run_time(package):
    @package.register("blob", sides=0)
    def blob():
        """Is round."""

    assert package["blob"] is blob
    assert list(package) == ["blob", "cube", "square", "tri-angle"]
    assert package.summaries()["blob"] == "Is round."
    assert package.facts("blob") == {"sides": 0}


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda each: each.name)
def test_an_unknown_name_lists_near_matches_or_all(registry):
    name = next(iter(registry))
    with pytest.raises(
        UnknownNameError, match=f"unknown {registry.name[:-1]} name '.*'; did you mean .*'{name}'"
    ):
        registry[name[:-1] + "#"]
    with pytest.raises(UnknownNameError) as error:
        registry["§§§§"]
    assert all(member in str(error.value) for member in registry)
    assert not str(error.value).startswith(("'", '"'))
    assert "\n" not in str(error.value)


def test_an_unknown_name_is_a_usage_error_and_a_key_error():
    with pytest.raises(KeyError):
        lt.recipes["nothing-like-it"]
    with pytest.raises(UsageError):
        lt.recipes["nothing-like-it"]
    assert lt.recipes.get("nothing-like-it") is None
    assert unknown("thing", "x", []) == "unknown thing 'x'; there are: none"


MEMBERS = [(registry, name) for registry in REGISTRIES for name in registry]


@pytest.mark.parametrize(("registry", "name"), MEMBERS, ids=lambda each: str(getattr(each, "name", each)))
def test_every_member_has_a_one_line_summary_and_is_what_it_is_found_as(registry, name):
    summary = registry.summaries()[name]
    assert 10 < len(summary) < 120
    assert name == name.lower()
    assert " " not in name
    assert "_" not in name
    member = registry[name]
    assert (member.__doc__ or "").strip().partition("\n")[0].strip() == summary


def test_listing_imports_no_heavy_library():
    """`latentia recipes` must answer at once: names and summaries come from syntax trees."""
    code = (
        "import sys, latentia as lt\n"
        "for registry in (lt.recipes, lt.datasets, lt.metrics, lt.likelihoods, lt.divergences):\n"
        "    registry.summaries()\n"
        "heavy = {'torch', 'numpy', 'pandas', 'scipy', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_public_names_are_all_there():
    for name in lt.__all__:
        assert getattr(lt, name) is not None
        assert name in dir(lt)
    assert {name for name in dir(lt) if not name.startswith("__")} == set(lt.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = lt.nothing


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("WGAN-GP", "wgan-gp"),
        ("wgan_gp", "wgan-gp"),
        ("DCGAN", "dc-gan"),
        ("wgan", "w-gan"),
        ("cGAN", "conditional-gan"),
        ("gmm", "gaussian-mixture"),
    ],
)
def test_names_are_taken_as_the_field_writes_them(written, name):
    fresh = Registry("recipes", package="latentia.recipes")  # nothing is imported yet
    assert fresh.name_of(written) == name
    assert lt.recipes[written] is lt.recipes[name]
    assert lt.recipes.facts(written) is lt.recipes.facts(name)
    assert written not in set(lt.recipes), "listed once, under its own name"


def test_no_two_members_are_written_alike():
    for registry in (
        lt.recipes,
        lt.datasets,
        lt.metrics,
        lt.likelihoods,
        lt.priors,
        lt.posteriors,
        lt.divergences,
    ):
        plain = [name.replace("-", "") for name in registry]
        assert len(plain) == len(set(plain))


def test_an_alias_of_a_member_in_memory_is_known():
    registry = Registry("shapes", package="latentia.registry")
    registry.register("square", aliases=("quad",))(1)
    assert registry["Quad"] == 1
    with pytest.raises(UnknownNameError, match="unknown shape name 'quod'"):
        registry["quod"]


MODULES = [
    module.name
    for package in ("metrics", "recipes")
    for module in pkgutil.walk_packages(
        importlib.import_module(f"latentia.{package}").__path__, f"latentia.{package}."
    )
]


@pytest.mark.parametrize("name", MODULES)
def test_modules_of_packages_that_are_named_like_registries_have_dotted_names(name):
    importlib.import_module(name)
    found = lt
    for part in name.split(".")[1:]:
        found = getattr(found, part)
    package, _, last = name.rpartition(".")
    exported = last in getattr(sys.modules[package], "__all__", ())  # a function called as its module is
    assert found is (getattr(sys.modules[package], last) if exported else sys.modules[name])


def test_dotted_imports_find_modules_in_a_fresh_interpreter():
    code = (
        "import latentia.metrics.score\n"
        "import latentia.recipes.gaussian as by_another_name\n"
        "assert latentia.metrics.score.Score and by_another_name is latentia.recipes.gaussian\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_module_that_cannot_be_imported_is_not_called_absent(tmp_path, package):
    (tmp_path / "shapes_of_a_test" / "needy.py").write_text("import a_library_that_is_not_there\n")
    with pytest.raises(ModuleNotFoundError, match="a_library_that_is_not_there"):
        _ = package.needy
    assert package.flat is sys.modules["shapes_of_a_test.flat"]


def test_a_registry_has_no_attributes_of_names_that_are_no_modules(package):
    with pytest.raises(AttributeError, match="no attribute or module 'nothing'"):
        _ = package.nothing
    assert not hasattr(package, "__wrapped__")
    assert not hasattr(package, "_repr_html_")
    assert list(copy.copy(package)) == list(copy.deepcopy(package)) == list(package)
    assert list(pickle.loads(pickle.dumps(package))) == list(package)
