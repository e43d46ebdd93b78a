\set aid random(1, 10000)
SELECT aid, abalance, filler FROM accounts WHERE aid = :aid;
