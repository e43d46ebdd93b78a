//! INSERT, UPDATE and DELETE: what they hand back.

use phantom_base::sqlstate;
use phantom_types::{Datum, TypeId};

use super::{Database, PLENTY, shop, shown};

/// Runs a write in steps of each size, applies it, and shows what it returned, how many rows it
/// wrote and what `then` finds after it.
fn write(database: impl Fn() -> Database, text: &str, then: &str) -> (String, u64, String) {
    let mut results = [1, 3, 8_192].map(|rows| {
        let mut database = database();
        let ran = database.run_with(text, &[], rows, PLENTY);
        let ran = ran.unwrap_or_else(|error| panic!("{text}: {error}"));
        let count = ran.finished.count;
        database.apply(ran.finished.writes, 8);
        (shown(&ran.rows), count, shown(&database.rows(then)))
    });
    assert_eq!(results[0], results[1], "{text}");
    assert_eq!(results[1], results[2], "{text}");
    std::mem::take(&mut results[0])
}

const PEOPLE: &str = "SELECT id, name, age FROM people";

#[test]
fn updates_write_new_rows_over_the_versions_that_they_saw() {
    let (rows, count, after) = write(
        shop,
        "UPDATE people SET age = age + 1, name = name || age::text WHERE age > 20 RETURNING id, age, name",
        PEOPLE,
    );
    assert_eq!((rows.as_str(), count), ("1|37|Ada36; 3|37|Cy36", 2));
    assert_eq!(after, "1|Ada36|37; 2|Ben|null; 3|Cy36|37; 4|Di|12");
    let (rows, count, after) =
        write(shop, "UPDATE notes SET note = 'z' WHERE person = 1", "SELECT note FROM notes");
    assert_eq!((rows.as_str(), count, after.as_str()), ("", 2, "z; y; z"));
}

#[test]
fn deletes_return_old_rows() {
    let (rows, count, after) =
        write(shop, "DELETE FROM people WHERE id <> 2 RETURNING name || '!'", PEOPLE);
    assert_eq!((rows.as_str(), count, after.as_str()), ("Ada!; Cy!; Di!", 3, "2|Ben|null"));
    let (_, count, after) = write(shop, "DELETE FROM notes", "SELECT * FROM notes");
    assert_eq!((count, after.as_str()), (3, ""));
    let (_, count, _) = write(shop, "DELETE FROM orders WHERE person = 1 AND number = 2", PEOPLE);
    assert_eq!(count, 1);
}

#[test]
fn rows_may_change_places() {
    let names = "SELECT id, name FROM people";
    let (_, count, after) = write(shop, "UPDATE people SET id = id + 1", names);
    assert_eq!((count, after.as_str()), (4, "2|Ada; 3|Ben; 4|Cy; 5|Di"));
    let (_, _, after) = write(shop, "UPDATE people SET id = 5 - id RETURNING id", names);
    assert_eq!(after, "1|Di; 2|Cy; 3|Ben; 4|Ada");
    let (rows, _, after) =
        write(shop, "UPDATE people SET id = id * 10 WHERE id < 3 RETURNING id", names);
    assert_eq!((rows.as_str(), after.as_str()), ("10; 20", "3|Cy; 4|Di; 10|Ada; 20|Ben"));
}

#[test]
fn a_key_is_taken_once() {
    let shop = shop();
    for text in [
        "UPDATE people SET id = 1",
        "UPDATE people SET id = 4 WHERE id = 1",
        "UPDATE people SET id = 3 WHERE id IN (1, 3)",
        "INSERT INTO people VALUES (1, 'x', 1)",
        "INSERT INTO people VALUES (8, 'x', 1), (8, 'y', 1)",
    ] {
        let error = shop.refused(text);
        assert_eq!(error.sqlstate, sqlstate::UNIQUE_VIOLATION, "{text}");
        assert_eq!(error.constraint, "people_pkey");
    }
    assert_eq!(
        shop.refused("INSERT INTO orders VALUES (1, 2, 3)").detail,
        "Key (person, number)=(1, 2) already exists."
    );
}

#[test]
fn inserts_write_each_row_and_may_skip_conflicts() {
    let (rows, count, after) = write(
        shop,
        "INSERT INTO people VALUES (6, 'Flo', 1), (1, 'No', 1), (6, 'No', 1), (5, 'Eve', NULL) \
         ON CONFLICT DO NOTHING RETURNING id, name",
        "SELECT id, name FROM people WHERE id > 3",
    );
    assert_eq!((rows.as_str(), count), ("6|Flo; 5|Eve", 2));
    assert_eq!(after, "4|Di; 5|Eve; 6|Flo");
    let text = "INSERT INTO people (name, id) VALUES (lower('A') || '1', 4 + 5)";
    let (rows, count, after) = write(shop, text, "SELECT * FROM people WHERE id = 9");
    assert_eq!((rows.as_str(), count, after.as_str()), ("", 1, "9|a1|null"));
    let mut empty = Database::default();
    empty.create("notes", &[("note", TypeId::TEXT)], &[]);
    let ran = empty.run("INSERT INTO notes VALUES ('a'), ('a')");
    let keys: Vec<Vec<u8>> = ran.finished.writes.iter().map(|write| write.key.clone()).collect();
    assert_eq!(keys, [vec![0; 12], vec![1; 12]]);
}

#[test]
fn null_is_refused_where_a_column_does_not_take_it() {
    let shop = shop();
    for text in [
        "INSERT INTO people VALUES (7, NULL, 1)",
        "UPDATE people SET name = NULL WHERE id = 2",
        "UPDATE people SET id = NULL",
    ] {
        assert_eq!(shop.refused(text).sqlstate, sqlstate::NOT_NULL_VIOLATION, "{text}");
    }
}

#[test]
fn a_thousand_rows_go_in_and_come_back() {
    let mut database = shop();
    let rows: Vec<String> = (0..3_000).map(|at| format!("({at}, {at}::numeric / 7)")).collect();
    let text = format!("INSERT INTO orders (person, number) VALUES {}", {
        let rows: Vec<String> = (10..3_010).map(|at| format!("({at}, 1)")).collect();
        rows.join(", ")
    });
    assert_eq!(rows.len(), 3_000);
    let ran = database.run(&text);
    assert_eq!(ran.finished.count, 3_000);
    database.apply(ran.finished.writes, 9);
    let found = database.rows("SELECT count(*), sum(person) FROM orders WHERE person >= 10");
    assert_eq!(
        found,
        [[Datum::Int8(3_000), Datum::Numeric(phantom_types::Numeric::from(4_528_500_i64))]]
    );
}
