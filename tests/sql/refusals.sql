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
