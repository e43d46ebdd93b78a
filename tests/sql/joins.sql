# Joins: comma, inner, left, USING, NATURAL, of two tables and more.

CREATE TABLE a (id int PRIMARY KEY, name text, n int)

CREATE TABLE b (id int, a_id int, v numeric, name text)

CREATE TABLE c (a_id int PRIMARY KEY, w text)

INSERT INTO a VALUES (1, 'one', 10), (2, 'two', 20), (3, 'three', NULL), (4, NULL, 40)

INSERT INTO b VALUES (1, 1, 1.5, 'b1'), (2, 1, 2.5, 'b2'), (3, 2, 3.5, 'b3'), (4, NULL, 4.5, 'b4'), (5, 9, 5.5, 'b5'), (NULL, 3, NULL, NULL)

INSERT INTO c VALUES (1, 'x'), (3, 'y'), (7, 'z')

SELECT * FROM a, b WHERE a.id = b.a_id

SELECT * FROM a JOIN b ON a.id = b.a_id

SELECT * FROM a INNER JOIN b ON a.id = b.a_id AND b.v > 2

SELECT * FROM a LEFT JOIN b ON a.id = b.a_id

SELECT * FROM a LEFT OUTER JOIN b ON a.id = b.a_id AND b.v > 2

SELECT * FROM a LEFT JOIN b ON a.id = b.a_id WHERE b.v > 2

SELECT * FROM a LEFT JOIN b ON a.id = b.a_id WHERE b.id IS NULL

SELECT a.id, b.id FROM a CROSS JOIN b ORDER BY a.id, b.id

SELECT a.id, b.id FROM a, b ORDER BY 1, 2 LIMIT 5

SELECT * FROM a JOIN b USING (id)

SELECT * FROM a LEFT JOIN b USING (id)

SELECT id, a.id, b.id FROM a LEFT JOIN b USING (id) ORDER BY id

SELECT * FROM b JOIN c USING (a_id)

SELECT * FROM a JOIN b USING (id, name)

SELECT * FROM a NATURAL JOIN b

SELECT * FROM b NATURAL JOIN c

SELECT * FROM b NATURAL LEFT JOIN c

SELECT * FROM a NATURAL JOIN c

SELECT a.name, b.name, c.w FROM a JOIN b ON b.a_id = a.id JOIN c ON c.a_id = a.id

SELECT a.name, b.name, c.w FROM a LEFT JOIN b ON b.a_id = a.id LEFT JOIN c ON c.a_id = b.a_id

SELECT a.id, b.id, c.a_id FROM a, b, c WHERE a.id = b.a_id AND b.a_id = c.a_id

SELECT a.id, b.id, c.a_id FROM a LEFT JOIN (b JOIN c ON b.a_id = c.a_id) ON a.id = b.a_id

SELECT x.id, y.id FROM a x, a y WHERE x.id < y.id ORDER BY 1, 2

SELECT x.id, y.id FROM a x JOIN a y ON x.n = y.n

SELECT x.id, y.id FROM a x LEFT JOIN a y ON x.id + 1 = y.id

SELECT a.id, b.id FROM a JOIN b ON a.id < b.id AND a.n > 15

SELECT a.id, b.id FROM a LEFT JOIN b ON a.id > b.id

SELECT a.id, b.id FROM a LEFT JOIN b ON false

SELECT a.id, b.id FROM a LEFT JOIN b ON true

SELECT a.id, b.id FROM a JOIN b ON a.n = b.v * 10

SELECT a.id, b.v FROM a JOIN b ON a.id = b.v - 0.5

SELECT a.id FROM a JOIN b ON a.name = b.name

SELECT a.id, count(b.id), sum(b.v) FROM a LEFT JOIN b ON a.id = b.a_id GROUP BY a.id ORDER BY a.id

SELECT a.id, a.name, count(*) FROM a LEFT JOIN b ON a.id = b.a_id GROUP BY a.id ORDER BY a.id

SELECT DISTINCT a.name FROM a JOIN b ON a.id = b.a_id

SELECT a.*, c.w FROM a LEFT JOIN c ON a.id = c.a_id ORDER BY c.w NULLS FIRST, a.id DESC

SELECT id FROM a, b

SELECT a.id FROM a, a

SELECT nope FROM a, b

SELECT * FROM a JOIN b ON a.id = nope.id

SELECT * FROM a JOIN b ON a.id

SELECT * FROM a JOIN b USING (nope)

SELECT * FROM a JOIN b USING (n)

SELECT * FROM a JOIN b ON a.id = c.a_id JOIN c ON true

SELECT * FROM a JOIN absent ON true

SELECT * FROM a JOIN b ON sum(a.id) = 1

SELECT * FROM a RIGHT JOIN b ON a.id = b.a_id

SELECT * FROM a FULL JOIN b ON a.id = b.a_id

SELECT a.id AS x FROM a JOIN c ON a.id = c.a_id WHERE x = 1

SELECT j.id FROM (a JOIN c ON a.id = c.a_id) AS j

DELETE FROM c WHERE a_id = 7

SELECT count(*) FROM a, b, c

# A merged column has the type that both sides come to, and the value of the side that has it.

CREATE TABLE m (k int PRIMARY KEY, s varchar(3), d date, v numeric(6,2))

CREATE TABLE n (k numeric PRIMARY KEY, s text, d timestamptz, v numeric(8,1), w int)

INSERT INTO m VALUES (1, 'a', '2020-01-01', 1.50), (2, 'b', '2020-01-02', 2.00), (3, NULL, NULL, NULL)

INSERT INTO n VALUES (1.0, 'a', '2020-01-01', 1.5, 1), (2.00, 'c', '2020-01-02 01:00', 2, 2), (2.5, 'b', NULL, NULL, 3)

SELECT k, k / 2 FROM m JOIN n USING (k)

SELECT s, s || 1 FROM m JOIN n USING (s)

SELECT d, d < now() FROM m JOIN n USING (d)

SELECT v, v * 2 FROM m JOIN n USING (v)

SELECT k, k / 2 FROM m LEFT JOIN n USING (k)

SELECT s, s || 1 FROM m LEFT JOIN n USING (s)

SELECT d, d < now() FROM m LEFT JOIN n USING (d)

SELECT v, v * 2 FROM m LEFT JOIN n USING (v)

SELECT k, k / 2, m.k / 2, n.k FROM n JOIN m USING (k)

SELECT k, k / 2 FROM n LEFT JOIN m USING (k)

SELECT * FROM m NATURAL JOIN n

SELECT * FROM m NATURAL LEFT JOIN n

SELECT * FROM n NATURAL LEFT JOIN m

SELECT k, count(*) FROM m JOIN n USING (k) GROUP BY k

SELECT k FROM m LEFT JOIN n USING (k) GROUP BY m.k

SELECT m.k FROM m LEFT JOIN n USING (k) GROUP BY k

SELECT k FROM m JOIN n USING (k) GROUP BY m.k

SELECT k / 2 FROM m JOIN n USING (k) JOIN (m AS o JOIN n AS p USING (k)) USING (k)

SELECT 1 FROM m JOIN n USING (k, k)

SELECT 1 FROM m JOIN n USING (w)

SELECT 1 FROM (m JOIN m AS o ON true) JOIN n USING (k)

SELECT 1 FROM n JOIN (m JOIN m AS o ON true) USING (k)

SELECT sum(k / 2) FROM m JOIN n USING (k) WHERE k > 1
