# INSERT: lists, defaults, RETURNING, ON CONFLICT, and what each refuses.

CREATE TABLE t (k int PRIMARY KEY, v text, n numeric(6,2) NOT NULL, d date)

INSERT INTO t VALUES (1, 'one', 1.005, '2020-01-01')

INSERT INTO t VALUES (2, 'two', 2, '2020-01-02'), (3, NULL, 3.14159, NULL), (4, '', -4, 'epoch')

INSERT INTO t (n, k) VALUES (5, 5)

INSERT INTO t (k, n, v) VALUES (6, '6.5', 'six') RETURNING k, v, n, d

INSERT INTO t VALUES (7, 'seven', 7) RETURNING *

INSERT INTO t VALUES (8, 'eight', 8) RETURNING k + 1 AS next, upper(v), n * 2

INSERT INTO t AS other VALUES (9, 'nine', 9) RETURNING other.k, t.k

INSERT INTO t AS other VALUES (9, 'nine', 9) RETURNING other.k

SELECT * FROM t ORDER BY k

INSERT INTO t VALUES (1, 'again', 1)

INSERT INTO t VALUES (10, 'x', 1), (10, 'y', 2)

SELECT count(*) FROM t WHERE k = 10

INSERT INTO t VALUES (1, 'again', 1) ON CONFLICT DO NOTHING

INSERT INTO t VALUES (1, 'again', 1) ON CONFLICT (k) DO NOTHING

INSERT INTO t VALUES (1, 'again', 1), (11, 'new', 11), (11, 'twice', 11) ON CONFLICT DO NOTHING RETURNING k, v

INSERT INTO t VALUES (1, 'again', 1) ON CONFLICT (v) DO NOTHING

INSERT INTO t VALUES (1, 'again', 1) ON CONFLICT ON CONSTRAINT t_pkey DO NOTHING

INSERT INTO t VALUES (1, 'again', 1) ON CONFLICT ON CONSTRAINT nope DO NOTHING

SELECT k, v FROM t WHERE k IN (1, 11) ORDER BY k

INSERT INTO t VALUES (12, 'x', NULL)

INSERT INTO t (k, v) VALUES (12, 'x')

INSERT INTO t VALUES (NULL, 'x', 1)

INSERT INTO t VALUES (12, 'x', 12345.678)

INSERT INTO t VALUES ('x', 'x', 1)

INSERT INTO t VALUES (12.5, 'x', 1)

INSERT INTO t VALUES (99999999999, 'x', 1)

INSERT INTO t VALUES (12, 'x', 1, 'notadate')

INSERT INTO t VALUES (12, 'x', 1, '2020-01-01', 5)

INSERT INTO t (k, v) VALUES (12)

INSERT INTO t (k, v) VALUES (12, 'x', 1)

INSERT INTO t (k, v, k) VALUES (12, 'x', 1)

INSERT INTO t (k, nope) VALUES (12, 'x')

INSERT INTO t VALUES (12, true, 1)

INSERT INTO t VALUES (12, 5, 1)

INSERT INTO t VALUES (true, 'x', 1)

INSERT INTO t VALUES (13, 'a' || 'b', 1 + 1, date '2020-02-28' + 2)

INSERT INTO t VALUES (14, DEFAULT, 3, DEFAULT) RETURNING *

INSERT INTO t (k, n) VALUES (15, DEFAULT)

INSERT INTO t VALUES (16, 'x', 1), (17, 'y')

INSERT INTO t VALUES (18, upper('x'), abs(-3.5), NULL) RETURNING v, n

SELECT * FROM t ORDER BY k DESC

INSERT INTO t DEFAULT VALUES

INSERT INTO absent VALUES (1)

INSERT INTO t VALUES (19, v, 1)

INSERT INTO t VALUES (20, 'x', sum(1))

INSERT INTO t VALUES (21, 'x', 1) RETURNING nope

INSERT INTO t VALUES (21, 'x', 1) RETURNING count(*)

INSERT INTO t VALUES (21, 'x', 1 / 0)

CREATE TABLE keyless (a int, b text)

INSERT INTO keyless VALUES (1, 'a'), (1, 'a'), (NULL, NULL)

INSERT INTO keyless SELECT k, v FROM t WHERE false

SELECT * FROM keyless

CREATE TABLE texts (k text PRIMARY KEY, v varchar(3))

INSERT INTO texts VALUES ('a', 'abc'), ('A', 'äöü'), ('', NULL), ('ab', 'ab   ')

INSERT INTO texts VALUES ('b', 'abcd')

INSERT INTO texts VALUES ('b', 'abc  ') RETURNING length(v)

SELECT * FROM texts ORDER BY k

CREATE TABLE composite (a int, b text, c numeric, d float8, PRIMARY KEY (a, b, c, d))

INSERT INTO composite VALUES (1, 'x', 1.0, 0.5), (1, 'x', 1.00, 0.5)

INSERT INTO composite VALUES (1, 'x', 1.0, 0.5), (1, 'x', 1.0, 'NaN'), (1, 'x', 'NaN', 0), (-1, '', -1, '-Infinity')

INSERT INTO composite VALUES (1, 'x', 1.000, 0.5)

INSERT INTO composite VALUES (1, 'x', 'NaN', -0.0)

SELECT * FROM composite ORDER BY a, b, c, d

SELECT * FROM composite WHERE a = 1 AND b = 'x' AND c = 1 AND d = 0.5

# What a key's column in ON CONFLICT may say beside its name.

CREATE TABLE inferred (k int PRIMARY KEY)

INSERT INTO inferred VALUES (1) ON CONFLICT (k ASC) DO NOTHING

INSERT INTO inferred VALUES (1) ON CONFLICT (k DESC) DO NOTHING

INSERT INTO inferred VALUES (1) ON CONFLICT (k NULLS FIRST) DO NOTHING

INSERT INTO inferred VALUES (1) ON CONFLICT (nope DESC) DO NOTHING

INSERT INTO inferred VALUES (1) ON CONFLICT (k) DO NOTHING

INSERT INTO inferred VALUES (1) ON CONFLICT (k int4_ops) DO NOTHING

DROP TABLE inferred
