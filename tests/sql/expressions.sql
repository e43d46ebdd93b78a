# Operators, CASE and its kin, LIKE, IN, BETWEEN, IS, casts, and their precedence.

SELECT 1 + 1, 2 - 3, 4 * 5, 7 / 2, 7 % 3, -7 / 2, -7 % 3, 2 ^ 10

SELECT 1.5 + 1, 1.50 - 1, 1.5 * 1.5, 1 / 3.0, 10.0 / 3, 7.5 % 2, 2.0 ^ 0.5, -2 ^ 2

SELECT 1.5::float8 + 1, 1::float8 / 3, 1e10::float8 * 1e-10, 7.5::float8 ^ 2

SELECT 2::int2 + 3::int2, 2::int2 + 3::int4, 2::int2 + 3::int8, 2::int8 * 3::int4, 2 + 3.0, 2 + 3::float8, 2.0 + 3::float8

SELECT 32767::int2 + 1::int2

SELECT 2147483647 + 1

SELECT 2147483647::int8 + 1

SELECT 9223372036854775807 + 1

SELECT -2147483648 - 1

SELECT (-2147483648)::int4 / -1

SELECT (-2147483648)::int4 % -1

SELECT (-9223372036854775808)::int8 / -1

SELECT -(-32768)::int2

SELECT 46341 * 46341

SELECT 1e308::float8 * 10

SELECT 1e-308::float8 / 1e308

SELECT 1 / 0

SELECT 1 % 0

SELECT 1.0 / 0

SELECT 1::float8 / 0

SELECT 'NaN'::float8 + 1, 'Infinity'::float8 - 'Infinity'::float8, 'NaN'::numeric * 0, 'Infinity'::numeric / 2

SELECT 0 ^ 0, 0::numeric ^ 0, (-8) ^ (1.0/3)

SELECT (-8)::numeric ^ 0.5

SELECT 0 ^ -1

SELECT +5, -(-5), - 5.5, @ -5

SELECT 5 & 3, 5 | 3, 5 # 3, ~5, 1 << 4, 256 >> 4

SELECT |/ 25.0, ||/ 27.0

SELECT 1 + 2 * 3 - 4 / 2, (1 + 2) * 3, -2 + 3, 2 - -3, 10 - 5 - 2, 100 / 10 / 5

SELECT 1 < 2, 1 <= 1, 2 > 3, 2 >= 2, 1 = 1, 1 <> 2, 1 != 1

SELECT 1 < 2.5, 1::int2 = 1::int8, 1.0 = 1, 0.1::float8 = 0.1, 0.1::float8 + 0.2::float8 = 0.3::float8

SELECT 1 < 2 < 3

SELECT 'a' < 'b', 'a' = 'A', 'a' || 'b' = 'ab', '' < 'a', 'ä' > 'z', 'B' < 'a'

SELECT true AND false, true OR NULL, false AND NULL, NOT NULL, NOT true, true AND NULL

SELECT true = false, true > false, true <> NULL

SELECT 1 AND true

SELECT NULL = NULL, NULL <> 1, NULL + 1, NULL || 'a', -NULL::int

SELECT NULL, NULL IS NULL, 1 IS NULL, 1 IS NOT NULL, NULL ISNULL, 1 NOTNULL

SELECT 1 IS DISTINCT FROM 2, NULL IS DISTINCT FROM NULL, 1 IS NOT DISTINCT FROM NULL

SELECT true IS TRUE, NULL IS TRUE, NULL IS NOT TRUE, false IS FALSE, NULL IS UNKNOWN, true IS NOT UNKNOWN

SELECT 1 IS TRUE

SELECT 1 IN (1, 2), 3 IN (1, 2), 3 IN (1, NULL), NULL IN (1), 1 NOT IN (2, 3), 1 NOT IN (2, NULL)

SELECT 'a' IN ('a', 'b'), 1 IN (1.0, 2.5), 1 IN ('1', 2)

SELECT 1 IN ('a', 2)

SELECT 1 IN (true)

SELECT 2 BETWEEN 1 AND 3, 0 BETWEEN 1 AND 3, 2 NOT BETWEEN 3 AND 4, NULL BETWEEN 1 AND 2, 2 BETWEEN SYMMETRIC 3 AND 1, 2 BETWEEN NULL AND 1

SELECT CASE WHEN 1 = 1 THEN 'a' ELSE 'b' END, CASE WHEN NULL THEN 'a' END, CASE 2 WHEN 1 THEN 'one' WHEN 2 THEN 'two' END

SELECT CASE WHEN true THEN 1 ELSE 2.5 END, CASE WHEN false THEN 1 WHEN true THEN 2::int8 END

SELECT CASE WHEN true THEN 1 ELSE 'x' END

SELECT CASE WHEN true THEN 1 ELSE 'x'::text END

SELECT CASE WHEN 1 THEN 2 END

SELECT CASE 1 WHEN 'x' THEN 2 END

SELECT CASE WHEN 1 = 1 THEN 5 ELSE 1 / 0 END

SELECT CASE NULL WHEN NULL THEN 'equal' ELSE 'not' END

SELECT CASE '1' WHEN 1 THEN 2 END

SELECT CASE 'a' WHEN 'a' THEN 1 WHEN 'b'::varchar THEN 2 END

SELECT CASE '1' WHEN NULL THEN 2 ELSE 3 END

SELECT COALESCE(NULL, 1, 2), COALESCE(NULL, NULL), COALESCE('a', 'b'), COALESCE(NULL, 1, 2.5), COALESCE(1, 1 / 0)

SELECT COALESCE(1, 'x')

SELECT COALESCE(1, true)

SELECT COALESCE()

SELECT NULLIF(1, 1), NULLIF(1, 2), NULLIF('a', 'b'), NULLIF(NULL, 1), NULLIF(1, NULL), NULLIF(1, 1.0)

SELECT NULLIF(1, 'x')

SELECT NULLIF(1, true)

SELECT GREATEST(1, 3, 2), LEAST(1, NULL, -1), GREATEST(NULL, NULL), GREATEST('a', 'b'), LEAST(1, 2.5, 0.5::float8), GREATEST('NaN'::float8, 1)

SELECT GREATEST(1, 'x')

SELECT GREATEST(1, 'x'::text)

SELECT GREATEST(date '2020-01-01', '2021-01-01'), LEAST(true, false)

SELECT 'abc' LIKE 'abc', 'abc' LIKE 'a%', 'abc' LIKE '_b_', 'abc' LIKE 'b', 'abc' LIKE '%', '' LIKE '%', '' LIKE '_', 'a%c' LIKE 'a\%c', 'abc' LIKE 'a\%c'

SELECT 'abc' ILIKE 'ABC', 'ÄBC' ILIKE 'äb%', 'abc' NOT LIKE 'a%', 'abc' NOT ILIKE 'X%', 'a_c' LIKE 'a!_c' ESCAPE '!', 'abc' LIKE 'a!_c' ESCAPE '!', 'a\c' LIKE 'a\c' ESCAPE ''

SELECT 'abc' LIKE 'abc\'

SELECT 'abc' LIKE '%_\'

SELECT 'abc' LIKE '_%_\'

SELECT 'abc' LIKE '%___\'

SELECT 'abc' LIKE '%____\'

SELECT 'abc' LIKE '%b\'

SELECT 'abc' LIKE '%c\'

SELECT 'abc' NOT LIKE '%_\'

SELECT 'abc' ILIKE '%_\'

SELECT 'abc' LIKE 'x\'

SELECT 'a_c' LIKE '%_a' ESCAPE 'a'

SELECT 'abc' LIKE 'a' ESCAPE 'xx'

SELECT 'äöü' LIKE '_ö_', 'äöü' LIKE '___', 'aaa' LIKE '%a%a%a%', 'aaa' LIKE '%a%a%a%a%', E'a\nb' LIKE 'a_b'

SELECT 'abc' ~~ 'a%', 'abc' !~~ 'a%', 'abc' ~~* 'A%', 'abc' !~~* 'A%', NULL LIKE 'a', 'a' LIKE NULL

SELECT 1 LIKE 1

SELECT 1 NOT IN ('a'::text, 'b'::text)

SELECT 1 NOT BETWEEN 'a'::text AND 'b'::text

SELECT 1 NOT BETWEEN 2 AND 3, 1 NOT BETWEEN SYMMETRIC 3 AND 0, NULL NOT BETWEEN 1 AND 2, 1 NOT BETWEEN NULL AND 0

SELECT 1 NOT IN (1, NULL), 1 NOT IN (2, NULL), 1 NOT IN (2, 3), 1 NOT IN (1)

SELECT 'abc' SIMILAR TO 'a%'

SELECT 'abc' ~ 'a.c'

SELECT 'a' || 'b', 'a' || 1, 1 || 'a', 'a' || true, 'a' || NULL, 'a' || 1.50, 'a' || 0.1::float8, 'x' || date '2020-01-01'

SELECT 1 || 2

SELECT 1 + 'a'

SELECT 1 + '2', '3' * 4, '1.5' + 2.5

SELECT '1' + '2'

SELECT 1 + true

SELECT 1 + 'a'::text

SELECT true + false

SELECT -'a'

SELECT 'a' - 'b'

SELECT 1 = 'a'

SELECT 1 = 'a'::text

SELECT 1 = true

SELECT NOT 1

SELECT 'true' AND true

SELECT 1::text, 1.50::text, true::text, 'a'::varchar, 'abc'::varchar(2), date '2020-01-01'::text, 0.1::float8::text

SELECT '12'::int4, ' 12 '::int4, '-12'::int2, '+5'::int8, '1.5'::numeric, '1e3'::numeric, '1e3'::float8, ' NaN '::float8, 'inf'::float8, '-Infinity'::numeric

SELECT ''::int4

SELECT '1.5'::int4

SELECT '12x'::int4

SELECT '99999'::int2

SELECT '99999999999'::int4

SELECT '99999999999999999999'::int8

SELECT '1e400'::float8

SELECT 'x'::numeric

SELECT '1..2'::numeric

SELECT 1.5::int4, 2.5::int4, -1.5::int4, (-2.5)::int4, 1.5::float8::int4, 2.5::float8::int4, (-0.5)::float8::int4, 2.4999::int8

SELECT 99999.5::int2

SELECT 3000000000::int4

SELECT 3000000000.0::int4

SELECT 3e9::float8::int4

SELECT 'NaN'::float8::int4

SELECT 'NaN'::numeric::int4

SELECT 'Infinity'::numeric::int8

SELECT 1e20::float8::int8

SELECT 'yes'::bool, 'off'::bool, ' T '::bool, '0'::bool, 'fal'::bool, 1::bool, 0::bool

SELECT 'x'::bool

SELECT ''::bool

SELECT 1.5::bool

SELECT 1::int8::bool

SELECT true::int4, false::int4

SELECT true::int8

SELECT true::numeric

SELECT 1.256::numeric(3,1), 99.95::numeric(3,1) IS NULL

SELECT 99.95::numeric(3,1)

SELECT 12345::numeric(3)

SELECT 12345::numeric(3,-2), 0.00123::numeric(2,4)

SELECT 1.5::numeric(5,2), '1.005'::numeric(5,2), 1::numeric(10,5), 1.23456789::float8::numeric

SELECT 1::float8, 0.1::numeric::float8, 1e15::float8, 1e16::float8, 123456789.123456789::float8, 1e-5::float8, 0.0001::float8

SELECT 100000000000000000000::float8, 1e100::numeric, 1e-10::numeric, 00.100

SELECT CAST('5' AS int), CAST(5 AS text), CAST(NULL AS numeric), int4 '7', float8 '1.5', numeric '1.50', bool 't', date '2020-02-29'

SELECT int4('7'), text(7), numeric('1.5'), bool('t'), float8(1), int8(2.5), date('2020-01-01')

SELECT 5::nope

SELECT 5::date

SELECT date '2020-01-01'::int4

SELECT 'a'::text::int4

SELECT '5'::text::int4, '1.5'::text::float8, 5::int4::numeric::text

SELECT '2020-01-01'::date + 1, date '2020-03-01' - 1, date '2020-03-01' - date '2020-02-01', 1 + date '2020-12-31'

SELECT date '2020-01-01' < '2020-01-02', date '2020-01-01' = timestamptz '2020-01-01 00:00:00+00', date '2020-01-01' + 1.5

SELECT date 'infinity' + 1, date '-infinity' < date '2020-01-01', date 'infinity' = date 'infinity'

SELECT date '5874897-12-31' + 1

SELECT date 'infinity' - date '2020-01-01'

SELECT timestamptz '2020-01-01' - timestamptz '2019-01-01'

SELECT timestamptz '2020-01-01 12:00+02', timestamptz '2020-01-01 12:00 Europe/Berlin', '2020-06-01 12:00:00.123456 America/New_York'::timestamptz

SELECT date '2020-01-01'::timestamptz, timestamptz '2020-01-01 23:59:59+00'::date

SELECT (1), ((2)), (((1 + 2)))

SELECT ROW(1, 2)

SELECT (1, 2) = (1, 2)

SELECT ARRAY[1, 2]

SELECT 1 = ANY (ARRAY[1, 2])

SELECT 'a' 'b'

SELECT 'a' COLLATE "C" < 'b', 'a' COLLATE "POSIX"

SELECT 'a' COLLATE "nope"

SELECT 1 COLLATE "C"

SELECT E'a\nb\t\\ \u00e4 \x41', 'it''s', $$dollar$$, $x$a$$b$x$, U&'\0041', 'a\b'

SELECT B'101'

SELECT X'1F'

SELECT 0x1F

SELECT 1_000

SELECT 1., .5, 1e5, 1E-5, 1.5e+3, 100000000000, 9223372036854775808

SELECT 5 AS "int", 5 "select", 5 value, 5 AS select

SELECT a.b

SELECT "a"

SELECT 'a' AS a, 'b' AS a

SELECT 1 /* comment */ + /* nested /* one */ */ 2 -- to the end

SELECT 'unterminated

SELECT "unterminated

SELECT /* unterminated

SELECT 1 +

SELECT (1

SELECT 1)

SELECT 1 1

FROM t

SELEC 1

SELECT 'ä', nope

SELECT 1 WHERE 'ä' = 'ä' AND nope

SELECT coalesce

SELECT 1 OPERATOR(pg_catalog.+) 2

SELECT 5 !

SELECT 5 <-> 3

SELECT 10 = 10.0 AND 'x' IS NOT NULL OR false

SELECT NOT 1 = 2, NOT true AND false, NOT (true AND false)

SELECT 1 = 1 IS TRUE, 1 + 1 IS NULL, 1 IS NULL = false

SELECT 2 + 3 || 'x', 'x' || 2 + 3

SELECT -1::int2, -(1::int2), (-1)::int2, - 32768::int2

SELECT 2 * 3 % 4, 2 ^ 3 ^ 2, -2 ^ 2, 5 - 3 + 1

# What is made of constants is made before a row is looked at, and what constants decide is not.

CREATE TABLE f (k int PRIMARY KEY, v int)

INSERT INTO f VALUES (1, 1), (2, 2147483647), (3, NULL)

SELECT CASE WHEN v > 100 THEN 1 / 0 ELSE 0 END FROM f WHERE k = 1

SELECT CASE WHEN v IS NULL THEN 0 WHEN true THEN 1 ELSE 1 / 0 END FROM f

SELECT CASE WHEN false THEN 1 / 0 WHEN NULL THEN 1 / 0 ELSE v END FROM f

SELECT CASE 1 WHEN 1 THEN v WHEN 1 / 0 THEN 2 END FROM f

SELECT CASE 1 / 0 WHEN NULL THEN 1 END FROM f WHERE false

SELECT COALESCE(v, 1 / 0) FROM f WHERE k = 1

SELECT COALESCE(NULL, 2, 1 / 0), COALESCE(v, 2, 1 / 0) FROM f

SELECT NULL::int + 2147483647 * v FROM f

SELECT 2147483647 * v + NULL::int FROM f WHERE k = 2

SELECT upper(NULL) || (1 / v)::text FROM f

SELECT NULL::int + 1 / 0

SELECT 1 / 0 FROM f WHERE false

SELECT k FROM f WHERE false AND 1 / 0 = 1

SELECT k FROM f WHERE 1 / 0 = 1 AND false

SELECT k FROM f WHERE true OR 1 / 0 = 1

SELECT k FROM f WHERE NULL AND 1 / v = 1

SELECT k FROM f WHERE k = 2 AND 1 / (v - 2147483647) BETWEEN NULL AND 1

SELECT NOT (1 / 0 = 1), 1 FROM f

SELECT nullif(1 / 0, NULL) FROM f WHERE false

SELECT nullif(1, 1), nullif(NULL, v), nullif(v, NULL) FROM f

SELECT 1 / 0 IS NULL FROM f WHERE false

SELECT greatest(v, 1 / 0) FROM f WHERE false

SELECT k IN (1, 1 / 0) FROM f WHERE false

SELECT 1 IS DISTINCT FROM 1 / 0 FROM f WHERE false

SELECT count(*) FILTER (WHERE 1 / 0 = 1) FROM f

SELECT sum(1 / 0) FROM f WHERE false

SELECT count(*) FROM f HAVING 1 / 0 = 1

SELECT k FROM f ORDER BY 1 / 0

SELECT k FROM f WHERE false LIMIT 1 / 0

SELECT '1 a'::text::int FROM f WHERE false

SELECT 'x'::text::date FROM f WHERE false

SELECT 123456::numeric(3,2) FROM f WHERE false

SELECT count(*) FROM f AS a LEFT JOIN f AS b ON 1 / 0 = 1 WHERE false

INSERT INTO f VALUES (7, 7), (8, 1 / 0)

INSERT INTO f VALUES (9, CASE WHEN now() IS NULL THEN 1 / 0 END)

UPDATE f SET v = 1 / 0 WHERE false

UPDATE f SET v = 5 WHERE false RETURNING 1 / 0

DELETE FROM f WHERE false AND 1 / 0 = 1

SELECT v + (1 + 1) FROM f GROUP BY v + 2

SELECT v + (1 + 1) FROM f WHERE v < 9 GROUP BY v + (1 + 1)

SELECT k FROM f ORDER BY k

# The cheaper condition of a row comes first.

SELECT k FROM f WHERE 1 / (v - 1) = 0 AND k > 1

SELECT k FROM f WHERE k > 1 AND 1 / (v - 1) = 0

SELECT k FROM f WHERE k = 1 AND 1 / (v - 1) = 0 AND v IS NULL

SELECT k FROM f WHERE 1 / (v - 1) = 0 AND date_trunc('day', date_trunc('month', now())) < timestamptz '2000-01-01'

# What the grammar refuses for another reason than its own.

SELECT 1::float(0)

SELECT 1::float(54)

CREATE TABLE marked (a int, CHECK (a > 0) DEFERRABLE)

CREATE TABLE marked (a int, PRIMARY KEY (a) NOT VALID)

CREATE TABLE marked (a int, PRIMARY KEY (a) NO INHERIT)

CREATE TABLE marked (a int, CHECK (a > 0) INITIALLY DEFERRED NOT DEFERRABLE)

SET CATALOG 'x'

SELECT 1 LIMIT 1, 2

SELECT U&'a' UESCAPE '+'

SELECT E'\ud800'

SELECT E'\u12'

SELECT E'\000'

SELECT E'\u0000'

SELECT 1 2 "is not supported at all"

SELECT 1 FROM FROM "not yet implemented"
