# UPDATE and DELETE, by key and by scan, with RETURNING.

CREATE TABLE t (k int PRIMARY KEY, v int, w text NOT NULL)

INSERT INTO t VALUES (1, 10, 'a'), (2, 20, 'b'), (3, 30, 'c'), (4, NULL, 'd'), (5, 50, 'e'), (6, 60, 'f')

UPDATE t SET v = v + 1 WHERE k = 1

UPDATE t SET v = 5 WHERE k = 100

UPDATE t SET v = v * 2, w = w || v WHERE k = 2 RETURNING *

UPDATE t SET v = k, w = upper(w) WHERE v > 20 RETURNING k, v, w

UPDATE t SET v = NULL WHERE k IN (1, 2) RETURNING k

UPDATE t SET w = NULL WHERE k = 1

UPDATE t SET w = NULL WHERE v IS NULL AND w > 'c'

UPDATE t SET k = 7 WHERE k = 1 RETURNING *

UPDATE t SET k = 2 WHERE k = 7

UPDATE t SET k = 70, v = 70 WHERE k = 7

SELECT * FROM t ORDER BY k

UPDATE t SET v = (v, 1) WHERE k = 1

UPDATE t SET (v, w) = (77, 'seventy') WHERE k = 71 RETURNING *

UPDATE t SET nope = 1

UPDATE t SET v = nope

UPDATE t SET v = 'x' WHERE k = 2

UPDATE t SET v = 1.5 WHERE k = 2 RETURNING v

UPDATE t SET v = 2.5 WHERE k = 2 RETURNING v

UPDATE t SET v = true WHERE k = 2

UPDATE t SET v = 1, v = 2

UPDATE t SET v = 9999999999 WHERE k = 2

UPDATE t SET v = v / 0 WHERE k = 3

UPDATE t SET v = DEFAULT WHERE k = 3 RETURNING v

UPDATE t AS other SET v = other.k WHERE other.k = 3 RETURNING other.v

UPDATE t AS other SET v = t.k

UPDATE t SET v = 1 WHERE sum(v) = 1

UPDATE absent SET v = 1

UPDATE t SET v = 0

SELECT * FROM t ORDER BY k

DELETE FROM t WHERE k = 2

DELETE FROM t WHERE k = 2

DELETE FROM t WHERE k = 3 RETURNING *

DELETE FROM t WHERE w LIKE 'd%' RETURNING k, upper(w) AS big

DELETE FROM t WHERE nope = 1

DELETE FROM t AS other WHERE other.k = 5 RETURNING other.*

DELETE FROM absent

DELETE FROM t WHERE k > 1000

SELECT * FROM t ORDER BY k

DELETE FROM t

SELECT count(*) FROM t

CREATE TABLE pair (a int, b text, v int, PRIMARY KEY (a, b))

INSERT INTO pair VALUES (1, 'x', 1), (1, 'y', 2), (2, 'x', 3), (2, 'y', 4)

UPDATE pair SET v = v + 10 WHERE a = 1 AND b = 'x' RETURNING *

UPDATE pair SET v = v + 100 WHERE a = 1 RETURNING *

UPDATE pair SET v = v + 1000 WHERE b = 'y'

UPDATE pair SET b = 'x' WHERE a = 1 AND b = 'y'

UPDATE pair SET a = a + 10

DELETE FROM pair WHERE a = 12 AND b IN ('x', 'z')

DELETE FROM pair WHERE a = 11 OR v = 5

SELECT * FROM pair ORDER BY a, b

CREATE TABLE keyless (a int)

INSERT INTO keyless VALUES (1), (1), (2)

UPDATE keyless SET a = a + 1 WHERE a = 1

DELETE FROM keyless WHERE a = 2 RETURNING a

SELECT * FROM keyless

CREATE TABLE long_keys (k text PRIMARY KEY, n int)

INSERT INTO long_keys VALUES ('a', 1), ('b', 2)

SELECT n FROM long_keys WHERE k = repeat('x', 9000)

SELECT n FROM long_keys WHERE k IN (repeat('x', 9000), 'a', NULL)

SELECT n FROM long_keys WHERE k >= repeat('a', 9000) AND k < repeat('x', 9000)

UPDATE long_keys SET n = 3 WHERE k = repeat('x', 9000)

DELETE FROM long_keys WHERE k = repeat('x', 9000)

DELETE FROM long_keys WHERE k IN (repeat('x', 9000), 'b') RETURNING n

SELECT count(*) FROM long_keys
