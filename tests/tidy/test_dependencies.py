"""Every third-party dependency has a line that says why it is here, and the lines are true.

`docs/decisions/dependencies.toml` is compared with what asks for packages (pyproject.toml,
Cargo.toml), with what pins them (ci/constraints.txt, Cargo.lock), with what the packages say of
their licences, and with the imports of our own sources.
"""

import ast
import json
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LINES = tomllib.loads((ROOT / "docs" / "decisions" / "dependencies.toml").read_text())
PYTHON = {line["name"]: line for line in LINES["python"]}
RUST = {line["name"]: line for line in LINES["rust"]}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
#: What may be in a node. An expression is allowed if some choice of it is.
ALLOWED = {
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "BlueOak-1.0.0",
    "ISC",
    "MIT",
    "PSF-2.0",
    "Unicode-3.0",
    "Zlib",
}
#: What a package says that knows no SPDX expressions, as one.
SAID = {"BSD 2-Clause License": "BSD-2-Clause"}
#: Fields that every line has.
FIELDS = {"name", "use", "does", "why", "turned_down", "licence"}
OPTIONAL = {"licence_exception", "named_in", "why_several", "released"}
USES = {"run", "demo", "test", "lint", "build", "data"}
#: Names of modules that are not those of their packages.
MODULES = {"prometheus_client": "prometheus-client", "pytest_benchmark": "pytest-benchmark"}


def plain(requirement: str) -> str:
    """Return the name in a requirement, as registries compare them."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def names(requirements: list[str]) -> set[str]:
    """Return the names in requirements."""
    return {plain(requirement) for requirement in requirements}


def is_allowed(licence: str) -> bool:
    """Whether an SPDX expression leaves a choice that is allowed."""
    text = re.sub(r" WITH [\w-]+", "", licence).replace("/", " OR ")
    words = re.sub(r"[\w.-]+", lambda found: _word(found[0]), text)
    return bool(eval(words, {}, {}))


def _word(word: str) -> str:
    return word.lower() if word in ("AND", "OR") else str(word in ALLOWED)


def pins() -> set[str]:
    """Return what ci/constraints.txt pins."""
    return names((ROOT / "ci" / "constraints.txt").read_text().split())


def asked_for() -> dict[str, set[str]]:
    """Return what pyproject.toml asks for, by use."""
    extras = {
        use: names(found) for use, found in PROJECT["project"]["optional-dependencies"].items()
    }
    return extras | {
        "run": names(PROJECT["project"]["dependencies"]),
        "build": names(PROJECT["build-system"]["requires"]),
    }


@cache
def crates() -> dict[str, Any]:
    """Return what cargo knows of the packages that are built on this machine."""
    version = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    host = next(line.split()[1] for line in version.splitlines() if line.startswith("host:"))
    command = ["cargo", "metadata", "--format-version", "1", "--offline", "--locked"]
    found = subprocess.run(
        [*command, "--filter-platform", host], check=True, capture_output=True, text=True, cwd=ROOT
    )
    return dict(json.loads(found.stdout))


def direct_crates() -> dict[str, set[str]]:
    """Return the crates of others that ours name in their manifests, and who names them."""
    direct: dict[str, set[str]] = {}
    for manifest in sorted((ROOT / "rust_core").glob("*/Cargo.toml")):
        read = tomllib.loads(manifest.read_text())
        for table in ("dependencies", "dev-dependencies", "build-dependencies"):
            for name in read.get(table, {}):
                if not name.startswith("phantom_"):
                    direct.setdefault(name, set()).add(manifest.parent.name)
    return direct


def imports(folder: str) -> dict[str, set[str]]:
    """Return the modules of others that a folder of Python imports, and the files that do."""
    own = {"phantomdb", "kit", "upgrade"}
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module or ""]
            for module in {module.split(".")[0] for module in modules}:
                is_beside = (path.parent / f"{module}.py").exists()
                if module not in sys.stdlib_module_names | own and not is_beside:
                    package = MODULES.get(module, plain(module))
                    found.setdefault(package, set()).add(path.relative_to(ROOT).as_posix())
    return found


def sources_that_name(crate: str) -> set[str]:
    """Return our sources, without the tests beside them, that name a crate."""
    module = crate.replace("-", "_")
    naming = re.compile(rf"\b{module}::|\buse {module}\b", re.ASCII)
    comment = re.compile(r"^\s*//.*$", re.MULTILINE)
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "rust_core").glob("*/src/**/*.rs")
        if naming.search(comment.sub("", path.read_text()))
    }


def assert_named_only_there(line: dict[str, Any], files: set[str]) -> None:
    """Check that `files` lie in the modules of a line, and that each of those has one."""
    places = line["named_in"]
    inside = {file: [place for place in places if _is_in(file, place)] for file in files}
    assert not [file for file, found in inside.items() if not found], "named elsewhere"
    unused = set(places) - {place for found in inside.values() for place in found}
    assert not unused, "does not name it"
    assert (len(places) > 1 or places == ["rust_core"]) == ("why_several" in line)


def _is_in(file: str, place: str) -> bool:
    return file == place or file.startswith(f"{place}/")


@pytest.mark.parametrize("line", [*PYTHON.values(), *RUST.values()], ids=lambda line: line["name"])
def test_a_line_says_what_why_and_what_not(line: dict[str, Any]) -> None:
    assert set(line) >= FIELDS
    assert set(line) <= FIELDS | OPTIONAL
    assert line["use"] in USES
    assert all(line[field] for field in FIELDS)
    exempt = "licence_exception" in line
    assert is_allowed(line["licence"]) != exempt, "an exception is said, and needed"
    assert not (exempt and line["use"] == "run"), "a node needs nothing under another licence"


def test_a_dependency_has_one_line() -> None:
    assert len(PYTHON) == len(LINES["python"])
    assert len(RUST) == len(LINES["rust"])


def test_python_packages_are_those_that_the_project_asks_for() -> None:
    asked = asked_for()
    for use in ("run", "demo", "lint", "build"):
        assert {name for name, line in PYTHON.items() if line["use"] == use} == asked[use], use
    tests = {name for name, line in PYTHON.items() if line["use"] == "test"}
    assert tests == asked["test"] - asked["demo"]
    # Data is no requirement: it is pinned, and installed without what its code would bring.
    data = {name for name, line in PYTHON.items() if line["use"] == "data"}
    assert data == set(PYTHON) - set().union(*asked.values())


def test_pins_are_of_what_has_a_line_and_of_what_that_brings() -> None:
    assert set(PYTHON) <= pins()
    brought, open_names = set(), set(PYTHON)
    while open_names:
        name = open_names.pop()
        brought.add(name)
        try:
            required = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # Of another platform, or an extra that nobody asked for.
        if PYTHON.get(name, {}).get("use") != "data":
            open_names |= names(required) - brought
    assert not pins() - brought


@pytest.mark.parametrize("name", PYTHON)
def test_a_python_package_declares_the_licence_of_its_line(name: str) -> None:
    found = metadata.metadata(name)
    said = found.get("License-Expression") or found.get("License") or ""
    assert PYTHON[name]["licence"] == SAID.get(said, said)


def test_our_python_imports_only_what_has_a_line() -> None:
    imported = imports("phantomdb")
    for name, files in imported.items():
        assert PYTHON[name]["use"] in ("run", "demo"), files
    for name, line in PYTHON.items():
        if "named_in" in line:
            assert_named_only_there(line, imported.get(name, set()))
        else:
            assert line["use"] not in ("run", "demo"), name


@pytest.mark.parametrize("folder", ["tests", "bench", "rust_core"])
def test_tests_import_only_what_has_a_line(folder: str) -> None:
    assert set(imports(folder)) <= set(PYTHON)


def test_crates_are_those_that_manifests_name() -> None:
    assert set(RUST) == set(direct_crates())
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    own = {package["name"]: package for package in locked if package["name"].startswith("phantom_")}
    wanted = {name.split()[0] for package in own.values() for name in package["dependencies"]}
    assert {name for name in wanted if name not in own} == set(RUST)


def test_crates_declare_the_licences_of_their_lines_and_bring_no_other() -> None:
    packages = crates()["packages"]
    locked = {(p["name"], p["version"]): p["license"] for p in packages if p["source"]}
    for name, line in RUST.items():
        assert line["licence"] in {licence for key, licence in locked.items() if key[0] == name}
    assert not {key for key, licence in locked.items() if not is_allowed(licence)}


@pytest.mark.parametrize("name", [name for name, line in RUST.items() if line["use"] == "run"])
def test_a_crate_is_named_only_where_its_line_says(name: str) -> None:
    assert_named_only_there(RUST[name], sources_that_name(name))


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("Unlicense OR MIT", True),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("MIT/GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("LGPL-3.0-only", False),
    ],
)
def test_an_expression_is_allowed_if_some_choice_of_it_is(licence: str, *, allowed: bool) -> None:
    assert is_allowed(licence) == allowed
