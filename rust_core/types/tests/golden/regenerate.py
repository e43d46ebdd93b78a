"""Ask PostgreSQL 15 what the golden tests expect, and write `cases.tsv`.

    regenerate.py "host=/tmp/socket user=postgres" [calls per procedure]

The server must have encoding UTF8 and collation C. A line is a question and its answer, fields
separated by tabs, with `\\t`, `\\n`, `\\\\` and `\\N` (NULL) as in COPY:

    set   DateStyle  TimeZone  extra_float_digits
    in    type oid  typmod  text            =  text  binary in hex    |  !  code  message  detail  hint
    call  procedure oid  argument ..        =  ..                     |  !  ..

The same seed gives the same file, so a difference is a difference of PostgreSQL.
"""

import random
import re
import sys
from pathlib import Path

import psycopg

TYPES = {
    16: "bool",
    19: "name",
    20: "int8",
    21: "int2",
    23: "int4",
    25: "text",
    701: "float8",
    705: "unknown",
    1043: "varchar",
    1082: "date",
    1184: "timestamptz",
    1700: "numeric",
}
UNITS = [
    "microseconds",
    "milliseconds",
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "quarter",
    "year",
    "decade",
    "century",
    "millennium",
    "julian",
    "isoyear",
    "dow",
    "isodow",
    "doy",
    "epoch",
    "timezone",
    "timezone_hour",
    "timezone_minute",
    "nonsense",
    "YEAR",
    "mons",
]
VALUES = {
    "bool": ["t", "f", " TRUE ", "of", "o", "yes", "no", "1", "0", "", "2", "on", "tr", "n"],
    "int2": ["0", "1", "-1", "7", "-7", "2", "32767", "-32768", "100", "3"],
    "int4": ["0", "1", "-1", "7", "-7", "2", "3", "2147483647", "-2147483648", "40000", "-3", "5"],
    "int8": [
        "0",
        "1",
        "-1",
        "7",
        "-7",
        "2",
        "9223372036854775807",
        "-9223372036854775808",
        "3000000000",
        "-3",
    ],
    "float8": [
        "0",
        "-0",
        "1",
        "-1",
        "0.5",
        "-0.5",
        "1.5",
        "2.5",
        "3",
        "1e300",
        "-1e300",
        "1e-300",
        "NaN",
        "Infinity",
        "-Infinity",
        "123456.789",
        "32767.5",
        "2147483647.5",
        "1e23",
        "9007199254740993",
        "0.1",
        "1e15",
        "1e-5",
        "5e-324",
        "9.3e18",
        "33",
        "0.3333",
    ],
    "numeric": [
        "0",
        "0.00",
        "1",
        "-1",
        "1.0",
        "2",
        "0.5",
        "-0.5",
        "1.50",
        "2.5",
        "10",
        "100.00",
        "3",
        "7",
        "-7",
        "0.0001",
        "12345678901234567890123456789012345678901234567890",
        "99999999999999999999999999999999999999",
        "-170141183460469231731687303715884105729",
        "0.00000000000000000000000000000000000000000001",
        "NaN",
        "Infinity",
        "-Infinity",
        "9223372036854775807.5",
        "32767.5",
        "1e100",
        "-1e-20",
        "3.14159265358979323846",
        "9999.9999",
        "10000",
        "0.99999999",
        "1.1",
        "0.9",
        "1e30",
        "123456789.987654321",
        "17",
    ],
    "text": [
        "",
        "a",
        "abc",
        "ABC",
        "  pad  ",
        "hello world",
        "h\u00e9ll\u00f6",
        "\u00dcBER",
        "a,b,c",
        ",",
        "%",
        "a%",
        "%b%",
        "_b_",
        "a\\%",
        "\u20ac",
        "\u0130\u00df",
        "aaa",
        "aa",
        "xyx",
        "x",
        "l",
        "o",
        "\\",
        "abc\\",
        "100%",
        "\U0001f600z",
        "A_C",
    ],
    "name": ["a", "abc", "postgres", "x" * 70, ""],
    "varchar": ["abc", "abc   ", "", "h\u00e9llo"],
    "date": [
        "2000-01-01",
        "1999-12-31",
        "2024-02-29",
        "1970-01-01",
        "0001-01-01",
        "0044-03-15 BC",
        "infinity",
        "-infinity",
        "5874897-12-31",
        "4713-11-24 BC",
        "2021-01-03",
        "294277-01-01",
        "1582-10-15",
        "0001-12-31 BC",
        "2020-12-31",
        "2001-01-01",
    ],
    "timestamptz": [
        "2000-01-01 00:00:00+00",
        "1999-12-31 23:59:59.999999+00",
        "2024-03-31 01:30:00+00",
        "2024-10-27 00:30:00+00",
        "2024-10-27 01:30:00+00",
        "1969-07-20 20:17:40.5+00",
        "infinity",
        "-infinity",
        "294276-12-31 23:59:59.999999+00",
        "0044-03-15 12:00 BC",
        "4713-11-24 00:00+00 BC",
        "1890-01-01 00:00+00",
        "2021-07-04 12:34:56.789012+00",
        "10000-06-01 10:00+00",
        "0001-01-01 00:00+00",
    ],
}
INPUTS = {
    "bool": VALUES["bool"] + ["\ttrue\n", "maybe", "tru e", "-1"],
    "int2": ["32768", "-32769", " 12 ", "1 2", "", "abc", "+5", "-", "1.5", "0x10", "99999999999x"],
    "int4": ["2147483648", "-2147483649", " 12 ", "1 2", "", "abc", "+5", "--1", "1e3", "007"],
    "int8": [
        "9223372036854775808",
        "-9223372036854775809",
        " 12\t",
        "",
        "99999999999999999999999999",
    ],
    "float8": [
        "1e400",
        "1e-400",
        "",
        " 1.5 ",
        "1.5x",
        "inf",
        "-INF",
        "+infinity",
        "nan",
        ".5",
        "5.",
        "1e",
        "1e5",
        "--1",
        "1 2",
        "2.2250738585072014e-308",
        "1.7976931348623157e308",
        "0.1e-6",
        "123456789012345678",
        "1e22",
        "1e23",
        "8.41e21",
        "9007199254740992",
        ".",
        "4503599627370497.5",
        "2e-44",
        "7.2057594037927933e16",
        "1e14",
        "0.0001",
        "0.00001",
    ],
    "numeric": [
        "",
        " ",
        "1",
        "-1.50",
        "+2",
        "1e3",
        "1.5e-3",
        "1e",
        "1e+",
        ".5",
        "5.",
        ".",
        "1..2",
        "nan",
        "NAN",
        "-nan",
        "inf",
        "-inf",
        "+Infinity",
        "  12.3  ",
        "1 2",
        "1e131071",
        "1e131072",
        "1e-16383",
        "1e-16384",
        "0e-16384",
        "1e2147483648",
        "abc",
        "0.000",
        "-0.00",
        "00012.3400",
        "1_000",
        "0x1F",
        "12345678901234567890123456789012345678.9",
        "1e400000",
        "-.5e1",
        "123e-2",
        "1e38",
        "1e37",
        "-0",
    ],
    "varchar": ["abc", "abcdef", "abc  ", "abc  x", "h\u00e9llo", "\u20ac\u20ac\u20ac\u20ac"],
    "name": ["x" * 63, "x" * 64, "\u00e9" * 40],
    "text": ["", "abc", "tab\tnew\nline\\"],
    "date": """2024-02-29|2023-02-29|1/8/1999|18/1/1999|01/02/03|1999-Jan-08|Jan-08-1999|08-Jan-1999
99-Jan-08|08-Jan-99|Jan-08-99|19990108|990108|1999.008|J2451187|January 8, 99 BC|January 8, 1999
8 January 1999|1999 January 8|2024-13-01|2024-00-10|2024-01-32|0000-01-01|infinity|-infinity|epoch
+infinity||abc|2024|2024-1|2024-1-1|Monday, Jan 5 2015|5874898-01-01|4714-01-01 BC|20240230|12-25-2020
25.12.2020|2020.12.25|2020-12-25 10:11:12|2020-12-25T10:11:12Z|1999-366|2000-366|2000 366|99-1-1|1-1-1
jan 5 20|5 jan 20|2015-02-03 25:00|allballs|now now|today today|2020-12-25 AD|Feb 29 2023|20 Feb 2023
2023 Feb 20|2023-Feb-20|Feb-20-2023|12/31|2020/12/25|2020-12-25 BC|10000-01-01|99999999999-01-01|2020-1-1-1
2020-10-10 nonsense|2020-10-10 xyz/abc|2147483648-01-01|J0|J2147483647|1e5|today 2020-01-01
2001-001|2001001|01011|010101|Sat 2020|2020-01-01 10|1999-01-08 04:05 PST""",
    "timestamptz": """2024-02-29 12:34:56|2024-02-29 12:34:56.789012345|2024-02-29 12:34:56+02
2024-02-29 12:34:56-03:30|2024-02-29 12:34:56+0530|2024-02-29 12:34:56 +5|2024-02-29 12:34:56 UTC
2024-02-29 12:34:56 America/New_York|2024-07-01 12:34:56 america/new_york|2024-07-01 12:34 PST
2024-07-01 12:34 PDT|2024-07-01 12:34 MSK|2010-07-01 12:34 MSK|2024-02-29T12:34:56Z|2024-02-29t12:34:56.5z
20240229T123456|20240229T123456Z|20240229 123456|2024-02-29 12|2024-02-29 24:00:00|2024-02-29 24:00:01
2024-02-29 23:60:00|2024-02-29 23:59:60|2024-02-29 12:34 PM|2024-02-29 00:34 AM|2024-02-29 13:34 PM
2024-02-29 12:34:56 nonsense|2024-02-29 12:34:56 Foo/Bar|2024-02-29 12:34:56+16|2024-02-29 12:34:56+15:59:59
2024-02-29 12:34:56+15:60|Thu Feb 29 12:34:56 2024|Thu Feb 29 12:34:56.5 2024 PST|Thu Feb 29 2024 12:34:56 CET
Feb 29 12:34 2024|12:34 Feb 29 2024|2024-02-30 10:00|10:00|infinity|-infinity|epoch||  |abc|294277-01-01
294276-12-31 23:59:59.999999|4714-11-23 00:00 BC|4713-11-24 00:00:00+00 BC|4713-11-23 00:00 BC
2024-03-31 02:30|2024-10-27 02:30|2024-03-10 02:30 America/New_York|2024-11-03 01:30 America/New_York
1890-01-01 00:00|0044-03-15 12:00 BC|2024-060 12:00|J2460370 12:00|J2460370.5|2024-02-29 12:34:56.
2024-02-29 1:2:3|2024-02-29 100:00|2024-02-29 allballs|02/29/2024 12:34|29/02/2024 12:34|29.02.2024 12:34:56
2024-02-29 12:34:56 Z|2024-02-29 12:34:56 zulu|2024-02-29 12:34:56 EST5EDT|2024-02-29 12:34:56 GMT+3
2024-02-29 12:34:56.9999999|2024-02-29 12:34:56 EST DST|2024-02-29 EST 12:34|2024-02-29 12:34:56 bc
2024-02-29 12:34 xyz5|2024-02-29 12.34|2024-02-29 123456.789|20240229123456|2024-02-29 12:34:56,5|12:34:56
2024-02-29 12:34:56 LMT|2024-02-29 12:34:56 IST|1945-06-01 12:00|2024-02-29 12:34:56 -0800|99999-01-01 10:00+00""",
}
TYPMODS = {
    "numeric": [-1, -1, (10 << 16 | 2) + 4, (3 << 16 | 3) + 4, (2 << 16 | (-3 & 0x7FF)) + 4],
    "varchar": [-1, 7, 9],
    "timestamptz": [-1, -1, 0, 3],
}
SETTINGS = [
    ("ISO, MDY", "UTC", 1),
    ("SQL, DMY", "America/New_York", 0),
    ("Postgres, MDY", "Europe/Berlin", -3),
    ("German, DMY", "Asia/Kolkata", 1),
    ("Postgres, DMY", "Australia/Lord_Howe", 3),
    ("ISO, YMD", "America/Sao_Paulo", 1),
    ("SQL, MDY", "-3.5", 1),
]
# What depends on the time, the server or an unfolded setting.
SKIPPED = {"now", "statement_timestamp", "transaction_timestamp", "version", "current_database"}


def quoted(text):
    return (
        "\\N"
        if text is None
        else (text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n"))
    )


def literal(value, type_name):
    if value is None:
        return f"NULL::{type_name}"
    return psycopg.sql.Literal(value).as_string(None) + f"::{type_name}"


class Oracle:
    def __init__(self, where):
        self.connection = psycopg.connect(where, autocommit=True, client_encoding="utf8")

    def answer(self, expression, type_name):
        send = {"unknown": "text"}.get(type_name, type_name)
        sender = {
            "timestamptz": "timestamptz_send",
            "date": "date_send",
            "numeric": "numeric_send",
        }.get(send, f"{send}send")
        query = (
            f"SELECT r IS NULL, format('%s', r), encode({sender}(r), 'hex') "
            f"FROM (SELECT {expression} AS r OFFSET 0) s"
        )
        try:
            null, text, binary = self.connection.execute(query).fetchone()
        except psycopg.Error as error:
            d = error.diag
            return [
                "!",
                d.sqlstate,
                d.message_primary,
                d.message_detail or "",
                d.message_hint or "",
            ]
        return ["=", None, ""] if null else ["=", text, binary]


def procedures(source):
    """Oid, name and types of what the Rust table lists, so that all of it is asked about."""
    table = (source / "procedures.rs").read_text()
    pattern = r'(?:immutable|stable)\((\d+), "(\w+)", &\[(.*?)\], T::(\w+),'
    for oid, name, args, ret in re.findall(pattern, table):
        yield (
            int(oid),
            name,
            [a.removeprefix("T::").lower() for a in args.split(", ") if a],
            ret.lower(),
        )


def arguments(random_, name, types):
    chosen = []
    for at, type_name in enumerate(types):
        if at == 0 and name in ("extract", "date_part", "date_trunc"):
            chosen.append(random_.choice(UNITS))
        elif at == 2 and name == "date_trunc":
            chosen.append(random_.choice(["UTC", "Europe/Berlin", "PST", "Nowhere", "+3"]))
        elif name in ("numeric", "varchar", "timestamptz") and at == 1:
            chosen.append(str(random_.choice(TYPMODS[name])))
        elif name in ("round", "trunc") and at == 1:
            chosen.append(str(random_.choice([-40000, -30, -5, -1, 0, 1, 2, 7, 30])))
        elif name in ("repeat", "lpad", "rpad") and type_name == "int4":
            chosen.append(random_.choice(["0", "1", "3", "-1", "5", "2000000000"]))
        elif type_name == "numeric" and random_.random() < 0.5:
            chosen.append(decimal(random_))
        elif type_name == "float8" and random_.random() < 0.4:
            chosen.append(repr(random_.uniform(-10, 10) * 10 ** random_.randint(-8, 20)))
        else:
            chosen.append(random_.choice(VALUES[type_name]))
    return chosen


def decimal(random_):
    digits = random_.choice([1, 3, 9, 20, 45])
    whole = str(random_.randrange(10**digits))
    fraction = "".join(
        random_.choice("0123456789") for _ in range(random_.choice([0, 0, 2, 10, 30]))
    )
    return random_.choice(["", "-"]) + whole + ("." + fraction if fraction else "")


def main():
    oracle = Oracle(sys.argv[1])
    calls = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    folder = Path(__file__).parent
    random_ = random.Random(15)
    lines = []

    def ask(question, expression, type_name):
        lines.append("\t".join(map(quoted, question + oracle.answer(expression, type_name))))

    def use(date_style, zone, digits):
        for name, value in (
            ("DateStyle", date_style),
            ("TimeZone", zone),
            ("extra_float_digits", str(digits)),
        ):
            oracle.connection.execute("SELECT set_config(%s, %s, false)", (name, value))
        lines.append("\t".join(["set", date_style, zone, str(digits)]))

    known = list(procedures(folder.parents[1] / "src" / "catalog"))
    for index, settings in enumerate(SETTINGS):
        use(*settings)
        for oid, type_name in TYPES.items():
            texts = INPUTS.get(type_name, [])
            if isinstance(texts, str):
                texts = texts.replace("\n", "|").split("|")
            if type_name in ("date", "timestamptz", "float8"):
                texts = list(texts) + VALUES[type_name]
            elif index > 0:
                continue
            for text in texts:
                if (
                    "today" in text
                    or "now" in text
                    or (index > 0 and random_.random() > calls / 12)
                ):
                    continue
                typmod = random_.choice(TYPMODS.get(type_name, [-1]))
                if text.startswith("294276"):
                    typmod = -1  # PostgreSQL rounds it up to what it does not read back.
                expression = f"{literal(text, type_name)}"
                if typmod >= 0:
                    kind = {
                        "numeric": f"numeric({typmod - 4 >> 16},{(typmod - 4 & 0x7FF ^ 1024) - 1024})",
                        "varchar": f"varchar({typmod - 4})",
                        "timestamptz": f"timestamptz({typmod})",
                    }[type_name]
                    # An assignment, not a cast: too long a text is an error.
                    oracle.connection.execute(
                        f"CREATE TEMP TABLE IF NOT EXISTS fit_{type_name}_{typmod} (v {kind})"
                    )
                    expression = None
                if expression is not None:
                    ask(["in", str(oid), str(typmod), text], expression, type_name)
                else:
                    lines.append(
                        "\t".join(
                            map(
                                quoted,
                                ["in", str(oid), str(typmod), text]
                                + assigned(oracle, f"fit_{type_name}_{typmod}", type_name, text),
                            )
                        )
                    )
        for oid, name, types, ret in known:
            if name in SKIPPED:
                continue
            zoned = {"timestamptz", "date"} & set(types) or ret == "timestamptz"
            if index > 0 and (not zoned or random_.random() > 0.25):
                continue
            seen = set()
            for _ in range(calls):
                values = arguments(random_, name, types)
                if tuple(values) in seen:
                    continue
                seen.add(tuple(values))
                call = ", ".join(map(literal, values, types))
                if name in ("lower", "upper", "texticlike", "texticnlike"):
                    call += ' COLLATE "C.utf8"'
                ask(["call", str(oid), *values], f'pg_catalog."{name}"({call})', ret)
    (folder / "cases.tsv").write_text("\n".join(lines) + "\n")
    print(len(lines), "lines")


def assigned(oracle, table, type_name, text):
    execute = oracle.connection.execute
    execute(f"TRUNCATE {table}")
    try:
        execute(f"INSERT INTO {table} VALUES ({psycopg.sql.Literal(text).as_string(None)})")
    except psycopg.Error as error:
        d = error.diag
        return ["!", d.sqlstate, d.message_primary, d.message_detail or "", d.message_hint or ""]
    return oracle.answer(f"(SELECT v FROM {table})", type_name)


main()
