\set aid random(1, 10000)
SELECT abalance FROM accounts WHERE aid = :aid;
