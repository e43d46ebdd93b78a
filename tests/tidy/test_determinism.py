"""Nodes take time, chance, files and threads from their world: a simulation must be able to."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "phantomdb"
#: Modules that read a clock, draw, start threads or open files, whole or one name of them.
BANNED = {
    "asyncio",
    "concurrent",
    "ctypes",
    "datetime.datetime.now",
    "multiprocessing",
    "os.urandom",
    "random",
    "secrets",
    "select",
    "signal",
    "socket",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "trio.from_thread",
    "trio.run_process",
    "trio.socket",
    "trio.to_thread",
    "uuid",
}
#: Built-in functions that reach outside.
BANNED_CALLS = {"open", "input", "hash", "id", "exec", "eval"}
#: Files and folders that are outside of a node, or its world.
ALLOWED = {
    "node/world.py": "makes the real world out of what is banned",
    "client": "stands outside of nodes and is none",
    "demo": "is a program, not a node",
    "cli": "is a program, not a node",
}
FILES = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if not any(path.relative_to(PACKAGE).as_posix().startswith(allowed) for allowed in ALLOWED)
]


def names(tree: ast.AST) -> set[str]:
    """Return modules that are imported and dotted names that are used."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute):
            found.add(ast.unparse(node))
    return found


def is_banned(name: str) -> bool:
    """Whether a name is banned, or in a module that is."""
    parts = name.split(".")
    return any(".".join(parts[:end]) in BANNED for end in range(1, len(parts) + 1))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_reaches_outside_only_through_its_world(path: Path) -> None:
    tree = ast.parse(path.read_text())
    imported = {name for name in names(tree) if is_banned(name)}
    # A name of ours may begin as a module does: only what is imported counts.
    modules = {name.split(".")[0] for node in ast.walk(tree) for name in _imports(node)}
    assert not {name for name in imported if name.split(".")[0] in modules}
    calls = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & BANNED_CALLS


def _imports(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.asname or alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module:
        return {node.module}
    return set()


def test_the_rule_finds_what_it_bans() -> None:
    for text in ("import time", "from random import randbytes", "trio.to_thread.run_sync(f)"):
        assert any(map(is_banned, names(ast.parse(text)))), text


def test_sets_are_not_walked_where_order_shows() -> None:
    """`for x in {..}` and `for x in set(..)`: the order differs from run to run."""
    found = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            loop = node.iter if isinstance(node, ast.For | ast.comprehension) else None
            is_set = isinstance(loop, ast.Set | ast.SetComp) or (
                isinstance(loop, ast.Call)
                and isinstance(loop.func, ast.Name)
                and loop.func.id in ("set", "frozenset")
            )
            if is_set and loop is not None:
                found.append(f"{path.relative_to(PACKAGE)}:{loop.lineno}")
    assert not found
