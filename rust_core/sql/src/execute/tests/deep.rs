//! Statements that nest without end, over columns: answered or refused, and whatever binding lets
//! through is walked on a stack that is a part of the smallest one that walks it.

use std::thread::{Builder, scope};

use phantom_base::{SqlState, sqlstate};

use super::*;
use crate::bound::{Expr, ExprKind, codec, depth};
use crate::parse;

/// A quarter of the stack that a process has as a rule: the thread of a node is the process's first.
const QUARTER_BYTES: usize = 2 << 20;

const LEVELS: [usize; 4] = [300, 3_000, 4_900, 9_900];

/// A form around another: what comes before it, once a level, and what after.
type Form = (&'static str, &'static str, &'static str);

/// Forms over a number.
const NUMBERS: &[Form] = &[
    ("", "id", " + 1"),
    ("", "id", " + id"),
    ("", "age", " * age"),
    ("1 + (", "id", ")"),
    ("(1 + ", "id", ")"),
    ("(id - ", "id", " + 1)"),
    ("- ", "id", ""),
    ("+ ", "id", ""),
    ("", "id", "::int8::int4"),
    ("", "id", "::text::int4"),
    ("cast(", "id", " as int8)"),
    ("abs(", "id", ")"),
    ("mod(id, ", "id", ")"),
    ("mod(", "id", ", 7)"),
    ("coalesce(", "id", ", 1)"),
    ("coalesce(null, ", "id", ")"),
    ("nullif(", "id", ", 7)"),
    ("nullif(id, ", "id", ")"),
    ("greatest(", "id", ", 1)"),
    ("least(1, ", "id", ")"),
    ("case when ", "id", " > 0 then 1 else 0 end"),
    ("case when id > 0 then ", "id", " end"),
    ("case when id > 9 then 1 else ", "id", " end"),
    ("case ", "id", " when 1 then 2 when 2 then 3 else id end"),
    ("case 1 when ", "id", " then 2 else 3 end"),
];

/// Forms over a condition.
const CONDITIONS: &[Form] = &[
    ("not ", "id = 1", ""),
    ("", "id = 1", " and id = 1"),
    ("", "id = 1", " or id = 1"),
    ("id = 1 and (", "id = 1", ")"),
    ("id = 1 or (", "id = 1", ")"),
    ("((", "id = 1", ") or id = 2) and id = 3"),
    ("(", "id = 1", ") is true"),
    ("(", "id = 1", ") is null"),
    ("(", "id = 1", ") = true"),
    ("true = (", "id = 1", ")"),
    ("(", "id = 1", ") is distinct from true"),
    ("true is not distinct from (", "id = 1", ")"),
    ("(", "id = 1", ") in (true, false)"),
    ("(", "id = 1", ") in (id = 1, id = 2)"),
    ("true in (", "id = 1", ")"),
    ("false in (true, ", "id = 1", ")"),
    ("(", "id = 1", ") between false and true"),
    ("(", "id = 1", ") between symmetric true and false"),
    ("true between false and (", "id = 1", ")"),
    ("bool(", "id = 1", ")"),
];

/// Forms over a text.
const TEXTS: &[Form] = &[
    ("", "name", " || name"),
    ("name || (", "name", ")"),
    ("", "name", " collate \"C\""),
    ("", "name", "::varchar::text"),
    ("lower(", "name", ")"),
    ("concat(name, ", "name", ")"),
    ("replace(", "name", ", 'a', 'b')"),
];

/// Where an expression can stand: a number is `N`, a condition `C`.
const PLACES: &[&str] = &[
    "select N from people where id = 2",
    "select sum(N) from people",
    "select N, count(*) from people group by N",
    "select N + 1 from people group by N having N > 0",
    "select id from people where C order by N",
    "select distinct N from people",
    "select count(*) filter (where C) from people",
    "select a.id from people a join people b on a.id = b.id and C",
    "insert into people values (1 + N, 'x', 1)",
    "update people set age = N where C",
    "delete from people where C returning N",
    "select 1 from people limit 1 + N",
];

fn nested((before, inside, after): Form, levels: usize) -> String {
    format!("{}{inside}{}", before.repeat(levels), after.repeat(levels))
}

/// Binds where texts are bound.
fn bind(database: &Database, text: &str) -> Result<Arc<Planned>> {
    scope(|scope| {
        let parse = Builder::new().stack_size(parse::STACK_BYTES);
        let bound = parse.spawn_scoped(scope, || database.bind(text)).expect("a thread");
        bound.join().expect("it does not panic")
    })
}

/// All that is done with a bound statement elsewhere, on a small stack: its rows, by both evaluators.
fn walk(database: &Database, planned: &Planned) -> Result<Vec<Vec<Datum>>> {
    scope(|scope| {
        let small = Builder::new().stack_size(QUARTER_BYTES);
        let walk = || {
            let decoded = codec::decode(&planned.encoded).expect("it was encoded");
            assert!(decoded == *planned.query, "the decoded query is the same");
            let planned = Planned::new(decoded.clone(), planned.tables.clone());
            let parameters = vec![Datum::Int4(2); planned.query.parameters.len()];
            if let Some(point) = &planned.point {
                let (eval, found) = (eval(), planned.tables.first());
                let run = point.run(&parameters, &eval);
                let get = |key: &[u8]| database.get(found?, key).ok().flatten();
                let _ = run.keys(&[]).and_then(|_| run.effect(&[], &get));
            }
            let input = FragmentInput {
                query: planned.query.clone(),
                tables: planned.tables.clone(),
                parameters,
                eval: eval(),
                hidden_keys: Vec::new(),
                memory: QueryMemory::alone(PLENTY),
            };
            run(Fragment::new(input)?, database, 8_192).map(|ran| ran.rows)
        };
        let walked = small.spawn_scoped(scope, walk).expect("a thread");
        walked.join().expect("it does not panic")
    })
}

/// What a statement is answered, or the code with which it is refused before it runs.
fn answered(database: &Database, text: &str) -> std::result::Result<String, SqlState> {
    let planned = bind(database, text).map_err(|error| error.sqlstate)?;
    Ok(walk(database, &planned).map_or_else(|error| error.message.clone(), |rows| shown(&rows)))
}

fn all_forms() -> impl Iterator<Item = (Form, String)> {
    let point = |of: &str| format!("select {of} from people where id = 2");
    let over = |forms: &'static [Form]| forms.iter().map(move |form| (*form, point("X")));
    over(NUMBERS).chain(over(CONDITIONS)).chain(over(TEXTS))
}

#[test]
fn every_form_at_any_depth_is_answered_or_refused() {
    let database = shop();
    for (form, place) in all_forms() {
        for levels in LEVELS {
            let text = place.replace('X', &nested(form, levels));
            if let Err(code) = answered(&database, &text) {
                let is_refused = code == sqlstate::STATEMENT_TOO_COMPLEX;
                assert!(is_refused, "{levels} times {form:?}: {code:?}");
            }
        }
    }
}

#[test]
fn what_is_as_deep_as_it_may_be_takes_a_quarter_of_a_stack() {
    let database = shop();
    let mut deepest = 0;
    for (form, place) in all_forms() {
        let text = |levels| place.replace('X', &nested(form, levels));
        let (mut taken, mut refused) = (1, 2 * depth::DEPTH_MAX);
        while refused - taken > 1 {
            let levels = usize::midpoint(taken, refused);
            match bind(&database, &text(levels)) {
                Ok(_) => taken = levels,
                Err(_) => refused = levels,
            }
        }
        deepest = deepest.max(taken);
        answered(&database, &text(taken)).expect("it was bound");
    }
    assert!(deepest > depth::DEPTH_MAX, "chains are no levels");
}

#[test]
fn chains_of_thousands_are_answered() {
    let database = shop();
    for (form, levels, wanted) in [
        (("", "id", " + 1"), 4_900, "4902"),
        (("", "id", " + id"), 4_900, "9802"),
        (("- ", "id", ""), 4_901, "-2"),
        (("", "id", "::int8::int4"), 1_600, "2"),
        (("abs(", "id", ")"), 4_900, "2"),
        (("not ", "id = 1", ""), 4_000, "f"),
        (("not ", "id = 1", ""), 4_001, "t"),
        (("", "id = 1", " and id = 2"), 20_000, "f"),
        (("", "id = 1", " or id = 2"), 20_000, "t"),
    ] {
        let text = format!("select {} from people where id = 2", nested(form, levels));
        let answer = answered(&database, &text);
        assert_eq!(answer.as_deref(), Ok(wanted), "{levels} times {form:?}");
    }
    let sum = format!("select sum({}) from people", nested(("", "id", " + 1"), 4_900));
    assert_eq!(answered(&database, &sum).as_deref(), Ok("19610"));
}

#[test]
fn an_expression_is_bounded_wherever_it_stands() {
    let database = shop();
    let case = NUMBERS.iter().find(|form| form.0.contains("else")).expect("one has ELSE");
    let forms = [(NUMBERS[0], CONDITIONS[0]), (*case, CONDITIONS[3])];
    for place in PLACES {
        for (number, condition) in forms {
            for levels in [300, 3_000, 4_900] {
                let column = match place {
                    place if place.contains(" join ") => "a.id",
                    place if place.contains("insert") || place.contains("limit") => "$1::int4",
                    _ => "id",
                };
                let of = |form: Form| nested(form, levels).replace("id", column);
                let text = place.replace('N', "\0").replace('C', &of(condition));
                let text = text.replace('\0', &of(number));
                if let Err(code) = answered(&database, &text) {
                    let is_refused = code == sqlstate::STATEMENT_TOO_COMPLEX;
                    assert!(is_refused, "{levels} times {number:?} in {place}: {code:?}");
                }
            }
        }
    }
}

#[test]
fn what_is_too_deep_is_refused_as_postgresql_refuses_it() {
    let database = shop();
    let text = format!("select {} from people", nested(("1 + (", "id", ")"), 1_100));
    let error = bind(&database, &text).expect_err("too deep");
    assert_eq!(error.sqlstate, sqlstate::STATEMENT_TOO_COMPLEX);
    assert_eq!(error.message, "stack depth limit exceeded");
    assert!(error.hint.contains("Split the statement"));
}

#[test]
fn operands_that_are_repeated_in_what_is_repeated_do_not_grow_without_end() {
    let database = shop();
    for form in [
        ("(", "id = 1", ") between false and true"),
        ("(", "id = 1", ") in (id = 1, id = 2)"),
        ("case ", "id", " when 1 then 2 when 2 then 3 else id end"),
    ] {
        let text = format!("select {} from people", nested(form, 60));
        let error = bind(&database, &text).expect_err("2 to the power of 60");
        assert_eq!(error.sqlstate, sqlstate::STATEMENT_TOO_COMPLEX, "{form:?}");
    }
}

#[test]
fn hundreds_of_tables_are_joined_in_whatever_order_they_are_written() {
    // Each step finds the one table that is connected to those before it, the last.
    let mut text = "select count(*) from people a0".to_owned();
    text.extend((1..499).map(|at| format!(", people a{at}")));
    text += " where a0.id = a498.id";
    text.extend((2..499).rev().map(|at| format!(" and a{at}.id = a{}.id", at - 1)));
    assert_eq!(answered(&shop(), &text).as_deref(), Ok("4"));
}

#[test]
fn a_peer_sends_nothing_that_is_deeper_than_what_is_bound_here() {
    let int4 = || Expr::constant(Datum::Int4(1), TypeId::INT4);
    let mut expr = int4();
    let mut query = (*bind(&shop(), "select 1 from people").expect("bound").query).clone();
    for level in 1..=depth::DEPTH_MAX {
        query.targets[0].expr = expr.clone();
        if level % 333 == 1 || level == depth::DEPTH_MAX {
            codec::decode(&codec::encode(&query)).expect("as deep as may be");
        }
        let kind = ExprKind::Coalesce(vec![int4(), expr]);
        expr = Expr { kind, ..int4() };
    }
    query.targets[0].expr = expr;
    let error = codec::decode(&codec::encode(&query)).expect_err("one deeper");
    assert_eq!(error.sqlstate, sqlstate::INTERNAL_ERROR);
}
