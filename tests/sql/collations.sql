# COLLATE: which collations there are, where two of them may not meet, and what depends on them.

CREATE TABLE collated (k int PRIMARY KEY, w text, v varchar(5))

INSERT INTO collated VALUES (1, 'Ä', 'b'), (2, 'ä', 'Ö'), (3, 'a', NULL)

# Names.

SELECT w COLLATE "C", w COLLATE "POSIX", w COLLATE "default", w COLLATE "C.utf8", w COLLATE ucs_basic FROM collated

SELECT w COLLATE pg_catalog."C", w COLLATE postgres.pg_catalog."C" FROM collated

SELECT w COLLATE "nope" FROM collated

SELECT w COLLATE c FROM collated

SELECT w COLLATE "en_US" FROM collated

SELECT w COLLATE nope."C" FROM collated

SELECT w COLLATE public."C" FROM collated

SELECT w COLLATE information_schema."C" FROM collated

SELECT w COLLATE a.b.c FROM collated

SELECT w COLLATE a.b.c.d FROM collated

SELECT w COLLATE "en-x-icu" FROM collated

SELECT k COLLATE "nope" FROM collated

SELECT now() COLLATE "C"

SELECT nope COLLATE "nope" FROM collated

CREATE TABLE uncollated (a int COLLATE "nope")

CREATE TABLE uncollated (a int COLLATE "C")

CREATE TABLE uncollated (a text COLLATE "nope")

CREATE TABLE uncollated (a text COLLATE nope."C")

# Two that differ do not meet, whatever is between.

SELECT w COLLATE "C" < w COLLATE "POSIX" FROM collated

SELECT w COLLATE "C" < w COLLATE "default" FROM collated

SELECT w COLLATE "C" = v COLLATE pg_catalog."C" FROM collated

SELECT w COLLATE "C" LIKE v COLLATE "POSIX" FROM collated

SELECT w COLLATE "C" || 'x' || v COLLATE "POSIX" FROM collated

SELECT upper(w COLLATE "C") < lower(v COLLATE "POSIX") FROM collated

SELECT length(w COLLATE "C") < length(w COLLATE "POSIX") FROM collated

SELECT (w COLLATE "C")::varchar(2) < v COLLATE "POSIX" FROM collated

SELECT concat(k, w COLLATE "C", w COLLATE "POSIX") FROM collated

SELECT ('a' COLLATE "C" || 'b' COLLATE "POSIX") COLLATE "C"

SELECT 'a' COLLATE "C" COLLATE "POSIX" < 'b' COLLATE "POSIX"

SELECT k FROM collated WHERE w BETWEEN ('a' COLLATE "C") AND ('z' COLLATE "POSIX")

SELECT k FROM collated WHERE w COLLATE "C" BETWEEN 'a' AND ('z' COLLATE "POSIX")

SELECT k FROM collated WHERE w IN ('a' COLLATE "C", 'z' COLLATE "POSIX")

SELECT k FROM collated WHERE w COLLATE "C" NOT IN ('a', 'z' COLLATE "POSIX")

SELECT k FROM collated WHERE w IN (w COLLATE "C", v COLLATE "POSIX") ORDER BY k

SELECT w COLLATE "C" IS NULL, w COLLATE "C" IS DISTINCT FROM w COLLATE "POSIX" FROM collated

SELECT coalesce(w COLLATE "C", v COLLATE "POSIX") FROM collated

SELECT nullif(w COLLATE "C", v COLLATE "POSIX") FROM collated

SELECT greatest(w, w COLLATE "C", v COLLATE "POSIX") FROM collated

SELECT CASE WHEN k = 1 THEN w COLLATE "POSIX" ELSE w COLLATE "C" END FROM collated

SELECT CASE w COLLATE "C" WHEN w COLLATE "POSIX" THEN 1 END FROM collated

SELECT CASE w COLLATE "C" || v COLLATE "POSIX" WHEN 'a' THEN 1 END FROM collated

SELECT CASE WHEN w COLLATE "C" < 'b' THEN w COLLATE "POSIX" END FROM collated

SELECT count(*) FILTER (WHERE w COLLATE "C" < w COLLATE "POSIX") FROM collated

SELECT max(w COLLATE "C" || v COLLATE "POSIX") FROM collated

SELECT 1 FROM collated HAVING max(w COLLATE "C") > min(v COLLATE "POSIX")

SELECT max(w COLLATE "C") FILTER (WHERE v COLLATE "POSIX" < 'x') COLLATE "POSIX" FROM collated

SELECT a.k FROM collated a JOIN collated b ON a.w COLLATE "C" = b.w COLLATE "POSIX"

SELECT w, w COLLATE "C" < w COLLATE "POSIX" FROM collated GROUP BY k

SELECT count(*) FROM collated GROUP BY w COLLATE "C" < w COLLATE "POSIX"

SELECT k FROM collated ORDER BY w COLLATE "C" < w COLLATE "POSIX"

SELECT k FROM collated LIMIT length('a' COLLATE "C" || 'b' COLLATE "POSIX")

SELECT nope, w COLLATE "C" < w COLLATE "POSIX" FROM collated

UPDATE collated SET w = w COLLATE "C" || v COLLATE "POSIX"

UPDATE collated SET w = w COLLATE "C", v = v COLLATE "POSIX" WHERE k = 1

INSERT INTO collated VALUES (4, 'a' COLLATE "C" || 'b' COLLATE "POSIX")

INSERT INTO collated VALUES (4, 'a' COLLATE "C", 'b' COLLATE "POSIX") RETURNING w COLLATE "C" = v COLLATE "POSIX"

INSERT INTO collated VALUES ('4' COLLATE "C", 'a' COLLATE "C", 'b' COLLATE "POSIX") RETURNING w COLLATE "POSIX"

DELETE FROM collated WHERE w COLLATE "C" = v COLLATE "POSIX"

DELETE FROM collated WHERE k = 4 RETURNING w COLLATE "C", v COLLATE "POSIX"

# It is part of an expression.

SELECT w COLLATE "C" FROM collated GROUP BY w

SELECT w FROM collated GROUP BY w COLLATE "C"

SELECT w COLLATE "C" FROM collated GROUP BY w COLLATE "POSIX"

SELECT w COLLATE "C", count(*) FROM collated GROUP BY w COLLATE "C"

SELECT DISTINCT w FROM collated ORDER BY w COLLATE "C"

SELECT DISTINCT w COLLATE "C" FROM collated ORDER BY w COLLATE "C"

SELECT DISTINCT 'a' COLLATE "C" ORDER BY 'a' COLLATE "C"

SELECT w COLLATE "C", w COLLATE "POSIX" FROM collated ORDER BY 1, 2

# What has no type yet gets it under the COLLATE.

SELECT '1' COLLATE "C" = k FROM collated

SELECT '1' COLLATE "C" + 1, coalesce('1' COLLATE "C", 2), date('2020-01-01' COLLATE "C")

SELECT 'x' COLLATE "C" < 1

SELECT ('x' COLLATE "C")::int

SELECT 'x' COLLATE "C" AND true

SELECT int4('5' COLLATE "C")

SELECT NULL COLLATE "C" IS NULL, upper(NULL COLLATE "C")

SELECT 1 LIMIT '1' COLLATE "C"

# Letters beyond ASCII have two cases under some.

SELECT lower(w COLLATE "C"), upper(w COLLATE "C"), lower(w COLLATE "default"), upper(w COLLATE "C.utf8"), upper(w COLLATE ucs_basic) FROM collated

SELECT lower('ÄA' COLLATE "C"), lower('ÄA' || 'ÖB' COLLATE "POSIX"), lower('ÄA')

SELECT k FROM collated WHERE w COLLATE "C" ILIKE 'Ä' ORDER BY k

SELECT k FROM collated WHERE w COLLATE "default" NOT ILIKE 'Ä' ORDER BY k

SELECT k FROM collated WHERE w NOT ILIKE 'Ä' COLLATE "POSIX" ORDER BY k

SELECT lower(max(w COLLATE "C")), lower(max(w)) FROM collated

SELECT lower(w COLLATE "C"), lower(w) FROM collated GROUP BY w COLLATE "C", w

SELECT CASE w COLLATE "C" WHEN 'Ä' THEN lower(w) ELSE lower(w COLLATE "C") END FROM collated

SELECT lower(current_user || 'Ä'), lower(current_user || 'Ä' COLLATE "default"), upper(current_database() || 'ä')

DROP TABLE collated

# Columns have collations; two that differ may meet, but not be compared.

CREATE TABLE collated (k int PRIMARY KEY, w text, c text COLLATE "C", p varchar(9) COLLATE "POSIX", d text COLLATE "default", u text COLLATE "C.utf8")

INSERT INTO collated VALUES (1, 'Ä', 'Ä', 'Ä', 'Ä', 'Ä'), (2, 'B', 'B', 'B', 'B', 'B')

SELECT lower(w), lower(c), lower(p), lower(d), lower(u), lower(c || w), lower(w || c) FROM collated

SELECT lower(c COLLATE "default"), lower(w || c COLLATE "C.utf8") FROM collated

SELECT k FROM collated WHERE c ILIKE 'ä'

SELECT k FROM collated WHERE w ILIKE 'ä'

SELECT k FROM collated WHERE c < 'Z' AND w = c AND c = w ORDER BY k

UPDATE collated SET w = lower(c) WHERE k = 1 RETURNING w

SELECT c < p FROM collated

SELECT c = p FROM collated

SELECT c = p COLLATE "C", c || w < 'x', c COLLATE "C" = p FROM collated

SELECT c COLLATE "C" = p COLLATE "POSIX" FROM collated

SELECT u <> c || 'x' FROM collated

SELECT c = current_user, k FROM collated

SELECT p = current_user, k FROM collated

SELECT c || p FROM collated

SELECT length(c || p), c LIKE p, coalesce(c, p) FROM collated

SELECT lower(c || p) FROM collated

SELECT upper(coalesce(c, p)) FROM collated

SELECT c ILIKE p FROM collated

SELECT c NOT ILIKE p FROM collated

SELECT c IN (p, 'x') FROM collated

SELECT 'x' IN (c, p) FROM collated

SELECT greatest(c, p) FROM collated

SELECT nullif(c, p) FROM collated

SELECT c IS DISTINCT FROM p FROM collated

SELECT c BETWEEN 'A' AND p FROM collated

SELECT CASE c || p WHEN 'a' THEN 1 END FROM collated

SELECT CASE c WHEN 'a' THEN c ELSE p END FROM collated

SELECT strpos(c, p) FROM collated

SELECT position(c IN p) FROM collated

SELECT replace(c, p, 'x') FROM collated

SELECT max(c || p) FROM collated

SELECT count(c || p) FROM collated

SELECT count(DISTINCT c || p) FROM collated

SELECT c || p FROM collated ORDER BY 1

SELECT k FROM collated ORDER BY c || p

SELECT c || p FROM collated GROUP BY 1

SELECT count(*) FROM collated GROUP BY c || p

SELECT DISTINCT c || p FROM collated

SELECT DISTINCT (c || p) COLLATE "C" FROM collated

SELECT c, p FROM collated GROUP BY c, p ORDER BY c, p

UPDATE collated SET w = c || p WHERE k = 2 RETURNING w

DELETE FROM collated WHERE c < p

DROP TABLE collated

# A key that ON CONFLICT names by its collation is that of a column that has it.

CREATE TABLE collated (k text PRIMARY KEY, c text COLLATE "C")

INSERT INTO collated VALUES ('a')

INSERT INTO collated VALUES ('a') ON CONFLICT (k COLLATE "default") DO NOTHING

INSERT INTO collated VALUES ('a') ON CONFLICT (k COLLATE "C") DO NOTHING

INSERT INTO collated VALUES ('a') ON CONFLICT (k COLLATE "nope") DO NOTHING

INSERT INTO collated VALUES ('a') ON CONFLICT (k COLLATE nope."C") DO NOTHING

INSERT INTO collated VALUES ('a') ON CONFLICT (c COLLATE "C") DO NOTHING

DROP TABLE collated

CREATE TABLE collated (k text COLLATE "C" PRIMARY KEY)

INSERT INTO collated VALUES ('a')

INSERT INTO collated VALUES ('a') ON CONFLICT (k COLLATE "C") DO NOTHING

INSERT INTO collated VALUES ('a') ON CONFLICT (k COLLATE "POSIX") DO NOTHING

DROP TABLE collated
