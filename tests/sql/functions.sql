# Functions of numbers, text and time.

SELECT abs(-5), abs(-5::int2), abs(-5::int8), abs(-5.50), abs(-5.5::float8), abs('-Infinity'::float8), abs(NULL::int)

SELECT abs((-2147483648)::int4)

SELECT ceil(1.2), ceil(-1.2), ceiling(1.0), ceil(1.2::float8), ceil(-0.5::float8), floor(1.8), floor(-1.2), floor(-1.2::float8), ceil(5), floor(5)

SELECT round(1.5), round(2.5), round(-1.5), round(1.5::float8), round(2.5::float8), round(-2.5::float8), round(5), round('NaN'::numeric)

SELECT round(1.2345, 2), round(1.235, 2), round(1234.5, -2), round(-1.5, 0), round(15, -1), round(1.5, 5), round(NULL, 1)

SELECT round(1.5::float8, 1)

SELECT trunc(1.9), trunc(-1.9), trunc(1.9::float8), trunc(-1.9::float8), trunc(1.2345, 2), trunc(1234.5, -2), trunc(5)

SELECT mod(7, 3), mod(-7, 3), mod(7, -3), mod(7.5, 2), mod(7::int2, 3::int2), mod(7::int8, 3), mod(NULL, 1)

SELECT mod(1, 0)

SELECT mod(1.5, 0)

SELECT mod(7.5::float8, 2)

SELECT power(2, 10), power(2.0, 0.5), power(2::float8, 0.5), power(2, -1), pow(3, 2), power(0, 0), power('NaN', 0), power(1, 'NaN'), power(2.0, 100), power(-2.0, 3)

SELECT power(0.0, -1)

SELECT power(-1.0, 0.5)

SELECT power(-1::float8, 0.5)

SELECT power(10::float8, 400)

SELECT power(10.0, 200), power(0.5, 10), power(1.1, 50), power(2.5, 2.5)

SELECT sqrt(4), sqrt(2.0), sqrt(2::float8), sqrt(0), sqrt(NULL), sqrt('NaN'::numeric), sqrt(1e100), sqrt(0.0001)

SELECT sqrt(-1)

SELECT sqrt(-1.0)

SELECT sign(-5), sign(0), sign(3.5), sign(-0.5::float8), sign('NaN'::float8), sign('NaN'::numeric)

SELECT length('abc'), length(''), length('äöü'), length('𐍈'), length(NULL), char_length('ab'), character_length('abc'), length('ab  '::varchar)

SELECT length(5)

SELECT lower('ABC Ä'), upper('abc äß'), lower(''), upper(NULL), lower('İ'), upper('ŉ')

SELECT lower(5)

SELECT substring('abcdef', 2), substring('abcdef', 2, 3), substring('abcdef', 0), substring('abcdef', -1, 4), substring('abcdef' FROM 3), substring('abcdef' FROM 2 FOR 2), substring('abcdef' FOR 3), substring('abc', 10), substring('äöü', 2, 1), substr('abcdef', 3, 2), substr('abc', 2)

SELECT substring('abc', 1, -1)

SELECT substring('abc', 2147483647, 2147483647), substring('abc', -2147483647, 2147483647)

SELECT substring('abc' FROM 'b.')

SELECT "left"('abcdef', 2), left('abc', 0), left('abc', -1), left('abc', 10), left('abc', -10), right('abcdef', 2), right('abc', 0), right('abc', -1), right('abc', 10), right('äöü', 2)

SELECT trim('  a b  '), ltrim('  a'), rtrim('a  '), trim(both 'x' from 'xxaxx'), trim(leading 'x' from 'xxaxx'), trim(trailing 'xy' from 'axyx'), btrim('xyaxy', 'xy'), ltrim('xya', 'yx'), rtrim('axy', 'xy'), trim(''), trim('x' from 'ä'), trim(both from '  a ')

SELECT replace('abcabc', 'b', 'X'), replace('abc', '', 'X'), replace('abc', 'b', ''), replace('', 'a', 'b'), replace('aaa', 'aa', 'b'), replace('äöä', 'ä', 'a'), replace(NULL, 'a', 'b')

SELECT position('b' in 'abc'), position('' in 'abc'), position('x' in 'abc'), position('ö' in 'äöü'), strpos('abcabc', 'ca'), strpos('', 'a'), strpos('', ''), position('c' IN 'abc') + 1

SELECT concat('a', 1, NULL, true, 1.5), concat(NULL), concat('x'), concat(0.1::float8, date '2020-01-01'), concat()

SELECT lpad('5', 3, '0'), lpad('abc', 2), lpad('abc', 5), lpad('abc', 7, 'xy'), lpad('abc', 0), lpad('abc', -1), lpad('a', 3, ''), rpad('5', 3, '0'), rpad('abc', 2), rpad('abc', 7, 'xy'), rpad('äö', 4, 'ü'), lpad('', 2, 'x')

SELECT reverse('abc'), reverse('äöü'), reverse(''), repeat('ab', 3), repeat('ab', 0), repeat('ab', -1), repeat('', 5)

SELECT split_part('a,b,c', ',', 1), split_part('a,b,c', ',', 3), split_part('a,b,c', ',', 4), split_part('a,b,c', ',', -1), split_part('a,b,c', ',', -4), split_part('abc', '', 1), split_part('abc', '', 2), split_part('', ',', 1), split_part('a--b', '--', 2)

SELECT split_part('a,b,c', ',', 0)

SELECT concat_ws(',', 'a')

SELECT initcap('abc')

SELECT date_trunc('year', timestamptz '2020-05-17 13:14:15.678+00'), date_trunc('month', timestamptz '2020-05-17 13:14:15.678+00'), date_trunc('day', timestamptz '2020-05-17 13:14:15.678+00'), date_trunc('hour', timestamptz '2020-05-17 13:14:15.678+00')

SELECT date_trunc('minute', timestamptz '2020-05-17 13:14:15.678+00'), date_trunc('second', timestamptz '2020-05-17 13:14:15.678+00'), date_trunc('milliseconds', timestamptz '2020-05-17 13:14:15.678901+00'), date_trunc('microseconds', timestamptz '2020-05-17 13:14:15.678901+00')

SELECT date_trunc('week', timestamptz '2020-05-17 13:14:15+00'), date_trunc('quarter', timestamptz '2020-05-17 13:14:15+00'), date_trunc('decade', timestamptz '2025-05-17 13:14:15+00'), date_trunc('century', timestamptz '2025-05-17 13:14:15+00'), date_trunc('millennium', timestamptz '2025-05-17 13:14:15+00')

SELECT date_trunc('YEAR', timestamptz '2020-05-17 00:00:00+00'), date_trunc('day', date '2020-05-17'), date_trunc('day', NULL::timestamptz), date_trunc('day', timestamptz 'infinity')

SELECT date_trunc('nope', timestamptz '2020-05-17 00:00:00+00')

SELECT date_trunc('timezone', timestamptz '2020-05-17 00:00:00+00')

SELECT date_trunc('day', timestamptz '2020-05-17 23:14:15+00', 'Europe/Berlin')

SELECT extract(year from date '2020-05-17'), extract(month from date '2020-05-17'), extract(day from date '2020-05-17'), extract(dow from date '2020-05-17'), extract(isodow from date '2020-05-17'), extract(doy from date '2020-05-17'), extract(week from date '2021-01-01'), extract(isoyear from date '2021-01-01'), extract(quarter from date '2020-05-17'), extract(epoch from date '2020-05-17')

SELECT extract(hour from timestamptz '2020-05-17 13:14:15.678+00'), extract(minute from timestamptz '2020-05-17 13:14:15.678+00'), extract(second from timestamptz '2020-05-17 13:14:15.678+00'), extract(milliseconds from timestamptz '2020-05-17 13:14:15.678+00'), extract(microseconds from timestamptz '2020-05-17 13:14:15.678+00'), extract(epoch from timestamptz '2020-05-17 13:14:15.678+00')

SELECT extract(century from date '2000-01-01'), extract(decade from date '1999-01-01'), extract(millennium from date '2001-01-01'), extract(julian from date '2020-01-01'), extract(timezone from timestamptz '2020-01-01 00:00:00+00'), extract(timezone_hour from timestamptz '2020-01-01 00:00:00+00'), extract(year from date '0044-03-15 BC')

SELECT extract(year from date 'infinity'), extract(epoch from timestamptz '-infinity'), extract(dow from date 'infinity'), extract('year' from date '2020-01-01')

SELECT extract(hour from date '2020-01-01')

SELECT extract(nope from timestamptz '2020-01-01')

SELECT extract(year from '2020-01-01')

SELECT date_part('year', '2020-01-01')

SELECT isfinite('2020-01-01')

SELECT trunc('1.5')

SELECT avg('1')

SELECT date '2020-01-01' + '1'

SELECT '1' * '2'

SELECT int4('5'), int8('5'), text(5), varchar('a'), numeric('1.5'), float8('1.5'), date('2020-01-01')

SELECT int4('5.5')

SELECT trim(5)

SELECT lower('ÄÖ' COLLATE "C")

SELECT substring('hello', 2, '3'), substring('hello', '2'::int, 3)

SELECT substring('hello', '2', '3')

SELECT concat('a', NULL, 1, true), concat(NULL)

SELECT date_part('year', date '2020-05-17'), date_part('epoch', timestamptz '2020-05-17 13:14:15.678+00'), date_part('dow', timestamptz '2020-05-17 00:00:00+00')

SELECT now() = now(), now() = current_timestamp, now() > timestamptz '2020-01-01', current_date > date '2020-01-01', current_date = now()::date, transaction_timestamp() = now()

SELECT current_timestamp IS NULL, current_timestamp(0) IS NULL, now() IS NULL, statement_timestamp() IS NULL

SELECT current_time

SELECT localtimestamp

SELECT current_database(), current_schema(), current_schema, current_catalog

SELECT current_user

SELECT session_user

SELECT version() LIKE 'PostgreSQL 15%'

SELECT version(1)

SELECT abs()

SELECT abs('x')

SELECT abs('5')

SELECT abs('5'::text)

SELECT abs(true)

SELECT abs(1, 2)

SELECT upper(1)

SELECT nope()

SELECT nope(1, 'a', NULL)

SELECT pg_catalog.abs(-1), pg_catalog.upper('a')

SELECT public.abs(-1)

SELECT nope.abs(-1)

SELECT ABS(-1), "abs"(-1)

SELECT "ABS"(-1)

SELECT round(abs(-1.55), 1), upper(substring(lower('ABC'), 2)), length(concat('a', 'b') || 'c')

SELECT random() < 1

SELECT pg_typeof(1)

SELECT to_char(1, '9')

SELECT generate_series(1, 2)

SELECT md5('a')

SELECT now(1)

SELECT coalesce(now(), NULL) = now()

SELECT length(repeat('x', 100000)), length(repeat('ab', 1000000))

SELECT repeat('x', 2000000000)

SELECT ceil(1e30), floor(-1e30), trunc(1e30, 5), round(1e30, -20)

SELECT ceil('Infinity'::float8), floor('NaN'::numeric), round('-Infinity'::numeric, 2), trunc('NaN'::float8)

SELECT timestamptz '10001-01-01 BC'

SELECT timestamptz '10001-01-01 BC Europe/Berlin', 1

SELECT ('10001-01-01'||' BC')::timestamptz

SELECT timestamptz '4714-11-24 00:00+00 BC', date '4714-11-24 BC', timestamptz '4714-11-23 BC'

SELECT date_trunc('millennium', timestamptz '4714-11-24 00:00+00 BC', 'Europe/Berlin')

SELECT timestamptz(date '5874897-12-31')
