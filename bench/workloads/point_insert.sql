\set high random(1, 2000000000)
\set low random(1, 2000000000)
INSERT INTO history (high, low, delta) VALUES (:high, :low, 7);
