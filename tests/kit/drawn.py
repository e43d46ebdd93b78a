"""Statements of all kinds, drawn from a seed, with parameters in every place.

Types are kept, mostly: what stands in a place of a type has it, or is a literal or parameter that
takes it, or now and then is of another. A parameter is declared or not, and one that was used
before comes again, in another clause and for another type too: which of its uses decides its type
is what is asked.

What is drawn has one answer: LIMIT stands behind an order of keys, floats are not summed, and time
is only compared.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

#: OIDs of types in `pg_type`.
OIDS = {
    "bool": 16,
    "int8": 20,
    "int2": 21,
    "int4": 23,
    "text": 25,
    "float8": 701,
    "varchar": 1043,
    "date": 1082,
    "timestamptz": 1184,
    "numeric": 1700,
}
NAMES = {oid: name for name, oid in OIDS.items()}
#: How deep expressions nest.
DEPTH_MAX = 3

#: Two tables whose common columns (k, i, n, s, d) differ in type or modifier, but for d.
TABLES = {
    "x": {
        "k": "int4",
        "i": "int4",
        "h": "int2",
        "l": "int8",
        "n": "numeric(8,2)",
        "f": "float8",
        "s": "text",
        "v": "varchar(6)",
        "b": "bool",
        "d": "date",
        "z": "timestamptz",
    },
    "y": {
        "k": "int8",
        "i": "numeric",
        "n": "numeric(6,1)",
        "s": "varchar(4)",
        "d": "date",
        "m": "int4",
        "t": "timestamptz(0)",
    },
}
#: Values in text: what rows and parameters hold.
VALUES = {
    "bool": ["t", "f", None],
    "int8": ["0", "1", "-1", "3", "5000000000", "9223372036854775807", None],
    "int2": ["0", "1", "2", "-7", "32767", None],
    "int4": ["0", "1", "2", "3", "-1", "7", "100", "2147483647", None],
    "text": ["", "a", "abc", "a%b_c", "ÄÖ", " x ", "12", "\\", "%_\\", None],
    "varchar": ["", "a", "abc", "ÄÖ", "a_%", "\\", None],
    "float8": ["0", "0.5", "-1", "1e300", "NaN", None],
    "date": ["2020-02-29", "1999-12-31", "2024-01-01", "epoch", "infinity", None],
    "timestamptz": ["2020-02-29 00:00:00+00", "2024-01-01 12:30:00.5+00", "epoch", None],
    "numeric": ["0.0", "1.50", "-2.5", "99.99", "0.001", "3", None],
}
#: What gives each type; places are filled with expressions of the type that they name.
FORMS = {
    "int4": [
        "{int4} + {int4}",
        "{int4} - {int4}",
        "{int4} * {int4}",
        "{int4} / {int4}",
        "{int4} % {int4}",
        "- {int4}",
        "abs({int4})",
        "mod({int4}, {int4})",
        "length({text})",
        "strpos({text}, {text})",
        "position({text} in {text})",
        "{date} - {date}",
        "{number}::int4",
        "{bool}::int4",
        "CAST({text} AS int4)",
        "CASE WHEN {bool} THEN {int4} ELSE {int4} END",
        "CASE {int4} WHEN {int4} THEN {int4} WHEN {int4} THEN {int4} END",
        "CASE {any} WHEN {any} THEN {int4} END",
        "coalesce({int4}, {int4})",
        "nullif({int4}, {number})",
        "greatest({int4}, {int4})",
        "sign({int4})",
    ],
    "int2": ["{int2} + {int2}", "{int4}::int2", "coalesce({int2}, {int2})", "abs({int2})"],
    "int8": [
        "{int8} + {int4}",
        "{int4} - {int8}",
        "{int8} * {int2}",
        "{int8} / {int8}",
        "{int4}::int8",
        "abs({int8})",
        "mod({int8}, {int4})",
        "coalesce({int4}, {int8})",
        "least({int8}, {int4}, {int2})",
    ],
    "numeric": [
        "{numeric} + {numeric}",
        "{numeric} - {int4}",
        "{numeric} * {number}",
        "{numeric} / {numeric}",
        "{numeric} % {numeric}",
        "round({numeric}, {small})",
        "round({number})",
        "trunc({numeric})",
        "trunc({numeric}, {small})",
        "floor({numeric})",
        "ceil({number})",
        "abs({numeric})",
        "power({numeric}, {small})",
        "{int4}::numeric",
        "{numeric}::numeric(8,2)",
        "extract(year from {date})",
        "extract({unit} from {timestamptz})",
        "CASE WHEN {bool} THEN {int4} ELSE {numeric} END",
        "coalesce({int4}, {numeric})",
        "nullif({numeric}, {int4})",
    ],
    "float8": [
        "{float8} + {float8}",
        "{float8} - {number}",
        "{float8} * {float8}",
        "{float8} / {float8}",
        "{number}::float8",
        "sqrt(abs({float8}))",
        "date_part({unit_text}, {date})",
        "round({float8})",
    ],
    "text": [
        "{text} || {text}",
        "{text} || {any}",
        "{any} || {text}",
        "upper({text})",
        "lower({text})",
        "substring({text}, {small}, {small})",
        "substring({text} from {small} for {small})",
        "substring({text} from {small})",
        "substr({text}, {small})",
        "left({text}, {small})",
        "trim({text})",
        "trim(leading {text} from {text})",
        "btrim({text}, {text})",
        "replace({text}, {text}, {text})",
        "lpad({text}, {small}, {text})",
        "rpad({text}, {small})",
        "split_part({text}, {text}, {small})",
        "concat({text}, {any})",
        "concat({any}, {any}, {any})",
        "{number}::text",
        "{date}::text",
        "{bool}::text",
        "CAST({any} AS text)",
        "coalesce({text}, {varchar})",
        "CASE {any} WHEN {any} THEN {text} ELSE {varchar} END",
        "nullif({text}, {varchar})",
        "greatest({text}, {text})",
    ],
    "varchar": ["{text}::varchar(3)", "{varchar}::varchar", "coalesce({varchar}, {varchar})"],
    "bool": [
        "{int4} = {int4}",
        "{int4} < {int8}",
        "{number} >= {number}",
        "{numeric} <> {number}",
        "{float8} < {numeric}",
        "{text} < {text}",
        "{varchar} = {text}",
        '{text} COLLATE "C" < {text}',
        "{any} = {any}",
        "{any} < {any}",
        "{text} LIKE {text}",
        "{text} NOT LIKE {pattern}",
        "{text} ILIKE {pattern}",
        "{text} LIKE {text} ESCAPE {escape}",
        "{date} <= {date}",
        "{date} < {timestamptz}",
        "{timestamptz} >= {date}",
        "{date} < now()",
        "{bool} AND {bool}",
        "{bool} OR {bool}",
        "NOT {bool}",
        "{int4} IN ({int4}, {int4}, NULL)",
        "{number} IN ({number}, {number})",
        "{text} NOT IN ({text}, {varchar})",
        "{varchar} IN ({text})",
        "{date} IN ({date}, {timestamptz})",
        "{any} IN ({any}, {any})",
        "{int4} BETWEEN {int4} AND {int4}",
        "{number} BETWEEN {number} AND {number}",
        "{date} NOT BETWEEN {date} AND {timestamptz}",
        "{int4} BETWEEN SYMMETRIC {number} AND {number}",
        "{any} BETWEEN {any} AND {any}",
        "{any} IS NULL",
        "{any} IS NOT NULL",
        "{bool} IS NOT TRUE",
        "{bool} IS UNKNOWN",
        "{number} IS DISTINCT FROM {number}",
        "{any} IS NOT DISTINCT FROM {any}",
        "{text}::bool",
        "coalesce({bool}, {bool})",
    ],
    "date": [
        "{date} + {small}",
        "{small} + {date}",
        "{date} - {small}",
        "greatest({date}, {date})",
        "{timestamptz}::date",
        "coalesce({date}, {date})",
        "date({timestamptz})",
    ],
    "timestamptz": [
        "{date}::timestamptz",
        "coalesce({date}, {timestamptz})",
        "date_trunc({unit_text}, {timestamptz})",
        "least({timestamptz}, {date})",
        "CASE WHEN {bool} THEN {date} ELSE {timestamptz} END",
    ],
}
AGGREGATES = [
    "count(*)",
    "count({any})",
    "count(DISTINCT {text})",
    "sum({int4})",
    "sum({int8})",
    "sum({numeric})",
    "sum(DISTINCT {int2})",
    "avg({int4})",
    "avg({numeric})",
    "min({text})",
    "min({number})",
    "max({date})",
    "max({timestamptz})",
    "max({any})",
    "bool_and({bool})",
    "every({bool})",
    "sum({int4}) FILTER (WHERE {bool})",
    "count(*) FILTER (WHERE {bool})",
]
NUMBERS = ["int4", "int2", "int8", "numeric", "float8"]
PATTERNS = ["'%a%'", "'_'", "'%_'", "'a\\'", "'%_\\'", "'%b\\%'", "''", "'a%b%'"]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A statement and the types that are declared for its parameters; 0 is none."""

    sql: str
    types: Sequence[int]

    @property
    def is_grouped(self) -> bool:
        """Whether a row of its answer stands for several."""
        return any(word in self.sql for word in ("DISTINCT ", "GROUP BY", "sum(", "avg("))


def base(column: str) -> str:
    """Return the type of a column without its modifier."""
    return column.partition("(")[0]


class Generator:
    """Draws statements under a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.columns: list[tuple[str, str]] = []
        self.parameters: list[str] = []
        self.declared: list[int] = []
        self.with_parameters = True

    def chance(self, of: float) -> bool:
        """Draw whether something is so."""
        return self.random.random() < of

    def statement(self) -> Drawn:
        """Return a statement of any kind."""
        makers: list[tuple[int, Callable[[], str]]] = [
            (3, self.constants),
            (8, self.rows),
            (4, self.groups),
            (4, self.joined),
            (4, self.insert),
            (4, self.update),
            (2, self.delete),
        ]
        self.columns, self.parameters, self.declared = [], [], []
        self.with_parameters = self.chance(0.75)
        weights = [weight for weight, _ in makers]
        sql = self.random.choices([maker for _, maker in makers], weights=weights)[0]()
        return Drawn(sql, self.declared)

    # Expressions.

    def expression(self, wanted: str, depth: int = 0) -> str:
        """Return an expression that is of a type or takes it, mostly."""
        if wanted == "any":
            # A parameter would seldom get a type here.
            wanted = self.random.choice(list(FORMS))
            if depth >= DEPTH_MAX or self.chance(0.4):
                return self.leaf(wanted, parameters=0.1)
        elif wanted == "number":
            wanted = self.random.choice(NUMBERS)
        elif wanted == "small":
            return self.leaf("int4", ["0", "1", "2", "3", "-1"])
        elif wanted == "pattern":
            return self.leaf("text", PATTERNS)
        elif wanted == "escape":
            return self.leaf("text", ["''", "'a'", "'\\'", "'%'"])
        elif wanted == "unit":
            return self.random.choice(["year", "dow", "hour", "epoch"])
        elif wanted == "unit_text":
            return self.random.choice(["'year'", "'month'", "'day'"])
        elif self.chance(0.03):
            wanted = self.random.choice(list(FORMS))
        if depth >= DEPTH_MAX or self.chance(0.25 + 0.2 * depth):
            return self.leaf(wanted)
        return f"({self.fill(self.random.choice(FORMS[wanted]), depth + 1)})"

    def fill(self, form: str, depth: int = 0) -> str:
        """Fill the places of a form."""
        while "{" in form:
            before, _, rest = form.partition("{")
            place, _, after = rest.partition("}")
            form = before + self.expression(place, depth) + after
        return form

    def leaf(self, wanted: str, literals: Sequence[str] = (), *, parameters: float = 0.45) -> str:
        """Return a column, a parameter or a literal."""
        columns = [name for name, of in self.columns if base(of) == wanted]
        if columns and not literals and self.chance(0.5):
            return self.random.choice(columns)
        if self.with_parameters and self.chance(parameters):
            return self.parameter(wanted)
        if literals:
            return self.random.choice(literals)
        value = self.random.choice(VALUES[wanted])
        if value is None:
            return self.random.choice(["NULL", f"NULL::{wanted}"])
        quoted = "'" + value.replace("'", "''") + "'"
        if wanted in NUMBERS and wanted != "float8" and self.chance(0.6):
            return value if not value.startswith("-") else f"({value})"
        return self.random.choice([quoted, f"{quoted}::{wanted}", f"{wanted} {quoted}"])

    def parameter(self, wanted: str) -> str:
        """Return a parameter: a new one, or one that was used before."""
        if self.parameters and self.chance(0.35):
            alike = [n for n, of in enumerate(self.parameters, 1) if of == wanted]
            others = list(range(1, len(self.parameters) + 1))
            return f"${self.random.choice(alike if alike and self.chance(0.7) else others)}"
        self.parameters.append(wanted)
        self.declared.append(OIDS[wanted] if self.chance(0.2) else 0)
        number = f"${len(self.parameters)}"
        return f"{number}::{wanted}" if self.chance(0.1) else number

    # Statements.

    def target(self) -> str:
        """Return an item of a select list."""
        if self.with_parameters and self.chance(0.05):
            return self.parameter("text")
        name = self.random.choice(["", "", "", " AS out", " AS k"])
        return self.expression("any") + name

    def targets(self, most: int = 3) -> str:
        """Return a select list."""
        return ", ".join(self.target() for _ in range(self.random.randint(1, most)))

    def where(self, of: float) -> str:
        """Return a WHERE, perhaps."""
        return f" WHERE {self.expression('bool')}" if self.chance(of) else ""

    def window(self) -> str:
        """Return LIMIT and OFFSET, perhaps."""
        limit = f" LIMIT {self.leaf('int8', ['3', '7', 'NULL'])}" if self.chance(0.4) else ""
        offset = f" OFFSET {self.leaf('int8', ['0', '2'])}" if self.chance(0.3) else ""
        return limit + offset

    def constants(self) -> str:
        """Return a SELECT without a table."""
        if self.chance(0.03):
            return "SELECT"
        return f"SELECT {self.targets()}{self.where(0.2)}"

    def rows(self) -> str:
        """Return a SELECT over the rows of a table."""
        table = self.random.choice(list(TABLES))
        self.columns = list(TABLES[table].items())
        if self.chance(0.03):
            return f"SELECT FROM {table}{self.where(0.5)}"
        if self.chance(0.15):
            return f"SELECT DISTINCT {self.targets(2)} FROM {table}{self.where(0.5)}"
        targets = self.random.choice(["*", "k, " + self.targets(), self.targets()])
        sql = f"SELECT {targets} FROM {table}{self.where(0.8)}"
        if self.chance(0.4):
            order = self.random.choice(["", f"{self.expression('any')}{self.direction()}, "])
            sql += f" ORDER BY {order}{table}.k{self.window()}"
        return sql

    def direction(self) -> str:
        """Return how a sort key sorts."""
        return self.random.choice(["", " DESC", " NULLS FIRST", " DESC NULLS LAST"])

    def groups(self) -> str:
        """Return a SELECT with aggregates."""
        table = self.random.choice(list(TABLES))
        self.columns = list(TABLES[table].items())
        items = [self.fill(self.random.choice(AGGREGATES), 1) for _ in range(2)]
        if self.chance(0.3):
            items.append(f"{self.fill(self.random.choice(AGGREGATES), 2)} IN (1, 2)")
        where = self.where(0.4)
        if self.chance(0.4):
            return f"SELECT {', '.join(items)} FROM {table}{where}"
        key = self.random.choice(["s", "d", "i", self.expression("any", 1)])
        having = f" HAVING count(*) > {self.leaf('int8', ['1', '0'])}" if self.chance(0.3) else ""
        by = self.random.choice([key, "1"])
        return f"SELECT {key}, {', '.join(items)} FROM {table}{where} GROUP BY {by}{having}"

    def joined(self) -> str:
        """Return a SELECT over both tables."""
        kind = self.random.choice(["JOIN", "JOIN", "LEFT JOIN"])
        common = ["k", "i", "n", "s", "d"]
        merged: list[str] = []
        way = self.random.choice(["on", "using", "using", "natural"])
        first, second = self.random.choice([("x", "y"), ("y", "x")])
        both = [(f"{t}.{name}", of) for t, names in TABLES.items() for name, of in names.items()]
        if way == "on":
            self.columns = both
            item = f"{first} {kind} {second} ON {self.expression('bool', 1)}"
        elif way == "using":
            merged = self.random.sample(common, self.random.randint(1, 2))
            item = f"{first} {kind} {second} USING ({', '.join(merged)})"
        else:
            merged = common
            item = f"{first} NATURAL {kind} {second}"
        # A merged column is of the wider of its types.
        wide = {"k": "int8", "i": "numeric", "n": "numeric", "s": "text", "d": "date"}
        self.columns = both + [(name, wide[name]) for name in merged] * 3
        targets = "*" if self.chance(0.2) else ", ".join([*merged, self.targets()])
        return f"SELECT {targets} FROM {item}{self.where(0.6)}"

    def value(self, of: str) -> str:
        """Return a value for a column."""
        if self.chance(0.08):
            return "DEFAULT"
        return self.expression(base(of), 1)

    def returning(self) -> str:
        """Return a RETURNING, perhaps."""
        if self.chance(0.5):
            return ""
        return f" RETURNING {self.random.choice(['*', 'k', self.targets()])}"

    def insert(self) -> str:
        """Return an INSERT; its keys are new, mostly."""
        table = self.random.choice(list(TABLES))
        names = TABLES[table]
        some = self.random.sample([n for n in names if n != "k"], self.random.randint(1, 4))
        rows = []
        for _ in range(self.random.choice([1, 1, 1, 2, 3])):
            key = self.parameter("int4") if self.with_parameters and self.chance(0.4) else ""
            key = key or str(self.random.randint(12, 40))
            rows.append(f"({', '.join([key, *(self.value(names[name]) for name in some)])})")
        conflict = self.random.choice(["", "", " ON CONFLICT DO NOTHING"])
        self.columns = list(names.items())
        into = f"{table} (k, {', '.join(some)})"
        return f"INSERT INTO {into} VALUES {', '.join(rows)}{conflict}{self.returning()}"

    def key(self) -> str:
        """Return a condition on the key."""
        key = self.leaf("int4", ["1", "4", "7"])
        return self.random.choice([f"k = {key}", f"k IN ({key}, 2)", f"k <= {key}"])

    def filter(self) -> str:
        """Return a WHERE of a write."""
        return self.random.choice(
            [f" WHERE {self.key()}", self.where(1), f" WHERE {self.key()} AND {self.key()}"]
        )

    def update(self) -> str:
        """Return an UPDATE."""
        table = self.random.choice(list(TABLES))
        names = TABLES[table]
        self.columns = list(names.items())
        some = self.random.sample([n for n in names if n != "k"], self.random.randint(1, 2))
        assigned = ", ".join(f"{name} = {self.value(names[name])}" for name in some)
        return f"UPDATE {table} SET {assigned}{self.filter()}{self.returning()}"

    def delete(self) -> str:
        """Return a DELETE."""
        table = self.random.choice(list(TABLES))
        self.columns = list(TABLES[table].items())
        return f"DELETE FROM {table}{self.filter()}{self.returning()}"


def create(table: str) -> str:
    """Return the CREATE TABLE of one of `TABLES`."""
    columns = [f"{name} {of}" for name, of in TABLES[table].items()]
    columns[0] += " PRIMARY KEY"
    return f"CREATE TABLE {table} ({', '.join(columns)})"


def fill(table: str) -> str:
    """Return an INSERT of the rows that a table begins with."""
    drawn = random.Random(1)
    rows = []
    for number in range(12):
        values = [str(number)]
        for of in list(TABLES[table].values())[1:]:
            short = [v for v in VALUES[base(of)] if of != "varchar(4)" or v is None or len(v) <= 4]
            value = drawn.choice(short)
            values.append("NULL" if value is None else f"'{value}'")
        rows.append(f"({', '.join(values)})")
    return f"INSERT INTO {table} VALUES {', '.join(rows)}"
