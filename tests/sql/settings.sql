# SET, SHOW, RESET, DISCARD, DEALLOCATE, and what a session makes of them.

SHOW statement_timeout

SET statement_timeout = 1000

SHOW statement_timeout

SET statement_timeout = '2s'

SHOW statement_timeout

SET statement_timeout TO '3min'

SHOW statement_timeout

SET statement_timeout = 'x'

SET statement_timeout = -1

SET statement_timeout = '1 fortnight'

RESET statement_timeout

SHOW statement_timeout

SET statement_timeout TO DEFAULT

SHOW TimeZone

SET TimeZone = 'Europe/Berlin'

SHOW timezone

SELECT timestamptz '2020-06-01 12:00:00+00', timestamptz '2020-01-01 12:00', date_trunc('day', timestamptz '2020-06-01 23:30:00+00'), extract(timezone from timestamptz '2020-06-01 00:00:00+00'), timestamptz '2020-06-01 23:30:00+00'::date

# The first date's midnight is before all instants here, the last date's behind them everywhere.

SELECT date '4714-11-24 BC' < now(), date '4714-11-24 BC' <= now(), date '4714-11-24 BC' = now(), date '4714-11-24 BC' <> now(), date '4714-11-24 BC' >= now(), date '4714-11-24 BC' > now()

SELECT now() < date '4714-11-24 BC', now() > date '4714-11-24 BC', date '4714-11-24 BC' > timestamptz '-infinity', date '4714-11-24 BC' < timestamptz 'infinity', timestamptz '-infinity' < date '4714-11-24 BC'

SELECT date '5874897-12-31' < now(), date '5874897-12-31' > now(), date '5874897-12-31' < timestamptz 'infinity', date '5874897-12-31' > timestamptz '-infinity', now() < date '5874897-12-31'

SELECT date '4714-11-24 BC'::timestamptz

SELECT greatest(date '4714-11-24 BC', now())

SET TIME ZONE 'America/New_York'

SELECT timestamptz '2020-06-01 12:00:00+00', timestamptz '2020-03-08 02:30', timestamptz '2020-11-01 01:30'

SET TIME ZONE -5

SELECT timestamptz '2020-06-01 12:00:00+00'

SHOW TIME ZONE

SET TIME ZONE LOCAL

SET TIME ZONE 'Nowhere/Else'

SET timezone = 'utc'

SHOW timezone

RESET timezone

SHOW DateStyle

SET DateStyle = 'German'

SELECT date '2020-02-03', timestamptz '2020-02-03 04:05:06+00', '03.04.2020'::date

SET DateStyle = 'SQL, DMY'

SELECT date '2020-02-03', timestamptz '2020-02-03 04:05:06.5+00', '03/04/2020'::date

SET DateStyle = 'Postgres, MDY'

SELECT date '2020-02-03', timestamptz '2020-02-03 04:05:06+00', '03/04/2020'::date

SET DateStyle = 'ISO, YMD'

SELECT '20-03-04'::date

SET DateStyle = 'nonsense'

SET DateStyle TO DEFAULT

SHOW DateStyle

SELECT '03/04/2020'::date, '2020-3-4'::date, 'Mar 4 2020'::date, '4 March 2020'::date, '20200304'::date, 'J2458913'::date, '2020.064'::date

SELECT '04/03/20'::date, '99-01-08'::date, 'January 8, 99 BC'::date

SELECT '13/13/2020'::date

SET extra_float_digits = 0

SELECT 0.1::float8 + 0.2::float8, 1::float8 / 3, 1e100::float8

SET extra_float_digits = -10

SELECT 1::float8 / 3

SET extra_float_digits = 4

RESET extra_float_digits

SELECT 0.1::float8 + 0.2::float8

SHOW application_name

SET application_name = 'me'

SHOW application_name

SET application_name TO ''

SHOW client_encoding

SET client_encoding = 'UTF8'

SET NAMES 'utf-8'

SET client_encoding = 'nonsense'

SET NAMES 'LATIN1'

SHOW standard_conforming_strings

SET standard_conforming_strings = off

SHOW search_path

SET search_path = public

SHOW search_path

SET search_path TO "$user", public

SHOW transaction_isolation

SHOW default_transaction_isolation

SET default_transaction_isolation = 'serializable'

SHOW default_transaction_read_only

SET default_transaction_read_only = on

CREATE TABLE read_only_test (a int)

SET default_transaction_read_only = off

SHOW work_mem

SET work_mem = '8MB'

SHOW work_mem

SET work_mem = 1

RESET work_mem

SET enable_seqscan = off

SHOW enable_seqscan

SET enable_seqscan = maybe

RESET enable_seqscan

SHOW nope

SET nope = 1

RESET nope

SET my.variable = 'x'

SHOW my.variable

SET server_version = '1'

SET LOCAL statement_timeout = 5

SET SESSION statement_timeout = 0

SHOW lock_timeout

SHOW idle_in_transaction_session_timeout

SHOW max_identifier_length

SHOW integer_datetimes

SHOW server_encoding

SHOW IntervalStyle

SHOW is_superuser

SHOW session_authorization

SHOW bytea_output

SHOW client_min_messages

SHOW synchronous_commit

DEALLOCATE nope

DEALLOCATE ALL

DEALLOCATE PREPARE ALL

DISCARD PLANS

DISCARD SEQUENCES

DISCARD TEMP

DISCARD ALL

SHOW my.variable

RESET ALL

SHOW statement_timeout

BEGIN

COMMIT

ROLLBACK

SAVEPOINT a

EXPLAIN SELECT 1

LISTEN a

NOTIFY a

UNLISTEN *

PREPARE a AS SELECT 1

VACUUM

SET timezone = '+05:30'

SHOW timezone

SELECT timestamptz '2020-07-01 00:00+00', timestamptz '2020-07-01 12:00'

SET timezone = '05:30'

SHOW timezone

SELECT timestamptz '2020-07-01 00:00+00', timestamptz '2020-07-01 12:00'

SET timezone = '-05:30'

SHOW timezone

SELECT timestamptz '2020-07-01 00:00+00', timestamptz '2020-07-01 12:00'

SET timezone = '-5:30:15'

SHOW timezone

SELECT timestamptz '2020-07-01 00:00+00', timestamptz '2020-07-01 12:00'

SET timezone = '+5'

SHOW timezone

SELECT timestamptz '2020-07-01 00:00+00', timestamptz '2020-07-01 12:00'

SET timezone = '5.5'

SHOW timezone

SELECT timestamptz '2020-07-01 00:00+00', timestamptz '2020-07-01 12:00'

SET timezone = '5.55'

SHOW timezone

SELECT timestamptz '2020-07-01 00:00+00', timestamptz '2020-07-01 12:00'

SET timezone = '0530'

SHOW timezone

SELECT timestamptz '2020-07-01 00:00+00', timestamptz '2020-07-01 12:00'

SET timezone = '+0530'

SHOW timezone

SELECT timestamptz '2020-07-01 00:00+00', timestamptz '2020-07-01 12:00'

SET timezone = 'xyz5'

SHOW timezone

SELECT timestamptz '2020-07-01 00:00+00', timestamptz '2020-07-01 12:00'

SET timezone = 'XYZ+5:30'

SHOW timezone

SELECT timestamptz '2020-07-01 00:00+00', timestamptz '2020-07-01 12:00'

SET timezone = '<+03>-03'

SHOW timezone

SELECT timestamptz '2020-07-01 00:00+00', timestamptz '2020-07-01 12:00'

SET timezone = '<ab>5'

SHOW timezone

SELECT timestamptz '2020-07-01 00:00+00', timestamptz '2020-07-01 12:00'

SET timezone = 'UTC+3'

SHOW timezone

SELECT timestamptz '2020-07-01 00:00+00', timestamptz '2020-07-01 12:00'

SET timezone = 'Etc/GMT-3'

SHOW timezone

SELECT timestamptz '2020-07-01 00:00+00', timestamptz '2020-07-01 12:00'

SET timezone = '+25:00'

SHOW timezone

SELECT timestamptz '2020-07-01 00:00+00', timestamptz '2020-07-01 12:00'

SET timezone = '100'

SHOW timezone

SELECT timestamptz '2020-07-01 00:00+00', timestamptz '2020-07-01 12:00'

SET timezone = 'XYZ167'

SHOW timezone

SELECT timestamptz '2020-07-01 00:00+00', timestamptz '2020-07-01 12:00'

SET timezone = 'XYZ168'

SHOW timezone

SELECT timestamptz '2020-07-01 00:00+00', timestamptz '2020-07-01 12:00'

SET timezone = '+05:60'

SHOW timezone

SELECT timestamptz '2020-07-01 00:00+00', timestamptz '2020-07-01 12:00'

SET timezone = '+5:3'

SHOW timezone

SELECT timestamptz '2020-07-01 00:00+00', timestamptz '2020-07-01 12:00'

SET timezone = '5:'

SHOW timezone

SELECT timestamptz '2020-07-01 00:00+00', timestamptz '2020-07-01 12:00'

SET timezone = '+'

SHOW timezone

SELECT timestamptz '2020-07-01 00:00+00', timestamptz '2020-07-01 12:00'

SET timezone = 'utc '

SHOW timezone

SELECT timestamptz '2020-07-01 00:00+00', timestamptz '2020-07-01 12:00'

SET timezone = 'CET-1CEST,M3.5.0,M10.5.0/3'

SHOW timezone

SELECT timestamptz '2020-07-01 00:00+00', timestamptz '2020-07-01 12:00'

SELECT timestamptz '2020-07-01 12:00 +05:30', timestamptz '2020-07-01 12:00 XYZ+05:30', date_trunc('day', timestamptz '2020-07-01 12:00', '+05:30')

SELECT date_trunc('day', timestamptz '2020-07-01 12:00', '-05:30:15'), date_trunc('day', timestamptz '2020-07-01 12:00', '100')

RESET timezone

# Units, fractions, and numbers in other bases.

SET statement_timeout = '600us'

SHOW statement_timeout

SET statement_timeout = '1.5s'

SHOW statement_timeout

SET statement_timeout = 1.5

SHOW statement_timeout

SET statement_timeout = '0x10'

SHOW statement_timeout

SET statement_timeout = '010'

SHOW statement_timeout

SET statement_timeout = '1e3'

SHOW statement_timeout

SET statement_timeout = ' 1.7 min '

SHOW statement_timeout

SET statement_timeout = '0.4'

SHOW statement_timeout

SET statement_timeout = '99999999999'

SET statement_timeout = '1 ms x'

RESET statement_timeout

SET work_mem = '100000B'

SHOW work_mem

SET work_mem = '1.3MB'

SHOW work_mem

RESET work_mem

SET extra_float_digits = '1ms'

SET effective_cache_size = 0

SET random_page_cost = -1

# What a transaction begins with, and what ends with it.

SHOW transaction_isolation

SET default_transaction_isolation = 'read uncommitted'

SHOW transaction_isolation

RESET default_transaction_isolation

SET default_transaction_read_only = on

SHOW transaction_read_only

SET default_transaction_read_only = off

SET default_transaction_deferrable = on

SHOW transaction_deferrable

RESET default_transaction_deferrable

SET transaction_read_only = on

SHOW transaction_read_only

SET transaction_isolation = 'nope'

# The path of names.

CREATE TABLE on_path (k int)

SET search_path = "$user", "B c"

SHOW search_path

SELECT current_schema(), current_schema

SELECT * FROM on_path

INSERT INTO on_path VALUES (1)

CREATE TABLE nowhere (k int)

DROP TABLE on_path

DROP TABLE IF EXISTS on_path

SELECT * FROM public.on_path

SET search_path = pg_catalog, public

SELECT current_schema()

CREATE TABLE nowhere (k int)

SELECT * FROM on_path

SET search_path = ''

SHOW search_path

DROP TABLE public.on_path

RESET search_path

SHOW search_path

# Names that are none, and values of settings that pg_dump and drivers send.

SET "a.1b" = 1

SET "a b.c" = 1

SET a.b = 'x'

SHOW a.c

SET check_function_bodies = false

SET default_tablespace = ''

SET default_table_access_method = heap

SET quote_all_identifiers = true

SET synchronize_seqscans TO off

SET row_security = off

SET xmloption = content

SET idle_session_timeout = 60000

SHOW idle_session_timeout

RESET idle_session_timeout

RESET ALL

SHOW role

SET ROLE nobody_at_all

SET SESSION AUTHORIZATION nobody_at_all

SET ROLE postgres

SHOW role

SELECT current_user, session_user

RESET ROLE

SHOW role

SET ROLE postgres; RESET ALL; SHOW role

SHOW role

DISCARD ALL

SHOW role

SET default_with_oids = no

SHOW default_with_oids

SET constraint_exclusion = yes

SHOW constraint_exclusion

RESET constraint_exclusion

# Names of a path that would be read as something else are shown in quotes.

SET search_path = "select", "A", public, "user", "between", abc, "a$", "ünd", "date", "varying", "over"

SHOW search_path

SET search_path = 1, 'x', "2"

SHOW search_path

RESET search_path

SET application_name = a, b

SET work_mem = '1MB', '2MB'

SET nope = 1, 2

SET datestyle = 'sql', 'dmy'

SHOW datestyle

RESET datestyle

# Modes of a transaction, and of those to come.

SET TRANSACTION ISOLATION LEVEL READ COMMITTED

SET TRANSACTION READ ONLY

SET LOCAL TRANSACTION READ WRITE, ISOLATION LEVEL READ UNCOMMITTED, NOT DEFERRABLE

SHOW transaction_isolation

SET TRANSACTION ISOLATION LEVEL SERIALIZABLE

SET TRANSACTION READ ONLY; SHOW transaction_read_only; CREATE TABLE read_only_test (a int)

SHOW transaction_read_only

SET TRANSACTION READ ONLY, READ WRITE; SHOW transaction_read_only

SET TRANSACTION READ ONLY; SET TRANSACTION READ WRITE; SHOW transaction_read_only

SET TRANSACTION READ ONLY; SELECT 1; SET TRANSACTION READ WRITE

SELECT 1; SET TRANSACTION READ ONLY; SHOW transaction_read_only

SELECT 1; SET TRANSACTION READ WRITE

SELECT 1; SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED

SELECT 1; SET transaction_isolation = 'read committed'

SELECT 1; SET transaction_isolation = 'read uncommitted'

SELECT 1; SET transaction_deferrable = off

SELECT 1; RESET transaction_deferrable

SHOW transaction_isolation; SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED; SHOW transaction_isolation

RESET transaction_isolation

SET transaction_isolation TO DEFAULT

RESET TRANSACTION ISOLATION LEVEL

RESET transaction_read_only

SET LOCAL transaction_isolation TO DEFAULT

SHOW work_mem; RESET transaction_isolation

SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY

SHOW default_transaction_read_only

CREATE TABLE read_only_test (a int)

SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE, DEFERRABLE, ISOLATION LEVEL READ UNCOMMITTED

SHOW default_transaction_deferrable

SHOW transaction_isolation

SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY; SHOW transaction_read_only; SHOW default_transaction_read_only

SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE

RESET ALL

# What is set for a transaction ends with it, and what is set in one that fails was not.

SET LOCAL work_mem = '8MB'; SHOW work_mem

SHOW work_mem

SET LOCAL work_mem = '8MB'; SET work_mem = '9MB'; SET LOCAL work_mem = '10MB'; SHOW work_mem

SHOW work_mem

SET LOCAL work_mem = '8MB'; RESET ALL; SHOW work_mem

SHOW work_mem

SET LOCAL my.x = 1

SHOW my.x

SET LOCAL my.y = 1; SHOW my.y

SHOW my.y

SET LOCAL nope = 1

SET LOCAL TIME ZONE 'Europe/Berlin'; SELECT timestamptz '2020-06-01 12:00:00+00'

SELECT timestamptz '2020-06-01 12:00:00+00'

SET work_mem = '11MB'; SELECT 1 / 0

SHOW work_mem

SET work_mem = '11MB'; SELECT nope

SHOW work_mem

SET TIME ZONE 'Europe/Berlin'; SET work_mem = 'x'

SHOW TimeZone

SET search_path = ''; SELECT nope

SHOW search_path

RESET ALL; SELECT 1 / 0

DISCARD ALL; SELECT 1

SELECT 1; DISCARD ALL

SET application_name = 'one'; SET application_name = 'two'

SET SESSION AUTHORIZATION postgres

SET SESSION AUTHORIZATION DEFAULT

RESET SESSION AUTHORIZATION

# What is said beside an answer, as far as it is wanted.

SET client_min_messages = warning

DROP TABLE IF EXISTS never_there

SET LOCAL work_mem = '8MB'

SET client_min_messages = 'error'

SET LOCAL work_mem = '8MB'

DROP TABLE IF EXISTS never_there

SELECT 1 / 0

SET client_min_messages = log

DROP TABLE IF EXISTS never_there

SET client_min_messages = panic

RESET client_min_messages

DROP TABLE IF EXISTS never_there

SET LOCAL client_min_messages = error; SET LOCAL work_mem = '8MB'; SHOW client_min_messages

# Words that stand for others, and numbers with a fraction.

SET LOCAL client_min_messages = debug; SHOW client_min_messages

SET client_min_messages = info

SHOW client_min_messages

RESET client_min_messages

SET constraint_exclusion = true

SHOW constraint_exclusion

SET constraint_exclusion = no

SHOW constraint_exclusion

SET constraint_exclusion = maybe

SET synchronous_commit = true

SHOW synchronous_commit

SET backslash_quote = yes

SHOW backslash_quote

SET backslash_quote = off

SET standard_conforming_strings = 1

SET hash_mem_multiplier = 0.5

SET hash_mem_multiplier = 1000.5

SET cursor_tuple_fraction = 2

SET cpu_tuple_cost = -0.5

SET seq_page_cost = '1e1'

SHOW seq_page_cost

SET random_page_cost = 4.0

SHOW random_page_cost

SET random_page_cost = 'x'

RESET ALL
