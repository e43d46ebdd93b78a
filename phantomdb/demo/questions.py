"""What the demo asks: six questions that people ask of such data, and how SQLite is asked the same.

Every answer has a complete order. Sorting is by whole numbers and names only: two averages that
are nearly the same may fall in either order where one side computes in doubles.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """A query; `for_sqlite` where SQLite writes it in another way, and why it must."""

    title: str
    sql: str
    for_sqlite: str | None = None

    @property
    def oracle_sql(self) -> str:
        """The text for SQLite."""
        return self.for_sqlite or self.sql


# The first row of the file, so that it is there however few rows are loaded. The primary key makes
# it a look-up of one row. SQLite compares times as text, in the form that the file has.
_LOOK_UP = """
SELECT carrier, flight, tailnum, origin, dest, dep_delay, arr_delay
  FROM flights
 WHERE time_hour = '{time}' AND carrier = 'UA' AND flight = 1545"""

_BY_CARRIER = """
SELECT a.name AS airline, count(*) AS flights, avg(f.dep_delay) AS mean_delay,
       max(f.dep_delay) AS longest, sum(CASE WHEN f.dep_delay > 60 THEN 1 ELSE 0 END) AS over_1_h
  FROM flights f JOIN airlines a ON a.carrier = f.carrier
 GROUP BY a.name
 ORDER BY count(*) DESC, airline"""

# SQLite has no extract: the month is cut out of the text.
_BY_MONTH = """
SELECT {month} AS utc_month, count(*) AS flights,
       count(*) - count(dep_time) AS cancelled, avg(arr_delay) AS mean_delay,
       sum(distance) AS miles
  FROM flights
 GROUP BY utc_month
 ORDER BY utc_month"""

# Nor date_trunc.
_WORST_DAYS = """
SELECT {day} AS utc_day, count(*) AS flights,
       sum(CASE WHEN dep_time IS NULL THEN 1 ELSE 0 END) AS cancelled,
       sum(dep_delay) AS minutes_lost
  FROM flights
 GROUP BY utc_day
HAVING sum(dep_delay) > 0
 ORDER BY minutes_lost DESC, utc_day
 LIMIT 5"""

_BOEINGS = """
SELECT CASE WHEN f.dep_delay IS NULL THEN 'cancelled'
            WHEN f.dep_delay <= 5 THEN 'on time'
            WHEN f.dep_delay <= 60 THEN 'late'
            ELSE 'very late' END AS departure,
       count(*) AS flights, avg(f.air_time) AS mean_minutes
  FROM flights f JOIN planes p ON p.tailnum = f.tailnum
 WHERE p.manufacturer LIKE 'BOEING%' AND f.dest IN ('LAX', 'SEA', 'SFO')
 GROUP BY departure
 ORDER BY flights DESC, departure"""

_UNKNOWN_PLANES = """
SELECT f.carrier, count(*) AS flights, min(f.tailnum) AS first_plane, max(f.tailnum) AS last_plane
  FROM flights f LEFT JOIN planes p ON p.tailnum = f.tailnum
 WHERE f.tailnum IS NOT NULL AND p.tailnum IS NULL
 GROUP BY f.carrier
 ORDER BY count(*) DESC, f.carrier"""

QUESTIONS = (
    Question(
        "One flight, by its primary key",
        _LOOK_UP.format(time="2013-01-01 10:00:00+00"),
        _LOOK_UP.format(time="2013-01-01T10:00:00Z"),
    ),
    Question("Delays by airline", _BY_CARRIER),
    Question(
        "Delays by month",
        _BY_MONTH.format(month="extract(month FROM time_hour)"),
        _BY_MONTH.format(month="CAST(substr(time_hour, 6, 2) AS INTEGER)"),
    ),
    Question(
        "The worst days",
        _WORST_DAYS.format(day="date_trunc('day', time_hour)"),
        _WORST_DAYS.format(day="substr(time_hour, 1, 10) || 'T00:00:00Z'"),
    ),
    Question("Boeings to the west coast", _BOEINGS),
    Question("Flights of planes that the registry does not know", _UNKNOWN_PLANES),
)
