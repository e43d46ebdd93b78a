# What is absent is refused by its name; what PostgreSQL does not have either is wrong, as there.

CREATE TABLE refusals (b bool, i2 int2, i4 int4, i8 int8, f8 float8, n numeric, t text, v varchar, d date, ts timestamptz)

SELECT i2 & i4 FROM refusals

SELECT i4 & NULL FROM refusals

SELECT ~ i2 FROM refusals

SELECT n & 1 FROM refusals

SELECT b & b FROM refusals

SELECT v ~* 'a' FROM refusals

SELECT t !~ t FROM refusals

SELECT t ~ i4 FROM refusals

SELECT ~ t FROM refusals

SELECT @ t FROM refusals

SELECT t ^@ 'a' FROM refusals

SELECT t @@ t FROM refusals

SELECT i4 @@ i4 FROM refusals

SELECT t ~<~ t FROM refusals

SELECT 1 <@ 'x'

SELECT 'a' <-> 'b'

SELECT i4 <-> i4 FROM refusals

SELECT i4 -> 'a' FROM refusals

SELECT i4 && i4 FROM refusals

SELECT ts - ts FROM refusals

SELECT 1 !@# 1

# Types: of other schemas, arrays, rows of catalogs, modifiers.

SELECT NULL::int[]

SELECT NULL::json[]

SELECT NULL::nosuch[]

SELECT NULL::name

SELECT NULL::unknown

SELECT NULL::pg_class

SELECT NULL::information_schema.sql_identifier

SELECT NULL::information_schema.nosuch

SELECT NULL::nosuch.int4

SELECT NULL::public.int4

SELECT NULL::postgres.pg_catalog.int4

SELECT NULL::a.pg_catalog.int4

SELECT NULL::a.b.c.d

SELECT '1'::numeric('5'), '1'::numeric(5, '2')

SELECT '1'::numeric('a')

SELECT '1'::numeric(x)

SELECT '1'::numeric(x.y)

SELECT '1'::numeric(1.5)

SELECT '1'::numeric(99999999999)

SELECT '1'::numeric(NULL)

SELECT '1'::numeric(1 + 1)

SELECT '1'::text('a')

SELECT '1'::float(54)

SELECT '1'::float(0)

# Schemas of operators, functions and relations.

SELECT 1 OPERATOR(pg_catalog.+) 2, 1 OPERATOR(postgres.pg_catalog.+) 2

SELECT 1 OPERATOR(public.+) 2

SELECT OPERATOR(public.-) 2

SELECT 1 OPERATOR(nosuch.+) 2

SELECT 1 OPERATOR(a.b.+) 2

SELECT postgres.pg_catalog.abs(-1)

SELECT a.pg_catalog.abs(-1)

SELECT a.b.c.abs(-1)

SELECT public.abs(-1)

SELECT public.to_char(1)

SELECT information_schema.abs(-1)

SELECT nosuch.abs(-1)

SELECT count(*) > 0 FROM pg_class

SELECT count(*) > 0 FROM information_schema.tables

SELECT * FROM pg_nosuch

SELECT * FROM pg_catalog.nosuch

SELECT * FROM information_schema.nosuch

# Statements and clauses.

CREATE ROLE none

SELECT sum(1) OVER (ROWS BETWEEN UNBOUNDED FOLLOWING AND CURRENT ROW)

CREATE TABLE part PARTITION OF nosuch DEFAULT

SELECT * FROM refusals TABLESAMPLE system (100)

SELECT * FROM refusals FOR SHARE

SELECT b FROM refusals GROUP BY CUBE (b)

SELECT 1 INTERSECT SELECT 2

SELECT 1 EXCEPT SELECT 2

SELECT xmlforest(1 AS a)

DROP MATERIALIZED VIEW nosuch

ALTER INDEX nosuch RENAME TO other

CREATE TABLE likes (LIKE refusals, EXCLUDE (b WITH =))

CREATE TABLE excludes (b bool, EXCLUDE (b WITH =))

SELECT string_agg(t, ',' ORDER BY t) FROM refusals

SELECT array_agg(DISTINCT t) FROM refusals

SELECT nosuch(DISTINCT t) FROM refusals

SELECT lower(DISTINCT t) FROM refusals

SELECT refusals.ctid FROM refusals

SELECT NULL::char(3), NULL::bit varying

SET work_mem = '4MB', '5MB'

SET nosuch.name = 1, 2

SET nosuch_at_all = 1, 2

CREATE TABLE included (a int, PRIMARY KEY (a) INCLUDE (a))
