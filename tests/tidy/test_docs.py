"""Every verb, option and setting is documented where people look."""

import ast
import inspect
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest
from kit.status import a_group

from phantomdb.base import settings
from phantomdb.base.errors import Refused
from phantomdb.base.settings import Limits
from phantomdb.cli import main
from phantomdb.node.exits import EXIT_CODES, exit_code
from phantomdb.serve import admin, metrics

ROOT = Path(__file__).parents[2]
CONTEXT = click.Context(main)
VERBS = main.list_commands(CONTEXT)


def command(verb: str) -> click.Command:
    """Return a verb's command."""
    found = main.get_command(CONTEXT, verb)
    assert found is not None
    return found


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_and_its_options_say_what_they_do(verb: str) -> None:
    shown = command(verb)
    below = list(shown.commands.values()) if isinstance(shown, click.Group) else []
    for found in [shown, *below]:
        assert found.help
        assert found.epilog is not None
        assert found.epilog.startswith(f"Example: phantomdb {verb}")
        for option in found.params:
            if isinstance(option, click.Option):
                assert option.help, f"--{option.name}"
                assert option.help.endswith((".", "]")), f"--{option.name}: a sentence"


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_in_the_readme_and_in_the_first_help(verb: str) -> None:
    readme = (ROOT / "README.md").read_text()
    assert f"phantomdb {verb}" in readme or f"ci/{verb}" in readme
    assert f"phantomdb {verb}" in (main.help or "")


def test_exit_codes_of_start_are_in_its_help() -> None:
    shown = command("start").help or ""
    assert all(f"{code} " in shown for _, code in EXIT_CODES)


def test_each_limit_has_its_reason_beside_it() -> None:
    lines = inspect.getsource(settings).splitlines()
    for name in [field.name for field in fields(Limits)]:
        at = next(n for n, line in enumerate(lines) if line.strip().startswith(f"{name}:"))
        assert lines[at - 1].strip().startswith("#:"), name


def test_each_public_function_has_a_docstring() -> None:
    silent = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in sorted((ROOT / "phantomdb").rglob("*.py"))
        for node in public(ast.parse(path.read_text()))
        if ast.get_docstring(node) is None
    ]
    assert not silent


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def public(inside: ast.Module | ast.ClassDef) -> Iterator[Definition]:
    """Give public functions and classes, and what is public in those."""
    for node in inside.body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node)


def test_each_metric_is_described() -> None:
    described = metrics._GAUGES | metrics._COUNTERS
    assert all(text.endswith(".") for text in described.values())


def in_operate(text: str) -> bool:
    """Whether the operator's page has a text."""
    return text in (ROOT / "docs" / "operate.md").read_text()


def test_each_option_of_start_is_in_the_operators_page() -> None:
    options = [o for o in command("start").params if isinstance(o, click.Option)]
    assert options
    assert not [name for o in options for name in o.opts if not in_operate(f"| `{name}` |")]


def test_each_exit_code_of_start_is_in_the_operators_page() -> None:
    codes = {0, exit_code(Refused("anything else")), *(code for _, code in EXIT_CODES)}
    assert not [code for code in sorted(codes) if not in_operate(f"\n| {code} | ")]


def test_each_metric_is_in_the_operators_page() -> None:
    group = a_group(1, leader=1)
    shown, _ = metrics.exposition(lambda: defaultdict(int), lambda: [group])()
    names = re.findall(r"^(\w+)(?:\{.*\})? ", shown.decode(), re.MULTILINE)
    assert len(names) >= len(metrics._GAUGES | metrics._COUNTERS) + 3
    assert not [name for name in names if not in_operate(f"| `{name}` |")]


def test_each_path_of_the_admin_door_is_in_the_operators_page() -> None:
    paths = set(re.findall(r'"(/[a-z]+)"', inspect.getsource(admin)))
    assert paths
    assert not [path for path in sorted(paths) if not in_operate(f"| `{path}` |")]
