"""What documents name exists: files, functions in them, crates, tests and variables of commands.

A path stands in backticks and begins with a folder of ours. Functions stand in backticks behind it,
in the same parentheses or with "in" between:

    `rust_core/raft/src/machine/mod.rs` (`Machine::propose`, `Machine::ready`)
    `Gateway::reply` in `rust_core/node/src/gateway/flows.rs`
    (`rust_core/mvcc/src/reader.rs`, `Reader::new`)
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")]
DOCUMENTS += sorted((ROOT / "docs").rglob("*.md"))
#: Folders that a path of ours begins with.
FOLDERS = "phantomdb|rust_core|tests|bench|ci|docs"
PATH = re.compile(rf"`((?:{FOLDERS})/[\w./-]+)`")
NAME = r"`[A-Za-z_][\w.:]*`"
#: A path and what follows it in, or before, the next parenthesis.
NAMED_AFTER = re.compile(rf"`((?:{FOLDERS})/[\w./-]+)`(?: \(|, )({NAME}(?:, {NAME})*)\)")
NAMED_BEFORE = re.compile(rf"({NAME}) in `((?:{FOLDERS})/[\w./-]+)`")
DEFINES = r"(?m)\b(?:fn|def|class|struct|enum|trait|const) {0}\b|^{0}\b(?:: .*)? = "


def shown(path: Path) -> str:
    """Return a path as people write it."""
    return path.relative_to(ROOT).as_posix()


def text_of(document: Path) -> str:
    """Return a document in one line, as paths and names may stand on two."""
    return " ".join(document.read_text().split())


def named(text: str) -> list[tuple[str, str]]:
    """Return the names in a text with the file that each should be in."""
    after = [
        (path, name)
        for path, names in NAMED_AFTER.findall(text)
        for name in names.replace("`", "").split(", ")
    ]
    before = [(path, name.strip("`")) for name, path in NAMED_BEFORE.findall(text)]
    return after + before


def is_defined(name: str, path: Path) -> bool:
    """Whether a source, or one in a folder, defines each part of a name."""
    files = [path] if path.is_file() else [*path.rglob("*.rs"), *path.rglob("*.py")]
    # Methods are often apart from their type: the last part is what is looked for.
    last = re.split(r"::|\.", name)[-1]
    return any(re.search(DEFINES.format(re.escape(last)), file.read_text()) for file in files)


@pytest.mark.parametrize("document", DOCUMENTS, ids=shown)
def test_a_path_that_is_named_exists(document: Path) -> None:
    missing = [path for path in PATH.findall(document.read_text()) if not (ROOT / path).exists()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=shown)
def test_a_function_that_is_named_is_in_its_file(document: Path) -> None:
    found = named(text_of(document))
    missing = [
        f"{path} {name}"
        for path, name in found
        if (ROOT / path).exists() and not is_defined(name, ROOT / path)
    ]
    assert not missing


def test_the_walks_name_functions() -> None:
    assert len(named(text_of(ROOT / "ARCHITECTURE.md"))) > 40


def test_commands_name_crates_and_tests_that_exist() -> None:
    crates = {path.parent.name for path in (ROOT / "rust_core").glob("*/Cargo.toml")}
    for document in DOCUMENTS:
        for crate in re.findall(r"cargo \w+ [^`|\n]*-p phantom_(\w+)", document.read_text()):
            assert crate in crates, shown(document)
        for path in re.findall(r"pytest (tests/[\w/.]+|bench/[\w/.]+)", document.read_text()):
            assert (ROOT / path).exists(), shown(document)
        for crate, name in re.findall(
            r"-p phantom_(\w+) --test it ([a-z]\w+)", document.read_text()
        ):
            sources = (ROOT / "rust_core" / crate / "tests" / "it").rglob("*.rs")
            defined = re.compile(rf"\b(mod|fn) {name}")
            assert any(defined.search(path.read_text()) for path in sources), (crate, name)


def test_variables_that_tests_read_are_in_contributing() -> None:
    reads = re.compile(r"""(?:var|var_os|number|environ\.get)\(\s*"((?:PHANTOM_)[A-Z_]+)\"""")
    sources = [*(ROOT / "rust_core").rglob("*.rs"), *(ROOT / "tests").rglob("*.py")]
    read = {name for path in sources for name in reads.findall(path.read_text())}
    told = set(re.findall(r"PHANTOM_[A-Z_]+", (ROOT / "CONTRIBUTING.md").read_text()))
    assert read
    assert read - {"PHANTOM_TRACE_SEED"} <= told
    names = {name for path in sources for name in re.findall(r"PHANTOM_[A-Z_]+", path.read_text())}
    assert told <= names
