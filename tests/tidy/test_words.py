"""Words that must not stand in the source: promises without an issue, leftovers, some names."""

import hashlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: What a release wrote is data, whatever its name.
RELEASES = ROOT / "tests" / "upgrade"
SOURCES = sorted(
    path
    for folder in ("phantomdb", "rust_core", "tests", "bench", "ci", "docs")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".pyi", ".rs", ".toml", ".md", ".sql", ""}
    and path.is_file()
    and path != Path(__file__)
    and not (path.is_relative_to(RELEASES) and path.parent != RELEASES)
)
FORBIDDEN = {
    r"\b(TODO|FIXME|HACK|XXX)\b(?!\(#\d+\)|\{)": "a promise names its issue: TODO(#12)",
    r"\b(todo|unimplemented|dbg)!\(": "what is absent is absent, not a stub",
    r"^\s*breakpoint\(\)": "a leftover",
    r'unsupported\([^"]*"(this|that|such) ': "a refusal names what it refuses",
    r"<{7} |>{7} ": "a merge that was not finished",
    r"^\s*(#|//) ?[-=*#]{5,}\s*$": "no banners",
    r"\t": "blanks, not tabs",
    r"[ \t]+$": "no blanks at the end of a line",
}
#: SHA-256 of lower-case words that name tools of their authors: kept so, the list is clean itself.
NAMES = {
    "053ea4804ef1bb33",
    "3ea125d0bff386e6",
    "487b91042c7cf27a",
    "60965168ce762e94",
    "7d3194f79e645c42",
    "c70eca6b0f88f44d",
    "c857d09db23e6822",
}


@pytest.mark.parametrize("pattern", FORBIDDEN)
def test_forbidden_words_are_nowhere(pattern: str) -> None:
    found = []
    for path in SOURCES:
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            if re.search(pattern, line) and "allowed-word" not in line:
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert not found, FORBIDDEN[pattern]


def test_no_tool_of_an_author_is_named() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in SOURCES
        for word in set(re.findall(r"[a-z]{3,}", path.read_text(errors="replace").lower()))
        if hashlib.sha256(word.encode()).hexdigest()[:16] in NAMES
    ]
    assert not found


def test_files_end_with_one_line_end() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if (text := path.read_text(errors="replace")) and (text[-1:] != "\n" or text[-2:] == "\n\n")
    ]
    assert not wrong
