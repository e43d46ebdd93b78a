//! What each operator returns.

use phantom_base::sqlstate;
use phantom_types::{BATCH_ROWS, Datum, TypeId};

use super::{Database, PLENTY, shop, shown};

/// What a query returns, the same for every size of a step.
fn select(database: &Database, text: &str) -> String {
    let all = shown(&database.rows(text));
    for rows in [1, 2, 3, 1_000] {
        let ran = database.run_with(text, &[], rows, PLENTY).unwrap();
        assert_eq!(shown(&ran.rows), all, "{text} in steps of {rows}");
        assert_eq!(ran.finished.count, ran.rows.len() as u64);
    }
    all
}

#[test]
fn scans_filter_project_and_come_in_key_order() {
    let shop = shop();
    for (text, wanted) in [
        ("SELECT name FROM people", "Ada; Ben; Cy; Di"),
        ("SELECT id + age, id FROM people WHERE age > 20", "37|1; 39|3"),
        ("SELECT id FROM people WHERE age IS NULL OR name = 'Di'", "2; 4"),
        ("SELECT note FROM notes", "x; y; x"),
        ("SELECT 1 FROM people WHERE false", ""),
        ("SELECT id FROM people WHERE id IN (4, 2, 2, 77, NULL)", "2; 4"),
        ("SELECT id FROM people WHERE id = 3 AND name = 'Cy'", "3"),
        ("SELECT id FROM people WHERE 3 <= id AND id < 4", "3"),
        ("SELECT id FROM people WHERE id = NULL", ""),
        ("SELECT number FROM orders WHERE person = 1 AND number > 1", "2"),
        ("SELECT person, number FROM orders WHERE person = 1", "1|1; 1|2"),
        ("SELECT person, number FROM orders WHERE person = 1 AND number IN (2, 5)", "1|2"),
        ("SELECT person FROM orders WHERE person > 1 AND person <= 9", "3; 9"),
        ("SELECT person FROM orders WHERE person > 3 AND person < 2", ""),
    ] {
        assert_eq!(select(&shop, text), wanted, "{text}");
    }
}

#[test]
fn queries_without_tables_have_one_row() {
    let shop = shop();
    for (text, wanted) in [
        ("SELECT 1, 'a'", "1|a"),
        ("SELECT 1 WHERE false", ""),
        ("SELECT count(*), sum(1), max(2) WHERE false", "0|null|null"),
        ("SELECT count(*) FILTER (WHERE false), count(5)", "0|1"),
        ("SELECT 1 LIMIT 0", ""),
        ("SELECT 1 OFFSET 1", ""),
        ("SELECT DISTINCT 1 ORDER BY 1", "1"),
        ("SELECT 1 HAVING false", ""),
    ] {
        assert_eq!(select(&shop, text), wanted, "{text}");
    }
}

#[test]
fn groups_are_one_a_key_and_one_without_keys() {
    let shop = shop();
    for (text, wanted) in [
        (
            "SELECT age, count(*), min(name) FROM people GROUP BY age",
            "36|2|Ada; null|1|Ben; 12|1|Di",
        ),
        ("SELECT count(*), count(age), sum(age), avg(id) FROM people", "4|3|84|2.5000000000000000"),
        ("SELECT count(*) FROM people WHERE id > 100", "0"),
        ("SELECT age FROM people WHERE id > 100 GROUP BY age", ""),
        ("SELECT price, count(*) FROM orders GROUP BY price", "9.50|2; 0.5|1; 1|1"),
        ("SELECT count(DISTINCT age), sum(DISTINCT age), sum(age) FROM people", "2|48|84"),
        ("SELECT age, count(DISTINCT note) FROM people, notes GROUP BY age", "36|2; null|2; 12|2"),
        ("SELECT count(*) FILTER (WHERE age > 20), count(*) FROM people", "2|4"),
        ("SELECT age FROM people GROUP BY age HAVING count(*) > 1", "36"),
        ("SELECT bool_and(paid), bool_or(paid), max(price) FROM orders", "f|t|9.5"),
        ("SELECT count(DISTINCT age) FILTER (WHERE id <> 4) FROM people", "1"),
        ("SELECT 1 FROM people HAVING true", "1"),
    ] {
        assert_eq!(select(&shop, text), wanted, "{text}");
    }
}

#[test]
fn sorting_is_stable_and_places_nulls() {
    let shop = shop();
    for (text, wanted) in [
        ("SELECT id FROM people ORDER BY age", "4; 1; 3; 2"),
        ("SELECT id FROM people ORDER BY age DESC", "2; 1; 3; 4"),
        ("SELECT id FROM people ORDER BY age DESC NULLS LAST, name DESC", "3; 1; 4; 2"),
        ("SELECT id FROM people ORDER BY age NULLS FIRST LIMIT 2", "2; 4"),
        ("SELECT id FROM people ORDER BY age LIMIT 2 OFFSET 1", "1; 3"),
        ("SELECT id FROM people ORDER BY age OFFSET 3", "2"),
        ("SELECT id FROM people ORDER BY -id LIMIT 0", ""),
        ("SELECT DISTINCT age FROM people ORDER BY age DESC", "null; 36; 12"),
        ("SELECT DISTINCT age FROM people ORDER BY 1 LIMIT 1 OFFSET 1", "36"),
        ("SELECT price FROM orders ORDER BY price, number", "0.5; 1; 9.50; 9.5"),
    ] {
        assert_eq!(select(&shop, text), wanted, "{text}");
    }
}

#[test]
fn limits_count_what_is_returned_and_refuse_negatives() {
    let shop = shop();
    for (text, wanted) in [
        ("SELECT id FROM people LIMIT 2", "1; 2"),
        ("SELECT id FROM people LIMIT 2 OFFSET 3", "4"),
        ("SELECT id FROM people OFFSET 9", ""),
        ("SELECT id FROM people LIMIT NULL OFFSET NULL", "1; 2; 3; 4"),
        ("SELECT id FROM people LIMIT 9223372036854775807 OFFSET 3", "4"),
        // Rows that are not returned are not computed.
        ("SELECT 1 / (id - 3) FROM people LIMIT 2", "0; -1"),
    ] {
        assert_eq!(select(&shop, text), wanted, "{text}");
    }
    let refused = |text| shop.refused(text).sqlstate;
    assert_eq!(refused("SELECT 1 LIMIT -1"), sqlstate::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE);
    assert_eq!(refused("SELECT 1 OFFSET -1"), sqlstate::INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE);
}

#[test]
fn joins_pair_equal_keys_whatever_their_width() {
    let shop = shop();
    for (text, wanted) in [
        ("SELECT name, number FROM people, orders WHERE id = person", "Ada|1; Ada|2; Cy|1"),
        ("SELECT name, number FROM people JOIN orders ON person = id AND paid", "Ada|1"),
        (
            "SELECT name, number FROM people LEFT JOIN orders ON id = person",
            "Ada|1; Ada|2; Cy|1; Ben|null; Di|null",
        ),
        (
            "SELECT name, number FROM people LEFT JOIN orders ON id = person AND age < number",
            "Ada|null; Ben|null; Cy|null; Di|null",
        ),
        (
            "SELECT name, number FROM people LEFT JOIN orders ON id = person WHERE number IS NULL",
            "Ben|null; Di|null",
        ),
        ("SELECT name FROM people LEFT JOIN orders ON false", "Ada; Ben; Cy; Di"),
        ("SELECT count(*) FROM people, orders, notes", "48"),
        ("SELECT count(*) FROM people CROSS JOIN orders", "16"),
        ("SELECT note FROM notes a JOIN people ON a.person = id", "x; x"),
        ("SELECT a.id, b.id FROM people a, people b WHERE a.age = b.age AND a.id < b.id", "1|3"),
        ("SELECT a.id FROM people a, people b WHERE a.id + 3 = b.id", "1"),
        ("SELECT name FROM people, orders WHERE false", ""),
        (
            "SELECT p.name, o.number, n.note FROM people p LEFT JOIN (orders o JOIN notes n \
             ON o.person = n.person) ON p.id = o.person WHERE p.id < 3 ORDER BY 1, 2, 3",
            "Ada|1|x; Ada|1|x; Ada|2|x; Ada|2|x; Ben|null|null",
        ),
    ] {
        assert_eq!(select(&shop, text), wanted, "{text}");
    }
}

#[test]
fn a_join_of_a_million_pairs_yields() {
    let mut database = Database::default();
    database.create("n", &[("I", TypeId::INT4)], &[1]);
    for at in 0..1_000 {
        database.put("n", &[Datum::Int4(at)], 1);
    }
    let text = "SELECT count(*) FROM n a, n b WHERE a.i + b.i < -1 OR a.i * b.i = 998001";
    let ran = database.run_with(text, &[], 8_192, PLENTY).unwrap();
    assert_eq!(shown(&ran.rows), "1");
    assert!((122..140).contains(&ran.steps), "{} steps", ran.steps);
}

#[test]
fn batches_are_bounded_by_rows_and_bytes() {
    let mut database = Database::default();
    database.create("n", &[("I", TypeId::INT4)], &[1]);
    for at in 0..3_000 {
        database.put("n", &[Datum::Int4(at)], 1);
    }
    let narrow = database.run("SELECT i FROM n");
    assert_eq!((narrow.rows.len(), narrow.widest), (3_000, BATCH_ROWS));
    let wide = database.run("SELECT repeat('x', 1000 + i * 0) FROM n");
    assert_eq!(wide.rows.len(), 3_000);
    assert!((200..=262).contains(&wide.widest), "{} rows", wide.widest);
    let huge = database.run("SELECT repeat('x', 300000 + i * 0) FROM n WHERE i < 3");
    assert_eq!((huge.rows.len(), huge.widest), (3, 1));
}

#[test]
fn memory_beyond_the_limit_is_refused_by_name() {
    let mut database = Database::default();
    database.create("n", &[("I", TypeId::INT4)], &[1]);
    for at in 0..20_000 {
        database.put("n", &[Datum::Int4(at)], 1);
    }
    for (text, operator) in [
        ("SELECT i FROM n ORDER BY -i", "Sort"),
        ("SELECT i, count(*) FROM n GROUP BY i", "HashAggregate"),
        ("SELECT count(DISTINCT i) FROM n", "HashAggregate"),
        ("SELECT DISTINCT i FROM n", "Distinct"),
        ("SELECT a.i FROM n a, n b WHERE a.i = b.i", "HashJoin"),
        ("UPDATE n SET i = i + 100000", "Modify"),
        ("DELETE FROM n", "Modify"),
    ] {
        let error = database.run_with(text, &[], 8_192, 60_000).unwrap_err();
        assert_eq!(error.sqlstate, sqlstate::OUT_OF_MEMORY, "{text}");
        assert!(error.detail.contains(operator), "{text}: {}", error.detail);
        database.run(text);
    }
    // The first rows alone are kept.
    let first = database.run_with("SELECT i FROM n ORDER BY -i LIMIT 2", &[], 8_192, 60_000);
    assert_eq!(shown(&first.unwrap().rows), "19999; 19998");
}

#[test]
fn parameters_are_constants() {
    let shop = shop();
    let ran = |value: Datum| {
        let text = "SELECT name FROM people WHERE id = $1 OR name = $2 ORDER BY $3 LIMIT $4";
        let parameters = [value, Datum::text("Di"), Datum::text(""), Datum::Int8(2)];
        shop.run_with(text, &parameters, 100, PLENTY)
    };
    assert_eq!(shown(&ran(Datum::Int4(2)).unwrap().rows), "Ben; Di");
    assert_eq!(shown(&ran(Datum::Null).unwrap().rows), "Di");
    assert_eq!(ran(Datum::Bool(true)).unwrap_err().sqlstate, sqlstate::INTERNAL_ERROR);
}

#[test]
fn a_fragment_moves_between_threads() {
    fn assert_send<T: Send>() {}
    assert_send::<crate::execute::Fragment>();
}

fn letters() -> Database {
    let mut database = Database::default();
    database.create("letters", &[("K", TypeId::INT4), ("b", TypeId::TEXT)], &[1]);
    database
}

#[test]
fn values_that_do_not_fit_into_the_memory_of_a_query_are_refused_before_they_are_made() {
    let mut database = letters();
    let rows = i32::try_from(BATCH_ROWS).unwrap();
    let letters = "x".repeat(100);
    for row in 0..rows {
        database.put("letters", &[Datum::Int4(row), Datum::text(&letters)], 1);
    }
    let run = |text: &str, parameters: &[Datum], memory: usize| {
        database.run_with(text, parameters, 8_192, memory)
    };
    for text in [
        "SELECT count(*) FROM letters WHERE length(repeat(b, 50000)) > 5",
        "SELECT count(*) FROM letters WHERE lpad(b, 5000000) > 'x'",
        "SELECT count(*) FROM letters WHERE replace(b, 'x', repeat('y', 50000)) > 'x'",
        "SELECT count(*) FROM letters WHERE CASE WHEN k > 0 THEN repeat('y', 5000000) ELSE b END > b",
        "SELECT repeat('y', 5000000) FROM letters",
        "SELECT count(*) FROM letters WHERE (1e131000 + k) * (1e131000 + k) * (1e131000 + k) > 1",
        "SELECT count(*) FROM letters WHERE concat(k, repeat('y', 5000000)) > b",
        "SELECT count(*) FROM letters WHERE (k + 1e100000)::text > b",
    ] {
        let error = run(text, &[], 64 << 20).map(|ran| ran.rows).expect_err(text);
        assert_eq!(error.sqlstate, sqlstate::OUT_OF_MEMORY, "{text}: {error}");
    }
    let wide = Datum::text(&"w".repeat(5 << 20));
    for text in ["SELECT $1::text FROM letters", "SELECT b || $1::text FROM letters"] {
        let error = run(text, std::slice::from_ref(&wide), 64 << 20).expect_err(text);
        assert_eq!(error.sqlstate, sqlstate::OUT_OF_MEMORY, "{text}: {error}");
    }
}

#[test]
fn what_a_batch_took_is_free_for_the_next() {
    let mut database = letters();
    let rows = 8 * i32::try_from(BATCH_ROWS).unwrap();
    for row in 0..rows {
        database.put("letters", &[Datum::Int4(row), Datum::text("x")], 1);
    }
    // A batch of values takes a megabyte; several live at once, and there are eight of them.
    let memory = 6 << 20;
    for (text, wanted) in [
        ("SELECT count(*) FROM letters WHERE length(repeat(b, 1000) || b) = 1001", "8192"),
        ("SELECT max(length(repeat(b, 1000))), count(repeat(b, 1000)) FROM letters", "1000|8192"),
        (
            "SELECT count(*) FROM letters WHERE CASE WHEN k >= 0 THEN repeat(b, 1000) END > b",
            "8192",
        ),
        ("SELECT DISTINCT repeat(b, 1000) > b FROM letters", "t"),
        ("SELECT repeat(b, 1000) > b FROM letters ORDER BY length(repeat(b, 999)), 1 LIMIT 1", "t"),
        ("SELECT repeat(b, 1000) > b FROM letters OFFSET 8191", "t"),
        (
            "SELECT count(*) FROM letters l JOIN letters r ON repeat(l.b, 1000) = repeat(r.b, 1000) \
          WHERE r.k = 0",
            "8192",
        ),
    ] {
        let ran = database.run_with(text, &[], 8_192, memory);
        let ran = ran.unwrap_or_else(|error| panic!("{text}: {error:?}"));
        assert_eq!(shown(&ran.rows), wanted, "{text}");
    }
}

#[test]
fn a_cancelled_fragment_ends_in_the_middle_of_a_kernel() {
    use phantom_base::sync::{Arc, AtomicBool, Ordering};
    use phantom_types::{Meter, QueryMemory};

    let database = shop();
    let flag = Arc::new(AtomicBool::new(false));
    let text = "SELECT repeat($1::text, 100000) LIKE '%' || repeat($1::text, 20000) || 'b'";
    let mut context = super::eval();
    context.meter = Meter::of_query(&QueryMemory::alone(0), flag.clone());
    flag.store(true, Ordering::Relaxed);
    let error = database.fragment_with(text, &[Datum::text("a")], PLENTY, context);
    let error = error.and_then(|fragment| super::run(fragment, &database, 1)).err().unwrap();
    assert_eq!(error.sqlstate, sqlstate::QUERY_CANCELED);
}
