//! What statements are bound to, and how those that cannot be are refused.

use phantom_base::{Error, SqlState, sqlstate};
use phantom_types::{Datum, EvalContext, SessionFormat, TypeId};

use super::{Context, prepare, split};
use crate::bound::{Command, ExprKind, codec};
use crate::catalog::{CatalogSnapshot, Column, Table, TableState};
use crate::settings::Settings;
use crate::statement::{Body, Planned, Prepared};

fn table(oid: u32, name: &str, columns: &[(&str, TypeId)], primary_key: &[u16]) -> Table {
    Table {
        oid,
        version: 1,
        storage_id: oid + 1,
        colocation: 1,
        state: TableState::Public,
        schema: "public".into(),
        name: name.into(),
        columns: columns
            .iter()
            .map(|(name, ty)| Column {
                name: (*name).into(),
                ty: *ty,
                typmod: -1,
                not_null: false,
                collation: crate::catalog::Collation::Default,
            })
            .collect(),
        primary_key: primary_key.to_vec(),
        primary_key_name: format!("{name}_pkey"),
    }
}

fn catalog() -> CatalogSnapshot {
    let flights = table(
        16_400,
        "flights",
        &[
            ("carrier", TypeId::TEXT),
            ("flight", TypeId::INT4),
            ("delay", TypeId::FLOAT8),
            ("day", TypeId::DATE),
            ("price", TypeId::NUMERIC),
        ],
        &[1, 2],
    );
    let carriers =
        table(16_500, "carriers", &[("carrier", TypeId::VARCHAR), ("name", TypeId::TEXT)], &[1]);
    let tables = vec![(16_400, Some(flights)), (16_500, Some(carriers))];
    CatalogSnapshot::default().with(1, tables)
}

pub(super) fn bind_with(text: &str, types: &[u32]) -> Result<Prepared, Error> {
    let eval = EvalContext {
        transaction_time: 0,
        statement_time: 0,
        format: SessionFormat::default(),
        database: "postgres".into(),
        server_version: "x".into(),
        meter: phantom_types::Meter::default(),
    };
    let (catalog, settings) = (catalog(), Settings::new("ada"));
    prepare(
        text,
        types,
        Context { catalog: &catalog, settings: &settings, role: "ada", eval: &eval },
    )
}

fn bind(text: &str) -> Prepared {
    bind_with(text, &[]).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn planned(text: &str) -> std::sync::Arc<Planned> {
    match bind(text).body {
        Body::Query(planned) => planned,
        other => panic!("{text}: {other:?}"),
    }
}

fn refused(text: &str) -> (SqlState, u32, String) {
    let error = bind_with(text, &[]).expect_err(text);
    (error.sqlstate, error.position, error.message.clone())
}

#[test]
fn types_of_results_are_postgresqls() {
    let cases: &[(&str, &[TypeId])] = &[
        (
            "select 1, 10000000000, 1.5, 'a', null, true",
            &[
                TypeId::INT4,
                TypeId::INT8,
                TypeId::NUMERIC,
                TypeId::TEXT,
                TypeId::TEXT,
                TypeId::BOOL,
            ],
        ),
        (
            "select 1 + 1.5, 1 + 1::int8, 2 / 3::float8",
            &[TypeId::NUMERIC, TypeId::INT8, TypeId::FLOAT8],
        ),
        (
            "select count(*), sum(flight), avg(flight), max(day) from flights",
            &[TypeId::INT8, TypeId::INT8, TypeId::NUMERIC, TypeId::DATE],
        ),
        (
            "select coalesce(price, 1), case when true then 1 else 2.5 end from flights",
            &[TypeId::NUMERIC, TypeId::NUMERIC],
        ),
        (
            "select extract(year from day), day + 1, day - day from flights",
            &[TypeId::NUMERIC, TypeId::DATE, TypeId::INT4],
        ),
        (
            "select current_date, now(), current_schema, version()",
            &[TypeId::DATE, TypeId::TIMESTAMPTZ, TypeId::NAME, TypeId::TEXT],
        ),
    ];
    for (text, types) in cases {
        let found: Vec<TypeId> = bind(text).columns.iter().map(|column| column.ty).collect();
        assert_eq!(found, *types, "{text}");
    }
}

#[test]
fn columns_have_postgresqls_names_and_origins() {
    let names = |text: &str| -> Vec<String> {
        bind(text).columns.iter().map(|column| column.name.clone()).collect()
    };
    assert_eq!(
        names(
            "select flight, flight + 1, count(*), 1::int8, coalesce(1, 2), case when true then flight end, true from flights group by 1"
        ),
        ["flight", "?column?", "count", "int8", "coalesce", "case", "?column?"]
    );
    assert_eq!(
        names(
            "select extract(year from day), substring(carrier from 1 for 2), trim(carrier), position('a' in carrier) from flights"
        ),
        ["extract", "substring", "btrim", "position"]
    );
    assert_eq!(
        names("select * from flights f join carriers c using (carrier)"),
        ["carrier", "flight", "delay", "day", "price", "name"]
    );
    let columns = bind("select name, upper(name) from carriers").columns;
    assert_eq!((columns[0].table, columns[0].attnum), (16_500, 2));
    assert_eq!((columns[1].table, columns[1].attnum), (0, 0));
}

#[test]
fn parameters_take_the_type_that_their_place_gives() {
    let types = |text: &str| bind(text).parameters;
    assert_eq!(
        types("select * from flights where carrier = $1 and flight = $2"),
        [TypeId::TEXT, TypeId::INT4]
    );
    assert_eq!(
        types("update flights set delay = delay + $1 where flight in ($2, $3)"),
        [TypeId::FLOAT8, TypeId::INT4, TypeId::INT4]
    );
    assert_eq!(
        types("insert into flights values ($1, $2, $3, $4, $5)"),
        [TypeId::TEXT, TypeId::INT4, TypeId::FLOAT8, TypeId::DATE, TypeId::NUMERIC]
    );
    assert_eq!(types("select $1 limit $2"), [TypeId::TEXT, TypeId::INT8]);
    let declared =
        bind_with("select * from flights where flight = $1", &[21]).expect("int2 widens");
    assert_eq!(declared.parameters, [TypeId::INT2]);
    assert_eq!(refused("select $1 is null").0, sqlstate::INDETERMINATE_DATATYPE);
}

#[test]
fn the_use_that_postgresql_binds_first_decides_the_type_of_a_parameter() {
    let types = |text: &str| bind(text).parameters;
    for (text, ty) in [
        ("update flights set day = $1 where now() >= $1", TypeId::TIMESTAMPTZ),
        ("insert into flights (delay, flight) values ($1, $1 + 1.5::float8)", TypeId::FLOAT8),
        ("select $1 between flight and delay from flights", TypeId::INT4),
        ("select $1 not between symmetric day and now() from flights", TypeId::DATE),
        ("select 1 from flights limit $1 offset $1", TypeId::INT8),
        ("select $1::int4 + $1", TypeId::INT4),
        ("select $1 is distinct from null or $1 = 1, $1::int2", TypeId::INT2),
    ] {
        let declared = if text.contains("null") { &[21][..] } else { &[] };
        let found = bind_with(text, declared).map(|bound| bound.parameters);
        assert_eq!(found.as_deref(), Ok(&[ty][..]), "{text}");
    }
    assert_eq!(types("select carrier = $1 or carrier in ($2) from carriers"), [TypeId::TEXT; 2]);
    assert_eq!(types("select carrier in ($1, $2) from carriers"), [TypeId::VARCHAR; 2]);
    for text in [
        "select $1 from flights where flight = $1",
        "select $1 is null or flight = $1 from flights",
        "select $1 in (flight, 2.5, delay) from flights",
        "select concat($1, $1::int4)",
        "update flights set day = $1, flight = $1",
    ] {
        assert_eq!(refused(text).0, sqlstate::AMBIGUOUS_PARAMETER, "{text}");
    }
    for text in ["select concat($1, 'a')", "select count($1)", "select $1 is distinct from null"] {
        assert_eq!(refused(text).0, sqlstate::INDETERMINATE_DATATYPE, "{text}");
    }
}

#[test]
fn operands_that_double_with_each_level_are_refused_before_they_fill_the_memory() {
    let nested = |levels: usize, start: &str, end: &str| {
        format!("select {}true{}", start.repeat(levels), end.repeat(levels))
    };
    for (start, end) in [
        ("(", " between false and true)"),
        ("(", " not between symmetric true and false)"),
        ("(case ", " when true then true when false then false end)"),
        ("(", " in (carrier = 'a', carrier = 'b'))"),
    ] {
        let text = |levels| format!("{} from carriers", nested(levels, start, end));
        let (code, ..) = refused(&text(40));
        assert_eq!(code, sqlstate::STATEMENT_TOO_COMPLEX, "{}", text(1));
        assert!(bind_with(&text(7), &[]).is_ok(), "{}", text(1));
    }
    // Only what is looked at twice is copied.
    let ends = nested(40, "(false between false and ", ")");
    assert!(bind_with(&ends, &[]).is_ok());
}

#[test]
fn overloads_that_are_absent_are_candidates_too() {
    for text in [
        "select day + $1 from flights",
        "select $1 * $2",
        "select -$1",
        "select sum('1')",
        "select extract(year from '2020-01-01')",
        "select trunc($1)",
    ] {
        assert_eq!(refused(text).0, sqlstate::AMBIGUOUS_FUNCTION, "{text}");
    }
    for text in [
        "select now() - now()",
        "select now() + $1",
        "select substring('hello', '2', '3')",
        "select substring($1, $2, $3)",
    ] {
        assert_eq!(refused(text).0, sqlstate::FEATURE_NOT_SUPPORTED, "{text}");
    }
    let types = bind("select substring($1, 2), substring($2 for $3), day - $4 from flights");
    let wanted = [TypeId::TEXT, TypeId::TEXT, TypeId::INT4, TypeId::DATE];
    assert_eq!(types.parameters, wanted);
}

#[test]
fn a_merged_column_has_the_type_of_both_sides() {
    let ty = |text: &str| bind(text).columns[0].ty;
    let joined = "from flights f (carrier, k) join flights g (c, d, k) using (k)";
    assert_eq!(ty(&format!("select k {joined}")), TypeId::FLOAT8);
    assert_eq!(ty(&format!("select f.k {joined}")), TypeId::INT4);
    // Each of text and varchar becomes the other: the first one stays.
    let joined = "left join flights using (carrier)";
    assert_eq!(ty(&format!("select carrier from carriers {joined}")), TypeId::VARCHAR);
    assert_eq!(ty("select carrier from flights join carriers using (carrier)"), TypeId::TEXT);
    for (text, code) in [
        ("select 1 from flights join carriers using (carrier, carrier)", "42701"),
        ("select 1 from flights f (carrier) join carriers using (name)", "42703"),
        ("select 1 from flights f (a, k) join carriers c (k) using (k)", "42883"),
        ("select 1 from (flights f join flights g on true) join carriers using (carrier)", "42702"),
    ] {
        let (found, _, message) = refused(text);
        assert_eq!(found.as_str(), code, "{text}: {message}");
    }
}

#[test]
fn what_is_wrong_is_refused_with_postgresqls_code_and_place() {
    let cases: &[(&str, &str, u32)] = &[
        ("select * from nowhere", "42P01", 15),
        ("select nothing from flights", "42703", 8),
        ("select x.flight from flights", "42P01", 8),
        ("select carrier from flights f, carriers c", "42702", 8),
        ("select 'a'::int4", "22P02", 8),
        ("select 1 + 'a'", "22P02", 12),
        ("select carrier + 1 from flights", "42883", 16),
        ("select nofunction(1)", "42883", 8),
        ("select flight from flights where flight", "42804", 34),
        ("select sum(flight) from flights where sum(flight) > 1", "42803", 39),
        ("select carrier, count(*) from flights group by flight", "42803", 8),
        ("select distinct carrier from flights order by flight", "42P10", 47),
        ("select 1 order by 2", "42P10", 19),
        ("select * from flights limit carrier", "42P10", 29),
        ("insert into flights (carrier, carrier) values ('a', 'b')", "42701", 31),
        ("insert into flights (nothing) values (1)", "42703", 22),
        ("insert into carriers values ('a', 'b', 'c')", "42601", 40),
        ("update flights set day = 5", "42804", 26),
        ("update flights set day = current_date, day = null", "42601", 0),
        ("select * from flights f join flights f on true", "42712", 0),
        ("create table t (a int4, a int4)", "42701", 0),
        ("create table t (a int4 primary key, b int4 primary key)", "42P16", 44),
        ("create table t (a nonsense)", "42704", 19),
        ("select case when true then 1 else 'a'::text end", "42804", 28),
        ("select date '2013-02-30'", "22008", 13),
    ];
    for (text, code, position) in cases {
        let (found, at, message) = refused(text);
        assert_eq!((found.as_str(), at), (*code, *position), "{text}: {message}");
    }
}

#[test]
fn what_is_absent_is_named() {
    for (text, named) in [
        ("begin", "BEGIN"),
        ("select * from flights f1 full join flights f2 on true", "FULL JOIN"),
        ("select (select 1)", "a subquery in an expression"),
        ("select 1 union select 2", "UNION"),
        ("select 1 intersect select 2", "INTERSECT"),
        ("select * from flights f1 right join flights f2 on true", "RIGHT JOIN"),
        ("select carrier from flights group by cube (carrier)", "CUBE"),
        ("select carrier from flights group by ()", "GROUP BY ()"),
        ("select 1 from flights for no key update", "FOR NO KEY UPDATE"),
        ("select * from flights tablesample system (1)", "TABLESAMPLE"),
        ("select xmlforest(1 as a)", "XMLFOREST"),
        ("select 'a' is document", "IS DOCUMENT"),
        ("select lower(input => 'a')", "an argument by its name"),
        ("select (array[1])[1]", "a field or element of a value"),
        ("create table t (like flights)", "LIKE in CREATE TABLE"),
        ("create table t (a int4, exclude using gist (a with =))", "EXCLUDE constraint"),
        ("create table t (a int4, check (a > 0))", "CHECK constraint"),
        ("create table t (a int4 unique)", "UNIQUE constraint"),
        ("create table t (a int4 references flights)", "FOREIGN KEY constraint"),
        ("drop materialized view v", "DROP MATERIALIZED VIEW"),
        ("drop text search parser p", "DROP TEXT SEARCH PARSER"),
        ("alter table flights add x int4", "ALTER TABLE"),
        ("alter table flights rename x to y", "ALTER TABLE .. RENAME"),
        ("alter index i rename to j", "ALTER INDEX .. RENAME"),
        ("alter view v set schema s", "ALTER VIEW .. SET SCHEMA"),
        ("create aggregate a (int4) (sfunc = f, stype = int4)", "CREATE AGGREGATE"),
        ("create materialized view v as select 1", "CREATE MATERIALIZED VIEW"),
        ("create user u", "CREATE USER"),
        ("create procedure p() language sql as ''", "CREATE PROCEDURE"),
        ("revoke select on flights from u", "REVOKE"),
        ("comment on column flights.x is ''", "COMMENT ON COLUMN"),
        ("analyze flights", "ANALYZE"),
        ("move c", "MOVE"),
        ("create policy p on flights", "CREATE POLICY"),
        ("/* a */ alter role u set x = 1", "ALTER ROLE"),
        ("with x as (select 1) select 1", "WITH"),
        ("select row_number() over () from flights", "a window function"),
        ("create table t (a int4 default 1)", "DEFAULT"),
        ("create table t (a json)", "type json"),
        ("select to_char(now(), 'x')", "function to_char"),
        ("select * from pg_catalog.pg_class", "system catalog pg_catalog.pg_class"),
        ("select ctid from flights", "system column \"ctid\""),
        ("explain select 1", "EXPLAIN"),
        ("copy flights from stdin", "COPY"),
        ("insert into flights select * from flights", "INSERT from a query"),
        ("select interval '1 day'", "type interval"),
    ] {
        let (code, _, message) = refused(text);
        assert_eq!(code, sqlstate::FEATURE_NOT_SUPPORTED, "{text}: {message}");
        assert_eq!(message, format!("{named} is not supported"), "{text}");
    }
}

#[test]
fn constants_fold_and_one_that_fails_refuses_its_statement() {
    let first = |text: &str| planned(text).query.targets[0].expr.clone();
    assert_eq!(first("select 1 + 2 * 3").kind, ExprKind::Const(Datum::Int4(7)));
    assert!(matches!(first("select now()").kind, ExprKind::Call(..)));
    let failed = |text: &str| bind(text).plan_error.map(|error| error.sqlstate);
    for text in [
        "select 1 / 0",
        "select 1 / 0 from flights where false",
        "select case when flight > 1 then 1 / 0 end from flights",
        "select coalesce(flight, 1 / 0), $1::text from flights",
        "select nullif(1 / 0, null), greatest(flight, 1) from flights",
        "select flight from flights where delay > 1 and 1 / 0 = flight",
        "select count(*) filter (where 1 / 0 = 1) from flights",
        "select 1 from flights f join carriers c on 1 / 0 = 1",
        "select 1 from flights limit 1 / 0",
        "insert into flights (flight) values (1), (1 / 0)",
        "update flights set flight = 1 / 0",
        "delete from flights where 1 / 0 = flight returning flight",
    ] {
        assert_eq!(failed(text), Some(sqlstate::DIVISION_BY_ZERO), "{text}");
    }
    for text in [
        "select case when true then 1 else 1 / 0 end",
        "select case when null then 1 / 0 when flight = 1 then 1 end from flights",
        "select coalesce(null, 1, 1 / 0)",
        "select false and 1 / 0 = 1, true or 1 / 0 = 1",
        "select 1 / $1",
        "select 1 / flight from flights",
        "select case when now() is null then date_trunc('nothing', now()) end",
    ] {
        assert_eq!(failed(text), None, "{text}");
    }
}

#[test]
fn what_constants_decide_is_gone() {
    let first = |text: &str| planned(text).query.targets[0].expr.kind.clone();
    let flight = first("select flight from flights");
    for text in [
        "select case when true then flight end from flights",
        "select case when false then 1 when null then 2 else flight end from flights",
        "select nullif(flight, null) from flights",
    ] {
        assert_eq!(first(text), flight, "{text}");
    }
    for text in [
        "select null::int4 + 2147483647 * flight from flights",
        "select upper(null) from flights",
        "select null::int4::text from flights",
        "select flight = 1 and null and delay > 1 and true and (null or false) from flights",
    ] {
        let of = match first(text) {
            ExprKind::And(of) => of.last().expect("operands").kind.clone(),
            other => other,
        };
        assert_eq!(of, ExprKind::Const(Datum::Null), "{text}");
    }
    let filter = |text: &str| planned(text).query.filter.clone().map(|filter| filter.kind);
    assert_eq!(filter("select 1 from flights where true or flight = 1"), None);
    for text in [
        "select 1 from flights where flight = 1 and null",
        "select 1 from flights where (null and flight = 1) or (delay > 1 and null)",
        "select 1 from flights where flight between null and 1",
    ] {
        assert_eq!(filter(text), Some(ExprKind::Const(Datum::Bool(false))), "{text}");
    }
}

#[test]
fn constants_that_cost_much_or_take_much_are_left_to_those_who_run_them() {
    let first = |text: &str| planned(text).query.targets[0].expr.clone();
    assert!(matches!(first("select repeat('x', 8000)").kind, ExprKind::Const(_)));
    assert!(matches!(first("select repeat('x', 100000000)").kind, ExprKind::Call(..)));
    // The next one is folded again: only what is large is left out.
    assert!(matches!(
        first("select length(repeat('x', 8000)) + length(repeat('x', 100000))").kind,
        ExprKind::Call(..)
    ));
    let long = "select repeat('a', 8000) like '%' || repeat('a', 4000) || 'b' \
                or repeat('a', 8000) like '%' || repeat('a', 4000) || 'c'";
    let ExprKind::Or(of) = first(long).kind else { panic!("an OR") };
    assert!(of.iter().all(|like| matches!(like.kind, ExprKind::Call(..))), "{of:?}");
    assert!(matches!(first("select (1e131000 + 1) * (1e131000 + 1)").kind, ExprKind::Call(..)));
}

#[test]
fn statements_by_key_are_point_plans_and_others_are_not() {
    for text in [
        "select 1 + 1",
        "select delay from flights where carrier = 'UA' and flight = 7",
        "select delay from flights where flight = $1 and 'UA' = carrier and delay > 3",
        "select * from carriers where carrier in ('UA', 'AA', $1)",
        "insert into carriers values ('UA', 'United') on conflict do nothing returning name",
        "update flights set delay = delay + 1 where carrier = 'UA' and flight = 7::int8",
        "delete from carriers where carrier = $1",
    ] {
        assert!(planned(text).point.is_some(), "{text}");
    }
    for text in [
        "select delay from flights where carrier = 'UA'",
        "select delay from flights where carrier = 'UA' or flight = 7",
        "select count(*) from carriers where carrier = 'UA'",
        "select * from carriers where carrier = name",
        "update carriers set carrier = 'x' where carrier = 'y'",
        "select * from flights where carrier = 'UA' and flight = 7 limit 1",
        "select * from flights where carrier = 'UA' and flight = 7.5",
    ] {
        assert!(planned(text).point.is_none(), "{text}");
    }
}

#[test]
fn a_bound_query_survives_its_cbor_form_and_damage_is_refused() {
    use phantom_base::{Random, SeededRandom};
    let texts = [
        "select carrier, count(distinct flight) filter (where delay > 1.5), avg(price) from flights left join carriers using (carrier) where day between '2013-01-01' and '2013-02-01' and carrier like 'U%' group by carrier having count(*) > $1 order by 2 desc nulls last, max(day) limit 5 offset 1",
        "insert into flights (flight, carrier) values (1, 'a'), ($1, $2) on conflict (carrier, flight) do nothing returning *",
        "update flights set delay = case flight when 1 then null else greatest(delay, 2) end, price = nullif(price, 1.50)::numeric(5,2) where flight is not null and (carrier, 1) is null or not (delay is distinct from 1)",
        "delete from carriers where carrier in ('a', 'b') or name is null",
    ];
    for text in texts.iter().filter(|text| !text.contains("(carrier, 1)")) {
        let planned = planned(text);
        assert_eq!(codec::decode(&planned.encoded).as_ref(), Ok(&*planned.query), "{text}");
        let mut random = SeededRandom::new(9);
        for _ in 0..2_000 {
            let mut damaged = planned.encoded.to_vec();
            let at = random.below(damaged.len() as u64) as usize;
            damaged[at] = random.next_u64() as u8;
            let _ = codec::decode(&damaged);
        }
    }
}

#[test]
fn a_text_is_split_where_its_statements_end() {
    let pieces = split("select 'é;'; insert into t values (1);\n-- x\n select 2").expect("valid");
    let texts: Vec<(&str, u32, bool)> =
        pieces.iter().map(|piece| (piece.text.as_str(), piece.offset, piece.is_write)).collect();
    assert_eq!(texts[0], ("select 'é;'", 0, false));
    assert_eq!((texts[1].1, texts[1].2), (13, true));
    assert!(texts[2].0.ends_with("select 2"));
}

#[test]
fn keys_of_a_grouping_are_bounded_with_the_targets() {
    let keys = |count: usize| (0..count).map(|at| format!("flight + {at}")).collect::<Vec<_>>();
    let text = |count, target: &str| {
        format!("select {target} from flights group by {}", keys(count).join(", "))
    };
    bind(&text(1_663, "1"));
    bind(&text(1_664, "flight + 1663"));
    let beyond =
        (sqlstate::TOO_MANY_COLUMNS, 0, "target lists can have at most 1664 entries".into());
    assert_eq!(refused(&text(1_664, "1")), beyond);
    // More than sixteen bits count.
    assert_eq!(refused(&text(70_000, "flight + 69999")), beyond);
}

#[test]
fn create_table_keeps_what_it_says() {
    let Body::CreateTable(create) = bind(
        "create table if not exists t (a varchar(5) not null, b numeric(8,2), primary key (b, a))",
    )
    .body
    else {
        panic!("CREATE TABLE");
    };
    assert_eq!(create.primary_key, [2, 1]);
    assert_eq!(create.primary_key_name, "t_pkey");
    assert!(create.if_not_exists && create.columns.iter().all(|column| column.not_null));
    assert_eq!(create.columns[0].typmod, 9);
    assert!(matches!(&planned("delete from carriers").query.command, Command::Delete));
}

#[test]
fn a_bound_query_keeps_no_collate_but_what_it_means() {
    let query = |text: &str| planned(text).query.clone();
    assert_eq!(
        query("select carrier collate \"default\" || 'x' from flights").targets[0].expr,
        query("select carrier || 'x' from flights").targets[0].expr
    );
    let lower = query("select lower(carrier collate \"C\") from flights");
    let ExprKind::Call(procedure, of) = &lower.targets[0].expr.kind else { panic!("a call") };
    assert_eq!(Some(*procedure), phantom_types::catalog::of_ascii(870));
    assert!(matches!(of[0].kind, ExprKind::Column { .. }));
    let (code, position, _) =
        refused("select 1 from flights where carrier collate \"C\" < 'a' collate \"POSIX\"");
    assert_eq!((code, position), (sqlstate::COLLATION_MISMATCH, 55));
}
