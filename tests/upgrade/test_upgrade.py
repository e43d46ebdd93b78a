"""Directories and messages of every release, read by the installed package.

The bytes are copied first; what they are and who else reads them stands in README.md.
"""

import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from kit.cluster import running_cluster, session
from upgrade.control_messages import MESSAGES

from phantomdb.client.processes import NodeProcess
from phantomdb.wire import messages

HERE = Path(__file__).parent
RELEASES = sorted(path for path in HERE.iterdir() if (path / "control.bin").exists())
BYTES_MAX = 256 << 10

Row = tuple[Any, ...]
#: Messages that release 0.1 did not have.
NEWER = {messages.DiskReport}
#: Infinite dates are more than Python's own can say: the last two columns are read as text too.
COLUMNS = "k, b, s, l, f, n, t, c, d::text, z::text"
ROWS: list[Row] = [
    (
        *(1, True, -32768, -9223372036854775808, -1.5, Decimal("-12345.6789"), ""),
        *("twenty characters ok", "2000-01-01", "2000-01-01 00:00:00+00"),
    ),
    (
        *(2, False, 32767, 9223372036854775807, 1e300, Decimal("0.000000000000000000001")),
        *("näive Größe 数据 🙂", "c", "1970-01-01", "1999-12-31 23:59:59.999999+00"),
    ),
    (3, *[None] * 9),
    (4, True, 0, 0, "NaN", "NaN", "after", "before", "infinity", "-infinity"),
]
ROW_OF_KILLED: Row = (
    *(6, False, 6, 6, 0.1, Decimal("99999999999999999999.5"), "only in the log", "six"),
    *("5874897-12-31", "294276-12-31 23:59:59.999999+00"),
)
EXPECTED = {"stopped": ROWS, "killed": [*ROWS, ROW_OF_KILLED]}


def comparable(row: Row) -> Row:
    """Return a row whose NaNs equal each other."""
    return tuple("NaN" if isinstance(v, float | Decimal) and math.isnan(v) else v for v in row)


@contextmanager
def node_on_copy(release: Path, kind: str, directory: Path) -> Iterator[NodeProcess]:
    """Run a node on a copy of a release's directory."""
    shutil.copytree(release / kind, directory / "n1")
    with running_cluster(directory, nodes=1) as cluster:
        yield cluster.nodes[0]


@pytest.mark.parametrize("kind", EXPECTED)
@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
def test_a_directory_of_a_release_opens_and_serves(
    release: Path, kind: str, tmp_path: Path
) -> None:
    with node_on_copy(release, kind, tmp_path) as node:
        for life in range(2):
            with session(node) as db:
                rows = db.execute(f"SELECT {COLUMNS} FROM types ORDER BY k").fetchall()
                assert [comparable(row) for row in rows] == EXPECTED[kind]
                [moments] = db.execute("SELECT d, z FROM types WHERE k = 1").fetchall()
                assert moments == (date(2000, 1, 1), datetime(2000, 1, 1, tzinfo=UTC))
                # A row in every block of its tables, and those that are only in the log.
                [totals] = db.execute("SELECT count(*), sum(length(v)) FROM wide").fetchall()
                assert totals == (60 + life, 60 * 160 + 3 * life)
                db.execute("INSERT INTO wide VALUES ($1, 'new')", (-1 - life,))
            node.stop()
            node.start()
            node.wait_ready()


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
def test_messages_of_a_release_say_what_they_said(release: Path) -> None:
    said = (release / "control.bin").read_bytes()
    found = []
    while said:
        length = int.from_bytes(said[:4], "big")
        body, said = said[4 : 4 + length], said[4 + length :]
        found.append(messages.decode(body))
        if release.name == "0.1":
            # It fails once a field is appended: then compare what is written for a 0.1 node.
            assert messages.encode(found[-1]) == body
    assert found == list(MESSAGES)
    assert {type(message) for message in found} | NEWER == set(messages._BY_TAG.values())


def test_the_bytes_of_all_releases_are_few() -> None:
    assert RELEASES
    files = [path for path in HERE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) <= BYTES_MAX
