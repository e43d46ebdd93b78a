# GROUP BY, HAVING, and count, sum, avg, min and max of every type.

CREATE TABLE t (k int PRIMARY KEY, g text, i2 int2, i4 int4, i8 int8, f float8, n numeric, w text, d date, z timestamptz, b bool)

SELECT count(*), count(k), sum(k), avg(k), min(k), max(k) FROM t

SELECT g, count(*) FROM t GROUP BY g

SELECT count(*) FROM t HAVING count(*) > 0

INSERT INTO t VALUES (1, 'a', 1, 10, 100, 0.5, 1.10, 'x', '2020-01-01', '2020-01-01 00:00:00+00', true), (2, 'a', 2, 20, 200, 1.5, 2.2, 'y', '2020-01-02', '2020-01-01 12:00:00+00', false), (3, 'b', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), (4, 'b', -3, -30, 9223372036854775807, -2.25, -3.333, 'ä', '1999-12-31', 'infinity', true), (5, NULL, 32767, 2147483647, 9223372036854775807, 1e10, 1e20, '', '-infinity', '1970-01-01 00:00:00+00', false), (6, 'a', 1, 10, 100, 0.5, 1.1, 'x', '2020-01-01', '2020-01-01 00:00:00+00', true)

SELECT count(*) FROM t

SELECT count(*), count(i4), count(DISTINCT i4), count(w) FROM t

SELECT sum(i2), sum(i4), sum(i8), sum(f), sum(n) FROM t

SELECT avg(i2), avg(i4), avg(i8), avg(f), avg(n) FROM t

SELECT min(i2), min(i4), min(i8), min(f), min(n), min(w), min(d), min(z) FROM t

SELECT max(i2), max(i4), max(i8), max(f), max(n), max(w), max(d), max(z) FROM t

SELECT min(b) FROM t

SELECT sum(w) FROM t

SELECT avg(d) FROM t

SELECT sum('1') FROM t

SELECT sum(DISTINCT i4), avg(DISTINCT n), min(DISTINCT w), count(DISTINCT b) FROM t

SELECT sum(i4) FILTER (WHERE b), count(*) FILTER (WHERE i4 > 0), count(*) FILTER (WHERE NULL) FROM t

SELECT g, sum(i4) FILTER (WHERE i4 > 10) FROM t GROUP BY g ORDER BY g

SELECT count(*) FILTER (WHERE k) FROM t

SELECT g, count(*), sum(i4), avg(n), min(w), max(d) FROM t GROUP BY g

SELECT g, b, count(*) FROM t GROUP BY g, b

SELECT g, b, count(*) FROM t GROUP BY 1, 2 ORDER BY 1, 2

SELECT g AS x, count(*) FROM t GROUP BY x ORDER BY x DESC

SELECT upper(g), count(*) FROM t GROUP BY upper(g) ORDER BY 1

SELECT upper(g) || 'x', count(*) FROM t GROUP BY upper(g) ORDER BY 1

SELECT i4 + 1, count(*) FROM t GROUP BY i4 ORDER BY 1

SELECT i4 + 1, count(*) FROM t GROUP BY i4 + 1 ORDER BY 1

SELECT n, count(*) FROM t GROUP BY n ORDER BY n

SELECT f, count(*) FROM t GROUP BY f ORDER BY f

SELECT count(*) FROM t GROUP BY g

SELECT g FROM t GROUP BY g ORDER BY count(*) DESC, g

SELECT g FROM t GROUP BY g HAVING count(*) > 1

SELECT g, sum(i4) FROM t GROUP BY g HAVING sum(i4) > 0 ORDER BY sum(i4)

SELECT g FROM t GROUP BY g HAVING g > 'a'

SELECT sum(i4) AS s FROM t HAVING sum(i4) > 1000000

SELECT g FROM t HAVING true

SELECT k, g, w FROM t GROUP BY k ORDER BY k

SELECT t.* FROM t GROUP BY k ORDER BY k

SELECT k, count(*) FROM t

SELECT g, w FROM t GROUP BY g

SELECT g FROM t GROUP BY g ORDER BY w

SELECT g FROM t GROUP BY g HAVING w = 'x'

SELECT count(*) FROM t GROUP BY count(*)

SELECT g FROM t GROUP BY 2

SELECT g FROM t GROUP BY 0

SELECT g FROM t GROUP BY nope

SELECT sum(sum(i4)) FROM t

SELECT sum(i4) + count(*) * 2, avg(i4) / 2 FROM t

SELECT sum(i4 * 2), sum(i4) * 2, -sum(i4), abs(min(i4)) FROM t

SELECT coalesce(sum(i4), 0) FROM t WHERE k > 100

SELECT CASE WHEN count(*) > 3 THEN 'many' ELSE 'few' END FROM t

SELECT count(1), count(NULL), count('x') FROM t

SELECT sum(1), sum(1.5), sum(NULL::int), max(NULL) FROM t

SELECT count(*) AS c, count(*) + 1 FROM t ORDER BY c

SELECT DISTINCT count(*) FROM t GROUP BY g ORDER BY 1

SELECT g, count(*) FROM t GROUP BY g ORDER BY count(*), g LIMIT 1 OFFSET 1

SELECT count() FROM t

SELECT sum() FROM t

SELECT sum(*) FROM t

SELECT count(k, g) FROM t

SELECT sum(i4, i4) FROM t

SELECT abs(DISTINCT 1)

SELECT abs(*)

SELECT nope(*)

SELECT g, count(*) FROM t GROUP BY ROLLUP (g)

SELECT g, count(*) FROM t GROUP BY GROUPING SETS ((g), ())

SELECT true, count(*) FROM t GROUP BY true

SELECT 'x', count(*) FROM t GROUP BY 1

SELECT count(*) FROM t WHERE sum(k) > 1

SELECT bool_and(b) FROM t

SELECT string_agg(w, ',') FROM t

SELECT array_agg(k) FROM t

SELECT stddev(i4) FROM t

SELECT max(g), min(g) FROM t WHERE g IS NULL

SELECT sum(i8) FROM t WHERE k = 4

SELECT sum(f), avg(f) FROM t WHERE k IN (1, 2)

SELECT avg(i8), sum(i8) FROM t WHERE k IN (4, 5)

INSERT INTO t (k, f, n) VALUES (7, 'NaN', 'NaN'), (8, 'Infinity', 'Infinity'), (9, '-Infinity', '-Infinity')

SELECT sum(f), avg(f), min(f), max(f) FROM t WHERE k IN (8, 9)

SELECT sum(n), avg(n), min(n), max(n) FROM t WHERE k IN (8, 9)

SELECT sum(f), avg(f), min(f), max(f), sum(n), avg(n), min(n), max(n) FROM t WHERE k IN (7, 8)

SELECT avg(n), sum(n) FROM t WHERE k IN (1, 6)

SELECT avg(i4), avg(i2) FROM t WHERE k IN (1, 2, 4)
