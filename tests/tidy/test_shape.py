"""Sizes of files, functions and folders; heads of modules. Exceptions stand here with reasons."""

import ast
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Code lines of a file: neither blank nor comment.
CODE_LINES_MAX = 600
#: Lines of a function's body in Python; clippy counts those of Rust.
BODY_LINES_MAX = 60
#: Source files of a folder.
FILES_MAX = 12
#: Lines of all of `rust_core/py`, which converts and decides nothing.
BINDING_LINES_MAX = 1_000

#: Folders that may hold more files, and why.
WIDE_FOLDERS = {
    "rust_core/sql/src/bind": "one file for each kind of statement and of expression",
}
#: Functions that may be longer, and why.
LONG_FUNCTIONS: dict[str, str] = {}

PYTHON = sorted((ROOT / "phantomdb").rglob("*.py"))
TESTS = sorted(path for path in (ROOT / "tests").rglob("*.py"))
RUST = sorted((ROOT / "rust_core").rglob("*.rs"))


def shown(path: Path) -> str:
    """Return a path as people write it."""
    return path.relative_to(ROOT).as_posix()


def code_lines(path: Path) -> int:
    """Count lines that are neither blank nor comment."""
    comment = "#" if path.suffix == ".py" else "//"
    lines = (line.strip() for line in path.read_text().splitlines())
    return sum(bool(line) and not line.startswith(comment) for line in lines)


def test_files_are_short() -> None:
    long = {shown(p): n for p in PYTHON + TESTS + RUST if (n := code_lines(p)) > CODE_LINES_MAX}
    assert not long


def test_functions_are_short() -> None:
    long = {}
    for path in PYTHON:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                has_docstring = ast.get_docstring(node) is not None
                body = node.body[has_docstring:] or node.body
                lines = (node.end_lineno or 0) - body[0].lineno + 1
                name = f"{shown(path)}:{node.name}"
                if lines > BODY_LINES_MAX and name not in LONG_FUNCTIONS:
                    long[name] = lines
    assert not long


def test_folders_are_small() -> None:
    files = Counter(path.parent for path in PYTHON + RUST)
    wide = {
        shown(folder): count
        for folder, count in files.items()
        if count > FILES_MAX and shown(folder) not in WIDE_FOLDERS
    }
    assert not wide


def test_exceptions_are_needed() -> None:
    files = Counter(shown(path.parent) for path in PYTHON + RUST)
    assert all(files[folder] > FILES_MAX for folder in WIDE_FOLDERS)


def test_bindings_convert_and_decide_nothing() -> None:
    assert sum(code_lines(p) for p in RUST if "rust_core/py/" in shown(p)) <= BINDING_LINES_MAX


@pytest.mark.parametrize("path", PYTHON, ids=shown)
def test_a_python_module_says_what_it_is(path: Path) -> None:
    head = ast.get_docstring(ast.parse(path.read_text())) or ""
    assert len(head) >= 10, "the first line says what the module is"
    assert head.count("\n") < 45, "a head is read, not studied"


def test_a_rust_module_says_what_it_is() -> None:
    silent = [shown(path) for path in RUST if path.read_text()[:3] != "//!"]
    assert not silent


def test_public_names_are_few() -> None:
    assert len([n for n in dir(__import__("phantomdb")) if not n.startswith("_")]) <= 20


def test_files_are_named_after_what_they_hold() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "info"}
    assert not [shown(path) for path in PYTHON + TESTS + RUST if path.stem in vague]
