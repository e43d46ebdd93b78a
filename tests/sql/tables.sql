# CREATE TABLE and DROP TABLE: what is taken, what is refused, and how it is said.

CREATE TABLE plain (a int, b text)

CREATE TABLE plain (a int)

CREATE TABLE IF NOT EXISTS plain (c int)

CREATE TABLE keyed (a int PRIMARY KEY, b text NOT NULL, c varchar(10) NULL)

CREATE TABLE keyed_below (a int, b text, PRIMARY KEY (b, a))

CREATE TABLE keyed_by_name (a int, CONSTRAINT the_key PRIMARY KEY (a))

CREATE TABLE every (a bool, b int2, c int4, d int8, e float8, f numeric, g numeric(10,2), h text, i varchar, j varchar(3), k date, l timestamptz)

CREATE TABLE spelled (a boolean, b smallint, c integer, d bigint, e double precision, f decimal(5), g character varying(7), h timestamp with time zone, i float, j float(53))

SELECT * FROM every

SELECT * FROM spelled

SELECT * FROM keyed

CREATE TABLE "Quoted Name" ("A" int PRIMARY KEY, "b c" text)

SELECT "A", "b c" FROM "Quoted Name"

SELECT a FROM "Quoted Name"

SELECT * FROM quoted_name

CREATE TABLE twice (a int, a text)

CREATE TABLE two_keys (a int PRIMARY KEY, b int PRIMARY KEY)

CREATE TABLE no_such_key (a int, PRIMARY KEY (b))

CREATE TABLE key_twice (a int, PRIMARY KEY (a, a))

CREATE TABLE no_such_type (a nonsense)

CREATE TABLE no_such_schema.t (a int)

CREATE TABLE conflicting (a int NOT NULL NULL)

CREATE TABLE too_precise (a numeric(1001))

CREATE TABLE scale_too_large (a numeric(5,1001))

CREATE TABLE no_length (a varchar(0))

CREATE TABLE system_column (ctid int)

CREATE TABLE public.qualified (a int PRIMARY KEY)

INSERT INTO public.qualified VALUES (1)

SELECT qualified.a, public.qualified.a FROM public.qualified

INSERT INTO keyed VALUES (1, 'x', 'y')

INSERT INTO keyed_below VALUES (1, 'x'), (1, 'y'), (2, 'x')

INSERT INTO keyed_below VALUES (1, 'x')

INSERT INTO keyed_below (a) VALUES (9)

INSERT INTO keyed_by_name VALUES (1), (1)

SELECT b, a FROM keyed_below ORDER BY b, a

DROP TABLE plain

SELECT * FROM plain

DROP TABLE plain

DROP TABLE IF EXISTS plain

DROP TABLE IF EXISTS plain, spelled, absent

DROP TABLE keyed, absent

SELECT * FROM keyed

DROP TABLE public.qualified CASCADE

DROP TABLE keyed RESTRICT

SELECT * FROM keyed

CREATE TABLE keyed (other text PRIMARY KEY)

SELECT * FROM keyed

INSERT INTO keyed VALUES ('again')

SELECT * FROM keyed

CREATE TABLE a_name_of_sixty_three_bytes_which_is_the_longest_that_there_is_ (a int PRIMARY KEY)

INSERT INTO a_name_of_sixty_three_bytes_which_is_the_longest_that_there_is_ VALUES (1), (1)

DROP TABLE a_name_of_sixty_three_bytes_which_is_the_longest_that_there_is_

CREATE TABLE empty ()

SELECT * FROM empty

DROP TABLE empty

# Clauses that say more than is done here.

CREATE TABLE clauses (a int COLLATE "C")

CREATE TABLE clauses (a int) ON COMMIT DROP

CREATE TABLE clauses (a int) ON COMMIT PRESERVE ROWS

CREATE TABLE clauses (a int)

CREATE TABLE clauses (a text COMPRESSION pglz)

CREATE TABLE clauses (a text STORAGE external)

CREATE TABLE clauses (a int NOT NULL NO INHERIT)

CREATE TABLE clauses (a int PRIMARY KEY USING INDEX TABLESPACE pg_default)

DROP TABLE clauses

# What is absent is named.

ALTER ROLE nobody_at_all SET work_mem = '5MB'

SHOW max_connections

SET geqo_threshold = 13

SELECT 'a'::aclitem

SELECT bit_length('a')

SELECT pg_relation_size(1)

SELECT to_nothing(1)

# The database before the schema; a key from an index.

CREATE TABLE nodb.public.far (a int)

CREATE TABLE nodb.nope.far (a int)

CREATE TABLE postgres.public.far (a int)

SELECT * FROM postgres.public.far

SELECT * FROM nodb.public.far

DROP TABLE nodb.public.far

DROP TABLE IF EXISTS nodb.public.far

DROP TABLE a.b.c.d

DROP TABLE postgres.public.far

CREATE TABLE far (a int, PRIMARY KEY USING INDEX other_pkey)

CREATE TABLE far (a int, CONSTRAINT c PRIMARY KEY USING INDEX other_pkey)
