//! Fragments over a snapshot in memory, made from SQL.

mod account;
mod deep;
mod differential;
mod operators;
mod reference;
mod writes;

use phantom_base::sync::Arc;
use phantom_base::{Error, Map, Result, Timestamp};
use phantom_types::{Datum, EvalContext, QueryMemory, SessionFormat, TypeId};

use super::{
    Fetch, Finished, Fragment, FragmentInput, RowSource, RowWrite, ScannedRow, Step, StepBudget,
    Storage, StoredRow, key_of, layout_of,
};
use crate::bind::Context;
use crate::catalog::{CatalogSnapshot, Column, Table, TableState};
use crate::settings::Settings;
use crate::statement::{Body, Planned};

/// Memory that no test needs.
const PLENTY: usize = 256 << 20;

/// Some tables and their rows.
#[derive(Default)]
pub(super) struct Database {
    catalog: CatalogSnapshot,
    rows: Map<u32, Map<Vec<u8>, StoredRow>>,
}

pub(super) fn eval() -> EvalContext {
    EvalContext {
        transaction_time: 0,
        statement_time: 0,
        format: SessionFormat::default(),
        database: "postgres".into(),
        server_version: "x".into(),
        meter: phantom_types::Meter::default(),
    }
}

/// What a statement came to.
#[derive(Debug)]
struct Ran {
    rows: Vec<Vec<Datum>>,
    finished: Finished,
    steps: usize,
    /// Rows of the largest batch.
    widest: usize,
}

impl Database {
    /// Adds a table; columns in upper case are NOT NULL.
    fn create(&mut self, name: &str, columns: &[(&str, TypeId)], primary_key: &[u16]) {
        let count = self.rows.len() as u32;
        let oid = 16_384 + 10 * count;
        let table = Table {
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
                    name: name.to_lowercase(),
                    ty: *ty,
                    typmod: -1,
                    not_null: name.chars().all(char::is_uppercase),
                    collation: crate::catalog::Collation::Default,
                })
                .collect(),
            primary_key: primary_key.to_vec(),
            primary_key_name: format!("{name}_pkey"),
        };
        self.catalog = self.catalog.with(self.catalog.version() + 1, vec![(oid, Some(table))]);
        self.rows.insert(oid, Map::new());
    }

    /// Adds a row, of version `version`.
    fn put(&mut self, name: &str, values: &[Datum], version: u64) {
        let table = self.catalog.table("public", name).unwrap().clone();
        let rows = self.rows.get_mut(&table.oid).unwrap();
        let key = if table.primary_key.is_empty() {
            (rows.len() as u64).to_be_bytes().to_vec()
        } else {
            key_of(&table, values).unwrap()
        };
        let mut bytes = Vec::new();
        layout_of(&table).encode(values, &mut bytes).unwrap();
        rows.insert(key, StoredRow { bytes, version: Timestamp(version) });
    }

    fn bind(&self, text: &str) -> Result<Arc<Planned>> {
        let (settings, eval) = (Settings::new("ada"), eval());
        let context =
            Context { catalog: &self.catalog, settings: &settings, role: "ada", eval: &eval };
        match crate::prepare(text, &[], context)?.body {
            Body::Query(planned) => Ok(planned),
            other => panic!("{text}: {other:?}"),
        }
    }

    fn fragment(&self, text: &str, parameters: &[Datum], memory: usize) -> Result<Fragment> {
        self.fragment_with(text, parameters, memory, eval())
    }

    fn fragment_with(
        &self,
        text: &str,
        parameters: &[Datum],
        memory: usize,
        eval: EvalContext,
    ) -> Result<Fragment> {
        self.fragment_of(text, parameters, QueryMemory::alone(memory), eval)
    }

    fn fragment_of(
        &self,
        text: &str,
        parameters: &[Datum],
        memory: QueryMemory,
        eval: EvalContext,
    ) -> Result<Fragment> {
        let planned = self.bind(text)?;
        Fragment::new(FragmentInput {
            query: planned.query.clone(),
            tables: planned.tables.clone(),
            parameters: parameters.to_vec(),
            eval,
            hidden_keys: (0..64).map(|at| [at; 12]).collect(),
            memory,
        })
    }

    fn run_with(&self, text: &str, parameters: &[Datum], rows: u32, memory: usize) -> Result<Ran> {
        run(self.fragment(text, parameters, memory)?, self, rows)
    }

    fn run(&self, text: &str) -> Ran {
        self.run_with(text, &[], 8_192, PLENTY).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn rows(&self, text: &str) -> Vec<Vec<Datum>> {
        self.run(text).rows
    }

    fn refused(&self, text: &str) -> Error {
        self.run_with(text, &[], 8_192, PLENTY).expect_err(text)
    }

    /// Applies what a statement wrote, after checking what it saw.
    fn apply(&mut self, writes: Vec<RowWrite>, version: u64) {
        for write in writes {
            let rows = self.rows.get_mut(&write.table.oid).unwrap();
            let seen = match rows.get(&write.key) {
                None => super::Seen::Nothing,
                Some(row) => super::Seen::Version(row.version),
            };
            assert_eq!(write.seen, seen, "what was seen under {:?}", write.key);
            match write.row {
                None => rows.remove(&write.key),
                Some(bytes) => {
                    rows.insert(write.key, StoredRow { bytes, version: Timestamp(version) })
                }
            };
        }
    }
}

fn run(mut fragment: Fragment, storage: &dyn Storage, rows: u32) -> Result<Ran> {
    let (mut found, mut steps, mut widest) = (Vec::new(), 0, 0);
    loop {
        steps += 1;
        match fragment.step(storage, StepBudget { rows })? {
            Step::Batch(batch) => {
                assert!(batch.rows() > 0, "no batch is empty");
                widest = widest.max(batch.rows());
                found.extend(batch.to_rows());
            }
            Step::Yield => {}
            Step::Done(finished) => return Ok(Ran { rows: found, finished, steps, widest }),
        }
    }
}

impl Storage for Database {
    fn get(&self, table: &Table, key: &[u8]) -> Result<Option<StoredRow>> {
        Ok(self.rows[&table.oid].get(key).cloned())
    }

    fn get_cached(&self, table: &Table, key: &[u8]) -> Result<Fetch> {
        self.get(table, key).map(Fetch::Found)
    }

    fn scan(
        &self,
        table: &Table,
        start: Option<&[u8]>,
        end: Option<&[u8]>,
    ) -> Result<Box<dyn RowSource>> {
        let within =
            |key: &[u8]| start.is_none_or(|start| key >= start) && end.is_none_or(|end| key < end);
        let rows = self.rows[&table.oid].iter().filter(|(key, _)| within(key));
        let rows = rows.map(|(key, row)| (key.clone(), row.clone())).collect();
        Ok(Box::new(Rows { rows, next: 0 }))
    }
}

struct Rows {
    rows: Vec<(Vec<u8>, StoredRow)>,
    next: usize,
}

impl RowSource for Rows {
    fn next(&mut self) -> Result<Option<ScannedRow<'_>>> {
        let row = self.rows.get(self.next);
        self.next += 1;
        Ok(row.map(|(key, row)| ScannedRow { key, bytes: &row.bytes, version: row.version }))
    }
}

/// Rows in one line: columns by `|`, rows by `; `.
fn shown(rows: &[Vec<Datum>]) -> String {
    let value = |value: &Datum| {
        if value.is_null() {
            return "null".to_owned();
        }
        let mut text = String::new();
        phantom_types::format::write_text(value, &SessionFormat::default(), &mut text);
        text
    };
    let row = |row: &Vec<Datum>| row.iter().map(value).collect::<Vec<_>>().join("|");
    rows.iter().map(row).collect::<Vec<_>>().join("; ")
}

/// `people`: key id; `orders`: key (person, number); `notes`: no key.
fn shop() -> Database {
    let mut database = Database::default();
    let (int4, int8, text) = (TypeId::INT4, TypeId::INT8, TypeId::TEXT);
    database.create("people", &[("ID", int4), ("NAME", text), ("age", TypeId::INT2)], &[1]);
    let of_orders =
        [("PERSON", int8), ("NUMBER", int4), ("price", TypeId::NUMERIC), ("paid", TypeId::BOOL)];
    database.create("orders", &of_orders, &[1, 2]);
    database.create("notes", &[("person", int4), ("note", text)], &[]);
    for (id, name, age) in [(1, "Ada", 36), (2, "Ben", -1), (3, "Cy", 36), (4, "Di", 12)] {
        let age = if age < 0 { Datum::Null } else { Datum::Int2(age) };
        database.put("people", &[Datum::Int4(id), Datum::text(name), age], 7);
    }
    let orders = [
        (1, 1, "9.50", Some(true)),
        (1, 2, "0.5", None),
        (3, 1, "9.5", Some(false)),
        (9, 1, "1", None),
    ];
    for (person, number, price, paid) in orders {
        let price = Datum::Numeric(phantom_types::Numeric::parse(price).unwrap());
        let paid = paid.map_or(Datum::Null, Datum::Bool);
        database.put("orders", &[Datum::Int8(person), Datum::Int4(number), price, paid], 7);
    }
    for (person, note) in [(Some(1), "x"), (None, "y"), (Some(1), "x")] {
        let person = person.map_or(Datum::Null, Datum::Int4);
        database.put("notes", &[person, Datum::text(note)], 7);
    }
    database
}
