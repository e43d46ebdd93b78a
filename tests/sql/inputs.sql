# Text that types take: the odd forms.

SELECT '0x10'::float8, '-0X1F'::float8, '0x1.8p3'::float8, '0x.8'::float8, 'nan(1)'::float8, ' inf '::float8, '-Infinity'::float8

SELECT '0x1p1024'::float8

SELECT '0x1p-1090'::float8

SELECT '0x1p+-5'::float8

SELECT '0x1p++5'::float8

SELECT '0x1p'::float8

SELECT '0x1p+5'::float8, '0x0p99999999999'::float8, '-0x0p-99999999999'::float8

SELECT '0x1p99999999999'::float8

SELECT '0x1p-99999999999'::float8

SELECT '0x'::float8

SELECT '1_000'::float8

SELECT '1_000'::int4

SELECT '0x10'::int4

SELECT '0x10'::numeric

SELECT '1e 3'::numeric, '1e +3'::numeric, 'infinity'::numeric, '-inf'::numeric, 'NaN'::numeric

SELECT '1e'::numeric

SELECT 't'::bool, 'tr'::bool, 'tru'::bool, ' ON '::bool, 'of'::bool, 'y'::bool, 'n'::bool, '0'::bool

SELECT 'o'::bool

SELECT 'truex'::bool

SELECT 'epoch'::date, 'epoch 12:00'::date, 'infinity 12:00'::date, '-infinity UTC'::date, 'J2451187'::date, '44-03-15 BC'::date, '4714-11-24 BC'::date

SELECT 'epoch 12:00'::timestamptz, 'epoch 2020-01-01'::timestamptz, 'infinity Jan'::timestamptz, 'today epoch'::timestamptz

SELECT 'epoch today'::date = current_date, 'infinity now'::timestamptz = now()

SELECT 'epoch infinity'::date

SELECT 'epoch 25:00'::date

SELECT '+2020-01-01'::date

SELECT '-2020-01-01'::timestamptz

SELECT '2020-01-01 12:00 +123'::timestamptz

SELECT '2020-01-01 12:00 +2-3'::timestamptz

SELECT '2020-01-01 12:00 +1:'::timestamptz, '2020-01-01 12:00 +01:02:03'::timestamptz, '2020-01-01 12:00 +0130'::timestamptz

SELECT '2020-01-01 12:00 +1:2:3:4'::timestamptz

SELECT '2020-06-01 12:34 America/New_York'::timestamptz, '2020-01-01 allballs'::timestamptz, '2020-01-01 12:34 PST8PDT'::timestamptz, '2020-01-01 12:00 PST DST'::timestamptz

SELECT '2020-01-01 12:00 PDT DST'::timestamptz

SELECT 'y2020m01d01'::date

SELECT '2020-01-01 h12'::timestamptz
